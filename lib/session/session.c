/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#define SLOTS_MAX 65536u
#define RING_MAX 65536u

static bool
power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

bool
arena_geometry_check(const struct arena_geometry *g)
{
    return g->n_slots >= 1 && g->n_slots <= SLOTS_MAX && g->n_tx_pages >= 1 &&
           g->n_tx_pages <= HALF_PAGES_MAX && g->n_rx_pages >= 1 &&
           g->n_rx_pages <= HALF_PAGES_MAX && power_of_two(g->n_req) && g->n_req <= RING_MAX &&
           power_of_two(g->n_evt) && g->n_evt <= RING_MAX;
}

/* Running offset of parts that follow each other in a half. */
static size_t
place(size_t *at, size_t bytes, size_t align)
{
    size_t here = ALIGN_UP(*at, align);
    *at = here + bytes;
    return here;
}

/* Fill in the view's offsets (as pointers from `base`); returns the bytes of the half. */
static size_t
client_half(struct arena_view *v, const struct arena_geometry *g, uint8_t *base)
{
    size_t at = sizeof(struct half_head);
    size_t req = place(&at, g->n_req * sizeof(struct sess_req), CACHE_LINE);
    size_t slot = place(&at, g->n_slots * sizeof(struct slot_client), CACHE_LINE);
    size_t page = place(&at, (size_t)g->n_tx_pages * FIFO_PAGE, FIFO_PAGE);
    if (base != NULL) {
        v->c_head = (struct half_head *)(void *)base;
        v->req = (struct sess_req *)(void *)(base + req);
        v->c_slot = (struct slot_client *)(void *)(base + slot);
        v->tx_page = base + page;
    }
    return at;
}

static size_t
domain_half(struct arena_view *v, const struct arena_geometry *g, uint8_t *base)
{
    size_t at = sizeof(struct half_head);
    size_t evt = place(&at, g->n_evt * sizeof(struct sess_evt), CACHE_LINE);
    size_t slot = place(&at, g->n_slots * sizeof(struct slot_domain), CACHE_LINE);
    size_t pages = place(&at, g->n_rx_pages * sizeof(uint32_t), CACHE_LINE);
    size_t slots = place(&at, g->n_slots * sizeof(uint32_t), CACHE_LINE);
    size_t handles = place(&at, arena_handles_bytes(g), CACHE_LINE);
    size_t answer = place(&at, ARENA_ANSWERS * sizeof(struct answer), CACHE_LINE);
    size_t standin = place(&at, arena_standins(g) * sizeof(struct standin), CACHE_LINE);
    size_t page = place(&at, (size_t)g->n_rx_pages * FIFO_PAGE, FIFO_PAGE);
    if (base != NULL) {
        v->d_head = (struct half_head *)(void *)base;
        v->evt = (struct sess_evt *)(void *)(base + evt);
        v->d_slot = (struct slot_domain *)(void *)(base + slot);
        v->page_stack = (uint32_t *)(void *)(base + pages);
        v->slot_stack = (uint32_t *)(void *)(base + slots);
        v->handles = base + handles;
        v->answer = (struct answer *)(void *)(base + answer);
        v->standin = (struct standin *)(void *)(base + standin);
        v->rx_page = base + page;
    }
    return at;
}

size_t
arena_client_bytes(const struct arena_geometry *g)
{
    return arena_geometry_check(g) ? client_half(NULL, g, NULL) : 0;
}

size_t
arena_domain_bytes(const struct arena_geometry *g)
{
    return arena_geometry_check(g) ? domain_half(NULL, g, NULL) : 0;
}

void
arena_view_init(struct arena_view *v, const struct arena_geometry *g, void *client,
                void *domain)
{
    v->g = *g;
    client_half(v, g, client);
    domain_half(v, g, domain);
}
