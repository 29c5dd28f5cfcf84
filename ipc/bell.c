/* SPDX-License-Identifier: BSD-2-Clause */
#include "bell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void
bell_ring(const struct bell_ringer *b)
{
    static const char one = 1;
    ssize_t n = write(b->fd, &one, 1);
    (void)n; /* EAGAIN: pending already; EPIPE: the peer is gone and will be reported */
}

bool
bell_drain(const struct bell_sleeper *b)
{
    /* An honest ringer has at most one byte in here for each arming. */
    char sink[BELL_READ];
    ssize_t n = read(b->fd, sink, sizeof sink);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

int
bell_pipe(int fd[2])
{
    return pipe2(fd, O_NONBLOCK | O_CLOEXEC) == 0 ? 0 : -errno;
}

int
bell_reader_copy(int fd_sleep)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd_sleep);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}
