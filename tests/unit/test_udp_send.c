/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP: what clients send: fragments, checksums, errors, records that lie, taking turns.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "session/turns.h"
#include "udp_test.h"

TestSuite(udp_send, .init = setup, .fini = finish);

/* Protects what is sent: header, checksum, fragments, DF, the local address chosen, TTL and
 * TOS; sizes around each border. */
Test(udp_send, send)
{
    static const uint32_t sizes[] = {0, 1, 7, 1471, 1472, 1473, 2952, 2953, 30000, 65507};
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_TTL, 5), 0);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_TOS, 0x10), 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        kit_send(&k, 0, slot, KIT_PEER, 4000, data, sizes[i]);
        cr_assert_eq(kit_op(&k, sess, REQ_SEND), 0);
        cr_assert_eq(udp_deadline(k.u), 0);
        kit_step(&k, NULL, 0);
        uint32_t len = kit_gather(&k, 0, back, sizeof back);
        cr_assert_eq(len, sizes[i] + 8, "%u", sizes[i]);
        cr_assert_eq(memcmp(back + 8, data, sizes[i]), 0);
        const struct pkt *p = &k.out[0];
        cr_assert_eq(k.n_out, (sizes[i] + 8 + 1479) / 1480);
        cr_assert_eq((p->flags & PKT_DF) != 0, k.n_out == 1);
        cr_assert(p->ttl == 5 && p->tos == 0x10 && p->sport >= 32768 && p->dport == 4000);
        cr_assert(ipaddr_to_u32(&p->src) == KIT_OWN && ipaddr_to_u32(&p->dst) == KIT_PEER);
        cr_assert_eq(k.arena[0].d_slot[slot].tx_head, k.arena[0].c_slot[slot].tx_tail);
        cr_assert(kit_done(&k));
        cr_assert(!udp_tx_done(k.u, p->addr), "a frame comes back once");
        kit_step(&k, NULL, 0);
        cr_assert_eq(udp_deadline(k.u), NS_NEVER);
    }
}

/* Protects an MTU larger than a frame: one packet of several frames up to it, fragments of
 * several frames beyond, checksums over all; and a datagram that would have too many frames in
 * fragments of that size. */
Test(udp_send, jumbo)
{
    static const struct {
        uint32_t mtu, size, fragments, frames;
    } of[] = {{9000, 1912, 1, 1},   {9000, 1913, 1, 2},    {9000, 8972, 1, 5},
              {9000, 8971, 1, 5},   {9000, 8973, 2, 6},    {9000, 20001, 3, 12},
              {9000, 65507, 8, 37}, {1941, 1912, 1, 1},    {1941, 1913, 1, 2},
              {2000, 1972, 1, 2},   {2000, 30000, 16, 31}, {2000, 65507, 35, 35},
              {9216, 9188, 1, 5}};
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        k.path.mtu = of[i].mtu;
        kit_send(&k, 0, slot, KIT_PEER, 4000, data, of[i].size);
        cr_assert_eq(kit_op(&k, sess, REQ_SEND), 0);
        kit_step(&k, NULL, 0);
        cr_assert_eq(kit_gather(&k, 0, back, sizeof back), of[i].size + 8, "%zu", i);
        cr_assert_eq(memcmp(back + 8, data, of[i].size), 0);
        cr_assert_eq(k.n_fragments, of[i].fragments, "%zu: %u", i, k.n_fragments);
        cr_assert_eq(k.n_out, of[i].frames, "%zu: %u", i, k.n_out);
        cr_assert_eq((k.out[0].flags & PKT_DF) != 0, of[i].fragments == 1);
        cr_assert(kit_done(&k));
    }
}

/* Protects the checksum that comes out as 0, which on the wire would say "none" (RFC 768). */
Test(udp_send, send_checksum_zero)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    uint8_t payload[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        kit_send(&k, 0, slot, KIT_PEER, 9, payload, 2);
        kit_op(&k, sess, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 10);
        memcpy(payload, back + 6, 2); /* makes the whole sum to 0xffff */
        kit_done(&k);
    }
    cr_assert(back[6] == 0xff && back[7] == 0xff);
}

