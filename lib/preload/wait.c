/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wait.c: how a blocking call waits: in a system call on the stand-in that blocks for the same
 * reason as the call that the program made. So O_NONBLOCK, SO_RCVTIMEO and SO_SNDTIMEO, signals
 * with and without SA_RESTART, and the cancellation of threads are the kernel's own.
 */
#include "shim.h"

#include <fcntl.h>

#define PATIENCE 16u /* wake-ups for nothing before we slow down */

bool
may_block(int fd)
{
    if (UNLIKELY(share_confined))
        return (entry(fd) & E_WAITS) != 0;
    int flags = REAL(fcntl)(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

void
nap(unsigned us)
{
    struct timespec ts = {.tv_nsec = (long)us * 1000};
    nanosleep(&ts, NULL);
}

/* The stand-in is ready, the socket is not: that lasts for as long as it takes the transport to
 * say so, and must not be waited for in full flight. */
static void
slow_down(unsigned *tries)
{
    if (++*tries > PATIENCE)
        nap(*tries > 2 * PATIENCE ? 1000 : 50);
}

/* Where nothing but this is allowed: without SO_RCVTIMEO and SA_RESTART. */
static int
wait_confined(int fd, short event, unsigned *tries)
{
    struct pollfd p = {.fd = fd, .events = event};
    if (REAL(poll)(&p, 1, -1) < 0)
        return errno;
    slow_down(tries);
    return 0;
}

int
wait_read(int fd, unsigned *tries)
{
    char c;
    if (*tries == 0 && !may_block(fd))
        return EAGAIN;
    if (UNLIKELY(share_confined))
        return wait_confined(fd, POLLIN, tries);
    ssize_t r = REAL(recv)(fd, &c, 1, MSG_PEEK);
    if (r < 0 && (errno == EAGAIN || errno == EINTR || errno == EBADF))
        return errno;
    slow_down(tries);
    return 0;
}

int
wait_write(int fd, unsigned *tries)
{
    if (*tries == 0 && !may_block(fd))
        return EAGAIN;
    if (UNLIKELY(share_confined))
        return wait_confined(fd, POLLOUT, tries);
    /* To send a byte that cannot be read: the kernel waits for room, and then finds nothing to
     * send. poll would wait too, but knows no SO_SNDTIMEO and no SA_RESTART. */
    ssize_t r = REAL(send)(fd, (const void *)(uintptr_t)1, 1, MSG_NOSIGNAL);
    if (r < 0 && (errno == EAGAIN || errno == EINTR || errno == EBADF))
        return errno;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (REAL(poll)(&p, 1, *tries > 0 ? 10 : 0) < 0 && errno == EINTR && *tries > 0)
        return EINTR;
    slow_down(tries);
    return 0;
}
