/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The list of what was sent, where it is short of memory or the peer wants it long: what is not
 * known is not made up, and nobody makes us work for nothing.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "tcp_kit.h"

#define MSS 1460u
#define RTT (20 * NS_MS)
#define AT(n) (1 + (n)*MSS) /* number of segment n, from 0 */

static struct kit k;

static struct conn
up(void)
{
    struct conn c = conn_default();
    c.sack = c.ws = true;
    c.wscale = 4;
    kit_init(&k);
    cr_assert_neq(kit_listen(&k, KIT_PORT, 5, NULL), SESS_NONE);
    cr_assert(conn_accept(&k, &c));
    struct tcb *b = conn_tcb(&k, &c);
    b->srtt = b->min_rtt[0] = RTT;
    b->rttvar = RTT / 2;
    return c;
}

static void
write_segment(struct conn *c)
{
    kit_write(&k, c, MSS);
    const struct out_seg *o = kit_take(&k);
    cr_assert(o != NULL && o->len == MSS);
}

/* With no more than the two runs that are promised, segments share one, and its time is that of
 * the last: an ACK for the first of them is no round trip of that time, neither for the timeout
 * nor for RACK, which would take anything that is as old for lost. */
Test(tcp_sent, joined_times_are_no_round_trip)
{
    struct conn c = up();
    struct tcb *b = conn_tcb(&k, &c);
    uint32_t *used = runs_used(k.t, b), all = k.t->runs.extra;
    *used += all;
    write_segment(&c);
    k.now += NS_MS;
    write_segment(&c);
    k.now += 18 * NS_MS;
    write_segment(&c); /* the second and the third share a run */
    cr_assert_eq(b->sent.n, 2);
    k.now += NS_MS;
    conn_ack(&k, &c, AT(1));
    cr_assert_eq(rtt_min(b), RTT);
    k.now += NS_MS;
    conn_ack(&k, &c, AT(2)); /* 20 ms after it was sent, 2 ms after the third was */
    cr_expect_eq(rtt_min(b), RTT);
    cr_expect_eq(b->rack.rtt, RTT);
    *used -= all;
    cr_assert(tcp_validate(k.t));
}

/* A peer that says it has every second byte: the list stays short, and what goes again goes in
 * few segments, not in one a byte. */
Test(tcp_sent, single_bytes)
{
    struct conn c = up();
    const struct tcb *b = conn_tcb(&k, &c);
    for (unsigned i = 0; i < 10; i++)
        write_segment(&c);
    k.now += RTT;
    for (uint32_t at = AT(1) + 1; at + 8 <= AT(9); at += 8) {
        uint32_t blocks[4][2];
        for (unsigned i = 0; i < 4; i++) {
            blocks[i][0] = at + 2 * i;
            blocks[i][1] = at + 2 * i + 1;
        }
        conn_sack(&k, &c, 1, 4, blocks);
        cr_assert_leq(b->sent.n, RUNS_SMALL + 1);
    }
    conn_sack(&k, &c, 1, 1, (uint32_t[][2]){{AT(9), AT(10)}});
    for (unsigned i = 0; i < 20; i++) /* each round trip what was sent in it is acknowledged */
        if (b->h.snd_una < AT(9)) {
            kit_wait(&k, RTT);
            conn_sack(&k, &c, min_u32(AT(i), AT(9)), 1, (uint32_t[][2]){{AT(9), AT(10)}});
        }
    unsigned n = 0;
    while (kit_take(&k) != NULL)
        n++;
    cr_assert_leq(n, 20 + RUNS_SMALL, "%u segments", n);
    cr_assert(tcp_validate(k.t));
}

/* Runs that are visited to find the first lost one, from where the search begins. */
static unsigned
visits(const struct tcb *b)
{
    const struct run *runs = k.t->runs.run;
    unsigned n = 1;
    for (uint32_t i = b->first_lost; i != RUN_NONE && !(runs[i].flags & RUN_LOST); n++)
        i = runs[i].next;
    return n;
}

/* Every second of hundreds of segments is lost. To send them again takes one walk along the
 * list, not one for each; also when some of it is acknowledged, SACKed or found lost meanwhile:
 * then what is found next is still the first. */
Test(tcp_sent, lost_runs_are_found_in_one_walk)
{
    struct conn c = up();
    struct tcb *b = conn_tcb(&k, &c);
    struct delivery d = {0};
    b->opt.nodelay = true;
    b->cc.cwnd = 100 * MSS;
    for (unsigned i = 0; i < 400; i++) {
        kit_write(&k, &c, 100);
        kit_drop(&k);
        k.t->now = ++k.now;
        if (i % 2 != 0)
            sent_sacked(k.t, b, 1 + i * 100, 101 + i * 100, &d);
    }
    for (unsigned round = 0; round < 2; round++) {
        unsigned walked = 0, again = 0;
        const struct run *r;
        sent_lost(k.t, b, 1, b->snd_nxt);
        cr_assert_eq(b->lost, 20000);
        while (walked += visits(b), (r = sent_first_lost(k.t, b)) != NULL) {
            cr_assert_eq(r->left, 1 + again++ * 200);
            k.t->now = ++k.now;
            sent_again(k.t, b, r->left, r->right);
            cr_assert(sent_valid(k.t, b));
        }
        cr_assert_eq(again, 200);
        cr_assert_leq(walked, 2 * 400 + 1, "round %u: %u runs", round, walked);
    }
    sent_lost(k.t, b, 20001, 30001);
    cr_assert_eq(sent_first_lost(k.t, b)->left, 20001);
    sent_lost(k.t, b, 10001, 10101); /* before it */
    cr_assert_eq(sent_first_lost(k.t, b)->left, 10001);
    sent_sacked(k.t, b, 10001, 10101, &d); /* joined to both its neighbours */
    cr_assert(sent_valid(k.t, b));
    cr_assert_eq(sent_first_lost(k.t, b)->left, 20001);
    for (uint32_t at = 20001; at < 20041; at += 20) { /* parts of it */
        sent_again(k.t, b, at, at + 20);
        cr_assert_eq(sent_first_lost(k.t, b)->left, at + 20);
        sent_sacked(k.t, b, at, at + 20, &d); /* the second is joined to the first */
        cr_assert(sent_valid(k.t, b));
        cr_assert_eq(sent_first_lost(k.t, b)->left, at + 20);
    }
    sent_again(k.t, b, 20041, 20051);
    b->h.snd_una = 20051;
    sent_acked(k.t, b, 20051, &d);
    cr_assert(sent_valid(k.t, b));
    cr_assert_eq(sent_first_lost(k.t, b)->left, 20051);
    sent_again(k.t, b, 20051, 20101);
    b->h.snd_una = 20101; /* what the search would begin at is gone */
    (void)sent_first_lost(k.t, b);
    sent_acked(k.t, b, 20101, &d);
    cr_assert(sent_valid(k.t, b));
    cr_assert_eq(sent_first_lost(k.t, b)->left, 20201);
    sent_forget(k.t, b);
    cr_assert_eq(b->first_lost, RUN_NONE);
}
