/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A UDP session that was handed on. Protects: what it is it stays, what is done with it is the
 * taker's account's; a right that was not given is not had by writing into the arena, and
 * cursors that cannot be are not believed.
 */
#include <errno.h>
#include <netinet/in.h>

#include "udp/udp_int.h"
#include "session/pace.h"
#include "udp_test.h"

#define GIVER 0
#define TAKER 1
#define PORT 53

TestSuite(udp_given, .init = setup, .fini = finish);

static uint32_t sess, slot, steps;

/* A session bound to PORT passes to the client TAKER, whose account is `limits`. */
static int
hand_over(struct sess_limits *limits, uint32_t deny, unsigned datagrams)
{
    struct sess_redeem got;
    uint64_t token[2];
    limits->account = 1;
    limits->sessions = KIT_SLOTS - 1;
    udp_ops.client_limits(kit_transport(&k), TAKER, limits);
    sess = kit_open(&k, GIVER, &slot);
    cr_assert_eq(kit_bind(&k, sess, 0, PORT), 0);
    for (unsigned i = 0; i < datagrams; i++)
        kit_feed(&k, 7, PORT, data, 100);
    cr_assert_eq(udp_ops.delegate(kit_transport(&k), sess, 77, k.now, token), 0);
    cr_assert_eq(udp_ops.token(kit_transport(&k), sess, token, TAKER, k.now, &got), 0);
    int err;
    do
        err = udp_ops.redeem(kit_transport(&k), sess, TAKER, 77, deny, k.now, &got);
    while (err == EINPROGRESS);
    slot = got.slot;
    steps = got.steps;
    return err;
}

Test(udp_given, the_takers_account)
{
    struct sess_limits limits;
    struct dgram_head h;
    account_rules_any(&limits.rules);
    limits.rules.n_ports = limits.rules.n_accept = 0;
    limits.rules.peer[0] = (struct peer_rule){ipaddr_v4_u32(KIT_PEER), 128, {7, 7}};
    cr_assert_eq(hand_over(&limits, 0, 0), 0);
    kit_feed(&k, 8, PORT, data, 5);
    cr_assert_lt(kit_recv(&k, TAKER, slot, &h, back, sizeof back), 0, "not accepted");
    kit_feed(&k, 7, PORT, data, 5);
    cr_assert_eq(kit_recv(&k, TAKER, slot, &h, back, sizeof back), 5, "it is bound");
    kit_send(&k, TAKER, slot, KIT_PEER, 8, data, 10);
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0, "no peer of the taker's");
    kit_send(&k, TAKER, slot, KIT_PEER, 7, data, 10);
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 1);
    kit_done(&k);
    cr_assert_eq(k.stats.account[1][RULE_PORTS], 0);
}

/* Who takes it pays for the copying. */
Test(udp_given, bytes_are_counted)
{
    struct sess_limits limits;
    account_rules_any(&limits.rules);
    cr_assert_eq(hand_over(&limits, 0, 0), 0);
    cr_assert_eq(steps, 0, "%u", steps);
    cr_assert_eq(kit_op(&k, sess, REQ_CLOSE), 0);
    cr_assert_eq(hand_over(&limits, 0, 20), 0);
    cr_assert_geq(steps, 20 * 100 / PACE_STEP_BYTES, "%u", steps);
}

Test(udp_given, no_more_sessions)
{
    struct sess_limits limits;
    account_rules_any(&limits.rules);
    limits.rules.sessions = 0;
    cr_assert_eq(hand_over(&limits, 0, 0), EMFILE);
}

Test(udp_given, not_to_be_sent)
{
    struct sess_limits limits;
    account_rules_any(&limits.rules);
    cr_assert_eq(hand_over(&limits, SESS_DENY_SEND, 0), 0);
    kit_send(&k, TAKER, slot, KIT_PEER, 7, data, 10);
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0);
    kit_crash(&k); /* then every session is looked at, without a request */
    cr_assert_eq(kit_attach(&k, GIVER), 0);
    cr_assert_eq(kit_attach(&k, TAKER), 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0, "sent after a crash");
    cr_assert_eq(kit_op(&k, sess, REQ_CLOSE), 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0, "sent when it was closed");
}

Test(udp_given, not_to_be_read)
{
    struct sess_limits limits;
    account_rules_any(&limits.rules);
    cr_assert_eq(hand_over(&limits, SESS_DENY_RECEIVE, 3), 0);
    const struct client *c = clients_get(&k.u->clients, TAKER);
    uint32_t pages = c->pages.n_free;
    struct slot_client *own = &k.arena[TAKER].c_slot[slot];
    atomic_store(&own->rx_head, atomic_load(&k.arena[TAKER].d_slot[slot].rx_tail));
    kit_op(&k, sess, REQ_CONSUMED);
    kit_feed(&k, 7, PORT, data, 4000);
    cr_assert_leq(c->pages.n_free, pages, "what it says it read went back");
    cr_assert_eq(k.u->sess[sess].rx_head, 0);
}
