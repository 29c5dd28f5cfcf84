/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lib.c: the state of the library in this process, its lock, and what it does with the
 * events of its attachments.
 */
#include "private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static struct lib own;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;
static _Atomic(struct lib *) chosen; /* by a test */

static ns_t
machine_now(void *arg)
{
    (void)arg;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (ns_t)ts.tv_sec * NS_S + (ns_t)ts.tv_nsec;
}

void
lib_init(struct lib *l)
{
    memset(l, 0, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->idle, NULL);
    l->hooks.now = machine_now;
    l->fd_free = UINT32_MAX;
    l->fd_event = l->fd_kick = l->fd_timer = -1;
    list_init(&l->waiters);
    list_init(&l->ready);
    list_init(&l->starved);
    l->pid = getpid();
    const char *spin = getenv("BULKHEAD_SPIN_US");
    l->spin = NS_NEVER;
    if (spin != NULL) {
        unsigned long us = strtoul(spin, NULL, 10);
        l->spin = min_u64(us, CTL_SPIN_MAX) * NS_US;
    }
}

/* In the child of a fork: its copies of the descriptors go, so that the daemon sees the
 * parent's end when that ends. The halves were never inherited (MADV_DONTFORK). Another
 * thread of the parent may have held the lock or changed anything, so nothing but
 * descriptors is looked at and the memory is left as it is. */
static void
forked(void)
{
    if (share_wanted) {
        share_in_child(&own);
        return;
    }
    for (struct own *o = own.own; o != NULL; o = o->next) {
        if (!o->a->mapped)
            continue;
        close_if_open(&o->sup);
        close_if_open(&o->hold);
        close_if_open(&o->sleep);
        close_if_open(&o->ring);
    }
    for (uint32_t i = 0; i < own.n_kicks && i < KICKS; i++)
        close_if_open(&own.kick[i]);
    close_if_open(&own.fd_event);
    close_if_open(&own.fd_kick);
    close_if_open(&own.fd_timer);
    lib_init(&own);
}

static void
before_fork(void)
{
    if (share_wanted)
        share_before_fork(&own);
}

static void
parent_forked(void)
{
    if (share_wanted)
        share_in_parent(&own);
}

static void
own_init(void)
{
    lib_init(&own);
    pthread_atfork(before_fork, parent_forked, forked);
}

struct lib *
lib_current(void)
{
    struct lib *l = atomic_load_explicit(&chosen, memory_order_acquire);
    if (l != NULL)
        return l;
    pthread_once(&own_once, own_init);
    return &own;
}

void
bh_test_use(struct lib *l)
{
    atomic_store(&chosen, l);
}

struct lib *
bh_test_new(const struct bh_hooks *hooks)
{
    struct lib *l = malloc(sizeof *l);
    if (l == NULL)
        return NULL;
    lib_init(l);
    if (hooks != NULL)
        l->hooks = *hooks;
    if (l->hooks.now == NULL)
        l->hooks.now = machine_now;
    return l;
}

void
bh_test_free(struct lib *l)
{
    if (l == NULL)
        return;
    while (l->own != NULL) {
        struct own *o = l->own;
        own_remove(l, o);
        att_free(o);
    }
    for (uint32_t i = 0; i < l->n_kicks; i++)
        close_if_open(&l->kick[i]);
    close_if_open(&l->fd_event);
    close_if_open(&l->fd_kick);
    close_if_open(&l->fd_timer);
    for (uint32_t i = 0; i < l->n_fds; i++)
        free(l->fds[i]);
    free(l->fds);
    free(l->fd_next);
    pthread_cond_destroy(&l->idle);
    pthread_mutex_destroy(&l->lock);
    struct lib *self = l;
    atomic_compare_exchange_strong(&chosen, &self, NULL);
    free(l);
}

ns_t
lib_now(const struct lib *l)
{
    return l->hooks.now(l->hooks.arg);
}

void
lib_acquire(struct lib *l)
{
    pthread_mutex_lock(&l->lock);
    share_lock(l);
}

void
lib_release(struct lib *l)
{
    share_unlock(l);
    pthread_mutex_unlock(&l->lock);
}

