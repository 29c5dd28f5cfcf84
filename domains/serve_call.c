/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_call.c: one request: the right that it needs, who does it, and whether it is answered.
 */
#include <errno.h>

#include "serve.h"

static uint32_t
rights_needed(unsigned op)
{
    switch (op) {
    case REQ_BIND:
        return RIGHT_BIND;
    case REQ_CONNECT:
        return RIGHT_CONNECT;
    case REQ_LISTEN:
        return RIGHT_LISTEN;
    case REQ_ACCEPTED:
        return RIGHT_ACCEPT;
    case REQ_SHUTDOWN:
        return RIGHT_SHUTDOWN;
    case REQ_SETOPT:
        return RIGHT_OPTIONS;
    case REQ_SEND:
        return RIGHT_SEND;
    case REQ_CONSUMED:
        return RIGHT_RECEIVE;
    default: /* names, reading options, and giving it up need nothing but the handle */
        return 0;
    }
}

static bool
wants_reply(unsigned op)
{
    return op != REQ_ACCEPTED && op != REQ_CLOSE && op != REQ_SEND && op != REQ_CONSUMED &&
           op != REQ_RELEASED && op != REQ_STANDIN;
}

/* A request on a session, by a handle for it. */
static void
serve_session(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
              ns_t now)
{
    struct served *c = &s->c[i];
    uint32_t sess;
    if (r->op == REQ_CLOSE && handle_lives(c->handles, r->handle) &&
        !handle_is_last(c->handles, r->handle)) {
        handle_drop(c->handles, r->handle);
        return;
    }
    reply->err = handle_get(c->handles, r->handle, rights_needed(r->op), &sess);
    if (reply->err != 0)
        serve_bad_handle(s, i);
    else if (r->op == REQ_STANDIN)
        serve_standin(s, i, sess, r, now);
    else
        pace_charge(&c->pace, PACE_STEP * s->ops->request(s->tr, sess, r, reply, now));
    if (r->op == REQ_SHUTDOWN && (reply->err == 0 || reply->err == ENOTCONN))
        serve_standin_shut(s, i, sess);
    /* The name goes last: the request needs it if it must be served again. */
    if (r->op == REQ_RELEASED)
        (void)handle_revoke_all(c->handles, r->handle);
}

/* pace.h */
static uint32_t
cost(unsigned op)
{
    switch (op) {
    case REQ_SEND:
    case REQ_CONSUMED:
    case REQ_ACCEPTED:
    case REQ_NAME:
    case REQ_GETOPT:
    case REQ_SETOPT:
    case REQ_MINT:
    case REQ_STANDIN:
        return PACE_CHEAP;
    default:
        return op < REQ_OPS ? PACE_DEAR : PACE_CHEAP;
    }
}

void
serve_call(struct serve *s, uint32_t i, const struct sess_req *r, ns_t now)
{
    struct served *c = &s->c[i];
    pace_charge(&c->pace, cost(r->op));
    struct sess_evt reply = {.kind = EVT_REPLY, .cookie = r->cookie};
    if (r->op == 0 || r->op >= REQ_OPS) {
        serve_bad_request(s, i);
        reply.err = EINVAL;
    } else if (r->op == REQ_SOCKET) {
        serve_open(s, i, r, &reply);
    } else if (r->op == REQ_MINT) {
        serve_mint(c, r, &reply);
    } else if (r->op == REQ_REDEEM) {
        serve_redeem(s, i, r, &reply, now);
    } else if (serve_given(s, i, r, &reply, now)) {
        ;
    } else if (r->op == REQ_DELEGATE) {
        serve_delegate(s, i, r, &reply, now);
    } else if (r->op == REQ_REVOKE) {
        serve_revoke(s, i, r, &reply, now);
    } else {
        serve_session(s, i, r, &reply, now);
    }
    if (r->op == REQ_MINT && reply.err == 0)
        serve_tell_minted(c, &reply);
    else if (wants_reply(r->op))
        serve_tell(c, &reply,
                   (r->op == REQ_SOCKET || r->op == REQ_REDEEM) && reply.err == 0 ? reply.slot
                                                                                  : SESS_NONE);
}
