/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ARP in virtual time: asking, waiting, giving up, ageing.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "test_ip_kit.h"

#define STRANGER 0x0a000050u

static unsigned
send_to(struct kit *k, uint32_t dst, unsigned n)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < n; i++) {
        struct pkt p = kit_pkt(k, IP_UP_UDP, dst, 20, (uint8_t)i);
        p.client = dst & 0xff; /* every host is another client's: shares are test_arp_share.c */
        taken += kit_out(k, IP_UP_UDP, &p, 1);
    }
    return taken;
}

/* The only frame for the NIC is an ARP request for dst; unicast if `to` is set. */
static void
expect_request(struct kit *k, uint32_t dst, bool unicast)
{
    struct eth_hdr e;
    uint8_t mac[6];
    cr_assert_eq(k->out.n_nic, 1);
    struct arp_pkt a = kit_nic_arp(k, 0, &e);
    peer_mac(mac, dst);
    cr_assert_eq(a.op, ARP_REQUEST);
    cr_assert_eq(ipaddr_to_u32(&a.spa), OUR_IP);
    cr_assert_eq(ipaddr_to_u32(&a.tpa), dst);
    cr_assert(mac_eq(e.dst, unicast ? mac : ALL_MAC));
    kit_clear(k);
}

static void
answer(struct kit *k, uint32_t who)
{
    struct frame f = mk_arp(ARP_REPLY, who, OUR_IP);
    kit_in(k, &f);
}

/* A packet waits while the neighbour is asked, and goes out when it answers, to the MAC
 * that answered. */
Test(arp, resolve)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    uint32_t len;
    uint8_t mac[6];
    cr_assert_eq(send_to(k, STRANGER, 3), 3);
    expect_request(k, STRANGER, false);
    answer(k, STRANGER);
    cr_assert_eq(k->out.n_nic, 3);
    peer_mac(mac, STRANGER);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(mac_eq(kit_nic(k, i, &len), mac));
        struct ip4_hdr h = kit_nic_ip(k, i, &l4);
        cr_assert_eq(ipaddr_to_u32(&h.dst), STRANGER);
        cr_assert_eq(l4[4], i, "order");
    }
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(ip_deadline(k->ip) <= k->now + NS_S, true);
    kit_pass(k, 5 * NS_S);
    cr_assert_eq(k->out.n_nic, 0, "an answered neighbour is not asked again");
    cr_assert_eq(ip_deadline(k->ip), NS_NEVER);
    kit_free(k);
}

/* Asked three times, a second apart; then each waiting packet comes back and its sender
 * is told. The next packet asks again. */
Test(arp, no_answer)
{
    struct kit *k = kit_ready();
    struct pkt t = kit_pkt(k, IP_UP_TCP, STRANGER, 20, 0);
    put_be32(k->mem + t.addr + 4, 0xdeadbeef);
    kit_out(k, IP_UP_TCP, &t, 1);
    send_to(k, STRANGER, 2);
    expect_request(k, STRANGER, false);
    for (unsigned i = 0; i < 2; i++) {
        kit_pass(k, NS_S - 1);
        cr_assert_eq(k->out.n_nic, 0);
        kit_pass(k, 1);
        expect_request(k, STRANGER, false);
    }
    cr_assert_eq(kit_away(k), 3);
    kit_pass(k, NS_S);
    cr_assert_eq(k->out.n_nic, 0);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(kit_stat(k, STAT_arp_failed), 1);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 1);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    const struct pkt *m = &k->up[IP_UP_TCP][0];
    cr_assert_eq(m->kind, PKT_ICMP);
    cr_assert_eq(m->err, EHOSTUNREACH);
    cr_assert_eq(m->sport, 7);
    cr_assert_eq(m->dport, 9);
    cr_assert_eq(m->seq, 0xdeadbeef);
    cr_assert_eq(ipaddr_to_u32(&m->dst), STRANGER);
    cr_assert_eq(ipaddr_to_u32(&m->src), OUR_IP);
    kit_clear(k);
    cr_assert_eq(ip_deadline(k->ip), NS_NEVER);
    send_to(k, STRANGER, 1);
    expect_request(k, STRANGER, false);
    kit_free(k);
}

