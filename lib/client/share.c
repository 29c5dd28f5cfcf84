/* SPDX-License-Identifier: BSD-2-Clause
 *
 * share.c: attachments that parent and child share after a fork, for programs that know nothing
 * of it (lib/preload). What belongs to an attachment lies in shared memory at the address that
 * it had before the fork, under a robust lock; what a process has of its own (descriptors and
 * their table, threads that wait) stays private, under lib.lock, which is taken first. While
 * the shared lock is held nothing sleeps, and no payload is copied without it.
 *
 * A process that is killed with the lock in its hands leaves the books as they were at some
 * step: the next one that takes it makes them anew from what each socket says of itself.
 */
#include "private.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_AGAIN NS_MS /* another process may have taken what we wait for */

bool share_wanted;

void *
share_alloc(bool shared, size_t n, size_t size)
{
    if (!shared)
        return calloc(n, size);
    void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void
share_free(bool shared, void *p, size_t bytes)
{
    if (!shared)
        free(p);
    else if (p != NULL)
        munmap(p, bytes);
}

int
share_init(struct att *a)
{
    pthread_mutexattr_t attr;
    if (!a->shared)
        return 0;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    int err = pthread_mutex_init(&a->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    return err;
}

/* ---- after a death ---- */

/* In which lists a socket is follows from what else it says. */
static void
rebuild(struct att *a, struct sock *s)
{
    list_init(&s->holder);
    list_init(&s->owing);
    list_init(&s->queued);
    s->tx_busy = s->rx_busy = false;
    s->users = 0;
    if (s->life == SOCK_OPEN) { /* it may have been published, and not told */
        s->send_no = s->consumed_no = 0;
        s->owed |= OWE_SEND | OWE_CONSUMED;
    }
    if (s->owed != 0)
        list_append(&a->owing, &s->owing);
    if (s->life == SOCK_FREE)
        return;
    if (s->tx_lo != s->tx_hi)
        list_append(&a->holders, &s->holder);
    if (s->life == SOCK_QUEUED && s->listener < a->v.g.n_slots)
        list_append(&a->sock[s->listener].accepts, &s->queued);
    if (s->standin != 0) /* what it shows may not be what it should: ask */
        s->standin_ask = s->filled ? SLOT_READ | SLOT_WRITE : SLOT_READ;
}

static void
recover(struct att *a)
{
    list_init(&a->holders);
    list_init(&a->owing);
    for (uint32_t i = 0; i < a->v.g.n_slots; i++)
        list_init(&a->sock[i].accepts);
    a->n_socks = 0;
    for (uint32_t i = 0; i < a->v.g.n_slots; i++) {
        struct sock *s = &a->sock[i];
        rebuild(a, s);
        a->n_socks += s->life != SOCK_FREE;
        if (s->life == SOCK_OPEN && s->standin_ask != 0)
            sock_owe(s, OWE_STANDIN);
    }
    /* Events that it had taken and not dealt with are taken again. */
    a->evt.my_head = a->evt.released;
}

/* ---- the lock ---- */

static void
take(struct att *a)
{
    if (a == NULL || !a->shared)
        return;
    if (unlikely(pthread_mutex_lock(&a->lock) == EOWNERDEAD)) {
        recover(a);
        pthread_mutex_consistent(&a->lock);
    }
}

void
share_lock(struct lib *l)
{
    for (unsigned i = 0; i < ATTS; i++)
        take(l->att[i]);
}

void
share_unlock(struct lib *l)
{
    for (unsigned i = ATTS; i-- > 0;)
        if (l->att[i] != NULL && l->att[i]->shared)
            pthread_mutex_unlock(&l->att[i]->lock);
}

/* ---- replies ---- */

static void
futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static struct share_box *
free_box(struct att *a)
{
    uint32_t me = (uint32_t)getpid();
    for (unsigned i = 0; i < SHARE_BOXES; i++) {
        struct share_box *b = &a->box[i];
        uint32_t of = b->pid;
        if (of != 0 && of != me && kill((pid_t)of, 0) != 0 && errno == ESRCH)
            of = 0; /* it died while it waited */
        if (of != 0)
            continue;
        b->pid = me;
        atomic_store(&b->done, 0);
        return b;
    }
    return NULL;
}

struct share_box *
share_box(struct lib *l, struct att *a)
{
    const struct timespec nap = {.tv_nsec = LOOK_AGAIN};
    ns_t end = lib_now(l) + REPLY_TIMEOUT;
    struct share_box *b;
    while ((b = free_box(a)) == NULL && !a->down && lib_now(l) < end) {
        lib_release(l);
        nanosleep(&nap, NULL);
        lib_acquire(l);
    }
    return b;
}

bool
share_reply(struct att *a, const struct sess_evt *e)
{
    for (unsigned i = 0; a->shared && i < SHARE_BOXES; i++) {
        struct share_box *b = &a->box[i];
        if (b->pid == 0 || b->cookie != e->cookie)
            continue;
        if (atomic_load(&b->done)) /* whoever took it in first was killed before he said so */
            return true;
        b->reply = *e;
        atomic_store(&b->done, 1);
        futex_wake(&b->done);
        return true;
    }
    return false;
}

void
share_wait(struct lib *l, struct att *a, struct share_box *b, ns_t deadline)
{
    lib_flush(l);
    bell_arm(&a->bell);
    if (lib_drain(l) > 0 || atomic_load(&b->done))
        return;
    ns_t now = lib_now(l);
    ns_t left = min_u64(deadline > now ? deadline - now : 0, LOOK_AGAIN);
    struct timespec ts = {.tv_sec = 0, .tv_nsec = (long)left};
    struct pollfd p[] = {{.fd = a->bell.fd, .events = POLLIN},
                         {.fd = a->fd_sup, .events = POLLIN}};
    lib_release(l);
    int r = ppoll(p, 2, &ts, NULL);
    lib_acquire(l);
    if (r > 0 && p[0].revents != 0)
        bell_drain(&a->bell);
    if (r > 0 && p[1].revents != 0)
        att_check(a);
    lib_drain(l);
    bell_disarm(&a->bell);
}

/* ---- fork ---- */

/* Nobody of this process is inside then, so the shared locks are free of us. */
void
share_before_fork(struct lib *l)
{
    pthread_mutex_lock(&l->lock);
}

void
share_in_parent(struct lib *l)
{
    pthread_mutex_unlock(&l->lock);
}

void
share_in_child(struct lib *l)
{
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->idle, NULL);
    list_init(&l->waiters);
    l->leader = NULL;
    l->idle_waiters = 0;
    for (unsigned i = 0; i < ATTS; i++) {
        l->attaching[i] = false;
        standin_drop_spares(l, i); /* the parent's: a copy of ours would keep them alive */
    }
    for (uint32_t i = 0; i < l->n_fds; i++)
        if (l->fds[i] != NULL)
            l->fds[i]->users = 0;
}
