/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sock.c: the calls that make, connect and end sockets.
 */
#include "private.h"

int
open_from(struct lib *l, struct att *a, uint64_t creator, uint32_t rights, bool nonblock)
{
    struct sess_req r = {.op = REQ_SOCKET, .handle = creator};
    struct sess_evt e;
    own_of(a)->users++;
    lib_drain(l); /* slots that are free meanwhile are given back first */
    int err = request(l, a, &r, &e);
    struct sock *s = NULL;
    int fd = -err;
    if (err == 0 && (s = sock_adopt(a, e.slot, e.handle)) == NULL)
        fd = -EPROTO;
    if (s != NULL) {
        s->rights = rights & ~(uint32_t)RIGHT_OPEN;
        s->nonblock = nonblock;
        fd = table_add(l, s);
        if (fd < 0)
            sock_end(l, s);
    }
    own_of(a)->users--;
    att_free_if_unused(a);
    return fd;
}

static int
open_sock(struct lib *l, int proto, bool nonblock)
{
    if (l->given_up[att_index(proto)])
        return -EACCES;
    struct att *a = att_get(l, proto);
    return a != NULL ? open_from(l, a, SESS_CREATOR, RIGHT_ALL, nonblock) : -errno;
}

int
proto_of(int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    int proto = kind == SOCK_STREAM ? IPPROTO_TCP : kind == SOCK_DGRAM ? IPPROTO_UDP : 0;
    if (domain != AF_INET)
        return -EAFNOSUPPORT;
    if (proto == 0)
        return kind == SOCK_RAW || kind == SOCK_SEQPACKET ? -ESOCKTNOSUPPORT : -EINVAL;
    return protocol != 0 && protocol != proto ? -EPROTONOSUPPORT : proto;
}

int
bh_socket(int domain, int type, int protocol)
{
    int r = proto_of(domain, type, protocol);
    if (r >= 0) {
        struct lib *l = lib_lock();
        r = open_sock(l, r, (type & SOCK_NONBLOCK) != 0);
        lib_unlock(l);
    }
    return (int)ret_errno(r);
}

static int
do_bind(struct lib *l, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
    struct sess_req r = {.op = REQ_BIND};
    struct sess_evt e;
    int err = addr_in(sa, len, &r.addr, &r.port);
    if (err == 0)
        err = sock_request(l, s, &r, &e);
    if (err == 0)
        name_heard(s, &e);
    return -err;
}

int
bh_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    WITH_SOCK(int, fd, 0u, do_bind(l, s, addr, len));
}

/* ---- connect ---- */

static int
connect_dgram(struct lib *l, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
    struct sess_req r = {.op = REQ_CONNECT};
    struct sess_evt e;
    bool dissolve = sa != NULL && len >= sizeof sa->sa_family && sa->sa_family == AF_UNSPEC;
    int err = dissolve ? 0 : addr_in(sa, len, &r.addr, &r.port);
    if (err == 0)
        err = dgram_request(l, s, &r, &e);
    if (err == 0) {
        s->connected = !dissolve;
        s->peer = r.addr;
        s->peer_port = r.port;
        name_heard(s, &e);
    }
    return -err;
}

/* How the handshake stands: 0 done, EALREADY under way, or why it failed. */
static int
connect_outcome(struct sock *s)
{
    struct look k;
    if (s->att->down)
        return ENETDOWN;
    sock_look(s, &k);
    bool over = (k.state & SLOT_DEAD) || !(k.state & (SLOT_CONNECTED | SLOT_CONNECTING));
    if (k.err != 0 || over || s->gone) {
        s->connecting = false;
        int err = sock_take_err(s, &k);
        return err != 0 ? err : ECONNABORTED; /* somebody took the reason: SO_ERROR */
    }
    if (!(k.state & SLOT_CONNECTED))
        return EALREADY;
    s->connecting = false;
    s->connected = true;
    return 0;
}

/* An attempt that shutdown ended was the last one for who waited for it, who takes its error;
 * once that was taken, connect begins another. */
static void
forget_cut(struct sock *s)
{
    struct look k;
    if (!s->cut)
        return;
    sock_look(s, &k);
    s->connecting = s->connecting && k.err != 0;
    s->cut = false;
}

/* Did this shutdown end an attempt to connect? Then there is nothing that is shut. */
static bool
cut_off(struct sock *s)
{
    struct look k;
    if (!sock_is_stream(s) || !s->connecting)
        return false;
    sock_look(s, &k);
    s->cut = !(k.state & (SLOT_CONNECTED | SLOT_CONNECTING | SLOT_DEAD));
    return s->cut;
}

