/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp_kit.h"

#include <stdlib.h>

static struct transport *
transport(struct kit *k)
{
    return (struct transport *)(void *)k->t;
}

static void
begin(struct kit *k)
{
    k->soft = kit_zeroed(tcp_soft_size(&k->cfg, &k->frames));
    k->t = tcp_init(k->store, k->soft, &k->cfg, &k->frames, &k->path, &k->stats, k->now);
}

void
kit_prepare(struct kit *k)
{
    memset((void *)k, 0, sizeof *k);
    k->now = 1000 * NS_S;
    k->cfg = (struct tcp_config){.n_sessions = KIT_SESSIONS,
                                 .half_open = 8,
                                 .orphans = 8,
                                 .sndbuf = 65536,
                                 .rcvbuf = 65536,
                                 .runs = 4096,
                                 .segments = getenv("KIT_SEGMENTS") != NULL,
                                 .key = {1, 2, 3}};
    k->limits = (struct sess_limits){.sessions = KIT_SESSIONS, .half_open = 8};
    account_rules_any(&k->limits.rules);
    k->geometry = (struct arena_geometry){.n_slots = KIT_SLOTS,
                                          .n_tx_pages = KIT_SLOTS * KIT_TX_PAGES,
                                          .n_rx_pages = KIT_RX_PAGES,
                                          .n_req = 16,
                                          .n_evt = 16};
    frames_layout(&k->frames, (uint32_t[PART_COUNT]){KIT_RX_FRAMES, 1, KIT_FRAMES, 1, 1});
    k->frames.readable = UINT32_MAX;
    k->frames.writable = PART_BIT(PART_TCPTX);
    k->path = (struct path_table){
        .addr = ipaddr_v4_u32(KIT_OWN), .prefix = 24, .mtu = 1500, .ready = 1};
}

void
kit_start(struct kit *k)
{
    const struct arena_geometry *g = &k->geometry;
    k->frames.base = kit_zeroed(frames_bytes(&k->frames));
    k->store = kit_zeroed(tcp_store_size(&k->cfg, &k->frames));
    for (int i = 0; i < 2; i++)
        arena_view_init(&k->arena[i], g, kit_zeroed(arena_client_bytes(g)),
                        kit_zeroed(arena_domain_bytes(g)));
    begin(k);
    if (kit_attach(k, 0) != 0 || kit_attach(k, 1) != 0)
        abort();
}

void
kit_init(struct kit *k)
{
    kit_prepare(k);
    kit_start(k);
}

void
kit_start_cookies(struct kit *k, enum tcp_cookies how)
{
    kit_prepare(k);
    k->cfg.cookies = (uint8_t)how;
    kit_start(k);
    if (kit_listen(k, KIT_PORT, 5, NULL) == SESS_NONE)
        abort();
}

void
kit_end(struct kit *k)
{
    for (int i = 0; i < 2; i++) {
        free(k->arena[i].c_head);
        free(k->arena[i].d_head);
    }
    free(k->frames.base);
    free(k->store);
    free(k->soft);
}

void
kit_crash(struct kit *k)
{
    memset(k->soft, 0xa5, tcp_soft_size(&k->cfg, &k->frames));
    free(k->soft);
    begin(k);
}

int
kit_attach(struct kit *k, uint32_t client)
{
    return tcp_ops.client_add(transport(k), client, &k->arena[client], &k->limits);
}

void
kit_restart(struct kit *k)
{
    kit_crash(k);
    if (kit_attach(k, 0) != 0 || kit_attach(k, 1) != 0)
        abort();
}

/* ---- a client ---- */

uint32_t
kit_open(struct kit *k, uint32_t client, uint32_t *slot)
{
    uint32_t sess;
    return tcp_ops.open(transport(k), client, &kit_grant, &sess, slot) == 0 ? sess : SESS_NONE;
}

int
kit_request(struct kit *k, uint32_t sess, struct sess_req r, struct sess_evt *reply)
{
    struct sess_evt e = {0};
    tcp_ops.request(transport(k), sess, &r, &e, k->now);
    if (reply != NULL)
        *reply = e;
    return e.err;
}

