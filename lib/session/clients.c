/* SPDX-License-Identifier: BSD-2-Clause */
#include "clients.h"

#include <errno.h>
#include <stdatomic.h>

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

_Static_assert(STATS_ACCOUNTS == ACCOUNTS_MAX, "a row for each account");
_Static_assert(STATS_CLIENTS == CLIENTS_MAX, "a row for each client");
_Static_assert((int)RULE_HALF_OPEN == (int)ACCOUNT_STAT_denied_half_open,
               "denials are counted by their rule");

/* ---- accounts ---- */

/* A client joins the account that its limits name. */
static void
account_join(struct clients *cs, struct client *c)
{
    struct account *a = client_account(cs, c);
    if (a->clients == 0 && a->epoch != c->limits.epoch)
        memset(a, 0, sizeof *a);
    a->epoch = c->limits.epoch;
    a->clients++;
    a->n_sessions += c->n_sessions;
    a->n_half_open += c->n_half_open;
    a->rules = c->limits.rules;
}

static void
account_leave(struct clients *cs, const struct client *c)
{
    struct account *a = client_account(cs, c);
    a->clients--;
    a->n_sessions -= c->n_sessions;
    a->n_half_open -= c->n_half_open;
}

void
client_count(struct clients *cs, struct client *c, int sessions, int half_open)
{
    struct account *a = client_account(cs, c);
    c->n_sessions += (uint32_t)sessions;
    a->n_sessions += (uint32_t)sessions;
    c->n_half_open += (uint32_t)half_open;
    a->n_half_open += (uint32_t)half_open;
}

bool
client_has_room(struct clients *cs, const struct client *c)
{
    const struct account *a = client_account(cs, c);
    return a->n_sessions < a->rules.sessions;
}

void
clients_limits(struct clients *cs, uint32_t id, const struct sess_limits *limits)
{
    struct client *c = clients_get(cs, id);
    if (c == NULL || limits->account >= ACCOUNTS_MAX)
        return;
    const struct account_rules *old = &c->limits.rules, *new = &limits->rules;
    bool other = old->connects != new->connects || old->packets != new->packets ||
                 old->bytes != new->bytes;
    account_leave(cs, c);
    c->limits = *limits;
    account_join(cs, c);
    struct account *a = client_account(cs, c);
    if (other) /* what was to be paid for at the old rates is no measure of the new ones */
        a->connects = a->packets = a->bytes = 0;
}

int
client_deny(struct clients *cs, uint32_t id, enum account_rule rule, const struct ipaddr *addr,
            uint16_t port, ns_t now, int err)
{
    const struct client *c = clients_get(cs, id);
    if (c == NULL)
        return err;
    uint32_t n = c->limits.account % ACCOUNTS_MAX;
    struct account *a = &cs->account[n];
    if (cs->stats != NULL)
        stat_account(cs->stats, n, rule, 1);
    client_stat(cs, id, CLIENT_STAT_denied, 1);
    if (a->denied[rule].due ||
        (a->denied[rule].told && now - a->denied[rule].at < DENIAL_GAP)) {
        a->denied[rule].suppressed++;
        return err;
    }
    a->denied[rule].told = a->denied[rule].due = true;
    a->denied[rule].at = now;
    a->denied[rule].before = a->denied[rule].suppressed;
    a->denied[rule].suppressed = 0;
    a->denied[rule].client = id;
    a->denied[rule].addr = addr != NULL ? *addr : (struct ipaddr){0};
    a->denied[rule].port = port;
    cs->denials[n / 64] |= 1ull << n % 64;
    return err;
}

bool
clients_denial(struct clients *cs, struct account_denial *d)
{
    for (unsigned w = 0; w < ARRAY_LEN(cs->denials); w++)
        while (cs->denials[w] != 0) {
            unsigned n = w * 64 + (unsigned)__builtin_ctzll(cs->denials[w]);
            struct account *a = &cs->account[n];
            for (unsigned r = 0; r < RULE_COUNT; r++) {
                if (!a->denied[r].due)
                    continue;
                a->denied[r].due = false;
                *d = (struct account_denial){.account = n,
                                             .client = a->denied[r].client,
                                             .rule = r,
                                             .suppressed = a->denied[r].before,
                                             .addr = a->denied[r].addr,
                                             .port = a->denied[r].port};
                return true;
            }
            cs->denials[w] &= cs->denials[w] - 1;
        }
    return false;
}

void
client_sent(struct clients *cs, const struct client *c, uint32_t packets, uint64_t bytes)
{
    if (cs->stats == NULL)
        return;
    stat_account(cs->stats, c->limits.account, ACCOUNT_STAT_sent_packets, packets);
    stat_account(cs->stats, c->limits.account, ACCOUNT_STAT_sent_bytes, bytes);
    client_stat(cs, (uint32_t)(c - cs->c), CLIENT_STAT_sent_packets, packets);
    client_stat(cs, (uint32_t)(c - cs->c), CLIENT_STAT_sent_bytes, bytes);
}

