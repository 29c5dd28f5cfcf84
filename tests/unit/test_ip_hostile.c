/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Seeded random traffic from everybody at once: broken frames from the wire, broken
 * descriptors from the transports, no room now and then, domains that die. Whatever
 * comes, every frame is accounted for (the kit checks each hand-over), and once all is
 * quiet none is missing.
 */
#include <criterion/criterion.h>

#include "rnd.h"
#include "test_ip_kit.h"

static uint32_t
below(uint64_t *s, uint32_t n)
{
    return (uint32_t)((rnd_next(s) >> 20) % n);
}

static uint32_t
some_host(uint64_t *s)
{
    static const uint32_t odd[] = {0,      0xffffffff, 0x0a0000ff, 0xe0000001, 0x7f000001,
                                   OUR_IP, FAR,        GATEWAY,    0xf0000001, 0x0a000000};
    return below(s, 4) == 0 ? odd[below(s, ARRAY_LEN(odd))] : 0x0a000003u + below(s, 40);
}

static struct frame
some_frame(uint64_t *s)
{
    static uint8_t data[1480];
    uint8_t quote[28];
    uint32_t who = some_host(s), off = below(s, 8) * 64;
    uint8_t proto = (uint8_t[]){WIRE_PROTO_UDP, WIRE_PROTO_TCP, WIRE_PROTO_ICMP}[below(s, 3)];
    struct frame q = mk_udp(OUR_IP, some_host(s), 100);
    q.b[ETH_HEADER + 9] = proto;
    memcpy(quote, q.b + ETH_HEADER, 28);
    switch (below(s, 10)) {
    case 0:
        return mk_udp(who, below(s, 5) ? OUR_IP : some_host(s), below(s, 1400));
    case 1:
        return mk_tcp(who, below(s, 5) ? OUR_IP : some_host(s), below(s, 1400));
    case 2:
        return mk_echo(who, below(s, 1472));
    case 3:
        return mk_icmp(who, (uint8_t)below(s, 14), (uint8_t)below(s, 17), below(s, 2000), quote,
                       below(s, 29));
    case 4:
        return mk_ip(who, OUR_IP, (uint8_t)below(s, 256), data, below(s, 1400));
    case 5:
        return mk_arp((uint16_t)(1 + below(s, 2)), who, below(s, 3) ? OUR_IP : some_host(s));
    default:
        return mk_frag(who, proto, (uint16_t)below(s, 3), off, below(s, 3) != 0, data,
                       below(s, 4) ? 64 : below(s, 200));
    }
}

/* Neither goes anything of loopback's onto the wire, nor comes any from there (RFC 1122 3.2.1.3
 * (g)). Where a packet begins: with AF_PACKET's segments it may go on in other frames. */
static void
loopback_stays(const struct kit *k)
{
    bool begins = true;
    for (uint32_t i = 0; i < k->out.n_nic; i++) {
        uint32_t len;
        const uint8_t *b = kit_nic(k, i, &len);
        if (begins && be16(b + 12) == ETH_TYPE_IP4)
            cr_assert(b[ETH_HEADER + 12] != 127 && b[ETH_HEADER + 16] != 127);
        begins = !(k->nic[i].flags & FDESC_MORE);
    }
    for (unsigned u = 0; u < IP_UPS; u++)
        for (uint32_t i = 0; i < k->out.n_up[u]; i++) {
            const struct pkt *p = &k->up[u][i];
            if (p->kind == PKT_DATA && frames_part(&k->f, p->addr) == PART_RX)
                cr_assert(!ipaddr_is_loopback(&p->src) && !ipaddr_is_loopback(&p->dst));
        }
}

static void
from_wire(struct kit *k, uint64_t *s)
{
    struct fdesc d[8];
    unsigned n = 1 + below(s, ARRAY_LEN(d));
    for (unsigned i = 0; i < n; i++) {
        struct frame f = some_frame(s);
        for (unsigned flips = below(s, 4) ? 0 : below(s, 4); flips > 0; flips--)
            f.b[below(s, f.len)] ^= (uint8_t)(1u << below(s, 8));
        if (below(s, 8) == 0)
            f.len = below(s, f.len + 1);
        if (below(s, 3) == 0 && f.len >= L2L3)
            mk_fix(&f);
        d[i] = kit_fill(k, &f);
        if (below(s, 20) == 0) { /* forged: the frame itself never left the NIC */
            k->place[d[i].addr / FRAME_SIZE] = HOME;
            d[i].addr = (uint32_t)rnd_next(s) | frames_bytes(&k->f);
        }
    }
    for (unsigned taken = 0; taken < n;) {
        unsigned more = ip_input(k->ip, d + taken, n - taken, &k->out, k->now);
        taken += more;
        kit_settle(k);
        if (more == 0)
            kit_clear(k);
    }
}

