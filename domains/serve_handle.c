/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_handle.c: requests about handles as such: what a session is made from, narrower
 * handles, and the end of them.
 */
#include <errno.h>

#include "serve.h"

#define PORT_LAST 65535u

/* What a handle for a session may carry; for one that was accepted there is nothing to choose.
 */
#define RIGHTS_SESSION (RIGHT_ALL & ~(uint32_t)RIGHT_OPEN)
#define RIGHTS_ACCEPTED                                                                        \
    (RIGHTS_SESSION & ~(uint32_t)(RIGHT_BIND | RIGHT_CONNECT | RIGHT_LISTEN))

static uint32_t
range_of(uint32_t first, uint32_t last)
{
    return first << 16 | last;
}

void
serve_first_creator(struct served *c)
{
    handle_table_init(c->handles, arena_handles(&c->v.g));
    uint64_t h = handle_new_creator(c->handles, range_of(1, PORT_LAST), RIGHT_ALL);
    if (h != SESS_CREATOR) /* the memory was not new: no name that the client knows */
        (void)handle_revoke_creator(c->handles, h, NULL, NULL);
}

void
serve_open(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply)
{
    struct served *c = &s->c[i];
    uint32_t range = 0, sess, slot;
    reply->err = handle_get_creator(c->handles, r->handle, RIGHT_OPEN, &range);
    if (reply->err != 0) {
        serve_bad_handle(s, i);
        return;
    }
    struct sess_grant g = {
        .creator = r->handle, .first = (uint16_t)(range >> 16), .last = (uint16_t)range};
    reply->err = s->ops->open(s->tr, s->first + i, &g, &sess, &slot);
    if (reply->err != 0)
        return;
    reply->handle = handle_new_under(c->handles, r->handle, sess, RIGHTS_SESSION);
    reply->slot = slot;
    if (reply->handle == HANDLE_NONE) { /* no room for a name: the session goes again */
        serve_drop(s, sess);
        reply->err = EMFILE;
    }
}

uint64_t
serve_name_accepted(struct served *c, uint32_t sess, uint64_t creator)
{
    if (creator == HANDLE_NONE)
        return handle_new(c->handles, sess, RIGHTS_ACCEPTED);
    return handle_new_under(c->handles, creator, sess, RIGHTS_ACCEPTED);
}

/* Is there room for another handle beside those that sessions need? */
static bool
room_to_mint(const struct served *c)
{
    const struct handle_table *t = c->handles;
    return t->used - t->trees < arena_handles(&c->v.g) - c->v.g.n_slots;
}

static void
mint_creator(struct served *c, const struct sess_req *r, uint32_t range, struct sess_evt *reply)
{
    uint32_t first = (uint32_t)r->level, last = (uint32_t)r->name;
    if (first == 0 || first > last || last > PORT_LAST)
        reply->err = EINVAL;
    else if (first < range >> 16 || last > (range & PORT_LAST))
        reply->err = EACCES;
    else
        reply->handle = handle_mint_creator(c->handles, r->handle, range_of(first, last),
                                            (uint32_t)r->value);
}

void
serve_mint(struct served *c, const struct sess_req *r, struct sess_evt *reply)
{
    uint32_t object, rights = (uint32_t)r->value;
    bool creator = handle_get_creator(c->handles, r->handle, 0, &object) == 0;
    if (r->value == 0 || (r->value & ~(uint64_t)RIGHT_ALL) != 0) {
        reply->err = EINVAL;
        return;
    }
    reply->err = creator ? handle_get_creator(c->handles, r->handle, rights, &object)
                         : handle_get(c->handles, r->handle, rights, &object);
    if (reply->err == 0 && !room_to_mint(c))
        reply->err = EMFILE;
    if (reply->err != 0)
        return;
    if (creator)
        mint_creator(c, r, object, reply);
    else
        reply->handle = handle_mint(c->handles, r->handle, rights);
    if (reply->err == 0 && reply->handle == HANDLE_NONE)
        reply->err = EMFILE;
    handle_mark_untold(c->handles, reply->handle);
}

struct ending {
    struct serve *s;
    uint32_t i;
    ns_t now;
};

/* The session ends, and all that is left to its client is to let it go. */
static void
end_session(void *ctx, uint32_t sess, uint64_t given)
{
    const struct ending *e = ctx;
    if (given != HANDLE_NONE) {
        serve_given_ended(e->s, e->i, sess, given, e->now);
        return;
    }
    struct sess_req r = {.op = REQ_REVOKE};
    struct sess_evt none = {0};
    uint32_t steps = e->s->ops->request(e->s->tr, sess, &r, &none, e->now);
    pace_charge(&e->s->c[e->i].pace, PACE_DEAR + PACE_STEP * steps);
}

void
serve_revoke(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
             ns_t now)
{
    struct served *c = &s->c[i];
    struct ending e = {s, i, now};
    uint32_t object;
    if (handle_revoke_creator(c->handles, r->handle, end_session, &e) != 0)
        return;
    reply->err = handle_get(c->handles, r->handle, 0, &object);
    if (reply->err != 0) {
        serve_bad_handle(s, i);
        return;
    }
    (void)handle_revoke_below(c->handles, r->handle);
    if (handle_is_last(c->handles, r->handle))
        end_session(&e, object, HANDLE_NONE);
    else
        handle_drop(c->handles, r->handle);
}
