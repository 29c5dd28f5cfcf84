/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Packets of up to 64 KiB in several frames, and checksums that others look at or finish: what
 * ip takes and gives where its driver does (ip_config.segments), and refuses elsewhere.
 */
#include <criterion/criterion.h>

#include "test_ip_kit.h"

static struct kit *
ready(bool segments)
{
    struct kit *k = kit_ready();
    k->ip->cfg.segments = segments;
    return k;
}

/* ---- in ---- */

#define BIG 5000u /* bytes behind the IP header */

/* A packet of BIG bytes to us in frames: d, which has room for it and a frame of padding. */
static unsigned
big(struct kit *k, struct fdesc *d, uint8_t proto)
{
    static uint8_t all[L2L3 + BIG + 100];
    uint8_t text[1] = {0};
    struct frame head = mk_ip(PEER, OUR_IP, proto, text, 1);
    memcpy(all, head.b, L2L3);
    for (uint32_t i = 0; i < BIG; i++)
        all[L2L3 + i] = (uint8_t)(i * 3);
    put_be16(all + ETH_HEADER + 2, IP4_HEADER + BIG);
    memcpy(head.b, all, L2L3);
    mk_fix(&head);
    memcpy(all, head.b, L2L3);
    unsigned n = 0;
    for (uint32_t at = 0; at < L2L3 + BIG; at += d[n++].len) {
        struct frame f = {.len = min_u32(FRAME_SIZE, L2L3 + BIG - at)};
        memcpy(f.b, all + at, f.len);
        d[n] = kit_fill(k, &f);
        d[n].flags = FDESC_MORE;
    }
    d[n - 1].flags = 0;
    return n;
}

/* All of it goes up as one packet, each byte where it was, and what is known of the checksum
 * with it. A frame of nothing but padding behind it does not go along. */
Test(ip_segments, received)
{
    struct kit *k = ready(true);
    for (unsigned padding = 0; padding < 2; padding++) {
        struct fdesc d[8];
        struct frame pad = {.len = 20};
        unsigned n = big(k, d, WIRE_PROTO_TCP);
        d[0].flags |= padding ? FDESC_CSUM : 0;
        if (padding) {
            d[n - 1].flags = FDESC_MORE;
            d[n++] = kit_fill(k, &pad);
        }
        kit_input(k, d, n);
        cr_assert_eq(k->out.n_up[IP_UP_TCP], 3);
        const struct pkt *p = k->up[IP_UP_TCP];
        uint32_t at = 0;
        for (unsigned i = 0; i < 3; i++) {
            cr_assert_eq(!!(p[i].flags & PKT_MORE), i < 2);
            cr_assert_eq(!!(p[i].flags & PKT_CSUM), padding && i == 0);
            for (uint32_t b = 0; b < p[i].len; b++, at++)
                cr_assert_eq(k->mem[p[i].addr + b], (uint8_t)(at * 3));
        }
        cr_assert_eq(at, BIG);
        cr_assert_eq(p->aux, BIG);
        kit_clear(k);
        cr_assert_eq(kit_away(k), 0);
    }
    cr_assert_eq(kit_stat(k, STAT_ip_rx), 2);
    cr_assert_eq(kit_drops(k), 0);
    kit_free(k);
}

/* Of one that is not all there, or has a frame that is none, or is a piece of something else,
 * nothing goes up and every frame is free again. */
Test(ip_segments, received_wrong)
{
    struct kit *k = ready(true);
    struct fdesc d[8];
    unsigned n = big(k, d, WIRE_PROTO_TCP);
    kit_input(k, d, 2); /* the end is missing */
    cr_assert_eq(kit_stat(k, STAT_ip_drop_short), 1);
    struct frame rest = {.len = 60};
    d[2].len = (uint16_t)rest.len;
    kit_input(k, d + 2, n - 2); /* and comes alone */
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);

    n = big(k, d, WIRE_PROTO_TCP);
    struct fdesc bad[4] = {d[0], {k->f.off[PART_UP], 60, FDESC_MORE}, d[1], d[2]};
    kit_mark(k);
    kit_input(k, bad, 4);
    cr_assert_eq(kit_stat(k, STAT_refused_frames), 1);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);

    n = big(k, d, WIRE_PROTO_UDP);
    struct frame head = {.len = L2L3};
    memcpy(head.b, k->mem + d[0].addr, L2L3);
    head.b[ETH_HEADER + 6] = 0x20;                             /* more fragments, and no */
    put_be16(head.b + ETH_HEADER + 2, IP4_HEADER + BIG - 100); /* multiple of eight */
    mk_fix(&head);
    memcpy(k->mem + d[0].addr, head.b, L2L3);
    kit_mark(k);
    kit_input(k, d, n);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_bad), 1);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Where the driver gives no such thing a nic that says so is not believed. */
