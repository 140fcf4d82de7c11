/*
 * The waiting process of languages that are a program to start: it takes the job's arguments and
 * environment from descriptor 3 and becomes that program.
 *
 *     exec PROGRAM ARGUMENT...     then the job's own arguments
 *
 * It runs as the job's user. The request's form is that of runner.py and runner.js: see agent.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUEST = 3, ANSWER = 4 };

static void read_exactly(void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = read(REQUEST, (char *)data + done, size - done);
        if (count <= 0)
            _exit(0); /* the agent is gone */
        done += count;
    }
}

static uint32_t take_number(const uint8_t **next)
{
    uint32_t number;
    memcpy(&number, *next, sizeof number);
    *next += sizeof number;
    return number;
}

/* A copy that ends in a zero byte; the host has checked that there is none within. */
static char *take_text(const uint8_t **next)
{
    uint32_t size = take_number(next);
    char *text = malloc(size + 1);
    memcpy(text, *next, size);
    text[size] = 0;
    *next += size;
    return text;
}

int main(int count, char **prefix)
{
    uint32_t size;
    if (count < 2 || write(ANSWER, "R", 1) != 1)
        return 1;
    read_exactly(&size, sizeof size);
    uint8_t *body = malloc(size);
    read_exactly(body, size);

    const uint8_t *next = body;
    uint32_t given = take_number(&next);
    char **arguments = calloc(count + given, sizeof *arguments);
    memcpy(arguments, prefix + 1, (count - 1) * sizeof *arguments);
    for (uint32_t n = 0; n < given; n++)
        arguments[count - 1 + n] = take_text(&next);
    for (uint32_t n = take_number(&next); n; n--) {
        char *name = take_text(&next), *value = take_text(&next);
        setenv(name, value, 1);
    }
    close(REQUEST);
    close(ANSWER);
    execv(arguments[0], arguments);
    perror(arguments[0]);
    return 126;
}
