/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reassembly: every order, overlap, bounds, time.
 */
#include <criterion/criterion.h>

#include "test_ip_kit.h"

static uint8_t DATA[65536];

static void
fill(void)
{
    for (unsigned i = 0; i < sizeof DATA; i++)
        DATA[i] = (uint8_t)(i * 31 + i / 256);
}

struct cut {
    uint32_t off, end;
};

static void
send(struct kit *k, uint32_t src, uint16_t id, struct cut c, uint32_t total)
{
    struct frame f =
        mk_frag(src, WIRE_PROTO_UDP, id, c.off, c.end < total, DATA + c.off, c.end - c.off);
    kit_in(k, &f);
}

/* One datagram of DATA came up whole, in one chain. */
static void
expect_whole(struct kit *k, uint32_t total)
{
    uint32_t at = 0;
    unsigned n = k->out.n_up[IP_UP_UDP];
    cr_assert_gt(n, 0);
    cr_assert_eq(k->up[IP_UP_UDP][0].aux, total);
    cr_assert_eq(k->up[IP_UP_UDP][0].l3_len, 20 + k->up[IP_UP_UDP][0].len);
    for (unsigned i = 0; i < n; i++) {
        const struct pkt *p = &k->up[IP_UP_UDP][i];
        cr_assert_eq(p->flags, i + 1 < n ? PKT_MORE : 0);
        cr_assert_eq(memcmp(k->mem + p->addr, DATA + at, p->len), 0);
        at += p->len;
    }
    cr_assert_eq(at, total);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
}

/* Four fragments in each of their 24 orders, each also with one of them repeated. */
Test(frag, every_order)
{
    static const struct cut c[4] = {{0, 64}, {64, 72}, {72, 1000}, {1000, 1003}};
    struct kit *k = kit_ready();
    uint16_t id = 0xfff0;
    fill();
    for (unsigned perm = 0; perm < 24; perm++)
        for (unsigned rep = 0; rep < 5; rep++) {
            unsigned left[4] = {0, 1, 2, 3}, p = perm, n = 4;
            id++;
            while (n > 0) {
                unsigned at = p % n, which = left[at];
                p /= n;
                cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
                send(k, PEER, id, c[which], 1003);
                if (which == rep && n > 1)
                    send(k, PEER, id, c[which], 1003);
                memmove(left + at, left + at + 1, (3 - at) * sizeof left[0]);
                n--;
            }
            expect_whole(k, 1003);
        }
    cr_assert_eq(kit_stat(k, STAT_ip_frag_ok), 120);
    cr_assert_eq(kit_drops(k), 0);
    kit_free(k);
}

/* The largest datagram there is: 65515 bytes in 45 frames. */
Test(frag, largest)
{
    struct kit *k = kit_ready();
    fill();
    for (uint32_t off = 0; off < 65515; off += 1480)
        send(k, PEER, 1, (struct cut){off, min_u32(off + 1480, 65515)}, 65515);
    expect_whole(k, 65515);
    kit_free(k);
}

/* Any overlap takes the datagram, and what still comes of it, too (RFC 5722). */
Test(frag, overlap)
{
    static const struct cut have[2] = {{64, 128}, {192, 256}};
    static const struct cut bad[] = {
        {0, 72},    {56, 128},  {64, 120},  {64, 136}, {72, 128},  {72, 80},   {120, 136},
        {120, 192}, {120, 200}, {184, 200}, {0, 512},  {248, 264}, {192, 200}, {192, 264},
    };
    struct kit *k = kit_ready();
    uint16_t id = 0;
    fill();
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        id++;
        send(k, PEER, id, have[0], 9999);
        send(k, PEER, id, have[1], 9999);
        cr_assert_eq(ip_frames_held(k->ip), 2);
        kit_mark(k);
        send(k, PEER, id, bad[i], 9999);
        cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_overlap), 1, "%u", i);
        cr_assert_eq(ip_frames_held(k->ip), 0, "%u", i);
        send(k, PEER, id, (struct cut){0, 256}, 512);
        send(k, PEER, id, (struct cut){256, 512}, 512);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], 0, "%u: came to life again", i);
    }
    kit_pass(k, 60 * NS_S);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(k->out.n_nic, 0, "no ICMP about it");
    kit_free(k);
}

/* The same place with other bytes is an overlap, not a repetition. */
Test(frag, repeated_but_different)
{
    struct kit *k = kit_ready();
    struct frame f = mk_frag(PEER, WIRE_PROTO_UDP, 3, 0, true, DATA, 64);
    kit_in(k, &f);
    f.b[f.len - 1] ^= 1;
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_overlap), 1);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Two ends, or data behind the end. */
Test(frag, ends)
{
    struct kit *k = kit_ready();
    fill();
    const struct {
        struct cut c;
        uint32_t total;
    } f[][2] = {
        {{{64, 100}, 100}, {{128, 140}, 140}}, /* another end later */
        {{{128, 140}, 140}, {{64, 100}, 100}}, /* another end before */
        {{{64, 100}, 100}, {{104, 112}, 999}}, /* more behind the end */
        {{{104, 112}, 999}, {{64, 100}, 100}}, /* the end before what came */
        {{{64, 128}, 128}, {{64, 128}, 999}},  /* the end, and then not */
        {{{64, 128}, 999}, {{64, 128}, 128}},
    };
    for (unsigned i = 0; i < ARRAY_LEN(f); i++) {
        kit_mark(k);
        for (unsigned j = 0; j < 2; j++)
            send(k, PEER, (uint16_t)i, f[i][j].c, f[i][j].total);
        cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_overlap), 1, "%u", i);
        cr_assert_eq(ip_frames_held(k->ip), 0);
    }
    kit_free(k);
}

