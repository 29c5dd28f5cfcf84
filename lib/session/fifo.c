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

uint32_t
fifo_rx_pages(const struct arena_view *v, uint32_t slot)
{
    return dir_count(&v->d_slot[slot].rx_dir, v->rx_page, v->g.n_rx_pages);
}

/* ---- transmit ---- */

/* Where the byte at an offset lies in the client's half, NULL if the client named no page that
 * exists. */
static const uint8_t *
tx_bytes(const struct arena_view *v, uint32_t slot, uint64_t at)
{
    uint32_t n = v->g.n_tx_pages;
    uint32_t page = fifo_find(&v->c_slot[slot].tx_dir, v->tx_page, n, at);
    return page < n ? v->tx_page + (size_t)page * FIFO_PAGE + at % FIFO_PAGE : NULL;
}

void
fifo_tx_read(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst, uint32_t len)
{
    uint8_t *d = dst;
    while (len > 0) {
        uint32_t n = run(at, len);
        const uint8_t *s = tx_bytes(v, slot, at);
        if (s != NULL)
            memcpy(d, s, n);
        else
            memset(d, 0, n);
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
        uint32_t n = run(at + done, len - done);
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
