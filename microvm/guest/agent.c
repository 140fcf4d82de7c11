/*
 * The guest's first process. It prepares the machine, starts one waiting interpreter per language
 * as an unprivileged user, and stops the machine: that is the base snapshot. A restored machine
 * goes on from there: the agent takes the request from the mailbox, hands it to the interpreter,
 * watches over its limits, moves its output to the mailbox and stops the machine again.
 *
 * Job and agent share nothing but pipes: the job runs as another user, without privileges,
 * without a descriptor of the agent's, inside its own cgroup. The agent runs at real-time priority,
 * so that a limit hits at the same instruction however busy the job is.
 *
 * Not here: languages (runners/), what a request means (the host checked it).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/random.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mailbox.h"

#define JOB_USER        1000
#define PIPE_CAPACITY   (1 << 20)
#define TICK_MS         10
#define RUNNER_DESCRIPTORS 5 /* stdin, stdout, stderr, request, answer */
#define LAPIC_PHYSICAL  0xfee00000UL
#define LAPIC_INITIAL   (0x380 / 4)
#define LAPIC_CURRENT   (0x390 / 4)
#define JOB_DISK        "/run/disk"
#define WORK            "/work"

static volatile uint8_t *mailbox;
static volatile uint32_t *lapic;

static struct result *result(void) { return (struct result *)(mailbox + RESULT_OFFSET); }

/*
 * Stop at an exact instruction. A pending timer would let the host skip idle time between the stop
 * and its noticing, or not: so the timer is switched off first, and virtual time stands still.
 */
static void stop_machine(void)
{
    do {
        lapic[LAPIC_INITIAL] = 0;
    } while (lapic[LAPIC_CURRENT] != 0);
    outb(1, STOP_PORT);
    lapic[LAPIC_INITIAL] = 1; /* going on: fire at once, and the kernel programs its next event */
}

static void __attribute__((noreturn, format(printf, 1, 2))) broken(const char *format, ...)
{
    va_list arguments;
    char text[256];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "agent: %s\n", text);
    if (mailbox) {
        memcpy(result()->message, text, sizeof text);
        result()->state = STATE_BROKEN;
        for (;;)
            stop_machine();
    }
    _exit(1); /* the kernel panics, the machine ends */
}

#define CHECK(call) ({ long value_ = (long)(call); if (value_ < 0) broken("%s: %s", #call, strerror(errno)); value_; })

static void write_file(const char *path, const char *text)
{
    int fd = CHECK(open(path, O_WRONLY | O_CLOEXEC));
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        broken("write %s: %s", path, strerror(errno));
    close(fd);
}

static void write_number(const char *path, unsigned long number)
{
    char text[32];
    snprintf(text, sizeof text, "%lu", number);
    write_file(path, text);
}

/* ---- the machine, once ---- */

