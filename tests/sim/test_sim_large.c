/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_large.c: one connection with large windows: it fills a long fast path, and what lies
 * in its FIFOs survives crashes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "pair.h"
#include "session/dir.h"
#include "tcp/cc.h"
#include "tcp/runs.h"

#define BUFFER (16 << 20)
#define RATE 1000000000ull /* bits/s */
#define DELAY (50 * NS_MS) /* one way */

static struct world w;
static struct world_config c;
static int fd[2];
static uint64_t sent[2], got[2];
static bool sends[2], reads[2]; /* which program does */

static void
setup(void)
{
    c = world_usual(1);
    for (unsigned i = 0; i < 2; i++) {
        c.wire[i].latency = DELAY;
        c.wire[i].bits_per_s = RATE;
        c.stack[i].sndbuf = c.stack[i].rcvbuf = BUFFER;
        c.stack[i].check_every = 1000;
        c.stack[i].runs = RUNS_COMMON;
        c.arena[0].n_tx_pages = c.arena[0].n_rx_pages = 9000;
    }
    memset(sent, 0, sizeof sent);
    memset(got, 0, sizeof got);
    sends[0] = sends[1] = reads[0] = reads[1] = true;
}

TestSuite(sim_large, .init = setup, .timeout = 300);

/* Each program sends and receives as much as goes, whenever it is told that something goes. */
static bool
work(struct world *x, struct program *p, void *ctx)
{
    static uint8_t buf[65536];
    struct bh_event ev;
    bool any = false;
    unsigned i = p->side;
    (void)ctx;
    if (bh_ready_events(&ev, 1) != 1)
        return false;
    ssize_t n = 1;
    while (sends[i] && (ev.revents & POLLOUT) && n > 0) {
        n = bh_send(fd[i], load_pattern(i, sent[i]), 65536, MSG_DONTWAIT);
        world_assert(x, n > 0 || errno == EAGAIN);
        sent[i] += n > 0 ? (uint64_t)n : 0;
        any |= n > 0;
    }
    n = 1;
    while (reads[i] && (ev.revents & POLLIN) && n > 0) {
        n = bh_recv(fd[i], buf, sizeof buf, MSG_DONTWAIT);
        world_assert(x, n >= 0 || errno == EAGAIN);
        if (n > 0 && memcmp(buf, load_pattern(!i, got[i]), (size_t)n) != 0)
            world_fail(x, "wrong bytes at %llu or later", (unsigned long long)got[i]);
        got[i] += n > 0 ? (uint64_t)n : 0;
        any |= n > 0;
    }
    return any;
}

static void
watch(short events)
{
    for (unsigned i = 0; i < 2; i++) {
        world_use(&w, i);
        world_assert(&w, bh_watch(fd[i], events, &fd[i]) == 0);
    }
}

static void
begin(void)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    watch(POLLIN | POLLOUT);
    w.work = work;
}

static bool
all_read(void *ctx)
{
    (void)ctx;
    return got[0] == sent[1] && got[1] == sent[0];
}

static void
end(void)
{
    sends[0] = sends[1] = false;
    reads[0] = reads[1] = true;
    watch(POLLIN);
    world_assert(&w, world_run(&w, w.now + 60 * NS_S, all_read, NULL));
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_end(&w); /* and no page is lost, map or not */
}

/* What both programs receive in two seconds, after slow start: ten doublings. Bits/s. */
static void
measure(double bits[2])
{
    world_pass(&w, 3 * NS_S);
    uint64_t before[2] = {got[0], got[1]};
    world_pass(&w, 2 * NS_S);
    for (unsigned i = 0; i < 2; i++) {
        bits[i] = (double)(got[i] - before[i]) * 8 / 2;
        cr_log_info("program %u received %.1f Mbit/s", i, bits[i] / 1e6);
    }
    cr_assert_eq(world_stat(&w, 0, STAT_tcp_retransmit), 0);
    cr_assert_eq(world_stat(&w, 1, STAT_tcp_retransmit), 0);
}

/* 1 Gbit/s and 100 ms: 12.5 MB are on their way. Buffers of 16 MiB are enough for that: what
 * programs wait for before they write, and what they read before the window opens, must not be
 * more than what is left. */
Test(sim_large, fills_the_path)
{
    double bits[2];
    for (unsigned i = 0; i < 2; i++) {
        setup();
        sends[!i] = false;
        begin();
        measure(bits);
        cr_assert_gt(bits[!i], 0.9 * (double)RATE, "from %u: %.1f Mbit/s", i, bits[!i] / 1e6);
        end();
    }
}

/* The same with the buffers that everybody has at first: they grow as far as it takes, and a
 * session that does little keeps little. */
