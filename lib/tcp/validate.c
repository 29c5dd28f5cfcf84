/* SPDX-License-Identifier: BSD-2-Clause
 *
 * validate.c: the invariants of a whole struct tcp: every session's own, and that the lists and
 * counts over them tell the same story. For tests, fuzzers and assertions; not for a step.
 */
#include "priv.h"

static bool
is_working(void *ctx, uint32_t sess)
{
    const struct tcp *t = ctx;
    return sess < t->cfg.n_sessions && t->tcb[sess].working;
}

/* The sessions on the work list are those that say so; free numbers are nowhere else. */
static bool
work_valid(const struct tcp *t)
{
    uint32_t marked = 0;
    for (uint32_t i = 0; i < t->store->high; i++)
        marked += t->tcb[i].working;
    if (marked != t->work.n || t->n_free > t->cfg.n_sessions ||
        !turns_valid(&t->work, work_next_of, (void *)(uintptr_t)t, is_working))
        return false;
    for (uint32_t i = 0; i < t->n_free; i++)
        if (t->free[i] >= t->store->high
                ? t->free[i] >= t->cfg.n_sessions
                : t->tcb[t->free[i]].used || t->tcb[t->free[i]].working)
            return false;
    return true;
}

static bool
time_wait_valid(const struct tcp *t)
{
    uint32_t n = 0, marked = 0, prev = SESS_NONE;
    for (uint32_t i = t->tw_head; i != SESS_NONE; prev = i, i = t->tcb[i].tw_next) {
        const struct tcb *c = &t->tcb[i];
        if (!c->used || !c->on_tw || c->h.state != TCPS_TIME_WAIT || c->tw_prev != prev ||
            ++n > t->cfg.n_sessions)
            return false;
    }
    for (uint32_t i = 0; i < t->store->high; i++)
        marked += t->tcb[i].used && t->tcb[i].on_tw;
    return prev == t->tw_tail && n == marked;
}

/* Is session i reachable over a list that starts at `at`? */
static bool
listed(const struct tcp *t, uint32_t at, uint32_t i, bool bound)
{
    for (uint32_t n = 0; at != SESS_NONE && n <= t->cfg.n_sessions; n++) {
        if (at == i)
            return true;
        at = bound ? t->tcb[at].bound_next : t->tcb[at].hash_next;
    }
    return false;
}

static bool
lookup_valid(const struct tcp *t)
{
    uint32_t hashed = 0, in_table = 0;
    for (uint32_t i = 0; i < t->store->high; i++) {
        const struct tcb *c = &t->tcb[i];
        if (!c->used)
            continue;
        hashed += c->hashed;
        bool connection = c->h.state != TCPS_CLOSED && c->h.state != TCPS_LISTEN;
        if (c->hashed != connection)
            return false;
        if ((c->h.bits & H_BOUND) && !listed(t, t->bound[c->lport], i, true))
            return false;
    }
    for (uint32_t b = 0; b <= t->hash_mask; b++)
        for (uint32_t i = t->hash[b]; i != SESS_NONE; i = t->tcb[i].hash_next)
            if (!t->tcb[i].used || !t->tcb[i].hashed || ++in_table > hashed)
                return false;
    return in_table == hashed;
}

/* Every child is in its listener's list, once, and nobody else. */
static bool
children_valid(const struct tcp *t)
{
    uint32_t have = 0, listed_there = 0;
    for (uint32_t i = 0; i < t->store->high; i++)
        have += t->tcb[i].used && t->tcb[i].parent != SESS_NONE;
    for (uint32_t l = 0; l < t->store->high; l++)
        for (uint32_t i = t->tcb[l].used ? t->tcb[l].child : SESS_NONE, before = SESS_NONE;
             i != SESS_NONE; before = i, i = t->tcb[i].sib_next)
            if (!t->tcb[i].used || t->tcb[i].parent != l || t->tcb[i].sib_prev != before ||
                ++listed_there > have)
                return false;
    return listed_there == have;
}

static bool
counts_valid(const struct tcp *t)
{
    uint32_t half_open = 0, orphans = 0;
    for (uint32_t i = 0; i < t->store->high; i++) {
        const struct tcb *c = &t->tcb[i];
        if (!c->used)
            continue;
        half_open += c->h.state == TCPS_SYN_RCVD;
        orphans += tcb_is_orphan(c);
        if (c->parent == SESS_NONE)
            continue;
        const struct tcb *l = &t->tcb[c->parent];
        if (c->parent >= t->store->high || !l->used || l->h.state != TCPS_LISTEN ||
            l->n_accept < l->n_untold || l->n_untold > t->cfg.n_sessions)
            return false;
    }
    return half_open == t->n_half_open && orphans == t->n_orphans;
}

/* A client's sessions are as many as it is charged for, no two have one slot, and every slot
 * and page is either free or somebody's. */
static bool
client_valid(const struct tcp *t, uint32_t id)
{
    const struct client *cl = &t->clients->c[id];
    uint32_t n = 0, half_open = 0, slots = 0, pages = 0;
    for (uint32_t i = 0; i < t->store->high; i++) {
        const struct tcb *c = &t->tcb[i];
        if (c->used && c->mv.copying && c->mv.to_client == id) { /* on its way to it */
            slots++;
            pages += fifo_rx_pages(&cl->v, c->mv.to_slot);
        }
        if (!c->used || c->link.client != id)
            continue;
        n++;
        half_open += c->h.state == TCPS_SYN_RCVD;
        if (c->link.slot == SESS_NONE)
            continue;
        slots++;
        if (c->link.slot >= cl->v.g.n_slots)
            return false;
        pages += fifo_rx_pages(&cl->v, c->link.slot);
    }
    for (uint32_t i = 0; i < cl->v.g.n_slots; i++)
        slots += (get(cl->v.d_slot[i].state) & SLOT_GIVEN) != 0;
    return n == cl->n_sessions && half_open == cl->n_half_open &&
           slots + cl->n_slots_free == cl->v.g.n_slots && page_pool_validate(&cl->pages) &&
           pages + cl->pages.n_free == cl->pages.n;
}

/* An account is charged for what its clients are. */
static bool
accounts_valid(const struct tcp *t)
{
    for (uint32_t n = 0; n < ACCOUNTS_MAX; n++) {
        const struct account *a = &t->clients->account[n];
        uint32_t clients = 0, sessions = 0, half_open = 0;
        for (uint32_t i = 0; a->clients != 0 && i < CLIENTS_MAX; i++) {
            const struct client *cl = &t->clients->c[i];
            if (!cl->used || cl->limits.account != n)
                continue;
            clients++;
            sessions += cl->n_sessions;
            half_open += cl->n_half_open;
        }
        if (clients != a->clients || sessions != a->n_sessions || half_open != a->n_half_open)
            return false;
    }
    return true;
}

bool
tcp_validate(const struct tcp *t)
{
    if (!pool_validate(&t->pool))
        return false;
    for (uint32_t i = 0; i < t->store->high; i++)
        if (t->tcb[i].used && !tcb_validate(t, &t->tcb[i]))
            return false;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        if (t->clients->c[i].used && !client_valid(t, i))
            return false;
    return accounts_valid(t) && work_valid(t) && time_wait_valid(t) && lookup_valid(t) &&
           counts_valid(t) && children_valid(t);
}
