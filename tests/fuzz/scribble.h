/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scribble.h: a client that writes into its half of an arena what no honest one does.
 */
#ifndef TESTS_FUZZ_SCRIBBLE_H
#define TESTS_FUZZ_SCRIBBLE_H

#include "session/session.h"

/* A word of the client's half that says where bytes are: of the directory, or of a page, which
 * may be a map. */
static inline void
scribble_page(const struct arena_view *v, struct slot_client *c, uint32_t i, uint32_t word)
{
    uint32_t n = v->g.n_tx_pages;
    if (i < FIFO_DIR)
        c->tx_dir.page[i] = word;
    else if (i < FIFO_DIR + FIFO_MAPS)
        c->tx_dir.map[i - FIFO_DIR] = word;
    else
        ((uint32_t *)(void *)v->tx_page)[i % n * FIFO_MAP + i / n] = word;
}

#endif
