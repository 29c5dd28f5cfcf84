/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A peer that scribbles: a thread writes whatever it likes into everything that the peer of a
 * ring or link may write, while the honest side works. The honest side must not crash, not
 * touch memory outside the ring (guard pages stand around it), never be given more than fits,
 * and stop believing for good once it was told something impossible.
 */
#include <criterion/criterion.h>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/frame.h"
#include "ipc/link.h"
#include "ipc/region.h"

#define PAGE 4096u
#define ROUNDS 2000u
#define ENOUGH 100u /* times believed, times caught: with fewer nothing was tested */
#define TURNS 300u
#define CAP 16u

static uint32_t
rnd(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*s >> 33);
}

/* size bytes that end where an inaccessible page begins. */
static void *
guarded(size_t size)
{
    size_t body = ALIGN_UP(size, (size_t)PAGE);
    uint8_t *p = region_reserve(body + 2 * PAGE);
    cr_assert_not_null(p);
    cr_assert_eq(mprotect(p + PAGE, body, PROT_READ | PROT_WRITE), 0);
    return p + PAGE + (body - size);
}

/* ---- one ring ---- */

struct foe {
    ring_word *index;        /* what it may write */
    const ring_word *honest; /* what it may read, to be plausible at times */
    uint8_t *bytes;          /* more that it may write */
    size_t n_bytes;
    uint64_t seed;
    _Atomic bool stop;
};

static uint32_t
lie(struct foe *f)
{
    uint32_t base = atomic_load_explicit(f->honest, memory_order_relaxed);
    switch (rnd(&f->seed) % 16) {
    case 0:
        return rnd(&f->seed) << 1;
    case 1:
        return base - 1 - rnd(&f->seed) % 3;
    case 2:
        return base + CAP + 1 + rnd(&f->seed) % 3;
    default:
        return base + rnd(&f->seed) % (CAP + 1);
    }
}

static void *
scribble(void *arg)
{
    struct foe *f = arg;
    while (!atomic_load_explicit(&f->stop, memory_order_relaxed)) {
        atomic_store_explicit(f->index, lie(f), memory_order_relaxed);
        if (f->n_bytes != 0)
            f->bytes[rnd(&f->seed) % f->n_bytes] = (uint8_t)rnd(&f->seed);
    }
    return NULL;
}

/* Protects: the consumer of a ring whose producer lies. */
Test(hostile_ring, consumer_against_a_scribbling_producer, .timeout = 60)
{
    ring_word tail = 0, head = 0;
    struct pkt *slots = guarded(CAP * sizeof *slots);
    struct foe f = {.index = &tail,
                    .honest = &head,
                    .bytes = (uint8_t *)slots,
                    .n_bytes = CAP * sizeof *slots,
                    .seed = 1};
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, scribble, &f), 0);
    uint64_t taken = 0, poisoned = 0, seed = 5;
    for (unsigned n = 0; n < ROUNDS || taken < ENOUGH || poisoned < ENOUGH; n++) {
        struct ring_rx rx;
        atomic_store(&head, 0xfffffff0u + rnd(&seed) % 32);
        ring_rx_init(&rx, &tail, &head, CAP);
        unsigned turn = 0;
        for (; turn < TURNS && !ring_rx_poisoned(&rx); turn++) {
            struct pkt got[CAP + 4];
            unsigned max = 1 + rnd(&seed) % ARRAY_LEN(got);
            cr_assert_leq(ring_avail(&rx, max), CAP);
            unsigned m = pring_take_batch(&rx, slots, got, max);
            cr_assert_leq(m, min_u32(max, CAP));
            taken += m;
            cr_assert_leq(rx.my_head - rx.released, CAP);
            if (rnd(&seed) % 2)
                ring_release(&rx);
        }
        for (; turn < TURNS && ring_rx_poisoned(&rx); turn++) {
            struct pkt got;
            cr_assert_eq(ring_avail(&rx, 1), 0);
            cr_assert_not(pring_take(&rx, slots, &got));
        }
        poisoned += ring_rx_poisoned(&rx);
    }
    atomic_store(&f.stop, true);
    pthread_join(t, NULL);
}

/* Protects: the producer of a ring whose consumer lies. */
/* What stood there before it was taken up is no more believed than what comes: the producer
 * walks over the slots between two heads that it saw. */
