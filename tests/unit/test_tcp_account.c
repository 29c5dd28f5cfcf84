/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an account does not allow, tcp does not do: ports, peers, congestion controls, numbers
 * of sessions and rates, over all clients of the account.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "tcp_kit.h"

static struct kit k;

/* Both clients of the kit belong to the same account. */
static struct account_rules *
begin(void)
{
    kit_prepare(&k);
    return &k.limits.rules;
}

static unsigned
denied(enum account_rule rule)
{
    return (unsigned)k.stats.account[0][rule];
}

/* Protects: a port that is not named cannot be bound, one that is can; one that the stack
 * chooses needs no rule; and to listen is asked about by itself. */
Test(tcp_account, ports)
{
    struct account_denial d;
    uint32_t slot;
    struct account_rules *r = begin();
    r->n_ports = r->n_listen = 1;
    r->port[0] = (struct port_range){80, 90};
    r->listen[0] = (struct port_range){85, 85};
    kit_start(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, s, 0, 79), EACCES);
    cr_assert_eq(kit_bind(&k, s, 0, 91), EACCES);
    cr_assert_eq(denied(RULE_PORTS), 2);
    cr_assert(tcp_ops.denial((struct transport *)(void *)k.t, &d));
    cr_assert(d.rule == RULE_PORTS && d.port == 79 && d.client == 0 && d.proto == IPPROTO_TCP);
    cr_assert_eq(kit_bind(&k, s, 0, 80), 0);
    cr_assert_eq(kit_do(&k, s, REQ_LISTEN, 5), EACCES);
    cr_assert_eq(denied(RULE_LISTEN), 1);
    cr_assert_eq(conn_state(&k, &(struct conn){.sess = s}), TCPS_CLOSED);
    s = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, s, 0, 85), 0);
    cr_assert_eq(kit_do(&k, s, REQ_LISTEN, 5), 0);
    s = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, s, 0, 0), 0, "the stack chooses");
    cr_assert_eq(kit_do(&k, s, REQ_LISTEN, 5), EACCES);
    s = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_do(&k, s, REQ_LISTEN, 5), EACCES, "not even without bind");
    cr_assert(tcp_validate(k.t));
    kit_end(&k);
}

/* Protects: whom no rule names gets no SYN, and his own is as if nobody was there: no answer,
 * also none to a guess at a cookie. */
Test(tcp_account, peers)
{
    uint32_t slot;
    struct conn c = conn_default();
    struct account_rules *r = begin();
    r->n_peers = r->n_accept = 1;
    r->peer[0] = (struct peer_rule){ipaddr_v4_u32(KIT_PEER), 128, {80, 80}};
    r->accept[0] = (struct peer_rule){ipaddr_v4_u32(KIT_PEER + 1), 128, {0, UINT16_MAX}};
    kit_start(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, 81), EPERM);
    cr_assert_eq(kit_connect(&k, s, KIT_PEER + 1, 80), EPERM);
    kit_step(&k, NULL, 0);
    EXPECT_NONE(&k);
    cr_assert_eq(denied(RULE_PEERS), 2);
    cr_assert_eq(kit_connect(&k, s, KIT_PEER, 80), 0, "the session is as good as before");
    kit_step(&k, NULL, 0);
    cr_assert_eq(kit_pending(&k), 1);
    kit_drop(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    conn_raw(&k, &c, TCP_ACK, 1, 1, NULL, 0);
    EXPECT_NONE(&k);
    cr_assert_eq(denied(RULE_ACCEPT), 2);
    cr_assert_eq(kit_stat(&k, STAT_drop_denied), 2);
    r->accept[0].net = ipaddr_v4_u32(KIT_PEER);
    tcp_ops.client_limits((struct transport *)(void *)k.t, 0, &k.limits);
    cr_assert(conn_accept(&k, &c), "new rules hold at once");
    cr_assert(tcp_validate(k.t));
    kit_end(&k);
}

/* Protects: sessions and handshakes are counted over all clients of the account, through a
 * crash too, and given back. */
