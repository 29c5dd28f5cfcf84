/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The inner loop works on vectors of two 64-bit lanes. Each 16-byte load is split into its
 * low and high 32-bit halves, so a lane cannot overflow below 2^32 loads and no carry needs
 * care before the end. Adding 32-bit words is as good as adding 16-bit words: 2^16 is 1
 * modulo 65535 (RFC 1071 section 2(A)-(C)).
 */
#include "csum.h"

typedef uint64_t v2u64 __attribute__((vector_size(16)));

/* Keeps a value in a register, so that what was loaded once is what is stored and summed:
 * the source may be changing. */
#if defined(__x86_64__)
#define PIN_VEC(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define PIN_VEC(v) __asm__("" : "+w"(v))
#else
#define PIN_VEC(v) __asm__("" : "+m"(v))
#endif
#define PIN(x) __asm__("" : "+r"(x))

static inline uint32_t
fold64(uint64_t s)
{
    s = (s & UINT32_MAX) + (s >> 32);
    return (uint32_t)((s & UINT32_MAX) + (s >> 32));
}

static inline v2u64
lanes(v2u64 v)
{
    return (v & (v2u64){UINT32_MAX, UINT32_MAX}) + (v >> 32);
}

/* One loop for both: dst is NULL in csum_bytes, and the compiler drops the stores there. */
static inline __attribute__((always_inline)) uint32_t
sum(uint8_t *dst, const uint8_t *src, size_t len)
{
    v2u64 acc0 = {0}, acc1 = {0};
    while (len >= 32) {
        v2u64 a, b;
        memcpy(&a, src, 16);
        memcpy(&b, src + 16, 16);
        if (dst) {
            PIN_VEC(a);
            PIN_VEC(b);
            memcpy(dst, &a, 16);
            memcpy(dst + 16, &b, 16);
            dst += 32;
        }
        acc0 += lanes(a);
        acc1 += lanes(b);
        src += 32;
        len -= 32;
    }
    acc0 += acc1;
    uint64_t s = (uint64_t)fold64(acc0[0]) + fold64(acc0[1]);
    while (len >= 4) {
        uint32_t w;
        memcpy(&w, src, 4);
        PIN(w);
        if (dst) {
            memcpy(dst, &w, 4);
            dst += 4;
        }
        s += w;
        src += 4;
        len -= 4;
    }
    /* The last one to three bytes, as a word padded with zeros behind. */
    uint32_t tail = 0;
    for (size_t i = 0; i < len; i++) {
        uint32_t c = src[i];
        PIN(c);
        if (dst)
            dst[i] = (uint8_t)c;
        tail |= c << 8 * i;
    }
    return fold64(s + tail);
}

uint32_t
csum_bytes(const void *p, size_t len)
{
    return sum(NULL, p, len);
}

uint32_t
csum_copy(void *dst, const void *src, size_t len)
{
    return sum(dst, src, len);
}

uint32_t
csum_pseudo(const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto, uint32_t len)
{
    uint8_t tail[4] = {0, proto};
    put_be16(tail + 2, (uint16_t)len);
    uint32_t w;
    memcpy(&w, tail, 4);
    return csum_add(csum_add(src->w[3], dst->w[3]), w);
}
