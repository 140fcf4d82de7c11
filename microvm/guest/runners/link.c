/*
 * What rustc starts as its linker: it hands the arguments to the linker that waits since the snapshot,
 * with the C library's start files around them, and ends as that ends.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "toolchain.h"

#define LIBRARIES "/usr/lib/x86_64-linux-gnu"
#define GCC       "/usr/lib/gcc/x86_64-linux-gnu/12"

enum { BROKEN = 125 };

/* In the form of a response file: each argument quoted, on a line of its own. */
static void write_argument(FILE *out, const char *argument)
{
    fputc('"', out);
    for (; *argument; argument++) {
        if (*argument == '"' || *argument == '\\')
            fputc('\\', out);
        fputc(*argument, out);
    }
    fputs("\"\n", out);
}

static const char *const before[] = { LIBRARIES "/crt1.o", LIBRARIES "/crti.o", GCC "/crtbeginT.o", NULL };
static const char *const after[] = { "-L" GCC, "-L" LIBRARIES, "-L/lib/x86_64-linux-gnu", GCC "/crtend.o", LIBRARIES "/crtn.o", NULL };

int main(int count, char **arguments)
{
    FILE *out = fopen(LINK_ARGUMENTS, "we");
    if (!out)
        return BROKEN;
    for (const char *const *argument = before; *argument; argument++)
        write_argument(out, *argument);
    for (int n = 1; n < count; n++) {
        if (strcmp(arguments[n], "-flavor") == 0)
            n++; /* the linker knows its flavor by its name */
        else
            write_argument(out, arguments[n]);
    }
    for (const char *const *argument = after; *argument; argument++)
        write_argument(out, *argument);
    if (fclose(out) != 0)
        return BROKEN;
    uint8_t code = BROKEN;
    int status = open(LINK_STATUS, O_RDONLY | O_CLOEXEC);
    if (status < 0 || read(status, &code, 1) != 1)
        return BROKEN;
    return code;
}