static void mount_file_systems(void)
{
    umask(022);
    CHECK(chmod("/", 0755));
    CHECK(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=invisible"));
    CHECK(mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL));
    if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755") < 0 && errno != EBUSY)
        broken("mount /dev: %s", strerror(errno));
    CHECK(mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    CHECK(mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755"));
    CHECK(mkdir(JOB_DISK, 0755));
    CHECK(mount("tmpfs", JOB_DISK, "tmpfs", MS_NOSUID | MS_NODEV, "size=128m,mode=0755"));
    CHECK(mkdir(JOB_DISK "/work", 0755));
    CHECK(mkdir(JOB_DISK "/tmp", 0755));
    CHECK(chmod(JOB_DISK "/tmp", 01777));
    CHECK(chown(JOB_DISK "/work", JOB_USER, JOB_USER));
    CHECK(mount(JOB_DISK "/work", WORK, NULL, MS_BIND, NULL));
    CHECK(mount(JOB_DISK "/tmp", "/tmp", NULL, MS_BIND, NULL));
    CHECK(symlink("/tmp", "/dev/shm"));
    symlink("/proc/self/fd", "/dev/fd");
    symlink("/proc/self/fd/0", "/dev/stdin");
    symlink("/proc/self/fd/1", "/dev/stdout");
    symlink("/proc/self/fd/2", "/dev/stderr");
}

static void harden(void)
{
    write_file("/proc/sys/kernel/kptr_restrict", "2");
    write_file("/proc/sys/kernel/dmesg_restrict", "1");
    write_file("/proc/sys/kernel/unprivileged_bpf_disabled", "1");
    write_file("/proc/sys/user/max_user_namespaces", "0");
    write_file("/proc/sys/kernel/modules_disabled", "1");
    write_file("/proc/sys/kernel/core_pattern", "");
    write_file("/proc/sys/vm/panic_on_oom", "0");
}

/* The kernel's generator, from 32 known bytes: without it the first reader spins for entropy. */
static void seed_random(uint64_t seed)
{
    struct {
        int entropy_count;
        int size;
        uint8_t data[32];
    } pool = { .entropy_count = 256, .size = 32 };
    for (int i = 0; i < 8; i++)
        pool.data[i] = pool.data[8 + i] = pool.data[16 + i] = pool.data[24 + i] = (uint8_t)(seed >> (8 * i));
    int fd = CHECK(open("/dev/urandom", O_RDWR | O_CLOEXEC));
    CHECK(ioctl(fd, RNDADDENTROPY, &pool));
    CHECK(ioctl(fd, RNDRESEEDCRNG));
    close(fd);
}

static void map_hardware(void)
{
    int fd = CHECK(open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC));
    void *mail = mmap(NULL, MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, MAILBOX_PHYSICAL);
    void *timer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, LAPIC_PHYSICAL);
    close(fd);
    if (mail == MAP_FAILED || timer == MAP_FAILED)
        broken("map /dev/mem: %s", strerror(errno));
    CHECK(ioperm(STOP_PORT, 1, 1));
    lapic = timer;
    mailbox = mail;
}

static unsigned long free_memory(void)
{
    char line[128];
    unsigned long free_kb = 0;
    FILE *info = fopen("/proc/meminfo", "re");
    while (info && fgets(line, sizeof line, info))
        if (sscanf(line, "MemFree: %lu kB", &free_kb) == 1)
            break;
    if (info)
        fclose(info);
    return free_kb << 10;
}

/* Free memory still holds what booting left there: fill it with zeros, so that it costs nothing. */
static void clear_free_memory(void)
{
    enum { CHUNK = 8 << 20, KEPT = 72 << 20, MOST = 256 };
    void *chunks[MOST];
    int count = 0;
    while (count < MOST && free_memory() > KEPT) {
        void *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (chunk == MAP_FAILED)
            break;
        chunks[count++] = chunk;
    }
    while (count)
        munmap(chunks[--count], CHUNK);
}

/* ---- runners: one waiting interpreter per language ---- */

struct runner {
    const char *name;
    const char *entry; /* the code's file name in the working directory */
    mode_t mode;       /* and its mode, if not the usual one */
    const char *const *command;
    pid_t pid;
    int request, answer; /* the job's context to the runner; the runner's "warm" and "done" back */
    int standard_input, standard_output, standard_error;
};

static const char *const python_command[] = { "/usr/bin/python3.11", "-I", "-X", "utf8", "/faas/runner.py", NULL };
static const char *const node_command[] = { "/usr/bin/node", "/faas/runner.js", NULL };
static const char *const bash_command[] = { "/faas/exec", "/bin/bash", WORK "/main.sh", NULL };
static const char *const program_command[] = { "/faas/exec", WORK "/main", NULL };
static const char *const rust_command[] = { "/faas/compile", "/usr/bin/rustc", NULL };
static const char *const go_command[] = { "/faas/compile", "/usr/lib/go-1.19/pkg/tool/linux_amd64/compile", NULL };
static const char *const typescript_command[] = { "/usr/bin/node", "/faas/compile.js", NULL };

/* In the order of the language numbers in a request. An image has the programs of some of them. */
static struct runner runners[] = {
    { .name = "python", .entry = "main.py", .command = python_command },
    { .name = "javascript", .entry = "main.js", .command = node_command },
    { .name = "bash", .entry = "main.sh", .command = bash_command },
    { .name = "program", .entry = "main", .mode = 0755, .command = program_command },
    { .name = "compile-rust", .entry = "main.rs", .command = rust_command },
    { .name = "compile-go", .entry = "main.go", .command = go_command },
    { .name = "compile-typescript", .entry = "main.ts", .command = typescript_command },
};
#define RUNNER_COUNT (sizeof runners / sizeof *runners)

