/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "udp_kit.h"
#include "wire/csum.h"
#include "wire/wire.h"

static struct kit k;
static uint8_t data[DGRAM_MAX + 8], back[DGRAM_MAX + 8];

static void
setup(void)
{
    kit_init(&k);
    cr_assert_eq(kit_attach(&k, 0), 0);
    cr_assert_eq(kit_attach(&k, 1), 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13 + i / 255);
}

static void
finish(void)
{
    cr_assert(udp_validate(k.u));
    kit_end(&k);
}

TestSuite(udp, .init = setup, .fini = finish);

static uint64_t
stat(enum stat_id id)
{
    return stat_get(&k.stats, id);
}

static struct transport *
t(void)
{
    return (struct transport *)(void *)k.u;
}

static int
op(uint32_t sess, enum req_op what)
{
    return kit_request(&k, sess, (struct sess_req){.op = (uint8_t)what}, NULL);
}

/* Does the client have this event, and no other? */
static bool
event(uint32_t client, enum evt_kind kind, uint32_t slot)
{
    struct sess_evt e, none;
    bool ready = udp_clients_ready(k.u)[0] >> client & 1;
    return ready && udp_ops.next_event(t(), client, &e) && e.kind == kind && e.slot == slot &&
           !udp_ops.next_event(t(), client, &none) &&
           !(udp_clients_ready(k.u)[0] >> client & 1);
}

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
    cr_assert_eq(stat(STAT_seg_rx), 4 * ARRAY_LEN(sizes));
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
    cr_assert_eq(stat(STAT_drop_checksum), 2);
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
    cr_assert(stat(STAT_csum_partial) == 1 && stat(STAT_drop_checksum) == 1);
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
    cr_assert_eq(stat(STAT_drop_short), 108);
    static const uint32_t evil[] = {0xfffffff0u, 1u << 30, FRAME_SIZE - 4};
    for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
        p[0] = q[0];
        p[0].addr = evil[i];
        kit_step(&k, p, 1);
    }
    cr_assert_eq(stat(STAT_refused_frames), ARRAY_LEN(evil));
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
    cr_assert(stat(STAT_seg_rx) == 0 && k.n_out == 0);
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
    cr_assert_eq(op(a, REQ_CLOSE), 0);
    cr_assert(udp_validate(k.u), "the port is still in use");
    cr_assert_eq(op(b, REQ_CLOSE), 0);
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
        op(s, REQ_CLOSE);
        cr_assert(udp_ops.next_event(t(), 0, &e));
        op(s, REQ_RELEASED);
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

/* Protects what is sent: header, checksum, fragments, DF, the local address chosen, TTL and
 * TOS; sizes around each border. */
Test(udp, send)
{
    static const uint32_t sizes[] = {0, 1, 7, 1471, 1472, 1473, 2952, 2953, 30000, 65507};
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_TTL, 5), 0);
    cr_assert_eq(kit_set(&k, sess, IPPROTO_IP, IP_TOS, 0x10), 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        kit_send(&k, 0, slot, KIT_PEER, 4000, data, sizes[i]);
        cr_assert_eq(op(sess, REQ_SEND), 0);
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

/* Protects the checksum that comes out as 0, which on the wire would say "none" (RFC 768). */
Test(udp, send_checksum_zero)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    uint8_t payload[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        kit_send(&k, 0, slot, KIT_PEER, 9, payload, 2);
        op(sess, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 10);
        memcpy(payload, back + 6, 2); /* makes the whole sum to 0xffff */
        kit_done(&k);
    }
    cr_assert(back[6] == 0xff && back[7] == 0xff);
}

/* Protects IP_MTU_DISCOVER: each setting's meaning, with a path narrower than the link. */
Test(udp, path_mtu)
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
        op(sess, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(k.n_out, c[i].n, "%zu: %u", i, k.n_out);
        cr_assert(c[i].n == 0 || kit_gather(&k, 0, back, sizeof back) == c[i].len + 8);
        cr_assert(c[i].n == 0 || !(k.out[0].flags & PKT_DF) == !c[i].df);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), c[i].err);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0, "taken once");
        kit_done(&k);
    }
}

/* Protects the errors of a record: each becomes SO_ERROR, and the next record is sent. */
Test(udp, send_errors)
{
    static const struct {
        uint32_t addr;
        uint16_t port;
        int err;
    } c[] = {{0, 0, EDESTADDRREQ},          {KIT_PEER, 0, EINVAL},
             {0x08080808, 53, ENETUNREACH}, {0x0a0000ff, 53, EACCES},
             {0xffffffff, 53, EACCES},      {0xe0000001, 53, ENETUNREACH},
             {0x7f000001, 53, ENETUNREACH}};
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        kit_send(&k, 0, slot, c[i].addr, c[i].port, data, 10);
        kit_send(&k, 0, slot, KIT_PEER, 53, data, 11);
        op(sess, REQ_SEND);
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
    op(sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 1);
    cr_assert_eq(kit_connect(&k, sess, 0x08080808, 53), ENETUNREACH);
    cr_assert_eq(kit_connect(&k, sess, KIT_PEER, 0), EINVAL);
}

