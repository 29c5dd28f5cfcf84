/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Packets to the stack's own address, or to one of 127.0.0.0/8: copied to frames that the
 * transports may read, and handed up at once. They may be dropped, as on any wire.
 */
#include "priv.h"

void
loopback_output(struct ip *ip, struct ip_out *out, enum ip_up up, const struct ip4_hdr *h,
                const struct part *part, unsigned n)
{
    uint32_t total = 0, from = up == IP_UP_TCP ? PART_BIT(PART_TCPTX) : PART_BIT(PART_UDPTX);
    /* A transport that does not give frames back leaves a quarter to the other. */
    uint32_t share = ip->uppool.n - ip->uppool.n / 4;
    for (unsigned i = 0; i < n; i++)
        total += part[i].len;
    if ((up == IP_UP_UDP && !port_takes_own(ip, part, total)) || !up_room(ip, out, up, n))
        return;
    if (ip->uppool.n_free < n || ip->up_held[up] + n > share) {
        stat_inc(ip->stats, STAT_ip_drop_tx_nobuf);
        return;
    }
    struct pkt *first = out->up[up] + out->n_up[up];
    for (unsigned i = 0; i < n; i++) {
        uint32_t frame;
        const uint8_t *src = frames_ro(&ip->f, from, part[i].addr, part[i].len);
        if (!pool_take(&ip->uppool, (uint8_t)(HELD_UP + up), &frame))
            break; /* cannot be: counted above */
        uint8_t *dst = frames_rw(&ip->f, PART_BIT(PART_UP), frame, FRAME_SIZE);
        memcpy(dst + FRAME_L4, src, part[i].len);
        first[i] = (struct pkt){
            .addr = frame + FRAME_L4,
            .len = (uint16_t)part[i].len,
            .kind = PKT_DATA,
            .proto = h->proto,
            .flags = (uint8_t)(PKT_LOCAL | (i + 1 < n ? PKT_MORE : 0)),
        };
        if (i == 0)
            first->l3 = frame + FRAME_L4 - IP4_HEADER;
        ip->up_held[up]++;
    }
    ip_count_frames(ip);
    struct ip4_hdr whole = *h;
    whole.total_len = (uint16_t)(IP4_HEADER + total);
    ip4_emit(ip->f.base + first->l3, &whole);
    first->tos = h->tos;
    first->ttl = h->ttl;
    first->aux = total;
    first->src = h->src;
    first->dst = h->dst;
    first->l3_len = (uint16_t)(IP4_HEADER + first->len);
    out->n_up[up] += n;
    stat_inc(ip->stats, STAT_ip_loopback);
}