int
kit_do(struct kit *k, uint32_t sess, unsigned op, uint64_t value)
{
    return kit_request(k, sess, (struct sess_req){.op = (uint8_t)op, .value = value}, NULL);
}

bool
kit_event(struct kit *k, uint32_t client, struct sess_evt *e)
{
    return tcp_ops.next_event(transport(k), client, e);
}

uint32_t
kit_listen(struct kit *k, uint16_t port, unsigned backlog, uint32_t *slot)
{
    uint32_t s, here;
    s = kit_open(k, 0, slot != NULL ? slot : &here);
    if (s == SESS_NONE || kit_bind(k, s, 0, port) != 0 ||
        kit_do(k, s, REQ_LISTEN, backlog) != 0)
        return SESS_NONE;
    k->listener = s;
    return s;
}

void
kit_fill(struct kit *k, uint32_t client, uint32_t slot, uint32_t len)
{
    struct arena_view *v = &k->arena[client];
    struct slot_client *c = &v->c_slot[slot];
    uint64_t at = c->tx_tail;
    for (uint32_t i = 0; i < len; i++, at++) {
        uint32_t page = slot * KIT_TX_PAGES + (uint32_t)(at / FIFO_PAGE % KIT_TX_PAGES);
        c->tx_dir.page[at / FIFO_PAGE % FIFO_DIR] = fifo_word(at, page);
        v->tx_page[(size_t)page * FIFO_PAGE + at % FIFO_PAGE] = kit_byte(at);
    }
    c->tx_tail = at;
}

void
kit_write(struct kit *k, const struct conn *c, uint32_t len)
{
    kit_fill(k, c->client, c->slot, len);
    (void)kit_do(k, c->sess, REQ_SEND, 0);
    kit_step(k, NULL, 0);
}

uint32_t
kit_readable(struct kit *k, const struct conn *c)
{
    const struct arena_view *v = &k->arena[c->client];
    return (uint32_t)(v->d_slot[c->slot].rx_tail - v->c_slot[c->slot].rx_head);
}

uint32_t
kit_read(struct kit *k, const struct conn *c, uint8_t *p, uint32_t max)
{
    struct arena_view *v = &k->arena[c->client];
    uint32_t n = min_u32(kit_readable(k, c), max);
    uint64_t at = v->c_slot[c->slot].rx_head;
    for (uint32_t i = 0; i < n; i++, at++) {
        const struct fifo_dir *d = &v->d_slot[c->slot].rx_dir;
        uint32_t page = fifo_find(d, v->rx_page, v->g.n_rx_pages, at);
        if (page >= v->g.n_rx_pages)
            abort();
        p[i] = v->rx_page[(size_t)page * FIFO_PAGE + at % FIFO_PAGE];
    }
    v->c_slot[c->slot].rx_head = at;
    (void)kit_do(k, c->sess, REQ_CONSUMED, 0);
    kit_step(k, NULL, 0);
    return n;
}

/* ---- the wire ---- */

