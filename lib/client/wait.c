/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wait.c: how a thread sleeps. One of the waiting threads leads: it arms the bells and
 * polls; the others follow on condition variables, or poll kernel descriptors of their
 * own (bh_poll). The leader, back from its sleep, takes the events in, which wakes those
 * whom they concern, and hands the lead on.
 *
 * A signal interrupts the leader and a thread in bh_poll (EINTR), not a follower: nothing
 * interrupts a condition variable. Whether SA_RESTART is set cannot be seen from here.
 */
#include "private.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct timespec
to_timespec(ns_t t)
{
    return (struct timespec){.tv_sec = (time_t)(t / NS_S), .tv_nsec = (long)(t % NS_S)};
}

static int
kick_take(struct lib *l)
{
    return l->n_kicks > 0 ? l->kick[--l->n_kicks] : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void
kick_give(struct lib *l, int fd)
{
    if (fd < 0)
        return;
    if (l->n_kicks < KICKS)
        l->kick[l->n_kicks++] = fd;
    else
        close(fd);
}

/* ---- bells ---- */

static void
bells_arm(struct lib *l)
{
    for (unsigned i = 0; i < ATTS; i++) {
        struct att *a = l->att[i];
        if (a == NULL || a->down)
            continue;
        if (!list_empty(&a->owing))
            bell_arm(&a->space);
        bell_arm(&a->bell);
    }
}

void
bells_settle(struct lib *l)
{
    if (l->leader != NULL)
        return;
    for (unsigned i = 0; i < ATTS; i++) {
        struct att *a = l->att[i];
        if (a == NULL || a->down)
            continue;
        bell_disarm(&a->space);
        bell_disarm(&a->bell);
    }
    if (l->loop_asleep)
        do
            bells_arm(l);
        while (lib_drain(l) > 0);
}

/* ---- polling ---- */

struct poll_set {
    struct pollfd *f;
    unsigned n;
    struct att *att[ATTS]; /* whose descriptors are in it */
    unsigned at[ATTS];
};

static void
set_add_att(struct poll_set *p, unsigned i, struct att *a)
{
    p->att[i] = a;
    p->at[i] = p->n;
    const struct own *o = own_of(a);
    p->f[p->n++] = (struct pollfd){.fd = o->sleep, .events = POLLIN};
    p->f[p->n++] = (struct pollfd){.fd = o->sup, .events = POLLIN};
}

/* What the poll said about our own descriptors. */
static void
set_take(struct lib *l, struct poll_set *p)
{
    for (unsigned i = 0; i < ATTS; i++) {
        struct att *a = p->att[i];
        if (a == NULL || a != l->att[i])
            continue;
        if (p->f[p->at[i]].revents != 0) {
            own_empty(own_of(a));
            a->pipe_full = false;
        }
        if (p->f[p->at[i] + 1].revents != 0)
            att_check(a);
    }
}

/* Sleep in poll. k: as in lib_wait. */
static int
sleep_poll(struct lib *l, struct waiter *w, ns_t deadline, struct pollfd *k, unsigned nk,
           bool lead)
{
    struct pollfd few[POLL_EXTRA];
    struct poll_set p = {.f = k != NULL ? k : few};
    w->kick = kick_take(l);
    p.f[p.n++] = (struct pollfd){.fd = w->kick, .events = POLLIN};
    for (unsigned i = 0; lead && i < ATTS; i++)
        if (l->att[i] != NULL && !l->att[i]->down)
            set_add_att(&p, i, l->att[i]);
    for (unsigned i = p.n; i < POLL_EXTRA && k != NULL; i++)
        p.f[p.n++] = (struct pollfd){.fd = -1};
    ns_t now = deadline == NS_NEVER ? 0 : lib_now(l);
    struct timespec ts = to_timespec(deadline > now ? deadline - now : 0);
    w->polling = true;
    lib_release(l);
    int r = ppoll(p.f, p.n + (k != NULL ? nk : 0), deadline == NS_NEVER ? NULL : &ts, NULL);
    int err = errno;
    lib_acquire(l);
    w->polling = false;
    if (w->woken || w->promoted) { /* whether the poll saw it or not */
        uint64_t sink;
        ssize_t n = read(w->kick, &sink, sizeof sink);
        (void)n;
    }
    kick_give(l, w->kick);
    if (r > 0)
        set_take(l, &p);
    if (w->woken || r > 0)
        return 0;
    return r == 0 ? ETIMEDOUT : err == EINTR ? EINTR : 0;
}

/* ---- leading and following ---- */

static bool
events_there(struct lib *l)
{
    for (unsigned i = 0; i < ATTS; i++) {
        const struct att *a = l->att[i];
        if (a != NULL && !a->down && ring_rx_seen(&a->evt))
            return true;
    }
    return false;
}

/* How long to look for events before sleeping. Left to us, that is as long as the daemon says
 * in a program that asks and is answered in turn. */
static ns_t
spin_time(const struct lib *l, bool in_turn)
{
    ns_t t = NS_NEVER;
    if (l->hooks.wait != NULL)
        return 0;
    if (l->spin != NS_NEVER)
        return l->spin;
    for (unsigned i = 0; in_turn && i < ATTS; i++)
        if (l->att[i] != NULL && !l->att[i]->down)
            t = min_u64(t, l->att[i]->spin);
    return t == NS_NEVER ? 0 : t;
}

/* Look for events until then, giving way to others at every look. True: there are some. */
static bool
spin(struct lib *l, const struct waiter *w, ns_t until)
{
    do {
        if (events_there(l))
            return true;
        /* Others may come in; they take events too, and then there is no need to sleep. */
        lib_release(l);
        sched_yield();
        lib_acquire(l);
    } while (!w->woken && lib_now(l) < until);
    return false;
}

static int
lead(struct lib *l, struct waiter *w, ns_t deadline, struct pollfd *k, unsigned nk)
{
    int r = 0;
    ns_t look = spin_time(l, l->sent && l->took && nk == 0);
    ns_t until = look > 0 ? lib_now(l) + look : 0;
    l->leader = w;
    l->sent = l->took = false;
    w->promoted = false;
    if (look > 0 && (l->soon || l->spin != NS_NEVER) && spin(l, w, min_u64(until, deadline))) {
        lib_drain(l);
    } else if (!w->woken) {
        bells_arm(l);
        if (lib_drain(l) == 0) {
            if (l->hooks.wait != NULL) {
                lib_release(l);
                r = l->hooks.wait(l->hooks.arg, deadline);
                lib_acquire(l);
            } else {
                r = sleep_poll(l, w, deadline, k, nk, true);
            }
            lib_drain(l);
        }
    }
    if (look > 0)
        l->soon = lib_now(l) <= until;
    l->leader = NULL;
    bells_settle(l);
    if (!list_empty(&l->ready))
        loop_readable(l);
    list_remove(&w->link);
    lib_promote(l);
    return r;
}

static int
follow(struct lib *l, struct waiter *w, ns_t deadline)
{
    struct timespec ts = to_timespec(deadline);
    int r = 0;
    while (!w->woken && !w->promoted && r == 0) {
        if (deadline == NS_NEVER)
            lib_sleep(l, &w->cond);
        else
            r = lib_sleep_until(l, &w->cond, &ts);
    }
    return w->woken || w->promoted ? 0 : r;
}

int
lib_wait(struct lib *l, struct waiter *w, ns_t deadline, struct pollfd *k, unsigned nk)
{
    int r = 0;
    lib_flush(l);
    w->woken = w->promoted = w->polling = false;
    pthread_cond_init(&w->cond, NULL);
    list_append(&l->waiters, &w->link);
    bool done = lib_drain(l) > 0;
    while (!done) {
        if (l->leader == NULL) {
            r = lead(l, w, deadline, k, nk);
            break;
        }
        w->promoted = false;
        r = nk > 0 ? sleep_poll(l, w, deadline, k, nk, false) : follow(l, w, deadline);
        done = r != 0 || w->woken || !w->promoted;
    }
    list_remove(&w->link);
    pthread_cond_destroy(&w->cond);
    if (w->promoted && l->leader == NULL) /* chosen to lead, and leaves instead */
        lib_promote(l);
    return r;
}

int
sock_block(struct lib *l, struct sock *s, struct turn *t, uint32_t mask, bool nonblock,
           ns_t timeout)
{
    if (t->verdict != 0)
        return t->verdict;
    s->missed |= mask != 0 ? mask : SLOT_READ;
    if (nonblock)
        return EAGAIN;
    if (!t->started) {
        t->started = true;
        t->deadline = timeout == 0 ? NS_NEVER : lib_now(l) + timeout;
    }
    if (s->standin == 0 && mask != 0 && sock_arm(s, mask))
        return 0;
    bool hurry = t->hurry || !list_empty(&s->att->owing);
    ns_t until = hurry ? min_u64(t->deadline, lib_now(l) + SHORT_WAIT) : t->deadline;
    struct waiter w = {.s = s};
    int r = s->standin != 0 ? standin_wait(l, s, mask, until) : lib_wait(l, &w, until, NULL, 0);
    int err = call_err(s);
    if (err != 0)
        return err;
    if (r == ETIMEDOUT && until != t->deadline && lib_now(l) < t->deadline)
        r = 0;
    /* One more look before it counts: what came with the signal is not lost. */
    t->verdict = r == ETIMEDOUT ? EAGAIN : r;
    return 0;
}
