/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IP: datagrams that udp does not want are dropped before they take anybody's room.
 */
#include <criterion/criterion.h>

#include "test_ip_kit.h"

/* A datagram to a port from a peer. */
static struct frame
to_port(uint32_t dst, uint16_t port)
{
    struct frame f = mk_udp(PEER, dst, 10);
    put_be16(f.b + ETH_HEADER + IP4_HEADER + 2, port);
    return f;
}

/* One frame, with so much room left in the queue to udp, which does not come to read it. */
static uint32_t
into(struct kit *k, const struct frame *f, uint32_t *room)
{
    k->out.cap_up[IP_UP_UDP] = *room;
    kit_in(k, f);
    uint32_t n = k->out.n_up[IP_UP_UDP];
    *room -= n;
    kit_clear(k);
    return n;
}

/* Protects others from a flood to a port that is full: all that is for them has room, whatever
 * comes for it in between, and each drop is counted, also for the port. */
Test(ip_port, flood_to_a_full_port)
{
    struct kit *k = kit_ready();
    struct frame flood = to_port(OUR_IP, 53), other = to_port(OUR_IP, 54);
    uint32_t room = 20, n_other = 0;
    port_set(&k->ports, 53, PORT_FULL);
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned n = 0; n < 50; n++)
            (void)into(k, &flood, &room);
        n_other += into(k, &other, &room);
    }
    cr_assert_eq(n_other, 20, "somebody else's was lost");
    cr_assert_eq(kit_stat(k, STAT_ip_drop_queue_udp), 0);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_port_full), 1000);
    k->out.cap_up[IP_UP_UDP] = KIT_CAP;
    port_set(&k->ports, 53, PORT_WANTED);
    kit_in(k, &flood);
    kit_in(k, &flood);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    cr_assert_eq(k->up[IP_UP_UDP][0].seq, 1000, "drops are not told");
    cr_assert_eq(k->up[IP_UP_UDP][1].seq, 0, "they are told twice");
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Protects udp's time from a flood to a port that nobody has: it gets what it may answer, and
 * no more; after a while it may again. Shouted at all, it is never answered. */
Test(ip_port, flood_to_a_closed_port)
{
    struct kit *k = kit_ready();
    struct frame f = to_port(OUR_IP, 53), all = to_port(0x0a0000ff, 53);
    port_set(&k->ports, 53, PORT_NOBODY);
    for (unsigned i = 0; i < 1000; i++) {
        kit_in(k, &f);
        if (i % 100 == 99)
            kit_clear(k);
    }
    uint64_t dropped = kit_stat(k, STAT_ip_drop_port_closed);
    cr_assert(dropped > 880 && dropped < 950, "%lu", (unsigned long)dropped);
    kit_pass(k, k->now + NS_S);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 1, "one is answered again");
    kit_in(k, &all);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
    port_set(&k->ports, 53, PORT_WANTED);
    kit_in(k, &all);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 2);
    kit_clear(k);
    kit_free(k);
}

/* Protects against what udp may write: what means nothing refuses nothing. And what has no
 * port, too short or its length a lie, counts as for nobody. */
Test(ip_port, nonsense)
{
    struct kit *k = kit_ready();
    struct frame f = to_port(OUR_IP, 53);
    for (unsigned v = PORT_NOBODY + 1; v < 256; v++) {
        port_set(&k->ports, 53, v);
        kit_in(k, &f);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
        kit_clear(k);
    }
    port_set(&k->ports, 53, PORT_WANTED);
    port_set(&k->ports, 0, PORT_FULL);
    for (size_t len = 0; len < UDP_HEADER; len++) {
        struct frame s =
            mk_ip(PEER, OUR_IP, WIRE_PROTO_UDP, f.b + ETH_HEADER + IP4_HEADER, len);
        kit_in(k, &s);
    }
    put_be16(f.b + ETH_HEADER + IP4_HEADER + 4, 4000);
    kit_in(k, &f);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_port_full), UDP_HEADER + 1);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Protects fragments: their datagram is dropped when it is whole, with all its frames. */
Test(ip_port, fragments)
{
    struct kit *k = kit_ready();
    struct frame u = to_port(OUR_IP, 53);
    uint8_t data[1000];
    memcpy(data, u.b + ETH_HEADER + IP4_HEADER, UDP_HEADER);
    memset(data + UDP_HEADER, 1, sizeof data - UDP_HEADER);
    put_be16(data + 4, sizeof data);
    for (unsigned v = PORT_WANTED; v <= PORT_FULL; v++) {
        struct frame a = mk_frag(PEER, WIRE_PROTO_UDP, (uint16_t)v, 0, true, data, 800),
                     b = mk_frag(PEER, WIRE_PROTO_UDP, (uint16_t)v, 800, false, data + 800,
                                 200);
        port_set(&k->ports, 53, v);
        kit_in(k, &b);
        kit_in(k, &a);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], v == PORT_WANTED ? 2 : 0);
        kit_clear(k);
        cr_assert_eq(kit_away(k), 0);
    }
    cr_assert_eq(kit_stat(k, STAT_ip_drop_port_full), 1);
    kit_free(k);
}

/* Protects the own host's sockets: to a full one of them they lose datagrams as over the wire;
 * but that nobody is there they are told each time. TCP is not concerned. */
Test(ip_port, loopback)
{
    struct kit *k = kit_ready();
    port_set(&k->ports, 9, PORT_FULL); /* kit_pkt sends there */
    struct pkt p = kit_pkt(k, IP_UP_UDP, OUR_IP, 20, 0);
    put_be16(k->mem + p.addr + 4, 20); /* UDP length */
    cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_port_full), 1);
    p = kit_pkt(k, IP_UP_TCP, OUR_IP, 20, 0);
    cr_assert_eq(kit_out(k, IP_UP_TCP, &p, 1), 1);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 1);
    kit_clear(k);
    port_set(&k->ports, 9, PORT_NOBODY);
    for (unsigned i = 0; i < 300; i++) {
        p = kit_pkt(k, IP_UP_UDP, OUR_IP, 20, 0);
        put_be16(k->mem + p.addr + 4, 20);
        cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
        kit_clear(k);
    }
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}
