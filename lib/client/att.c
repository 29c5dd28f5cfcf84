/* SPDX-License-Identifier: BSD-2-Clause
 *
 * att.c: an attachment as such: its beginning once the arena is there, and its end.
 */
#include "private.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int
att_init(struct att *a, struct lib *l, int proto, const struct arena_geometry *g)
{
    memset(a, 0, sizeof *a);
    a->l = l;
    a->shared = share_wanted;
    a->proto = proto;
    a->v.g = *g;
    a->fd_sup = a->fd_hold = a->bell.fd = a->ringer.fd = -1;
    list_init(&a->holders);
    list_init(&a->owing);
    list_init(&a->creators);
    a->sock = share_alloc(a->shared, g->n_slots, sizeof *a->sock);
    uint32_t *stack = share_alloc(a->shared, g->n_tx_pages, sizeof *stack);
    if (stack != NULL)
        page_pool_init(&a->pages, g->n_tx_pages, stack);
    return a->sock != NULL && stack != NULL ? share_init(a) : ENOMEM;
}

void
att_start(struct att *a, int fd_sleep, int fd_ring)
{
    arena_view_init(&a->v, &a->v.g, a->half[0], a->half[1]);
    struct half_head *ours = a->v.c_head, *theirs = a->v.d_head;
    ring_tx_init(&a->req, &ours->tail, &theirs->head, a->v.g.n_req);
    ring_rx_init(&a->evt, &theirs->tail, &ours->head, a->v.g.n_evt);
    bell_sleeper_init(&a->bell, &ours->want, fd_sleep);
    bell_sleeper_init(&a->space, &ours->want_space, fd_sleep);
    bell_ringer_init(&a->ringer, &theirs->want, fd_ring);
    a->lost_seen = atomic_load_explicit(&theirs->lost, memory_order_relaxed);
}

void
att_free(struct att *a)
{
    for (unsigned i = 0; i < 2 && a->mapped; i++)
        if (a->half[i] != NULL)
            munmap(a->half[i], a->half_size[i]);
    bool shared = a->shared;
    const int fds[] = {a->fd_sup, a->fd_hold, a->bell.fd, a->ringer.fd};
    for (unsigned i = 0; i < ARRAY_LEN(fds) && a->mapped; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    share_free(shared, a->sock, a->v.g.n_slots * sizeof *a->sock);
    share_free(shared, a->pages.stack, a->v.g.n_tx_pages * sizeof *a->pages.stack);
    share_free(shared, a, sizeof *a);
}

int
bh_test_attach(struct lib *l, int proto, const struct arena_geometry *g, void *client_half,
               void *domain_half, int fd_sleep, int fd_ring)
{
    unsigned i = att_index(proto);
    if (l->att[i] != NULL || !arena_geometry_check(g))
        return EINVAL;
    struct att *a = share_alloc(share_wanted, 1, sizeof *a);
    if (a == NULL)
        return ENOMEM;
    int err = att_init(a, l, proto, g);
    if (err != 0) {
        att_free(a);
        return err;
    }
    a->half[0] = client_half;
    a->half[1] = domain_half;
    att_start(a, fd_sleep, fd_ring);
    l->att[i] = a;
    return watch_add_att(l, a);
}

/* ---- the end of one ---- */

void
att_down(struct att *a)
{
    struct lib *l = a->l;
    if (a->down)
        return;
    a->down = true;
    watch_drop_att(l, a);
    for (uint32_t i = 0; i < a->v.g.n_slots; i++) {
        struct sock *s = &a->sock[i];
        if (s->life == SOCK_OPEN)
            watch_touch(l, s);
        else if (s->life == SOCK_CLOSING)
            sock_freed(s); /* nobody else will say so */
    }
    lib_wake_all(l);
}

void
att_check(struct att *a)
{
    char byte;
    if (a->fd_sup < 0)
        return;
    /* It has nothing more to say to us: data is as bad as the end. */
    ssize_t n = recv(a->fd_sup, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 && a->shared && standin_take_late(a->l, a))
        return;
    if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        att_down(a);
}

void
att_free_if_unused(struct att *a)
{
    struct lib *l = a->l;
    if (!a->down || a->users > 0 || a->n_socks > 0 || !list_empty(&a->creators))
        return;
    for (unsigned i = 0; i < ATTS; i++)
        if (l->att[i] == a)
            l->att[i] = NULL;
    standin_drop_spares(l, att_index(a->proto));
    if (a->shared)
        pthread_mutex_unlock(&a->lock);
    att_free(a);
}
