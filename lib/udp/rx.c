/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the wire: datagrams into the receive FIFO of their session, ICMP errors to the
 * connected session they belong to, port unreachable for the rest.
 */
#include "udp_int.h"

#define READABLE (PART_BIT(PART_RX) | PART_BIT(PART_UP))
#define QUOTE_MAX 548u /* with IP and ICMP header 576 bytes (RFC 1812 4.3.2.3) */

/* One datagram, perhaps in several frames; none of its bytes is trusted to stay. */
struct dgram {
    const struct pkt *p;
    unsigned n; /* frames */
    const uint8_t *frame[FRAME_MAX_CHAIN];
    uint8_t head[UDP_HEADER]; /* the copy that was parsed */
    struct udp_hdr h;
};

/* Check the descriptors and read the header. False: dropped and counted. */
static bool
dgram_open(struct udp *u, struct dgram *d, const struct pkt *p, unsigned n)
{
    uint32_t avail = 0;
    d->p = p;
    d->n = n;
    if (n > FRAME_MAX_CHAIN || p->proto != WIRE_PROTO_UDP) {
        stat_inc(u->stats, STAT_drop_header);
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        d->frame[i] = frames_ro(&u->frames, READABLE, p[i].addr, p[i].len);
        if (d->frame[i] == NULL) {
            stat_inc(u->stats, STAT_refused_frames);
            return false;
        }
        avail += p[i].len;
    }
    if (p->len < UDP_HEADER) {
        stat_inc(u->stats, STAT_drop_short);
        return false;
    }
    memcpy(d->head, d->frame[0], UDP_HEADER);
    enum wire_err e = udp_parse(&d->h, d->head, avail);
    if (e != WIRE_OK) {
        stat_inc(u->stats, e == WIRE_SHORT ? STAT_drop_short : STAT_drop_header);
        return false;
    }
    if (d->h.dport == 0) { /* reserved: nobody can have it (RFC 8085 5.1) */
        stat_inc(u->stats, STAT_drop_header);
        return false;
    }
    return true;
}

/* Go over the payload: into the FIFO at `at` if v is not NULL. Returns its Internet sum,
 * of what was written. */
static uint32_t
payload_sum(const struct dgram *d, const struct arena_view *v, uint32_t slot, uint64_t at)
{
    uint32_t left = d->h.len - UDP_HEADER, done = 0, sum = 0;
    for (unsigned i = 0; i < d->n && left > 0; i++) {
        uint32_t skip = i == 0 ? UDP_HEADER : 0;
        uint32_t len = min_u32(d->p[i].len - skip, left);
        const uint8_t *src = d->frame[i] + skip;
        uint32_t part =
            v ? fifo_rx_write_csum(v, slot, at + done, src, len) : csum_bytes(src, len);
        sum = done % 2 ? csum_add_odd(sum, part) : csum_add(sum, part);
        done += len;
        left -= len;
    }
    return sum;
}

/* RFC 768; and what a neighbour on veth sends when it leaves the sum to hardware that is not
 * there: just the pseudo-header's. */
static bool
checksum_ok(struct udp *u, const struct dgram *d, uint32_t sum)
{
    uint32_t pseudo = csum_pseudo(&d->p->src, &d->p->dst, WIRE_PROTO_UDP, d->h.len);
    if (d->h.csum == 0 || (u->cfg.csum_trusted && (d->p->flags & PKT_CSUM)))
        return true;
    sum = csum_add(csum_add(sum, pseudo), csum_bytes(d->head, UDP_HEADER));
    if (csum_fold(sum) == 0xffff)
        return true;
    if (u->cfg.csum_partial_ok && d->h.csum == csum_fold(pseudo)) {
        stat_inc(u->stats, STAT_csum_partial);
        return true;
    }
    stat_inc(u->stats, STAT_drop_checksum);
    return false;
}

void
rx_reopen(struct udp *u, uint32_t sess)
{
    struct udp_soft *t = &u->soft[sess];
    if (!t->full)
        return;
    t->starved = false;
    table_full(u, sess, false);
}

void
rx_reopen_starved(struct udp *u)
{
    u->reopen_at = NS_NEVER;
    for (uint32_t i = 0; i < u->cfg.n_sessions; i++)
        if (u->soft[i].starved)
            rx_reopen(u, i);
}

