/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What comes from the past (RFC 7323 PAWS, RFC 6191, RFC 1337): old duplicates, numbers that
 * wrap, connections in the place of one in TIME-WAIT.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

/* RFC 7323 section 5: after 2^32 bytes a segment of the last round lies in the window again.
 * Its time stamp tells; without time stamps nothing would (and this test says so). */
Test(tcp_past, old_duplicate_after_wrap)
{
    for (unsigned with = 0; with < 2; with++) {
        struct conn c = conn_up_in(&k, TCPS_ESTABLISHED, with != 0);
        uint8_t old[50] = "of the round before";
        const uint64_t round = 1ull << 32;
        struct tcb *b = conn_tcb(&k, &c);
        struct conn late = c;
        c.ts_val += 100000;
        conn_send(&k, &c, TCP_ACK, 0);
        conn_ack(&k, &c, 1);
        b->h.rcv_nxt += round;
        b->h.rcv_adv += round;
        b->h.rx_head += round;
        b->last_ack += round;
        b->told_adv += round;
        b->snd_wl1 += round;
        k.arena[0].c_slot[c.slot].rx_head += round;
        k.arena[0].d_slot[c.slot].rx_tail += round;
        conn_raw(&k, &late, TCP_ACK, c.snd, c.rcv, old, sizeof old);
        conn_raw(&k, &late, TCP_ACK, c.snd + 100, c.rcv, old, sizeof old);
        cr_assert_eq(kit_readable(&k, &c), with ? 0 : sizeof old);
        cr_assert_eq(b->ooo.n, with ? 0 : 1);
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* Numbers near the wrap on both sides, in both directions, with losses: the stream is whole. */
Test(tcp_past, numbers_near_the_wrap)
{
    static const uint32_t first[] = {0xffffffffu, 0xfffffffeu, 0xfffffa4bu, 0x7ffffff0u, 1};
    static uint8_t got[4000];
    for (unsigned i = 0; i < ARRAY_LEN(first); i++) {
        struct conn c = conn_default();
        kit_prepare(&k);
        k.cfg.isn_fixed = first[i];
        kit_start(&k);
        kit_listen(&k, KIT_PORT, 5, NULL);
        c.iss = first[ARRAY_LEN(first) - 1 - i];
        cr_assert(conn_accept(&k, &c));
        cr_assert_eq(c.irs, first[i]);
        conn_raw(&k, &c, TCP_RST, c.snd - 1, 0, NULL,
                 0); /* the number before is not the next */
        conn_raw(&k, &c, TCP_RST, c.snd + 70000, 0, NULL, 0);
        EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
        conn_send(&k, &c, TCP_ACK, 900);
        c.snd += 1000;
        conn_send(&k, &c, TCP_ACK, 1000); /* before what comes before it */
        c.snd -= 2000;
        conn_send(&k, &c, TCP_ACK, 1000);
        c.snd += 1000;
        cr_assert_eq(kit_read(&k, &c, got, sizeof got), 2900);
        for (unsigned j = 0; j < 2900; j++)
            cr_assert_eq(got[j], kit_byte(j));
        kit_drop(&k);
        kit_write(&k, &c, 3000);
        EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 1460);
        EXPECT_SEG(&k, &c, TCP_ACK, 1461, c.snd, 1460);
        conn_ack(&k, &c, 1461);
        conn_ack(&k, &c, 2921);
        conn_ack(&k, &c, 3001);
        cr_assert_eq(conn_tcb(&k, &c)->h.snd_una, 3001);
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* RFC 6191 section 2, the whole table: may this SYN take the place of TIME-WAIT? */
Test(tcp_past, syn_in_time_wait)
{
    static const struct {
        bool had, has;  /* time stamps: the old connection, the SYN */
        int stamp, seq; /* against the last ones seen */
        bool taken;
    } o[] = {{true, true, 1, -9, true},   {true, true, 0, 1, true},
             {true, true, 0, 0, false},   {true, true, -1, 99, false},
             {true, false, 0, 1, true},   {true, false, 0, -1, false},
             {false, true, 0, -99, true}, {false, false, 0, 1, true},
             {false, false, 0, 0, false}, {false, false, 0, -1, false}};
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        struct conn c = conn_up_in(&k, TCPS_TIME_WAIT, o[i].had);
        uint32_t past = c.irs + (uint32_t)conn_tcb(&k, &c)->h.snd_max;
        c.ts = o[i].has;
        c.ts_val += (uint32_t)o[i].stamp;
        conn_raw(&k, &c, TCP_SYN, c.snd + (uint32_t)o[i].seq, 0, NULL, 0);
        const struct out_seg *a = kit_take(&k);
        cr_assert_not_null(a);
        cr_assert_eq(a->h.flags, o[i].taken ? TCP_SYN | TCP_ACK : TCP_ACK, "case %u", i);
        if (o[i].taken) /* RFC 1122 4.2.2.13 (1): our numbers begin beyond the old ones */
            cr_assert_gt((int32_t)(a->h.seq - past), 0);
        kit_end(&k);
    }
}

/* RFC 1337: TIME-WAIT is not assassinated, by no RST, nor by old text and the answer to it. */
Test(tcp_past, time_wait_assassination)
{
    struct conn c = conn_up_in(&k, TCPS_TIME_WAIT, false);
    uint8_t old[100] = {0};
    conn_raw(&k, &c, TCP_ACK, c.snd - 101, c.rcv, old, 100); /* HAZARD: gets an ACK ... */
    EXPECT_SEG(&k, &c, TCP_ACK, 2, 2, 0);
    conn_raw(&k, &c, TCP_RST, 2, 0, NULL, 0); /* ... which gets this */
    for (uint32_t i = 0; i < 5; i++)
        conn_raw(&k, &c, TCP_RST | TCP_ACK, c.snd + i - 2, c.rcv, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
    EXPECT_NONE(&k);
}

/* An active open takes a pair in TIME-WAIT only when time stamps tell old from new: the peer
 * may have forgotten the old connection. */
Test(tcp_past, active_open_in_time_wait)
{
    for (unsigned ts = 0; ts < 2; ts++) {
        struct conn c = conn_default();
        uint32_t s[2], slot;
        c.ts = ts != 0;
        kit_init(&k);
        for (unsigned i = 0; i < 2; i++) {
            s[i] = kit_open(&k, 0, &slot);
            c.slot = i == 0 ? slot : c.slot;
            kit_set(&k, s[i], SOL_SOCKET, SO_REUSEADDR, 1);
            cr_assert_eq(kit_bind(&k, s[i], 0, 5000), 0);
        }
        c.sess = s[0];
        c.lport = 5000;
        cr_assert_eq(kit_connect(&k, s[0], KIT_PEER, KIT_RPORT), 0);
        kit_step(&k, NULL, 0);
        const struct out_seg *o = kit_take(&k);
        uint32_t stamp = o->h.ts_val;
        c.irs = o->h.seq;
        conn_raw(&k, &c, TCP_SYN | TCP_ACK, 0, 1, NULL, 0);
        c.snd = c.rcv = 1;
        conn_to(&k, &c, TCPS_TIME_WAIT);
        kit_wait(&k, 5 * NS_S);
        cr_assert_eq(kit_connect(&k, s[1], KIT_PEER, KIT_RPORT), ts ? 0 : EADDRNOTAVAIL);
        kit_step(&k, NULL, 0);
        o = kit_take(&k);
        if (ts) { /* both of ours go on from the old */
            cr_assert_gt((int32_t)(o->h.seq - c.irs), 2);
            cr_assert_gt((int32_t)(o->h.ts_val - stamp), 0);
        }
        kit_end(&k);
    }
}
