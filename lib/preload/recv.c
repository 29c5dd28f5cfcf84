/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recv.c: the calls that receive. The client library is asked without blocking; if there is
 * nothing, the thread waits in the kernel on the stand-in and asks again.
 */
#include "shim.h"

#include <limits.h>

/* Room for what the stack says beside a datagram. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* An AF_INET6 socket is told its own address in that family. */
static void
give_control(struct msghdr *m, size_t room, struct msghdr *got)
{
    struct cmsghdr *c = got->msg_controllen > 0 ? CMSG_FIRSTHDR(got) : NULL;
    struct in_pktinfo info;
    struct in6_pktinfo info6 = {0};
    m->msg_controllen = 0;
    if (c == NULL)
        return;
    if (m->msg_control == NULL || room < CMSG_SPACE(sizeof info6)) {
        m->msg_flags |= MSG_CTRUNC;
        return;
    }
    memcpy(&info, CMSG_DATA(c), sizeof info);
    info6.ipi6_addr.s6_addr[10] = info6.ipi6_addr.s6_addr[11] = 0xff;
    memcpy(&info6.ipi6_addr.s6_addr[12], &info.ipi_addr, 4);
    info6.ipi6_ifindex = (unsigned)info.ipi_ifindex;
    m->msg_controllen = CMSG_SPACE(sizeof info6);
    c = CMSG_FIRSTHDR(m);
    memset(c, 0, CMSG_SPACE(sizeof info6));
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info6);
    memcpy(CMSG_DATA(c), &info6, sizeof info6);
}

/* Once, with the names and control messages of an AF_INET6 socket. */
static ssize_t
once_v6(uint32_t e, struct msghdr *m, int flags)
{
    union control room;
    struct sockaddr_in sin;
    struct msghdr h = *m;
    h.msg_name = m->msg_name != NULL ? &sin : NULL;
    h.msg_namelen = m->msg_name != NULL ? sizeof sin : 0;
    h.msg_control = &room;
    h.msg_controllen = sizeof room;
    ssize_t r = bh_recvmsg(bh_of(e), &h, flags);
    if (r < 0)
        return r;
    m->msg_flags = h.msg_flags;
    if (h.msg_namelen > 0)
        addr_give(e, &sin, m->msg_name, &m->msg_namelen);
    else
        m->msg_namelen = 0;
    give_control(m, m->msg_controllen, &h);
    return r;
}

static ssize_t
once(uint32_t e, struct msghdr *m, int flags)
{
    return e & E_V6 ? once_v6(e, m, flags) : bh_recvmsg(bh_of(e), m, flags);
}

/* A datagram socket whose reading side was shut down: nobody waits there. */
static bool
shut_dgram(uint32_t e)
{
    struct pollfd p = {.fd = bh_of(e), .events = POLLRDHUP};
    return (e & E_DGRAM) && bh_poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP) != 0;
}

static ssize_t
until_some(int fd, uint32_t e, struct msghdr *m, int flags)
{
    unsigned tries = 0;
    for (;;) {
        ssize_t r = once(e, m, flags | MSG_DONTWAIT);
        if (r >= 0 || errno != EAGAIN || (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)))
            return r;
        if (tries > 0 && shut_dgram(e)) {
            m->msg_namelen = 0;
            m->msg_controllen = 0;
            m->msg_flags = 0;
            return 0;
        }
        int err = wait_read(fd, &tries);
        if (err != 0)
            return fails(err);
    }
}

/* MSG_WAITALL on a stream: until all is there, the stream ends, or an error. */
static ssize_t
until_all(int fd, uint32_t e, struct msghdr *m, int flags)
{
    size_t done = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        struct iovec v = m->msg_iov[i];
        while (v.iov_len > 0) {
            struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
            ssize_t r = until_some(fd, e, &h, flags);
            if (r <= 0)
                return done > 0 ? (ssize_t)done : r;
            done += (size_t)r;
            v.iov_base = (char *)v.iov_base + r;
            v.iov_len -= (size_t)r;
        }
    }
    m->msg_namelen = 0;
    m->msg_controllen = 0;
    m->msg_flags = 0;
    return (ssize_t)done;
}

/* MSG_PEEK with MSG_WAITALL: nothing wakes us when what is readable becomes more. */
static ssize_t
peek_all(int fd, uint32_t e, struct msghdr *m, int flags)
{
    size_t want = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++)
        want += m->msg_iov[i].iov_len;
    for (;;) {
        ssize_t r = until_some(fd, e, m, flags);
        struct pollfd p = {.fd = bh_of(e), .events = POLLRDHUP};
        if (r <= 0 || (size_t)r >= want || bh_poll(&p, 1, 0) != 0)
            return r;
        nap(1000);
    }
}

/* Nothing is asked for: what is there to be had? That is waited for, as by the kernel. */
static ssize_t
recv_nothing(int fd, uint32_t e, struct msghdr *m, int flags)
{
    char c;
    struct iovec v = {.iov_base = &c, .iov_len = 1};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t r = until_some(fd, e, &h, flags | MSG_PEEK);
    m->msg_namelen = 0;
    m->msg_controllen = 0;
    m->msg_flags = 0;
    return r < 0 ? r : 0;
}

