/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hystart.h: when the first slow start should end (HyStart++, RFC 9406). A round trip whose
 * smallest RTT is clearly above that of the one before says that a queue grows: then growth
 * slows down (CSS, conservative slow start), and ends after five rounds unless the delay turns
 * out to have been jitter. Bytes of payload and nanoseconds; rounds are counted by sequence
 * numbers. All zero is a good start; an RTT of 0 is the RFC's infinity.
 */
#ifndef TCP_HYSTART_H
#define TCP_HYSTART_H

#include "base/base.h"

#define HYSTART_MIN_RTT_THRESH (4 * NS_MS)
#define HYSTART_MAX_RTT_THRESH (16 * NS_MS)
#define HYSTART_MIN_RTT_DIVISOR 8
#define HYSTART_N_RTT_SAMPLE 8
#define HYSTART_CSS_GROWTH_DIVISOR 4
#define HYSTART_CSS_ROUNDS 5

/* It lies in words of another type (struct cc's), so it may alias them. */
struct __attribute__((may_alias)) hystart {
    ns_t last_min;         /* smallest RTT of the round before */
    ns_t cur_min;          /* and of this round */
    ns_t css_baseline;     /* of the round that began CSS */
    uint64_t window_end;   /* this round ends when it is acknowledged */
    uint32_t samples;      /* RTTs seen in this round, at most N_RTT_SAMPLE */
    uint16_t css_rounds;   /* rounds of CSS that ended */
    uint16_t conservative; /* in CSS */
};

/* Begin anew: what was measured is of no use any more. */
static inline void
hystart_reset(struct hystart *h)
{
    memset(h, 0, sizeof *h);
}

/* An ACK in slow start. `rtt`: its sample, 0: none; `una` and `nxt`: extended send numbers
 * after it. True: slow start is over, set ssthresh to cwnd. Section 4.2. */
bool hystart_ack(struct hystart *h, ns_t rtt, uint64_t una, uint64_t nxt) must_check;

/* By how many bytes cwnd grows for `acked` bytes. L of section 4.2, which is for senders that
 * are not paced, is not there: an ACK stands for many segments here, at both ends. */
uint32_t hystart_growth(const struct hystart *h, uint32_t acked);

#endif
