/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP: echo, errors received for sessions, errors sent and when not.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "test_ip_kit.h"

/* A quote of a packet that we sent: 28 bytes. */
static void
quote_of(uint8_t q[28], uint8_t proto, uint32_t dst)
{
    struct frame f =
        proto == WIRE_PROTO_UDP ? mk_udp(OUR_IP, dst, 100) : mk_tcp(OUR_IP, dst, 100);
    f.b[ETH_HEADER + 9] = proto;
    memcpy(q, f.b + ETH_HEADER, 28);
}

static void
expect_echo(struct kit *k, const struct frame *f, uint32_t data)
{
    const uint8_t *l4;
    struct icmp_hdr i;
    cr_assert_eq(k->out.n_nic, 1);
    struct ip4_hdr h = kit_nic_ip(k, 0, &l4);
    cr_assert_eq(h.proto, WIRE_PROTO_ICMP);
    cr_assert_eq(h.total_len, 28 + data);
    cr_assert_eq(ipaddr_to_u32(&h.dst), PEER);
    cr_assert_eq(icmp_parse(&i, l4, 8 + data), WIRE_OK);
    cr_assert_eq(i.type, ICMP_ECHO_REPLY);
    cr_assert_eq(i.code, 0);
    cr_assert_eq(i.id, 0x1234);
    cr_assert_eq(i.seq, 0x5678);
    cr_assert_eq(memcmp(l4 + 8, f->b + L2L3 + 8, data), 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
}

/* Every length that fits one frame comes back the same. */
Test(icmp, echo)
{
    struct kit *k = kit_ready();
    for (uint32_t n = 0; n <= 1472; n++) {
        struct frame f = mk_echo(PEER, n);
        kit_in(k, &f);
        expect_echo(k, &f, n);
    }
    struct frame f = mk_echo(PEER, 20);
    f.b[L2L3 + 1] = 1; /* code 1 */
    f.b[L2L3 + 2] = (uint8_t)(f.b[L2L3 + 2] - 0);
    kit_mark(k);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), 1);
    cr_assert_eq(kit_drops(k), 1);
    kit_free(k);
}

/* Up to 64 KiB, in fragments both ways (RFC 1122 3.2.2.6), also if ARP has to ask first. */
Test(icmp, large_echo)
{
    static uint8_t msg[65515], back[65515];
    for (unsigned known = 0; known < 2; known++)
        for (uint32_t total = 1481; total <= 65515; total += total > 60000 ? 5515 : 8 * 731) {
            struct kit *k = kit_ready();
            uint32_t from = known ? PEER : 0x0a000050u;
            memset(msg, 0, 8);
            msg[0] = ICMP_ECHO;
            for (uint32_t i = 8; i < total; i++)
                msg[i] = (uint8_t)(i * 13 + i / 251);
            uint16_t sum = (uint16_t)~csum_fold(csum_bytes(msg, total));
            memcpy(msg + 2, &sum, 2);
            for (uint32_t off = 0; off < total; off += 1480) {
                uint32_t n = min_u32(1480, total - off);
                struct frame f =
                    mk_frag(from, WIRE_PROTO_ICMP, 3, off, off + n < total, msg + off, n);
                kit_in(k, &f);
            }
            if (!known) {
                cr_assert_eq(k->out.n_nic, 1);
                kit_clear(k);
                struct frame f = mk_arp(ARP_REPLY, from, OUR_IP);
                kit_in(k, &f);
            }
            uint32_t got = 0;
            for (unsigned i = 0; i < k->out.n_nic; i++) {
                const uint8_t *l4;
                struct ip4_hdr h = kit_nic_ip(k, i, &l4);
                cr_assert_eq(h.frag_off, got);
                cr_assert_eq(h.mf, i + 1 < k->out.n_nic);
                memcpy(back + got, l4, h.total_len - 20u);
                got += h.total_len - 20u;
            }
            struct icmp_hdr h;
            cr_assert_eq(got, total);
            cr_assert_eq(icmp_parse(&h, back, total), WIRE_OK);
            cr_assert_eq(h.type, ICMP_ECHO_REPLY);
            cr_assert_eq(memcmp(back + 8, msg + 8, total - 8), 0);
            kit_clear(k);
            cr_assert_eq(kit_away(k), 0);
            cr_assert_eq(ip_frames_held(k->ip), 0);
            kit_free(k);
        }
}