/* Protects IP_MTU_DISCOVER: each setting's meaning, with a path narrower than the link. */
Test(udp_send, path_mtu)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    for (unsigned i = 0; i < PATH_PMTU_ENTRIES; i++)
        k.path.pmtu[i] = (struct path_pmtu){.dst = ipaddr_v4_u32(KIT_PEER), .mtu = 1000};
    cr_assert_eq(kit_get(&k, sess, IPPROTO_IP, IP_MTU), -ENOTCONN);
    cr_assert_eq(kit_connect(&k, sess, KIT_PEER, 4000), 0);
    cr_assert_eq(kit_get(&k, sess, IPPROTO_IP, IP_MTU), 1000);
    static const struct {
        int mode;
        uint32_t len;
        unsigned n, df;
        int err;
    } c[] = {
        {IP_PMTUDISC_WANT, 972, 1, 1, 0},          {IP_PMTUDISC_WANT, 973, 2, 0, 0},
        {IP_PMTUDISC_DONT, 972, 1, 0, 0},          {IP_PMTUDISC_DO, 972, 1, 1, 0},
        {IP_PMTUDISC_DO, 973, 0, 0, EMSGSIZE},     {IP_PMTUDISC_PROBE, 1472, 1, 1, 0},
        {IP_PMTUDISC_PROBE, 1473, 0, 0, EMSGSIZE}, {IP_PMTUDISC_WANT, 65507, 45, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_MTU_DISCOVER, (uint64_t)c[i].mode), 0);
        kit_send(&k, 0, slot, 0, 0, data, c[i].len);
        kit_op(&k, sess, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(k.n_out, c[i].n, "%zu: %u", i, k.n_out);
        cr_assert(c[i].n == 0 || kit_gather(&k, 0, back, sizeof back) == c[i].len + 8);
        cr_assert(c[i].n == 0 || !(k.out[0].flags & PKT_DF) == !c[i].df);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), c[i].err);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0, "taken once");
        kit_done(&k);
    }
}

/* Protects what the client's library refuses at once by what it is told of the interface. */
Test(udp_send, interface_is_told)
{
    const struct half_head *h = k.arena[0].d_head;
    cr_assert_eq(h->net_own, KIT_OWN);
    cr_assert(h->net_prefix == 24 && h->net_mtu == 1500 && h->net_gateway == 0);
}

/* A group is reached by the interface that the program names, or by the route for everything,
 * with a TTL of its own: 1 if nothing is said, and with 0 nothing leaves. */
Test(udp_send, groups)
{
    uint32_t own = htonl(KIT_OWN), slot, sess = kit_open(&k, 0, &slot);
    static const struct {
        uint64_t set;
        uint32_t n, ttl;
    } c[] = {{1, 1, 1}, {9, 1, 9}, {(uint64_t)-1, 1, 1}, {255, 1, 255}, {0, 0, 0}, {2, 1, 2}};
    cr_assert_eq(kit_get(&k, sess, IPPROTO_IP, IP_MULTICAST_TTL), 1);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_TTL, 99), 0);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_MULTICAST_IF, 77), EADDRNOTAVAIL);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_MULTICAST_IF, own), 0);
    cr_assert_eq((uint32_t)kit_get(&k, sess, IPPROTO_IP, IP_MULTICAST_IF), own);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_MULTICAST_TTL, c[i].set), 0);
        kit_send(&k, 0, slot, 0xe0000001, 53, data, 10);
        kit_op(&k, sess, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(k.n_out, c[i].n, "%zu", i);
        cr_assert(c[i].n == 0 || k.out[0].ttl == c[i].ttl, "%zu", i);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0);
        kit_done(&k);
    }
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_MULTICAST_TTL, 256), EINVAL);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_MULTICAST_IF, 0), 0);
    cr_assert_eq(kit_connect(&k, sess, 0xe0000001, 53), ENETUNREACH);
    k.path.gateway = ipaddr_v4_u32(KIT_PEER);
    cr_assert_eq(kit_connect(&k, sess, 0xe0000001, 53), 0);
}

/* Nothing is cut on the way to this host. */
Test(udp_send, whole_to_this_host)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), 0);
    kit_send(&k, 0, slot, KIT_OWN, 53, data, 3000);
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_gt(k.n_out, 1);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0);
}

/* Protects the errors of a record: each becomes SO_ERROR, and the next record is sent. */
Test(udp_send, send_errors)
{
    static const struct {
        uint32_t addr;
        uint16_t port;
        int err;
    } c[] = {{0, 0, EDESTADDRREQ},          {KIT_PEER, 0, EINVAL},
             {0x08080808, 53, ENETUNREACH}, {0x0a0000ff, 53, EACCES},
             {0xffffffff, 53, EACCES},      {0xe0000001, 53, ENETUNREACH},
             {0x7fffffff, 53, ENETUNREACH}};
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        kit_send(&k, 0, slot, c[i].addr, c[i].port, data, 10);
        kit_send(&k, 0, slot, KIT_PEER, 53, data, 11);
        kit_op(&k, sess, REQ_SEND);
        uint32_t seq = k.arena[0].d_slot[slot].err_seq;
        kit_step(&k, NULL, 0);
        cr_assert_eq(k.n_out, 1);
        cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 19);
        cr_assert_eq(k.arena[0].d_slot[slot].err_seq, seq + 1);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), c[i].err, "%zu", i);
        kit_done(&k);
    }
    cr_assert_eq(kit_set(&k, sess, SOL_SOCKET, SO_BROADCAST, 1), 0);
    kit_send(&k, 0, slot, 0x0a0000ff, 53, data, 10);
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 1);
    cr_assert_eq(kit_connect(&k, sess, 0x08080808, 53), ENETUNREACH);
    cr_assert_eq(kit_connect(&k, sess, KIT_PEER, 0), EINVAL);
}

