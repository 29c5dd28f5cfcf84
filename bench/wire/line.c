/* SPDX-License-Identifier: BSD-2-Clause
 *
 * line.c: a heap by time, and the few that wait to be overtaken beside it.
 */
#include "bench/wire/line.h"

void
line_init(struct line *l, struct line_entry *heap, uint32_t room)
{
    *l = (struct line){.heap = heap, .room = room};
}

static bool
before(const struct line_entry *a, const struct line_entry *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void
heap_push(struct line *l, const struct line_entry *e)
{
    uint32_t i = l->n++;
    while (i > 0 && before(e, &l->heap[(i - 1) / 2])) {
        l->heap[i] = l->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    l->heap[i] = *e;
}

static struct line_entry
heap_pop(struct line *l)
{
    struct line_entry top = l->heap[0], last = l->heap[--l->n];
    uint32_t i = 0;
    for (;;) {
        uint32_t kid = 2 * i + 1;
        if (kid + 1 < l->n && before(&l->heap[kid + 1], &l->heap[kid]))
            kid++;
        if (kid >= l->n || !before(&l->heap[kid], &last))
            break;
        l->heap[i] = l->heap[kid];
        i = kid;
    }
    l->heap[i] = last;
    return top;
}

/* One more has gone past the held ones; it arrives at due. */
static void
overtake(struct line *l, ns_t due)
{
    uint32_t keep = 0;
    for (uint32_t i = 0; i < l->n_held; i++) {
        if (--l->held[i].overtakers != 0) {
            l->held[keep++] = l->held[i];
            continue;
        }
        struct line_entry e = l->held[i].e;
        e.due = min_u64(e.due, due);
        e.order = l->order++;
        heap_push(l, &e);
    }
    l->n_held = keep;
}

bool
line_put(struct line *l, uint32_t slot, uint32_t len, ns_t due, uint64_t held)
{
    struct line_entry e = {.due = due, .order = l->order, .slot = slot, .len = len};
    if (l->n + l->n_held >= l->room)
        return false;
    l->order++;
    if (held != 0 && l->n_held < LINE_HELD) {
        l->held[l->n_held].e = e;
        l->held[l->n_held++].overtakers = held;
        return true;
    }
    heap_push(l, &e);
    if (held == 0)
        overtake(l, due);
    return true;
}

ns_t
line_next(const struct line *l)
{
    ns_t at = l->n == 0 ? NS_NEVER : l->heap[0].due;
    for (uint32_t i = 0; i < l->n_held; i++)
        at = min_u64(at, l->held[i].e.due);
    return at;
}

bool
line_take(struct line *l, ns_t now, struct line_entry *e)
{
    /* Whoever waited in vain goes in its turn. */
    uint32_t keep = 0;
    for (uint32_t i = 0; i < l->n_held; i++) {
        if (l->held[i].e.due > now)
            l->held[keep++] = l->held[i];
        else
            heap_push(l, &l->held[i].e);
    }
    l->n_held = keep;
    if (l->n == 0 || l->heap[0].due > now)
        return false;
    *e = heap_pop(l);
    return true;
}
