/* SPDX-License-Identifier: BSD-2-Clause
 *
 * peer.c: the other end of the wire: frames to the stack, and what the stack's frames say.
 */
#include <stdio.h>

#include "run.h"
#include "wire/csum.h"

struct peer
peer_begin(const struct run *r, unsigned n, uint32_t iss)
{
    return (struct peer){.rport = (uint16_t)(r->l->rport + n),
                         .lport = (uint16_t)(r->l->lport + r->port),
                         .iss = iss,
                         .win = 65535};
}

/* ---- to the stack ---- */

static size_t
frame_begin(const struct run *r, uint8_t *f, uint16_t type)
{
    struct eth_hdr e = {.type = type};
    memcpy(e.src, r->l->mac, sizeof e.src);
    memset(e.dst, 0xff, sizeof e.dst);
    if (r->mac_known)
        memcpy(e.dst, r->stack_mac, sizeof e.dst);
    return eth_emit(f, &e);
}

static void
send_arp(struct run *r, uint16_t op, const uint8_t *tha)
{
    uint8_t f[64] = {0};
    struct arp_pkt a = {
        .op = op, .spa = ipaddr_v4_u32(r->l->peer), .tpa = ipaddr_v4_u32(r->l->own)};
    memcpy(a.sha, r->l->mac, sizeof a.sha);
    memcpy(a.tha, tha, sizeof a.tha);
    size_t n = frame_begin(r, f, ETH_TYPE_ARP);
    n += arp_emit(f + n, &a);
    r->l->send(r->l, f, (uint32_t)n);
}

void
peer_arp(struct run *r, const uint8_t *frame, uint32_t len)
{
    struct arp_pkt a;
    if (arp_parse(&a, frame + ETH_HEADER, len - ETH_HEADER) != WIRE_OK ||
        ipaddr_to_u32(&a.spa) != r->l->own || ipaddr_to_u32(&a.tpa) != r->l->peer)
        return;
    memcpy(r->stack_mac, a.sha, sizeof r->stack_mac);
    r->mac_known = true;
    if (a.op == ARP_REQUEST)
        send_arp(r, ARP_REPLY, a.sha);
}

bool
peer_resolve(struct run *r)
{
    static const uint8_t nobody[6];
    for (unsigned i = 0; i < 20 && !r->mac_known; i++) {
        send_arp(r, ARP_REQUEST, nobody);
        r->l->pass(r->l, r, r->l->now(r->l) + 250 * NS_MS, false);
    }
    return r->mac_known ? true : run_fail(r, "the stack does not answer ARP");
}

/* Time stamps that a script does not write are those of a clock that counts on from the last
 * one that it wrote. */
static void
add_time_stamp(struct run *r, struct peer *p, const struct seg_spec *s, struct tcp_hdr *h)
{
    bool said = s->ts_val.how == NUM_IS;
    if (!said && (!p->ts || s->ts_val.how == NUM_ABSENT || (s->flags & TCP_RST)))
        return;
    ns_t now = r->l->now(r->l);
    h->has_ts = true;
    h->ts_val = said ? (uint32_t)s->ts_val.v : p->ts_val + (uint32_t)((now - p->ts_at) / NS_MS);
    if (!said || s->echo)
        h->ts_ecr = p->ts_last;
    else
        h->ts_ecr = (uint32_t)s->ts_ecr.v + (p->ts_known ? p->ts_first : 0);
    if (said) {
        p->ts_val = h->ts_val;
        p->ts_at = now;
        p->ts_sent = true;
    }
    p->ts |= p->ts_sent && p->ts_known;
}

static struct tcp_hdr
header_of(struct run *r, struct peer *p, const struct seg_spec *s)
{
    if (s->win.how == NUM_IS)
        p->win = (uint16_t)s->win.v;
    struct tcp_hdr h = {
        .sport = s->sport.how == NUM_IS ? (uint16_t)s->sport.v : p->rport,
        .dport = s->dport.how == NUM_IS ? (uint16_t)(r->l->lport + s->dport.v) : p->lport,
        .seq = p->iss + (uint32_t)s->seq.v,
        .flags = s->flags,
        .wnd = p->win,
        .urg = (uint16_t)s->urg.v,
        .mss = (uint16_t)s->mss.v,
        .has_wscale = s->ws.how == NUM_IS,
        .wscale = (uint8_t)s->ws.v,
        .sack_ok = s->sackok.how == NUM_IS,
        .n_sack = (uint8_t)s->sack.v,
    };
    if (s->flags & TCP_ACK)
        h.ack = (p->irs_known ? p->irs : 0) + (uint32_t)s->ack.v;
    for (unsigned i = 0; i < h.n_sack; i++) {
        h.sack[i].left = (p->irs_known ? p->irs : 0) + (uint32_t)s->block[i][0];
        h.sack[i].right = (p->irs_known ? p->irs : 0) + (uint32_t)s->block[i][1];
    }
    add_time_stamp(r, p, s, &h);
    return h;
}

