/* SPDX-License-Identifier: BSD-2-Clause
 *
 * share.c: attachments that several processes share after a fork, or since one was passed on
 * (pass.c), for programs that know nothing of it (lib/preload). What belongs to an attachment
 * lies in shared memory at the same address in all of them, under a robust lock; what a process
 * has of its own (descriptors and their table, threads that wait) stays private, under
 * lib.lock, which is taken first. While the shared lock is held nothing sleeps, and no payload
 * is copied without it.
 *
 * A process that is killed with the lock in its hands leaves the books as they were at some
 * step: the next one that takes it makes them anew from what each socket says of itself.
 */
#include "private.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/region.h"

#define LOOK_AGAIN NS_MS /* another process may have taken what we wait for */

bool share_wanted, share_confined;

/* ---- memory ---- */

/* Where processes of all kinds have nothing, so that one that comes by an attachment later has
 * room for it at the address that it has in others. */
#define PLACE_LOW (16ull << 40)
#define PLACE_SPAN (64ull << 40)
#define PLACE_STEP (8ull << 30)
#define PLACE_TRIES 16u

static void *
reserve(size_t size)
{
    for (unsigned i = 0; sizeof(void *) == 8 && i < PLACE_TRIES; i++) {
        uint64_t where;
        if (getrandom(&where, sizeof where, GRND_NONBLOCK) != (ssize_t)sizeof where)
            break;
        where = PLACE_LOW + where % (PLACE_SPAN / PLACE_STEP) * PLACE_STEP;
        void *p = share_place(where, size);
        if (p != NULL)
            return p;
    }
    return region_reserve(size);
}

void *
share_place(uint64_t where, size_t size)
{
    void *want = (void *)(uintptr_t)where;
    void *p = mmap(want, size, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == want)
        return p;
    if (p != MAP_FAILED) /* a kernel that does not know the flag */
        munmap(p, size);
    return NULL;
}

struct att *
share_books(size_t bytes, size_t room, int *fd)
{
    void *at = reserve(bytes + room), *p = NULL;
    if (at == NULL)
        return NULL;
    *fd = region_memory("bulkhead-books", bytes);
    if (*fd >= 0)
        p = region_map(*fd, bytes, true, at);
    if (p != NULL)
        return p;
    if (*fd >= 0)
        close(*fd);
    munmap(at, bytes + room);
    return NULL;
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
    if (err == 0 && getrandom(&a->number, sizeof a->number, 0) != (ssize_t)sizeof a->number)
        err = errno;
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

void
share_take(struct att *a)
{
    if (unlikely(pthread_mutex_lock(&a->lock) == EOWNERDEAD)) {
        recover(a);
        pthread_mutex_consistent(&a->lock);
    }
}

/* In the order of their addresses, which is the same in all processes. */
void
share_lock(struct lib *l)
{
    for (struct own *o = l->own; o != NULL; o = o->next)
        if (o->a->shared)
            share_take(o->a);
}

void
share_unlock(struct lib *l)
{
    for (struct own *o = l->own; o != NULL; o = o->next)
        if (o->a->shared)
            pthread_mutex_unlock(&o->a->lock);
}

void
share_let_go(struct lib *l)
{
    for (struct own *o = l->own, *next; o != NULL; o = next) {
        next = o->next;
        if (!o->a->shared || o->users > 0 || o->descs > 0 ||
            l->att[att_index(o->a->proto)] == o->a)
            continue;
        own_remove(l, o);
        pthread_mutex_unlock(&o->a->lock);
        att_free(o);
    }
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
        if (of != 0 && of != me && !share_confined && kill((pid_t)of, 0) != 0 && errno == ESRCH)
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
    struct own *o = own_of(a);
    struct pollfd p[] = {{.fd = o->sleep, .events = POLLIN}, {.fd = o->sup, .events = POLLIN}};
    lib_release(l);
    int r = ppoll(p, 2, &ts, NULL);
    lib_acquire(l);
    if (r > 0 && p[0].revents != 0)
        own_empty(o);
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
    for (unsigned i = 0; i < ATTS; i++)
        l->attaching[i] = false;
    for (struct own *o = l->own; o != NULL; o = o->next) {
        standin_drop_spares(o); /* the parent's: a copy of ours would keep them alive */
        o->users = 0;
        if (o->letter_of == l->pid)
            o->letter_of = getpid();
    }
    l->pid = getpid();
    for (uint32_t i = 0; i < l->n_fds; i++)
        if (l->fds[i] != NULL)
            l->fds[i]->users = 0;
}
