/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table.c: descriptors, and the life of a socket from the slot that the domain gave to
 * the slot given back. A call holds a use of its socket and of the descriptor that it came in
 * by; closing waits for the last.
 */
#include "private.h"

#include <stdatomic.h>
#include <stdlib.h>

#define FDS_START 64u
#define FDS_MAX (1u << 20)

__thread struct desc *call_via;

static bool
table_grow(struct lib *l)
{
    uint32_t n = l->n_fds == 0 ? FDS_START : 2 * l->n_fds;
    if (n > FDS_MAX)
        return false;
    struct desc **fds = realloc(l->fds, n * sizeof(struct desc *));
    if (fds == NULL)
        return false;
    l->fds = fds;
    uint32_t *next = realloc(l->fd_next, n * sizeof *next);
    if (next == NULL)
        return false;
    l->fd_next = next;
    for (uint32_t i = n; i-- > l->n_fds;) { /* the lowest comes out first */
        l->fds[i] = NULL;
        next[i] = l->fd_free;
        l->fd_free = i;
    }
    l->n_fds = n;
    return true;
}

struct desc *
desc_new(struct lib *l)
{
    if (l->fd_free == UINT32_MAX && !table_grow(l))
        return NULL;
    struct desc *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    uint32_t i = l->fd_free;
    l->fd_free = l->fd_next[i];
    l->fds[i] = d;
    d->fd = BH_FD_BASE + (int)i;
    list_init(&d->of);
    list_init(&d->ready);
    return d;
}

int
table_add(struct lib *l, struct sock *s)
{
    struct desc *d = desc_new(l);
    if (d == NULL)
        return -EMFILE;
    d->s = s;
    d->handle = s->handle;
    d->rights = s->rights;
    d->epoch = s->epoch;
    if (!s->att->shared) /* private memory does not go into a shared list */
        list_append(&s->descs, &d->of);
    else
        own_of(s->att)->descs++;
    s->life = SOCK_OPEN;
    return d->fd;
}

void
desc_put(struct desc *d)
{
    if (d->users > 0 || !d->closed)
        return;
    if (d->s != NULL && d->s->att->shared)
        own_of(d->s->att)->descs--;
    free(d);
}

/* Those that were minted from it count as minted from what it was minted from. */
static void
pass_on(struct list *family, const struct desc *d)
{
    for (struct list *p = family->next; p != family; p = p->next) {
        struct desc *x = list_item(p, struct desc, of);
        if (x->parent == d)
            x->parent = d->parent;
    }
}

void
desc_close(struct lib *l, struct desc *d)
{
    uint32_t i = (uint32_t)(d->fd - BH_FD_BASE);
    l->fds[i] = NULL;
    l->fd_next[i] = l->fd_free;
    l->fd_free = i;
    watch_forget(d);
    list_remove(&d->of);
    if (d->s != NULL && !d->s->att->shared)
        pass_on(&d->s->descs, d);
    else if (d->att != NULL)
        pass_on(&d->att->creators, d);
    d->closed = true;
    desc_put(d);
}

static bool
minted_from(const struct desc *x, const struct desc *d)
{
    while (x != NULL && x != d)
        x = x->parent;
    return x == d;
}

void
desc_kill(struct lib *l, struct list *family, struct desc *d)
{
    for (struct list *p = family->next, *next; p != family; p = next) {
        struct desc *x = list_item(p, struct desc, of);
        next = p->next;
        if (x != d && minted_from(x, d))
            x->dead = true;
    }
    d->dead = true;
    for (struct list *p = family->next, *next; p != family; p = next) {
        struct desc *x = list_item(p, struct desc, of);
        next = p->next;
        if (!x->dead)
            continue;
        list_remove(&x->of);
        x->parent = NULL;
        x->s = NULL;
        x->att = NULL;
        watch_touch_desc(l, x);
    }
}

struct desc *
lib_desc(struct lib *l, int fd)
{
    uint32_t i = (uint32_t)fd - BH_FD_BASE;
    return fd >= BH_FD_BASE && i < l->n_fds ? l->fds[i] : NULL;
}

