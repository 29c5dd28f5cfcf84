/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SYN cookies (RFC 4987 section 3.6): what one means, how long it is good, that nobody makes
 * one, and what a crash does to it.
 */
#include <criterion/criterion.h>

#include "tcp_kit.h"

static struct kit k;

/* RFC 4987 3.6: nothing is kept of a SYN, and the ACK alone makes the session, with what the
 * SYN said: MSS, and through the time stamp window scale, SACK (RFC 7323, 2018). */
Test(tcp_cookie, all_options_come_back)
{
    struct conn c = conn_peer(0);
    c.ts = c.ws = c.sack = true;
    c.wscale = 7;
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    cr_assert_eq(tcp_sessions(k.t), 1, "something was kept");
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    const struct tcb *b = conn_tcb(&k, &c);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    cr_assert_eq(b->h.bits & (H_TS | H_WS | H_SACK | H_ECN), H_TS | H_WS | H_SACK);
    cr_assert_eq(b->h.snd_wscale, 7);
    cr_assert_eq(b->h.snd_wnd, 65535u << 7);
    cr_assert_eq(b->h.mss, 1448);
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_tx), 1);
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_rx), 1);
    cr_assert_eq(kit_stat(&k, STAT_tcp_accepted), 1);
    conn_send(&k, &c, TCP_ACK, 1000);
    cr_assert_eq(kit_readable(&k, &c), 1000);
    kit_drop(&k);
    kit_write(&k, &c, 3000);
    const struct out_seg *o = kit_take(&k);
    cr_assert_geq((int32_t)(o->h.ts_val - c.ts_ecr), 0, "our time went back");
    cr_assert_eq(o->h.seq - c.irs, 1);
    EXPECT_SEG(&k, &c, TCP_ACK, 1449, 1001, 1448);
}

/* The options that were not offered are not there, whatever the other bits of the stamp are. */
Test(tcp_cookie, only_what_was_offered)
{
    for (unsigned i = 0; i < 8; i++) {
        struct conn c = conn_peer(i);
        c.ts = true;
        c.ws = i & 1;
        c.sack = i & 2;
        c.wscale = 14;
        kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
        k.cfg.ecn = k.t->cfg.ecn = ECN_ANSWER;
        cr_assert(conn_half_open(&k, &c, i & 4 ? TCP_ECE | TCP_CWR : 0));
        conn_ack(&k, &c, 1);
        cr_assert(conn_accepted(&k, &c));
        const struct tcb *b = conn_tcb(&k, &c);
        uint32_t want = H_TS | (i & 1 ? H_WS : 0) | (i & 2 ? H_SACK : 0) | (i & 4 ? H_ECN : 0);
        cr_assert_eq(b->h.bits & (H_TS | H_WS | H_SACK | H_ECN), want, "case %u", i);
        cr_assert_eq(b->h.snd_wscale, i & 1 ? 14 : 0);
        kit_end(&k);
    }
}

/* Without time stamps there is no place for options: none is answered, none is in force. The
 * MSS is rounded down, never up (RFC 9293 3.7.1: the peer's limit). */
Test(tcp_cookie, without_timestamps)
{
    static const uint16_t mss[][2] = {{0, 536},     {1, 88},      {88, 88},     {535, 88},
                                      {536, 536},   {1023, 536},  {1220, 1220}, {1400, 1380},
                                      {1459, 1440}, {1460, 1460}, {9000, 1460}, {65535, 1460}};
    for (unsigned i = 0; i < ARRAY_LEN(mss); i++) {
        struct conn c = conn_peer(i);
        c.ws = c.sack = true;
        c.mss = mss[i][0];
        kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
        const struct out_seg *o = conn_syn(&k, &c, 0);
        cr_assert(!o->h.has_ts && !o->h.has_wscale && !o->h.sack_ok);
        cr_assert_eq(o->h.mss, 1460);
        conn_ack(&k, &c, 1);
        cr_assert(conn_accepted(&k, &c));
        const struct tcb *b = conn_tcb(&k, &c);
        cr_assert_eq(b->h.bits & (H_TS | H_WS | H_SACK), 0);
        cr_assert_eq(b->h.mss, mss[i][1], "MSS %u", mss[i][0]);
        cr_assert_eq(b->h.snd_wnd, 65535);
        kit_end(&k);
    }
}

/* RFC 9293 3.10.7.4: text and FIN that come with the ACK are taken, and the first text serves
 * where the ACK was lost. */
