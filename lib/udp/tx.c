/* SPDX-License-Identifier: BSD-2-Clause
 *
 * To the wire: records out of the clients' transmit FIFOs become datagrams, a session a turn.
 * Everything in a record was written by the client: it is copied, then checked.
 */
#include <netinet/in.h>

#include "udp_int.h"

/* A datagram about to be sent. */
struct send {
    struct dgram_head h;
    struct ipaddr src, dst;
    uint16_t sport, dport;
    uint8_t flags;     /* of the descriptors */
    uint32_t total;    /* UDP header and payload */
    uint32_t fragment; /* bytes of it in each packet but the last */
    uint32_t n;        /* frames */
    uint32_t packets;  /* that they make on the wire */
};

enum tx_turn { TX_EMPTY, TX_DONE, TX_BLOCKED, TX_HELD };

static void
append(struct udp *u, uint32_t *first, uint32_t *last, uint32_t sess)
{
    u->soft[sess].sending = true;
    u->soft[sess].tx_next = SESS_NONE;
    if (*first == SESS_NONE)
        *first = sess;
    else
        u->soft[*last].tx_next = sess;
    *last = sess;
}

static uint32_t
take_first(struct udp *u, uint32_t *first, uint32_t *last)
{
    uint32_t sess = *first;
    *first = u->soft[sess].tx_next;
    if (*first == SESS_NONE)
        *last = SESS_NONE;
    u->soft[sess].sending = u->soft[sess].held = false;
    return sess;
}

static void
take_out(struct udp *u, uint32_t *first, uint32_t *last, uint32_t sess)
{
    uint32_t prev = SESS_NONE;
    for (uint32_t s = *first; s != SESS_NONE; prev = s, s = u->soft[s].tx_next) {
        if (s != sess)
            continue;
        if (prev == SESS_NONE)
            *first = u->soft[s].tx_next;
        else
            u->soft[prev].tx_next = u->soft[s].tx_next;
        if (*last == s)
            *last = prev;
        return;
    }
}

uint32_t *
tx_next_of(void *ctx, uint32_t sess)
{
    struct udp *u = ctx;
    return &u->soft[sess].tx_next;
}

void
tx_queue(struct udp *u, uint32_t sess)
{
    if (u->soft[sess].sending || (name_of(&u->sess[sess])->bits & UN_REVOKED))
        return;
    u->soft[sess].sending = true;
    turns_add(&u->tx, u->sess[sess].client, sess, tx_next_of, u);
}

/* ---- sessions that wait for their account's rate ---- */

static uint32_t
account_number(const struct udp *u, uint32_t sess)
{
    return u->clients.c[u->soft[sess].link.client].limits.account;
}

static void
hold(struct udp *u, uint32_t sess)
{
    uint32_t n = account_number(u, sess);
    if (!(u->holding[n / 64] >> n % 64 & 1))
        u->held[n].first = u->held[n].last = SESS_NONE;
    u->holding[n / 64] |= 1ull << n % 64;
    append(u, &u->held[n].first, &u->held[n].last, sess);
    u->soft[sess].held = true;
    client_held(&u->clients, client_of(u, sess));
}

static void
holding_check(struct udp *u, uint32_t n)
{
    if (u->held[n].first == SESS_NONE)
        u->holding[n / 64] &= ~(1ull << n % 64);
}

/* The first of each account that may send again; the others when it has had its turn. */
static void
resume_held(struct udp *u)
{
    for (uint32_t w = 0; w < ARRAY_LEN(u->holding); w++)
        for (uint64_t m = u->holding[w]; m != 0; m &= m - 1) {
            uint32_t n = w * 64 + (uint32_t)__builtin_ctzll(m);
            if (account_due(&u->clients.account[n], u->now) > u->now)
                continue;
            tx_queue(u, take_first(u, &u->held[n].first, &u->held[n].last));
            holding_check(u, n);
        }
}

