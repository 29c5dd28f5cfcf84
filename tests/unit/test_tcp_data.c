/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Data in both directions: reassembly, windows (RFC 9293 3.8.6), delayed acknowledgments
 * (RFC 5681 4.2), silly windows and Nagle (RFC 9293 3.8.6.2, 3.7.4).
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

/* Bytes [from, to) of the peer's stream, all equal to v, at their place. */
static void
piece(const struct conn *c, uint32_t from, uint32_t to, uint8_t v)
{
    uint8_t b[FRAME_SIZE];
    memset(b, v, sizeof b);
    conn_raw(&k, c, TCP_ACK, 1 + from, c->rcv, b, to - from);
}

/* Past the first segments, which are acknowledged at once so as not to slow the peer's start.
 */
static void
past_start(struct conn *c)
{
    uint8_t b[FRAME_SIZE];
    while (conn_tcb(&k, c)->h.rcv_nxt < 16u * 1460) {
        conn_send(&k, c, TCP_ACK, 1460);
        kit_read(&k, c, b, sizeof b);
    }
    kit_wait(&k, 100 * NS_MS);
    kit_drop(&k);
}

/* RFC 9293 3.10.7.4 seventh: five segments with overlaps, in every order: the stream is whole,
 * a byte is never delivered before those in front of it, and what came first stays. Numbers
 * wrap in the middle. */
Test(tcp_data, reassembly_permutations)
{
    static const struct {
        uint32_t from, to;
    } s[5] = {{0, 20}, {20, 40}, {15, 50}, {45, 70}, {70, 90}};
    unsigned n_perm = 0;
    for (unsigned code = 0; code < 3125; code++) {
        unsigned p[5], seen = 0;
        for (unsigned i = 0, x = code; i < 5; i++, x /= 5) {
            p[i] = x % 5;
            seen |= 1u << p[i];
        }
        if (seen != 31)
            continue;
        n_perm++;
        struct conn c = conn_up(&k);
        uint8_t want[90] = {0}, got[90];
        bool there[90] = {false};
        for (unsigned i = 0; i < 5; i++) {
            for (uint32_t b = s[p[i]].from; b < s[p[i]].to; b++)
                if (!there[b]) {
                    there[b] = true;
                    want[b] = (uint8_t)(1 + p[i]);
                }
            piece(&c, s[p[i]].from, s[p[i]].to, (uint8_t)(1 + p[i]));
            uint32_t front = 0;
            while (front < 90 && there[front])
                front++;
            cr_assert_eq(kit_readable(&k, &c), front, "permutation %u", code);
        }
        cr_assert_eq(kit_read(&k, &c, got, 90), 90);
        cr_assert_eq(memcmp(got, want, 90), 0, "permutation %u", code);
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
    cr_assert_eq(n_perm, 120);
}

/* More gaps than there is room to note: what does not fit is dropped, nothing else is. */
Test(tcp_data, many_gaps)
{
    enum { ROOM = 256 };
    struct conn c = conn_up(&k);
    k.t->runs_used[c.client] =
        k.t->runs.extra / 4 - ROOM; /* its other sessions hold the rest */
    for (uint32_t i = 0; i < ROOM + 10; i++)
        piece(&c, 10 + 20 * i, 20 + 20 * i, 7);
    cr_assert_eq(conn_tcb(&k, &c)->ooo.n, ROOM);
    cr_assert(tcp_validate(k.t));
    for (uint32_t i = 0; i < 5; i++)
        piece(&c, 1400 * i, 1400 * (i + 1), 9);
    cr_assert_eq(kit_readable(&k, &c), 7000);
    cr_assert_eq(conn_tcb(&k, &c)->ooo.n, 0);
}

/* RFC 5681 4.2: a segment out of order is acknowledged at once, one ACK for each, also when
 * several come in one batch. */
Test(tcp_data, duplicate_ack_for_each)
{
    struct conn c = conn_up(&k);
    struct pkt p[8];
    uint8_t b[10] = {0};
    unsigned n = 0;
    for (uint32_t i = 1; i <= 4; i++) {
        struct in_seg s = conn_seg(&c, TCP_ACK, c.snd + 10 * i, c.rcv);
        s.data = b;
        s.len = 10;
        n += kit_segment(&k, &s, p + n);
    }
    kit_step(&k, p, n);
    for (unsigned i = 0; i < 4; i++)
        EXPECT_ACK(&k, &c);
    EXPECT_NONE(&k);
}

/* ... but when the same batch fills the gap there is one ACK, for all of it: several with the
 * new number would look like a loss. */
Test(tcp_data, no_duplicate_ack_of_the_new)
{
    struct conn c = conn_up(&k);
    struct pkt p[8];
    uint8_t b[10] = {0};
    unsigned n = 0;
    for (uint32_t i = 5; i-- > 0;) {
        struct in_seg s = conn_seg(&c, TCP_ACK, c.snd + 10 * i, c.rcv);
        s.data = b;
        s.len = 10;
        n += kit_segment(&k, &s, p + n);
    }
    kit_step(&k, p, n);
    EXPECT_SEG(&k, &c, TCP_ACK, c.rcv, c.snd + 50, 0);
    EXPECT_NONE(&k);
}

/* RFC 9293 3.8.6.3, RFC 5681 4.2: the second full segment at once, a single one after 40 ms. */
Test(tcp_data, delayed_ack)
{
    struct conn c = conn_up(&k);
    past_start(&c);
    conn_send(&k, &c, TCP_ACK, 1000);
    EXPECT_NONE(&k);
    kit_wait(&k, DELACK_TIME - 2 * NS_MS);
    EXPECT_NONE(&k);
    kit_wait(&k, 4 * NS_MS);
    EXPECT_ACK(&k, &c);
    conn_send(&k, &c, TCP_ACK, 1000);
    EXPECT_NONE(&k);
    conn_send(&k, &c, TCP_ACK, 1000);
    EXPECT_ACK(&k, &c);
    kit_wait(&k, NS_S);
    EXPECT_NONE(&k);
    conn_send(&k, &c, TCP_ACK, 1000);
    kit_write(&k, &c, 10); /* data takes the acknowledgment along */
    EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 10);
    conn_ack(&k, &c, 11);
    kit_wait(&k, 100 * NS_MS);
    EXPECT_NONE(&k);
}

