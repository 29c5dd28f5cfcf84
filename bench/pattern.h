/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pattern.h: the bytes that the tools send: a seeded sequence that both ends can make, so a
 * receiver notices a byte that is lost, repeated, moved or changed.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The sequence repeats after this many bytes: a prime, so that a shift by a segment, a page
 * or a window (and small multiples of them) never lands on equal bytes. */
#define PATTERN_PERIOD 65521u

struct pattern {
    unsigned char *bytes; /* PATTERN_PERIOD + span of them */
    size_t span;
};

/* span: the longest piece asked of pattern_at. False: no memory. */
bool pattern_init(struct pattern *p, uint64_t seed, size_t span);
void pattern_fini(struct pattern *p);

/* span bytes of the sequence from stream offset off on. */
static inline const unsigned char *
pattern_at(const struct pattern *p, uint64_t off)
{
    return p->bytes + off % PATTERN_PERIOD;
}

/* Copy out len bytes from stream offset off; any length. */
void pattern_fill(const struct pattern *p, uint64_t off, void *to, size_t len);

/* How many of the len bytes at `data` are as the sequence has them from off on, counted to
 * the first that is not. Any length. */
size_t pattern_match(const struct pattern *p, uint64_t off, const void *data, size_t len);

#endif
