/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_load.c: much of everything: hundreds of connections at once, little memory, long
 * streams, large datagrams.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdlib.h>

#include "pair.h"
#include "seeds.h"

#define CASES(name, n)                                                                         \
    ParameterizedTestParameters(sim_load, name)                                                \
    {                                                                                          \
        static uint64_t seeds[SEEDS_MAX];                                                      \
        unsigned count = seeds_choose(seeds, n);                                               \
        return cr_make_param_array(uint64_t, seeds, count);                                    \
    }                                                                                          \
    ParameterizedTest(uint64_t *seed, sim_load, name)

/* Two hundred connections at once between two programs, on a wire that is not perfect. */
CASES(two_hundred_connections, 3)
{
    struct world_config w;
    struct load_config l;
    seeds_world(*seed, &w, &l);
    for (unsigned i = 0; i < 2; i++) {
        w.wire[i] = (struct wire_profile){.loss = 5000,
                                          .dup = 5000,
                                          .corrupt = 2000,
                                          .late = 20000,
                                          .latency = NS_MS,
                                          .jitter = 200 * NS_US,
                                          .late_by = 4 * NS_MS};
        w.stack[i].check_every = 97; /* it takes long, with so many */
        w.stack[i].tcp_sessions = 1024;
        w.stack[i].half_open = 512;
        w.stack[i].orphans = 512;
        w.arena[i].n_slots = 512;
        w.arena[i].n_rx_pages = w.arena[i].n_tx_pages = 2048;
    }
    l.flows = 200;
    l.bytes_max = 20000;
    l.start_within = 10 * NS_MS;
    seeds_run(&w, &l);
}

/* Arenas far too small for what the connections may keep: pages that hold bytes out of order
 * must not lock out the bytes that everything waits for. */
CASES(little_memory, 40)
{
    struct world_config w;
    struct load_config l;
    struct rng r = {*seed};
    seeds_world(*seed, &w, &l);
    w.arena[0].n_rx_pages = rng_range(&r, 6, 24);
    w.arena[0].n_tx_pages = rng_range(&r, 6, 24);
    for (unsigned i = 0; i < 2; i++) {
        w.wire[i].loss = max_u32(w.wire[i].loss, 10000);
        w.stack[i].sndbuf = w.stack[i].rcvbuf = 65536;
    }
    l.flows = rng_range(&r, 2, 8);
    l.start_within = NS_MS;
    seeds_run(&w, &l);
}

static struct world w;
static struct world_config c;
static int fd[2];

static void
one_way(uint64_t bytes)
{
    uint64_t at = 0;
    c = world_usual(4);
    c.stack[0].isn_fixed = UINT32_MAX - 10000;
    for (unsigned i = 0; i < 2; i++) {
        c.stack[i].mtu = 1900;
        c.stack[i].sndbuf = c.stack[i].rcvbuf = 500000;
        c.stack[i].frames[PART_TCPTX] = 512;
        c.stack[i].frames[PART_RX] = 1024;
    }
    pair_init(&w, &c);
    pair_connect(&w, fd);
    pair_nonblocking(&w, 0, fd[0]);
    while (at < bytes) {
        size_t n = pair_fill(&w, 0, fd[0], 1, at);
        cr_assert_eq(pair_receive(&w, 1, fd[1], 1, at, n), 0);
        at += n;
    }
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_end(&w);
}

/* Sequence numbers wrap and stream offsets pass 2^32 (not with BH_QUICK). */
Test(sim_load, long_stream, .timeout = 600)
{
    const char *quick = getenv("BH_QUICK");
    one_way(quick != NULL && quick[0] != '\0' ? 64000000 : (1ull << 32) + 100000000);
}

/* The largest datagrams there are, in fragments, both ways, to oneself too. */
Test(sim_load, largest_datagrams)
{
    static uint8_t buf[70000];
    c = world_usual(5);
    c.stack[0].mtu = 1400; /* 48 fragments: as many as there may be */
    for (unsigned i = 0; i < 2; i++) {
        c.stack[i].frames[PART_RX] = 2048;
        c.stack[i].frames[PART_UDPTX] = 256;
        c.stack[i].udp_buf = 262144;
    }
    pair_init(&w, &c);
    for (unsigned i = 0; i < 2; i++) {
        struct sockaddr_in sin = world_sin(i, PAIR_PORT);
        fd[i] = pair_socket(&w, i, SOCK_DGRAM);
        cr_assert_eq(bh_bind(fd[i], (struct sockaddr *)&sin, sizeof sin), 0);
    }
    for (unsigned to = 0; to < 2; to++)
        for (unsigned from = 0; from < 2; from++) {
            struct sockaddr_in sin = world_sin(to, PAIR_PORT);
            world_use(&w, from);
            ssize_t n = bh_sendto(fd[from], load_pattern(to, from), DGRAM_MAX, 0,
                                  (struct sockaddr *)&sin, sizeof sin);
            cr_assert_eq(n, (ssize_t)DGRAM_MAX, "errno %d", errno);
            world_pass(&w, NS_S);
            world_use(&w, to);
            n = bh_recv(fd[to], buf, sizeof buf, MSG_DONTWAIT);
            cr_assert_eq(n, (ssize_t)DGRAM_MAX, "from %u to %u: %zd", from, to, n);
            cr_assert_arr_eq(buf, load_pattern(to, from), DGRAM_MAX);
        }
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_end(&w);
}
