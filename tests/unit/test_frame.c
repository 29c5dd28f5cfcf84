/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>

#include "base/frame.h"
#include "base/pkt.h"

static struct frames f;
static uint8_t memory[16 * FRAME_SIZE];

static void
setup(void)
{
    frames_layout(&f, (uint32_t[PART_COUNT]){4, 2, 3, 5, 2});
    f.base = memory;
    f.readable = PART_BIT(PART_RX) | PART_BIT(PART_UDPTX) | PART_BIT(PART_UP);
    f.writable = PART_BIT(PART_UDPTX);
}

/* Protects the frame space: each address belongs to one part, those outside to none. */
Test(frame, parts, .init = setup)
{
    unsigned n[PART_COUNT + 1] = {0};
    for (uint32_t a = 0; a < frames_bytes(&f); a += FRAME_SIZE)
        n[frames_part(&f, a + FRAME_SIZE - 1)]++;
    cr_assert(n[PART_RX] == 4 && n[PART_IPTX] == 2 && n[PART_TCPTX] == 3 &&
              n[PART_UDPTX] == 5 && n[PART_UP] == 2 && n[PART_COUNT] == 0);
    cr_assert_eq(frames_part(&f, frames_bytes(&f)), PART_COUNT);
    cr_assert_eq(frames_part(&f, 0xfffffff0u), PART_COUNT);
}

/* Protects what a forged descriptor may reach: one frame, of an allowed and mapped part. */
Test(frame, reach, .init = setup)
{
    uint32_t udp = f.off[PART_UDPTX];
    cr_assert_not_null(frames_ro(&f, PART_BIT(PART_RX), 0, FRAME_SIZE));
    cr_assert_null(frames_ro(&f, PART_BIT(PART_RX), 1, FRAME_SIZE));
    cr_assert_null(frames_ro(&f, PART_BIT(PART_RX), 0, UINT32_MAX));
    cr_assert_null(frames_ro(&f, PART_BIT(PART_RX), 0xfffffff0u, 1));
    cr_assert_null(frames_ro(&f, PART_BIT(PART_RX), udp, 1), "not asked for");
    cr_assert_null(frames_ro(&f, PART_BIT(PART_TCPTX), f.off[PART_TCPTX], 1), "not mapped");
    cr_assert_null(frames_rw(&f, PART_BIT(PART_RX), 0, 1), "not writable");
    cr_assert_eq(frames_rw(&f, PART_BIT(PART_UDPTX), udp + 100, 1948), memory + udp + 100);
    cr_assert_null(frames_rw(&f, PART_BIT(PART_UDPTX), udp + 100, 1949));
}

/* Protects the ledger: a frame comes back once, from who holds it, whatever is claimed. */
Test(frame, pool, .init = setup)
{
    static uint32_t stack[5];
    static uint8_t holder[5];
    struct pool p;
    uint32_t a[5], extra;
    pool_init(&p, &f, PART_UDPTX, stack, holder);
    for (int i = 0; i < 5; i++)
        cr_assert(pool_take(&p, 1, &a[i]));
    cr_assert(!pool_take(&p, 1, &extra));
    cr_assert(pool_return(&p, a[2] + 17, 1), "anywhere into the frame");
    cr_assert(!pool_return(&p, a[2], 1), "twice");
    cr_assert(!pool_return(&p, a[0], 2), "another holder");
    cr_assert(!pool_return(&p, a[2], FRAME_FREE), "as if from the free ones");
    cr_assert(!pool_return(&p, f.off[PART_UDPTX] - 1, 1), "below");
    cr_assert(!pool_return(&p, f.off[PART_UP], 1), "above");
    cr_assert(!pool_return(&p, 0xfffffff0u, 1));
    cr_assert_eq(p.refused, 6);
    cr_assert(pool_move(&p, a[0], 1, 2));
    cr_assert(pool_validate(&p));
    cr_assert_eq(pool_reclaim(&p, 1), 3);
    cr_assert_eq(p.n_free, 4);
    cr_assert(pool_validate(&p));
    pool_init(&p, &f, PART_UDPTX, stack, holder); /* taken up again by a restarted owner */
    cr_assert_eq(p.n_free, 4);
    cr_assert(pool_return(&p, a[0], 2) && pool_validate(&p));
    stack[0] = stack[1]; /* the invariant can fail */
    holder[stack[1]] = 3;
    cr_assert(!pool_validate(&p));
}

/* Protects the hints about the network that the transports read. */
Test(frame, path)
{
    struct path_table t = {.addr = ipaddr_v4_u32(0x0a000001), .prefix = 24, .mtu = 1500};
    struct ipaddr near = ipaddr_v4_u32(0x0a0000ff), far = ipaddr_v4_u32(0x08080808);
    struct ipaddr lo = ipaddr_v4_u32(0x7f000001), any = ipaddr_v4_u32(0), none = {0};
    cr_assert(path_reachable(&t, &near) && !path_reachable(&t, &far));
    t.gateway = ipaddr_v4_u32(0x0a0000fe);
    cr_assert(path_reachable(&t, &far) && path_reachable(&t, &lo));
    cr_assert(!path_reachable(&t, &any) && !path_reachable(&t, &none));
    cr_assert_eq(path_mtu(&t, &far), 1500);
    for (unsigned i = 0; i < PATH_PMTU_ENTRIES; i++)
        t.pmtu[i] = (struct path_pmtu){.dst = far, .mtu = 68};
    cr_assert_eq(path_mtu(&t, &far), 576, "never below");
    cr_assert_eq(path_mtu(&t, &near), 1500);
}

/* Protects what is this stack and what is not: all of 127.0.0.0/8 but its broadcast address;
 * and which source goes with a destination, as Linux has it. */
Test(frame, loopback)
{
    static const struct {
        uint32_t addr, source;
        bool local;
    } c[] = {
        {0x0a000001, 0x0a000001, true},  {0x7f000001, 0x7f000001, true},
        {0x7f000000, 0x7f000001, true},  {0x7ffffffe, 0x7f000001, true},
        {0x7fffffff, 0x0a000001, false}, {0x0a000002, 0x0a000001, false},
        {0x7effffff, 0x0a000001, false}, {0x80000000, 0x0a000001, false},
    };
    struct path_table t = {.addr = ipaddr_v4_u32(0x0a000001), .prefix = 24, .mtu = 1500};
    const struct ipaddr any = ipaddr_v4_u32(0), none = {0};
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        struct ipaddr a = ipaddr_v4_u32(c[i].addr), from = path_source(&t, &a), to;
        cr_assert_eq(path_local(&t, &a), c[i].local, "%zu", i);
        cr_assert_eq(ipaddr_to_u32(&from), c[i].source, "%zu", i);
        to = path_peer(&a, &any);
        cr_assert(ipaddr_eq(&to, &a), "%zu", i);
        to = path_peer(&any, &a);
        cr_assert(ipaddr_eq(&to, &a), "no address: that of who asks");
    }
    struct ipaddr to = path_peer(&any, &none);
    cr_assert_eq(ipaddr_to_u32(&to), 0x7f000001, "or loopback's");
    to = path_peer(&none, &t.addr);
    cr_assert(ipaddr_is_none(&to), "what is no address stays none");
}
