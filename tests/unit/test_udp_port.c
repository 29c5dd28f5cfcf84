/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UDP: what ip is told of the ports (base/ports.h), so that it drops what is not wanted. A port
 * must never be told full while its client waits for a datagram.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "udp/udp_int.h"
#include "udp_test.h"

TestSuite(udp_port, .init = setup, .fini = finish);

static uint8_t
want(uint16_t port)
{
    return port_get(&k.ports, port);
}

static uint32_t
bound(uint32_t client, uint16_t port, uint32_t *slot)
{
    uint32_t sess = kit_open(&k, client, slot);
    cr_assert_eq(kit_set(&k, sess, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    cr_assert_eq(kit_set(&k, sess, SOL_SOCKET, SO_RCVBUF, 10000), 0);
    cr_assert_eq(kit_bind(&k, sess, 0, port), 0);
    return sess;
}

static void
fill(uint16_t port)
{
    for (int i = 0; i < 20; i++)
        kit_feed(&k, 1, port, data, 1000);
}

/* Takes one record as the client library does: whether it tells the domain is up to rx_notify.
 */
static bool
read_one(uint32_t client, uint32_t sess, uint32_t slot)
{
    struct dgram_head h;
    cr_assert_eq(kit_recv(&k, client, slot, &h, back, sizeof back), 1000);
    if (k.arena[client].c_slot[slot].rx_head < k.arena[client].d_slot[slot].rx_notify)
        return false;
    cr_assert_eq(kit_op(&k, sess, REQ_CONSUMED), 0);
    return true;
}

/* Protects: nobody is at a port before somebody has it, and after he has left it: by closing,
 * by death, by giving up a port that connect() chose. */
Test(udp_port, comes_and_goes)
{
    uint32_t slot, sess = kit_open(&k, 0, &slot);
    struct sess_evt e;
    for (uint32_t i = 0; i < 65536; i++)
        cr_assert_eq(want((uint16_t)i), PORT_NOBODY);
    cr_assert_eq(kit_connect(&k, sess, KIT_PEER, 9), 0);
    kit_request(&k, sess, (struct sess_req){.op = REQ_NAME}, &e);
    cr_assert_eq(want(e.port), PORT_WANTED);
    cr_assert_eq(kit_connect(&k, sess, 0, 0), 0);
    cr_assert_eq(want(e.port), PORT_NOBODY);
    cr_assert_eq(kit_bind(&k, sess, 0, 53), 0);
    cr_assert_eq(want(53), PORT_WANTED);
    cr_assert_eq(kit_op(&k, sess, REQ_CLOSE), 0);
    cr_assert_eq(want(53), PORT_NOBODY);
    (void)bound(1, 54, &slot);
    udp_ops.client_gone(kit_transport(&k), 1, k.now);
    cr_assert_eq(want(54), PORT_NOBODY);
}

/* Protects: a queue that is full is told once a datagram finds no room, and again wanted when
 * the client has read a part of it; it is asked to say so before all is read. */
Test(udp_port, full_until_read)
{
    uint32_t slot, sess = bound(0, 53, &slot);
    for (int round = 0; round < 3; round++) {
        fill(53);
        cr_assert_eq(want(53), PORT_FULL);
        unsigned n = 1;
        while (!read_one(0, sess, slot))
            n++;
        cr_assert_leq(n, 3);
        cr_assert_eq(want(53), PORT_WANTED);
    }
    /* Full again with one record that is more than a quarter of the buffer. */
    struct dgram_head h;
    while (kit_recv(&k, 0, slot, &h, back, sizeof back) >= 0)
        continue;
    kit_feed(&k, 1, 53, data, 9000);
    kit_feed(&k, 1, 53, data, 1000);
    cr_assert_eq(want(53), PORT_FULL);
    cr_assert_eq(kit_recv(&k, 0, slot, &h, back, sizeof back), 9000);
    cr_assert_geq(k.arena[0].c_slot[slot].rx_head, k.arena[0].d_slot[slot].rx_notify,
                  "nobody would tell");
}

/* Protects: a client that read while its port was being closed, and saw the old rx_notify, is
 * not left behind a closed port; one whose cursor is nonsense gains nothing by that. */
Test(udp_port, race)
{
    uint32_t slot, sess = bound(0, 53, &slot);
    fill(53);
    cr_assert_eq(kit_set(&k, sess, SOL_SOCKET, SO_RCVBUF, 10000), 0); /* looks again */
    cr_assert_eq(want(53), PORT_WANTED);
    k.arena[0].c_slot[slot].rx_head = 1ull << 40;
    kit_feed(&k, 1, 53, data, 1000);
    cr_assert_eq(want(53), PORT_FULL);
    k.arena[0].c_slot[slot].rx_head = 1048;
    cr_assert_eq(kit_op(&k, sess, REQ_CONSUMED), 0);
    cr_assert_eq(want(53), PORT_WANTED);
}

/* Protects those who share a port: it is full only if all are, and not when the last one that
 * has room leaves nobody behind it. */
Test(udp_port, shared)
{
    uint32_t any, own, sess = bound(0, 53, &any), s_own = kit_open(&k, 1, &own);
    cr_assert_eq(kit_set(&k, s_own, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    cr_assert_eq(kit_set(&k, s_own, SOL_SOCKET, SO_RCVBUF, 10000), 0);
    cr_assert_eq(kit_bind(&k, s_own, KIT_OWN, 53), 0);
    fill(53); /* the one with the address gets them */
    cr_assert_eq(want(53), PORT_WANTED, "the other one has room");
    cr_assert_eq(kit_connect(&k, s_own, KIT_PEER, 77), 0);
    fill(53); /* from another port: the other one */
    cr_assert_eq(want(53), PORT_FULL);
    while (!read_one(1, s_own, own))
        continue;
    cr_assert_eq(want(53), PORT_WANTED, "the connected one has room");
    cr_assert_eq(kit_op(&k, s_own, REQ_CLOSE), 0);
    cr_assert_eq(want(53), PORT_FULL, "who is left has none");
    cr_assert_eq(kit_op(&k, sess, REQ_CLOSE), 0);
    cr_assert_eq(want(53), PORT_NOBODY);
}

/* Protects small datagrams from large ones: what does not fit because it is large closes
 * nothing. A session that is shut for reading takes what comes, too, as on Linux. */
Test(udp_port, large_and_shut)
{
    uint32_t slot, sess = bound(0, 53, &slot);
    kit_feed(&k, 1, 53, data, 1000);
    kit_feed(&k, 1, 53, data, 40000);
    cr_assert_eq(kit_stat(&k, STAT_udp_drop_rcvbuf), 1);
    cr_assert_eq(want(53), PORT_WANTED);
    (void)kit_request(&k, sess, (struct sess_req){.op = REQ_SHUTDOWN, .value = SHUT_RD}, NULL);
    cr_assert_eq(want(53), PORT_WANTED);
    uint64_t before = k.arena[0].d_slot[slot].rx_tail;
    kit_feed(&k, 1, 53, data, 100);
    cr_assert_gt(k.arena[0].d_slot[slot].rx_tail, before);
}

/* Protects a session that has no room because its client's other sessions hold the pages: what
 * they read is told to nobody, so it is wanted again after a while by itself. */
Test(udp_port, no_pages)
{
    uint32_t a, b, other = kit_open(&k, 0, &a), sess = bound(0, 54, &b);
    kit_bind(&k, other, 0, 53);
    cr_assert_eq(kit_set(&k, other, SOL_SOCKET, SO_RCVBUF, FIFO_MAX - FIFO_PAGE), 0);
    for (int i = 0; i < 200; i++)
        kit_feed(&k, 1, 53, data, 1000);
    kit_feed(&k, 1, 54, data, 1000);
    cr_assert(want(53) == PORT_FULL && want(54) == PORT_FULL);
    cr_assert_neq(udp_deadline(k.u), NS_NEVER);
    struct dgram_head h;
    while (kit_recv(&k, 0, a, &h, back, sizeof back) >= 0)
        continue;
    k.now = udp_deadline(k.u);
    kit_step(&k, NULL, 0);
    cr_assert(want(53) == PORT_WANTED && want(54) == PORT_WANTED);
    cr_assert_eq(udp_deadline(k.u), NS_NEVER, "an idle stack sleeps");
    kit_feed(&k, 1, 54, data, 1000);
    cr_assert(!read_one(0, sess, b) || want(54) == PORT_WANTED);
}

/* Protects: a successor tells all anew, whatever its predecessor left there; and what ip
 * dropped is charged to the session that it was for. */
Test(udp_port, restart_and_drops)
{
    uint32_t slot;
    struct pkt p[FRAME_MAX_CHAIN];
    struct sess_info info;
    (void)bound(0, 53, &slot);
    fill(53);
    cr_assert_eq(want(53), PORT_FULL);
    memset((void *)&k.ports, 0x55, sizeof k.ports);
    kit_crash(&k);
    cr_assert(want(53) == PORT_WANTED && want(52) == PORT_NOBODY);
    cr_assert_eq(kit_attach(&k, 0), 0);
    fill(53);
    cr_assert_eq(want(53), PORT_FULL, "and it is found full again");
    cr_assert(udp_ops.info(kit_transport(&k), 0, &info));
    uint64_t before = info.drops;
    unsigned n = kit_datagram(&k, p, KIT_PEER, 1, KIT_OWN, 53, data, 10, 1480, CSUM_GOOD);
    p[0].seq = 1000;
    kit_step(&k, p, n);
    cr_assert(udp_ops.info(kit_transport(&k), 0, &info));
    cr_assert_eq(info.drops, before + 1000);
}

/* Protects udp from a client with thousands of sessions on one port, among which it would have
 * to look for each datagram: so many can have one port. */
Test(udp_port, shared_by_many)
{
    uint32_t slot, s[2] = {kit_open(&k, 0, &slot), kit_open(&k, 0, &slot)};
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(kit_set(&k, s[i], SOL_SOCKET, SO_REUSEPORT, 1), 0);
    cr_assert_eq(kit_bind(&k, s[0], 0, 53), 0);
    k.u->n_have[53] = PORT_SHARED_MAX;
    cr_assert_eq(kit_bind(&k, s[1], 0, 53), EADDRINUSE);
    cr_assert_eq(k.u->steps, 0);
    k.u->n_have[53] = 1;
    cr_assert_eq(kit_bind(&k, s[1], 0, 53), 0);
    cr_assert_eq(k.u->steps, 1, "it is told what was looked at");
}

/* One that is chosen is one that nobody has, also the last. */
Test(udp_port, chosen)
{
    uint32_t slot;
    struct sess_evt e;
    for (uint32_t p = EPHEMERAL_FIRST; p <= EPHEMERAL_LAST; p++)
        portset_put(&k.u->taken, p, p != 40000);
    uint32_t s[2] = {kit_open(&k, 0, &slot), kit_open(&k, 0, &slot)};
    cr_assert_eq(kit_request(&k, s[0], (struct sess_req){.op = REQ_BIND}, &e), 0);
    cr_assert_eq(e.port, 40000);
    cr_assert_eq(kit_request(&k, s[1], (struct sess_req){.op = REQ_BIND}, NULL), EADDRINUSE);
    portset_put(&k.u->taken, EPHEMERAL_LAST, false);
    portset_put(&k.u->taken, EPHEMERAL_FIRST, false);
    for (unsigned i = 0; i < 2; i++) { /* those at the ends as well */
        cr_assert_eq(
            kit_request(&k, kit_open(&k, 0, &slot), (struct sess_req){.op = REQ_BIND}, &e), 0);
        cr_assert(e.port == EPHEMERAL_FIRST || e.port == EPHEMERAL_LAST);
    }
}

/* A port is shared by SO_REUSEPORT with programs of the same user only: the datagrams of one
 * would be another's. */
Test(udp_port, shared_by_one_user)
{
    uint32_t slot, s[2] = {kit_open(&k, 0, &slot), kit_open(&k, 1, &slot)};
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(kit_set(&k, s[i], SOL_SOCKET, SO_REUSEPORT, 1), 0);
    cr_assert_eq(kit_bind(&k, s[0], 0, 53), 0);
    k.u->clients.c[1].limits.uid = 77;
    cr_assert_eq(kit_bind(&k, s[1], 0, 53), EADDRINUSE);
    k.u->clients.c[1].limits.uid = 0;
    cr_assert_eq(kit_bind(&k, s[1], 0, 53), 0);
}
