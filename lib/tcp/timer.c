/* SPDX-License-Identifier: BSD-2-Clause
 *
 * timer.c: what happens when nothing happens. A session is in the wheel once, at or before the
 * earliest of its deadlines; a deadline that moves away is noticed when the wheel gets there.
 */
#include "priv.h"

void
timer_set(struct tcp *t, struct tcb *c, unsigned which, ns_t at)
{
    uint32_t i = tcb_number(t, c);
    c->timer[which] = at;
    if (at == NS_NEVER || (c->wheel.tick != 0 && c->wheel.tick <= at >> WHEEL_TICK_BITS))
        return;
    wheel_remove(&t->wheel, i);
    wheel_insert(&t->wheel, i, at);
}

void
rexmt_arm(struct tcp *t, struct tcb *c)
{
    ns_t rto = c->rto;
    for (unsigned i = 0; i < c->backoff && rto < RTO_MAX; i++)
        rto *= 2; /* RFC 6298 (5.5) */
    ns_t at = t->now + min_u64(rto, RTO_MAX);
    if (c->opt.user_timeout_ms != 0 && c->rexmt_since != 0) /* RFC 5482: not much later */
        at = min_u64(at,
                     max_u64(c->rexmt_since + c->opt.user_timeout_ms * NS_MS, t->now + NS_MS));
    timer_set(t, c, T_REXMT, at);
}

/* TCP_DEFER_ACCEPT counts seconds, the mechanism timeouts of the SYN-ACK: rounded up. */
uint8_t
defer_timeouts(uint64_t seconds)
{
    uint32_t period = 0, timeout = (uint32_t)(RTO_INITIAL / NS_S);
    uint8_t n = 0;
    if (seconds > INT32_MAX)
        return 0;
    for (; period < seconds && n < UINT8_MAX; n++) {
        period += timeout;
        timeout = min_u32(2 * timeout, (uint32_t)(RTO_MAX / NS_S));
    }
    return n;
}

uint32_t
defer_seconds(uint8_t n)
{
    uint32_t period = 0, timeout = (uint32_t)(RTO_INITIAL / NS_S);
    for (; n > 0; n--) {
        period += timeout;
        timeout = min_u32(2 * timeout, (uint32_t)(RTO_MAX / NS_S));
    }
    return period;
}

void
keep_arm(struct tcp *t, struct tcb *c)
{
    if (!c->opt.keepalive)
        c->timer[T_KEEP] = NS_NEVER;
    else if (c->keep_sent != 0)
        timer_set(t, c, T_KEEP, t->now + c->opt.keep_intvl_s * NS_S);
    else
        timer_set(t, c, T_KEEP, c->last_rx + c->opt.keep_idle_s * NS_S);
}

bool
fin_wait_arm(struct tcp *t, struct tcb *c)
{
    if (c->opt.fin_wait_s < 0) {
        abort_session(t, c, 0);
        return false;
    }
    ns_t wait = c->opt.fin_wait_s != 0 ? (ns_t)c->opt.fin_wait_s * NS_S : FIN_WAIT_2_TIME;
    timer_set(t, c, T_WAIT, t->now + wait);
    return true;
}

/* RFC 9293 3.8.3: has it been tried long enough? */
static bool
give_up(const struct tcp *t, const struct tcb *c)
{
    bool timed_out = c->opt.user_timeout_ms != 0 && c->backoff != 0 &&
                     t->now - c->rexmt_since >= c->opt.user_timeout_ms * NS_MS;
    if (c->opt.user_timeout_ms != 0 && c->h.state >= TCPS_ESTABLISHED)
        return timed_out;
    switch ((enum tcp_state)c->h.state) {
    case TCPS_SYN_SENT:
        return timed_out || c->backoff >= (c->opt.syn_cnt ? c->opt.syn_cnt : SYN_RETRIES);
    case TCPS_SYN_RCVD:
        return c->backoff >= max_u32(SYNACK_RETRIES, c->deferred ? c->opt.defer : 0);
    default:
        return c->backoff >= ((c->h.bits & H_CLOSED) ? ORPHAN_RETRIES : DATA_RETRIES);
    }
}

/* RFC 9293 3.9.1.8: the network may have said why nobody answers. */
static void
die_unanswered(struct tcp *t, struct tcb *c)
{
    tcb_die(t, c, c->soft_err != 0 ? c->soft_err : ETIMEDOUT);
}

