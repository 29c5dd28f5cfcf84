/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream.c: bytes in and out of TCP sessions, copied or in place. What is reported when
 * (data before error before end of stream; EPIPE) follows what Linux does.
 */
#include "private.h"

/* May the stream be written to now? 0, EAGAIN: not yet connected, or why not. */
static int
may_send(struct sock *s, const struct look *k)
{
    if (s->att->down)
        return ENETDOWN;
    int err = sock_take_err(s, k);
    if (err != 0)
        return err;
    if (s->tx_shut || s->gone || (k->state & (SLOT_NOSEND | SLOT_DEAD)))
        return EPIPE;
    if (k->state & SLOT_CONNECTED)
        return 0;
    return k->state & SLOT_CONNECTING ? EAGAIN : EPIPE;
}

/* One piece: copied and published, under the tx_busy mark. Bytes, or -errno. */
static ssize_t
send_piece(struct lib *l, struct sock *s, struct cursor *k, struct turn *t, bool oob)
{
    struct look look;
    s->tx_reserved = 0; /* a reservation does not survive a send */
    sock_look(s, &look);
    int err = may_send(s, &look);
    if (err != 0)
        return -err;
    uint32_t n = tx_room(s, &look, k->left < TX_CHUNK ? k->left : TX_CHUNK);
    t->hurry = s->starved;
    if (n == 0)
        return k->left > 0 ? -EAGAIN : 0;
    if (n > COPY_LOCKED && !s->att->shared) {
        lib_unlock(l);
        tx_write(s, s->tx_tail, k, n);
        lib_acquire(l);
    } else {
        tx_write(s, s->tx_tail, k, n);
    }
    if (oob && k->left == 0)
        s->urgent = s->tx_tail + n;
    tx_publish(s, n);
    return (ssize_t)n;
}

/* As much as there is room for. The mark is held throughout, so that the bytes of another
 * sender come before or after. Returns 0 or -errno; *done counts up. */
static int
send_pieces(struct lib *l, struct sock *s, struct cursor *k, struct turn *t, bool oob,
            size_t *done)
{
    ssize_t n;
    int err = sock_busy(l, s, &s->tx_busy);
    if (err != 0)
        return -err;
    do {
        n = send_piece(l, s, k, t, oob);
        *done += n > 0 ? (size_t)n : 0;
    } while (n > 0 && k->left > 0);
    sock_idle(l, &s->tx_busy);
    return n < 0 ? (int)n : 0;
}

ssize_t
stream_send(struct lib *l, struct sock *s, struct cursor *k, int flags)
{
    struct turn t = {0};
    bool nonblock = s->nonblock || (flags & MSG_DONTWAIT) != 0;
    size_t done = 0;
    for (;;) {
        int r = send_pieces(l, s, k, &t, (flags & MSG_OOB) != 0, &done);
        if (r == -EAGAIN) {
            r = -sock_block(l, s, &t, SLOT_WRITE, nonblock, s->sndtimeo);
            if (r == 0)
                continue;
        }
        return done > 0 || r == 0 ? (ssize_t)done : r;
    }
}

/* ---- receive ---- */

/* Nothing to read: 0 end of stream, EAGAIN nothing yet, or why there will be nothing. */
static int
nothing_to_read(struct sock *s, const struct look *k)
{
    /* The peer's end is the end, also if an error came behind it: that stays in SO_ERROR. */
    if ((k->state & SLOT_EOF) && !s->rx_shut)
        return 0;
    int err = sock_take_err(s, k);
    if (err != 0)
        return err;
    if (s->rx_shut || s->gone || (k->state & (SLOT_EOF | SLOT_DEAD)))
        return 0;
    return k->state & (SLOT_CONNECTED | SLOT_CONNECTING) ? EAGAIN : ENOTCONN;
}

static int
copy_out(struct lib *l, struct sock *s, struct cursor *k, size_t n, int flags)
{
    if (flags & MSG_TRUNC) { /* drop them; as tcp(7) has it */
        k->left -= n;
        return 0;
    }
    bool ok;
    if (n > COPY_LOCKED && !s->att->shared) {
        lib_unlock(l);
        ok = rx_read(s, s->rx_head, k, n);
        lib_acquire(l);
    } else {
        ok = rx_read(s, s->rx_head, k, n);
    }
    return ok ? 0 : EIO;
}

