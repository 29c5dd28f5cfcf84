/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_standin.c: what stands for sessions in the descriptor tables of programs (session.h,
 * struct standin). Showing that a session is readable or writable costs a system call where a
 * plain client's event costs none, and is charged to the client.
 */
#include "serve.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALARMS_MAX 16u
#define FILLS_MAX 2u /* by far more than fits, unless the program made its buffer larger */

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)

static struct standin *
entry(const struct served *c, uint32_t number)
{
    return &c->v.standin[number & (arena_standins(&c->v.g) - 1)];
}

/* What stands for the session in the slot, and is here; NULL: nothing. */
static struct standin *
standin_of(const struct serve *s, const struct served *c, uint32_t slot)
{
    if (slot >= c->v.g.n_slots)
        return NULL;
    uint32_t number = get(c->v.d_slot[slot].standin);
    struct standin *e = entry(c, number);
    return number != 0 && e->number == number && e->slot == slot + 1 && e->life == s->life
               ? e
               : NULL;
}

/* Entry `at`, if its descriptor is here; NULL: it is not. */
static struct standin *
standin_at(const struct serve *s, const struct served *c, uint32_t at)
{
    struct standin *e = c->used && at < arena_standins(&c->v.g) ? &c->v.standin[at] : NULL;
    return e != NULL && e->number != 0 && e->life == s->life ? e : NULL;
}

/* SESS_NONE: it has none. */
static uint32_t
slot_of(const struct serve *s, const struct served *c, uint32_t sess)
{
    struct sess_info info;
    bool has =
        s->ops->info(s->tr, sess, &info) && info.sess == sess && info.slot < c->v.g.n_slots;
    return has ? info.slot : SESS_NONE;
}

static void
count_up(_Atomic uint32_t *n)
{
    atomic_store_explicit(n, get(*n) + 1, memory_order_release);
}

/* How far the connection is over. Not at all if it was never there, as the program may try
 * again on the same socket. */
static uint8_t
ended(struct standin *e, const struct slot_domain *d)
{
    uint32_t state = get(d->state);
    e->lived = e->lived || (state & SLOT_CONNECTED) != 0;
    if (((state & SLOT_DEAD) && e->lived) ||
        (state & (SLOT_EOF | SLOT_NOSEND)) == (SLOT_EOF | SLOT_NOSEND))
        return STANDIN_OVER;
    return state & SLOT_EOF ? STANDIN_READ : STANDIN_LIVES;
}

/* Show that it is over for the reader, or altogether. In the second case our end hangs up, too,
 * and does not tell any more by that that the program's end was closed: but who closes a socket
 * with a byte in it that was not read leaves an error at the other end. So some are left as
 * long as that can be done. */
static void
show_end(struct standin *e, uint8_t how)
{
    static const char one = 1;
    ssize_t left = 1;
    if (how <= e->over)
        return;
    for (unsigned i = 0; e->over == STANDIN_LIVES && left > 0 && i < STANDIN_LEAVES; i++)
        left = write(e->fd, &one, 1);
    if (left < 0 && errno == EPIPE) /* the program ended it */
        how = STANDIN_BARE;
    (void)shutdown(e->fd, how == STANDIN_OVER ? SHUT_RDWR : SHUT_WR);
    e->over = how;
}

bool
serve_standin_closed(struct serve *s, uint32_t i, uint32_t at)
{
    struct served *c = &s->c[i];
    struct standin *e = standin_at(s, c, at);
    if (e == NULL)
        return false;
    pace_charge(&c->pace, PACE_BELL);
    if (e->over != STANDIN_OVER || ++e->alarms > ALARMS_MAX)
        return true;
    char sink[BELL_READ];
    ssize_t n;
    do
        n = read(e->fd, sink, sizeof sink);
    while (n > 0);
    return n < 0 && errno == ECONNRESET;
}

/* All that the library put in, which may be more than once: one showing can answer several
 * armings (tests/model/standin_out.pml). */
static void
take_out(int fd)
{
    char sink[STANDIN_FILL];
    for (unsigned i = 0; i < FILLS_MAX && read(fd, sink, sizeof sink) == sizeof sink; i++)
        continue;
}

/* Make the program's end readable, writable. It is counted before: the program runs as soon as
 * it is done, and must find that its arming was answered. */
static void
show(struct served *c, struct standin *e, uint32_t what)
{
    struct slot_domain *d = &c->v.d_slot[e->slot - 1];
    struct bell_ringer b = {.fd = e->fd};
    uint8_t over = ended(e, d);
    if (what & SLOT_WRITE) {
        count_up(&d->shown_out);
        take_out(e->fd);
        pace_charge(&c->pace, PACE_BELL);
    }
    if (what & SLOT_READ) {
        count_up(&d->shown_in);
        pace_charge(&c->pace, PACE_BELL);
    }
    show_end(e, over);
    if ((what & SLOT_READ) && e->over == STANDIN_LIVES)
        bell_ring(&b);
}

