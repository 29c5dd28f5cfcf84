/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "test_ip_kit.h"

const uint8_t OUR_MAC[6] = {2, 0, 0, 0, 0, 2};
const uint8_t ALL_MAC[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void
peer_mac(uint8_t mac[6], uint32_t ip)
{
    const uint8_t m[6] = {2, 0, 0, 0, (uint8_t)(ip >> 8), (uint8_t)ip};
    memcpy(mac, m, 6);
}

struct ip_config
kit_config(void)
{
    struct ip_config c = {
        .addr = v4(OUR_IP),
        .prefix = 24,
        .gateway = v4(GATEWAY),
        .mtu = 1500,
        .seed = 42,
        .probe_interval = 200 * NS_MS,
    };
    memcpy(c.mac, OUR_MAC, 6);
    return c;
}

static void *
aligned(size_t n)
{
    void *p = aligned_alloc(CACHE_LINE, ALIGN_UP(n, (size_t)CACHE_LINE));
    cr_assert(p != NULL);
    memset(p, 0, n);
    return p;
}

struct kit *
kit_new_with(const struct ip_config *cfg, uint32_t n_rx)
{
    const uint32_t n[PART_COUNT] = {n_rx, KIT_IPTX, KIT_TX, KIT_TX, KIT_UP};
    struct kit *k = aligned(sizeof *k);
    frames_layout(&k->f, n);
    k->mem = aligned(frames_bytes(&k->f));
    k->f.base = k->mem;
    k->f.readable = k->f.writable = (1u << PART_COUNT) - 1;
    k->cfg = *cfg;
    k->now = 1000 * NS_S;
    k->out = (struct ip_out){
        .nic = k->nic,
        .cap_nic = KIT_CAP,
        .up = {k->up[0], k->up[1]},
        .cap_up = {KIT_CAP, KIT_CAP},
        .freed = k->freed,
        .done = {k->done[0], k->done[1]},
    };
    k->cfg.ports = &k->ports;
    k->ip = ip_init(aligned(ip_size(&k->f)), &k->cfg, &k->f, &k->path, &k->st, k->now);
    return k;
}

struct kit *
kit_new(uint32_t probes)
{
    struct ip_config c = kit_config();
    c.probes = probes;
    return kit_new_with(&c, KIT_RX);
}

struct kit *
kit_ready(void)
{
    struct kit *k = kit_new(0);
    kit_pass(k, 5 * NS_S);
    const uint32_t known[] = {PEER, GATEWAY};
    for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
        struct frame f = mk_arp(ARP_REQUEST, known[i], OUR_IP);
        kit_in(k, &f);
        struct pkt p = kit_pkt(k, IP_UP_UDP, known[i], 8, 0);
        cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
        f = mk_arp(ARP_REPLY, known[i], OUR_IP);
        kit_in(k, &f);
    }
    kit_clear(k);
    kit_mark(k);
    cr_assert_eq(kit_away(k), 0);
    return k;
}

void
kit_free(struct kit *k)
{
    free(k->ip);
    free(k->mem);
    free(k);
}

static uint8_t *
place_of(struct kit *k, uint32_t addr)
{
    cr_assert_lt(addr, frames_bytes(&k->f));
    return &k->place[addr / FRAME_SIZE];
}

static void
step(struct kit *k, uint32_t addr, enum kit_place a, enum kit_place b, enum kit_place to)
{
    uint8_t *p = place_of(k, addr);
    cr_assert(*p == a || *p == b, "frame %u: in place %u, not %u or %u", addr / FRAME_SIZE, *p,
              a, b);
    *p = (uint8_t)to;
}

