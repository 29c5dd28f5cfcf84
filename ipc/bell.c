/* SPDX-License-Identifier: BSD-2-Clause */
#include "bell.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void
bell_ring(const struct bell_ringer *b)
{
    static const char one = 1;
    ssize_t n = write(b->fd, &one, 1);
    (void)n; /* EAGAIN: pending already; EPIPE: the peer is gone and will be reported */
}

void
bell_drain(const struct bell_sleeper *b)
{
    char sink[64];
    while (read(b->fd, sink, sizeof sink) == (ssize_t)sizeof sink)
        ;
}

int
bell_pipe(int fd[2])
{
    return pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0 ? 0 : -errno;
}
