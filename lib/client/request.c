/* SPDX-License-Identifier: BSD-2-Clause
 *
 * request.c: messages to the domain. Those that expect a reply are sent by `request`,
 * which waits. The others are owed: a bit per kind and socket, sent as soon as the ring
 * has room, so that a full ring neither blocks nor loses anything.
 */
#include "private.h"

#include <stdatomic.h>

/* A free slot of the request ring, or NULL. It goes out at the next flush. */
static struct sess_req *
push(struct att *a)
{
    struct sess_req *r = rring_reserve(&a->req, a->v.req);
    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof *r);
    a->pushed = true;
    a->req_no++;
    return r;
}

/* Is the request of this number still to be taken by the domain? Then what it would tell
 * will be seen without another one: the domain gives ring slots back, makes a full fence,
 * and only then reads the cursors that the requests are about; we publish the cursor, make
 * a full fence (the caller's), and only then read the ring's head. Either we see the slot
 * taken and tell again, or the domain sees the cursor. */
static bool
not_yet_taken(struct att *a, uint64_t no)
{
    ring_tx_refresh(&a->req);
    uint64_t taken = a->req_no - (a->req.my_tail - a->req.seen_head);
    return no > taken;
}

static const struct {
    uint32_t bit, need;
    uint8_t op;
} owed_ops[] = {
    {OWE_SEND, RIGHT_SEND, REQ_SEND},
    {OWE_CONSUMED, RIGHT_RECEIVE, REQ_CONSUMED},
    {OWE_ACCEPTED, RIGHT_ACCEPT, REQ_ACCEPTED},
    {OWE_CLEAR_ERR, 0, REQ_GETOPT},
    {OWE_CLOSE, 0, REQ_CLOSE},
    {OWE_RELEASED, 0, REQ_RELEASED},
    {OWE_STANDIN, 0, REQ_STANDIN},
};

/* Send one owed message. False: no room. */
static bool
pay_one(struct sock *s, unsigned i)
{
    struct att *a = s->att;
    struct sess_req *r = push(a);
    if (r == NULL)
        return false;
    r->op = owed_ops[i].op;
    r->handle = sock_handle(s, owed_ops[i].need);
    switch (owed_ops[i].bit) {
    case OWE_SEND:
        s->send_no = a->req_no;
        r->value = s->urgent;
        s->urgent = 0;
        break;
    case OWE_CONSUMED:
        s->consumed_no = a->req_no;
        break;
    case OWE_CLEAR_ERR: /* the answer, cookie 0, is of no interest */
        r->level = SOL_SOCKET;
        r->name = SO_ERROR;
        break;
    case OWE_CLOSE:
        r->value = s->refused;
        break;
    case OWE_STANDIN:
        r->value = s->standin;
        r->level = (int32_t)s->standin_ask;
        s->standin_ask = 0;
        break;
    case OWE_ACCEPTED: /* one message for each */
        if (--s->owed_accepted > 0)
            return true;
        break;
    default:
        break;
    }
    s->owed &= ~owed_ops[i].bit;
    return true;
}

static bool
pay(struct sock *s)
{
    for (unsigned i = 0; i < ARRAY_LEN(owed_ops); i++)
        while (s->owed & owed_ops[i].bit)
            if (!pay_one(s, i))
                return false;
    return true;
}

void
att_pay(struct att *a)
{
    while (!list_empty(&a->owing)) {
        struct sock *s = list_item(a->owing.next, struct sock, owing);
        if (!pay(s))
            return;
        list_remove(&s->owing);
    }
}

void
sock_owe(struct sock *s, uint32_t what)
{
    struct att *a = s->att;
    if (a->down || (s->gone && what != OWE_RELEASED))
        return;
    if ((what & OWE_SEND) && s->urgent == 0 && not_yet_taken(a, s->send_no))
        what &= ~OWE_SEND;
    if ((what & OWE_CONSUMED) && not_yet_taken(a, s->consumed_no))
        what &= ~OWE_CONSUMED;
    if (what & OWE_ACCEPTED)
        s->owed_accepted++;
    s->owed |= what;
    /* Those that wait already go first, or a steady stream would starve them. */
    if (list_empty(&a->owing) ? !pay(s) : s->owing.next == &s->owing)
        list_append(&a->owing, &s->owing);
}

/* Write the request, waiting for room. 0, ENETDOWN, or ETIMEDOUT: the domain takes none. */
static int
send_request(struct lib *l, struct att *a, const struct sess_req *r, uint64_t *no)
{
    ns_t end = lib_now(l) + REPLY_TIMEOUT;
    for (;;) {
        if (a->down)
            return ENETDOWN;
        if (lib_now(l) >= end)
            return ETIMEDOUT;
        att_pay(a);
        struct sess_req *slot = push(a);
        if (slot != NULL) {
            *slot = *r;
            *no = a->req_no;
            return 0;
        }
        struct waiter w = {.any = true};
        (void)lib_wait(l, &w, lib_now(l) + SHORT_WAIT, NULL, 0);
    }
}

