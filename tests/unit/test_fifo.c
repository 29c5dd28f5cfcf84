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
setup_pages(uint32_t n)
{
    struct arena_geometry g = {
        .n_slots = SLOTS, .n_tx_pages = n, .n_rx_pages = n, .n_req = 8, .n_evt = 8};
    /* Behind the client half lies a page that must never be read. */
    void *c = aligned_alloc(FIFO_PAGE, arena_client_bytes(&g) + FIFO_PAGE);
    void *d = aligned_alloc(FIFO_PAGE, arena_domain_bytes(&g));
    memset(c, 0xee, arena_client_bytes(&g) + FIFO_PAGE);
    memset(c, 0, arena_client_bytes(&g));
    memset(d, 0, arena_domain_bytes(&g));
    arena_view_init(&v, &g, c, d);
    page_pool_init(&pool, n, v.page_stack);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
}

static void
setup(void)
{
    setup_pages(PAGES);
}

/* Read a receive FIFO as the client does. */
static void
client_read(uint32_t slot, uint64_t at, uint8_t *dst, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++, at++) {
        uint32_t page = fifo_find(&v.d_slot[slot].rx_dir, v.rx_page, pool.n, at);
        cr_assert_lt(page, pool.n);
        dst[i] = v.rx_page[(size_t)page * FIFO_PAGE + at % FIFO_PAGE];
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
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        for (uint32_t len = 1; len < 2 * FIFO_PAGE; len += 997) {
            for (uint32_t k = 0; k < len; k++) {
                uint64_t at = starts[i] + k;
                uint32_t page = (uint32_t)(at / FIFO_PAGE % PAGES);
                v.c_slot[2].tx_dir.page[at / FIFO_PAGE % FIFO_DIR] = fifo_word(at, page);
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
        v.c_slot[0].tx_dir.page[0] = 1;
        v.c_slot[0].tx_dir.page[1] = evil[i];
        memset(back, 0x55, sizeof back);
        uint32_t sum = fifo_tx_read_csum(&v, 0, FIFO_PAGE - 1, back, 9);
        cr_assert_eq(back[0], 0xaa);
        for (int k = 1; k < 9; k++)
            cr_assert_eq(back[k], 0, "entry %u", evil[i]);
        cr_assert_eq(csum_fold(sum), csum_fold(csum_bytes(back, 9)));
        fifo_tx_read(&v, 0, FIFO_PAGE, back, 3);
        cr_assert(back[0] == 0 && back[2] == 0);
    }
    v.c_slot[0].tx_dir.page[1] = PAGES; /* the last one that exists */
    fifo_tx_read(&v, 0, FIFO_PAGE, back, 1);
    cr_assert_eq(back[0], 0xaa);
}

/* ---- large FIFOs ---- */

static void
mark(uint64_t at)
{
    fifo_rx_write(&v, 1, at, &at, sizeof at);
}

static void
expect_mark(uint64_t at)
{
    uint64_t is;
    client_read(1, at, (uint8_t *)&is, sizeof is);
    cr_assert_eq(is, at, "bytes of %lu at %lu", is, at);
}

/* Protects windows of every size that is next to where another level begins or all wraps: a
 * window slides over a stream, every page of it keeps its bytes while it is in it, a map more
 * or less is all that it costs, and in the end nothing is held. */
Test(fifo, windows_of_all_levels)
{
    static const uint32_t windows[] = {1,
                                       FIFO_DIR - 1,
                                       FIFO_DIR,
                                       FIFO_DIR + 1,
                                       FIFO_MAP - 1,
                                       FIFO_MAP,
                                       FIFO_MAP + FIFO_DIR + 1,
                                       FIFO_SPAN / 2,
                                       FIFO_SPAN - 1};
    static const uint64_t from[] = {0, FIFO_MAX - 5ull * FIFO_PAGE, (1ull << 32) - FIFO_PAGE,
                                    (uint64_t)FIFO_MAP * FIFO_PAGE * 5 - 8, 1ull << 50};
    setup_pages(FIFO_SPAN + FIFO_MAPS);
    for (size_t k = 0; k < ARRAY_LEN(windows) * ARRAY_LEN(from); k++) {
        uint32_t w = windows[k / ARRAY_LEN(from)], len = w * FIFO_PAGE;
        uint64_t at = from[k % ARRAY_LEN(from)], head = at, tail = at;
        uint64_t end = at + len + (w < FIFO_MAP ? 3ull * FIFO_MAP * FIFO_PAGE : FIFO_MAX);
        while (head < end) {
            uint32_t more = (uint32_t)min_u64(head + len - tail, 1 + len / 3);
            cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, tail, more), more);
            for (uint64_t p = ALIGN_UP(tail, (uint64_t)FIFO_PAGE); p + 8 <= tail + more;
                 p += FIFO_PAGE)
                mark(p);
            tail += more;
            uint32_t held = fifo_rx_pages(&v, 1);
            cr_assert_eq(held + pool.n_free, pool.n);
            cr_assert_leq(held, w + 1 + (w >= FIFO_DIR ? w / FIFO_MAP + 2 : 0));
            uint64_t next = min_u64(tail, head + 1 + len / 2);
            for (uint64_t p = ALIGN_UP(head, (uint64_t)FIFO_PAGE); p + 8 <= next;
                 p += FIFO_PAGE)
                expect_mark(p);
            fifo_rx_free(&v, 1, &pool, head, next);
            head = next;
        }
        fifo_rx_free(&v, 1, &pool, head, ALIGN_UP(tail, (uint64_t)FIFO_PAGE));
        cr_assert_eq(pool.n_free, pool.n, "window %u from %lu", w, at);
    }
}

