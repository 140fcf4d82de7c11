/*
 * The guest's first process. It prepares the machine, starts one waiting interpreter per language
 * as an unprivileged user, and stops the machine: that is the base snapshot. A restored machine
 * goes on from there: the agent takes the request from the mailbox, hands it to the interpreter,
 * watches over its limits, moves its output to the mailbox and stops the machine again. A machine
 * that was kept goes on from that stop with another request.
 *
 * Job and agent share nothing but pipes: the job runs as another user, without privileges,
 * without a descriptor of the agent's, inside its own cgroup. The agent runs at real-time priority,
 * so that a limit hits at the same instruction however busy the job is.
 *
 * Not here: languages (runners/), what a request means (the host checked it).
 */
#include "agent.h"

#include <signal.h>
#include <sys/fsuid.h>

static void wake_up(int signal) { (void)signal; }

int main(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = wake_up }, NULL);
    prepare_machine();
    start_runners();
    await_runners();
    set_usual_limits();
    open_disk();
    write_manifest();
    finish_machine();
    set_usual_clock();
    /* what it does with files from here on, it does as the job would */
    setfsgid(JOB_USER);
    setfsuid(JOB_USER);
    result()->state = STATE_READY;
    for (;;) {
        stop_machine();
        serve_request();
    }
}
