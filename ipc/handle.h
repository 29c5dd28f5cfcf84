/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handle.h: capability-like names. A client names a session by a handle: index and
 * generation in a table that belongs to its one channel, so there is nothing to guess
 * and nothing to share by accident. An entry carries rights; mint makes a narrower
 * handle, revoke kills a handle and everything minted from it, at once; drop gives up a
 * handle and leaves what was minted from it.
 *
 * There are handles of sessions, and of creators: what sessions are made from. The object
 * of a creator is a range of ports. Trees: under a creator hang narrower creators and the
 * sessions that were opened from it; under a session's handle, narrower handles for it. So
 * the handles of one session are one tree, and its root is the last to go.
 *
 * Tables live in memory that the caller hands over (the domain's store, so that they
 * survive a crash: handle_table_recover). Getting, making, minting and dropping are O(1);
 * revoke costs as much as there are handles that die. A table belongs to one process:
 * nothing here is shared with the client, who sees handles as numbers only.
 */
#ifndef IPC_HANDLE_H
#define IPC_HANDLE_H

#include "base/base.h"

enum right { /* as BH_RIGHT_* in bulkhead.h */
             RIGHT_SEND = 1,
             RIGHT_RECEIVE = 2,
             RIGHT_ACCEPT = 4,
             RIGHT_SHUTDOWN = 8,
             RIGHT_OPTIONS = 16,
             RIGHT_BIND = 32, /* choose the local port */
             RIGHT_DELEGATE = 64,
             RIGHT_CONNECT = 128,
             RIGHT_LISTEN = 256,
             RIGHT_OPEN = 512, /* of a creator: make sessions */
             RIGHT_ALL = 1023,
};

/* Beside the rights in an entry. */
#define HANDLE_CREATOR 0x1000u /* a creator's */
#define HANDLE_UNTOLD 0x2000u  /* its client may not know of it yet */
#define HANDLE_DROPPED 0x4000u /* nobody's any more; stays for what was minted from it */
#define HANDLE_GIVEN 0x8000u   /* of a session that was handed to another table */
#define HANDLE_FLAGS (HANDLE_GIVEN | HANDLE_CREATOR | HANDLE_UNTOLD | HANDLE_DROPPED)

#define HANDLE_NONE 0ull /* generation 0 is never valid */

#define HANDLE_NO_ENTRY UINT32_MAX

struct handle_entry {
    uint32_t generation; /* of the handle in it; bumped when it dies */
    uint32_t object;     /* session number; next free entry while unused, handle_next_free */
    uint32_t parent;     /* entry that it was minted from, or HANDLE_NO_ENTRY */
    uint32_t child;      /* the first entry that was minted from it */
    uint32_t next, prev; /* its siblings: minted from the same entry */
    uint16_t rights;     /* enum right and flags; 0: unused. Written last: it makes it live */
    uint16_t mark;       /* handle_table_recover's */
};

struct handle_table {
    uint32_t n;
    uint32_t free_head; /* HANDLE_NO_ENTRY: full */
    uint32_t used;
    uint32_t trees; /* sessions that have handles */
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

/* A creator, under no other. */
must_check uint64_t handle_new_creator(struct handle_table *t, uint32_t range, uint32_t rights);

/* A handle for a session that was made from `creator`, with `rights` cut to that one's. A
 * creator that was dropped will do; HANDLE_NONE if it is dead, or as handle_new. */
must_check uint64_t handle_new_under(struct handle_table *t, uint64_t creator, uint32_t object,
                                     uint32_t rights);

/* The object, if the handle is a session's, alive, and carries every right in `need`. Returns
 * 0, or EBADF (dead, forged, a creator's), or EACCES (a right is missing). */
must_check int handle_get(const struct handle_table *t, uint64_t handle, uint32_t need,
                          uint32_t *object);

/* The same for a creator. */
must_check int handle_get_creator(const struct handle_table *t, uint64_t handle, uint32_t need,
                                  uint32_t *range);

/* The rights that it has, 0 if it is dead. */
uint32_t handle_rights(const struct handle_table *t, uint64_t handle);
/* The handle for the same session that all others were minted from; HANDLE_NONE if it is dead.
 * As much work as there are handles between. */
uint64_t handle_first(const struct handle_table *t, uint64_t handle);

/* The session is another table's: of its handles only this first one stays, for a slot that it
 * had, and the rights go. May be called again. */
void handle_make_given(struct handle_table *t, uint64_t handle, uint32_t slot);
/* False: it is not such a handle. */
bool handle_get_given(const struct handle_table *t, uint64_t handle, uint32_t *slot);

/* Is it alive, whatever it is for, and may be named? */
bool handle_lives(const struct handle_table *t, uint64_t handle);

/* A handle for the same object with `rights` cut to what `handle` has. HANDLE_NONE if
 * that one is dead, the table is full, or nothing would be left. */
must_check uint64_t handle_mint(struct handle_table *t, uint64_t handle, uint32_t rights);
/* The same of a creator, for a range within its own (the caller has looked). */
must_check uint64_t handle_mint_creator(struct handle_table *t, uint64_t handle, uint32_t range,
                                        uint32_t rights);

/* A new handle counts as untold until this. */
void handle_mark_untold(struct handle_table *t, uint64_t handle);
void handle_mark_told(struct handle_table *t, uint64_t handle);
/* After a crash: those that are untold still are dropped, but for one. */
void handle_drop_untold(struct handle_table *t, uint64_t but);

/* Is this the only handle that there is for its session? */
bool handle_is_last(const struct handle_table *t, uint64_t handle);

/* The handle dies, and nothing else does. */
void handle_drop(struct handle_table *t, uint64_t handle);

/* The handle and everything minted from it die; of a session's only. Returns how many died. */
uint32_t handle_revoke(struct handle_table *t, uint64_t handle);
/* Everything minted from it dies, it does not. */
uint32_t handle_revoke_below(struct handle_table *t, uint64_t handle);
/* All handles of the session die. */
uint32_t handle_revoke_all(struct handle_table *t, uint64_t handle);

/* given: 0, or the handle of what was given; object is its slot then. */
typedef void handle_end(void *ctx, uint32_t object, uint64_t given);

/* A creator dies, and with it those minted from it. Sessions that were opened from them are
 * told to `end`, and their handles are under no creator then: they are needed to let the
 * session go. May be called again after a crash in the middle. Returns how many creators died.
 */
uint32_t handle_revoke_creator(struct handle_table *t, uint64_t handle, handle_end *end,
                               void *ctx);

/* Every session's handle whose object is not wanted (`keep` says no) dies, with what was minted
 * from it: after a crash a table may name what went with it. Returns how many died. */
uint32_t handle_sweep(struct handle_table *t, bool (*keep)(void *ctx, uint32_t object),
                      void *ctx);

/* The invariants: every entry is either free or in the tree, once. Bounded by the table. */
bool handle_table_validate(const struct handle_table *t);

#endif
