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

#include "domains/serve.h"
#include "fuzz.h"
#include "scribble.h"
#include "tcp/tcp.h"
#include "udp/udp.h"
#include "wire/csum.h"
#include "wire/wire.h"

#define FOES 2u
#define FRIEND 2u
#define CLIENTS 3u
#define SESSIONS 12u
#define SLOTS 8u
#define OWN 0x0a000001u
#define PEER 0x0a000002u
#define FRIEND_PORT 80u
#define FRIEND_BUF 12288u

static const struct arena_geometry geometry = {
    .n_slots = SLOTS, .n_tx_pages = 16, .n_rx_pages = 16, .n_req = 16, .n_evt = 8};
static const uint32_t n_frames[PART_COUNT] = {16, 16, 16, 2, 2};

static struct world {
    bool is_tcp;
    struct frames frames;
    struct path_table path;
    struct stats stats;
    struct tcp_config tcp_cfg;
    struct udp_config udp_cfg;
    void *store, *soft, *half[CLIENTS][2];
    size_t store_size, soft_size;
    struct tcp *tcp;
    struct udp *udp;
    struct serve s;
    struct arena_view v[CLIENTS];
    struct ring_tx req[CLIENTS];
    struct ring_rx evt[CLIENTS];
    uint32_t foe; /* the hostile client whose turn it is */
    struct foe {
        uint64_t handle[8]; /* as it was told */
        unsigned n_handles;
    } foes[FOES];
    struct sess_evt token; /* the last that one of them had */
    uint64_t friends;      /* the honest one's handle */
    ns_t now;
} w;

static void *
page_zeroed(void **p, size_t bytes)
{
    bytes = ALIGN_UP(bytes, (size_t)FIFO_PAGE);
    if (*p == NULL)
        *p = aligned_alloc(FIFO_PAGE, bytes);
    expect(*p != NULL);
    memset(*p, 0, bytes);
    return *p;
}

static struct transport *
transport(void)
{
    return w.is_tcp ? (struct transport *)(void *)w.tcp : (struct transport *)(void *)w.udp;
}

static void
attach(uint32_t client, bool resume)
{
    struct sess_limits limits = {.sessions = SLOTS - 1, .half_open = 4};
    account_rules_any(&limits.rules);
    expect(serve_add(&w.s, w.s.first + client, &w.v[client], &limits, resume, -1, -1) == 0);
}

static void
start(void)
{
    if (w.is_tcp)
        w.tcp = tcp_init(w.store, w.soft, &w.tcp_cfg, &w.frames, &w.path, &w.stats, w.now);
    else
        w.udp = udp_init(w.store, w.soft, &w.udp_cfg, &w.frames, &w.path, &w.stats, w.now);
    serve_init(&w.s, w.is_tcp ? &tcp_ops : &udp_ops, transport(),
               w.is_tcp ? tcp_clients_ready(w.tcp) : udp_clients_ready(w.udp),
               w.is_tcp ? 0 : SERVE_CLIENTS, &w.stats);
}

/* A client's side anew, on memory that is all zero. */
static void
fresh(uint32_t client)
{
    (void)page_zeroed(&w.half[client][0], arena_client_bytes(&geometry));
    (void)page_zeroed(&w.half[client][1], arena_domain_bytes(&geometry));
    struct arena_view *v = &w.v[client];
    arena_view_init(v, &geometry, w.half[client][0], w.half[client][1]);
    ring_tx_init(&w.req[client], &v->c_head->tail, &v->d_head->head, geometry.n_req);
    ring_rx_init(&w.evt[client], &v->d_head->tail, &v->c_head->head, geometry.n_evt);
}

static void
step(const struct pkt *in, unsigned n)
{
    struct pkt out[32];
    (void)serve_requests(&w.s, w.now);
    unsigned sent = w.is_tcp ? tcp_step(w.tcp, in, n, out, 32, w.now)
                             : udp_step(w.udp, in, n, out, 32, w.now);
    unsigned part = w.is_tcp ? PART_TCPTX : PART_UDPTX;
    for (unsigned i = 0; i < sent; i++) {
        expect(frames_part(&w.frames, out[i].addr) == (enum frame_part)part);
        expect(out[i].addr % FRAME_SIZE + out[i].len <= FRAME_SIZE);
        expect(w.is_tcp ? tcp_tx_done(w.tcp, out[i].addr) : udp_tx_done(w.udp, out[i].addr));
    }
    serve_events(&w.s);
    (void)serve_arm(&w.s);
}

static int
call(uint32_t client, struct sess_req r, struct sess_evt *reply)
{
    static uint32_t cookie;
    struct sess_evt e;
    struct sess_req *at = reqring_reserve(&w.req[client], w.v[client].req);
    expect(at != NULL);
    r.cookie = ++cookie;
    *at = r;
    ring_submit(&w.req[client]);
    serve_wake(&w.s, w.s.first + client);
    for (unsigned i = 0; i < 4; i++) {
        (void)serve_requests(&w.s, w.now);
        while (evtring_take(&w.evt[client], w.v[client].evt, &e)) {
            ring_release(&w.evt[client]);
            if (e.kind == EVT_REPLY && e.cookie == r.cookie) {
                *reply = e;
                return e.err;
            }
        }
    }
    abort(); /* it was not answered */
}

