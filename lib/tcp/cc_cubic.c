/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc_cubic.c: CUBIC (RFC 9438), with HyStart++ (RFC 9406) for the first slow start and the
 * weaker answer to ECN marks of RFC 8511. Windows are bytes where the RFC has segments. Time in
 * the cubic function is in units of 2^-20 s (a microsecond, nearly): fine enough for a byte,
 * and coarse enough for its cube to stay within 64 bits.
 */
#include "cc.h"
#include "hystart.h"

extern const struct cc_ops cc_cubic;

#define UNIT_BITS 20
#define SPAN_MAX (512u << UNIT_BITS) /* C * 512^3 segments of 20 bytes are CWND_MAX already */
#define AGE_MAX (1024 * NS_S)        /* so an epoch need not be told from an older one */
#define BETA 70                      /* percent that remain after a loss */
#define BETA_ECN 85                  /* after a mark */
#define ALPHA_NUM 9                  /* 3 * (1 - beta) / (1 + beta) = 9 / 17 */
#define ALPHA_DEN 17
#define GAP_MAX 2 /* smoothed round trips between two ACKs of a busy session, at most */

#define HAS_EPOCH 1u /* epoch_start, k and w_est are valid */
#define HAS_UNDO 2u  /* undo is: the last congestion event may turn out to have been none */

/* What a congestion event changes and an undo brings back (section 4.9.2). */
struct __attribute__((may_alias)) cubic_stage {
    ns_t epoch_start;    /* moved on by time that does not count */
    uint32_t w_max;      /* 0: not known */
    uint32_t cwnd_prior; /* cwnd when ssthresh was set last */
    uint32_t k;          /* units */
    uint32_t w_est;      /* what Reno would have */
};

/* Lies over struct cc's words. All zero: nothing known. */
struct __attribute__((may_alias)) cubic {
    struct cubic_stage s, undo;
    struct hystart start;
    ns_t last_ack;     /* of this epoch */
    uint32_t grow_acc; /* acknowledged bytes times distance, less than a byte of cwnd */
    uint32_t est_acc;  /* acknowledged bytes times alpha's numerator, less than one of w_est */
    uint32_t flags, undo_flags;
};
_Static_assert(sizeof(struct cubic) <= sizeof(((struct cc *)0)->priv), "cubic's words");

static inline struct cubic *
cubic_of(struct cc *cc)
{
    return (struct cubic *)(void *)cc->priv;
}

/* C * span^3 in bytes, C = 0.4 segments per second cubed. */
static uint64_t
cubic_rise(uint32_t span, uint32_t mss)
{
    uint64_t d = min_u32(span, SPAN_MAX);
    uint64_t cube = (((d * d) >> 24) * d) >> 20; /* 2^-16 s^3; below 2^44 */
    return (cube * mss / 5 * 2) >> 16;
}

/* The smallest span in which the function rises by `gap` bytes: the cube root that equation 2
 * asks for, by halving, so that it is the exact inverse of what cubic_rise() does. Once in an
 * epoch. */
static uint32_t
cubic_k(uint32_t gap, uint32_t mss)
{
    uint32_t k = 0;
    for (uint32_t bit = SPAN_MAX / 2; gap != 0 && bit != 0; bit /= 2)
        if (cubic_rise(k + bit - 1, mss) < gap)
            k += bit;
    return k;
}

/* Equation 1: W_cubic, `t` after the epoch's start. */
static uint32_t
w_cubic(const struct cubic_stage *s, ns_t t, uint32_t mss)
{
    uint32_t u = (uint32_t)((min_u64(t, AGE_MAX) << UNIT_BITS) / NS_S);
    if (u < s->k)
        return s->w_max - (uint32_t)min_u64(cubic_rise(s->k - u, mss), s->w_max);
    return (uint32_t)min_u64(s->w_max + cubic_rise(u - s->k, mss), CWND_MAX);
}

