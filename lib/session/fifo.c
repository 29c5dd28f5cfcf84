/* SPDX-License-Identifier: BSD-2-Clause */
#include "fifo.h"

#include "wire/csum.h"

/* Bytes from `at` on that lie in one page, at most len. */
static uint32_t
run(uint64_t at, uint32_t len)
{
    return min_u32(len, FIFO_PAGE - (uint32_t)(at % FIFO_PAGE));
}

/* ---- receive ---- */

/* Where the byte at an offset lies, NULL if its page is not there: prepare was not called, or
 * memory is damaged. What does not exist cannot be written. */
static uint8_t *
rx_bytes(const struct arena_view *v, uint32_t slot, uint64_t at)
{
    uint32_t n = v->g.n_rx_pages;
    uint32_t page = fifo_find(&v->d_slot[slot].rx_dir, v->rx_page, n, at);
    return page < n ? v->rx_page + (size_t)page * FIFO_PAGE + at % FIFO_PAGE : NULL;
}

uint32_t
fifo_rx_prepare(const struct arena_view *v, uint32_t slot, struct page_pool *p, uint64_t from,
                uint32_t len)
{
    /* Places in the maps must not be used twice: no more than they span. */
    len = min_u32(len, FIFO_MAX - (uint32_t)(from % FIFO_PAGE));
    struct fifo_dir *dir = &v->d_slot[slot].rx_dir;
    uint32_t done = 0;
    while (done < len && (fifo_find(dir, v->rx_page, p->n, from + done) < p->n ||
                          dir_add(dir, v->rx_page, p, from + done)))
        done += run(from + done, len - done);
    return done;
}

void
fifo_rx_write(const struct arena_view *v, uint32_t slot, uint64_t at, const void *src,
              uint32_t len)
{
    const uint8_t *s = src;
    while (len > 0) {
        uint32_t n = run(at, len);
        uint8_t *d = rx_bytes(v, slot, at);
        if (d != NULL)
            memcpy(d, s, n);
        s += n;
        at += n;
        len -= n;
    }
}

uint32_t
fifo_rx_write_csum(const struct arena_view *v, uint32_t slot, uint64_t at, const void *src,
                   uint32_t len)
{
    const uint8_t *s = src;
    uint32_t sum = 0, done = 0;
    while (done < len) {
        uint32_t n = run(at + done, len - done);
        uint8_t *d = rx_bytes(v, slot, at + done);
        uint32_t part = d != NULL ? csum_copy(d, s + done, n) : csum_bytes(s + done, n);
        sum = done % 2 ? csum_add_odd(sum, part) : csum_add(sum, part);
        done += n;
    }
    return sum;
}

void
fifo_rx_free(const struct arena_view *v, uint32_t slot, struct page_pool *p, uint64_t from,
             uint64_t to)
{
    uint64_t first = from / FIFO_PAGE;
    dir_drop(&v->d_slot[slot].rx_dir, v->rx_page, p, first, to / FIFO_PAGE - first);
}

void
fifo_rx_clear(const struct arena_view *v, uint32_t slot, struct page_pool *p)
{
    dir_clear(&v->d_slot[slot].rx_dir, v->rx_page, p);
}

static struct fifo_dir *moved_dir(const struct arena_view *v, uint32_t slot);

uint32_t
fifo_rx_pages(const struct arena_view *v, uint32_t slot)
{
    const struct fifo_dir *dir = moved_dir(v, slot);
    return dir_count(&v->d_slot[slot].rx_dir, v->rx_page, v->g.n_rx_pages) +
           (dir != NULL ? 1 + dir_count(dir, v->rx_page, v->g.n_rx_pages) : 0);
}

/* What a bad page number would have held reads as zeros. */
static void
copy_or_zero(uint8_t *dst, const uint8_t *src, uint32_t n)
{
    if (src != NULL)
        memcpy(dst, src, n);
    else
        memset(dst, 0, n);
}

void
fifo_rx_read(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst, uint32_t len)
{
    uint8_t *d = dst;
    while (len > 0) {
        uint32_t n = run(at, len);
        const uint8_t *s = rx_bytes(v, slot, at);
        copy_or_zero(d, s, n);
        d += n;
        at += n;
        len -= n;
    }
}

/* ---- transmit bytes that came from another client ---- */

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)