Test(hostile_ring, producer_takes_up_a_ring_with_an_impossible_head)
{
    ring_word tail = 5, head = 0x80000000u;
    struct ring_tx tx;
    ring_tx_init(&tx, &tail, &head, CAP);
    cr_assert(ring_tx_poisoned(&tx));
    cr_assert_leq(tx.my_tail - tx.seen_head, CAP);
    ring_tx_refresh(&tx);
    cr_assert_leq(tx.my_tail - tx.seen_head, CAP);
    cr_assert_eq(ring_space(&tx, 1), 0u);
}

Test(hostile_ring, producer_against_a_scribbling_consumer, .timeout = 60)
{
    ring_word tail = 0, head = 0;
    struct fdesc *slots = guarded(CAP * sizeof *slots);
    struct foe f = {.index = &head, .honest = &tail, .seed = 2};
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, scribble, &f), 0);
    uint64_t sent = 0, poisoned = 0, seed = 6;
    for (unsigned n = 0; n < ROUNDS || sent < ENOUGH || poisoned < ENOUGH; n++) {
        struct ring_tx tx;
        atomic_store(&tail, 0xfffffff0u + rnd(&seed) % 32);
        ring_tx_init(&tx, &tail, &head, CAP);
        unsigned turn = 0;
        for (; turn < TURNS && !ring_tx_poisoned(&tx); turn++) {
            cr_assert_leq(ring_space(&tx, 1 + rnd(&seed) % (CAP + 2)), CAP);
            for (unsigned i = rnd(&seed) % (CAP + 2); i > 0; i--) {
                struct fdesc *d = fring_reserve(&tx, slots);
                if (d == NULL)
                    break;
                cr_assert(d >= slots && d < slots + CAP);
                *d = (struct fdesc){.addr = i};
                sent++;
            }
            ring_submit(&tx);
            (void)ring_tx_drained(&tx);
        }
        for (; turn < TURNS && ring_tx_poisoned(&tx); turn++) {
            cr_assert_eq(ring_space(&tx, 1), 0);
            cr_assert_null(fring_reserve(&tx, slots));
        }
        poisoned += ring_tx_poisoned(&tx);
    }
    atomic_store(&f.stop, true);
    pthread_join(t, NULL);
}

/* ---- a whole link ---- */

struct half_foe {
    uint32_t *word; /* its half */
    size_t n_words;
    const struct link_half *honest;
    uint64_t seed;
    _Atomic bool stop;
};

/* Mostly the words that count, mostly plausible; now and then anything anywhere. */
static void *
scribble_half(void *arg)
{
    struct half_foe *f = arg;
    struct link_half *h = (struct link_half *)(void *)f->word;
    while (!atomic_load_explicit(&f->stop, memory_order_relaxed)) {
        unsigned r = rnd(&f->seed) % LINK_RINGS;
        uint32_t what = rnd(&f->seed) % 64;
        if (what < 20) {
            uint32_t base =
                atomic_load_explicit(&f->honest->consume[r].head, memory_order_relaxed);
            atomic_store_explicit(&h->produce[r].tail, base + rnd(&f->seed) % 4,
                                  memory_order_relaxed);
        } else if (what < 40) {
            uint32_t base =
                atomic_load_explicit(&f->honest->produce[r].tail, memory_order_relaxed);
            atomic_store_explicit(&h->consume[r].head, base - rnd(&f->seed) % 4,
                                  memory_order_relaxed);
        } else if (what < 50) {
            atomic_store_explicit(&h->want, rnd(&f->seed), memory_order_relaxed);
        } else {
            /* anywhere but, most of the time, not on an index */
            size_t head = what == 63 ? 0 : sizeof *h / sizeof(uint32_t);
            size_t at = head + rnd(&f->seed) % (f->n_words - head);
            ((_Atomic uint32_t *)f->word)[at] = rnd(&f->seed) << 1;
        }
    }
    return NULL;
}

struct arena {
    void *own;
    const void *peer; /* read-only, between guard pages */
    void *foe;        /* the same memory, writable */
    size_t own_size, peer_size;
};

