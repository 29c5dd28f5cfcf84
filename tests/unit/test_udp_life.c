/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP: sessions and clients from their beginning to their end: events, closing, limits, death
 * and restart; options.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "udp_test.h"

TestSuite(udp_life, .init = setup, .fini = finish);

/* Protects the arming protocol: one event a generation, only while the condition holds, none
 * unasked. */
Test(udp_life, events)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct slot_client *c = &k.arena[0].c_slot[slot];
    struct dgram_head h;
    struct sess_evt e;
    kit_bind(&k, sess, 0, 53);
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(!udp_ops.next_event(kit_transport(&k), 0, &e), "not armed");
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 5);
    c->arm = 1u << 2 | SLOT_READ;
    kit_feed(&k, 1, 53, data, 5);
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(kit_only_event(&k, 0, EVT_READY, slot));
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(!udp_ops.next_event(kit_transport(&k), 0, &e), "once a generation");
    c->arm = 2u << 2 | SLOT_READ;
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(kit_only_event(&k, 0, EVT_READY, slot));
    c->arm = 3u << 2 | SLOT_WRITE;
    kit_feed(&k, 1, 53, data, 5);
    cr_assert(kit_only_event(&k, 0, EVT_READY, slot), "there is room to write");
}

/* Protects shutdown and close: what was written before close is still sent, the slot is told
 * free, and is used again only when the client let go. */
Test(udp_life, close)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct sess_evt e;
    struct slot_domain *d = &k.arena[0].d_slot[slot];
    struct sess_req shut = {.op = REQ_SHUTDOWN, .value = SHUT_WR};
    cr_assert_eq(kit_request(&k, sess, shut, NULL), ENOTCONN);
    kit_connect(&k, sess, KIT_PEER, 9);
    shut.value = SHUT_RD;
    cr_assert_eq(kit_request(&k, sess, shut, NULL), 0);
    cr_assert_eq(d->state, SLOT_OPEN | SLOT_CONNECTED | SLOT_EOF | SLOT_NOSEND);
    shut.value = 3;
    cr_assert_eq(kit_request(&k, sess, shut, NULL), EINVAL);
    for (int i = 0; i < 70; i++)
        kit_send(&k, 0, slot, 0, 0, data, 100);
    cr_assert_eq(kit_op(&k, sess, REQ_CLOSE), 0);
    kit_send(&k, 0, slot, 0, 0, data, 100); /* after close: not sent */
    cr_assert_eq(kit_op(&k, sess, REQ_SEND), EBADF);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 64);
    cr_assert(!udp_ops.next_event(kit_transport(&k), 0, &e), "not over yet");
    kit_done(&k);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 6);
    cr_assert(udp_ops.next_event(kit_transport(&k), 0, &e) && e.kind == EVT_FREED &&
              e.slot == slot && e.cookie == sess);
    cr_assert_eq(udp_sessions(k.u), 1);
    cr_assert(d->state & SLOT_OPEN);
    cr_assert_eq(kit_op(&k, sess, REQ_RELEASED), 0);
    cr_assert_eq(kit_op(&k, sess, REQ_RELEASED), EBADF);
    cr_assert(udp_sessions(k.u) == 0 && d->state == 0);
    kit_done(&k);
}

/* Protects the only datagram of a socket that was never bound, and is closed behind it. */
Test(udp_life, close_behind_the_first_datagram)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    kit_send(&k, 0, slot, KIT_PEER, 9, data, 100);
    cr_assert_eq(kit_op(&k, sess, REQ_CLOSE), 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 1);
    kit_done(&k);
    cr_assert(kit_only_event(&k, 0, EVT_FREED, slot));
    cr_assert_eq(kit_op(&k, sess, REQ_RELEASED), 0);
    cr_assert_eq(udp_sessions(k.u), 0);
}

/* Protects the others from what a dead client leaves: a transmit queue of which it said that it
 * reaches further than its buffer, with nothing in it. It is not sent, and the session ends. */
