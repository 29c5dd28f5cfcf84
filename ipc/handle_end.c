/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handle_end.c: the end of handles: dropped, revoked, swept after a crash; and what must hold.
 */
#include "handle_tree.h"

/* Take an entry without children off its siblings' list and free it. */
static void
bury(struct handle_table *t, uint32_t i, bool creator)
{
    struct handle_entry *e = &t->e[i];
    t->trees -= !creator && is_first(t, e->parent);
    t->e[i].rights = 0;
    in_this_order();
    if (e->prev != NONE)
        t->e[e->prev].next = e->next;
    else if (e->parent != NONE)
        t->e[e->parent].child = e->next;
    if (e->next != NONE)
        t->e[e->next].prev = e->prev;
    handle_free_push(t, i);
    t->used--;
}

/* The only child of i, a dropped one, takes its place. One store moves it. */
static void
replace(struct handle_table *t, uint32_t i)
{
    struct handle_entry *e = &t->e[i];
    uint32_t c = e->child;
    t->e[c].parent = e->parent;
    in_this_order();
    e->rights = 0;
    t->e[c].prev = e->prev;
    t->e[c].next = e->next;
    if (e->prev != NONE)
        t->e[e->prev].next = c;
    else if (e->parent != NONE)
        t->e[e->parent].child = c;
    if (e->next != NONE)
        t->e[e->next].prev = c;
    handle_free_push(t, i);
    t->used--;
}

/* Entry i, or what hung on it, changed: if it was dropped it may not be needed any more, nor
 * what it hangs on. Each round but the last frees one. */
static void
tidy(struct handle_table *t, uint32_t i)
{
    while (i != NONE && (t->e[i].rights & HANDLE_DROPPED)) {
        uint32_t child = t->e[i].child, parent = t->e[i].parent;
        if (child == NONE) {
            bury(t, i, is_creator(t, i));
        } else {
            if (!is_creator(t, i) && t->e[child].next == NONE)
                replace(t, i);
            return;
        }
        i = parent;
    }
}

bool
handle_is_last(const struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    return i != NONE && !is_creator(t, i) && t->e[i].child == NONE &&
           is_first(t, t->e[i].parent);
}

void
handle_drop(struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE)
        return;
    t->e[i].rights |= HANDLE_DROPPED;
    tidy(t, i);
}

void
handle_drop_untold(struct handle_table *t, uint64_t but)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (!(t->e[i].rights & HANDLE_UNTOLD))
            continue;
        t->e[i].rights &= (uint16_t)~HANDLE_UNTOLD;
        if (handle_of(t, i) != but)
            handle_drop(t, handle_of(t, i));
    }
}

static uint32_t
revoke(struct handle_table *t, uint32_t root)
{
    uint32_t died = 0, above = t->e[root].parent;
    /* Dead at once: should the process end in the middle, recovery finishes the job. */
    t->e[root].rights = 0;
    in_this_order();
    for (uint32_t i = root;;) {
        uint32_t child = t->e[i].child;
        if (child != NONE) {
            i = child;
            t->e[i].rights = 0;
            in_this_order();
            continue;
        }
        uint32_t parent = t->e[i].parent;
        bury(t, i, false);
        died++;
        if (i == root)
            break;
        i = parent;
    }
    tidy(t, above);
    return died;
}

uint32_t
handle_revoke(struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    return i == NONE || is_creator(t, i) ? 0 : revoke(t, i);
}

uint32_t
handle_revoke_below(struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle), died = 0;
    if (i == NONE || is_creator(t, i))
        return 0;
    while (t->e[i].child != NONE)
        died += revoke(t, t->e[i].child);
    return died;
}

uint32_t
handle_revoke_all(struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE || is_creator(t, i))
        return 0;
    while (!is_first(t, t->e[i].parent))
        i = t->e[i].parent;
    return revoke(t, i);
}

void
handle_make_given(struct handle_table *t, uint64_t handle, uint32_t slot)
{
    uint32_t i = entry_there(t, handle);
    if (i == NONE || is_creator(t, i) || !is_first(t, t->e[i].parent))
        return;
    t->e[i].rights = HANDLE_GIVEN; /* dropped or not: it can be named again */
    in_this_order();
    t->e[i].object = slot;
    while (t->e[i].child != NONE)
        (void)revoke(t, t->e[i].child);
}

/* The first of what hangs on creator i is a session's: it hangs on nothing any more. */
static void
set_free(struct handle_table *t, uint32_t i)
{
    uint32_t c = t->e[i].child, next = t->e[c].next;
    t->e[c].parent = NONE;
    in_this_order();
    t->e[c].next = NONE;
    t->e[i].child = next;
    if (next != NONE)
        t->e[next].prev = NONE;
}

