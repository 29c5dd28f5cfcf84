/* SPDX-License-Identifier: BSD-2-Clause */
#include "guard.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "ipc/region.h"
#include "sanitized.h"

#define PAGE ((size_t)4096)
#define TRIES 64u

/* All regions of a process lie in one stretch of this size, at random, so that they share the
 * upper page tables. */
#define STRETCH_BITS 39u
/* Within this every machine with 47 or more bits for programs has room; others say no, and the
 * kernel chooses. */
#define SPACE_FROM (1ull << 40)
#define SPACE_BITS 46u

/* A half has at most HALF_PAGES_MAX pages and what stands before them. */
#define SLOT_BITS 33u

static uint64_t state; /* of the numbers; nothing may be asked of the kernel later */
static uint64_t stretch;
static struct {
    uint64_t base, mask;
    unsigned slots;
} window;

static uint64_t
next(void)
{
    if (state == 0)
        while (getrandom(&state, sizeof state, 0) != sizeof state || state == 0)
            ;
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint8_t *
reserve_at(uint64_t at, size_t size)
{
    void *p =
        mmap((void *)(uintptr_t)at, size, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at != 0 ? MAP_FIXED_NOREPLACE : 0),
             -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (at != 0 && (uintptr_t)p != at) { /* a kernel that takes it for a hint */
        munmap(p, size);
        return NULL;
    }
    return p;
}

static bool
whole(size_t size)
{
    if (size != 0 && size < (size_t)1 << 45)
        return true;
    errno = EINVAL;
    return false;
}

void *
guard_reserve(size_t size)
{
    if (!whole(size))
        return NULL;
    size_t all = ALIGN_UP(size, PAGE) + 2 * GUARD_BYTES;
    uint8_t *p = NULL;
    if (stretch == 0)
        stretch = SPACE_FROM + (next() & ((1ull << SPACE_BITS) - 1) & ~0ull << STRETCH_BITS);
    for (unsigned i = 0; !SANITIZED && p == NULL && i < TRIES; i++) {
        uint64_t at = next() & ((1ull << STRETCH_BITS) - 1) & ~(uint64_t)(PAGE - 1);
        p = reserve_at(stretch + at, all);
    }
    if (p == NULL)
        p = reserve_at(0, all);
    return p != NULL ? p + GUARD_BYTES : NULL;
}

void *
guard_map(int fd, size_t size, bool writable)
{
    void *at = guard_reserve(size);
    return at != NULL ? region_map(fd, size, writable, at) : NULL;
}

void *
guard_alloc(size_t bytes)
{
    size_t used = ALIGN_UP(bytes, (size_t)CACHE_LINE), size = ALIGN_UP(used, PAGE);
    uint8_t *at = guard_reserve(size);
    if (at == NULL || mprotect(at, size, PROT_READ | PROT_WRITE) != 0)
        return NULL;
    return at + size - used;
}

/* ---- the window ---- */

int
window_open(unsigned slots)
{
    unsigned bits = SLOT_BITS;
    while (1u << (bits - SLOT_BITS) < slots)
        bits++;
    uint64_t size = 1ull << bits, behind = 1ull << SLOT_BITS;
    uint8_t *p = NULL;
    for (unsigned i = 0; !SANITIZED && p == NULL && i < TRIES; i++)
        p = reserve_at(SPACE_FROM + (next() & ((1ull << SPACE_BITS) - 1) & ~(size - 1)),
                       size + behind);
    if (p == NULL) { /* where there is room, and cut to fit */
        p = reserve_at(0, 2 * size + behind);
        if (p == NULL)
            return -errno;
        uint8_t *base = (uint8_t *)(uintptr_t)ALIGN_UP((uint64_t)(uintptr_t)p, size);
        munmap(p, (size_t)(base - p));
        munmap(base + size + behind, (size_t)(p + size - base));
        p = base;
    }
    window.base = (uintptr_t)p;
    window.mask = ~(size - 1);
    window.slots = slots;
    return 0;
}

uint64_t
window_base(void)
{
    return window.base;
}

uint64_t
window_mask(void)
{
    return window.mask;
}

/* What begins in the window ends in it or in what is reserved behind it. */
uint64_t
window_piece(void)
{
    return window.base != 0 ? 1ull << SLOT_BITS : 0;
}

void *
window_map(unsigned slot, int fd, size_t size, bool writable)
{
    size_t room = (size_t)1 << SLOT_BITS, need = ALIGN_UP(size, PAGE) + GUARD_BYTES;
    if (slot >= window.slots || size == 0 || size > room - GUARD_BYTES) {
        errno = EINVAL;
        return NULL;
    }
    uint64_t at = next() % ((room - need) / PAGE + 1) * PAGE; /* the guard is behind it */
    return region_map(fd, size, writable,
                      (void *)(uintptr_t)(window.base + ((uint64_t)slot << SLOT_BITS) + at));
}

/* All of the slot: a piece alone would leave what is reserved around it in pieces, more with
 * each client that came and went, until the kernel allows no more. What is unmapped stays free:
 * in a confined domain nothing is mapped but into the window, at a place of its choosing. */
void
window_unmap(unsigned slot)
{
    if (slot < window.slots)
        munmap((void *)(uintptr_t)(window.base + ((uint64_t)slot << SLOT_BITS)),
               (size_t)1 << SLOT_BITS);
}
