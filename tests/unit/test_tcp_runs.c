/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tcp_runs.c: lists of runs against a plain array: what is found, the order, the queues,
 * what a client may take, and that a long list costs no walk.
 */
#include "tcp/runs.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define N_SESSIONS 4
#define SPAN 3000u

static struct run_pool pool;
static struct run *memory;

static void
init(void)
{
    memory = calloc(runs_of(N_SESSIONS, RUNS_COMMON), sizeof *memory);
    cr_assert_not_null(memory);
    runs_init(&pool, memory, N_SESSIONS, RUNS_COMMON);
}

static void
fini(void)
{
    free(memory);
}

TestSuite(tcp_runs, .init = init, .fini = fini);

static uint32_t seed;

static uint32_t
draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * below) >> 32);
}

/* Place i holds [10 i, 10 i + 5) or nothing. */
static const struct run *
expected(struct run *const there[], uint64_t seq)
{
    for (uint32_t i = (uint32_t)(seq / 10); i < SPAN; i++)
        if (there[i] != NULL && there[i]->right > seq)
            return there[i];
    return NULL;
}

/* Random places come and go, and every look-up gives what a walk would. */
Test(tcp_runs, against_an_array)
{
    static struct run *there[SPAN];
    struct run_list l = run_list_none();
    uint32_t used = 0, n = 0;
    seed = 7;
    for (unsigned step = 0; step < 30000; step++) {
        uint32_t i = draw(SPAN);
        if (there[i] == NULL) {
            there[i] = runs_insert(&pool, &l, false, &used, 10 * i, 10 * i + 5);
            cr_assert_not_null(there[i]);
            n++;
        } else {
            runs_remove(&pool, &l, false, &used, there[i]);
            there[i] = NULL;
            n--;
        }
        uint64_t seq = draw(10 * SPAN);
        cr_assert_eq(runs_find(&pool, &l, seq), expected(there, seq), "step %u", step);
        if (step % 1000 == 0)
            cr_assert(runs_valid(&pool, &l), "step %u", step);
    }
    cr_assert_eq(l.n, n);
    cr_assert_eq(used, n);
    runs_clear(&pool, &l, false, &used);
    cr_assert_eq(used, 0);
    cr_assert_eq(pool.n_free, runs_of(N_SESSIONS, RUNS_COMMON));
}

static unsigned
depth(uint32_t i)
{
    if (i == RUN_NONE)
        return 0;
    unsigned low = depth(pool.run[i].low), high = depth(pool.run[i].high);
    return 1 + (low > high ? low : high);
}

/* Sequence numbers that come in order, as they mostly do, or from both ends, make no chain. */
Test(tcp_runs, stays_flat)
{
    for (unsigned way = 0; way < 3; way++) {
        struct run_list l = run_list_none();
        uint32_t used = 0, most = pool.extra / 4;
        for (uint32_t i = 0; i < most; i++) {
            uint64_t at = way == 0 ? i : way == 1 ? most - i : i % 2 ? most + i : most - i;
            cr_assert_not_null(runs_insert(&pool, &l, false, &used, 10 * at, 10 * at + 5));
        }
        cr_assert(runs_valid(&pool, &l));
        cr_assert_lt(depth(l.root), 50, "way %u", way); /* 2^15 runs */
        runs_clear(&pool, &l, false, &used);
    }
}

/* A client gets a quarter of what is common, and the promised ones are always there. */
Test(tcp_runs, limits)
{
    struct run_list l = run_list_none(), other = run_list_none();
    uint32_t used = 0, n = 0, other_used = pool.extra;
    while (runs_insert(&pool, &l, true, &used, 10 * n, 10 * n + 5) != NULL)
        n++;
    cr_assert_eq(n, min_u32(pool.extra / 4 + RUNS_SURE, RUNS_SESSION));
    cr_assert_null(runs_insert(&pool, &other, false, &other_used, 0, 5));
    for (uint32_t i = 0; i < RUNS_SURE; i++)
        cr_assert_not_null(runs_insert(&pool, &other, true, &other_used, 10 * i, 10 * i + 5));
    cr_assert_null(runs_insert(&pool, &other, true, &other_used, 1000, 1005));
    cr_assert_eq(other_used, pool.extra);
}

/* What a queue holds, oldest first, as digits. */
static unsigned
order(const struct run_queue *q)
{
    unsigned out = 0;
    uint32_t prev = RUN_NONE;
    for (uint32_t i = q->oldest; i != RUN_NONE; prev = i, i = pool.run[i].newer) {
        cr_assert_eq(pool.run[i].older, prev);
        out = out * 10 + (unsigned)pool.run[i].left;
    }
    cr_assert_eq(q->newest, prev);
    return out;
}

Test(tcp_runs, queues)
{
    struct run_list l = run_list_none();
    struct run_queue a = run_queue_none(), b = run_queue_none();
    struct run *r[6];
    uint32_t used = 0;
    for (unsigned i = 1; i <= 5; i++)
        r[i] = runs_insert(&pool, &l, false, &used, i, i + 1);
    queue_push(&pool, &a, r[3]);
    queue_push(&pool, &a, r[1]);
    queue_push_after(&pool, &a, r[3], r[2]);
    cr_assert_eq(order(&a), 321);
    queue_push(&pool, &b, r[5]);
    queue_push_after(&pool, &b, r[5], r[4]);
    cr_assert_eq(order(&b), 54);
    queue_splice(&pool, &a, &b);
    cr_assert_eq(order(&a), 54321);
    cr_assert_eq(order(&b), 0);
    queue_splice(&pool, &a, &b);
    queue_take(&pool, &a, r[5]);
    queue_take(&pool, &a, r[3]);
    queue_take(&pool, &a, r[1]);
    cr_assert_eq(order(&a), 42);
    queue_take(&pool, &a, r[2]);
    queue_take(&pool, &a, r[4]);
    queue_splice(&pool, &b, &a);
    cr_assert_eq(order(&b), 0);
}