static int do_shutdown(struct lib *l, struct sock *s, int how);

static int
dissolve(struct lib *l, struct sock *s)
{
    struct look k;
    if (!s->connecting || s->cut)
        return 0;
    sock_look(s, &k);
    if (k.state & SLOT_CONNECTED)
        return -EISCONN;
    int r = do_shutdown(l, s, SHUT_RDWR);
    return r == -ENOTCONN ? 0 : r; /* it has failed already */
}

static int
connect_stream(struct lib *l, struct sock *s, const struct sockaddr *sa, socklen_t len)
{
    struct sess_req r = {.op = REQ_CONNECT};
    struct sess_evt e;
    struct turn t = {0};
    int err, wait_err = EALREADY;
    if (sa == NULL || len < sizeof sa->sa_family || len > sizeof(struct sockaddr_storage))
        return sa == NULL ? -EFAULT : -EINVAL;
    if (s->connected || s->listening) /* whatever the address is */
        return -EISCONN;
    if (sa->sa_family == AF_UNSPEC) /* it dissolves; but not what has carried something */
        return dissolve(l, s);
    forget_cut(s);
    if (!s->connecting) {
        err = addr_in(sa, len, &r.addr, &r.port);
        if (err != 0)
            return -err;
        standin_connects(s, true);
        err = sock_request(l, s, &r, &e);
        if (err != 0) {
            standin_connects(s, false);
            return -err;
        }
        s->connecting = true;
        wait_err = EINPROGRESS;
    }
    /* As the kernel, however near the peer is: who does not wait is told so the first time. */
    bool first = wait_err == EINPROGRESS && s->nonblock;
    while (first || (err = connect_outcome(s)) == EALREADY) {
        int verdict = sock_block(l, s, &t, SLOT_WRITE, s->nonblock, s->sndtimeo);
        if (verdict == EAGAIN) {
            if (first) /* it was made not writable by this call, so what comes is an edge */
                s->missed &= ~SLOT_WRITE;
            return -(t.started ? EINPROGRESS : wait_err);
        }
        if (verdict != 0)
            return -verdict;
    }
    return -err;
}

int
bh_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    WITH_SOCK(int, fd, 0u,
              sock_is_stream(s) ? connect_stream(l, s, addr, len)
                                : connect_dgram(l, s, addr, len));
}

/* ---- listen and accept ---- */

static int
do_listen(struct lib *l, struct sock *s, int backlog)
{
    struct sess_req r = {.op = REQ_LISTEN};
    struct sess_evt e;
    if (!sock_is_stream(s))
        return -EOPNOTSUPP;
    /* As the kernel: a negative backlog is a very large one. */
    r.value = (uint64_t)(backlog < 0 || backlog > 65535 ? 65535 : backlog);
    /* Set before the reply: connections may be announced right behind it. */
    bool was = s->listening;
    s->listening = true;
    int err = sock_request(l, s, &r, &e);
    if (err != 0)
        s->listening = was;
    else
        name_heard(s, &e);
    return -err;
}

int
bh_listen(int fd, int backlog)
{
    WITH_SOCK(int, fd, 0u, do_listen(l, s, backlog));
}

static int
do_accept(struct lib *l, struct sock *s, struct sockaddr *sa, socklen_t *len, int flags)
{
    struct turn t = {0};
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return -EINVAL;
    if (!sock_is_stream(s))
        return -EOPNOTSUPP;
    if (list_empty(&s->accepts))
        lib_drain(l);
    for (;;) {
        if (s->att->down)
            return -ENETDOWN;
        if (call_err(s) != 0)
            return -call_err(s);
        if (!s->listening)
            return -EINVAL;
        if (!list_empty(&s->accepts))
            break;
        int verdict = sock_block(l, s, &t, 0, s->nonblock, s->rcvtimeo);
        if (verdict != 0)
            return -verdict;
    }
    struct sock *n = list_item(s->accepts.next, struct sock, queued);
    int fd = table_add(l, n);
    if (fd < 0)
        return fd;
    list_remove(&n->queued);
    sock_owe(s, OWE_ACCEPTED);
    n->nonblock = (flags & SOCK_NONBLOCK) != 0;
    n->rcvtimeo = s->rcvtimeo;
    n->sndtimeo = s->sndtimeo;
    struct sockaddr_in sin;
    addr_out(&sin, &n->peer, n->peer_port);
    addr_copy(sa, len, &sin);
    return fd;
}

