/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What socket options do to a session: values and errno are those of Linux
 * (tests/netns/sockopt_compare.c compares them with a kernel's), the effects are seen on the
 * wire and in what the client is told. (Listeners' own: test_tcp_listen.c.)
 */
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

static int
set_tcp(uint32_t sess, int name, int v)
{
    return kit_set(&k, sess, IPPROTO_TCP, name, (uint64_t)(int64_t)v);
}

/* What is set, and what then is read, or the errno. */
Test(tcp_option, values)
{
    static const struct {
        int level, name, v, want;
    } o[] = {{IPPROTO_TCP, TCP_MAXSEG, 0, 536},
             {IPPROTO_TCP, TCP_MAXSEG, 87, -EINVAL},
             {IPPROTO_TCP, TCP_MAXSEG, 88, 88},
             {IPPROTO_TCP, TCP_MAXSEG, 32768, -EINVAL},
             {IPPROTO_TCP, TCP_SYNCNT, 0, -EINVAL},
             {IPPROTO_TCP, TCP_SYNCNT, 128, -EINVAL},
             {IPPROTO_TCP, TCP_SYNCNT, 3, 3},
             {IPPROTO_TCP, TCP_LINGER2, 0, 60},
             {IPPROTO_TCP, TCP_LINGER2, -7, -1},
             {IPPROTO_TCP, TCP_LINGER2, 300, 120},
             {IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 0},
             {IPPROTO_TCP, TCP_DEFER_ACCEPT, 1, 1},
             {IPPROTO_TCP, TCP_DEFER_ACCEPT, 2, 3},
             {IPPROTO_TCP, TCP_DEFER_ACCEPT, 5, 7},
             {IPPROTO_TCP, TCP_DEFER_ACCEPT, -1, 0},
             {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384, 16384},
             {IPPROTO_TCP, TCP_WINDOW_CLAMP, 10, 1152},
             {IPPROTO_TCP, TCP_WINDOW_CLAMP, 9000, 9000},
             {IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 0},
             {IPPROTO_TCP, TCP_QUICKACK, 0, 0},
             {IPPROTO_TCP, TCP_QUICKACK, 1, 1},
             {IPPROTO_TCP, TCP_USER_TIMEOUT, -1, -EINVAL},
             {SOL_SOCKET, SO_RCVLOWAT, 0, 1},
             {SOL_SOCKET, SO_RCVLOWAT, 100, 100},
             {SOL_SOCKET, SO_RCVLOWAT, -1, 32768},
             {SOL_SOCKET, SO_REUSEPORT, 5, 1},
             {SOL_SOCKET, SO_PRIORITY, 6, 6},
             {SOL_SOCKET, SO_PRIORITY, 7, -EPERM},
             {SOL_SOCKET, SO_BROADCAST, 1, 1},
             {SOL_SOCKET, SO_OOBINLINE, 0, -ENOPROTOOPT},
             {SOL_SOCKET, SO_INCOMING_CPU, 0, -ENOPROTOOPT},
             {SOL_SOCKET, SO_MARK, 1, -ENOPROTOOPT}};
    uint32_t slot;
    kit_init(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        int err = kit_set(&k, s, o[i].level, o[i].name, (uint64_t)(int64_t)o[i].v);
        int got = err != 0 ? -err : (int)kit_get(&k, s, o[i].level, o[i].name);
        cr_expect_eq(got, o[i].want, "row %u: %d", i, got);
    }
}

/* ---- congestion control ---- */

static uint64_t
packed(const char *name)
{
    uint64_t v = 0;
    memcpy(&v, name, strlen(name));
    return v;
}

Test(tcp_option, congestion)
{
    struct conn c = conn_default();
    uint32_t slot;
    kit_prepare(&k);
    k.cfg.congestion = CC_ALGS - 1;
    kit_start(&k);
    uint64_t last = packed(cc_ops_of(CC_ALGS - 1)->name);
    uint32_t s = kit_open(&k, 0, &slot);
    cr_assert_eq((uint64_t)kit_get(&k, s, IPPROTO_TCP, TCP_CONGESTION), last, "the default");
    cr_assert_eq(kit_set(&k, s, IPPROTO_TCP, TCP_CONGESTION, packed("nothing")), ENOENT);
    cr_assert_eq(kit_set(&k, s, IPPROTO_TCP, TCP_CONGESTION, 0), ENOENT);
    for (uint32_t a = 0; a < CC_ALGS; a++) {
        uint64_t name = packed(cc_ops_of(a)->name);
        cr_assert_eq(kit_set(&k, s, IPPROTO_TCP, TCP_CONGESTION, name), 0);
        cr_assert_eq((uint64_t)kit_get(&k, s, IPPROTO_TCP, TCP_CONGESTION), name);
    }
    /* A listener's is its connections'; one that changes begins with the window it has. */
    uint32_t l = kit_listen(&k, KIT_PORT, 5, NULL);
    cr_assert_eq(kit_set(&k, l, IPPROTO_TCP, TCP_CONGESTION, packed("reno")), 0);
    cr_assert(conn_accept(&k, &c));
    struct tcb *b = conn_tcb(&k, &c);
    cr_assert_eq(b->cc.alg, CC_RENO);
    b->cc.cwnd = 50 * b->cc.mss;
    cr_assert_eq(kit_set(&k, c.sess, IPPROTO_TCP, TCP_CONGESTION, last), 0);
    cr_assert_eq(b->cc.alg, CC_ALGS - 1);
    cr_assert_eq(b->cc.cwnd, 50u * b->cc.mss);
}

/* ---- TCP_INFO ---- */

static struct tcp_info
info(uint32_t sess, uint32_t client)
{
    struct tcp_info o;
    int64_t n = kit_get(&k, sess, IPPROTO_TCP, TCP_INFO);
    cr_assert_gt(n, 0);
    const struct answer *a = &k.arena[client].answer[n % ARENA_ANSWERS];
    cr_assert_eq(a->number, (uint64_t)n);
    cr_assert_eq(a->len, sizeof o);
    memcpy(&o, (const void *)a->word, sizeof o);
    return o;
}

Test(tcp_option, info)
{
    struct conn c = conn_default();
    c.ts = c.ws = c.sack = true;
    c.wscale = 3;
    kit_init(&k);
    uint32_t l = kit_listen(&k, KIT_PORT, 7, NULL), slot;
    cr_assert(conn_accept(&k, &c));
    struct tcp_info o = info(l, 0);
    cr_assert(o.tcpi_state == 10 && o.tcpi_sacked == 7 && o.tcpi_unacked == 0);
    o = info(kit_open(&k, 0, &slot), 0);
    cr_assert(o.tcpi_state == 7 && o.tcpi_snd_mss == 536);

    kit_wait(&k, 70 * NS_MS);
    conn_send(&k, &c, TCP_ACK, 100);
    kit_write(&k, &c, 4000);
    kit_wait(&k, 30 * NS_MS);
    o = info(c.sess, 0);
    cr_assert_eq(o.tcpi_state, 1);
    cr_assert_eq(o.tcpi_options, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    cr_assert_eq(o.tcpi_snd_wscale, 3);
    cr_assert_eq(o.tcpi_rcv_wscale, WSCALE);
    cr_assert_eq(o.tcpi_snd_mss, 1448);
    cr_assert_eq(o.tcpi_advmss, 1460);
    cr_assert_eq(o.tcpi_pmtu, 1500);
    cr_assert_eq(o.tcpi_unacked, 3);
    cr_assert_eq(o.tcpi_notsent_bytes, 0);
    cr_assert_eq(o.tcpi_bytes_sent, 4000 + 1448, "the probe of the tail");
    cr_assert_eq(o.tcpi_bytes_acked, 0);
    cr_assert_eq(o.tcpi_bytes_received, 100);
    cr_assert_eq(o.tcpi_data_segs_in, 1);
    cr_assert_eq(o.tcpi_data_segs_out, 4);
    cr_assert_eq(o.tcpi_segs_in, 2);
    cr_assert_geq(o.tcpi_segs_out, 4);
    cr_assert_eq(o.tcpi_snd_cwnd, 10);
    cr_assert_eq(o.tcpi_snd_ssthresh, INT32_MAX);
    cr_assert_leq(o.tcpi_last_data_sent, 30);
    cr_assert_eq(o.tcpi_last_data_recv, 30);
    cr_assert_eq(o.tcpi_busy_time, 30000);
    cr_assert_eq(o.tcpi_snd_wnd, 65535u << 3);

    c.ts_ecr = 0;
    conn_sack(&k, &c, 1, 1, (uint32_t[][2]){{1449, 4001}}); /* the first is missing */
    kit_wait(&k, 20 * NS_MS);
    o = info(c.sess, 0);
    cr_assert_eq(o.tcpi_sacked, 2);
    kit_wait(&k, NS_S);
    o = info(c.sess, 0);
    cr_assert_gt(o.tcpi_total_retrans, 0);
    cr_assert_gt(o.tcpi_bytes_retrans, 1447);
    cr_assert_gt(o.tcpi_retransmits, 0);
    cr_assert_eq(o.tcpi_backoff, o.tcpi_retransmits);
    cr_assert_eq(o.tcpi_ca_state, 4);
    cr_assert_geq(o.tcpi_rto, 400000);
    cr_assert_lt(o.tcpi_snd_ssthresh, 10);
    conn_ack(&k, &c, 4001);
    o = info(c.sess, 0);
    cr_assert(o.tcpi_unacked == 0 && o.tcpi_sacked == 0 && o.tcpi_retransmits == 0);
    cr_assert_eq(o.tcpi_bytes_acked, 4000);
    cr_assert_eq(o.tcpi_delivered, 3);
    ns_t busy = o.tcpi_busy_time;
    cr_assert_geq(busy, 1000000);
    kit_wait(&k, NS_S);
    cr_assert_eq(info(c.sess, 0).tcpi_busy_time, busy, "idle");
    conn_send(&k, &c, TCP_ACK, 10);
    c.snd += 100;
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert_eq(info(c.sess, 0).tcpi_rcv_ooopack, 1);
    cr_assert(tcp_validate(k.t));
}

/* ---- buffers and marks ---- */

/* Whoever waits for room is told when bytes were sent, not only when they are acknowledged. */
Test(tcp_option, notsent_lowat)
{
    struct conn c = conn_up(&k);
    struct sess_evt e;
    struct arena_view *v = &k.arena[0];
    c.wnd = 1460;
    conn_ack(&k, &c, 1);
    set_tcp(c.sess, TCP_NOTSENT_LOWAT, 2000);
    kit_write(&k, &c, 4380);
    cr_assert_eq(v->d_slot[c.slot].tx_sent, 1460);
    cr_assert_eq(v->d_slot[c.slot].notsent, 2000);
    v->c_slot[c.slot].arm = 1 << 2 | SLOT_WRITE;
    (void)kit_do(&k, c.sess, REQ_SEND, 0);
    cr_assert_not(kit_event(&k, 0, &e), "2920 are unsent");
    conn_ack(&k, &c, 1461);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_READY);
}

Test(tcp_option, receive_low_mark)
{
    struct conn c = conn_up(&k);
    struct sess_evt e;
    struct arena_view *v = &k.arena[0];
    kit_set(&k, c.sess, SOL_SOCKET, SO_RCVLOWAT, 2000);
    v->c_slot[c.slot].arm = 1 << 2 | SLOT_READ;
    conn_send(&k, &c, TCP_ACK, 1460);
    cr_assert_not(kit_event(&k, 0, &e));
    conn_send(&k, &c, TCP_ACK, 1000);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_READY);
    cr_assert_eq(v->d_slot[c.slot].rcvlowat, 2000);
}

Test(tcp_option, window_clamp)
{
    struct conn c = conn_default();
    kit_init(&k);
    set_tcp(kit_listen(&k, KIT_PORT, 5, NULL), TCP_WINDOW_CLAMP, 5000);
    const struct out_seg *o = conn_syn(&k, &c, 0);
    cr_assert_eq(o->h.wnd, 5000);
    conn_ack(&k, &c, 1);
    conn_send(&k, &c, TCP_ACK, 1000);
    o = kit_take(&k);
    cr_assert_leq(o->h.wnd, 5000);
}

/* ---- time ---- */

/* TCP_CORK: a small segment waits, but no longer than 200 ms (RFC 9293 leaves it to us; this is
 * what tcp(7) promises). */
Test(tcp_option, cork_ends)
{
    struct conn c = conn_up(&k);
    set_tcp(c.sess, TCP_CORK, 1);
    kit_write(&k, &c, 100);
    EXPECT_NONE(&k);
    cr_assert_eq(kit_until_sent(&k, NS_S) / NS_MS / 10, CORK_TIME / NS_MS / 10);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 100);
    kit_write(&k, &c, 50); /* and the next one waits again, unanswered data or not */
    EXPECT_NONE(&k);
    conn_ack(&k, &c, 101);
    EXPECT_NONE(&k);
    kit_write(&k, &c, 50);
    EXPECT_NONE(&k);
    set_tcp(c.sess, TCP_CORK, 0);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_ACK, 101, 1, 100);
    cr_assert(tcp_validate(k.t));
}

