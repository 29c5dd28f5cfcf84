/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Handle tables: nothing wider than its parent, nothing alive after its parent, nothing to
 * guess, nothing lost after a crash.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>

#include "ipc/handle.h"

#define N 16u

static struct handle_table *
table(uint32_t n)
{
    struct handle_table *t = calloc(1, handle_table_bytes(n));
    cr_assert_not_null(t);
    handle_table_init(t, n);
    cr_assert(handle_table_validate(t));
    return t;
}

static int
get(const struct handle_table *t, uint64_t h, uint32_t need)
{
    uint32_t object = 12345;
    int err = handle_get(t, h, need, &object);
    cr_assert((err == 0) == (object != 12345));
    return err;
}

/* Protects: the object and the rights that come out are those that went in. */
Test(handle, names_an_object_with_rights)
{
    struct handle_table *t = table(N);
    uint64_t h = handle_new(t, 7, RIGHT_SEND | RIGHT_OPTIONS);
    uint32_t object;
    cr_assert_eq(handle_get(t, h, RIGHT_SEND, &object), 0);
    cr_assert_eq(object, 7);
    cr_assert_eq(get(t, h, RIGHT_SEND | RIGHT_OPTIONS), 0);
    cr_assert_eq(get(t, h, 0), 0);
    cr_assert_eq(get(t, h, RIGHT_RECEIVE), EACCES);
    cr_assert_eq(get(t, h, RIGHT_SEND | RIGHT_RECEIVE), EACCES);
    cr_assert_eq(get(t, h, ~0u), EACCES);
    cr_assert(handle_table_validate(t));
    free(t);
}

/* Protects: no number that was not handed out names anything; generation 0 never does. */
Test(handle, a_forged_number_names_nothing)
{
    struct handle_table *t = table(N);
    uint64_t h = handle_new(t, 7, RIGHT_ALL);
    cr_assert_eq(get(t, HANDLE_NONE, 0), EBADF);
    cr_assert_eq(get(t, UINT64_MAX, 0), EBADF);
    cr_assert_eq(get(t, h + 1, 0), EBADF);
    cr_assert_eq(get(t, h + N, 0), EBADF);
    cr_assert_eq(get(t, h + (1ull << 32), 0), EBADF);
    cr_assert_eq(get(t, h - (1ull << 32), 0), EBADF);
    for (unsigned bit = 0; bit < 64; bit++)
        cr_assert_eq(get(t, h ^ (1ull << bit), 0), EBADF);
    for (uint32_t i = 0; i < N; i++) /* what a free entry would be called next */
        if (i != (uint32_t)h)
            cr_assert_eq(get(t, (uint64_t)t->e[i].generation << 32 | i, 0), EBADF);
    cr_assert_eq(handle_revoke(t, h ^ 1), 0);
    cr_assert_eq(handle_mint(t, h ^ 1, RIGHT_ALL), HANDLE_NONE);
    cr_assert_eq(get(t, h, RIGHT_ALL), 0);
    free(t);
}

/* Protects: minting narrows. Rights that the giver lacks are not given, and a handle without
 * rights is not made. */
Test(handle, mint_never_widens)
{
    struct handle_table *t = table(N);
    uint64_t a = handle_new(t, 1, RIGHT_SEND | RIGHT_RECEIVE);
    uint64_t b = handle_mint(t, a, RIGHT_ALL);
    cr_assert_neq(b, HANDLE_NONE);
    cr_assert_eq(get(t, b, RIGHT_SEND | RIGHT_RECEIVE), 0);
    cr_assert_eq(get(t, b, RIGHT_OPTIONS), EACCES);
    uint64_t c = handle_mint(t, b, RIGHT_SEND | RIGHT_ACCEPT);
    cr_assert_eq(get(t, c, RIGHT_SEND), 0);
    cr_assert_eq(get(t, c, RIGHT_ACCEPT), EACCES);
    cr_assert_eq(get(t, c, RIGHT_RECEIVE), EACCES);
    cr_assert_eq(handle_mint(t, c, RIGHT_RECEIVE), HANDLE_NONE);
    cr_assert_eq(handle_mint(t, c, 0), HANDLE_NONE);
    cr_assert_eq(handle_new(t, 1, 0), HANDLE_NONE);
    cr_assert_eq(handle_new(t, 1, ~(uint32_t)RIGHT_ALL), HANDLE_NONE);
    cr_assert_eq(t->used, 3);
    cr_assert(handle_table_validate(t));
    free(t);
}

