/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bell, and ring with bell between two threads. The protocol itself is checked
 * exhaustively by tests/model/bell.pml; this checks that the code is that protocol.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ipc/bell.h"
#include "ipc/ring.h"

static int
pending(int fd)
{
    int n = -1;
    cr_assert_eq(ioctl(fd, FIONREAD, &n), 0);
    return n;
}

static int
publish(struct bell_ringer *r)
{
    if (!bell_due(r))
        return 0;
    bell_ring(r);
    return 1;
}

/* Protects: one arming costs at most one write, however much is published; the counter may
 * wrap. */
Test(bell, rings_once_for_each_arming)
{
    int fd[2];
    _Atomic uint32_t want = 0xfffffff0u;
    cr_assert_eq(bell_pipe(fd), 0);
    struct bell_sleeper s;
    struct bell_ringer r;
    bell_sleeper_init(&s, &want, fd[0]);
    bell_ringer_init(&r, &want, fd[1]);
    cr_assert_eq(publish(&r), 0, "nobody asked");
    for (int round = 1; round <= 20; round++) {
        bell_arm(&s);
        bell_arm(&s); /* armed already: no new generation */
        cr_assert(bell_armed(&s));
        int rung = 0;
        for (int i = 0; i < 100; i++)
            rung += publish(&r);
        cr_assert_eq(rung, 1);
        cr_assert_eq(pending(fd[0]), 1);
        cr_assert(bell_drain(&s));
        bell_disarm(&s);
        cr_assert_not(bell_armed(&s));
        cr_assert_eq(publish(&r), 0);
        cr_assert_eq(pending(fd[0]), 0);
    }
}

/* Protects: a successor of a sleeper that died armed starts disarmed, and a successor of a
 * ringer rings a sleeper that its predecessor had rung (it cannot know). */
Test(bell, goes_on_after_a_death)
{
    int fd[2];
    _Atomic uint32_t want = 0;
    cr_assert_eq(bell_pipe(fd), 0);
    struct bell_sleeper s;
    struct bell_ringer r;
    bell_sleeper_init(&s, &want, fd[0]);
    bell_ringer_init(&r, &want, fd[1]);
    bell_arm(&s);
    cr_assert_eq(publish(&r), 1);
    bell_ringer_init(&r, &want, fd[1]);
    cr_assert_eq(publish(&r), 1);
    bell_sleeper_init(&s, &want, fd[0]);
    cr_assert_not(bell_armed(&s));
    cr_assert_eq(publish(&r), 0);
    bell_arm(&s);
    cr_assert_eq(publish(&r), 1);
}

/* Protects: a ringer never waits. With nobody reading, the pipe fills up and stays so. */
Test(bell, never_waits_on_a_full_pipe, .timeout = 20)
{
    int fd[2];
    _Atomic uint32_t want = 0;
    cr_assert_eq(bell_pipe(fd), 0);
    cr_assert_gt(fcntl(fd[1], F_SETPIPE_SZ, 4096), 0);
    struct bell_ringer r;
    bell_ringer_init(&r, &want, fd[1]);
    for (int i = 0; i < 5000; i++)
        bell_ring(&r);
    cr_assert_eq(pending(fd[0]), 4096);
}

/* Protects: draining is bounded. A thread that writes as fast as it can must not keep the
 * sleeper in bell_drain. */
static void *
flood(void *arg)
{
    static const char junk[4096];
    int fd = *(int *)arg;
    while (write(fd, junk, sizeof junk) > 0 || errno == EAGAIN)
        ;
    return NULL;
}

Test(bell, drain_is_bounded_under_flood, .timeout = 20)
{
    int fd[2];
    _Atomic uint32_t want = 0;
    cr_assert_eq(bell_pipe(fd), 0);
    signal(SIGPIPE, SIG_IGN);
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, flood, &fd[1]), 0);
    struct bell_sleeper s;
    bell_sleeper_init(&s, &want, fd[0]);
    for (int i = 0; i < 1000; i++)
        cr_assert(bell_drain(&s));
    close(fd[0]); /* the flood ends with EPIPE */
    pthread_join(t, NULL);
}