/* Echo takes what frames there are, and leaves some for ARP. */
Test(icmp, echo_flood)
{
    struct kit *k = kit_ready();
    struct frame f = mk_echo(PEER, 10);
    for (unsigned i = 0; i < KIT_IPTX + 10; i++)
        kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, KIT_IPTX - KIT_IPTX / 8);
    cr_assert_gt(kit_stat(k, STAT_ip_drop_tx_nobuf), 0);
    struct frame a = mk_arp(ARP_REQUEST, PEER, OUR_IP);
    kit_in(k, &a);
    cr_assert_eq(k->out.n_nic, KIT_IPTX - KIT_IPTX / 8 + 1);
    kit_clear(k);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 1);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* One bit wrong anywhere, and nothing happens. */
Test(icmp, checksum)
{
    struct kit *k = kit_ready();
    for (uint32_t bit = 0; bit < 30 * 8; bit++) {
        struct frame f = mk_echo(PEER, 22);
        f.b[L2L3 + bit / 8] ^= (uint8_t)(1u << bit % 8);
        kit_mark(k);
        kit_in(k, &f);
        cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), 1, "bit %u", bit);
        cr_assert_eq(k->out.n_nic, 0);
    }
    kit_free(k);
}

/* What a socket user reads in errno, for each type and code (RFC 1122 4.2.3.9). */
Test(icmp, errno_of_errors)
{
    static const struct {
        uint8_t type, code;
        int err;
    } c[] = {
        {3, 0, ENETUNREACH},
        {3, 1, EHOSTUNREACH},
        {3, 2, ENOPROTOOPT},
        {3, 3, ECONNREFUSED},
        {3, 4, EMSGSIZE},
        {3, 5, EOPNOTSUPP},
        {3, 6, ENETUNREACH},
        {3, 7, EHOSTDOWN},
        {3, 9, ENETUNREACH},
        {3, 10, EHOSTUNREACH},
        {3, 13, EHOSTUNREACH},
        {3, 15, EHOSTUNREACH},
        {11, 0, EHOSTUNREACH},
        {11, 1, EHOSTUNREACH},
        {12, 0, EPROTO},
        {12, 2, EPROTO},
        {3, 16, 0},
        {3, 255, 0},
        {11, 2, 0},
        {12, 3, 0},
    };
    struct kit *k = kit_ready();
    uint8_t q[28];
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        for (enum ip_up up = IP_UP_TCP; up <= IP_UP_UDP; up++) {
            quote_of(q, up == IP_UP_TCP ? WIRE_PROTO_TCP : WIRE_PROTO_UDP, FAR);
            struct frame f = mk_icmp(GATEWAY, c[i].type, c[i].code, 1400, q, 28);
            kit_mark(k);
            kit_in(k, &f);
            if (c[i].err == 0) {
                cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), 1);
                cr_assert_eq(k->out.n_up[up], 0);
                continue;
            }
            cr_assert_eq(k->out.n_up[up], 1);
            const struct pkt *m = &k->up[up][0];
            cr_assert_eq(m->kind, PKT_ICMP);
            cr_assert_eq(m->err, c[i].err, "type %u code %u", c[i].type, c[i].code);
            cr_assert_eq(m->icmp_type, c[i].type);
            cr_assert_eq(m->icmp_code, c[i].code);
            cr_assert_eq(m->aux, c[i].err == EMSGSIZE ? 1400 : 0);
            cr_assert_eq(ipaddr_to_u32(&m->src), OUR_IP);
            cr_assert_eq(ipaddr_to_u32(&m->dst), FAR);
            cr_assert_eq(m->sport, 1111);
            cr_assert_eq(m->dport, 2222);
            cr_assert_eq(m->seq, up == IP_UP_TCP ? 0x01020304u : 0);
            kit_clear(k);
            cr_assert_eq(kit_away(k), 0);
        }
    kit_free(k);
}

