/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a session accepts: RFC 9293 3.10.7.4, blind attacks (RFC 5961), old duplicates (PAWS,
 * RFC 7323), ICMP errors (RFC 5461, 5927, 1191), and packets that are no segment.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

static struct conn
up_ts(void)
{
    struct conn c = conn_default();
    c.ts = true;
    conn_up_as(&k, &c);
    return c;
}

/* RFC 5961 3.2: only a RST with exactly the next number resets; in the window: a challenge ACK;
 * outside: nothing. */
Test(tcp_input, rst_must_be_exact)
{
    struct conn c = conn_up(&k);
    conn_raw(&k, &c, TCP_RST, c.snd + 1, 0, NULL, 0);
    EXPECT_ACK(&k, &c);
    conn_raw(&k, &c, TCP_RST, c.snd - 1, 0, NULL, 0);
    EXPECT_NONE(&k);
    conn_raw(&k, &c, TCP_RST, c.snd + 70000, 0, NULL, 0);
    EXPECT_NONE(&k);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    conn_raw(&k, &c, TCP_RST, c.snd, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* RFC 5961 4.2: a SYN in a synchronized state is answered by a challenge ACK. */
Test(tcp_input, syn_is_challenged)
{
    struct conn c = conn_up(&k);
    conn_raw(&k, &c, TCP_SYN, c.snd, 0, NULL, 0);
    EXPECT_ACK(&k, &c);
    conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0); /* the old one */
    EXPECT_ACK(&k, &c);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
}

/* RFC 9293 3.10.7.4 fifth: an ACK of what was never sent is answered and dropped, data and all;
 * RFC 5961 5.2: the same for one older than any window. */
Test(tcp_input, ack_must_be_possible)
{
    struct conn c = conn_up(&k);
    uint8_t b[4] = {0};
    conn_raw(&k, &c, TCP_ACK, c.snd, 2, b, 4);
    EXPECT_ACK(&k, &c);
    conn_raw(&k, &c, TCP_ACK, c.snd, 0u - 70000, b, 4);
    EXPECT_ACK(&k, &c);
    cr_assert_eq(kit_readable(&k, &c), 0);
    conn_raw(&k, &c, 0, c.snd, 0, b, 4); /* no ACK at all: silence */
    EXPECT_NONE(&k);
    cr_assert_eq(kit_readable(&k, &c), 0);
}

/* RFC 9293 3.4 table 6: what lies outside the window is acknowledged and dropped. */
Test(tcp_input, window)
{
    struct conn c = conn_up(&k);
    uint8_t b[8] = {0};
    uint32_t edge = (uint32_t)(conn_tcb(&k, &c)->h.rcv_adv);
    conn_raw(&k, &c, TCP_ACK, c.snd - 1, c.rcv, b, 1);
    EXPECT_ACK(&k, &c);
    conn_raw(&k, &c, TCP_ACK, edge, c.rcv, b, 1);
    EXPECT_ACK(&k, &c);
    conn_raw(&k, &c, TCP_ACK, c.snd + 0x7fffffff, c.rcv, b, 8);
    EXPECT_ACK(&k, &c);
    cr_assert_eq(kit_readable(&k, &c), 0);
    cr_assert_eq(conn_tcb(&k, &c)->ooo.n, 0);
    conn_raw(&k, &c, TCP_ACK, c.snd - 1, c.rcv, b, 3); /* the first is old, two are new */
    cr_assert_eq(kit_readable(&k, &c), 2);
}

/* Two ends that disagree must not answer each other's ACKs for ever. */
Test(tcp_input, no_ack_war)
{
    struct conn c = conn_up(&k);
    unsigned n = 0;
    for (unsigned i = 0; i < 100; i++) {
        conn_raw(&k, &c, TCP_ACK, c.snd - 5, c.rcv, NULL, 0);
        n += kit_pending(&k) != 0;
        kit_drop(&k);
    }
    cr_assert_leq(n, 2);
}

/* RFC 7323 5.3 R1: an older time stamp: dropped and acknowledged. R3: the echo is of the
 * segment that moved the window. Over the wrap of the stamp. */
Test(tcp_input, paws)
{
    struct conn c = up_ts();
    c.ts_val += 0x20; /* wraps */
    conn_send(&k, &c, TCP_ACK, 10);
    const struct out_seg *o = kit_take(&k);
    cr_assert_eq(o->h.ts_ecr, c.ts_val);
    c.ts_val -= 1;
    uint32_t before = c.snd;
    conn_send(&k, &c, TCP_ACK, 10);
    c.snd = before;
    EXPECT_ACK(&k, &c);
    cr_assert_eq(kit_readable(&k, &c), 10);
    cr_assert_eq(k.stats.v[STAT_tcp_drop_paws], 1);
    conn_raw(&k, &c, TCP_RST, c.snd, 0, NULL, 0); /* RFC 7323 5.2: not for RST */
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* RFC 7323 3.2: without the option that was agreed on: dropped, silently. */
Test(tcp_input, timestamp_missing)
{
    struct conn c = up_ts();
    c.ts = false;
    conn_send(&k, &c, TCP_ACK, 10);
    EXPECT_NONE(&k);
    cr_assert_eq(kit_readable(&k, &c), 0);
}

/* RFC 7323 5.5: after 24 days the stamp proves nothing, and the next one takes its place. */
Test(tcp_input, paws_after_24_days)
{
    struct conn c = up_ts();
    k.now += PAWS_IDLE + NS_S;
    c.ts_val -= 1000;
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert_eq(kit_readable(&k, &c), 10);
    cr_assert_eq(conn_tcb(&k, &c)->h.ts_recent, c.ts_val);
}

/* TS.Recent must not be moved by what is not believed: else PAWS locks the real peer out. */
Test(tcp_input, ts_recent_is_not_poisoned)
{
    struct conn c = up_ts(), evil;
    uint8_t b[100] = {0};
    uint32_t recent = conn_tcb(&k, &c)->h.ts_recent;
    evil = c;
    evil.ts_val += 0x7ffffff0;
    conn_raw(&k, &evil, TCP_RST, c.snd - 50, 0, b, 100);
    conn_raw(&k, &evil, TCP_SYN, c.snd, 0, NULL, 0);
    conn_raw(&k, &evil, 0, c.snd, 0, b, 100);
    conn_raw(&k, &evil, TCP_ACK, c.snd, c.rcv + 1000, b, 100);
    conn_raw(&k, &evil, TCP_ACK, c.snd + 1, c.rcv, b, 100); /* out of order: RFC 7323 R3 */
    cr_assert_eq(conn_tcb(&k, &c)->h.ts_recent, recent);
    kit_drop(&k);
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert_geq(kit_readable(&k, &c), 10);
}

/* RFC 1122 4.2.2.7: a bad checksum is dropped in silence, and what was already copied towards
 * the stream is not part of it. The pseudo-header's sum alone counts only where configured. */
Test(tcp_input, checksum)
{
    struct conn c = conn_up(&k);
    uint8_t good[8] = "goodgood", bad[8] = "badbadba";
    struct in_seg s = conn_seg(&c, TCP_ACK, c.snd, c.rcv);
    s.data = bad;
    s.len = 8;
    s.csum = CSUM_BAD;
    kit_inject(&k, &s);
    s.csum = CSUM_PARTIAL;
    kit_inject(&k, &s);
    EXPECT_NONE(&k);
    cr_assert_eq(kit_readable(&k, &c), 0);
    s.csum = CSUM_GOOD;
    s.data = good;
    kit_inject(&k, &s);
    uint8_t got[16];
    cr_assert_eq(kit_read(&k, &c, got, 16), 8);
    cr_assert_eq(memcmp(got, good, 8), 0);
    k.t->cfg.csum_partial_ok = true;
    s.csum = CSUM_PARTIAL;
    s.h.seq += 8;
    kit_inject(&k, &s);
    cr_assert_eq(kit_readable(&k, &c), 8);
}

/* A segment in any number of frames, cut anywhere behind the header, odd lengths included. */
Test(tcp_input, chain)
{
    struct conn c = conn_up(&k);
    static uint8_t data[5000], got[5000];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = kit_byte(i);
    static const uint32_t cuts[] = {21, 100, 333, 1024, 1481};
    for (unsigned i = 0; i < ARRAY_LEN(cuts); i++) {
        uint32_t len = min_u32(5000, cuts[i] * 40 - 20);
        struct in_seg s = conn_seg(&c, TCP_ACK, c.snd, c.rcv);
        s.data = data;
        s.len = len;
        s.cut = cuts[i];
        kit_inject(&k, &s);
        cr_assert_eq(kit_read(&k, &c, got, sizeof got), len, "cut %u", cuts[i]);
        cr_assert_eq(memcmp(got, data, len), 0);
        c.snd += len;
    }
}

/* RFC 9293 3.8.5 as RFC 6093 has it: urgent data is in line. */
Test(tcp_input, urgent_is_in_line)
{
    struct conn c = conn_up(&k);
    conn_send(&k, &c, TCP_ACK | TCP_URG, 10);
    cr_assert_eq(kit_readable(&k, &c), 10);
}

/* Descriptors from a hostile ip domain: addresses outside every part, lengths that leave the
 * frame, headers that claim more than there is, broadcast, port 0. */
Test(tcp_input, no_segments)
{
    struct conn c = conn_up(&k);
    struct in_seg s = conn_seg(&c, TCP_RST, c.snd, 0);
    struct pkt good, p;
    kit_segment(&k, &s, &good);
    static const uint32_t addr[] = {0xffffffffu, 0x80000000u,
                                    (KIT_RX_FRAMES + KIT_FRAMES) * FRAME_SIZE};
    for (unsigned i = 0; i < ARRAY_LEN(addr); i++) {
        p = good;
        p.addr = addr[i];
        kit_step(&k, &p, 1);
    }
    p = good;
    p.len = 0;
    kit_step(&k, &p, 1);
    p.len = 19;
    kit_step(&k, &p, 1);
    p.len = 4000;
    kit_step(&k, &p, 1);
    p = good;
    p.flags = PKT_BCAST;
    kit_step(&k, &p, 1);
    k.frames.base[good.addr + 12] = 0xf0;
    kit_step(&k, &good, 1);
    k.frames.base[good.addr + 12] = 0x40;
    kit_step(&k, &good, 1);
    s.h.sport = 0;
    kit_inject(&k, &s);
    EXPECT_NONE(&k);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
}

/* A frame that ip did not hold, or gives back twice, is refused. */
Test(tcp_input, forged_tx_done)
{
    struct conn c = conn_up(&k);
    k.hold = true;
    kit_write(&k, &c, 10);
    cr_assert_eq(k.n_held, 1);
    cr_assert_not(tcp_tx_done(k.t, 0));
    cr_assert_not(tcp_tx_done(k.t, UINT32_MAX));
    cr_assert_not(tcp_tx_done(k.t, k.held[0] ^ FRAME_SIZE));
    cr_assert(tcp_tx_done(k.t, k.held[0]));
    cr_assert_not(tcp_tx_done(k.t, k.held[0]));
    cr_assert(tcp_validate(k.t));
}

/* ---- ICMP ---- */

/* RFC 5461 section 4: an error for the SYN ends the attempt with what a socket user expects. */
Test(tcp_input, icmp_in_syn_sent)
{
    struct conn c = conn_default();
    kit_init(&k);
    cr_assert(conn_connecting(&k, &c));
    conn_icmp(&k, &c, 1, EHOSTUNREACH, 0); /* RFC 5927 4.1: not a number in flight */
    conn_icmp(&k, &c, 0u - 1, EHOSTUNREACH, 0);
    EXPECT_STATE(&k, &c, TCPS_SYN_SENT);
    conn_icmp(&k, &c, 0, EHOSTUNREACH, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
}

/* RFC 1122 4.2.3.9: a connection that stands does not fall by an ICMP error. */
Test(tcp_input, icmp_is_soft)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 10);
    conn_icmp(&k, &c, 1, ECONNREFUSED, 0);
    conn_icmp(&k, &c, 1, EHOSTUNREACH, 0);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
}

/* RFC 1191 6.4: fragmentation needed: smaller segments, what is out goes again; only for a
 * number in flight, never larger, never absurdly small. */
Test(tcp_input, icmp_frag_needed)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 2000);
    kit_drop(&k);
    conn_icmp(&k, &c, 5000, EMSGSIZE, 1000);
    conn_icmp(&k, &c, 1, EMSGSIZE, 9000);
    EXPECT_NONE(&k);
    conn_icmp(&k, &c, 1, EMSGSIZE, 1000);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 960);
    EXPECT_SEG(&k, &c, TCP_ACK, 961, 1, 960); /* the rest of what was out */
    EXPECT_SEG(&k, &c, TCP_ACK, 1921, 1, 80);
    kit_drop(&k);
    conn_icmp(&k, &c, 1, EMSGSIZE, 0);
    cr_assert_geq(conn_tcb(&k, &c)->h.mss, 88);
}