/* Believe what ip says of frames, if it can be. */
void
kit_settle(struct kit *k)
{
    struct ip_out *o = &k->out;
    cr_assert_leq(o->n_nic, o->cap_nic);
    for (; k->seen_nic < o->n_nic; k->seen_nic++) {
        uint32_t a = k->nic[k->seen_nic].addr;
        cr_assert(frames_ro(&k->f, 0xf, a, k->nic[k->seen_nic].len) != NULL);
        bool own = frames_part(&k->f, a) == PART_IPTX;
        step(k, a, own ? HOME : IN_IP, own ? HOME : IN_IP, WITH_NIC);
    }
    for (unsigned u = 0; u < IP_UPS; u++) {
        cr_assert_leq(o->n_up[u], o->cap_up[u]);
        for (; k->seen_up[u] < o->n_up[u]; k->seen_up[u]++) {
            const struct pkt *p = &k->up[u][k->seen_up[u]];
            if (p->kind != PKT_DATA)
                continue;
            bool up = frames_part(&k->f, p->addr) == PART_UP;
            cr_assert(frames_ro(&k->f, PART_BIT(PART_RX) | PART_BIT(PART_UP), p->addr,
                                p->len) != NULL);
            step(k, p->addr, up ? HOME : IN_IP, up ? HOME : IN_IP, WITH_UP);
        }
        for (unsigned i = 0; i < o->n_done[u]; i++) {
            step(k, k->done[u][i], IN_IP, IN_IP, HOME);
            k->mem[k->done[u][i]] = 0; /* free for kit_pkt */
        }
        o->n_done[u] = 0;
    }
    for (unsigned i = 0; i < o->n_freed; i++)
        step(k, k->freed[i], IN_IP, IN_IP, HOME);
    o->n_freed = 0;
}

void
kit_forget(struct kit *k)
{
    k->out.n_nic = k->seen_nic = 0;
    for (unsigned u = 0; u < IP_UPS; u++)
        k->out.n_up[u] = k->seen_up[u] = 0;
}

void
kit_clear(struct kit *k)
{
    uint32_t n = k->out.n_nic, n_up[IP_UPS] = {k->out.n_up[0], k->out.n_up[1]};
    for (unsigned i = 0; i < n; i++) {
        bool own = frames_part(&k->f, k->nic[i].addr) == PART_IPTX;
        step(k, k->nic[i].addr, WITH_NIC, WITH_NIC, own ? HOME : IN_IP);
        cr_assert(ip_tx_done(k->ip, k->nic[i].addr, &k->out));
    }
    for (unsigned u = 0; u < IP_UPS; u++)
        for (unsigned i = 0; i < n_up[u]; i++) {
            if (k->up[u][i].kind != PKT_DATA)
                continue;
            bool up = frames_part(&k->f, k->up[u][i].addr) == PART_UP;
            step(k, k->up[u][i].addr, WITH_UP, WITH_UP, up ? HOME : IN_IP);
            ip_up_done(k->ip, k->up[u][i].addr, &k->out);
        }
    kit_settle(k);
    kit_forget(k);
}

struct fdesc
kit_fill(struct kit *k, const struct frame *f)
{
    for (uint32_t i = 0; i < k->f.size[PART_RX] / FRAME_SIZE; i++)
        if (k->place[i] == HOME) {
            uint32_t a = i * FRAME_SIZE;
            memset(k->mem + a, 0xa5, FRAME_SIZE);
            memcpy(k->mem + a, f->b, f->len);
            k->place[i] = IN_IP;
            return (struct fdesc){a, (uint16_t)f->len, 0};
        }
    cr_assert_fail("no receive frame left");
    return (struct fdesc){0};
}

void
kit_input(struct kit *k, const struct fdesc *d, unsigned n)
{
    cr_assert_eq(ip_input(k->ip, d, n, &k->out, k->now), n);
    kit_settle(k);
}

void
kit_in(struct kit *k, const struct frame *f)
{
    struct fdesc d = kit_fill(k, f);
    kit_input(k, &d, 1);
}

static void
mark_sent(struct kit *k, enum ip_up from, const struct pkt *p, unsigned n)
{
    enum frame_part part = from == IP_UP_TCP ? PART_TCPTX : PART_UDPTX;
    for (unsigned i = 0; i < n; i++)
        if (frames_part(&k->f, p[i].addr) == part)
            step(k, p[i].addr, HOME, HOME, IN_IP);
}

unsigned
kit_out(struct kit *k, enum ip_up from, const struct pkt *p, unsigned n)
{
    unsigned taken = ip_output(k->ip, from, p, n, &k->out, k->now);
    cr_assert_leq(taken, n);
    mark_sent(k, from, p, taken);
    kit_settle(k);
    return taken;
}

