/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP: what arrives, and whom it reaches: demultiplexing, bindings, the receive FIFO, ICMP
 * errors.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "udp_test.h"
#include "wire/csum.h"

TestSuite(udp, .init = setup, .fini = finish);

/* Protects the receive path: payload, peer, local address and counters; sizes from nothing to
 * the largest, in one frame and in chains cut at odd places. */
Test(udp, receive)
{
    static const uint32_t sizes[] = {0, 1, 7, 8, 9, 18, 1471, 1472, 1473, 9000, 65507};
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct dgram_head h;
    cr_assert_eq(kit_bind(&k, sess, 0, 53), 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (uint32_t cut = 1480; cut >= 1477; cut--) {
            struct pkt p[FRAME_MAX_CHAIN];
            unsigned n = kit_datagram(&k, p, KIT_PEER, 4000, KIT_OWN, 53, data, sizes[i], cut,
                                      CSUM_GOOD);
            kit_step(&k, p, n);
            cr_assert_eq(k.n_out, 0);
            cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), sizes[i]);
            cr_assert_eq(memcmp(back, data, sizes[i]), 0);
            cr_assert(h.port == 4000 && ipaddr_to_u32(&h.addr) == KIT_PEER && h.ttl == 60 &&
                      ipaddr_to_u32(&h.local) == KIT_OWN);
            cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), -1);
        }
    cr_assert_eq(kit_stat(&k, STAT_seg_rx), 4 * ARRAY_LEN(sizes));
}

/* Protects checksum rules: none is accepted, wrong is not, pseudo-header only if allowed. */
Test(udp, checksums)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct dgram_head h;
    struct pkt p[FRAME_MAX_CHAIN];
    cr_assert_eq(kit_bind(&k, sess, KIT_OWN, 53), 0);
    for (int csum = CSUM_GOOD; csum <= CSUM_BAD; csum++) {
        unsigned n = kit_datagram(&k, p, KIT_PEER, 1, KIT_OWN, 53, data, 100, 1480, csum);
        kit_step(&k, p, n);
        bool got = kit_recv(&k, 0, slot, &h, back, sizeof back) == 100;
        cr_assert_eq(got, csum == CSUM_GOOD || csum == CSUM_NONE, "%d", csum);
    }
    cr_assert_eq(kit_stat(&k, STAT_drop_checksum), 2);
    kit_end(&k);
    kit_init(&k);
    k.cfg.csum_partial_ok = true;
    kit_crash(&k);
    cr_assert_eq(kit_attach(&k, 0), 0);
    sess = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, sess, 0, 53), 0);
    kit_step(&k, p,
             kit_datagram(&k, p, KIT_PEER, 1, KIT_OWN, 53, data, 100, 1480, CSUM_PARTIAL));
    kit_step(&k, p, kit_datagram(&k, p, KIT_PEER, 1, KIT_OWN, 53, data, 100, 1480, CSUM_BAD));
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 100);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), -1);
    cr_assert(kit_stat(&k, STAT_csum_partial) == 1 && kit_stat(&k, STAT_drop_checksum) == 1);
}

/* Protects against what ip or the NIC may hand up: descriptors that name nothing, chains
 * without an end, headers cut short, lengths that lie. Nothing changes but a counter. */
Test(udp, bad_descriptors)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct pkt p[120], q[1];
    struct dgram_head h;
    kit_bind(&k, sess, 0, 53);
    kit_datagram(&k, q, KIT_PEER, 1, KIT_OWN, 53, data, 100, 1480, CSUM_GOOD);
    for (uint16_t len = 0; len < 108; len++) {
        p[0] = q[0];
        p[0].len = len;
        kit_step(&k, p, 1);
    }
    cr_assert_eq(kit_stat(&k, STAT_drop_short), 108);
    static const uint32_t evil[] = {0xfffffff0u, 1u << 30, FRAME_SIZE - 4};
    for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
        p[0] = q[0];
        p[0].addr = evil[i];
        kit_step(&k, p, 1);
    }
    cr_assert_eq(kit_stat(&k, STAT_refused_frames), ARRAY_LEN(evil));
    for (unsigned i = 0; i < 112; i++) {
        p[i] = q[0];
        p[i].flags = PKT_MORE;
    }
    kit_step(&k, p, 112);
    p[111].flags = 0; /* has an end, but is too long */
    kit_step(&k, p, 112);
    p[0] = q[0];
    p[0].proto = 6;
    kit_step(&k, p, 1);
    p[0].kind = 77;
    kit_step(&k, p, 1);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), -1);
    cr_assert(kit_stat(&k, STAT_seg_rx) == 0 && k.n_out == 0);
}