/* A chain that waits is one packet: told of once, and dropped as a whole. */
Test(arp, chain_waits)
{
    struct kit *k = kit_ready();
    struct pkt p[45];
    for (unsigned i = 0; i < 45; i++) {
        p[i] = kit_pkt(k, IP_UP_UDP, STRANGER, 1480, 0);
        p[i].flags = i < 44 ? PKT_MORE : 0;
    }
    p[44].len = 300;
    cr_assert_eq(kit_out(k, IP_UP_UDP, p, 45), 45);
    kit_clear(k);
    kit_pass(k, 10 * NS_S);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    for (unsigned i = 0; i < 45; i++) {
        p[i] = kit_pkt(k, IP_UP_UDP, STRANGER, 1480, 0);
        p[i].flags = i < 44 ? PKT_MORE : 0;
    }
    p[44].len = 300;
    kit_out(k, IP_UP_UDP, p, 45);
    kit_clear(k);
    answer(k, STRANGER);
    cr_assert_eq(k->out.n_nic, 45);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* What may wait is bounded, for one neighbour and for all. */
Test(arp, queue_bounds)
{
    struct kit *k = kit_ready();
    send_to(k, STRANGER, NEIGH_PACKETS + 4);
    cr_assert_eq(kit_stat(k, STAT_arp_drop_queue), 4);
    cr_assert_eq(k->out.n_nic, 1);
    kit_clear(k);
    cr_assert_eq(kit_away(k), NEIGH_PACKETS);
    kit_pass(k, 10 * NS_S);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);

    /* Many neighbours: no more than NEIGH_INCOMPLETE_MAX are asked at once. */
    kit_mark(k);
    for (unsigned i = 0; i < 100; i++)
        send_to(k, 0x0a000080u + i, 1);
    cr_assert_eq(kit_stat(k, STAT_arp_tx), NEIGH_INCOMPLETE_MAX);
    cr_assert_eq(kit_stat(k, STAT_arp_drop_queue), 100 - NEIGH_INCOMPLETE_MAX);
    kit_pass(k, 10 * NS_S);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(k->ip->n_wait_free, WAIT_SLOTS);
    cr_assert_eq(k->ip->n_incomplete, 0);
    kit_free(k);
}

/* A minute after its answer a neighbour that is used is asked again, by unicast, while
 * packets go on to it; three times without an answer and it is forgotten
 * (RFC 1122 2.3.2.1). */
Test(arp, ageing)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    struct eth_hdr e;
    uint8_t mac[6];
    kit_pass(k, NEIGH_FRESH - 1);
    send_to(k, PEER, 1);
    cr_assert_eq(k->out.n_nic, 1);
    kit_nic_ip(k, 0, &l4);
    kit_clear(k);
    kit_pass(k, 1);
    send_to(k, PEER, 1);
    cr_assert_eq(k->out.n_nic, 2);
    struct arp_pkt a = kit_nic_arp(k, 0, &e);
    cr_assert_eq(ipaddr_to_u32(&a.tpa), PEER);
    peer_mac(mac, PEER);
    cr_assert(mac_eq(e.dst, mac));
    kit_nic_ip(k, 1, &l4);
    kit_clear(k);
    answer(k, PEER);
    kit_pass(k, 30 * NS_S);
    send_to(k, PEER, 1);
    cr_assert_eq(k->out.n_nic, 1, "answered: fresh for another minute");
    kit_clear(k);

    kit_pass(k, NEIGH_FRESH);
    send_to(k, PEER, 1);
    kit_clear(k);
    for (unsigned i = 0; i < 2; i++) {
        kit_pass(k, NS_S);
        expect_request(k, PEER, true);
    }
    kit_pass(k, NS_S);
    cr_assert_eq(k->out.n_nic, 0);
    send_to(k, PEER, 1);
    expect_request(k, PEER, false);
    kit_free(k);
}

