/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recv.c: the calls that receive. The client library is asked without blocking; if there is
 * nothing, the thread waits in the kernel on the stand-in and asks again.
 */
#include "shim.h"

/* Room for all that the stack says beside a datagram. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +
               2 * CMSG_SPACE(sizeof(int))];
};

/* An AF_INET6 socket is told its own address in that family. */
static void
give_control(struct msghdr *m, size_t room, struct msghdr *got)
{
    m->msg_controllen = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(got); c != NULL; c = CMSG_NXTHDR(got, c)) {
        struct in_pktinfo info;
        struct in6_pktinfo info6 = {0};
        if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO) {
            put_control(m, room, c->cmsg_level, c->cmsg_type, CMSG_DATA(c),
                        c->cmsg_len - CMSG_LEN(0));
            continue;
        }
        memcpy(&info, CMSG_DATA(c), sizeof info);
        info6.ipi6_addr.s6_addr[10] = info6.ipi6_addr.s6_addr[11] = 0xff;
        memcpy(&info6.ipi6_addr.s6_addr[12], &info.ipi_addr, 4);
        info6.ipi6_ifindex = (unsigned)info.ipi_ifindex;
        put_control(m, room, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
    }
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
    m->msg_namelen = h.msg_namelen > 0 && m->msg_name != NULL
                         ? addr_make(e, &sin, (struct sockaddr_storage *)m->msg_name)
                         : 0;
    give_control(m, m->msg_control != NULL ? m->msg_controllen : 0, &h);
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
        if (r >= 0 && (e & E_DGRAM))
            settle(e); /* it is known by its port here: what it answers is of the stack, too */
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
    m->msg_namelen = 0;
    m->msg_controllen = 0;
    m->msg_flags = 0;
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

static ssize_t
recv_any(int fd, uint32_t e, struct msghdr *m, int flags)
{
    if (flags & MSG_ERRQUEUE) /* nothing is ever there; the kernel asks this first */
        return fails(EAGAIN);
    if (e & E_DGRAM)
        flags &= ~MSG_OOB; /* which means nothing to it */
    if (!(e & E_DGRAM) && (m->msg_iovlen == 0 || (m->msg_iovlen == 1 && !m->msg_iov->iov_len)))
        return recv_nothing(fd, e, m, flags);
    if (!(flags & MSG_WAITALL) || (flags & (MSG_DONTWAIT | MSG_OOB)) || (e & E_DGRAM) ||
        !may_block(fd))
        return until_some(fd, e, m, flags);
    return flags & MSG_PEEK ? peek_all(fd, e, m, flags) : until_all(fd, e, m, flags);
}

/* There is no memory: what is said to that depends on whether something came. A datagram is
 * lost. */
static ssize_t
recv_nowhere(int fd, uint32_t e, int flags)
{
    char c;
    struct iovec v = {.iov_base = &c, .iov_len = 1};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t r = until_some(fd, e, &h, e & E_DGRAM ? flags : flags | MSG_PEEK);
    return r > 0 ? fails(EFAULT) : r;
}

/* Something about its memory is odd: what can be used is. */
static __attribute__((noinline)) ssize_t
recv_odd(int fd, uint32_t e, struct msghdr *m, int flags)
{
    struct iovec v[IOV_MAX];
    struct msghdr h = *m;
    if (wild_cut(m->msg_iov, m->msg_iovlen, true, v, &h.msg_iovlen) == 0)
        return recv_nowhere(fd, e, flags);
    h.msg_iov = v;
    ssize_t r = recv_any(fd, e, &h, flags);
    h.msg_iov = m->msg_iov;
    h.msg_iovlen = m->msg_iovlen;
    *m = h;
    return r >= 0 && (e & E_DGRAM) && (h.msg_flags & MSG_TRUNC) ? fails(EFAULT) : r;
}

/* What m has can be used but for the memory of its vector; a name has room for any. */
static ssize_t
shim_recvmsg(int fd, uint32_t e, struct msghdr *m, int flags)
{
    bool drop = (flags & MSG_TRUNC) && !(e & E_DGRAM); /* what comes: no memory is needed */
    return !drop && any_wild(m->msg_iov, m->msg_iovlen, true) ? recv_odd(fd, e, m, flags)
                                                              : recv_any(fd, e, m, flags);
}

ssize_t
shim_recv(int fd, uint32_t e, void *buf, size_t len, int flags)
{
    struct iovec v = {.iov_base = buf, .iov_len = len < WILD_MOST ? len : WILD_MOST};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
    return is_beyond(buf, v.iov_len) ? fails(EFAULT) : shim_recvmsg(fd, e, &h, flags);
}

/* ---- the calls ---- */

