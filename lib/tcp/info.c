/* SPDX-License-Identifier: BSD-2-Clause
 *
 * info.c: TCP_INFO: what the stack knows of a session, in the form and the units that Linux has
 * for it.
 *
 * Zero for ever, as on Linux: tcpi_last_ack_sent, tcpi_fackets. Zero, as there is no TCP Fast
 * Open: tcpi_fastopen_client_fail. Constant: tcpi_ato (one delay for all), tcpi_reordering
 * (RACK measures reordering in time, not in segments). Not estimated from what arrives, but the
 * size that was negotiated: tcpi_rcv_mss.
 */
#include <linux/tcp.h>

#include "priv.h"

_Static_assert(sizeof(struct tcp_info) <= sizeof((struct answer *)0)->word,
               "an answer holds it");

/* The numbers of the states are part of the interface; ours follow the RFC. */
static const uint8_t state_number[TCPS_STATES] = {
    [TCPS_CLOSED] = 7,      [TCPS_LISTEN] = 10,    [TCPS_SYN_SENT] = 2,   [TCPS_SYN_RCVD] = 3,
    [TCPS_ESTABLISHED] = 1, [TCPS_FIN_WAIT_1] = 4, [TCPS_FIN_WAIT_2] = 5, [TCPS_CLOSE_WAIT] = 8,
    [TCPS_CLOSING] = 11,    [TCPS_LAST_ACK] = 9,   [TCPS_TIME_WAIT] = 6,
};
enum { CA_NUMBER_OPEN, CA_NUMBER_DISORDER, CA_NUMBER_RECOVERY = 3, CA_NUMBER_LOSS };

static uint32_t
segments(const struct tcb *c, uint64_t bytes)
{
    uint32_t mss = max_u32(c->h.mss, 1);
    return (uint32_t)min_u64((bytes + mss - 1) / mss, UINT32_MAX);
}

static uint32_t
us(ns_t t)
{
    return (uint32_t)min_u64(t / NS_US, UINT32_MAX);
}

/* Milliseconds since. */
static uint32_t
ms_since(const struct tcp *t, uint32_t then)
{
    return ts_clock(t->now) - then;
}

/* Who holds the sender up, as Linux tells it: the peer, if the next segment does not fit its
 * window though ours has room; the buffer, if the program has filled it and all of it is sent
 * already, until there is room enough to wake the program; else the path. */
static enum chrono
chrono_of(const struct tcb *c)
{
    uint64_t end = 1 + c->h.tx_tail, edge = c->h.snd_una + c->h.snd_wnd;
    if (c->h.state < TCPS_ESTABLISHED || c->h.state == TCPS_TIME_WAIT || c->h.snd_una >= end)
        return CHRONO_IDLE;
    if (c->lost != 0 || (pipe_of(c) != 0 && pipe_of(c) + c->h.mss > c->cc.cwnd))
        return CHRONO_BUSY;
    uint64_t queued = end > c->snd_nxt ? end - c->snd_nxt : 0;
    if (queued != 0)
        return c->snd_nxt + min_u64(queued, c->h.mss) > edge ? CHRONO_RWND : CHRONO_BUSY;
    uint64_t acked = max_u64(c->h.snd_una, 1) - 1;
    bool full = c->h.tx_tail - acked >= c->opt.sndbuf;
    bool woken = slot_writable(SLOT_CONNECTED, 0, c->opt.sndbuf, c->h.tx_tail, acked);
    if (!(c->h.bits & H_SHUT_WR) && (full || (c->chrono == CHRONO_SNDBUF && !woken)))
        return CHRONO_SNDBUF;
    return CHRONO_BUSY;
}

