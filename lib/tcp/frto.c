/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frto.c: F-RTO (RFC 5682): was a timeout needed? After it, with only the first segment sent
 * again, two segments of new data say so: if acknowledgments go on to advance over what was not
 * sent again, the flight was late and not lost, and the timeout is undone.
 */
#include "priv.h"

/* STEP_FIRST: step 2 of the RFC; STEP_NEW: step 3. */
enum { STEP_OFF, STEP_FIRST, STEP_NEW };

/* Step 1. Not where a repair or another timeout went before: what that sent again may be what
 * an acknowledgment is for. Not with time stamps: the first acknowledgment tells then, and new
 * data would only be in the way of the repair. */
void
frto_begin(struct tcb *c)
{
    c->frto.step = c->ca == CA_OPEN && !(c->h.bits & H_TS) ? STEP_FIRST : STEP_OFF;
    c->frto.again = 0;
}

/* Is there something to send in step 2b, and does the peer's window take it? */
static bool
new_data(const struct tcb *c)
{
    uint64_t data_end = 1 + c->h.tx_tail, edge = c->h.snd_una + c->h.snd_wnd;
    uint64_t end = min_u64(data_end, edge);
    return end > c->snd_nxt && end - c->snd_nxt >= c->h.mss;
}

/* Nothing is sent again for now. */
bool
frto_holds(const struct tcb *c)
{
    return c->ca == CA_LOSS && c->frto.step == STEP_NEW;
}

/* An ACK after a timeout. True: it is undone. */
bool
frto_ack(struct tcp *t, struct tcb *c, const struct delivery *d, bool duplicate)
{
    bool sack = c->h.bits & H_SACK;
    if (c->ca != CA_LOSS || c->frto.step == STEP_OFF)
        return false;
    if (c->undo.marker == 0 || c->frto.again > 1) {
        c->frto.step = STEP_OFF; /* the first segment was not all that went again */
        return false;
    }
    if (c->frto.step == STEP_FIRST) {
        if (d->advanced && c->h.snd_una < c->recover)
            c->frto.step = new_data(c) ? STEP_NEW : STEP_OFF; /* (2b) */
        else if (d->advanced || (duplicate && !sack))
            c->frto.step = STEP_OFF; /* (2a); with SACK a duplicate is waited out (3.1) */
        return false;
    }
    /* Step 3: below recover, something arrived that was sent once (3b), or what was sent since
     * did and finds a hole before it (3a). */
    if (d->advanced || (d->sacked && d->sacked_to <= c->recover)) {
        undo_now(t, c);
        return true;
    }
    if (duplicate || d->sacked) {
        c->frto.step = STEP_OFF;
        c->cc.cwnd = min_u32(c->cc.cwnd, 3 * c->h.mss);
    }
    return false;
}

/* The window of step 2b, when what the ACK acknowledged has opened it. */
void
frto_window(struct tcb *c)
{
    if (c->frto.step == STEP_NEW)
        c->cc.cwnd = min_u32(c->cc.cwnd, pipe_of(c) + 2 * c->h.mss);
}