Test(tcp_cookie, text_and_fin_in_the_ack)
{
    struct conn c = conn_peer(0), d = conn_peer(1);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    conn_send(&k, &c, TCP_ACK | TCP_PSH, 700);
    cr_assert(conn_accepted(&k, &c));
    cr_assert_eq(kit_readable(&k, &c), 700);
    kit_step(&k, NULL, 0);
    EXPECT_ACK(&k, &c);
    cr_assert(conn_half_open(&k, &d, 0));
    conn_send(&k, &d, TCP_ACK | TCP_FIN, 5);
    cr_assert(conn_accepted(&k, &d));
    cr_assert_eq(kit_readable(&k, &d), 5);
    EXPECT_STATE(&k, &d, TCPS_CLOSE_WAIT);
    cr_assert(tcp_validate(k.t));
}

/* A SYN that is repeated is answered by the same number: the answers do not contradict. */
Test(tcp_cookie, repeated_syn)
{
    struct conn c = conn_peer(0);
    c.ts = true;
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    uint32_t first = c.irs;
    kit_wait(&k, NS_S);
    c.ts_val += 1000;
    cr_assert(conn_half_open(&k, &c, 0));
    cr_assert_eq(c.irs, first);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
}

/* The clock: a cookie is good for 64 s at least, over the turn of the generation too, and for
 * 128 s at most, then it is answered as any ACK for a listener (RFC 9293 3.10.7.2). */
Test(tcp_cookie, age)
{
    static const struct {
        unsigned at, age;
        bool good;
    } o[] = {{1000, 0, true},    {1000, 64, true},   {1023, 2, true},   {1024, 63, true},
             {1023, 64, true},   {1023, 66, false},  {1024, 127, true}, {1024, 129, false},
             {1000, 200, false}, {1024, 4096, false}};
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        struct conn c = conn_peer(0), d = conn_peer(1);
        kit_prepare(&k);
        k.now = o[i].at * NS_S;
        k.cfg.cookies = TCP_COOKIES_ALWAYS;
        kit_start(&k);
        kit_listen(&k, KIT_PORT, 5, NULL);
        cr_assert(conn_half_open(&k, &c, 0));
        k.now += o[i].age * NS_S;
        if (o[i].age < 4000)
            cr_assert(conn_half_open(&k, &d, 0)); /* others are sent all the time */
        conn_ack(&k, &c, 1);
        cr_assert_eq(conn_accepted(&k, &c), o[i].good, "case %u", i);
        if (!o[i].good)
            EXPECT_SEG(&k, &c, TCP_RST, 1, 0u - c.iss, 0);
        kit_end(&k);
    }
}

/* What was not sent is refused: no bit of the cookie, the peer's number, the options or the
 * tuple can be another one. Blind guesses have 28 bits of MAC against them. */
Test(tcp_cookie, forged)
{
    struct conn c = conn_peer(0), e;
    c.ts = c.ws = true;
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    for (unsigned i = 0; i < 32 + 32 + 6 + 3; i++) {
        e = c;
        if (i < 32)
            e.irs ^= 1u << i;
        else if (i < 64)
            e.iss ^= 1u << (i - 32);
        else if (i < 70)
            e.ts_ecr ^= 1u << (i - 64);
        else if (i == 70)
            e.rport++;
        else if (i == 71)
            e.ts = false;
        else
            e.iss--;
        k.now += NS_S / 16;
        conn_ack(&k, &e, 1);
        cr_assert_not(conn_accepted(&k, &e), "case %u", i);
        cr_assert_eq(kit_take(&k)->h.flags, TCP_RST);
    }
    cr_assert_eq(tcp_sessions(k.t), 1);
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_refused), 73);
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_rx), 0);
    conn_ack(&k, &c, 1); /* and the honest one is still welcome */
    cr_assert(conn_accepted(&k, &c));
}

/* ... nor for another address, in either direction. */
Test(tcp_cookie, forged_address)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    struct in_seg s = conn_seg(&c, TCP_ACK, 1, 1);
    s.src = KIT_PEER + 1;
    kit_inject(&k, &s);
    cr_assert_eq(kit_take(&k)->h.flags, TCP_RST);
    cr_assert_eq(tcp_sessions(k.t), 1);
}

/* RFC 9293 3.10.7.2 has a RST for an ACK at a listener. Not here for one with text: behind a
 * handshake that was lost comes text with later numbers, and its sender will send the first
 * again. */
Test(tcp_cookie, text_behind_a_lost_handshake)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    uint8_t data[200];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = kit_byte(i);
    conn_raw(&k, &c, TCP_ACK, 101, 1, data + 100, 100);
    EXPECT_NONE(&k);
    conn_raw(&k, &c, TCP_ACK, 1, 1, data, 100);
    cr_assert(conn_accepted(&k, &c));
    conn_raw(&k, &c, TCP_ACK, 101, 1, data + 100, 100);
    cr_assert_eq(kit_readable(&k, &c), 200);
}