/* Protects the choice of the session: connected before bound, a named address before any. */
Test(udp, demux)
{
    uint32_t any, own, con, s_any, s_own, s_con;
    struct dgram_head h;
    s_any = kit_open(&k, 0, &any);
    s_own = kit_open(&k, 0, &own);
    s_con = kit_open(&k, 1, &con);
    uint32_t all[] = {s_any, s_own, s_con};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(kit_set(&k, all[i], SOL_SOCKET, SO_REUSEADDR, 1), 0);
    cr_assert_eq(kit_bind(&k, s_any, 0, 53), 0);
    cr_assert_eq(kit_bind(&k, s_own, KIT_OWN, 53), 0);
    cr_assert_eq(kit_bind(&k, s_con, 0, 53), 0);
    cr_assert_eq(kit_connect(&k, s_con, KIT_PEER, 99), 0);
    kit_feed(&k, 99, 53, data, 1);
    kit_feed(&k, 98, 53, data, 2);
    cr_assert_eq(kit_recv(&k, 1, con, &h, back, sizeof back), 1);
    cr_assert_eq(kit_recv(&k, 0, own, &h, back, sizeof back), 2);
    cr_assert_eq(kit_connect(&k, s_own, KIT_PEER, 97), 0);
    kit_feed(&k, 98, 53, data, 3);
    cr_assert_eq(kit_recv(&k, 0, any, &h, back, sizeof back), 3);
    cr_assert_eq(kit_connect(&k, s_con, 0, 0), 0, "dissolved");
    struct sess_evt e;
    kit_request(&k, s_con, (struct sess_req){.op = REQ_NAME}, &e);
    cr_assert(e.port == 53 && ipaddr_is_any(&e.addr) && e.peer_v4 == 0 && e.peer_port == 0);
    kit_request(&k, s_own, (struct sess_req){.op = REQ_NAME}, &e);
    cr_assert(e.port == 53 && ipaddr_to_u32(&e.addr) == KIT_OWN && e.peer_v4 == KIT_PEER &&
              e.peer_port == 97);
}

#define LO 0x7f000001u
#define LO5 0x7f000005u

/* Protects loopback's addresses as Linux has them: 127.0.0.1 is the source if none was chosen;
 * one that was chosen reaches this host alone; no address is the own one. By connect(2), and by
 * a datagram's own destination. */
Test(udp, loopback_sources)
{
    static const struct {
        uint32_t bound, to, source, peer;
        int err;
    } c[] = {
        {0, LO, LO, LO, 0},
        {0, LO5, LO, LO5, 0},
        {0, KIT_PEER, KIT_OWN, KIT_PEER, 0},
        {0, 0, LO, LO, 0},
        {0, 0x7fffffff, 0, 0, ENETUNREACH},
        {LO5, LO, LO5, LO, 0},
        {LO5, KIT_OWN, LO5, KIT_OWN, 0},
        {LO5, 0, LO5, LO5, 0},
        {LO5, KIT_PEER, 0, 0, EINVAL},
        {LO5, 0x08080808, 0, 0, ENETUNREACH},
        {LO5, 0x0a0000ff, 0, 0, EINVAL},
        {KIT_OWN, LO, KIT_OWN, LO, 0},
        {KIT_OWN, 0, KIT_OWN, KIT_OWN, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        struct sess_evt e;
        uint32_t slot, s = kit_open(&k, 0, &slot);
        struct sess_req r = {.op = REQ_CONNECT, .addr = ipaddr_v4_u32(c[i].to), .port = 9};
        cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_BROADCAST, 1), 0);
        cr_assert_eq(kit_bind(&k, s, c[i].bound, 0), 0);
        if (c[i].to != 0) {
            kit_send(&k, 0, slot, c[i].to, 9, data, 10);
            kit_op(&k, s, REQ_SEND);
            kit_step(&k, NULL, 0);
            cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ERROR), c[i].err, "%zu", i);
            cr_assert_eq(k.n_out, c[i].err == 0 ? 1 : 0, "%zu", i);
            if (c[i].err == 0) {
                cr_assert_eq(ipaddr_to_u32(&k.out[0].src), c[i].source, "%zu", i);
                cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 18, "its checksum");
            }
            kit_done(&k);
        }
        cr_assert_eq(kit_request(&k, s, r, &e), c[i].err, "%zu", i);
        kit_request(&k, s, (struct sess_req){.op = REQ_NAME}, &e);
        if (c[i].err == 0)
            cr_assert(ipaddr_to_u32(&e.addr) == c[i].source && e.peer_v4 == c[i].peer, "%zu",
                      i);
        kit_op(&k, s, REQ_CLOSE);
        while (udp_ops.next_event(kit_transport(&k), 0, &e))
            ;
        k.arena[0].c_slot[slot].tx_tail = 0;
        kit_op(&k, s, REQ_RELEASED);
    }
}

