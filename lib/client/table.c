/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table.c: descriptors, and the life of a socket from the slot that the domain gave to
 * the slot given back. A call holds a use of its socket; closing waits for the last.
 */
#include "private.h"

#include <stdlib.h>

#define FDS_START 64u
#define FDS_MAX (1u << 20)

static bool
table_grow(struct lib *l)
{
    uint32_t n = l->n_fds == 0 ? FDS_START : 2 * l->n_fds;
    if (n > FDS_MAX)
        return false;
    struct sock **fds = realloc(l->fds, n * sizeof(struct sock *));
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

int
table_add(struct lib *l, struct sock *s)
{
    if (l->fd_free == UINT32_MAX && !table_grow(l))
        return EMFILE;
    uint32_t i = l->fd_free;
    l->fd_free = l->fd_next[i];
    l->fds[i] = s;
    s->fd = BH_FD_BASE + (int)i;
    s->life = SOCK_OPEN;
    return 0;
}

void
table_remove(struct lib *l, struct sock *s)
{
    uint32_t i = (uint32_t)(s->fd - BH_FD_BASE);
    l->fds[i] = NULL;
    l->fd_next[i] = l->fd_free;
    l->fd_free = i;
    s->fd = -1;
}

struct sock *
lib_find(struct lib *l, int fd)
{
    uint32_t i = (uint32_t)fd - BH_FD_BASE;
    return fd >= BH_FD_BASE && i < l->n_fds ? l->fds[i] : NULL;
}

struct sock *
lib_sock(struct lib *l, int fd)
{
    struct sock *s = lib_find(l, fd);
    if (s != NULL)
        s->users++;
    else
        errno = EBADF;
    return s;
}

void
sock_put(struct lib *l, struct sock *s)
{
    if (--s->users == 0 && s->closed)
        sock_end(l, s);
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
                       .fd = -1,
                       .life = SOCK_QUEUED,
                       .epoch = epoch,
                       .arm_gen = arm_gen};
    list_init(&s->holder);
    list_init(&s->owing);
    list_init(&s->ready);
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
    atomic_store_explicit(&c->arm, s->arm_gen << 2, memory_order_relaxed);
}

static void
sock_free(struct sock *s)
{
    struct att *a = s->att;
    slot_clear(s);
    watch_forget(s);
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
    watch_forget(s);
    s->refused = s->life == SOCK_QUEUED;
    s->life = SOCK_CLOSING;
    if (a->down || s->gone) {
        sock_free(s);
        att_free_if_unused(a);
    } else {
        sock_owe(s, OWE_CLOSE);
    }
}
