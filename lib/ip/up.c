/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Up to tcp and udp. A full queue drops here, and the drop is counted for the
 * transport that did not keep up: the others, and the wire, never wait for it.
 */
#include "priv.h"

static const uint8_t PROTO[IP_UPS] = {
    [IP_UP_TCP] = WIRE_PROTO_TCP,
    [IP_UP_UDP] = WIRE_PROTO_UDP,
};

bool
up_room(struct ip *ip, const struct ip_out *out, enum ip_up up, uint32_t n)
{
    if (out->cap_up[up] - out->n_up[up] >= n)
        return true;
    stat_inc(ip->stats, up == IP_UP_TCP ? STAT_ip_drop_queue_tcp : STAT_ip_drop_queue_udp);
    return false;
}

enum rx_fate
up_deliver(struct ip *ip, struct ip_out *out, enum ip_up up, const struct dgram *g)
{
    if (!up_room(ip, out, up, g->n))
        return RX_FREE;
    struct pkt *p = out->up[up] + out->n_up[up];
    uint8_t group = g->group ? PKT_BCAST : 0;
    for (unsigned i = 0; i < g->n; i++) {
        p[i] = (struct pkt){
            .addr = g->part[i].addr,
            .len = (uint16_t)g->part[i].len,
            .kind = PKT_DATA,
            .proto = PROTO[up],
            .flags = (uint8_t)(group | (i + 1 < g->n ? PKT_MORE : 0)),
        };
    }
    p->flags |= g->csum_done ? PKT_CSUM : 0;
    p->tos = g->h->tos;
    p->ttl = g->h->ttl;
    p->aux = g->total;
    p->src = g->h->src;
    p->dst = g->h->dst;
    p->l3 = g->l3;
    p->l3_len = (uint16_t)(g->h->header_len + g->part[0].len);
    out->n_up[up] += g->n;
    return RX_KEPT;
}

void
up_icmp(struct ip *ip, struct ip_out *out, const struct pkt *msg)
{
    enum ip_up up = msg->proto == WIRE_PROTO_TCP ? IP_UP_TCP : IP_UP_UDP;
    if (up_room(ip, out, up, 1))
        out->up[up][out->n_up[up]++] = *msg;
}

struct pkt
up_icmp_about(const struct ip4_hdr *h, const uint8_t l4[8], int err, uint8_t code, uint32_t aux)
{
    uint8_t b[IP4_HEADER + 8];
    struct icmp_quote q = {0};
    ip4_emit(b, h);
    memcpy(b + IP4_HEADER, l4, 8);
    /* Cannot fail: the header was just written. Ports of 0 would name no session. */
    if (icmp_quote_parse(&q, b, sizeof b) != WIRE_OK)
        q.ip = *h;
    return (struct pkt){
        .kind = PKT_ICMP,
        .proto = h->proto,
        .err = (uint8_t)err,
        .aux = aux,
        .src = h->src,
        .dst = h->dst,
        .sport = q.sport,
        .dport = q.dport,
        .seq = q.seq,
        .icmp_type = ICMP_UNREACH,
        .icmp_code = code,
    };
}
