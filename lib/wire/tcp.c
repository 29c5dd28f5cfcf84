/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The TCP header and its options (RFC 9293 3.1, 7323, 2018).
 */
#include "wire.h"

#define OPT_END 0
#define OPT_NOP 1
#define OPT_MSS 2
#define OPT_WSCALE 3
#define OPT_SACK_OK 4
#define OPT_SACK 5
#define OPT_TS 8

#define LEN_MSS 4
#define LEN_WSCALE 3
#define LEN_SACK_OK 2
#define LEN_TS 10
#define SACK_MAX 4u

/* One option of n bytes at o, its kind and length included. False: a length that this kind
 * cannot have. */
static bool
read_option(struct tcp_hdr *h, const uint8_t *o, size_t n)
{
    switch (o[0]) {
    case OPT_MSS:
        if (n != LEN_MSS)
            return false;
        h->mss = be16(o + 2);
        return true;
    case OPT_WSCALE:
        if (n != LEN_WSCALE)
            return false;
        h->has_wscale = true;
        h->wscale = o[2];
        return true;
    case OPT_SACK_OK:
        if (n != LEN_SACK_OK)
            return false;
        h->sack_ok = true;
        return true;
    case OPT_TS:
        if (n != LEN_TS)
            return false;
        h->has_ts = true;
        h->ts_val = be32(o + 2);
        h->ts_ecr = be32(o + 6);
        return true;
    case OPT_SACK:
        if (n < 10 || (n - 2) % 8 != 0 || (n - 2) / 8 > SACK_MAX)
            return false;
        h->n_sack = (uint8_t)((n - 2) / 8);
        for (unsigned i = 0; i < h->n_sack; i++) {
            h->sack[i].left = be32(o + 2 + 8 * i);
            h->sack[i].right = be32(o + 6 + 8 * i);
        }
        return true;
    default:
        return true;
    }
}

static void
read_options(struct tcp_hdr *h, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len && p[i] != OPT_END;) {
        if (p[i] == OPT_NOP) {
            i++;
            continue;
        }
        if (len - i < 2 || p[i + 1] < 2 || p[i + 1] > len - i ||
            !read_option(h, p + i, p[i + 1]))
            return;
        i += p[i + 1];
    }
}

enum wire_err
tcp_parse(struct tcp_hdr *h, const uint8_t *p, size_t len)
{
    if (len < TCP_HEADER)
        return WIRE_SHORT;
    uint8_t copy[TCP_HEADER_MAX];
    size_t have = len < sizeof copy ? len : sizeof copy;
    memcpy(copy, p, have);
    *h = (struct tcp_hdr){
        .sport = be16(copy),
        .dport = be16(copy + 2),
        .seq = be32(copy + 4),
        .ack = be32(copy + 8),
        .header_len = (uint8_t)((copy[12] >> 4) * 4),
        .flags = copy[13],
        .wnd = be16(copy + 14),
        .urg = be16(copy + 18),
    };
    if (h->header_len < TCP_HEADER)
        return WIRE_FIELD;
    if (h->header_len > len)
        return WIRE_SHORT;
    read_options(h, copy + TCP_HEADER, h->header_len - TCP_HEADER);
    return WIRE_OK;
}

/* Bytes of the options before SACK blocks, padded: timestamps are preceded by SACK-permitted
 * or two NOPs, the window scale by one NOP, so that each stands aligned. */
static size_t
fixed_options_len(const struct tcp_hdr *h)
{
    return (h->mss ? 4u : 0u) +
           (h->has_ts    ? 12u
            : h->sack_ok ? 4u
                         : 0u) +
           (h->has_wscale ? 4u : 0u);
}

/* SACK blocks that still fit. */
static unsigned
sack_blocks(const struct tcp_hdr *h)
{
    size_t room = TCP_HEADER_MAX - TCP_HEADER - fixed_options_len(h) - 4;
    return min_u32(min_u32(h->n_sack, SACK_MAX), (uint32_t)(room / 8));
}

size_t
tcp_header_len(const struct tcp_hdr *h)
{
    unsigned n = sack_blocks(h);
    return TCP_HEADER + fixed_options_len(h) + (n ? 4 + 8 * n : 0);
}

static uint8_t *
emit_sack(uint8_t *o, const struct tcp_hdr *h)
{
    unsigned n = sack_blocks(h);
    if (n == 0)
        return o;
    *o++ = OPT_NOP;
    *o++ = OPT_NOP;
    *o++ = OPT_SACK;
    *o++ = (uint8_t)(2 + 8 * n);
    for (unsigned i = 0; i < n; i++, o += 8) {
        put_be32(o, h->sack[i].left);
        put_be32(o + 4, h->sack[i].right);
    }
    return o;
}

static uint8_t *
emit_options(uint8_t *o, const struct tcp_hdr *h)
{
    if (h->mss) {
        *o++ = OPT_MSS;
        *o++ = LEN_MSS;
        put_be16(o, h->mss);
        o += 2;
    }
    if (h->sack_ok || h->has_ts) {
        *o++ = h->sack_ok ? OPT_SACK_OK : OPT_NOP;
        *o++ = h->sack_ok ? LEN_SACK_OK : OPT_NOP;
    }
    if (h->has_ts) {
        *o++ = OPT_TS;
        *o++ = LEN_TS;
        put_be32(o, h->ts_val);
        put_be32(o + 4, h->ts_ecr);
        o += 8;
    } else if (h->sack_ok) {
        *o++ = OPT_NOP;
        *o++ = OPT_NOP;
    }
    if (h->has_wscale) {
        *o++ = OPT_NOP;
        *o++ = OPT_WSCALE;
        *o++ = LEN_WSCALE;
        *o++ = h->wscale;
    }
    return emit_sack(o, h);
}

size_t
tcp_emit(uint8_t *p, const struct tcp_hdr *h)
{
    put_be16(p, h->sport);
    put_be16(p + 2, h->dport);
    put_be32(p + 4, h->seq);
    put_be32(p + 8, h->ack);
    p[13] = h->flags;
    put_be16(p + 14, h->wnd);
    memset(p + 16, 0, 2);
    put_be16(p + 18, h->urg);
    size_t len = (size_t)(emit_options(p + TCP_HEADER, h) - p);
    p[12] = (uint8_t)(len / 4 << 4);
    return len;
}
