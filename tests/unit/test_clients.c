/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A client's queue of sessions that have something to tell it.
 */
#include <criterion/criterion.h>

#include "rnd.h"
#include "session/clients.h"

#define SESSIONS 1000u
#define ID 70u /* not in the first word of the clients' bits */

static struct clients cs;
static struct client_link links[SESSIONS];
static unsigned looked; /* at links of sessions other than the one that it is about */

static struct client_link *
link_of(void *ctx, uint32_t sess)
{
    (void)ctx;
    looked++;
    cr_assert_lt(sess, SESSIONS);
    return &links[sess];
}

static void
begin(void)
{
    memset(&cs, 0, sizeof cs);
    cs.c[ID] = (struct client){.used = true, .head = SESS_NONE, .tail = SESS_NONE};
    for (uint32_t i = 0; i < SESSIONS; i++)
        links[i] = (struct client_link){.client = ID, .slot = i, .next = SESS_NONE};
    looked = 0;
}

static void
tell(uint32_t sess)
{
    client_event(&cs, &links[sess], sess, EVT_READY, link_of, NULL);
}

static void
forget(uint32_t sess)
{
    client_forget(&cs, &links[sess], link_of, NULL);
}

static bool
is_ready(void)
{
    return (cs.ready[ID / 64] >> ID % 64 & 1) != 0;
}

/* A client with many sessions ends one by one, the last first, with all of them in its queue:
 * for each of them no more than its neighbours is looked at, or everybody else would wait. */
Test(clients, ends_in_bounded_time)
{
    begin();
    for (uint32_t i = 0; i < SESSIONS; i++)
        tell(i);
    cr_assert(is_ready());
    for (uint32_t i = SESSIONS; i-- > 0;) {
        looked = 0;
        forget(i);
        cr_assert_leq(looked, 2, "at %u", looked);
    }
    cr_assert(!is_ready());
    cr_assert_eq(client_next(&cs, ID, link_of, NULL), SESS_NONE);
}

/* Beside a plain list: who comes goes to the end, whoever leaves was there, the rest keeps its
 * order, and the client's bit tells whether there are any. */
Test(clients, queue_as_a_list)
{
    static uint32_t list[SESSIONS];
    uint64_t r = 4242;
    uint32_t n = 0;
    begin();
    for (unsigned step = 0; step < 20000; step++) {
        uint32_t sess = (uint32_t)(rnd_next(&r) % 24), at = 0;
        while (at < n && list[at] != sess)
            at++;
        switch (rnd_next(&r) % 3) {
        case 0:
            tell(sess);
            list[n] = sess;
            n += at == n;
            break;
        case 1:
            forget(sess);
            break;
        default:
            at = 0;
            sess = client_next(&cs, ID, link_of, NULL);
            cr_assert_eq(sess, n != 0 ? list[0] : SESS_NONE, "step %u", step);
            break;
        }
        if (sess != SESS_NONE && !links[sess].queued && at < n) {
            memmove(&list[at], &list[at + 1], (n - at - 1) * sizeof *list);
            n--;
        }
        cr_assert_eq(is_ready(), n != 0);
    }
}
