/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_reno.c: slow start and congestion avoidance of RFC 5681, counting bytes (RFC 3465, L = 2),
 * with the initial window of RFC 6928.
 */
#include "cc.h"

#define SSTHRESH_NONE (1u << 30)

static void
reno_start(struct cc *cc, ns_t now)
{
    (void)now;
    /* RFC 6928 section 2: min(10 * MSS, max(2 * MSS, 14600)). */
    uint32_t iw = min_u32(10 * cc->mss, max_u32(2 * cc->mss, 14600));
    if (cc->ssthresh == 0)
        cc->ssthresh = SSTHRESH_NONE;
    cc->cwnd = cc->cwnd == 0 ? iw : min_u32(cc->cwnd, iw);
    cc->priv[0] = 0;
}

static void
reno_ack(struct cc *cc, uint32_t acked, bool limited, ns_t srtt, ns_t now)
{
    (void)srtt;
    (void)now;
    if (!limited) /* RFC 7661: a window that was not used says nothing about the path */
        return;
    if (cc->cwnd < cc->ssthresh) {
        /* Up to ssthresh exponentially; one ACK may stand for many segments here, so the limit
         * of RFC 3465 counts per full segment acknowledged, not per ACK. */
        uint32_t step = min_u32(acked, cc->ssthresh - cc->cwnd);
        cc->cwnd += step;
        acked -= step;
    }
    cc->priv[0] += acked;
    while (cc->priv[0] >= cc->cwnd) {
        cc->priv[0] -= cc->cwnd;
        cc->cwnd += cc->mss;
    }
    cc->cwnd = min_u32(cc->cwnd, CWND_MAX);
}

static void
reno_loss(struct cc *cc, uint32_t flight, ns_t now)
{
    (void)now;
    cc->ssthresh = max_u32(flight / 2, 2 * cc->mss); /* RFC 5681 equation 4 */
    cc->cwnd = cc->ssthresh + 3 * cc->mss;
    cc->priv[0] = 0;
}

static void
reno_timeout(struct cc *cc, uint32_t flight, ns_t now)
{
    (void)now;
    cc->ssthresh = max_u32(flight / 2, 2 * cc->mss);
    cc->cwnd = cc->mss; /* the loss window */
    cc->priv[0] = 0;
}

static void
reno_recovered(struct cc *cc, uint32_t flight, ns_t now)
{
    (void)now;
    /* RFC 6582 section 3.2 step 3 (1): no burst after recovery. */
    cc->cwnd = min_u32(cc->ssthresh, max_u32(flight, cc->mss) + cc->mss);
    cc->priv[0] = 0;
}

static const struct cc_ops reno = {"reno",    reno_start,   reno_ack,
                                   reno_loss, reno_timeout, reno_recovered};

const struct cc_ops *
cc_ops_of(uint32_t alg)
{
    static const struct cc_ops *const all[CC_ALGS] = {[CC_RENO] = &reno};
    return all[alg < CC_ALGS ? alg : CC_RENO];
}