/* Protects against the client's memory: records that lie about their length, cursors that go
 * back or far ahead. The session gets EINVAL, goes on with what is written next, and nobody
 * else notices. */
Test(udp, hostile_records)
{
    uint32_t slot, other, sess = kit_open(&k, 0, &slot), good = kit_open(&k, 1, &other);
    struct slot_client *c = &k.arena[0].c_slot[slot];
    static const uint32_t lens[] = {DGRAM_MAX + 1, 0xfffffff0u, UINT32_MAX, 33};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct dgram_head h = {.len = lens[i], .addr = ipaddr_v4_u32(KIT_PEER), .port = 9};
        kit_tx_bytes(&k, 0, slot, &h, sizeof h);
        kit_tx_bytes(&k, 0, slot, data, 32); /* less than 33 and padding */
        kit_send(&k, 1, other, KIT_PEER, 9, data, 50);
        op(sess, REQ_SEND);
        op(good, REQ_SEND);
        kit_step(&k, NULL, 0);
        cr_assert_eq(k.n_out, 1);
        cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 58);
        cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), EINVAL);
        kit_done(&k);
    }
    kit_send(&k, 0, slot, KIT_PEER, 9, data, DGRAM_MAX + 1); /* whole, but more than IP holds */
    op(sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), EINVAL);
    static const int64_t jumps[] = {-8, 1, 39, FIFO_MAX + 1, INT64_MIN, 1ll << 40};
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        c->tx_tail += (uint64_t)jumps[i];
        op(sess, REQ_SEND);
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
    op(sess, REQ_SEND);
    kit_step(&k, NULL, 0); /* a header of zeros: no peer */
    cr_assert_eq(k.n_out, 0);
    c->rx_head = 0xfffffff0u; /* consumed what was never there */
    op(sess, REQ_CONSUMED);
    cr_assert(udp_validate(k.u));
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
    cr_assert_eq(stat(STAT_seg_rx), 9); /* 1040 bytes each */
    cr_assert_eq(stat(STAT_udp_drop_rcvbuf), 11);
    cr_assert(udp_ops.info(t(), 0, &info) && info.drops == 11 && info.rx_queued == 9 * 1040);
    c->rx_head = 9 * 1040 + 8; /* more than there is */
    kit_feed(&k, 1, 53, data, 1000);
    cr_assert_eq(stat(STAT_seg_rx), 9);
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
    cr_assert_eq(stat(STAT_drop_nobuf), 1);
    kit_feed(&k, 1, 99, data, 60000);
    cr_assert_eq(kit_recv(&k, 1, other, &h, back, sizeof back), 60000);
    cr_assert_eq(kit_recv(&k, 0, slot[0], &h, back, sizeof back), 60000);
    k.now += NS_S;
    kit_feed(&k, 1, 2, data, 60000);
    cr_assert_eq(kit_recv(&k, 0, slot[1], &h, back, sizeof back), 60000);
}

/* Protects back-pressure: without frames records wait in their FIFO, in order, and sessions
 * take turns. */
Test(udp, turns)
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
    op(sess[0], REQ_SEND);
    op(sess[1], REQ_SEND);
    struct pkt held[96];
    unsigned n_held = 0;
    for (int round = 0; round < 2; round++) {
        kit_step(&k, NULL, 0);
        for (unsigned i = 0; i < k.n_out; i++) {
            held[n_held++] = k.out[i];
            unsigned who = k.out[i].dport - 1u;
            cr_assert_eq(kit_gather(&k, i, back, sizeof back), 9);
            cr_assert_eq(back[8], n[who]++, "in order");
            cr_assert(n[1] == 10 || (n[0] <= n[1] + 1), "in turn");
        }
    }
    cr_assert(n[0] == 60 && n[1] == 10);
    for (int i = 0; i < 40; i++)
        kit_send(&k, 0, slot[0], 0, 0, data, 1);
    op(sess[0], REQ_SEND);
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
Test(udp, no_room_below)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    kit_send(&k, 0, slot, KIT_PEER, 9, data, 60000);
    op(sess, REQ_SEND);
    cr_assert_eq(udp_step(k.u, NULL, 0, k.out, 0, k.now), 0);
    cr_assert_eq(udp_step(k.u, NULL, 0, k.out, 40, k.now), 0);
    cr_assert_eq(udp_deadline(k.u), 0);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 60008);
    kit_done(&k);
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
    cr_assert(event(0, EVT_READY, slot));
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    struct pkt q[] = {p, p, p, p};
    q[0].sport = 1001; /* not connected */
    q[0].dport = 9;
    q[1].dport = 8;
    q[2].dst = ipaddr_v4_u32(KIT_PEER + 1);
    q[3].err = 0;
    kit_step(&k, q, 4);
    cr_assert_eq(stat(STAT_drop_icmp), 4);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), 0);
    cr_assert_eq(kit_get(&k, two, SOL_SOCKET, SO_ERROR), 0);
}

