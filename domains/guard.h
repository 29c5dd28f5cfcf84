/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guard.h: where a domain's memory lies. Each region and each large allocation has a place of
 * its own, at random, between two stretches that fault: who runs over the end of one meets
 * nothing else.
 */
#ifndef DOMAINS_GUARD_H
#define DOMAINS_GUARD_H

#include "base/base.h"

#define GUARD_BYTES ((size_t)65536)

/* Address space at a random place, inaccessible, with a guard on each side. NULL: errno. */
must_check void *guard_reserve(size_t size);

/* region_map at such a place. */
must_check void *guard_map(int fd, size_t size, bool writable);

/* Private memory, zero, aligned to cache lines, whose end is where the guard begins (up to the
 * alignment). Not given back. NULL: out of memory. */
must_check void *guard_alloc(size_t bytes);

/* The window that clients are mapped into, with a slot for each half of each: the only place
 * where a confined domain maps anything. Call before confining. 0 or -errno. */
must_check int window_open(unsigned slots);
/* Where it is, for the filter: a is in it if (a & mask) == base. 0: there is none. */
uint64_t window_base(void);
uint64_t window_mask(void);
uint64_t window_piece(void); /* the longest mapping */

/* region_map into a slot, somewhere in it. */
must_check void *window_map(unsigned slot, int fd, size_t size, bool writable);
/* What window_map put there is gone; the slot can be used again. */
void window_unmap(unsigned slot);

#endif
