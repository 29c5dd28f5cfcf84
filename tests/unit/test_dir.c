/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_dir.c: directories of FIFOs, and what is left of them when a domain dies between any two
 * stores. dir.c is in here once more, with stores that can be the last one; what puts things
 * right again (clients_rebuild) is the real one.
 */
#include <criterion/criterion.h>
#include <setjmp.h>
#include <stdlib.h>

#include "session/clients.h"
#include "session/dir.h"

static jmp_buf death;
static long lives;  /* stores until it dies; negative: it does not */
static long budget; /* what operate_mortally may use of them */

static void
step(void)
{
    if (lives >= 0 && lives-- == 0)
        longjmp(death, 1);
}

static void *
mortal_memset(void *p, int c, size_t n)
{
    step();
    memset(p, c, n / 2);
    step();
    return memset((uint8_t *)p + n / 2, c, n - n / 2);
}

bool mortal_add(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t at);
void mortal_drop(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t first,
                 uint64_t n);
void mortal_clear(struct fifo_dir *d, uint8_t *base, struct page_pool *p);
void mortal_mark(struct fifo_dir *d, uint8_t *base, uint32_t n, uint32_t *mark);
uint32_t mortal_count(const struct fifo_dir *d, const uint8_t *base, uint32_t n);
void mortal_pool_init(struct page_pool *p, uint32_t n, uint32_t *stack);
bool mortal_pool_validate(const struct page_pool *p);
uint32_t mortal_pool_take(struct page_pool *p);
void mortal_pool_give(struct page_pool *p, uint32_t page);
uint32_t mortal_find_mapped(const struct fifo_dir *d, const uint8_t *base, uint32_t n,
                            uint64_t at);
#define dir_add mortal_add
#define dir_drop mortal_drop
#define dir_clear mortal_clear
#define dir_mark mortal_mark
#define dir_count mortal_count
#define page_pool_init mortal_pool_init
#define page_pool_validate mortal_pool_validate
#define page_pool_take mortal_pool_take
#define page_pool_give mortal_pool_give
#define fifo_find_mapped mortal_find_mapped
#define memset mortal_memset
#undef atomic_store_explicit
#define atomic_store_explicit(p, v, order) (step(), (void)(*(p) = (v)))
#include "../../lib/session/dir.c"
#undef dir_add
#undef dir_drop
#undef dir_clear
#undef dir_mark
#undef dir_count
#undef page_pool_init
#undef page_pool_validate
#undef page_pool_take
#undef page_pool_give
#undef fifo_find_mapped
#undef memset

#define SLOTS 2u
#define PAGES 3000u
#define SPAN 2600u /* stream pages that a FIFO may have here */

static struct arena_view v;
static struct clients cs;
static struct page_pool *pool;
static uint32_t model[SLOTS][SPAN]; /* page number + 1 of each stream page; 0: none */
static uint64_t origin;             /* the first of them */

static uint32_t *
words(uint32_t page)
{
    return (uint32_t *)(void *)(v.rx_page + (size_t)page * FIFO_PAGE);
}

/* What is in stream page i: a map that was not cleared would look like one. */
static void
fill(uint32_t page, uint32_t i)
{
    for (uint32_t k = 0; k < FIFO_MAP; k++)
        words(page)[k] = i + 1;
}

static void
setup(void)
{
    struct arena_geometry g = {
        .n_slots = SLOTS, .n_tx_pages = 1, .n_rx_pages = PAGES, .n_req = 8, .n_evt = 8};
    struct sess_limits limits = {.sessions = SLOTS};
    void *c = aligned_alloc(FIFO_PAGE, arena_client_bytes(&g));
    void *d = aligned_alloc(FIFO_PAGE, arena_domain_bytes(&g));
    memset(c, 0, arena_client_bytes(&g));
    memset(d, 0, arena_domain_bytes(&g));
    arena_view_init(&v, &g, c, d);
    for (uint32_t i = 0; i < SLOTS; i++) /* of sessions that go on */
        v.d_slot[i].state = SLOT_OPEN;
    v.d_head->slots_high = SLOTS;
    for (uint32_t i = 0; i < PAGES; i++)
        fill(i, i);
    cr_assert_eq(clients_add(&cs, 0, &v, &limits), 0);
    pool = &clients_get(&cs, 0)->pages;
    cr_assert_eq(pool->n_free, PAGES);
    lives = -1;
}

static void
teardown(void)
{
    free(v.c_head);
    free(v.d_head);
    memset(&cs, 0, sizeof cs);
    memset(model, 0, sizeof model);
}

TestSuite(dir, .init = setup, .fini = teardown);

static struct fifo_dir *
dir_of(uint32_t slot)
{
    return &v.d_slot[slot].rx_dir;
}

static uint64_t
offset_of(uint32_t i)
{
    return (origin + i) * FIFO_PAGE;
}

/* What was cut off by a death, if anything. */
struct op {
    uint32_t slot;
    bool add;
    uint32_t first, n;
};

/* What the operation that was cut off did, the model does now. */
static void
accept_cut(const struct op *o)
{
    for (uint32_t i = o->first; i < o->first + o->n; i++) {
        uint32_t page = fifo_find(dir_of(o->slot), v.rx_page, PAGES, offset_of(i));
        uint32_t *m = &model[o->slot][i], is = page < PAGES ? page + 1 : 0;
        if (o->add && *m == 0 && is != 0)
            fill(page, i);
        if (o->add ? *m == 0 : is == 0)
            *m = is;
    }
}

/* Every page is free or in use, once; what the model has is found where it was put, with its
 * bytes; and nothing else is. */
