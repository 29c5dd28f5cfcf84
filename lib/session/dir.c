/* SPDX-License-Identifier: BSD-2-Clause */
#include "dir.h"

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)
#define name(x, v) atomic_store_explicit(&(x), (v), memory_order_release)

/* ---- the pool ---- */

void
page_pool_init(struct page_pool *p, uint32_t n, uint32_t *stack)
{
    *p = (struct page_pool){.n = n, .n_free = n, .stack = stack};
}

/* So many are on the stack. */
static uint32_t
depth(const struct page_pool *p)
{
    return p->n_free - (p->n - p->fresh);
}

bool
page_pool_validate(const struct page_pool *p)
{
    if (p->n_free > p->n || p->fresh > p->n || p->n_free < p->n - p->fresh)
        return false;
    for (uint32_t i = 0; i < depth(p); i++)
        if (p->stack[i] >= p->fresh)
            return false;
    return true;
}

void
page_pool_give(struct page_pool *p, uint32_t page)
{
    if (page >= p->fresh || depth(p) >= p->fresh)
        return;
    p->stack[depth(p)] = page;
    p->n_free++;
}

uint32_t
page_pool_take(struct page_pool *p)
{
    uint32_t on_stack = depth(p);
    p->n_free--;
    return on_stack > 0 ? p->stack[on_stack - 1] : p->fresh++;
}

/* ---- maps ---- */

static uint32_t
page_of(uint32_t word)
{
    return (word & FIFO_PAGE_MASK) - 1;
}

static _Atomic uint32_t *
entries(uint8_t *base, uint32_t page)
{
    return (_Atomic uint32_t *)(void *)(base + (size_t)page * FIFO_PAGE);
}

static const _Atomic uint32_t *
entries_ro(const uint8_t *base, uint32_t page)
{
    return (const _Atomic uint32_t *)(const void *)(base + (size_t)page * FIFO_PAGE);
}

uint32_t
fifo_find_mapped(const struct fifo_dir *d, const uint8_t *base, uint32_t n, uint64_t at)
{
    uint64_t no = at / FIFO_PAGE;
    uint32_t map = page_of(get(d->map[no / FIFO_MAP % FIFO_MAPS]));
    return map < n ? get(entries_ro(base, map)[no % FIFO_MAP]) - 1 : UINT32_MAX;
}

/* ---- taking ---- */

static bool
map_add(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t no)
{
    _Atomic uint32_t *m = &d->map[no / FIFO_MAP % FIFO_MAPS];
    uint32_t word = get(*m), map = page_of(word);
    if (p->n_free < (map < p->n ? 1 : PAGES_FOR_ONE))
        return false;
    if (map >= p->n) {
        map = page_pool_take(p);
        memset(base + (size_t)map * FIFO_PAGE, 0, FIFO_PAGE);
        word = map + 1;
        name(*m, word);
    }
    name(entries(base, map)[no % FIFO_MAP], page_pool_take(p) + 1);
    set(*m, word + FIFO_MAP_ENTRY);
    return true;
}

bool
dir_add(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t at)
{
    _Atomic uint32_t *direct = &d->page[at / FIFO_PAGE % FIFO_DIR];
    if (fifo_find(d, base, p->n, at) < p->n)
        return true;
    if (get(*direct) != FIFO_NOPAGE)
        return map_add(d, base, p, at / FIFO_PAGE);
    if (p->n_free == 0)
        return false;
    name(*direct, fifo_word(at, page_pool_take(p)));
    return true;
}

/* ---- giving back ---- */

static void
direct_drop(struct fifo_dir *d, struct page_pool *p, uint64_t first, uint64_t n)
{
    for (uint64_t i = 0; i < n && i < FIFO_DIR; i++) {
        _Atomic uint32_t *direct = &d->page[(first + i) % FIFO_DIR];
        uint32_t word = get(*direct);
        /* How many times around the directory is the page ahead of the one that we ask for? */
        uint32_t tag = fifo_word((first + i) * FIFO_PAGE, 0) & ~FIFO_PAGE_MASK;
        uint64_t around = ((word & ~FIFO_PAGE_MASK) - tag) >> FIFO_PAGE_BITS;
        if (word == FIFO_NOPAGE || i + around * FIFO_DIR >= n)
            continue;
        set(*direct, FIFO_NOPAGE);
        page_pool_give(p, page_of(word));
    }
}

/* Give back n entries of one map from that of page `no` on, and the map if that was all. */
static void
map_drop(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t no, uint64_t n)
{
    _Atomic uint32_t *m = &d->map[no / FIFO_MAP % FIFO_MAPS];
    uint32_t word = get(*m), map = page_of(word);
    if (map >= p->n)
        return;
    for (uint64_t i = no % FIFO_MAP; n > 0; i++, n--) {
        uint32_t page = get(entries(base, map)[i]) - 1;
        if (page >= p->n)
            continue;
        set(entries(base, map)[i], FIFO_NOPAGE);
        page_pool_give(p, page);
        word -= FIFO_MAP_ENTRY;
    }
    set(*m, word & ~FIFO_PAGE_MASK ? word : FIFO_NOPAGE);
    if (!(word & ~FIFO_PAGE_MASK))
        page_pool_give(p, map);
}

void
dir_drop(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t first, uint64_t n)
{
    n = min_u64(n, FIFO_SPAN);
    direct_drop(d, p, first, n);
    while (n > 0) {
        uint64_t part = min_u64(n, FIFO_MAP - first % FIFO_MAP);
        map_drop(d, base, p, first, part);
        first += part;
        n -= part;
    }
}

void
dir_clear(struct fifo_dir *d, uint8_t *base, struct page_pool *p)
{
    for (uint32_t i = 0; i < FIFO_DIR; i++) {
        uint32_t word = get(d->page[i]);
        if (word == FIFO_NOPAGE)
            continue;
        set(d->page[i], FIFO_NOPAGE);
        page_pool_give(p, page_of(word));
    }
    for (uint64_t i = 0; i < FIFO_MAPS; i++)
        map_drop(d, base, p, i * FIFO_MAP, FIFO_MAP);
}

/* ---- all of it ---- */

void
dir_mark(struct fifo_dir *d, uint8_t *base, uint32_t n, uint32_t *mark)
{
    for (uint32_t i = 0; i < FIFO_DIR; i++) {
        uint32_t page = page_of(get(d->page[i]));
        if (page < n)
            mark[page] = 1;
    }
    for (uint32_t i = 0; i < FIFO_MAPS; i++) {
        uint32_t map = page_of(get(d->map[i])), used = 0;
        for (uint32_t k = 0; map < n && k < FIFO_MAP; k++) {
            uint32_t page = get(entries(base, map)[k]) - 1;
            if (page >= n)
                continue;
            mark[page] = 1;
            used++;
        }
        if (used != 0)
            mark[map] = 1;
        set(d->map[i], used != 0 ? used * FIFO_MAP_ENTRY + map + 1 : FIFO_NOPAGE);
    }
}

uint32_t
dir_count(const struct fifo_dir *d, const uint8_t *base, uint32_t n)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < FIFO_DIR; i++)
        used += page_of(get(d->page[i])) < n;
    for (uint32_t i = 0; i < FIFO_MAPS; i++) {
        uint32_t map = page_of(get(d->map[i]));
        if (map >= n)
            continue;
        used++;
        for (uint32_t k = 0; k < FIFO_MAP; k++)
            used += get(entries_ro(base, map)[k]) - 1 < n;
    }
    return used;
}