void
rx_refresh(struct udp *u, uint32_t sess)
{
    struct client *c = client_of(u, sess);
    struct udp_sess *s = &u->sess[sess];
    if (c == NULL || (s->mv.deny & SESS_DENY_RECEIVE) || sess_move_holds(u, sess))
        return;
    struct slot_domain *d = &c->v.d_slot[s->slot];
    uint64_t head = atomic_load_explicit(&c->v.c_slot[s->slot].rx_head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&d->rx_tail, memory_order_relaxed);
    /* It moves from what was believed up to what was written, else it is nonsense. */
    if (head != s->rx_head && head - s->rx_head <= tail - s->rx_head) {
        fifo_rx_free(&c->v, s->slot, &c->pages, s->rx_head, head);
        s->rx_head = head;
        atomic_store_explicit(&d->rx_notify, head + s->rcvbuf / 2, memory_order_relaxed);
        rx_reopen(u, sess);
    }
}

/* A datagram of one frame found no room: from now on ip drops what comes for the session, until
 * the client has read some of its queue and says so, or may have pages again. */
static void
close_port(struct udp *u, uint32_t sess, struct client *c, uint64_t tail)
{
    struct udp_soft *t = &u->soft[sess];
    struct udp_sess *s = &u->sess[sess];
    if (t->full || u->cfg.ports == NULL)
        return;
    /* Not beyond rx_tail: the client comes that far even if nothing arrives any more. */
    uint64_t used = tail - s->rx_head, soon = min_u64(s->rcvbuf / 4, used);
    atomic_store_explicit(&c->v.d_slot[s->slot].rx_notify, s->rx_head + soon,
                          memory_order_relaxed);
    /* Pairs with the client's fence between its rx_head and looking at rx_notify: either it
     * sees that it has to tell us, or we see that it has read. */
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t head = atomic_load_explicit(&c->v.c_slot[s->slot].rx_head, memory_order_relaxed);
    if (head != s->rx_head && head - s->rx_head <= used && !(s->mv.deny & SESS_DENY_RECEIVE))
        return;
    table_full(u, sess, true);
}

/* The client's pages are with its other sessions, whose reading tells nothing of this one. */
static void
starve(struct udp *u, uint32_t sess, struct client *c, uint64_t tail)
{
    close_port(u, sess, c, tail);
    if (!u->soft[sess].full)
        return;
    u->soft[sess].starved = true;
    u->reopen_at = min_u64(u->reopen_at, u->now + UDP_SWEEP);
}

/* A client's pool is empty: look once in a while whether its other sessions hold pages that
 * were read long ago. */
static void
sweep(struct udp *u, uint32_t client)
{
    if (u->now - u->swept[client] < UDP_SWEEP)
        return;
    u->swept[client] = u->now;
    for (uint32_t i = 0; i < u->high; i++)
        if (state_of(&u->sess[i]) == US_OPEN && u->sess[i].client == client)
            rx_refresh(u, i);
}

/* Bytes of record at rx_tail that have pages; drops are charged to the session. */
static bool
make_room(struct udp *u, uint32_t sess, struct client *c, uint64_t tail, uint32_t record)
{
    struct udp_sess *s = &u->sess[sess];
    rx_refresh(u, sess);
    uint64_t used = tail - s->rx_head;
    /* One datagram always fits, however small the buffer was made. */
    if (used + record > (used == 0 ? UDP_BUF_MAX : s->rcvbuf)) {
        if (used + FRAME_SIZE > s->rcvbuf) /* else others may fit */
            close_port(u, sess, c, tail);
        s->n_drop++;
        stat_inc(u->stats, STAT_udp_drop_rcvbuf);
        client_stat(&u->clients, s->client, CLIENT_STAT_drop_full, 1);
        return false;
    }
    if (fifo_rx_prepare(&c->v, s->slot, &c->pages, tail, record) == record)
        return true;
    sweep(u, s->client);
    if (fifo_rx_prepare(&c->v, s->slot, &c->pages, tail, record) == record)
        return true;
    if (record <= FRAME_SIZE)
        starve(u, sess, c, tail);
    s->n_drop++;
    stat_inc(u->stats, STAT_drop_nobuf);
    client_stat(&u->clients, s->client, CLIENT_STAT_drop_full, 1);
    return false;
}