void
info_chrono(struct tcp *t, struct tcb *c)
{
    uint64_t end = 1 + c->h.tx_tail;
    if (c->snd_nxt >= end && c->lost == 0 && pipe_of(c) + c->h.mss <= c->cc.cwnd)
        c->rate.starved = true;
    enum chrono now = chrono_of(c);
    if (now == c->chrono)
        return;
    if (c->chrono != CHRONO_IDLE)
        c->n.chrono[c->chrono] += t->now - c->n.chrono_at;
    c->chrono = (uint8_t)now;
    c->n.chrono_at = t->now;
}

static uint64_t
chrono_us(const struct tcp *t, const struct tcb *c, enum chrono which)
{
    return (c->n.chrono[which] + (c->chrono == which ? t->now - c->n.chrono_at : 0)) / NS_US;
}

static uint8_t
ca_number(const struct tcb *c)
{
    if (c->ca == CA_RECOVERY)
        return CA_NUMBER_RECOVERY;
    if (c->ca == CA_LOSS)
        return CA_NUMBER_LOSS;
    return c->sacked != 0 || c->dupacks != 0 ? CA_NUMBER_DISORDER : CA_NUMBER_OPEN;
}

/* Segments sent again and not yet acknowledged. */
static uint32_t
retransmitted(const struct tcp *t, const struct tcb *c)
{
    uint64_t bytes = 0;
    for (uint32_t i = c->flight.oldest; i != RUN_NONE; i = t->runs.run[i].newer) {
        const struct run *r = &t->runs.run[i];
        bytes += r->flags & RUN_REXMT ? r->right - r->left : 0;
    }
    return segments(c, bytes);
}

static void
info_timers(const struct tcp *t, const struct tcb *c, struct tcp_info *o)
{
    o->tcpi_ca_state = ca_number(c);
    o->tcpi_retransmits = c->probing ? 0 : c->backoff;
    o->tcpi_probes = c->probing ? c->backoff : c->keep_sent;
    o->tcpi_backoff = c->backoff;
    ns_t rto = c->rto;
    for (unsigned i = 0; i < c->backoff && rto < RTO_MAX; i++)
        rto *= 2;
    o->tcpi_rto = us(min_u64(rto, RTO_MAX));
    o->tcpi_ato = us(DELACK_TIME);
    o->tcpi_last_data_sent = ms_since(t, c->n.data_sent_ms);
    o->tcpi_last_data_recv = ms_since(t, c->n.data_rcvd_ms);
    o->tcpi_last_ack_recv = ms_since(t, c->n.ack_rcvd_ms);
    o->tcpi_rcv_rtt = us(c->tune.rtt);
    o->tcpi_rtt = us(c->srtt);
    o->tcpi_rttvar = us(c->rttvar);
    o->tcpi_min_rtt = c->srtt != 0 ? us(rtt_min(c)) : UINT32_MAX;
    o->tcpi_rwnd_limited = chrono_us(t, c, CHRONO_RWND);
    o->tcpi_sndbuf_limited = chrono_us(t, c, CHRONO_SNDBUF);
    o->tcpi_busy_time =
        chrono_us(t, c, CHRONO_BUSY) + o->tcpi_rwnd_limited + o->tcpi_sndbuf_limited;
}

