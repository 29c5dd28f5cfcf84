/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_vegas.c: TCP Vegas (Brakmo and Peterson, IEEE JSAC 13(8), 1995). The part of the window
 * that waits in queues is what the RTT has grown by, times the rate; Vegas keeps it between
 * ALPHA and BETA segments. It looks once a round trip, counted by sequence numbers, at the
 * smallest RTT of the round, which delayed acknowledgments and batching do not spoil. RTTs are
 * nanoseconds throughout: between two local stacks all of one may be tens of microseconds.
 */
#include "cc.h"

extern const struct cc_ops cc_vegas;

#define ALPHA 2 /* segments queued: fewer, and the window grows */
#define BETA 4  /* more, and it shrinks */
#define GAMMA 1 /* more, and slow start is over */
#define MIN_SAMPLES 3

/* The base RTT is a minimum, so a path that has become longer would never be believed: all of
 * its added delay would count as queue, and the window stay near its floor for good. So a base
 * not seen for this long is measured anew. A plain sliding minimum will not do: it would take
 * in the queue that Vegas itself keeps, and creep up. So the window is cut by what it has in
 * the queue for one round (the queue empties), and the round after it gives the base. */
#define BASE_AGE (10 * NS_S)

enum vegas_phase { STEADY, DRAIN, MEASURE };

/* Lies over struct cc's words. All zero: nothing known. */
struct __attribute__((may_alias)) vegas {
    ns_t base;          /* smallest RTT of the path; 0: not known */
    ns_t base_seen;     /* when it was seen last, or nearly */
    ns_t round_min;     /* 0: no sample in this round */
    uint64_t round_end; /* this round ends when it is acknowledged; 0: none runs */
    uint32_t samples;   /* of this round */
    uint32_t before;    /* cwnd before DRAIN */
    uint8_t limited;    /* the window was in full use in this round */
    uint8_t hold;       /* slow start: the window stays as it is in this round */
    uint8_t phase;      /* enum vegas_phase */
};
_Static_assert(sizeof(struct vegas) <= sizeof(((struct cc *)0)->priv), "vegas' words");

static inline struct vegas *
vegas_of(struct cc *cc)
{
    return (struct vegas *)(void *)cc->priv;
}

/* Bytes of the window that wait in queues: (Expected - Actual) * BaseRTT of the paper. */
static uint32_t
queued(const struct vegas *v, uint32_t cwnd)
{
    uint64_t rtt = v->round_min, more = rtt > v->base ? rtt - v->base : 0;
    if (rtt >> 32) { /* seconds: their microseconds suffice */
        rtt >>= 10;
        more >>= 10;
    }
    if (rtt >> 32) /* no path is longer than an hour */
        return 0;
    return rtt == 0 ? 0 : (uint32_t)(cwnd * more / rtt);
}

static void
take_sample(struct vegas *v, ns_t rtt, ns_t now)
{
    if (rtt == 0)
        return;
    v->round_min = v->round_min == 0 ? rtt : min_u64(v->round_min, rtt);
    if (v->samples < MIN_SAMPLES)
        v->samples++;
    if (v->base == 0 || rtt < v->base)
        v->base = rtt;
    if (rtt - v->base <= v->base / 8)
        v->base_seen = now;
}

static void
shrink_to(struct cc *cc, uint32_t cwnd)
{
    cc->cwnd = min_u32(cc->cwnd, max_u32(cwnd, 2 * cc->mss));
    cc->ssthresh = min_u32(cc->ssthresh, cc->cwnd); /* and no slow start back up */
}

/* The end of a round of slow start. The window may double in every other round; in those
 * between it stands still, so that its RTT and its size belong together. */
static void
judge_start(struct cc *cc, struct vegas *v, uint32_t queue)
{
    if (!v->hold) {
        v->hold = v->samples >= MIN_SAMPLES; /* else as Reno does */
    } else if (v->samples >= MIN_SAMPLES && queue > GAMMA * cc->mss) {
        v->hold = 0;
        shrink_to(cc, cc->cwnd - queue + cc->mss);
    } else {
        v->hold = 0;
    }
}

