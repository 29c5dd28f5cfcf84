/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ring by itself, single-threaded: index arithmetic over the wrap, and that an index
 * which cannot be poisons the ring for good. tests/unit/test_bell.c runs it with two
 * threads, tests/hostile with a peer that scribbles.
 */
#include <criterion/criterion.h>

#include "ipc/ring.h"

#define CAP 8u
#define START 0xfffffff0u /* the indices wrap within the first 16 descriptors */

struct item {
    uint32_t seq, check;
};
RING_DEFINE(iring, struct item)

struct pair {
    ring_word tail, head;
    struct item slot[CAP];
    struct ring_tx tx;
    struct ring_rx rx;
};

static void
pair_init(struct pair *p, uint32_t start)
{
    memset(p, 0, sizeof *p);
    atomic_store(&p->tail, start);
    atomic_store(&p->head, start);
    ring_tx_init(&p->tx, &p->tail, &p->head, CAP);
    ring_rx_init(&p->rx, &p->tail, &p->head, CAP);
}

static bool
put(struct pair *p, uint32_t seq)
{
    struct item *i = iring_reserve(&p->tx, p->slot);
    if (i == NULL)
        return false;
    *i = (struct item){.seq = seq, .check = ~seq};
    return true;
}

static void
fill(struct pair *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        cr_assert(put(p, i));
    ring_submit(&p->tx);
}

/* Protects: order and content over the wrap of the indices, for every fill level. */
Test(ring, carries_in_order_over_the_wrap)
{
    struct pair p;
    pair_init(&p, START);
    uint32_t in = 0, out = 0;
    for (uint32_t round = 0; round < 64; round++) {
        uint32_t n = round % (CAP + 1);
        for (uint32_t i = 0; i < n; i++)
            cr_assert(put(&p, in++));
        ring_submit(&p.tx);
        struct item it;
        while (iring_take(&p.rx, p.slot, &it)) {
            cr_assert_eq(it.seq, out);
            cr_assert_eq(it.check, ~out);
            out++;
        }
        ring_release(&p.rx);
        cr_assert_eq(in, out);
    }
    cr_assert_eq(atomic_load(&p.tail), START + in);
    cr_assert_not(ring_tx_poisoned(&p.tx));
    cr_assert_not(ring_rx_poisoned(&p.rx));
}

/* Protects: capacity. Exactly cap descriptors fit, and taken slots come back at release,
 * not before. */
Test(ring, is_full_at_capacity_until_released)
{
    struct pair p;
    pair_init(&p, START + 12);
    fill(&p, CAP);
    cr_assert_not(put(&p, 99));
    struct item it[CAP];
    cr_assert_eq(iring_take_batch(&p.rx, p.slot, it, 3), 3);
    cr_assert_not(put(&p, 99), "taken is not released");
    ring_release(&p.rx);
    cr_assert_eq(ring_space(&p.tx, CAP), 3);
    cr_assert_eq(iring_take_batch(&p.rx, p.slot, it, CAP), CAP - 3);
    cr_assert_not(ring_tx_drained(&p.tx));
    ring_release(&p.rx);
    cr_assert(ring_tx_drained(&p.tx));
    cr_assert_eq(ring_space(&p.tx, CAP), CAP);
}

/* Protects: nothing is visible before it is submitted. */
Test(ring, hides_what_is_not_submitted)
{
    struct pair p;
    pair_init(&p, UINT32_MAX);
    cr_assert(put(&p, 1));
    struct item it;
    cr_assert_not(iring_take(&p.rx, p.slot, &it));
    cr_assert_eq(ring_avail(&p.rx, 1), 0);
    ring_submit(&p.tx);
    cr_assert(iring_take(&p.rx, p.slot, &it));
    cr_assert_eq(it.seq, 1);
}

/* Protects: the shared word is not read while the shadow has enough (what makes a ring
 * cheap between two processors), and read when it has not. */
Test(ring, reads_the_peer_only_when_it_must)
{
    struct pair p;
    pair_init(&p, START);
    fill(&p, 2);
    cr_assert_eq(ring_avail(&p.rx, 2), 2);
    fill(&p, 3);
    cr_assert_eq(ring_avail(&p.rx, 2), 2);
    cr_assert_eq(ring_avail(&p.rx, 3), 5);
}

