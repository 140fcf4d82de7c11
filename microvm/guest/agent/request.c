/* A request: how it is read from the mailbox, and how a runner gets its part of it. */
#include "agent.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#define CODE_CAPACITY 65536 /* fits into the pipe, whatever its reader does */

const void *take(struct reader *reader, size_t size)
{
    if ((size_t)(reader->end - reader->next) < size)
        broken("the request is cut short");
    const void *data = reader->next;
    reader->next += size;
    return data;
}

uint32_t take_number(struct reader *reader)
{
    uint32_t number;
    memcpy(&number, take(reader, sizeof number), sizeof number);
    return number;
}

struct blob take_blob(struct reader *reader)
{
    uint32_t size = take_number(reader);
    return (struct blob){ take(reader, size), size };
}

struct blob open_mailbox(uint64_t magic)
{
    struct request_header header;
    memcpy(&header, (const void *)mailbox, sizeof header);
    if (header.magic != magic || header.length > REQUEST_CAPACITY - sizeof header)
        broken("not in the mailbox what belongs there");
    return (struct blob){ (const uint8_t *)mailbox + sizeof header, header.length };
}

void open_request(struct reader *reader, struct request *request)
{
    struct blob body = open_mailbox(REQUEST_MAGIC);
    reader->next = body.data;
    reader->end = body.data + body.size;
    memcpy(request, take(reader, sizeof *request), sizeof *request);
    if (request->output_bytes > STREAM_CAPACITY)
        broken("the request is out of range");
}

/* The runner is waiting for it: 0. If it is not, -1: there is none any more, or (EAGAIN) it was late. */
int send_request(const struct runner *runner, uint32_t flags, struct blob context, struct blob code, int64_t deadline)
{
    enum { PARTS = 3 };
    if (!runner->takes_code || code.size > CODE_CAPACITY)
        code.size = 0;
    struct runner_header header = { flags, context.size, code.size };
    struct iovec parts[PARTS] = {
        { &header, sizeof header }, { (void *)context.data, context.size }, { (void *)code.data, code.size }
    };
    for (;;) {
        ssize_t count = writev(runner->request, parts, PARTS);
        int64_t left = count < 0 ? deadline - now_ns() : 0;
        if (count < 0 && (errno != EAGAIN || left <= 0))
            return -1;
        if (count < 0)
            poll(&(struct pollfd){ .fd = runner->request, .events = POLLOUT }, 1, left / 1000000 + 1);
        for (int i = 0; i < PARTS && count > 0; i++) {
            size_t done = (size_t)count < parts[i].iov_len ? (size_t)count : parts[i].iov_len;
            parts[i].iov_base = (uint8_t *)parts[i].iov_base + done;
            parts[i].iov_len -= done;
            count -= done;
        }
        if (parts[1].iov_len == 0 && parts[2].iov_len == 0)
            return 0;
    }
}