Test(tcp_account, numbers_are_of_all_clients)
{
    uint32_t slot, s[4];
    struct account_rules *r = begin();
    r->sessions = 3;
    kit_start(&k);
    s[0] = kit_open(&k, 0, &slot);
    s[1] = kit_open(&k, 1, &slot);
    s[2] = kit_open(&k, 0, &slot);
    cr_assert_neq(s[2], SESS_NONE);
    cr_assert_eq(kit_open(&k, 1, &slot), SESS_NONE);
    cr_assert_eq(kit_open(&k, 0, &slot), SESS_NONE);
    cr_assert_eq(denied(RULE_SESSIONS), 2);
    kit_restart(&k);
    cr_assert(tcp_validate(k.t));
    cr_assert_eq(kit_open(&k, 1, &slot), SESS_NONE, "after a crash too");
    tcp_ops.client_gone((struct transport *)(void *)k.t, 0, k.now);
    tcp_ops.client_remove((struct transport *)(void *)k.t, 0);
    cr_assert_eq(k.t->clients->account[0].n_sessions, 1);
    cr_assert_neq(kit_open(&k, 1, &slot), SESS_NONE);
    cr_assert(tcp_validate(k.t));
    kit_end(&k);

    struct conn c = conn_default();
    r = begin();
    k.limits.half_open = 100;
    r->half_open = 3;
    k.cfg.cookies = TCP_COOKIES_OFF;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 100, NULL);
    uint32_t l = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, l, 0, KIT_PORT + 1), 0);
    cr_assert_eq(kit_do(&k, l, REQ_LISTEN, 100), 0);
    for (uint16_t i = 0; i < 8; i++) {
        c.rport = (uint16_t)(KIT_RPORT + i);
        c.lport = (uint16_t)(KIT_PORT + i % 2);
        conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    }
    cr_assert_eq(kit_pending(&k), 3);
    cr_assert_eq(denied(RULE_HALF_OPEN), 5);
    cr_assert(tcp_validate(k.t));
    kit_end(&k);
}

/* Protects: attempts beyond the rate get EAGAIN, from whichever client, and a later one goes;
 * what was refused costs nothing. */
Test(tcp_account, attempts)
{
    uint32_t slot, s[4];
    struct account_rules *r = begin();
    r->connects = 1;
    r->connects_burst = 2;
    kit_start(&k);
    for (unsigned i = 0; i < 4; i++)
        s[i] = kit_open(&k, i % 2, &slot);
    cr_assert_eq(kit_connect(&k, s[0], KIT_PEER, 80), 0);
    cr_assert_eq(kit_connect(&k, s[1], KIT_PEER, 80), 0);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(kit_connect(&k, s[2 + i % 2], KIT_PEER, 80), EAGAIN);
    cr_assert_eq(denied(RULE_CONNECTS), 50);
    kit_wait(&k, NS_S);
    cr_assert_eq(kit_connect(&k, s[2], KIT_PEER, 80), 0);
    cr_assert_eq(kit_connect(&k, s[3], KIT_PEER, 80), EAGAIN);
    kit_end(&k);
}

/* Protects: a congestion control that is not named cannot be chosen, and is not the one that a
 * session begins with. */
