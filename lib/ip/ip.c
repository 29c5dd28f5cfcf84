/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The component as a whole: memory, timers, and the frames that come back.
 */
#include "priv.h"

#define MTU_MIN 576u

static uint32_t
part_frames(const struct frames *f, enum frame_part p)
{
    return f->size[p] / FRAME_SIZE;
}

/* The variable arrays behind struct ip, in this order. */
struct layout {
    size_t iptx_stack, iptx_holder, up_stack, up_holder, rx_held, txq, end;
    uint32_t txq_cap;
};

static size_t
lay(size_t *at, size_t bytes)
{
    size_t here = *at;
    *at = ALIGN_UP(here + bytes, (size_t)CACHE_LINE);
    return here;
}

static struct layout
ip_layout(const struct frames *f)
{
    uint32_t n_iptx = part_frames(f, PART_IPTX), n_up = part_frames(f, PART_UP);
    size_t at = ALIGN_UP(sizeof(struct ip), (size_t)CACHE_LINE);
    struct layout l = {.txq_cap = n_iptx + WAIT_SLOTS};
    l.iptx_stack = lay(&at, pool_stack_bytes(n_iptx));
    l.iptx_holder = lay(&at, n_iptx);
    l.up_stack = lay(&at, pool_stack_bytes(n_up));
    l.up_holder = lay(&at, n_up);
    l.rx_held = lay(&at, (part_frames(f, PART_RX) + 63) / 64 * sizeof(uint64_t));
    l.txq = lay(&at, l.txq_cap * sizeof(struct txq_slot));
    l.end = at;
    return l;
}

size_t
ip_size(const struct frames *f)
{
    return ip_layout(f).end;
}

static void
path_init(struct ip *ip)
{
    struct path_table *t = ip->path;
    __atomic_store_n(&t->ready, 0u, __ATOMIC_RELEASE);
    t->addr = ip->cfg.addr;
    t->prefix = ip->cfg.prefix;
    t->mtu = ip->cfg.mtu;
    t->gateway = ip->cfg.gateway;
    memset(t->pmtu, 0, sizeof t->pmtu);
}

struct ip *
ip_init(void *mem, const struct ip_config *c, const struct frames *f, struct path_table *path,
        struct stats *stats, ns_t now)
{
    struct ip *ip = mem;
    uint8_t *m = mem;
    struct layout l = ip_layout(f);
    ip->f = *f;
    ip->path = path;
    ip->stats = stats;
    ip->cfg = *c;
    ip->cfg.prefix = min_u32(c->prefix, 32);
    ip->cfg.mtu = (uint16_t)max_u32(min_u32(c->mtu, FRAME_MTU_MAX), MTU_MIN);
    ip->mask = ip->cfg.prefix == 0 ? 0 : UINT32_MAX << (32 - ip->cfg.prefix);
    ip->next = NS_NEVER;
    ip->rng = c->seed;
    ip->key[0] = ip_rand(ip);
    ip->key[1] = ip_rand(ip);
    for (unsigned i = 0; i < ARRAY_LEN(ip->ident); i++)
        ip->ident[i] = (uint16_t)ip_rand(ip);
    pool_init(&ip->iptx, f, PART_IPTX, (uint32_t *)(void *)(m + l.iptx_stack),
              m + l.iptx_holder);
    pool_init(&ip->uppool, f, PART_UP, (uint32_t *)(void *)(m + l.up_stack), m + l.up_holder);
    ip->iptx_reserve = ip->iptx.n / 8;
    ip->rx_held = (uint64_t *)(void *)(m + l.rx_held);
    ip->txq = (struct txq_slot *)(void *)(m + l.txq);
    ip->txq_cap = l.txq_cap;
    ip->reasm_max = part_frames(f, PART_RX) / REASM_SHARE;
    limit_init(&ip->icmp, now);
    limit_init(&ip->nobody, now);
    path_init(ip);
    neigh_init(ip);
    arp_start(ip, now);
    ip_count_frames(ip);
    return ip;
}

ns_t
ip_deadline(const struct ip *ip)
{
    return ip->next;
}

/* Each timer looks at all that it has and says by ip_wake_at when it wants to run
 * again, so that between two runs the earliest deadline is one number. */
