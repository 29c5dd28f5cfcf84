/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The TCP component between a hostile network below, hostile clients above, and crashes. The
 * input is a list of actions: segments whose numbers are near those of a session and whose
 * checksum is right, so that they get deep, or with any descriptor; ICMP errors; requests of
 * any kind on any session; writes into the client half of an arena; time; a crash. After each
 * the invariants must hold and what goes down must be well-formed segments in frames that were
 * ours to give; in the end, with the clients gone and time gone by, nothing may be left.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "../unit/tcp_kit.h"
#include "fuzz.h"
#include "scribble.h"

static struct kit k;
static struct out_seg synack; /* the last one, for who answers it: a cookie, perhaps */

/* A value that is often near a bound. */
static uint64_t
edge(struct input *in)
{
    static const uint64_t e[] = {
        0,          1,          FIFO_PAGE,  FIFO_MAX,       FIFO_MAX + 1, 0xfffffff0u,
        1ull << 32, 1ull << 63, UINT64_MAX, UINT64_MAX - 7, LINGER_ON,    88};
    uint32_t v = take(in, 1);
    return v < 128 ? e[v % ARRAY_LEN(e)] : v < 200 ? v - 128 : take(in, 2);
}

/* A small number around zero, now and then a large one. */
static uint32_t
offset(struct input *in)
{
    uint32_t v = take(in, 1);
    return v < 200   ? v % 8 - (v >= 100 ? 4 : 0) * (v % 2)
           : v < 250 ? (v - 200) * 700
                     : take(in, 4);
}