/* Of nothing, read says at once that it was read. */
static ssize_t
read_ours(int fd, uint32_t e, void *buf, size_t len)
{
    if (is_beyond(buf, len))
        return fails(EFAULT);
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
    bool some;
    int err = wild_list(v, n, &some);
    return err != 0 ? fails(err) : some ? shim_recvmsg(fd, e, &h, flags) : 0;
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
    if (flags & ~RWF_SOCKET)
        return fails(EOPNOTSUPP);
    return readv_ours(fd, e, v, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

static ssize_t
recvfrom_ours(int fd, uint32_t e, void *buf, size_t len, int flags, struct sockaddr *sa,
              socklen_t *salen)
{
    struct sockaddr_storage ss;
    struct iovec v = {.iov_base = buf, .iov_len = len < WILD_MOST ? len : WILD_MOST};
    struct msghdr h = {
        .msg_name = &ss, .msg_namelen = sizeof ss, .msg_iov = &v, .msg_iovlen = 1};
    if (sa == NULL)
        return shim_recv(fd, e, buf, len, flags);
    if (is_beyond(buf, v.iov_len))
        return fails(EFAULT);
    ssize_t r = shim_recvmsg(fd, e, &h, flags);
    int err = r >= 0 ? addr_put(&ss, h.msg_namelen, sa, salen) : 0;
    return err != 0 ? fails(err) : r;
}

EXPORT ssize_t
recvfrom(int fd, void *buf, size_t len, int flags, __SOCKADDR_ARG addr, socklen_t *addrlen)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? recvfrom_ours(fd, e, buf, len, flags, addr.__sockaddr__, addrlen)
                             : REAL(recvfrom)(fd, buf, len, flags, addr.__sockaddr__, addrlen);
}

static ssize_t
recvmsg_ours(int fd, uint32_t e, struct msghdr *m, int flags)
{
    struct sockaddr_storage ss;
    struct msghdr h;
    int err = wild_header(&h, m, false);
    if (err != 0)
        return fails(err);
    if (h.msg_name != NULL) {
        h.msg_name = &ss;
        h.msg_namelen = sizeof ss;
    }
    if (wild_to_write(h.msg_control, h.msg_controllen))
        h.msg_control = NULL;
    ssize_t r = shim_recvmsg(fd, e, &h, flags);
    if (r < 0)
        return r;
    m->msg_flags = h.msg_flags;
    m->msg_controllen = h.msg_controllen;
    err = m->msg_name != NULL ? addr_put(&ss, h.msg_namelen, m->msg_name, &m->msg_namelen) : 0;
    return err != 0 ? fails(err) : r;
}

EXPORT ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
    uint32_t e = entry(fd);
    if (is_ours_at(fd, e))
        return recvmsg_ours(fd, e, m, flags);
    return !wild_to_write(m, sizeof *m) && UNLIKELY(m->msg_controllen > 0)
               ? rights_recvmsg(fd, m, flags)
               : REAL(recvmsg)(fd, m, flags);
}

/* What is left until then; none if that is over. */
static struct timespec
time_left(const struct timespec *end)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t s = end->tv_sec - now.tv_sec;
    long ns = end->tv_nsec - now.tv_nsec;
    if (ns < 0) {
        ns += 1000000000;
        s--;
    }
    return s < 0 ? (struct timespec){0} : (struct timespec){.tv_sec = s, .tv_nsec = ns};
}

/* 0 or errno; *end: when it is over. */
static int
take_timeout(const struct timespec *timeout, struct timespec *end)
{
    if (timeout == NULL)
        return 0;
    if (wild_to_read(timeout, sizeof *timeout))
        return EFAULT;
    if (timeout->tv_sec < 0 || (unsigned long)timeout->tv_nsec >= 1000000000)
        return EINVAL;
    clock_gettime(CLOCK_MONOTONIC, end);
    long ns = end->tv_nsec + timeout->tv_nsec;
    end->tv_sec +=
        (timeout->tv_sec < INT32_MAX ? timeout->tv_sec : INT32_MAX) + ns / 1000000000;
    end->tv_nsec = ns % 1000000000;
    return 0;
}

/* As in the kernel, the time is looked at only between datagrams. */
static int
recvmmsg_ours(int fd, uint32_t e, struct mmsghdr *v, unsigned n, int flags,
              struct timespec *timeout)
{
    struct timespec end, left;
    unsigned done = 0;
    int one = flags & ~MSG_WAITFORONE, err = take_timeout(timeout, &end);
    if (err != 0)
        return fails(err);
    while (done < n && done < IOV_MAX) {
        ssize_t r = wild_to_write(&v[done], sizeof *v)
                        ? fails(EFAULT)
                        : recvmsg_ours(fd, e, &v[done].msg_hdr, one);
        if (r < 0)
            return done > 0 ? (int)done : -1;
        v[done++].msg_len = (unsigned)r;
        if (flags & MSG_WAITFORONE)
            one |= MSG_DONTWAIT;
        if (timeout == NULL)
            continue;
        left = time_left(&end);
        if (wild_to_write(timeout, sizeof *timeout))
            return fails(EFAULT);
        *timeout = left;
        if (left.tv_sec == 0 && left.tv_nsec == 0)
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
OWN_IS(preadv2);
OWN_IS(readv);
OWN_IS(recvmmsg);
OWN_IS(recvmsg);
EXPORT extern __typeof(preadv2) preadv64v2 __attribute__((ALIAS(preadv2)));
