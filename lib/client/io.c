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

static void
put_pktinfo(struct msghdr *h, const struct meta *m)
{
    struct in_pktinfo info = {.ipi_spec_dst = m->local, .ipi_addr = m->local};
    if (h->msg_control == NULL || h->msg_controllen < CMSG_SPACE(sizeof info)) {
        h->msg_controllen = 0;
        h->msg_flags |= MSG_CTRUNC;
        return;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    memset(c, 0, CMSG_SPACE(sizeof info));
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    h->msg_controllen = CMSG_SPACE(sizeof info);
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
    h->msg_flags = m.out_flags;
    if (m.has_name)
        addr_copy(h->msg_name, &h->msg_namelen, &name);
    else
        h->msg_namelen = 0;
    if (m.has_name && s->pktinfo)
        put_pktinfo(h, &m);
    else
        h->msg_controllen = 0;
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
