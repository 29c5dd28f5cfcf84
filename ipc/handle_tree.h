/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handle_tree.h: for handle.c and handle_end.c: entries, and how they hang together.
 */
#ifndef IPC_HANDLE_TREE_H
#define IPC_HANDLE_TREE_H

#include <stdatomic.h>

#include "handle.h"

#define NONE HANDLE_NO_ENTRY

/* Keeps the compiler from moving stores across: a successor finds the table as the stores
 * left it. */
#define in_this_order() atomic_signal_fence(memory_order_seq_cst)

/* handle.c */
void handle_free_push(struct handle_table *t, uint32_t i);
/* The one behind entry i on the list of those that are free. */
uint32_t handle_next_free(const struct handle_table *t, uint32_t i);
void handle_link(struct handle_table *t, uint32_t i, uint32_t parent);

static inline uint64_t
handle_of(const struct handle_table *t, uint32_t i)
{
    return (uint64_t)t->e[i].generation << 32 | i;
}

/* The entry of a handle that is alive or dropped, or NONE. The handle is a foreign number. */
static inline uint32_t
entry_there(const struct handle_table *t, uint64_t handle)
{
    uint32_t i = (uint32_t)handle;
    if (i >= t->n || t->e[i].rights == 0 || t->e[i].generation != (uint32_t)(handle >> 32))
        return NONE;
    return i;
}

/* The entry of a live handle, or NONE. */
static inline uint32_t
entry_of(const struct handle_table *t, uint64_t handle)
{
    uint32_t i = entry_there(t, handle);
    return i != NONE && (t->e[i].rights & HANDLE_DROPPED) ? NONE : i;
}

static inline bool
is_creator(const struct handle_table *t, uint32_t i)
{
    return (t->e[i].rights & HANDLE_CREATOR) != 0;
}

/* Is what has this parent the first of its session's handles? */
static inline bool
is_first(const struct handle_table *t, uint32_t parent)
{
    return parent == NONE || is_creator(t, parent);
}

#endif
