/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#define SLOTS_MAX 65536u
#define PAGES_MAX (1u << 20) /* 4 GiB a half */
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
           g->n_tx_pages <= PAGES_MAX && g->n_rx_pages >= 1 && g->n_rx_pages <= PAGES_MAX &&
           power_of_two(g->n_req) && g->n_req <= RING_MAX && power_of_two(g->n_evt) &&
           g->n_evt <= RING_MAX;
}

static size_t
half_bytes(uint32_t n_desc, size_t desc, uint32_t n_slots, size_t slot, uint32_t n_pages,
           size_t *slots_at, size_t *pages_at)
{
    size_t at = sizeof(struct half_head) + n_desc * desc;
    *slots_at = at = ALIGN_UP(at, (size_t)CACHE_LINE);
    at += n_slots * slot;
    *pages_at = at = ALIGN_UP(at, (size_t)FIFO_PAGE);
    return at + (size_t)n_pages * FIFO_PAGE;
}

static size_t
client_half(const struct arena_geometry *g, size_t *slots_at, size_t *pages_at)
{
    return half_bytes(g->n_req, sizeof(struct sess_req), g->n_slots, sizeof(struct slot_client),
                      g->n_tx_pages, slots_at, pages_at);
}

static size_t
domain_half(const struct arena_geometry *g, size_t *slots_at, size_t *pages_at)
{
    return half_bytes(g->n_evt, sizeof(struct sess_evt), g->n_slots, sizeof(struct slot_domain),
                      g->n_rx_pages, slots_at, pages_at);
}

size_t
arena_client_bytes(const struct arena_geometry *g)
{
    size_t s, p;
    return arena_geometry_check(g) ? client_half(g, &s, &p) : 0;
}

size_t
arena_domain_bytes(const struct arena_geometry *g)
{
    size_t s, p;
    return arena_geometry_check(g) ? domain_half(g, &s, &p) : 0;
}

void
arena_view_init(struct arena_view *v, const struct arena_geometry *g, void *client,
                void *domain)
{
    size_t s, p;
    uint8_t *c = client, *d = domain;
    v->g = *g;
    client_half(g, &s, &p);
    v->c_head = client;
    v->req = (struct sess_req *)(void *)(c + sizeof(struct half_head));
    v->c_slot = (struct slot_client *)(void *)(c + s);
    v->tx_page = c + p;
    domain_half(g, &s, &p);
    v->d_head = domain;
    v->evt = (struct sess_evt *)(void *)(d + sizeof(struct half_head));
    v->d_slot = (struct slot_domain *)(void *)(d + s);
    v->rx_page = d + p;
}
