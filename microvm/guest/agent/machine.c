/* The guest as a whole: its file systems, its hardening, its hardware, and the stop. */
#include "agent.h"

#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define RESERVE        (64UL << 20) /* memory that jobs cannot have */
#define KERNEL_RESERVE (16UL << 20) /* and of that, what only the kernel can; by itself it would keep 66 MiB */
#define HOST_NAME      "faas" /* as /etc/hosts has it */
#define LAPIC_PHYSICAL 0xfee00000UL
#define LAPIC_INITIAL  (0x380 / 4)
#define LAPIC_CURRENT  (0x390 / 4)

volatile uint8_t *mailbox;
static volatile uint32_t *lapic;
static int random_device;

struct result *result(void) { return (struct result *)(mailbox + RESULT_OFFSET); }

int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/*
 * Stop at an exact instruction. A pending timer would let the host skip idle time between the stop
 * and its noticing, or not: so the timer is switched off first, and virtual time stands still.
 * Going on, it has as much left as it had.
 */
void stop_machine(void)
{
    uint32_t left;
    do {
        left = lapic[LAPIC_CURRENT];
        lapic[LAPIC_INITIAL] = 0;
    } while (lapic[LAPIC_CURRENT] != 0);
    outb(1, STOP_PORT);
    lapic[LAPIC_INITIAL] = left ? left : 1;
}

void broken(const char *format, ...)
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

void write_file(const char *path, const char *text)
{
    int fd = CHECK(open(path, O_WRONLY | O_CLOEXEC));
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        broken("write %s: %s", path, strerror(errno));
    close(fd);
}

void write_number(const char *path, unsigned long number)
{
    char text[32];
    snprintf(text, sizeof text, "%lu", number);
    write_file(path, text);
}

unsigned long read_number(const char *path)
{
    char text[32];
    int fd = CHECK(open(path, O_RDONLY | O_CLOEXEC));
    ssize_t size = CHECK(read(fd, text, sizeof text - 1));
    text[size] = 0;
    close(fd);
    return strtoul(text, NULL, 10);
}

static void mount_file_systems(void)
{
    umask(022);
    CHECK(chmod("/", 0755));
    /*
     * Read-only for jobs: clear_refs takes away marks in page tables without telling the processor, and
     * whether it sets them again depends on what it remembers, which in an emulator is up to the host.
     */
    CHECK(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=invisible"));
    CHECK(mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL));
    if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755") < 0 && errno != EBUSY)
        broken("mount /dev: %s", strerror(errno));
    CHECK(mkdir("/dev/pts", 0755));
    CHECK(mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0600"));
    CHECK(chmod("/dev/ptmx", 0600)); /* terminals are made by the agent alone */
    CHECK(mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    CHECK(mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755"));
    CHECK(mkdir("/run/agent", 0700));
    CHECK(mkdir(AGENT_PROC, 0700));
    CHECK(mount("proc", AGENT_PROC, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    CHECK(mkdir(INPUTS, 0755));
    CHECK(mount("tmpfs", INPUTS, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m,mode=0755"));
    CHECK(mkdir(JOB_DISK, 0755));
    CHECK(mount("tmpfs", JOB_DISK, "tmpfs", MS_NOSUID | MS_NODEV, "size=128m,mode=0700")); /* the job has what is bound */
    CHECK(mkdir(JOB_DISK "/work", 0755));
    CHECK(mkdir(JOB_DISK "/entries", 0700));
    CHECK(mkdir(JOB_DISK "/work/output", 0755));
    CHECK(mkdir(JOB_DISK "/tmp", 0755));
    CHECK(chmod(JOB_DISK "/tmp", 01777));
    CHECK(chown(JOB_DISK "/work", JOB_USER, JOB_USER));
    CHECK(chown(JOB_DISK "/work/output", JOB_USER, JOB_USER));
    CHECK(chown(JOB_DISK "/entries", JOB_USER, JOB_USER));
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
    write_file(AGENT_PROC "/sys/kernel/kptr_restrict", "2");
    write_file(AGENT_PROC "/sys/kernel/dmesg_restrict", "1");
    write_file(AGENT_PROC "/sys/kernel/unprivileged_bpf_disabled", "1");
    write_file(AGENT_PROC "/sys/user/max_user_namespaces", "0");
    write_file(AGENT_PROC "/sys/kernel/modules_disabled", "1");
    write_file(AGENT_PROC "/sys/kernel/core_pattern", "");
    write_file(AGENT_PROC "/sys/kernel/sched_rt_runtime_us", "-1"); /* no job runs while the agent does */
    write_file(AGENT_PROC "/sys/vm/panic_on_oom", "0");
}

/* The kernel's generator takes known bytes: without them its first reader spins for entropy. */
void seed_random(const void *seed, size_t size)
{
    struct {
        int entropy_count;
        int size;
        uint8_t data[64];
    } pool = { .entropy_count = 256, .size = size };
    memcpy(pool.data, seed, size);
    CHECK(ioctl(random_device, RNDADDENTROPY, &pool));
    CHECK(ioctl(random_device, RNDRESEEDCRNG));
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

/* Programs of a job may talk to each other by loopback; there is no other network. */
static void name_and_connect(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    CHECK(sethostname(HOST_NAME, sizeof HOST_NAME - 1));
    CHECK(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
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

/*
 * What the agent writes to a disk counts for no control group: 0 and ENOMEM unless it leaves enough for
 * the machine to go on.
 */
int spare_memory(size_t size)
{
    struct sysinfo info;
    CHECK(sysinfo(&info));
    if (info.freeram * info.mem_unit >= size + RESERVE / 2)
        return 1;
    errno = ENOMEM;
    return 0;
}

/* All jobs together, whatever each may use: what the machine has, but for a reserve. */
void limit_all_jobs(void)
{
    write_number(JOBS_GROUP "/memory.max", read_number(JOBS_GROUP "/memory.current") + free_memory() - RESERVE);
}

/*
 * Free memory still holds what booting left there: fill it with zeros, so that it costs nothing. Meanwhile the
 * kernel keeps next to nothing for itself.
 */
static void clear_free_memory(void)
{
    enum { CHUNK = 4 << 20, KEPT = 12 << 20, MOST = 512 };
    static const char reserve[] = AGENT_PROC "/sys/vm/min_free_kbytes";
    void *chunks[MOST];
    int count = 0;
    write_number(reserve, KERNEL_RESERVE / 4 >> 10);
    while (count < MOST && free_memory() > KEPT) {
        void *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (chunk == MAP_FAILED)
            break;
        chunks[count++] = chunk;
    }
    while (count)
        munmap(chunks[--count], CHUNK);
    write_number(reserve, KERNEL_RESERVE >> 10);
}

/* Before the runners start. */
void prepare_machine(void)
{
    static const uint8_t known[32];
    mount_file_systems();
    write_file(AGENT_PROC "/self/oom_score_adj", "-1000");
    random_device = CHECK(open("/dev/urandom", O_RDWR | O_CLOEXEC));
    seed_random(known, sizeof known);
    write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids");
    CHECK(mkdir(JOBS_GROUP, 0755));
    write_file(JOBS_GROUP "/cgroup.subtree_control", "+memory +pids");
    map_hardware();
    name_and_connect();
    harden();
}

/* When the runners are warm. */
void finish_machine(void)
{
    clear_free_memory();
    CHECK(sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &(struct sched_param){ .sched_priority = 50 }));
    CHECK(mlockall(MCL_CURRENT));
}