/* Protects: revoking kills the whole tree below, only that, and at once. */
Test(handle, revoke_kills_what_was_minted)
{
    struct handle_table *t = table(N);
    uint64_t a = handle_new(t, 1, RIGHT_ALL), other = handle_new(t, 2, RIGHT_ALL);
    uint64_t b = handle_mint(t, a, RIGHT_ALL), c = handle_mint(t, a, RIGHT_SEND);
    uint64_t b1 = handle_mint(t, b, RIGHT_SEND), b2 = handle_mint(t, b, RIGHT_RECEIVE);
    uint64_t b11 = handle_mint(t, b1, RIGHT_SEND);
    cr_assert_eq(handle_revoke(t, b), 4);
    cr_assert_eq(get(t, a, 0), 0);
    cr_assert_eq(get(t, c, 0), 0);
    cr_assert_eq(get(t, other, 0), 0);
    cr_assert_eq(get(t, b, 0), EBADF);
    cr_assert_eq(get(t, b1, 0), EBADF);
    cr_assert_eq(get(t, b2, 0), EBADF);
    cr_assert_eq(get(t, b11, 0), EBADF);
    cr_assert(handle_table_validate(t));
    cr_assert_eq(handle_revoke(t, b), 0, "dead already");
    cr_assert_eq(handle_revoke(t, a), 2);
    cr_assert_eq(t->used, 1);
    cr_assert_eq(get(t, other, RIGHT_ALL), 0);
    cr_assert(handle_table_validate(t));
    free(t);
}

/* Protects: a full table refuses, and an entry that is used again does not answer to its old
 * name. */
Test(handle, full_table_and_used_again)
{
    struct handle_table *t = table(N);
    uint64_t h[N];
    for (uint32_t i = 0; i < N; i++) {
        h[i] = handle_new(t, i, RIGHT_ALL);
        cr_assert_neq(h[i], HANDLE_NONE);
        for (uint32_t j = 0; j < i; j++)
            cr_assert_neq((uint32_t)h[i], (uint32_t)h[j]);
    }
    cr_assert_eq(handle_new(t, 99, RIGHT_ALL), HANDLE_NONE);
    cr_assert_eq(handle_mint(t, h[3], RIGHT_ALL), HANDLE_NONE);
    cr_assert(handle_table_validate(t));
    cr_assert_eq(handle_revoke(t, h[5]), 1);
    uint64_t again = handle_new(t, 77, RIGHT_SEND);
    cr_assert_eq((uint32_t)again, (uint32_t)h[5]);
    cr_assert_neq(again, h[5]);
    cr_assert_eq(get(t, h[5], 0), EBADF);
    cr_assert_eq(get(t, again, RIGHT_SEND), 0);
    free(t);
}

/* Protects: the generation goes from its last value to 1, never to 0. */
Test(handle, generation_wraps_past_zero)
{
    struct handle_table *t = table(1);
    t->e[0].generation = UINT32_MAX - 1;
    uint32_t last = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t h = handle_new(t, i, RIGHT_ALL);
        cr_assert_neq(h, HANDLE_NONE);
        last = (uint32_t)(h >> 32);
        cr_assert_neq(last, 0);
        cr_assert_eq(handle_revoke(t, h), 1);
        cr_assert_eq(get(t, h, 0), EBADF);
    }
    cr_assert_eq(last, 2);
    free(t);
}

/* Protects: the cost of revoking. A chain as long as the table, made so that children lie in
 * front of their parents, is one walk; quadratic work would run into the time limit. */
