/*
 * What a job may use, and the time and randomness that it finds. The usual ones stand already when the
 * snapshot is taken.
 */
#include "agent.h"

#include <sched.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <time.h>

static const struct request usual = {
    .memory_mb = 512, .processes = 64, .disk_mb = 64, .cpu_millicores = 1000, .seed = 0, .epoch = 1767225600
};
static struct request standing[16]; /* for each runner, by its number; the disk's is in the first */

static void set_memory(const struct runner *runner, uint32_t mebibytes)
{
    char path[64];
    cgroup_path(path, sizeof path, runner, "/memory.max");
    write_number(path, runner->waiting_bytes + ((unsigned long)mebibytes << 20));
}

/*
 * To less than is in use, perhaps: then the kernel ends processes until it fits, and the call returns
 * when they have gone. They must be able to go, so the agent is one process among others meanwhile.
 */
static void lower_memory(const struct runner *runner, uint32_t mebibytes)
{
    struct sched_param before;
    int policy = CHECK(sched_getscheduler(0));
    CHECK(sched_getparam(0, &before));
    CHECK(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 }));
    set_memory(runner, mebibytes);
    CHECK(sched_setscheduler(0, policy, &before));
}

static void set_processes(const struct runner *runner, uint32_t processes)
{
    char path[64];
    cgroup_path(path, sizeof path, runner, "/pids.max");
    write_number(path, processes + 16); /* the interpreter's own threads are not the job's */
}

/* The controller costs every switch of tasks a little, so it is there once a job asks for it. */
static void set_processor(const struct runner *runner, uint32_t millicores)
{
    enum { PERIOD_US = 100000 };
    char path[64], text[48];
    write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpu");
    write_file(JOBS_GROUP "/cgroup.subtree_control", "+cpu");
    cgroup_path(path, sizeof path, runner, "/cpu.max");
    snprintf(text, sizeof text, "%u %u", PERIOD_US * millicores / 1000, PERIOD_US);
    write_file(path, millicores < 1000 ? text : "max");
}

/* What lies on a used disk already may be more than a later job may put there: then it keeps its size. */
static void set_disk(uint32_t mebibytes)
{
    char options[32];
    snprintf(options, sizeof options, "size=%um", mebibytes);
    mount(NULL, JOB_DISK, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, options);
}

void set_usual_limits(void)
{
    for (size_t i = 0; i < runner_count; i++) {
        char path[64];
        cgroup_path(path, sizeof path, &runners[i], "/memory.current");
        runners[i].waiting_bytes = read_number(path);
        set_memory(&runners[i], usual.memory_mb);
        set_processes(&runners[i], usual.processes);
        standing[i] = usual;
    }
    limit_all_jobs();
    set_disk(usual.disk_mb);
}

void apply_limits(const struct runner *runner, const struct request *request, int first)
{
    struct request *now = &standing[request->language];
    if (request->memory_mb == now->memory_mb && request->processes == now->processes &&
        request->cpu_millicores == now->cpu_millicores && request->disk_mb == standing->disk_mb)
        return;
    setfsuid(0);
    if (request->memory_mb < now->memory_mb && !first)
        lower_memory(runner, request->memory_mb);
    else if (request->memory_mb != now->memory_mb)
        set_memory(runner, request->memory_mb);
    if (request->processes != now->processes)
        set_processes(runner, request->processes);
    if (request->cpu_millicores != now->cpu_millicores)
        set_processor(runner, request->cpu_millicores);
    if (request->disk_mb != standing->disk_mb)
        set_disk(request->disk_mb);
    setfsuid(JOB_USER);
    now->memory_mb = request->memory_mb;
    now->processes = request->processes;
    now->cpu_millicores = request->cpu_millicores;
    standing->disk_mb = request->disk_mb;
}

/* ---- time and randomness ---- */

/* Whether this machine has become another fork since its last job; if so it draws on its record. */
static int take_fork(uint64_t *epoch)
{
    static struct fork_record applied;
    struct fork_record record;
    memcpy(&record, (const void *)(mailbox + FORK_OFFSET), sizeof record);
    if (memcmp(&record, &applied, sizeof record) == 0)
        return 0;
    applied = record;
    seed_random(&record, sizeof record);
    if (record.epoch > *epoch)
        *epoch = record.epoch;
    return 1;
}

/* The first job sets the clock; afterwards it goes on, and can be put forward but not back. */
static void set_clock(uint64_t epoch, int first)
{
    uint64_t now = time(NULL);
    if (first ? now == epoch : now >= epoch)
        return;
    CHECK(clock_settime(CLOCK_REALTIME, &(struct timespec){ epoch, 0 }));
}

static void seed_job(uint64_t seed, int first)
{
    uint64_t data[4] = { seed, seed, seed, seed };
    if (!first || seed != usual.seed)
        seed_random(data, sizeof data);
}

/* Whether the runner must draw anew what it drew from the usual seed. */
int set_clock_and_seed(const struct request *request, int first)
{
    uint64_t epoch = request->epoch;
    int forked = take_fork(&epoch);
    set_clock(epoch, first);
    seed_job(request->seed, first);
    return forked || (first && request->seed != usual.seed);
}

/* Just after a tick of the kernel's: a job shorter than that is over before the next one. */
void set_usual_clock(void)
{
    int64_t tick = (now_ns() / KERNEL_TICK_NS + 2) * KERNEL_TICK_NS;
    struct timespec time = { tick / 1000000000LL, tick % 1000000000LL };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    CHECK(clock_settime(CLOCK_REALTIME, &(struct timespec){ usual.epoch, 0 }));
    set_clock(usual.epoch, 1); /* the first reading maps the clock's page */
}
