/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc.h: congestion control behind one small interface. An algorithm sees what happened (bytes
 * delivered, a loss, a mark, a timeout) and owns cwnd, ssthresh and its private words. Which
 * segments are lost (rack.c, newreno.c) and what may be sent while they are repaired (prr.c) is
 * not its business: during recovery it is told of ACKs and may leave cwnd alone. Sessions name
 * an algorithm by number, not by pointer: they outlive the process.
 *
 * Wide enough for algorithms that set a rate: an ACK carries a delivery-rate sample, and
 * `pacing` may say how fast the session sends.
 */
#ifndef TCP_CC_H
#define TCP_CC_H

#include "base/base.h"

#define CWND_MAX (1u << 30)
#define SSTHRESH_NONE (1u << 30) /* nothing known of the path yet: slow start */
#define CC_PRIV 14               /* 64-bit words of private state */

struct cc {
    uint32_t cwnd;     /* bytes */
    uint32_t ssthresh; /* bytes */
    uint32_t mss;      /* bytes of payload in a full segment */
    uint32_t alg;      /* enum cc_alg */
    uint64_t priv[CC_PRIV];
};

/* What one acknowledgment told. */
struct cc_ack {
    uint32_t acked; /* bytes that left the network: acknowledged or SACKed for the first time */
    uint32_t flight;    /* bytes in the network before this ACK (RFC 6675's pipe) */
    bool limited;       /* the window was in full use when it came (RFC 7661) */
    bool in_recovery;   /* losses are being repaired: cwnd belongs to prr.c */
    ns_t rtt;           /* of a segment sent once, this ACK's; 0: no sample */
    ns_t srtt;          /* 0: no sample ever */
    uint64_t una, nxt;  /* extended send numbers, after this ACK: count round trips by them */
    uint64_t delivered; /* bytes delivered in the session's life, this ACK's included */
    uint64_t rate;      /* bytes a second that the sample's interval delivered; 0: no sample */
};

enum cc_alg { CC_RENO, CC_CUBIC, CC_VEGAS, CC_ALGS };

struct cc_ops {
    const char *name; /* as TCP_CONGESTION has it */
    /* A new session (cwnd and ssthresh are 0), or one that changed its algorithm. */
    void (*start)(struct cc *, ns_t now);
    /* Idle for longer than the retransmission timeout (RFC 5681 4.1). */
    void (*idle)(struct cc *, ns_t idle, ns_t now);
    /* Something was delivered. */
    void (*ack)(struct cc *, const struct cc_ack *, ns_t now);
    /* Loss found without a timeout, `flight` bytes were out: set ssthresh; cwnd is prr.c's
     * until `recovered`. */
    void (*loss)(struct cc *, uint32_t flight, ns_t now);
    /* ECN: the path marked (RFC 3168 6.1.2), at most once a round trip: set ssthresh and cwnd.
     */
    void (*mark)(struct cc *, uint32_t flight, ns_t now);
    /* The retransmission timer went off the first time for this data. */
    void (*timeout)(struct cc *, uint32_t flight, ns_t now);
    /* Recovery is over: set cwnd. */
    void (*recovered)(struct cc *, ns_t now);
    /* The last loss or timeout was none (RFC 3522, 2883): cwnd and ssthresh as they were. */
    void (*undo)(struct cc *, uint32_t cwnd, uint32_t ssthresh, ns_t now);
    /* Bytes a second at which to send; NULL or 0: what cwnd and srtt say (pace.c). */
    uint64_t (*pacing)(const struct cc *, ns_t srtt);
};

/* alg out of range: reno. */
const struct cc_ops *cc_ops_of(uint32_t alg);
/* By name; CC_ALGS: there is none of that name. */
enum cc_alg cc_alg_of(const char *name, size_t len);

/* RFC 6928 section 2. */
static inline uint32_t
cc_initial_window(const struct cc *cc)
{
    return min_u32(10 * cc->mss, max_u32(2 * cc->mss, 14600));
}

/* ---- what algorithms have in common; none of it touches the private words ---- */

/* For `start`: a new session's windows; one that changes its algorithm keeps those it has. */
void cc_begin(struct cc *cc);
/* A loss: half of what was in flight (RFC 5681 equation 4). */
void cc_halve(struct cc *cc, uint32_t flight);
/* An `undo` where nothing but the windows has to come back: what they have grown to stays. */
void cc_raise(struct cc *cc, uint32_t cwnd, uint32_t ssthresh, ns_t now);

#endif
