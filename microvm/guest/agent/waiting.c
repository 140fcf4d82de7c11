/* Whether a job can only go on with input. */
#include "agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* LONG: a second, as far as can be told at a glance. */
enum wait { FOR_EVER, LONG, SHORT, WAITS };

/* A job's threads: how many run, how many wait for how long, and how many of these for standard input. */
struct threads {
    int busy, waiting[WAITS], reading;
};

static int peek(pid_t thread, unsigned long address, void *data, size_t size)
{
    struct iovec ours = { data, size }, theirs = { (void *)address, size };
    return process_vm_readv(thread, &ours, 1, &theirs, 1, 0) == (ssize_t)size;
}

static enum wait milliseconds(int timeout)
{
    return timeout < 0 ? FOR_EVER : timeout < 1000 ? SHORT : LONG;
}

/* A timespec or timeval: so long from now, or until then by that clock. */
static enum wait time_limit(pid_t thread, unsigned long address, int absolute, clockid_t clock)
{
    struct timespec now = { 0 };
    long time[2];
    if (!address)
        return FOR_EVER;
    if (absolute)
        clock_gettime(clock, &now);
    return peek(thread, address, time, sizeof time) && time[0] >= now.tv_sec + 1 + absolute ? LONG : SHORT;
}

static enum wait duration(pid_t thread, unsigned long address)
{
    return time_limit(thread, address, 0, 0);
}