/* Protects: a process that goes on after a crash finds the indices where they were. */
Test(ring, goes_on_from_what_memory_holds)
{
    struct pair p;
    pair_init(&p, START + 14);
    fill(&p, 5);
    struct item it;
    cr_assert(iring_take(&p.rx, p.slot, &it));
    ring_release(&p.rx);
    cr_assert(iring_take(&p.rx, p.slot, &it)); /* taken, not released: comes again */
    cr_assert_eq(it.seq, 1);

    ring_rx_init(&p.rx, &p.tail, &p.head, CAP);
    cr_assert(iring_take(&p.rx, p.slot, &it));
    cr_assert_eq(it.seq, 1);
    cr_assert_eq(ring_avail(&p.rx, CAP), 3);

    cr_assert(put(&p, 77)); /* reserved, not submitted: gone */
    ring_tx_init(&p.tx, &p.tail, &p.head, CAP);
    cr_assert_eq(ring_space(&p.tx, CAP), CAP - 4);
    cr_assert_not(ring_tx_poisoned(&p.tx));
}

/* Protects: the consumer against each tail that cannot be; starting over the wrap. */
Test(ring, consumer_poisons_at_an_impossible_tail)
{
    /* 3 waiting and believed, 1 of them taken and released */
    static const int32_t bad[] = {CAP + 2, CAP + 3, 2, 1, 0, -1, INT32_MAX, INT32_MIN};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct pair p;
        struct item it;
        pair_init(&p, START + 14);
        fill(&p, 3);
        cr_assert(iring_take(&p.rx, p.slot, &it));
        ring_release(&p.rx);
        atomic_store(&p.tail, START + 14 + (uint32_t)bad[i]);
        cr_assert_eq(ring_avail(&p.rx, CAP), 0, "tail moved by %d", bad[i]);
        cr_assert(ring_rx_poisoned(&p.rx));
        /* a good value afterwards changes nothing */
        atomic_store(&p.tail, START + 14 + 4);
        cr_assert_eq(ring_avail(&p.rx, 1), 0);
        cr_assert_not(iring_take(&p.rx, p.slot, &it));
        cr_assert_eq(iring_take_batch(&p.rx, p.slot, &it, 1), 0);
    }
}

/* Protects: the largest tail that can be is still believed. */
Test(ring, consumer_believes_a_possible_tail)
{
    struct pair p;
    struct item it;
    pair_init(&p, START + 14);
    fill(&p, 3);
    cr_assert(iring_take(&p.rx, p.slot, &it));
    ring_release(&p.rx);
    atomic_store(&p.tail, START + 14 + 1 + CAP);
    cr_assert_eq(ring_avail(&p.rx, CAP), CAP);
    cr_assert_not(ring_rx_poisoned(&p.rx));
}

/* Protects: what was taken and not released does not widen the window. */
Test(ring, consumer_counts_the_window_from_what_it_released)
{
    struct pair p;
    struct item it;
    pair_init(&p, START + 14);
    fill(&p, 3);
    cr_assert(iring_take(&p.rx, p.slot, &it));
    atomic_store(&p.tail, START + 14 + 1 + CAP);
    cr_assert_eq(ring_avail(&p.rx, CAP), 0);
    cr_assert(ring_rx_poisoned(&p.rx));
}

/* Protects: the producer against each head that cannot be. */
Test(ring, producer_poisons_at_an_impossible_head)
{
    /* 6 submitted, 2 of them known to be released, 1 more reserved */
    static const int32_t bad[] = {1, 0, -1, 7, 8, CAP + 2, INT32_MAX, INT32_MIN};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct pair p;
        pair_init(&p, START + 14);
        fill(&p, 6);
        atomic_store(&p.head, START + 14 + 2);
        cr_assert_eq(ring_space(&p.tx, CAP), 4);
        cr_assert(put(&p, 6));
        atomic_store(&p.head, START + 14 + (uint32_t)bad[i]);
        cr_assert_eq(ring_space(&p.tx, CAP), 0, "head at %d", bad[i]);
        cr_assert(ring_tx_poisoned(&p.tx));
        atomic_store(&p.head, START + 14 + 6);
        cr_assert_null(iring_reserve(&p.tx, p.slot));
        cr_assert_eq(ring_space(&p.tx, 1), 0);
    }
}

/* Protects: taking up a ring whose other side holds nonsense. */
Test(ring, init_with_an_impossible_peer_index)
{
    struct pair p;
    struct item it;
    pair_init(&p, START);
    fill(&p, 2);
    atomic_store(&p.head, START + 3); /* more released than was ever submitted */
    ring_tx_init(&p.tx, &p.tail, &p.head, CAP);
    cr_assert(ring_tx_poisoned(&p.tx));
    cr_assert_null(iring_reserve(&p.tx, p.slot));
    atomic_store(&p.head, START + 2 - CAP - 1);
    ring_tx_init(&p.tx, &p.tail, &p.head, CAP);
    cr_assert_eq(ring_space(&p.tx, 1), 0);

    pair_init(&p, START);
    atomic_store(&p.tail, START + CAP + 1);
    ring_rx_init(&p.rx, &p.tail, &p.head, CAP);
    cr_assert_not(iring_take(&p.rx, p.slot, &it));
    cr_assert(ring_rx_poisoned(&p.rx));
}
