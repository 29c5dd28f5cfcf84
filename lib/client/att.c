/* SPDX-License-Identifier: BSD-2-Clause
 *
 * att.c: an attachment as such: its beginning once the arena is there, and its end.
 */
#include "private.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The books of an attachment: it, its sockets, its free pages. */
static size_t
books_bytes(const struct arena_geometry *g)
{
    return ALIGN_UP(sizeof(struct att), CACHE_LINE) + g->n_slots * sizeof(struct sock) +
           g->n_tx_pages * sizeof(uint32_t);
}

static int
books_init(struct att *a, struct lib *l, int proto, const struct arena_geometry *g)
{
    uint8_t *at = (uint8_t *)a + ALIGN_UP(sizeof *a, CACHE_LINE);
    a->l = l;
    a->shared = share_wanted;
    a->proto = proto;
    a->v.g = *g;
    list_init(&a->holders);
    list_init(&a->owing);
    list_init(&a->creators);
    a->sock = (struct sock *)(void *)at;
    page_pool_init(&a->pages, g->n_tx_pages, (uint32_t *)(void *)(a->sock + g->n_slots));
    return share_init(a);
}

struct own *
att_new(struct lib *l, int proto, const struct arena_geometry *g, size_t halves)
{
    struct own *o = calloc(1, sizeof *o);
    size_t bytes = books_bytes(g);
    if (o == NULL)
        return NULL;
    o->sup = o->hold = o->sleep = o->ring = o->letter = -1;
    o->memory[L_BOOKS] = o->memory[L_CLIENT] = o->memory[L_DOMAIN] = -1;
    if (share_wanted)
        bytes = ALIGN_UP(bytes, FIFO_PAGE);
    o->a = share_wanted ? share_books(bytes, halves, &o->memory[L_BOOKS]) : calloc(1, bytes);
    if (o->a == NULL) {
        free(o);
        return NULL;
    }
    o->a->bytes = bytes;
    if (books_init(o->a, l, proto, g) == 0)
        return o;
    att_free(o);
    return NULL;
}

void
att_start(struct att *a)
{
    arena_view_init(&a->v, &a->v.g, a->half[0], a->half[1]);
    struct half_head *ours = a->v.c_head, *theirs = a->v.d_head;
    ring_tx_init(&a->req, &ours->tail, &theirs->head, a->v.g.n_req);
    ring_rx_init(&a->evt, &theirs->tail, &ours->head, a->v.g.n_evt);
    bell_sleeper_init(&a->bell, &ours->want, -1);
    bell_sleeper_init(&a->space, &ours->want_space, -1);
    bell_ringer_init(&a->ringer, &theirs->want, -1);
    a->lost_seen = atomic_load_explicit(&theirs->lost, memory_order_relaxed);
}

void
att_free(struct own *o)
{
    struct att *a = o->a;
    int *fd[] = {&o->sup,
                 &o->hold,
                 &o->sleep,
                 &o->ring,
                 &o->memory[L_BOOKS],
                 &o->memory[L_CLIENT],
                 &o->memory[L_DOMAIN],
                 o->letter_of == att_lib(a)->pid ? &o->letter : NULL};
    standin_drop_spares(o);
    for (unsigned i = 0; i < ARRAY_LEN(fd); i++)
        if (fd[i] != NULL && a->mapped)
            close_if_open(fd[i]);
    for (unsigned i = 0; i < 2 && a->mapped; i++)
        if (a->half[i] != NULL)
            munmap(a->half[i], a->half_size[i]);
    if (a->shared)
        munmap(a, a->bytes);
    else
        free(a);
    free(o);
}

void
own_add(struct lib *l, struct own *o)
{
    struct own **at = &l->own;
    while (*at != NULL && (uintptr_t)(*at)->a < (uintptr_t)o->a)
        at = &(*at)->next;
    o->next = *at;
    *at = o;
}

void
own_remove(struct lib *l, struct own *o)
{
    struct own **at = &l->own;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    for (unsigned i = 0; i < ATTS; i++)
        if (l->att[i] == o->a)
            l->att[i] = NULL;
}

int
bh_test_attach(struct lib *l, int proto, const struct arena_geometry *g, void *client_half,
               void *domain_half, int fd_sleep, int fd_ring)
{
    unsigned i = att_index(proto);
    if (l->att[i] != NULL || !arena_geometry_check(g))
        return EINVAL;
    struct own *o = att_new(l, proto, g, 0);
    if (o == NULL)
        return ENOMEM;
    o->a->half[0] = client_half;
    o->a->half[1] = domain_half;
    o->sleep = fd_sleep;
    o->ring = fd_ring;
    att_start(o->a);
    own_add(l, o);
    l->att[i] = o->a;
    return watch_add_att(l, o->a);
}

/* ---- the end of one ---- */

void
att_down(struct att *a)
{
    struct lib *l = att_lib(a);
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
    int sup = own_of(a)->sup;
    if (sup < 0)
        return;
    if (unlikely(share_confined)) {
        struct pollfd p = {.fd = sup, .events = POLLIN};
        if (poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
            att_down(a);
        return;
    }
    /* It has nothing more to say to us: data is as bad as the end. */
    ssize_t n = recv(sup, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 && a->shared && standin_take_late(a))
        return;
    if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        att_down(a);
}

void
att_free_if_unused(struct att *a)
{
    if (!a->down || a->shared) /* share_let_go */
        return;
    struct own *o = own_of(a);
    if (o->users > 0 || a->n_socks > 0 || !list_empty(&a->creators))
        return;
    own_remove(a->l, o);
    att_free(o);
}