/* SO_RCVLOWAT: too little to begin with, for a call that may wait? */
static bool
few(const struct look *look, size_t want, int flags)
{
    return !(flags & (MSG_DONTWAIT | MSG_WAITALL | MSG_PEEK)) && look->rx_avail < want &&
           look->rx_avail < look->rcvlowat;
}

/* Bytes, 0 at the end of the stream, or -errno. */
static ssize_t
recv_piece(struct lib *l, struct sock *s, struct cursor *k, int flags, struct turn *t)
{
    struct look look;
    int err = sock_busy(l, s, &s->rx_busy);
    if (err != 0)
        return -err;
    if (s->att->down) {
        sock_idle(l, &s->rx_busy);
        return -ENETDOWN;
    }
    sock_look(s, &look);
    size_t n = look.rx_avail < k->left ? (size_t)look.rx_avail : k->left;
    bool all = (flags & (MSG_WAITALL | MSG_PEEK)) == (MSG_WAITALL | MSG_PEEK);
    bool more = look.err == 0 && !s->rx_shut && !(look.state & (SLOT_EOF | SLOT_DEAD));
    t->hurry = false;
    /* As the kernel: a read ends before the urgent byte, so that SIOCATMARK can find it. */
    if (look.urgent > s->rx_head + 1 && look.urgent - 1 - s->rx_head < n)
        n = (size_t)(look.urgent - 1 - s->rx_head);
    else if (n > 0 && few(&look, k->left, flags) && more && t->verdict == 0) {
        t->hurry = k->left < look.rcvlowat; /* no event will tell of so few */
        sock_idle(l, &s->rx_busy);
        return -EAGAIN;
    }
    if (n == 0 || (all && n < k->left && more && t->verdict == 0)) {
        t->hurry = n > 0; /* readable already: no event will tell of more */
        err = n > 0 ? EAGAIN : nothing_to_read(s, &look);
        n = 0;
    }
    if (n > 0)
        err = copy_out(l, s, k, n, flags);
    if (n > 0 && err == 0 && !(flags & MSG_PEEK))
        rx_consume(s, n);
    sock_idle(l, &s->rx_busy);
    return err != 0 ? -err : (ssize_t)n;
}

ssize_t
stream_recv(struct lib *l, struct sock *s, struct cursor *k, int flags)
{
    struct turn t = {0};
    bool nonblock = s->nonblock || (flags & MSG_DONTWAIT) != 0;
    size_t done = 0;
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return flags & MSG_OOB ? -EINVAL : -EAGAIN;
    flags |= nonblock ? MSG_DONTWAIT : 0;
    while (k->left > 0) {
        ssize_t n = recv_piece(l, s, k, flags, &t);
        if (n == -EAGAIN) {
            if (nonblock && (flags & MSG_PEEK) && t.verdict == 0 && t.hurry) {
                t.verdict = EAGAIN; /* peek at what there is */
                continue;
            }
            int verdict = sock_block(l, s, &t, t.hurry ? 0 : SLOT_READ, nonblock, s->rcvtimeo);
            if (verdict == 0)
                continue;
            n = -verdict;
        }
        if (n <= 0)
            return done > 0 ? (ssize_t)done : n;
        done += (size_t)n;
        if (!(flags & MSG_WAITALL) || (flags & MSG_PEEK))
            break;
    }
    return (ssize_t)done;
}

/* ---- in place ---- */

/* The next piece of n so far; one that begins where the last ends makes it longer. False: it
 * would be more than cap. */
static bool
iov_append(struct iovec *iov, int *n, int cap, uint8_t *p, size_t len)
{
    struct iovec *last = *n > 0 ? &iov[*n - 1] : NULL;
    if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == p)
        last->iov_len += len;
    else if (*n < cap)
        iov[(*n)++] = (struct iovec){.iov_base = p, .iov_len = len};
    else
        return false;
    return true;
}