static void
begin_epoch(const struct cc *cc, struct cubic *q, ns_t now)
{
    struct cubic_stage *s = &q->s;
    /* w_max is not known after a first slow start without loss (4.10) and after a timeout
     * (4.8), and of no use when already passed: then the function begins at its plateau. */
    s->w_max = max_u32(s->w_max, cc->cwnd);
    s->k = cubic_k(s->w_max - cc->cwnd, cc->mss);
    s->epoch_start = q->last_ack = now;
    s->w_est = cc->cwnd;
    q->grow_acc = q->est_acc = 0;
    q->flags |= HAS_EPOCH;
}

/* How long this congestion avoidance has lasted at this ACK. The time before one that came
 * while the window was not in use does not count, nor does a silence that a busy session would
 * not know, whoever was the cause of it (section 4.2, MUST NOT). */
static ns_t
epoch_age(struct cubic *q, const struct cc_ack *a, ns_t now)
{
    ns_t gap = now > q->last_ack ? now - q->last_ack : 0;
    ns_t counts = !a->limited ? 0 : a->srtt == 0 ? gap : min_u64(gap, GAP_MAX * a->srtt);
    q->last_ack += gap;
    q->s.epoch_start += gap - counts;
    return q->last_ack - q->s.epoch_start;
}

/* Equation 4. */
static void
grow_est(struct cubic *q, uint32_t acked, uint32_t cwnd, uint32_t mss)
{
    uint32_t num = q->s.w_est >= q->s.cwnd_prior ? ALPHA_DEN : ALPHA_NUM;
    uint64_t acc = q->est_acc + (uint64_t)acked * num, cost = (uint64_t)ALPHA_DEN * cwnd;
    uint64_t more = acc * mss / cost;
    acc -= more * cost / mss;
    q->s.w_est = (uint32_t)min_u64(q->s.w_est + more, CWND_MAX);
    q->est_acc = (uint32_t)min_u64(acc, UINT32_MAX);
}

static void
avoid(struct cc *cc, const struct cc_ack *a, ns_t now)
{
    struct cubic *q = cubic_of(cc);
    uint32_t cwnd = cc->cwnd, acked = min_u32(a->acked, cwnd);
    if (!(q->flags & HAS_EPOCH))
        begin_epoch(cc, q, now);
    ns_t t = epoch_age(q, a, now);
    if (!a->limited)
        return;
    grow_est(q, acked, cwnd, cc->mss);
    if (w_cubic(&q->s, t, cc->mss) < q->s.w_est) { /* the Reno-friendly region (4.3) */
        cc->cwnd = max_u32(cwnd, q->s.w_est);
        return;
    }
    uint32_t target = w_cubic(&q->s, t + a->srtt, cc->mss);
    target = min_u32(max_u32(target, cwnd), cwnd + cwnd / 2);
    uint64_t acc = q->grow_acc + (uint64_t)acked * (target - cwnd); /* 4.4, 4.5 */
    cc->cwnd = (uint32_t)min_u64(cwnd + acc / cwnd, CWND_MAX);
    q->grow_acc = (uint32_t)(acc % cwnd);
}

static void
slow_start(struct cc *cc, const struct cc_ack *a)
{
    struct cubic *q = cubic_of(cc);
    uint32_t room = cc->ssthresh - cc->cwnd;
    bool first =
        cc->ssthresh >= SSTHRESH_NONE; /* later ones know where to stop (RFC 9406 4.3) */
    bool over = first && hystart_ack(&q->start, a->rtt, a->una, a->nxt);
    q->flags &= ~HAS_EPOCH;
    if (a->limited) {
        uint32_t more = first ? hystart_growth(&q->start, a->acked) : a->acked;
        cc->cwnd += min_u32(more, room);
    }
    if (over) /* 4.10 */
        cc->ssthresh = q->s.cwnd_prior = cc->cwnd;
}

static void
cubic_start(struct cc *cc, ns_t now)
{
    (void)now;
    memset(cc->priv, 0, sizeof cc->priv);
    cc_begin(cc);
}

/* RFC 5681 4.1: the restart window. What follows is slow start and then a new stage, so nothing
 * of the silence counts. */
