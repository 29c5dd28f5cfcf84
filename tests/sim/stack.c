/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack.h"

#include <stdlib.h>

#include "wire/wire.h"

#define TURN_CLIENT_RING(v) atomic_load_explicit(&(v).c_head->tail, memory_order_acquire)
#define TURN_SERVER_RING(v) atomic_load_explicit(&(v).d_head->head, memory_order_acquire)

static void *
need(size_t bytes)
{
    void *p = aligned_alloc(CACHE_LINE, ALIGN_UP(bytes, (size_t)CACHE_LINE));
    if (p == NULL)
        abort();
    memset(p, 0, bytes);
    return p;
}

static void
broken(struct stack *s, const char *what)
{
    if (s->broken == NULL)
        s->broken = what;
}

struct transport *
stack_transport(struct stack *s, enum stack_up up)
{
    return up == STACK_TCP ? (struct transport *)(void *)s->join.tcp
                           : (struct transport *)(void *)s->join.udp;
}

/* ---- start and end ---- */

static void
configure(struct stack *s)
{
    const struct stack_config *c = &s->cfg;
    s->ip_cfg = (struct ip_config){.addr = ipaddr_v4_u32(c->addr),
                                   .prefix = 24,
                                   .mtu = c->mtu,
                                   .seed = c->seed,
                                   .ports = &s->ports};
    put_be32(s->ip_cfg.mac + 2, c->addr);
    s->ip_cfg.mac[0] = 2;
    s->tcp_cfg = (struct tcp_config){
        .n_sessions = c->tcp_sessions,
        .half_open = c->half_open,
        .orphans = c->orphans,
        .sndbuf = c->sndbuf,
        .rcvbuf = c->rcvbuf,
        .buffer_max = c->buffer_max,
        .runs = c->runs,
        .isn_fixed = c->isn_fixed,
        .ecn = c->ecn,
        .congestion = c->congestion,
        .cookies = c->cookies,
        .pacing = c->pacing,
    };
    s->udp_cfg = (struct udp_config){.n_sessions = c->udp_sessions,
                                     .sndbuf = c->udp_buf,
                                     .rcvbuf = c->udp_buf,
                                     .ports = &s->ports};
    for (unsigned i = 0; i < sizeof s->tcp_cfg.key; i++)
        s->tcp_cfg.key[i] = s->udp_cfg.key[i] = (uint8_t)rng_next(&s->rng);
}

void
stack_init(struct stack *s, const struct stack_config *c, struct wire *out, ns_t now)
{
    memset(s, 0, sizeof *s);
    s->cfg = *c;
    s->rng = (struct rng){c->seed};
    s->out = out;
    configure(s);
    frames_layout(&s->frames, c->frames);
    s->frames.readable = s->frames.writable = PART_BIT(PART_COUNT) - 1;
    s->frames.base = need(frames_bytes(&s->frames));
    uint32_t n = frames_bytes(&s->frames) / FRAME_SIZE, n_rx = c->frames[PART_RX];
    s->holder = need(n);
    s->filled = need(n_rx * sizeof *s->filled);
    s->rx = need(n_rx * sizeof *s->rx);
    for (uint32_t i = 0; i < n_rx; i++) {
        s->holder[s->frames.off[PART_RX] / FRAME_SIZE + i] = NIC_EMPTY;
        s->filled[s->n_filled++] = s->frames.off[PART_RX] + i * FRAME_SIZE;
    }
    s->ip_mem = need(ip_size(&s->frames));
    s->tcp_store = need(tcp_store_size(&s->tcp_cfg, &s->frames));
    s->tcp_soft = need(tcp_soft_size(&s->tcp_cfg, &s->frames));
    s->udp_store = need(udp_store_size(&s->udp_cfg, &s->frames));
    s->udp_soft = need(udp_soft_size(&s->udp_cfg, &s->frames));
    uint32_t *lists = s->lists = need(3 * n * sizeof *lists);
    struct ip *ip = ip_init(s->ip_mem, &s->ip_cfg, &s->frames, &s->path, &s->stats, now);
    struct tcp *t =
        tcp_init(s->tcp_store, s->tcp_soft, &s->tcp_cfg, &s->frames, &s->path, &s->stats, now);
    struct udp *u =
        udp_init(s->udp_store, s->udp_soft, &s->udp_cfg, &s->frames, &s->path, &s->stats, now);
    join_init(&s->join, ip, t, u, lists, lists + n, lists + 2 * n);
    stack_serve(s, STACK_TCP, false, now);
    stack_serve(s, STACK_UDP, false, now);
}

