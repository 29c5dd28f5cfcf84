/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inside.c: what the client library calls when it is part of this one. The linker turns its
 * calls
 * (--wrap, see local.mk) to these: past our own wrappers, and keeping note of the descriptors
 * that are its own. They lie high, so that the program gets the numbers that it would have got,
 * and a program that closes everything does not close them.
 */
#include "shim.h"

#include <fcntl.h>
#include <sys/resource.h>

int __real_eventfd(unsigned value, int flags);
int __real_epoll_create1(int flags);
int __real_timerfd_create(int clock, int flags);

static int
private_base(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur < 2 * PRIVATE_ROOM)
        return 0;
    return r.rlim_cur >= PRIVATE_BASE + PRIVATE_ROOM ? PRIVATE_BASE
                                                     : (int)r.rlim_cur - PRIVATE_ROOM;
}

/* It belongs to the client library. Returns its number from now on. */
static int
make_private(int fd)
{
    if (fd < 0)
        return fd;
    int high = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, private_base());
    if (high >= 0) {
        REAL(close)(fd);
        fd = high;
    }
    table_set(fd, E_PRIVATE);
    return fd;
}

int __wrap_close(int fd);
int
__wrap_close(int fd)
{
    if (entry(fd) & E_PRIVATE)
        table_set(fd, 0);
    return REAL(close)(fd);
}

int __wrap_socket(int domain, int type, int protocol);
int
__wrap_socket(int domain, int type, int protocol)
{
    return make_private(REAL(socket)(domain, type, protocol));
}

int __wrap_eventfd(unsigned value, int flags);
int
__wrap_eventfd(unsigned value, int flags)
{
    return make_private(__real_eventfd(value, flags));
}

int __wrap_epoll_create1(int flags);
int
__wrap_epoll_create1(int flags)
{
    return make_private(__real_epoll_create1(flags));
}

int __wrap_timerfd_create(int clock, int flags);
int
__wrap_timerfd_create(int clock, int flags)
{
    return make_private(__real_timerfd_create(clock, flags));
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t
__wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
    ssize_t r = REAL(recvmsg)(fd, m, flags);
    if (r < 0)
        return r;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
            int got;
            memcpy(&got, CMSG_DATA(c) + at, sizeof got);
            got = make_private(got);
            memcpy(CMSG_DATA(c) + at, &got, sizeof got);
        }
    }
    return r;
}

/* The rest goes straight to libc. */
#define PAST(type, name, args, call)                                                           \
    type __wrap_##name args;                                                                   \
    type __wrap_##name args                                                                    \
    {                                                                                          \
        return REAL(name) call;                                                                \
    }
PAST(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
PAST(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len))
PAST(ssize_t, recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags))
PAST(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags))
PAST(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
PAST(int, connect, (int fd, const struct sockaddr *sa, socklen_t len), (fd, sa, len))
PAST(int, setsockopt, (int fd, int level, int name, const void *v, socklen_t len),
     (fd, level, name, v, len))
PAST(int, poll, (struct pollfd * f, nfds_t n, int ms), (f, n, ms))
PAST(int, ppoll, (struct pollfd * f, nfds_t n, const struct timespec *ts, const sigset_t *mask),
     (f, n, ts, mask))

int __wrap_fcntl(int fd, int cmd, ...);
int
__wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    return REAL(fcntl)(fd, cmd, arg);
}