static void
check(void)
{
    expect(k.bad == 0);
    expect(tcp_validate(k.t));
    for (uint32_t i = 0; i < 2; i++) {
        const struct client *c = &k.t->clients->c[i];
        expect(!c->used || page_pool_validate(&c->pages));
        expect(!c->used || c->n_slots_free <= KIT_SLOTS);
    }
    for (const struct out_seg *o; (o = kit_take(&k)) != NULL;)
        if ((o->h.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
            synack = *o;
}

static void
segment(struct input *in)
{
    static uint8_t data[6000];
    struct pkt p[FRAME_MAX_CHAIN + 1];
    uint32_t what = take(in, 1), how = take(in, 1);
    const struct tcb *c = &k.t->tcb[what % KIT_SESSIONS];
    struct in_seg s = {.data = data, .csum = CSUM_GOOD};
    s.h.flags = (uint8_t)(how & 0x3f);
    if (c->used && c->lport != 0 && (c->h.state > TCPS_LISTEN || what >= 128)) {
        s.h.sport = c->rport;
        s.h.dport = c->lport;
        s.h.seq = c->h.irs + (uint32_t)c->h.rcv_nxt + offset(in);
        s.h.ack = c->h.iss + (uint32_t)(how & 64 ? c->h.snd_max : c->h.snd_una) + offset(in);
        s.h.ts_val = c->h.ts_recent + (how & 128 ? offset(in) : 0);
        s.h.has_ts = (c->h.bits & H_TS) != 0 && how != 77;
    } else {
        s.h.sport = (uint16_t)(KIT_RPORT + what % 4);
        s.h.dport = (uint16_t)(KIT_PORT + what % 3);
        s.h.seq = 0xfffffff0u + what;
        s.h.has_ts = what & 1;
        s.h.has_wscale = what & 2;
        s.h.wscale = (uint8_t)what;
        s.h.mss = (uint16_t)(what & 4 ? 1460 : what & 8 ? edge(in) : 0);
    }
    s.h.wnd = (uint16_t)(what & 32 ? 60000 : edge(in));
    s.len = how % 3 ? 0 : take(in, 2) % (what % 7 ? 1600 : (uint32_t)sizeof data);
    if (what % 7 == 0)
        s.cut = 130u + take(in, 1) * 5u;
    s.csum = what % 31 == 5 ? CSUM_BAD : what % 31 == 6 ? CSUM_PARTIAL : CSUM_GOOD;
    unsigned n = kit_segment(&k, &s, p);
    switch (take(in, 1)) {
    case 0:
        p[take(in, 1) % n].addr = take(in, 4);
        break;
    case 1:
        p[take(in, 1) % n].len = (uint16_t)take(in, 2);
        break;
    case 2:
        p[take(in, 1) % n].flags = (uint8_t)take(in, 1);
        break;
    case 3: { /* the header, its checksum wrong or not looked at */
        for (uint32_t i = 0; i < 4; i++)
            k.frames.base[p[0].addr + take(in, 1) % 60] = (uint8_t)take(in, 1);
        k.t->cfg.csum_partial_ok = true;
        break;
    }
    case 4:
    case 5:
        p[0].kind = PKT_ICMP;
        p[0].err = (uint8_t)(what & 1 ? EMSGSIZE : take(in, 1));
        p[0].aux = (uint32_t)edge(in);
        p[0].src = c->laddr;
        p[0].dst = c->raddr;
        p[0].sport = c->lport;
        p[0].dport = c->rport;
        p[0].seq = c->h.iss + (uint32_t)c->h.snd_una + offset(in);
        n = 1;
        break;
    default:
        break;
    }
    kit_step(&k, p, n);
}

/* The peer's answer to a SYN-ACK, which may be of a session or a cookie; or one that is nearly
 * so. Now and then the domain's mind about cookies changes. */
static void
handshake(struct input *in)
{
    static uint8_t data[100];
    struct pkt p[FRAME_MAX_CHAIN];
    uint32_t what = take(in, 1), how = take(in, 1);
    struct in_seg s = {.data = data, .len = how & 1 ? how % sizeof data : 0};
    if (what % 8 == 7)
        k.cfg.cookies = k.t->cfg.cookies = (uint8_t)(what / 8 % 3);
    s.h = (struct tcp_hdr){.sport = synack.h.dport,
                           .dport = synack.h.sport,
                           .seq = synack.h.ack,
                           .ack = synack.h.seq + 1,
                           .flags = (uint8_t)(TCP_ACK | (how & 2 ? TCP_FIN : 0)),
                           .wnd = (uint16_t)(how * 256u),
                           .has_ts = synack.h.has_ts,
                           .ts_val = synack.h.ts_ecr,
                           .ts_ecr = synack.h.ts_val};
    switch (what % 8) {
    case 0:
        s.h.seq += offset(in);
        break;
    case 1:
        s.h.ack += offset(in);
        break;
    case 2:
        s.h.ts_ecr += offset(in);
        break;
    case 3:
        s.h.flags ^= (uint8_t)(how & (TCP_SYN | TCP_RST | TCP_ACK));
        break;
    default:
        break;
    }
    uint32_t before = tcp_sessions(k.t);
    kit_step(&k, p, kit_segment(&k, &s, p));
    expect(tcp_sessions(k.t) <= before + 1);
}

static void
ask(struct input *in)
{
    static const uint16_t option[][2] = {{SOL_SOCKET, SO_LINGER},
                                         {SOL_SOCKET, SO_RCVBUF},
                                         {SOL_SOCKET, SO_SNDBUF},
                                         {SOL_SOCKET, SO_KEEPALIVE},
                                         {SOL_SOCKET, SO_ERROR},
                                         {SOL_SOCKET, SO_REUSEADDR},
                                         {IPPROTO_TCP, 1 /* NODELAY */},
                                         {IPPROTO_TCP, 2 /* MAXSEG */},
                                         {IPPROTO_TCP, 3 /* CORK */},
                                         {IPPROTO_TCP, 4 /* KEEPIDLE */},
                                         {IPPROTO_TCP, 18 /* USER_TIMEOUT */}};
    struct sess_evt e;
    uint32_t sess = take(in, 1) % KIT_SESSIONS, what = take(in, 1);
    struct sess_req r = {.op = (uint8_t)(take(in, 1) % (REQ_OPS + 1))};
    r.addr = what % 4 == 0   ? (struct ipaddr){0}
             : what % 4 == 1 ? ipaddr_v4_u32(KIT_OWN)
             : what % 4 == 2 ? ipaddr_v4_u32(KIT_PEER)
                             : ipaddr_v4_u32(r.op == REQ_CONNECT ? KIT_PEER : take(in, 4));
    r.port = (uint16_t)(r.op == REQ_BIND      ? what % 6 ? KIT_PORT + what % 3 : 0
                        : r.op == REQ_CONNECT ? KIT_RPORT + what % 4
                                              : what);
    r.level = what % 16 == 15 ? (int32_t)take(in, 1) : option[what % ARRAY_LEN(option)][0];
    r.name = what % 16 == 15 ? (int32_t)take(in, 1) : option[what % ARRAY_LEN(option)][1];
    r.value = r.op == REQ_SHUTDOWN ? what % 4 : edge(in);
    kit_request(&k, sess, r, &e);
}

/* What a client can do to its own half, and what an honest one does. */
static void
scribble(struct input *in)
{
    uint32_t client = take(in, 1) % 2, slot = take(in, 1) % KIT_SLOTS, what = take(in, 1);
    struct slot_client *c = &k.arena[client].c_slot[slot];
    const struct slot_domain *d = &k.arena[client].d_slot[slot];
    switch (what % 8) {
    case 0:
        c->tx_tail = c->tx_tail + edge(in);
        break;
    case 1:
        c->rx_head = edge(in);
        break;
    case 2: {
        uint32_t i = take(in, 1);
        scribble_page(&k.arena[client], c, i, what & 8 ? take(in, 4) : what);
        break;
    }
    case 3:
        c->arm = take(in, 1);
        break;
    case 4:
        c->rx_head = d->rx_tail;
        break;
    case 5:
        c->rx_head = c->tx_tail = 0;
        break;
    default:
        kit_fill(&k, client, slot, take(in, 2) % 9000);
        break;
    }
    for (uint32_t i = 0; i < KIT_SESSIONS && what >= 128; i++)
        if (k.t->tcb[i].used && k.t->tcb[i].link.slot == slot)
            kit_do(&k, i, what & 64 ? REQ_SEND : REQ_CONSUMED, 0);
}

static void
life(struct input *in)
{
    struct transport *t = (struct transport *)(void *)k.t;
    uint32_t what = take(in, 1), client = what >> 7, slot;
    struct sess_evt e;
    struct sess_info info;
    switch (what % 10) {
    case 0:
        (void)kit_open(&k, client, &slot);
        break;
    case 1:
        if (client == 0)
            (void)kit_listen(&k, (uint16_t)(KIT_PORT + what % 3), what / 16, NULL);
        break;
    case 2:
        while (tcp_ops.next_event(t, client, &e))
            if (e.kind == EVT_FREED && what & 64)
                kit_do(&k, e.cookie, REQ_RELEASED, 0);
        break;
    case 3:
        for (uint32_t s = 0; tcp_ops.info(t, s, &info); s = info.sess + 1)
            expect(info.rx_queued <= FIFO_MAX && info.tx_queued <= FIFO_MAX);
        break;
    case 4:
        if (what % 20 < 10)
            tcp_ops.client_gone(t, client, k.now);
        break;
    case 5:
        if (tcp_ops.client_idle(t, client)) {
            tcp_ops.client_remove(t, client);
            memset((void *)k.arena[client].d_head, 0, arena_domain_bytes(&k.arena[client].g));
            expect(kit_attach(&k, client) == 0);
        }
        break;
    case 6:
        k.hold = !k.hold;
        if (!k.hold)
            expect(kit_done(&k));
        break;
    case 7: /* it dies, perhaps with a session in work, perhaps ip with it */
        if (what & 64)
            atomic_store(&k.t->store->working, take(in, 1) % KIT_SESSIONS);
        kit_crash(&k);
        if (what & 32) {
            tcp_ip_reset(k.t);
            k.n_held = 0;
        }
        if (what & 128)
            kit_step(&k, NULL, 0); /* before the clients are back */
        for (uint32_t i = 0; i < what % 3; i++)
            segment(in);
        expect(kit_attach(&k, 0) == 0 && kit_attach(&k, 1) == 0);
        break;
    case 8:
        (void)tcp_tx_done(k.t, k.n_held != 0 ? k.held[0] + FRAME_SIZE * 200 : take(in, 4));
        break;
    default:
        kit_wait(&k, what & 64 ? take(in, 1) * NS_S : take(in, 1) * 10 * NS_MS);
    }
}

/* The clients die, time goes by: all of it must come to an end. */
static void
end(void)
{
    struct transport *t = (struct transport *)(void *)k.t;
    k.hold = false;
    expect(kit_done(&k));
    for (uint32_t i = 0; i < 2; i++)
        tcp_ops.client_gone(t, i, k.now);
    for (unsigned i = 0; i < 40; i++) {
        kit_wait(&k, 60 * NS_S);
        check();
    }
    expect(tcp_sessions(k.t) == 0);
    expect(k.t->n_half_open == 0 && k.t->n_orphans == 0);
    expect(tcp_ops.client_idle(t, 0) && tcp_ops.client_idle(t, 1));
    expect(k.t->pool.n_free == KIT_FRAMES);
    for (uint32_t i = 0; i < 2; i++) {
        const struct client *c = &k.t->clients->c[i];
        expect(c->n_slots_free == KIT_SLOTS && c->pages.n_free == KIT_RX_PAGES);
    }
    for (uint32_t i = 0; i < 65536; i++)
        expect(k.t->port_use[i] == 0 && k.t->port_kept[i] == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    kit_prepare(&k);
    k.cfg.segments = size & 1; /* cut further down, or not */
    if (!k.cfg.segments && (size & 2))
        k.path.mtu = 9000;
    kit_start(&k);
    synack = (struct out_seg){0};
    while (in.left > 0) {
        switch (take(&in, 1) % 8) {
        case 0:
        case 1:
        case 2:
            segment(&in);
            break;
        case 3:
            ask(&in);
            break;
        case 4:
            scribble(&in);
            break;
        case 5:
            life(&in);
            break;
        case 6:
            handshake(&in);
            break;
        default:
            kit_step(&k, NULL, 0);
        }
        check();
    }
    end();
    kit_end(&k);
    return 0;
}
