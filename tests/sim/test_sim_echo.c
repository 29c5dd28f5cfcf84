/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_echo.c: a stack that sends as fast as it can, asked for more echoes than the NIC
 * takes in a turn, so that ip keeps frames back. Protects: what the transports send meanwhile
 * waits with them, and is not made only to be dropped on the way to the NIC.
 */
#include <criterion/criterion.h>

#include "bulk.h"
#include "wire/csum.h"
#include "wire/wire.h"

#define AT_ONCE 24u /* echo requests */
#define NIC_ROOM 16u
#define BYTES 2000000u

static struct world w;
static struct bulk b;

/* To the stack of program 0, as from the other one. */
static void
echo_request(void)
{
    uint8_t f[ETH_HEADER + IP4_HEADER + 16] = {0};
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    struct ip4_hdr h = {.src = ipaddr_v4_u32(WORLD_ADDR(1)),
                        .dst = ipaddr_v4_u32(WORLD_ADDR(0)),
                        .ttl = 64,
                        .proto = WIRE_PROTO_ICMP,
                        .total_len = sizeof f - ETH_HEADER};
    uint8_t *icmp = f + ETH_HEADER + IP4_HEADER;
    memcpy(e.dst, w.s[0].ip_cfg.mac, 6);
    memcpy(e.src, w.s[1].ip_cfg.mac, 6);
    eth_emit(f, &e);
    ip4_emit(f + ETH_HEADER, &h);
    icmp[0] = 8;
    put_be16(icmp + 2, (uint16_t) ~(8u << 8));
    stack_receive(&w.s[0], f, sizeof f);
}

/* With each of the receiver's segments come some. */
static bool
flood(void *ctx, const uint8_t *frame, uint32_t len)
{
    (void)ctx;
    (void)frame;
    (void)len;
    for (unsigned i = 0; i < AT_ONCE; i++)
        echo_request();
    return true;
}

Test(sim_echo, beside_a_stream)
{
    struct world_config c = bulk_world(3, 50 * NS_US);
    for (unsigned i = 0; i < 2; i++)
        c.stack[i].frames[PART_IPTX] = 512;
    bulk_init(&b, &w, &c, 2);
    w.s[0].join.out.cap_nic = NIC_ROOM;
    w.wire[1].filter = flood;
    (void)bulk_transfer(&b, BYTES, 60 * NS_S);
    w.wire[1].filter = NULL;
    cr_assert_gt(world_stat(&w, 0, STAT_icmp_echo), 1000u);
    cr_assert_eq(world_stat(&w, 0, STAT_tcp_retransmit), 0u);
    w.s[0].join.out.cap_nic = JOIN_NIC;
    bulk_end(&b);
}
