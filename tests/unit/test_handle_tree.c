/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Handles that are given up while others were minted from them, creators, and what a crash in
 * the middle of all this leaves.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>

#include "ipc/handle.h"
#include "rnd.h"

#define N 24u

static struct handle_table *t;

static void
setup(void)
{
    t = calloc(1, handle_table_bytes(N));
    cr_assert_not_null(t);
    handle_table_init(t, N);
}

static void
finish(void)
{
    free(t);
}

/* Last in each test. */
static void
check(void)
{
    cr_assert(handle_table_validate(t));
}

TestSuite(handle_tree, .init = setup, .fini = finish);

static int
get(uint64_t h)
{
    uint32_t object;
    return handle_get(t, h, 0, &object);
}

/* Protects: what was minted outlives the handle that it was minted from, and one that is left
 * is known to be the last, however it came to that. */
Test(handle_tree, what_was_minted_outlives_a_dropped_handle)
{
    uint64_t a = handle_new(t, 7, RIGHT_ALL), b = handle_mint(t, a, RIGHT_SEND | RIGHT_RECEIVE);
    uint64_t c = handle_mint(t, a, RIGHT_RECEIVE), d = handle_mint(t, b, RIGHT_SEND);
    cr_assert_not(handle_is_last(t, a));
    handle_drop(t, a);
    cr_assert_eq(get(a), EBADF);
    cr_assert_eq(get(b), 0);
    cr_assert_eq(get(c), 0);
    cr_assert_not(handle_is_last(t, c));
    handle_drop(t, a); /* again, as after a crash: nothing */
    handle_drop(t, c);
    handle_drop(t, b);
    cr_assert_eq(get(d), 0);
    cr_assert(handle_is_last(t, d));
    cr_assert_eq(t->used, 1);
    cr_assert_eq(t->trees, 1);
    handle_drop(t, d);
    cr_assert_eq(t->used, 0);
    cr_assert_eq(t->trees, 0);
    check();
}

/* Protects: whoever could revoke still can, though there is nobody between any more. */
Test(handle_tree, revoking_reaches_below_a_dropped_handle)
{
    uint64_t a = handle_new(t, 7, RIGHT_ALL), b = handle_mint(t, a, RIGHT_ALL);
    uint64_t c = handle_mint(t, b, RIGHT_SEND), d = handle_mint(t, b, RIGHT_SEND);
    handle_drop(t, b);
    cr_assert_eq(handle_revoke_below(t, a), 3);
    cr_assert_eq(get(c), EBADF);
    cr_assert_eq(get(d), EBADF);
    cr_assert(handle_is_last(t, a));
    b = handle_mint(t, a, RIGHT_SEND);
    cr_assert_eq(handle_revoke_all(t, b), 2);
    check();
}

static uint32_t ended[N], n_ended;

static void
end(void *ctx, uint32_t object, uint64_t given)
{
    (void)ctx;
    (void)given;
    ended[n_ended++] = object;
}

/* Protects: a creator is no session and the other way round; what hangs on a revoked creator is
 * told to end, and keeps the handle that it needs for that; others keep theirs. */
Test(handle_tree, creators)
{
    uint32_t object;
    uint64_t all = handle_new_creator(t, 99, RIGHT_ALL);
    uint64_t some = handle_mint_creator(t, all, 5, RIGHT_OPEN | RIGHT_LISTEN);
    uint64_t less = handle_mint_creator(t, some, 4, RIGHT_OPEN);
    uint64_t x = handle_new_under(t, all, 1, RIGHT_ALL),
             y = handle_new_under(t, some, 2, RIGHT_ALL);
    uint64_t z = handle_new_under(t, less, 3, RIGHT_ALL), y2 = handle_mint(t, y, RIGHT_LISTEN);
    cr_assert_eq(get(all), EBADF);
    cr_assert_eq(handle_get_creator(t, x, 0, &object), EBADF);
    cr_assert_eq(handle_get_creator(t, some, RIGHT_OPEN, &object), 0);
    cr_assert_eq(object, 5);
    cr_assert_eq(handle_get(t, y, RIGHT_LISTEN, &object), 0);
    cr_assert_eq(handle_get(t, y, RIGHT_CONNECT, &object), EACCES);
    cr_assert_eq(handle_mint(t, some, RIGHT_OPEN), HANDLE_NONE);
    cr_assert_eq(handle_mint_creator(t, x, 1, RIGHT_OPEN), HANDLE_NONE);
    cr_assert_eq(handle_new_under(t, x, 1, RIGHT_OPEN), HANDLE_NONE);
    cr_assert_eq(t->trees, 3);
    cr_assert(handle_table_validate(t));
    handle_drop(t, less); /* it is dead, but what it made can be revoked with its parent */
    cr_assert_eq(handle_get_creator(t, less, 0, &object), EBADF);
    cr_assert_neq(handle_new_under(t, less, 4, RIGHT_ALL), HANDLE_NONE);
    n_ended = 0;
    cr_assert_eq(handle_revoke_creator(t, some, end, NULL), 2);
    cr_assert_eq(n_ended, 3);
    cr_assert_eq(ended[0] + ended[1] + ended[2], 9);
    cr_assert_eq(get(x), 0);
    cr_assert_eq(get(y2), 0);
    cr_assert_eq(get(z), 0);
    cr_assert_eq(handle_new_under(t, some, 4, RIGHT_ALL), HANDLE_NONE);
    cr_assert_eq(handle_new_under(t, less, 4, RIGHT_ALL), HANDLE_NONE);
    cr_assert(handle_table_validate(t));
    check();
}

