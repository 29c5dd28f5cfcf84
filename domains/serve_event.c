/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_event.c: what clients are told: the transport's events to their rings, and their bells.
 */
#include "serve.h"

#define EVENTS_A_TURN 64u /* for a client */
#define EVENTS_IN_ALL 128u

void
serve_count_handles(struct serve *s, uint32_t i)
{
    struct served *c = &s->c[i];
    uint32_t used = c->handles->used;
    if (used != c->n_handles)
        stat_add(s->stats, STAT_handles, (uint64_t)used - c->n_handles);
    c->n_handles = used;
}

void
serve_publish(struct serve *s, uint32_t i)
{
    struct served *c = &s->c[i];
    serve_count_handles(s, i);
    if (c->evt.my_tail == c->evt_rung)
        return;
    ring_submit(&c->evt);
    c->evt_rung = c->evt.my_tail;
    if (bell_due(&c->ringer)) {
        bell_ring(&c->ringer);
        pace_charge(&c->pace, PACE_BELL);
        stat_inc(s->stats, STAT_bells_rung);
    }
}

void
serve_in_turn(const uint64_t *a, const uint64_t *b, uint32_t from, uint8_t order[SERVE_CLIENTS],
              unsigned *n)
{
    *n = 0;
    for (uint32_t k = 0; k <= SERVE_CLIENTS / 64; k++) {
        uint32_t w = (from / 64 + k) % (SERVE_CLIENTS / 64);
        uint64_t low = (1ull << (from % 64)) - 1; /* those come last */
        uint64_t m = a[w] | (b != NULL ? b[w] : 0);
        m &= k == 0 ? ~low : k == SERVE_CLIENTS / 64 ? low : ~0ull;
        for (; m != 0; m &= m - 1)
            order[(*n)++] = (uint8_t)(w * 64 + (uint32_t)__builtin_ctzll(m));
    }
}

/* Returns how many. */
static unsigned
client_events(struct serve *s, uint32_t i)
{
    struct served *c = &s->c[i];
    struct sess_evt e;
    unsigned n = 0;
    serve_bit_clear(s->blocked, i);
    for (; n < EVENTS_A_TURN; n++) {
        if (ring_space(&c->evt, 1) == 0) {
            serve_bit_set(s->blocked, i);
            break;
        }
        if (!s->ops->next_event(s->tr, s->first + i, &e))
            break;
        if (n + 1 == EVENTS_A_TURN)
            s->behind = true;
        if (e.kind == EVT_ACCEPT) {
            e.handle = serve_name_accepted(c, e.cookie, e.handle);
            if (e.handle == HANDLE_NONE) {
                serve_drop(s, e.cookie);
                stat_inc(s->stats, STAT_events_lost);
                stat_client(s->stats, s->first + i, CLIENT_STAT_drop_events, 1);
                continue;
            }
        }
        e.cookie = 0;
        if (e.kind == EVT_READY && serve_standin_ready(s, i, &e))
            continue;
        serve_tell(c, &e, e.kind == EVT_ACCEPT ? (uint32_t)e.value : SESS_NONE);
        if (e.kind == EVT_ACCEPT)
            serve_standin_accept(s, i, e.slot);
    }
    pace_earn(&c->pace, n);
    if (ring_tx_poisoned(&c->evt)) {
        serve_poison(s, i, "impossible event ring index");
        return n;
    }
    serve_publish(s, i);
    return n;
}

void
serve_events(struct serve *s)
{
    uint8_t order[SERVE_CLIENTS];
    unsigned n, told = 0;
    s->behind = false;
    serve_in_turn(s->ready + s->first / 64, NULL, s->shown, order, &n);
    for (unsigned k = 0; k < n; k++) {
        const struct served *c = &s->c[order[k]];
        if (!c->used || c->gone || c->poisoned)
            continue;
        if (told >= EVENTS_IN_ALL) {
            s->behind = true;
            break;
        }
        told += client_events(s, order[k]);
        s->shown = (order[k] + 1u) % SERVE_CLIENTS;
    }
}