/* Fragments that no sender makes. */
Test(frag, malformed)
{
    struct kit *k = kit_ready();
    struct frame f;
    fill();
    const struct {
        uint8_t proto;
        uint32_t off;
        bool mf;
        uint32_t len;
    } bad[] = {
        {WIRE_PROTO_UDP, 0, true, 0},    {WIRE_PROTO_UDP, 8, false, 0},
        {WIRE_PROTO_UDP, 0, true, 1},    {WIRE_PROTO_UDP, 0, true, 7},
        {WIRE_PROTO_UDP, 8, true, 1001}, {WIRE_PROTO_UDP, 16, true, 12},
        {WIRE_PROTO_TCP, 0, true, 8},    {WIRE_PROTO_TCP, 0, true, 16},
        {WIRE_PROTO_TCP, 8, true, 64},   {WIRE_PROTO_TCP, 8, false, 64},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        kit_mark(k);
        f = mk_frag(PEER, bad[i].proto, 8, bad[i].off, bad[i].mf, DATA, bad[i].len);
        kit_in(k, &f);
        cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_bad), 1, "%u", i);
        cr_assert_eq(kit_away(k), 0);
    }
    /* The last that fits 65535 bytes, and the first that does not. */
    kit_mark(k);
    f = mk_frag(PEER, WIRE_PROTO_UDP, 9, 65512, false, DATA, 3);
    kit_in(k, &f);
    cr_assert_eq(kit_drops(k), 0);
    f = mk_frag(PEER, WIRE_PROTO_UDP, 9, 65512, false, DATA, 4);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_header), 1);
    f = mk_frag(PEER, WIRE_PROTO_UDP, 9, 65528, false, DATA, 1000);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_header), 2);
    kit_free(k);
}

/* With options in front of the first fragment the whole may pass 65535 bytes although no
 * fragment does. */
Test(frag, beyond_with_options)
{
    struct kit *k = kit_ready();
    const uint8_t nops[40] = {[0 ... 39] = 1};
    fill();
    for (uint32_t off = 1480; off < 65515; off += 1480)
        send(k, PEER, 1, (struct cut){off, min_u32(off + 1480, 65515)}, 65515);
    struct frame f = mk_frag(PEER, WIRE_PROTO_UDP, 1, 0, true, DATA, 1480);
    mk_options(&f, nops, 40);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_bad), 1);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Time exceeded, code 1, but only if the first fragment came (RFC 1122 3.3.2). */
Test(frag, timeout)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    fill();
    send(k, PEER, 1, (struct cut){0, 64}, 999);
    send(k, PEER, 2, (struct cut){64, 128}, 999);
    cr_assert_eq(ip_frames_held(k->ip), 2);
    kit_pass(k, REASM_TIMEOUT - 1);
    cr_assert_eq(ip_frames_held(k->ip), 2);
    kit_pass(k, 1);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_timeout), 2);
    cr_assert_eq(k->out.n_nic, 1);
    struct ip4_hdr h = kit_nic_ip(k, 0, &l4);
    cr_assert_eq(h.proto, WIRE_PROTO_ICMP);
    cr_assert_eq(l4[0], ICMP_TIME_EXCEEDED);
    cr_assert_eq(l4[1], 1);
    cr_assert_eq(be16(l4 + 8 + 4), 1, "the quote is of the first datagram");
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    /* Too late is a new beginning. */
    send(k, PEER, 1, (struct cut){64, 128}, 128);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
    send(k, PEER, 1, (struct cut){0, 64}, 128);
    expect_whole(k, 128);
    kit_free(k);
}

/* Datagrams with the same identification but another source, protocol or destination
 * are others. */
Test(frag, key)
{
    struct kit *k = kit_ready();
    fill();
    send(k, PEER, 1, (struct cut){0, 64}, 128);
    send(k, PEER + 1, 1, (struct cut){64, 128}, 128);
    struct frame f = mk_frag(PEER, 99, 1, 64, false, DATA + 64, 64);
    kit_in(k, &f);
    f = mk_frag(PEER, WIRE_PROTO_UDP, 1, 64, false, DATA + 64, 64);
    put_be32(f.b + ETH_HEADER + 16, 0x0a0000ff);
    mk_fix(&f);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
    cr_assert_eq(ip_frames_held(k->ip), 4);
    send(k, PEER, 1, (struct cut){64, 128}, 128);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    kit_clear(k);
    cr_assert_eq(ip_frames_held(k->ip), 3);
    kit_free(k);
}