void
ip_timer(struct ip *ip, struct ip_out *out, ns_t now)
{
    ip_nic_drain(ip, out, now);
    if (now < ip->next)
        return;
    ip->next = NS_NEVER;
    arp_timer(ip, out, now);
    neigh_timer(ip, out, now);
    reasm_timer(ip, out, now);
    pmtu_timer(ip, now);
    if (ip->txq_n != 0)
        ip_wake_at(ip, now + RETRY_NIC);
}

/* The array can hold every frame of the pool; only a peer that reports one twice
 * comes further, and what does not fit is then nobody's loss but its own. */
static void
push_frame(uint32_t *to, uint32_t *n, uint32_t cap, uint32_t addr)
{
    if (*n < cap)
        to[(*n)++] = frame_of(addr);
}

void
ip_rx_free(struct ip *ip, struct ip_out *out, uint32_t addr)
{
    push_frame(out->freed, &out->n_freed, part_frames(&ip->f, PART_RX), addr);
}

void
ip_tx_release(struct ip *ip, struct ip_out *out, enum owner who, uint32_t addr)
{
    if (who == OWNER_IP) {
        pool_return(&ip->iptx, addr, HELD_IP);
        ip_count_frames(ip);
        return;
    }
    enum frame_part part = who == OWNER_TCP ? PART_TCPTX : PART_UDPTX;
    push_frame(out->done[who], &out->n_done[who], part_frames(&ip->f, part), addr);
}

static uint8_t
holder_of(const struct pool *p, uint32_t addr)
{
    return p->holder[(addr - p->off) / FRAME_SIZE];
}

void
ip_up_done(struct ip *ip, uint32_t addr, struct ip_out *out)
{
    enum frame_part part = frames_part(&ip->f, addr);
    if (part == PART_RX && !reasm_holds(ip, addr)) {
        ip_rx_free(ip, out, addr);
        return;
    }
    if (part == PART_UP) {
        uint8_t h = holder_of(&ip->uppool, addr);
        if (h >= HELD_UP && pool_return(&ip->uppool, addr, h)) {
            ip->up_held[h - HELD_UP]--;
            ip_count_frames(ip);
            return;
        }
    }
    stat_inc(ip->stats, STAT_refused_frames);
}

bool
ip_tx_done(struct ip *ip, uint32_t addr, struct ip_out *out)
{
    switch (frames_part(&ip->f, addr)) {
    case PART_IPTX:
        if (!pool_return(&ip->iptx, addr, HELD_NIC))
            stat_inc(ip->stats, STAT_refused_frames);
        ip_count_frames(ip);
        return true;
    case PART_TCPTX:
        ip_tx_release(ip, out, OWNER_TCP, addr);
        return true;
    case PART_UDPTX:
        ip_tx_release(ip, out, OWNER_UDP, addr);
        return true;
    default:
        return false;
    }
}

void
ip_up_reset(struct ip *ip, enum ip_up up, struct ip_out *out)
{
    neigh_forget(ip, (enum owner)up, out);
    uint32_t n = ip->txq_n, from = ip->txq_head;
    ip->txq_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct txq_slot s = ip->txq[(from + i) % ip->txq_cap];
        if (s.who == (uint32_t)up)
            ip_tx_release(ip, out, (enum owner)up, s.frame.addr);
        else
            ip->txq[(ip->txq_head + ip->txq_n++) % ip->txq_cap] = s;
    }
    pool_reclaim(&ip->uppool, (uint8_t)(HELD_UP + up));
    ip->up_held[up] = 0;
    ip_count_frames(ip);
}

void
ip_nic_reset(struct ip *ip)
{
    pool_reclaim(&ip->iptx, HELD_NIC);
    ip_count_frames(ip);
}

enum ip_state
ip_state(const struct ip *ip)
{
    return ip->state;
}

const uint8_t *
ip_conflict_mac(const struct ip *ip)
{
    return ip->conflict_mac;
}

uint32_t
ip_frames_held(const struct ip *ip)
{
    return ip->iptx.n - ip->iptx.n_free + ip->uppool.n - ip->uppool.n_free + ip->reasm_frames;
}