/* h and the payload as one frame. */
static void
send_segment(struct run *r, const struct tcp_hdr *h, const struct seg_spec *s, uint32_t len)
{
    uint8_t f[FRAME_BYTES] = {0};
    size_t at = frame_begin(r, f, ETH_TYPE_IP4);
    uint8_t *tcp = f + at + IP4_HEADER;
    size_t hlen = tcp_emit(tcp, h);
    if (s != NULL && hlen + s->n_raw <= TCP_HEADER_MAX) {
        memcpy(tcp + hlen, s->raw, s->n_raw);
        for (hlen += s->n_raw; hlen % 4 != 0; hlen++)
            tcp[hlen] = 1; /* NOP */
        tcp[12] = (uint8_t)(hlen / 4 << 4);
    }
    len = min_u32(len, (uint32_t)(sizeof f - at - IP4_HEADER - hlen));
    uint64_t from = s != NULL ? (uint64_t)s->seq.v - !(s->flags & TCP_SYN) : 0;
    for (uint32_t i = 0; i < len; i++)
        tcp[hlen + i] = s != NULL && s->junk ? 0xee : stream_byte(from + i);
    struct ip4_hdr ip = {.src = ipaddr_v4_u32(r->l->peer),
                         .dst = ipaddr_v4_u32(r->l->own),
                         .total_len = (uint16_t)(IP4_HEADER + hlen + len),
                         .tos = s != NULL && s->ecn.how == NUM_IS ? (uint8_t)s->ecn.v : 0,
                         .ttl = 64,
                         .proto = WIRE_PROTO_TCP,
                         .df = true};
    (void)ip4_emit(f + at, &ip);
    uint32_t n = (uint32_t)(hlen + len);
    uint32_t sum =
        csum_add(csum_pseudo(&ip.src, &ip.dst, WIRE_PROTO_TCP, n), csum_bytes(tcp, n));
    uint16_t csum = (uint16_t)~csum_fold(sum);
    if (s != NULL && s->bad_csum)
        csum ^= 0x5555;
    memcpy(tcp + 16, &csum, sizeof csum);
    r->l->send(r->l, f, (uint32_t)(at + IP4_HEADER) + n);
}

void
peer_send(struct run *r, const struct seg_spec *spec)
{
    struct peer *p = &r->peer[r->cur];
    struct seg_spec s = *spec;
    uint32_t len = (uint32_t)(s.end.v - s.seq.v);
    for (uint32_t i = 0; i < spec->times; i++) {
        struct tcp_hdr h = header_of(r, p, &s);
        send_segment(r, &h, &s, len);
        s.seq.v += len;
    }
}

/* As from a router on the way; quoted is what a router has to: the IP header and 8 bytes. */
void
peer_icmp(struct run *r, const struct icmp_spec *i)
{
    const struct peer *p = &r->peer[r->cur];
    uint8_t f[128] = {0};
    size_t at = frame_begin(r, f, ETH_TYPE_IP4);
    uint8_t *icmp = f + at + IP4_HEADER, *quote = icmp + ICMP_HEADER;
    struct ip4_hdr ip = {.src = ipaddr_v4_u32(r->l->own),
                         .dst = ipaddr_v4_u32(r->l->peer),
                         .total_len = 1500,
                         .ttl = 60,
                         .proto = WIRE_PROTO_TCP,
                         .df = true};
    size_t n = ip4_emit(quote, &ip);
    put_be16(quote + n, p->lport);
    put_be16(quote + n + 2, p->rport);
    put_be32(quote + n + 4, (p->irs_known ? p->irs : 0) + (uint32_t)i->seq);
    n += 8;
    struct icmp_hdr h = {.type = i->type, .code = i->code, .mtu = i->mtu};
    (void)icmp_emit(icmp, &h, csum_bytes(quote, n));
    ip = (struct ip4_hdr){.src = ipaddr_v4_u32(r->l->peer),
                          .dst = ipaddr_v4_u32(r->l->own),
                          .total_len = (uint16_t)(IP4_HEADER + ICMP_HEADER + n),
                          .ttl = 64,
                          .proto = WIRE_PROTO_ICMP};
    (void)ip4_emit(f + at, &ip);
    r->l->send(r->l, f, (uint32_t)(at + ip.total_len));
}

