/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What TCP_INFO says of who holds a sender up, and of marks: the times and counts that Linux
 * keeps by the same names.
 */
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tcp_kit.h"

#define MSS 1460u

static struct kit k;

static struct tcp_info
info(const struct conn *c)
{
    struct tcp_info o;
    int64_t n = kit_get(&k, c->sess, IPPROTO_TCP, TCP_INFO);
    cr_assert_gt(n, 0);
    const struct answer *a = &k.arena[0].answer[n % ARENA_ANSWERS];
    cr_assert(a->number == (uint64_t)n && a->len == sizeof o);
    memcpy(&o, (const void *)a->word, sizeof o);
    cr_assert(tcp_validate(k.t));
    return o;
}

/* Milliseconds: busy, of these held up by the peer's window, and by the buffer. */
static void
expect(const struct conn *c, unsigned busy, unsigned rwnd, unsigned sndbuf)
{
    struct tcp_info o = info(c);
    cr_expect_eq(o.tcpi_busy_time, busy * 1000u, "busy for %llu us",
                 (unsigned long long)o.tcpi_busy_time);
    cr_expect_eq(o.tcpi_rwnd_limited, rwnd * 1000u, "for the window %llu us",
                 (unsigned long long)o.tcpi_rwnd_limited);
    cr_expect_eq(o.tcpi_sndbuf_limited, sndbuf * 1000u, "for the buffer %llu us",
                 (unsigned long long)o.tcpi_sndbuf_limited);
}

/* The peer's window holds back what ours would let go: closed or too small for a segment, also
 * while it is probed; and no longer than that. */
Test(tcp_info, limited_by_their_window)
{
    struct conn c = conn_up(&k);
    kit_wait(&k, 10 * NS_MS);
    expect(&c, 0, 0, 0);
    c.wnd = 2000;
    conn_ack(&k, &c, 1);
    expect(&c, 0, 0, 0); /* nothing to send: nobody holds anything up */
    kit_write(&k, &c, 3 * MSS);
    kit_wait(&k, 30 * NS_MS);
    expect(&c, 30, 30, 0);
    c.wnd = 65535;
    conn_ack(&k, &c, 1 + MSS);
    kit_wait(&k, 20 * NS_MS);
    expect(&c, 50, 30, 0);
    conn_ack(&k, &c, 1 + 3 * MSS);
    kit_wait(&k, 20 * NS_MS);
    expect(&c, 50, 30, 0);
    c.wnd = 0;
    conn_ack(&k, &c, 1 + 3 * MSS);
    kit_drop(&k);
    kit_write(&k, &c, 100);
    kit_wait(&k, 2 * NS_S);
    cr_assert_gt(kit_pending(&k), 0, "probes");
    expect(&c, 2050, 2030, 0);
}

/* Our own window is full: neither the peer's nor the buffer is to blame, full as they are. */
Test(tcp_info, limited_by_the_path)
{
    for (unsigned segments = 10; segments <= 11; segments++) { /* all sent, and not */
        struct conn c = conn_up(&k);
        c.wnd = 10 * MSS;
        conn_ack(&k, &c, 1);
        kit_set(&k, c.sess, SOL_SOCKET, SO_SNDBUF, segments * MSS);
        kit_write(&k, &c, segments * MSS);
        cr_assert_eq(kit_pending(&k), 10);
        kit_wait(&k, 30 * NS_MS);
        expect(&c, 30, 0, 0);
        kit_end(&k);
    }
}

/* All of a full buffer is sent, and the window would take more: from then until the program is
 * told of room. */
Test(tcp_info, limited_by_the_buffer)
{
    struct conn c = conn_up(&k);
    uint32_t buf = 6 * MSS;
    kit_set(&k, c.sess, SOL_SOCKET, SO_SNDBUF, buf);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_NODELAY, 1); /* or the last byte waits */
    cr_assert_eq(conn_tcb(&k, &c)->opt.sndbuf, buf);
    kit_write(&k, &c, buf - 1);
    kit_wait(&k, 10 * NS_MS);
    expect(&c, 10, 0, 0); /* the program could have written one more byte */
    kit_write(&k, &c, 1);
    conn_ack(&k, &c, 1); /* whatever Nagle held */
    kit_wait(&k, 20 * NS_MS);
    conn_ack(&k, &c, 1 + MSS);
    ns_t held = info(&c).tcpi_sndbuf_limited;
    kit_wait(&k, 20 * NS_MS);
    cr_assert_eq(info(&c).tcpi_sndbuf_limited, held + 20000, "room, but not worth a wake-up");
    conn_ack(&k, &c, 1 + 3 * MSS);
    kit_wait(&k, 20 * NS_MS);
    cr_assert_eq(info(&c).tcpi_sndbuf_limited, held + 20000);
    cr_assert_eq(info(&c).tcpi_busy_time, 70000);
    cr_assert_eq(info(&c).tcpi_rwnd_limited, 0);
}

