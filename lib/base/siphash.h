/* SPDX-License-Identifier: BSD-2-Clause
 *
 * siphash.h: SipHash-1-3 (Aumasson and Bernstein, 2012) over 64-bit words: the keyed function
 * behind hash tables that strangers fill, initial sequence numbers and port choice.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base.h"

static inline void
siphash_round(uint64_t v[4])
{
#define ROTL64(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
    v[0] += v[1];
    v[2] += v[3];
    v[1] = ROTL64(v[1], 13) ^ v[0];
    v[3] = ROTL64(v[3], 16) ^ v[2];
    v[0] = ROTL64(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = ROTL64(v[1], 17) ^ v[2];
    v[3] = ROTL64(v[3], 21) ^ v[0];
    v[2] = ROTL64(v[2], 32);
#undef ROTL64
}

/* key: 16 bytes. */
static inline uint64_t
siphash_words(const uint8_t key[16], const uint64_t *w, size_t n)
{
    uint64_t k[2];
    memcpy(k, key, sizeof k);
    uint64_t v[4] = {k[0] ^ 0x736f6d6570736575ull, k[1] ^ 0x646f72616e646f6dull,
                     k[0] ^ 0x6c7967656e657261ull, k[1] ^ 0x7465646279746573ull};
    for (size_t i = 0; i <= n; i++) {
        uint64_t m = i < n ? w[i] : (uint64_t)(n * 8) << 56;
        v[3] ^= m;
        siphash_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    siphash_round(v);
    siphash_round(v);
    siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
