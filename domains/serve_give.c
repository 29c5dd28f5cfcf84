/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_give.c: sessions that pass from one client to another: tokens made and redeemed, what
 * is left to the giver, and telling it. The transport moves the session (session/move.h); here
 * are the handles of both sides.
 *
 * The giver keeps the slot and one handle until it lets go of them: nothing can be done with
 * that but to take the session back, and to release the slot.
 */
#include <errno.h>
#include <stdatomic.h>

#include "serve.h"
#include "session/move.h"

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

#define TOLD_GIVEN 2u /* slot_domain.told of a slot that is SLOT_GIVEN: EVT_GIVEN was told */

_Static_assert(SESS_DENY_SEND == (uint32_t)RIGHT_SEND &&
                   SESS_DENY_RECEIVE == (uint32_t)RIGHT_RECEIVE,
               "denied rights are rights");

void
serve_delegate(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
               ns_t now)
{
    uint32_t sess;
    reply->err = handle_get(s->c[i].handles, r->handle, RIGHT_DELEGATE, &sess);
    if (reply->err != 0) {
        serve_bad_handle(s, i);
        return;
    }
    reply->err = s->ops->delegate(s->tr, sess, r->handle, now, reply->addr.q);
    reply->value = sess;
    if (reply->err != 0)
        memset(&reply->addr, 0, sizeof reply->addr);
}

/* The giver is told that it has this slot not any more. False: there is no room for it. */
static bool
tell_slot(struct served *c, uint32_t slot)
{
    struct slot_domain *d = &c->v.d_slot[slot];
    if (ring_space(&c->evt, 1) == 0)
        return false;
    struct sess_evt e = {.kind = EVT_GIVEN, .slot = slot, .handle = get(d->given_handle)};
    serve_tell(c, &e, SESS_NONE);
    ring_submit(&c->evt);
    serve_in_order();
    set(d->told, TOLD_GIVEN);
    return true;
}

static void
tell_later(struct serve *s, uint32_t i)
{
    s->c[i].tell_given = true;
    s->blocked[i / 64] |= 1ull << (i % 64); /* looked at again soon */
}

/* The slots that were ever in use. */
static uint32_t
slots_of(const struct served *c)
{
    return min_u32(get(c->v.d_head->slots_high), c->v.g.n_slots);
}

/* All slots that the giver does not know yet that it has not any more. They have to be looked
 * for, at its expense, and only when there is room to tell of one. */
void
serve_tell_given(struct serve *s, uint32_t i)
{
    struct served *c = &s->c[i];
    c->tell_given = false;
    bool room = ring_space(&c->evt, 1) != 0;
    uint32_t n = slots_of(c), k = 0;
    for (; k < n && room; k++) {
        const struct slot_domain *d = &c->v.d_slot[k];
        if ((get(d->state) & SLOT_GIVEN) && get(d->told) != TOLD_GIVEN)
            room = tell_slot(c, k);
    }
    pace_charge(&c->pace, k * PACE_SLOT);
    if (!room)
        tell_later(s, i);
    serve_publish(s, i);
}

/* The giver of what a token stands for: its handle must still be what it was. NULL: it is not.
 */
static struct served *
giver_of(struct serve *s, const struct sess_redeem *m, uint32_t sess, uint64_t *root,
         uint32_t *rights)
{
    uint32_t i = m->client - s->first, object;
    if (i >= SERVE_CLIENTS || !s->c[i].used || s->c[i].gone)
        return NULL;
    struct handle_table *t = s->c[i].handles;
    if (handle_get(t, m->handle, RIGHT_DELEGATE, &object) != 0 || object != sess)
        return NULL;
    *root = handle_first(t, m->handle);
    *rights = handle_rights(t, m->handle);
    return &s->c[i];
}

static int
redeem(struct serve *s, uint32_t i, uint32_t sess, struct sess_redeem *m, ns_t now)
{
    uint64_t root = 0;
    uint32_t rights = 0;
    struct served *g = giver_of(s, m, sess, &root, &rights);
    if (g == NULL)
        return ENOENT;
    int err = s->ops->redeem(s->tr, sess, s->first + i, root, RIGHT_ALL & ~rights, now, m);
    pace_charge(&s->c[i].pace, PACE_STEP * m->steps);
    if (err != 0)
        return err;
    handle_make_given(g->handles, root, m->giver_slot);
    uint32_t giver = (uint32_t)(g - s->c);
    if (!tell_slot(g, m->giver_slot))
        tell_later(s, giver);
    serve_publish(s, giver);
    return 0;
}

void
serve_redeem(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
             ns_t now)
{
    struct served *c = &s->c[i];
    struct sess_redeem m;
    uint32_t sess = (uint32_t)r->value;
    reply->err = r->value > UINT32_MAX
                     ? ENOENT
                     : s->ops->token(s->tr, sess, r->addr.q, s->first + i, now, &m);
    if (reply->err == 0 && !m.again)
        reply->err = redeem(s, i, sess, &m, now);
    if (reply->err == ENOENT)
        serve_bad_handle(s, i);
    if (reply->err != 0)
        return;
    reply->slot = m.slot;
    reply->value = m.tx_tail;
    reply->addr.q[0] = m.rx_head;
    reply->peer_v4 = RIGHT_ALL & ~(uint32_t)RIGHT_OPEN & ~m.deny;
    reply->handle = handle_new(c->handles, sess, reply->peer_v4);
    if (reply->handle == HANDLE_NONE) { /* never: each slot has room for a handle */
        serve_drop(s, sess);
        reply->err = EMFILE;
    }
}

/* A request about a slot that was given: true. */
bool
serve_given(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
            ns_t now)
{
    struct served *c = &s->c[i];
    uint32_t slot;
    if (!handle_get_given(c->handles, r->handle, &slot) || slot >= c->v.g.n_slots)
        return false;
    struct sess_evt freed = {.kind = EVT_FREED, .slot = slot};
    switch (r->op) {
    case REQ_REVOKE:
        reply->err = s->ops->take_back(s->tr, get(c->v.d_slot[slot].given), s->first + i,
                                       r->handle, now);
        break;
    case REQ_CLOSE: /* sent before it knew: it goes on as always */
        serve_tell(c, &freed, SESS_NONE);
        break;
    case REQ_RELEASED:
        s->ops->slot_release(s->tr, s->first + i, slot);
        (void)handle_revoke_all(c->handles, r->handle);
        break;
    default:
        reply->err = EACCES;
        break;
    }
    return true;
}

void
serve_given_ended(struct serve *s, uint32_t i, uint32_t slot, uint64_t handle, ns_t now)
{
    const struct served *c = &s->c[i];
    if (slot < c->v.g.n_slots)
        (void)s->ops->take_back(s->tr, get(c->v.d_slot[slot].given), s->first + i, handle, now);
}

void
serve_given_take_up(struct serve *s, uint32_t i)
{
    struct served *c = &s->c[i];
    uint32_t n = slots_of(c);
    for (uint32_t k = 0; k < n; k++)
        if (get(c->v.d_slot[k].state) & SLOT_GIVEN) {
            handle_make_given(c->handles, get(c->v.d_slot[k].given_handle), k);
            c->tell_given = c->tell_given || get(c->v.d_slot[k].told) != TOLD_GIVEN;
        }
}
