/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc.h: congestion control behind one small interface. An algorithm sees what happened (bytes
 * acknowledged, a loss, a timeout) and owns cwnd, ssthresh and its private words. Loss
 * recovery (what to send again) is not its business. Sessions name an algorithm by number, not
 * by pointer: they outlive the process.
 */
#ifndef TCP_CC_H
#define TCP_CC_H

#include "base/base.h"

#define CWND_MAX (1u << 30)

struct cc {
    uint32_t cwnd;     /* bytes */
    uint32_t ssthresh; /* bytes */
    uint32_t mss;      /* bytes of payload in a full segment */
    uint32_t alg;      /* enum cc_alg */
    uint64_t priv[6];  /* the algorithm's own */
};

enum cc_alg { CC_RENO, CC_ALGS };

struct cc_ops {
    const char *name;
    /* A new connection, or one idle for longer than RTO (RFC 5681 4.1). */
    void (*start)(struct cc *, ns_t now);
    /* `acked` new bytes, not in recovery. limited: the window was in full use. */
    void (*ack)(struct cc *, uint32_t acked, bool limited, ns_t srtt, ns_t now);
    /* Loss found by duplicate ACKs with `flight` bytes out: set ssthresh. */
    void (*loss)(struct cc *, uint32_t flight, ns_t now);
    /* The retransmission timer went off the first time for this data. */
    void (*timeout)(struct cc *, uint32_t flight, ns_t now);
    /* Recovery is over; `flight` bytes are out. */
    void (*recovered)(struct cc *, uint32_t flight, ns_t now);
};

const struct cc_ops *cc_ops_of(uint32_t alg);

#endif
