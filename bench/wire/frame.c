/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frame.c: looking at frames and spoiling them.
 */
#include "bench/wire/frame.h"

#include "wire/csum.h"

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define IPV4_DF 0x4000u
#define IPV4_OFFSET 0x1fffu
#define IPPROTO_OF_ICMP 1u
#define ICMP_HEADER 8u
#define ICMP_QUOTE 8u /* bytes behind the IP header that an answer repeats, at least */
#define ECN_MASK 3u

static bool
look_v4(struct frame *f)
{
    const uint8_t *ip = f->bytes + FRAME_ETH;
    uint32_t room = f->len - FRAME_ETH;
    if (room < IPV4_HEADER || ip[0] >> 4 != 4)
        return false;
    uint32_t header = (ip[0] & 15u) * 4u;
    f->ip_len = be16(ip + 2);
    if (header < IPV4_HEADER || f->ip_len < header || f->ip_len > room)
        return false;
    f->payload = FRAME_ETH + header;
    f->df = (be16(ip + 6) & IPV4_DF) != 0;
    f->ect = (ip[1] & ECN_MASK) != 0;
    return true;
}

static bool
look_v6(struct frame *f)
{
    const uint8_t *ip = f->bytes + FRAME_ETH;
    uint32_t room = f->len - FRAME_ETH;
    if (room < IPV6_HEADER || ip[0] >> 4 != 6)
        return false;
    f->ip_len = IPV6_HEADER + be16(ip + 4);
    if (f->ip_len > room)
        return false;
    f->payload = FRAME_ETH + IPV6_HEADER;
    f->ect = (ip[1] >> 4 & ECN_MASK) != 0;
    return true;
}

struct frame
frame_look(uint8_t *bytes, uint32_t len)
{
    struct frame f = {.bytes = bytes, .len = len};
    if (len < FRAME_ETH)
        return f;
    switch (be16(bytes + 12)) {
    case ETHERTYPE_IPV4:
        f.version = look_v4(&f) ? 4 : 0;
        break;
    case ETHERTYPE_IPV6:
        f.version = look_v6(&f) ? 6 : 0;
        break;
    default:
        break;
    }
    return f;
}

static void
ipv4_checksum(uint8_t *ip, uint32_t header)
{
    put_be16(ip + 10, 0);
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(ip, header));
    memcpy(ip + 10, &sum, sizeof sum);
}

void
frame_mark(const struct frame *f)
{
    uint8_t *ip = f->bytes + FRAME_ETH;
    if (f->version == 6) {
        ip[1] |= ECN_MASK << 4;
        return;
    }
    if ((ip[1] & ECN_MASK) == ECN_MASK)
        return; /* a damaged header stays as it came */
    ip[1] |= ECN_MASK;
    ipv4_checksum(ip, f->payload - FRAME_ETH);
}

bool
frame_flip(const struct frame *f, uint64_t luck)
{
    uint32_t end = FRAME_ETH + f->ip_len;
    if (f->version == 0 || f->payload >= end)
        return false;
    uint32_t bit = (uint32_t)(luck % ((end - f->payload) * 8u));
    f->bytes[f->payload + bit / 8] ^= (uint8_t)(1u << bit % 8);
    return true;
}

bool
frame_may_answer(const struct frame *f)
{
    const uint8_t *ip = f->bytes + FRAME_ETH;
    if (f->version != 4 || (be16(ip + 6) & IPV4_OFFSET) != 0 || (f->bytes[0] & 1) != 0)
        return false; /* not about later fragments, nor about what went to many */
    if (ip[9] != IPPROTO_OF_ICMP)
        return true;
    uint8_t type = FRAME_ETH + f->ip_len > f->payload ? f->bytes[f->payload] : 3;
    return type == 0 || type == 8 || type == 13 || type == 14; /* not about errors */
}

uint32_t
frame_too_big(const struct frame *f, uint32_t mtu, uint8_t out[FRAME_ANSWER_MAX])
{
    const uint8_t *old = f->bytes + FRAME_ETH;
    uint32_t quote = min_u32(f->payload - FRAME_ETH + ICMP_QUOTE, f->ip_len);
    uint32_t total = IPV4_HEADER + ICMP_HEADER + quote;
    uint8_t *ip = out + FRAME_ETH, *icmp = ip + IPV4_HEADER;

    memset(out, 0, FRAME_ETH + total);
    memcpy(out, f->bytes + 6, 6);
    memcpy(out + 6, f->bytes, 6);
    put_be16(out + 12, ETHERTYPE_IPV4);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)total);
    ip[8] = 64;
    ip[9] = IPPROTO_OF_ICMP;
    memcpy(ip + 12, old + 16, 4);
    memcpy(ip + 16, old + 12, 4);
    ipv4_checksum(ip, IPV4_HEADER);
    icmp[0] = 3;
    icmp[1] = 4;
    put_be16(icmp + 6, (uint16_t)mtu);
    memcpy(icmp + ICMP_HEADER, old, quote);
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(icmp, ICMP_HEADER + quote));
    memcpy(icmp + 2, &sum, sizeof sum);
    return FRAME_ETH + total;
}

bool
frame_checksum(uint8_t *bytes, uint32_t len, uint32_t start, uint32_t offset)
{
    if (start >= len || offset > len - start || len - start - offset < 2)
        return false;
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(bytes + start, len - start));
    if (sum == 0)
        sum = 0xffff; /* zero would say in UDP that there is none; the two are equal */
    memcpy(bytes + start + offset, &sum, sizeof sum);
    return true;
}