ns_t
tx_due(const struct udp *u)
{
    ns_t at = NS_NEVER;
    for (uint32_t w = 0; w < ARRAY_LEN(u->holding); w++)
        for (uint64_t m = u->holding[w]; m != 0; m &= m - 1) {
            uint32_t n = w * 64 + (uint32_t)__builtin_ctzll(m);
            at = min_u64(at, account_due(&u->clients.account[n], u->now));
        }
    return at;
}

void
tx_release(struct udp *u)
{
    for (uint32_t n = 0; n < ACCOUNTS_MAX; n++)
        while (u->holding[n / 64] >> n % 64 & 1) {
            tx_queue(u, take_first(u, &u->held[n].first, &u->held[n].last));
            holding_check(u, n);
        }
}

void
tx_unqueue(struct udp *u, uint32_t sess)
{
    struct udp_soft *t = &u->soft[sess];
    if (t->held) {
        uint32_t n = account_number(u, sess);
        take_out(u, &u->held[n].first, &u->held[n].last, sess);
        holding_check(u, n);
    } else if (t->sending) {
        turns_remove(&u->tx, u->sess[sess].client, sess, tx_next_of, u);
    }
    t->sending = t->held = false;
}

static uint64_t
tx_head(const struct client *c, const struct udp_sess *s)
{
    return atomic_load_explicit(&c->v.d_slot[s->slot].tx_head, memory_order_relaxed);
}

/* Up to where a session that ends now sends. What its client says beyond the buffer that it
 * has, or beyond all pages that it paid for, was never written: that would be zeros, for as
 * long as it takes to send millions of them. */
uint64_t
tx_tail(struct udp *u, uint32_t sess)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    if (c == NULL)
        return 0;
    uint64_t most =
        min_u64(max_u32(s->sndbuf, u->cfg.sndbuf), (uint64_t)c->v.g.n_tx_pages * FIFO_PAGE);
    uint64_t head = tx_head(c, s);
    uint64_t tail = atomic_load_explicit(&c->v.c_slot[s->slot].tx_tail, memory_order_acquire);
    return tail - head <= most && !(s->mv.deny & SESS_DENY_SEND) ? tail : head;
}

/* What is in the FIFO cannot be understood any further: skip to where the client writes. */
static void
drop_queue(struct udp *u, uint32_t sess, struct client *c)
{
    struct udp_sess *s = &u->sess[sess];
    uint64_t tail =
        state_of(s) == US_CLOSING
            ? s->tx_end
            : atomic_load_explicit(&c->v.c_slot[s->slot].tx_tail, memory_order_relaxed);
    atomic_store_explicit(&c->v.d_slot[s->slot].tx_head, tail, memory_order_release);
    stat_inc(u->stats, STAT_udp_drop_tx_bad);
    client_stat(&u->clients, s->client, CLIENT_STAT_drop_send, 1);
    sess_error(u, sess, EINVAL);
}

/* How the datagram is cut. RFC 1191: up to the path MTU in one piece with DF, unless the
 * program chose otherwise. 0 or EMSGSIZE. */
static int
plan_fragments(const struct udp *u, const struct udp_sess *s, struct send *m)
{
    uint32_t device = min_u32(max_u32(u->path->mtu, 576), FRAME_MTU_MAX);
    uint32_t mtu = s->mtu_disc == IP_PMTUDISC_PROBE ? device : path_mtu(u->path, &m->dst);
    mtu = min_u32(mtu, FRAME_MTU_MAX);
    bool whole = m->total <= mtu - IP4_HEADER;
    if (s->mtu_disc >= IP_PMTUDISC_DO && !whole && !path_local(u->path, &m->dst))
        return EMSGSIZE;
    m->flags = whole && s->mtu_disc != IP_PMTUDISC_DONT ? PKT_DF : 0;
    m->fragment = whole ? m->total : (mtu - IP4_HEADER) & ~7u;
    m->n = m->total <= FRAME_ROOM && whole ? 1 : frames_for(m->total, m->fragment);
    /* A chain has a bounded length; past that, let the routers cut further, and have frames
     * that are full. */
    if (m->n > FRAME_MAX_CHAIN) {
        m->fragment = min_u32((device - IP4_HEADER) & ~7u, FRAME_ROOM);
        m->n = frames_for(m->total, m->fragment);
    }
    m->packets = m->n == 1 ? 1 : (m->total + m->fragment - 1) / m->fragment;
    return m->n > FRAME_MAX_CHAIN ? EMSGSIZE : 0;
}

