/* One waiting interpreter per language, and its replacement once it has ended. */
#include "agent.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PIPE_CAPACITY      (1 << 20)
#define START_MS           60000
#define END_MS             1000
enum { IN, OUT, ERR, REQUEST, ANSWER, RUNNER_DESCRIPTORS };

static const char *const python_command[] = { "/usr/bin/python3.11", "-I", "-X", "utf8", "/faas/runner.py", NULL };
static const char *const node_command[] = { "/usr/bin/node", "/faas/runner.js", NULL };
static const char *const bash_command[] = { "/faas/exec", "/bin/bash", WORK "/main.sh", NULL };
static const char *const program_command[] = { "/faas/exec", WORK "/main", NULL };
static const char *const rust_command[] = { "/faas/compile", "/usr/bin/rustc", NULL };
static const char *const go_command[] = { "/faas/compile", "/usr/lib/go-1.19/pkg/tool/linux_amd64/compile", NULL };
static const char *const typescript_command[] = { "/usr/bin/node", "/faas/compile.js", NULL };

/* In the order of the language numbers in a request. An image has the programs of some of them. */
struct runner runners[] = {
    { .name = "python", .entry = "main.py", .entry_mode = 0644, .takes_code = 1, .command = python_command },
    { .name = "javascript", .entry = "main.js", .entry_mode = 0644, .takes_code = 1, .command = node_command },
    { .name = "bash", .entry = "main.sh", .entry_mode = 0644, .command = bash_command },
    { .name = "program", .entry = "main", .entry_mode = 0755, .command = program_command },
    { .name = "compile-rust", .entry = "main.rs", .entry_mode = 0644, .command = rust_command },
    { .name = "compile-go", .entry = "main.go", .entry_mode = 0644, .command = go_command },
    { .name = "compile-typescript", .entry = "main.ts", .entry_mode = 0644, .command = typescript_command },
};
const size_t runner_count = sizeof runners / sizeof *runners;

/* Whether all of its files that do not come with a job are in this image. */
static int is_present(const struct runner *runner)
{
    for (const char *const *word = runner->command; *word; word++)
        if (**word == '/' && strncmp(*word, WORK "/", sizeof WORK) != 0 && access(*word, F_OK) < 0)
            return 0;
    return 1;
}

void cgroup_path(char *path, size_t size, const struct runner *runner, const char *file)
{
    snprintf(path, size, JOBS_GROUP "/%s%s", runner->name, file);
}

static void limit(int resource, rlim_t value)
{
    CHECK(setrlimit(resource, &(struct rlimit){ value, value }));
}

static void become_job(const struct runner *runner, const int *descriptors)
{
    char again[] = "FAAS_AGAIN=1"; /* not the first of its kind: no time for warming up */
    char *environment[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" WORK, "LANG=C.UTF-8", "TMPDIR=/tmp",
                            "USER=job", runner->started > 1 ? again : NULL, NULL };
    sigset_t none;
    sigemptyset(&none);
    for (int i = 0; i < RUNNER_DESCRIPTORS; i++)
        CHECK(dup2(descriptors[i], i));
    CHECK(ioperm(STOP_PORT, 1, 0)); /* the agent's alone */
    CHECK(sigprocmask(SIG_SETMASK, &none, NULL));
    CHECK(setsid());
    CHECK(chdir(WORK));
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 1024);
    limit(RLIMIT_MEMLOCK, 65536);
    write_file(AGENT_PROC "/self/oom_score_adj", "0");
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    refuse_calls();
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        CHECK(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
    CHECK(setgroups(0, NULL));
    CHECK(setresgid(JOB_USER, JOB_USER, JOB_USER));
    CHECK(setresuid(JOB_USER, JOB_USER, JOB_USER));
    execve(runner->command[0], (char *const *)runner->command, environment);
    broken("%s: %s", runner->command[0], strerror(errno));
}

enum our_end { WE_READ, WE_WRITE };

/* A pipe that belongs to the job, so that it can open /dev/stdout and the like. The job's end. */
static int make_pipe(int *ours, enum our_end end)
{
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC));
    CHECK(fchown(ends[0], JOB_USER, JOB_USER));
    CHECK(fcntl(ends[0], F_SETPIPE_SZ, PIPE_CAPACITY));
    CHECK(fcntl(ends[end], F_SETFL, O_NONBLOCK));
    *ours = ends[end];
    return ends[!end];
}

static void close_streams(struct runner *runner)
{
    int streams[] = { runner->standard_input, runner->standard_output, runner->standard_error, runner->terminal };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (streams[i] >= 0)
            close(streams[i]);
}

/*
 * A terminal as people have it, in the place of pipes; the runner will open its end. It echoes, edits lines, turns
 * line feeds into line ends and Ctrl-C into a signal. Only Ctrl-S does nothing: a program that it stops waits for
 * no input, so that nobody could let it go on.
 */
