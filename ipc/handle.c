/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An entry is live if it carries rights. That word is written last when a handle is made
 * and first when it dies, so that after a crash the live entries, their objects and their
 * parents tell the whole story; free list and sibling lists follow from them.
 */
#include "handle.h"

#include <errno.h>
#include <stdatomic.h>

#define NONE HANDLE_NO_ENTRY

/* Keeps the compiler from moving stores across: a successor finds the table as the stores
 * left it. */
#define in_this_order() atomic_signal_fence(memory_order_seq_cst)

size_t
handle_table_bytes(uint32_t n)
{
    return sizeof(struct handle_table) + (size_t)n * sizeof(struct handle_entry);
}

static void
free_push(struct handle_table *t, uint32_t i)
{
    struct handle_entry *e = &t->e[i];
    if (++e->generation == 0)
        e->generation = 1;
    e->object = t->free_head;
    e->parent = e->child = e->next = e->prev = NONE;
    t->free_head = i;
}

void
handle_table_init(struct handle_table *t, uint32_t n)
{
    t->n = n;
    t->used = 0;
    t->free_head = NONE;
    for (uint32_t i = n; i-- > 0;) {
        t->e[i].rights = 0;
        free_push(t, i);
    }
}

static uint64_t
handle_of(const struct handle_table *t, uint32_t i)
{
    return (uint64_t)t->e[i].generation << 32 | i;
}

/* The entry of a live handle, or NONE. The handle is a foreign number. */
static uint32_t
entry_of(const struct handle_table *t, uint64_t handle)
{
    uint32_t i = (uint32_t)handle;
    if (i >= t->n || t->e[i].rights == 0 || t->e[i].generation != (uint32_t)(handle >> 32))
        return NONE;
    return i;
}

static void
link_to_parent(struct handle_table *t, uint32_t i, uint32_t parent)
{
    struct handle_entry *e = &t->e[i];
    e->prev = NONE;
    e->next = NONE;
    if (parent == NONE)
        return;
    e->next = t->e[parent].child;
    if (e->next != NONE)
        t->e[e->next].prev = i;
    t->e[parent].child = i;
}

static uint64_t
make(struct handle_table *t, uint32_t object, uint32_t rights, uint32_t parent)
{
    uint32_t i = t->free_head;
    if (i == NONE || (rights & RIGHT_ALL) == 0)
        return HANDLE_NONE;
    struct handle_entry *e = &t->e[i];
    t->free_head = e->object;
    t->used++;
    e->object = object;
    e->parent = parent;
    e->child = NONE;
    link_to_parent(t, i, parent);
    in_this_order();
    e->rights = (uint16_t)(rights & RIGHT_ALL);
    return handle_of(t, i);
}

uint64_t
handle_new(struct handle_table *t, uint32_t object, uint32_t rights)
{
    return make(t, object, rights, NONE);
}

int
handle_get(const struct handle_table *t, uint64_t handle, uint32_t need, uint32_t *object)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE)
        return EBADF;
    if ((need & ~(uint32_t)t->e[i].rights) != 0)
        return EACCES;
    *object = t->e[i].object;
    return 0;
}

uint64_t
handle_mint(struct handle_table *t, uint64_t handle, uint32_t rights)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE)
        return HANDLE_NONE;
    return make(t, t->e[i].object, rights & t->e[i].rights, i);
}

/* Take an entry without children off its siblings' list and free it. */
static void
bury(struct handle_table *t, uint32_t i)
{
    struct handle_entry *e = &t->e[i];
    if (e->prev != NONE)
        t->e[e->prev].next = e->next;
    else if (e->parent != NONE)
        t->e[e->parent].child = e->next;
    if (e->next != NONE)
        t->e[e->next].prev = e->prev;
    free_push(t, i);
    t->used--;
}

uint32_t
handle_revoke(struct handle_table *t, uint64_t handle)
{
    uint32_t root = entry_of(t, handle);
    if (root == NONE)
        return 0;
    /* Dead at once: should the process end in the middle, recovery finishes the job. */
    t->e[root].rights = 0;
    in_this_order();
    uint32_t died = 0;
    for (uint32_t i = root;;) {
        uint32_t child = t->e[i].child;
        if (child != NONE) {
            i = child;
            t->e[i].rights = 0;
            in_this_order();
            continue;
        }
        uint32_t parent = t->e[i].parent;
        bury(t, i);
        died++;
        if (i == root)
            return died;
        i = parent;
    }
}

uint32_t
handle_sweep(struct handle_table *t, bool (*keep)(void *ctx, uint32_t object), void *ctx)
{
    uint32_t died = 0;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->e[i].rights != 0 && !keep(ctx, t->e[i].object))
            died += handle_revoke(t, handle_of(t, i));
    return died;
}

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
    t->used = 0;
    t->free_head = NONE;
    for (uint32_t i = 0; i < n; i++) {
        t->e[i].rights &= RIGHT_ALL;
        t->e[i].mark = UNKNOWN;
    }
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
            link_to_parent(t, i, t->e[i].parent);
            t->used++;
        } else {
            t->e[i].rights = 0;
            free_push(t, i);
        }
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
            t->e[next].rights == 0 || (t->e[next].rights & ~t->e[parent].rights) != 0 ||
            ++count > limit)
            return limit + 1;
        i = next;
    }
}

bool
handle_table_validate(const struct handle_table *t)
{
    uint32_t n_free = 0, live = 0;
    for (uint32_t i = t->free_head; i != NONE; i = t->e[i].object)
        if (i >= t->n || t->e[i].rights != 0 || t->e[i].generation == 0 || ++n_free > t->n)
            return false;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct handle_entry *e = &t->e[i];
        if (e->rights == 0)
            continue;
        if (e->generation == 0 || (e->rights & ~RIGHT_ALL) != 0)
            return false;
        if (e->parent == NONE)
            live += count_tree(t, i, t->n - live);
        if (live > t->n)
            return false;
    }
    return live == t->used && live + n_free == t->n;
}
