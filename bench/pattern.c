/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pattern.c: the seeded sequence.
 */
#include "bench/pattern.h"

#include <stdlib.h>
#include <string.h>

/* Knuth's 64-bit linear congruential generator; the top byte is the good one. */
static unsigned char
next_byte(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned char)(*state >> 56);
}

bool
pattern_init(struct pattern *p, uint64_t seed, size_t span)
{
    uint64_t state = seed;
    size_t i, n = PATTERN_PERIOD + span;
    p->span = span;
    p->bytes = malloc(n);
    if (!p->bytes)
        return false;
    for (i = 0; i < PATTERN_PERIOD; i++)
        p->bytes[i] = next_byte(&state);
    for (; i < n; i++)
        p->bytes[i] = p->bytes[i - PATTERN_PERIOD];
    return true;
}

void
pattern_fini(struct pattern *p)
{
    free(p->bytes);
    p->bytes = NULL;
}

void
pattern_fill(const struct pattern *p, uint64_t off, void *to, size_t len)
{
    for (size_t n, done = 0; done < len; done += n) {
        n = len - done < p->span ? len - done : p->span;
        memcpy((unsigned char *)to + done, pattern_at(p, off + done), n);
    }
}

size_t
pattern_match(const struct pattern *p, uint64_t off, const void *data, size_t len)
{
    const unsigned char *d = data;
    for (size_t n, done = 0; done < len; done += n) {
        n = len - done < p->span ? len - done : p->span;
        const unsigned char *want = pattern_at(p, off + done);
        if (!memcmp(d + done, want, n))
            continue;
        for (size_t i = 0; i < n; i++)
            if (d[done + i] != want[i])
                return done + i;
    }
    return len;
}
