/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_time.c: what happens when nothing happens, for minutes and hours of virtual time:
 * closed windows, dead peers, and sessions that just wait.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>

#include "pair.h"
#include "tcp/priv.h"
#include "wire/wire.h"

static struct world w;
static struct world_config c;
static int fd[2];

static void
setup(void)
{
    c = world_usual(1);
}

TestSuite(sim_time, .init = setup);

static void
keepalive(unsigned program, int idle, int intvl, int cnt)
{
    pair_option(&w, program, fd[program], IPPROTO_TCP, TCP_KEEPIDLE, idle);
    pair_option(&w, program, fd[program], IPPROTO_TCP, TCP_KEEPINTVL, intvl);
    pair_option(&w, program, fd[program], IPPROTO_TCP, TCP_KEEPCNT, cnt);
    pair_option(&w, program, fd[program], SOL_SOCKET, SO_KEEPALIVE, 1);
}

static void
cut(bool on)
{
    w.wire[0].cut = w.wire[1].cut = on;
}

/* A reader that stops for five minutes does not lose the session, nor a byte (RFC 9293
 * 3.8.6.1); and the probes come with growing pauses, not in a flood. */
Test(sim_time, zero_window)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    size_t sent = pair_fill(&w, 0, fd[0], 1, 0);
    world_pass(&w, 10 * NS_S);
    sent += pair_fill(&w, 0, fd[0], 1, sent);
    cr_assert_gt(sent, 65536u, "both buffers are full");
    uint64_t before = w.wire[0].n_sent;
    world_pass(&w, 300 * NS_S);
    uint64_t probes = w.wire[0].n_sent - before;
    cr_assert(probes >= 4 && probes <= 60, "%llu probes", (unsigned long long)probes);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, sent), 0);
    double resumed = pair_seconds(&w);
    cr_assert_eq(pair_send(&w, 0, fd[0], 1, sent, 5000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, sent, 5000), 0);
    cr_assert_lt(pair_seconds(&w) - resumed, 1.0, "the window update is not waited for");
    pair_close(&w, 0, fd[0]);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

static bool
no_window_update(void *ctx, const uint8_t *frame, uint32_t len)
{
    (void)frame;
    return !*(const bool *)ctx || len > 100;
}

/* The update that opens the window is lost: the next probe finds out. */
Test(sim_time, lost_window_update)
{
    bool lose = true;
    pair_init(&w, &c);
    pair_connect(&w, fd);
    size_t sent = pair_fill(&w, 0, fd[0], 1, 0);
    world_pass(&w, 10 * NS_S);
    w.wire[1].filter = no_window_update;
    w.wire[1].filter_ctx = &lose;
    pair_nonblocking(&w, 1, fd[1]);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 60000), 0);
    world_pass(&w, 20 * NS_MS);
    lose = false;
    world_pass(&w, 70 * NS_S);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 60000, sent - 60000), 0);
    pair_close(&w, 0, fd[0]);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* Both ends have a closed window at once, and both programs then read. */
Test(sim_time, zero_window_both_ways)
{
    size_t sent[2] = {0, 0};
    pair_init(&w, &c);
    pair_connect(&w, fd);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2; i++)
            sent[i] += pair_fill(&w, i, fd[i], i, sent[i]);
        world_pass(&w, 30 * NS_S);
    }
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pair_receive(&w, !i, fd[!i], i, 0, sent[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_end(&w);
}

/* Keepalive: an idle session stays if the peer answers, and ends if it does not. */
Test(sim_time, keepalive)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    keepalive(0, 10, 5, 3);
    keepalive(1, 7200, 75, 9);
    world_pass(&w, 3 * 3600 * NS_S);
    cr_assert_eq(pair_send(&w, 0, fd[0], 1, 0, 100), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 100), 0);
    world_pass(&w, NS_S);
    cut(true);
    double from = pair_seconds(&w);
    cr_assert_eq(pair_end_of_stream(&w, 0, fd[0]), -ETIMEDOUT);
    double took = pair_seconds(&w) - from;
    cr_assert(took > 15 && took < 30, "%f s", took);
    cut(false);
    pair_close(&w, 0, fd[0]);
    /* The other one has not noticed: it learns when it speaks. */
    cr_assert_eq(pair_send(&w, 1, fd[1], 1, 0, 100), 0);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -ECONNRESET);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* The peer vanishes with data under way: it ends after as long as R2 says, and the program is
 * told what is known by then: nobody answers ARP. */
