/* A job: its hand-over to the runner, its input and output, its end. */
#include "agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS     10000000LL
#define PAGE_NS     1000000LL
#define INPUT_TICKS 100 /* without a line, after which a job that waits for one is asked, timers or not */

static int jobs; /* that this machine has been given */

/* ---- input and output ---- */

struct stream {
    int fd;
    volatile uint8_t *buffer;
    volatile uint64_t *length;
    volatile uint32_t *truncated;
    uint64_t limit;
};

/* Take all that is there; what is over the limit is thrown away and noted. */
static void drain(struct stream *stream)
{
    static char waste[65536];
    for (;;) {
        uint64_t room = stream->limit - *stream->length;
        ssize_t count = room ? read(stream->fd, (void *)(stream->buffer + *stream->length), room)
                             : read(stream->fd, waste, sizeof waste);
        if (count <= 0)
            return;
        if (room)
            *stream->length += count;
        else
            *stream->truncated = 1;
    }
}

/* Give the job what it takes now; it is told of the end where there is no `more` to come. */
static void feed(struct runner *runner, struct blob *input, int more)
{
    while (input->size) {
        ssize_t count = write(runner->standard_input, input->data, input->size);
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0)
            count = input->size; /* the job closed its stdin */
        input->data += count;
        input->size -= count;
    }
    if (more || runner->standard_input < 0)
        return;
    if (runner->terminal >= 0)
        ioctl(runner->terminal, TIOCVHANGUP);
    close(runner->standard_input);
    runner->standard_input = -1;
}

/* A later job's standard input is a file, which the runner opens when it finds the flag in its header. */
static int lay_input(struct runner *runner, struct blob *input)
{
    char path[64];
    snprintf(path, sizeof path, INPUTS "/%s", runner->name);
    if (runner->standard_input >= 0)
        close(runner->standard_input);
    setfsuid(0);
    runner->standard_input = CHECK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    setfsuid(JOB_USER);
    if (!spare_memory(input->size))
        return -1;
    for (ssize_t count; input->size; input->data += count, input->size -= count)
        if ((count = write(runner->standard_input, input->data, input->size)) < 0)
            return -1;
    return 0;
}

/* What the job left behind makes it impossible to start another: an end like any other. */
static void __attribute__((format(printf, 1, 2))) refuse(const char *format, ...)
{
    struct result *out = result();
    va_list arguments;
    va_start(arguments, format);
    out->stderr_length = vsnprintf((char *)(mailbox + STDERR_OFFSET), 256, format, arguments);
    va_end(arguments);
    out->reason = END_EXITED;
    out->exit_code = 126;
}

static void clear_result(void)
{
    struct result *out = result();
    memset(out, 0, sizeof *out);
    out->state = STATE_RUNNING;
}

/* ---- the disk alone ---- */

static void export_files(struct reader *reader)
{
    start_export();
    for (uint32_t n = take_number(reader); n; n--) {
        struct blob path = take_blob(reader);
        if (export_file(&path) < 0)
            return refuse("faas: %.*s: %s\n", (int)path.size, (const char *)path.data, strerror(errno));
    }
}

static void apply_changes(struct reader *reader)
{
    for (uint32_t n = take_number(reader); n; n--) {
        struct change change;
        memcpy(&change, take(reader, sizeof change), sizeof change);
        struct blob path = take_blob(reader), content = take_blob(reader);
        if (apply_change(&change, &path, &content) < 0)
            return refuse("faas: %.*s: %s\n", (int)path.size, (const char *)path.data, strerror(errno));
    }
    write_manifest();
}

/* Answers a request that is about the disk alone; 0 if the mailbox holds none. */
static int serve_disk(void)
{
    struct request request;
    struct reader reader;
    if (((const volatile struct request_header *)mailbox)->magic != REQUEST_MAGIC)
        return 0; /* what the job took last, as input */
    open_request(&reader, &request);
    if (request.language != REQUEST_EXPORT && request.language != REQUEST_APPLY)
        return 0;
    clear_result();
    if (request.language == REQUEST_EXPORT)
        export_files(&reader);
    else
        apply_changes(&reader);
    return 1;
}

/* ---- the end ---- */

static unsigned long oom_kills(const struct runner *runner)
{
    char path[64], text[512], *found;
    cgroup_path(path, sizeof path, runner, "/memory.events");
    int fd = CHECK(open(path, O_RDONLY | O_CLOEXEC));
    ssize_t size = CHECK(read(fd, text, sizeof text - 1));
    text[size] = 0;
    close(fd);
    found = strstr(text, "oom_kill ");
    return found ? strtoul(found + 9, NULL, 10) : 0;
}

