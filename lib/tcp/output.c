/* SPDX-License-Identifier: BSD-2-Clause
 *
 * output.c: what may be sent (RFC 9293 3.10.8 and 3.8.6, RFC 5681, RFC 896): what is lost
 * first, then what is new, then an acknowledgment if one is owed.
 */
#include "priv.h"

uint32_t *
work_next_of(void *ctx, uint32_t sess)
{
    struct tcp *t = ctx;
    return &t->tcb[sess].work_next;
}

void
work_add(struct tcp *t, struct tcb *c)
{
    if (c->working)
        return;
    c->working = true;
    turns_add(&t->work, c->link.client, tcb_number(t, c), work_next_of, t);
}

/* How many new bytes the peer's window and ours let us send. */
static uint64_t
usable_window(const struct tcb *c)
{
    uint64_t edge = c->h.snd_una + c->h.snd_wnd;
    uint64_t theirs = edge > c->snd_nxt ? edge - c->snd_nxt : 0;
    uint32_t pipe = pipe_of(c);
    return min_u64(theirs, c->cc.cwnd > pipe ? c->cc.cwnd - pipe : 0);
}

/* RFC 9293 3.8.6.2.1 (silly windows, sender) and 3.7.4 (Nagle, as its appendix A.3 has it: not
 * more than one short segment is out, so that the tail of a long write does not wait for a
 * delayed ACK of what went before it): may these len bytes go now? */
static bool
worth_sending(const struct tcb *c, uint32_t len, uint64_t queued)
{
    if (len >= sack_mss(c) || c->snd_nxt < c->h.snd_max)
        return true; /* a full segment, or sent before */
    bool all = len == queued;
    bool idle = c->snd_nxt == c->h.snd_una || c->snd_small <= c->h.snd_una;
    if (all && ((c->h.bits & H_SHUT_WR) || c->uncork || c->snd_up > c->snd_nxt))
        return true;
    if (all && !c->opt.cork && (c->opt.nodelay || idle))
        return true;
    return len >= c->max_wnd / 2 && c->max_wnd != 0;
}

/* How much of the window a round trip makes use of: RFC 7661's pipeACK, as it is sent. */
static void
count_used(struct tcb *c)
{
    if (c->h.snd_una >= c->round_end) {
        c->round_end = c->snd_nxt;
        c->round_out = 0;
    }
    c->round_out =
        max_u32(c->round_out, (uint32_t)min_u64(c->snd_nxt - c->h.snd_una, UINT32_MAX));
}

/* After sending something that wants an acknowledgment. */
static void
sent(struct tcp *t, struct tcb *c, uint64_t seq, uint64_t end)
{
    pace_sent(t, c, (uint32_t)(end - seq));
    plp_sent(t, c, seq, end, end > c->snd_nxt && seq >= c->h.snd_max);
    bool again = seq < c->h.snd_max;
    bool fresh = end > c->snd_nxt;
    recovery_sent(t, c, (uint32_t)(end - seq), again);
    if (seq == 0) /* Karn, RFC 6298 section 3: a SYN that was sent twice times nothing */
        c->syn_time = again ? 0 : t->now;
    else if (fresh)
        sent_add(t, c, seq, end);
    else
        sent_again(t, c, seq, end);
    c->snd_nxt = max_u64(c->snd_nxt, end);
    c->h.snd_max = max_u64(c->h.snd_max, end);
    if (c->timer[T_REXMT] == NS_NEVER || c->probing) {
        c->probing = false;
        rexmt_arm(t, c);
    }
    if (fresh && seq != 0) {
        count_used(c);
        tlp_arm(t, c);
    }
}

static bool
send_syn(struct tcp *t, struct tcb *c)
{
    uint8_t flags = c->h.state == TCPS_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK;
    if (c->snd_nxt > 0) /* sent; the ACK may still be owed */
        return true;
    if (!output_segment(t, c, 0, 0, flags))
        return false;
    sent(t, c, 0, 1);
    return true;
}