struct sock *
lib_sock(struct lib *l, int fd)
{
    struct desc *d = lib_desc(l, fd);
    if (d == NULL || d->att != NULL) {
        errno = d == NULL ? EBADF : ENOTSOCK;
        return NULL;
    }
    if (!d->dead && d->s->att->shared && d->epoch != d->s->epoch) {
        errno = EBADF; /* the last of all processes' closed it */
        return NULL;
    }
    if (d->dead || d->s->revoked) {
        errno = ECONNABORTED;
        return NULL;
    }
    if (!d->s->given && !d->s->gone && !d->s->att->down &&
        (atomic_load_explicit(&slot_theirs(d->s)->state, memory_order_relaxed) & SLOT_GIVEN))
        lib_drain(l); /* it is told, or will be */
    if (d->dead) {
        errno = ECONNABORTED;
        return NULL;
    }
    if (d->s->given && list_empty(&d->s->accepts)) {
        errno = EACCES;
        return NULL;
    }
    d->users++;
    d->s->users++;
    call_via = d;
    return d->s;
}

void
sock_put(struct lib *l, struct sock *s)
{
    if (unlikely(s->standin != 0) && !call_stale(s))
        standin_settle(l, s);
    bool same = !call_stale(s); /* else this use of it is over already */
    if (call_via != NULL) {
        call_via->users--;
        desc_put(call_via);
        call_via = NULL;
    }
    if (!same || s->users == 0)
        return;
    if (--s->users == 0 && s->closed)
        sock_end(l, s);
}

void
sock_close(struct lib *l, struct sock *s)
{
    s->closed = true;
    if (s->users == 0)
        sock_end(l, s);
}

uint64_t
sock_handle(const struct sock *s, uint32_t need)
{
    for (struct list *p = s->descs.next; p != &s->descs; p = p->next) {
        const struct desc *d = list_item(p, struct desc, of);
        if ((need & ~d->rights) == 0)
            return d->handle;
    }
    return s->handle;
}

struct sock *
sock_adopt(struct att *a, uint32_t slot, uint64_t handle)
{
    if (slot >= a->v.g.n_slots || a->sock[slot].life != SOCK_FREE ||
        (a->sock[slot].owed & OWE_RELEASED))
        return NULL;
    struct sock *s = &a->sock[slot];
    uint32_t epoch = s->epoch, arm_gen = s->arm_gen;
    memset(s, 0, sizeof *s);
    *s = (struct sock){.att = a,
                       .handle = handle,
                       .slot = slot,
                       .rights = RIGHT_ALL &
                                 ~(RIGHT_OPEN | RIGHT_BIND | RIGHT_CONNECT | RIGHT_LISTEN),
                       .life = SOCK_QUEUED,
                       .epoch = epoch,
                       .arm_gen = arm_gen};
    list_init(&s->holder);
    list_init(&s->owing);
    list_init(&s->descs);
    list_init(&s->queued);
    list_init(&s->accepts);
    a->n_socks++;
    return s;
}

/* The slot is nobody's: as the next session expects to find it. */
static void
slot_clear(struct sock *s)
{
    struct slot_client *c = slot_ours(s);
    tx_free_all(s);
    atomic_store_explicit(&c->tx_tail, 0, memory_order_relaxed);
    atomic_store_explicit(&c->rx_head, 0, memory_order_relaxed);
    atomic_store_explicit(&c->rx_seen, 0, memory_order_relaxed);
    atomic_store_explicit(&c->arm, s->arm_gen << 2, memory_order_relaxed);
}

static void
sock_free(struct sock *s)
{
    struct att *a = s->att;
    slot_clear(s);
    list_remove(&s->owing);
    s->owed = 0;
    s->life = SOCK_FREE;
    s->epoch++;
    a->n_socks--;
    if (!a->down)
        sock_owe(s, OWE_RELEASED);
}

void
sock_freed(struct sock *s)
{
    if (s->life == SOCK_CLOSING)
        sock_free(s);
    else if (s->standin != 0)
        standin_over(att_lib(s->att), s);
    else
        s->gone = true; /* not asked for: the program will notice, and close it */
}

void
sock_end(struct lib *l, struct sock *s)
{
    struct att *a = s->att;
    while (!list_empty(&s->accepts)) {
        struct sock *q = list_item(s->accepts.next, struct sock, queued);
        list_remove(&q->queued);
        sock_end(l, q);
    }
    list_remove(&s->queued);
    s->refused = s->life == SOCK_QUEUED;
    s->life = SOCK_CLOSING;
    if (a->down || s->gone || s->given) {
        sock_free(s);
        att_free_if_unused(a);
    } else {
        sock_owe(s, OWE_CLOSE);
    }
}
