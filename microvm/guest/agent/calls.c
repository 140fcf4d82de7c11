/* Calls of the kernel that a job is refused, since what comes of them is not a function of what was executed. */
#include "agent.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define MADVISE_32 219
#define IO_URING_SETUP 425 /* of all ABIs */
#define X32 0x40000000 /* in the number of a call by that ABI */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IS(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (then), (otherwise)) /* skips so many */
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))

/*
 * MADV_FREE: pages that are freed lazily are the only ones that are reclaimed in a machine without swap. Which of
 * them are depends on the accessed bits of page tables, which the kernel clears without a word to the processor; when
 * they are set again depends on what an emulator's TLB holds, and that on the host's clock. Programs take
 * MADV_DONTNEED instead, as on old kernels. A ring would carry the advice past a filter of calls.
 */
static struct sock_filter filter[] = {
    LOAD(nr),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~X32),
    IS(IO_URING_SETUP, 0, 1),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    IS(SYS_madvise, 0, 2),
    LOAD(arch),
    IS(AUDIT_ARCH_X86_64, 3, 6),
    IS(MADVISE_32, 0, 5),
    LOAD(arch),
    IS(AUDIT_ARCH_I386, 0, 3),
    LOAD(args[2]),
    IS(MADV_FREE, 0, 1),
    ANSWER(SECCOMP_RET_ERRNO | EINVAL),
    ANSWER(SECCOMP_RET_ALLOW),
};

/* Of this process from now on, and of all that it starts. It may gain no privileges any more. */
void refuse_calls(void)
{
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}