/* Errors about what we did not send, or that do not parse, reach nobody. */
Test(icmp, bad_quotes)
{
    struct kit *k = kit_ready();
    uint8_t q[64], good[28];
    quote_of(good, WIRE_PROTO_TCP, FAR);
    for (uint32_t n = 0; n < 28; n++) {
        struct frame f = mk_icmp(GATEWAY, ICMP_UNREACH, 3, 0, good, n);
        kit_in(k, &f);
    }
    cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), 28);
    kit_mark(k);
    static const struct {
        unsigned at;
        uint8_t v;
    } bad[] = {
        {0, 0x44}, {0, 0x4f}, {0, 0x65}, {0, 0x05}, {15, 99}, {6, 0x1f}, {7, 1},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        memcpy(q, good, 28);
        q[bad[i].at] = bad[i].v;
        struct frame f = mk_icmp(GATEWAY, ICMP_UNREACH, 3, 0, q, 28);
        kit_in(k, &f);
        cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), i + 1, "%u", i);
    }
    kit_mark(k);
    quote_of(q, WIRE_PROTO_ICMP, FAR);
    struct frame f = mk_icmp(GATEWAY, ICMP_UNREACH, 3, 0, q, 28);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_icmp_drop_rule), 1, "nobody's session");
    cr_assert_eq(k->out.n_up[0] + k->out.n_up[1] + k->out.n_nic, 0);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* What goes from this stack to itself is nothing that anybody on the wire can have seen: his
 * errors about it are forged. */
Test(icmp, about_loopback)
{
    static const uint32_t self[] = {OUR_IP, 0x7f000001, 0x7f010203};
    struct kit *k = kit_ready();
    uint8_t q[28];
    for (unsigned src = 0; src < ARRAY_LEN(self); src++)
        for (unsigned dst = 0; dst < ARRAY_LEN(self); dst++)
            for (unsigned code = 3; code <= 4; code++) {
                quote_of(q, WIRE_PROTO_UDP, self[dst]);
                put_be32(q + 12, self[src]);
                put_be16(q + 10, 0);
                put_be16(q + 10, (uint16_t)~__builtin_bswap16(csum_fold(csum_bytes(q, 20))));
                struct frame f = mk_icmp(GATEWAY, ICMP_UNREACH, (uint8_t)code, 600, q, 28);
                kit_mark(k);
                kit_in(k, &f);
                cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), 1);
                cr_assert_eq(k->out.n_up[0] + k->out.n_up[1] + k->out.n_nic, 0);
            }
    struct ipaddr lo = v4(0x7f000001);
    cr_assert_eq(path_mtu(&k->path, &lo), 1500);
    kit_free(k);
}

/* Types that a host ignores: counted, and nothing else. */
Test(icmp, ignored_types)
{
    struct kit *k = kit_ready();
    uint8_t q[28];
    quote_of(q, WIRE_PROTO_TCP, FAR);
    for (unsigned type = 0; type < 256; type++) {
        if (type == 3 || type == 8 || type == 11 || type == 12)
            continue;
        struct frame f = mk_icmp(GATEWAY, (uint8_t)type, 0, 0x0a000063, q, 28);
        kit_mark(k);
        kit_in(k, &f);
        cr_assert_eq(kit_stat(k, STAT_icmp_drop_rule), 1, "type %u", type);
        cr_assert_eq(kit_drops(k), 1);
        cr_assert_eq(k->out.n_up[0] + k->out.n_up[1] + k->out.n_nic, 0);
    }
    kit_free(k);
}

static void
frag_needed(struct kit *k, uint8_t proto, uint32_t dst, uint16_t mtu, uint16_t quoted_len)
{
    uint8_t q[28];
    quote_of(q, proto, dst);
    put_be16(q + 2, quoted_len);
    struct frame f = mk_icmp(GATEWAY, ICMP_UNREACH, 4, mtu, q, 28);
    kit_in(k, &f);
}

/* Path MTU (RFC 1191): for UDP in the table, never up and never below 68, forgotten after
 * ten minutes; for TCP only reported, for TCP can check it. */