void
client_held(struct clients *cs, const struct client *c)
{
    if (cs->stats != NULL)
        stat_account(cs->stats, c->limits.account, ACCOUNT_STAT_held, 1);
    client_stat(cs, (uint32_t)(c - cs->c), CLIENT_STAT_held, 1);
}

/* ---- clients ---- */

int
clients_add(struct clients *cs, uint32_t id, const struct arena_view *v,
            const struct sess_limits *limits)
{
    if (id >= CLIENTS_MAX || limits->account >= ACCOUNTS_MAX || !arena_geometry_check(&v->g))
        return EINVAL;
    struct client *c = &cs->c[id];
    if (c->used)
        return EEXIST;
    *c = (struct client){
        .used = true, .v = *v, .limits = *limits, .head = SESS_NONE, .tail = SESS_NONE};
    account_join(cs, c);
    clients_rebuild(cs, id);
    return 0;
}

void
clients_rebuild(struct clients *cs, uint32_t id)
{
    struct client *c = &cs->c[id];
    const struct arena_geometry *g = &c->v.g;
    uint32_t high = min_u32(get(c->v.d_head->slots_high), g->n_slots), n = 0;
    c->slots_high = high;
    for (uint32_t i = high; i-- > 0;)
        if (!(get(c->v.d_slot[i].state) & SLOT_OPEN))
            c->v.slot_stack[n++] = i;
    c->n_slots_free = n + g->n_slots - high;
    if (high == 0) { /* nothing was used yet: nothing is touched, as large as it may be */
        page_pool_init(&c->pages, g->n_rx_pages, c->v.page_stack);
        return;
    }
    /* Which pages does a directory use? The stack itself serves as the mark. */
    uint32_t *mark = c->v.page_stack;
    memset(mark, 0, g->n_rx_pages * sizeof *mark);
    for (uint32_t i = 0; i < high; i++) {
        struct slot_domain *d = &c->v.d_slot[i];
        if (!(get(d->state) & SLOT_OPEN)) { /* a session on its way into it, perhaps */
            memset((void *)&d->rx_dir, 0, sizeof d->rx_dir);
            set(d->moved, 0);
        }
        dir_mark(&d->rx_dir, c->v.rx_page, g->n_rx_pages, mark);
        fifo_moved_mark(&c->v, i, mark);
    }
    uint32_t n_free = 0; /* never ahead of i: the marks are read before they are overwritten */
    for (uint32_t i = 0; i < g->n_rx_pages; i++)
        if (mark[i] == 0)
            mark[n_free++] = i;
    c->pages = (struct page_pool){
        .n = g->n_rx_pages, .n_free = n_free, .fresh = g->n_rx_pages, .stack = mark};
}

void
clients_remove(struct clients *cs, uint32_t id)
{
    if (cs->c[id].used)
        account_leave(cs, &cs->c[id]);
    memset(&cs->c[id], 0, sizeof cs->c[id]);
    cs->ready[id / 64] &= ~(1ull << (id % 64));
}

uint64_t
client_answer(struct client *c, const void *from, size_t len)
{
    uint64_t n = ++c->answers, word;
    struct answer *a = &c->v.answer[n % ARENA_ANSWERS];
    const uint8_t *p = from;
    set(a->number, 0);
    atomic_thread_fence(memory_order_release);
    len = len < sizeof a->word ? len : sizeof a->word;
    for (size_t at = 0; at < len; at += sizeof word) {
        word = 0;
        memcpy(&word, p + at, len - at < sizeof word ? len - at : sizeof word);
        set(a->word[at / sizeof word], word);
    }
    set(a->len, (uint32_t)len);
    atomic_store_explicit(&a->number, n, memory_order_release);
    return n;
}

/* So many slots are on the stack. */
static uint32_t
slots_on_stack(const struct client *c)
{
    return c->n_slots_free - (c->v.g.n_slots - c->slots_high);
}

uint32_t
client_slot_take(struct client *c)
{
    if (c->n_slots_free == 0)
        return SESS_NONE;
    uint32_t n = slots_on_stack(c), slot = n > 0 ? c->v.slot_stack[n - 1] : c->slots_high++;
    c->n_slots_free--;
    if (n == 0) { /* known before it is used: a successor looks at no others */
        set(c->v.d_head->slots_high, c->slots_high);
        atomic_signal_fence(memory_order_seq_cst);
    }
    struct slot_domain *d = &c->v.d_slot[slot];
    uint32_t generation = get(d->generation) + 1;
    memset((void *)d, 0, sizeof *d);
    set(d->generation, generation);
    return slot;
}

void
client_slot_give(struct client *c, uint32_t slot)
{
    fifo_rx_clear(&c->v, slot, &c->pages);
    fifo_moved_clear(&c->v, slot, &c->pages);
    set(c->v.d_slot[slot].state, 0);
    c->v.slot_stack[slots_on_stack(c)] = slot;
    c->n_slots_free++;
}

