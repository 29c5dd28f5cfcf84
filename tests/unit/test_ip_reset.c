/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IPv4 when a neighbour died: what was on its way to it and from it, in every place where it
 * can be, and that no frame is lost or taken twice.
 */
#include <criterion/criterion.h>

#include "test_ip_kit.h"

/* The share is free again when the transport that held it is dead. */
Test(ip_reset, loopback_after_reset)
{
    struct kit *k = kit_ready();
    for (unsigned life = 0; life < 3; life++) {
        for (unsigned i = 0; i < KIT_UP; i++) {
            struct pkt p = kit_pkt(k, IP_UP_UDP, OUR_IP, 20, 0);
            cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
        }
        cr_assert_eq(k->out.n_up[IP_UP_UDP], KIT_UP * 3 / 4, "life %u", life);
        for (unsigned i = 0; i < k->out.n_up[IP_UP_UDP]; i++)
            k->place[k->up[IP_UP_UDP][i].addr / FRAME_SIZE] = HOME;
        kit_forget(k);
        ip_up_reset(k->ip, IP_UP_UDP, &k->out);
        cr_assert_eq(ip_frames_held(k->ip), 0);
    }
    kit_free(k);
}

/* A transport that dies: what it had to send comes back, what it was reading too. */
Test(ip_reset, transport_reset)
{
    struct kit *k = kit_ready();
    struct pkt t = kit_pkt(k, IP_UP_TCP, PEER + 1, 20, 0);
    struct pkt c[3];
    struct pkt loop = kit_pkt(k, IP_UP_UDP, OUR_IP, 20, 0);
    cr_assert_eq(kit_out(k, IP_UP_TCP, &t, 1), 1); /* waits for ARP */
    for (unsigned i = 0; i < 3; i++) {
        c[i] = kit_pkt(k, IP_UP_UDP, PEER + 1, 1480, 0);
        c[i].flags = i < 2 ? PKT_MORE : 0;
    }
    cr_assert_eq(kit_out(k, IP_UP_UDP, c, 3), 3);
    t = kit_pkt(k, IP_UP_TCP, PEER + 1, 20, 0);
    cr_assert_eq(kit_out(k, IP_UP_TCP, &t, 1), 1);
    cr_assert_eq(kit_out(k, IP_UP_UDP, &loop, 1), 1);
    kit_forget(k);
    ip_up_reset(k->ip, IP_UP_UDP, &k->out);
    cr_assert_eq(k->out.n_done[IP_UP_UDP], 3);
    cr_assert_eq(k->out.n_done[IP_UP_TCP], 0);
    kit_settle(k);
    cr_assert_eq(k->ip->uppool.n_free, KIT_UP);
    cr_assert(pool_validate(&k->ip->uppool));
    /* TCP's still go out, in order. */
    struct frame f = mk_arp(ARP_REPLY, PEER + 1, OUR_IP);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 2);
    cr_assert_eq(frames_part(&k->f, k->nic[0].addr), PART_TCPTX);
    kit_free(k);
}

/* The same for frames that waited for room towards the NIC. */
Test(ip_reset, transport_reset_queued)
{
    struct kit *k = kit_ready();
    struct pkt t = kit_pkt(k, IP_UP_TCP, PEER + 1, 20, 0);
    struct pkt u = kit_pkt(k, IP_UP_UDP, PEER + 1, 20, 0);
    cr_assert_eq(kit_out(k, IP_UP_TCP, &t, 1), 1);
    cr_assert_eq(kit_out(k, IP_UP_UDP, &u, 1), 1);
    kit_clear(k);
    k->out.cap_nic = 0;
    struct frame f = mk_arp(ARP_REPLY, PEER + 1, OUR_IP);
    kit_in(k, &f);
    ip_up_reset(k->ip, IP_UP_TCP, &k->out);
    cr_assert_eq(k->out.n_done[IP_UP_TCP], 1);
    kit_settle(k);
    k->out.cap_nic = KIT_CAP;
    kit_pass(k, 2 * NS_MS);
    cr_assert_eq(k->out.n_nic, 1);
    cr_assert_eq(frames_part(&k->f, k->nic[0].addr), PART_UDPTX);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A NIC that dies gives back ip's frames; one that lies about what it sent gets nowhere. */
Test(ip_reset, nic_reset_and_lies)
{
    struct kit *k = kit_ready();
    struct frame f = mk_echo(PEER, 10);
    kit_in(k, &f);
    kit_in(k, &f);
    cr_assert_eq(ip_frames_held(k->ip), 2);
    cr_assert(ip_tx_done(k->ip, k->nic[0].addr, &k->out));
    cr_assert(ip_tx_done(k->ip, k->nic[0].addr, &k->out));
    cr_assert_eq(kit_stat(k, STAT_refused_frames), 1);
    cr_assert_eq(ip_frames_held(k->ip), 1);
    ip_nic_reset(k->ip);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    cr_assert(pool_validate(&k->ip->iptx));
    cr_assert(!ip_tx_done(k->ip, 0, &k->out));
    cr_assert(!ip_tx_done(k->ip, k->f.off[PART_UP], &k->out));
    cr_assert(!ip_tx_done(k->ip, UINT32_MAX, &k->out));
    cr_assert_eq(k->out.n_done[0] + k->out.n_done[1] + k->out.n_freed, 0);
    kit_free(k);
}
