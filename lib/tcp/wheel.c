/* SPDX-License-Identifier: BSD-2-Clause */
#include "wheel.h"

#define SLOT_BITS 6u
/* Ticks ahead that have a place of their own: one top-level slot less than a full turn, so that
 * nothing is ever put into the slot that the wheel is in. */
#define HORIZON (63ull << (SLOT_BITS * (WHEEL_LEVELS - 1)))

void
wheel_init(struct wheel *w, wheel_node_of *node_of, void *ctx, ns_t now)
{
    memset(w, 0, sizeof *w);
    for (unsigned i = 0; i < ARRAY_LEN(w->head); i++)
        w->head[i] = WHEEL_NONE;
    w->node_of = node_of;
    w->ctx = ctx;
    w->tick = (now >> WHEEL_TICK_BITS) + 1;
}

/* Put a node where its tick says, seen from w->tick. */
static void
place(struct wheel *w, uint32_t number, struct wheel_node *n)
{
    uint64_t at = n->tick < w->tick ? w->tick : n->tick;
    if (at - w->tick > HORIZON) /* parked at the far end; placed anew when that comes */
        at = w->tick + HORIZON;
    unsigned level = 0;
    /* The level where `at` and the current tick first differ. */
    uint64_t diff = at ^ w->tick;
    while (level + 1 < WHEEL_LEVELS && diff >> (SLOT_BITS * (level + 1)) != 0)
        level++;
    unsigned in_level = (at >> (SLOT_BITS * level)) % WHEEL_SLOTS;
    unsigned slot = level * WHEEL_SLOTS + in_level;
    n->slot = (uint16_t)slot;
    n->prev = WHEEL_NONE;
    n->next = w->head[slot];
    if (n->next != WHEEL_NONE)
        w->node_of(w->ctx, n->next)->prev = number;
    w->head[slot] = number;
    w->busy[level] |= 1ull << in_level;
}

void
wheel_insert(struct wheel *w, uint32_t number, ns_t at)
{
    struct wheel_node *n = w->node_of(w->ctx, number);
    uint64_t tick = (at >> WHEEL_TICK_BITS) + ((at & ((1u << WHEEL_TICK_BITS) - 1)) != 0);
    n->tick = tick < w->tick ? w->tick : tick;
    place(w, number, n);
}

void
wheel_remove(struct wheel *w, uint32_t number)
{
    struct wheel_node *n = w->node_of(w->ctx, number);
    if (n->tick == 0)
        return;
    if (n->prev != WHEEL_NONE)
        w->node_of(w->ctx, n->prev)->next = n->next;
    else
        w->head[n->slot] = n->next;
    if (n->next != WHEEL_NONE)
        w->node_of(w->ctx, n->next)->prev = n->prev;
    if (w->head[n->slot] == WHEEL_NONE)
        w->busy[n->slot / WHEEL_SLOTS] &= ~(1ull << (n->slot % WHEEL_SLOTS));
    n->tick = 0;
}

/* Move the nodes of the upper slot that begins at w->tick down. */
static void
cascade(struct wheel *w, unsigned level)
{
    unsigned in_level = (w->tick >> (SLOT_BITS * level)) % WHEEL_SLOTS;
    unsigned slot = level * WHEEL_SLOTS + in_level;
    uint32_t i = w->head[slot];
    w->head[slot] = WHEEL_NONE;
    w->busy[level] &= ~(1ull << in_level);
    while (i != WHEEL_NONE) {
        struct wheel_node *n = w->node_of(w->ctx, i);
        uint32_t next = n->next;
        place(w, i, n);
        i = next;
    }
}

/* The first tick from `from` on at which a slot of this level is due or must cascade. */
static uint64_t
level_next(const struct wheel *w, unsigned level)
{
    if (w->busy[level] == 0)
        return UINT64_MAX;
    unsigned shift = SLOT_BITS * level;
    uint64_t pos = w->tick >> shift;
    unsigned in_level = pos % WHEEL_SLOTS;
    /* A level's slots from the current one on are ahead; those before it wrap around. */
    uint64_t rot = w->busy[level] >> in_level |
                   (in_level == 0 ? 0 : w->busy[level] << (WHEEL_SLOTS - in_level));
    uint64_t at = (pos + (uint64_t)__builtin_ctzll(rot)) << shift;
    return at < w->tick ? w->tick : at;
}

static uint64_t
next_tick(const struct wheel *w)
{
    uint64_t best = UINT64_MAX;
    for (unsigned l = 0; l < WHEEL_LEVELS; l++)
        best = min_u64(best, level_next(w, l));
    return best;
}

uint32_t
wheel_take(struct wheel *w, ns_t now)
{
    uint64_t until = now >> WHEEL_TICK_BITS; /* ticks up to here are due */
    for (;;) {
        uint32_t i = w->head[w->tick % WHEEL_SLOTS];
        if (i != WHEEL_NONE && w->tick <= until) {
            wheel_remove(w, i);
            return i;
        }
        uint64_t next = next_tick(w);
        if (next > until) {
            /* Nothing is due. Move up to now, but past no slot that must cascade. */
            if (w->tick < until)
                w->tick = until;
            return WHEEL_NONE;
        }
        if (next > w->tick)
            w->tick = next;
        for (unsigned l = WHEEL_LEVELS; l-- > 1;)
            if (level_next(w, l) <= w->tick)
                cascade(w, l);
    }
}

ns_t
wheel_deadline(const struct wheel *w)
{
    uint64_t t = next_tick(w);
    return t == UINT64_MAX ? NS_NEVER : t << WHEEL_TICK_BITS;
}
