/*
 * The waiting process of languages that are a program to start: it takes the job's arguments and
 * environment from descriptor 3 and becomes that program.
 *
 *     exec PROGRAM ARGUMENT...     then the job's own arguments
 *
 * It runs as the job's user. The request's form is that of runner.py and runner.js: see agent.h.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { REQUEST = 3, ANSWER = 4, ON_TERMINAL = 8 };

static void read_exactly(void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = read(REQUEST, (char *)data + done, size - done);
        if (count <= 0)
            _exit(0); /* the agent is gone */
        done += count;
    }
}

/* The texts of the context each end in a zero byte, so they can stay where they are. */
static char *take_text(char **next)
{
    char *text = *next;
    *next += strlen(text) + 1;
    return text;
}

/* Opening it makes it this session's. */
static void take_terminal(void)
{
    int terminal = open("/dev/pts/0", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        dup2(terminal, i);
    setenv("TERM", "xterm-256color", 1);
}

int main(int count, char **prefix)
{
    struct {
        uint32_t flags, size, code_size; /* the code is in its file */
    } header;
    unsetenv("FAAS_AGAIN");
    if (count < 2 || write(ANSWER, "R", 1) != 1)
        return 1;
    read_exactly(&header, sizeof header);
    char *context = malloc(header.size), *next = context;
    read_exactly(context, header.size);

    if (header.flags & ON_TERMINAL)
        take_terminal();
    int given = atoi(take_text(&next));
    char **arguments = calloc(count + given, sizeof *arguments);
    memcpy(arguments, prefix + 1, (count - 1) * sizeof *arguments);
    for (int n = 0; n < given; n++)
        arguments[count - 1 + n] = take_text(&next);
    while (next < context + header.size) {
        char *name = take_text(&next);
        setenv(name, take_text(&next), 1);
    }
    /* a small program would change, and have measured, megabytes that it never uses */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    close(REQUEST);
    close(ANSWER);
    execv(arguments[0], arguments);
    perror(arguments[0]);
    return 126;
}
