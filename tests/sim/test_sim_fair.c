/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_fair.c: clients that want everything beside one that wants its share. The stack's
 * own transmit frames are what is scarce: the wire takes all, and loses nothing. Protects: a
 * client with many busy sessions has the share of a client, and so has one whose packets are
 * small; who does not want its share leaves it to the others; and frames that wait for hosts
 * which do not answer are never so many that the others have none.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "pair.h"
#include "session/turns.h"

#define GREEDY 24 /* sessions of the greedy one */
#define WARM (200 * NS_MS)
#define TIME (400 * NS_MS)
#define STEP (50 * NS_US)
#define NOBODY 10u /* addresses from here on, and so many of them, are nobody's */
#define NOBODIES 200u

static struct world w;
static unsigned victim, greedy, sink;
static void (*pest)(void); /* what the greedy one does besides; NULL: nothing */

struct channel {
    int fd[2];
    uint64_t got;
};

static void
setup(void)
{
    struct world_config c = world_usual(21);
    c.stack[0].tx_time = 400 * NS_US;
    c.stack[0].frames[PART_TCPTX] = c.stack[0].frames[PART_UDPTX] = 48;
    c.wire[0] = c.wire[1] = (struct wire_profile){.latency = 50 * NS_US};
    for (unsigned i = 0; i < 2; i++) {
        c.stack[i].tcp_sessions = c.stack[i].udp_sessions = 2 * GREEDY + 8;
        c.arena[i].n_slots = 2 * GREEDY + 8;
        c.arena[i].n_tx_pages = 1024;
        c.arena[i].n_rx_pages = 2048;
        c.stack[i].check_every = 1000;
        c.stack[i].batch = 64;
        c.stack[i].frames[PART_RX] = 1024;
    }
    pair_init(&w, &c);
    pest = NULL;
    victim = 0;
    sink = 1;
    greedy = world_program(&w, 0);
}

TestSuite(sim_fair, .init = setup);

static struct channel
stream(unsigned from, uint16_t port)
{
    struct channel f = {0};
    struct sockaddr_in sin = world_sin(1, port);
    int listener = pair_listen(&w, sink, port, 1);
    f.fd[0] = pair_socket(&w, from, SOCK_STREAM);
    cr_assert_eq(bh_connect(f.fd[0], (struct sockaddr *)&sin, sizeof sin), 0, "errno %d",
                 errno);
    world_use(&w, sink);
    f.fd[1] = bh_accept(listener, NULL, NULL);
    cr_assert_geq(f.fd[1], 0, "errno %d", errno);
    pair_close(&w, sink, listener);
    return f;
}

static struct channel
datagrams(unsigned from, uint16_t port)
{
    struct channel f = {0};
    struct sockaddr_in sin = world_sin(1, port);
    f.fd[1] = pair_socket(&w, sink, SOCK_DGRAM);
    cr_assert_eq(bh_bind(f.fd[1], (struct sockaddr *)&sin, sizeof sin), 0, "errno %d", errno);
    f.fd[0] = pair_socket(&w, from, SOCK_DGRAM);
    cr_assert_eq(bh_connect(f.fd[0], (struct sockaddr *)&sin, sizeof sin), 0, "errno %d",
                 errno);
    return f;
}

/* All that goes, in messages of so many bytes. */
static void
push(unsigned program, struct channel *f, size_t size)
{
    static char buf[16384];
    world_use(&w, program);
    while (bh_send(f->fd[0], buf, size, MSG_DONTWAIT) > 0)
        ;
}

static void
drain(struct channel *f)
{
    static char buf[65536];
    ssize_t n;
    world_use(&w, sink);
    while ((n = bh_recv(f->fd[1], buf, sizeof buf, MSG_DONTWAIT)) > 0)
        f->got += (uint64_t)n;
}

struct want {
    struct channel *f;
    unsigned n;
    size_t size; /* of a message */
};

/* Both send for a while; returns what came of the victim's in the second part of it, and in
 * *others what came of the greedy one's. */
static uint64_t
run(struct want v, struct want g, uint64_t *others)
{
    uint64_t before[2] = {0}, after[2] = {0};
    for (ns_t end = w.now + WARM + TIME, mid = w.now + WARM; w.now < end;
         world_pass(&w, STEP)) {
        for (unsigned i = 0; i < v.n; i++)
            push(victim, &v.f[i], v.size);
        for (unsigned i = 0; i < g.n; i++)
            push(greedy, &g.f[i], g.size);
        if (pest != NULL)
            pest();
        after[0] = after[1] = 0;
        for (unsigned i = 0; i < v.n; i++, after[0] += v.f[i - 1].got)
            drain(&v.f[i]);
        for (unsigned i = 0; i < g.n; i++, after[1] += g.f[i - 1].got)
            drain(&g.f[i]);
        if (w.now < mid)
            before[0] = after[0], before[1] = after[1];
    }
    *others = after[1] - before[1];
    return after[0] - before[0];
}

static void
expect_half(const char *what, uint64_t mine, uint64_t others)
{
    cr_log_info("%s: %llu and %llu", what, (unsigned long long)mine,
                (unsigned long long)others);
    cr_assert_gt(mine + others, 1000000u, "nothing was sent: tests nothing");
    cr_assert_geq(mine * 200, (mine + others) * 95, "%s: %llu of %llu bytes", what,
                  (unsigned long long)mine, (unsigned long long)(mine + others));
}

