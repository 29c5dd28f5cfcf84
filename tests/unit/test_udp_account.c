/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an account does not allow, udp does not do.
 */
#include <errno.h>
#include <netinet/in.h>

#include "udp/udp_int.h"
#include "udp_test.h"

TestSuite(udp_account, .init = setup, .fini = finish);

static struct sess_limits limits;

static void
rules(void)
{
    limits.sessions = KIT_SLOTS - 1;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++)
        if (k.u->clients.c[i].used)
            udp_ops.client_limits(kit_transport(&k), i, &limits);
}

/* Protects: ports that are not named cannot be bound; one that the stack chooses needs no
 * rule. */
Test(udp_account, ports)
{
    account_rules_any(&limits.rules);
    limits.rules.port[0] = (struct port_range){53, 53};
    rules();
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, sess, 0, 54), EACCES);
    cr_assert_eq(kit_bind(&k, sess, 0, 53), 0);
    sess = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, sess, 0, 0), 0);
    cr_assert_eq(k.stats.account[0][ACCOUNT_STAT_denied_ports], 1);
}

/* Protects: nothing goes to a peer that is not named, connected or not, and nothing comes from
 * one that is neither named nor accepted; whom it may send to may answer. */
Test(udp_account, peers)
{
    struct account_denial d;
    struct dgram_head h;
    account_rules_any(&limits.rules);
    limits.rules.peer[0] = (struct peer_rule){ipaddr_v4_u32(KIT_PEER), 128, {7, 7}};
    limits.rules.n_accept = 0;
    rules();
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, sess, 0, 4000), 0);
    kit_send(&k, 0, slot, KIT_PEER, 8, data, 10);
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0);
    cr_assert_eq(kit_get(&k, sess, SOL_SOCKET, SO_ERROR), EPERM);
    cr_assert(udp_ops.denial(kit_transport(&k), &d));
    cr_assert(d.rule == RULE_PEERS && d.port == 8 && d.proto == IPPROTO_UDP);
    cr_assert_eq(kit_connect(&k, sess, KIT_PEER, 8), EPERM);
    kit_send(&k, 0, slot, KIT_PEER, 7, data, 10);
    kit_op(&k, sess, REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 1);
    kit_done(&k);
    kit_feed(&k, 8, 4000, data, 5);
    cr_assert_lt(kit_recv(&k, 0, slot, &h, back, sizeof back), 0, "not accepted");
    cr_assert_eq(kit_stat(&k, STAT_drop_denied), 1);
    kit_feed(&k, 7, 4000, data, 5);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 5);
}

/* Protects: datagrams wait for the account's rate in their sender's memory, in order; two
 * sessions take turns; new rules let go of who waits; a session may be closed while it waits,
 * and what it wrote is still sent. */
Test(udp_account, rate)
{
    uint32_t slot[2], sess[2];
    account_rules_any(&limits.rules);
    limits.rules.packets = 100;
    rules();
    k.u->clients.account[0].packets = k.now + 640 * NS_MS; /* the bucket is empty */
    for (unsigned i = 0; i < 2; i++) {
        sess[i] = kit_open(&k, 0, &slot[i]);
        cr_assert_eq(kit_bind(&k, sess[i], 0, (uint16_t)(4000 + i)), 0);
        for (uint8_t n = 0; n < 20; n++)
            kit_send(&k, 0, slot[i], KIT_PEER, 7, &n, 1);
        kit_op(&k, sess[i], REQ_SEND);
    }
    unsigned n[2] = {0, 0};
    ns_t from = k.now;
    while (n[0] + n[1] < 20) {
        kit_step(&k, NULL, 0);
        cr_assert(udp_validate(k.u));
        for (unsigned i = 0; i < k.n_out; i++)
            n[k.out[i].sport - 4000]++;
        kit_done(&k);
        ns_t at = udp_deadline(k.u);
        cr_assert_neq(at, NS_NEVER, "somebody waits");
        if (at > k.now)
            k.now = at;
        cr_assert_lt(k.now, from + NS_S);
    }
    cr_assert_geq(k.now - from, 190 * NS_MS);
    cr_assert(n[0] >= 8 && n[1] >= 8, "%u and %u", n[0], n[1]);
    cr_assert_gt(k.stats.account[0][ACCOUNT_STAT_held], 0);
    kit_step(&k, NULL, 0);
    for (unsigned i = 0; i < k.n_out; i++)
        n[k.out[i].sport - 4000]++;
    kit_done(&k);
    limits.account = 5; /* another account, as slow: who waits must be found there */
    rules();
    k.u->clients.account[5].packets = k.now + 640 * NS_MS;
    kit_step(&k, NULL, 0);
    for (unsigned i = 0; i < k.n_out; i++)
        n[k.out[i].sport - 4000]++;
    kit_done(&k);
    cr_assert_eq(kit_op(&k, sess[0], REQ_CLOSE), 0);
    cr_assert(udp_validate(k.u));
    limits.account = 6;
    limits.rules.packets = RATE_ANY;
    rules();
    cr_assert(udp_validate(k.u));
    for (unsigned i = 0; i < 40; i++) {
        kit_step(&k, NULL, 0);
        for (unsigned o = 0; o < k.n_out; o++)
            n[k.out[o].sport - 4000]++;
        kit_done(&k);
    }
    cr_assert(n[0] == 20 && n[1] == 20, "%u and %u", n[0], n[1]);
    cr_assert_eq(udp_deadline(k.u), NS_NEVER);
}

