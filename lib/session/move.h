/* SPDX-License-Identifier: BSD-2-Clause
 *
 * move.h: a session that passes from one client to another ("Who owns a session" in
 * ARCHITECTURE.md): what is kept of that with the session, and the copying of its bytes.
 *
 * What was received goes into pages of the taker's domain half. What was written and is not
 * acknowledged cannot go into its client half, which is the taker's to write: it goes into the
 * domain half as well, under a directory of its own that lies in a page (slot_domain.moved),
 * and is read from there until it is acknowledged.
 *
 * Order, for a crash at any point: a slot of the taker that is not SLOT_OPEN is filled; one
 * store to `state` makes the session the taker's; then the giver's slot becomes SLOT_GIVEN and
 * the taker's SLOT_OPEN, each noted. Before that store a successor finds it the giver's, and
 * the slot free; after it, does the rest.
 */
#ifndef SESSION_MOVE_H
#define SESSION_MOVE_H

#include <stdatomic.h>

#include "clients.h"

#define MOVE_CHUNK 65536u        /* bytes copied for one request */
#define MOVE_PATIENCE (2 * NS_S) /* a taker that does not go on by then gives up */
#define TOKEN_TIME (30 * NS_S)
/* Bits of sess_move.deny: as the rights of a handle (enum right). */
#define SESS_DENY_SEND 1u
#define SESS_DENY_RECEIVE 2u
#define SESS_GIVERS 2u /* hands that a session can go through */

/* Bits of sess_move.state. */
#define MOVE_DONE 1u      /* it was moved, to whom the token was for */
#define MOVE_GIVER_DUE 2u /* the giver's slot is to be SLOT_GIVEN */
#define MOVE_TAKER_DUE 4u /* the taker's is to be SLOT_OPEN */

#define MOVE_GIVERS 8u /* from this bit on: how many hands it went through */

/* A successor finds what was done up to here. */
#define move_in_order() atomic_signal_fence(memory_order_seq_cst)

/* Who may take it back, by the handle that is left to it. */
struct sess_giver {
    uint64_t handle;
    uint32_t client, slot;
};

struct sess_move {
    uint64_t token[2];
    ns_t until;      /* the token is good before; 0: there is none */
    uint64_t handle; /* that it stands for, in the table of the session's client */
    _Atomic uint32_t state;
    uint32_t deny; /* rights that its client has not, whatever it does */
    struct sess_giver giver[SESS_GIVERS];
    uint32_t to_client, to_slot;
    /* Copying: soft. */
    bool copying;
    ns_t patience;
    uint64_t rx_at, tx_at; /* copied so far */
};

/* From whom to whom, for the calls below. */
struct move_way {
    struct client *from, *to;
    uint32_t from_slot;
    uint32_t copied; /* bytes so far, by move_copy */
};

/* Begin: a slot of the taker. 0, EMFILE. rx, tx: first offsets that are copied. */
must_check int move_begin(struct sess_move *m, struct move_way *w, uint32_t to_client,
                          uint64_t rx, uint64_t tx, ns_t now);
/* Copy a bounded number of bytes (they are added to w->copied), up to rx_end and tx_end. 0: all
 * is there; EINPROGRESS: come again; ENOBUFS: the taker has no pages (then it is undone). */
must_check int move_copy(struct sess_move *m, struct move_way *w, uint64_t rx_end,
                         uint64_t tx_end);
/* Give up. */
void move_undo(struct sess_move *m, struct client *to);

/* The token is `token`, was not used by another, and is not too old. */
bool move_token_ok(const struct sess_move *m, const uint64_t token[2], ns_t now);
/* A new one, of a secret key and words that were never used before. */
void move_token_new(struct sess_move *m, const uint8_t key[16], uint64_t nonce, uint64_t handle,
                    ns_t now);

/* The giver's slot: no bytes, and the name of the session that was there. */
void move_slot_given(struct client *from, uint32_t slot, uint32_t sess, uint64_t handle);
/* The same after a crash, before the arena's pages are counted. */
void move_slot_settle(const struct arena_view *v, uint32_t slot, uint32_t sess,
                      uint64_t handle);
/* Let go of a slot that was given; nothing if it was not. */
void move_slot_release(struct client *c, uint32_t slot);

#endif