static void
cubic_idle(struct cc *cc, ns_t idle, ns_t now)
{
    (void)idle;
    (void)now;
    struct cubic *q = cubic_of(cc);
    cc->cwnd = min_u32(cc->cwnd, cc_initial_window(cc));
    q->flags = 0;
    hystart_reset(&q->start);
}

static void
cubic_ack(struct cc *cc, const struct cc_ack *a, ns_t now)
{
    if (a->in_recovery || a->acked == 0 || cc->cwnd == 0)
        return;
    if (cc->cwnd < cc->ssthresh)
        slow_start(cc, a);
    else
        avoid(cc, a, now);
}

/* A congestion event: what of the window's past is to be kept, and the new ssthresh before its
 * lower bound (4.6, 4.7). It is a share of cwnd, not of the flight, as 4.6 allows to those who
 * do not let a window grow that is not used: so a loss in a short flight is no great loss. */
static uint32_t
reduce(struct cc *cc, uint32_t beta)
{
    struct cubic *q = cubic_of(cc);
    uint32_t cwnd = cc->cwnd, left = (uint32_t)((uint64_t)cwnd * beta / 100);
    /* Fast convergence: the share shrinks, so let others have some more of it. */
    uint64_t w_max = cwnd < q->s.w_max ? (uint64_t)cwnd * (100 + beta) / 200 : cwnd;
    q->s.w_max = (uint32_t)w_max;
    q->s.cwnd_prior = cwnd;
    q->flags &= ~HAS_EPOCH;
    cc->ssthresh = max_u32(left, 2 * cc->mss);
    return left;
}

static void
save(struct cubic *q)
{
    q->undo = q->s;
    q->undo_flags = q->flags & HAS_EPOCH;
    q->flags |= HAS_UNDO;
}

static void
cubic_loss(struct cc *cc, uint32_t flight, ns_t now)
{
    (void)flight;
    (void)now;
    save(cubic_of(cc));
    reduce(cc, BETA);
}

/* In slow start the window may be twice of what there is room for, so less of it is kept. A
 * mark is no mistake: nothing from before it comes back. */
static void
cubic_mark(struct cc *cc, uint32_t flight, ns_t now)
{
    (void)flight;
    (void)now;
    uint32_t left = reduce(cc, cc->cwnd < cc->ssthresh ? BETA : BETA_ECN);
    cc->cwnd = min_u32(cc->cwnd, max_u32(left, cc->mss));
    cubic_of(cc)->flags &= ~HAS_UNDO;
}

static void
cubic_timeout(struct cc *cc, uint32_t flight, ns_t now)
{
    struct cubic *q = cubic_of(cc);
    (void)flight;
    (void)now;
    save(q);
    reduce(cc, BETA);
    q->s.w_max = 0; /* 4.8: where the next congestion avoidance begins */
    cc->cwnd = cc->mss;
}

static void
cubic_recovered(struct cc *cc, ns_t now)
{
    (void)now;
    cc->cwnd = cc->ssthresh;
    cubic_of(cc)->flags &= ~HAS_EPOCH; /* the next stage begins here */
}

static void
cubic_undo(struct cc *cc, uint32_t cwnd, uint32_t ssthresh, ns_t now)
{
    struct cubic *q = cubic_of(cc);
    (void)now;
    if ((q->flags & HAS_UNDO) && cc->cwnd < cwnd) {
        cc->cwnd = min_u32(cwnd, CWND_MAX);
        cc->ssthresh = ssthresh;
        q->s = q->undo;
        q->flags = q->undo_flags;
    }
    q->flags &= ~HAS_UNDO;
}

const struct cc_ops cc_cubic = {
    .name = "cubic",
    .start = cubic_start,
    .idle = cubic_idle,
    .ack = cubic_ack,
    .loss = cubic_loss,
    .mark = cubic_mark,
    .timeout = cubic_timeout,
    .recovered = cubic_recovered,
    .undo = cubic_undo,
};
