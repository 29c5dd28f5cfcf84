/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The component's frame: its memory, its step, its invariants.
 */
#include "udp_int.h"

/* Both blocks are laid out by walking over them; with base NULL the walk only measures. */
static void *
place(uint8_t *base, size_t *at, size_t bytes)
{
    size_t here = ALIGN_UP(*at, (size_t)CACHE_LINE);
    *at = here + bytes;
    return base == NULL ? NULL : base + here;
}

static uint32_t
n_frames(const struct frames *f)
{
    return f->size[PART_UDPTX] / FRAME_SIZE;
}

static uint32_t
hash_size(const struct udp_config *c)
{
    uint32_t n = 256;
    while (n < c->n_sessions)
        n *= 2;
    return n;
}

static size_t
lay_store(uint8_t *base, const struct udp_config *c, const struct frames *f,
          struct udp_store **store, struct udp_sess **sess, uint8_t **holder)
{
    size_t at = 0;
    *store = place(base, &at, sizeof **store);
    *sess = place(base, &at, c->n_sessions * sizeof **sess);
    *holder = place(base, &at, n_frames(f));
    return ALIGN_UP(at, (size_t)CACHE_LINE);
}

/* Returns the bytes; fills in u's pointers if base is not NULL. */
static size_t
lay_soft(uint8_t *base, const struct udp_config *c, const struct frames *f, uint32_t **stack)
{
    size_t at = 0;
    struct udp none;
    struct udp *u = place(base, &at, sizeof *u);
    if (base == NULL)
        u = &none;
    u->soft = place(base, &at, c->n_sessions * sizeof *u->soft);
    u->free = place(base, &at, c->n_sessions * sizeof *u->free);
    u->touched = place(base, &at, c->n_sessions * sizeof *u->touched);
    u->conn = place(base, &at, hash_size(c) * sizeof *u->conn);
    *stack = place(base, &at, pool_stack_bytes(n_frames(f)));
    return ALIGN_UP(at, (size_t)CACHE_LINE);
}

size_t
udp_store_size(const struct udp_config *c, const struct frames *f)
{
    struct udp_store *store;
    struct udp_sess *sess;
    uint8_t *holder;
    return lay_store(NULL, c, f, &store, &sess, &holder);
}

size_t
udp_soft_size(const struct udp_config *c, const struct frames *f)
{
    uint32_t *stack;
    return lay_soft(NULL, c, f, &stack);
}

/* A first start, or a store that another build left: begin with nothing. */
static void
store_clear(struct udp *u, const struct frames *f, void *store)
{
    memset(store, 0, udp_store_size(&u->cfg, f));
    u->store->n_sessions = u->cfg.n_sessions;
    u->store->n_frames = n_frames(f);
    u->store->crashed = SESS_NONE;
    u->store->magic = UDP_STORE_MAGIC;
}

/* The sessions of the last life: numbers that are free, tables, and who is suspect. */
static void
store_resume(struct udp *u)
{
    uint32_t working = atomic_load_explicit(&u->store->working, memory_order_relaxed);
    for (uint32_t i = u->cfg.n_sessions; i-- > 0;) {
        struct udp_sess *s = &u->sess[i];
        u->soft[i].link =
            (struct client_link){.client = SESS_NONE, .slot = SESS_NONE, .next = SESS_NONE};
        if (state_of(s) >= US_STATES || s->client >= CLIENTS_MAX)
            state_set(s, US_FREE);
        if (state_of(s) == US_FREE) {
            u->free[u->n_free++] = i;
            continue;
        }
        u->high = max_u32(u->high, i + 1);
        sess_move_resume(u, i);
        bool damaged = !sess_check(u, i);
        if (damaged) { /* keep the slot, lose the name */
            s->name[0] = s->name[1] = (struct udp_name){.local = ipaddr_v4_u32(0)};
            s->sndbuf = u->cfg.sndbuf;
            s->rcvbuf = u->cfg.rcvbuf;
            s->mtu_disc = 1;
            s->priority = 0;
        }
        u->soft[i].suspect = damaged || (i == working && i == u->store->crashed);
        if (state_of(s) == US_OPEN)
            table_insert(u, i);
    }
    u->store->crashed = working;
    atomic_store_explicit(&u->store->working, SESS_NONE, memory_order_relaxed);
}

