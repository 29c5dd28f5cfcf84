/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dgram.c: datagrams in and out of UDP sessions. Each is a record in the session's FIFO: a
 * struct dgram_head, the payload, padding to 8 bytes.
 */
#include "private.h"

#include <stdatomic.h>

#include "base/pkt.h"

/* An account's rate may hold what was sent for long: a change does not wait longer than this.
 */
#define OVERTAKE_AFTER (NS_S / 5)
#define HEADERS 28u /* of IPv4 and UDP */

/* What udp would find out when it comes to it, and tell a later call. In the kernel's order. */
static int
known_to_fail(const struct sock *s, const struct dgram_head *h, bool named)
{
    const struct half_head *d = s->att->v.d_head;
    uint32_t mtu = atomic_load_explicit(&d->net_mtu, memory_order_acquire);
    uint32_t own = atomic_load_explicit(&d->net_own, memory_order_relaxed);
    uint32_t prefix = atomic_load_explicit(&d->net_prefix, memory_order_relaxed);
    bool gateway = atomic_load_explicit(&d->net_gateway, memory_order_relaxed) != 0;
    uint32_t to = ipaddr_to_u32(&h->addr), top = to >> 24;
    if (mtu == 0)
        return 0;
    if (named && net_broadcast(own, prefix, to)) {
        if (!s->broadcast)
            return EACCES;
    } else if (named && !gateway && top != 0 && top != 127 && top < 224 && prefix > 0 &&
               prefix <= 32 && (to ^ own) >> (32 - prefix) != 0) {
        return ENETUNREACH;
    }
    if (to == own || top == 127 || to == 0) /* this host, which cuts nothing */
        return 0;
    return s->mtu_disc >= IP_PMTUDISC_DO && h->len + HEADERS > mtu ? EMSGSIZE : 0;
}

static int
destination(struct sock *s, const struct meta *m, struct dgram_head *h)
{
    if (!m->has_name) { /* said here: another peer may be the session's when it is sent */
        h->addr = s->peer;
        h->port = s->peer_port;
        return s->connected ? known_to_fail(s, h, false) : EDESTADDRREQ;
    }
    int err = addr_in((const struct sockaddr *)m->name, sizeof *m->name, &h->addr, &h->port);
    if (err == 0 && h->port == 0)
        err = EINVAL;
    return err != 0 ? err : known_to_fail(s, h, true);
}

/* One try. 0 or errno. */
static int
send_record(struct lib *l, struct sock *s, struct cursor *k, const struct dgram_head *h,
            struct turn *t)
{
    struct look look;
    uint32_t bytes = dgram_record_bytes(h->len);
    int err = sock_busy(l, s, &s->tx_busy);
    if (err != 0)
        return err;
    sock_look(s, &look);
    err = s->att->down ? ENETDOWN : sock_take_err(s, &look);
    if (err == 0 && (s->tx_shut || s->gone))
        err = EPIPE;
    if (err == 0 && bytes > look.sndbuf)
        err = EMSGSIZE;
    t->hurry = false;
    if (err == 0 && tx_room(s, &look, bytes) < bytes) {
        /* It may be writable already as the domain sees it, which would not tell again. */
        t->hurry =
            s->starved || slot_writable(look.state, 0, look.sndbuf, s->tx_tail, s->tx_head);
        err = EAGAIN;
    }
    if (err == 0) {
        uint64_t at = s->tx_tail;
        bool apart = h->len > COPY_LOCKED && !s->att->shared;
        if (apart)
            lib_unlock(l);
        tx_write_bytes(s, at, h, sizeof *h);
        tx_write(s, at + sizeof *h, k, h->len);
        if (apart)
            lib_acquire(l);
        tx_publish(s, bytes);
    }
    sock_idle(l, &s->tx_busy);
    return err;
}

ssize_t
dgram_send(struct lib *l, struct sock *s, struct cursor *k, int flags, const struct meta *m)
{
    struct dgram_head h;
    struct turn t = {0};
    bool nonblock = s->nonblock || (flags & MSG_DONTWAIT) != 0;
    size_t len = k->left;
    memset(&h, 0, sizeof h);
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (len > DGRAM_MAX)
        return -EMSGSIZE;
    h.len = (uint32_t)len;
    for (;;) {
        int err = destination(s, m, &h);
        if (err == 0)
            err = send_record(l, s, k, &h, &t);
        if (err == 0)
            return (ssize_t)len;
        if (err == EAGAIN)
            err = sock_block(l, s, &t, SLOT_WRITE, nonblock, s->sndtimeo);
        if (err != 0)
            return -err;
    }
}