/* A neighbour that moved: the answer's MAC counts. */
Test(arp, moves)
{
    struct kit *k = kit_ready();
    uint32_t len;
    struct frame f = mk_arp(ARP_REQUEST, PEER, PEER); /* gratuitous, from a new MAC */
    f.b[ETH_HEADER + 8 + 5] = 0x99;
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 0);
    send_to(k, PEER, 1);
    cr_assert_eq(k->out.n_nic, 2, "an unsolicited word is checked when it is used");
    cr_assert_eq(kit_nic(k, 0, &len)[5], 0x99);
    cr_assert_eq(kit_nic(k, 1, &len)[5], 0x99);
    kit_clear(k);
    answer(k, PEER); /* the real one answers */
    send_to(k, PEER, 1);
    cr_assert_eq(k->out.n_nic, 1);
    cr_assert_eq(kit_nic(k, 0, &len)[5], PEER & 0xff);
    kit_free(k);
}

/* Requests for our address are answered, and the asker is known from then on. */
Test(arp, answers)
{
    struct kit *k = kit_ready();
    struct eth_hdr e;
    uint8_t mac[6];
    struct frame f = mk_arp(ARP_REQUEST, STRANGER, OUR_IP);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 1);
    struct arp_pkt a = kit_nic_arp(k, 0, &e);
    peer_mac(mac, STRANGER);
    cr_assert_eq(a.op, ARP_REPLY);
    cr_assert(mac_eq(e.dst, mac) && mac_eq(a.tha, mac));
    cr_assert_eq(ipaddr_to_u32(&a.spa), OUR_IP);
    cr_assert_eq(ipaddr_to_u32(&a.tpa), STRANGER);
    kit_clear(k);
    struct neigh *n = neigh_find(k->ip, &a.tpa);
    cr_assert(n != NULL && n->state == NEIGH_STALE);

    f = mk_arp(ARP_REQUEST, STRANGER + 1, PEER); /* not for us */
    kit_in(k, &f);
    f = mk_arp(ARP_REPLY, STRANGER + 1, OUR_IP); /* we did not ask */
    kit_in(k, &f);
    f = mk_arp(ARP_REPLY, STRANGER + 1, STRANGER + 1);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 0);
    struct ipaddr s = v4(STRANGER + 1);
    cr_assert(neigh_find(k->ip, &s) == NULL, "nobody asked, nothing learnt");

    f = mk_arp(ARP_REQUEST, 0, OUR_IP); /* a probe for our address (RFC 5227) */
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 1);
    cr_assert_eq(kit_nic_arp(k, 0, &e).op, ARP_REPLY);
    kit_clear(k);
    f = mk_arp(ARP_REQUEST, FAR, OUR_IP); /* answered, but not a neighbour */
    kit_in(k, &f);
    kit_clear(k);
    s = v4(FAR);
    cr_assert(neigh_find(k->ip, &s) == NULL);
    kit_free(k);
}