/* What is lost goes first, as far as our window goes. */
static bool
send_lost(struct tcp *t, struct tcb *c)
{
    const struct run *r;
    if (frto_holds(c))
        return true;
    while ((r = sent_first_lost(t, c)) != NULL) {
        if (t->credit <= 0) /* the next client's turn */
            return false;
        uint64_t edge = c->h.snd_una + c->h.snd_wnd;
        uint32_t len = (uint32_t)min_u64(r->right - r->left, sack_mss(c)), pipe = pipe_of(c);
        if (pipe != 0 && pipe + len > c->cc.cwnd)
            return true;
        if (pace_wait(t, c) || rate_wait(t, c, len))
            return true;
        /* The window closed over it: the timer finds out. A FIN alone is its own probe. */
        if (edge <= r->left && r->left <= c->h.tx_tail)
            return true;
        if (output_again(t, c, r->left, min_u64(r->right, max_u64(edge, r->left + 1))) == 0)
            return false;
    }
    return true;
}

/* RFC 5681 4.1: what the window was is of no use after a silence, be it the program's or the
 * peer's closed window. */
static bool
was_idle(const struct tcp *t, const struct tcb *c)
{
    return c->snd_nxt == c->h.snd_una && t->now - c->last_data > c->rto;
}

static void
restart_idle(struct tcp *t, struct tcb *c)
{
    if (was_idle(t, c))
        cc_ops_of(c->cc.alg)->idle(&c->cc, t->now - c->last_data, t->now);
}

/* Of so many bytes, how many go next: one segment, or several whole ones that are cut further
 * down. A window that is smaller after the first is no reason for several. */
static uint32_t
next_length(struct tcp *t, struct tcb *c, uint64_t may, uint32_t mss)
{
    if (may < 2ull * mss || was_idle(t, c))
        return (uint32_t)min_u64(may, mss);
    return (uint32_t)min_u64(may, output_most(t, c, mss)) / mss * mss;
}

/* Data and FIN, as far as the windows go. */
static bool
send_data(struct tcp *t, struct tcb *c)
{
    for (;;) {
        if (t->credit <= 0)
            return false;
        uint64_t data_end = 1 + c->h.tx_tail;
        uint64_t queued = data_end > c->snd_nxt ? data_end - c->snd_nxt : 0;
        uint64_t room = usable_window(c);
        uint32_t mss = sack_mss(c), len = next_length(t, c, min_u64(queued, room), mss);
        if (queued > room && pipe_of(c) + c->h.mss > c->cc.cwnd)
            c->limited = c->snd_nxt;
        if (len != 0 && pace_wait(t, c))
            return true;
        uint32_t probe = plp_probe(t, c, queued, room);
        len = probe != 0 ? probe : len;
        bool fin = (c->h.bits & H_SHUT_WR) && len == queued && c->snd_nxt <= data_end &&
                   !(c->h.bits & H_FIN_ACKED);
        if (len == 0 && !fin) {
            /* A closed window with data waiting and nothing in flight: probe (3.8.6.1). */
            if (queued != 0 && c->snd_nxt == c->h.snd_una && c->timer[T_REXMT] == NS_NEVER) {
                c->probing = true;
                rexmt_arm(t, c);
            }
            return true;
        }
        if (!fin && !worth_sending(c, len, queued)) {
            if (c->opt.cork && len == queued) { /* held back, but not for long */
                if (c->timer[T_CORK] == NS_NEVER)
                    timer_set(t, c, T_CORK, t->now + CORK_TIME);
                return true;
            }
            if (c->snd_nxt == c->h.snd_una && c->timer[T_REXMT] == NS_NEVER) {
                c->probing = true; /* a window too small to use is opened by probing too */
                rexmt_arm(t, c);
            }
            return true;
        }
        uint8_t flags = TCP_ACK;
        if (len == queued && len != 0)
            flags |= TCP_PSH;
        if (fin)
            flags |= TCP_FIN;
        uint64_t seq = c->snd_nxt;
        if (len != 0 && rate_wait(t, c, len))
            return true;
        bool full = len >= mss;
        restart_idle(t, c);
        if (!output_text(t, c, seq, len, probe != 0 ? len : mss, flags))
            return false;
        if (!full)
            c->snd_small = seq + len;
        sent(t, c, seq, seq + len + fin);
        if (len == queued) {
            c->uncork = false;
            c->timer[T_CORK] = NS_NEVER;
        }
        if (fin) {
            if (c->h.state == TCPS_ESTABLISHED)
                tcb_set_state(t, c, TCPS_FIN_WAIT_1);
            else if (c->h.state == TCPS_CLOSE_WAIT)
                tcb_set_state(t, c, TCPS_LAST_ACK);
            return true;
        }
    }
}

