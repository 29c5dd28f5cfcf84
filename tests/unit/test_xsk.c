/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The AF_XDP rings with plain memory in the kernel's place, and the map of held receive frames
 * over a kill at every single instruction: the step runs in a traced child, and after each
 * instruction a copy of the shared memory is what a successor would find.
 */
#include <criterion/criterion.h>
#include <linux/if_xdp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domains/xsk_priv.h"

#define SIZE 16u
#define FRAMES 32u
#define START 0xfffffff0u

/* All that outlives a nic domain. */
struct world {
    struct {
        _Atomic uint32_t producer, consumer, flags;
        union {
            struct xdp_desc packet[SIZE];
            uint64_t addr[SIZE];
        };
    } rx, tx, fill, done;
    bool published[FRAMES]; /* handed to ip */
    _Alignas(CACHE_LINE) uint8_t map[sizeof(struct nicmap) + FRAMES];
};

static struct nicmap *
map_of(struct world *w)
{
    return (struct nicmap *)(void *)w->map;
}

#define RING(r)                                                                                \
    {                                                                                          \
        &w->r.producer, &w->r.consumer, &w->r.flags, w->r.packet, 0, 0                         \
    }

static struct xsk
open_world(struct world *w)
{
    struct xsk x = {.rx = RING(rx), .tx = RING(tx), .fill = RING(fill), .done = RING(done)};
    x.size = SIZE;
    x.n_rx = map_of(w)->n_frames = FRAMES;
    x.map = map_of(w);
    x.fd = -1;
    xsk_recover(&x);
    return x;
}

static void
new_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->rx.producer = w->rx.consumer = w->tx.producer = w->tx.consumer = START;
    w->fill.producer = w->fill.consumer = w->done.producer = w->done.consumer = START;
}

/* The kernel received n packets into frames from the fill ring. */
static void
kernel_receives(struct world *w, unsigned n)
{
    while (n-- > 0 && w->fill.consumer != w->fill.producer) {
        uint64_t addr = w->fill.addr[w->fill.consumer++ % SIZE];
        w->rx.packet[w->rx.producer % SIZE] = (struct xdp_desc){.addr = addr + 256, .len = 60};
        w->rx.producer++;
    }
}

/* Slots of the receive ring that were given back are the kernel's: they may hold anything. */
static void
scribble(struct world *w)
{
    for (uint32_t i = w->rx.producer; i != w->rx.consumer + SIZE; i++)
        w->rx.packet[i % SIZE].addr = 25 * FRAME_SIZE; /* one that it holds */
}

/* The map says of every frame just what the rings say, and no frame is in two places. */
static bool
exact(struct world *w, const char **why)
{
    unsigned in[FRAMES] = {0};
    for (uint32_t i = w->fill.consumer; i != w->fill.producer; i++)
        in[w->fill.addr[i % SIZE] / FRAME_SIZE]++;
    for (uint32_t i = w->rx.consumer; i != w->rx.producer; i++)
        in[w->rx.packet[i % SIZE].addr / FRAME_SIZE]++;
    for (unsigned f = 0; f < FRAMES; f++) {
        *why = "a frame is in the rings twice";
        if (in[f] > 1)
            return false;
        *why = "the map and the rings differ";
        if (map_of(w)->held[f] != in[f])
            return false;
        *why = "a frame that ip has is still with the kernel";
        if (w->published[f] && in[f] != 0)
            return false;
    }
    *why = "the journal is not idle";
    return map_of(w)->op == NICMAP_IDLE;
}

/* ---- at every instruction ---- */

static void
give_five(struct xsk *x, struct world *w)
{
    const struct fdesc f[] = {{10 * FRAME_SIZE, 0, 0}, {11 * FRAME_SIZE, 0, 0},
                              {2 * FRAME_SIZE, 0, 0},  {12 * FRAME_SIZE, 0, 0},
                              {12 * FRAME_SIZE, 0, 0}, {7, 0, 0},
                              {13 * FRAME_SIZE, 0, 0}};
    unsigned refused = 0;
    (void)w;
    if (xsk_fill(x, f, ARRAY_LEN(f), &refused) != ARRAY_LEN(f) || refused != 3)
        _exit(1);
}

