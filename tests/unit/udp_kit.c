/* SPDX-License-Identifier: BSD-2-Clause */
#include "udp_kit.h"

#include <stdlib.h>

#include "wire/csum.h"
#include "wire/wire.h"

static const struct arena_geometry geometry = {.n_slots = KIT_SLOTS,
                                               .n_tx_pages = KIT_SLOTS * KIT_TX_PAGES,
                                               .n_rx_pages = KIT_RX_PAGES,
                                               .n_req = 16,
                                               .n_evt = 16};

static void
start(struct kit *k)
{
    k->soft = kit_zeroed(udp_soft_size(&k->cfg, &k->frames));
    k->u = udp_init(k->store, k->soft, &k->cfg, &k->frames, &k->path, &k->stats, k->now);
}

void
kit_init(struct kit *k)
{
    memset((void *)k, 0, sizeof *k);
    k->now = NS_S;
    k->cfg = (struct udp_config){.n_sessions = KIT_SESSIONS,
                                 .sndbuf = 80000,
                                 .rcvbuf = 80000,
                                 .key = {1, 2, 3},
                                 .ports = &k->ports};
    frames_layout(&k->frames, (uint32_t[PART_COUNT]){64, 1, 1, 96, 8});
    k->frames.base = kit_zeroed(frames_bytes(&k->frames));
    k->frames.readable = UINT32_MAX;
    k->frames.writable = PART_BIT(PART_UDPTX);
    k->path = (struct path_table){
        .addr = ipaddr_v4_u32(KIT_OWN), .prefix = 24, .mtu = 1500, .ready = 1};
    k->store = kit_zeroed(udp_store_size(&k->cfg, &k->frames));
    for (int i = 0; i < 2; i++)
        arena_view_init(&k->arena[i], &geometry, kit_zeroed(arena_client_bytes(&geometry)),
                        kit_zeroed(arena_domain_bytes(&geometry)));
    start(k);
}

void
kit_up(struct kit *k)
{
    kit_init(k);
    if (kit_attach(k, 0) != 0 || kit_attach(k, 1) != 0)
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
    memset(k->soft, 0xa5, udp_soft_size(&k->cfg, &k->frames));
    free(k->soft);
    start(k);
}

int
kit_attach(struct kit *k, uint32_t client)
{
    struct sess_limits limits = {.sessions = KIT_SLOTS - 1};
    account_rules_any(&limits.rules);
    return udp_ops.client_add(kit_transport(k), client, &k->arena[client], &limits);
}

uint32_t
kit_open(struct kit *k, uint32_t client, uint32_t *slot)
{
    uint32_t sess;
    return udp_ops.open(kit_transport(k), client, &kit_grant, &sess, slot) == 0 ? sess
                                                                                : SESS_NONE;
}

int
kit_request(struct kit *k, uint32_t sess, struct sess_req r, struct sess_evt *reply)
{
    struct sess_evt e = {0};
    udp_ops.request(kit_transport(k), sess, &r, &e, k->now);
    if (reply != NULL)
        *reply = e;
    return e.err;
}

int
kit_op(struct kit *k, uint32_t sess, enum req_op what)
{
    return kit_request(k, sess, (struct sess_req){.op = (uint8_t)what}, NULL);
}

bool
kit_only_event(struct kit *k, uint32_t client, enum evt_kind kind, uint32_t slot)
{
    struct sess_evt e, none;
    bool ready = udp_clients_ready(k->u)[0] >> client & 1;
    return ready && udp_ops.next_event(kit_transport(k), client, &e) && e.kind == kind &&
           e.slot == slot && !udp_ops.next_event(kit_transport(k), client, &none) &&
           !(udp_clients_ready(k->u)[0] >> client & 1);
}

void
kit_bytes(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 13 + i / 255);
}

void
kit_tx_bytes(struct kit *k, uint32_t client, uint32_t slot, const void *p, uint32_t len)
{
    struct arena_view *v = &k->arena[client];
    struct slot_client *c = &v->c_slot[slot];
    uint64_t at = c->tx_tail;
    for (uint32_t i = 0; i < len; i++, at++) {
        uint32_t page = slot * KIT_TX_PAGES + (uint32_t)(at / FIFO_PAGE % KIT_TX_PAGES);
        c->tx_dir.page[at / FIFO_PAGE % FIFO_DIR] = fifo_word(at, page);
        v->tx_page[(size_t)page * FIFO_PAGE + at % FIFO_PAGE] =
            p == NULL ? 0 : ((const uint8_t *)p)[i];
    }
    c->tx_tail = at;
}

void
kit_send(struct kit *k, uint32_t client, uint32_t slot, uint32_t addr, uint16_t port,
         const void *p, uint32_t len)
{
    struct dgram_head h = {.len = len, .addr = kit_address(addr), .port = port};
    kit_tx_bytes(k, client, slot, &h, sizeof h);
    kit_tx_bytes(k, client, slot, p, len);
    kit_tx_bytes(k, client, slot, NULL, dgram_record_bytes(len) - (uint32_t)sizeof h - len);
}