Test(icmp, path_mtu)
{
    struct kit *k = kit_ready();
    struct ipaddr far = v4(FAR);
    frag_needed(k, WIRE_PROTO_TCP, FAR, 1000, 1500);
    cr_assert_eq(path_mtu(&k->path, &far), 1500);
    cr_assert_eq(k->up[IP_UP_TCP][0].aux, 1000);
    frag_needed(k, WIRE_PROTO_UDP, FAR, 1000, 1500);
    cr_assert_eq(path_mtu(&k->path, &far), 1000);
    frag_needed(k, WIRE_PROTO_UDP, FAR, 1200, 1500);
    cr_assert_eq(path_mtu(&k->path, &far), 1000, "it only goes down");
    frag_needed(k, WIRE_PROTO_UDP, FAR, 67, 1500);
    cr_assert_eq(path_mtu(&k->path, &far), 1000);
    cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), 1);
    frag_needed(k, WIRE_PROTO_UDP, FAR, 68, 1500);
    cr_assert_eq(path_mtu(&k->path, &far), 576, "the least that transports assume");
    kit_clear(k);
    kit_pass(k, PMTU_AGE - 1);
    cr_assert_eq(path_mtu(&k->path, &far), 576);
    kit_pass(k, 1);
    cr_assert_eq(path_mtu(&k->path, &far), 1500);
    cr_assert_eq(ip_deadline(k->ip), NS_NEVER);
    kit_clear(k);

    /* A router that does not say: the next plateau below what was sent (RFC 1191 7.1). */
    static const uint16_t want[][2] = {{1500, 1492}, {1492, 1006}, {1006, 508}, {508, 296},
                                       {296, 68},    {68, 68},     {20, 68},    {65535, 32000}};
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        frag_needed(k, WIRE_PROTO_TCP, FAR, 0, want[i][0]);
        cr_assert_eq(k->up[IP_UP_TCP][0].aux, want[i][1]);
        kit_clear(k);
    }
    kit_free(k);
}

/* ---- errors sent ---- */

static struct pkt
reject_of(struct kit *k, const struct frame *f, uint32_t len)
{
    struct pkt p = kit_pkt(k, IP_UP_UDP, PEER, 8, 0);
    memcpy(k->mem + p.addr, f->b + ETH_HEADER, len);
    p.kind = PKT_REJECT;
    p.len = (uint16_t)len;
    return p;
}

/* Port unreachable, with as much of the packet as 576 bytes hold. */
Test(icmp, port_unreachable)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    for (uint32_t data = 0; data <= 1400; data += 100) {
        struct frame f = mk_udp(PEER, OUR_IP, data);
        uint32_t len = f.len - ETH_HEADER;
        struct pkt p = reject_of(k, &f, len);
        kit_pass(k, NS_S);
        cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
        cr_assert_eq(k->out.n_nic, 1);
        struct ip4_hdr h = kit_nic_ip(k, 0, &l4);
        struct icmp_hdr i;
        uint32_t quoted = min_u32(len, 548);
        cr_assert_eq(h.total_len, 28 + quoted);
        cr_assert_eq(h.tos, 0xc0);
        cr_assert_eq(icmp_parse(&i, l4, 8 + quoted), WIRE_OK);
        cr_assert_eq(i.type, ICMP_UNREACH);
        cr_assert_eq(i.code, 3);
        cr_assert_eq(memcmp(l4 + 8, f.b + ETH_HEADER, quoted), 0);
        kit_clear(k);
        cr_assert_eq(kit_away(k), 0);
    }
    kit_free(k);
}

