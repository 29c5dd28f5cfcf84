/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The IP component between a hostile wire below and hostile transports above. The input is
 * a list of actions: Ethernet frames, descriptors of any content, forged returns, time,
 * neighbours without room, domains that die. After each, what comes out must lie where it
 * may and fit; at the end, when all is given back and time has passed, nothing may be held.
 *
 * The first byte chooses the configuration. An action is a byte: its low four bits say what,
 * its high bits how. 0 to 5  a frame: two bytes of length, and its bytes (bit 6: checksums put
 * right) 6       time: a byte, in units that grow 7, 8    a packet of tcp, of udp: destination,
 * length, flags, how many of them 9       a raw descriptor, 64 bytes, from tcp or udp 10 all
 * that was handed out comes back 11      a forged return: four bytes of address 12      room:
 * towards the NIC, up to tcp, up to udp 13      a domain dies 14      a descriptor of the NIC's
 * that is anywhere, of any length
 */
#include <stdlib.h>

#include "fuzz.h"
#include "ip/ip.h"
#include "ip/priv.h"
#include "wire/csum.h"

#define N_RX 256u
#define N_TX 64u
#define CAP 128u

static struct world {
    struct frames f;
    struct path_table path;
    struct stats stats;
    struct ip *ip;
    ns_t now;
    struct ip_out out;
    struct fdesc nic[CAP];
    struct pkt up[IP_UPS][CAP];
    uint32_t freed[N_RX], done[IP_UPS][N_TX];
    uint32_t next_rx, next_tx;
} w;

static void
start(unsigned how)
{
    static const uint32_t n[PART_COUNT] = {N_RX, N_TX, N_TX, N_TX, 32};
    static uint8_t *space, *mem;
    struct ip_config c = {
        .addr = ipaddr_v4_u32(0x0a000002),
        .prefix = 24,
        .gateway = ipaddr_v4_u32(0x0a000001),
        .mac = {2, 0, 0, 0, 0, 2},
        .mtu = how & 16  ? 9000
               : how & 1 ? 576
                         : 1500,
        .seed = 1,
        .probes = how & 2 ? 2 : 0,
        .segments = how & 8,
    };
    if (how & 4)
        c.gateway = (struct ipaddr){0};
    memset(&w, 0, sizeof w);
    frames_layout(&w.f, n);
    if (space == NULL) {
        space = calloc(1, frames_bytes(&w.f));
        mem = aligned_alloc(CACHE_LINE, ip_size(&w.f));
        expect(space != NULL && mem != NULL);
    }
    memset(mem, 0, ip_size(&w.f));
    w.f.base = space;
    w.f.readable = w.f.writable = (1u << PART_COUNT) - 1;
    w.now = NS_S;
    w.out = (struct ip_out){
        .nic = w.nic,
        .cap_nic = CAP,
        .up = {w.up[0], w.up[1]},
        .cap_up = {CAP, CAP},
        .freed = w.freed,
        .done = {w.done[0], w.done[1]},
    };
    w.ip = ip_init(mem, &c, &w.f, &w.path, &w.stats, w.now);
}