uint32_t
handle_revoke_creator(struct handle_table *t, uint64_t handle, handle_end *end, void *ctx)
{
    uint32_t root = entry_of(t, handle), died = 0;
    if (root == NONE || !is_creator(t, root))
        return 0;
    uint32_t above = t->e[root].parent;
    for (uint32_t i = root;;) {
        uint32_t child = t->e[i].child, parent = t->e[i].parent;
        if (child == NONE) { /* the last of all is the root: till then it can be named again */
            bury(t, i, true);
            died++;
            if (i == root)
                break;
            i = parent;
        } else if (is_creator(t, child)) {
            i = child;
        } else {
            end(ctx, t->e[child].object,
                t->e[child].rights & HANDLE_GIVEN ? handle_of(t, child) : HANDLE_NONE);
            set_free(t, i);
        }
    }
    tidy(t, above);
    return died;
}

uint32_t
handle_sweep(struct handle_table *t, bool (*keep)(void *ctx, uint32_t object), void *ctx)
{
    uint32_t died = 0;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->e[i].rights != 0 && !(t->e[i].rights & (HANDLE_CREATOR | HANDLE_GIVEN)) &&
            !keep(ctx, t->e[i].object))
            died += revoke(t, i);
    return died;
}

/* ---- after a crash, and for tests ---- */

enum mark { UNKNOWN, ON_PATH, LIVE, DEAD };

/* What becomes of entry i: follow its ancestors up to one whose fate is known. */
static enum mark
fate(struct handle_table *t, uint32_t i)
{
    for (;;) {
        if (i == NONE)
            return LIVE;
        if (i >= t->n || t->e[i].rights == 0 || t->e[i].mark == ON_PATH)
            return DEAD;
        if (t->e[i].mark != UNKNOWN)
            return (enum mark)t->e[i].mark;
        t->e[i].mark = ON_PATH;
        i = t->e[i].parent;
    }
}

void
handle_table_recover(struct handle_table *t, uint32_t n)
{
    t->n = n;
    t->used = t->trees = 0;
    t->free_head = NONE;
    for (uint32_t i = 0; i < n; i++) {
        t->e[i].rights &= RIGHT_ALL | HANDLE_FLAGS;
        t->e[i].mark = UNKNOWN;
    }
    for (uint32_t i = 0; i < n; i++) /* nothing makes a creator from a session */
        if (is_creator(t, i) && t->e[i].parent < n && !is_creator(t, t->e[i].parent))
            t->e[i].rights = 0;
    /* Each entry is put on a path once and taken off once: bounded by n. */
    for (uint32_t i = 0; i < n; i++) {
        enum mark m = fate(t, i);
        for (uint32_t j = i; j < n && t->e[j].mark == ON_PATH; j = t->e[j].parent)
            t->e[j].mark = (uint16_t)m;
    }
    for (uint32_t i = 0; i < n; i++)
        t->e[i].child = NONE;
    for (uint32_t i = n; i-- > 0;)
        if (t->e[i].mark == LIVE) {
            handle_link(t, i, t->e[i].parent);
            t->used++;
        } else {
            t->e[i].rights = 0;
            handle_free_push(t, i);
        }
    for (uint32_t i = 0; i < n; i++)
        t->trees += t->e[i].rights != 0 && !is_creator(t, i) && is_first(t, t->e[i].parent);
    for (uint32_t i = 0; i < n; i++)
        tidy(t, i);
}

/* Count the entries under `i`, itself included, walking children and siblings; more than
 * `limit` means that a list goes in a circle. */
static uint32_t
count_tree(const struct handle_table *t, uint32_t root, uint32_t limit)
{
    uint32_t count = 1, i = root;
    for (;;) {
        uint32_t next = t->e[i].child, parent = i, prev = NONE;
        while (next == NONE && i != root) { /* done below i: its sibling, or up */
            next = t->e[i].next;
            parent = t->e[i].parent;
            prev = i;
            if (next == NONE)
                i = parent;
        }
        if (next == NONE)
            return count;
        if (next >= t->n || t->e[next].parent != parent || t->e[next].prev != prev ||
            t->e[next].rights == 0 ||
            (t->e[next].rights & RIGHT_ALL & ~t->e[parent].rights) != 0 || ++count > limit)
            return limit + 1;
        i = next;
    }
}

/* Is it needed, if it was dropped? */
static bool
needed(const struct handle_table *t, uint32_t i)
{
    const struct handle_entry *e = &t->e[i];
    return !(e->rights & HANDLE_DROPPED) ||
           (e->child < t->n && (is_creator(t, i) || t->e[e->child].next != NONE));
}

bool
handle_table_validate(const struct handle_table *t)
{
    uint32_t n_free = 0, live = 0, trees = 0;
    for (uint32_t i = t->free_head; i != NONE; i = handle_next_free(t, i))
        if (i >= t->n || t->e[i].rights != 0 || ++n_free > t->n)
            return false;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct handle_entry *e = &t->e[i];
        if (e->rights == 0)
            continue;
        if (e->generation == 0 || (e->rights & ~(RIGHT_ALL | HANDLE_FLAGS)) != 0 ||
            !needed(t, i) || (e->parent != NONE && e->parent >= t->n))
            return false;
        trees += !is_creator(t, i) && is_first(t, e->parent);
        if (e->parent == NONE)
            live += count_tree(t, i, t->n - live);
        if (live > t->n)
            return false;
    }
    return live == t->used && live + n_free == t->n && trees == t->trees;
}
