/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An MTU of 9000: segments that are longer than a frame, each one packet (PKT_JOIN), and such
 * as come in several frames.
 */
#include <criterion/criterion.h>

#include "session/turns.h"
#include "tcp_kit.h"

#define MSS 8960u

static struct kit k;

static struct conn
up(bool ts, uint16_t mss)
{
    struct conn c = conn_default();
    kit_prepare(&k);
    k.path.mtu = 9000;
    k.cfg.segments = false;
    kit_start(&k);
    cr_assert_neq(kit_listen(&k, KIT_PORT, 5, NULL), SESS_NONE);
    c.mss = mss;
    c.ts = ts;
    c.ts_ecr = 0;
    cr_assert(conn_accept(&k, &c));
    return c;
}

/* What was sent, as the peer has it: the right bytes, in order, with checksums that hold (the
 * kit looks at these). Returns the longest segment. */
static uint32_t
received(const struct conn *c, uint32_t from, uint32_t total)
{
    const struct out_seg *o;
    uint32_t at = from, longest = 0;
    while ((o = kit_take(&k)) != NULL) {
        cr_assert_eq(o->h.seq - c->irs, at);
        for (uint32_t i = 0; i < o->len; i++)
            cr_assert_eq(o->data[i], kit_byte(at - 1 + i), "byte %u", at - 1 + i);
        at += o->len;
        longest = max_u32(longest, o->len);
    }
    cr_assert_eq(k.bad, 0);
    cr_assert_eq(at, from + total);
    return longest;
}

/* The interface's MTU is announced, and used as far as the peer allows; every length about the
 * borders of frames is one segment, at odd places of the stream too. */
Test(tcp_jumbo, sent)
{
    static const uint32_t sizes[] = {1,    1860, 1861, 1899, 1900, 1901, 1920, 3820,
                                     3821, 5739, 5740, 7661, 8959, 8960, 7};
    struct conn c = up(false, MSS);
    cr_assert_eq(conn_tcb(&k, &c)->h.mss, MSS);
    uint32_t at = 1;
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        kit_write(&k, &c, sizes[i]);
        cr_assert_eq(received(&c, at, sizes[i]), sizes[i]);
        at += sizes[i];
        conn_ack(&k, &c, at);
    }
    cr_assert_eq(k.joined, 5);
    kit_end(&k);
    c = up(true, 65535); /* options take their room */
    cr_assert_eq(conn_tcb(&k, &c)->h.mss, MSS - 12);
    kit_write(&k, &c, 2 * MSS - 24);
    cr_assert_eq(received(&c, 1, 2 * MSS - 24), MSS - 12);
    kit_end(&k);
    c = up(false, 1460); /* and so may the peer */
    kit_write(&k, &c, 3000);
    cr_assert_eq(received(&c, 1, 3000), 1460);
    cr_assert_leq(k.joined, 1);
    kit_end(&k);
}

/* What is lost is sent again, as large as it was, and smaller where the path takes less. */
Test(tcp_jumbo, lost)
{
    struct conn c = up(false, MSS);
    kit_write(&k, &c, MSS);
    kit_drop(&k);
    cr_assert_neq(kit_until_sent(&k, 5 * NS_S), NS_NEVER);
    cr_assert_eq(received(&c, 1, MSS), MSS);
    conn_icmp(&k, &c, 1, EMSGSIZE, 1500);
    cr_assert_leq(conn_tcb(&k, &c)->h.mss, 1460);
    kit_wait(&k, 5 * NS_S);
    const struct out_seg *o;
    while ((o = kit_take(&k)) != NULL)
        cr_assert_leq(o->len, 1460);
    cr_assert_eq(k.bad, 0);
    kit_end(&k);
}

/* With too few frames for one segment nothing is sent, none of them is taken, and nobody calls
 * in vain until some come back; likewise of descriptors, where it is asked to go on. */
Test(tcp_jumbo, frames_run_out)
{
    struct conn c = up(false, MSS);
    uint32_t n_free = k.t->pool.n_free;
    k.t->pool.n_free = 4;
    kit_write(&k, &c, MSS);
    cr_assert_eq(kit_pending(&k), 0);
    cr_assert_eq(k.t->pool.n_free, 4);
    cr_assert_gt(tcp_deadline(k.t), k.now);
    k.t->pool.n_free = n_free;
    kit_step(&k, NULL, 0);
    cr_assert_eq(received(&c, 1, MSS), MSS);
    conn_ack(&k, &c, 1 + MSS);

    struct pkt out[8];
    kit_fill(&k, 0, c.slot, MSS);
    (void)kit_do(&k, c.sess, REQ_SEND, 0);
    cr_assert_eq(tcp_step(k.t, NULL, 0, out, 4, k.now), 0);
    cr_assert_eq(k.t->pool.n_free, n_free);
    cr_assert_leq(tcp_deadline(k.t), k.now);
    cr_assert_eq(tcp_step(k.t, NULL, 0, out, 5, k.now), 5);
    for (unsigned i = 0; i < 5; i++)
        cr_assert(tcp_tx_done(k.t, out[i].addr));
    cr_assert(tcp_validate(k.t));
    kit_end(&k);
}

/* An ip that says that the link takes more than any does gets nothing that is larger than
 * frames are, and no more than a packet may have. */
Test(tcp_jumbo, mtu_that_lies)
{
    struct conn c = up(false, 65535);
    k.path.mtu = 65535;
    c = conn_peer(1);
    c.mss = 65535;
    cr_assert(conn_accept(&k, &c));
    cr_assert_eq(conn_tcb(&k, &c)->h.mss, SEG_PAYLOAD);
    kit_write(&k, &c, 2 * SEG_PAYLOAD);
    cr_assert_eq(received(&c, 1, 2 * SEG_PAYLOAD), SEG_PAYLOAD);
    kit_end(&k);
}

/* In several frames, cut at any place, also an odd one: the stream is whole, in order and out
 * of it; a sum that does not hold is found. */
Test(tcp_jumbo, came)
{
    static const uint32_t cuts[] = {1738, 1737, 1001, 600};
    static uint8_t text[MSS], back[MSS];
    for (unsigned i = 0; i < ARRAY_LEN(cuts); i++) {
        struct conn c = up(false, MSS);
        for (uint32_t b = 0; b < sizeof text; b++)
            text[b] = kit_byte(b);
        struct in_seg s = conn_seg(&c, TCP_ACK, 1, 1);
        s.data = text;
        s.len = sizeof text;
        s.cut = cuts[i];
        s.csum = CSUM_BAD;
        kit_inject(&k, &s);
        cr_assert_eq(kit_readable(&k, &c), 0);
        cr_assert_eq(kit_stat(&k, STAT_drop_checksum), 1);
        s.csum = CSUM_GOOD;
        if (i % 2) { /* behind a gap */
            s = conn_seg(&c, TCP_ACK, 2, 1);
            s.data = text + 1;
            s.len = sizeof text - 1;
            s.cut = cuts[i];
            kit_inject(&k, &s);
            cr_assert_eq(kit_readable(&k, &c), 0);
            conn_raw(&k, &c, TCP_ACK, 1, 1, text, 1);
        } else {
            kit_inject(&k, &s);
        }
        cr_assert_eq(kit_read(&k, &c, back, sizeof back), sizeof text);
        cr_assert_eq(memcmp(text, back, sizeof text), 0);
        kit_end(&k);
    }
}