Test(ip_segments, not_believed)
{
    struct kit *k = ready(false);
    struct fdesc d[8];
    unsigned n = big(k, d, WIRE_PROTO_TCP);
    kit_input(k, d, n);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 0);
    struct frame f = mk_tcp(PEER, OUR_IP, 10);
    d[0] = kit_fill(k, &f);
    d[0].flags = FDESC_CSUM | FDESC_MORE;
    kit_input(k, d, 1);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 1);
    cr_assert_eq(k->up[IP_UP_TCP][0].flags & (PKT_CSUM | PKT_MORE), 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* ---- out ---- */

/* A segment in three frames. */
static void
whole(struct kit *k, struct pkt p[3], uint32_t dst)
{
    for (unsigned i = 0; i < 3; i++) {
        p[i] = kit_pkt(k, IP_UP_TCP, dst, i < 2 ? 1401 : 77, (uint8_t)(0x50 + i));
        p[i].flags = i < 2 ? PKT_MORE : 0;
    }
    p->flags |= PKT_WHOLE | PKT_CSUM | PKT_DF;
}

static void
is_whole(struct kit *k, const struct pkt p[3])
{
    const uint8_t *at = k->mem + k->nic[0].addr;
    struct ip4_hdr h;
    cr_assert_eq(k->out.n_nic, 3);
    cr_assert_eq(k->nic[0].addr, p[0].addr - L2L3);
    cr_assert_eq(k->nic[0].len, 1401 + L2L3);
    cr_assert_eq(k->nic[0].flags, FDESC_MORE | FDESC_CSUM);
    cr_assert_eq(k->nic[1].flags, FDESC_MORE);
    cr_assert_eq(k->nic[2].flags, 0);
    cr_assert_eq(ip4_parse(&h, at + ETH_HEADER, IP4_HEADER + 2 * 1401 + 77), WIRE_OK);
    cr_assert_eq(h.total_len, IP4_HEADER + 2 * 1401 + 77);
    cr_assert(h.df && !h.mf && h.frag_off == 0);
    for (unsigned i = 1; i < 3; i++) { /* no header in front of these, and none over them */
        cr_assert_eq(k->nic[i].addr, p[i].addr);
        cr_assert_eq(k->nic[i].len, p[i].len);
        cr_assert_eq(k->mem[p[i].addr + p[i].len - 1], 0x50 + i);
    }
}

/* One header for all of it, on every way to the driver. */
Test(ip_segments, sent)
{
    struct kit *k = ready(true);
    struct pkt p[3];
    whole(k, p, PEER);
    cr_assert_eq(kit_out(k, IP_UP_TCP, p, 3), 3);
    is_whole(k, p);
    cr_assert_eq(kit_stat(k, STAT_ip_tx), 1);
    cr_assert_eq(kit_stat(k, STAT_ip_frag_tx), 0);
    kit_clear(k);

    /* The neighbour has to be asked for first. */
    whole(k, p, OUR_IP + 9);
    uint8_t before[64];
    memcpy(before, k->mem + p[1].addr - 14, sizeof before);
    cr_assert_eq(kit_out(k, IP_UP_TCP, p, 3), 3);
    kit_clear(k);
    struct frame f = mk_arp(ARP_REPLY, OUR_IP + 9, OUR_IP);
    kit_in(k, &f);
    is_whole(k, p);
    cr_assert_eq(memcmp(before, k->mem + p[1].addr - 14, sizeof before), 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Refused: where nobody would cut or finish it, from who has no business with it, to ourselves,
 * in parts larger than the path takes, of more than an IP packet can be. */
Test(ip_segments, refused)
{
    for (unsigned what = 0; what < 6; what++) {
        struct kit *k = ready(what != 0);
        struct pkt p[FRAME_MAX_CHAIN];
        enum ip_up from = what == 1 ? IP_UP_UDP : IP_UP_TCP;
        unsigned n = 3;
        whole(k, p, what == 2 ? OUR_IP : what == 5 ? 0x7f000001 : PEER);
        if (what == 1)
            for (unsigned i = 0; i < 3; i++)
                p[i] = (struct pkt){0};
        if (what == 1) {
            p[0] = kit_pkt(k, IP_UP_UDP, PEER, 64, 1);
            p[0].flags = PKT_CSUM;
            n = 1;
        }
        if (what == 3)
            p[1].len = 1481;
        if (what == 4) {
            p[2].flags = PKT_MORE;
            p[2].len = 1480;
        }
        for (; what == 4 && n < FRAME_MAX_CHAIN; n++) {
            p[n] = p[2];
            p[n].flags = n + 1 < FRAME_MAX_CHAIN ? PKT_MORE : 0;
        }
        if (what == 4) { /* the same frame again and again: only the length counts here */
            cr_assert_eq(ip_output(k->ip, from, p, n, &k->out, k->now), n);
        } else {
            cr_assert_eq(kit_out(k, from, p, n), n);
        }
        cr_assert_eq(k->out.n_nic, 0, "%u", what);
        bool big = what == 3 || what == 4;
        cr_assert_eq(k->out.n_up[IP_UP_TCP], big, "%u", what); /* told of the MTU */
        cr_assert_eq(kit_stat(k, big ? STAT_ip_drop_tx_toobig : STAT_ip_drop_tx_bad), 1);
        if (what != 1 && what != 4)
            kit_clear(k);
        kit_free(k);
    }
}
