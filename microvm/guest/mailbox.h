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
#define MAILBOX_SIZE     (32UL << 20)

/* Host to guest, at offset 0: a header, then `length` bytes of request. */
#define REQUEST_MAGIC    0x31514552534d4146ULL /* "FAMSREQ1" */
#define REQUEST_CAPACITY (16UL << 20)

struct request_header {
    uint64_t magic;
    uint64_t length;
};

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
    uint64_t seed;
    uint64_t epoch;
} __attribute__((packed));

/* Guest to host. The lengths grow while the job runs; `state` changes last. */
#define RESULT_OFFSET    (16UL << 20)
#define STREAM_CAPACITY  (4UL << 20)
#define STDOUT_OFFSET    (RESULT_OFFSET + (1UL << 20))
#define STDERR_OFFSET    (STDOUT_OFFSET + STREAM_CAPACITY)

enum result_state {
    STATE_BOOTING = 0,
    STATE_READY = 1,    /* waiting for a request: the snapshot is taken here */
    STATE_RUNNING = 2,
    STATE_FINISHED = 3, /* the job ended, by itself or by a limit */
    STATE_BROKEN = 4,   /* the agent could not go on: `message` says why */
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
    char     message[256];
};

/* Writing 1 to this port stops the machine at that very instruction (pvpanic). */
#define STOP_PORT 0x505

#endif
