/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What one client's packets to hosts that do not answer may cost the others: of the places for
 * neighbours that are asked for, and of those for what waits for them, it has a quarter, and
 * where all are taken the greediest gives way.
 */
#include <criterion/criterion.h>

#include "test_ip_kit.h"

#define NET 0x0a000000u /* 10.0/16 */
#define QUARTER (NEIGH_INCOMPLETE_MAX / NEIGH_SHARE)
#define FRAMES_EACH (KIT_TX / 2 / NEIGH_SHARE) /* that wait, of one client */

static struct kit *k;

static void
setup(void)
{
    struct ip_config c = kit_config();
    c.prefix = 16;
    k = kit_new_with(&c, KIT_RX);
    kit_pass(k, 5 * NS_S);
}

/* Protects the books: all that waited is accounted for when nobody answered. */
static void
finish(void)
{
    kit_pass(k, 10 * NS_S);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(k->ip->n_incomplete, 0);
    cr_assert_eq(k->ip->n_wait_free, WAIT_SLOTS);
    for (unsigned i = 0; i < ARRAY_LEN(k->ip->held); i++)
        cr_assert(k->ip->held[i].places == 0 && k->ip->held[i].frames == 0, "%u", i);
    for (unsigned i = 0; i < OWNERS; i++)
        cr_assert_eq(k->ip->waits[i], 0);
    kit_free(k);
}

TestSuite(arp_share, .init = setup, .fini = finish);

/* n packets of a client to a host of the network; returns how many requests that made. */
static unsigned
send_as(enum ip_up up, uint32_t client, uint32_t host, unsigned n)
{
    uint64_t before = stat_get(&k->st, STAT_arp_tx);
    for (unsigned i = 0; i < n; i++) {
        struct pkt p = kit_pkt(k, up, NET + host, 20, (uint8_t)i);
        p.client = client + 1;
        kit_out(k, up, &p, 1);
    }
    kit_clear(k);
    return (unsigned)(stat_get(&k->st, STAT_arp_tx) - before);
}

static const struct neigh *
asked(uint32_t host)
{
    struct ipaddr a = v4(NET + host);
    const struct neigh *n = neigh_find(k->ip, &a);
    return n != NULL && n->state == NEIGH_INCOMPLETE ? n : NULL;
}

static void
answers(uint32_t host)
{
    struct frame f = mk_arp(ARP_REPLY, NET + host, OUR_IP);
    kit_in(k, &f);
}

/* Who sends to many hosts that do not exist is asked for a quarter of what there is; another
 * client's packet finds its place, and the host that answers gets it. */
Test(arp_share, a_scan_leaves_room)
{
    const uint8_t *l4;
    unsigned n = 0;
    for (uint32_t h = 0; h < 1000; h++)
        n += send_as(IP_UP_UDP, 7, 0x1000 + h, 1);
    cr_assert_eq(n, QUARTER);
    cr_assert_eq(send_as(IP_UP_UDP, 8, 0x2000, 1), 1);
    answers(0x2000);
    cr_assert_eq(k->out.n_nic, 1);
    kit_nic_ip(k, 0, &l4);
    kit_clear(k);
}

/* Its own oldest make room when they had a second to answer, not before: what it sends sets
 * neither the rate of our requests nor the time that a host has to answer. */
Test(arp_share, its_own_oldest_give_way)
{
    for (uint32_t h = 0; h < QUARTER; h++) {
        cr_assert_eq(send_as(IP_UP_UDP, 7, 0x1000 + h, 1), 1);
        kit_pass(k, NS_MS);
    }
    kit_pass(k, NEIGH_RETRY - QUARTER * NS_MS - 1);
    kit_clear(k);
    cr_assert_eq(send_as(IP_UP_UDP, 7, 0x3000, 1), 0);
    kit_pass(k, NS_MS);
    kit_clear(k);
    cr_assert_eq(send_as(IP_UP_UDP, 7, 0x3000, 1), 1);
    cr_assert_not(asked(0x1000));
    cr_assert(asked(0x1001) && asked(0x3000));
}

/* Many that scan together take all; who has less than they still finds a place and keeps it,
 * and from those who have the most it comes. */