Test(handle, revokes_a_long_chain_in_one_walk, .timeout = 20)
{
    const uint32_t n = 1u << 20;
    struct handle_table *t = table(n);
    uint64_t *h = calloc(n, sizeof *h);
    for (uint32_t i = 0; i < n; i++)
        h[i] = handle_new(t, i, RIGHT_ALL);
    for (uint32_t i = 0; i < n; i++)
        cr_assert_eq(handle_revoke(t, h[i]), 1);
    uint64_t first = handle_new(t, 1, RIGHT_ALL); /* now the free list runs downwards */
    uint64_t last = first;
    for (uint32_t i = 1; i < n; i++)
        last = handle_mint(t, last, RIGHT_ALL);
    cr_assert_lt((uint32_t)last, (uint32_t)first);
    cr_assert(handle_table_validate(t));
    handle_table_recover(t, n);
    cr_assert_eq(t->used, n);
    cr_assert(handle_table_validate(t));
    cr_assert_eq(handle_revoke(t, first), n);
    cr_assert_eq(t->used, 0);
    cr_assert(handle_table_validate(t));
    free(h);
    free(t);
}

static uint32_t
rnd(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* Protects: the invariants under any sequence of calls; against a plain record of what should
 * be alive. */
Test(handle, any_sequence_keeps_the_invariants)
{
    struct handle_table *t = table(N);
    struct {
        uint64_t h, parent;
        uint32_t object, rights;
    } live[N];
    uint32_t n = 0, seed = 7;
    for (unsigned step = 0; step < 20000; step++) {
        uint32_t what = rnd(&seed) % 8;
        if (what < 2 || n == 0) {
            uint32_t rights = rnd(&seed) & RIGHT_ALL, object = rnd(&seed);
            uint64_t h = handle_new(t, object, rights);
            cr_assert_eq(h == HANDLE_NONE, n == N || rights == 0);
            if (h != HANDLE_NONE) {
                live[n].h = h, live[n].parent = HANDLE_NONE;
                live[n].object = object, live[n++].rights = rights;
            }
        } else if (what < 7) {
            uint32_t from = rnd(&seed) % n, rights = rnd(&seed) & RIGHT_ALL;
            uint64_t h = handle_mint(t, live[from].h, rights);
            cr_assert_eq(h == HANDLE_NONE, n == N || (rights & live[from].rights) == 0);
            if (h != HANDLE_NONE) {
                live[n].h = h, live[n].parent = live[from].h;
                live[n].object = live[from].object;
                live[n++].rights = rights & live[from].rights;
            }
        } else {
            uint32_t died = 0;
            uint64_t gone[N];
            gone[0] = live[rnd(&seed) % n].h;
            uint32_t n_gone = 1, got = handle_revoke(t, gone[0]);
            for (uint32_t g = 0; g < n_gone; g++)
                for (uint32_t i = 0; i < n; i++)
                    if (live[i].parent == gone[g])
                        gone[n_gone++] = live[i].h;
            for (uint32_t g = 0; g < n_gone; g++)
                for (uint32_t i = 0; i < n; i++)
                    if (live[i].h == gone[g]) {
                        live[i] = live[--n];
                        died++;
                        break;
                    }
            cr_assert_eq(got, died);
            cr_assert_eq(get(t, gone[n_gone - 1], 0), EBADF);
        }
        cr_assert_eq(t->used, n);
        cr_assert(handle_table_validate(t));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t object = 0;
            cr_assert_eq(handle_get(t, live[i].h, live[i].rights, &object), 0);
            cr_assert_eq(object, live[i].object);
            cr_assert_eq(get(t, live[i].h, ~live[i].rights & RIGHT_ALL),
                         live[i].rights == RIGHT_ALL ? 0 : EACCES);
        }
    }
    free(t);
}

/* Protects: a new table, however large, costs nothing but what is used of it; what was given
 * back is used again before what never was. */
Test(handle, a_new_table_is_not_touched)
{
    struct handle_table *t = table(N);
    uint64_t h[3];
    for (unsigned i = 0; i < 3; i++)
        h[i] = handle_new(t, i, RIGHT_ALL);
    handle_drop(t, h[1]);
    cr_assert_eq((uint32_t)handle_new(t, 9, RIGHT_ALL), (uint32_t)h[1]);
    static const struct handle_entry untouched;
    for (uint32_t i = 3; i < N; i++)
        cr_assert_eq(memcmp(&t->e[i], &untouched, sizeof untouched), 0, "entry %u", i);
    cr_assert(handle_table_validate(t));
    for (uint32_t i = 3; i < N; i++)
        cr_assert_eq((uint32_t)handle_new(t, i, RIGHT_ALL), i);
    cr_assert_eq(handle_new(t, 1, RIGHT_ALL), HANDLE_NONE);
    cr_assert(handle_table_validate(t));
    free(t);
}

