/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP received: echo is answered, errors go to the session that they are about, and
 * what a host has no business with is counted and dropped.
 */
#include <errno.h>

#include "wire/csum.h"

#include "priv.h"

#define FRAG_NEEDED 4 /* code of ICMP_UNREACH */
#define ECN_BITS 3u

static void
drop(struct ip *ip, enum stat_id why)
{
    stat_inc(ip->stats, why);
}

/* ---- echo ---- */

/* The message in scratch goes back to where it came from, whole (RFC 1122 3.2.2.6). */
static void
echo_reply(struct ip *ip, struct ip_out *out, const struct ip4_hdr *in, struct icmp_hdr icmp,
           uint32_t total, ns_t now)
{
    struct part part[OWN_CHAIN_MAX];
    uint32_t room = ip->cfg.mtu - IP4_HEADER, step = total <= room ? room : room & ~7u;
    uint32_t n = frames_for(total, step), at = 0;
    if (n > OWN_CHAIN_MAX || ip->iptx.n_free < n + ip->iptx_reserve) {
        drop(ip, STAT_ip_drop_tx_nobuf);
        return;
    }
    icmp.type = ICMP_ECHO_REPLY;
    icmp_emit(ip->scratch, &icmp, csum_bytes(ip->scratch + ICMP_HEADER, total - ICMP_HEADER));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t addr, len = frames_piece(at, total, step);
        uint8_t *p = ip_frame_take(ip, 0, &addr);
        if (p == NULL) { /* not mapped */
            while (i-- > 0)
                ip_tx_release(ip, out, OWNER_IP, part[i].addr);
            return;
        }
        memcpy(p + FRAME_L4, ip->scratch + at, len);
        at += len;
        part[i] = (struct part){addr + FRAME_L4, (uint16_t)len, at < total && at % step != 0};
    }
    struct ip4_hdr h = {
        .src = ip->cfg.addr,
        .dst = in->src,
        .tos = (uint8_t)(in->tos & ~ECN_BITS),
        .ttl = 64,
        .proto = WIRE_PROTO_ICMP,
    };
    stat_inc(ip->stats, STAT_icmp_echo);
    ip_transmit(ip, out, OWNER_IP, 0, &h, part, n, false, now);
}

/* ---- path MTU ---- */

/* RFC 1191 7.1: what the next link takes, guessed from a packet that it did not. */
static uint32_t
plateau_below(uint32_t len)
{
    static const uint16_t table[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i] < len)
            return table[i];
    return PMTU_MIN;
}

/* UDP has nothing to check the message against, so it may only lower the MTU, and not
 * below what the transports assume; ten minutes later it is tried again. The transports
 * read the table at any time: an entry that changes has MTU 0 in between. */
