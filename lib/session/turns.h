/* SPDX-License-Identifier: BSD-2-Clause
 *
 * turns.h: who sends next. Clients take turns by deficit round robin (Shreedhar and Varghese,
 * 1995): each has a queue of its sessions that have something to send, and in a turn sends
 * TURN_QUANTUM bytes' worth, whichever of them they are from; what it sent too much is taken
 * off its next turn. So a client with a thousand busy sessions has the share of one with a
 * single session, and its sessions divide that among themselves in the same way. A packet
 * counts for TURN_PACKET bytes more than it has, since that is work too. Pure.
 */
#ifndef SESSION_TURNS_H
#define SESSION_TURNS_H

#include "ops.h"

#define TURN_QUANTUM 8192
#define TURN_ALONE 65536 /* of a client that nobody waits behind */
#define TURN_PACKET 512

struct turn {
    uint32_t head, tail; /* sessions */
    uint32_t next;       /* client */
    int32_t credit;
    bool listed;
};

struct turns {
    uint32_t head, tail;             /* clients */
    uint32_t n;                      /* sessions in all queues */
    struct turn of[CLIENTS_MAX + 1]; /* the last: of sessions that no client has */
};

/* Where the owner of a session keeps its successor in the queue. */
typedef uint32_t *turns_next_of(void *ctx, uint32_t sess);

void turns_init(struct turns *t);
static inline bool
turns_none(const struct turns *t)
{
    return t->n == 0;
}
/* Behind the client's other sessions; it must not be in a queue. client: SESS_NONE: none has
 * it. */
void turns_add(struct turns *t, uint32_t client, uint32_t sess, turns_next_of *next_of,
               void *ctx);
/* Whose turn it is, and the client that it is charged to; SESS_NONE: nobody waits. It stays
 * first until turns_pop, turns_charge or turns_remove. */
uint32_t turns_first(struct turns *t, uint32_t *who);
/* Take the first session of `who`, which turns_first named, off its queue. */
void turns_pop(struct turns *t, uint32_t who, turns_next_of *next_of, void *ctx);
/* What `who` may still send in this turn, above 0 after turns_first. */
static inline int32_t
turns_credit(const struct turns *t, uint32_t who)
{
    return t->of[who].credit;
}
/* It sent this. The turn ends when nothing is left of it. */
void turns_charge(struct turns *t, uint32_t who, uint32_t bytes);
/* Take a session out of its queue, wherever it is. */
void turns_remove(struct turns *t, uint32_t client, uint32_t sess, turns_next_of *next_of,
                  void *ctx);
/* Every queue is whole, and n sessions are in them. For tests; check is called with each. */
bool turns_valid(const struct turns *t, turns_next_of *next_of, void *ctx,
                 bool (*check)(void *ctx, uint32_t sess));

#endif