/* A peer with Nagle's algorithm sends the next small piece when the last one is acknowledged:
 * what was pushed to a program that reads as it comes, and says nothing, is acknowledged at
 * once. Not where the program answers, does not keep up, or has switched it off; and of a long
 * transfer still every second segment. */
Test(tcp_data, small_pushed_segments)
{
    struct conn c = conn_up(&k);
    uint8_t b[FRAME_SIZE];
    past_start(&c);
    for (unsigned i = 0; i < 3; i++) {
        conn_send(&k, &c, TCP_ACK | TCP_PSH, 1);
        EXPECT_ACK(&k, &c);
        kit_read(&k, &c, b, sizeof b);
    }
    conn_send(&k, &c, TCP_ACK | TCP_PSH, 1460);
    EXPECT_NONE(&k);
    conn_send(&k, &c, TCP_ACK | TCP_PSH, 1460);
    EXPECT_ACK(&k, &c);
    conn_send(&k, &c, TCP_ACK | TCP_PSH, 1); /* behind bytes that nobody has read */
    EXPECT_NONE(&k);
    kit_read(&k, &c, b, sizeof b);
    kit_write(&k, &c, 10);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 10);
    conn_ack(&k, &c, 11);
    conn_send(&k, &c, TCP_ACK | TCP_PSH, 1); /* the program answers */
    EXPECT_NONE(&k);
    kit_wait(&k, 2 * DELACK_TIME);
    EXPECT_ACK(&k, &c);
    kit_read(&k, &c, b, sizeof b);
    cr_assert_eq(kit_set(&k, c.sess, IPPROTO_TCP, TCP_QUICKACK, 0), 0);
    conn_send(&k, &c, TCP_ACK | TCP_PSH, 1);
    EXPECT_NONE(&k);
}

/* RFC 9293 3.8.6: the right edge never moves back, however the buffer changes; RFC 7323 2.4:
 * by rounding to the scale it seems to, but by less than a unit. */
