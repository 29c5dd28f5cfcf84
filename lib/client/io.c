/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io.c: send and receive in all their forms, on top of stream.c and dgram.c.
 */
#include "private.h"

/* ---- send ---- */

/* The only control message that can be meant is IP_PKTINFO, which chooses the source: the
 * stack has one address, so there is nothing to choose. */
static int
check_control(const struct msghdr *h)
{
    if (h->msg_control == NULL || h->msg_controllen == 0)
        return 0;
    struct msghdr copy = *h;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c != NULL; c = CMSG_NXTHDR(&copy, c))
        if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
            return EINVAL;
    return 0;
}

static ssize_t
do_send(struct lib *l, struct sock *s, const struct msghdr *h, int flags)
{
    struct cursor k;
    struct sockaddr_in name;
    struct meta m = {.name = &name};
    int err = cursor_init(&k, h->msg_iov, h->msg_iovlen);
    if (err == 0)
        err = check_control(h);
    if (err != 0)
        return -err;
    l->sent = true;
    if (sock_is_stream(s)) /* an address is ignored, as by the kernel once connected */
        return stream_send(l, s, &k, flags);
    if (h->msg_name != NULL && h->msg_namelen > 0) {
        if (h->msg_namelen < sizeof name)
            return -EINVAL;
        memcpy(&name, h->msg_name, sizeof name);
        if (name.sin_family == AF_UNSPEC)
            name.sin_family = AF_INET;
        m.has_name = true;
    }
    return dgram_send(l, s, &k, flags, &m);
}

ssize_t
bh_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    WITH_SOCK(ssize_t, fd, RIGHT_SEND, do_send(l, s, msg, flags));
}

ssize_t
bh_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
          socklen_t tolen)
{
    struct iovec v = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    struct msghdr h = {.msg_name = (void *)(uintptr_t)to,
                       .msg_namelen = to != NULL ? tolen : 0,
                       .msg_iov = &v,
                       .msg_iovlen = 1};
    return bh_sendmsg(fd, &h, flags);
}

ssize_t
bh_send(int fd, const void *buf, size_t len, int flags)
{
    return bh_sendto(fd, buf, len, flags, NULL, 0);
}

ssize_t
bh_write(int fd, const void *buf, size_t len)
{
    return bh_send(fd, buf, len, 0);
}