static void
from_above(struct kit *k, uint64_t *s)
{
    enum ip_up up = (enum ip_up)below(s, 2);
    struct pkt p[50];
    unsigned n = 1 + below(s, below(s, 10) ? 4 : 50);
    for (unsigned i = 0; i < n; i++) {
        p[i] = kit_pkt(k, up, below(s, 3) ? some_host(s) : OUR_IP,
                       (uint16_t)(below(s, 5) ? 8 * (3 + below(s, 180)) : below(s, 1900)), 1);
        p[i].flags = below(s, 3) ? 0 : PKT_MORE;
        if (below(s, 8) == 0)
            p[i].src = v4(0x7f000000u + below(s, 3));
        uint8_t *b = (uint8_t *)&p[i];
        if (below(s, 12) == 0) {
            unsigned at = 4 + below(s, sizeof p[i] - 4); /* not the address */
            b[at] = (uint8_t)rnd_next(s);
        }
        if (below(s, 20) == 0)
            p[i].kind = PKT_REJECT;
        if (below(s, 30) == 0) {
            k->mem[frame_of(p[i].addr)] = 0;
            p[i].addr = (uint32_t)rnd_next(s) | frames_bytes(&k->f);
        }
    }
    unsigned taken = kit_out(k, up, p, n);
    for (unsigned i = taken; i < n; i++)
        if (p[i].addr < frames_bytes(&k->f))
            k->mem[frame_of(p[i].addr)] = 0;
}

/* A transport dies with all that it was reading; its transmit frames are its own affair. */
static void
die(struct kit *k, enum ip_up up)
{
    for (unsigned i = 0; i < k->out.n_up[up]; i++) {
        uint32_t a = k->up[up][i].addr;
        if (k->up[up][i].kind != PKT_DATA)
            continue;
        if (frames_part(&k->f, a) == PART_UP) {
            k->place[a / FRAME_SIZE] = HOME;
        } else {
            k->place[a / FRAME_SIZE] = IN_IP;
            ip_up_done(k->ip, a, &k->out);
        }
    }
    k->out.n_up[up] = k->seen_up[up] = 0;
    ip_up_reset(k->ip, up, &k->out);
    kit_settle(k);
}

/* The neighbours' queues get longer or shorter, though not shorter than what is in them. */
static void
other_room(struct kit *k, uint64_t *s)
{
    struct ip_out *o = &k->out;
    o->cap_nic = max_u32(below(s, 3) ? KIT_CAP : below(s, 64), o->n_nic);
    for (unsigned u = 0; u < IP_UPS; u++)
        o->cap_up[u] = max_u32(below(s, 3) ? KIT_CAP : below(s, 64), o->n_up[u]);
}

static void
run(uint64_t seed, unsigned steps)
{
    uint64_t s = seed * 0x9e3779b97f4a7c15u | 1;
    struct kit *k = kit_ready();
    for (unsigned i = 0; i < steps; i++) {
        switch (below(&s, 12)) {
        case 0:
            kit_pass(k, below(&s, 10) ? below(&s, 2000) * NS_MS : 40 * NS_S);
            break;
        case 1:
        case 2:
        case 3:
            from_above(k, &s);
            break;
        case 4:
            if (below(&s, 20) == 0)
                die(k, (enum ip_up)below(&s, 2));
            break;
        case 5:
            other_room(k, &s);
            break;
        default:
            from_wire(k, &s);
            break;
        }
        loopback_stays(k);
        if (below(&s, 2) || k->out.n_nic > 100)
            kit_clear(k);
        cr_assert_leq(k->ip->reasm_frames, k->ip->reasm_max);
        cr_assert(pool_validate(&k->ip->iptx) && pool_validate(&k->ip->uppool));
    }
    kit_clear(k);
    k->out.cap_nic = k->out.cap_up[0] = k->out.cap_up[1] = KIT_CAP;
    for (unsigned i = 0; i < 5; i++) {
        kit_pass(k, 40 * NS_S);
        kit_clear(k);
    }
    cr_assert_eq(ip_frames_held(k->ip), 0, "seed %lu", (unsigned long)seed);
    cr_assert_eq(kit_away(k), 0, "seed %lu", (unsigned long)seed);
    cr_assert_eq(k->ip->n_wait_free, WAIT_SLOTS);
    cr_assert_eq(k->ip->n_incomplete, 0);
    cr_assert_eq(k->ip->txq_n, 0);
    for (unsigned i = 0; i < KIT_RX / 64; i++)
        cr_assert_eq(k->ip->rx_held[i], 0);
    /* And it still works. */
    struct frame f = mk_echo(PEER, 100);
    kit_in(k, &f);
    kit_pass(k, NS_S);
    cr_assert_geq(k->out.n_nic, 1, "seed %lu", (unsigned long)seed);
    kit_free(k);
}

Test(ip_hostile, no_frame_is_lost)
{
    for (uint64_t seed = 1; seed <= 25; seed++)
        run(seed, 1500);
}

/* Frames of nothing but noise behind a good Ethernet header, and behind a good IP one. */
Test(ip_hostile, noise)
{
    struct kit *k = kit_ready();
    uint64_t s = 7;
    for (unsigned i = 0; i < 30000; i++) {
        struct frame f = mk_udp(PEER, OUR_IP, 0);
        uint32_t from = (uint32_t[]){0, ETH_HEADER, L2L3}[below(&s, 3)];
        f.len = from + below(&s, 200);
        if (from == L2L3) {
            f.b[ETH_HEADER + 9] = (uint8_t[]){1, 6, 17}[below(&s, 3)];
            put_be16(f.b + ETH_HEADER + 2, (uint16_t)(f.len - ETH_HEADER));
            mk_fix(&f);
        }
        if (from == ETH_HEADER && below(&s, 2))
            put_be16(f.b + 12, ETH_TYPE_ARP);
        for (uint32_t j = from; j < f.len; j++)
            f.b[j] = (uint8_t)rnd_next(&s);
        kit_in(k, &f);
        kit_clear(k);
    }
    kit_pass(k, 60 * NS_S);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    kit_free(k);
}