static void
halves(struct arena *a, enum link_kind kind, enum link_side side, const struct link_sizes *s)
{
    struct region r;
    a->own_size = link_half_bytes(kind, side, s);
    a->peer_size = link_half_bytes(kind, side == LINK_A ? LINK_B : LINK_A, s);
    a->own = guarded(a->own_size);
    cr_assert_eq(region_create(&r, "hostile half", a->peer_size), 0);
    uint8_t *range = region_reserve(a->peer_size + 2 * PAGE);
    cr_assert_not_null(range);
    a->peer = region_map(r.fd_ro, a->peer_size, false, range + PAGE);
    a->foe = region_map(r.fd_rw, a->peer_size, true, NULL);
    cr_assert(a->peer != NULL && a->foe != NULL);
    region_close(&r);
}

/* One turn of the honest side: everything that a domain does with a link. Returns how many
 * descriptors it took in. */
static uint64_t
honest_turn(struct link *l, enum link_kind kind, uint64_t *seed, const struct link_sizes *s,
            enum link_side side)
{
    uint64_t taken = 0;
    enum link_side other = side == LINK_A ? LINK_B : LINK_A;
    for (unsigned r = 0; r < LINK_RINGS; r++) {
        bool is_pkt = kind == LINK_UP && r == 0;
        if (l->rx[r].cap != 0) {
            uint32_t n = 0;
            struct pkt p;
            struct fdesc f;
            while (is_pkt ? pring_take(&l->rx[r], l->rx_slots[r], &p)
                          : fring_take(&l->rx[r], l->rx_slots[r], &f))
                n++;
            cr_assert_leq(n, s->cap[other][r], "more than the ring holds");
            taken += n;
        }
        for (unsigned i = rnd(seed) % 4; l->tx[r].cap != 0 && i > 0; i--) {
            void *d = is_pkt ? (void *)pring_reserve(&l->tx[r], l->tx_slots[r])
                             : (void *)fring_reserve(&l->tx[r], l->tx_slots[r]);
            if (d != NULL)
                memset(d, 0xa5, is_pkt ? sizeof(struct pkt) : sizeof(struct fdesc));
        }
    }
    link_submit(l);
    link_release(l);
    if (!link_arm(l)) {
        (void)bell_drain(&l->sleeper);
        bell_disarm(&l->sleeper);
    }
    return taken;
}

static void
link_against_a_foe(enum link_kind kind, enum link_side side)
{
    static const uint32_t n[PART_COUNT] = {64, 8, 16, 16, 8};
    struct frames fr;
    struct link_sizes s;
    struct arena a;
    int to_us[2], to_foe[2];
    memset(&fr, 0, sizeof fr);
    frames_layout(&fr, n);
    link_sizes_for(&s, kind, &fr);
    halves(&a, kind, side, &s);
    cr_assert_eq(bell_pipe(to_us), 0);
    cr_assert_eq(bell_pipe(to_foe), 0);
    struct half_foe f = {
        .word = a.foe, .n_words = a.peer_size / 4, .honest = a.own, .seed = kind * 2 + side};
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, scribble_half, &f), 0);
    uint64_t seed = 9, taken = 0, poisoned = 0;
    for (unsigned i = 0; i < ROUNDS / 4 || taken < ENOUGH || poisoned < ENOUGH; i++) {
        struct link l;
        link_half_clear(a.own, kind, side, &s);
        link_init(&l, kind, side, &s, a.own, a.peer, to_us[0], to_foe[1]);
        for (unsigned turn = 0; turn < TURNS; turn++) {
            bool was = link_poisoned(&l);
            taken += honest_turn(&l, kind, &seed, &s, side);
            cr_assert(!was || link_poisoned(&l), "poison wore off");
            if (was)
                break;
        }
        poisoned += link_poisoned(&l);
    }
    atomic_store(&f.stop, true);
    pthread_join(t, NULL);
}

/* Protects: each of the four places where an honest domain sits at a link. */
Test(hostile_link, ip_against_nic, .timeout = 60)
{
    link_against_a_foe(LINK_NIC, LINK_B);
}
Test(hostile_link, nic_against_ip, .timeout = 60)
{
    link_against_a_foe(LINK_NIC, LINK_A);
}
Test(hostile_link, transport_against_ip, .timeout = 60)
{
    link_against_a_foe(LINK_UP, LINK_B);
}
Test(hostile_link, ip_against_transport, .timeout = 60)
{
    link_against_a_foe(LINK_UP, LINK_A);
}
