/* SPDX-License-Identifier: BSD-2-Clause */
#include "tcp_kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire/csum.h"

static const struct ipaddr own = {
    .b = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 0, [14] = 0, [15] = 1}};
static const struct ipaddr peer = {
    .b = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 0, [14] = 0, [15] = 2}};
const struct ipaddr *const kit_peer = &peer;

static const struct arena_geometry geometry = {
    .n_slots = 32, .n_tx_pages = 64, .n_rx_pages = 64, .n_req = 64, .n_evt = 8};

static void *
zeroed(size_t bytes)
{
    bytes = ALIGN_UP(bytes, (size_t)4096);
    void *p = aligned_alloc(4096, bytes);
    cr_assert_not_null(p);
    memset(p, 0, bytes);
    return p;
}

static void
start(struct kit *k)
{
    k->tcp = tcp_init(k->store, k->soft, &k->cfg, &k->frames, &k->path, &k->stats, k->now);
    serve_init(&k->serve, &tcp_ops, (struct transport *)(void *)k->tcp,
               tcp_clients_ready(k->tcp), 0, &k->stats);
}

void
kit_init(struct kit *k)
{
    static const uint32_t n[PART_COUNT] = {16, 2, 64, 2, 2};
    memset(k, 0, sizeof *k);
    k->now = 1000 * NS_S;
    frames_layout(&k->frames, n);
    k->frames.base = zeroed(frames_bytes(&k->frames));
    k->frames.readable = k->frames.writable = ~0u;
    k->path = (struct path_table){.addr = own, .prefix = 24, .mtu = 1500, .ready = 1};
    k->cfg = (struct tcp_config){
        .n_sessions = 64, .half_open = 16, .orphans = 16, .sndbuf = 65536, .rcvbuf = 65536};
    k->store = zeroed(tcp_store_size(&k->cfg, &k->frames));
    k->soft = zeroed(tcp_soft_size(&k->cfg, &k->frames));
    start(k);
    for (unsigned i = 0; i < KIT_CLIENTS; i++) {
        struct kit_client *c = &k->c[i];
        c->half[0] = zeroed(arena_client_bytes(&geometry));
        c->half[1] = zeroed(arena_domain_bytes(&geometry));
        arena_view_init(&c->v, &geometry, c->half[0], c->half[1]);
        cr_assert_eq(bell_pipe(c->to_domain), 0);
        cr_assert_eq(bell_pipe(c->to_client), 0);
        ring_tx_init(&c->req, &c->v.c_head->tail, &c->v.d_head->head, geometry.n_req);
        ring_rx_init(&c->evt, &c->v.d_head->tail, &c->v.c_head->head, geometry.n_evt);
        kit_attach(k, i, false);
    }
}

void
kit_end(struct kit *k)
{
    for (unsigned i = 0; i < KIT_CLIENTS; i++) {
        free(k->c[i].half[0]);
        free(k->c[i].half[1]);
        for (unsigned f = 0; f < 2; f++) {
            close(k->c[i].to_domain[f]);
            close(k->c[i].to_client[f]);
        }
    }
    free(k->frames.base);
    free(k->store);
    free(k->soft);
}

void
kit_restart(struct kit *k)
{
    memset(k->soft, 0xa5, tcp_soft_size(&k->cfg, &k->frames));
    start(k);
    tcp_ip_reset(k->tcp);
}

void
kit_attach(struct kit *k, unsigned client, bool resume)
{
    struct sess_limits limits = {.sessions = 32, .half_open = 8};
    account_rules_any(&limits.rules);
    struct kit_client *c = &k->c[client];
    cr_assert_eq(
        serve_add(&k->serve, client, &c->v, &limits, resume, c->to_domain[0], c->to_client[1]),
        0);
}

bool
kit_post(struct kit *k, unsigned client, struct sess_req r)
{
    struct kit_client *c = &k->c[client];
    struct sess_req *slot = reqring_reserve(&c->req, c->v.req);
    if (slot == NULL)
        return false;
    *slot = r;
    ring_submit(&c->req);
    return true;
}