static void
take_four(struct xsk *x, struct world *w)
{
    struct fdesc f[4];
    unsigned n = xsk_rx_peek(x, f, 4);
    for (unsigned i = 0; i < n; i++)
        w->published[f[i].addr / FRAME_SIZE] = true;
    xsk_rx_done(x, n);
}

static void
recover(struct xsk *x, struct world *w)
{
    (void)w;
    xsk_recover(x);
}

/* Ten frames with the kernel, four of them received. */
static void
prepare(struct world *w)
{
    const uint32_t frame[] = {0, 1, 2, 3, 4, 8, 22, 23, 24, 25};
    struct fdesc f[ARRAY_LEN(frame)];
    unsigned refused = 0;
    new_world(w);
    struct xsk x = open_world(w);
    for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
        f[i] = (struct fdesc){.addr = frame[i] * FRAME_SIZE};
    cr_assert_eq(xsk_fill(&x, f, ARRAY_LEN(f), &refused), ARRAY_LEN(f));
    kernel_receives(w, 4);
}

static void
check_copy(const struct world *w, unsigned step, unsigned received_meanwhile)
{
    struct world copy = *w;
    const char *why;
    kernel_receives(&copy, received_meanwhile);
    scribble(&copy);
    (void)open_world(&copy);
    cr_assert(exact(&copy, &why), "killed after instruction %u: %s", step, why);
}

/* Run one step instruction by instruction; the successor is tried after each of them, with a
 * kernel that did nothing meanwhile and with one that received all it could. */
static unsigned
kill_everywhere(struct world *w, struct xsk *x, void (*what)(struct xsk *, struct world *))
{
    unsigned steps = 0;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(77);
        raise(SIGSTOP);
        what(x, w);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (!WIFSTOPPED(status))
        cr_skip_test("processes cannot be traced here");
    while (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status)) {
        check_copy(w, steps, 0);
        check_copy(w, steps, SIZE);
        steps++;
    }
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_copy(w, steps, 0);
    return steps;
}