/* Times go on over a crash, and what it left behind is not believed. */
Test(tcp_info, times_survive_a_crash)
{
    for (unsigned bad = 0; bad < 3; bad++) {
        struct conn c = conn_up(&k);
        c.wnd = 0;
        conn_ack(&k, &c, 1);
        kit_write(&k, &c, 100);
        kit_wait(&k, 30 * NS_MS);
        conn_tcb(&k, &c)->chrono = bad == 1 ? 77 : CHRONO_RWND;
        conn_tcb(&k, &c)->n.chrono_at += bad == 2 ? NS_S : 0;
        kit_restart(&k);
        kit_wait(&k, 10 * NS_MS);
        if (bad == 0)
            expect(&c, 40, 40, 0);
        else
            cr_expect_lt(info(&c).tcpi_busy_time, 40000);
        kit_end(&k);
    }
}

static void
ack_with(struct conn *c, uint8_t flags, uint32_t rcv)
{
    c->rcv = rcv;
    conn_raw(&k, c, (uint8_t)(TCP_ACK | flags), c->snd, rcv, NULL, 0);
}

/* Segments that an ACK with ECE reports count as marked, with ECN negotiated and else not. */
Test(tcp_info, delivered_with_marks)
{
    for (unsigned ecn = 0; ecn < 2; ecn++) {
        struct conn c = conn_up(&k);
        struct tcb *b = conn_tcb(&k, &c);
        b->h.bits |= ecn ? H_ECN : 0;
        kit_write(&k, &c, 8 * MSS);
        ack_with(&c, 0, 1 + MSS);
        cr_expect_eq(info(&c).tcpi_delivered_ce, 0);
        ack_with(&c, TCP_ECE, 1 + 4 * MSS);
        cr_expect_eq(info(&c).tcpi_delivered_ce, 3 * ecn);
        ack_with(&c, 0, 1 + 8 * MSS);
        cr_expect_eq(info(&c).tcpi_delivered_ce, 3 * ecn);
        cr_expect_eq(info(&c).tcpi_delivered, 8);
        kit_end(&k);
    }
}

/* TCPI_OPT_ECN_SEEN: something came with ECT, not merely the promise of it. */
Test(tcp_info, ecn_seen)
{
    struct conn c = conn_up(&k);
    conn_tcb(&k, &c)->h.bits |= H_ECN;
    for (uint8_t tos = 0; tos <= ECN_ECT0; tos += ECN_ECT0) {
        struct in_seg s = {.h = {.sport = c.rport,
                                 .dport = c.lport,
                                 .seq = c.iss + c.snd,
                                 .ack = c.irs + 1,
                                 .flags = TCP_ACK,
                                 .wnd = c.wnd},
                           .data = "x",
                           .len = 1};
        struct pkt p[4];
        unsigned n = kit_segment(&k, &s, p);
        p[0].tos = tos;
        kit_step(&k, p, n);
        c.snd++;
        cr_expect_eq(info(&c).tcpi_options, TCPI_OPT_ECN | (tos != 0 ? TCPI_OPT_ECN_SEEN : 0));
    }
}

/* A rate that was measured while the program had nothing to send says nothing of the path. */
Test(tcp_info, rate_of_an_idle_program)
{
    struct conn c = conn_up(&k);
    const struct tcb *b = conn_tcb(&k, &c);
    kit_wait(&k, NS_S);
    kit_write(&k, &c, 100 * MSS);
    for (unsigned i = 0; b->snd_nxt < 1 + 100 * MSS; i++) {
        kit_drop(&k);
        k.now += 10 * NS_MS;
        conn_ack(&k, &c, (uint32_t)b->snd_nxt);
        cr_expect_eq(info(&c).tcpi_delivery_rate_app_limited, i == 0, "round %u", i);
        cr_expect(i == 0 || info(&c).tcpi_delivery_rate > 0);
    }
    for (unsigned i = 0; i < 3; i++) { /* the rest, and single segments */
        kit_drop(&k);
        k.now += 10 * NS_MS;
        conn_ack(&k, &c, (uint32_t)b->snd_nxt);
        kit_write(&k, &c, MSS);
    }
    cr_expect(info(&c).tcpi_delivery_rate_app_limited);
}