void
stack_free(struct stack *s)
{
    void *all[] = {s->frames.base, s->holder,   s->filled,    s->rx,       s->ip_mem,
                   s->tcp_store,   s->tcp_soft, s->udp_store, s->udp_soft, s->lists};
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        free(all[i]);
    memset(s, 0, sizeof *s);
}

/* ---- clients ---- */

static const struct sess_limits *
limits(const struct stack *s, enum stack_up up)
{
    static struct sess_limits l;
    l.sessions = up == STACK_TCP ? s->cfg.tcp_sessions : s->cfg.udp_sessions;
    l.half_open = s->cfg.half_open;
    account_rules_any(&l.rules);
    return &l;
}

/* A server for the clients that there are: at the start none, after a crash all. */
void
stack_serve(struct stack *s, enum stack_up up, bool resume, ns_t now)
{
    bool tcp = up == STACK_TCP;
    uint32_t first = tcp ? 0 : SERVE_CLIENTS;
    s->started = true;
    serve_init(&s->serve[up], stack_ops(s, up), stack_transport(s, up),
               tcp ? tcp_clients_ready(s->join.tcp) : udp_clients_ready(s->join.udp), first,
               &s->stats);
    for (uint32_t i = 0; i < STACK_CLIENTS && resume; i++) {
        struct stack_client *c = &s->client[up][i];
        if (!c->used)
            continue;
        if (serve_add(&s->serve[up], first + i, &c->v, limits(s, up), true, -1, -1) != 0)
            broken(s, "a client cannot come back after a crash");
        if (c->gone)
            serve_gone(&s->serve[up], first + i, now);
    }
}

void
stack_attach(struct stack *s, enum stack_up up, uint32_t id, const struct arena_view *v)
{
    uint32_t first = up == STACK_TCP ? 0 : SERVE_CLIENTS;
    s->client[up][id] = (struct stack_client){.used = true, .v = *v};
    if (serve_add(&s->serve[up], first + id, v, limits(s, up), false, -1, -1) != 0)
        broken(s, "a client cannot be taken in");
}

void
stack_gone(struct stack *s, uint32_t id, ns_t now)
{
    for (unsigned up = STACK_TCP; up <= STACK_UDP; up++) {
        struct stack_client *c = &s->client[up][id];
        if (!c->used || c->gone)
            continue;
        c->gone = true;
        stack_serve_gone(s, up, s->serve[up].first + id, now);
    }
    s->blocked_until = now; /* a turn follows a message of the supervisor's */
}

bool
stack_left(const struct stack *s, uint32_t id)
{
    return !s->client[STACK_TCP][id].used && !s->client[STACK_UDP][id].used;
}

static void
reap(struct stack *s, enum stack_up up)
{
    uint32_t id;
    while ((id = serve_idle_client(&s->serve[up])) != SESS_NONE) {
        serve_remove(&s->serve[up], id);
        s->client[up][id - s->serve[up].first].used = false;
    }
}

static bool
has_request(const struct stack *s, enum stack_up up, uint32_t i)
{
    const struct stack_client *c = &s->client[up][i];
    return c->used && !c->gone && TURN_CLIENT_RING(c->v) != TURN_SERVER_RING(c->v);
}

/* ---- the NIC ---- */

/* As the kernel leaves headroom in a frame, or does without where one takes all there is. */
#define HEADROOM 256u