/* What came out of one call is well-formed, and what is free again is forgotten. */
static void
look(void)
{
    const uint32_t umem = (1u << PARTS_UMEM) - 1, read = PART_BIT(PART_RX) | PART_BIT(PART_UP);
    expect(w.out.n_nic <= CAP && w.out.n_freed <= N_RX);
    uint32_t len = 0; /* of the packet so far */
    bool ends = true;
    for (uint32_t i = 0; i < w.out.n_nic; i++) {
        const struct fdesc *d = &w.nic[i];
        expect(frames_ro(&w.f, umem & ~PART_BIT(PART_RX), d->addr, d->len));
        expect(!ends || d->len >= ETH_HEADER + IP4_HEADER);
        const uint8_t *b = w.f.base + d->addr;
        if (ends && be16(b + 12) == ETH_TYPE_IP4) /* loopback's addresses stay here */
            expect(b[ETH_HEADER + 12] != 127 && b[ETH_HEADER + 16] != 127);
        len = ends ? d->len : len + d->len;
        ends = !(d->flags & FDESC_MORE);
        expect(w.ip->cfg.segments || len <= ETH_HEADER + w.ip->cfg.mtu);
    }
    expect(ends); /* no packet is cut */
    for (unsigned u = 0; u < IP_UPS; u++) {
        expect(w.out.n_up[u] <= w.out.cap_up[u] && w.out.n_done[u] <= N_TX);
        for (uint32_t i = 0; i < w.out.n_up[u]; i++) {
            const struct pkt *p = &w.up[u][i];
            if (p->kind == PKT_ICMP)
                expect(p->err != 0);
            else
                expect(p->kind == PKT_DATA && frames_ro(&w.f, read, p->addr, p->len));
            if (p->kind == PKT_DATA && frames_part(&w.f, p->addr) == PART_RX)
                expect(!ipaddr_is_loopback(&p->src) && !ipaddr_is_loopback(&p->dst));
        }
        expect(w.out.n_up[u] == 0 || !(w.up[u][w.out.n_up[u] - 1].flags & PKT_MORE));
        w.out.n_done[u] = 0;
    }
    w.out.n_freed = 0;
    expect(w.ip->reasm_frames <= w.ip->reasm_max);
    expect(pool_validate(&w.ip->iptx) && pool_validate(&w.ip->uppool));
    expect(w.ip->n_incomplete <= NEIGH_INCOMPLETE_MAX);
}

static void
give_back(void)
{
    for (uint32_t i = 0; i < w.out.n_nic; i++)
        expect(ip_tx_done(w.ip, w.nic[i].addr, &w.out));
    w.out.n_nic = 0;
    for (unsigned u = 0; u < IP_UPS; u++) {
        uint32_t n = w.out.n_up[u];
        w.out.n_up[u] = 0;
        for (uint32_t i = 0; i < n; i++)
            if (w.up[u][i].kind == PKT_DATA)
                ip_up_done(w.ip, w.up[u][i].addr, &w.out);
    }
    look();
}

static void
pass(ns_t t)
{
    w.now += t;
    ip_timer(w.ip, &w.out, w.now);
    expect(ip_deadline(w.ip) > w.now);
    look();
}

static void
put_sum(uint8_t *at, const uint8_t *p, size_t len)
{
    memset(at, 0, 2);
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(p, len));
    memcpy(at, &sum, 2);
}

/* So that fuzzing gets past the checksums. */
static void
put_right(uint8_t *p, uint32_t len)
{
    if (len < L2L3)
        return;
    uint8_t *h = p + ETH_HEADER;
    uint32_t hl = (h[0] & 15u) * 4, total = be16(h + 2);
    if (hl < IP4_HEADER || hl > len - ETH_HEADER)
        return;
    put_sum(h + 10, h, hl);
    if (h[9] == WIRE_PROTO_ICMP && total <= len - ETH_HEADER && total >= hl + ICMP_HEADER)
        put_sum(h + hl + 2, h + hl, total - hl);
}

static void
from_wire(struct input *in, bool right)
{
    uint32_t len = take(in, 2) & 2047;
    len = min_u32(len, (uint32_t)in->left);
    struct fdesc d = {w.next_rx++ % N_RX * FRAME_SIZE, (uint16_t)len, 0};
    if (reasm_holds(w.ip, d.addr)) /* the NIC has others */
        return;
    memcpy(w.f.base + d.addr, in->p, len);
    in->p += len;
    in->left -= len;
    if (right)
        put_right(w.f.base + d.addr, len);
    if (ip_input(w.ip, &d, 1, &w.out, w.now) == 0) {
        give_back();
        expect(ip_input(w.ip, &d, 1, &w.out, w.now) == 1);
    }
    look();
}

