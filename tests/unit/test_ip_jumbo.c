/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An MTU that is larger than a frame: packets of several frames, in and out, whole or as
 * fragments, and what a transport may not do with them.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "test_ip_kit.h"

#define MTU 9000u
#define RX_PIECE 1792u /* what the kernel puts into a frame */

static struct kit *
ready(uint16_t mtu)
{
    struct kit *k = kit_ready();
    k->ip->cfg.mtu = mtu;
    k->path.mtu = mtu;
    return k;
}

/* A transport's packet of n frames with these lengths, joined. */
static void
chain(struct kit *k, enum ip_up from, uint32_t dst, const uint16_t *len, unsigned n,
      struct pkt *p)
{
    for (unsigned i = 0; i < n; i++) {
        p[i] = kit_pkt(k, from, dst, len[i], (uint8_t)(0x50 + i));
        p[i].flags = i + 1 < n ? PKT_MORE | PKT_JOIN : 0;
    }
    p->flags |= PKT_DF;
}

static const uint16_t full[] = {1920, 1920, 1920, 1920, 1300}; /* an MTU of 9000, filled */

/* The packet that begins at nic[at] has these frames, with one header in front of all. */
static struct ip4_hdr
is_packet(struct kit *k, unsigned at, const struct pkt *p, unsigned n)
{
    struct ip4_hdr h;
    uint32_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct fdesc *d = &k->nic[at + i];
        uint32_t head = i == 0 ? L2L3 : 0;
        cr_assert_eq(d->addr, p[i].addr - head, "frame %u", i);
        cr_assert_eq(d->len, p[i].len + head);
        cr_assert_eq(d->flags, i + 1 < n ? FDESC_MORE : 0);
        total += p[i].len;
    }
    cr_assert_eq(ip4_parse(&h, k->mem + k->nic[at].addr + ETH_HEADER, 65535), WIRE_OK);
    cr_assert_eq(h.total_len, IP4_HEADER + total);
    return h;
}

