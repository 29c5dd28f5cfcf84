/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The own address in virtual time (RFC 5227): probing, conflicts, defence.
 */
#include <criterion/criterion.h>

#include "test_ip_kit.h"

/* Probes name no sender; after the last and a pause the address is ours, announced
 * twice. */
Test(acd, probing)
{
    struct kit *k = kit_new(3);
    struct eth_hdr e;
    struct frame f;
    unsigned n = 0;
    ns_t start = k->now;
    cr_assert_eq(ip_state(k->ip), IP_PROBING);
    while (ip_state(k->ip) == IP_PROBING) {
        kit_pass(k, 10 * NS_MS);
        /* Nobody is answered meanwhile. */
        f = mk_arp(ARP_REQUEST, PEER, OUR_IP);
        kit_in(k, &f);
        if (ip_state(k->ip) == IP_PROBING && k->out.n_nic != 0) {
            cr_assert_eq(k->out.n_nic, 1);
            struct arp_pkt a = kit_nic_arp(k, 0, &e);
            cr_assert_eq(a.op, ARP_REQUEST);
            cr_assert_eq(ipaddr_to_u32(&a.spa), 0);
            cr_assert_eq(ipaddr_to_u32(&a.tpa), OUR_IP);
            cr_assert(mac_eq(e.dst, ALL_MAC));
            cr_assert_eq(k->path.ready, 0);
            kit_clear(k);
            n++;
        }
    }
    cr_assert_eq(n, 3);
    cr_assert_geq(k->now - start, 600 * NS_MS);
    cr_assert_leq(k->now - start, 820 * NS_MS);
    cr_assert_eq(k->path.ready, 1);
    cr_assert_eq(kit_nic_arp(k, 0, &e).op, ARP_REQUEST);
    kit_clear(k);
    kit_pass(k, 10 * NS_S);
    cr_assert_eq(k->out.n_nic, 1);
    struct arp_pkt a = kit_nic_arp(k, 0, &e);
    cr_assert_eq(ipaddr_to_u32(&a.spa), OUR_IP);
    cr_assert_eq(ipaddr_to_u32(&a.tpa), OUR_IP);
    kit_free(k);
}

/* While probing, whoever uses the address or probes for it too has it. */
Test(acd, conflict_while_probing)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct kit *k = kit_new(3);
        struct frame f;
        kit_pass(k, 250 * NS_MS);
        kit_clear(k);
        if (kind == 0)
            f = mk_arp(ARP_REPLY, OUR_IP, OUR_IP);
        else if (kind == 1)
            f = mk_arp(ARP_REQUEST, OUR_IP, PEER);
        else if (kind == 2)
            f = mk_arp(ARP_REQUEST, OUR_IP, OUR_IP);
        else
            f = mk_arp(ARP_REQUEST, 0, OUR_IP);
        f.b[ETH_HEADER + 8 + 4] = 0x77; /* another station than ours */
        kit_in(k, &f);
        cr_assert_eq(ip_state(k->ip), IP_CONFLICT, "kind %u", kind);
        cr_assert_eq(ip_conflict_mac(k->ip)[4], 0x77);
        cr_assert_eq(kit_stat(k, STAT_arp_conflict), 1);
        cr_assert_eq(k->path.ready, 0);
        kit_pass(k, 20 * NS_S);
        f = mk_arp(ARP_REQUEST, PEER, OUR_IP);
        kit_in(k, &f);
        cr_assert_eq(k->out.n_nic, 0, "silent for good");
        cr_assert_eq(ip_deadline(k->ip), NS_NEVER);
        kit_free(k);
    }
}

/* Our own probes, come back through a hub, are no conflict. */
Test(acd, own_reflection)
{
    struct kit *k = kit_new(3);
    struct frame f = mk_arp(ARP_REQUEST, 0, OUR_IP);
    memcpy(f.b + 6, OUR_MAC, 6);
    memcpy(f.b + ETH_HEADER + 8, OUR_MAC, 6);
    kit_in(k, &f);
    cr_assert_eq(ip_state(k->ip), IP_PROBING);
    kit_free(k);
}

/* Later the address is ours: defended, but only once in ten seconds; packets flow on. */
Test(acd, defence)
{
    struct kit *k = kit_ready();
    struct eth_hdr e;
    struct frame f = mk_arp(ARP_REQUEST, OUR_IP, OUR_IP);
    f.b[ETH_HEADER + 8 + 4] = 0x77;
    for (unsigned i = 0; i < 25; i++) {
        kit_in(k, &f);
        kit_pass(k, NS_S);
    }
    cr_assert_eq(kit_stat(k, STAT_arp_conflict), 25);
    cr_assert_eq(k->out.n_nic, 3);
    struct arp_pkt a = kit_nic_arp(k, 0, &e);
    cr_assert(ipaddr_eq(&a.spa, &a.tpa) && ipaddr_eq(&a.spa, &k->cfg.addr));
    cr_assert_eq(ip_state(k->ip), IP_READY);
    cr_assert_eq(ip_conflict_mac(k->ip)[4], 0x77);
    struct ipaddr us = v4(OUR_IP);
    cr_assert(neigh_find(k->ip, &us) == NULL);
    kit_free(k);
}
