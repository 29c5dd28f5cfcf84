/* SPDX-License-Identifier: BSD-2-Clause
 *
 * send.c: the calls that send. The client library takes what there is room for; if that was not
 * all and the call may block, the thread waits in the kernel on the stand-in and goes on.
 */
#include "shim.h"

/* The connection is over: for the kernel's socket that can be seen at once. The transport shows
 * it, too, a moment later. */
static void
show_end(uint32_t e)
{
    struct pollfd p = {.fd = bh_of(e), .events = POLLIN};
    int err = errno;
    if (bh_poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0)
        (void)REAL(shutdown)(standin_via, SHUT_RD);
    errno = err;
}

ssize_t
send_failed(uint32_t e, size_t done, int flags)
{
    if (done > 0)
        return (ssize_t)done;
    if ((errno == EPIPE || errno == ECONNRESET) && !(e & E_DGRAM))
        show_end(e);
    if (errno == EPIPE && !(e & E_DGRAM) && !(flags & MSG_NOSIGNAL)) {
        if (!share_confined) /* which may not be allowed, and is ignored by such programs */
            raise(SIGPIPE);
        errno = EPIPE;
    }
    return -1;
}

/* All of a piece, from byte `from` on. What was sent of it; less: errno says why. */
static size_t
send_piece(int fd, uint32_t e, const struct iovec *v, size_t from, int flags)
{
    unsigned tries = 0;
    while (from < v->iov_len) {
        ssize_t r = bh_send(bh_of(e), (const char *)v->iov_base + from, v->iov_len - from,
                            flags | MSG_DONTWAIT);
        if (r > 0)
            from += (size_t)r;
        if (r >= 0)
            continue;
        int err = errno != EAGAIN        ? errno
                  : flags & MSG_DONTWAIT ? EAGAIN
                                         : wait_write(fd, &tries);
        if (err != 0) {
            errno = err;
            break;
        }
    }
    return from;
}

/* The rest of a message to a stream, of which `done` bytes are sent. */
static ssize_t
send_rest(int fd, uint32_t e, const struct msghdr *m, size_t done, int flags)
{
    size_t skip = done;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        const struct iovec *v = &m->msg_iov[i];
        size_t from = skip < v->iov_len ? skip : v->iov_len;
        skip -= from;
        size_t to = send_piece(fd, e, v, from, flags);
        done += to - from;
        if (to < v->iov_len)
            return send_failed(e, done, flags);
    }
    return (ssize_t)done;
}

static ssize_t
send_stream(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    struct msghdr h = {.msg_iov = m->msg_iov, .msg_iovlen = m->msg_iovlen};
    size_t all = 0;
    if (flags & MSG_FASTOPEN) {
        SAY("MSG_FASTOPEN was refused");
        return fails(EOPNOTSUPP);
    }
    for (size_t i = 0; i < m->msg_iovlen; i++)
        all += m->msg_iov[i].iov_len;
    ssize_t r = bh_sendmsg(bh_of(e), &h, flags | MSG_DONTWAIT);
    if (r < 0 && errno != EAGAIN)
        return send_failed(e, 0, flags);
    if (r == (ssize_t)all)
        return r;
    return send_rest(fd, e, m, r > 0 ? (size_t)r : 0, flags);
}

ssize_t
send_whole(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    unsigned tries = 0;
    for (;;) {
        ssize_t r = bh_sendmsg(bh_of(e), m, flags | MSG_DONTWAIT);
        if (r >= 0 || errno != EAGAIN || (flags & MSG_DONTWAIT))
            return r;
        int err = wait_write(fd, &tries);
        if (err != 0)
            return fails(err);
    }
}

static ssize_t
send_dgram(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    struct sockaddr_in sin;
    struct msghdr h = *m;
    int err;
    if (m->msg_name != NULL && m->msg_namelen > 0) {
        switch (addr_take(e, m->msg_name, m->msg_namelen, false, &sin, &err)) {
        case WHERE_KERNEL:
            if ((e & E_SETTLED) && addr_is_loopback(&sin))
                return fails(ENETUNREACH); /* on the stack somebody else is there */
            if (e & E_SETTLED)
                break;
            err = become_kernel(fd, e);
            return err != 0 ? fails(err) : REAL(sendmsg)(fd, m, flags);
        case WHERE_REFUSED:
            return fails(err);
        default:
            if (addr_is_loopback(&sin))
                (void)share_be_found(bh_of(e));
            break;
        }
        h.msg_name = &sin;
        h.msg_namelen = sizeof sin;
    }
    settle(e);
    h.msg_control = NULL;
    h.msg_controllen = 0;
    return UNLIKELY((flags & MSG_MORE) || more_any()) ? more_send(fd, e, &h, flags)
                                                      : send_whole(fd, e, &h, flags);
}

static ssize_t
send_any(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    int err = UNLIKELY(m->msg_controllen > 0) ? control_refused(e, m) : 0;
    if (err != 0)
        return fails(err);
    return e & E_DGRAM ? send_dgram(fd, e, m, flags) : send_stream(fd, e, m, flags);
}

