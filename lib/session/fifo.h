/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fifo.h: paged FIFOs as the domain sees them (session.h says how they lie in an
 * arena). The client's side is in lib/client. Everything in the client half is
 * copied before it is checked and checked before it is used.
 */
#ifndef SESSION_FIFO_H
#define SESSION_FIFO_H

#include "dir.h"

/* Receive FIFO: make the pages of [from, from + len) present. Returns the bytes from
 * `from` on that have pages (less than len if the pool is empty). The caller keeps everything
 * between the client's rx_head and from + len within FIFO_MAX - FIFO_PAGE bytes, so that two
 * offsets in use never share a page. */
uint32_t fifo_rx_prepare(const struct arena_view *v, uint32_t slot, struct page_pool *p,
                         uint64_t from, uint32_t len);
/* Copy into prepared pages; bytes of a page that is not there are dropped. */
void fifo_rx_write(const struct arena_view *v, uint32_t slot, uint64_t at, const void *src,
                   uint32_t len);
/* The same; returns the Internet sum (wire/csum.h) of the bytes. */
uint32_t fifo_rx_write_csum(const struct arena_view *v, uint32_t slot, uint64_t at,
                            const void *src, uint32_t len);
/* The client consumed up to `to` (checked by the caller): pages wholly below it, from
 * `from` on, go back to the pool. */
void fifo_rx_free(const struct arena_view *v, uint32_t slot, struct page_pool *p, uint64_t from,
                  uint64_t to);
/* Give back every page: the session is over. */
void fifo_rx_clear(const struct arena_view *v, uint32_t slot, struct page_pool *p);
/* Pages that the FIFO uses. For tests and assertions. */
uint32_t fifo_rx_pages(const struct arena_view *v, uint32_t slot);

/* Copy out what was received. */
void fifo_rx_read(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst,
                  uint32_t len);

/* The directory of transmit bytes that came from another client (move.h); made if there is
 * none. NULL: no page. */
struct fifo_dir *fifo_moved_make(const struct arena_view *v, uint32_t slot,
                                 struct page_pool *p);
/* Its pages and itself go back. */
void fifo_moved_clear(const struct arena_view *v, uint32_t slot, struct page_pool *p);
/* After a crash: mark its pages, as dir_mark. */
void fifo_moved_mark(const struct arena_view *v, uint32_t slot, uint32_t *mark);

/* Transmit FIFO: copy len bytes at offset `at` out of the client's pages and return
 * their Internet sum (of what is in dst now). A page number out of bounds reads as zeros: it
 * is the client's own stream. */
uint32_t fifo_tx_read_csum(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst,
                           uint32_t len);
void fifo_tx_read(const struct arena_view *v, uint32_t slot, uint64_t at, void *dst,
                  uint32_t len);

#endif