static void
check(void)
{
    static uint8_t seen[PAGES];
    uint32_t used = 0, found = 0;
    memset(seen, 0, sizeof seen);
    cr_assert(page_pool_validate(pool));
    for (uint32_t i = 0; i < pool->n_free; i++)
        cr_assert_eq(seen[pool->stack[i]]++, 0, "a page is free twice");
    for (uint32_t s = 0; s < SLOTS; s++) {
        used += dir_count(dir_of(s), v.rx_page, PAGES);
        for (uint32_t i = 0; i < FIFO_MAPS; i++) {
            uint32_t map = (dir_of(s)->map[i] & FIFO_PAGE_MASK) - 1;
            if (map < PAGES)
                cr_assert_eq(seen[map]++, 0, "a map is something else as well");
            found += map < PAGES;
        }
        for (uint32_t i = 0; i < SPAN; i++) {
            uint32_t page = fifo_find(dir_of(s), v.rx_page, PAGES, offset_of(i));
            cr_assert_eq(page < PAGES ? page + 1 : 0, model[s][i], "page %u of %u", i, s);
            if (page >= PAGES)
                continue;
            cr_assert_eq(seen[page]++, 0, "a page is used twice");
            cr_assert_eq(words(page)[i % FIFO_MAP], i + 1);
            found++;
        }
    }
    cr_assert_eq(found, used);
    cr_assert_eq(used + pool->n_free, PAGES, "a page is lost");
}

/* A session takes these pages, or gives them back. */
static void
operate(const struct op *o)
{
    struct fifo_dir *d = dir_of(o->slot);
    if (!o->add) {
        mortal_drop(d, v.rx_page, pool, origin + o->first, o->n);
        memset(&model[o->slot][o->first], 0, o->n * sizeof model[0][0]);
        return;
    }
    for (uint32_t i = o->first; i < o->first + o->n; i++) {
        if (!mortal_add(d, v.rx_page, pool, offset_of(i)))
            break;
        uint32_t page = fifo_find(d, v.rx_page, PAGES, offset_of(i));
        cr_assert_lt(page, PAGES);
        if (model[o->slot][i] == 0)
            fill(page, i);
        model[o->slot][i] = page + 1;
    }
}

/* The domain that comes next finds what there is; it may die over that as well. */
static void
resurrect(long stores)
{
    memset(pool, 0xee, sizeof *pool); /* soft memory is lost */
    lives = stores;
    if (setjmp(death) == 0) {
        memset(v.page_stack, 0, PAGES * sizeof *v.page_stack);
        for (uint32_t i = 0; i < SLOTS; i++)
            mortal_mark(dir_of(i), v.rx_page, PAGES, v.page_stack);
    }
    lives = -1;
    clients_rebuild(&cs, 0);
}

/* Operate with `budget` stores left to live; after a death it is done again, as the peer or the
 * client will ask for it, and by somebody who does not die. */
static void
operate_mortally(const struct op *o)
{
    lives = budget;
    if (setjmp(death) == 0) {
        operate(o);
        budget = lives;
    } else {
        resurrect(budget % 7);
        accept_cut(o);
        check();
        operate(o);
        budget = -1;
    }
    lives = -1;
    check();
}

/* Protects against a page lost, used twice or forgotten, when the domain dies at any store of:
 * pages in the slot, a first map and more of it, a second map, pages ahead of a gap and the gap
 * filled, two sessions, giving back up to and over the edges of maps. */
Test(dir, death_at_every_store)
{
    static const struct op ops[] = {
        {0, true, 0, 3},      {0, true, 60, 10},   {1, true, 5, 1},     {0, true, 3, 70},
        {0, true, 1020, 8},   {0, false, 0, 2},    {0, false, 2, 62},   {1, true, 69, 2},
        {0, false, 64, 9},    {0, true, 73, 2},    {0, false, 1020, 4}, {1, false, 5, 64},
        {0, false, 73, 951},  {0, true, 1028, 70}, {1, false, 69, 1},   {1, false, 70, 1},
        {0, false, 1024, 900}};
    unsigned deaths = 0;
    for (bool died = true; died; deaths += died) {
        budget = deaths;
        for (size_t k = 0; k < ARRAY_LEN(ops); k++)
            operate_mortally(&ops[k]);
        died = budget < 0;
        cr_assert_eq(pool->n_free, PAGES, "after death %u", deaths);
    }
    cr_assert_gt(deaths, 300);
}

/* The same with a crowd of operations by chance, over the place where the maps wrap, until the
 * pool is empty and after. */
Test(dir, death_by_chance)
{
    static const uint64_t origins[] = {FIFO_SPAN - 1000, (1ull << 32) / FIFO_PAGE - 1300,
                                       (uint64_t)FIFO_DIR << 11, 1ull << 40};
    uint64_t x = 1;
    for (size_t k = 0; k < ARRAY_LEN(origins); k++) {
        origin = origins[k];
        for (unsigned i = 0; i < 500; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            uint32_t r = (uint32_t)(x >> 33), n = 1 + (r >> 4) % (r % 16 == 0 ? 900 : 90);
            struct op o = {r % 2, (r >> 1) % 8 < 5, (uint32_t)(x >> 20) % (SPAN - n), n};
            budget = (r >> 5) % 3 == 0 ? (long)((x >> 41) % (2 * n)) : -1;
            operate_mortally(&o);
        }
        for (uint32_t s = 0; s < SLOTS; s++) {
            mortal_clear(dir_of(s), v.rx_page, pool);
            memset(model[s], 0, sizeof model[s]);
        }
        check();
        cr_assert_eq(pool->n_free, PAGES);
    }
}