/* Off, an acknowledgment waits; on, it goes, and so do the next ones. */
Test(tcp_option, quickack)
{
    struct conn c = conn_up(&k);
    set_tcp(c.sess, TCP_QUICKACK, 0);
    conn_send(&k, &c, TCP_ACK, 100);
    EXPECT_NONE(&k);
    set_tcp(c.sess, TCP_QUICKACK, 1);
    kit_step(&k, NULL, 0);
    EXPECT_ACK(&k, &c);
    for (unsigned i = 0; i < QUICK_ACKS; i++) {
        conn_send(&k, &c, TCP_ACK, 1400);
        EXPECT_ACK(&k, &c);
    }
    uint8_t b[32768];
    kit_read(&k, &c, b, sizeof b);
    kit_drop(&k);
    conn_send(&k, &c, TCP_ACK, 100);
    EXPECT_NONE(&k); /* not one of the connection's first any more */
    conn_send(&k, &c, TCP_ACK, 1400);
    kit_wait(&k, NS_S);
    kit_drop(&k);
    conn_send(&k, &c, TCP_ACK, 100);
    EXPECT_NONE(&k);
    set_tcp(c.sess, TCP_QUICKACK, 1);
    kit_step(&k, NULL, 0);
    EXPECT_ACK(&k, &c);
    conn_send(&k, &c, TCP_ACK, 100); /* and the next at once, late as it is */
    EXPECT_ACK(&k, &c);
}

