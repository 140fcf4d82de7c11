/* What the parts of the agent share. */
#ifndef FAAS_AGENT_H
#define FAAS_AGENT_H

#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "mailbox.h"

#define JOB_USER 1000
#define JOB_DISK "/run/disk"
#define WORK     "/work"
#define JOBS_GROUP "/sys/fs/cgroup/jobs"
#define AGENT_PROC "/run/agent/proc" /* writable, and out of the job's reach */
#define KERNEL_TICK_NS 4000000LL
#define INPUTS   "/run/inputs" /* standard input of jobs after the first, a file for each runner */

/* machine.c: the guest as a whole. */
extern volatile uint8_t *mailbox;
struct result *result(void);
void prepare_machine(void);
void finish_machine(void);
void stop_machine(void);
void seed_random(const void *seed, size_t size);
int spare_memory(size_t size);
void write_file(const char *path, const char *text);
void write_number(const char *path, unsigned long number);
unsigned long read_number(const char *path);
void __attribute__((noreturn, format(printf, 1, 2))) broken(const char *format, ...);

int64_t now_ns(void);

#define CHECK(call) ({ long value_ = (long)(call); if (value_ < 0) broken("%s: %s", #call, strerror(errno)); value_; })

/* calls.c: what a job's processes may not ask of the kernel. */
void refuse_calls(void);

/* runners.c: one waiting interpreter per language. */
struct runner {
    const char *name;
    const char *entry; /* the code's file name in the working directory */
    const char *const *command;
    mode_t entry_mode;
    int entry_fd; /* for its first program; then -1 */
    int takes_code; /* with its request; otherwise it needs the file alone */
    pid_t pid;   /* 0: it has ended, with `status` */
    int status;
    int used;    /* it has been given a job */
    int spent;   /* it has run a program to its end: the next job needs a new one */
    int late;    /* its program went over its time, and still runs */
    int started; /* how often */
    unsigned long waiting_bytes; /* what its group held when it was warm: not a job's */
    int request, answer; /* the job's context to the runner; the runner's "warm" and "done" back */
    int standard_input, standard_output, standard_error;
    int terminal; /* the job's end of it, of which our end is standard input and output; -1: these are pipes */
};

extern struct runner runners[];
extern const size_t runner_count;
void start_runners(void);
void await_runners(void);
int revive_runner(struct runner *runner);
void give_terminal(struct runner *runner, const struct terminal_size *size);
void resize_terminal(const struct runner *runner, const struct terminal_size *size);
void kill_group(struct runner *runner);
void reap(void);
void cgroup_path(char *path, size_t size, const struct runner *runner, const char *file);
void limit_all_jobs(void);

/* waiting.c: whether a job can only go on with input. */
int awaits_input(const struct runner *runner, int overdue);

/* request.c: what the mailbox holds. */
struct blob {
    const uint8_t *data;
    uint32_t size;
};
struct reader {
    const uint8_t *next, *end;
};
const void *take(struct reader *reader, size_t size);
uint32_t take_number(struct reader *reader);
struct blob take_blob(struct reader *reader);
struct blob open_mailbox(uint64_t magic);
void open_request(struct reader *reader, struct request *request);
int send_request(const struct runner *runner, uint32_t flags, struct blob context, struct blob code, int64_t deadline);

/* limits.c: what a job may use, and the time and randomness that it finds. */
void set_usual_limits(void);
void set_usual_clock(void);
void apply_limits(const struct runner *runner, const struct request *request, int first);
int set_clock_and_seed(const struct request *request, int first);

/* job.c: what a request asks for. */
void serve_request(void);

/* files.c: what goes onto the job's disk and comes off it. */
int lay_file(const struct blob *name, const struct blob *content, mode_t mode);
int lay_entry(struct runner *runner, const struct blob *code);
int apply_change(const struct change *change, const struct blob *name, const struct blob *content);
void open_disk(void);
void collect_output(void);
void start_export(void);
int export_file(const struct blob *name);
void write_manifest(void);
void void_manifest(void);

/* sha256.c */
struct sha256 {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64];
};
void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
void sha256_finish(struct sha256 *hash, uint8_t digest[32]);

#endif