/* Something about its memory is odd. */
static __attribute__((noinline)) ssize_t
send_odd(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    struct iovec v[IOV_MAX];
    struct msghdr h = *m;
    wild_cut(m->msg_iov, m->msg_iovlen, false, v, &h.msg_iovlen);
    h.msg_iov = v;
    return any_wild(v, h.msg_iovlen, false) ? fails(EFAULT) : send_any(fd, e, &h, flags);
}

static ssize_t
shim_sendmsg(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    return any_wild(m->msg_iov, m->msg_iovlen, false) ? send_odd(fd, e, m, flags)
                                                      : send_any(fd, e, m, flags);
}

static ssize_t
sendto_ours(int fd, uint32_t e, const void *buf, size_t len, int flags,
            const struct sockaddr *sa, socklen_t salen)
{
    struct iovec v = {.iov_base = (void *)(uintptr_t)buf,
                      .iov_len = len < WILD_MOST ? len : WILD_MOST};
    struct msghdr h = {.msg_name = (void *)(uintptr_t)sa,
                       .msg_namelen = sa != NULL ? salen : 0,
                       .msg_iov = &v,
                       .msg_iovlen = 1};
    if (is_beyond(buf, v.iov_len))
        return fails(EFAULT);
    if (sa != NULL) {
        /* An address of no bytes is one, and too short. */
        if (salen > sizeof(struct sockaddr_storage) || (salen == 0 && (e & E_DGRAM)))
            return fails(EINVAL);
        if (wild_to_read(sa, salen))
            return fails(EFAULT);
    }
    return shim_sendmsg(fd, e, &h, flags);
}

ssize_t
shim_send(int fd, uint32_t e, const void *buf, size_t len, int flags)
{
    return sendto_ours(fd, e, buf, len, flags, NULL, 0);
}

/* ---- the calls ---- */

static ssize_t
write_ours(int fd, uint32_t e, const void *buf, size_t len)
{
    return is_beyond(buf, len) ? fails(EFAULT) : shim_send(fd, e, buf, len, 0);
}

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? write_ours(fd, e, buf, len) : REAL(write)(fd, buf, len);
}

EXPORT ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? shim_send(fd, e, buf, len, flags)
                             : REAL(send)(fd, buf, len, flags);
}

static ssize_t
writev_ours(int fd, uint32_t e, const struct iovec *v, int n, int flags)
{
    struct msghdr h = {.msg_iov = (void *)(uintptr_t)v, .msg_iovlen = (size_t)n};
    bool some;
    int err = wild_list(v, n, &some);
    /* Of nothing there is no empty datagram. */
    return err != 0 ? fails(err) : some ? shim_sendmsg(fd, e, &h, flags) : 0;
}

EXPORT ssize_t
writev(int fd, const struct iovec *v, int n)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? writev_ours(fd, e, v, n, 0) : REAL(writev)(fd, v, n);
}

EXPORT ssize_t
pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
    uint32_t e = entry(fd);
    if (!is_ours_at(fd, e) || at != -1)
        return REAL(pwritev2)(fd, v, n, at, flags);
    if (flags & ~RWF_SOCKET)
        return fails(EOPNOTSUPP);
    return writev_ours(fd, e, v, n, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

EXPORT ssize_t
sendto(int fd, const void *buf, size_t len, int flags, __CONST_SOCKADDR_ARG addr,
       socklen_t addrlen)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? sendto_ours(fd, e, buf, len, flags, addr.__sockaddr__, addrlen)
                             : REAL(sendto)(fd, buf, len, flags, addr.__sockaddr__, addrlen);
}

static ssize_t
sendmsg_ours(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    struct msghdr h;
    int err = wild_header(&h, m, true);
    return err != 0 ? fails(err) : shim_sendmsg(fd, e, &h, flags);
}

EXPORT ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
    uint32_t e = entry(fd);
    if (is_ours_at(fd, e))
        return sendmsg_ours(fd, e, m, flags);
    return !wild_to_read(m, sizeof *m) && UNLIKELY(m->msg_controllen > 0)
               ? rights_sendmsg(fd, m, flags)
               : REAL(sendmsg)(fd, m, flags);
}

EXPORT int
sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
    uint32_t e = entry(fd);
    if (!is_ours_at(fd, e))
        return REAL(sendmmsg)(fd, v, n, flags);
    unsigned done = 0;
    while (done < n && done < 1024) {
        e = entry(fd); /* it may have become the kernel's */
        ssize_t r = wild_to_write(&v[done], sizeof *v) ? fails(EFAULT)
                    : is_ours_at(fd, e) ? sendmsg_ours(fd, e, &v[done].msg_hdr, flags)
                                        : REAL(sendmsg)(fd, &v[done].msg_hdr, flags);
        if (r < 0)
            return done > 0 ? (int)done : -1;
        v[done++].msg_len = (unsigned)r;
    }
    return (int)done;
}

OWN_IS(write);
OWN_IS(pwritev2);
OWN_IS(sendmmsg);
OWN_IS(sendmsg);
OWN_IS(sendto);
OWN_IS(writev);
EXPORT extern __typeof(pwritev2) pwritev64v2 __attribute__((ALIAS(pwritev2)));
