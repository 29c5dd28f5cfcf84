/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A transport domain between two hostile clients, who hand each other sessions, and an honest
 * one: the rings, handles, cursors, directories and maps of the first are the input. The first
 * byte chooses tcp or udp; then a list of actions: requests (of any content, about any handle),
 * ring indices moved anywhere, slots of the ring and words of the client half overwritten,
 * events taken or not, turns, packets, a client's death, the domain's. After each the domain's
 * invariants must hold and the honest client must find its session as it left it; at the end,
 * with the hostile clients dead, all that they had must be free again.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "scribble.h"
#include "serve_world.h"
#include "wire/csum.h"
#include "wire/wire.h"

static uint64_t
any_handle(struct input *in)
{
    uint32_t what = take(in, 1);
    const struct foe *f = &w.foes[w.foe];
    uint64_t h = f->n_handles == 0 ? what : f->handle[what % 8 % f->n_handles];
    switch (what >> 5) {
    case 0:
        return (uint64_t)take(in, 4) << 32 | take(in, 4);
    case 1:
        return h ^ 1ull << take(in, 1) % 64;
    case 2:
        return w.friends;
    case 3:
        return SESS_CREATOR;
    default:
        return h;
    }
}

/* A request, as well-formed as the input makes it. */
static void
ask(struct input *in)
{
    struct sess_req *at = reqring_reserve(&w.req[w.foe], w.v[w.foe].req);
    if (at == NULL)
        return;
    uint32_t what = take(in, 1);
    struct sess_req r = {.op = (uint8_t)(what % (REQ_OPS + 1))};
    r.handle = any_handle(in);
    if (r.op == REQ_SOCKET && what % 2)
        r.handle = SESS_CREATOR;
    if (r.op == REQ_REDEEM) {
        r.addr = w.token.addr;
        r.value = w.token.value;
    } else if (what >= 224) { /* any bytes */
        uint8_t *raw = (uint8_t *)(void *)&r;
        for (unsigned i = 0; i < 8; i++)
            raw[take(in, 1) % sizeof r] = (uint8_t)take(in, 1);
    } else if (what >= 32) {
        uint32_t v = take(in, 1);
        r.port = (uint16_t)(v % 5 + FRIEND_PORT - 2);
        r.addr = v & 8 ? ipaddr_v4_u32(PEER) : v & 16 ? ipaddr_v4_u32(OWN) : r.addr;
        r.level = v & 32 ? IPPROTO_TCP : v & 64 ? IPPROTO_IP : SOL_SOCKET;
        r.name = (int32_t)take(in, 1) % 64;
        r.value = v & 128 ? take(in, 4) : take(in, 1);
    }
    *at = r;
    ring_submit(&w.req[w.foe]);
    serve_wake(&w.s, w.s.first + w.foe);
}

static void
take_events(void)
{
    struct foe *f = &w.foes[w.foe];
    struct sess_evt e;
    while (evtring_take(&w.evt[w.foe], w.v[w.foe].evt, &e)) {
        ring_release(&w.evt[w.foe]);
        if (e.handle != 0 && f->n_handles < 8)
            f->handle[f->n_handles++] = e.handle;
        if (e.kind == EVT_REPLY && e.err == 0 && e.handle == 0 && e.addr.q[0] != 0)
            w.token = e; /* most likely */
    }
}

/* The shared words of the hostile client. */
static void
lie(struct input *in)
{
    struct arena_view *v = &w.v[w.foe];
    uint32_t what = take(in, 1), how = take(in, 1);
    _Atomic uint32_t *word[] = {&v->c_head->tail, &v->c_head->head, &v->c_head->want,
                                &v->c_head->want_space};
    struct slot_client *c = &v->c_slot[how % SLOTS];
    switch (what % 8) {
    case 0:
        atomic_fetch_add(word[how % 4], take(in, 1) - 100u);
        break;
    case 1:
        atomic_store(word[how % 4], take(in, 4));
        break;
    case 2: /* the ring's slots, behind its back */
        ((uint8_t *)(void *)v->req)[take(in, 2) % (world_geometry.n_req * sizeof *v->req)] =
            (uint8_t)take(in, 1);
        break;
    case 3:
        c->tx_tail = what & 8 ? c->tx_tail + take(in, 2) : take(in, 4);
        break;
    case 4:
        c->rx_head = what & 8 ? c->rx_head + take(in, 2) : take(in, 4);
        break;
    case 5:
        c->arm = take(in, 1);
        break;
    default:
        scribble_page(v, c, take(in, 1), what & 8 ? take(in, 4) : take(in, 1) % 70);
    }
    serve_wake(&w.s, w.s.first + w.foe);
}