static void
info_windows(struct tcp *t, const struct tcb *c, struct tcp_info *o)
{
    uint64_t first = max_u64(c->h.snd_una, 1);
    if (c->h.bits & H_TS)
        o->tcpi_options |= TCPI_OPT_TIMESTAMPS;
    if (c->h.bits & H_SACK)
        o->tcpi_options |= TCPI_OPT_SACK;
    if (c->h.bits & H_ECN)
        o->tcpi_options |= c->ecn_seen ? TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN : TCPI_OPT_ECN;
    if (c->h.bits & H_WS) {
        o->tcpi_options |= TCPI_OPT_WSCALE;
        o->tcpi_snd_wscale = (uint8_t)(c->h.snd_wscale & 15u);
        o->tcpi_rcv_wscale = WSCALE & 15u;
    }
    o->tcpi_snd_mss = c->h.mss != 0 ? c->h.mss : MSS_DEFAULT;
    o->tcpi_rcv_mss = c->h.mss != 0 ? c->h.mss : MSS_DEFAULT;
    o->tcpi_unacked = segments(c, c->snd_nxt > first ? c->snd_nxt - first : 0);
    o->tcpi_sacked = segments(c, c->sacked);
    o->tcpi_lost = segments(c, c->lost);
    o->tcpi_retrans = retransmitted(t, c);
    o->tcpi_pmtu = path_mtu(t->path, &c->raddr);
    o->tcpi_advmss =
        (c->opt.maxseg != 0 ? c->opt.maxseg : o->tcpi_pmtu - IP4_HEADER - TCP_HEADER);
    o->tcpi_rcv_ssthresh = o->tcpi_rcv_space = window_limit(t, c);
    o->tcpi_snd_cwnd = max_u32(1, c->cc.cwnd / max_u32(c->cc.mss, 1));
    o->tcpi_snd_ssthresh =
        c->cc.ssthresh >= SSTHRESH_NONE ? INT32_MAX : c->cc.ssthresh / max_u32(c->cc.mss, 1);
    o->tcpi_reordering = DUP_THRESH;
    o->tcpi_snd_wnd = c->h.snd_wnd;
    uint64_t rate = pace_rate(t, c);
    o->tcpi_pacing_rate = rate != 0 ? rate : UINT64_MAX; /* 0: as fast as the window allows */
    o->tcpi_max_pacing_rate = c->opt.max_pacing != 0 ? c->opt.max_pacing : UINT64_MAX;
}

static void
info_counts(const struct tcb *c, struct tcp_info *o)
{
    uint64_t sent = c->h.snd_max == 0 ? 0 : min_u64(c->h.snd_max - 1, c->h.tx_tail);
    o->tcpi_total_retrans = (uint32_t)min_u64(c->n_rexmt, UINT32_MAX);
    /* Bytes of the stream: neither SYN nor FIN. */
    o->tcpi_bytes_acked = c->h.snd_una == 0 ? 0 : min_u64(c->h.snd_una - 1, c->h.tx_tail);
    bool fin = c->h.bits & H_FIN_RCVD;
    o->tcpi_bytes_received = c->h.rcv_nxt == 0 ? 0 : c->h.rcv_nxt - 1 - fin;
    o->tcpi_segs_out = c->n.segs_out;
    o->tcpi_segs_in = c->n.segs_in;
    o->tcpi_notsent_bytes = (uint32_t)min_u64(c->h.tx_tail - sent, UINT32_MAX);
    o->tcpi_data_segs_in = c->n.data_in;
    o->tcpi_data_segs_out = c->n.data_out;
    o->tcpi_delivery_rate = c->rate.bytes_s;
    o->tcpi_delivery_rate_app_limited = c->rate.app_limited & 1u;
    o->tcpi_delivered = segments(c, c->delivered);
    o->tcpi_delivered_ce = segments(c, c->delivered_ce);
    o->tcpi_bytes_sent = c->n_tx;
    o->tcpi_bytes_retrans = c->n.bytes_rexmt;
    o->tcpi_dsack_dups = c->n.dsacks;
    o->tcpi_reord_seen = c->n.reordered;
    o->tcpi_rcv_ooopack = c->n.ooo;
}

int
tcp_info_answer(struct tcp *t, struct tcb *c, uint64_t *value)
{
    struct client *cl = tcb_client(t, c);
    struct tcp_info o = {.tcpi_state = state_number[c->h.state % TCPS_STATES]};
    if (cl == NULL)
        return EBADF;
    if (c->h.state == TCPS_LISTEN) { /* the queue, and how long it may get */
        o.tcpi_unacked = c->n_accept;
        o.tcpi_sacked = c->backlog;
    } else {
        info_timers(t, c, &o);
        info_windows(t, c, &o);
        info_counts(c, &o);
    }
    *value = client_answer(cl, &o, sizeof o);
    return 0;
}
