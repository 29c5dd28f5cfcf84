/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fortified.c: the calls as programs make them that were compiled with _FORTIFY_SOURCE: with
 * the size of the buffer, which must not be smaller than what is asked for.
 */
#include "shim.h"

void __chk_fail(void) __attribute__((noreturn));
ssize_t __read_chk(int fd, void *buf, size_t len, size_t size);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags,
                       __SOCKADDR_ARG addr, socklen_t *addrlen);
int __poll_chk(struct pollfd *f, nfds_t n, int ms, size_t size);
int __ppoll_chk(struct pollfd *f, nfds_t n, const struct timespec *ts, const sigset_t *mask,
                size_t size);

EXPORT ssize_t
__read_chk(int fd, void *buf, size_t len, size_t size)
{
    if (len > size)
        __chk_fail();
    return own_read(fd, buf, len);
}

EXPORT ssize_t
__recv_chk(int fd, void *buf, size_t len, size_t size, int flags)
{
    if (len > size)
        __chk_fail();
    return own_recv(fd, buf, len, flags);
}

EXPORT ssize_t
__recvfrom_chk(int fd, void *buf, size_t len, size_t size, int flags, __SOCKADDR_ARG addr,
               socklen_t *addrlen)
{
    if (len > size)
        __chk_fail();
    return own_recvfrom(fd, buf, len, flags, addr, addrlen);
}

EXPORT int
__poll_chk(struct pollfd *f, nfds_t n, int ms, size_t size)
{
    if (size / sizeof *f < n)
        __chk_fail();
    return own_poll(f, n, ms);
}

EXPORT int
__ppoll_chk(struct pollfd *f, nfds_t n, const struct timespec *ts, const sigset_t *mask,
            size_t size)
{
    if (size / sizeof *f < n)
        __chk_fail();
    return own_ppoll(f, n, ts, mask);
}