static struct fifo_dir *
moved_dir(const struct arena_view *v, uint32_t slot)
{
    uint32_t page = get(v->d_slot[slot].moved) - 1;
    return page < v->g.n_rx_pages
               ? (struct fifo_dir *)(void *)(v->rx_page + (size_t)page * FIFO_PAGE)
               : NULL;
}

struct fifo_dir *
fifo_moved_make(const struct arena_view *v, uint32_t slot, struct page_pool *p)
{
    struct fifo_dir *dir = moved_dir(v, slot);
    if (dir != NULL || p->n_free == 0)
        return dir;
    uint32_t page = page_pool_take(p);
    memset(v->rx_page + (size_t)page * FIFO_PAGE, 0, FIFO_PAGE);
    atomic_store_explicit(&v->d_slot[slot].moved, page + 1, memory_order_release);
    return moved_dir(v, slot);
}

void
fifo_moved_clear(const struct arena_view *v, uint32_t slot, struct page_pool *p)
{
    struct fifo_dir *dir = moved_dir(v, slot);
    if (dir == NULL)
        return;
    uint32_t page = get(v->d_slot[slot].moved) - 1;
    dir_clear(dir, v->rx_page, p);
    atomic_store_explicit(&v->d_slot[slot].moved, 0, memory_order_relaxed);
    page_pool_give(p, page);
}

void
fifo_moved_mark(const struct arena_view *v, uint32_t slot, uint32_t *mark)
{
    struct fifo_dir *dir = moved_dir(v, slot);
    if (dir == NULL)
        return;
    mark[get(v->d_slot[slot].moved) - 1] = 1;
    dir_mark(dir, v->rx_page, v->g.n_rx_pages, mark);
}

/* ---- transmit ---- */

/* Does the byte at an offset lie among those? */
static bool
came_along(const struct arena_view *v, uint32_t slot, uint64_t at)
{
    const struct slot_domain *d = &v->d_slot[slot];
    return unlikely(get(d->moved) != 0) && at < get(d->moved_end);
}

/* As run, of bytes that lie in one place. */
static uint32_t
tx_run(const struct arena_view *v, uint32_t slot, uint64_t at, uint32_t len)
{
    uint32_t n = run(at, len);
    return came_along(v, slot, at) ? (uint32_t)min_u64(n, get(v->d_slot[slot].moved_end) - at)
                                   : n;
}

/* Where the byte at an offset lies in the client's half, NULL if the client named no page that
 * exists. */
static const uint8_t *
tx_bytes(const struct arena_view *v, uint32_t slot, uint64_t at)
{
    if (came_along(v, slot, at)) {
        const struct fifo_dir *dir = moved_dir(v, slot);
        uint32_t page =
            dir != NULL ? fifo_find(dir, v->rx_page, v->g.n_rx_pages, at) : UINT32_MAX;
        return page < v->g.n_rx_pages ? v->rx_page + (size_t)page * FIFO_PAGE + at % FIFO_PAGE
                                      : NULL;
    }
    uint32_t n = v->g.n_tx_pages;
    uint32_t page = fifo_find(&v->c_slot[slot].tx_dir, v->tx_page, n, at);
    return page < n ? v->tx_page + (size_t)page * FIFO_PAGE + at % FIFO_PAGE : NULL;
}

void
fifo_tx_read(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst, uint32_t len)
{
    uint8_t *d = dst;
    while (len > 0) {
        uint32_t n = tx_run(v, slot, at, len);
        const uint8_t *s = tx_bytes(v, slot, at);
        copy_or_zero(d, s, n);
        d += n;
        at += n;
        len -= n;
    }
}

uint32_t
fifo_tx_read_csum(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst,
                  uint32_t len)
{
    uint8_t *d = dst;
    uint32_t sum = 0, done = 0;
    while (done < len) {
        uint32_t n = tx_run(v, slot, at + done, len - done);
        const uint8_t *s = tx_bytes(v, slot, at + done);
        uint32_t part = 0; /* zeros add nothing */
        if (s != NULL)
            part = csum_copy(d + done, s, n);
        else
            memset(d + done, 0, n);
        sum = done % 2 ? csum_add_odd(sum, part) : csum_add(sum, part);
        done += n;
    }
    return sum;
}