/* Fewer samples than MIN_SAMPLES may all be of delayed acknowledgments: then as Reno does. */
static void
judge(struct cc *cc, struct vegas *v, uint32_t queue)
{
    if (v->samples < MIN_SAMPLES || queue < ALPHA * cc->mss)
        cc->cwnd = min_u32(cc->cwnd + cc->mss, CWND_MAX);
    else if (queue > BETA * cc->mss)
        shrink_to(cc, cc->cwnd - cc->mss);
}

/* True: this round was part of measuring the base anew. */
static bool
measure(struct cc *cc, struct vegas *v, bool starting, uint32_t queue, ns_t now)
{
    switch (v->phase) {
    case STEADY:
        if (v->samples < MIN_SAMPLES || starting || !v->limited ||
            now - v->base_seen < BASE_AGE)
            return false;
        v->before = cc->cwnd;
        shrink_to(cc, cc->cwnd - min_u32(queue, cc->cwnd));
        v->phase = DRAIN;
        return true;
    case DRAIN:
        v->phase = MEASURE;
        return true;
    default:
        if (v->samples != 0) {
            v->base = v->round_min;
            v->base_seen = now;
        }
        cc->cwnd = max_u32(cc->cwnd, v->before);
        v->phase = STEADY;
        return true;
    }
}

static void
begin_round(struct vegas *v, uint64_t end)
{
    v->round_end = end;
    v->round_min = 0;
    v->samples = 0;
    v->limited = 0;
}

static void
vegas_start(struct cc *cc, ns_t now)
{
    (void)now;
    memset(cc->priv, 0, sizeof cc->priv);
    cc_begin(cc);
}

/* What was going on in the round is cut short. */
static void
stop_round(struct cc *cc)
{
    struct vegas *v = vegas_of(cc);
    begin_round(v, 0);
    v->phase = STEADY;
    v->hold = 0;
}

static void
vegas_idle(struct cc *cc, ns_t idle, ns_t now)
{
    (void)now;
    cc->cwnd = min_u32(cc->cwnd, cc_initial_window(cc));
    stop_round(cc);
    if (idle >= BASE_AGE) /* what comes now finds no queue of ours: as good a measure as any */
        vegas_of(cc)->base = 0;
}

static void
vegas_ack(struct cc *cc, const struct cc_ack *a, ns_t now)
{
    struct vegas *v = vegas_of(cc);
    if (a->in_recovery) {
        stop_round(cc);
        return;
    }
    take_sample(v, a->rtt, now);
    v->limited |= a->limited;
    bool starting = cc->cwnd < cc->ssthresh;
    if (starting && a->limited && !v->hold && v->phase == STEADY)
        cc->cwnd += min_u32(a->acked, cc->ssthresh - cc->cwnd);
    if (a->una < v->round_end)
        return;
    uint32_t queue = queued(v, cc->cwnd);
    /* A window that was not used has no queue that tells anything (RFC 7661). */
    if (v->round_end != 0 && !measure(cc, v, starting, queue, now) && v->limited) {
        if (starting)
            judge_start(cc, v, queue);
        else
            judge(cc, v, queue);
    }
    begin_round(v, a->nxt);
}

static void
vegas_loss(struct cc *cc, uint32_t flight, ns_t now)
{
    (void)now;
    cc_halve(cc, flight);
    stop_round(cc);
}

static void
vegas_mark(struct cc *cc, uint32_t flight, ns_t now)
{
    vegas_loss(cc, flight, now);
    cc->cwnd = min_u32(cc->cwnd, cc->ssthresh);
}

static void
vegas_timeout(struct cc *cc, uint32_t flight, ns_t now)
{
    vegas_loss(cc, flight, now);
    cc->cwnd = cc->mss; /* the loss window */
}

static void
vegas_recovered(struct cc *cc, ns_t now)
{
    (void)now;
    cc->cwnd = cc->ssthresh;
    stop_round(cc);
}

const struct cc_ops cc_vegas = {
    .name = "vegas",
    .start = vegas_start,
    .idle = vegas_idle,
    .ack = vegas_ack,
    .loss = vegas_loss,
    .mark = vegas_mark,
    .timeout = vegas_timeout,
    .recovered = vegas_recovered,
    .undo = cc_raise,
};
