/* Whether a job can only go on with input. */
#include "agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* How many of a job's threads can go on by themselves, now or when a timer fires, and how many read. */
struct threads {
    int busy, sleeping, reading;
};

/* A system call without a timer: it ends when another thread ends it, or nobody. */
static int waits_for_ever(long number, const unsigned long *argument)
{
    switch (number) {
    case SYS_read: case SYS_readv: case SYS_wait4: case SYS_waitid: case SYS_vfork: case SYS_clone:
    case SYS_clone3: case SYS_pause: case SYS_rt_sigsuspend: case SYS_open: case SYS_openat:
    case SYS_accept: case SYS_accept4: case SYS_recvfrom: case SYS_recvmsg: case SYS_flock:
        return 1;
    case SYS_poll:
        return (int)argument[2] < 0;
    case SYS_epoll_wait: case SYS_epoll_pwait:
        return (int)argument[3] < 0;
    case SYS_ppoll: case SYS_rt_sigtimedwait:
        return argument[2] == 0;
    case SYS_futex: case SYS_epoll_pwait2:
        return argument[3] == 0;
    case SYS_select: case SYS_pselect6:
        return argument[4] == 0;
    default:
        return 0;
    }
}

static int peek(pid_t thread, unsigned long address, void *data, size_t size)
{
    struct iovec ours = { data, size }, theirs = { (void *)address, size };
    return process_vm_readv(thread, &ours, 1, &theirs, 1, 0) == (ssize_t)size;
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

static int polls_input(pid_t thread, const unsigned long *argument)
{
    enum { MOST = 64 };
    struct pollfd polled[MOST];
    size_t count = argument[1] < MOST ? argument[1] : MOST;
    if (!peek(thread, argument[0], polled, count * sizeof *polled))
        return 0;
    for (size_t i = 0; i < count; i++)
        if (polled[i].fd == STDIN_FILENO && polled[i].events & POLLIN)
            return 1;
    return 0;
}

static int selects_input(pid_t thread, const unsigned long *argument)
{
    unsigned long first = 0;
    return argument[0] > STDIN_FILENO && argument[1] && peek(thread, argument[1], &first, sizeof first) && first & 1;
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
        if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2 && fd == STDIN_FILENO && events & EPOLLIN)
            return 1;
    return 0;
}

/* Whether a system call ends when there is input. */
static int reads_input(int task, pid_t thread, long number, const unsigned long *argument)
{
    switch (number) {
    case SYS_read: case SYS_readv:
        return argument[0] == STDIN_FILENO;
    case SYS_poll: case SYS_ppoll:
        return polls_input(thread, argument);
    case SYS_select: case SYS_pselect6:
        return selects_input(thread, argument);
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
    else if (reads_input(task, thread, number, argument))
        threads->reading++;
    else if (!waits_for_ever(number, argument))
        threads->sleeping++;
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
 * What it was given is read, nothing in it runs, and either somebody waits for its standard input, with
 * whatever timer, or nothing will run again by itself.
 */
int awaits_input(const struct runner *runner)
{
    struct threads threads = { 0 };
    int unread = 0;
    if (runner->standard_input < 0 || ioctl(runner->standard_input, FIONREAD, &unread) < 0 || unread)
        return 0;
    setfsuid(0);
    look_at_job(runner, &threads);
    setfsuid(JOB_USER);
    return !threads.busy && (threads.reading || !threads.sleeping);
}