Test(tcp_data, window_never_shrinks)
{
    struct conn c = conn_default();
    c.ws = true;
    c.wscale = 3;
    conn_up_as(&k, &c);
    uint32_t edge = 0;
    for (unsigned i = 0; i < 200; i++) {
        conn_send(&k, &c, TCP_ACK, 1 + i * 37 % 700);
        if (i == 20)
            cr_assert_eq(kit_set(&k, c.sess, SOL_SOCKET, SO_RCVBUF, 5000), 0);
        if (i == 100)
            cr_assert_eq(kit_set(&k, c.sess, SOL_SOCKET, SO_RCVBUF, 200000), 0);
        if (i % 3 == 0) {
            uint8_t b[600];
            kit_read(&k, &c, b, 1 + i * 31 % 600);
        }
        const struct out_seg *o;
        while ((o = kit_take(&k)) != NULL) {
            uint32_t e = o->h.ack - c.iss + ((uint32_t)o->h.wnd << WSCALE);
            cr_assert_gt((int32_t)(e - edge), -(int32_t)(1u << WSCALE), "segment %u", i);
            edge = (int32_t)(e - edge) > 0 ? e : edge;
        }
    }
    cr_assert(tcp_validate(k.t));
}

/* Rounding to the window scale (RFC 7323 2.4) must not add up: a peer that sends a byte at a
 * time to a program that does not read fills the buffer and not more. */
Test(tcp_data, rounding_does_not_add_up)
{
    struct conn c = conn_default();
    c.ws = true;
    conn_up_as(&k, &c);
    uint32_t edge = c.snd + 60000;
    for (unsigned i = 0; i < 12000 && c.snd < edge; i++) {
        conn_send(&k, &c, TCP_ACK, edge - c.snd > 3000 ? 1400 : 1);
        const struct out_seg *o;
        while ((o = kit_take(&k)) != NULL)
            edge = o->h.ack - c.iss + ((uint32_t)o->h.wnd << WSCALE);
    }
    cr_assert_eq(c.snd, edge, "the window never closes");
    cr_assert_gt(kit_readable(&k, &c), k.cfg.rcvbuf - 2 * WINDOW_SLACK);
    cr_assert_leq(kit_readable(&k, &c), k.cfg.rcvbuf);
    cr_assert(tcp_validate(k.t));
}

/* RFC 9293 3.8.6.2.2: a full buffer closes the window; reading a little does not open it;
 * reading enough does, with an ACK of its own, and again once only. */
Test(tcp_data, receiver_silly_window)
{
    struct conn c = conn_up(&k);
    static uint8_t b[65536];
    conn_tcb(&k, &c)->opt.rcvbuf = 8192;
    while (conn_tcb(&k, &c)->h.rcv_adv > c.snd)
        conn_send(&k, &c, TCP_ACK,
                  min_u32(1460, (uint32_t)conn_tcb(&k, &c)->h.rcv_adv - c.snd));
    kit_wait(&k, 100 * NS_MS);
    const struct out_seg *o, *last = NULL;
    while ((o = kit_take(&k)) != NULL)
        last = o;
    cr_assert_eq(last->h.wnd, 0);
    uint32_t n = kit_readable(&k, &c);
    cr_assert_geq(
        n,
        65536 - WINDOW_SLACK); /* the first window was of the larger buffer: all of it counts */
    kit_read(&k, &c, b, n - 8192 + WINDOW_SLACK + 100);
    EXPECT_NONE(&k); /* 100 bytes of room */
    kit_read(&k, &c, b, 2000);
    o = kit_take(&k);
    cr_assert_not_null(o, "no window update");
    cr_assert_geq(o->h.wnd, 2000);
    EXPECT_NONE(&k);
}

/* A stream longer than the FIFO, read as it comes: every byte, in order, pages used again. */
Test(tcp_data, long_stream)
{
    struct conn c = conn_up(&k);
    uint8_t b[4096];
    uint64_t at = 0;
    while (at < 3u * FIFO_MAX / 2) {
        conn_send(&k, &c, TCP_ACK, 1400);
        uint32_t n = kit_read(&k, &c, b, sizeof b);
        for (uint32_t i = 0; i < n; i++)
            cr_assert_eq(b[i], kit_byte(at + i), "byte %lu", at + i);
        at += n;
    }
    cr_assert_eq(k.t->clients->c[0].pages.n_free, KIT_RX_PAGES, "an emptied FIFO holds a page");
}

