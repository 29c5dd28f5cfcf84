/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "session/clients.h"
#include "session/fifo.h"
#include "wire/csum.h"

#define SLOTS 3u
#define PAGES 8u

static struct arena_view v;
static struct page_pool pool;
static uint8_t data[3 * FIFO_PAGE], back[3 * FIFO_PAGE];

static void
setup(void)
{
    struct arena_geometry g = {
        .n_slots = SLOTS, .n_tx_pages = PAGES, .n_rx_pages = PAGES, .n_req = 8, .n_evt = 8};
    /* Behind the client half lies a page that must never be read. */
    void *c = aligned_alloc(FIFO_PAGE, arena_client_bytes(&g) + FIFO_PAGE);
    void *d = aligned_alloc(FIFO_PAGE, arena_domain_bytes(&g));
    memset(c, 0xee, arena_client_bytes(&g) + FIFO_PAGE);
    memset(c, 0, arena_client_bytes(&g));
    memset(d, 0, arena_domain_bytes(&g));
    arena_view_init(&v, &g, c, d);
    page_pool_init(&pool, PAGES, v.page_stack);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
}

/* Read a receive FIFO as the client does. */
static void
client_read(uint32_t slot, uint64_t at, uint8_t *dst, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++, at++) {
        uint32_t e = v.d_slot[slot].rx_dir[at / FIFO_PAGE % FIFO_DIR];
        cr_assert(e >= 1 && e <= PAGES);
        dst[i] = v.rx_page[(size_t)(e - 1) * FIFO_PAGE + at % FIFO_PAGE];
    }
}

/* Offsets around page borders and around the places where 32 bits and the directory wrap. */
static const uint64_t starts[] = {0,
                                  1,
                                  FIFO_PAGE - 1,
                                  FIFO_MAX - 3,
                                  0xfffffff0u,
                                  0xffffffffu - FIFO_PAGE,
                                  (1ull << 52) - 5,
                                  UINT64_MAX - 2 * FIFO_PAGE};

/* Protects the receive path: what is written at any offset is what the client reads, and the
 * sum is that of the bytes, however pages cut them. */
Test(fifo, receive, .init = setup)
{
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        for (uint32_t len = 1; len < 2 * FIFO_PAGE; len += 997) {
            cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, starts[i], len), len);
            uint32_t sum = fifo_rx_write_csum(&v, 1, starts[i], data, len);
            cr_assert_eq(csum_fold(sum), csum_fold(csum_bytes(data, len)));
            client_read(1, starts[i], back, len);
            cr_assert_eq(memcmp(back, data, len), 0);
            fifo_rx_write(&v, 1, starts[i], data + 1, len);
            client_read(1, starts[i], back, len);
            cr_assert_eq(memcmp(back, data + 1, len), 0);
            fifo_rx_clear(&v, 1, &pool);
            cr_assert_eq(pool.n_free, PAGES);
        }
}

/* Protects the pool: it ends, says how far it got, and gets each page back once. */
Test(fifo, pages_run_out, .init = setup)
{
    uint64_t from = 0xfffffff0u;
    uint32_t first = FIFO_PAGE - (uint32_t)(from % FIFO_PAGE);
    uint32_t got = fifo_rx_prepare(&v, 0, &pool, from, 20 * FIFO_PAGE);
    cr_assert_eq(got, first + (PAGES - 1) * FIFO_PAGE);
    cr_assert_eq(pool.n_free, 0);
    cr_assert_eq(fifo_rx_prepare(&v, 0, &pool, from, got), got, "they are there already");
    cr_assert_eq(fifo_rx_prepare(&v, 2, &pool, 0, 1), 0);
    fifo_rx_free(&v, 0, &pool, from, from + first - 1);
    cr_assert_eq(pool.n_free, 0, "a page in part in use stays");
    fifo_rx_free(&v, 0, &pool, from, from + first + FIFO_PAGE);
    cr_assert_eq(pool.n_free, 2);
    fifo_rx_free(&v, 0, &pool, from, from + first + FIFO_PAGE);
    cr_assert_eq(pool.n_free, 2, "twice gives nothing");
    fifo_rx_clear(&v, 0, &pool);
    cr_assert_eq(pool.n_free, PAGES);
    cr_assert(page_pool_validate(&pool));
    uint32_t seen = 0;
    for (uint32_t i = 0; i < PAGES; i++)
        seen |= 1u << pool.stack[i];
    cr_assert_eq(seen, (1u << PAGES) - 1, "every page once");
}