Test(sim_large, buffers_grow)
{
    double bits[2];
    for (unsigned i = 0; i < 2; i++) {
        c.stack[i].sndbuf = 524288;
        c.stack[i].rcvbuf = 1000000;
        c.stack[i].buffer_max = 30 << 20;
    }
    sends[1] = false;
    begin();
    world_pass(&w, 2 * NS_S);
    measure(bits);
    cr_assert_gt(bits[1], 0.9 * (double)RATE, "%.1f Mbit/s", bits[1] / 1e6);
    int grown = 0, idle = 0;
    socklen_t len = sizeof grown;
    world_use(&w, 1);
    cr_assert_eq(bh_getsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &grown, &len), 0);
    cr_assert_gt(grown, 12 << 20);
    world_use(&w, 0);
    cr_assert_eq(bh_getsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &idle, &len), 0);
    cr_assert_eq(idle, 1000000);
    end();
}

/* Slow start overruns the queue of a long path: every other segment of a window is lost, some
 * thousand runs on both sides. All are repaired within a few round trips, without a timeout,
 * and what was not lost is not sent again. */
Test(sim_large, overrun)
{
    for (uint8_t alg = 0; alg < CC_ALGS; alg++) {
        setup();
        for (unsigned i = 0; i < 2; i++) {
            c.wire[i].bits_per_s = RATE / 4;
            c.wire[i].queue_bytes = (uint32_t)(RATE / 4 / 8 * 2 * DELAY / NS_S);
            c.stack[i].congestion = alg;
        }
        sends[1] = false;
        begin();
        world_pass(&w, 10 * NS_S);
        const char *name = cc_ops_of(alg)->name;
        uint64_t lost = w.wire[0].n_lost, again = world_stat(&w, 0, STAT_tcp_retransmit);
        cr_log_info("%s: %lu lost, %lu sent again, %lu bytes", name, lost, again, got[1]);
        cr_expect_eq(world_stat(&w, 0, STAT_tcp_rto), 0, "%s: a timeout", name);
        cr_expect_leq(again, lost + lost / 50, "%s: %lu lost, %lu sent again", name, lost,
                      again);
        cr_expect_gt(got[1] * 8, 6 * RATE / 4, "%s: %lu bytes in 10 s", name, got[1]);
        cr_expect(alg != CC_RENO || lost > 1000, "only %lu lost", lost);
        end();
    }
}

/* Both ways at once. Acknowledgments now come in clusters, behind the other direction's data,
 * so that neither direction gets all of the path; but much more than small buffers give. */
Test(sim_large, both_ways)
{
    double bits[2];
    begin();
    measure(bits);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_gt(bits[i], 0.6 * (double)RATE, "to %u: %.1f Mbit/s", i, bits[i] / 1e6);
    end();
}

static void
read_all(bool on)
{
    reads[0] = reads[1] = on;
    watch(on ? POLLIN | POLLOUT : POLLOUT);
}

/* A tcp that dies, at any point of a step, while megabytes wait in FIFOs on both sides and some
 * came out of order: every page is somebody's (stack_check), every byte arrives, once. */
Test(sim_large, crashes)
{
    for (unsigned i = 0; i < 2; i++) {
        c.wire[i].latency = 2 * NS_MS;
        c.wire[i].loss = 300;
        c.stack[i].check_every = 100;
    }
    begin();
    uint64_t most = 0;
    for (unsigned i = 0; i < 24; i++) {
        read_all(i % 4 < 2);
        world_pass(&w, (100 + 37 * i) * NS_MS);
        most = max_u64(most, sent[0] - got[1]);
        stack_crash_tcp(&w.s[i % 2], i / 2 % CRASH_POINTS, w.now);
        world_assert(&w, stack_check(&w.s[i % 2]) == NULL);
    }
    cr_assert_gt(most, 6u << 20, "only %lu bytes were there to lose", most);
    cr_assert_gt(got[0], 30u << 20);
    cr_assert_gt(got[1], 30u << 20);
    end();
}

/* Buffers that are larger than the client's arena: the window promises no more than there are
 * pages, with their maps, so nothing that comes is dropped for want of one. */
Test(sim_large, larger_than_the_arena)
{
    c.arena[0].n_tx_pages = c.arena[0].n_rx_pages = 1500;
    for (unsigned i = 0; i < 2; i++)
        c.wire[i].latency = 5 * NS_MS;
    begin();
    for (unsigned i = 0; i < 6; i++) {
        read_all(i % 2 != 0);
        world_pass(&w, NS_S);
    }
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_gt(got[i], 30u << 20);
        cr_assert_eq(world_stat(&w, i, STAT_drop_nobuf), 0);
    }
    end();
}