static bool
all_taken(const struct sock *s)
{
    return atomic_load_explicit(&slot_theirs(s)->tx_head, memory_order_acquire) == s->tx_tail;
}

static void
await_taken(struct lib *l, struct sock *s)
{
    ns_t end = lib_now(l) + OVERTAKE_AFTER;
    struct sess_evt e;
    for (bool first = true; !all_taken(s) && lib_now(l) < end; first = false) {
        struct sess_req r = {.op =
                                 REQ_NAME}; /* once it is answered, a turn is over, or nearly */
        struct waiter w = {0};
        if (sock_request(l, s, &r, &e) != 0)
            return;
        if (!first && !all_taken(s))
            (void)lib_wait(l, &w, lib_now(l) + SHORT_WAIT, NULL, 0);
    }
}

int
dgram_request(struct lib *l, struct sock *s, struct sess_req *r, struct sess_evt *e)
{
    int err = sock_busy(l, s, &s->tx_busy); /* what other threads send comes after it */
    if (err != 0)
        return err;
    await_taken(l, s);
    err = sock_request(l, s, r, e);
    sock_idle(l, &s->tx_busy);
    return err;
}

/* Copy the first record out. Bytes of it (all that there were), or -errno. */
static ssize_t
take_record(struct lib *l, struct sock *s, struct cursor *k, int flags, const struct look *look,
            struct meta *m)
{
    struct dgram_head h;
    if (look->rx_avail < sizeof h || !rx_read_bytes(s, s->rx_head, &h, sizeof h) ||
        h.len > DGRAM_MAX || dgram_record_bytes(h.len) > look->rx_avail) {
        rx_consume(s, look->rx_avail); /* no record: where the next begins is unknown */
        return -EIO;
    }
    size_t n = h.len < k->left ? h.len : k->left;
    bool apart = n > COPY_LOCKED && !s->att->shared;
    if (apart)
        lib_unlock(l);
    bool ok = rx_read(s, s->rx_head + sizeof h, k, n);
    if (apart)
        lib_acquire(l);
    if (!(flags & MSG_PEEK))
        rx_consume(s, dgram_record_bytes(h.len));
    if (m->name != NULL)
        addr_out(m->name, &h.addr, h.port);
    m->has_name = true;
    m->tos = h.tos;
    m->ttl = h.ttl;
    m->when = h.when;
    m->local.s_addr = htonl(ipaddr_is_v4(&h.local) ? ipaddr_to_u32(&h.local) : 0);
    if (n < h.len)
        m->out_flags |= MSG_TRUNC;
    if (!ok)
        return -EIO;
    return flags & MSG_TRUNC ? (ssize_t)h.len : (ssize_t)n;
}

static ssize_t
recv_record(struct lib *l, struct sock *s, struct cursor *k, int flags, struct meta *m)
{
    struct look look;
    int err = sock_busy(l, s, &s->rx_busy);
    if (err != 0)
        return -err;
    sock_look(s, &look);
    ssize_t r;
    if (s->att->down)
        r = -ENETDOWN;
    else if ((err = sock_take_err(s, &look)) != 0)
        r = -err;
    else if (look.rx_avail > 0)
        r = take_record(l, s, k, flags, &look, m);
    else
        r = s->gone ? 0 : -EAGAIN;
    sock_idle(l, &s->rx_busy);
    return r;
}

ssize_t
dgram_recv(struct lib *l, struct sock *s, struct cursor *k, int flags, struct meta *m)
{
    struct turn t = {0};
    bool nonblock = s->nonblock || (flags & MSG_DONTWAIT) != 0;
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return flags & MSG_OOB ? -EINVAL : -EAGAIN;
    for (;;) {
        ssize_t r = recv_record(l, s, k, flags, m);
        if (r != -EAGAIN)
            return r;
        if (s->rx_shut) /* as the kernel: who would have to wait, and only he, is sent away */
            return nonblock ? -EAGAIN : 0;
        int verdict = sock_block(l, s, &t, SLOT_READ, nonblock, s->rcvtimeo);
        if (verdict != 0)
            return -verdict;
    }
}
