/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Options of listeners: TCP_DEFER_ACCEPT and SO_REUSEPORT.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

static void
deferred_syn(struct conn *c)
{
    *c = conn_default();
    kit_init(&k);
    kit_set(&k, kit_listen(&k, KIT_PORT, 5, NULL), IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
    conn_syn(&k, c, 0);
    conn_ack(&k, c, 1);
}

/* TCP_DEFER_ACCEPT: the program hears of a connection when there is something to read. */
Test(tcp_listen, defer_accept_data)
{
    struct conn c;
    struct sess_evt e;
    deferred_syn(&c);
    cr_assert_not(kit_event(&k, 0, &e));
    kit_wait(&k, NS_S + NS_MS * 500);
    EXPECT_NONE(&k); /* the peer's ACK was heard: no SYN-ACK again */
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert(conn_accepted(&k, &c));
    cr_assert_eq(kit_readable(&k, &c), 10);
    cr_assert_eq(conn_tcb(&k, &c)->cc.cwnd, 10u * 1460, "no SYN was lost");
    cr_assert(tcp_validate(k.t));
}

/* When it takes too long the peer is asked once more, and then believed; else forgotten. */
Test(tcp_listen, defer_accept_timeout)
{
    struct conn c;
    struct sess_evt e;
    deferred_syn(&c);
    cr_assert_eq(kit_until_sent(&k, 10 * NS_S) / NS_S, 3);
    EXPECT_SEG(&k, &c, TCP_SYN | TCP_ACK, 0, 1, 0);
    conn_ack(&k, &c, 1);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_ACCEPT);
    kit_end(&k);
    deferred_syn(&c);
    kit_wait(&k, 100 * NS_S);
    cr_assert_not(kit_event(&k, 0, &e));
    cr_assert_eq(tcp_sessions(k.t), 1, "only the listener is left");
    cr_assert(tcp_validate(k.t));
}

/* SO_REUSEPORT: listeners of one user share a port; each connection has its listener, as if by
 * lot; who closes is not asked any more. */
Test(tcp_listen, reuseport)
{
    uint32_t slot, s[4];
    kit_init(&k);
    for (unsigned i = 0; i < 4; i++) {
        s[i] = kit_open(&k, i == 3, &slot);
        kit_set(&k, s[i], SOL_SOCKET, SO_REUSEPORT, i != 2);
    }
    cr_assert_eq(kit_bind(&k, s[0], 0, KIT_PORT), 0);
    cr_assert_eq(kit_do(&k, s[0], REQ_LISTEN, 200), 0);
    cr_assert_eq(kit_bind(&k, s[1], 0, KIT_PORT), 0);
    cr_assert_eq(kit_bind(&k, s[2], 0, KIT_PORT), EADDRINUSE, "it does not say so");
    k.t->clients->c[1].limits.uid = 77;
    cr_assert_eq(kit_bind(&k, s[3], 0, KIT_PORT), EADDRINUSE, "another user");
    k.t->clients->c[1].limits.uid = 0;
    cr_assert_eq(kit_bind(&k, s[3], 0, KIT_PORT), 0);
    cr_assert_eq(kit_do(&k, s[1], REQ_LISTEN, 200), 0);
    cr_assert_eq(kit_do(&k, s[3], REQ_LISTEN, 200), 0);

    const struct ipaddr own = ipaddr_v4_u32(KIT_OWN), from = ipaddr_v4_u32(KIT_PEER);
    unsigned n[4] = {0};
    for (uint16_t p = 1000; p < 4000; p++) {
        struct tcb *l = demux_listener(k.t, &own, KIT_PORT, &from, p);
        cr_assert_eq(l, demux_listener(k.t, &own, KIT_PORT, &from, p), "always the same");
        for (unsigned i = 0; i < 4; i++)
            n[i] += l == &k.t->tcb[s[i]];
    }
    cr_assert(n[0] > 800 && n[1] > 800 && n[3] > 800 && n[2] == 0, "%u %u %u", n[0], n[1],
              n[3]);
    kit_do(&k, s[0], REQ_CLOSE, 0);
    kit_do(&k, s[3], REQ_SHUTDOWN, SHUT_RDWR);
    for (uint16_t p = 1000; p < 1100; p++)
        cr_assert_eq(demux_listener(k.t, &own, KIT_PORT, &from, p), &k.t->tcb[s[1]]);
    cr_assert(tcp_validate(k.t));
}

/* A port that is chosen for a program is its own, shared or not (as Linux). */
Test(tcp_listen, reuseport_ephemeral)
{
    uint32_t slot, s[2];
    struct sess_evt e[2];
    kit_init(&k);
    s[0] = kit_open(&k, 0, &slot);
    s[1] = kit_open(&k, 0, &slot);
    for (unsigned i = 0; i < 2; i++)
        kit_set(&k, s[i], SOL_SOCKET, SO_REUSEPORT, 1);
    for (uint32_t p = EPHEMERAL_FIRST; p <= EPHEMERAL_LAST; p++)
        portset_put(&k.t->taken, p, p != 40000); /* all others are in use */
    cr_assert_eq(kit_request(&k, s[0], (struct sess_req){.op = REQ_BIND}, &e[0]), 0);
    cr_assert_eq(e[0].port, 40000);
    cr_assert_eq(kit_request(&k, s[1], (struct sess_req){.op = REQ_BIND}, &e[1]), EADDRINUSE);
    cr_assert_eq(kit_bind(&k, s[1], 0, 40000), 0, "but it can be asked for");
}

/* One that is bound to the address itself is asked before those of any address. */
Test(tcp_listen, reuseport_and_address)
{
    uint32_t slot, s[3];
    kit_init(&k);
    for (unsigned i = 0; i < 3; i++) {
        s[i] = kit_open(&k, 0, &slot);
        kit_set(&k, s[i], SOL_SOCKET, SO_REUSEPORT, 1);
        cr_assert_eq(kit_bind(&k, s[i], i == 1 ? KIT_OWN : 0, KIT_PORT), 0);
        cr_assert_eq(kit_do(&k, s[i], REQ_LISTEN, 5), 0);
    }
    const struct ipaddr own = ipaddr_v4_u32(KIT_OWN), from = ipaddr_v4_u32(KIT_PEER);
    for (uint16_t p = 1; p < 100; p++)
        cr_assert_eq(demux_listener(k.t, &own, KIT_PORT, &from, p), &k.t->tcb[s[1]]);
}

/* Who closes a listener pays for what is in its queue, and nobody looks at other sessions for
 * it. */
Test(tcp_listen, closing_is_charged)
{
    struct conn c = conn_default();
    kit_init(&k);
    uint32_t slot, l = kit_listen(&k, KIT_PORT, 5, NULL);
    for (unsigned i = 0; i < 4; i++)
        (void)kit_open(&k, 1, &slot);
    conn_syn(&k, &c, 0);
    kit_do(&k, l, REQ_CLOSE, 0);
    cr_assert_eq(k.t->steps, 1);
    kit_do(&k, kit_listen(&k, KIT_PORT + 1, 5, NULL), REQ_CLOSE, 0);
    cr_assert_eq(k.t->steps, 0, "there is nothing to look for");
}