/* Protects what came ahead of a gap: pages far ahead are there first, those before them find
 * the places in the slot taken, and letting go of what is ahead leaves the rest. */
Test(fifo, ahead_of_a_gap)
{
    setup_pages(600);
    uint64_t base = 7ull * FIFO_PAGE * FIFO_DIR, ahead = base + 100ull * FIFO_DIR * FIFO_PAGE;
    cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, ahead, 200 * FIFO_PAGE), 200 * FIFO_PAGE);
    cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, base, 200 * FIFO_PAGE), 200 * FIFO_PAGE);
    for (uint64_t i = 0; i < 200; i++) {
        mark(ahead + i * FIFO_PAGE);
        mark(base + i * FIFO_PAGE);
    }
    for (uint64_t i = 0; i < 200; i++) {
        expect_mark(ahead + i * FIFO_PAGE);
        expect_mark(base + i * FIFO_PAGE);
    }
    fifo_rx_free(&v, 1, &pool, base + 150 * FIFO_PAGE, base + FIFO_MAX);
    for (uint64_t i = 0; i < 150; i++)
        expect_mark(base + i * FIFO_PAGE);
    cr_assert_leq(fifo_rx_pages(&v, 1), 152);
    fifo_rx_clear(&v, 1, &pool);
    cr_assert_eq(pool.n_free, pool.n);
}

/* Protects the pool's last pages: a page that needs a map is not taken without it. */
Test(fifo, no_page_for_a_map)
{
    setup_pages(FIFO_DIR + 1);
    cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, 0, FIFO_MAX), FIFO_DIR * FIFO_PAGE);
    cr_assert_eq(pool.n_free, 1);
    fifo_rx_free(&v, 1, &pool, 0, FIFO_PAGE);
    cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, FIFO_PAGE, FIFO_MAX), FIFO_DIR * FIFO_PAGE);
    fifo_rx_clear(&v, 1, &pool);
    cr_assert_eq(pool.n_free, pool.n);
}

/* Protects against maps that lie: their numbers and what they name are the client's. Out of
 * bounds is zeros; in bounds is some page of its own, be it the map itself or another map. */
