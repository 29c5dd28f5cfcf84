/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_reno.c: slow start and congestion avoidance of RFC 5681, counting bytes (RFC 3465, L = 2),
 * with the initial window of RFC 6928.
 */
#include "cc.h"

extern const struct cc_ops cc_reno;

static void
reno_start(struct cc *cc, ns_t now)
{
    (void)now;
    cc_begin(cc);
    cc->priv[0] = 0;
}

static void
reno_idle(struct cc *cc, ns_t idle, ns_t now)
{
    (void)idle;
    (void)now;
    cc->cwnd = min_u32(cc->cwnd, cc_initial_window(cc)); /* RFC 5681 4.1: the restart window */
    cc->priv[0] = 0;
}

static void
reno_ack(struct cc *cc, const struct cc_ack *a, ns_t now)
{
    (void)now;
    uint32_t acked = a->acked;
    if (!a->limited || a->in_recovery) /* RFC 7661: a window not used tells nothing */
        return;
    if (cc->cwnd < cc->ssthresh) {
        /* Up to ssthresh exponentially; one ACK may stand for many segments here, so the limit
         * of RFC 3465 counts per full segment acknowledged, not per ACK. */
        uint32_t step = min_u32(acked, cc->ssthresh - cc->cwnd);
        cc->cwnd += step;
        acked -= step;
    }
    cc->priv[0] += acked;
    if (cc->priv[0] >= cc->cwnd) { /* one segment for each window; an ACK is of one at most */
        cc->priv[0] -= cc->cwnd;
        cc->cwnd += cc->mss;
    }
    cc->cwnd = min_u32(cc->cwnd, CWND_MAX);
}

static void
reno_loss(struct cc *cc, uint32_t flight, ns_t now)
{
    (void)now;
    cc_halve(cc, flight);
    cc->priv[0] = 0;
}

static void
reno_mark(struct cc *cc, uint32_t flight, ns_t now)
{
    reno_loss(cc, flight, now);
    cc->cwnd = min_u32(cc->cwnd, cc->ssthresh);
}

static void
reno_timeout(struct cc *cc, uint32_t flight, ns_t now)
{
    reno_loss(cc, flight, now);
    cc->cwnd = cc->mss; /* the loss window */
}

static void
reno_recovered(struct cc *cc, ns_t now)
{
    (void)now;
    cc->cwnd = cc->ssthresh;
    cc->priv[0] = 0;
}

const struct cc_ops cc_reno = {
    .name = "reno",
    .start = reno_start,
    .idle = reno_idle,
    .ack = reno_ack,
    .loss = reno_loss,
    .mark = reno_mark,
    .timeout = reno_timeout,
    .recovered = reno_recovered,
    .undo = cc_raise,
};