/* Protects: a ringer that closes its end is noticed; otherwise a waiting sleeper would turn
 * for ever on a descriptor that is readable for good. */
Test(bell, drain_tells_a_closed_pipe)
{
    int fd[2];
    _Atomic uint32_t want = 0;
    cr_assert_eq(bell_pipe(fd), 0);
    struct bell_sleeper s;
    struct bell_ringer r;
    bell_sleeper_init(&s, &want, fd[0]);
    bell_ringer_init(&r, &want, fd[1]);
    cr_assert(bell_drain(&s), "empty is not closed");
    bell_ring(&r);
    close(fd[1]);
    cr_assert(bell_drain(&s));
    cr_assert_not(bell_drain(&s));
}

/* Protects: the read end that a client holds against SIGPIPE gives it no hold over the
 * sleeper's own: clearing O_NONBLOCK on it leaves the sleeper's reads non-blocking. */
Test(bell, reader_copy_is_a_description_of_its_own, .timeout = 20)
{
    int fd[2];
    _Atomic uint32_t want = 0;
    cr_assert_eq(bell_pipe(fd), 0);
    int copy = bell_reader_copy(fd[0]);
    cr_assert_geq(copy, 0);
    cr_assert(fcntl(copy, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(fcntl(copy, F_SETFL, 0), 0);
    cr_assert(fcntl(fd[0], F_GETFL) & O_NONBLOCK);
    struct bell_sleeper s;
    bell_sleeper_init(&s, &want, fd[0]);
    cr_assert(bell_drain(&s)); /* must not wait */
    close(fd[0]);
    struct bell_ringer r;
    bell_ringer_init(&r, &want, fd[1]);
    bell_ring(&r); /* must not raise SIGPIPE */
    cr_assert_eq(pending(copy), 1);
}

/* ---- two threads ---- */

#define MESSAGES 200000u
#define CAP 32u
#define SPIN 20000
#define WATCHDOG_MS 10000

RING_DEFINE(u32ring, uint32_t)

/* One side's words, as in a half: each on a line of its own. */
struct words {
    _Alignas(CACHE_LINE) ring_word index;
    _Alignas(CACHE_LINE) _Atomic uint32_t want;
};

struct side {
    struct bell_sleeper sleeper;
    struct bell_ringer ringer;
    uint32_t armings, rings, sleeps;
    bool lost;
};

struct stress {
    struct words prod, cons;
    uint32_t slot[CAP];
    struct ring_tx tx;
    struct ring_rx rx;
    struct side producer, consumer;
    uint32_t wrong;
    _Atomic bool stop;
};

static bool
sleep_on(struct stress *st, struct side *s)
{
    struct pollfd p = {.fd = s->sleeper.fd, .events = POLLIN};
    s->sleeps++;
    if (poll(&p, 1, WATCHDOG_MS) != 1) {
        s->lost = true;
        atomic_store(&st->stop, true);
        return false;
    }
    return bell_drain(&s->sleeper);
}

static void
ring_if_due(struct side *s)
{
    if (bell_due(&s->ringer)) {
        s->rings++;
        bell_ring(&s->ringer);
    }
}

/* A few hundred cycles at most, so that the sides meet at ever other points: the windows
 * that a fence closes are some ten wide. */
static void
dawdle(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    for (uint32_t n = (*seed >> 24) & 0xff; n > 0; n--)
        __asm__ volatile("");
}

/* The producer goes to sleep until there is room, or until all is consumed: in the second
 * case nothing follows that could make good for a lost wake-up. */
static bool
wait_for(struct stress *st, bool drained)
{
    /* Spinning first keeps the two within each other's windows; sleeping takes too long. */
    for (int i = 0; i < SPIN && drained && !ring_tx_drained(&st->tx); i++)
        ;
    while (drained ? !ring_tx_drained(&st->tx) : ring_space(&st->tx, 1) == 0) {
        st->producer.armings++;
        bell_arm(&st->producer.sleeper);
        bool go_on = drained ? ring_tx_drained(&st->tx) : ring_space(&st->tx, 1) != 0;
        if (!go_on && !sleep_on(st, &st->producer))
            return false;
        bell_disarm(&st->producer.sleeper);
    }
    return true;
}

static void *
produce(void *arg)
{
    struct stress *st = arg;
    uint32_t next = 0, seed = 1;
    while (next < MESSAGES && !atomic_load(&st->stop)) {
        uint32_t burst = seed >> 31 ? 1 : 1 + ((seed >> 25) & 0x3f);
        uint32_t *slot = NULL;
        dawdle(&seed);
        for (; burst > 0 && next < MESSAGES; burst--) {
            slot = u32ring_reserve(&st->tx, st->slot);
            if (slot == NULL)
                break;
            *slot = next++;
        }
        ring_submit(&st->tx);
        ring_if_due(&st->producer);
        if (!wait_for(st, slot != NULL))
            return NULL;
    }
    return NULL;
}

static void *
consume(void *arg)
{
    struct stress *st = arg;
    uint32_t expect = 0, seed = 99;
    while (expect < MESSAGES && !atomic_load(&st->stop)) {
        uint32_t got[8];
        unsigned n = u32ring_take_batch(&st->rx, st->slot, got, 8);
        for (unsigned i = 0; i < n; i++)
            st->wrong += got[i] != expect++;
        if (n > 0) {
            ring_release(&st->rx);
            ring_if_due(&st->consumer);
            dawdle(&seed);
            continue;
        }
        dawdle(&seed); /* spin a little, as a domain does */
        if (ring_avail(&st->rx, 1) != 0)
            continue;
        st->consumer.armings++;
        bell_arm(&st->consumer.sleeper);
        if (ring_avail(&st->rx, 1) == 0 && !sleep_on(st, &st->consumer))
            return NULL;
        bell_disarm(&st->consumer.sleeper);
    }
    return NULL;
}

/* Protects: no wake-up is lost and no descriptor is lost, repeated or torn, with both sides
 * falling asleep on each other; a poll that runs into the watchdog is a lost wake-up. And
 * never more writes than armings. */
Test(bell, two_threads_lose_nothing, .timeout = 120)
{
    static struct stress st;
    int to_cons[2], to_prod[2];
    cr_assert_eq(bell_pipe(to_cons), 0);
    cr_assert_eq(bell_pipe(to_prod), 0);
    atomic_store(&st.prod.index, 0xfffffff0u);
    atomic_store(&st.cons.index, 0xfffffff0u);
    ring_tx_init(&st.tx, &st.prod.index, &st.cons.index, CAP);
    ring_rx_init(&st.rx, &st.prod.index, &st.cons.index, CAP);
    bell_sleeper_init(&st.producer.sleeper, &st.prod.want, to_prod[0]);
    bell_ringer_init(&st.producer.ringer, &st.cons.want, to_cons[1]);
    bell_sleeper_init(&st.consumer.sleeper, &st.cons.want, to_cons[0]);
    bell_ringer_init(&st.consumer.ringer, &st.prod.want, to_prod[1]);

    pthread_t p, c;
    cr_assert_eq(pthread_create(&c, NULL, consume, &st), 0);
    cr_assert_eq(pthread_create(&p, NULL, produce, &st), 0);
    pthread_join(p, NULL);
    pthread_join(c, NULL);

    cr_assert_not(st.consumer.lost, "the consumer slept over a descriptor");
    cr_assert_not(st.producer.lost, "the producer slept over free room");
    cr_assert_eq(st.wrong, 0);
    cr_assert_not(ring_tx_poisoned(&st.tx));
    cr_assert_not(ring_rx_poisoned(&st.rx));
    cr_assert_leq(st.producer.rings, st.consumer.armings);
    cr_assert_leq(st.consumer.rings, st.producer.armings);
    cr_assert_gt(st.consumer.sleeps + st.producer.sleeps, 0, "nobody slept: tests nothing");
}
