/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An entry is live if it carries rights. That word is written last when a handle is made
 * and first when it dies, so that after a crash the live entries, their objects and their
 * parents tell the whole story; free list and sibling lists follow from them.
 *
 * A handle that was dropped stays as an entry that nobody can name while more than one is
 * minted from it (of a creator: while anything is). With one left, that takes its place. So
 * there are never more dropped ones than others, and a session's only handle is always the
 * root.
 */
#include "handle_tree.h"

#include <errno.h>

size_t
handle_table_bytes(uint32_t n)
{
    return sizeof(struct handle_table) + (size_t)n * sizeof(struct handle_entry);
}

void
handle_free_push(struct handle_table *t, uint32_t i)
{
    struct handle_entry *e = &t->e[i];
    if (++e->generation == 0)
        e->generation = 1;
    e->object = t->free_head;
    e->parent = e->child = e->next = e->prev = NONE;
    t->free_head = i;
}

/* Entries that were never used are zero, and all at the end of the list: each is followed by
 * its neighbour. So a new table costs nothing, however large it is. */
uint32_t
handle_next_free(const struct handle_table *t, uint32_t i)
{
    if (t->e[i].generation != 0)
        return t->e[i].object;
    return i + 1 < t->n ? i + 1 : NONE;
}

void
handle_link(struct handle_table *t, uint32_t i, uint32_t parent)
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

void
handle_table_init(struct handle_table *t, uint32_t n)
{
    t->n = n;
    t->used = t->trees = 0;
    t->free_head = n > 0 ? 0 : NONE;
}

static uint64_t
make(struct handle_table *t, uint32_t object, uint32_t rights, uint32_t parent)
{
    uint32_t i = t->free_head;
    if (i == NONE || (rights & RIGHT_ALL) == 0)
        return HANDLE_NONE;
    struct handle_entry *e = &t->e[i];
    t->free_head = handle_next_free(t, i);
    if (e->generation == 0)
        e->generation = 1;
    t->used++;
    t->trees += !(rights & HANDLE_CREATOR) && is_first(t, parent);
    e->object = object;
    e->parent = parent;
    e->child = NONE;
    handle_link(t, i, parent);
    in_this_order();
    e->rights = (uint16_t)(rights & (RIGHT_ALL | HANDLE_CREATOR));
    return handle_of(t, i);
}

uint64_t
handle_new(struct handle_table *t, uint32_t object, uint32_t rights)
{
    return make(t, object, rights & RIGHT_ALL, NONE);
}

uint64_t
handle_new_creator(struct handle_table *t, uint32_t range, uint32_t rights)
{
    return make(t, range, (rights & RIGHT_ALL) | HANDLE_CREATOR, NONE);
}

uint64_t
handle_new_under(struct handle_table *t, uint64_t creator, uint32_t object, uint32_t rights)
{
    uint32_t i = entry_there(t, creator);
    if (i == NONE || !is_creator(t, i))
        return HANDLE_NONE;
    return make(t, object, rights & RIGHT_ALL & t->e[i].rights, i);
}

static int
get(const struct handle_table *t, uint64_t handle, uint32_t need, bool creator,
    uint32_t *object)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE || is_creator(t, i) != creator)
        return EBADF;
    if ((need & ~(uint32_t)t->e[i].rights) != 0 || (t->e[i].rights & HANDLE_GIVEN))
        return EACCES;
    *object = t->e[i].object;
    return 0;
}

int
handle_get(const struct handle_table *t, uint64_t handle, uint32_t need, uint32_t *object)
{
    return get(t, handle, need, false, object);
}

int
handle_get_creator(const struct handle_table *t, uint64_t handle, uint32_t need,
                   uint32_t *range)
{
    return get(t, handle, need, true, range);
}

uint32_t
handle_rights(const struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    return i == NONE ? 0 : t->e[i].rights & RIGHT_ALL;
}

uint64_t
handle_first(const struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE || is_creator(t, i))
        return HANDLE_NONE;
    while (!is_first(t, t->e[i].parent))
        i = t->e[i].parent;
    return handle_of(t, i);
}

bool
handle_get_given(const struct handle_table *t, uint64_t handle, uint32_t *slot)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE || !(t->e[i].rights & HANDLE_GIVEN))
        return false;
    *slot = t->e[i].object;
    return true;
}

bool
handle_lives(const struct handle_table *t, uint64_t handle)
{
    return entry_of(t, handle) != NONE;
}

uint64_t
handle_mint(struct handle_table *t, uint64_t handle, uint32_t rights)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE || is_creator(t, i))
        return HANDLE_NONE;
    return make(t, t->e[i].object, rights & RIGHT_ALL & t->e[i].rights, i);
}

uint64_t
handle_mint_creator(struct handle_table *t, uint64_t handle, uint32_t range, uint32_t rights)
{
    uint32_t i = entry_of(t, handle);
    if (i == NONE || !is_creator(t, i))
        return HANDLE_NONE;
    return make(t, range, (rights & RIGHT_ALL & t->e[i].rights) | HANDLE_CREATOR, i);
}

void
handle_mark_untold(struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    if (i != NONE)
        t->e[i].rights |= HANDLE_UNTOLD;
}

void
handle_mark_told(struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_of(t, handle);
    if (i != NONE)
        t->e[i].rights &= (uint16_t)~HANDLE_UNTOLD;
}