bool
kit_event(struct kit *k, unsigned client, struct sess_evt *e)
{
    struct kit_client *c = &k->c[client];
    bool got = evtring_take(&c->evt, c->v.evt, e);
    ring_release(&c->evt);
    return got;
}

int
kit_call(struct kit *k, unsigned client, struct sess_req r, struct sess_evt *reply)
{
    r.cookie = ++k->c[client].cookie;
    cr_assert(kit_post(k, client, r));
    for (unsigned i = 0; i < 100; i++) {
        serve_wake(&k->serve, client); /* as its bell would */
        (void)serve_requests(&k->serve, k->now);
        struct sess_evt e;
        while (kit_event(k, client, &e))
            if (e.kind == EVT_REPLY && e.cookie == r.cookie) {
                if (reply != NULL)
                    *reply = e;
                return e.err;
            }
    }
    cr_assert_fail("no reply to request %u", r.op);
    return -1;
}

uint64_t
kit_socket(struct kit *k, unsigned client, uint32_t *slot)
{
    struct sess_evt e;
    cr_assert_eq(
        kit_call(k, client, (struct sess_req){.op = REQ_SOCKET, .handle = SESS_CREATOR}, &e),
        0);
    if (slot != NULL)
        *slot = e.slot;
    return e.handle;
}

int
kit_bind(struct kit *k, unsigned client, uint64_t handle, uint16_t port)
{
    return kit_call(k, client,
                    (struct sess_req){.op = REQ_BIND, .handle = handle, .port = port}, NULL);
}

static void
turn(struct kit *k, const struct pkt *in, unsigned n)
{
    k->now += NS_MS;
    (void)serve_requests(&k->serve, k->now);
    k->n_out = tcp_step(k->tcp, in, n, k->out, KIT_OUT, k->now);
    for (unsigned i = 0; i < k->n_out; i++)
        (void)tcp_tx_done(k->tcp, k->out[i].addr);
    serve_events(&k->serve);
}

void
kit_turn(struct kit *k)
{
    turn(k, NULL, 0);
}

void
kit_segment(struct kit *k, const struct tcp_hdr *h)
{
    kit_data(k, h, 0);
}

void
kit_data(struct kit *k, const struct tcp_hdr *h, uint32_t n)
{
    uint8_t *p = k->frames.base + 128;
    uint32_t len = (uint32_t)tcp_emit(p, h);
    memset(p + len, 'x', n);
    len += n;
    uint32_t sum = csum_add(csum_pseudo(&peer, &own, WIRE_PROTO_TCP, len), csum_bytes(p, len));
    uint16_t csum = (uint16_t)~csum_fold(sum);
    memcpy(p + 16, &csum, sizeof csum);
    struct pkt in = {.addr = 128,
                     .len = (uint16_t)len,
                     .kind = PKT_DATA,
                     .proto = WIRE_PROTO_TCP,
                     .aux = len,
                     .src = peer,
                     .dst = own};
    turn(k, &in, 1);
}

bool
kit_sent(const struct kit *k, struct tcp_hdr *h)
{
    if (k->n_out == 0)
        return false;
    const struct pkt *p = &k->out[k->n_out - 1];
    return tcp_parse(h, k->frames.base + p->addr, p->len) == WIRE_OK;
}

uint64_t
kit_connection(struct kit *k, unsigned client, uint64_t bytes, struct tcp_hdr *syn)
{
    uint32_t slot;
    uint64_t h = kit_socket(k, client, &slot);
    struct sess_req connect = {.op = REQ_CONNECT, .handle = h, .addr = *kit_peer, .port = 9};
    cr_assert_eq(kit_call(k, client, connect, NULL), 0);
    kit_turn(k);
    cr_assert(kit_sent(k, syn));
    kit_segment(k, &(struct tcp_hdr){.sport = 9,
                                     .dport = syn->sport,
                                     .seq = 100,
                                     .ack = syn->seq + 1,
                                     .wnd = 60000,
                                     .flags = TCP_SYN | TCP_ACK});
    atomic_store(&k->c[client].v.c_slot[slot].tx_tail, bytes);
    cr_assert(kit_post(k, client, (struct sess_req){.op = REQ_SEND, .handle = h}));
    kit_turn(k);
    kit_turn(k);
    return h;
}