static void
nobody_takes_it(uint32_t src, uint32_t dst)
{
    struct kit *k = kit_ready();
    struct pkt p = kit_pkt(k, IP_UP_UDP, dst, 8, 0);
    p.src = v4(src);
    kit_out(k, IP_UP_UDP, &p, 1);
    struct pkt r = kit_pkt(k, IP_UP_UDP, OUR_IP, 8, 0);
    r.kind = PKT_REJECT;
    r.len = k->up[IP_UP_UDP][0].l3_len;
    memcpy(k->mem + r.addr, k->mem + k->up[IP_UP_UDP][0].l3, r.len);
    kit_out(k, IP_UP_UDP, &r, 1);
    cr_assert_eq(k->out.n_nic, 0);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    const struct pkt *m = &k->up[IP_UP_UDP][1];
    cr_assert_eq(m->kind, PKT_ICMP);
    cr_assert_eq(m->err, ECONNREFUSED);
    cr_assert_eq(m->sport, 7);
    cr_assert_eq(m->dport, 9);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A session of our own whose packet nobody takes: told without a packet, also by loopback. */
Test(icmp, port_unreachable_to_self)
{
    nobody_takes_it(OUR_IP, OUR_IP);
    nobody_takes_it(0x7f000001, 0x7f000005);
    nobody_takes_it(0x7f000001, OUR_IP);
    nobody_takes_it(OUR_IP, 0x7f000001);
}

/* RFC 1122 3.2.2, RFC 1812 4.3.2.7: what is never answered with an error. */
Test(icmp, rules)
{
    struct kit *k = kit_ready();
    const uint32_t src[] = {0,          0x7fffffff, 0xe0000001, 0xffffffff,
                            0xf0000001, 0x0a0000ff, 0x0a000000};
    const uint32_t dst[] = {0xffffffff, 0x0a0000ff, 0xe0000001, PEER, 0};
    struct pkt p;
    unsigned n = 0;
    for (unsigned i = 0; i < ARRAY_LEN(src); i++, n++) {
        struct frame f = mk_udp(src[i], OUR_IP, 8);
        p = reject_of(k, &f, 36);
        kit_out(k, IP_UP_UDP, &p, 1);
    }
    for (unsigned i = 0; i < ARRAY_LEN(dst); i++, n++) {
        struct frame f = mk_udp(PEER, dst[i], 8);
        p = reject_of(k, &f, 36);
        kit_out(k, IP_UP_UDP, &p, 1);
    }
    struct frame f = mk_frag(PEER, WIRE_PROTO_UDP, 1, 8, false, "12345678", 8);
    p = reject_of(k, &f, 28);
    kit_out(k, IP_UP_UDP, &p, 1);
    n++;
    uint8_t q[28];
    quote_of(q, WIRE_PROTO_UDP, PEER);
    for (unsigned type = 0; type < 20; type++) {
        if (type == ICMP_ECHO)
            continue;
        f = mk_icmp(PEER, (uint8_t)type, 0, 0, q, 28);
        p = reject_of(k, &f, 56);
        kit_out(k, IP_UP_UDP, &p, 1);
        n++;
    }
    cr_assert_eq(kit_stat(k, STAT_icmp_drop_rule), n);
    for (uint32_t len = 1; len < 28; len++) {
        f = mk_udp(PEER, OUR_IP, 8);
        p = reject_of(k, &f, len);
        kit_out(k, IP_UP_UDP, &p, 1);
    }
    cr_assert_eq(kit_stat(k, STAT_icmp_drop_bad), 27);
    cr_assert_eq(kit_stat(k, STAT_icmp_err_tx), 0);
    cr_assert_eq(k->out.n_nic, 0);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A burst, then about a hundred a second, whatever comes in. */
Test(icmp, rate)
{
    struct kit *k = kit_ready();
    struct frame f = mk_ip(PEER, OUR_IP, 99, "12345678", 8);
    for (unsigned i = 0; i < 1000; i++)
        kit_in(k, &f);
    uint64_t burst = kit_stat(k, STAT_icmp_err_tx);
    cr_assert_geq(burst, 40);
    cr_assert_leq(burst, 50);
    cr_assert_eq(kit_stat(k, STAT_icmp_drop_rate), 1000 - burst);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_proto), 1000);
    kit_clear(k);
    kit_mark(k);
    for (unsigned i = 0; i < 10000; i++) {
        kit_pass(k, NS_MS);
        kit_in(k, &f);
        kit_clear(k);
    }
    cr_assert_geq(kit_stat(k, STAT_icmp_err_tx), 850);
    cr_assert_leq(kit_stat(k, STAT_icmp_err_tx), 1050);
    kit_pass(k, 3600 * NS_S);
    kit_mark(k);
    for (unsigned i = 0; i < 100; i++)
        kit_in(k, &f);
    cr_assert_leq(kit_stat(k, STAT_icmp_err_tx), 50, "credit is bounded");
    kit_free(k);
}