void
lib_sleep(struct lib *l, pthread_cond_t *c)
{
    share_unlock(l);
    pthread_cond_wait(c, &l->lock);
    share_lock(l);
}

int
lib_sleep_until(struct lib *l, pthread_cond_t *c, const struct timespec *at)
{
    share_unlock(l);
    int r = pthread_cond_clockwait(c, &l->lock, CLOCK_MONOTONIC, at);
    share_lock(l);
    return r;
}

struct lib *
lib_lock(void)
{
    struct lib *l = lib_current();
    lib_acquire(l);
    return l;
}

#define RINGERS 4u /* domains that are rung without the lock: more than most have */

/* Submit what was written into the request rings. Fills in the ringers of the domains that
 * sleep and returns how many: the caller writes to them. */
static unsigned
submit(struct lib *l, struct bell_ringer ring[RINGERS])
{
    unsigned n = 0;
    if (unlikely(atomic_load_explicit(&standin_withheld, memory_order_relaxed)) && !l->keep)
        atomic_store_explicit(&standin_withheld, false, memory_order_relaxed);
    for (struct own *o = l->own; o != NULL; o = o->next) {
        struct att *a = o->a;
        if (!a->pushed && (l->keep || !a->withheld))
            continue;
        a->pushed = a->withheld = false;
        ring_submit(&a->req);
        if (o->ring < 0 || !bell_due(&a->ringer))
            continue;
        if (n == RINGERS)
            bell_ring(&ring[--n]);
        ring[n++] = (struct bell_ringer){.fd = o->ring};
    }
    return n;
}

void
lib_flush(struct lib *l)
{
    struct bell_ringer ring[RINGERS];
    l->keep = false;
    unsigned n = submit(l, ring);
    for (unsigned i = 0; i < n; i++)
        bell_ring(&ring[i]);
}

void
lib_unlock(struct lib *l)
{
    struct bell_ringer ring[RINGERS];
    unsigned n = submit(l, ring);
    l->keep = false;
    /* The wake-up is the slow part: let others in first. */
    lib_release(l);
    for (unsigned i = 0; i < n; i++)
        bell_ring(&ring[i]);
}

/* ---- waking ---- */

static void
signal_waiter(struct waiter *w)
{
    if (w->polling) {
        uint64_t one = 1;
        ssize_t n = write(w->kick, &one, sizeof one);
        (void)n; /* an eventfd that cannot be written to is readable */
    } else {
        pthread_cond_signal(&w->cond);
    }
}

static void
wake(struct waiter *w)
{
    if (!w->woken) {
        w->woken = true;
        signal_waiter(w);
    }
}

#define waiter_of(p) list_item(p, struct waiter, link)

void
lib_wake_sock(struct lib *l, struct sock *s)
{
    for (struct list *p = l->waiters.next; p != &l->waiters; p = p->next)
        if (waiter_of(p)->s == s || waiter_of(p)->any)
            wake(waiter_of(p));
    watch_touch(l, s);
}

void
lib_wake_all(struct lib *l)
{
    for (struct list *p = l->waiters.next; p != &l->waiters; p = p->next)
        wake(waiter_of(p));
}

void
lib_promote(struct lib *l)
{
    for (struct list *p = l->waiters.next; p != &l->waiters; p = p->next) {
        struct waiter *w = waiter_of(p);
        if (!w->woken && !w->promoted) {
            w->promoted = true;
            signal_waiter(w);
            return;
        }
    }
}

/* ---- events ---- */

static struct sock *
event_sock(struct att *a, uint32_t slot)
{
    return slot < a->v.g.n_slots && a->sock[slot].life != SOCK_FREE ? &a->sock[slot] : NULL;
}