static const char *const runner_environment[] = {
    "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" WORK, "LANG=C.UTF-8", "TMPDIR=/tmp", "USER=job", NULL
};

/* Whether all of its files that do not come with the job are in this image. */
static int is_present(const struct runner *runner)
{
    for (const char *const *word = runner->command; *word; word++)
        if (**word == '/' && strncmp(*word, WORK "/", sizeof WORK) != 0 && access(*word, F_OK) < 0)
            return 0;
    return 1;
}

static void limit(int resource, rlim_t value)
{
    CHECK(setrlimit(resource, &(struct rlimit){ value, value }));
}

static void become_job(const struct runner *runner, const int *descriptors)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 0; i < RUNNER_DESCRIPTORS; i++)
        CHECK(dup2(descriptors[i], i));
    CHECK(sigprocmask(SIG_SETMASK, &none, NULL));
    CHECK(setsid());
    CHECK(chdir(WORK));
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 1024);
    limit(RLIMIT_MEMLOCK, 65536);
    write_file("/proc/self/oom_score_adj", "0");
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        CHECK(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
    CHECK(setgroups(0, NULL));
    CHECK(setresgid(JOB_USER, JOB_USER, JOB_USER));
    CHECK(setresuid(JOB_USER, JOB_USER, JOB_USER));
    execve(runner->command[0], (char *const *)runner->command, (char *const *)runner_environment);
    broken("%s: %s", runner->command[0], strerror(errno));
}

static void cgroup_path(char *path, size_t size, const struct runner *runner, const char *file)
{
    snprintf(path, size, "/sys/fs/cgroup/%s%s", runner->name, file);
}

/* A pipe that belongs to the job, so that it can open /dev/stdout and the like. */
static void make_pipe(int ends[2], int ours)
{
    CHECK(pipe2(ends, O_CLOEXEC));
    CHECK(fchown(ends[0], JOB_USER, JOB_USER));
    CHECK(fcntl(ends[0], F_SETPIPE_SZ, PIPE_CAPACITY));
    CHECK(fcntl(ends[ours], F_SETFL, O_NONBLOCK));
}

static void start_runner(struct runner *runner)
{
    enum { READ, WRITE };
    int in[2], out[2], err[2], request[2], answer[2];
    char path[64];
    make_pipe(in, WRITE);
    make_pipe(out, READ);
    make_pipe(err, READ);
    make_pipe(request, WRITE);
    make_pipe(answer, READ);
    cgroup_path(path, sizeof path, runner, "");
    CHECK(mkdir(path, 0755));
    runner->pid = CHECK(fork());
    if (runner->pid == 0) {
        cgroup_path(path, sizeof path, runner, "/cgroup.procs");
        write_file(path, "0");
        int ends[RUNNER_DESCRIPTORS] = { in[READ], out[WRITE], err[WRITE], request[READ], answer[WRITE] };
        for (int i = 0; i < RUNNER_DESCRIPTORS; i++) /* out of the way of where they go */
            ends[i] = CHECK(fcntl(ends[i], F_DUPFD_CLOEXEC, 64));
        become_job(runner, ends);
    }
    close(in[READ]), close(out[WRITE]), close(err[WRITE]), close(request[READ]), close(answer[WRITE]);
    runner->standard_input = in[WRITE];
    runner->standard_output = out[READ];
    runner->standard_error = err[READ];
    runner->request = request[WRITE];
    runner->answer = answer[READ];
}

/* The runner says R once it is warm; what it printed to get there is thrown away. */
static void await_runner(struct runner *runner)
{
    static char buffer[65536];
    char answer = 0;
    poll(&(struct pollfd){ .fd = runner->answer, .events = POLLIN }, 1, -1);
    if (read(runner->answer, &answer, 1) != 1 || answer != 'R') {
        ssize_t size = read(runner->standard_error, buffer, 200);
        broken("the %s runner did not start: %.*s", runner->name, size > 0 ? (int)size : 0, buffer);
    }
    while (read(runner->standard_output, buffer, sizeof buffer) > 0)
        ;
    while (read(runner->standard_error, buffer, sizeof buffer) > 0)
        ;
}