Test(tcp_option, syn_count)
{
    uint32_t slot;
    kit_init(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    set_tcp(s, TCP_SYNCNT, 2);
    kit_connect(&k, s, KIT_PEER, 99);
    kit_wait(&k, 8 * NS_S);
    cr_assert_eq(kit_pending(&k), 3);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* TCP_USER_TIMEOUT bounds a handshake, a closed window and a silent peer as well as data. */
Test(tcp_option, user_timeout)
{
    uint32_t slot;
    kit_init(&k);
    uint32_t s = kit_open(&k, 0, &slot);
    set_tcp(s, TCP_USER_TIMEOUT, 2500);
    kit_connect(&k, s, KIT_PEER, 99);
    kit_wait(&k, 2 * NS_S);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ERROR), 0);
    kit_wait(&k, NS_S);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
    kit_end(&k);

    struct conn c = conn_up(&k); /* a window that stays closed, though the peer answers */
    set_tcp(c.sess, TCP_USER_TIMEOUT, 10000);
    c.wnd = 0;
    conn_ack(&k, &c, 1);
    kit_write(&k, &c, 100);
    for (unsigned i = 0; i < 100 && conn_state(&k, &c) == TCPS_ESTABLISHED; i++) {
        kit_wait(&k, 500 * NS_MS);
        cr_assert(i > 18 || conn_state(&k, &c) == TCPS_ESTABLISHED, "after %u", i);
        conn_ack(&k, &c, 1);
    }
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
    kit_end(&k);

    c = conn_up(&k); /* it counts for keepalive instead of the number of probes */
    set_tcp(c.sess, TCP_USER_TIMEOUT, 9000);
    set_tcp(c.sess, TCP_KEEPIDLE, 5);
    set_tcp(c.sess, TCP_KEEPINTVL, 1);
    set_tcp(c.sess, TCP_KEEPCNT, 50);
    kit_set(&k, c.sess, SOL_SOCKET, SO_KEEPALIVE, 1);
    kit_wait(&k, 8 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    kit_wait(&k, 2 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* TCP_LINGER2: how long an orphan waits for the peer's FIN. */
Test(tcp_option, linger2)
{
    for (unsigned i = 0; i < 2; i++) {
        struct conn c = conn_up(&k);
        set_tcp(c.sess, TCP_LINGER2, i == 0 ? 5 : -1);
        kit_do(&k, c.sess, REQ_CLOSE, 0);
        kit_step(&k, NULL, 0);
        kit_drop(&k);
        conn_ack(&k, &c, 2);
        if (i == 0) {
            kit_wait(&k, 4 * NS_S);
            EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_2);
            kit_wait(&k, 2 * NS_S);
        }
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* ---- urgent data, RFC 6093 ---- */

Test(tcp_option, urgent)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 10); /* unanswered: Nagle would hold the next */
    kit_drop(&k);
    kit_fill(&k, 0, c.slot, 5);
    kit_do(&k, c.sess, REQ_SEND, 15); /* the fifteenth byte of the stream is urgent */
    kit_step(&k, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert(o != NULL && o->h.flags & TCP_URG && o->len == 5, "it does not wait");
    cr_assert_eq(o->h.urg, 5, "one past the last urgent byte");
    conn_ack(&k, &c, 16);
    kit_write(&k, &c, 20);
    o = kit_take(&k);
    cr_assert(!(o->h.flags & TCP_URG) && o->h.urg == 0);
    conn_ack(&k, &c, 36);
    kit_do(&k, c.sess, REQ_SEND, 1ull << 40); /* nothing that was written: no effect */
    kit_write(&k, &c, 20);
    cr_assert_not(kit_take(&k)->h.flags & TCP_URG);

    struct in_seg in = conn_seg(&c, TCP_ACK | TCP_URG, 1, 36);
    in.h.urg = 4;
    in.data = "abcdef";
    in.len = 6;
    kit_inject(&k, &in);
    cr_assert_eq(kit_readable(&k, &c), 6, "in line");
    cr_assert_eq(k.arena[0].d_slot[c.slot].urgent, 4, "'d' is the last urgent byte");
    in.h.seq += 6;
    in.h.urg = 0; /* the flag alone says nothing */
    kit_inject(&k, &in);
    cr_assert_eq(k.arena[0].d_slot[c.slot].urgent, 4);
    cr_assert(tcp_validate(k.t));
}
