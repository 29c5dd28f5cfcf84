/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dir.h: directories of FIFOs, for the side that writes them: the domain its receive FIFOs, the
 * client its transmit FIFOs. session.h says how they look, and has what both sides need to read
 * them.
 *
 * A domain may die between any two stores; the pool of free pages is then made anew from what
 * directories name. So a page is out of one place before it is in another: naming a page is a
 * release, and comes last.
 */
#ifndef SESSION_DIR_H
#define SESSION_DIR_H

#include "session.h"

/* Free pages of one half. In the domain the stack lies in the arena (arena_view.page_stack);
 * after a crash clients_rebuild makes it anew. */
struct page_pool {
    uint32_t n, n_free;
    uint32_t fresh;  /* pages from this number on were never taken, and are not on the stack */
    uint32_t *stack; /* numbers of the other free pages */
};

/* A free page; the caller has looked that there is one (n_free). */
must_check uint32_t page_pool_take(struct page_pool *p);
void page_pool_give(struct page_pool *p, uint32_t page);

/* Pages that one more page of a FIFO may take: itself, and a map for it. */
#define PAGES_FOR_ONE 2u

/* All n pages free; the lowest comes out first. stack: n words, not touched yet. */
void page_pool_init(struct page_pool *p, uint32_t n, uint32_t *stack);
/* The invariants: page numbers and counts within bounds. */
bool page_pool_validate(const struct page_pool *p);

/* Bytes that one FIFO can have at once if all n pages are its: some are maps, and the first and
 * the last page may be in part in use. */
static inline uint64_t
pages_hold(uint32_t n)
{
    uint32_t lost = n / FIFO_MAP + 4;
    return n > lost ? (uint64_t)(n - lost) * FIFO_PAGE : 0;
}

/* In what follows base is the half's page 0, and p the pool of its pages. */

/* Make the page of offset `at` present. False: the pool has no page for it. */
must_check bool dir_add(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t at);
/* Give back what is there of the stream's pages first, first + 1, ... first + n - 1. */
void dir_drop(struct fifo_dir *d, uint8_t *base, struct page_pool *p, uint64_t first,
              uint64_t n);
/* Give back everything. */
void dir_clear(struct fifo_dir *d, uint8_t *base, struct page_pool *p);

/* After a crash: set mark[page] for each of the n pages that the directory uses, maps among
 * them. A count that the crash left behind is put right, a map without entries is let go. */
void dir_mark(struct fifo_dir *d, uint8_t *base, uint32_t n, uint32_t *mark);
/* Pages that the directory uses, maps among them. For tests and assertions. */
uint32_t dir_count(const struct fifo_dir *d, const uint8_t *base, uint32_t n);

#endif
