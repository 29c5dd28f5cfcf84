/* SPDX-License-Identifier: BSD-2-Clause
 *
 * race_ring.c: ring and bell between two threads, without the test library, which does not run
 * under ThreadSanitizer: in a --enable-sanitizers=thread build every missing barrier is a
 * report.
 *
 * Protects: a descriptor is complete when it is seen, a slot is free when it is given back,
 * order and number are kept over the wrap of the indices, and nobody sleeps for ever.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ipc/bell.h"
#include "ipc/ring.h"

#define CAP 16u
#define START 0xfffffff0u
#define ITEMS_CHECK 200000u
#define ITEMS_LONG 5000000u

struct item {
    uint32_t number;
    uint32_t check; /* ~number: a torn slot shows */
};
RING_DEFINE(item, struct item)

static struct {
    _Alignas(CACHE_LINE) ring_word tail;
    _Alignas(CACHE_LINE) ring_word head;
    _Alignas(CACHE_LINE) _Atomic uint32_t want_items;
    _Alignas(CACHE_LINE) _Atomic uint32_t want_space;
    struct item slot[CAP];
} shared;

static uint32_t n_items;
static int items_bell[2], space_bell[2];
static const char *fault; /* the consumer's; read after it was joined */

/* False: nobody rang for ten seconds. */
static bool
sleep_on(struct bell_sleeper *b)
{
    struct pollfd p = {.fd = b->fd, .events = POLLIN};
    int n = poll(&p, 1, 10000);
    bell_disarm(b);
    return n == 1 && bell_drain(b);
}

static void *
produce(void *arg)
{
    struct ring_tx tx;
    struct bell_sleeper space;
    struct bell_ringer items;
    ring_tx_init(&tx, &shared.tail, &shared.head, CAP);
    bell_sleeper_init(&space, &shared.want_space, space_bell[0]);
    bell_ringer_init(&items, &shared.want_items, items_bell[1]);
    for (uint32_t i = 0; i < n_items; i++) {
        struct item *slot;
        while ((slot = item_reserve(&tx, shared.slot)) == NULL) {
            bell_arm(&space);
            if (ring_space(&tx, 1) > 0)
                bell_disarm(&space);
            else if (!sleep_on(&space))
                return arg;
        }
        *slot = (struct item){.number = i, .check = ~i};
        ring_submit(&tx);
        if (bell_due(&items))
            bell_ring(&items);
    }
    return NULL;
}

static void *
consume(void *arg)
{
    struct ring_rx rx;
    struct bell_sleeper items;
    struct bell_ringer space;
    ring_rx_init(&rx, &shared.tail, &shared.head, CAP);
    bell_sleeper_init(&items, &shared.want_items, items_bell[0]);
    bell_ringer_init(&space, &shared.want_space, space_bell[1]);
    for (uint32_t i = 0; i < n_items; i++) {
        struct item it;
        while (!item_take(&rx, shared.slot, &it)) {
            bell_arm(&items);
            if (ring_avail(&rx, 1) > 0)
                bell_disarm(&items);
            else if (!sleep_on(&items)) {
                fault = "the consumer was not woken";
                return arg;
            }
        }
        ring_release(&rx);
        if (bell_due(&space))
            bell_ring(&space);
        if (it.number != i || it.check != ~i) {
            fault = "a descriptor is not what was sent";
            return arg;
        }
    }
    return NULL;
}

int
main(void)
{
    pthread_t p, c;
    void *stuck = NULL;
    n_items = getenv("BH_LONG") != NULL ? ITEMS_LONG : ITEMS_CHECK;
    atomic_store(&shared.tail, START);
    atomic_store(&shared.head, START);
    printf("1..1\n");
    if (bell_pipe(items_bell) < 0 || bell_pipe(space_bell) < 0 ||
        pthread_create(&c, NULL, consume, &n_items) != 0 ||
        pthread_create(&p, NULL, produce, &n_items) != 0) {
        printf("Bail out! no threads or pipes\n");
        return 1;
    }
    pthread_join(p, &stuck);
    pthread_join(c, NULL);
    if (fault == NULL && stuck != NULL)
        fault = "the producer was not woken";
    printf("%s 1 - race: %u descriptors cross between two threads, asleep and awake\n",
           fault == NULL ? "ok" : "not ok", n_items);
    if (fault != NULL)
        printf("# %s\n", fault);
    return fault != NULL;
}
