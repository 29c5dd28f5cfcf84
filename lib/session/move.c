/* SPDX-License-Identifier: BSD-2-Clause */
#include "move.h"

#include <errno.h>

#include "base/siphash.h"

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

int
move_begin(struct sess_move *m, struct move_way *w, uint32_t to_client, uint64_t rx,
           uint64_t tx, ns_t now)
{
    uint32_t slot = client_slot_take(w->to);
    if (slot == SESS_NONE)
        return EMFILE;
    m->to_client = to_client;
    m->to_slot = slot;
    m->rx_at = rx;
    m->tx_at = tx;
    m->copying = true;
    m->patience = now + MOVE_PATIENCE;
    return 0;
}

void
move_undo(struct sess_move *m, struct client *to)
{
    if (!m->copying)
        return;
    m->copying = false;
    if (to != NULL)
        client_slot_give(to, m->to_slot);
}

/* One piece, in one page. Returns its length, 0: no page. */
static uint32_t
copy_piece(struct sess_move *m, struct move_way *w, bool tx, uint64_t at, uint64_t end)
{
    const struct arena_view *from = &w->from->v, *to = &w->to->v;
    struct page_pool *p = &w->to->pages;
    uint32_t n = (uint32_t)min_u64(end - at, FIFO_PAGE - at % FIFO_PAGE);
    struct fifo_dir *dir =
        tx ? fifo_moved_make(to, m->to_slot, p) : &to->d_slot[m->to_slot].rx_dir;
    if (dir == NULL || !dir_add(dir, to->rx_page, p, at))
        return 0;
    uint32_t page = fifo_find(dir, to->rx_page, p->n, at);
    if (page >= p->n)
        return 0;
    uint8_t *dst = to->rx_page + (size_t)page * FIFO_PAGE + at % FIFO_PAGE;
    if (tx)
        fifo_tx_read(from, w->from_slot, at, dst, n);
    else
        fifo_rx_read(from, w->from_slot, at, dst, n);
    return n;
}

int
move_copy(struct sess_move *m, struct move_way *w, uint64_t rx_end, uint64_t tx_end)
{
    uint32_t done = 0;
    while (m->rx_at < rx_end || m->tx_at < tx_end) {
        bool tx = m->rx_at >= rx_end;
        uint64_t *at = tx ? &m->tx_at : &m->rx_at;
        if (done >= MOVE_CHUNK)
            return EINPROGRESS;
        uint32_t n = copy_piece(m, w, tx, *at, tx ? tx_end : rx_end);
        if (n == 0) {
            move_undo(m, w->to);
            return ENOBUFS;
        }
        *at += n;
        done += n;
        w->copied += n;
    }
    set(w->to->v.d_slot[m->to_slot].moved_end, tx_end);
    return 0;
}

/* ---- tokens ---- */

bool
move_token_ok(const struct sess_move *m, const uint64_t token[2], ns_t now)
{
    /* Every bit is looked at, however many fit. */
    uint64_t differ = (m->token[0] ^ token[0]) | (m->token[1] ^ token[1]);
    return differ == 0 && m->until > now;
}

void
move_token_new(struct sess_move *m, const uint8_t key[16], uint64_t nonce, uint64_t handle,
               ns_t now)
{
    m->until = 0;
    move_in_order();
    /* Words of a number and kind that nothing else is hashed with. */
    for (uint64_t i = 0; i < 2; i++) {
        const uint64_t w[6] = {0x746f6b656eull,          i, nonce, now, handle,
                               m->token[0] ^ m->token[1]};
        m->token[i] = siphash_words(key, w, ARRAY_LEN(w));
    }
    m->handle = handle;
    set(m->state, get(m->state) & ~MOVE_DONE);
    move_in_order();
    m->until = now + TOKEN_TIME;
}

/* ---- the giver's slot ---- */

void
move_slot_given(struct client *from, uint32_t slot, uint32_t sess, uint64_t handle)
{
    struct slot_domain *d = &from->v.d_slot[slot];
    fifo_rx_clear(&from->v, slot, &from->pages);
    fifo_moved_clear(&from->v, slot, &from->pages);
    set(d->told, 0);
    set(d->given, sess);
    set(d->given_handle, handle);
    atomic_store_explicit(&d->state, SLOT_OPEN | SLOT_GIVEN | SLOT_DEAD, memory_order_release);
}

void
move_slot_settle(const struct arena_view *v, uint32_t slot, uint32_t sess, uint64_t handle)
{
    struct slot_domain *d = &v->d_slot[slot];
    memset((void *)&d->rx_dir, 0, sizeof d->rx_dir);
    set(d->moved, 0);
    set(d->told, 0);
    set(d->given, sess);
    set(d->given_handle, handle);
    set(d->state, SLOT_OPEN | SLOT_GIVEN | SLOT_DEAD);
}

void
move_slot_release(struct client *c, uint32_t slot)
{
    if (slot < c->v.g.n_slots && (get(c->v.d_slot[slot].state) & SLOT_GIVEN))
        client_slot_give(c, slot);
}
