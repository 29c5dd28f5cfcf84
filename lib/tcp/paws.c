/* SPDX-License-Identifier: BSD-2-Clause
 *
 * paws.c: protection against wrapped sequence numbers: what the time stamp of a segment says of
 * its age (RFC 7323 section 5).
 */
#include "priv.h"

/* True: it is no old duplicate. */
bool
paws_ok(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (!(c->h.bits & H_TS) || (s->h.flags & TCP_RST)) /* section 5.2: never for a RST */
        return true;
    if (!s->h.has_ts) { /* section 3.2: SHOULD drop, silently */
        c->n_drop++;
        stat_inc(t->stats, STAT_tcp_drop_paws);
        return false;
    }
    if ((int32_t)(s->h.ts_val - c->h.ts_recent) < 0 && t->now - c->ts_recent_age < PAWS_IDLE) {
        c->n_drop++;
        stat_inc(t->stats, STAT_tcp_drop_paws);
        output_answer(t, c, s); /* section 5.3, R1 */
        return false;
    }
    return true;
}

/* After the segment was believed in all else. Section 4.3 (2). */
void
ts_update(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (s->h.has_ts && (c->h.bits & H_TS) && s->seq <= c->last_ack &&
        ((int32_t)(s->h.ts_val - c->h.ts_recent) >= 0 ||
         t->now - c->ts_recent_age >= PAWS_IDLE)) {
        c->h.ts_recent = s->h.ts_val;
        c->ts_recent_age = t->now;
    }
}