/* As on Linux: the source of a connected session stays when it connects again. */
Test(udp, loopback_stays_the_source)
{
    uint32_t slot, s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_connect(&k, s, LO, 9), 0);
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, 9), EINVAL);
    cr_assert_eq(kit_connect(&k, s, 0, 0), 0, "dissolved");
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, 9), 0);
}

/* Whom a datagram to loopback reaches: who is bound to that address, or to any. */
Test(udp, loopback_demux)
{
    uint32_t any, lo, s_any = kit_open(&k, 0, &any), s_lo = kit_open(&k, 0, &lo);
    static const struct {
        uint32_t dst;
        bool lo;
    } c[] = {{LO, true}, {LO5, false}, {KIT_OWN, false}};
    struct pkt p[FRAME_MAX_CHAIN];
    struct dgram_head h;
    cr_assert_eq(kit_bind(&k, s_any, 0x7fffffff, 53), EADDRNOTAVAIL);
    kit_set(&k, s_any, SOL_SOCKET, SO_REUSEADDR, 1);
    kit_set(&k, s_lo, SOL_SOCKET, SO_REUSEADDR, 1);
    cr_assert_eq(kit_bind(&k, s_any, 0, 53), 0);
    cr_assert_eq(kit_bind(&k, s_lo, LO, 53), 0);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        unsigned n = kit_datagram(&k, p, LO, 4000, c[i].dst, 53, data, 10, 1480, CSUM_GOOD);
        kit_step(&k, p, n);
        cr_assert_eq(kit_recv(&k, 0, c[i].lo ? lo : any, &h, back, sizeof back), 10);
        cr_assert(ipaddr_to_u32(&h.addr) == LO && ipaddr_to_u32(&h.local) == c[i].dst);
        cr_assert_eq(kit_recv(&k, 0, c[i].lo ? any : lo, &h, back, sizeof back), -1);
    }
}

/* Protects the port rules: conflicts, sharing, addresses that are not ours, double bind. */
Test(udp, bind)
{
    uint32_t slot, a = kit_open(&k, 0, &slot), b = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, a, KIT_PEER, 53), EADDRNOTAVAIL);
    cr_assert_eq(kit_bind(&k, a, KIT_OWN, 53), 0);
    cr_assert_eq(kit_bind(&k, a, KIT_OWN, 54), EINVAL);
    cr_assert_eq(kit_bind(&k, b, 0, 53), EADDRINUSE);
    cr_assert_eq(kit_set(&k, b, SOL_SOCKET, SO_REUSEPORT, 1), 0);
    cr_assert_eq(kit_bind(&k, b, 0, 53), EADDRINUSE, "only one of them shares");
    cr_assert_eq(kit_set(&k, a, SOL_SOCKET, SO_REUSEPORT, 1), 0);
    cr_assert_eq(kit_bind(&k, b, 0, 53), 0);
    cr_assert_eq(kit_op(&k, a, REQ_CLOSE), 0);
    cr_assert(udp_validate(k.u), "the port is still in use");
    cr_assert_eq(kit_op(&k, b, REQ_CLOSE), 0);
    uint32_t c = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, c, 0, 53), 0, "free as soon as it is closed");
}