static void
on_reply(struct lib *l, struct att *a, const struct sess_evt *e)
{
    if (e->cookie == 0)
        return; /* nobody wanted it */
    struct sock *s = NULL;
    if (share_reply(a, e))
        return;
    if ((e->cookie & COOKIE_OP) == REQ_REDEEM && e->err == 0)
        s = sock_redeemed(a, e);
    for (struct list *p = l->waiters.next; p != &l->waiters; p = p->next) {
        struct waiter *w = waiter_of(p);
        if (w->cookie == e->cookie) {
            w->reply = *e;
            w->replied = true;
            wake(w);
            return;
        }
    }
    /* Whoever asked gave up. A socket that nobody knows of must not stay. */
    if ((e->cookie & COOKIE_OP) == REQ_SOCKET && e->err == 0)
        s = sock_adopt(a, e->slot, e->handle);
    if (s != NULL)
        sock_end(l, s);
    if ((e->cookie & COOKIE_OP) == REQ_MINT && e->err == 0)
        tell_if_room(a, REQ_CLOSE, e->handle);
}

/* It is the domain's word that nothing can be done with it: who sleeps on it learns it. */
static void
on_revoked(struct lib *l, struct sock *s)
{
    s->revoked = true;
    stop_listening(l, s);
    lib_wake_sock(l, s);
    pthread_cond_broadcast(&l->idle);
}

static void
on_accept(struct lib *l, struct att *a, const struct sess_evt *e)
{
    struct sock *listener = event_sock(a, e->slot);
    struct sock *s =
        e->value < a->v.g.n_slots ? sock_adopt(a, (uint32_t)e->value, e->handle) : NULL;
    if (s == NULL)
        return;
    s->connected = true;
    s->peer = e->addr;
    s->peer_port = e->port;
    if (listener == NULL || listener->life == SOCK_CLOSING || !listener->listening) {
        sock_end(l, s); /* the listener was closed meanwhile */
        return;
    }
    s->listener = listener->slot;
    s->linger = listener->linger;
    s->linger_on = listener->linger_on;
    list_append(&listener->accepts, &s->queued);
    lib_wake_sock(l, listener);
}

static void
on_event(struct lib *l, struct att *a, const struct sess_evt *e)
{
    struct sock *s;
    switch (e->kind) {
    case EVT_REPLY:
        on_reply(l, a, e);
        break;
    case EVT_READY:
        s = event_sock(a, e->slot);
        if (s != NULL) {
            s->arm_mask = 0;
            if (s->standin != 0) /* told before the domain knew of it */
                standin_ask(s, (uint32_t)e->value);
            lib_wake_sock(l, s);
        }
        break;
    case EVT_ACCEPT:
        on_accept(l, a, e);
        break;
    case EVT_FREED:
        s = event_sock(a, e->slot);
        if (s != NULL) {
            lib_wake_sock(l, s);
            sock_freed(s);
        }
        break;
    case EVT_GIVEN:
        s = event_sock(a, e->slot);
        if (s != NULL)
            sock_given(l, s, e->handle);
        break;
    case EVT_REVOKED:
        s = event_sock(a, e->slot);
        if (s != NULL)
            on_revoked(l, s);
        break;
    default: /* of a later layout: nothing that we asked for */
        break;
    }
}

/* Events were lost because the ring was full: every socket may have changed. */
static void
rescan(struct lib *l, struct att *a)
{
    for (uint32_t i = 0; i < a->v.g.n_slots; i++)
        if (a->sock[i].life != SOCK_FREE) {
            a->sock[i].arm_mask = 0;
            watch_touch(l, &a->sock[i]);
        }
    lib_wake_all(l);
}

static unsigned
drain(struct lib *l, struct att *a)
{
    struct sess_evt e;
    unsigned n = 0;
    while (n < a->v.g.n_evt && ering_take(&a->evt, a->v.evt, &e)) {
        on_event(l, a, &e);
        n++;
    }
    ring_release(&a->evt);
    if (ring_rx_poisoned(&a->evt) || ring_tx_poisoned(&a->req)) {
        att_down(a);
        return n + 1;
    }
    uint32_t lost = atomic_load_explicit(&a->v.d_head->lost, memory_order_acquire);
    if (unlikely(lost != a->lost_seen)) {
        a->lost_seen = lost;
        rescan(l, a);
        n++;
    }
    if (!list_empty(&a->owing))
        att_pay(a);
    return n;
}

unsigned
lib_drain(struct lib *l)
{
    unsigned n = 0;
    for (struct own *o = l->own, *next; o != NULL; o = next) {
        next = o->next;
        if (!o->a->down)
            n += drain(l, o->a);
    }
    return n;
}