void
tell_if_room(struct att *a, uint8_t op, uint64_t handle)
{
    struct sess_req *r = a->down ? NULL : push(a);
    if (r == NULL)
        return;
    r->op = op;
    r->handle = handle;
}

void
tell(struct lib *l, struct att *a, uint8_t op, uint64_t handle)
{
    struct sess_req r = {.op = op, .handle = handle};
    uint64_t no;
    own_of(a)->users++;
    (void)send_request(l, a, &r, &no);
    own_of(a)->users--;
    att_free_if_unused(a);
}

/* Wait for the reply. A domain that crashes loses the requests that it had taken and not
 * yet answered, and goes on milliseconds later with the sessions as they were: one that
 * was taken and is not answered for a second is asked again. */
static int
await_reply(struct lib *l, struct att *a, const struct sess_req *r, uint64_t no,
            struct waiter *w, bool *again)
{
    ns_t end = lib_now(l) + REPLY_TIMEOUT, next = lib_now(l) + REPLY_RETRY;
    while (!w->replied) {
        if (a->down)
            return ENETDOWN;
        ns_t now = lib_now(l);
        if (now >= end)
            return ETIMEDOUT; /* the domain hangs and nobody restarted it */
        if (now >= next) {
            next = now + 2 * REPLY_RETRY;
            if (!not_yet_taken(a, no)) {
                *again = true;
                int err = send_request(l, a, r, &no);
                if (err != 0)
                    return err;
            }
        }
        /* A signal does not interrupt: the kernel's calls of this kind do not sleep. */
        if (w->box == NULL) {
            (void)lib_wait(l, w, min_u64(next, end), NULL, 0);
            continue;
        }
        share_wait(l, a, w->box, min_u64(next, end));
        w->replied = atomic_load(&w->box->done) != 0;
        w->reply = w->box->reply;
    }
    return 0;
}

/* `again`: it was asked twice. */
static int
ask(struct lib *l, struct att *a, struct sess_req *r, struct sess_evt *reply, bool *again)
{
    struct waiter w = {0};
    uint64_t no = 0;
    uint32_t *cookie = a->shared ? &a->cookie : &l->cookie;
    *cookie = *cookie % COOKIE_MAX + 1;
    w.cookie = r->cookie = *cookie * (COOKIE_OP + 1) | r->op;
    if (a->shared) {
        w.box = share_box(l, a);
        if (w.box == NULL)
            return a->down ? ENETDOWN : ETIMEDOUT;
        w.box->cookie = w.cookie;
    }
    own_of(a)->users++;
    int err = send_request(l, a, r, &no);
    if (err == 0)
        err = await_reply(l, a, r, no, &w, again);
    own_of(a)->users--;
    if (w.box != NULL)
        w.box->pid = 0;
    if (err != 0)
        return err;
    *reply = w.reply;
    return w.reply.err < 0 ? EPROTO : w.reply.err;
}

int
request(struct lib *l, struct att *a, struct sess_req *r, struct sess_evt *reply)
{
    bool again = false;
    return ask(l, a, r, reply, &again);
}

/* The answer to a request that was asked twice says that it cannot be done: was it done the
 * first time, and only the reply lost? Then it is in force. */
static bool
done_before(struct lib *l, struct sock *s, const struct sess_req *r, int err)
{
    struct sess_req name = {.op = REQ_NAME, .handle = r->handle};
    struct sess_evt e;
    struct look k;
    switch (r->op) {
    case REQ_BIND:
        return err == EINVAL && request(l, s->att, &name, &e) == 0 && e.port != 0 &&
               (r->port == 0 || r->port == e.port);
    case REQ_CONNECT:
        return err == EALREADY || err == EISCONN;
    case REQ_SHUTDOWN: /* and the session ended meanwhile; datagrams fail like this anyway */
        sock_look(s, &k);
        return err == ENOTCONN && sock_is_stream(s) &&
               (s->listening ||
                (k.state & (r->value == SHUT_RD ? SLOT_EOF : SLOT_NOSEND)) != 0);
    default:
        return false;
    }
}

bool
sock_tell(struct sock *s, const struct sess_req *r, bool later)
{
    bool pushed = s->att->pushed;
    if (s->att->down || s->gone || !list_empty(&s->att->owing) || call_err(s) != 0)
        return false;
    struct sess_req *slot = push(s->att);
    if (slot == NULL)
        return false;
    *slot = *r; /* cookie 0: the answer is of no interest */
    slot->handle = call_via != NULL ? call_via->handle : s->handle;
    if (later)
        s->att->pushed = pushed;
    return true;
}

int
sock_request(struct lib *l, struct sock *s, struct sess_req *r, struct sess_evt *reply)
{
    bool again = false;
    if (s->att->down)
        return ENETDOWN;
    if (s->gone)
        return ENOTCONN;
    r->handle = call_via != NULL ? call_via->handle : s->handle;
    int err = ask(l, s->att, r, reply, &again);
    if (again && done_before(l, s, r, err))
        err = 0;
    /* Closed while it was asked what it is: it was that. */
    if (err == 0 && (r->op == REQ_NAME || r->op == REQ_GETOPT))
        return 0;
    int dead = call_err(s);
    return dead != 0 ? dead : err;
}