/* ---- a job ---- */

struct reader {
    const uint8_t *next, *end;
};

struct blob {
    const uint8_t *data;
    uint32_t size;
};

static const void *take(struct reader *reader, size_t size)
{
    if ((size_t)(reader->end - reader->next) < size)
        broken("the request is cut short");
    const void *data = reader->next;
    reader->next += size;
    return data;
}

static uint32_t take_number(struct reader *reader)
{
    uint32_t number;
    memcpy(&number, take(reader, sizeof number), sizeof number);
    return number;
}

static struct blob take_blob(struct reader *reader)
{
    uint32_t size = take_number(reader);
    return (struct blob){ take(reader, size), size };
}

/* The context is smaller than the pipe, whose reader is waiting. */
static void send_request(const struct runner *runner, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t count = write(runner->request, (const char *)data + sent, size - sent);
        if (count < 0 && errno != EAGAIN)
            broken("the runner takes no request: %s", strerror(errno));
        if (count < 0)
            poll(&(struct pollfd){ .fd = runner->request, .events = POLLOUT }, 1, -1);
        else
            sent += count;
    }
}

/* Parents are made as needed; the host has checked that a path stays below the directory. */
static void lay_file(const struct blob *name, const struct blob *content, mode_t mode)
{
    char path[1280];
    int length = snprintf(path, sizeof path, WORK "/%.*s", (int)name->size, (const char *)name->data);
    if (length >= (int)sizeof path)
        broken("a file path is too long");
    for (char *slash = strchr(path + sizeof WORK, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(path, 0755) == 0)
            CHECK(chown(path, JOB_USER, JOB_USER));
        *slash = '/';
    }
    int fd = CHECK(open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    for (uint32_t done = 0; done < content->size;) {
        ssize_t count = write(fd, content->data + done, content->size - done);
        if (count < 0)
            broken("the job's files do not fit on its disk");
        done += count;
    }
    CHECK(fchown(fd, JOB_USER, JOB_USER));
    close(fd);
}

/* The limits that stand; they are the usual ones already when the snapshot is taken. */
static struct request standing = { .memory_mb = 512, .processes = 64, .disk_mb = 64 };

static void set_memory(const struct runner *runner, uint32_t mebibytes)
{
    char path[64];
    cgroup_path(path, sizeof path, runner, "/memory.max");
    write_number(path, (unsigned long)mebibytes << 20);
}

static void set_processes(const struct runner *runner, uint32_t processes)
{
    char path[64];
    cgroup_path(path, sizeof path, runner, "/pids.max");
    write_number(path, processes + 16); /* the interpreter's own threads are not the job's */
}

static void set_disk(uint32_t mebibytes)
{
    char options[32];
    snprintf(options, sizeof options, "size=%um", mebibytes);
    CHECK(mount(NULL, JOB_DISK, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, options));
}

static void apply_limits(const struct runner *runner, const struct request *request)
{
    if (request->memory_mb != standing.memory_mb)
        set_memory(runner, request->memory_mb);
    if (request->processes != standing.processes)
        set_processes(runner, request->processes);
    if (request->disk_mb != standing.disk_mb)
        set_disk(request->disk_mb);
}

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

static void feed(const struct runner *runner, struct blob *input)
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
    if (input->data) {
        close(runner->standard_input);
        input->data = NULL;
    }
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

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

static void report_end(const struct runner *runner, int status)
{
    struct result *out = result();
    if (WIFEXITED(status)) {
        out->reason = END_EXITED;
        out->exit_code = WEXITSTATUS(status);
        return;
    }
    out->signal = WTERMSIG(status);
    out->exit_code = 128 + out->signal;
    out->reason = out->signal == SIGKILL && oom_kills(runner) ? END_OUT_OF_MEMORY : END_SIGNALED;
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
    if (size == 0)
        runner->answer = -1; /* closed: its end will be told by a signal */
    if (size != sizeof answer)
        return 0;
    result()->reason = END_EXITED;
    result()->exit_code = answer[1];
    return 1;
}

/* Whether the job's main process has ended without a word: it was killed, or left by the back door. */
static int is_dead(const struct runner *runner)
{
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0 && ended != runner->pid)
        ; /* orphans of the job */
    if (ended != runner->pid)
        return 0;
    report_end(runner, status);
    return 1;
}