struct udp *
udp_init(void *store, void *soft, const struct udp_config *c, const struct frames *f,
         const struct path_table *path, struct stats *stats, ns_t now)
{
    uint32_t *stack;
    uint8_t *holder;
    struct udp *u = soft;
    memset(soft, 0, udp_soft_size(c, f));
    lay_soft(soft, c, f, &stack);
    lay_store(store, c, f, &u->store, &u->sess, &holder);
    u->cfg = *c;
    u->cfg.sndbuf = min_u32(max_u32(c->sndbuf, UDP_BUF_MIN), UDP_BUF_MAX);
    u->cfg.rcvbuf = min_u32(max_u32(c->rcvbuf, UDP_BUF_MIN), UDP_BUF_MAX);
    u->frames = *f;
    u->path = path;
    u->stats = stats;
    u->clients.stats = stats;
    u->now = now;
    u->hash_mask = hash_size(c) - 1;
    turns_init(&u->tx);
    u->reclaim_at = u->reopen_at = NS_NEVER;
    table_init(u);
    if (u->store->magic != UDP_STORE_MAGIC || u->store->n_sessions != c->n_sessions ||
        u->store->n_frames != n_frames(f)) {
        store_clear(u, f, store);
        atomic_store_explicit(&u->store->working, SESS_NONE, memory_order_relaxed);
    }
    for (uint32_t i = 0; i < n_frames(f); i++)
        if (holder[i] != FRAME_FREE) {
            holder[i] = HOLD_OLD;
            u->reclaim_at = now + UDP_RECLAIM;
        }
    pool_init(&u->pool, f, PART_UDPTX, stack, holder);
    store_resume(u);
    return u;
}

void
udp_ip_reset(struct udp *u)
{
    pool_reclaim(&u->pool, HOLD_IP);
    pool_reclaim(&u->pool, HOLD_OLD);
    u->reclaim_at = NS_NEVER;
    u->starved = false;
}

bool
udp_tx_done(struct udp *u, uint32_t addr)
{
    if (!pool_return(&u->pool, addr, HOLD_IP) &&
        (u->reclaim_at == NS_NEVER || !pool_return(&u->pool, addr, HOLD_OLD)))
        return false;
    u->starved = false;
    return true;
}

unsigned
udp_step(struct udp *u, const struct pkt *in, unsigned n, struct pkt *out, unsigned cap,
         ns_t now)
{
    u->now = now;
    u->out = out;
    u->n_out = 0;
    u->cap = cap;
    if (now >= u->reclaim_at) {
        pool_reclaim(&u->pool, HOLD_OLD);
        u->reclaim_at = NS_NEVER;
        u->starved = false;
    }
    if (now >= u->reopen_at)
        rx_reopen_starved(u);
    rx_step(u, in, n);
    tx_step(u);
    sess_wake_touched(u);
    stat_set(u->stats, STAT_udp_sessions, udp_sessions(u));
    stat_set(u->stats, STAT_udp_frames_out, u->pool.n - u->pool.n_free);
    return u->n_out;
}

ns_t
udp_deadline(const struct udp *u)
{
    if (!turns_none(&u->tx) && !u->starved)
        return 0;
    ns_t at = min_u64(u->reclaim_at, u->reopen_at);
    return min_u64(at, u->starved ? NS_NEVER : tx_due(u));
}

const uint64_t *
udp_clients_ready(const struct udp *u)
{
    return u->clients.ready;
}

uint32_t
udp_sessions(const struct udp *u)
{
    return u->cfg.n_sessions - u->n_free;
}

/* One session against its slot and the lists that it must be on. */
static bool
session_ok(const struct udp *u, uint32_t i)
{
    const struct udp_sess *s = &u->sess[i];
    if (!sess_check(u, i) || !table_validate(u, i))
        return false;
    if (u->soft[i].hashed != (state_of(s) == US_OPEN && name_of(s)->lport != 0))
        return false;
    const struct client *c = &u->clients.c[s->client];
    if (!c->used)
        return true;
    const struct slot_domain *d = &c->v.d_slot[s->slot];
    uint64_t rx_tail = atomic_load_explicit(&d->rx_tail, memory_order_relaxed);
    return s->slot < c->v.g.n_slots && u->soft[i].link.slot == s->slot &&
           rx_tail - s->rx_head <= UDP_BUF_MAX &&
           (atomic_load_explicit(&d->state, memory_order_relaxed) & SLOT_OPEN);
}

static bool
is_sending(void *ctx, uint32_t sess)
{
    const struct udp *u = ctx;
    return sess < u->cfg.n_sessions && u->soft[sess].sending;
}

bool
udp_validate(const struct udp *u)
{
    uint32_t used = 0, sending = 0, held = 0, charged = 0;
    if (!pool_validate(&u->pool) || u->n_free > u->cfg.n_sessions)
        return false;
    for (uint32_t i = 0; i < u->cfg.n_sessions; i++) {
        if (state_of(&u->sess[i]) == US_FREE)
            continue;
        used++;
        sending += u->soft[i].sending;
        if (!session_ok(u, i))
            return false;
        charged += u->clients.c[u->sess[i].client].used;
    }
    if (!turns_valid(&u->tx, tx_next_of, (void *)(uintptr_t)u, is_sending))
        return false;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        const struct client *c = &u->clients.c[i];
        if (c->used && !page_pool_validate(&c->pages))
            return false;
        charged -= c->used ? c->n_sessions : 0;
    }
    for (uint32_t n = 0; n < ACCOUNTS_MAX; n++)
        for (uint32_t i = u->holding[n / 64] >> n % 64 & 1 ? u->held[n].first : SESS_NONE;
             i != SESS_NONE; i = u->soft[i].tx_next)
            if (++held > sending || !u->soft[i].held)
                return false;
    return u->tx.n + held == sending && used == udp_sessions(u) && charged == 0;
}
