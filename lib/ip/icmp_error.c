/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP errors that this host sends, and when it must not (RFC 1122 3.2.2, RFC 1812
 * 4.3.2.7 and 4.3.2.8).
 */
#include "wire/csum.h"

#include "priv.h"

#define TOS_CONTROL 0xc0 /* RFC 1812 4.3.2.5: internetwork control */

/* A packet that may be answered with an error: to this host alone, from one host, the
 * beginning of a datagram, and no error itself. */
static bool
may_answer(const struct ip *ip, const struct icmp_quote *q, const uint8_t *p)
{
    if (!ipaddr_eq(&q->ip.dst, &ip->cfg.addr) || ip_addr_kind(ip, &q->ip.src) != ADDR_HOST ||
        q->ip.frag_off != 0)
        return false;
    return q->ip.proto != WIRE_PROTO_ICMP || p[q->ip.header_len] == ICMP_ECHO;
}

void
limit_init(struct limit *l, ns_t now)
{
    *l = (struct limit){.credit = ICMP_ERROR_BURST * ICMP_ERROR_COST, .at = now};
}

/* What an error costs varies by a fifth, so that nobody can tell from the errors that fail to
 * come how many went to others. */
bool
limit_spend(struct ip *ip, struct limit *l, ns_t cost, ns_t now)
{
    const ns_t full = ICMP_ERROR_BURST * ICMP_ERROR_COST;
    ns_t passed = now > l->at ? now - l->at : 0;
    l->credit = passed > full ? full : min_u64(full, l->credit + passed);
    l->at = now;
    cost += ip_rand(ip) % (cost / 5);
    if (l->credit < cost)
        return false;
    l->credit -= cost;
    return true;
}

void
icmp_error(struct ip *ip, struct ip_out *out, uint8_t type, uint8_t code, const uint8_t *q,
           size_t len, ns_t now)
{
    struct icmp_quote quote;
    uint32_t addr;
    if (icmp_quote_parse(&quote, q, len) != WIRE_OK) {
        stat_inc(ip->stats, STAT_icmp_drop_bad);
        return;
    }
    if (!may_answer(ip, &quote, q)) {
        stat_inc(ip->stats, STAT_icmp_drop_rule);
        return;
    }
    if (!limit_spend(ip, &ip->icmp, ICMP_ERROR_COST, now)) {
        stat_inc(ip->stats, STAT_icmp_drop_rate);
        return;
    }
    uint8_t *p = ip_frame_take(ip, 0, &addr);
    if (p == NULL)
        return;
    len = len < ICMP_QUOTE_MAX ? len : ICMP_QUOTE_MAX;
    p += FRAME_L4;
    struct icmp_hdr icmp = {.type = type, .code = code};
    icmp_emit(p, &icmp, csum_copy(p + ICMP_HEADER, q, len));
    struct ip4_hdr h = {
        .src = ip->cfg.addr,
        .dst = quote.ip.src,
        .tos = TOS_CONTROL,
        .ttl = 64,
        .proto = WIRE_PROTO_ICMP,
    };
    struct part part = {addr + FRAME_L4, (uint16_t)(ICMP_HEADER + len), false};
    stat_inc(ip->stats, STAT_icmp_err_tx);
    ip_transmit(ip, out, OWNER_IP, 0, &h, &part, 1, false, now);
}

void
icmp_error_about(struct ip *ip, struct ip_out *out, uint8_t type, uint8_t code, uint32_t l3,
                 uint32_t len, ns_t now)
{
    uint8_t copy[ICMP_QUOTE_MAX];
    len = min_u32(len, sizeof copy);
    const uint8_t *p = frames_ro(&ip->f, PART_BIT(PART_RX), l3, len);
    if (p == NULL)
        return;
    memcpy(copy, p, len);
    icmp_error(ip, out, type, code, copy, len, now);
}