/* Whether memory ran out since this was asked last. */
static int ran_out_of_memory(const struct runner *runner)
{
    static unsigned long known[16];
    unsigned long now = oom_kills(runner), before = known[runner - runners];
    known[runner - runners] = now;
    return now > before;
}

/*
 * Whether the runner has said that the program is done, and with which exit code. Taking a process
 * apart is thousands of times the work of a short job, so nobody waits for it. The job could say so
 * itself: that is one more way of exiting.
 */
static int is_done(struct runner *runner)
{
    uint8_t answer[2];
    ssize_t size = read(runner->answer, answer, sizeof answer);
    if (size == 0) { /* closed: its end will be told by a signal */
        close(runner->answer);
        runner->answer = -1;
    }
    if (size != sizeof answer)
        return 0;
    runner->spent = answer[0] == RUNNER_LEAVES;
    result()->reason = END_EXITED;
    result()->exit_code = answer[1];
    return 1;
}

/* Whether the job's main process has ended without a word: it was killed, or left by the back door. */
static int is_dead(const struct runner *runner)
{
    struct result *out = result();
    reap();
    if (runner->pid)
        return 0;
    if (WIFEXITED(runner->status)) {
        out->reason = END_EXITED;
        out->exit_code = WEXITSTATUS(runner->status);
        return 1;
    }
    out->signal = WTERMSIG(runner->status);
    out->exit_code = 128 + out->signal;
    out->reason = out->signal == SIGKILL && ran_out_of_memory(runner) ? END_OUT_OF_MEMORY : END_SIGNALED;
    return 1;
}

static int is_late(struct runner *runner, int64_t deadline)
{
    struct result *out = result();
    if (now_ns() < deadline)
        return 0;
    out->reason = END_TIMEOUT;
    out->signal = SIGKILL;
    out->exit_code = 124;
    runner->late = 1;
    return 1;
}

/* Going on, it may be asked for the job's disk first: then it is a copy, whose job never goes on. */
static void stop_amid(enum result_state state)
{
    do {
        result()->state = state;
        stop_machine();
        state = STATE_FINISHED;
    } while (serve_disk());
    result()->state = STATE_RUNNING;
}

static void pause_machine(void)
{
    write_manifest();
    stop_amid(STATE_PAUSED);
    void_manifest();
}

/*
 * Whether there may be more afterwards. On a terminal the end is what people type for it; a program that
 * waits for more all the same is hung up on.
 */
static int ask_for_input(struct runner *runner, struct blob *input, int *ending)
{
    static const uint8_t end_of_file[] = { 4 };
    struct terminal_size size;
    result()->state = STATE_INPUT;
    stop_machine();
    result()->state = STATE_RUNNING;
    if (((const volatile struct request_header *)mailbox)->magic == RESIZE_MAGIC) {
        struct blob body = open_mailbox(RESIZE_MAGIC);
        memcpy(&size, body.data, sizeof size);
        resize_terminal(runner, &size);
        return 1;
    }
    *input = open_mailbox(INPUT_MAGIC);
    if (input->size)
        return 1;
    if (runner->terminal < 0 || (*ending)++)
        return 0;
    *input = (struct blob){ end_of_file, sizeof end_of_file };
    return 1;
}

/*
 * A thread of the kernel's brings what is written to a terminal, a page at a time: take it all, if nobody goes
 * on writing for ever. Whether anything came.
 */
static int settle(const struct runner *runner, struct stream *output)
{
    enum { MOST = 256, SOON_MS = KERNEL_TICK_NS / 1000000 };
    int n = 0;
    if (runner->terminal >= 0)
        for (; n < MOST && poll(&(struct pollfd){ .fd = output->fd, .events = POLLIN }, 1, SOON_MS) > 0; n++)
            drain(output);
    return n;
}

static int64_t earlier(int64_t one, int64_t other) { return one < other ? one : other; }

/*
 * Wait for the job's end, until then at the most. What a terminal says is heard at once, but not again for a
 * while, in which a program may write a page: a byte each time would be slow. Whether the job has ended.
 */
static int await_end(struct runner *runner, int64_t until, int64_t deadline, int *spoke)
{
    sigset_t all_but_child;
    sigfillset(&all_but_child);
    sigdelset(&all_but_child, SIGCHLD);
    int64_t now = now_ns(), left = earlier(*spoke ? earlier(until, now + PAGE_NS) : until, deadline) - now;
    int speaks = runner->terminal >= 0 && runner->standard_input >= 0;
    struct pollfd polled[] = { { .fd = runner->answer, .events = POLLIN },
                               { .fd = speaks && !*spoke ? runner->standard_output : -1, .events = POLLIN } };
    int ready = ppoll(polled, 2, &(struct timespec){ 0, left < 0 ? 0 : left }, &all_but_child);
    *spoke = ready > 0 && polled[1].revents;
    return (ready > 0 && polled[0].revents && is_done(runner)) || (ready < 0 && is_dead(runner)) ||
           is_late(runner, deadline);
}