Test(sim_fair, one_stream_beside_many)
{
    struct channel v[1], g[GREEDY];
    uint64_t others;
    v[0] = stream(victim, 1000);
    for (unsigned i = 0; i < GREEDY; i++)
        g[i] = stream(greedy, (uint16_t)(2000 + i));
    uint64_t mine = run((struct want){v, 1, 16384}, (struct want){g, GREEDY, 16384}, &others);
    expect_half("one stream beside many", mine, others);
    /* Among its own sessions the share is divided evenly too. */
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < GREEDY; i++) {
        least = min_u64(least, g[i].got);
        most = max_u64(most, g[i].got);
    }
    cr_assert_geq(least * 2, most, "%llu to %llu", (unsigned long long)least,
                  (unsigned long long)most);
}

Test(sim_fair, one_flow_of_datagrams_beside_many)
{
    struct channel v[1], g[GREEDY];
    uint64_t others;
    v[0] = datagrams(victim, 1000);
    for (unsigned i = 0; i < GREEDY; i++)
        g[i] = datagrams(greedy, (uint16_t)(2000 + i));
    uint64_t mine = run((struct want){v, 1, 1400}, (struct want){g, GREEDY, 1400}, &others);
    expect_half("datagrams beside many", mine, others);
}

/* Frames are what is scarce, and a small packet takes one as well: it counts for more than its
 * bytes, or the victim would have a fraction of its share. */
Test(sim_fair, datagrams_beside_small_ones)
{
    struct channel v[1], g[GREEDY];
    uint64_t others;
    v[0] = datagrams(victim, 1000);
    for (unsigned i = 0; i < GREEDY; i++)
        g[i] = datagrams(greedy, (uint16_t)(2000 + i));
    uint64_t mine = run((struct want){v, 1, 1400}, (struct want){g, GREEDY, 16}, &others);
    expect_half("datagrams beside small ones", mine,
                others * (1400 + TURN_PACKET) / TURN_PACKET);
    cr_assert_gt(others, 0u);
}

Test(sim_fair, what_nobody_wants_is_for_the_others)
{
    struct channel v[1], g[GREEDY];
    uint64_t alone, others;
    v[0] = stream(victim, 1000);
    for (unsigned i = 0; i < GREEDY; i++)
        g[i] = stream(greedy, (uint16_t)(2000 + i));
    alone = run((struct want){v, 1, 16384}, (struct want){g, 0, 0}, &others);
    (void)run((struct want){v, 0, 0}, (struct want){g, GREEDY, 16384}, &others);
    cr_assert_geq(others * 100, alone * 95, "%llu against %llu", (unsigned long long)others,
                  (unsigned long long)alone);
}

/* ---- hosts that do not answer ---- */

static int nowhere;

static void
datagrams_to_nobody(void)
{
    static const char buf[1000];
    static unsigned next;
    world_use(&w, greedy);
    for (unsigned i = 0; i < 64; i++) {
        struct sockaddr_in sin = world_sin(NOBODY + next++ % NOBODIES, 9);
        if (bh_sendto(nowhere, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&sin,
                      sizeof sin) < 0)
            return;
    }
}

/* As many as its arena has slots for. */
static void
connect_to_nobodies(void)
{
    for (unsigned i = 0; i < 2 * GREEDY; i++) {
        struct sockaddr_in sin = world_sin(NOBODY + i, 9);
        int fd = pair_socket(&w, greedy, SOCK_STREAM | SOCK_NONBLOCK);
        cr_assert_eq(bh_connect(fd, (struct sockaddr *)&sin, sizeof sin), -1);
        cr_assert_eq(errno, EINPROGRESS, "errno %d", errno);
    }
}

static void
expect_undisturbed(const char *what, uint64_t alone, uint64_t beside)
{
    cr_log_info("%s: %llu, alone %llu", what, (unsigned long long)beside,
                (unsigned long long)alone);
    cr_assert_gt(alone, 1000000u, "nothing was sent: tests nothing");
    cr_assert_geq(beside * 100, alone * 75, "%s: %llu, alone %llu", what,
                  (unsigned long long)beside, (unsigned long long)alone);
}

Test(sim_fair, datagrams_beside_some_to_nobody)
{
    struct channel v[1];
    uint64_t others;
    v[0] = datagrams(victim, 1000);
    uint64_t alone = run((struct want){v, 1, 1400}, (struct want){v, 0, 0}, &others);
    nowhere = pair_socket(&w, greedy, SOCK_DGRAM);
    pest = datagrams_to_nobody;
    uint64_t beside = run((struct want){v, 1, 1400}, (struct want){v, 0, 0}, &others);
    cr_assert_gt(world_stat(&w, 0, STAT_arp_drop_queue), 1000u, "they did not want much");
    expect_undisturbed("datagrams beside some to nobody", alone, beside);
}

Test(sim_fair, a_stream_beside_connections_to_nobody)
{
    struct channel v[1];
    uint64_t others;
    v[0] = stream(victim, 1000);
    uint64_t alone = run((struct want){v, 1, 16384}, (struct want){v, 0, 0}, &others);
    connect_to_nobodies();
    uint64_t beside = run((struct want){v, 1, 16384}, (struct want){v, 0, 0}, &others);
    expect_undisturbed("a stream beside connections to nobody", alone, beside);
}