/* Fill in where it goes and how. 0 or the error that the sender sees. */
static int
plan(struct udp *u, uint32_t sess, struct send *m)
{
    struct udp_sess *s = &u->sess[sess];
    int err = state_of(s) == US_OPEN ? sess_autobind(u, sess) : 0;
    const struct udp_name *n = name_of(s);
    if (err)
        return err;
    if (n->lport == 0) /* closed before it ever had a port */
        return EPIPE;
    if (!ipaddr_is_none(&m->h.addr)) {
        m->dst = m->h.addr;
        m->dport = m->h.port;
    } else if (n->bits & UN_CONNECTED) {
        m->dst = n->remote;
        m->dport = n->rport;
    } else {
        return EDESTADDRREQ;
    }
    err = sess_destination(u, s, &m->dst, m->dport);
    if (err == 0)
        err = sess_may_send(u, sess, &m->dst, m->dport);
    if (err)
        return err;
    m->src = ipaddr_is_any(&n->local) ? path_source(u->path, &m->dst) : n->local;
    m->sport = n->lport;
    m->total = UDP_HEADER + m->h.len;
    if (m->h.ttl == 0)
        m->h.ttl = is_group(&m->dst) ? s->group_ttl : s->ttl;
    if (is_group(&m->dst) && m->h.ttl == 0) /* stays on this host, where nobody is a member */
        return 0;
    return plan_fragments(u, s, m);
}

/* Copy the payload at stream offset `at` into frames, which are ours already. */
static void
emit(struct udp *u, const struct udp_sess *s, const struct client *c, const struct send *m,
     uint64_t at, uint8_t *const frame[], const uint32_t addr[])
{
    uint32_t sum = csum_pseudo(&m->src, &m->dst, WIRE_PROTO_UDP, m->total);
    for (uint32_t i = 0, off = 0; i < m->n; i++) {
        uint32_t len = m->n == 1 ? m->total : frames_piece(off, m->total, m->fragment);
        uint32_t skip = i == 0 ? UDP_HEADER : 0;
        bool more = i + 1 < m->n, join = more && (off + len) % m->fragment != 0;
        /* Every piece but the last is even, so the sums just add up. */
        sum = csum_add(
            sum, fifo_tx_read_csum(&c->v, s->slot, at, frame[i] + FRAME_L4 + skip, len - skip));
        at += len - skip;
        off += len;
        u->out[u->n_out++] = (struct pkt){
            .addr = addr[i] + FRAME_L4,
            .len = (uint16_t)len,
            .kind = PKT_DATA,
            .proto = WIRE_PROTO_UDP,
            .flags = (uint8_t)(m->flags | (more ? PKT_MORE : 0) | (join ? PKT_JOIN : 0)),
            .tos = m->h.tos ? m->h.tos : s->tos,
            .ttl = m->h.ttl,
            .aux = m->total,
            .src = m->src,
            .dst = m->dst,
            .sport = m->sport,
            .dport = m->dport,
            .client = s->client + 1,
        };
    }
    struct udp_hdr h = {.sport = m->sport, .dport = m->dport, .len = (uint16_t)m->total};
    uint8_t *p = frame[0] + FRAME_L4;
    udp_emit(p, &h);
    h.csum = (uint16_t)~csum_fold(csum_add(sum, csum_bytes(p, UDP_HEADER)));
    if (h.csum == 0) /* on the wire 0 says that there is none */
        h.csum = 0xffff;
    udp_emit(p, &h);
}

/* Frames for a datagram: all or none. */
static bool
take_frames(struct udp *u, uint32_t n, uint8_t *frame[], uint32_t addr[])
{
    for (uint32_t i = 0; i < n; i++) {
        bool taken = pool_take(&u->pool, HOLD_IP, &addr[i]);
        frame[i] =
            taken ? frames_rw(&u->frames, PART_BIT(PART_UDPTX), addr[i], FRAME_SIZE) : NULL;
        if (frame[i] == NULL) {
            for (uint32_t k = 0; k < i + taken; k++)
                (void)pool_return(&u->pool, addr[k], HOLD_IP);
            return false;
        }
    }
    return true;
}