/* Protects: after a crash in the middle of revoking, the rest of the tree dies too; in the
 * middle of making, nothing is lost; names that were handed out stay good. */
Test(handle, recovers_after_a_crash)
{
    struct handle_table *t = table(N);
    uint64_t a = handle_new(t, 1, RIGHT_ALL), keep = handle_new(t, 2, RIGHT_SEND);
    uint64_t b = handle_mint(t, a, RIGHT_ALL), c = handle_mint(t, b, RIGHT_SEND);
    uint64_t kept = handle_mint(t, keep, RIGHT_SEND);
    t->e[(uint32_t)a].rights = 0; /* as revoke leaves it when it is killed */
    t->free_head++;               /* as make does: it was never used */
    t->used = 1000;
    cr_assert_not(handle_table_validate(t));
    handle_table_recover(t, N);
    cr_assert(handle_table_validate(t));
    cr_assert_eq(t->used, 2);
    cr_assert_eq(get(t, a, 0), EBADF);
    cr_assert_eq(get(t, b, 0), EBADF);
    cr_assert_eq(get(t, c, 0), EBADF);
    cr_assert_eq(get(t, keep, RIGHT_SEND), 0);
    cr_assert_eq(get(t, kept, RIGHT_SEND), 0);
    for (uint32_t i = 2; i < N; i++) {
        uint64_t h = handle_new(t, i, RIGHT_ALL);
        cr_assert(h != HANDLE_NONE && h != a && h != b && h != c);
    }
    cr_assert_eq(handle_new(t, 0, RIGHT_ALL), HANDLE_NONE);
    cr_assert_eq(handle_revoke(t, keep), 2);
    free(t);
}

static bool
is_even(void *ctx, uint32_t object)
{
    (*(unsigned *)ctx)++;
    return object % 2 == 0;
}

/* Protects: a successor gets rid of the names of sessions that did not survive. */
Test(handle, sweeps_what_is_not_wanted)
{
    struct handle_table *t = table(N);
    uint64_t h[4], minted;
    unsigned asked = 0;
    for (uint32_t i = 0; i < 4; i++)
        h[i] = handle_new(t, i, RIGHT_ALL);
    minted = handle_mint(t, h[1], RIGHT_SEND);
    cr_assert_eq(handle_sweep(t, is_even, &asked), 3);
    cr_assert_eq(asked, 4, "what died with its parent is not asked for");
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(get(t, h[i], 0), i % 2 == 0 ? 0 : EBADF);
    cr_assert_eq(get(t, minted, 0), EBADF);
    cr_assert(handle_table_validate(t));
    free(t);
}

/* Protects: validate and recover end, and validate says no, whatever the memory holds. */
Test(handle, recovers_from_any_bytes, .timeout = 30)
{
    struct handle_table *t = table(N);
    uint32_t seed = 3, said_no = 0;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t *p = (uint8_t *)t;
        for (size_t i = 0; i < handle_table_bytes(N); i++)
            p[i] = (uint8_t)rnd(&seed);
        if (round % 2) /* plausible numbers: circles, double links */
            for (uint32_t i = 0; i < N; i++) {
                struct handle_entry *e = &t->e[i];
                e->parent = rnd(&seed) % 3 == 0 ? HANDLE_NO_ENTRY : rnd(&seed) % N;
                e->child = rnd(&seed) % N;
                e->next = rnd(&seed) % N;
                e->prev = rnd(&seed) % 2 == 0 ? HANDLE_NO_ENTRY : rnd(&seed) % N;
                e->object = rnd(&seed) % N;
            }
        t->n = N;
        t->free_head %= N;
        said_no += !handle_table_validate(t);
        handle_table_recover(t, N);
        for (uint32_t i = 0; i < N; i++) /* that a child is wider it does not mend */
            if (t->e[i].rights != 0)
                t->e[i].rights |= RIGHT_ALL;
        cr_assert(handle_table_validate(t));
    }
    cr_assert_gt(said_no, 19000);
    free(t);
}