Test(tcp_account, congestion)
{
    uint64_t vegas = 0, reno = 0;
    uint32_t slot;
    memcpy(&vegas, "vegas", 5);
    memcpy(&reno, "reno", 4);
    struct account_rules *r = begin();
    k.cfg.congestion = CC_CUBIC;
    r->congestion = 1u << CC_RENO;
    r->first = CC_RENO;
    kit_start(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    cr_assert_eq(k.t->tcb[s].opt.congestion, CC_RENO);
    cr_assert_eq(kit_set(&k, s, IPPROTO_TCP, TCP_CONGESTION, vegas), EPERM);
    cr_assert_eq(kit_set(&k, s, IPPROTO_TCP, TCP_CONGESTION, reno), 0);
    cr_assert_eq(denied(RULE_CONGESTION), 1);
    r->congestion = 0;
    tcp_ops.client_limits((struct transport *)(void *)k.t, 0, &k.limits);
    s = kit_open(&k, 0, &slot);
    cr_assert_eq(k.t->tcb[s].opt.congestion, CC_CUBIC, "the default");
    cr_assert_eq(kit_set(&k, s, IPPROTO_TCP, TCP_CONGESTION, reno), EPERM);
    kit_end(&k);
}

/* Bytes of data that were sent in this time; every segment is acknowledged at once. */
static uint32_t
sent_in(struct conn *c, ns_t time)
{
    uint32_t bytes = 0;
    const struct out_seg *o;
    for (ns_t end = k.now + time; k.now < end;) {
        kit_wait(&k, NS_MS);
        uint32_t rcv = c->rcv;
        while ((o = kit_take(&k)) != NULL) {
            bytes += o->len;
            rcv += o->len;
        }
        kit_done(&k);
        if (rcv != c->rcv)
            conn_ack(&k, c, rcv);
    }
    return bytes;
}

/* Protects: data waits for the account's bandwidth, and is sent, not dropped; a change of the
 * rate is followed by the session that runs; and without work nothing is due. */
Test(tcp_account, bandwidth)
{
    struct conn c = conn_default();
    struct account_rules *r = begin();
    r->bytes = 100000;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    cr_assert(conn_accept(&k, &c));
    kit_drop(&k);
    uint32_t bytes = 0;
    for (unsigned i = 0; i < 10; i++) {
        kit_write(&k, &c, 20000);
        bytes += sent_in(&c, 500 * NS_MS);
    }
    /* 100000 bytes a second for 5 s, and the burst, less headers */
    cr_assert(bytes >= 200000 - 60000, "the write end was the bound: %u", bytes);
    k.limits.rules.bytes = 20000;
    for (unsigned i = 0; i < 2; i++)
        tcp_ops.client_limits((struct transport *)(void *)k.t, i, &k.limits);
    sent_in(&c, 10 * NS_S); /* what was allowed at once before is used up, or not */
    kit_write(&k, &c, 60000);
    k.t->clients->account[0].bytes = k.now + 10 * NS_S; /* the bucket is empty */
    bytes = sent_in(&c, NS_S);
    cr_assert(bytes <= 20000, "%u", bytes);
    cr_assert_gt(k.stats.account[0][ACCOUNT_STAT_held], 0);
    bytes += sent_in(&c, 20 * NS_S);
    cr_assert_eq(bytes, 60000, "%u: all of it in the end", bytes);
    cr_assert(tcp_validate(k.t));
    cr_assert_gt(tcp_deadline(k.t), k.now, "nothing is due");

    k.t->clients->account[0].bytes = k.now + 100 * NS_S;
    kit_write(&k, &c, 10000);
    cr_assert_eq(sent_in(&c, NS_S), 0);
    k.limits.rules.bytes = RATE_ANY;
    tcp_ops.client_limits((struct transport *)(void *)k.t, 0, &k.limits);
    cr_assert_eq(sent_in(&c, NS_S), 10000, "who waited for the old rate asks again");
    kit_end(&k);
}

/* Protects: two clients of one account share its packets, in turn: neither is starved, and
 * together they have no more than the account may. */
Test(tcp_account, two_sessions_share_the_rate)
{
    struct conn c[2];
    struct account_rules *r = begin();
    r->packets = 100;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    for (unsigned i = 0; i < 2; i++) {
        c[i] = conn_peer(i);
        cr_assert(conn_accept(&k, &c[i]));
    }
    kit_drop(&k);
    k.t->clients->account[0].packets = k.now + 640 * NS_MS; /* the bucket is empty */
    for (unsigned i = 0; i < 2; i++)
        kit_write(&k, &c[i], 10 * 1460);
    unsigned n[2] = {0, 0};
    const struct out_seg *o;
    ns_t from = k.now;
    while (n[0] + n[1] < 20 && k.now < from + 5 * NS_S) {
        kit_wait(&k, NS_MS);
        while ((o = kit_take(&k)) != NULL)
            if (o->len != 0)
                n[o->h.dport == c[1].rport]++;
        unsigned ahead = n[0] > n[1] ? n[0] - n[1] : n[1] - n[0];
        cr_assert_leq(ahead, 2, "%u and %u", n[0], n[1]);
        kit_done(&k);
    }
    cr_assert_eq(n[0] + n[1], 20);
    cr_assert_geq(k.now - from, 180 * NS_MS);
    cr_assert_leq(k.now - from, 300 * NS_MS);
    kit_end(&k);
}

/* Protects: a connection for which its listener has no room is counted for the listener's
 * client, and so are bytes for which its client has no page; the other client has nothing to
 * do with it. */
Test(tcp_account, counters_are_of_the_guilty)
{
    struct conn c = conn_default();
    begin();
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 4, NULL);
    const struct out_seg *o = conn_syn(&k, &c, 0);
    cr_assert_not_null(o);
    cr_assert_eq(o->p.client, 0 + 1, "ip is told whose it is");
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    uint64_t before = k.stats.client[0][CLIENT_STAT_received_packets];
    cr_assert_geq(before, 2, "%llu", (unsigned long long)before);
    conn_send(&k, &c, TCP_ACK, 100);
    cr_assert_eq(k.stats.client[0][CLIENT_STAT_received_packets], before + 1);
    cr_assert_geq(k.stats.client[0][CLIENT_STAT_received_bytes], 140);
    struct client *cl = &k.t->clients->c[0];
    uint32_t kept = cl->pages.n_free;
    cl->pages.n_free = 0;
    for (unsigned i = 0; i < 5; i++) /* past the page that it has */
        conn_send(&k, &c, TCP_ACK, 1000);
    cr_assert_geq(k.stats.client[0][CLIENT_STAT_drop_full], 1);
    cl->pages.n_free = kept;
    cr_assert_eq(k.stats.client[0][CLIENT_STAT_drop_listen], 0);
    k.t->cfg.cookies = TCP_COOKIES_OFF;
    for (unsigned i = 1; i < 100; i++) {
        struct conn d = conn_peer(i);
        (void)conn_syn(&k, &d, 0);
    }
    cr_assert_gt(kit_stat(&k, STAT_tcp_drop_syn_backlog), 0);
    cr_assert_eq(k.stats.client[0][CLIENT_STAT_drop_listen],
                 kit_stat(&k, STAT_tcp_drop_syn_backlog));
    for (unsigned id = 0; id < CLIENT_STAT_COUNT; id++)
        cr_assert_eq(k.stats.client[1][id], 0, "%u", id);
    kit_end(&k);
}