/* Protects: the number of sessions is of all clients of the account. */
Test(udp_account, sessions)
{
    uint32_t slot;
    account_rules_any(&limits.rules);
    limits.rules.sessions = 2;
    rules();
    cr_assert_neq(kit_open(&k, 0, &slot), SESS_NONE);
    cr_assert_neq(kit_open(&k, 1, &slot), SESS_NONE);
    cr_assert_eq(kit_open(&k, 1, &slot), SESS_NONE);
    cr_assert_eq(kit_open(&k, 0, &slot), SESS_NONE);
    cr_assert_eq(k.stats.account[0][ACCOUNT_STAT_denied_sessions], 2);
}

static uint64_t
counted(uint32_t client, enum client_stat_id id)
{
    return k.stats.client[client][id];
}

/* Protects: what is dropped, refused and moved is counted for the client that it concerns and
 * for no other, and a domain that is started anew goes on counting. */
Test(udp_account, counters_are_of_the_guilty)
{
    uint32_t slot[2], sess[2];
    struct dgram_head h;
    account_rules_any(&limits.rules);
    limits.rules.port[0] = (struct port_range){1000, 2000};
    rules();
    for (unsigned i = 0; i < 2; i++) {
        sess[i] = kit_open(&k, i, &slot[i]);
        cr_assert_eq(kit_bind(&k, sess[i], 0, (uint16_t)(1000 + i)), 0);
    }
    cr_assert_eq(kit_set(&k, sess[0], SOL_SOCKET, SO_RCVBUF, 10000), 0);
    for (unsigned i = 0; i < 20; i++) { /* the first does not read */
        kit_feed(&k, 1, 1000, data, 1000);
        kit_feed(&k, 1, 1001, data, 1000);
        cr_assert_eq(kit_recv(&k, 1, slot[1], &h, back, sizeof back), 1000);
    }
    cr_assert_eq(counted(0, CLIENT_STAT_drop_full), 11);
    cr_assert_eq(counted(0, CLIENT_STAT_received_packets), 9);
    cr_assert_eq(counted(1, CLIENT_STAT_received_packets), 20);
    cr_assert_eq(counted(1, CLIENT_STAT_received_bytes), 20 * 1028);
    kit_send(&k, 1, slot[1], KIT_PEER, 7, data, 100);
    kit_op(&k, sess[1], REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.out[0].client, 1 + 1, "ip is told whose it is");
    kit_done(&k);
    cr_assert_eq(counted(1, CLIENT_STAT_sent_packets), 1);
    cr_assert_eq(counted(1, CLIENT_STAT_sent_bytes), 128);
    kit_send(&k, 0, slot[0], KIT_PEER, 0, data, 100); /* no port has that number */
    kit_op(&k, sess[0], REQ_SEND);
    kit_step(&k, NULL, 0);
    cr_assert_eq(counted(0, CLIENT_STAT_drop_send), 1);
    cr_assert_eq(counted(0, CLIENT_STAT_sent_packets), 0);
    cr_assert_eq(kit_bind(&k, kit_open(&k, 0, &slot[0]), 0, 999), EACCES);
    cr_assert_eq(counted(0, CLIENT_STAT_denied), 1);
    for (unsigned id = 0; id < CLIENT_STAT_COUNT; id++)
        if (id < CLIENT_STAT_sent_packets || id > CLIENT_STAT_received_bytes)
            cr_assert_eq(counted(1, id), 0, "%u", id);
    kit_crash(&k);
    cr_assert_eq(kit_attach(&k, 1), 0);
    kit_feed(&k, 1, 1001, data, 1000);
    cr_assert_eq(counted(1, CLIENT_STAT_received_packets), 21);
}