Test(udp_life, close_with_a_queue_that_cannot_be)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    kit_connect(&k, sess, KIT_PEER, 9);
    k.arena[0].c_slot[slot].tx_tail = FIFO_MAX;
    udp_ops.client_gone(kit_transport(&k), 0, k.now);
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.n_out, 0);
    cr_assert(udp_ops.client_idle(kit_transport(&k), 0));
    cr_assert_eq(udp_sessions(k.u), 0);
}

/* Protects the limits: of the client, and of the store. */
Test(udp_life, limits)
{
    uint32_t slot, sess;
    for (unsigned i = 0; i < KIT_SLOTS - 1; i++)
        cr_assert_neq(kit_open(&k, 0, &slot), SESS_NONE);
    cr_assert_eq(udp_ops.open(kit_transport(&k), 0, &kit_grant, &sess, &slot), EMFILE);
    for (unsigned i = 0; i < KIT_SESSIONS - (KIT_SLOTS - 1); i++)
        cr_assert_neq(kit_open(&k, 1, &slot), SESS_NONE);
    cr_assert_eq(udp_ops.open(kit_transport(&k), 1, &kit_grant, &sess, &slot), ENFILE);
    cr_assert_eq(kit_attach(&k, 0), EEXIST);
}

/* Protects against a dead client: its queue is sent, its ports are free, its arena is let go
 * when nothing needs it. */
Test(udp_life, client_dies)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot), idle = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, idle, 0, 53), 0);
    uint32_t s2 = kit_open(&k, 0, &slot);
    kit_op(&k, s2, REQ_CLOSE); /* waits for a release that never comes */
    kit_connect(&k, sess, KIT_PEER, 9);
    kit_send(&k, 0, 0, 0, 0, data, 10);
    udp_ops.client_gone(kit_transport(&k), 0, k.now);
    cr_assert(!udp_ops.client_idle(kit_transport(&k), 0));
    uint32_t mine = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, mine, 0, 53), 0);
    cr_assert_eq(kit_open(&k, 0, &slot), SESS_NONE);
    kit_step(&k, NULL, 0);
    cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 18);
    cr_assert(udp_ops.client_idle(kit_transport(&k), 0));
    cr_assert_eq(udp_clients_ready(k.u)[0] & 1, 0);
    udp_ops.client_remove(kit_transport(&k), 0);
    memset((void *)k.arena[0].d_head, 0, arena_domain_bytes(&k.arena[0].g));
    cr_assert_eq(kit_attach(&k, 0), 0);
    cr_assert_eq(udp_sessions(k.u), 1);
    kit_done(&k);
}

/* Protects a restart: sessions, ports, peers, queued datagrams and slots are there again, and
 * frames that were out come back in the end. */
Test(udp_life, restart)
{
    uint32_t slot, con, closed, sess = kit_open(&k, 0, &slot);
    uint32_t peer = kit_open(&k, 1, &con), gone = kit_open(&k, 0, &closed);
    struct dgram_head h;
    struct sess_evt e;
    kit_bind(&k, sess, 0, 53);
    kit_connect(&k, peer, KIT_PEER, 9);
    kit_op(&k, gone, REQ_CLOSE);
    kit_feed(&k, 1, 53, data, 100);
    kit_send(&k, 1, con, 0, 0, data, 20);
    kit_op(&k, peer, REQ_SEND);
    kit_step(&k, NULL, 0);
    uint32_t out = k.out[0].addr;
    kit_send(&k, 1, con, 0, 0, data, 30); /* written, not yet sent */
    k.arena[0].c_slot[slot].arm = 7u << 2 | SLOT_READ;
    kit_crash(&k);
    kit_feed(&k, 1, 53, data, 5); /* too early: dropped, but not refused */
    cr_assert_eq(k.n_out, 0);
    cr_assert(kit_attach(&k, 0) == 0 && kit_attach(&k, 1) == 0);
    cr_assert(udp_validate(k.u) && udp_sessions(k.u) == 3);
    unsigned seen = 0;
    while (udp_ops.next_event(kit_transport(&k), 0, &e))
        seen |= 1u << e.kind;
    cr_assert_eq(seen, 1u << EVT_READY | 1u << EVT_FREED);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 100);
    kit_step(&k, NULL, 0);
    cr_assert_eq(kit_gather(&k, 0, back, sizeof back), 38);
    cr_assert_eq(k.out[0].dport, 9);
    kit_feed(&k, 1, 53, data, 6);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 6);
    uint32_t other = kit_open(&k, 1, &slot);
    cr_assert_eq(kit_bind(&k, other, 0, 53), EADDRINUSE);
    cr_assert_eq(udp_deadline(k.u), k.now + 10 * NS_S);
    k.now += 10 * NS_S;
    kit_step(&k, NULL, 0);
    cr_assert(!udp_tx_done(k.u, out), "given up, and taken back");
}