/* One header for all of it, at once and after the neighbour was asked for; from both. */
Test(ip_jumbo, sent)
{
    struct kit *k = ready(MTU);
    struct pkt p[5];
    for (unsigned from = 0; from < IP_UPS; from++) {
        chain(k, (enum ip_up)from, PEER, full, 5, p);
        cr_assert_eq(kit_out(k, (enum ip_up)from, p, 5), 5);
        cr_assert_eq(k->out.n_nic, 5);
        struct ip4_hdr h = is_packet(k, 0, p, 5);
        cr_assert(h.df && !h.mf && h.frag_off == 0);
        kit_clear(k);

        uint32_t asked = OUR_IP + 9 + from;
        chain(k, (enum ip_up)from, asked, full, 5, p);
        cr_assert_eq(kit_out(k, (enum ip_up)from, p, 5), 5);
        kit_clear(k);
        struct frame f = mk_arp(ARP_REPLY, asked, OUR_IP);
        kit_in(k, &f);
        cr_assert_eq(k->out.n_nic, 5);
        (void)is_packet(k, 0, p, 5);
        kit_clear(k);
    }
    cr_assert_eq(kit_stat(k, STAT_ip_frag_tx), 0);
    cr_assert_eq(kit_stat(k, STAT_ip_tx), 4);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A datagram in three fragments, two of them of several frames. */
Test(ip_jumbo, fragments)
{
    struct kit *k = ready(MTU);
    struct pkt p[11];
    const uint16_t whole[] = {1920, 1920, 1920, 1920, 1296};
    for (unsigned i = 0; i < 2; i++) {
        chain(k, IP_UP_UDP, PEER, whole, 5, p + 5 * i);
        p[5 * i].flags &= (uint8_t)~PKT_DF;
        p[5 * i + 4].flags = PKT_MORE;
    }
    p[10] = kit_pkt(k, IP_UP_UDP, PEER, 99, 0);
    cr_assert_eq(kit_out(k, IP_UP_UDP, p, 11), 11);
    cr_assert_eq(k->out.n_nic, 11);
    struct ip4_hdr h[3];
    for (unsigned i = 0; i < 3; i++) {
        h[i] = is_packet(k, 5 * i, p + 5 * i, i < 2 ? 5 : 1);
        cr_assert_eq(h[i].frag_off, 8976 * i);
        cr_assert_eq(h[i].mf, i < 2);
        cr_assert_eq(h[i].id, h[0].id);
        cr_assert(!h[i].df);
    }
    cr_assert_eq(kit_stat(k, STAT_ip_frag_tx), 3);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* What a hostile transport may try costs it the packet, and nobody else anything. */
Test(ip_jumbo, refused)
{
    enum { SMALL_MTU, NO_END, WITH_WHOLE, TOO_MANY, TOO_LONG, ODD, PAST_FRAME, OTHERS, TRIES };
    for (unsigned what = 0; what < TRIES; what++) {
        struct kit *k = ready(what == SMALL_MTU ? 1500 : MTU);
        const uint16_t small[] = {400, 400, 400, 400, 400};
        struct pkt p[20];
        unsigned n = 5;
        chain(k, IP_UP_TCP, PEER, what == SMALL_MTU ? small : full, n, p);
        switch (what) {
        case NO_END:
            p[4].flags = PKT_JOIN;
            break;
        case WITH_WHOLE:
            k->ip->cfg.segments = true;
            p[0].flags |= PKT_WHOLE;
            break;
        case TOO_MANY:
            for (unsigned i = 0; i < 5; i++)
                p[i].len = 400;
            p[4].flags = PKT_MORE | PKT_JOIN;
            for (; n < FRAME_MAX_PACKET + 1; n++) {
                p[n] = kit_pkt(k, IP_UP_TCP, PEER, 400, 0);
                p[n].flags = n < FRAME_MAX_PACKET ? PKT_MORE | PKT_JOIN : 0;
            }
            break;
        case TOO_LONG:
            p[4].len = 1301;
            break;
        case ODD:
            p[2].flags = PKT_MORE; /* a fragment ends there */
            p[2].len = 1919;
            break;
        case PAST_FRAME:
            p[1].addr -= 64;
            p[1].len = FRAME_ROOM + 1;
            break;
        case OTHERS:
            p[3].addr = k->f.off[PART_UDPTX] + FRAME_L4;
            break;
        default:
            break;
        }
        cr_assert_eq(ip_output(k->ip, IP_UP_TCP, p, n, &k->out, k->now), n);
        cr_assert_eq(k->out.n_nic, 0, "%u", what);
        cr_assert_eq(
            kit_stat(k, what == TOO_LONG ? STAT_ip_drop_tx_toobig : STAT_ip_drop_tx_bad), 1,
            "%u", what);
        cr_assert_eq(k->out.n_done[IP_UP_TCP], what == OTHERS ? n - 1 : n, "%u", what);
        kit_free(k);
    }
}

/* As many as the kernel takes are sent. */
Test(ip_jumbo, most_frames)
{
    struct kit *k = ready(MTU);
    uint16_t len[FRAME_MAX_PACKET];
    struct pkt p[FRAME_MAX_PACKET];
    for (unsigned i = 0; i < FRAME_MAX_PACKET; i++)
        len[i] = 500;
    chain(k, IP_UP_TCP, PEER, len, FRAME_MAX_PACKET, p);
    cr_assert_eq(kit_out(k, IP_UP_TCP, p, FRAME_MAX_PACKET), FRAME_MAX_PACKET);
    (void)is_packet(k, 0, p, FRAME_MAX_PACKET);
    kit_clear(k);
    kit_free(k);
}

/* To ourselves: each frame is copied to one of its own, and not a byte further. */
Test(ip_jumbo, loopback)
{
    struct kit *k = ready(MTU);
    struct pkt p[5];
    chain(k, IP_UP_UDP, OUR_IP, full, 5, p);
    memset(k->mem + k->f.off[PART_UP], 0xcc, k->f.size[PART_UP]);
    port_set(&k->ports, 9, PORT_WANTED);
    put_be16(k->mem + p[0].addr + 4, 8980); /* UDP length */
    cr_assert_eq(kit_out(k, IP_UP_UDP, p, 5), 5);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 5);
    const struct pkt *u = k->up[IP_UP_UDP];
    cr_assert_eq(u->aux, 8980);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(u[i].len, full[i]);
        cr_assert_eq(!!(u[i].flags & PKT_MORE), i < 4);
        cr_assert_eq(memcmp(k->mem + u[i].addr, k->mem + p[i].addr, full[i]), 0);
        uint32_t end = u[i].addr + u[i].len;
        cr_assert(end % FRAME_SIZE == 0 || k->mem[end] == 0xcc);
    }
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* With little room to the NIC a packet waits until all of it fits, and one whose sender dies
 * meanwhile is gone as a whole: the kernel would take the next packet for its end. */
Test(ip_jumbo, never_cut)
{
    struct kit *k = ready(MTU);
    struct pkt p[2][5];
    for (unsigned i = 0; i < 2; i++) {
        chain(k, i == 0 ? IP_UP_TCP : IP_UP_UDP, OUR_IP + 9, full, 5, p[i]);
        cr_assert_eq(kit_out(k, i == 0 ? IP_UP_TCP : IP_UP_UDP, p[i], 5), 5);
    }
    kit_clear(k);
    k->out.cap_nic = 8;
    struct frame f = mk_arp(ARP_REPLY, OUR_IP + 9, OUR_IP);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 5);
    (void)is_packet(k, 0, p[0], 5);
    kit_clear(k);
    k->out.cap_nic = 4;
    ip_timer(k->ip, &k->out, k->now += NS_MS);
    cr_assert_eq(k->out.n_nic, 0);
    ip_up_reset(k->ip, IP_UP_UDP, &k->out);
    kit_settle(k);
    k->out.cap_nic = KIT_CAP;
    ip_timer(k->ip, &k->out, k->now += NS_MS);
    cr_assert_eq(k->out.n_nic, 0);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* ---- in ---- */

/* len bytes at `data` behind an IP header, as the kernel lays them into frames of `piece`. */
static unsigned
arrives(struct kit *k, struct fdesc *d, struct frame head, const uint8_t *data, uint32_t len,
        uint32_t piece)
{
    uint8_t *all = malloc(L2L3 + len);
    unsigned n = 0;
    cr_assert(all != NULL);
    put_be16(head.b + ETH_HEADER + 2, (uint16_t)(IP4_HEADER + len));
    mk_fix(&head);
    memcpy(all, head.b, L2L3);
    memcpy(all + L2L3, data, len);
    for (uint32_t at = 0; at < L2L3 + len; at += d[n++].len) {
        struct frame f = {.len = min_u32(piece, L2L3 + len - at)};
        memcpy(f.b, all + at, f.len);
        d[n] = kit_fill(k, &f);
        d[n].flags = FDESC_MORE;
    }
    d[n - 1].flags = 0;
    free(all);
    return n;
}

static void
datagram_is(struct kit *k, const uint8_t *data, uint32_t total)
{
    const struct pkt *p = k->up[IP_UP_UDP];
    uint32_t at = 0;
    cr_assert_neq(k->out.n_up[IP_UP_UDP], 0);
    cr_assert_eq(p->aux, total);
    for (unsigned i = 0; i < k->out.n_up[IP_UP_UDP]; i++) {
        cr_assert_eq(memcmp(k->mem + p[i].addr, data + at, p[i].len), 0);
        at += p[i].len;
        cr_assert_eq(!!(p[i].flags & PKT_MORE), at < total);
    }
    cr_assert_eq(at, total);
    kit_clear(k);
}

/* Fragments in several frames each, in every order, one of them twice: the datagram goes up
 * once and whole. */
Test(ip_jumbo, reassembled)
{
    struct kit *k = ready(MTU);
    static uint8_t data[3 * 8976 - 1000];
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 5 + i / 300);
    put_be16(data + 2, 9);
    put_be16(data + 4, sizeof data);
    port_set(&k->ports, 9, PORT_WANTED);
    const uint8_t order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                 {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (unsigned o = 0; o < 6; o++)
        for (unsigned i = 0; i < 4; i++) { /* the second comes again */
            unsigned which = order[o][i == 0 ? 0 : i - 1];
            uint32_t off = which * 8976, len = min_u32(8976, (uint32_t)sizeof data - off);
            struct frame head =
                mk_frag(PEER, WIRE_PROTO_UDP, (uint16_t)(100 + o), off, which < 2, data, 8);
            struct fdesc d[8];
            unsigned n = arrives(k, d, head, data + off, len, RX_PIECE);
            kit_input(k, d, n);
            if (i == 3)
                datagram_is(k, data, sizeof data);
        }
    cr_assert_eq(kit_stat(k, STAT_ip_frag_ok), 6);
    cr_assert_eq(kit_drops(k), 0);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Of one that overlaps, says another thing, or never ends, all frames come back. */
Test(ip_jumbo, not_reassembled)
{
    struct kit *k = ready(MTU);
    static uint8_t data[8976 + 8];
    for (unsigned what = 0; what < 4; what++) {
        struct frame head =
            mk_frag(PEER, WIRE_PROTO_UDP, (uint16_t)(7 + what), 0, true, data, 8);
        struct fdesc d[8];
        unsigned n = arrives(k, d, head, data, 8976, RX_PIECE);
        kit_input(k, d, n);
        data[5000] ^= what == 1;
        head = mk_frag(PEER, WIRE_PROTO_UDP, (uint16_t)(7 + what), what == 0 ? 4000 : 0, true,
                       data, 8);
        n = arrives(k, d, head, data, what == 2 ? 8968 : 8976, RX_PIECE);
        if (what < 3)
            kit_input(k, d, n);
        else
            for (unsigned i = 0; i < n; i++)
                k->place[d[i].addr / FRAME_SIZE] = HOME;
        cr_assert_eq(kit_stat(k, STAT_ip_drop_frag_overlap), min_u32(what + 1, 3));
    }
    kit_pass(k, 40 * NS_S);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* An echo is answered in one packet where it came in one, in fragments otherwise. */
Test(ip_jumbo, echo)
{
    static const uint32_t sizes[] = {1920, 1921, 8980, 8981, 20000, 60000};
    static uint8_t msg[60000];
    for (unsigned s = 0; s < ARRAY_LEN(sizes); s++) {
        struct kit *k = ready(MTU);
        uint32_t size = sizes[s];
        for (uint32_t i = ICMP_HEADER; i < size; i++)
            msg[i] = (uint8_t)(i * 11);
        struct icmp_hdr h = {.type = ICMP_ECHO};
        icmp_emit(msg, &h, csum_bytes(msg + ICMP_HEADER, size - ICMP_HEADER));
        for (uint32_t off = 0; off < size; off += 8976) {
            uint32_t len = size <= 8980 ? size : min_u32(8976, size - off);
            struct frame head =
                mk_frag(PEER, WIRE_PROTO_ICMP, 3, off, off + len < size, msg, 8);
            struct fdesc d[8];
            unsigned n = arrives(k, d, head, msg + off, len, RX_PIECE);
            kit_input(k, d, n);
            if (size <= 8980)
                break;
        }
        uint32_t at = 0;
        unsigned packets = 0;
        for (unsigned i = 0; i < k->out.n_nic; i++) {
            const struct fdesc *d = &k->nic[i];
            bool first = i == 0 || !(k->nic[i - 1].flags & FDESC_MORE);
            uint32_t skip = first ? L2L3 : 0;
            uint32_t from = at == 0 ? ICMP_HEADER : 0; /* the type and sum are others */
            packets += first;
            cr_assert_eq(
                memcmp(k->mem + d->addr + skip + from, msg + at + from, d->len - skip - from),
                0);
            at += d->len - skip;
        }
        cr_assert_eq(at, size);
        cr_assert_eq(packets, size <= 8980 ? 1 : (size + 8975) / 8976);
        kit_clear(k);
        cr_assert_eq(kit_away(k), 0);
        kit_free(k);
    }
}