void
stack_receive(struct stack *s, const uint8_t *frame, uint32_t len)
{
    bool one = s->cfg.mtu <= FRAME_MTU;
    uint32_t head = one && len > FRAME_SIZE - HEADROOM ? 0 : HEADROOM, room = FRAME_SIZE - head;
    uint32_t n = (len + room - 1) / room;
    if (s->n_filled < n || (one && n > 1)) {
        s->n_no_frame++;
        return;
    }
    for (uint32_t at = 0; at < len; at += room) {
        uint32_t addr = s->filled[--s->n_filled], here = min_u32(room, len - at);
        s->holder[addr / FRAME_SIZE] = NIC_FULL;
        memcpy(s->frames.base + addr + head, frame + at, here);
        s->rx[s->n_rx++] = (struct fdesc){.addr = addr + head,
                                          .len = (uint16_t)here,
                                          .flags = at + here < len ? FDESC_MORE : 0};
    }
}

/* Received frames for ip, at most *n but for the end of a packet, which is never cut. */
void
stack_take_rx(struct stack *s, struct fdesc *f, unsigned *n)
{
    *n = min_u32(*n, s->n_rx);
    while (*n > 0 && (s->rx[*n - 1].flags & FDESC_MORE))
        ++*n;
    for (unsigned i = 0; i < *n; i++) {
        f[i] = s->rx[i];
        s->holder[f[i].addr / FRAME_SIZE] = WITH_IP;
    }
    s->n_rx -= *n;
    memmove(s->rx, s->rx + *n, s->n_rx * sizeof *s->rx);
}

void
stack_give_freed(struct stack *s)
{
    for (uint32_t i = 0; i < s->join.out.n_freed; i++) {
        uint32_t addr = s->join.out.freed[i] / FRAME_SIZE * FRAME_SIZE;
        if (frames_part(&s->frames, addr) != PART_RX ||
            s->holder[addr / FRAME_SIZE] != WITH_IP) {
            broken(s, "ip freed a frame that it did not have");
            continue;
        }
        s->holder[addr / FRAME_SIZE] = NIC_EMPTY;
        s->filled[s->n_filled++] = addr;
    }
    s->join.out.n_freed = 0;
}

static void
send_frames(struct stack *s, ns_t now)
{
    uint8_t packet[WIRE_FRAME_MAX];
    uint32_t len = 0;
    for (uint32_t i = 0; i < s->join.out.n_nic; i++) {
        struct fdesc f = s->join.nic[i];
        enum frame_part part = frames_part(&s->frames, f.addr);
        if (part == PART_RX || part >= PART_UP || f.len > FRAME_SIZE - f.addr % FRAME_SIZE ||
            s->holder[f.addr / FRAME_SIZE] != WITH_IP || s->n_tx == STACK_TX_MAX ||
            f.len > sizeof packet - len) {
            broken(s, "ip sends a frame that it does not have");
            continue;
        }
        s->holder[f.addr / FRAME_SIZE] = NIC_TX;
        ns_t done = now + (s->cfg.tx_time == 0 ? 0 : rng_next(&s->rng) % s->cfg.tx_time);
        s->tx[s->n_tx++] = (struct stack_tx){.addr = f.addr, .done = done};
        memcpy(packet + len, s->frames.base + f.addr, f.len);
        len += f.len;
        if (f.flags & FDESC_MORE)
            continue;
        if (len > ETH_HEADER + s->cfg.mtu)
            broken(s, "ip sends more than the MTU");
        wire_send(s->out, packet, len, now);
        len = 0;
    }
    if (len != 0)
        broken(s, "ip sends half a packet");
    s->join.out.n_nic = 0;
}

static bool
complete(struct stack *s, ns_t now)
{
    uint32_t kept = 0, n = s->n_tx;
    for (uint32_t i = 0; i < n; i++) {
        struct stack_tx t = s->tx[i];
        if (t.done > now) {
            s->tx[kept++] = t;
            continue;
        }
        s->holder[t.addr / FRAME_SIZE] = WITH_IP;
        if (!join_tx_done(&s->join, t.addr))
            broken(s, "ip does not know a frame that it sent");
    }
    s->n_tx = kept;
    return kept != n;
}

/* The NIC has sent what it had of these parts, and nobody is told. */
void
stack_nic_forget(struct stack *s, uint32_t parts)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->n_tx; i++) {
        struct stack_tx t = s->tx[i];
        if (parts & PART_BIT(frames_part(&s->frames, t.addr)))
            s->holder[t.addr / FRAME_SIZE] = WITH_IP;
        else
            s->tx[kept++] = t;
    }
    s->n_tx = kept;
}