/* Protects ephemeral ports: from the range, different, and not one after the other. */
Test(udp, ephemeral)
{
    uint32_t slot, last = 0, in_row = 0;
    for (int i = 0; i < 7; i++) {
        uint32_t s = kit_open(&k, 0, &slot);
        struct sess_evt e;
        cr_assert_eq(kit_request(&k, s, (struct sess_req){.op = REQ_BIND}, &e), 0);
        cr_assert(e.port >= 32768 && e.port <= 60999 && e.port != last);
        in_row += e.port == last + 1;
        last = e.port;
    }
    cr_assert_lt(in_row, 3);
}

/* Protects against ports that leak: more sessions, one after the other, than there are ports.
 */
Test(udp, ports_come_back)
{
    struct sess_evt e;
    uint32_t slot;
    for (int i = 0; i < 30000; i++) {
        uint32_t s = kit_open(&k, 0, &slot);
        cr_assert_eq(kit_bind(&k, s, 0, 0), 0);
        kit_op(&k, s, REQ_CLOSE);
        cr_assert(udp_ops.next_event(kit_transport(&k), 0, &e));
        kit_op(&k, s, REQ_RELEASED);
    }
}

/* Protects SO_REUSEPORT: peers are spread, and each stays where it is. */
Test(udp, reuseport_spreads)
{
    uint32_t slot[3], got[3] = {0};
    struct dgram_head h;
    for (int i = 0; i < 3; i++) {
        uint32_t s = kit_open(&k, 0, &slot[i]);
        kit_set(&k, s, SOL_SOCKET, SO_REUSEPORT, 1);
        cr_assert_eq(kit_bind(&k, s, 0, 53), 0);
    }
    for (uint16_t port = 1; port <= 90; port++) {
        int who[2] = {-1, -1};
        for (int round = 0; round < 2; round++) {
            kit_feed(&k, port, 53, data, 4);
            for (int i = 0; i < 3; i++)
                if (kit_recv(&k, 0, slot[i], &h, back, sizeof back) == 4) {
                    who[round] = i;
                    got[i]++;
                }
        }
        cr_assert(who[0] >= 0 && who[0] == who[1]);
    }
    cr_assert(got[0] > 20 && got[1] > 20 && got[2] > 20, "%u %u %u", got[0], got[1], got[2]);
}

/* Protects the answer to a closed port: what it quotes, and when there is none. */
Test(udp, reject)
{
    struct pkt p[FRAME_MAX_CHAIN];
    unsigned n = kit_datagram(&k, p, KIT_PEER, 7, KIT_OWN, 9, data, 1000, 1480, CSUM_GOOD);
    kit_step(&k, p, n);
    cr_assert_eq(k.n_out, 1);
    cr_assert(k.out[0].kind == PKT_REJECT && k.out[0].len == 548);
    cr_assert_eq(memcmp(k.frames.base + k.out[0].addr, k.frames.base + p[0].l3, 548), 0);
    cr_assert(ipaddr_to_u32(&k.out[0].dst) == KIT_PEER);
    cr_assert(kit_done(&k));
    p[0].flags = PKT_BCAST;
    kit_step(&k, p, n);
    cr_assert_eq(k.n_out, 0);
    n = kit_datagram(&k, p, KIT_PEER, 7, KIT_OWN, 9, data, 1000, 1480, CSUM_BAD);
    kit_step(&k, p, n);
    cr_assert_eq(k.n_out, 0);
    n = kit_datagram(&k, p, KIT_PEER, 7, KIT_OWN, 9, data, 1000, 1480, CSUM_GOOD);
    p[0].l3 = 0xfffffff0u;
    kit_step(&k, p, n);
    cr_assert_eq(k.n_out, 0);
    for (unsigned i = 0; i < 64; i++)
        kit_datagram(&k, &p[0], KIT_PEER, 7, KIT_OWN, 9, data, 8, 1480, CSUM_GOOD);
    struct pkt flood[64];
    for (unsigned i = 0; i < 64; i++)
        flood[i] = p[0];
    kit_step(&k, flood, 64);
    cr_assert_eq(k.n_out, KIT_CAP / 4, "a flood leaves room for those who send");
    cr_assert(kit_done(&k));
}