/* An ACK alone that overtakes the handshake's is answered by RST, as on Linux: the cookie holds
 * the peer's first number, and this one does not follow it. */
Test(tcp_cookie, ack_that_overtakes)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    c.snd = 101;
    conn_ack(&k, &c, 1);
    EXPECT_SEG(&k, &c, TCP_RST, 1, 0u - c.iss, 0);
    cr_assert_not(conn_accepted(&k, &c));
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_refused), 1);
}

/* A copy of the handshake's ACK that comes after the end begins anew, as nothing is kept that
 * could tell; but no longer than the cookie is good, and the peer's RST ends it. */
Test(tcp_cookie, copy_after_the_end)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    conn_raw(&k, &c, TCP_RST, 1, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    struct conn d = c;
    conn_ack(&k, &d, 1);
    cr_assert(conn_accepted(&k, &d));
    conn_raw(&k, &d, TCP_RST, 1, 0, NULL, 0);
    k.now += 2 * COOKIE_PERIOD;
    struct conn other = conn_peer(1);
    cr_assert(conn_half_open(&k, &other, 0)); /* cookies are still sent */
    conn_ack(&k, &d, 1);
    EXPECT_SEG(&k, &d, TCP_RST, 1, 0u - d.iss, 0);
}

/* A flood of guesses: a source is heard COOKIE_GUESSES times a second, gets no more answers
 * than that, and does not keep others from their handshake. */
Test(tcp_cookie, guesses_are_limited)
{
    struct conn c = conn_peer(0), g = conn_peer(7);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    unsigned answers = 0;
    struct in_seg s = {.src = KIT_PEER + 5,
                       .h = {.sport = 9, .dport = KIT_PORT, .flags = TCP_ACK, .wnd = 1000}};
    cr_assert(conn_half_open(&k, &g, 0));
    for (unsigned i = 0; i < 3000; i++) {
        s.h.ack = i * 2654435761u;
        s.h.seq = i;
        kit_inject(&k, &s);
        answers += kit_pending(&k);
        kit_drop(&k);
    }
    cr_assert_eq(answers, COOKIE_GUESSES);
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_refused), COOKIE_GUESSES);
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_drop), 3000 - COOKIE_GUESSES);
    cr_assert(conn_half_open(&k, &c, 0));
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    k.now += NS_S; /* the next second begins anew */
    kit_inject(&k, &s);
    cr_assert_eq(kit_take(&k)->h.flags, TCP_RST);
    cr_assert_eq(tcp_sessions(k.t), 2);
}

/* A listener that has sent no cookie believes none: its ACKs are those of RFC 9293 3.10.7.2. */
Test(tcp_cookie, only_who_sent_some_looks)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    kit_listen(&k, KIT_PORT + 1, 5, NULL);
    cr_assert(conn_half_open(&k, &c, 0));
    c.lport++;
    conn_ack(&k, &c, 1);
    EXPECT_SEG(&k, &c, TCP_RST, 1, 0u - c.iss, 0);
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_refused), 0);
}

/* Crash-only: what a cookie means is in the key and the clock. Sent before a crash of the
 * domain it is good after it. */
Test(tcp_cookie, crash_between)
{
    struct conn c = conn_peer(0);
    c.ts = c.sack = c.ws = true;
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    kit_restart(&k);
    k.now += NS_S;
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert(conn_accepted(&k, &c));
    cr_assert_eq(kit_readable(&k, &c), 10);
    cr_assert_eq(conn_tcb(&k, &c)->h.bits & (H_TS | H_WS | H_SACK), H_TS | H_WS | H_SACK);
}

/* With another key (the supervisor began anew) it is refused, cleanly. */
Test(tcp_cookie, crash_with_another_key)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    k.cfg.key[7] ^= 1;
    kit_restart(&k);
    conn_ack(&k, &c, 1);
    EXPECT_SEG(&k, &c, TCP_RST, 1, 0u - c.iss, 0);
    cr_assert_eq(tcp_sessions(k.t), 1);
}

/* The session that a cookie made is like any other to a crash right after it. */
Test(tcp_cookie, crash_after)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    conn_ack(&k, &c, 1);
    kit_restart(&k);
    cr_assert(conn_accepted(&k, &c));
    kit_drop(&k);
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert_eq(kit_readable(&k, &c), 10);
}