static void
begin(bool is_tcp)
{
    struct sess_evt e;
    memset(&w.stats, 0, sizeof w.stats);
    void *half[CLIENTS][2], *store = w.store, *soft = w.soft, *base = w.frames.base;
    bool same = w.is_tcp == is_tcp;
    memcpy(half, w.half, sizeof half);
    if (!same) { /* the other's sizes */
        free(store);
        free(soft);
        store = soft = NULL;
    }
    memset(&w, 0, sizeof w);
    memcpy(w.half, half, sizeof half);
    w.is_tcp = is_tcp;
    w.now = NS_S;
    frames_layout(&w.frames, n_frames);
    w.frames.base = page_zeroed(&base, frames_bytes(&w.frames));
    w.frames.readable = w.frames.writable = ~0u;
    w.path =
        (struct path_table){.addr = ipaddr_v4_u32(OWN), .prefix = 24, .mtu = 1500, .ready = 1};
    w.tcp_cfg = (struct tcp_config){
        .n_sessions = SESSIONS, .half_open = 4, .orphans = 4, .sndbuf = 20000, .rcvbuf = 20000};
    w.udp_cfg = (struct udp_config){.n_sessions = SESSIONS, .sndbuf = 20000, .rcvbuf = 20000};
    w.store_size =
        is_tcp ? tcp_store_size(&w.tcp_cfg, &w.frames) : udp_store_size(&w.udp_cfg, &w.frames);
    w.soft_size =
        is_tcp ? tcp_soft_size(&w.tcp_cfg, &w.frames) : udp_soft_size(&w.udp_cfg, &w.frames);
    w.store = page_zeroed(&store, w.store_size);
    w.soft = page_zeroed(&soft, w.soft_size);
    start();
    for (uint32_t i = 0; i < CLIENTS; i++) {
        fresh(i);
        attach(i, false);
    }
    expect(call(FRIEND, (struct sess_req){.op = REQ_SOCKET, .handle = SESS_CREATOR}, &e) == 0);
    w.friends = e.handle;
    struct sess_req bind = {.op = REQ_BIND, .handle = w.friends, .port = FRIEND_PORT};
    struct sess_req size = {.op = REQ_SETOPT,
                            .handle = w.friends,
                            .level = SOL_SOCKET,
                            .name = SO_RCVBUF,
                            .value = FRIEND_BUF};
    expect(call(FRIEND, bind, &e) == 0 && call(FRIEND, size, &e) == 0);
}

static void
check(void)
{
    expect(w.is_tcp ? tcp_validate(w.tcp) : udp_validate(w.udp));
    for (uint32_t i = 0; i < FOES; i++) { /* an index that cannot be was not believed */
        const struct served *c = &w.s.c[i];
        expect(!c->used || c->req.seen_tail - c->req.released <= geometry.n_req);
        expect(!c->used || c->evt.submitted - c->evt.seen_head <= geometry.n_evt ||
               c->evt.poisoned);
    }
    expect(w.s.c[FRIEND].used && !w.s.c[FRIEND].poisoned && !w.s.c[FRIEND].gone);
}

/* The honest client's session is as it left it. */
static void
check_friend(void)
{
    struct sess_evt e;
    expect(call(FRIEND, (struct sess_req){.op = REQ_NAME, .handle = w.friends}, &e) == 0);
    expect(e.port == FRIEND_PORT && e.peer_v4 == 0);
    struct sess_req size = {
        .op = REQ_GETOPT, .handle = w.friends, .level = SOL_SOCKET, .name = SO_RCVBUF};
    static uint64_t first[2];
    expect(call(FRIEND, size, &e) == 0 && e.value >= FRIEND_BUF);
    if (first[w.is_tcp] == 0)
        first[w.is_tcp] = e.value;
    expect(e.value == first[w.is_tcp]);
}

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
        ((uint8_t *)(void *)v->req)[take(in, 2) % (geometry.n_req * sizeof *v->req)] =
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
    step(&d, 1);
}

/* The hostile client is dead and its sessions end. */
static void
bury(void)
{
    serve_gone(&w.s, w.s.first + w.foe, w.now);
    for (unsigned i = 0; serve_idle_client(&w.s) == SESS_NONE; i++) {
        expect(i < 400);
        w.now += 5 * NS_S;
        step(NULL, 0);
    }
    expect(serve_idle_client(&w.s) == w.s.first + w.foe);
    serve_remove(&w.s, w.s.first + w.foe);
}

static void
life(struct input *in)
{
    uint32_t what = take(in, 1);
    if (what % 4 == 0) {
        bury();
        fresh(w.foe);
        w.foes[w.foe].n_handles = 0;
        attach(w.foe, false);
    } else if (what % 4 == 1) { /* the domain dies */
        memset(w.soft, 0xa5, w.soft_size);
        start();
        if (w.is_tcp)
            tcp_ip_reset(w.tcp);
        else
            udp_ip_reset(w.udp);
        for (uint32_t i = 0; i < CLIENTS; i++)
            attach(i, true);
    } else {
        w.now += what % 4 == 2 ? what * NS_MS : what * NS_S;
        step(NULL, 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    begin(take(&in, 1) & 1);
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
            step(NULL, 0);
        }
        check();
    }
    check_friend();
    for (w.foe = 0; w.foe < FOES; w.foe++)
        bury();
    check();
    check_friend();
    for (unsigned i = 0; i < 40; i++) { /* what has no owner any more */
        w.now += 60 * NS_S;
        step(NULL, 0);
    }
    expect((w.is_tcp ? tcp_sessions(w.tcp) : udp_sessions(w.udp)) == 1);
    return 0;
}