Test(fifo, hostile_maps, .init = setup)
{
    static const uint32_t evil[] = {0, PAGES + 1, FIFO_PAGE_MASK, 0x80000000u, UINT32_MAX};
    struct fifo_dir *d = &v.c_slot[0].tx_dir;
    uint32_t *map = (uint32_t *)(void *)v.tx_page;
    uint64_t at = 5ull * FIFO_MAP * FIFO_PAGE;
    for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
        memset(v.tx_page, 0xaa, PAGES * FIFO_PAGE);
        memset(back, 0x55, sizeof back);
        d->map[5] = evil[i];
        cr_assert_eq(csum_fold(fifo_tx_read_csum(&v, 0, at, back, 5000)), 0);
        cr_assert(back[0] == 0 && back[4999] == 0, "map %u", evil[i]);
        d->map[5] = 1;
        map[0] = PAGES;
        map[1] = evil[i];
        fifo_tx_read(&v, 0, at, back, 5000);
        cr_assert(back[0] == 0xaa && back[4095] == 0xaa);
        cr_assert(back[4096] == 0 && back[4999] == 0, "entry %u", evil[i]);
    }
    d->map[5] = 0xffe00000u | 1; /* a count is nobody's business */
    map[0] = 1;
    fifo_tx_read(&v, 0, at, back, 4);
    cr_assert_eq(memcmp(back, map, 4), 0, "the map names itself");
    /* A word in the slot that is tagged with another page is not ours, a page number or not. */
    d->page[0] = fifo_word(at, 2) ^ FIFO_MAP_ENTRY;
    fifo_tx_read(&v, 0, at, back, 4);
    cr_assert_eq(memcmp(back, map, 4), 0);
}

/* What slots cost an arena: 50,000 sessions must fit. */
Test(fifo, slots_are_small)
{
    cr_assert_leq(sizeof(struct slot_client) + sizeof(struct slot_domain), 1024);
}

/* Protects: taking in a client touches nothing of its arena, however large that is, since the
 * domain moves no packet meanwhile; slots are used again before new ones; and a successor finds
 * those that were used. */
Test(fifo, a_new_arena_is_not_touched, .init = setup)
{
    static struct clients cs;
    struct sess_limits limits = {.sessions = 3};
    size_t size = arena_domain_bytes(&v.g);
    uint8_t *half = (uint8_t *)v.d_head;
    cr_assert_eq(clients_add(&cs, 5, &v, &limits), 0);
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(half[i], 0, "byte %zu", i);
    struct client *c = clients_get(&cs, 5);
    cr_assert_eq(c->pages.n_free, PAGES);
    cr_assert_eq(c->n_slots_free, SLOTS);
    cr_assert_eq(client_slot_take(c), 0);
    cr_assert_eq(client_slot_take(c), 1);
    v.d_slot[1].state = SLOT_OPEN;
    client_slot_give(c, 0);
    cr_assert_eq(client_slot_take(c), 0);
    client_slot_give(c, 0);
    clients_rebuild(&cs, 5); /* as a successor does */
    cr_assert_eq(c->n_slots_free, SLOTS - 1);
    for (uint32_t i = 0; i < SLOTS; i++)
        cr_assert_eq(client_slot_take(c), i == 0 ? 0 : i + 1 < SLOTS ? i + 1 : SESS_NONE);
    cr_assert_eq(c->n_slots_free, 0);
}

/* Protects the rebuild after a crash: pages that a directory names are not free. */
Test(fifo, rebuild, .init = setup)
{
    static struct clients cs;
    struct sess_limits limits = {.sessions = 3};
    cr_assert_eq(fifo_rx_prepare(&v, 1, &pool, 0xfffffff0u, 3 * FIFO_PAGE), 3 * FIFO_PAGE);
    uint32_t left = pool.n_free;
    v.d_slot[1].state = SLOT_OPEN;
    v.d_head->slots_high = 2;
    cr_assert_eq(clients_add(&cs, 5, &v, &limits), 0);
    struct client *c = clients_get(&cs, 5);
    cr_assert_eq(c->pages.n_free, left);
    cr_assert_eq(c->n_slots_free, SLOTS - 1);
    client_slot_give(c, 1);
    cr_assert_eq(c->pages.n_free, PAGES);
    cr_assert_eq(c->n_slots_free, SLOTS);
    cr_assert(page_pool_validate(&c->pages));
}