ssize_t
shim_recvmsg(int fd, uint32_t e, struct msghdr *m, int flags)
{
    bool drop = (flags & MSG_TRUNC) && !(e & E_DGRAM); /* what comes: no memory is needed */
    if (is_wild(m, 1) || (!drop && any_wild(m->msg_iov, m->msg_iovlen)))
        return fails(EFAULT);
    if (!(e & E_DGRAM) && (m->msg_iovlen == 0 || (m->msg_iovlen == 1 && !m->msg_iov->iov_len)))
        return recv_nothing(fd, e, m, flags);
    if (!(flags & MSG_WAITALL) || (flags & (MSG_DONTWAIT | MSG_OOB)) || (e & E_DGRAM) ||
        !may_block(fd))
        return until_some(fd, e, m, flags);
    return flags & MSG_PEEK ? peek_all(fd, e, m, flags) : until_all(fd, e, m, flags);
}

ssize_t
shim_recv(int fd, uint32_t e, void *buf, size_t len, int flags)
{
    struct iovec v = {.iov_base = buf, .iov_len = len};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
    return shim_recvmsg(fd, e, &h, flags);
}

/* ---- the calls ---- */

/* Of nothing, read says at once that it was read. */
static ssize_t
read_ours(int fd, uint32_t e, void *buf, size_t len)
{
    return len > 0 ? shim_recv(fd, e, buf, len, 0) : 0;
}

EXPORT ssize_t
read(int fd, void *buf, size_t len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? read_ours(fd, e, buf, len) : REAL(read)(fd, buf, len);
}

EXPORT ssize_t
recv(int fd, void *buf, size_t len, int flags)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? shim_recv(fd, e, buf, len, flags)
                             : REAL(recv)(fd, buf, len, flags);
}

static ssize_t
readv_ours(int fd, uint32_t e, const struct iovec *v, int n, int flags)
{
    struct msghdr h = {.msg_iov = (void *)(uintptr_t)v, .msg_iovlen = (size_t)n};
    size_t all = 0;
    if (n < 0 || n > IOV_MAX)
        return fails(EINVAL);
    for (int i = 0; i < n; i++)
        all += v[i].iov_len;
    return all > 0 ? shim_recvmsg(fd, e, &h, flags) : 0;
}

EXPORT ssize_t
readv(int fd, const struct iovec *v, int n)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? readv_ours(fd, e, v, n, 0) : REAL(readv)(fd, v, n);
}

EXPORT ssize_t
preadv2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    uint32_t e = entry(fd);
    if (!is_ours_at(fd, e) || at != -1) /* a place in a socket: the kernel says ESPIPE */
        return REAL(preadv2)(fd, v, n, at, flags);
    return readv_ours(fd, e, v, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

static ssize_t
recvfrom_ours(int fd, uint32_t e, void *buf, size_t len, int flags, struct sockaddr *sa,
              socklen_t *salen)
{
    struct iovec v = {.iov_base = buf, .iov_len = len};
    struct msghdr h = {.msg_name = salen != NULL ? sa : NULL,
                       .msg_namelen = sa != NULL && salen != NULL ? *salen : 0,
                       .msg_iov = &v,
                       .msg_iovlen = 1};
    ssize_t r = shim_recvmsg(fd, e, &h, flags);
    if (r >= 0 && sa != NULL && salen != NULL)
        *salen = h.msg_namelen;
    return r;
}

EXPORT ssize_t
recvfrom(int fd, void *buf, size_t len, int flags, __SOCKADDR_ARG addr, socklen_t *addrlen)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? recvfrom_ours(fd, e, buf, len, flags, addr.__sockaddr__, addrlen)
                             : REAL(recvfrom)(fd, buf, len, flags, addr.__sockaddr__, addrlen);
}

EXPORT ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e)                              ? shim_recvmsg(fd, e, m, flags)
           : UNLIKELY(m != NULL && m->msg_controllen > 0) ? rights_recvmsg(fd, m, flags)
                                                          : REAL(recvmsg)(fd, m, flags);
}

/* As in the kernel, the time is looked at only between datagrams. */
static int
recvmmsg_ours(int fd, uint32_t e, struct mmsghdr *v, unsigned n, int flags,
              const struct timespec *timeout)
{
    struct timespec end, now;
    unsigned done = 0;
    int one = flags & ~MSG_WAITFORONE;
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (timeout != NULL &&
        (timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec >= 1000000000))
        return fails(EINVAL);
    if (timeout != NULL) {
        end.tv_sec += timeout->tv_sec + (end.tv_nsec + timeout->tv_nsec) / 1000000000;
        end.tv_nsec = (end.tv_nsec + timeout->tv_nsec) % 1000000000;
    }
    while (done < n && done < 1024) {
        ssize_t r = shim_recvmsg(fd, e, &v[done].msg_hdr, one);
        if (r < 0)
            return done > 0 ? (int)done : -1;
        v[done++].msg_len = (unsigned)r;
        if (flags & MSG_WAITFORONE)
            one |= MSG_DONTWAIT;
        if (timeout == NULL)
            continue;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec))
            break;
    }
    return (int)done;
}

EXPORT int
recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? recvmmsg_ours(fd, e, v, n, flags, timeout)
                             : REAL(recvmmsg)(fd, v, n, flags, timeout);
}

OWN_IS(read);
OWN_IS(recv);
OWN_IS(recvfrom);
EXPORT extern __typeof(preadv2) preadv64v2 __attribute__((ALIAS(preadv2)));