void
kit_pass(struct kit *k, ns_t t)
{
    ns_t end = k->now + t;
    while (ip_deadline(k->ip) <= end) {
        k->now = max_u64(k->now, ip_deadline(k->ip));
        ip_timer(k->ip, &k->out, k->now);
        kit_settle(k);
        cr_assert_gt(ip_deadline(k->ip), k->now, "a timer that is due was not served");
    }
    k->now = end;
}

struct pkt
kit_pkt(struct kit *k, enum ip_up from, uint32_t dst, uint16_t len, uint8_t fill)
{
    enum frame_part part = from == IP_UP_TCP ? PART_TCPTX : PART_UDPTX;
    for (uint32_t a = k->f.off[part]; a < k->f.off[part] + k->f.size[part]; a += FRAME_SIZE) {
        if (*place_of(k, a) != HOME || k->mem[a] == 0xee)
            continue;
        k->mem[a] = 0xee; /* in use by the test */
        memset(k->mem + a + FRAME_L4, fill, len);
        put_be16(k->mem + a + FRAME_L4, 7);
        put_be16(k->mem + a + FRAME_L4 + 2, 9);
        return (struct pkt){.addr = a + FRAME_L4,
                            .len = len,
                            .kind = PKT_DATA,
                            .src = v4(OUR_IP),
                            .dst = v4(dst)};
    }
    cr_assert_fail("no transmit frame left");
    return (struct pkt){0};
}

uint32_t
kit_away(const struct kit *k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < KIT_FRAMES; i++)
        n += k->place[i] != HOME;
    return n;
}

void
kit_mark(struct kit *k)
{
    for (unsigned i = 0; i < STAT_COUNT; i++)
        stat_set(&k->before, i, stat_get(&k->st, i));
}

uint64_t
kit_stat(const struct kit *k, enum stat_id id)
{
    return stat_get(&k->st, id) - stat_get(&k->before, id);
}

uint64_t
kit_drops(const struct kit *k)
{
    static const char *const name[] = {
#define X(n) #n,
        STATS_LIST(X)
#undef X
    };
    uint64_t n = 0;
    for (unsigned i = 0; i < STAT_COUNT; i++)
        if (strstr(name[i], "drop") != NULL)
            n += kit_stat(k, i);
    return n;
}

/* ---- packets ---- */

struct frame
mk_eth(const uint8_t dst[6], const uint8_t src[6], uint16_t type)
{
    struct frame f = {0};
    struct eth_hdr e = {.type = type};
    memcpy(e.dst, dst, 6);
    memcpy(e.src, src, 6);
    f.len = (uint32_t)eth_emit(f.b, &e);
    return f;
}

struct frame
mk_arp(uint16_t op, uint32_t sender, uint32_t target)
{
    struct arp_pkt a = {.op = op, .spa = v4(sender), .tpa = v4(target)};
    peer_mac(a.sha, sender);
    if (op == ARP_REPLY)
        memcpy(a.tha, OUR_MAC, 6);
    struct frame f = mk_eth(op == ARP_REPLY ? OUR_MAC : ALL_MAC, a.sha, ETH_TYPE_ARP);
    f.len += (uint32_t)arp_emit(f.b + f.len, &a);
    return f;
}

static struct frame
mk_packet(struct ip4_hdr *h, const void *data, size_t len)
{
    uint8_t src[6];
    peer_mac(src, ipaddr_to_u32(&h->src));
    struct frame f = mk_eth(OUR_MAC, src, ETH_TYPE_IP4);
    h->ttl = 64;
    h->total_len = (uint16_t)(IP4_HEADER + len);
    f.len += (uint32_t)ip4_emit(f.b + f.len, h);
    cr_assert_leq(f.len + len, sizeof f.b);
    memcpy(f.b + f.len, data, len);
    f.len += (uint32_t)len;
    return f;
}

struct frame
mk_ip(uint32_t src, uint32_t dst, uint8_t proto, const void *data, size_t len)
{
    struct ip4_hdr h = {.src = v4(src), .dst = v4(dst), .proto = proto, .id = 77};
    return mk_packet(&h, data, len);
}

struct frame
mk_frag(uint32_t src, uint8_t proto, uint16_t id, uint32_t off, bool mf, const void *data,
        size_t len)
{
    struct ip4_hdr h = {.src = v4(src),
                        .dst = v4(OUR_IP),
                        .proto = proto,
                        .id = id,
                        .frag_off = (uint16_t)off,
                        .mf = mf};
    return mk_packet(&h, data, len);
}

