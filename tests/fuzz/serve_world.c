/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/socket.h>

#include "serve_world.h"

const struct arena_geometry world_geometry = {
    .n_slots = SLOTS, .n_tx_pages = 16, .n_rx_pages = 16, .n_req = 16, .n_evt = 8};
static const uint32_t n_frames[PART_COUNT] = {16, 16, 16, 2, 2};

struct world w;

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

void
world_attach(uint32_t client, bool resume)
{
    struct sess_limits limits = {.sessions = SLOTS - 1, .half_open = 4};
    account_rules_any(&limits.rules);
    expect(serve_add(&w.s, w.s.first + client, &w.v[client], &limits, resume, -1, -1) == 0);
}

void
world_start(void)
{
    if (w.is_tcp)
        w.tcp = tcp_init(w.store, w.soft, &w.tcp_cfg, &w.frames, &w.path, &w.stats, w.now);
    else
        w.udp = udp_init(w.store, w.soft, &w.udp_cfg, &w.frames, &w.path, &w.stats, w.now);
    serve_init(&w.s, w.is_tcp ? &tcp_ops : &udp_ops, transport(),
               w.is_tcp ? tcp_clients_ready(w.tcp) : udp_clients_ready(w.udp),
               w.is_tcp ? 0 : SERVE_CLIENTS, &w.stats);
}

void
world_fresh(uint32_t client)
{
    (void)page_zeroed(&w.half[client][0], arena_client_bytes(&world_geometry));
    (void)page_zeroed(&w.half[client][1], arena_domain_bytes(&world_geometry));
    struct arena_view *v = &w.v[client];
    arena_view_init(v, &world_geometry, w.half[client][0], w.half[client][1]);
    ring_tx_init(&w.req[client], &v->c_head->tail, &v->d_head->head, world_geometry.n_req);
    ring_rx_init(&w.evt[client], &v->d_head->tail, &v->c_head->head, world_geometry.n_evt);
}

void
world_step(const struct pkt *in, unsigned n)
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

void
world_begin(bool is_tcp)
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
    world_start();
    for (uint32_t i = 0; i < CLIENTS; i++) {
        world_fresh(i);
        world_attach(i, false);
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

void
world_check(void)
{
    expect(w.is_tcp ? tcp_validate(w.tcp) : udp_validate(w.udp));
    for (uint32_t i = 0; i < FOES; i++) { /* an index that cannot be was not believed */
        const struct served *c = &w.s.c[i];
        expect(!c->used || c->req.seen_tail - c->req.released <= world_geometry.n_req);
        expect(!c->used || c->evt.submitted - c->evt.seen_head <= world_geometry.n_evt ||
               c->evt.poisoned);
    }
    expect(w.s.c[FRIEND].used && !w.s.c[FRIEND].poisoned && !w.s.c[FRIEND].gone);
}

void
world_check_friend(void)
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

void
world_bury(void)
{
    serve_gone(&w.s, w.s.first + w.foe, w.now);
    for (unsigned i = 0; serve_idle_client(&w.s) == SESS_NONE; i++) {
        expect(i < 400);
        w.now += 5 * NS_S;
        world_step(NULL, 0);
    }
    expect(serve_idle_client(&w.s) == w.s.first + w.foe);
    serve_remove(&w.s, w.s.first + w.foe);
}