/* Protects against the client's memory: records that lie about their length, cursors that go
 * back or far ahead. The session gets EINVAL, goes on with what is written next, and nobody
 * else notices. */
Test(udp_send, hostile_records)
{
    uint32_t slot, other, sess = kit_open(&k, 0, &slot), good = kit_open(&k, 1, &other);
    struct slot_client *c = &k.arena[0].c_slot[slot];
    static const uint32_t lens[] = {DGRAM_MAX + 1, 0xfffffff0u, UINT32_MAX, 33};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct dgram_head h = {.len = lens[i], .addr = ipaddr_v4_u32(KIT_PEER), .port = 9};
        kit_tx_bytes(&k, 0, slot, &h, sizeof h);
        kit_tx_bytes(&k, 0, slot, data, 32); /* less than 33 and padding */
        kit_send(&k, 1, other, KIT_PEER, 9, data, 50);
        kit_op(&k, sess, REQ_SEND);
        kit_op(&k, good, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(k.n_out, 1);
        cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 58);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), EINVAL);
        kit_done(&k);
    }
    kit_send(&k, 0, slot, KIT_PEER, 9, data, DGRAM_MAX + 1); /* whole, but more than IP holds */
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), EINVAL);
    static const int64_t jumps[] = {-8, 1, 39, FIFO_MAX + 1, INT64_MIN, 1ll << 40};
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        c->tx_tail += (uint64_t)jumps[i];
        kit_op(&k, sess, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(k.n_out, 0);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), EINVAL);
        cr_assert_eq(udp_deadline(k.u), NS_NEVER);
    }
    c->tx_tail = (c->tx_tail + 7) & ~7ull;
    k.arena[0].d_slot[slot].tx_head = c->tx_tail;
    kit_send(&k, 0, slot, KIT_PEER, 9, data, 50);
    for (uint32_t i = 0; i < FIFO_DIR; i++)
        c->tx_dir.page[i] = 0x12345678;
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0); /* a header of zeros: no peer */
    cr_assert_eq(k.n_out, 0);
    c->rx_head = 0xfffffff0u; /* consumed what was never there */
    kit_op(&k, sess, REQ_CONSUMED);
    cr_assert(udp_validate(k.u));
}

/* Protects back-pressure: without frames records wait in their FIFO, in order, and sessions
 * take turns. */
Test(udp_send, turns)
{
    uint32_t slot[2], sess[2];
    unsigned n[2] = {0};
    for (uint32_t i = 0; i < 2; i++) {
        sess[i] = kit_open(&k, i, &slot[i]);
        kit_connect(&k, sess[i], KIT_PEER, (uint16_t)(1 + i));
    }
    for (uint8_t i = 0; i < 60; i++)
        kit_send(&k, 0, slot[0], 0, 0, &i, 1);
    for (uint8_t i = 0; i < 10; i++)
        kit_send(&k, 1, slot[1], 0, 0, &i, 1);
    kit_op(&k, sess[0], REQ_SEND);
    kit_op(&k, sess[1], REQ_SEND);
    struct pkt held[96];
    unsigned n_held = 0;
    for (int round = 0; round < 2; round++) {
        kit_step(&k, NULL, 0);
        for (unsigned i = 0; i < k.n_out; i++) {
            held[n_held++] = k.out[i];
            unsigned who = k.out[i].dport - 1u;
            cr_assert_eq(kit_gather(&k, i, back, sizeof back), 9);
            cr_assert_eq(back[8], n[who]++, "in order");
            cr_assert(n[1] == 10 || (n[0] <= n[1] + TURN_QUANTUM / TURN_PACKET), "in turn");
        }
    }
    cr_assert(n[0] == 60 && n[1] == 10);
    for (int i = 0; i < 40; i++)
        kit_send(&k, 0, slot[0], 0, 0, data, 1);
    kit_op(&k, sess[0], REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 96 - 70, "as many as there are frames");
    cr_assert_eq(udp_deadline(k.u), NS_NEVER, "waits for frames, not for time");
    cr_assert(udp_tx_done(k.u, held[0].addr));
    cr_assert_eq(udp_deadline(k.u), 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 1);
    udp_ip_reset(k.u); /* ip died: its frames are ours again */
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 40 - 27);
    cr_assert_eq(stat_get(&k.stats, STAT_udp_drop_tx_bad), 0);
}

/* Protects what was written while ip is down, or its ring short of room: it waits. */
Test(udp_send, no_room_below)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    kit_send(&k, 0, slot, KIT_PEER, 9, data, 60000);
    kit_op(&k, sess, REQ_SEND);
    cr_assert_eq(udp_step(k.u, NULL, 0, k.out, 0, k.now), 0);
    cr_assert_eq(udp_step(k.u, NULL, 0, k.out, 40, k.now), 0);
    cr_assert_eq(udp_deadline(k.u), 0);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 60008);
    kit_done(&k);
}