static void
pmtu_update(struct ip *ip, const struct ipaddr *dst, uint32_t mtu, ns_t now)
{
    struct path_table *t = ip->path;
    if (mtu >= path_mtu(t, dst))
        return;
    uint32_t i = (ipaddr_to_u32(dst) * 2654435761u >> 26) % PATH_PMTU_ENTRIES;
    struct path_pmtu *e = &t->pmtu[i];
    __atomic_store_n(&e->mtu, 0u, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    e->dst = *dst;
    __atomic_store_n(&e->mtu, mtu, __ATOMIC_RELEASE);
    ip->pmtu_until[i] = now + PMTU_AGE;
    ip_wake_at(ip, ip->pmtu_until[i]);
}

void
pmtu_timer(struct ip *ip, ns_t now)
{
    for (unsigned i = 0; i < PATH_PMTU_ENTRIES; i++) {
        if (ip->pmtu_until[i] == 0)
            continue;
        if (now >= ip->pmtu_until[i]) {
            __atomic_store_n(&ip->path->pmtu[i].mtu, 0u, __ATOMIC_RELEASE);
            ip->pmtu_until[i] = 0;
        } else {
            ip_wake_at(ip, ip->pmtu_until[i]);
        }
    }
}

/* ---- errors ---- */

/* As Linux has it, for that is what the applications were written on. */
int
icmp_errno(uint8_t type, uint8_t code)
{
    static const uint8_t unreach[] = {
        ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED, EMSGSIZE,     EOPNOTSUPP,
        ENETUNREACH,  EHOSTDOWN,    ENONET,       ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
        EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH,
    };
    if (type == ICMP_UNREACH)
        return code < ARRAY_LEN(unreach) ? unreach[code] : 0;
    if (type == ICMP_TIME_EXCEEDED)
        return code <= 1 ? EHOSTUNREACH : 0;
    return type == ICMP_PARAM_PROBLEM && code <= 2 ? EPROTO : 0;
}

static void
error_input(struct ip *ip, struct ip_out *out, const struct icmp_hdr *icmp, const uint8_t *p,
            size_t len, ns_t now)
{
    struct icmp_quote q;
    int err = icmp_errno(icmp->type, icmp->code);
    uint32_t mtu = 0;
    stat_inc(ip->stats, STAT_icmp_err_rx);
    /* What we send to ourselves nobody on the wire can have seen. */
    if (err == 0 || icmp_quote_parse(&q, p, len) != WIRE_OK ||
        !ipaddr_eq(&q.ip.src, &ip->cfg.addr) || ip_is_local(ip_addr_kind(ip, &q.ip.dst)) ||
        q.ip.frag_off != 0) {
        drop(ip, STAT_icmp_drop_bad);
        return;
    }
    if (q.ip.proto != WIRE_PROTO_TCP && q.ip.proto != WIRE_PROTO_UDP) {
        drop(ip, STAT_icmp_drop_rule);
        return;
    }
    if (err == EMSGSIZE) {
        mtu = icmp->mtu != 0 ? icmp->mtu : plateau_below(q.ip.total_len);
        if (mtu < PMTU_MIN) {
            drop(ip, STAT_icmp_drop_bad);
            return;
        }
        if (q.ip.proto == WIRE_PROTO_UDP && ip_addr_kind(ip, &q.ip.dst) == ADDR_HOST)
            pmtu_update(ip, &q.ip.dst, mtu, now);
    }
    struct pkt msg = {
        .kind = PKT_ICMP,
        .proto = q.ip.proto,
        .err = (uint8_t)err,
        .aux = mtu,
        .src = q.ip.src,
        .dst = q.ip.dst,
        .sport = q.sport,
        .dport = q.dport,
        .seq = q.seq,
        .icmp_type = icmp->type,
        .icmp_code = icmp->code,
    };
    up_icmp(ip, out, &msg);
}

/* All of the message in one piece, in memory that nobody else can change. */
static void
gather(struct ip *ip, const struct dgram *g)
{
    uint32_t at = 0;
    for (unsigned i = 0; i < g->n; i++) {
        const struct part *q = &g->part[i];
        const uint8_t *p = frames_ro(&ip->f, PART_BIT(PART_RX), q->addr, q->len);
        if (p != NULL)
            memcpy(ip->scratch + at, p, q->len);
        at += q->len;
    }
}

void
icmp_input(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now)
{
    struct icmp_hdr h;
    gather(ip, g);
    stat_inc(ip->stats, STAT_icmp_rx);
    if (icmp_parse(&h, ip->scratch, g->total) != WIRE_OK) {
        drop(ip, STAT_icmp_drop_bad);
        return;
    }
    switch (h.type) {
    case ICMP_ECHO:
        if (h.code == 0)
            echo_reply(ip, out, g->h, h, g->total, now);
        else
            drop(ip, STAT_icmp_drop_bad);
        break;
    case ICMP_UNREACH:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAM_PROBLEM:
        error_input(ip, out, &h, ip->scratch + ICMP_HEADER, g->total - ICMP_HEADER, now);
        break;
    default:
        /* Source quench (RFC 6633), redirects, and answers to what we do not ask. */
        drop(ip, STAT_icmp_drop_rule);
        break;
    }
}
