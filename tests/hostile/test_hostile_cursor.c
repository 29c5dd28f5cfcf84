/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cursors of a stream that its client moves where they cannot be. Protects: each costs the
 * client that one session, which is reset, and nothing is sent from where it wrote nothing nor
 * a page given back twice; its other session, and its neighbour's, go on.
 */
#include <criterion/criterion.h>

#include <errno.h>

#include "tcp/priv.h"
#include "tcp_kit.h"

#define FOE 0
#define FRIEND 1
#define WROTE 1000u

static struct kit k;
static uint64_t h[2], friends;
static struct tcp_hdr syn[2];
static struct slot_client *own; /* of the foe's first session: the words it lies in */
static struct slot_domain *seen;

static void
setup(void)
{
    struct tcp_hdr other;
    kit_init(&k);
    for (unsigned i = 0; i < 2; i++)
        h[i] = kit_connection(&k, FOE, WROTE, &syn[i]);
    friends = kit_connection(&k, FRIEND, WROTE, &other);
    own = &k.c[FOE].v.c_slot[0];
    seen = &k.c[FOE].v.d_slot[0];
    cr_assert_eq(atomic_load(&own->tx_tail), WROTE, "not the first session's slot");
    kit_segment(&k, &(struct tcp_hdr){.sport = 9,
                                      .dport = syn[0].sport,
                                      .seq = 101,
                                      .ack = syn[0].seq + 1 + WROTE,
                                      .wnd = 60000,
                                      .flags = TCP_ACK});
    cr_assert_eq(atomic_load(&seen->tx_head), WROTE);
}
static void
finish(void)
{
    kit_end(&k);
}

TestSuite(hostile_cursor, .init = setup, .fini = finish, .timeout = 30);

static bool
is_dead(uint32_t slot)
{
    return atomic_load(&k.c[FOE].v.d_slot[slot].state) & SLOT_DEAD;
}

/* The lie is told; the session is asked to be looked at. */
static void
costs_it_the_session(unsigned op)
{
    struct tcp_hdr rst;
    uint32_t free_pages = k.tcp->clients->c[FOE].pages.n_free;
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = (uint8_t)op, .handle = h[0]}));
    serve_wake(&k.serve, FOE);
    kit_turn(&k);
    cr_assert(is_dead(0), "it was believed");
    cr_assert_eq(atomic_load(&seen->err), EPROTO);
    cr_assert_eq(k.n_out, 1);
    cr_assert(kit_sent(&k, &rst) && (rst.flags & TCP_RST) && rst.sport == syn[0].sport);
    cr_assert_eq(rst.seq, syn[0].seq + 1 + WROTE, "it sent what was not written");
    cr_assert_geq(k.tcp->clients->c[FOE].pages.n_free, free_pages);
    cr_assert_leq(k.tcp->clients->c[FOE].pages.n_free, k.c[FOE].v.g.n_rx_pages);
    cr_assert_not(is_dead(1), "its other session");
    cr_assert_eq(
        kit_call(&k, FRIEND, (struct sess_req){.op = REQ_NAME, .handle = friends}, NULL), 0);
    cr_assert_eq(atomic_load(&k.c[FRIEND].v.d_slot[0].state) & SLOT_DEAD, 0);
    cr_assert(tcp_validate(k.tcp));
}

Test(hostile_cursor, written_less_than_before)
{
    atomic_store(&own->tx_tail, WROTE - 1);
    costs_it_the_session(REQ_SEND);
}

/* Less than was believed, and more than was acknowledged: some of it is on its way. */
Test(hostile_cursor, written_less_than_was_sent)
{
    atomic_store(&own->tx_tail, WROTE + 500);
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_SEND, .handle = h[0]}));
    serve_wake(&k.serve, FOE);
    kit_turn(&k);
    cr_assert_eq(atomic_load(&seen->tx_sent), WROTE + 500);
    atomic_store(&own->tx_tail, WROTE + 200);
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_SEND, .handle = h[0]}));
    serve_wake(&k.serve, FOE);
    kit_turn(&k);
    cr_assert(is_dead(0), "it was believed");
    cr_assert_eq(atomic_load(&seen->err), EPROTO);
    cr_assert_not(is_dead(1), "its other session");
    cr_assert(tcp_validate(k.tcp));
}

Test(hostile_cursor, written_more_than_is_room)
{
    atomic_store(&own->tx_tail, WROTE + FIFO_MAX + 1);
    costs_it_the_session(REQ_SEND);
}

Test(hostile_cursor, written_once_around)
{
    atomic_store(&own->tx_tail, UINT64_MAX);
    costs_it_the_session(REQ_SEND);
}

Test(hostile_cursor, read_more_than_there_is)
{
    atomic_store(&own->rx_head, 1);
    costs_it_the_session(REQ_CONSUMED);
}

Test(hostile_cursor, read_once_around)
{
    atomic_store(&own->rx_head, UINT64_MAX);
    costs_it_the_session(REQ_CONSUMED);
}

/* Backwards: what was given back would be given back again. */
Test(hostile_cursor, read_less_than_before)
{
    struct tcp_hdr data = {.sport = 9,
                           .dport = syn[0].sport,
                           .seq = 101,
                           .ack = syn[0].seq + 1 + WROTE,
                           .wnd = 60000,
                           .flags = TCP_ACK | TCP_PSH};
    kit_data(&k, &data, 500);
    cr_assert_eq(atomic_load(&seen->rx_tail), 500);
    atomic_store(&own->rx_head, 300);
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_CONSUMED, .handle = h[0]}));
    serve_wake(&k.serve, FOE);
    kit_turn(&k);
    cr_assert_not(is_dead(0), "honest so far");
    atomic_store(&own->rx_head, 299);
    costs_it_the_session(REQ_CONSUMED);
}
