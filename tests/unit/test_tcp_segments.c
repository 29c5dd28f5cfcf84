/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments that are cut further down (tcp_config.segments), and such that come in one piece.
 * That they are otherwise what one segment after the other would be shows in all the other
 * tests of TCP: segments.sh runs them once more, with every chain cut as the driver has it cut.
 */
#include <criterion/criterion.h>

#include "tcp_kit.h"

#define MSS 1460u

static struct kit k;

static struct conn
up(uint32_t window)
{
    struct conn c = conn_default();
    kit_prepare(&k);
    k.cfg.segments = true;
    kit_start(&k);
    cr_assert_neq(kit_listen(&k, KIT_PORT, 5, NULL), SESS_NONE);
    c.wnd = (uint16_t)window;
    cr_assert(conn_accept(&k, &c));
    return c;
}

/* What was sent, as the peer has it: whole segments from `from` on, and the right bytes. */
static uint32_t
received(uint32_t irs, uint32_t from)
{
    const struct out_seg *o;
    uint32_t at = from;
    while ((o = kit_take(&k)) != NULL) {
        cr_assert_eq(o->h.seq - irs, at);
        for (uint32_t i = 0; i < o->len; i++)
            cr_assert_eq(o->data[i], kit_byte(at - 1 + i), "byte %u", at - 1 + i);
        at += o->len;
    }
    cr_assert_eq(k.bad, 0);
    return at - from;
}

/* An initial window (RFC 6928) goes in one piece of ten, what is left in a segment of its own.
 */
Test(tcp_segments, one_piece)
{
    struct conn c = up(60000);
    kit_write(&k, &c, 10 * MSS);
    cr_assert_eq(received(c.irs, 1), 10 * MSS);
    cr_assert_eq(k.whole, 10);
    conn_ack(&k, &c, 1 + 10 * MSS);
    kit_write(&k, &c, 3 * MSS + 7);
    cr_assert_eq(received(c.irs, 1 + 10 * MSS), 3 * MSS + 7);
    cr_assert_eq(kit_stat(&k, STAT_seg_tx), 1 + 10 + 4, "counted as what they are cut into");
    kit_end(&k);
}

/* What goes to this stack itself passes nobody who would cut it or finish its checksum. */
Test(tcp_segments, not_for_loopback)
{
    static const uint32_t self[] = {KIT_OWN, 0x7f000001, 0x7f000005};
    struct sess_evt e;
    uint32_t slot;
    kit_prepare(&k);
    k.cfg.segments = true;
    kit_start(&k);
    for (unsigned i = 0; i < ARRAY_LEN(self); i++) {
        uint32_t s = kit_open(&k, 0, &slot);
        struct sess_req r = {.op = REQ_CONNECT, .addr = ipaddr_v4_u32(self[i]), .port = 80};
        cr_assert_eq(kit_request(&k, s, r, &e), 0);
        kit_step(&k, NULL, 0);
        const struct out_seg *o = kit_take(&k);
        cr_assert_not_null(o);
        cr_assert_eq(o->p.flags & (PKT_CSUM | PKT_WHOLE), 0);
    }
    cr_assert_eq(k.bad, 0);
    kit_end(&k);
}

/* Neither the peer's window nor ours is overrun for the sake of a longer piece. */
Test(tcp_segments, windows)
{
    struct conn c = up(3 * MSS + 100);
    kit_write(&k, &c, 10 * MSS);
    cr_assert_leq(received(c.irs, 1), 3 * MSS + 100);
    cr_assert_eq(k.whole, 3);
    kit_end(&k);
    c = up(60000);
    struct tcb *b = conn_tcb(&k, &c);
    b->cc.cwnd = 4 * MSS + 1;
    kit_write(&k, &c, 20 * MSS);
    cr_assert_leq(b->snd_nxt - b->h.snd_una, 4 * MSS + 1);
    cr_assert_eq(k.whole, 4);
    kit_end(&k);
}

/* As many frames as there are, and no descriptor beyond the room for them. */
Test(tcp_segments, frames_run_out)
{
    struct conn c = up(60000);
    struct tcb *b = conn_tcb(&k, &c);
    b->cc.cwnd = 40 * MSS;
    k.hold = true;
    kit_write(&k, &c, 40 * MSS);
    uint32_t out = (uint32_t)(b->snd_nxt - 1);
    cr_assert(out > 0 && k.whole <= FRAME_MAX_CHAIN);
    uint32_t n_free = k.t->pool.n_free;
    k.t->pool.n_free = 3;
    conn_ack(&k, &c, 1 + out);
    kit_write(&k, &c, 20 * MSS);
    cr_assert_leq(b->snd_nxt - b->h.snd_una, 3 * MSS);
    k.t->pool.n_free += n_free - 3;
    cr_assert_eq(k.bad, 0);
    kit_end(&k);
}