static void
deliver(struct udp *u, uint32_t sess, const struct dgram *d)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    if (c == NULL || sess_move_holds(u, sess)) {
        s->n_drop++;
        stat_inc(u->stats, STAT_drop_state);
        return;
    }
    if (!sess_admits(u, sess, &d->p->src, d->h.sport)) {
        s->n_drop++;
        stat_inc(u->stats, STAT_drop_denied);
        return;
    }
    struct slot_domain *slot = &c->v.d_slot[s->slot];
    uint64_t tail = atomic_load_explicit(&slot->rx_tail, memory_order_relaxed);
    uint32_t len = d->h.len - UDP_HEADER, record = dgram_record_bytes(len);
    struct dgram_head head = {.len = len,
                              .port = d->h.sport,
                              .tos = d->p->tos,
                              .ttl = d->p->ttl,
                              .addr = d->p->src,
                              .local = d->p->dst,
                              .when = u->now};
    if (!make_room(u, sess, c, tail, record))
        return;
    uint32_t sum = payload_sum(d, &c->v, s->slot, tail + sizeof head);
    if (!checksum_ok(u, d, sum)) { /* rx_tail did not move: nothing was received */
        s->n_drop++;
        return;
    }
    fifo_rx_write(&c->v, s->slot, tail, &head, sizeof head);
    atomic_store_explicit(&slot->rx_tail, tail + record, memory_order_release);
    s->n_rx += len;
    stat_inc(u->stats, STAT_seg_rx);
    stat_add(u->stats, STAT_bytes_rx, len);
    client_received(&u->clients, s->client, d->h.len + IP4_HEADER);
    sess_touch(u, sess);
}

/* Nobody has the port (RFC 1122 4.1.3.1). Never in answer to what went to many, and most of the
 * room and some of the frames is left for those who have something to say. */
static void
reject(struct udp *u, const struct dgram *d)
{
    const struct pkt *p = d->p;
    stat_inc(u->stats, STAT_drop_noport);
    if ((p->flags & PKT_BCAST) || u->n_out >= u->cap / 4 || u->pool.n_free <= u->pool.n / 4)
        return;
    if (!checksum_ok(u, d, payload_sum(d, NULL, 0, 0)))
        return;
    uint32_t len = min_u32(p->l3_len, QUOTE_MAX), addr;
    const uint8_t *quote = frames_ro(&u->frames, READABLE, p->l3, len);
    if (quote == NULL || len < IP4_HEADER + UDP_HEADER || !pool_take(&u->pool, HOLD_IP, &addr))
        return;
    uint8_t *frame = frames_rw(&u->frames, PART_BIT(PART_UDPTX), addr, FRAME_SIZE);
    if (frame == NULL) {
        (void)pool_return(&u->pool, addr, HOLD_IP);
        return;
    }
    memcpy(frame + FRAME_L4, quote, len);
    u->out[u->n_out++] = (struct pkt){
        .addr = addr + FRAME_L4,
        .len = (uint16_t)len,
        .kind = PKT_REJECT,
        .proto = WIRE_PROTO_UDP,
        .aux = len,
        .src = p->dst,
        .dst = p->src,
        .sport = d->h.dport,
        .dport = d->h.sport,
    };
    stat_inc(u->stats, STAT_udp_reject);
}

static void
rx_datagram(struct udp *u, const struct pkt *p, unsigned n)
{
    struct dgram d;
    if (!dgram_open(u, &d, p, n))
        return;
    uint32_t sess = table_lookup(u, &p->dst, d.h.dport, &p->src, d.h.sport);
    if (sess == SESS_NONE) {
        reject(u, &d);
        return;
    }
    atomic_store_explicit(&u->store->working, sess, memory_order_relaxed);
    u->sess[sess].n_drop += p->seq;
    deliver(u, sess, &d);
    atomic_store_explicit(&u->store->working, SESS_NONE, memory_order_relaxed);
}

/* RFC 1122 4.1.3.3. As with the kernel's sockets, who did not connect is not told. */
static void
rx_icmp(struct udp *u, const struct pkt *p)
{
    uint32_t sess = p->proto == WIRE_PROTO_UDP
                        ? table_connected(u, &p->src, p->sport, &p->dst, p->dport)
                        : SESS_NONE;
    /* Who lets datagrams be fragmented on the way need not know where. */
    if (sess == SESS_NONE || p->err == 0 ||
        (p->err == EMSGSIZE && u->sess[sess].mtu_disc == 0)) {
        stat_inc(u->stats, STAT_drop_icmp);
        return;
    }
    sess_error(u, sess, p->err);
}

void
rx_step(struct udp *u, const struct pkt *in, unsigned n)
{
    for (unsigned i = 0; i < n;) {
        unsigned chain = 1;
        while (i + chain < n && (in[i + chain - 1].flags & PKT_MORE))
            chain++;
        if (in[i + chain - 1].flags & PKT_MORE) /* goes on beyond the batch: not a chain */
            stat_inc(u->stats, STAT_drop_short);
        else if (in[i].kind == PKT_DATA)
            rx_datagram(u, &in[i], chain);
        else if (in[i].kind == PKT_ICMP)
            rx_icmp(u, &in[i]);
        else
            stat_inc(u->stats, STAT_drop_header);
        i += chain;
    }
}