bool
output_session(struct tcp *t, struct tcb *c)
{
    if (c->rst_due) {
        if (t->out == NULL || t->n_out == t->cap_out || t->pool.n_free == 0) {
            t->starved = 1; /* or the owner would call again at once, for nothing */
            return false;
        }
        output_control(t, c, TCP_RST | TCP_ACK);
        c->rst_due = false;
        tcb_dirty(t, c);
        return true;
    }
    switch ((enum tcp_state)c->h.state) {
    case TCPS_CLOSED:
    case TCPS_LISTEN:
    case TCPS_STATES:
        return true;
    case TCPS_SYN_SENT:
    case TCPS_SYN_RCVD:
        return send_syn(t, c);
    default:
        break;
    }
    /* One duplicate ACK for each segment out of order: what fast retransmit counts. */
    while (c->ack_dups > 1) {
        if (!output_segment(t, c, control_seq(c), 0, TCP_ACK))
            return false;
        c->ack_dups--;
        c->ack_now = true;
    }
    bool may_send =
        c->h.state != TCPS_FIN_WAIT_2 && c->h.state != TCPS_TIME_WAIT && !tcb_arena_away(t, c);
    if (may_send && (!send_lost(t, c) || !send_data(t, c)))
        return false;
    /* A window that has opened is worth an ACK of its own: soon if little of the last one is
     * left, else for a quarter of the buffer. */
    window_choose(t, c);
    uint64_t grown = c->h.rcv_adv - min_u64(c->told_adv, c->h.rcv_adv);
    uint64_t left = c->told_adv - min_u64(c->h.rcv_nxt, c->told_adv);
    uint32_t quarter = window_limit(t, c) / 4;
    if (grown != 0 && !(c->h.bits & H_FIN_RCVD) &&
        (c->sent_window_zero ||
         grown >= (left < quarter ? min_u32(2u * c->h.mss, quarter) : quarter)))
        c->ack_now = true;
    c->ack_dups = 0;
    if (c->ack_now)
        return output_segment(t, c, control_seq(c), 0, TCP_ACK);
    return true;
}

uint32_t
output_again(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    uint64_t data_end = 1 + c->h.tx_tail;
    if (left == 0 || left >= right || right > c->h.snd_max || tcb_arena_away(t, c))
        return 0;
    uint64_t text = min_u64(right, data_end) - min_u64(left, data_end);
    uint32_t len = (uint32_t)min_u64(text, sack_mss(c));
    bool last = left + len == data_end, fin = last && right > data_end;
    uint8_t flags = TCP_ACK;
    if (last && len != 0)
        flags |= TCP_PSH;
    if (fin)
        flags |= TCP_FIN;
    if (!output_segment(t, c, left, len, flags))
        return 0;
    sent(t, c, left, left + len + fin);
    return len + fin;
}

bool
output_one_new(struct tcp *t, struct tcb *c)
{
    uint64_t data_end = 1 + c->h.tx_tail, edge = c->h.snd_una + c->h.snd_wnd;
    uint64_t end = min_u64(data_end, edge);
    if (end <= c->snd_nxt || tcb_arena_away(t, c))
        return false;
    uint64_t seq = c->snd_nxt;
    uint32_t full = sack_mss(c), len = (uint32_t)min_u64(end - seq, full);
    if (!output_segment(t, c, seq, len, TCP_ACK | TCP_PSH))
        return false;
    if (len < full)
        c->snd_small = seq + len;
    sent(t, c, seq, seq + len);
    return true;
}

void
output_probe(struct tcp *t, struct tcb *c)
{
    uint64_t data_end = 1 + c->h.tx_tail;
    if (c->h.snd_una == 0 || c->h.snd_una >= data_end || tcb_arena_away(t, c))
        return;
    uint64_t queued = data_end - c->h.snd_una;
    uint32_t wnd = max_u32(1, min_u32(c->h.snd_wnd, c->h.mss));
    uint32_t len = (uint32_t)min_u64(queued, wnd);
    if (!output_segment(t, c, c->h.snd_una, len, TCP_ACK | TCP_PSH))
        return;
    /* snd_nxt stays: the window did not allow it. But the peer may take and acknowledge it. */
    c->h.snd_max = max_u64(c->h.snd_max, c->h.snd_una + len);
}
