/*
 * The waiting process of a toolchain: it has started the compiler and the linker as far as they get
 * without a program. Each stands, loaded and set up, before a named pipe that it must read first.
 *
 *     compile COMPILER
 *
 * It runs as the job's user. The job's code is in /work, the result goes to /work/output/main, and the
 * exit code to the agent on descriptor 4: see agent.c. Not here: TypeScript (compile.js).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "toolchain.h"

enum { REQUEST = 3, ANSWER = 4, KILLED = 128, BROKEN = 125 };

/* A program that waits at a pipe, and the file that it gets through it. */
struct stage {
    const char *pipe;
    const char *content;
    const char *const *command;
    pid_t pid;
    int entrance;
};

struct toolchain {
    struct stage compiler, linker;
    const char *const *environment;
};

static const char *const rustc_command[] = {
    "/usr/bin/rustc", "--edition=2021", "--crate-type=bin", "--crate-name=main", "--color=never",
    "-Copt-level=2", "-Ccodegen-units=1", "-Cdebuginfo=0", "-Cstrip=symbols",
    "-Ctarget-feature=+crt-static", "-Crelocation-model=static",
    "-Clinker-flavor=ld.lld", "-Clinker=/faas/link", "-o", OUTPUT "/main", "main.rs", NULL
};
static const char *const lld_command[] = { "/usr/bin/ld.lld-14", "@" LINK_ARGUMENTS, NULL };
static const char *const rust_environment[] = { "PATH=/usr/bin", "HOME=" PLACE, "TMPDIR=" PLACE, NULL };

static const char *const go_compile_command[] = {
    GO_ROOT "/pkg/tool/linux_amd64/compile", "-p=main", "-complete", "-pack", "-c=1", "-lang=go1.19",
    "-trimpath=" PLACE "=>.", "-importcfg=/faas/importcfg", "-o=" PLACE "/main.a", "main.go", NULL
};
static const char *const go_link_command[] = {
    GO_ROOT "/pkg/tool/linux_amd64/link", "-s", "-w", "-buildmode=exe", "-linkmode=internal",
    "-o=" OUTPUT "/main", "-importcfg=" PLACE "/importcfg", PLACE "/main.a", NULL
};
static const char *const go_environment[] = {
    "PATH=/usr/bin", "HOME=" PLACE, "TMPDIR=" PLACE, "GOROOT=" GO_ROOT, "GOOS=linux", "GOARCH=amd64",
    "GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=320MiB", NULL
};

static struct toolchain toolchains[] = {
    { .compiler = { .pipe = PLACE "/main.rs", .content = "/work/main.rs", .command = rustc_command },
      .linker = { .pipe = LINK_ARGUMENTS, .command = lld_command }, /* /faas/link feeds it */
      .environment = rust_environment },
    { .compiler = { .pipe = PLACE "/main.go", .content = "/work/main.go", .command = go_compile_command },
      .linker = { .pipe = PLACE "/importcfg", .content = "/faas/importcfg", .command = go_link_command },
      .environment = go_environment },
};

static void __attribute__((noreturn)) leave(int code)
{
    uint8_t answer[2] = { 'E', (uint8_t)code };
    if (write(ANSWER, answer, sizeof answer) == sizeof answer)
        read(REQUEST, answer, 1); /* the agent stops the machine */
    _exit(code);
}

static void __attribute__((noreturn)) broken(const char *what)
{
    perror(what);
    leave(BROKEN);
}

static void make_pipe(const char *path)
{
    if (mkfifo(path, 0600) < 0)
        broken(path);
}

/* Opening the pipe succeeds once the program stands before it. */
static void start(struct stage *stage, const char *const *environment)
{
    make_pipe(stage->pipe);
    stage->pid = fork();
    if (stage->pid == 0) {
        close(REQUEST), close(ANSWER);
        dup2(STDERR_FILENO, STDOUT_FILENO); /* Go's compiler tells its errors there */
        execve(stage->command[0], (char *const *)stage->command, (char *const *)environment);
        perror(stage->command[0]);
        _exit(127);
    }
    while ((stage->entrance = open(stage->pipe, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
        if (errno != ENXIO || waitpid(stage->pid, NULL, WNOHANG) != 0)
            broken(stage->command[0]);
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    fcntl(stage->entrance, F_SETFL, 0);
    nanosleep(&(struct timespec){ 0, 200000000 }, NULL); /* it goes on to read, and sleeps there */
}

static void feed(const struct stage *stage)
{
    static char buffer[65536];
    int fd = open(stage->content, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        broken(stage->content);
    for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;)
        for (ssize_t done = 0, count; done < size; done += count)
            if ((count = write(stage->entrance, buffer + done, size - done)) < 0)
                broken(stage->content);
    close(fd);
    close(stage->entrance);
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED + WTERMSIG(status);
}

/* The compiler's exit code; on the way, Rust's linker is said to have ended to who waits in /faas/link. */
static int await_compiler(const struct toolchain *toolchain)
{
    int status;
    for (pid_t ended; (ended = wait(&status)) != toolchain->compiler.pid;) {
        uint8_t code = exit_code(status);
        int fd = ended == toolchain->linker.pid ? open(LINK_STATUS, O_WRONLY | O_CLOEXEC) : -1;
        if (ended < 0 || (fd >= 0 && write(fd, &code, 1) != 1))
            broken("wait");
        if (fd >= 0)
            close(fd);
    }
    return exit_code(status);
}

static int compile(const struct toolchain *toolchain)
{
    int status;
    close(toolchain->linker.content ? -1 : toolchain->linker.entrance); /* left to /faas/link */
    feed(&toolchain->compiler);
    int code = await_compiler(toolchain);
    if (code != 0 || !toolchain->linker.content)
        return code;
    feed(&toolchain->linker);
    if (waitpid(toolchain->linker.pid, &status, 0) < 0)
        broken("wait");
    return exit_code(status);
}

int main(int count, char **arguments)
{
    struct toolchain *toolchain = toolchains;
    char context[4096];
    if (count != 2)
        return 1;
    while (strcmp(toolchain->compiler.command[0], arguments[1]) != 0)
        if (++toolchain == toolchains + sizeof toolchains / sizeof *toolchains)
            return 1;
    signal(SIGPIPE, SIG_IGN);
    if (mkdir(PLACE, 0700) < 0 || chdir(PLACE) < 0)
        broken(PLACE);
    make_pipe(LINK_STATUS);
    start(&toolchain->compiler, toolchain->environment);
    start(&toolchain->linker, toolchain->environment);
    if (write(ANSWER, "R", 1) != 1 || read(REQUEST, context, sizeof context) <= 0)
        return 1;
    leave(compile(toolchain));
}