/* Protects the arming protocol: one event a generation, only while the condition holds, none
 * unasked. */
Test(udp, events)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct slot_client *c = &k.arena[0].c_slot[slot];
    struct dgram_head h;
    struct sess_evt e;
    kit_bind(&k, sess, 0, 53);
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(!udp_ops.next_event(t(), 0, &e), "not armed");
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 5);
    c->arm = 1u << 2 | SLOT_READ;
    kit_feed(&k, 1, 53, data, 5);
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(event(0, EVT_READY, slot));
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(!udp_ops.next_event(t(), 0, &e), "once a generation");
    c->arm = 2u << 2 | SLOT_READ;
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(event(0, EVT_READY, slot));
    c->arm = 3u << 2 | SLOT_WRITE;
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(event(0, EVT_READY, slot), "there is room to write");
}

/* Protects shutdown and close: what was written before close is still sent, the slot is told
 * free, and is used again only when the client let go. */
Test(udp, close)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct sess_evt e;
    struct slot_domain *d = &k.arena[0].d_slot[slot];
    struct sess_req shut = {.op = REQ_SHUTDOWN, .value = SHUT_WR};
    cr_assert_eq(kit_request(&k, sess, shut, NULL), ENOTCONN);
    kit_connect(&k, sess, KIT_PEER, 9);
    shut.value = SHUT_RD;
    cr_assert_eq(kit_request(&k, sess, shut, NULL), 0);
    cr_assert_eq(d->state, SLOT_OPEN | SLOT_CONNECTED | SLOT_EOF | SLOT_NOSEND);
    shut.value = 3;
    cr_assert_eq(kit_request(&k, sess, shut, NULL), EINVAL);
    for (int i = 0; i < 70; i++)
        kit_send(&k, 0, slot, 0, 0, data, 100);
    cr_assert_eq(op(sess, REQ_CLOSE), 0);
    kit_send(&k, 0, slot, 0, 0, data, 100); /* after close: not sent */
    cr_assert_eq(op(sess, REQ_SEND), EBADF);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 64);
    cr_assert(!udp_ops.next_event(t(), 0, &e), "not over yet");
    kit_done(&k);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 6);
    cr_assert(udp_ops.next_event(t(), 0, &e) && e.kind == EVT_FREED && e.slot == slot &&
              e.cookie == sess);
    cr_assert_eq(udp_sessions(k.u), 1);
    cr_assert(d->state & SLOT_OPEN);
    cr_assert_eq(op(sess, REQ_RELEASED), 0);
    cr_assert_eq(op(sess, REQ_RELEASED), EBADF);
    cr_assert(udp_sessions(k.u) == 0 && d->state == 0);
    kit_done(&k);
}

/* Protects the limits: of the client, and of the store. */
Test(udp, limits)
{
    uint32_t slot, sess;
    for (unsigned i = 0; i < KIT_SLOTS - 1; i++)
        cr_assert_neq(kit_open(&k, 0, &slot), SESS_NONE);
    cr_assert_eq(udp_ops.open(t(), 0, &sess, &slot), EMFILE);
    for (unsigned i = 0; i < KIT_SESSIONS - (KIT_SLOTS - 1); i++)
        cr_assert_neq(kit_open(&k, 1, &slot), SESS_NONE);
    cr_assert_eq(udp_ops.open(t(), 1, &sess, &slot), ENFILE);
    cr_assert_eq(kit_attach(&k, 0), EEXIST);
}

/* Protects against a dead client: its queue is sent, its ports are free, its arena is let go
 * when nothing needs it. */