static void
from_above(struct input *in, enum ip_up up, unsigned how)
{
    static const uint32_t dst[] = {0x0a000003, 0x0a000002, 0x08080808, 0xffffffff,
                                   0xe0000001, 0x0a000001, 0x7f000001, 0};
    struct pkt p[64];
    uint32_t way = take(in, 1), to = dst[way % ARRAY_LEN(dst)], len = take(in, 2);
    unsigned n = 1 + how * how * 4;
    uint8_t extra = len & 0x8000 ? PKT_WHOLE | PKT_CSUM : 0; /* as tcp has it, or nearly */
    bool join = len & 0x4000;
    len &= 0x3fff;
    for (unsigned i = 0; i < n; i++) {
        enum frame_part part = up == IP_UP_TCP ? PART_TCPTX : PART_UDPTX;
        p[i] = (struct pkt){
            .addr = w.f.off[part] + w.next_tx++ % N_TX * FRAME_SIZE + FRAME_L4,
            .len = (uint16_t)len,
            .kind = PKT_DATA,
            .flags = (uint8_t)((i + 1 < n ? PKT_MORE : PKT_DF) | (i == 0 ? extra : 0) |
                               (join && i % 5 != 4 ? PKT_JOIN : 0)),
            .src = ipaddr_v4_u32(way & 0x80 ? 0x7f000001 : 0x0a000002),
            .dst = ipaddr_v4_u32(to),
        };
    }
    expect(ip_output(w.ip, up, p, n, &w.out, w.now) <= n);
    look();
}

static void
raw(struct input *in, enum ip_up up)
{
    struct pkt p[2] = {0};
    uint32_t n = min_u32(sizeof p[0], (uint32_t)in->left);
    memcpy(&p[0], in->p, n);
    in->p += n;
    in->left -= n;
    p[1] = p[0];
    p[0].addr %= frames_bytes(&w.f) + FRAME_SIZE;
    expect(ip_output(w.ip, up, p, 2, &w.out, w.now) <= 2);
    look();
}

/* What ip's ledger lets through is a frame of the NIC's; the rest of the descriptor is not. */
static void
from_nic(struct input *in, bool wild)
{
    struct fdesc d[4];
    unsigned n = 1 + take(in, 1) % ARRAY_LEN(d);
    for (unsigned i = 0; i < n; i++) {
        d[i] = (struct fdesc){w.next_rx++ % N_RX * FRAME_SIZE +
                                  take(in, 2) % (FRAME_SIZE + 64) * (i == 0),
                              (uint16_t)take(in, 2), i + 1 < n ? FDESC_MORE : 0};
        if (wild)
            d[i] = (struct fdesc){take(in, 4), (uint16_t)take(in, 2), (uint16_t)take(in, 1)};
        if (!wild && reasm_holds(w.ip, d[i].addr))
            return;
    }
    (void)ip_input(w.ip, d, n, &w.out, w.now);
    look();
}

static void
act(struct input *in)
{
    uint32_t op = take(in, 1), how = op >> 4;
    switch (op & 15) {
    case 6:
        pass((ns_t)take(in, 1) * (how & 3 ? 100 * NS_MS : NS_US) + 1);
        break;
    case 7:
    case 8:
        from_above(in, (op & 15) == 7 ? IP_UP_TCP : IP_UP_UDP, how & 3);
        break;
    case 9:
        raw(in, how & 1 ? IP_UP_TCP : IP_UP_UDP);
        break;
    case 10:
        give_back();
        break;
    case 11: {
        uint32_t addr = take(in, 4) % (frames_bytes(&w.f) + FRAME_SIZE);
        if (how & 1)
            ip_up_done(w.ip, addr, &w.out);
        else
            ip_tx_done(w.ip, addr, &w.out);
        look();
        break;
    }
    case 12:
        w.out.cap_nic = max_u32(w.out.n_nic, take(in, 1) % (CAP + 1));
        for (unsigned u = 0; u < IP_UPS; u++)
            w.out.cap_up[u] = max_u32(w.out.n_up[u], take(in, 1) % (CAP + 1));
        break;
    case 13:
        if (how & 1) {
            ip_nic_reset(w.ip);
            w.out.n_nic = 0;
        } else {
            enum ip_up up = how & 2 ? IP_UP_TCP : IP_UP_UDP;
            w.out.n_up[up] = 0;
            ip_up_reset(w.ip, up, &w.out);
        }
        look();
        break;
    case 14:
        from_nic(in, how & 1);
        break;
    default:
        from_wire(in, how & 4);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    start(take(&in, 1));
    while (in.left > 0)
        act(&in);
    w.out.cap_nic = w.out.cap_up[0] = w.out.cap_up[1] = CAP;
    for (unsigned i = 0; i < 8; i++) {
        give_back();
        pass(20 * NS_S);
    }
    give_back();
    expect(ip_frames_held(w.ip) == 0);
    expect(w.ip->n_wait_free == WAIT_SLOTS && w.ip->txq_n == 0);
    return 0;
}