/* ---- sending ---- */

/* RFC 9293 3.7.4 (Nagle): small data waits while anything is out; NODELAY sends it; a full
 * segment always goes. */
Test(tcp_data, nagle)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 10);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 10);
    kit_write(&k, &c, 10);
    kit_write(&k, &c, 10);
    EXPECT_NONE(&k);
    conn_ack(&k, &c, 11);
    EXPECT_SEG(&k, &c, TCP_ACK, 11, 1, 20);
    kit_write(&k, &c, 1470);
    EXPECT_SEG(&k, &c, TCP_ACK, 31, 1, 1460);
    EXPECT_NONE(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_NODELAY, 1);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_ACK, 1491, 1, 10);
}

/* TCP_CORK holds what does not fill a segment, for a while; taking it off sends. */
Test(tcp_data, cork)
{
    struct conn c = conn_up(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_CORK, 1);
    kit_write(&k, &c, 100);
    EXPECT_NONE(&k);
    kit_write(&k, &c, 1400);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1460);
    conn_ack(&k, &c, 1461);
    EXPECT_NONE(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_CORK, 0);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_ACK, 1461, 1, 40);
}

/* RFC 9293 3.8.6.2.1: no silly segments into a small window. */
Test(tcp_data, sender_silly_window)
{
    struct conn c = conn_up(&k);
    c.wnd = 3000;
    conn_ack(&k, &c, 1);
    kit_write(&k, &c, 20000);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1460);
    EXPECT_SEG(&k, &c, TCP_ACK, 1461, 1, 1460);
    EXPECT_NONE(&k); /* 80 bytes of window are left */
    c.wnd = 300;
    conn_ack(&k, &c, 2921);
    EXPECT_NONE(&k);
    c.wnd = 3000;
    conn_ack(&k, &c, 2921);
    EXPECT_SEG(&k, &c, TCP_ACK, 2921, 1, 1460);
}

/* The bytes that go out are those that were written, over the wrap of the numbers. */
Test(tcp_data, sent_stream)
{
    struct conn c = conn_up(&k);
    uint64_t at = 0;
    conn_tcb(&k, &c)->opt.nodelay = true;
    for (unsigned i = 0; i < 300; i++) {
        kit_write(&k, &c, 900);
        const struct out_seg *o;
        while ((o = kit_take(&k)) != NULL) {
            cr_assert_eq(o->h.seq, c.irs + 1 + (uint32_t)at);
            for (uint32_t b = 0; b < o->len; b++)
                cr_assert_eq(o->data[b], kit_byte(at + b));
            at += o->len;
        }
        conn_ack(&k, &c, 1 + (uint32_t)at);
    }
    cr_assert_eq(at, 300 * 900);
    cr_assert_eq(k.arena[0].d_slot[c.slot].tx_head, at);
}

/* Without frames nothing is lost and nothing spins: it goes on when ip gives some back. */
Test(tcp_data, no_frames)
{
    struct conn c = conn_up(&k);
    k.hold = true;
    k.t->cfg.sndbuf = 0;
    conn_tcb(&k, &c)->cc.cwnd = 1u << 24;
    c.wnd = 65535;
    conn_tcb(&k, &c)->opt.nodelay = true;
    for (unsigned i = 0; i < KIT_FRAMES + 20; i++)
        kit_write(&k, &c, 100);
    cr_assert_eq(k.n_held, KIT_FRAMES);
    cr_assert_gt(tcp_deadline(k.t), k.now, "it spins");
    kit_do(&k, c.sess, REQ_CLOSE, 0);
    kit_step(&k, NULL, 0);
    conn_raw(&k, &c, TCP_RST, c.snd, 0, NULL, 0);
    kit_step(&k, NULL, 0);
    cr_assert_gt(tcp_deadline(k.t), k.now, "it spins");
    k.hold = false;
    cr_assert(kit_done(&k));
    cr_assert(tcp_validate(k.t));
}
