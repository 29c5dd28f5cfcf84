/* SPDX-License-Identifier: BSD-2-Clause
 *
 * region.h: shared memory. The supervisor makes and seals every region; others get a
 * descriptor that maps with the rights they were given and no more.
 */
#ifndef IPC_REGION_H
#define IPC_REGION_H

#include "base/base.h"

struct region {
    int fd_rw; /* for whoever may write */
    int fd_ro; /* a separate read-only open: cannot be mapped writable */
    size_t size;
};

/* A sealed memfd (grow, shrink, seal) of size bytes, zero, mode 0400 so that it cannot
 * be reopened for writing through /proc. Returns 0 or -errno, and leaves nothing open on
 * error. Needs /proc mounted. */
must_check int region_create(struct region *r, const char *name, size_t size);
void region_close(struct region *r);

/* The same for whoever has the one descriptor that this returns; or -errno. Needs no /proc. */
must_check int region_memory(const char *name, size_t size);

/* Map all size bytes of fd (which must be a sealed memfd of exactly that size: checked).
 * at != NULL: exactly there, over an address range that the caller reserved.
 * Returns NULL and sets errno on failure. Never executable. */
must_check void *region_map(int fd, size_t size, bool writable, void *at);

/* Reserve address space, inaccessible. */
must_check void *region_reserve(size_t size);

#endif