unsigned
kit_segment(struct kit *k, const struct in_seg *s, struct pkt *p)
{
    uint8_t head[TCP_HEADER_MAX];
    struct ipaddr src = ipaddr_v4_u32(s->src ? s->src : KIT_PEER);
    struct ipaddr dst = ipaddr_v4_u32(s->dst ? s->dst : KIT_OWN);
    uint32_t hlen = (uint32_t)tcp_emit(head, &s->h), total = hlen + s->len, done = 0;
    uint32_t pseudo = csum_pseudo(&src, &dst, WIRE_PROTO_TCP, total);
    uint32_t sum = csum_add(csum_bytes(head, hlen), csum_bytes(s->data, s->len));
    uint16_t csum = s->csum == CSUM_PARTIAL ? csum_fold(pseudo)
                                            : (uint16_t)~csum_fold(csum_add(sum, pseudo));
    if (s->csum == CSUM_BAD || s->csum == CSUM_DONE)
        csum ^= 0x5555;
    memcpy(head + 16, &csum, sizeof csum);
    unsigned n = 0;
    uint32_t cut = s->cut ? max_u32(s->cut, hlen) : FRAME_SIZE - 64;
    for (; done < total; n++) {
        uint32_t addr = k->rx_next++ % KIT_RX_FRAMES * FRAME_SIZE + 64,
                 part = min_u32(cut, total - done);
        uint8_t *f = k->frames.base + addr;
        for (uint32_t i = 0; i < part; i++)
            f[i] =
                done + i < hlen ? head[done + i] : ((const uint8_t *)s->data)[done + i - hlen];
        p[n] = (struct pkt){.addr = addr,
                            .len = (uint16_t)part,
                            .kind = PKT_DATA,
                            .proto = WIRE_PROTO_TCP,
                            .flags = done + part < total ? PKT_MORE : 0,
                            .ttl = 60,
                            .src = src,
                            .dst = dst,
                            .aux = total};
        done += part;
    }
    p->flags |= s->csum == CSUM_DONE ? PKT_CSUM : 0;
    return n;
}

static void
keep(struct kit *k, const struct pkt *p, const uint8_t *text, uint32_t len, struct tcp_hdr h)
{
    struct out_seg *o = &k->q[k->q_tail % KIT_QUEUE];
    o->h = h;
    o->p = *p;
    o->len = len;
    memcpy(o->data, text, len);
    k->q_tail++;
    if (k->q_tail - k->q_head > KIT_QUEUE)
        k->q_head = k->q_tail - KIT_QUEUE;
}

static void
give_back(struct kit *k, const struct pkt *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (k->hold)
            k->held[k->n_held++ % KIT_FRAMES] = p[i].addr;
        else if (!tcp_tx_done(k->t, p[i].addr))
            k->bad++;
}

/* A segment that is longer than a frame: one packet, whose sum so far is that of its first
 * frame.
 */
static bool
join(struct kit *k, const struct pkt *p, unsigned n, uint32_t total, uint32_t sum)
{
    uint8_t text[FRAME_MTU_MAX];
    struct tcp_hdr h;
    uint32_t at = p->len;
    if (total > sizeof text || n < 2 || n > FRAME_MAX_PACKET || p->aux != total ||
        (p->flags & (PKT_WHOLE | PKT_CSUM)))
        return false;
    memcpy(text, k->frames.base + p->addr, p->len);
    for (unsigned i = 1; i < n; at += p[i++].len) {
        const uint8_t *f = k->frames.base + p[i].addr;
        sum = at % 2 ? csum_add_odd(sum, csum_bytes(f, p[i].len))
                     : csum_add(sum, csum_bytes(f, p[i].len));
        memcpy(text + at, f, p[i].len);
        if (p[i].len > FRAME_ROOM || !!(p[i].flags & PKT_JOIN) != (i + 1 < n))
            return false;
    }
    if (csum_fold(sum) != 0xffff || tcp_parse(&h, text, total) != WIRE_OK)
        return false;
    keep(k, p, text + h.header_len, total - h.header_len, h);
    k->joined = max_u32(k->joined, n);
    return true;
}

/* One segment in n frames, as ip sees it; what it is cut into is what the peer gets: the header
 * of each is the first's, with what belongs to the end of it on the last alone. */