Test(sim_time, peer_vanishes)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    cut(true);
    double from = pair_seconds(&w);
    cr_assert_eq(pair_send(&w, 0, fd[0], 1, 0, 10000), 0);
    cr_assert_eq(pair_end_of_stream(&w, 0, fd[0]), -EHOSTUNREACH);
    double took = pair_seconds(&w) - from;
    cr_assert(took > 100 && took < 1800, "%f s: RFC 9293 3.8.3", took);
    cut(false);
    keepalive(1, 10, 5, 3);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -ECONNRESET, "nobody knows it any more");
    pair_close(&w, 0, fd[0]);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* TCP_USER_TIMEOUT (RFC 5482) shortens that. */
Test(sim_time, user_timeout)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    pair_option(&w, 0, fd[0], IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    cut(true);
    double from = pair_seconds(&w);
    cr_assert_eq(pair_send(&w, 0, fd[0], 1, 0, 10000), 0);
    cr_assert_eq(pair_end_of_stream(&w, 0, fd[0]), -ETIMEDOUT);
    double took = pair_seconds(&w) - from;
    cr_assert(took >= 4.5 && took < 15, "%f s", took);
    cut(false);
    pair_close(&w, 0, fd[0]);
    keepalive(1, 10, 5, 3);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -ECONNRESET);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* The wire is cut for two minutes: everything goes on where it was. */
Test(sim_time, outage)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    size_t sent[2];
    for (unsigned i = 0; i < 2; i++)
        sent[i] = pair_fill(&w, i, fd[i], i, 0);
    cut(true);
    world_pass(&w, 120 * NS_S);
    cut(false);
    double from = pair_seconds(&w);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pair_receive(&w, !i, fd[!i], i, 0, sent[i]), 0);
    cr_assert_lt(pair_seconds(&w) - from, 130.0);
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_end(&w);
}

/* Is it a segment with neither text nor SYN, FIN, RST? */
static bool
bare_ack(const uint8_t *frame, uint32_t len)
{
    struct ip4_hdr ip;
    struct tcp_hdr t;
    const uint8_t *p = frame + ETH_HEADER;
    if (len < ETH_HEADER + IP4_HEADER || be16(frame + 12) != ETH_TYPE_IP4 ||
        ip4_parse(&ip, p, len - ETH_HEADER) != WIRE_OK || ip.proto != WIRE_PROTO_TCP ||
        tcp_parse(&t, p + ip.header_len, ip.total_len - ip.header_len) != WIRE_OK)
        return false;
    return ip.total_len - ip.header_len == t.header_len &&
           !(t.flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

static bool
no_bare_acks(void *ctx, const uint8_t *frame, uint32_t len)
{
    (void)ctx;
    return !bare_ack(frame, len);
}

/* All acknowledgments without text are lost, both ways, for good: those in retransmitted text
 * must do. Two ends that only looked at them in new text would wait for each other for ever. */
Test(sim_time, acks_in_old_text)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    world_pass(&w, NS_S);
    for (unsigned i = 0; i < 2; i++)
        w.wire[i].filter = no_bare_acks;
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pair_send(&w, i, fd[i], i, 0, 5000), 0);
    world_pass(&w, 30 * NS_S);
    for (unsigned i = 0; i < 2; i++) {
        struct sess_info s;
        cr_assert_eq(pair_receive(&w, !i, fd[!i], i, 0, 5000), 0);
        cr_assert(tcp_ops.info(stack_transport(&w.s[i], STACK_TCP), 0, &s));
    }
    uint16_t port = pair_port(&w, 0, fd[0]);
    for (unsigned i = 0; i < 2; i++) {
        struct sess_info s;
        uint32_t at = 0;
        while (tcp_ops.info(stack_transport(&w.s[i], STACK_TCP), at, &s) && s.lport != port &&
               s.rport != port)
            at = s.sess + 1;
        cr_assert_eq(s.tx_queued, 0u, "side %u still has %u bytes to send", i, s.tx_queued);
        w.wire[i].filter = NULL;
    }
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_end(&w);
}