static ssize_t
do_reserve(struct lib *l, struct sock *s, size_t len, struct iovec *iov, int *n)
{
    struct turn t = {0};
    struct look k;
    uint32_t room = 0;
    int cap = *n, err;
    if (!sock_is_stream(s))
        return -EOPNOTSUPP;
    if (cap <= 0 || len == 0)
        return -EINVAL;
    for (;;) {
        err = sock_busy(l, s, &s->tx_busy);
        if (err != 0)
            return -err;
        sock_look(s, &k);
        s->tx_reserved = 0;
        err = may_send(s, &k);
        room = err == 0 ? tx_room(s, &k, len) : 0;
        t.hurry = s->starved;
        s->tx_reserved = room; /* keeps the pages, and replaces an earlier one */
        sock_idle(l, &s->tx_busy);
        if (room > 0)
            break;
        if (err == 0 || err == EAGAIN)
            err = sock_block(l, s, &t, SLOT_WRITE, s->nonblock, s->sndtimeo);
        if (err != 0)
            return -err;
    }
    uint32_t given = 0;
    for (*n = 0; given < room;) {
        size_t m;
        uint8_t *p = tx_piece(s, s->tx_tail + given, &m);
        m = m < room - given ? m : room - given;
        if (!iov_append(iov, n, cap, p, m))
            break;
        given += (uint32_t)m;
    }
    l->keep = true; /* the commit tells the domain */
    s->tx_reserved = given;
    return given;
}

static int
do_commit(struct sock *s, size_t len)
{
    struct look k;
    if (!sock_is_stream(s))
        return -EOPNOTSUPP;
    if (len > s->tx_reserved)
        return -EINVAL;
    sock_look(s, &k);
    int err = may_send(s, &k);
    s->tx_reserved = 0;
    if (err != 0)
        return -err;
    if (len > 0)
        tx_publish(s, (uint32_t)len);
    return 0;
}

static ssize_t
do_peek(struct lib *l, struct sock *s, struct iovec *iov, int *n)
{
    struct turn t = {0};
    struct look k;
    int cap = *n;
    *n = 0;
    if (!sock_is_stream(s))
        return -EOPNOTSUPP;
    if (cap <= 0)
        return -EINVAL;
    for (;;) {
        if (s->att->down)
            return -ENETDOWN;
        sock_look(s, &k);
        if (k.rx_avail > 0)
            break;
        int err = nothing_to_read(s, &k);
        if (err == EAGAIN)
            err = sock_block(l, s, &t, SLOT_READ, s->nonblock, s->rcvtimeo);
        else if (err == 0)
            return 0;
        if (err != 0)
            return -err;
    }
    uint64_t given = 0;
    while (given < k.rx_avail) {
        size_t m;
        uint8_t *p = (uint8_t *)(uintptr_t)rx_piece(s, s->rx_head + given, &m);
        m = m < k.rx_avail - given ? m : (size_t)(k.rx_avail - given);
        if (p == NULL)
            return -EIO;
        if (!iov_append(iov, n, cap, p, m))
            break;
        given += m;
    }
    return (ssize_t)given;
}

static int
do_consume(struct sock *s, size_t len)
{
    struct look k;
    if (!sock_is_stream(s))
        return -EOPNOTSUPP;
    sock_look(s, &k);
    if (len > k.rx_avail)
        return -EINVAL;
    if (len > 0)
        rx_consume(s, len);
    return 0;
}

ssize_t
bh_reserve(int fd, size_t len, struct iovec *iov, int *n)
{
    WITH_SOCK(ssize_t, fd, RIGHT_SEND, do_reserve(l, s, len, iov, n));
}

int
bh_commit(int fd, size_t len)
{
    WITH_SOCK(int, fd, RIGHT_SEND, do_commit(s, len));
}

ssize_t
bh_peek(int fd, struct iovec *iov, int *n)
{
    WITH_SOCK(ssize_t, fd, RIGHT_RECEIVE, do_peek(l, s, iov, n));
}

int
bh_consume(int fd, size_t len)
{
    WITH_SOCK(int, fd, RIGHT_RECEIVE, do_consume(s, len));
}
