/* SPDX-License-Identifier: BSD-2-Clause */
#include "turns.h"

static uint32_t
index_of(uint32_t client)
{
    return min_u32(client, CLIENTS_MAX);
}

void
turns_init(struct turns *t)
{
    t->head = t->tail = SESS_NONE;
    t->n = 0;
    for (uint32_t i = 0; i <= CLIENTS_MAX; i++)
        t->of[i] = (struct turn){.head = SESS_NONE, .tail = SESS_NONE, .next = SESS_NONE};
}

/* Behind the other clients. */
static void
list(struct turns *t, uint32_t who)
{
    t->of[who].listed = true;
    t->of[who].next = SESS_NONE;
    if (t->tail == SESS_NONE)
        t->head = who;
    else
        t->of[t->tail].next = who;
    t->tail = who;
}

static void
unlist_first(struct turns *t)
{
    struct turn *q = &t->of[t->head];
    q->listed = false;
    t->head = q->next;
    if (t->head == SESS_NONE)
        t->tail = SESS_NONE;
}

void
turns_add(struct turns *t, uint32_t client, uint32_t sess, turns_next_of *next_of, void *ctx)
{
    uint32_t who = index_of(client);
    struct turn *q = &t->of[who];
    *next_of(ctx, sess) = SESS_NONE;
    if (q->tail == SESS_NONE)
        q->head = sess;
    else
        *next_of(ctx, q->tail) = sess;
    q->tail = sess;
    t->n++;
    if (!q->listed)
        list(t, who);
}

uint32_t
turns_first(struct turns *t, uint32_t *who)
{
    while (t->head != SESS_NONE) {
        struct turn *q = &t->of[t->head];
        if (q->head != SESS_NONE) {
            if (q->credit <= 0)
                q->credit += t->head == t->tail ? TURN_ALONE : TURN_QUANTUM;
            if (q->credit > 0) {
                *who = t->head;
                return q->head;
            }
            uint32_t c = t->head; /* deep in debt: not this time either */
            unlist_first(t);
            list(t, c);
            continue;
        }
        if (q->credit > 0) /* who has nothing to send saves nothing up */
            q->credit = 0;
        unlist_first(t);
    }
    return SESS_NONE;
}

void
turns_pop(struct turns *t, uint32_t who, turns_next_of *next_of, void *ctx)
{
    struct turn *q = &t->of[who];
    q->head = *next_of(ctx, q->head);
    if (q->head == SESS_NONE)
        q->tail = SESS_NONE;
    t->n--;
}

void
turns_charge(struct turns *t, uint32_t who, uint32_t bytes)
{
    struct turn *q = &t->of[who];
    q->credit -= (int32_t)min_u32(bytes, INT32_MAX / 2);
    if (q->credit > 0 || t->head != who || t->head == t->tail)
        return;
    unlist_first(t);
    list(t, who);
}

void
turns_remove(struct turns *t, uint32_t client, uint32_t sess, turns_next_of *next_of, void *ctx)
{
    struct turn *q = &t->of[index_of(client)];
    uint32_t prev = SESS_NONE, s = q->head;
    for (; s != SESS_NONE && s != sess; s = *next_of(ctx, s))
        prev = s;
    if (s == SESS_NONE)
        return;
    if (prev == SESS_NONE)
        q->head = *next_of(ctx, s);
    else
        *next_of(ctx, prev) = *next_of(ctx, s);
    if (q->tail == s)
        q->tail = prev;
    t->n--;
}

bool
turns_valid(const struct turns *t, turns_next_of *next_of, void *ctx,
            bool (*check)(void *ctx, uint32_t sess))
{
    uint32_t n = 0, listed = 0, seen = 0, last = SESS_NONE;
    for (uint32_t i = 0; i <= CLIENTS_MAX; i++) {
        const struct turn *q = &t->of[i];
        uint32_t end = SESS_NONE;
        for (uint32_t s = q->head; s != SESS_NONE; s = *next_of(ctx, s)) {
            if (!check(ctx, s) || ++n > t->n)
                return false;
            end = s;
        }
        if (end != q->tail || (q->head != SESS_NONE && !q->listed))
            return false;
        listed += q->listed;
    }
    for (uint32_t i = t->head; i != SESS_NONE; i = t->of[i].next) {
        if (!t->of[i].listed || ++seen > listed)
            return false;
        last = i;
    }
    return n == t->n && seen == listed && last == t->tail;
}
