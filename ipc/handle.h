/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handle.h: capability-like names. A client names a session by a handle: index and
 * generation in a table that belongs to its one channel, so there is nothing to guess
 * and nothing to share by accident. An entry carries rights; mint makes a narrower
 * handle, revoke kills a handle and everything minted from it, at once.
 *
 * Tables live in memory that the caller hands over (the domain's store, so that they
 * survive a crash: handle_table_recover). Getting, making and minting are O(1); revoke
 * costs as much as there are handles that die. A table belongs to one process: nothing
 * here is shared with the client, who sees handles as numbers only.
 */
#ifndef IPC_HANDLE_H
#define IPC_HANDLE_H

#include "base/base.h"

enum right {
    RIGHT_SEND = 1,
    RIGHT_RECEIVE = 2,
    RIGHT_ACCEPT = 4,
    RIGHT_SHUTDOWN = 8,
    RIGHT_OPTIONS = 16,
    RIGHT_BIND = 32, /* bind, connect, listen */
    RIGHT_DELEGATE = 64,
    RIGHT_ALL = 127,
};

#define HANDLE_NONE 0ull /* generation 0 is never valid */

#define HANDLE_NO_ENTRY UINT32_MAX

struct handle_entry {
    uint32_t generation; /* of the handle in it; bumped when it dies */
    uint32_t object;     /* session number; next free entry while unused */
    uint32_t parent;     /* entry that it was minted from, or HANDLE_NO_ENTRY */
    uint32_t child;      /* the first entry that was minted from it */
    uint32_t next, prev; /* its siblings: minted from the same entry */
    uint16_t rights;     /* enum right; 0: unused. Written last: it makes the entry live */
    uint16_t mark;       /* handle_table_recover's */
};

struct handle_table {
    uint32_t n;
    uint32_t free_head; /* HANDLE_NO_ENTRY: full */
    uint32_t used;
    uint32_t pad;
    struct handle_entry e[];
};

size_t handle_table_bytes(uint32_t n);

/* A new, empty table in zeroed memory of handle_table_bytes(n). */
void handle_table_init(struct handle_table *t, uint32_t n);

/* After a crash of the process that kept the table, whatever it was doing: what hangs on
 * a dead handle dies, and the lists are built anew. Bounded by the table; believes `n`
 * and nothing else that it finds. */
void handle_table_recover(struct handle_table *t, uint32_t n);

/* A handle for `object` with `rights`; HANDLE_NONE if the table is full or no known right
 * is among `rights`. */
must_check uint64_t handle_new(struct handle_table *t, uint32_t object, uint32_t rights);

/* The object, if the handle is alive and carries every right in `need`. Returns 0, or
 * EBADF (dead, forged), or EACCES (a right is missing). */
must_check int handle_get(const struct handle_table *t, uint64_t handle, uint32_t need,
                          uint32_t *object);

/* A handle for the same object with `rights` cut to what `handle` has. HANDLE_NONE if
 * that one is dead, the table is full, or nothing would be left. */
must_check uint64_t handle_mint(struct handle_table *t, uint64_t handle, uint32_t rights);

/* The handle and everything minted from it die. Returns how many died. */
uint32_t handle_revoke(struct handle_table *t, uint64_t handle);

/* Every handle whose object is not wanted (`keep` says no) dies, with what was minted from
 * it: after a crash a table may name what went with it. Returns how many died. */
uint32_t handle_sweep(struct handle_table *t, bool (*keep)(void *ctx, uint32_t object),
                      void *ctx);

/* The invariants: every entry is either free or in the tree, once. Bounded by the table. */
bool handle_table_validate(const struct handle_table *t);

#endif
