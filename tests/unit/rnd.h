/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rnd.h: chance for tests that go the same way every time.
 */
#ifndef TESTS_RND_H
#define TESTS_RND_H

#include <stdint.h>

/* Xorshift (Marsaglia, 2003). The seed must not be 0. */
static inline uint64_t
rnd_next(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

#endif