ssize_t
bh_writev(int fd, const struct iovec *iov, int n)
{
    struct msghdr h = {.msg_iov = (void *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    if (n < 0)
        return ret_errno(-EINVAL);
    return bh_sendmsg(fd, &h, 0);
}

static int
do_sendmmsg(struct lib *l, struct sock *s, struct mmsghdr *msgs, unsigned n, int flags)
{
    unsigned done = 0;
    while (done < n) {
        ssize_t r = do_send(l, s, &msgs[done].msg_hdr, flags);
        if (r < 0)
            return done > 0 ? (int)done : (int)r;
        msgs[done++].msg_len = (unsigned)r;
    }
    return (int)done;
}

int
bh_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    n = n < 1024 ? n : 1024;
    WITH_SOCK(int, fd, RIGHT_SEND, do_sendmmsg(l, s, msgs, n, flags));
}

/* ---- receive ---- */

void
put_control(struct msghdr *h, size_t room, int level, int type, const void *data, size_t n)
{
    struct cmsghdr c = {.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(n)};
    size_t left = room - h->msg_controllen;
    if (h->msg_control == NULL || left < sizeof c) {
        h->msg_flags |= MSG_CTRUNC;
        return;
    }
    if (c.cmsg_len > left) {
        h->msg_flags |= MSG_CTRUNC;
        c.cmsg_len = left;
    }
    char *to = (char *)h->msg_control + h->msg_controllen;
    memcpy(to, &c, sizeof c);
    memcpy(to + CMSG_LEN(0), data, c.cmsg_len - CMSG_LEN(0));
    h->msg_controllen += CMSG_SPACE(n) < left ? CMSG_SPACE(n) : left;
}

/* By the clock of the day. */
static struct timespec
came_at(const struct lib *l, const struct meta *m)
{
    struct timespec ts;
    ns_t now = lib_now(l), age = m->when != 0 && m->when < now ? now - m->when : 0;
    clock_gettime(CLOCK_REALTIME, &ts);
    ns_t at = (ns_t)ts.tv_sec * NS_S + (ns_t)ts.tv_nsec - age;
    return (struct timespec){.tv_sec = (time_t)(at / NS_S), .tv_nsec = (long)(at % NS_S)};
}

/* In the kernel's order. */
static void
put_said(const struct lib *l, const struct sock *s, struct msghdr *h, size_t room,
         const struct meta *m)
{
    struct in_pktinfo info = {.ipi_spec_dst = m->local, .ipi_addr = m->local};
    struct timespec ts = {0};
    int ttl = m->ttl;
    if (s->said & (SAID_TIME | SAID_TIME_NS))
        ts = came_at(l, m);
    struct timeval tv = {.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    if (s->said & SAID_TIME)
        put_control(h, room, SOL_SOCKET, SO_TIMESTAMP, &tv, sizeof tv);
    if (s->said & SAID_TIME_NS)
        put_control(h, room, SOL_SOCKET, SO_TIMESTAMPNS, &ts, sizeof ts);
    if (s->said & SAID_PKTINFO)
        put_control(h, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    if (s->said & SAID_TTL)
        put_control(h, room, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    if (s->said & SAID_TOS)
        put_control(h, room, IPPROTO_IP, IP_TOS, &m->tos, sizeof m->tos);
}

static ssize_t
do_recv(struct lib *l, struct sock *s, struct msghdr *h, int flags)
{
    struct cursor k;
    struct sockaddr_in name;
    struct meta m = {.name = &name};
    int err = cursor_init(&k, h->msg_iov, h->msg_iovlen);
    if (err != 0)
        return -err;
    h->msg_flags = 0;
    ssize_t r =
        sock_is_stream(s) ? stream_recv(l, s, &k, flags) : dgram_recv(l, s, &k, flags, &m);
    if (r < 0)
        return r;
    l->took = true;
    h->msg_flags = m.out_flags;
    if (m.has_name)
        addr_copy(h->msg_name, &h->msg_namelen, &name);
    else
        h->msg_namelen = 0;
    size_t room = h->msg_controllen;
    h->msg_controllen = 0;
    if (m.has_name && s->said != 0)
        put_said(l, s, h, room, &m);
    return r;
}

ssize_t
bh_recvmsg(int fd, struct msghdr *msg, int flags)
{
    WITH_SOCK(ssize_t, fd, RIGHT_RECEIVE, do_recv(l, s, msg, flags));
}

ssize_t
bh_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen)
{
    struct iovec v = {.iov_base = buf, .iov_len = len};
    struct msghdr h = {.msg_name = fromlen != NULL ? from : NULL,
                       .msg_namelen = from != NULL && fromlen != NULL ? *fromlen : 0,
                       .msg_iov = &v,
                       .msg_iovlen = 1};
    ssize_t r = bh_recvmsg(fd, &h, flags);
    if (r >= 0 && from != NULL && fromlen != NULL)
        *fromlen = h.msg_namelen;
    return r;
}

ssize_t
bh_recv(int fd, void *buf, size_t len, int flags)
{
    return bh_recvfrom(fd, buf, len, flags, NULL, NULL);
}

ssize_t
bh_read(int fd, void *buf, size_t len)
{
    return bh_recv(fd, buf, len, 0);
}

ssize_t
bh_readv(int fd, const struct iovec *iov, int n)
{
    struct msghdr h = {.msg_iov = (void *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    if (n < 0)
        return ret_errno(-EINVAL);
    return bh_recvmsg(fd, &h, 0);
}

static int
do_recvmmsg(struct lib *l, struct sock *s, struct mmsghdr *msgs, unsigned n, int flags,
            ns_t deadline)
{
    unsigned done = 0;
    int one = flags & ~MSG_WAITFORONE;
    while (done < n) {
        ssize_t r = do_recv(l, s, &msgs[done].msg_hdr, one);
        if (r < 0)
            return done > 0 ? (int)done : (int)r;
        msgs[done++].msg_len = (unsigned)r;
        if (flags & MSG_WAITFORONE)
            one |= MSG_DONTWAIT;
        /* As in the kernel, the time is looked at only between datagrams. */
        if (deadline != NS_NEVER && lib_now(l) >= deadline)
            break;
    }
    return (int)done;
}

int
bh_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout)
{
    n = n < 1024 ? n : 1024;
    if (timeout != NULL &&
        (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= (long)NS_S))
        return (int)ret_errno(-EINVAL);
    WITH_SOCK(int, fd, RIGHT_RECEIVE,
              do_recvmmsg(l, s, msgs, n, flags,
                          timeout == NULL ? NS_NEVER
                                          : lib_now(l) + (ns_t)timeout->tv_sec * NS_S +
                                                (ns_t)timeout->tv_nsec));
}
