/*
 * The mailbox: a range of guest memory that the host reads and writes while the machine is stopped.
 * It is kept from the kernel by `memmap=`, and only the agent (root) can map it.
 * The host's side of this layout is faas_microvm/mailbox.py; change both together.
 * All numbers are little-endian.
 */
#ifndef FAAS_MAILBOX_H
#define FAAS_MAILBOX_H

#include <stdint.h>

#define MAILBOX_PHYSICAL 0x10000000UL
#define MAILBOX_SIZE     (64UL << 20)

/*
 * Host to guest, at offset 0: a header, then `length` bytes of request, or what a job gets that waits for input:
 * some, or its terminal's size.
 */
#define REQUEST_MAGIC    0x31514552534d4146ULL /* "FAMSREQ1" */
#define INPUT_MAGIC      0x31504e49534d4146ULL /* "FAMSINP1" */
#define RESIZE_MAGIC     0x314e4957534d4146ULL /* "FAMSWIN1" */
#define REQUEST_CAPACITY (16UL << 20)

struct request_header {
    uint64_t magic;
    uint64_t length;
};

/* In characters; no columns: pipes instead of a terminal. */
struct terminal_size {
    uint16_t columns, rows;
} __attribute__((packed));

/*
 * The request body: these fixed fields, then a blob (context), a u32 file count with a string (path)
 * and a blob for each, a blob (stdin), a blob (code). A string or blob is a u32 length and its bytes.
 *
 * The context is what the runner gets: texts that each end in a zero byte. First the number of
 * arguments in decimal, then the arguments, then names and values of variables in turn.
 */
struct request {
    uint32_t language;
    uint32_t timeout_ms;
    uint32_t memory_mb;
    uint32_t output_bytes;
    uint32_t processes;
    uint32_t disk_mb;
    uint32_t cpu_millicores;
    uint32_t interval_ms; /* stop for a root of the state each time so much has passed; 0: never */
    uint64_t seed;
    uint64_t epoch;
    uint32_t keep;       /* 1: the machine will be kept; say what is on its disk */
    uint32_t pause_tick; /* stop once, this many ticks into the job; 0: never */
    uint32_t interactive; /* 1: stop each time that the job can only go on with input, and take some; none ends it */
    struct terminal_size terminal;
} __attribute__((packed));

/* In the place of a language: requests for the disk of a stopped machine, which run no program. */
#define REQUEST_EXPORT 0x100 /* after the fixed fields: a u32 count, and for each file its path (a blob) */
#define REQUEST_APPLY  0x101 /* after the fixed fields: a u32 count, and for each change these, path and content */

enum change_kind { CHANGE_DELETE = 0, CHANGE_FILE = 1, CHANGE_LINK = 2, CHANGE_FOLDER = 3 };

struct change {
    uint32_t kind;
    uint32_t mode;
} __attribute__((packed));

/* What goes to the runner before the context and, where it fits, the program's code. */
struct runner_header {
    uint32_t flags;
    uint32_t context_size;
    uint32_t code_size; /* 0: the code is in its file alone */
};

#define RUNNER_KEEP   1 /* stay, with all that the program leaves behind */
#define RUNNER_DRAW   2 /* draw new random numbers: this is a new fork, or a seed of the job's own */
#define RUNNER_STDIN  4 /* not its first job: standard input is the file under /run/inputs */
#define RUNNER_TERMINAL 8 /* standard input, output and error are /dev/pts/0 */

/* What a runner says: R when it is warm; then, with the exit code, that its program is done. */
#define RUNNER_READY  'R'
#define RUNNER_STAYS  'E' /* and takes another job */
#define RUNNER_LEAVES 'X'

/* Guest to host. The lengths grow while the job runs; `state` changes last. */
#define RESULT_OFFSET     (16UL << 20)
#define FORK_OFFSET       (RESULT_OFFSET + 4096)
#define STREAM_CAPACITY   (4UL << 20)
#define STDOUT_OFFSET     (17UL << 20)
#define STDERR_OFFSET     (STDOUT_OFFSET + STREAM_CAPACITY)
#define MANIFEST_OFFSET   (STDERR_OFFSET + STREAM_CAPACITY)
#define MANIFEST_CAPACITY (3UL << 20)
#define FILES_OFFSET      (32UL << 20)
#define FILES_CAPACITY    (32UL << 20)

enum result_state {
    STATE_BOOTING = 0,
    STATE_READY = 1,    /* waiting for a request: the snapshot is taken here */
    STATE_RUNNING = 2,
    STATE_FINISHED = 3, /* the job ended, by itself or by a limit */
    STATE_BROKEN = 4,   /* the agent could not go on: `message` says why */
    STATE_PAUSED = 5,   /* stopped amid the job, as it was asked to */
    STATE_MILESTONE = 6, /* stopped amid the job since an interval has passed */
    STATE_INPUT = 7,     /* stopped amid the job, which can only go on with input */
};

enum end_reason {
    END_EXITED = 0,
    END_SIGNALED = 1,
    END_TIMEOUT = 2,
    END_OUT_OF_MEMORY = 3,
};

struct result {
    uint32_t state;
    uint32_t reason;
    int32_t  exit_code;
    uint32_t signal;
    uint64_t stdout_length;
    uint64_t stderr_length;
    uint32_t stdout_truncated;
    uint32_t stderr_truncated;
    uint64_t files_length; /* bytes at FILES_OFFSET */
    uint32_t files_count;
    uint32_t files_truncated;
    uint64_t ticks; /* of 10 ms that the job has run */
    char     message[256];
};

/*
 * What the job left in its output folder, at FILES_OFFSET: for each file this, its path and its
 * content, sorted by path within each folder.
 */
struct file_header {
    uint32_t path_size;
    uint32_t zero;
    uint64_t size;
};

/*
 * What makes one fork of a snapshot differ from another: written by the host before the fork's first
 * job, so it is part of its memory and its measurement. All zero in the base snapshot.
 */
struct fork_record {
    uint64_t magic; /* "FAMSFRK1" */
    uint64_t seed;
    uint64_t epoch;
    uint8_t  identity[32];
};

/* What is on a kept machine's disk, at MANIFEST_OFFSET: a header, then entries sorted by path. */
#define MANIFEST_MAGIC 0x314e414d534d4146ULL /* "FAMSMAN1" */

struct manifest_header {
    uint64_t magic;
    uint32_t count;
    uint32_t incomplete;
    uint64_t size; /* bytes of entries */
    uint64_t zero;
};

enum entry_kind { ENTRY_FILE = 0, ENTRY_LINK = 1, ENTRY_FOLDER = 2 };

/* Followed by the path, and by zeros up to a multiple of eight bytes. */
struct manifest_entry {
    uint8_t  kind;
    uint8_t  zero;
    uint16_t mode;
    uint32_t path_size;
    uint64_t size;
    uint8_t  sha256[32];
};

/* Writing 1 to this port stops the machine at that very instruction (pvpanic). */
#define STOP_PORT 0x505

#endif