/* Protects against an arena that changed hands while the domain was down. */
Test(udp_life, restart_new_client)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    kit_bind(&k, sess, 0, 53);
    kit_crash(&k);
    memset((void *)k.arena[0].d_head, 0, arena_domain_bytes(&k.arena[0].g));
    cr_assert_eq(kit_attach(&k, 0), 0);
    cr_assert_eq(udp_sessions(k.u), 0);
    uint32_t fresh = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_bind(&k, fresh, 0, 53), 0);
    kit_crash(&k);
    udp_ops.client_gone(kit_transport(&k), 0, k.now); /* died while we did */
    cr_assert_eq(udp_sessions(k.u), 0);
}

/* Protects the options: what was set is told, what has no effect is refused. */
Test(udp_life, options)
{
    uint32_t slot, s = kit_open(&k, 0, &slot);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_DOMAIN), AF_INET);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ACCEPTCONN), 0);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_TTL), 64);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_WANT);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, 256), EINVAL);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, 0), EINVAL);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, 255), 0);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_TTL), 255);
    cr_assert_eq(kit_set(&k, s, IPPROTO_IP, IP_TTL, (uint64_t)-1), 0);
    cr_assert_eq(kit_get(&k, s, IPPROTO_IP, IP_TTL), 64);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_SNDBUF, 1u << 30), 0);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_SNDBUF), FIFO_MAX - FIFO_PAGE);
    cr_assert_eq(k.arena[0].d_slot[slot].sndbuf, FIFO_MAX - FIFO_PAGE);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_RCVBUF, 1), 0);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_RCVBUF), 4096);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_MARK, 1), ENOPROTOOPT);
    cr_assert_eq(kit_get(&k, s, IPPROTO_UDP, 1), -ENOPROTOOPT);
    cr_assert_eq(kit_get(&k, s, IPPROTO_TCP, 1), -EOPNOTSUPP);
    cr_assert_eq(kit_op(&k, s, REQ_LISTEN), EOPNOTSUPP);
    cr_assert_eq(kit_op(&k, s, (enum req_op)200), EOPNOTSUPP);
    cr_assert_eq(kit_op(&k, SESS_NONE, REQ_SEND), EBADF);
}

/* Protects options that are kept and do nothing, as with the kernel's sockets: each keeps its
 * own value, within its bounds, and also over a restart. */
Test(udp_life, options_kept)
{
    static const struct {
        int name;
        uint64_t set, got;
    } o[] = {{SO_KEEPALIVE, 3, 1},
             {SO_OOBINLINE, 1, 1},
             {SO_PRIORITY, 6, 6},
             {SO_LINGER, LINGER_ON | 7, LINGER_ON | 7}};
    uint32_t slot, s = kit_open(&k, 0, &slot);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        cr_assert_eq(kit_get(&k, s, SOL_SOCKET, o[i].name), 0);
        cr_assert_eq(kit_set(&k, s, SOL_SOCKET, o[i].name, o[i].set), 0);
    }
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_PRIORITY, 7), EPERM);
    cr_assert_eq(kit_set(&k, s, SOL_SOCKET, SO_PRIORITY, (uint64_t)-1), EPERM);
    kit_crash(&k);
    cr_assert_eq(kit_attach(&k, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        cr_assert_eq(kit_get(&k, s, SOL_SOCKET, o[i].name), (int64_t)o[i].got, "%zu", i);
        cr_assert_eq(kit_set(&k, s, SOL_SOCKET, o[i].name, 0), 0);
        cr_assert_eq(kit_get(&k, s, SOL_SOCKET, o[i].name), 0, "%zu", i);
    }
}