/* A request from a neighbour that we are asking for is as good as its answer. */
Test(arp, crossing_requests)
{
    struct kit *k = kit_ready();
    send_to(k, STRANGER, 1);
    kit_clear(k);
    struct frame f = mk_arp(ARP_REQUEST, STRANGER, OUR_IP);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 2); /* the packet, and our reply */
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Fields at and past their bounds. */
Test(arp, malformed)
{
    struct kit *k = kit_ready();
    static const struct {
        unsigned at;
        uint8_t v;
    } bad[] = {
        {0, 1}, {1, 0}, {1, 6}, {2, 0}, {3, 6}, {4, 0},   {4, 5}, {4, 7},   {5, 0},
        {5, 3}, {5, 5}, {6, 1}, {7, 0}, {7, 3}, {7, 255}, {8, 1}, {8, 255},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct frame f = mk_arp(ARP_REQUEST, STRANGER, OUR_IP);
        f.b[ETH_HEADER + bad[i].at] = bad[i].v;
        kit_mark(k);
        kit_in(k, &f);
        cr_assert_eq(kit_stat(k, STAT_arp_drop_bad), 1, "byte %u = %u", bad[i].at, bad[i].v);
        cr_assert_eq(k->out.n_nic, 0);
    }
    const uint32_t sender[] = {1, 0x7f000001, 0xe0000001, 0xffffffff, 0x0a0000ff, 0x0a000000};
    for (unsigned i = 0; i < ARRAY_LEN(sender); i++) {
        struct frame f = mk_arp(ARP_REQUEST, sender[i], OUR_IP);
        kit_mark(k);
        kit_in(k, &f);
        cr_assert_eq(kit_stat(k, STAT_arp_drop_bad), 1, "sender %x", sender[i]);
        cr_assert_eq(k->out.n_nic, 0);
    }
    struct frame f = mk_arp(ARP_REPLY, 0, OUR_IP);
    kit_mark(k);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_arp_drop_bad), 1, "reply from nobody");
    f = mk_arp(ARP_REQUEST, STRANGER, OUR_IP);
    memset(f.b + ETH_HEADER + 8, 0, 6);
    kit_mark(k);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_arp_drop_bad), 1, "hardware address 0");
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A flood of requests from invented senders takes the place of other such entries, and
 * never of a neighbour that is in use or being asked for. */
Test(arp, flood)
{
    struct ip_config c = kit_config();
    c.prefix = 16;
    struct kit *k = kit_new_with(&c, KIT_RX);
    kit_pass(k, 5 * NS_S);
    for (unsigned i = 0; i < 100; i++) {
        send_to(k, 0x0a000103u + i, 1);
        answer(k, 0x0a000103u + i);
        kit_clear(k);
    }
    send_to(k, STRANGER, 1);
    kit_clear(k);
    for (unsigned i = 0; i < 5000; i++) {
        struct frame f = mk_arp(ARP_REQUEST, 0x0a001000u + i, OUR_IP);
        kit_in(k, &f);
        kit_clear(k);
    }
    for (unsigned i = 0; i < 100; i++) {
        struct ipaddr a = v4(0x0a000103u + i);
        struct neigh *n = neigh_find(k->ip, &a);
        cr_assert(n != NULL && n->state == NEIGH_REACHABLE);
    }
    answer(k, STRANGER);
    cr_assert_eq(k->out.n_nic, 1);
    /* Traffic of our own finds room all the same. */
    kit_clear(k);
    for (unsigned i = 0; i < 300; i++) {
        send_to(k, 0x0a002000u + i, 1);
        answer(k, 0x0a002000u + i);
        cr_assert_eq(k->out.n_nic, 2, "%u", i);
        kit_clear(k);
    }
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A cache full of neighbours in use has no room for strangers who only ask, until one has
 * not been used for a minute. */
Test(arp, flood_of_a_full_cache)
{
    struct ip_config c = kit_config();
    c.prefix = 16;
    struct kit *k = kit_new_with(&c, KIT_RX);
    struct ipaddr stranger = v4(0x0a001000u);
    kit_pass(k, 5 * NS_S);
    for (unsigned i = 0; i < NEIGH_ENTRIES; i++) {
        send_to(k, 0x0a000103u + i, 1);
        answer(k, 0x0a000103u + i);
        kit_clear(k);
    }
    struct frame f = mk_arp(ARP_REQUEST, 0x0a001000u, OUR_IP);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 1, "answered all the same");
    kit_clear(k);
    cr_assert(neigh_find(k->ip, &stranger) == NULL);
    for (unsigned i = 0; i < NEIGH_ENTRIES; i++) {
        struct ipaddr a = v4(0x0a000103u + i);
        cr_assert(neigh_find(k->ip, &a) != NULL);
    }
    kit_pass(k, 2 * NEIGH_FRESH);
    kit_in(k, &f);
    cr_assert(neigh_find(k->ip, &stranger) != NULL);
    kit_free(k);
}