/* Broadcast datagrams reassemble too, and are marked. */
Test(frag, broadcast)
{
    struct kit *k = kit_ready();
    fill();
    for (unsigned i = 0; i < 2; i++) {
        struct frame f = mk_frag(PEER, WIRE_PROTO_UDP, 1, i * 64, i == 0, DATA, 64);
        put_be32(f.b + ETH_HEADER + 16, 0xffffffff);
        memcpy(f.b, ALL_MAC, 6);
        mk_fix(&f);
        kit_in(k, &f);
    }
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    cr_assert_eq(k->up[IP_UP_UDP][0].flags, PKT_MORE | PKT_BCAST);
    kit_free(k);
}

/* RFC 3168 5.3: one fragment's mark is the datagram's; a mark beside a fragment that
 * could not have got one is a forgery. */
Test(frag, ecn)
{
    struct kit *k = kit_ready();
    static const struct {
        uint8_t a, b;
        int want; /* -1: dropped */
    } c[] = {{0, 0, 0}, {1, 1, 1}, {2, 3, 3}, {3, 2, 3}, {3, 3, 3}, {0, 3, -1}, {3, 0, -1}};
    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        kit_mark(k);
        for (unsigned j = 0; j < 2; j++) {
            struct frame f = mk_frag(PEER, WIRE_PROTO_UDP, 1, j * 64, j == 0, DATA, 64);
            f.b[ETH_HEADER + 1] = j ? c[i].b : c[i].a;
            mk_fix(&f);
            kit_in(k, &f);
        }
        if (c[i].want < 0) {
            cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_bad), 1);
            cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
        } else {
            cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
            cr_assert_eq(k->up[IP_UP_UDP][0].tos, c[i].want);
        }
        kit_clear(k);
        cr_assert_eq(kit_away(k), 0);
    }
    kit_free(k);
}

/* A source keeps no more than its share of datagrams, and all of them no more than an
 * eighth of the frames: whoever holds the most pays. */
Test(frag, limits)
{
    struct kit *k = kit_ready();
    fill();
    for (unsigned i = 0; i < 1000; i++)
        send(k, PEER, (uint16_t)i, (struct cut){0, 64}, 999);
    cr_assert_eq(ip_frames_held(k->ip), REASM_PER_SOURCE);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_limit), 1000 - REASM_PER_SOURCE);
    cr_assert_eq(kit_away(k), REASM_PER_SOURCE);
    /* Another source in the middle of this is not hurt. */
    send(k, PEER + 1, 5, (struct cut){0, 64}, 128);
    for (unsigned i = 0; i < 4; i++)
        for (uint32_t off = 64; off < 40 * 64; off += 64)
            send(k, PEER, (uint16_t)(2000 + i), (struct cut){off, off + 64}, 99999);
    cr_assert_leq(ip_frames_held(k->ip), KIT_RX / REASM_SHARE);
    cr_assert_eq(kit_away(k), ip_frames_held(k->ip));
    send(k, PEER + 1, 5, (struct cut){64, 128}, 128);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    kit_clear(k);
    /* More fragments than a chain can have. */
    kit_pass(k, 31 * NS_S);
    kit_clear(k);
    kit_mark(k);
    for (uint32_t off = 8; off < 8 * 50; off += 8)
        send(k, PEER, 1, (struct cut){off, off + 8}, 99999);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_limit), 1);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    /* Many sources: the slots are bounded. */
    for (unsigned i = 0; i < 200; i++)
        send(k, 0x0b000001u + i, 1, (struct cut){0, 64}, 999);
    cr_assert_eq(ip_frames_held(k->ip), REASM_SLOTS);
    kit_pass(k, 31 * NS_S);
    kit_clear(k);
    kit_pass(k, 31 * NS_S);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* When frames run short the one who holds the most of them pays, not the one who came
 * first. */
Test(frag, heaviest_pays)
{
    struct kit *k = kit_ready();
    fill();
    send(k, PEER + 1, 5, (struct cut){0, 64}, 128);
    for (unsigned i = 0; i < 12; i++) {
        kit_pass(k, NS_MS);
        for (uint32_t off = 64; off < 41 * 64; off += 64)
            send(k, PEER, (uint16_t)i, (struct cut){off, off + 64}, 99999);
    }
    cr_assert_gt(kit_stat(k, STAT_ip_drop_frag_limit), 0);
    send(k, PEER + 1, 5, (struct cut){64, 128}, 128);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    kit_free(k);
}

/* A pool too small to hold anything for anybody. */
Test(frag, tiny_pool)
{
    struct ip_config c = kit_config();
    struct kit *k = kit_new_with(&c, 4);
    send(k, PEER, 1, (struct cut){0, 64}, 128);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_limit), 1);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    kit_free(k);
}

/* No room above for the whole chain: all of it is dropped and freed. */
Test(frag, no_room_above)
{
    struct kit *k = kit_ready();
    fill();
    k->out.cap_up[IP_UP_UDP] = 2;
    for (unsigned i = 0; i < 3; i++)
        send(k, PEER, 1, (struct cut){i * 64, i * 64 + 64}, 192);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_queue_udp), 1);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}