/* The next record of a session. */
static enum tx_turn
tx_record(struct udp *u, uint32_t sess)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    if (c == NULL || (s->mv.deny & SESS_DENY_SEND))
        return TX_EMPTY;
    struct slot_domain *d = &c->v.d_slot[s->slot];
    uint64_t head = tx_head(c, s);
    uint64_t tail =
        state_of(s) == US_CLOSING
            ? s->tx_end
            : atomic_load_explicit(&c->v.c_slot[s->slot].tx_tail, memory_order_acquire);
    uint64_t avail = tail - head;
    struct send m = {0};
    if (avail == 0)
        return TX_EMPTY;
    if (avail <= FIFO_MAX && avail >= sizeof m.h)
        fifo_tx_read(&c->v, s->slot, head, &m.h, sizeof m.h);
    if (avail > FIFO_MAX || avail < sizeof m.h || m.h.len > DGRAM_MAX ||
        dgram_record_bytes(m.h.len) > avail) {
        drop_queue(u, sess, c);
        return TX_DONE;
    }
    int err = plan(u, sess, &m);
    if (err == 0 && m.n > u->pool.n)
        err = ENOBUFS; /* would never fit */
    uint32_t addr[FRAME_MAX_CHAIN];
    uint8_t *frame[FRAME_MAX_CHAIN];
    struct account *a = client_account(&u->clients, c);
    if (err == 0) {
        if (account_is_paced(a) && account_due(a, u->now) > u->now)
            return TX_HELD;
        if (u->cap - u->n_out < m.n)
            return TX_BLOCKED;
        if (u->pool.n_free < m.n || !take_frames(u, m.n, frame, addr)) {
            u->starved = true;
            return TX_BLOCKED;
        }
        if (m.n > 0)
            emit(u, s, c, &m, head + sizeof m.h, frame, addr);
        s->n_tx += m.h.len;
        client_sent(&u->clients, c, m.packets, m.total + m.packets * IP4_HEADER);
        if (account_is_paced(a)) /* it is in time: the next one is not, maybe */
            (void)account_book(a, m.packets, m.total + m.packets * IP4_HEADER, u->now);
        stat_inc(u->stats, STAT_seg_tx);
        stat_add(u->stats, STAT_bytes_tx, m.h.len);
    } else {
        stat_inc(u->stats, STAT_udp_drop_tx_bad);
        client_stat(&u->clients, s->client, CLIENT_STAT_drop_send, 1);
        sess_error(u, sess, err);
    }
    atomic_store_explicit(&d->tx_head, head + dgram_record_bytes(m.h.len),
                          memory_order_release);
    sess_touch(u, sess);
    return TX_DONE;
}

void
tx_step(struct udp *u)
{
    uint32_t sess, who;
    resume_held(u);
    for (unsigned i = 0; i < UDP_STEP_RECORDS && !u->starved; i++) {
        if ((sess = turns_first(&u->tx, &who)) == SESS_NONE)
            return;
        unsigned n_out = u->n_out;
        atomic_store_explicit(&u->store->working, sess, memory_order_relaxed);
        enum tx_turn turn = tx_record(u, sess);
        atomic_store_explicit(&u->store->working, SESS_NONE, memory_order_relaxed);
        if (turn == TX_BLOCKED)
            return;
        turns_pop(&u->tx, who, tx_next_of, u);
        u->soft[sess].sending = false;
        if (turn == TX_DONE)
            tx_queue(u, sess);
        else if (turn == TX_HELD)
            hold(u, sess);
        else if (state_of(&u->sess[sess]) == US_CLOSING)
            sess_finish(u, sess);
        uint32_t cost = n_out == u->n_out ? TURN_PACKET : 0; /* looking is work too */
        for (; n_out < u->n_out; n_out++)
            cost += u->out[n_out].len + TURN_PACKET;
        turns_charge(&u->tx, who, cost);
    }
}