static void
rexmt_fire(struct tcp *t, struct tcb *c)
{
    if (c->tlp_due && c->timer[T_LOSS] <= t->now && tlp_fire(t, c))
        return; /* RFC 8985 7.2: a probe of the tail at the latest when the timeout is due */
    if (c->rexmt_since == 0) /* it has waited for one timeout already */
        c->rexmt_since = t->now - min_u64(c->rto, t->now - 1);
    bool closed = c->h.state >= TCPS_ESTABLISHED && c->h.snd_wnd == 0;
    if (closed && c->h.snd_una != c->h.snd_max && c->h.snd_una < 1 + c->h.tx_tail) {
        c->probing = true; /* a window that closed over what was sent */
        c->snd_nxt = c->h.snd_una;
        sent_forget(t, c);
    }
    if (c->probing) {
        /* A peer that answers with a closed window may do so for ever (RFC 9293 3.8.6.1), but
         * not on behalf of a program that is gone, nor beyond what a program has set. */
        bool silent = t->now - c->last_rx > RTO_MAX * 2 && give_up(t, c);
        bool told = (c->h.bits & H_CLOSED) || c->opt.user_timeout_ms != 0;
        if (silent || (told && give_up(t, c))) {
            die_unanswered(t, c);
            return;
        }
        output_probe(t, c);
        c->backoff = (uint8_t)min_u32(c->backoff + 1u, DATA_RETRIES + 1u);
        rexmt_arm(t, c);
        return;
    }
    if (c->h.snd_una == c->h.snd_max)
        return;
    if (give_up(t, c)) {
        die_unanswered(t, c);
        return;
    }
    if (c->deferred && c->backoff + 1u < c->opt.defer) { /* its ACK came: do not ask for it */
        c->backoff++;
        rexmt_arm(t, c);
        return;
    }
    stat_inc(t->stats, STAT_tcp_rto);
    if (c->h.snd_una == 0) /* a SYN: output sends it again */
        c->snd_nxt = 0;
    else if (c->snd_nxt > c->h.snd_una)
        recovery_timeout(t, c);
    c->backoff = (uint8_t)min_u32(c->backoff + 1u, UINT8_MAX);
    rexmt_arm(t, c);
    work_add(t, c);
}

/* RFC 8985: the end of a reordering window, or a tail without an answer. */
static void
loss_fire(struct tcp *t, struct tcb *c)
{
    if (c->h.state < TCPS_ESTABLISHED || c->h.snd_una == c->h.snd_max)
        return;
    if (c->tlp_due)
        (void)tlp_fire(t, c);
    else
        recovery_lost(t, c);
}

static void
keep_fire(struct tcp *t, struct tcb *c)
{
    ns_t idle = t->now - c->last_rx;
    if (c->keep_sent == 0 && idle < c->opt.keep_idle_s * NS_S) {
        keep_arm(t, c);
        return;
    }
    if (c->h.snd_una != c->h.snd_max) { /* data is out: its own timer finds out */
        timer_set(t, c, T_KEEP, t->now + c->opt.keep_intvl_s * NS_S);
        return;
    }
    bool over = c->opt.user_timeout_ms != 0 ? idle >= c->opt.user_timeout_ms * NS_MS
                                            : c->keep_sent >= c->opt.keep_cnt;
    if (over && c->keep_sent != 0) { /* RFC 5482 section 4.2: the user timeout goes before */
        c->rst_due = true;
        die_unanswered(t, c);
        work_add(t, c);
        return;
    }
    /* RFC 9293 3.8.4: one before what the peer expects, so that it must answer. */
    (void)output_segment(t, c, c->h.snd_una - 1, 0, TCP_ACK);
    c->keep_sent++;
    keep_arm(t, c);
}

static void
wait_fire(struct tcp *t, struct tcb *c)
{
    if (c->h.state == TCPS_TIME_WAIT)
        time_wait_leave(t, c);
    else if (c->h.state == TCPS_FIN_WAIT_2 && (c->h.bits & H_CLOSED))
        tcb_die(t, c, 0);
    else if (tcb_is_orphan(c)) /* a peer that takes a byte now and then holds it no longer */
        abort_session(t, c, 0);
}

static void
cork_fire(struct tcp *t, struct tcb *c)
{
    c->uncork = true;
    work_add(t, c);
}

void
timer_fire(struct tcp *t, struct tcb *c)
{
    typedef void fire(struct tcp *, struct tcb *);
    static fire *const handler[T_COUNT] = {[T_REXMT] = rexmt_fire,
                                           [T_LOSS] = loss_fire,
                                           [T_KEEP] = keep_fire,
                                           [T_WAIT] = wait_fire,
                                           [T_CORK] = cork_fire};
    for (unsigned i = 0; i < T_COUNT; i++) {
        if (c->timer[i] > t->now)
            continue;
        c->timer[i] = NS_NEVER;
        if (i == T_DELACK || i == T_PACE) {
            c->ack_now |= i == T_DELACK;
            c->answers &= i != T_DELACK;
            work_add(t, c);
        } else {
            handler[i](t, c);
        }
        if (!c->used)
            return;
        tcb_dirty(t, c);
    }
    /* A handler that set its own timer anew knows nothing of the others, which may be earlier.
     */
    for (unsigned i = 0; i < T_COUNT; i++)
        timer_set(t, c, i, c->timer[i]);
}
