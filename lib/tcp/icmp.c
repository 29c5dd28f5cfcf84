/* SPDX-License-Identifier: BSD-2-Clause
 *
 * icmp.c: ICMP errors about segments of ours, as RFC 5927 has them: what anybody can write must
 * not end a connection, and may slow it down only a little. The ip component has mapped types
 * to errno as Linux does, ignores source quench (RFC 6633), and never says an MTU below 68.
 */
#include "priv.h"

/* What no link of today goes below, as path_mtu has it: a forged size must not make a
 * connection crawl (RFC 5927 section 7). */
#define MTU_MIN 576u

/* RFC 5927 4.1: the quoted number must be one that is in flight. */
static bool
in_flight(const struct tcb *c, uint32_t wire)
{
    uint64_t seq = seq_extend(c->h.snd_una, c->h.iss, wire);
    return seq >= c->h.snd_una && seq < max_u64(c->h.snd_max, c->h.snd_una + 1);
}

/* RFC 1191: smaller segments, and what is out again. */
static void
fragmentation_needed(struct tcp *t, struct tcb *c, uint32_t mtu)
{
    uint32_t over = IP4_HEADER + TCP_HEADER + ((c->h.bits & H_TS) ? 12 : 0);
    uint32_t mss = max_u32(mtu, MTU_MIN) - over;
    /* One that asks for no less than what we send anyway is forged, or late. */
    if (mss >= c->h.mss || c->h.state < TCPS_ESTABLISHED) {
        stat_inc(t->stats, STAT_drop_icmp);
        return;
    }
    mss_set(c, mss);
    c->plp.fails = 0;
    c->plp.right = 0;
    (void)sent_lost(t, c, max_u64(c->h.snd_una, 1), c->snd_nxt);
    tcb_dirty(t, c);
    work_add(t, c);
}

void
input_icmp(struct tcp *t, const struct pkt *p)
{
    struct tcb *c = demux_find(t, &p->src, p->sport, &p->dst, p->dport);
    if (c == NULL || c->h.state == TCPS_TIME_WAIT || !in_flight(c, p->seq)) {
        stat_inc(t->stats, STAT_drop_icmp);
        return;
    }
    if (p->err == EMSGSIZE) {
        fragmentation_needed(t, c, p->aux);
        return;
    }
    if (c->h.state == TCPS_SYN_SENT ||
        (c->h.state == TCPS_SYN_RCVD && c->parent == SESS_NONE)) {
        tcb_die(t, c, p->err); /* RFC 5461 section 4 */
        return;
    }
    /* RFC 1122 4.2.3.9, RFC 5927 section 5.2: soft, whatever it says; the timer decides, and
     * then the program is told why. */
    c->soft_err = p->err;
    stat_inc(t->stats, STAT_drop_icmp);
}