static struct world *
shared_world(void)
{
    void *p = mmap(NULL, sizeof(struct world), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(p, MAP_FAILED);
    prepare(p);
    return p;
}

/* Protects: no kill while frames are given to the kernel loses or doubles one. */
Test(xsk, kill_in_fill)
{
    struct world *w = shared_world();
    struct xsk x = open_world(w);
    cr_expect_gt(kill_everywhere(w, &x, give_five), 50);
    cr_expect_eq(map_of(w)->held[13], 1, "the step did its work");
}

/* Protects: the same while received frames are handed up. */
Test(xsk, kill_in_receive)
{
    struct world *w = shared_world();
    struct xsk x = open_world(w);
    cr_expect_gt(kill_everywhere(w, &x, take_four), 50);
    cr_expect(w->published[0] && w->published[3]);
}

/* Protects: a successor that is killed while it finishes its predecessor's receive step. */
Test(xsk, kill_in_recovery_of_receive)
{
    struct world *w = shared_world();
    struct xsk x = open_world(w);
    struct fdesc f[4];
    cr_assert_eq(xsk_rx_peek(&x, f, 4), 4); /* and dies */
    w->published[0] = true;
    cr_assert_eq(map_of(w)->op, NICMAP_RX);
    cr_expect_gt(kill_everywhere(w, &x, recover), 20);
    cr_expect_eq(map_of(w)->held[3], 0);
}

/* Protects: the same for the fill step, of which two frames were written down. */
Test(xsk, kill_in_recovery_of_fill)
{
    struct world *w = shared_world();
    struct xsk x = open_world(w);
    struct nicmap *m = map_of(w);
    w->fill.addr[x.fill.mine % SIZE] = 20 * FRAME_SIZE;
    w->fill.addr[(x.fill.mine + 1) % SIZE] = 21 * FRAME_SIZE;
    m->index = x.fill.mine;
    m->n = 2;
    m->held[20] = 1;
    m->op = NICMAP_FILL;
    cr_expect_gt(kill_everywhere(w, &x, recover), 20);
    cr_expect(m->held[20] == 1 && m->held[21] == 1);
}

/* Protects: a journal that a broken nic scribbled into does not lead out of the rings. */
Test(xsk, nonsense_in_the_journal)
{
    for (unsigned op = 0; op < 4; op++)
        for (unsigned n = 0; n < 3; n++) {
            struct world *w = shared_world();
            struct nicmap *m = map_of(w);
            m->index = n == 2 ? w->rx.consumer : w->rx.consumer + 3;
            m->n = 0xffffffffu - n;
            m->op = op;
            struct xsk x = open_world(w);
            cr_expect_leq(x.rx.other - x.rx.mine, SIZE);
            cr_expect_leq(x.fill.mine - x.fill.other, SIZE);
            cr_expect_eq(m->op, NICMAP_IDLE);
            munmap(w, sizeof *w);
        }
}

/* ---- without killing ---- */

/* Protects: indices across the 32-bit wrap, and what comes up is what was received. */
Test(xsk, round_and_round)
{
    static struct world w;
    prepare(&w);
    struct xsk x = open_world(&w);
    struct fdesc f[8];
    const char *why;
    for (unsigned round = 0; round < 100; round++) {
        unsigned refused = 0, n = xsk_rx_peek(&x, f, 3);
        cr_assert_gt(n, 0);
        for (unsigned i = 0; i < n; i++) {
            cr_assert_eq(f[i].addr % FRAME_SIZE, 256);
            cr_assert_eq(f[i].len, 60);
        }
        xsk_rx_done(&x, n);
        for (unsigned i = 0; i < n; i++)
            f[i].addr -= 256;
        cr_assert_eq(xsk_fill(&x, f, n, &refused), n);
        cr_assert_eq(refused, 0);
        kernel_receives(&w, 2);
        cr_assert(exact(&w, &why), "%s", why);
    }
    cr_expect_lt(x.rx.mine, START, "the index went past 0");
}

/* Protects: the kernel gets no frame that is not an empty receive frame. */
Test(xsk, fill_refuses)
{
    static struct world w;
    prepare(&w);
    struct xsk x = open_world(&w);
    const uint32_t bad[] = {1, 2047, FRAMES * FRAME_SIZE, 0xfffff800u, 0, 4 * FRAME_SIZE};
    uint32_t before = w.fill.producer;
    unsigned refused = 0;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_eq(xsk_fill(&x, &(struct fdesc){bad[i], 0, 0}, 1, &refused), 1);
    cr_expect_eq(refused, ARRAY_LEN(bad));
    cr_expect_eq(w.fill.producer, before);
}

/* Protects: a full fill ring takes no more than it has room for. */
Test(xsk, fill_stops_when_full)
{
    static struct world w;
    struct fdesc f[FRAMES];
    unsigned refused = 0;
    new_world(&w);
    struct xsk x = open_world(&w);
    for (unsigned i = 0; i < FRAMES; i++)
        f[i] = (struct fdesc){.addr = i * FRAME_SIZE};
    cr_expect_eq(xsk_fill(&x, f, FRAMES, &refused), SIZE);
    cr_expect_eq(xsk_fill(&x, f + SIZE, 1, &refused), 0);
    kernel_receives(&w, 2);
    cr_expect_eq(xsk_fill_space(&x), 2);
    cr_expect_eq(refused, 0);
}

/* Protects: sending, completing, and the count of what is under way, over a restart too. */
Test(xsk, transmit)
{
    static struct world w;
    struct fdesc f[SIZE + 4] = {{0}}, back[SIZE];
    new_world(&w);
    struct xsk x = open_world(&w);
    for (unsigned i = 0; i < ARRAY_LEN(f); i++)
        f[i] = (struct fdesc){.addr = 40 * FRAME_SIZE + i, .len = (uint16_t)(60 + i)};
    cr_expect_eq(xsk_tx(&x, f, ARRAY_LEN(f)), SIZE);
    cr_expect_eq(w.tx.packet[(START + 3) % SIZE].len, 63);
    cr_expect_eq(xsk_tx_space(&x), 0);
    cr_expect_eq(xsk_tx_outstanding(&x), SIZE);
    cr_expect(xsk_tx_queued(&x));
    for (unsigned i = 0; i < 5; i++) { /* the kernel sends five and says so of three */
        uint64_t addr = w.tx.packet[w.tx.consumer++ % SIZE].addr;
        if (i < 3)
            w.done.addr[w.done.producer++ % SIZE] = addr;
    }
    cr_expect(xsk_pending(&x));
    cr_expect_eq(xsk_complete(&x, back, 2), 2);
    cr_expect_eq(back[1].addr, f[1].addr);
    struct xsk next = open_world(&w);
    cr_expect_eq(xsk_tx_outstanding(&next), SIZE - 2);
    cr_expect_eq(xsk_tx_space(&next), 5);
    cr_expect_eq(xsk_complete(&next, back, SIZE), 1);
    cr_expect_not(xsk_pending(&next));
}

/* Protects: an idle nic sleeps for good; one that waits for completions looks ever less. */
Test(xsk, deadline)
{
    static struct world w;
    new_world(&w);
    struct xsk x = open_world(&w);
    ns_t now = 1000, last = 0;
    cr_expect_eq(xsk_deadline(&x, now), NS_NEVER);
    cr_assert_eq(xsk_tx(&x, &(struct fdesc){40 * FRAME_SIZE, 60, 0}, 1), 1);
    for (unsigned i = 0; i < 20; i++) {
        ns_t at = xsk_deadline(&x, now);
        cr_assert_gt(at, now);
        cr_assert_eq(xsk_deadline(&x, now), at, "asking does not move it");
        cr_assert_geq(at - now, last);
        cr_assert_leq(at - now, 64 * NS_MS);
        last = at - now;
        now = at;
    }
}

/* Protects: nothing goes out that the kernel would swallow or that is not transmit memory. */
Test(xsk, tx_ok)
{
    struct frames all;
    const uint32_t n[PART_COUNT] = {4, 2, 2, 2, 2};
    frames_layout(&all, n);
    const uint32_t ip = all.off[PART_IPTX], up = all.off[PART_UP];
    const struct fdesc good[] = {
        {ip, 1, 0}, {ip, FRAME_SIZE, 0}, {ip + FRAME_SIZE - 1, 1, 0}, {up - 1, 1, 0}};
    const struct fdesc bad[] = {{ip, 0, 0},
                                {ip, FRAME_SIZE + 1, 0},
                                {ip + 1, FRAME_SIZE, 0},
                                {ip - 1, 1, 0},
                                {0, 60, 0},
                                {up, 60, 0},
                                {up - 1, 2, 0},
                                {ip, UINT16_MAX, 0},
                                {UINT32_MAX, 1, 0}};
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        cr_expect(driver_tx_ok(&all, &good[i]), "good %u", i);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        cr_expect_not(driver_tx_ok(&all, &bad[i]), "bad %u", i);
}

/* ---- packets of several frames ---- */

/* Protects: a packet is never handed up by halves, and the journal knows of whole ones only. */
Test(xsk, receive_chains)
{
    static struct world w;
    const unsigned of[] = {3, 1, 5}; /* frames of each packet */
    struct fdesc f[SIZE];
    unsigned refused = 0;
    new_world(&w);
    struct xsk x = open_world(&w);
    for (unsigned i = 0; i < 9; i++)
        f[i] = (struct fdesc){.addr = i * FRAME_SIZE};
    cr_assert_eq(xsk_fill(&x, f, 9, &refused), 9);
    uint32_t at = w.rx.producer;
    kernel_receives(&w, 9);
    for (unsigned p = 0; p < ARRAY_LEN(of); p++)
        for (unsigned i = 0; i < of[p]; i++)
            w.rx.packet[at++ % SIZE].options = i + 1 < of[p]; /* XDP_PKT_CONTD */
    cr_expect_eq(xsk_rx_peek(&x, f, 2), 0);
    cr_expect_eq(map_of(&w)->op, NICMAP_IDLE);
    const unsigned max[] = {3, 5, 5}, want[] = {3, 1, 5};
    for (unsigned p = 0; p < ARRAY_LEN(of); p++) {
        unsigned n = xsk_rx_peek(&x, f, max[p]);
        const char *why;
        cr_assert_eq(n, want[p], "%u: %u", p, n);
        for (unsigned i = 0; i < n; i++)
            cr_expect_eq(f[i].flags, i + 1 < n ? FDESC_MORE : 0);
        xsk_rx_done(&x, n);
        cr_expect(exact(&w, &why), "%s", why);
    }
    cr_expect_not(xsk_rx_pending(&x));
}

/* Protects: what is sent as one packet is one to the kernel, which gets no half of one. */
Test(xsk, transmit_chains)
{
    static struct world w;
    struct fdesc f[SIZE + 2];
    new_world(&w);
    struct xsk x = open_world(&w);
    for (unsigned i = 0; i < ARRAY_LEN(f); i++)
        f[i] = (struct fdesc){40 * FRAME_SIZE, 100, i % 5 != 4 ? FDESC_MORE : 0};
    cr_expect_eq(xsk_tx(&x, f, 5), 5);
    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(w.tx.packet[(START + i) % SIZE].options, i < 4);
    cr_expect_eq(w.tx.producer, START + 5);
    cr_expect_eq(xsk_tx(&x, f, ARRAY_LEN(f)), 10, "one whole packet less than fits");
    cr_expect_eq(w.tx.producer, START + 15);
}

/* Protects: a hostile ip's chain that has no end, a bad frame in it, or more frames than the
 * kernel takes never gets to the kernel, and what comes behind it does. */
Test(xsk, tx_packet)
{
    struct frames all;
    const uint32_t n[PART_COUNT] = {4, 64, 2, 2, 2};
    struct fdesc f[60];
    unsigned k;
    frames_layout(&all, n);
    for (unsigned i = 0; i < ARRAY_LEN(f); i++)
        f[i] = (struct fdesc){all.off[PART_IPTX] + i * FRAME_SIZE, 100, FDESC_MORE};
    cr_expect_not(driver_tx_packet(&all, 17, f, 5, &k)); /* no end */
    cr_expect_eq(k, 5);
    f[4].flags = 0;
    cr_expect(driver_tx_packet(&all, 17, f, 20, &k));
    cr_expect_eq(k, 5);
    cr_expect_not(driver_tx_packet(&all, 1, f, 20, &k)); /* where a packet is a frame */
    cr_expect_eq(k, 5);
    for (unsigned i = 0; i < 5; i++) {
        struct fdesc was = f[i];
        f[i].addr = all.off[PART_RX];
        cr_expect_not(driver_tx_packet(&all, 17, f, 20, &k));
        cr_expect_eq(k, 5);
        f[i] = was;
        f[i].len = 0;
        cr_expect_not(driver_tx_packet(&all, 17, f, 20, &k));
        f[i] = was;
    }
    f[4].flags = FDESC_MORE;
    f[16].flags = 0;
    cr_expect(driver_tx_packet(&all, 17, f, 20, &k));
    f[16].flags = FDESC_MORE;
    f[17].flags = 0;
    cr_expect_not(driver_tx_packet(&all, 17, f, 20, &k));
    cr_expect_eq(k, 18);
    f[17].flags = FDESC_MORE;
    cr_expect_not(driver_tx_packet(&all, FRAME_MAX_CHAIN, f, 60, &k));
    cr_expect_eq(k, FRAME_MAX_CHAIN);
}