int
bh_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    WITH_SOCK(int, fd, RIGHT_ACCEPT, do_accept(l, s, addr, len, flags));
}

int
bh_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    return bh_accept4(fd, addr, len, 0);
}

/* ---- the end ---- */

void
stop_listening(struct lib *l, struct sock *s)
{
    s->listening = false;
    while (!list_empty(&s->accepts)) {
        struct sock *q = list_item(s->accepts.next, struct sock, queued);
        list_remove(&q->queued);
        sock_end(l, q);
    }
}

static int
do_shutdown(struct lib *l, struct sock *s, int how)
{
    struct sess_req r = {.op = REQ_SHUTDOWN, .value = (uint64_t)how};
    struct sess_evt e;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    /* What another thread is writing comes before the end of the stream. */
    int err = sock_busy(l, s, &s->tx_busy);
    if (err != 0)
        return -err;
    err = sock_request(l, s, &r, &e);
    sock_idle(l, &s->tx_busy);
    /* Of datagrams without a peer it is an error, and in force (lib/udp/session.c). */
    if (err != 0 && (err != ENOTCONN || sock_is_stream(s)))
        return -err;
    if (cut_off(s)) {
        lib_wake_sock(l, s);
        return 0;
    }
    if (how != SHUT_WR && s->listening)
        stop_listening(l, s);
    s->rx_shut = s->rx_shut || how != SHUT_WR;
    s->tx_shut = s->tx_shut || how != SHUT_RD;
    lib_wake_sock(l, s);
    return -err;
}

int
bh_shutdown(int fd, int how)
{
    WITH_SOCK(int, fd, 0u, do_shutdown(l, s, how));
}

/* SO_LINGER: until everything is acknowledged, or the time is over. */
static void
linger(struct lib *l, struct sock *s, uint32_t epoch)
{
    struct att *a = s->att;
    ns_t deadline = lib_now(l) + s->linger * NS_S;
    own_of(a)->users++;
    while (s->epoch == epoch && s->life == SOCK_CLOSING && !a->down) {
        struct waiter w = {.s = s};
        if (lib_wait(l, &w, deadline, NULL, 0) == ETIMEDOUT)
            break;
    }
    own_of(a)->users--;
    att_free_if_unused(a);
}

/* One of several descriptors: the others stay. */
static void
close_one(struct lib *l, struct sock *s, struct desc *d)
{
    struct att *a = s->att;
    uint64_t handle = d->handle;
    desc_close(l, d);
    s->handle = list_item(s->descs.next, struct desc, of)->handle;
    lib_wake_sock(l, s);
    pthread_cond_broadcast(&l->idle);
    tell(l, a, REQ_CLOSE, handle);
}

static int
close_sock(struct lib *l, struct sock *s, struct desc *d)
{
    uint32_t epoch = s->epoch;
    struct att *a = s->att;
    if (s->descs.next->next != &s->descs) {
        close_one(l, s, d);
        return 0;
    }
    bool wait = s->linger_on && s->linger > 0 && s->users == 0 && sock_is_stream(s);
    if (s->listening) /* whom nobody accepted yet ends with it: find out who has come */
        lib_drain(l);
    desc_close(l, d);
    lib_wake_sock(l, s);
    pthread_cond_broadcast(&l->idle);
    own_of(a)->users++; /* the memory of s stays until we are done with it */
    sock_close(l, s);
    if (wait)
        linger(l, s, epoch);
    own_of(a)->users--;
    att_free_if_unused(a);
    return 0;
}

static int
close_creator(struct lib *l, struct desc *d)
{
    struct att *a = d->att;
    uint64_t handle = d->handle;
    if (handle == SESS_CREATOR)
        l->given_up[att_index(a->proto)] = true;
    desc_close(l, d);
    tell(l, a, REQ_CLOSE, handle);
    return 0;
}

static int
do_close(struct lib *l, struct desc *d)
{
    if (d == NULL)
        return -EBADF;
    lib_drain(l); /* whose it is decides how it is closed */
    if (d->att != NULL)
        return close_creator(l, d);
    if (d->s != NULL)
        return close_sock(l, d->s, d);
    desc_close(l, d); /* it was revoked */
    return 0;
}

int
bh_close(int fd)
{
    struct lib *l = lib_lock();
    int r = do_close(l, lib_desc(l, fd));
    lib_unlock(l);
    return (int)ret_errno(r);
}