/* So that the stack forgets a connection that a script left behind. */
void
peer_reset(struct run *r, struct peer *p)
{
    struct tcp_hdr h = {
        .sport = p->rport, .dport = p->lport, .seq = p->last_ack, .flags = TCP_RST};
    if (p->irs_known)
        send_segment(r, &h, NULL, 0);
}

/* ---- from the stack ---- */

bool
got_parse(struct run *r, struct got *g, const uint8_t *frame, uint32_t len)
{
    struct ip4_hdr ip;
    const uint8_t *p = frame + ETH_HEADER;
    if (ip4_parse(&ip, p, len - ETH_HEADER) != WIRE_OK || ip.proto != WIRE_PROTO_TCP ||
        ipaddr_to_u32(&ip.src) != r->l->own || ipaddr_to_u32(&ip.dst) != r->l->peer)
        return false;
    p += ip.header_len;
    uint32_t n = (uint32_t)ip.total_len - ip.header_len;
    if (tcp_parse(&g->h, p, n) != WIRE_OK)
        return false;
    uint32_t sum = csum_pseudo(&ip.src, &ip.dst, WIRE_PROTO_TCP, n);
    g->bad_csum = csum_fold(csum_add(sum, csum_bytes(p, n))) != 0xffff;
    g->tos = ip.tos;
    g->len = n - g->h.header_len;
    memcpy(g->data, p + g->h.header_len, g->len);
    return true;
}

/* The first numbers of the stack, and its port. */
void
peer_learn(struct run *r, const struct got *g)
{
    struct peer *p = &r->peer[g->h.dport - r->l->rport];
    if ((g->h.flags & TCP_SYN) && !p->irs_known) {
        p->irs = g->h.seq;
        p->irs_known = true;
        p->lport = g->h.sport;
    }
    if (g->h.flags & TCP_ACK)
        p->last_ack = g->h.ack;
    if (!g->h.has_ts)
        return;
    if (!p->ts_known)
        p->ts_first = g->h.ts_val;
    p->ts_known = true;
    p->ts_last = g->h.ts_val;
    p->ts |= p->ts_sent;
}

static size_t
text_flags(const struct got *g, char *to)
{
    static const char names[] = "FSRPAUEC", order[] = "SFRPAUEC";
    size_t n = 0;
    for (const char *c = order; *c != '\0'; c++)
        if (g->h.flags & (1u << (strchr(names, *c) - names)))
            to[n++] = *c;
    if (n == 0)
        to[n++] = '-';
    to[n] = '\0';
    return n;
}

/* As a script would write it. */
void
got_text(const struct run *r, const struct got *g, char *to, size_t size)
{
    static const char *const ecn[] = {"", " ect1", " ect0", " ce"};
    const struct peer *p = &r->peer[(uint16_t)(g->h.dport - r->l->rport) % PEERS];
    uint32_t irs = p->irs_known ? p->irs : 0, ts = p->ts_known ? p->ts_first : 0;
    int32_t seq = (int32_t)(g->h.seq - irs);
    char flags[12];
    (void)text_flags(g, flags);
    FILE *f = fmemopen(to, size, "w");
    if (f == NULL)
        return;
    fprintf(f, "out %s %d", flags, seq);
    if (g->len != 0)
        fprintf(f, ",%u", g->len);
    if (g->h.flags & TCP_ACK)
        fprintf(f, " ack %d", (int32_t)(g->h.ack - p->iss));
    fprintf(f, " win %u", g->h.wnd);
    if (g->h.mss != 0)
        fprintf(f, " mss %u", g->h.mss);
    if (g->h.has_wscale)
        fprintf(f, " ws %u", g->h.wscale);
    if (g->h.sack_ok)
        fprintf(f, " sackok");
    if (g->h.has_ts)
        fprintf(f, " ts %u/%u", g->h.ts_val - ts, g->h.ts_ecr);
    for (unsigned i = 0; i < g->h.n_sack; i++)
        fprintf(f, "%s %d:%d", i == 0 ? " sack" : "", (int32_t)(g->h.sack[i].left - p->iss),
                (int32_t)(g->h.sack[i].right - p->iss));
    fprintf(f, "%s", ecn[g->tos & 3]);
    if (p != &r->peer[r->cur])
        fprintf(f, " (to peer %u)", (unsigned)(p - r->peer));
    fclose(f);
}