static int is_late(int64_t left)
{
    struct result *out = result();
    if (left > 0)
        return 0;
    out->reason = END_TIMEOUT;
    out->signal = SIGKILL;
    out->exit_code = 124;
    return 1;
}

/* Wait for the job's end or its deadline; every tick move its output and input on. */
static void watch(struct runner *runner, struct blob input, uint64_t output_limit, int64_t deadline)
{
    struct result *out = result();
    struct stream streams[2] = {
        { runner->standard_output, mailbox + STDOUT_OFFSET, &out->stdout_length, &out->stdout_truncated, output_limit },
        { runner->standard_error, mailbox + STDERR_OFFSET, &out->stderr_length, &out->stderr_truncated, output_limit },
    };
    sigset_t all_but_child;
    sigfillset(&all_but_child);
    sigdelset(&all_but_child, SIGCHLD);
    for (;;) {
        feed(runner, &input);
        int64_t left = deadline - now_ns();
        int ended = is_done(runner) || is_dead(runner) || is_late(left);
        drain(&streams[0]);
        drain(&streams[1]);
        if (ended)
            return;
        int64_t wait = left < TICK_MS * 1000000LL ? left : TICK_MS * 1000000LL;
        ppoll(&(struct pollfd){ .fd = runner->answer, .events = POLLIN }, 1, &(struct timespec){ 0, wait }, &all_but_child);
    }
}

static void run_job(void)
{
    struct request_header header;
    struct request request;
    memcpy(&header, (const void *)mailbox, sizeof header);
    if (header.magic != REQUEST_MAGIC || header.length > REQUEST_CAPACITY - sizeof header)
        broken("no request in the mailbox");
    const uint8_t *body = (const uint8_t *)mailbox + sizeof header;
    struct reader reader = { body, body + header.length };
    memcpy(&request, take(&reader, sizeof request), sizeof request);
    if (request.language >= RUNNER_COUNT || !runners[request.language].pid || request.output_bytes > STREAM_CAPACITY)
        broken("the request is out of range");
    struct runner *runner = &runners[request.language];
    result()->state = STATE_RUNNING;

    CHECK(clock_settime(CLOCK_REALTIME, &(struct timespec){ request.epoch, 0 }));
    seed_random(request.seed);
    apply_limits(runner, &request);

    struct blob context = take_blob(&reader); /* goes to the runner as it is */
    for (uint32_t n = take_number(&reader); n; n--) {
        struct blob name = take_blob(&reader), content = take_blob(&reader);
        lay_file(&name, &content, 0644);
    }
    struct blob input = take_blob(&reader), code = take_blob(&reader);
    struct blob entry = { (const uint8_t *)runner->entry, strlen(runner->entry) };
    lay_file(&entry, &code, runner->mode ? runner->mode : 0644);

    int64_t deadline = now_ns() + request.timeout_ms * 1000000LL;
    send_request(runner, &context.size, sizeof context.size);
    send_request(runner, context.data, context.size);
    watch(runner, input, request.output_bytes, deadline);
    result()->state = STATE_FINISHED;
}

static void wake_up(int signal) { (void)signal; }

int main(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = wake_up }, NULL);
    mount_file_systems();
    write_file("/proc/self/oom_score_adj", "-1000");
    seed_random(0);
    write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids");
    for (size_t i = 0; i < RUNNER_COUNT; i++)
        if (is_present(&runners[i]))
            start_runner(&runners[i]);
    map_hardware();
    harden();
    for (size_t i = 0; i < RUNNER_COUNT; i++)
        if (runners[i].pid)
            await_runner(&runners[i]);
    for (size_t i = 0; i < RUNNER_COUNT; i++) {
        if (!runners[i].pid)
            continue;
        set_memory(&runners[i], standing.memory_mb);
        set_processes(&runners[i], standing.processes);
    }
    set_disk(standing.disk_mb);
    clear_free_memory();
    CHECK(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 50 }));
    CHECK(mlockall(MCL_CURRENT));
    result()->state = STATE_READY;
    stop_machine();
    run_job();
    for (;;)
        stop_machine();
}