void give_terminal(struct runner *runner, const struct terminal_size *size)
{
    struct termios settings;
    int unlocked = 0;
    close_streams(runner);
    setfsuid(0);
    runner->standard_input = CHECK(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    runner->standard_output = CHECK(fcntl(runner->standard_input, F_DUPFD_CLOEXEC, 0));
    CHECK(ioctl(runner->standard_input, TIOCSPTLCK, &unlocked));
    runner->terminal = CHECK(ioctl(runner->standard_input, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    CHECK(fchown(runner->terminal, JOB_USER, JOB_USER));
    CHECK(tcgetattr(runner->terminal, &settings));
    settings.c_iflag = (settings.c_iflag | IUTF8) & ~IXON;
    CHECK(tcsetattr(runner->terminal, TCSANOW, &settings));
    setfsuid(JOB_USER);
    runner->standard_error = -1;
    resize_terminal(runner, size);
}

void resize_terminal(const struct runner *runner, const struct terminal_size *size)
{
    struct winsize cells = { .ws_col = size->columns, .ws_row = size->rows };
    if (runner->terminal >= 0)
        ioctl(runner->standard_input, TIOCSWINSZ, &cells);
}

static void make_group(const struct runner *runner)
{
    char path[64];
    cgroup_path(path, sizeof path, runner, "");
    CHECK(mkdir(path, 0755));
}

static void start_runner(struct runner *runner)
{
    int ends[RUNNER_DESCRIPTORS];
    char path[64];
    ends[IN] = make_pipe(&runner->standard_input, WE_WRITE);
    ends[OUT] = make_pipe(&runner->standard_output, WE_READ);
    ends[ERR] = make_pipe(&runner->standard_error, WE_READ);
    ends[REQUEST] = make_pipe(&runner->request, WE_WRITE);
    ends[ANSWER] = make_pipe(&runner->answer, WE_READ);
    runner->terminal = -1;
    runner->started++;
    runner->spent = runner->late = runner->used = 0;
    runner->pid = CHECK(fork());
    if (runner->pid == 0) {
        mailbox = NULL; /* a failure from here on is the runner's, not the machine's */
        cgroup_path(path, sizeof path, runner, "/cgroup.procs");
        write_file(path, "0");
        for (int i = 0; i < RUNNER_DESCRIPTORS; i++) /* out of the way of where they go */
            ends[i] = CHECK(fcntl(ends[i], F_DUPFD_CLOEXEC, 64));
        become_job(runner, ends);
    }
    for (int i = 0; i < RUNNER_DESCRIPTORS; i++)
        close(ends[i]);
}

/* The runner says R once it is warm; what it printed to get there is thrown away. 0, or -1 if it fails. */
static int await_runner(struct runner *runner, int milliseconds)
{
    static char buffer[65536];
    char answer = 0;
    poll(&(struct pollfd){ .fd = runner->answer, .events = POLLIN }, 1, milliseconds);
    if (read(runner->answer, &answer, 1) != 1 || answer != RUNNER_READY) {
        runner->late = 1; /* should it still say so, nobody listens */
        return -1;
    }
    while (read(runner->standard_output, buffer, sizeof buffer) > 0)
        ;
    while (read(runner->standard_error, buffer, sizeof buffer) > 0)
        ;
    return 0;
}

void start_runners(void)
{
    for (size_t i = 0; i < runner_count; i++) {
        make_group(&runners[i]);
        if (is_present(&runners[i]))
            start_runner(&runners[i]);
    }
}

void await_runners(void)
{
    for (size_t i = 0; i < runner_count; i++)
        if (runners[i].started && await_runner(&runners[i], -1) < 0) {
            enum { LAST = 200 };
            static char words[65536];
            ssize_t size = read(runners[i].standard_error, words, sizeof words);
            ssize_t skipped = size > LAST ? size - LAST : 0;
            broken("the %s runner did not start: %.*s", runners[i].name, size > 0 ? (int)(size - skipped) : 0, words + skipped);
        }
}

static void note_end(pid_t ended, int status)
{
    for (size_t i = 0; i < runner_count; i++)
        if (runners[i].pid == ended) {
            runners[i].pid = 0;
            runners[i].status = status;
        }
}

/*
 * Note the end of whoever ended: a runner, or an orphan of a job. One that asked to be traced by its
 * parent stops instead: it is told to go on as if it had not asked.
 */
void reap(void)
{
    int status = 0;
    pid_t who;
    while ((who = waitpid(-1, &status, WNOHANG)) > 0)
        if (WIFSTOPPED(status))
            ptrace(PTRACE_DETACH, who, NULL, (long)(WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status)));
        else
            note_end(who, status);
}

/* Its end is hidden from us as long as another process traces it: then it is let go. */
static void end_runner(struct runner *runner)
{
    kill(runner->pid, SIGKILL);
    for (int n = 0; n < END_MS && runner->pid; n++) {
        poll(NULL, 0, 1);
        reap();
    }
    runner->pid = 0;
}

/* Another runner in the place of one that has ended or is spent. What the job started beside it goes on. */
int revive_runner(struct runner *runner)
{
    if (runner->pid)
        end_runner(runner);
    close_streams(runner);
    close(runner->request);
    if (runner->answer >= 0)
        close(runner->answer);
    setfsuid(0); /* for the control groups and the pipes' owner */
    start_runner(runner);
    setfsuid(JOB_USER);
    return await_runner(runner, START_MS);
}

/* End all that runs in a language's control group: its program went over its time. */
void kill_group(struct runner *runner)
{
    char path[64];
    cgroup_path(path, sizeof path, runner, "/cgroup.kill");
    setfsuid(0);
    write_file(path, "1");
    setfsuid(JOB_USER);
}