void
client_event(struct clients *cs, struct client_link *l, uint32_t sess, enum evt_kind kind,
             client_link_of *link_of, void *ctx)
{
    struct client *c = clients_get(cs, l->client);
    if (c == NULL || c->gone)
        return;
    l->events |= (uint8_t)(1u << kind);
    if (l->queued)
        return;
    l->queued = true;
    l->next = SESS_NONE;
    l->prev = c->tail;
    if (c->tail == SESS_NONE)
        c->head = sess;
    else
        link_of(ctx, c->tail)->next = sess;
    c->tail = sess;
    cs->ready[l->client / 64] |= 1ull << (l->client % 64);
}

/* Off the queue of client `id`, wherever in it. */
static void
unqueue(struct clients *cs, struct client *c, uint32_t id, struct client_link *l,
        client_link_of *link_of, void *ctx)
{
    if (l->prev == SESS_NONE)
        c->head = l->next;
    else
        link_of(ctx, l->prev)->next = l->next;
    if (l->next == SESS_NONE)
        c->tail = l->prev;
    else
        link_of(ctx, l->next)->prev = l->prev;
    l->queued = false;
    if (c->head == SESS_NONE)
        cs->ready[id / 64] &= ~(1ull << (id % 64));
}

uint32_t
client_next(struct clients *cs, uint32_t id, client_link_of *link_of, void *ctx)
{
    struct client *c = clients_get(cs, id);
    if (c == NULL || c->head == SESS_NONE)
        return SESS_NONE;
    uint32_t sess = c->head;
    unqueue(cs, c, id, link_of(ctx, sess), link_of, ctx);
    return sess;
}

void
clients_hush(struct clients *cs, uint32_t id, client_link_of *link_of, void *ctx)
{
    while (client_next(cs, id, link_of, ctx) != SESS_NONE)
        continue;
}

void
client_forget(struct clients *cs, struct client_link *l, client_link_of *link_of, void *ctx)
{
    struct client *c = clients_get(cs, l->client);
    l->events = 0;
    if (l->queued && c != NULL)
        unqueue(cs, c, l->client, l, link_of, ctx);
    l->queued = false;
}

/* A stand-in shows that the peer has ended also to who waits for nothing else, or was shown
 * that there is something to read before. */
static bool
ends(struct client_link *l, const struct slot_domain *sd, uint32_t state)
{
    uint8_t over = state & (SLOT_EOF | SLOT_DEAD);
    if (likely((over & ~l->over) == 0) || get(sd->standin) == 0)
        return false;
    l->over |= over;
    return true;
}

void
client_wake(struct clients *cs, struct client_link *l, uint32_t sess, client_link_of *link_of,
            void *ctx)
{
    struct client *c = clients_get(cs, l->client);
    if (c == NULL || l->slot == SESS_NONE)
        return;
    const struct slot_client *sc = &c->v.c_slot[l->slot];
    struct slot_domain *sd = &c->v.d_slot[l->slot];
    /* Pairs with the client's fence between arming and looking again. */
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t arm = get(sc->arm), left = arm & (SLOT_READ | SLOT_WRITE);
    if (arm >> 2 == l->posted)
        left &= ~(uint32_t)l->hit;
    uint32_t state = get(sd->state), err = get(sd->err);
    bool over = ends(l, sd, state);
    if (left == 0 && !over)
        return;
    uint64_t rx_tail = get(sd->rx_tail), rx_head = get(sc->rx_head), tx_tail = get(sc->tx_tail);
    uint64_t unseen = rx_tail == get(sc->rx_seen) ? rx_tail : rx_head;
    uint32_t hit = 0;
    if ((left & SLOT_READ) && slot_readable(state, err, rx_tail, unseen) &&
        slot_lowat_ok(get(sd->rcvlowat), state, err, rx_tail - rx_head))
        hit |= SLOT_READ;
    if ((left & SLOT_WRITE) &&
        slot_writable(state, err, get(sd->sndbuf), tx_tail, get(sd->tx_head)) &&
        (err != 0 || (state & (SLOT_NOSEND | SLOT_DEAD)) != 0 ||
         slot_notsent_ok(get(sd->notsent), tx_tail, get(sd->tx_sent))))
        hit |= SLOT_WRITE;
    if (hit == 0 && !over)
        return;
    if (hit != 0) {
        l->hit = (uint8_t)(hit | (arm >> 2 == l->posted ? l->hit : 0));
        l->fresh |= (uint8_t)hit;
        l->posted = arm >> 2;
    }
    client_event(cs, l, sess, EVT_READY, link_of, ctx);
}

void
client_set_err(struct slot_domain *d, int err)
{
    set(d->err, (uint32_t)err);
    set(d->err_seq, get(d->err_seq) + 1);
}
