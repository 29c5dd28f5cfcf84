/* SPDX-License-Identifier: BSD-2-Clause
 *
 * close.c: the calls that end and copy descriptors. The kernel does it; what is left is to keep
 * the table true, and the client library's own descriptors out of the program's reach.
 *
 * An entry is forgotten before its number is free: afterwards another thread may have the
 * number.
 */
#include "shim.h"

#include <linux/close_range.h>

/* In milliseconds, 0: never. */
static _Atomic uint64_t last_close;

static uint64_t
now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool
closed_lately(void)
{
    uint64_t was = atomic_load_explicit(&last_close, memory_order_relaxed);
    return was != 0 && now_ms() - was < 100;
}

/* SO_LINGER makes it wait until what was sent is acknowledged. */
static int
close_last(int fd, struct standin_last *w)
{
    table_set(fd, 0);
    atomic_store_explicit(&last_close, now_ms(), memory_order_relaxed);
    int r = REAL(close)(fd);
    standin_last(w);
    return r;
}

EXPORT int
close(int fd)
{
    uint32_t e = entry(fd);
    struct standin_last w;
    if (is_ours(e) && !(e & (E_DGRAM | E_NOWHERE)) && !share_confined &&
        standin_lingers(bh_of(e), NULL) && table_only(fd, e) && standin_lingers(bh_of(e), &w))
        return close_last(fd, &w);
    if (UNLIKELY(e != 0)) {
        if (e & E_PRIVATE)
            return fails(EBADF);
        table_set(fd, 0);
        atomic_store_explicit(&last_close, now_ms(), memory_order_relaxed);
    }
    return REAL(close)(fd);
}

/* All of these but the library's own. */
static int
close_span(unsigned first, unsigned last, int flags)
{
    unsigned top = table_top();
    for (unsigned i = first; i < top && i <= last; i++) {
        uint32_t e = entry((int)i);
        if (e == 0)
            continue;
        if (!(e & E_PRIVATE)) {
            table_set((int)i, 0);
            continue;
        }
        if (i > first && REAL(close_range)(first, i - 1, flags) != 0)
            return -1;
        first = i + 1;
    }
    return first <= last ? REAL(close_range)(first, last, flags) : 0;
}

EXPORT int
close_range(unsigned first, unsigned last, int flags)
{
    if (first > last || (flags & CLOSE_RANGE_CLOEXEC))
        return REAL(close_range)(first, last, flags);
    return close_span(first, last, flags);
}

EXPORT void
closefrom(int first)
{
    int err = errno;
    unsigned from = first > 0 ? (unsigned)first : 0;
    if (close_span(from, ~0u, 0) != 0 && errno == ENOSYS)
        for (long i = from, n = sysconf(_SC_OPEN_MAX); i < n; i++)
            (void)close((int)i);
    errno = err;
}

/* ---- copies ---- */

/* The descriptor is there for the program. */
static bool
there(int fd)
{
    return (entry(fd) & E_PRIVATE) == 0;
}

EXPORT int
dup(int fd)
{
    uint32_t e = entry(fd);
    if (UNLIKELY(e & E_PRIVATE))
        return fails(EBADF);
    int r = REAL(dup)(fd);
    if (is_ours(e) && r >= 0)
        table_set(r, e);
    return r;
}

/* After dup2 and dup3 have put what `from` is at `to`. */
static void
replaced(int to, uint32_t from)
{
    if (UNLIKELY((from | entry(to)) != 0))
        table_set(to, from);
    if (is_ours(from) && to <= 2)
        SAY("a session was put at descriptor 0, 1 or 2: stdio on it goes past it");
}

EXPORT int
dup2(int fd, int to)
{
    uint32_t e = entry(fd);
    if (UNLIKELY(!there(fd)))
        return fails(EBADF);
    if (UNLIKELY(!there(to)))
        return fails(EBUSY);
    int r = REAL(dup2)(fd, to);
    if (r >= 0 && fd != to)
        replaced(to, e);
    return r;
}

EXPORT int
dup3(int fd, int to, int flags)
{
    uint32_t e = entry(fd);
    if (UNLIKELY(!there(fd)))
        return fails(EBADF);
    if (UNLIKELY(!there(to)))
        return fails(EBUSY);
    int r = REAL(dup3)(fd, to, flags);
    if (r >= 0)
        replaced(to, e);
    return r;
}

OWN_IS(close);
OWN_IS(close_range);
OWN_IS(dup);
OWN_IS(dup2);
OWN_IS(dup3);