/* Protects: a handle whose client may not know of it goes, but for the one that was told last.
 */
Test(handle_tree, untold_handles_go)
{
    uint64_t a = handle_new(t, 7, RIGHT_ALL), b = handle_mint(t, a, RIGHT_SEND);
    uint64_t c = handle_mint(t, a, RIGHT_SEND), d = handle_mint(t, a, RIGHT_SEND);
    handle_mark_untold(t, b);
    handle_mark_untold(t, c);
    handle_mark_untold(t, d);
    handle_mark_told(t, b);
    handle_drop_untold(t, c);
    cr_assert_eq(get(b), 0);
    cr_assert_eq(get(c), 0);
    cr_assert_eq(get(d), EBADF);
    handle_drop_untold(t, 0);
    cr_assert_eq(get(c), 0, "it is told now");
    check();
}

/* Protects: the invariants under any sequence of calls, with a crash (a table of which only
 * what a successor may believe is left) after each; live handles stay, others do not come back.
 */
Test(handle_tree, any_sequence_survives_crashes)
{
    struct {
        uint64_t h;
        bool creator;
    } live[N];
    uint32_t n = 0;
    uint64_t seed = 5;
    for (unsigned step = 0; step < 40000; step++) {
        uint32_t what = (uint32_t)(rnd_next(&seed) >> 8) % 10,
                 from = n != 0 ? (uint32_t)(rnd_next(&seed) >> 8) % n : 0;
        uint64_t h = HANDLE_NONE;
        bool creator = false;
        if (n == 0 || what == 0) {
            creator = (uint32_t)(rnd_next(&seed) >> 8) % 2;
            h = creator ? handle_new_creator(t, 1, RIGHT_ALL) : handle_new(t, 1, RIGHT_ALL);
        } else if (what < 6) {
            creator = live[from].creator && (uint32_t)(rnd_next(&seed) >> 8) % 2;
            h = creator              ? handle_mint_creator(t, live[from].h, 1, RIGHT_ALL)
                : live[from].creator ? handle_new_under(t, live[from].h, 1, RIGHT_ALL)
                                     : handle_mint(t, live[from].h, RIGHT_ALL);
        } else if (what < 9) {
            handle_drop(t, live[from].h);
            live[from] = live[--n];
        } else {
            if (live[from].creator)
                (void)handle_revoke_creator(t, live[from].h, end, (n_ended = 0, NULL));
            else
                (void)handle_revoke(t, live[from].h);
        }
        if (h != HANDLE_NONE) {
            live[n].h = h;
            live[n++].creator = creator;
        }
        cr_assert(handle_table_validate(t), "step %u", step);
        if ((uint32_t)(rnd_next(&seed) >> 8) % 4 == 0) {
            for (uint32_t i = 0; i < N; i++)
                t->e[i].child = t->e[i].next = t->e[i].prev = (uint32_t)(rnd_next(&seed) >> 8);
            t->used = t->trees = t->free_head = (uint32_t)(rnd_next(&seed) >> 8);
            handle_table_recover(t, N);
            cr_assert(handle_table_validate(t), "step %u", step);
        }
        uint32_t kept = 0;
        for (uint32_t i = 0; i < n; i++) {
            bool lives = handle_lives(t, live[i].h);
            cr_assert(lives || what == 9, "step %u", step);
            if (lives)
                live[kept++] = live[i];
        }
        n = kept;
        cr_assert_leq(t->used, N);
        cr_assert(n != 0 || t->used == 0, "an entry is left that nobody can name");
    }
    check();
}