Test(udp, client_dies)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot), idle = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, idle, 0, 53), 0);
    uint32_t s2 = kit_open(&k, 0, &slot);
    op(s2, REQ_CLOSE); /* waits for a release that never comes */
    kit_connect(&k, sess, KIT_PEER, 9);
    kit_send(&k, 0, 0, 0, 0, data, 10);
    udp_ops.client_gone(t(), 0, k.now);
    cr_assert(!udp_ops.client_idle(t(), 0));
    uint32_t mine = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, mine, 0, 53), 0);
    cr_assert_eq(kit_open(&k, 0, &slot), SESS_NONE);
    kit_step(&k, NULL, 0);
    cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 18);
    cr_assert(udp_ops.client_idle(t(), 0));
    cr_assert_eq(udp_clients_ready(k.u)[0] & 1, 0);
    udp_ops.client_remove(t(), 0);
    memset((void *)k.arena[0].d_head, 0, arena_domain_bytes(&k.arena[0].g));
    cr_assert_eq(kit_attach(&k, 0), 0);
    cr_assert_eq(udp_sessions(k.u), 1);
    kit_done(&k);
}

/* Protects a restart: sessions, ports, peers, queued datagrams and slots are there again, and
 * frames that were out come back in the end. */
Test(udp, restart)
{
    uint32_t slot, con, closed, sess = kit_open(&k, 0, &slot);
    uint32_t peer = kit_open(&k, 1, &con), gone = kit_open(&k, 0, &closed);
    struct dgram_head h;
    struct sess_evt e;
    kit_bind(&k, sess, 0, 53);
    kit_connect(&k, peer, KIT_PEER, 9);
    op(gone, REQ_CLOSE);
    kit_feed(&k, 1, 53, data, 100);
    kit_send(&k, 1, con, 0, 0, data, 20);
    op(peer, REQ_SEND);
    kit_step(&k, NULL, 0);
    uint32_t out = k.out[0].addr;
    kit_send(&k, 1, con, 0, 0, data, 30); /* written, not yet sent */
    k.arena[0].c_slot[slot].arm = 7u << 2 | SLOT_READ;
    kit_crash(&k);
    kit_feed(&k, 1, 53, data, 5); /* too early: dropped, but not refused */
    cr_assert_eq(k.n_out, 0);
    cr_assert(kit_attach(&k, 0) == 0 && kit_attach(&k, 1) == 0);
    cr_assert(udp_validate(k.u) && udp_sessions(k.u) == 3);
    unsigned seen = 0;
    while (udp_ops.next_event(t(), 0, &e))
        seen |= 1u << e.kind;
    cr_assert_eq(seen, 1u << EVT_READY | 1u << EVT_FREED);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 100);
    kit_step(&k, NULL, 0);
    cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 38);
    cr_assert_eq(k.out[0].dport, 9);
    kit_feed(&k, 1, 53, data, 6);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 6);
    uint32_t other = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, other, 0, 53), EADDRINUSE);
    cr_assert_eq(udp_deadline(k.u), k.now + 10 * NS_S);
    k.now += 10 * NS_S;
    kit_step(&k, NULL, 0);
    cr_assert(!udp_tx_done(k.u, out), "given up, and taken back");
}

/* Protects against an arena that changed hands while the domain was down. */
Test(udp, restart_new_client)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    kit_bind(&k, sess, 0, 53);
    kit_crash(&k);
    memset((void *)k.arena[0].d_head, 0, arena_domain_bytes(&k.arena[0].g));
    cr_assert_eq(kit_attach(&k, 0), 0);
    cr_assert_eq(udp_sessions(k.u), 0);
    uint32_t fresh = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, fresh, 0, 53), 0);
    kit_crash(&k);
    udp_ops.client_gone(t(), 0, k.now); /* died while we did */
    cr_assert_eq(udp_sessions(k.u), 0);
}

/* Protects the options: what was set is told, what has no effect is refused. */
Test(udp, options)
{
    uint32_t slot, s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_DOMAIN), AF_INET);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ACCEPTCONN), 0);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_TTL), 64);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_WANT);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, 256), EINVAL);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, 0), EINVAL);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, 255), 0);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_TTL), 255);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, (uint64_t)-1), 0);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_TTL), 64);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_SNDBUF, 1u << 30), 0);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_SNDBUF), FIFO_MAX - FIFO_PAGE);
    cr_assert_eq(k.arena[0].d_slot[slot].sndbuf, FIFO_MAX - FIFO_PAGE);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_RCVBUF, 1), 0);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_RCVBUF), 4096);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_MARK, 1), ENOPROTOOPT);
    cr_assert_eq(kit_get(&k, s, IPPROTO_TCP, 1), -ENOPROTOOPT);
    cr_assert_eq(op(s, REQ_LISTEN), EOPNOTSUPP);
    cr_assert_eq(op(s, (enum req_op)200), EOPNOTSUPP);
    cr_assert_eq(op(SESS_NONE, REQ_SEND), EBADF);
}
