/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tcp_rtt.c: the time that a loss took is not mistaken for a round trip.
 */
#include <criterion/criterion.h>

#include "tcp_kit.h"

#define MSS 1460u

static struct kit k;

/* Without SACK: what lies beyond a hole arrived long before the acknowledgment that tells of
 * it, and its age is no round-trip time, with time stamps or without (RFC 6298 section 3). */
static void
age_is_no_rtt(bool ts)
{
    struct conn c = conn_default();
    c.ts = ts;
    conn_up_as(&k, &c);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 5 * MSS);
    kit_wait(&k, 10 * NS_MS);
    const struct out_seg *o;
    uint32_t end = 1;
    while ((o = kit_take(&k)) != NULL) {
        end = max_u32(end, o->h.seq - c.irs + o->len);
        c.ts_ecr = o->h.ts_val;
    }
    cr_assert_gt(end, 3 * MSS);
    ns_t rto = b->rto;
    (void)kit_until_sent(&k, 60 * NS_S); /* the first segment was lost, and again */
    (void)kit_until_sent(&k, 60 * NS_S);
    (void)kit_until_sent(&k, 60 * NS_S);
    while ((o = kit_take(&k)) != NULL)
        c.ts_ecr = o->h.ts_val;
    kit_wait(&k, 10 * NS_MS);
    conn_ack(&k, &c, end);
    cr_assert_leq(b->rto, rto + 50 * NS_MS, "from %g ms to %g ms", (double)rto / 1e6,
                  (double)b->rto / 1e6);
    kit_end(&k);
}

Test(tcp_rtt, age_of_a_segment_is_no_round_trip)
{
    age_is_no_rtt(false);
    age_is_no_rtt(true);
}

/* The acknowledgment was lost, and the segment that went out again is answered as a duplicate:
 * with the time stamp of the first, as RFC 7323 has it. The time in between is the timeout's.
 */
Test(tcp_rtt, answer_to_a_duplicate_is_no_round_trip)
{
    struct conn c = conn_default();
    c.ts = c.sack = true;
    conn_up_as(&k, &c);
    struct tcb *b = conn_tcb(&k, &c);
    for (uint32_t at = 1; at < 2000; at += 100) { /* a path of 10 ms */
        kit_write(&k, &c, 100);
        c.ts_ecr = kit_take(&k)->h.ts_val;
        kit_wait(&k, 10 * NS_MS);
        conn_ack(&k, &c, at + 100);
    }
    ns_t rto = b->rto;
    kit_drop(&k);
    kit_write(&k, &c, 100);
    c.ts_ecr = kit_take(&k)->h.ts_val;
    (void)kit_until_sent(&k, 60 * NS_S); /* a probe of the tail, then timeouts */
    (void)kit_until_sent(&k, 60 * NS_S);
    (void)kit_until_sent(&k, 60 * NS_S);
    kit_wait(&k, 10 * NS_MS);
    conn_sack(&k, &c, 2101, 1, (const uint32_t[][2]){{2001, 2101}});
    cr_assert_eq(b->h.snd_una, 2101);
    cr_assert_leq(b->rto, rto + 50 * NS_MS, "from %g ms to %g ms", (double)rto / 1e6,
                  (double)b->rto / 1e6);
}