static bool
rx_bytes(struct kit *k, uint32_t client, uint32_t slot, uint64_t at, uint8_t *dst, uint32_t len)
{
    struct arena_view *v = &k->arena[client];
    for (uint32_t i = 0; i < len; i++, at++) {
        uint32_t page = fifo_find(&v->d_slot[slot].rx_dir, v->rx_page, KIT_RX_PAGES, at);
        if (page >= KIT_RX_PAGES)
            return false;
        dst[i] = v->rx_page[(size_t)page * FIFO_PAGE + at % FIFO_PAGE];
    }
    return true;
}

int64_t
kit_recv(struct kit *k, uint32_t client, uint32_t slot, struct dgram_head *h, void *p,
         uint32_t max)
{
    struct arena_view *v = &k->arena[client];
    uint64_t head = v->c_slot[slot].rx_head;
    if (head == v->d_slot[slot].rx_tail)
        return -1;
    if (!rx_bytes(k, client, slot, head, (uint8_t *)h, sizeof *h) ||
        !rx_bytes(k, client, slot, head + sizeof *h, p, min_u32(h->len, max)))
        return -2;
    v->c_slot[slot].rx_head = head + dgram_record_bytes(h->len);
    return h->len;
}

unsigned
kit_datagram(struct kit *k, struct pkt *p, uint32_t src, uint16_t sport, uint32_t dst,
             uint16_t dport, const void *data, uint32_t len, uint32_t cut, int csum)
{
    struct ip4_hdr ip = {.total_len = (uint16_t)(20 + 8 + len), .ttl = 60, .proto = 17};
    struct udp_hdr h = {.sport = sport, .dport = dport, .len = (uint16_t)(8 + len)};
    uint8_t head[8];
    unsigned n = 0;
    ip.src = ipaddr_v4_u32(src);
    ip.dst = ipaddr_v4_u32(dst);
    udp_emit(head, &h);
    uint32_t pseudo = csum_pseudo(&ip.src, &ip.dst, 17, h.len);
    uint32_t sum = csum_add(csum_add(csum_bytes(head, 8), csum_bytes(data, len)), pseudo);
    h.csum = csum == CSUM_NONE      ? 0
             : csum == CSUM_PARTIAL ? csum_fold(pseudo)
                                    : (uint16_t)~csum_fold(sum);
    if (csum == CSUM_BAD)
        h.csum ^= 0x5555;
    udp_emit(head, &h);
    for (uint32_t done = 0, total = 8 + len; done < total || n == 0; n++) {
        uint32_t addr = k->rx_next++ % 64 * FRAME_SIZE, part = min_u32(cut, total - done);
        uint8_t *f = k->frames.base + addr;
        ip4_emit(f + 14, &ip);
        for (uint32_t i = 0; i < part; i++)
            f[34 + i] = done + i < 8 ? head[done + i] : ((const uint8_t *)data)[done + i - 8];
        p[n] = (struct pkt){.addr = addr + 34,
                            .len = (uint16_t)part,
                            .kind = PKT_DATA,
                            .proto = 17,
                            .flags = done + part < total ? PKT_MORE : 0,
                            .ttl = 60,
                            .src = ip.src,
                            .dst = ip.dst,
                            .aux = total,
                            .l3 = addr + 14,
                            .l3_len = (uint16_t)(20 + part)};
        done += part;
    }
    return n;
}

void
kit_step(struct kit *k, const struct pkt *in, unsigned n)
{
    k->n_out = udp_step(k->u, in, n, k->out, KIT_CAP, k->now);
}

void
kit_feed(struct kit *k, uint16_t sport, uint16_t dport, const void *data, uint32_t len)
{
    struct pkt p[FRAME_MAX_CHAIN];
    unsigned n =
        kit_datagram(k, p, KIT_PEER, sport, KIT_OWN, dport, data, len, 1480, CSUM_GOOD);
    kit_step(k, p, n);
}

bool
kit_done(struct kit *k)
{
    bool ok = true;
    for (unsigned i = 0; i < k->n_out; i++)
        ok &= udp_tx_done(k->u, k->out[i].addr);
    k->n_out = 0;
    return ok;
}

uint32_t
kit_gather(struct kit *k, unsigned i, uint8_t *buf, uint32_t max)
{
    uint32_t at = 0, fragment = 0;
    const struct pkt *first = &k->out[i];
    k->n_fragments = 0;
    for (; i < k->n_out; i++) {
        const struct pkt *p = &k->out[i];
        const uint8_t *f = frames_ro(&k->frames, PART_BIT(PART_UDPTX), p->addr, p->len);
        bool more = (p->flags & PKT_MORE) != 0, join = (p->flags & PKT_JOIN) != 0;
        fragment += p->len;
        if (f == NULL || p->addr % FRAME_SIZE != FRAME_L4 || p->len > max - at ||
            (more && !join && fragment % 8 != 0) || fragment > k->path.mtu - 20 ||
            (join && !more))
            return 0;
        fragment = join ? fragment : 0;
        k->n_fragments += !join;
        memcpy(buf + at, f, p->len);
        at += p->len;
        if (!more)
            break;
    }
    struct udp_hdr h;
    if (i == k->n_out || at != first->aux || udp_parse(&h, buf, at) != WIRE_OK || h.len != at ||
        h.csum == 0)
        return 0;
    uint32_t sum = csum_add(csum_pseudo(&first->src, &first->dst, 17, at), csum_bytes(buf, at));
    return csum_fold(sum) == 0xffff ? at : 0;
}