/* A packet to one of the ports around the honest one's. */
static void
packet(struct input *in)
{
    uint32_t what = take(in, 1), len = take(in, 1), head;
    uint8_t *p = w.frames.base;
    struct pkt d = {.kind = PKT_DATA, .src = ipaddr_v4_u32(PEER), .dst = ipaddr_v4_u32(OWN)};
    uint16_t dport = (uint16_t)(FRIEND_PORT - 2 + what % 5);
    if (dport == FRIEND_PORT)
        dport++;
    d.proto = w.is_tcp ? WIRE_PROTO_TCP : WIRE_PROTO_UDP;
    if (w.is_tcp) {
        struct tcp_hdr h = {.sport = (uint16_t)(1000 + what % 2),
                            .dport = dport,
                            .seq = take(in, 1),
                            .ack = take(in, 4),
                            .wnd = 5000,
                            .flags = (uint8_t)(what >> 3)};
        head = (uint32_t)tcp_emit(p, &h);
    } else {
        struct udp_hdr h = {
            .sport = (uint16_t)(1000 + what % 2), .dport = dport, .len = (uint16_t)(8 + len)};
        udp_emit(p, &h);
        head = 8;
    }
    memset(p + head, (int)what, len);
    d.len = (uint16_t)(head + len);
    d.aux = d.len;
    uint32_t sum = csum_add(csum_pseudo(&d.src, &d.dst, d.proto, d.len), csum_bytes(p, d.len));
    uint16_t csum = (uint16_t)~csum_fold(sum);
    memcpy(p + (w.is_tcp ? 16 : 6), &csum, sizeof csum);
    world_step(&d, 1);
}

static void
life(struct input *in)
{
    uint32_t what = take(in, 1);
    if (what % 4 == 0) {
        world_bury();
        world_fresh(w.foe);
        w.foes[w.foe].n_handles = 0;
        world_attach(w.foe, false);
    } else if (what % 4 == 1) { /* the domain dies */
        memset(w.soft, 0xa5, w.soft_size);
        world_start();
        if (w.is_tcp)
            tcp_ip_reset(w.tcp);
        else
            udp_ip_reset(w.udp);
        for (uint32_t i = 0; i < CLIENTS; i++)
            world_attach(i, true);
    } else {
        w.now += what % 4 == 2 ? what * NS_MS : what * NS_S;
        world_step(NULL, 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    world_begin(take(&in, 1) & 1);
    while (in.left > 0) {
        uint32_t what = take(&in, 1);
        w.foe = what / 8 % FOES;
        switch (what % 8) {
        case 0:
        case 1:
        case 2:
            ask(&in);
            break;
        case 3:
            lie(&in);
            break;
        case 4:
            take_events();
            break;
        case 5:
            packet(&in);
            break;
        case 6:
            life(&in);
            break;
        default:
            w.now += NS_MS;
            world_step(NULL, 0);
        }
        world_check();
    }
    world_check_friend();
    for (w.foe = 0; w.foe < FOES; w.foe++)
        world_bury();
    world_check();
    world_check_friend();
    for (unsigned i = 0; i < 40; i++) { /* what has no owner any more */
        w.now += 60 * NS_S;
        world_step(NULL, 0);
    }
    expect((w.is_tcp ? tcp_sessions(w.tcp) : udp_sessions(w.udp)) == 1);
    return 0;
}