/* The header stands in front of each part that it is cut into, so a segment that says something
 * once is one: urgent data, CWR, a report of a duplicate. */
Test(tcp_segments, what_is_said_once)
{
    for (unsigned what = 0; what < 3; what++) {
        struct conn c = up(60000);
        struct tcb *b = conn_tcb(&k, &c);
        k.t->cap_out = 64;
        k.t->credit = 0;
        cr_assert_eq(output_most(k.t, b, MSS), MSS, "without credit");
        k.t->credit = 65536;
        cr_assert_gt(output_most(k.t, b, MSS), 20 * MSS);
        b->ecn_cwr = what == 0;
        b->snd_up = what == 1 ? b->snd_nxt + 5 : 0;
        b->dsack_l = what == 2 ? 1 : 0;
        b->dsack_r = what == 2 ? 2 : 0;
        cr_assert_eq(output_most(k.t, b, MSS), MSS, "%u", what);
        kit_end(&k);
    }
}

/* Something in the middle of it is lost: that alone is sent again. */
Test(tcp_segments, lost_in_the_middle)
{
    struct conn c = conn_default();
    kit_prepare(&k);
    k.cfg.segments = true;
    kit_start(&k);
    cr_assert_neq(kit_listen(&k, KIT_PORT, 5, NULL), SESS_NONE);
    c.sack = true;
    c.wnd = 60000;
    cr_assert(conn_accept(&k, &c));
    kit_write(&k, &c, 10 * MSS);
    kit_drop(&k);
    k.now += 10 * NS_MS;
    const uint32_t there[][2] = {{1 + 3 * MSS, 1 + 10 * MSS}};
    conn_sack(&k, &c, 1 + 2 * MSS, 1, there);
    kit_wait(&k, 20 * NS_MS);
    EXPECT_SEG(&k, &c, TCP_ACK, 1 + 2 * MSS, 1, MSS);
    EXPECT_NONE(&k);
    kit_end(&k);
}

/* ---- received ---- */

static uint8_t data[45 * MSS], back[45 * MSS];

static struct in_seg
many(const struct conn *c, uint32_t len, int csum)
{
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = kit_byte(c->snd - 1 + i);
    struct in_seg s = conn_seg(c, TCP_ACK, c->snd, c->rcv);
    s.data = data;
    s.len = len;
    s.cut = FRAME_SIZE - 64;
    s.csum = csum;
    return s;
}

/* Up to 64 KiB in many frames go straight to their place, and are acknowledged at once, once:
 * they are more than two segments (RFC 5681 4.2). */
Test(tcp_segments, received_whole)
{
    struct conn c = up(60000);
    struct tcb *b = conn_tcb(&k, &c);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t len = min_u32(20 * MSS, (uint32_t)(b->h.rcv_adv - b->h.rcv_nxt));
        struct in_seg s = many(&c, len, CSUM_DONE);
        kit_inject(&k, &s);
        c.snd += len;
        const struct out_seg *o = kit_take(&k);
        cr_assert_not_null(o);
        cr_assert_eq(o->h.ack - c.iss, c.snd);
        cr_assert_eq(kit_read(&k, &c, back, sizeof back), len);
        cr_assert_eq(memcmp(back, data, len), 0);
        kit_drop(&k);
    }
    kit_end(&k);
}

/* That somebody looked at the checksum is believed only if it was said that there is such a
 * somebody, and of the packet that says so. */
Test(tcp_segments, checksum_believed)
{
    struct conn c = up(60000);
    struct in_seg s = many(&c, 5 * MSS, CSUM_BAD);
    kit_inject(&k, &s);
    cr_assert_eq(kit_readable(&k, &c), 0);
    cr_assert_eq(kit_stat(&k, STAT_drop_checksum), 1);
    s.csum = CSUM_DONE;
    k.t->cfg.segments = false;
    kit_inject(&k, &s);
    cr_assert_eq(kit_readable(&k, &c), 0);
    k.t->cfg.segments = true;
    kit_inject(&k, &s);
    cr_assert_eq(kit_readable(&k, &c), 5 * MSS);
    s = many(&c, 5 * MSS, CSUM_GOOD);
    s.h.seq += 5 * MSS;
    kit_inject(&k, &s);
    cr_assert_eq(kit_readable(&k, &c), 10 * MSS,
                 "and one that is right is, in many frames too");
    kit_end(&k);
}