/* Protects against a length larger than the directory: no page is named twice. */
Test(fifo, longer_than_the_directory, .init = setup)
{
    cr_assert_leq(fifo_rx_prepare(&v, 0, &pool, 100, UINT32_MAX), FIFO_MAX);
    fifo_rx_clear(&v, 0, &pool);
    fifo_rx_write(&v, 0, 0, data, sizeof data); /* nowhere: dropped */
    cr_assert_eq(csum_fold(fifo_rx_write_csum(&v, 0, 1, data, sizeof data)),
                 csum_fold(csum_bytes(data, sizeof data)));
}

/* Protects the transmit path: bytes and sum, at every start and across odd page borders. */
Test(fifo, transmit, .init = setup)
{
    for (uint32_t i = 0; i < FIFO_DIR; i++)
        v.c_slot[2].tx_dir[i] = i % PAGES + 1;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        for (uint32_t len = 1; len < 2 * FIFO_PAGE; len += 997) {
            for (uint32_t k = 0; k < len; k++) {
                uint64_t at = starts[i] + k;
                uint32_t page = (uint32_t)(at / FIFO_PAGE % FIFO_DIR % PAGES);
                v.tx_page[(size_t)page * FIFO_PAGE + at % FIFO_PAGE] = data[k];
            }
            uint32_t sum = fifo_tx_read_csum(&v, 2, starts[i], back, len);
            cr_assert_eq(memcmp(back, data, len), 0);
            cr_assert_eq(csum_fold(sum), csum_fold(csum_bytes(data, len)));
            memset(back, 0, len);
            fifo_tx_read(&v, 2, starts[i], back, len);
            cr_assert_eq(memcmp(back, data, len), 0);
        }
}

/* Protects against what a client may write into its directory: every number past the end, and
 * none at all, reads as zeros. */
Test(fifo, hostile_directory, .init = setup)
{
    static const uint32_t evil[] = {0, PAGES + 1, PAGES + 2, 0x80000000u, UINT32_MAX};
    memset(v.tx_page, 0xaa, PAGES * FIFO_PAGE);
    for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
        v.c_slot[0].tx_dir[0] = 1;
        v.c_slot[0].tx_dir[1] = evil[i];
        memset(back, 0x55, sizeof back);
        uint32_t sum = fifo_tx_read_csum(&v, 0, FIFO_PAGE - 1, back, 9);
        cr_assert_eq(back[0], 0xaa);
        for (int k = 1; k < 9; k++)
            cr_assert_eq(back[k], 0, "entry %u", evil[i]);
        cr_assert_eq(csum_fold(sum), csum_fold(csum_bytes(back, 9)));
        fifo_tx_read(&v, 0, FIFO_PAGE, back, 3);
        cr_assert(back[0] == 0 && back[2] == 0);
    }
    v.c_slot[0].tx_dir[1] = PAGES; /* the last one that exists */
    fifo_tx_read(&v, 0, FIFO_PAGE, back, 1);
    cr_assert_eq(back[0], 0xaa);
}

/* Protects the rebuild after a crash: pages that a directory names are not free. */
Test(fifo, rebuild, .init = setup)
{
    static struct clients cs;
    struct sess_limits limits = {.sessions = 3};
    cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, 0xfffffff0u, 3 * FIFO_PAGE), 3 * FIFO_PAGE);
    uint32_t left = pool.n_free;
    v.d_slot[1].state = SLOT_OPEN;
    cr_assert_eq(clients_add(&cs, 5, &v, &limits), 0);
    struct client *c = clients_get(&cs, 5);
    cr_assert_eq(c->pages.n_free, left);
    cr_assert_eq(c->n_slots_free, SLOTS - 1);
    client_slot_give(c, 1);
    cr_assert_eq(c->pages.n_free, PAGES);
    cr_assert_eq(c->n_slots_free, SLOTS);
    cr_assert(page_pool_validate(&c->pages));
}
