/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_told.c: what a client knows of its sessions. A session is made, then the client is
 * told of it, by the reply to REQ_SOCKET or by EVT_ACCEPT; a domain can die in between. The
 * order here makes it certain for a successor which of the two it was:
 *
 *   the session and its handle are made; older events are published; the event is written,
 *   and published alone; the session's slot is marked as told; other events follow.
 *
 * So the client knows of a session without the mark only if the last event in the ring, which
 * lies in memory that no client can write, names its handle. It is the same with a handle that
 * was minted; the mark is in its entry of the table then.
 */
#include <stdatomic.h>

#include "serve.h"

static _Atomic uint32_t *
told(const struct served *c, uint32_t slot)
{
    return &c->v.d_slot[slot].told;
}

/* Write the event; if it tells of something new, publish it alone. False: there was no room. */
static bool
put(struct served *c, const struct sess_evt *e, bool new)
{
    if (new) /* in a ring that is all unpublished it would overwrite the last */
        ring_submit(&c->evt);
    struct sess_evt *at = evtring_reserve(&c->evt, c->v.evt);
    if (at == NULL)
        return false;
    *at = *e;
    if (new)
        ring_submit(&c->evt);
    serve_in_order();
    return true;
}

void
serve_tell(struct served *c, const struct sess_evt *e, uint32_t new_slot)
{
    if (put(c, e, new_slot != SESS_NONE) && new_slot != SESS_NONE)
        atomic_store_explicit(told(c, new_slot), 1, memory_order_relaxed);
}

void
serve_tell_minted(struct served *c, const struct sess_evt *e)
{
    if (put(c, e, true))
        handle_mark_told(c->handles, e->handle);
}

void
serve_drop(struct serve *s, uint32_t sess)
{
    static const uint8_t ops[] = {REQ_CLOSE, REQ_RELEASED};
    for (unsigned k = 0; k < ARRAY_LEN(ops); k++) {
        struct sess_req r = {.op = ops[k]};
        struct sess_evt none = {0};
        (void)s->ops->request(s->tr, sess, &r, &none, 0);
    }
}

struct owner {
    const struct serve *s;
    uint32_t i;
};

/* Is the session this client's, and with a slot? */
static bool
has_slot(const struct owner *o, const struct sess_info *info)
{
    return info->client == o->s->first + o->i && info->slot < o->s->c[o->i].v.g.n_slots;
}

/* What a handle may name: a session that is still this client's, and that it was told of. */
static bool
known(void *ctx, uint32_t sess)
{
    const struct owner *o = ctx;
    struct sess_info info;
    return o->s->ops->info(o->s->tr, sess, &info) && info.sess == sess && has_slot(o, &info) &&
           atomic_load_explicit(told(&o->s->c[o->i], info.slot), memory_order_relaxed) != 0;
}

void
serve_take_up(struct serve *s, uint32_t i)
{
    struct served *c = &s->c[i];
    struct owner o = {s, i};
    struct sess_info info;
    uint32_t sess;
    const struct sess_evt *last = &c->v.evt[(c->evt.submitted - 1) & (c->v.g.n_evt - 1)];
    if (handle_get(c->handles, last->handle, 0, &sess) == 0 &&
        s->ops->info(s->tr, sess, &info) && info.sess == sess && has_slot(&o, &info))
        atomic_store_explicit(told(c, info.slot), 1, memory_order_relaxed);
    handle_drop_untold(c->handles, last->handle);
    serve_given_take_up(s, i);
    /* A session that did not survive the crash may be somebody else's by now. */
    (void)handle_sweep(c->handles, known, &o);
    for (uint32_t at = 0; s->ops->info(s->tr, at, &info); at = info.sess + 1)
        if (has_slot(&o, &info) && !known(&o, info.sess) &&
            !s->ops->tell_again(s->tr, info.sess))
            serve_drop(s, info.sess);
}