Test(arp_share, the_greediest_give_way)
{
    for (uint32_t c = 0; c < 8; c++)
        for (uint32_t h = 0; h < 100; h++)
            send_as(IP_UP_UDP, c, 0x1000 + 0x100 * c + h, 1);
    cr_assert_eq(k->ip->n_incomplete, NEIGH_INCOMPLETE_MAX);
    for (uint32_t h = 0; h < 4; h++)
        cr_assert_eq(send_as(IP_UP_TCP, 200, 0x4000 + h, 1), 1, "%u", h);
    for (uint32_t c = 0; c < 8; c++)
        for (uint32_t h = 0; h < 100; h++)
            send_as(IP_UP_UDP, c, 0x5000 + 0x100 * c + h, 1);
    for (uint32_t h = 0; h < 4; h++)
        cr_assert(asked(0x4000 + h), "%u", h);
    cr_assert_eq(k->ip->n_incomplete, NEIGH_INCOMPLETE_MAX);
}

/* What waits: a quarter of it for one; and those who took all of a transport's share give way
 * to who has less. */
Test(arp_share, frames_that_wait)
{
    for (uint32_t h = 0; h < 10; h++)
        send_as(IP_UP_UDP, 1, 0x1000 + h, NEIGH_PACKETS / 2);
    cr_assert_eq(kit_away(k), FRAMES_EACH);
    for (uint32_t c = 2; c <= 4; c++)
        for (uint32_t h = 0; h < 10; h++)
            send_as(IP_UP_UDP, c, 0x1000 + 0x100 * c + h, NEIGH_PACKETS / 2);
    cr_assert_eq(kit_away(k), NEIGH_SHARE * FRAMES_EACH, "half of the transport's frames");
    send_as(IP_UP_UDP, 5, 0x2000, 2);
    cr_assert_eq(asked(0x2000)->q_frames, 2);
    cr_assert_leq(kit_away(k), NEIGH_SHARE * FRAMES_EACH);
    answers(0x2000);
    cr_assert_eq(k->out.n_nic, 2);
    kit_clear(k);
    send_as(IP_UP_TCP, 5, 0x2100, 2); /* another pool, another half */
    cr_assert_eq(asked(0x2100)->q_frames, 2);
}

/* In one queue two clients' packets wait: the greedy one's go, the other's stay in order. */
Test(arp_share, what_stays_keeps_its_order)
{
    const uint8_t *l4;
    for (uint32_t i = 0; i < 4; i++) {
        send_as(IP_UP_UDP, 1, 0x1000, 1);
        struct pkt p = kit_pkt(k, IP_UP_UDP, NET + 0x1000, 20, (uint8_t)(0x80 + i));
        p.client = 2 + 1;
        kit_out(k, IP_UP_UDP, &p, 1);
    }
    send_as(IP_UP_UDP, 1, 0x1001, FRAMES_EACH - 4);
    for (uint32_t c = 3; c <= 5; c++)
        send_as(IP_UP_UDP, c, 0x1000 + c, FRAMES_EACH - (c == 5) * 4);
    kit_clear(k);
    cr_assert_eq(kit_away(k), NEIGH_SHARE * FRAMES_EACH);
    send_as(IP_UP_UDP, 6, 0x2000, 1);
    cr_assert_eq(asked(0x1000)->q_frames, 4, "the first client's are gone");
    answers(0x1000);
    cr_assert_eq(k->out.n_nic, 4);
    for (unsigned i = 0; i < 4; i++) {
        kit_nic_ip(k, i, &l4);
        cr_assert_eq(l4[UDP_HEADER], 0x80 + i);
    }
    kit_clear(k);
}

/* One packet may wait however many frames it has, and a second one not beside it. */
Test(arp_share, a_large_packet_waits)
{
    struct pkt p[45];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 45; i++) {
            p[i] = kit_pkt(k, IP_UP_UDP, NET + 0x1000 + round, 1480, 0);
            p[i].flags = i < 44 ? PKT_MORE : 0;
            p[i].client = 8;
        }
        p[44].len = 300;
        cr_assert_eq(kit_out(k, IP_UP_UDP, p, 45), 45);
        kit_clear(k);
        cr_assert_eq(kit_away(k), 45);
    }
}

/* The number is the transport's word: any is taken, none reaches beyond the table, and one
 * transport's clients are not the other's. */
Test(arp_share, any_number_is_taken)
{
    static const uint32_t odd[] = {UINT32_MAX, UINT32_MAX - 1, HOLDERS_EACH, HOLDERS_EACH - 1,
                                   1u << 31};
    unsigned n = 0;
    for (unsigned i = 0; i < ARRAY_LEN(odd); i++)
        for (uint32_t h = 0; h < 30; h++)
            n += send_as(IP_UP_UDP, odd[i], 0x1000 + 0x100 * i + h, 1);
    cr_assert_geq(n, QUARTER);
    cr_assert_eq(send_as(IP_UP_TCP, odd[1], 0x3000, 1), 1);
}