void
serve_standin_shut(struct serve *s, uint32_t i, uint32_t sess)
{
    struct served *c = &s->c[i];
    uint32_t slot = c->n_standins != 0 ? slot_of(s, c, sess) : SESS_NONE;
    struct standin *e = standin_of(s, c, slot);
    if (e == NULL)
        return;
    show_end(e, ended(e, &c->v.d_slot[slot]));
    if (get(c->v.d_slot[slot].state) == SLOT_OPEN) /* an attempt to connect was given up */
        show(c, e, SLOT_WRITE);
}

bool
serve_standin_ready(struct serve *s, uint32_t i, const struct sess_evt *ev)
{
    struct served *c = &s->c[i];
    struct standin *e = standin_of(s, c, ev->slot);
    if (e == NULL)
        return false;
    show(c, e, (uint32_t)ev->value);
    return true;
}

void
serve_standin_accept(struct serve *s, uint32_t i, uint32_t listener)
{
    struct served *c = &s->c[i];
    struct standin *e = standin_of(s, c, listener);
    if (e == NULL)
        return;
    serve_publish(s, i);
    /* Pairs with the client's fence between arming and looking at its ring again. */
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t arm = get(c->v.c_slot[listener].arm);
    if (!(arm & SLOT_READ) || arm >> 2 == e->generation)
        return;
    e->generation = arm >> 2;
    show(c, e, SLOT_READ);
}

/* ---- requests ---- */

/* What may have been told as to a plain client, before the session had a stand-in. */
static uint32_t
readable(const struct served *c, uint32_t slot)
{
    const struct slot_domain *d = &c->v.d_slot[slot];
    uint32_t state = get(d->state);
    return (state & SLOT_LISTEN) || slot_readable(state, get(d->err), get(d->rx_tail),
                                                  get(c->v.c_slot[slot].rx_head))
               ? SLOT_READ
               : 0;
}

static uint32_t
writable(const struct served *c, uint32_t slot)
{
    const struct slot_domain *d = &c->v.d_slot[slot];
    return slot_writable(get(d->state), get(d->err), get(d->sndbuf),
                         get(c->v.c_slot[slot].tx_tail), get(d->tx_head))
               ? SLOT_WRITE
               : 0;
}

void
serve_standin(struct serve *s, uint32_t i, uint32_t sess, const struct sess_req *r, ns_t now)
{
    struct served *c = &s->c[i];
    uint32_t number = (uint32_t)r->value, slot = slot_of(s, c, sess);
    if (number == 0 || slot == SESS_NONE) {
        serve_bad_request(s, i);
        return;
    }
    struct standin *e = entry(c, number);
    if (e->number == number && e->slot == slot + 1) {
        if (e->life == s->life)
            show(c, e, (uint32_t)r->level & (SLOT_READ | SLOT_WRITE));
        return;
    }
    if ((e->number != 0 && e->number != number) || e->slot != 0) {
        serve_bad_request(s, i);
        return;
    }
    if (e->closed) { /* before we heard what it stands for */
        struct sess_req close = {.op = REQ_CLOSE, .handle = r->handle};
        memset(e, 0, sizeof *e);
        serve_call(s, i, &close, now);
        return;
    }
    bool here = e->number == number && e->life == s->life;
    if (e->number == 0) /* its descriptor is still under way */
        *e = (struct standin){.number = number, .fd = -1};
    e->handle = r->handle;
    e->slot = slot + 1;
    atomic_store_explicit(&c->v.d_slot[slot].standin, number, memory_order_relaxed);
    if (here)
        show(c, e, ((uint32_t)r->level & (SLOT_READ | SLOT_WRITE)) | readable(c, slot));
}

/* ---- descriptors ---- */

int
serve_standin_take(struct serve *s, uint32_t i, uint32_t number, int fd)
{
    struct served *c = &s->c[i];
    struct standin *e = entry(c, number);
    pace_charge(&c->pace, PACE_BELL);
    if (number == 0 || (e->number != 0 && e->life == s->life))
        return -EEXIST;
    if (e->number != number) /* nothing, or what never came, or was closed without a session */
        *e = (struct standin){.number = number};
    e->fd = fd;
    e->life = s->life;
    c->n_standins++;
    /* Nobody knows what the one before us had shown of it, or what it missed. */
    if (e->slot != 0 && e->slot <= c->v.g.n_slots)
        show(c, e, readable(c, e->slot - 1) | writable(c, e->slot - 1));
    return 0;
}

int
serve_standin_over(struct serve *s, uint32_t i, uint32_t at, ns_t now, uint32_t *number)
{
    struct served *c = &s->c[i];
    struct standin *e = standin_at(s, c, at);
    if (e == NULL)
        return -1;
    int fd = e->fd;
    *number = e->number;
    /* One that died has ended all its sessions. A successor does this again if it has to. */
    if (!c->gone && e->slot != 0 && e->slot <= c->v.g.n_slots &&
        get(c->v.d_slot[e->slot - 1].standin) == e->number) {
        struct sess_req r = {.op = REQ_CLOSE, .handle = e->handle};
        serve_call(s, i, &r, now);
    }
    /* Who closes it at once is heard of before the request that names the session. */
    bool early = e->slot == 0;
    memset(e, 0, sizeof *e);
    if (early)
        *e = (struct standin){.number = *number, .fd = -1, .closed = true};
    c->n_standins--;
    pace_charge(&c->pace, PACE_BELL);
    return fd;
}