static bool
cut(struct kit *k, const struct pkt *p, unsigned n)
{
    uint32_t total = 0, at = 0, size = 0;
    struct tcp_hdr h;
    for (unsigned i = 0; i < n; i++) {
        if (frames_ro(&k->frames, PART_BIT(PART_TCPTX), p[i].addr, p[i].len) == NULL ||
            p[i].addr % FRAME_SIZE != FRAME_L4 || p[i].kind != PKT_DATA)
            return false;
        total += p[i].len;
    }
    const uint8_t *f = k->frames.base + p->addr;
    uint32_t pseudo = csum_pseudo(&p->src, &p->dst, WIRE_PROTO_TCP, total);
    uint32_t sum = p->flags & PKT_CSUM ? 0 : csum_add(pseudo, csum_bytes(f, p->len));
    uint16_t field;
    memcpy(&field, f + 16, sizeof field);
    if (p->flags & PKT_JOIN)
        return join(k, p, n, total, sum);
    bool fine = p->flags & PKT_CSUM ? k->cfg.segments && field == csum_fold(pseudo)
                                    : n == 1 && csum_fold(sum) == 0xffff;
    if (!fine || p->aux != total || (n > 1) != !!(p->flags & PKT_WHOLE) ||
        tcp_parse(&h, f, p->len) != WIRE_OK)
        return false;
    for (unsigned i = 0; i < n; i++) {
        uint32_t skip = i == 0 ? h.header_len : 0, len = p[i].len - skip;
        struct tcp_hdr mine = h;
        if ((i > 0 && i + 1 < n && len != size) || (i > 0 && len > size))
            return false; /* the driver takes the size of all from the first */
        size = i == 0 ? len : size;
        mine.seq += at;
        if (i + 1 < n)
            mine.flags &= (uint8_t) ~(TCP_PSH | TCP_FIN);
        keep(k, p, k->frames.base + p[i].addr + skip, len, mine);
        at += len;
    }
    k->whole = max_u32(k->whole, n);
    return true;
}

/* What the stack sent; returns the frames of the first packet. */
static unsigned
collect(struct kit *k, const struct pkt *p, unsigned left)
{
    unsigned n = 1;
    while (n < left && (p[n - 1].flags & PKT_MORE))
        n++;
    k->bad += (p[n - 1].flags & PKT_MORE) || !cut(k, p, n);
    give_back(k, p, n);
    return n;
}

static unsigned
step_once(struct kit *k, const struct pkt *in, unsigned n)
{
    struct pkt out[KIT_CAP];
    unsigned n_out = tcp_step(k->t, in, n, out, KIT_CAP, k->now);
    for (unsigned i = 0; i < n_out;)
        i += collect(k, &out[i], n_out - i);
    return n_out;
}

void
kit_step(struct kit *k, const struct pkt *in, unsigned n)
{
    unsigned n_out = step_once(k, in, n);
    for (unsigned i = 0; n_out == KIT_CAP && i < 1000; i++)
        n_out = step_once(k, NULL, 0);
}

void
kit_inject(struct kit *k, const struct in_seg *s)
{
    struct pkt p[FRAME_MAX_CHAIN];
    kit_step(k, p, kit_segment(k, s, p));
}

void
kit_wait(struct kit *k, ns_t d)
{
    ns_t end = k->now + d;
    for (unsigned i = 0; i < 100000; i++) {
        ns_t at = tcp_deadline(k->t);
        if (at > end)
            break;
        k->now = max_u64(k->now, at);
        kit_step(k, NULL, 0);
    }
    k->now = end;
    kit_step(k, NULL, 0);
}

ns_t
kit_until_sent(struct kit *k, ns_t max)
{
    ns_t start = k->now;
    kit_drop(k);
    for (unsigned i = 0; i < 100000 && kit_pending(k) == 0; i++) {
        ns_t at = tcp_deadline(k->t);
        if (at > start + max) {
            k->now = start + max;
            break;
        }
        k->now = max_u64(k->now, at);
        kit_step(k, NULL, 0);
    }
    return k->now - start;
}

const struct out_seg *
kit_take(struct kit *k)
{
    return k->q_head == k->q_tail ? NULL : &k->q[k->q_head++ % KIT_QUEUE];
}

unsigned
kit_pending(const struct kit *k)
{
    return k->q_tail - k->q_head;
}

void
kit_drop(struct kit *k)
{
    k->q_head = k->q_tail;
}

bool
kit_done(struct kit *k)
{
    bool ok = true;
    while (k->n_held > 0)
        ok &= tcp_tx_done(k->t, k->held[--k->n_held]);
    return ok;
}
