/* SPDX-License-Identifier: BSD-2-Clause */
#include "fifo.h"

#include <stdatomic.h>

#include "wire/csum.h"

/* A run of bytes of a FIFO that lies in one page. */
struct piece {
    uint32_t entry; /* of the directory */
    uint32_t off;   /* in the page */
    uint32_t len;
};

static struct piece
piece_at(uint64_t at, uint32_t len)
{
    uint32_t off = (uint32_t)(at % FIFO_PAGE);
    return (struct piece){.entry = (uint32_t)(at / FIFO_PAGE % FIFO_DIR),
                          .off = off,
                          .len = min_u32(len, FIFO_PAGE - off)};
}

void
page_pool_init(struct page_pool *p, uint32_t n, uint32_t *stack)
{
    *p = (struct page_pool){.n = n, .n_free = n, .stack = stack};
    for (uint32_t i = 0; i < n; i++)
        stack[i] = n - 1 - i;
}

bool
page_pool_validate(const struct page_pool *p)
{
    if (p->n_free > p->n)
        return false;
    for (uint32_t i = 0; i < p->n_free; i++)
        if (p->stack[i] >= p->n)
            return false;
    return true;
}

/* ---- receive ---- */

static uint32_t
rx_entry(const struct arena_view *v, uint32_t slot, uint32_t entry)
{
    return atomic_load_explicit(&v->d_slot[slot].rx_dir[entry], memory_order_relaxed);
}

/* The bytes of a receive piece, NULL if its page is not there: prepare was not called, or
 * memory is damaged. What does not exist cannot be written. */
static uint8_t *
rx_bytes(const struct arena_view *v, uint32_t slot, struct piece c)
{
    uint32_t page = rx_entry(v, slot, c.entry) - 1;
    return page < v->g.n_rx_pages ? v->rx_page + (size_t)page * FIFO_PAGE + c.off : NULL;
}

static void
rx_drop_page(const struct arena_view *v, uint32_t slot, struct page_pool *p, uint32_t entry)
{
    uint32_t page = rx_entry(v, slot, entry) - 1;
    atomic_store_explicit(&v->d_slot[slot].rx_dir[entry], FIFO_NOPAGE, memory_order_relaxed);
    if (page < p->n && p->n_free < p->n)
        p->stack[p->n_free++] = page;
}

uint32_t
fifo_rx_prepare(const struct arena_view *v, uint32_t slot, struct page_pool *p, uint64_t from,
                uint32_t len)
{
    /* Pages of the directory must not be used twice: no more than it spans. */
    len = min_u32(len, FIFO_MAX - (uint32_t)(from % FIFO_PAGE));
    uint32_t done = 0;
    while (done < len) {
        struct piece c = piece_at(from + done, len - done);
        if (rx_entry(v, slot, c.entry) == FIFO_NOPAGE) {
            if (p->n_free == 0)
                break;
            uint32_t page = p->stack[--p->n_free];
            atomic_store_explicit(&v->d_slot[slot].rx_dir[c.entry], page + 1,
                                  memory_order_relaxed);
        }
        done += c.len;
    }
    return done;
}

void
fifo_rx_write(const struct arena_view *v, uint32_t slot, uint64_t at, const void *src,
              uint32_t len)
{
    const uint8_t *s = src;
    while (len > 0) {
        struct piece c = piece_at(at, len);
        uint8_t *d = rx_bytes(v, slot, c);
        if (d != NULL)
            memcpy(d, s, c.len);
        s += c.len;
        at += c.len;
        len -= c.len;
    }
}

uint32_t
fifo_rx_write_csum(const struct arena_view *v, uint32_t slot, uint64_t at, const void *src,
                   uint32_t len)
{
    const uint8_t *s = src;
    uint32_t sum = 0, done = 0;
    while (done < len) {
        struct piece c = piece_at(at + done, len - done);
        uint8_t *d = rx_bytes(v, slot, c);
        uint32_t part = d != NULL ? csum_copy(d, s + done, c.len) : csum_bytes(s + done, c.len);
        sum = done % 2 ? csum_add_odd(sum, part) : csum_add(sum, part);
        done += c.len;
    }
    return sum;
}

void
fifo_rx_free(const struct arena_view *v, uint32_t slot, struct page_pool *p, uint64_t from,
             uint64_t to)
{
    uint64_t first = from / FIFO_PAGE, last = to / FIFO_PAGE;
    uint64_t n = min_u64(last - first, FIFO_DIR);
    for (uint64_t i = 0; i < n; i++)
        rx_drop_page(v, slot, p, (uint32_t)((first + i) % FIFO_DIR));
}

void
fifo_rx_clear(const struct arena_view *v, uint32_t slot, struct page_pool *p)
{
    for (uint32_t i = 0; i < FIFO_DIR; i++)
        if (rx_entry(v, slot, i) != FIFO_NOPAGE)
            rx_drop_page(v, slot, p, i);
}

/* ---- transmit ---- */

/* The bytes of a transmit piece in the client's half, NULL if the client named no page that
 * exists. The entry is read once: it may change under us. */
static const uint8_t *
tx_bytes(const struct arena_view *v, uint32_t slot, struct piece c)
{
    uint32_t page =
        atomic_load_explicit(&v->c_slot[slot].tx_dir[c.entry], memory_order_relaxed) - 1;
    return page < v->g.n_tx_pages ? v->tx_page + (size_t)page * FIFO_PAGE + c.off : NULL;
}

void
fifo_tx_read(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst, uint32_t len)
{
    uint8_t *d = dst;
    while (len > 0) {
        struct piece c = piece_at(at, len);
        const uint8_t *s = tx_bytes(v, slot, c);
        if (s != NULL)
            memcpy(d, s, c.len);
        else
            memset(d, 0, c.len);
        d += c.len;
        at += c.len;
        len -= c.len;
    }
}

uint32_t
fifo_tx_read_csum(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst,
                  uint32_t len)
{
    uint8_t *d = dst;
    uint32_t sum = 0, done = 0;
    while (done < len) {
        struct piece c = piece_at(at + done, len - done);
        const uint8_t *s = tx_bytes(v, slot, c);
        uint32_t part = 0; /* zeros add nothing */
        if (s != NULL)
            part = csum_copy(d + done, s, c.len);
        else
            memset(d + done, 0, c.len);
        sum = done % 2 ? csum_add_odd(sum, part) : csum_add(sum, part);
        done += c.len;
    }
    return sum;
}
