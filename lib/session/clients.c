/* SPDX-License-Identifier: BSD-2-Clause */
#include "clients.h"

#include <errno.h>
#include <stdatomic.h>

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

int
clients_add(struct clients *cs, uint32_t id, const struct arena_view *v,
            const struct sess_limits *limits)
{
    if (id >= CLIENTS_MAX || !arena_geometry_check(&v->g))
        return EINVAL;
    struct client *c = &cs->c[id];
    if (c->used)
        return EEXIST;
    *c = (struct client){
        .used = true, .v = *v, .limits = *limits, .head = SESS_NONE, .tail = SESS_NONE};
    clients_rebuild(cs, id);
    return 0;
}

void
clients_rebuild(struct clients *cs, uint32_t id)
{
    struct client *c = &cs->c[id];
    const struct arena_geometry *g = &c->v.g;
    c->n_slots_free = 0;
    for (uint32_t i = g->n_slots; i-- > 0;)
        if (!(get(c->v.d_slot[i].state) & SLOT_OPEN))
            c->v.slot_stack[c->n_slots_free++] = i;
    /* Which pages does a directory use? The stack itself serves as the mark. */
    uint32_t *mark = c->v.page_stack;
    memset(mark, 0, g->n_rx_pages * sizeof *mark);
    for (uint32_t i = 0; i < g->n_slots; i++)
        dir_mark(&c->v.d_slot[i].rx_dir, c->v.rx_page, g->n_rx_pages, mark);
    uint32_t n_free = 0; /* never ahead of i: the marks are read before they are overwritten */
    for (uint32_t i = 0; i < g->n_rx_pages; i++)
        if (mark[i] == 0)
            mark[n_free++] = i;
    c->pages = (struct page_pool){.n = g->n_rx_pages, .n_free = n_free, .stack = mark};
}

void
clients_remove(struct clients *cs, uint32_t id)
{
    memset(&cs->c[id], 0, sizeof cs->c[id]);
    cs->ready[id / 64] &= ~(1ull << (id % 64));
}

uint64_t
client_answer(struct client *c, const void *from, size_t len)
{
    uint64_t n = ++c->answers, word;
    struct answer *a = &c->v.answer[n % ARENA_ANSWERS];
    const uint8_t *p = from;
    set(a->number, 0);
    atomic_thread_fence(memory_order_release);
    len = len < sizeof a->word ? len : sizeof a->word;
    for (size_t at = 0; at < len; at += sizeof word) {
        word = 0;
        memcpy(&word, p + at, len - at < sizeof word ? len - at : sizeof word);
        set(a->word[at / sizeof word], word);
    }
    set(a->len, (uint32_t)len);
    atomic_store_explicit(&a->number, n, memory_order_release);
    return n;
}

uint32_t
client_slot_take(struct client *c)
{
    if (c->n_slots_free == 0)
        return SESS_NONE;
    uint32_t slot = c->v.slot_stack[--c->n_slots_free];
    struct slot_domain *d = &c->v.d_slot[slot];
    uint32_t generation = get(d->generation) + 1;
    memset((void *)d, 0, sizeof *d);
    set(d->generation, generation);
    return slot;
}

void
client_slot_give(struct client *c, uint32_t slot)
{
    fifo_rx_clear(&c->v, slot, &c->pages);
    set(c->v.d_slot[slot].state, 0);
    c->v.slot_stack[c->n_slots_free++] = slot;
}

void
client_event(struct clients *cs, struct client_link *l, uint32_t sess, enum evt_kind kind,
             client_link_of *link_of, void *ctx)
{
    struct client *c = clients_get(cs, l->client);
    if (c == NULL || c->gone)
        return;
    l->events |= (uint8_t)(1u << kind);
    if (l->queued)
        return;
    l->queued = true;
    l->next = SESS_NONE;
    if (c->tail == SESS_NONE)
        c->head = sess;
    else
        link_of(ctx, c->tail)->next = sess;
    c->tail = sess;
    cs->ready[l->client / 64] |= 1ull << (l->client % 64);
}

uint32_t
client_next(struct clients *cs, uint32_t id, client_link_of *link_of, void *ctx)
{
    struct client *c = clients_get(cs, id);
    if (c == NULL || c->head == SESS_NONE)
        return SESS_NONE;
    uint32_t sess = c->head;
    struct client_link *l = link_of(ctx, sess);
    c->head = l->next;
    l->queued = false;
    if (c->head == SESS_NONE) {
        c->tail = SESS_NONE;
        cs->ready[id / 64] &= ~(1ull << (id % 64));
    }
    return sess;
}

void
client_forget(struct clients *cs, struct client_link *l, uint32_t sess, client_link_of *link_of,
              void *ctx)
{
    struct client *c = clients_get(cs, l->client);
    l->events = 0;
    if (!l->queued || c == NULL)
        return;
    l->queued = false;
    uint32_t prev = SESS_NONE;
    for (uint32_t s = c->head; s != SESS_NONE; s = link_of(ctx, s)->next) {
        if (s == sess) {
            if (prev == SESS_NONE)
                c->head = l->next;
            else
                link_of(ctx, prev)->next = l->next;
            if (c->tail == sess)
                c->tail = prev;
            break;
        }
        prev = s;
    }
    if (c->head == SESS_NONE)
        cs->ready[l->client / 64] &= ~(1ull << (l->client % 64));
}

void
client_wake(struct clients *cs, struct client_link *l, uint32_t sess, client_link_of *link_of,
            void *ctx)
{
    struct client *c = clients_get(cs, l->client);
    if (c == NULL || l->slot == SESS_NONE)
        return;
    const struct slot_client *sc = &c->v.c_slot[l->slot];
    struct slot_domain *sd = &c->v.d_slot[l->slot];
    /* Pairs with the client's fence between arming and looking again. */
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t arm = get(sc->arm);
    if (arm >> 2 == l->posted || (arm & (SLOT_READ | SLOT_WRITE)) == 0)
        return;
    uint32_t state = get(sd->state), err = get(sd->err);
    uint64_t rx_tail = get(sd->rx_tail), rx_head = get(sc->rx_head), tx_tail = get(sc->tx_tail);
    bool hit = ((arm & SLOT_READ) && slot_readable(state, err, rx_tail, rx_head) &&
                slot_lowat_ok(get(sd->rcvlowat), state, err, rx_tail - rx_head)) ||
               ((arm & SLOT_WRITE) &&
                slot_writable(state, err, get(sd->sndbuf), tx_tail, get(sd->tx_head)) &&
                (err != 0 || (state & (SLOT_NOSEND | SLOT_DEAD)) != 0 ||
                 slot_notsent_ok(get(sd->notsent), tx_tail, get(sd->tx_sent))));
    if (!hit)
        return;
    l->posted = arm >> 2;
    client_event(cs, l, sess, EVT_READY, link_of, ctx);
}

void
client_set_err(struct slot_domain *d, int err)
{
    set(d->err, (uint32_t)err);
    set(d->err_seq, get(d->err_seq) + 1);
}