/* Wait for the job's end or its deadline; every tick move its output and input on. */
static void watch(struct runner *runner, struct blob input, const struct request *request, int64_t deadline)
{
    struct result *out = result();
    struct stream streams[2] = {
        { runner->standard_output, mailbox + STDOUT_OFFSET, &out->stdout_length, &out->stdout_truncated, request->output_bytes },
        { runner->standard_error, mailbox + STDERR_OFFSET, &out->stderr_length, &out->stderr_truncated, request->output_bytes },
    };
    int64_t interval = request->interval_ms * 1000000LL;
    int64_t milestone = interval ? deadline - request->timeout_ms * 1000000LL + interval : INT64_MAX;
    int64_t tick = now_ns() + TICK_NS;
    uint64_t fed = 0;
    for (int ended = 0, more = request->interactive, ending = 0, spoke = 0; !ended;) {
        feed(runner, &input, more);
        ended = await_end(runner, tick, deadline, &spoke);
        int64_t now = now_ns();
        int ticks = now >= tick && !ended;
        if (ticks)
            tick = now + TICK_NS;
        drain(&streams[0]);
        drain(&streams[1]);
        if (ticks && ++out->ticks == request->pause_tick)
            pause_machine();
        if (ticks && more && !input.size && awaits_input(runner, out->ticks - fed >= INPUT_TICKS) &&
            settle(runner, &streams[0]) == 0) {
            more = ask_for_input(runner, &input, &ending);
            fed = out->ticks;
        }
        if (!ended && now_ns() >= milestone) {
            milestone += interval;
            stop_amid(STATE_MILESTONE);
        }
    }
    settle(runner, &streams[0]);
}

/* A runner that can take a job, and what it must be told; -1 if there is none to be had. */
static int ready_runner(struct runner *runner, const struct request *request, struct blob *input, uint32_t *flags)
{
    if (request->terminal.columns) {
        give_terminal(runner, &request->terminal);
        *flags |= RUNNER_TERMINAL;
    }
    if (jobs == 1)
        return 0;
    if (runner->late)
        kill_group(runner);
    reap();
    if (runner->late || runner->spent || !runner->pid)
        return revive_runner(runner);
    if (runner->used) {
        *flags |= RUNNER_STDIN;
        return lay_input(runner, input);
    }
    return 0;
}

static int lay_files(struct reader *reader)
{
    for (uint32_t n = take_number(reader); n; n--) {
        struct blob name = take_blob(reader), content = take_blob(reader);
        if (lay_file(&name, &content, 0644) < 0) {
            refuse("faas: %.*s: %s\n", (int)name.size, (const char *)name.data, strerror(errno));
            return -1;
        }
    }
    return 0;
}

static void hand_over(struct runner *runner, const struct request *request, struct reader *reader, uint32_t flags)
{
    struct blob context = take_blob(reader); /* goes to the runner as it is */
    if (lay_files(reader) < 0)
        return;
    struct blob input = take_blob(reader), code = take_blob(reader);
    if (lay_entry(runner, &code) < 0) {
        refuse("faas: %s: %s\n", runner->entry, strerror(errno));
        return;
    }
    if (ready_runner(runner, request, &input, &flags) < 0)
        return refuse("faas: the %s interpreter cannot be had again\n", runner->name);
    runner->used = 1;
    int64_t deadline = now_ns() + request->timeout_ms * 1000000LL;
    if (send_request(runner, flags, context, code, deadline) < 0 && !is_late(runner, deadline))
        return refuse("faas: the %s interpreter has gone\n", runner->name);
    if (runner->late)
        return;
    watch(runner, input, request, deadline);
}

static void run_job(const struct request *request, struct reader *reader)
{
    struct runner *runner = &runners[request->language];
    int first = ++jobs == 1;
    void_manifest();
    if (!first)
        ran_out_of_memory(runner); /* what an earlier job left behind may have: that is not this one's end */
    uint32_t flags = request->keep ? RUNNER_KEEP : 0;
    if (set_clock_and_seed(request, first))
        flags |= RUNNER_DRAW;
    apply_limits(runner, request, first);
    hand_over(runner, request, reader, flags);
    collect_output();
    if (request->keep)
        write_manifest();
}

void serve_request(void)
{
    struct request request;
    struct reader reader;
    if (!serve_disk()) {
        open_request(&reader, &request);
        if (request.language >= runner_count || !runners[request.language].started)
            broken("the request is out of range");
        clear_result();
        run_job(&request, &reader);
    }
    result()->state = STATE_FINISHED;
}
