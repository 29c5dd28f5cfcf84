/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz.h: what every target has: the entry, a check that stays in a release build, and an input
 * that is read as a list of actions.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t left;
};

static inline void
expect(bool ok)
{
    if (!ok)
        abort();
}

/* The next n bytes, at most 4, as a number; what is not there any more is left out. */
static inline uint32_t
take(struct input *in, size_t n)
{
    uint32_t v = 0;
    for (; n > 0 && in->left > 0; n--, in->left--)
        v = v << 8 | *in->p++;
    return v;
}

#endif
