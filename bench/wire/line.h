/* SPDX-License-Identifier: BSD-2-Clause
 *
 * line.h: the packets that are under way in one direction, by when they arrive. Pure; the
 * memory is the caller's.
 */
#ifndef BENCH_WIRE_LINE_H
#define BENCH_WIRE_LINE_H

#include "base/base.h"

#define LINE_HELD 64u

struct line_entry {
    ns_t due;
    uint64_t order; /* of two with the same due, which came first */
    uint32_t slot;  /* the caller's name for the packet */
    uint32_t len;
};

struct line {
    struct line_entry *heap;
    uint32_t n, room;
    uint64_t order;
    struct {
        struct line_entry e;
        uint64_t overtakers; /* still needed */
    } held[LINE_HELD];
    uint32_t n_held;
};

void line_init(struct line *l, struct line_entry *heap, uint32_t room);

/* Put in a packet. held 0: it arrives at `due`, and overtakes whoever is held back. Otherwise
 * it arrives right behind the held-th one that is put in after it, but not after `due`; when
 * too many are held back already, at `due`. Returns false if there is no room. */
must_check bool line_put(struct line *l, uint32_t slot, uint32_t len, ns_t due, uint64_t held);

/* When the next one arrives; NS_NEVER: nothing is under way. */
ns_t line_next(const struct line *l);

/* Take out the next one if it has arrived by now. */
must_check bool line_take(struct line *l, ns_t now, struct line_entry *e);

#endif