/* Protects the receive buffer: it is bounded, drops are charged, reading makes room, pages go
 * back, one datagram always fits, a lying cursor makes no room. */
Test(udp, receive_buffer)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct slot_client *c = &k.arena[0].c_slot[slot];
    struct dgram_head h;
    struct sess_info info;
    kit_bind(&k, sess, 0, 53);
    cr_assert_eq(kit_set(&k, sess, SOL_SOCKET, SO_RCVBUF, 10000), 0);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_RCVBUF), 10000);
    for (int i = 0; i < 20; i++)
        kit_feed(&k, 1, 53, data, 1000);
    cr_assert_eq(kit_stat(&k, STAT_seg_rx), 9); /* 1048 bytes each */
    cr_assert_eq(kit_stat(&k, STAT_udp_drop_rcvbuf), 11);
    cr_assert(udp_ops.info(kit_transport(&k), 0, &info) && info.drops == 11 &&
              info.rx_queued == 9 * 1048);
    c->rx_head = 9 * 1048 + 8; /* more than there is */
    kit_feed(&k, 1, 53, data, 1000);
    cr_assert_eq(kit_stat(&k, STAT_seg_rx), 9);
    c->rx_head = 0;
    for (int i = 0; i < 9; i++)
        cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 1000);
    kit_feed(&k, 1, 53, data, 40000);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 40000);
    for (int i = 0; i < 2000; i++) { /* far beyond the pages of the arena */
        kit_feed(&k, 1, 53, data, 3000);
        cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 3000);
    }
}

/* Protects the client's pool: it runs dry for its own sessions only; what was read long ago
 * in one session makes room for another. */
Test(udp, page_pool)
{
    uint32_t slot[3], other, sess[3], s = kit_open(&k, 1, &other);
    struct dgram_head h;
    kit_bind(&k, s, 0, 99);
    for (uint16_t i = 0; i < 3; i++) {
        sess[i] = kit_open(&k, 0, &slot[i]);
        kit_bind(&k, sess[i], 0, i + 1);
        kit_set(&k, sess[i], SOL_SOCKET, SO_RCVBUF, 200000);
    }
    for (int i = 0; i < 2; i++)
        kit_feed(&k, 1, 1, data, 60000);
    kit_feed(&k, 1, 2, data, 60000);
    cr_assert_eq(kit_stat(&k, STAT_drop_nobuf), 1);
    kit_feed(&k, 1, 99, data, 60000);
    cr_assert_eq(kit_recv(&k, 1, other, &h, back, sizeof back), 60000);
    cr_assert_eq(kit_recv(&k, 0, slot[0], &h, back, sizeof back), 60000);
    k.now += NS_S;
    kit_feed(&k, 1, 2, data, 60000);
    cr_assert_eq(kit_recv(&k, 0, slot[1], &h, back, sizeof back), 60000);
}

/* Protects ICMP errors: to the connected session they belong to, as its errno. */
Test(udp, icmp)
{
    uint32_t slot, slot2, sess = kit_open(&k, 0, &slot), two = kit_open(&k, 0, &slot2);
    kit_bind(&k, sess, 0, 1000);
    kit_bind(&k, two, 0, 1001);
    kit_connect(&k, sess, KIT_PEER, 9);
    struct pkt p = {.kind = PKT_ICMP,
                    .proto = 17,
                    .err = ECONNREFUSED,
                    .sport = 1000,
                    .dport = 9,
                    .src = ipaddr_v4_u32(KIT_OWN),
                    .dst = ipaddr_v4_u32(KIT_PEER)};
    k.arena[0].c_slot[slot].arm = 1u << 2 | SLOT_READ;
    kit_step(&k, &p, 1);
    cr_assert(kit_only_event(&k, 0, EVT_READY, slot));
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    struct pkt q[] = {p, p, p, p};
    q[0].sport = 1001; /* not connected */
    q[0].dport = 9;
    q[1].dport = 8;
    q[2].dst = ipaddr_v4_u32(KIT_PEER + 1);
    q[3].err = 0;
    kit_step(&k, q, 4);
    cr_assert_eq(kit_stat(&k, STAT_drop_icmp), 4);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0);
    cr_assert_eq(kit_get(&k, two, SOL_SOCKET, SO_ERROR), 0);
}