static enum wait futex(pid_t thread, const unsigned long *argument)
{
    int absolute = (argument[1] & FUTEX_CMD_MASK) != FUTEX_WAIT;
    clockid_t clock = argument[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    return time_limit(thread, argument[3], absolute, clock);
}

/* When a system call ends if nothing else happens; what is not known here may end soon. */
static enum wait how_long(pid_t thread, long number, const unsigned long *argument)
{
    switch (number) {
    case SYS_read: case SYS_readv: case SYS_wait4: case SYS_waitid: case SYS_vfork: case SYS_clone:
    case SYS_clone3: case SYS_pause: case SYS_rt_sigsuspend: case SYS_open: case SYS_openat:
    case SYS_accept: case SYS_accept4: case SYS_recvfrom: case SYS_recvmsg: case SYS_flock:
        return FOR_EVER;
    case SYS_poll:
        return milliseconds(argument[2]);
    case SYS_epoll_wait: case SYS_epoll_pwait:
        return milliseconds(argument[3]);
    case SYS_nanosleep:
        return duration(thread, argument[0]);
    case SYS_clock_nanosleep:
        return time_limit(thread, argument[2], argument[1] == TIMER_ABSTIME, argument[0]);
    case SYS_ppoll: case SYS_rt_sigtimedwait:
        return duration(thread, argument[2]);
    case SYS_epoll_pwait2:
        return duration(thread, argument[3]);
    case SYS_select: case SYS_pselect6:
        return duration(thread, argument[4]);
    case SYS_futex:
        return futex(thread, argument);
    default:
        return SHORT;
    }
}

/* Text of a file about a thread; 0 when there is none, or the thread has ended. */
static ssize_t read_text(int task, const char *path, char *text, size_t size)
{
    int fd = openat(task, path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = 0;
    return length;
}

static struct stat job_input; /* the file that it is */

/* A descriptor is of the job's standard input, or of its terminal by the name that any job has for it. */
static int is_input(int task, pid_t thread, long descriptor)
{
    char path[64];
    struct stat file;
    snprintf(path, sizeof path, "%d/fd/%ld", thread, descriptor);
    if (descriptor < 0 || fstatat(task, path, &file, 0) < 0)
        return 0;
    return (file.st_dev == job_input.st_dev && file.st_ino == job_input.st_ino) ||
           (S_ISCHR(file.st_mode) && file.st_rdev == makedev(5, 0));
}

static int polls_input(int task, pid_t thread, const unsigned long *argument)
{
    enum { MOST = 64 };
    struct pollfd polled[MOST];
    size_t count = argument[1] < MOST ? argument[1] : MOST;
    if (!peek(thread, argument[0], polled, count * sizeof *polled))
        return 0;
    for (size_t i = 0; i < count; i++)
        if (polled[i].events & POLLIN && is_input(task, thread, polled[i].fd))
            return 1;
    return 0;
}

static int selects_input(int task, pid_t thread, const unsigned long *argument)
{
    enum { MOST = 64 };
    unsigned long first = 0;
    if (!argument[1] || !peek(thread, argument[1], &first, sizeof first))
        return 0;
    for (unsigned long i = 0; i < argument[0] && i < MOST; i++)
        if (first >> i & 1 && is_input(task, thread, i))
            return 1;
    return 0;
}

static int epoll_has_input(int task, pid_t thread, unsigned long epoll)
{
    static char text[16384];
    char path[64];
    int fd;
    unsigned int events;
    snprintf(path, sizeof path, "%d/fdinfo/%lu", thread, epoll);
    read_text(task, path, text, sizeof text);
    for (const char *line = text; line; line = (line = strchr(line, '\n')) ? line + 1 : NULL)
        if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2 && events & EPOLLIN && is_input(task, thread, fd))
            return 1;
    return 0;
}

/* Whether a system call ends when there is input. */
static int reads_input(int task, pid_t thread, long number, const unsigned long *argument)
{
    switch (number) {
    case SYS_read: case SYS_readv:
        return is_input(task, thread, argument[0]);
    case SYS_poll: case SYS_ppoll:
        return polls_input(task, thread, argument);
    case SYS_select: case SYS_pselect6:
        return selects_input(task, thread, argument);
    case SYS_epoll_wait: case SYS_epoll_pwait: case SYS_epoll_pwait2:
        return epoll_has_input(task, thread, argument[0]);
    default:
        return 0;
    }
}

/* Its system call and arguments are in a file of /proc; or -1, outside of any; or "running". */
static void look_at_thread(int task, pid_t thread, struct threads *threads)
{
    char path[64], text[256];
    unsigned long argument[6];
    long number = -1;
    snprintf(path, sizeof path, "%d/syscall", thread);
    if (read_text(task, path, text, sizeof text) <= 0)
        return;
    int found = sscanf(text, "%ld %lx %lx %lx %lx %lx %lx", &number, &argument[0], &argument[1], &argument[2],
                       &argument[3], &argument[4], &argument[5]);
    if (found < 1)
        threads->busy++;
    else if (found < 7)
        return; /* it has ended, or is stopped */
    else {
        threads->waiting[how_long(thread, number, argument)]++;
        threads->reading += reads_input(task, thread, number, argument);
    }
}

static void look_at_process(const char *process, struct threads *threads)
{
    char path[64];
    snprintf(path, sizeof path, AGENT_PROC "/%.20s/task", process);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && !threads->busy && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            look_at_thread(dirfd(folder), atoi(entry->d_name), threads);
    if (folder)
        closedir(folder);
}

static void look_at_job(const struct runner *runner, struct threads *threads)
{
    char path[64], processes[8192];
    cgroup_path(path, sizeof path, runner, "/cgroup.procs");
    int fd = CHECK(open(path, O_RDONLY | O_CLOEXEC));
    ssize_t size = CHECK(read(fd, processes, sizeof processes - 1));
    close(fd);
    processes[size] = 0;
    for (char *rest, *one = strtok_r(processes, "\n", &rest); one && !threads->busy; one = strtok_r(NULL, "\n", &rest))
        look_at_process(one, threads);
}

/*
 * What it was given is read, nothing in it runs, and nothing would by itself. Where somebody waits for
 * standard input, timers count only if they may fire within a second, and, `overdue`, none does.
 */
int awaits_input(const struct runner *runner, int overdue)
{
    struct threads threads = { 0 };
    int unread = 0, given = runner->terminal < 0 ? runner->standard_input : runner->terminal;
    if (runner->standard_input < 0 || ioctl(given, FIONREAD, &unread) < 0 || unread || fstat(given, &job_input) < 0)
        return 0;
    setfsuid(0);
    look_at_job(runner, &threads);
    setfsuid(JOB_USER);
    if (threads.busy)
        return 0;
    if (threads.reading)
        return overdue || !threads.waiting[SHORT];
    return !threads.waiting[SHORT] && !threads.waiting[LONG];
}