/* ---- a turn, as in the monolith ---- */

bool
stack_turn(struct stack *s, ns_t now)
{
    struct fdesc rx[BATCH_MAX + FRAME_MAX_CHAIN];
    unsigned n = s->cfg.batch;
    s->turns++;
    s->started = false;
    bool busy = complete(s, now);
    for (unsigned up = STACK_TCP; up <= STACK_UDP; up++) {
        for (uint32_t i = 0; i < STACK_CLIENTS; i++)
            if (has_request(s, up, i))
                serve_wake(&s->serve[up], s->serve[up].first + i);
        busy |= stack_requests(s, up, now);
    }
    join_begin(&s->join);
    stack_take_rx(s, rx, &n);
    busy |= join_turn(&s->join, rx, n, now);
    stack_give_freed(s);
    busy |= s->join.out.n_nic != 0;
    send_frames(s, now);
    for (unsigned up = STACK_TCP; up <= STACK_UDP; up++) {
        stack_events(s, up, now);
        reap(s, up);
    }
    s->blocked_until =
        min_u64(serve_deadline(&s->serve[STACK_TCP], now), serve_deadline(&s->serve[1], now));
    if (!busy)
        s->idle_turns++;
    if (s->broken == NULL && s->turns % max_u32(s->cfg.check_every, 1) == 0)
        s->broken = stack_check(s);
    return busy;
}

static ns_t
tx_next(const struct stack *s)
{
    ns_t at = NS_NEVER;
    for (uint32_t i = 0; i < s->n_tx; i++)
        at = min_u64(at, s->tx[i].done);
    return at;
}

bool
stack_due(struct stack *s, ns_t now)
{
    for (uint32_t i = 0; i < STACK_CLIENTS; i++)
        if (has_request(s, STACK_TCP, i) || has_request(s, STACK_UDP, i))
            return true;
    return s->started || s->n_rx != 0 || tx_next(s) <= now || join_deadline(&s->join) <= now ||
           s->blocked_until <= now;
}

ns_t
stack_next(struct stack *s, ns_t now)
{
    (void)now;
    return min_u64(min_u64(tx_next(s), join_deadline(&s->join)), s->blocked_until);
}

/* ---- invariants ---- */

const char *
stack_check(struct stack *s)
{
    if (s->broken != NULL)
        return s->broken;
    if (!tcp_validate(s->join.tcp))
        return "tcp_validate";
    if (!udp_validate(s->join.udp))
        return "udp_validate";
    if (s->join.out.n_done[0] != 0 || s->join.out.n_done[1] != 0)
        return "frames that came back were not taken";
    if (stat_get(&s->stats, STAT_refused_frames) != 0)
        return "a frame was refused";
    if (stat_get(&s->stats, STAT_poisoned) != 0)
        return "a client was poisoned";
    if (stat_get(&s->stats, STAT_req_bad) != 0)
        return "a request was called bad";
    return NULL;
}

const char *
stack_check_rest(struct stack *s)
{
    const char *bad = stack_check(s);
    if (bad != NULL)
        return bad;
    if (tcp_sessions(s->join.tcp) != 0)
        return "a TCP session is left";
    if (udp_sessions(s->join.udp) != 0)
        return "a UDP session is left";
    if (ip_frames_held(s->join.ip) != 0)
        return "ip holds frames";
    if (s->n_filled + s->n_rx != s->cfg.frames[PART_RX])
        return "a receive frame is lost";
    if (s->n_tx != 0)
        return "the NIC holds frames";
    if (inspect_tcp_frames(s->join.tcp) != 0)
        return "a frame of tcp is lost";
    if (inspect_udp_frames(s->join.udp) != 0)
        return "a frame of udp is lost";
    for (uint32_t i = 0; i < STACK_CLIENTS && bad == NULL; i++) {
        if (s->client[STACK_TCP][i].used)
            bad = inspect_tcp_client(s->join.tcp, i);
        if (bad == NULL && s->client[STACK_UDP][i].used)
            bad = inspect_udp_client(s->join.udp, SERVE_CLIENTS + i);
    }
    return bad;
}
