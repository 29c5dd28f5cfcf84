/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The timing wheel against a plain table: nodes come out when they are due, not before, each
 * once, whatever was inserted, removed and how far time jumps.
 */
#include <criterion/criterion.h>

#include "rnd.h"
#include "tcp/wheel.h"

#define NODES 400u
#define TICK (1ull << WHEEL_TICK_BITS)

static struct wheel w;
static struct wheel_node node[NODES];
static uint64_t due[NODES]; /* tick; 0: not in */

static struct wheel_node *
node_of(void *ctx, uint32_t i)
{
    return &((struct wheel_node *)ctx)[i];
}

static void
start(ns_t now)
{
    memset(node, 0, sizeof node);
    memset(due, 0, sizeof due);
    wheel_init(&w, node_of, node, now);
}

/* The tick at which the wheel must give out what is asked for at `at`, now being `now`. */
static uint64_t
tick_of(ns_t at, ns_t now)
{
    uint64_t t = (at + TICK - 1) / TICK, first = now / TICK + 1;
    return t < first ? first : t;
}

static void
take_all(ns_t now)
{
    uint32_t i;
    while ((i = wheel_take(&w, now)) != WHEEL_NONE) {
        cr_assert_lt(i, NODES);
        cr_assert_neq(due[i], 0, "node %u twice", i);
        cr_assert_leq(due[i], now / TICK, "node %u early", i);
        due[i] = 0;
    }
    for (i = 0; i < NODES; i++)
        cr_assert(due[i] == 0 || due[i] > now / TICK, "node %u late", i);
}

/* No deadline is later than the first node that is due; without nodes there is none. */
static void
check_deadline(void)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < NODES; i++)
        if (due[i] != 0 && due[i] < first)
            first = due[i];
    if (first == UINT64_MAX)
        cr_assert_eq(wheel_deadline(&w), NS_NEVER);
    else
        cr_assert_leq(wheel_deadline(&w), first * TICK);
}

/* Random inserts, removals and jumps of time of every size, from several beginnings. */
Test(wheel, against_a_table)
{
    static const ns_t begin[] = {0, NS_S, (1ull << 44) - 5 * TICK, 12345678901234567ull};
    for (unsigned b = 0; b < ARRAY_LEN(begin); b++) {
        uint64_t seed = 88172645463325252ull + b;
        ns_t now = begin[b];
        start(now);
        for (unsigned step = 0; step < 60000; step++) {
            uint64_t r = rnd_next(&seed);
            uint32_t i = (uint32_t)(r % NODES);
            unsigned scale = (unsigned)(r >> 32) % 42;
            if (r >> 60 < 9) {
                if (due[i] != 0)
                    wheel_remove(&w, i);
                ns_t at = now + rnd_next(&seed) % (1ull << (scale + 4));
                wheel_insert(&w, i, at);
                due[i] = tick_of(at, now);
            } else if (r >> 60 < 11) {
                wheel_remove(&w, i); /* also one that is not in */
                due[i] = 0;
            } else {
                now += rnd_next(&seed) % (1ull << (scale / 2 + 10));
                take_all(now);
            }
            if (step % 16 == 0)
                check_deadline();
        }
        for (unsigned n = 0; n < 10000 && wheel_deadline(&w) != NS_NEVER; n++) {
            now = wheel_deadline(&w) > now ? wheel_deadline(&w) : now;
            take_all(now);
        }
        for (uint32_t i = 0; i < NODES; i++)
            cr_assert_eq(due[i], 0, "node %u was never given out", i);
    }
}

/* Following the deadlines alone, every node comes out in its very tick, across all levels and
 * every boundary between them. */
Test(wheel, deadlines_are_exact)
{
    for (unsigned shift = 0; shift < 30; shift++)
        for (int off = -2; off <= 2; off++) {
            ns_t now = 977 * TICK + 5;
            start(now);
            ns_t at = now + (1ull << shift) * TICK + (uint64_t)(int64_t)off * TICK;
            wheel_insert(&w, 0, at);
            uint64_t tick = tick_of(at, now);
            due[0] = tick;
            for (unsigned n = 0; due[0] != 0; n++) {
                cr_assert_lt(n, 200, "2^%u ticks: too many wake-ups", shift);
                ns_t d = wheel_deadline(&w);
                cr_assert_leq(d, tick * TICK);
                now = d > now ? d : now;
                if (wheel_take(&w, now) == 0) {
                    cr_assert_eq(now / TICK, tick, "2^%u%+d", shift, off);
                    due[0] = 0;
                }
            }
            cr_assert_eq(wheel_deadline(&w), NS_NEVER);
        }
}

/* What is farther away than the wheel reaches waits at its end, and again, until it is due. */
Test(wheel, far_future)
{
    start(NS_S);
    ns_t at = 400ull * 24 * 3600 * NS_S, now = NS_S;
    wheel_insert(&w, 7, at);
    unsigned n = 0;
    while (now < at) {
        now = wheel_deadline(&w);
        cr_assert_neq(now, NS_NEVER);
        cr_assert_lt(++n, 100000);
        uint32_t i = wheel_take(&w, now);
        cr_assert(i == WHEEL_NONE || (i == 7 && now >= at));
    }
    start(NS_S);
    wheel_insert(&w, 7, at);
    cr_assert_eq(wheel_take(&w, at - TICK), WHEEL_NONE);
    cr_assert_eq(wheel_take(&w, at + TICK), 7, "one jump over all of it");
}

/* A time that is past is the next tick, not this one, and never lost. */
Test(wheel, past)
{
    start(100 * TICK);
    wheel_insert(&w, 1, 5);
    wheel_insert(&w, 2, 100 * TICK);
    cr_assert_eq(wheel_take(&w, 100 * TICK), WHEEL_NONE);
    uint32_t a = wheel_take(&w, 101 * TICK), b = wheel_take(&w, 101 * TICK);
    cr_assert(a + b == 3 && a != b);
    cr_assert_eq(wheel_take(&w, 200 * TICK), WHEEL_NONE);
}

/* Many in one slot, and a slot's nodes falling to several lower ones. */
Test(wheel, cascade)
{
    start(1);
    for (uint32_t i = 0; i < NODES; i++) {
        ns_t at = 64ull * 64 * TICK + i % 130 * TICK;
        wheel_insert(&w, i, at);
        due[i] = tick_of(at, 1);
    }
    wheel_remove(&w, 130);
    due[130] = 0;
    for (ns_t now = 64ull * 64 * TICK - 3 * TICK; now < 64ull * 67 * TICK; now += TICK)
        take_all(now);
    cr_assert_eq(wheel_deadline(&w), NS_NEVER);
}