struct frame
mk_udp(uint32_t src, uint32_t dst, size_t payload)
{
    uint8_t b[2000] = {0};
    struct udp_hdr u = {.sport = 1111, .dport = 2222, .len = (uint16_t)(UDP_HEADER + payload)};
    udp_emit(b, &u);
    memset(b + UDP_HEADER, 0x55, payload);
    return mk_ip(src, dst, WIRE_PROTO_UDP, b, UDP_HEADER + payload);
}

struct frame
mk_tcp(uint32_t src, uint32_t dst, size_t payload)
{
    uint8_t b[2000] = {0};
    struct tcp_hdr t = {.sport = 1111, .dport = 2222, .seq = 0x01020304, .flags = TCP_ACK};
    size_t n = tcp_emit(b, &t);
    memset(b + n, 0x66, payload);
    return mk_ip(src, dst, WIRE_PROTO_TCP, b, n + payload);
}

struct frame
mk_icmp(uint32_t src, uint8_t type, uint8_t code, uint32_t rest, const void *data, size_t len)
{
    uint8_t b[2000] = {type, code};
    put_be32(b + 4, rest);
    memcpy(b + ICMP_HEADER, data, len);
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(b, ICMP_HEADER + len));
    memcpy(b + 2, &sum, 2);
    return mk_ip(src, OUR_IP, WIRE_PROTO_ICMP, b, ICMP_HEADER + len);
}

struct frame
mk_echo(uint32_t src, size_t payload)
{
    uint8_t b[2000];
    for (size_t i = 0; i < payload; i++)
        b[i] = (uint8_t)(i * 7);
    return mk_icmp(src, ICMP_ECHO, 0, 0x12345678, b, payload);
}

void
mk_fix(struct frame *f)
{
    uint8_t *h = f->b + ETH_HEADER;
    memset(h + 10, 0, 2);
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(h, (h[0] & 0xfu) * 4));
    memcpy(h + 10, &sum, 2);
}

void
mk_options(struct frame *f, const void *opt, size_t n)
{
    uint8_t *h = f->b + ETH_HEADER;
    memmove(h + IP4_HEADER + n, h + IP4_HEADER, f->len - L2L3);
    memcpy(h + IP4_HEADER, opt, n);
    f->len += (uint32_t)n;
    h[0] = (uint8_t)(0x40 | (5 + n / 4));
    put_be16(h + 2, (uint16_t)(be16(h + 2) + n));
    mk_fix(f);
}

const uint8_t *
kit_nic(const struct kit *k, unsigned i, uint32_t *len)
{
    cr_assert_lt(i, k->out.n_nic);
    *len = k->nic[i].len;
    return k->mem + k->nic[i].addr;
}

struct ip4_hdr
kit_nic_ip(const struct kit *k, unsigned i, const uint8_t **l4)
{
    struct eth_hdr e;
    struct ip4_hdr h;
    uint32_t len;
    const uint8_t *p = kit_nic(k, i, &len);
    cr_assert_eq(eth_parse(&e, p, len), WIRE_OK);
    cr_assert_eq(e.type, ETH_TYPE_IP4);
    cr_assert(mac_eq(e.src, OUR_MAC));
    cr_assert_eq(ip4_parse(&h, p + ETH_HEADER, len - ETH_HEADER), WIRE_OK);
    cr_assert_eq(h.total_len, len - ETH_HEADER);
    *l4 = p + ETH_HEADER + h.header_len;
    return h;
}

struct arp_pkt
kit_nic_arp(const struct kit *k, unsigned i, struct eth_hdr *e)
{
    struct arp_pkt a;
    uint32_t len;
    const uint8_t *p = kit_nic(k, i, &len);
    cr_assert_eq(eth_parse(e, p, len), WIRE_OK);
    cr_assert_eq(e->type, ETH_TYPE_ARP);
    cr_assert_eq(arp_parse(&a, p + ETH_HEADER, len - ETH_HEADER), WIRE_OK);
    cr_assert(mac_eq(a.sha, OUR_MAC) && mac_eq(e->src, OUR_MAC));
    return a;
}
