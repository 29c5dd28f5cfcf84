/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "wire/csum.h"

static uint32_t seed = 1;

static uint8_t
next_byte(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint8_t)(seed >> 24);
}

/* RFC 1071 section 4.1 as it is written, over big-endian words; the result as it lies in
 * memory. */
static uint16_t
reference(const uint8_t *p, size_t len)
{
    uint64_t s = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        s += be16(p + i);
    if (len % 2)
        s += (uint32_t)p[len - 1] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return __builtin_bswap16((uint16_t)s);
}

static void
fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = next_byte();
}

/* Protects the vector loop and its tail: every length and alignment that the loop can see. */
Test(csum, every_length_and_alignment)
{
    static uint8_t buf[700], copy[700];
    fill(buf, sizeof buf);
    for (size_t off = 0; off < 33; off++)
        for (size_t len = 0; len < 600; len++) {
            uint16_t want = reference(buf + off, len);
            cr_assert_eq(csum_fold(csum_bytes(buf + off, len)), want, "%zu+%zu", off, len);
            memset(copy, 0xee, sizeof copy);
            size_t to = (off * 7) % 33;
            cr_assert_eq(csum_fold(csum_copy(copy + to, buf + off, len)), want);
            cr_assert_eq(memcmp(copy + to, buf + off, len), 0);
            cr_assert_eq(copy[to + len], 0xee, "wrote past the end");
            cr_assert(to == 0 || copy[to - 1] == 0xee, "wrote before the start");
        }
}

/* Protects against lanes that overflow: the longest packet, of the largest words. */
Test(csum, longest_and_largest)
{
    uint8_t *p = malloc(65536), *q = malloc(65536);
    for (int ones = 0; ones < 2; ones++) {
        fill(p, 65536);
        if (ones)
            memset(p, 0xff, 65536);
        for (size_t len = 65500; len <= 65535; len++) {
            cr_assert_eq(csum_fold(csum_bytes(p + 1, len)), reference(p + 1, len));
            cr_assert_eq(csum_fold(csum_copy(q, p, len)), reference(p, len));
        }
    }
    free(p);
    free(q);
}

/* Protects csum_add_odd: a whole summed in two parts, cut anywhere. */
Test(csum, cut_anywhere)
{
    uint8_t buf[301];
    fill(buf, sizeof buf);
    for (size_t cut = 0; cut <= sizeof buf; cut++) {
        uint32_t a = csum_bytes(buf, cut), b = csum_bytes(buf + cut, sizeof buf - cut);
        uint32_t s = cut % 2 ? csum_add_odd(a, b) : csum_add(a, b);
        cr_assert_eq(csum_fold(s), reference(buf, sizeof buf), "cut at %zu", cut);
    }
}

/* Protects the carry of csum_add and of csum_fold near the wrap. */
Test(csum, carries)
{
    cr_assert_eq(csum_add(UINT32_MAX, 1), 1u);
    cr_assert_eq(csum_add(0xfffffff0u, 0x20), 0x11u);
    cr_assert_eq(csum_fold(UINT32_MAX), 0xffff);
    cr_assert_eq(csum_fold(0xffff0001u), 1);
    cr_assert_eq(csum_fold(0x0001ffffu), 1);
    cr_assert_eq(csum_fold(0), 0);
}

/* Protects the pseudo-header against a worked example (10.0.0.1 to 10.0.0.2, UDP, 12 bytes). */
Test(csum, pseudo_header)
{
    uint8_t p[12] = {10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 12};
    struct ipaddr a = ipaddr_v4(p), b = ipaddr_v4(p + 4);
    cr_assert_eq(csum_fold(csum_pseudo(&a, &b, 17, 12)), reference(p, sizeof p));
    put_be16(p + 10, 65535);
    cr_assert_eq(csum_fold(csum_pseudo(&a, &b, 17, 65535)), reference(p, sizeof p));
}
