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
#include <sys/syscall.h>

int __real_eventfd(unsigned value, int flags);
int __real_epoll_create1(int flags);
int __real_timerfd_create(int clock, int flags);
int __real_memfd_create(const char *name, unsigned flags);
int __real_socketpair(int domain, int type, int protocol, int pair[2]);

static int
private_base(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 0;
    if (r.rlim_cur < 2 * PRIVATE_ROOM) /* what finds no place there lies low */
        return (int)r.rlim_cur / 2;
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
    return (int)syscall(SYS_close, fd);
}

int __wrap_socket(int domain, int type, int protocol);
int
__wrap_socket(int domain, int type, int protocol)
{
    return make_private((int)syscall(SYS_socket, domain, type, protocol));
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

int __wrap_memfd_create(const char *name, unsigned flags);
int
__wrap_memfd_create(const char *name, unsigned flags)
{
    return make_private(__real_memfd_create(name, flags));
}

int __wrap_socketpair(int domain, int type, int protocol, int pair[2]);
int
__wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
    if (__real_socketpair(domain, type, protocol, pair) != 0)
        return -1;
    for (unsigned i = 0; i < 2; i++)
        pair[i] = make_private(pair[i]);
    return 0;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t
__wrap_recvmsg(int fd, struct msghdr *m, int flags)
{
    ssize_t r = syscall(SYS_recvmsg, fd, m, flags);
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

/* The rest goes to the kernel, and ends no thread: one that is cancelled within a call of the
 * client library would leave it half done. Waiting on stand-ins, which may be ended, is done
 * outside (wait.c). */
#define PAST(type, name, args, ...)                                                            \
    type __wrap_##name args;                                                                   \
    type __wrap_##name args                                                                    \
    {                                                                                          \
        return (type)syscall(__VA_ARGS__);                                                     \
    }
PAST(ssize_t, read, (int fd, void *buf, size_t len), SYS_read, fd, buf, len)
PAST(ssize_t, write, (int fd, const void *buf, size_t len), SYS_write, fd, buf, len)
PAST(ssize_t, recv, (int fd, void *buf, size_t len, int flags), SYS_recvfrom, fd, buf, len,
     flags, NULL, NULL)
PAST(ssize_t, send, (int fd, const void *buf, size_t len, int flags), SYS_sendto, fd, buf, len,
     flags, NULL, 0)
PAST(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), SYS_sendmsg, fd, m, flags)
PAST(int, dup, (int fd), SYS_dup, fd)
PAST(int, connect, (int fd, const struct sockaddr *sa, socklen_t len), SYS_connect, fd, sa, len)
PAST(int, setsockopt, (int fd, int level, int name, const void *v, socklen_t len),
     SYS_setsockopt, fd, level, name, v, len)
PAST(int, getsockopt, (int fd, int level, int name, void *v, socklen_t *len), SYS_getsockopt,
     fd, level, name, v, len)

int __wrap_ppoll(struct pollfd *f, nfds_t n, const struct timespec *ts, const sigset_t *mask);
int
__wrap_ppoll(struct pollfd *f, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
    struct timespec left = ts != NULL ? *ts : (struct timespec){0};
    return (int)syscall(SYS_ppoll, f, n, ts != NULL ? &left : NULL, mask, _NSIG / 8);
}

int __wrap_poll(struct pollfd *f, nfds_t n, int ms);
int
__wrap_poll(struct pollfd *f, nfds_t n, int ms)
{
#ifdef SYS_poll /* a process that confined itself may be allowed no other */
    return (int)syscall(SYS_poll, f, n, ms);
#else
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    return __wrap_ppoll(f, n, ms < 0 ? NULL : &ts, NULL);
#endif
}

int __wrap_fcntl(int fd, int cmd, ...);
int
__wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (cmd != F_DUPFD_CLOEXEC) /* asked for when the copy is to be the library's own */
        return (int)syscall(SYS_fcntl, fd, cmd, arg);
    int r = (int)syscall(SYS_fcntl, fd, cmd, private_base());
    if (r < 0 && errno == EMFILE)
        r = (int)syscall(SYS_fcntl, fd, cmd, 0);
    if (r >= 0)
        table_set(r, E_PRIVATE);
    return r;
}
