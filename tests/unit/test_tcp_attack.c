/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Attacks on connections that stand, by who cannot see them (RFC 5961, RFC 5927, RFC 6528), by
 * the past (RFC 7323 PAWS, RFC 6191, RFC 1337), and by peers that do not play fair
 * (acknowledging what they did not get, windows that stay shut).
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

#define MSS 1460u

static struct kit k;

static const enum tcp_state synchronized[] = {TCPS_ESTABLISHED, TCPS_FIN_WAIT_1,
                                              TCPS_FIN_WAIT_2,  TCPS_CLOSE_WAIT,
                                              TCPS_CLOSING,     TCPS_LAST_ACK};

/* A connection in that state, with time stamps or without. */
static struct conn
up_in(enum tcp_state s, bool ts)
{
    struct conn c = conn_default();
    c.ts = ts;
    conn_up_as(&k, &c);
    conn_to(&k, &c, s);
    EXPECT_STATE(&k, &c, s);
    kit_wait(&k, 10 * NS_MS);
    kit_drop(&k);
    return c;
}

/* Many connections that are half open: their sessions' numbers are 1 and up. */
static void
half_open(unsigned n, uint8_t key)
{
    kit_prepare(&k);
    k.cfg.n_sessions = 2 * n + 2;
    k.cfg.half_open = k.limits.half_open = n;
    k.limits.sessions = 2 * n + 2;
    k.cfg.key[3] = key;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 4000, NULL);
    for (unsigned i = 0; i < n; i++) {
        struct conn c = conn_peer(i);
        conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
        kit_drop(&k);
    }
    cr_assert_eq(k.t->n_half_open, n);
}

/* Challenges that one RST in the window of each gets, in as many rounds. */
static unsigned
challenges(unsigned n, unsigned rounds)
{
    unsigned got = 0;
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned i = 0; i < n; i++) {
            struct conn c = conn_peer(i);
            conn_raw(&k, &c, TCP_RST, 5, 0, NULL, 0);
            got += kit_pending(&k);
            kit_drop(&k);
        }
    return got;
}

/* RFC 5961 3.2: 1) outside the window: silence; 2) the exact number: reset; 3) elsewhere in the
 * window: a challenge ACK and nothing else. In every synchronized state. */
Test(tcp_attack, rst_must_be_exact_in_every_state)
{
    for (unsigned i = 0; i < ARRAY_LEN(synchronized); i++) {
        struct conn c = up_in(synchronized[i], false);
        const struct tcb *b = conn_tcb(&k, &c);
        uint32_t wnd = (uint32_t)(b->h.rcv_adv - b->h.rcv_nxt);
        const uint32_t in[] = {1, 2, 1000, wnd - 1, wnd},
                       out[] = {0u - 1, 0u - 1000, wnd + 1, 1u << 31, 0u - wnd};
        for (unsigned j = 0; j < ARRAY_LEN(in); j++) {
            conn_raw(&k, &c, TCP_RST, c.snd + in[j], 0, NULL, 0);
            const struct out_seg *o = kit_take(&k);
            cr_assert(o != NULL && o->h.flags == TCP_ACK && o->h.ack - c.iss == c.snd);
        }
        for (unsigned j = 0; j < ARRAY_LEN(out); j++) {
            conn_raw(&k, &c, TCP_RST | TCP_ACK, c.snd + out[j], c.rcv, NULL, 0);
            EXPECT_NONE(&k);
        }
        EXPECT_STATE(&k, &c, synchronized[i]);
        conn_raw(&k, &c, TCP_RST, c.snd, 0, NULL, 0);
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
        kit_end(&k);
    }
}

/* RFC 5961 4.2: a SYN, with an ACK or without, wherever its number is, gets a challenge ACK
 * with our numbers and changes nothing. In every synchronized state. */
Test(tcp_attack, syn_is_challenged_in_every_state)
{
    static const uint32_t at[] = {0, 1, 1000, 0u - 1000, 1u << 31, 70000, 1u << 30};
    for (unsigned i = 0; i < ARRAY_LEN(synchronized); i++) {
        struct conn c = up_in(synchronized[i], false);
        uint32_t ours = (uint32_t)conn_tcb(&k, &c)->h.snd_max;
        for (unsigned j = 0; j < ARRAY_LEN(at); j++) {
            conn_raw(&k, &c, j & 1 ? TCP_SYN : TCP_SYN | TCP_ACK, c.snd + at[j], c.rcv, NULL,
                     0);
            EXPECT_SEG(&k, &c, TCP_ACK, ours, c.snd, 0);
            EXPECT_NONE(&k);
        }
        cr_assert_eq(k.stats.v[STAT_tcp_challenge_ack], ARRAY_LEN(at));
        EXPECT_STATE(&k, &c, synchronized[i]);
        kit_end(&k);
    }
}

/* RFC 5961 section 7, of one session: CHALLENGES_SESSION a second, so that a session of the
 * attacker's own can neither use up what is there for all nor count what is left. */
Test(tcp_attack, challenges_of_a_session)
{
    struct conn c = conn_up(&k);
    for (unsigned s = 0; s < 3; s++) {
        unsigned n = 0;
        for (unsigned i = 0; i < 1000; i++) {
            conn_raw(&k, &c, TCP_SYN, c.snd + 7 * i, 0, NULL, 0);
            n += kit_pending(&k);
            kit_drop(&k);
        }
        cr_assert_eq(n, CHALLENGES_SESSION);
        k.now += NS_S;
    }
}

/* RFC 5961 section 7, of all sessions, and CVE-2016-5696: the budget is between CHALLENGES and
 * twice that, another one each second, and with another key. */
Test(tcp_attack, challenges_of_all)
{
    unsigned got[4];
    for (unsigned i = 0; i < 4; i++) {
        if (i != 1) {
            if (i != 0)
                kit_end(&k);
            half_open(300, (uint8_t)i);
        } else {
            k.now += NS_S;
        }
        got[i] = challenges(300, CHALLENGES_SESSION);
        cr_assert(got[i] >= CHALLENGES && got[i] < 2 * CHALLENGES, "%u", got[i]);
    }
    cr_assert_neq(got[0], got[1]);
    cr_assert(got[0] != got[2] || got[2] != got[3]);
}

/* RFC 5961 section 3.2 holds in SYN-RECEIVED too: a blind RST does not end a handshake. */
Test(tcp_attack, rst_in_syn_received)
{
    half_open(4, 0);
    cr_assert_eq(challenges(4, 2), 8);
    cr_assert_eq(k.t->n_half_open, 4);
}

/* RFC 5961 5.2: text counts only with an acknowledgment in [SND.UNA - MAX.SND.WND, SND.NXT];
 * the bounds are in it, one beyond is not, and its text is not looked at. */
Test(tcp_attack, data_needs_an_ack_in_range)
{
    struct conn c = conn_default();
    uint8_t evil[10] = "evilevile";
    c.wnd = 2000;
    conn_up_as(&k, &c);
    for (unsigned i = 0; i < 5; i++) {
        kit_write(&k, &c, 1000);
        conn_ack(&k, &c, c.rcv + 1000);
    }
    kit_write(&k, &c, 500); /* una 5001, nxt 5501, max window 2000 */
    kit_drop(&k);
    static const uint32_t bad[] = {5502, 5001 - 2001, 0, 1u << 31, 5501 + 70000, 0u - 1};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        conn_raw(&k, &c, TCP_ACK, c.snd, bad[i], evil, sizeof evil);
        cr_assert_eq(kit_readable(&k, &c), 0, "ACK %u", bad[i]);
        EXPECT_SEG(&k, &c, TCP_ACK, 5501, 1, 0);
        EXPECT_NONE(&k);
    }
    cr_assert_eq(conn_tcb(&k, &c)->h.snd_una, 5001);
    conn_raw(&k, &c, TCP_ACK, c.snd, 5001 - 2000, evil, 4);
    cr_assert_eq(kit_readable(&k, &c), 4);
    conn_raw(&k, &c, TCP_ACK, c.snd + 4, 5501, evil, 4);
    cr_assert_eq(kit_readable(&k, &c), 8);
    cr_assert_eq(conn_tcb(&k, &c)->h.snd_una, 5501);
}

/* The same for a FIN, which would end the stream early. */
Test(tcp_attack, blind_fin)
{
    struct conn c = conn_up(&k);
    conn_raw(&k, &c, TCP_FIN | TCP_ACK, c.snd, c.rcv + 1, NULL, 0);
    conn_raw(&k, &c, TCP_FIN | TCP_ACK, c.snd, c.rcv + 0x40000000, NULL, 0);
    conn_raw(&k, &c, TCP_FIN, c.snd, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
}

/* RFC 9293 3.10.7.4 has an answer for what is not acceptable. Not one for each: two ends that
 * disagree, or a flood, would make a storm. */
Test(tcp_attack, answers_are_limited)
{
    struct conn c = up_in(TCPS_ESTABLISHED, true);
    unsigned n = 0;
    c.ts_val -= 5;
    for (unsigned i = 0; i < 500; i++) {
        conn_raw(&k, &c, TCP_ACK, c.snd, c.rcv, NULL, 0);       /* PAWS */
        conn_raw(&k, &c, TCP_ACK, c.snd - 100, c.rcv, NULL, 0); /* old */
        n += kit_pending(&k);
        kit_drop(&k);
    }
    cr_assert_leq(n, 2);
}

/* ---- the past ---- */

/* RFC 7323 section 5: after 2^32 bytes a segment of the last round lies in the window again.
 * Its time stamp tells; without time stamps nothing would (and this test says so). */
Test(tcp_attack, old_duplicate_after_wrap)
{
    for (unsigned with = 0; with < 2; with++) {
        struct conn c = up_in(TCPS_ESTABLISHED, with != 0);
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
Test(tcp_attack, numbers_near_the_wrap)
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
Test(tcp_attack, syn_in_time_wait)
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
        struct conn c = up_in(TCPS_TIME_WAIT, o[i].had);
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
Test(tcp_attack, time_wait_assassination)
{
    struct conn c = up_in(TCPS_TIME_WAIT, false);
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
Test(tcp_attack, active_open_in_time_wait)
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

/* ---- what must not be guessed ---- */

/* RFC 6528 section 3: for one tuple the numbers grow with the clock, a step each 4 us; those of
 * another say nothing of them. RFC 7323 5.4: the same for time stamps. */
Test(tcp_attack, isn_and_timestamp)
{
    struct tcb a = {.laddr = ipaddr_v4_u32(KIT_OWN),
                    .raddr = ipaddr_v4_u32(KIT_PEER),
                    .lport = 80,
                    .rport = 1000},
               b = a;
    kit_init(&k);
    uint32_t isn = isn_make(k.t, &a), off = ts_offset_make(k.t, &a), near = 0;
    k.t->now += 4 * NS_MS;
    cr_assert_eq(isn_make(k.t, &a) - isn, 1000);
    cr_assert_eq(ts_offset_make(k.t, &a), off);
    for (unsigned i = 1; i < 1000; i++) {
        b.rport = (uint16_t)(1000 + i);
        near += isn_make(k.t, &b) - isn < 1u << 24;
        near += ts_offset_make(k.t, &b) - off < 1u << 24;
    }
    cr_assert_leq(near, 30); /* of 1998, one in 256 by chance */
    b = a;
    b.raddr = ipaddr_v4_u32(KIT_PEER + 1);
    cr_assert_neq(isn_make(k.t, &b), isn_make(k.t, &a));
    k.t->cfg.key[0] ^= 1;
    cr_assert_neq(ts_offset_make(k.t, &a), off);
}

/* ---- ICMP ---- */

/* RFC 5927 5.2, RFC 5461: what RFC 1122 calls hard errors is soft in every synchronized state,
 * and for a handshake that a listener answers. */
Test(tcp_attack, no_icmp_error_ends_a_connection)
{
    static const int hard[] = {ENOPROTOOPT, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH,
                               EOPNOTSUPP,  EPROTO,       EHOSTDOWN,    ENONET};
    for (unsigned i = 0; i < ARRAY_LEN(synchronized); i++) {
        struct conn c = up_in(synchronized[i], false);
        for (unsigned j = 0; j < ARRAY_LEN(hard); j++)
            conn_icmp(&k, &c, (uint32_t)conn_tcb(&k, &c)->h.snd_una, hard[j], 0);
        EXPECT_STATE(&k, &c, synchronized[i]);
        kit_end(&k);
    }
    struct conn c = conn_default();
    kit_init(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    conn_syn(&k, &c, 0);
    conn_icmp(&k, &c, 0, ECONNREFUSED, 0);
    cr_assert_eq(k.t->n_half_open, 1);
}

/* RFC 5927 section 7: a forged size slows a connection down only so far, is believed only about
 * what is in flight, and never makes segments larger. */
Test(tcp_attack, forged_path_mtu)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 3000);
    kit_drop(&k);
    conn_icmp(&k, &c, 0, EMSGSIZE, 600);
    conn_icmp(&k, &c, 3001, EMSGSIZE, 600);
    conn_icmp(&k, &c, 0u - 1000, EMSGSIZE, 600);
    conn_icmp(&k, &c, 1, EMSGSIZE, 1500);
    conn_icmp(&k, &c, 1, EMSGSIZE, UINT32_MAX);
    cr_assert_eq(conn_tcb(&k, &c)->h.mss, MSS);
    EXPECT_NONE(&k);
    conn_icmp(&k, &c, 1, EMSGSIZE, 68);
    cr_assert_eq(conn_tcb(&k, &c)->h.mss, 536);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 536);
}

/* ---- peers that do not play fair ---- */

/* RFC 5681 3.1, RFC 3465: the window grows by what was acknowledged, not by how often. ACK
 * division (Savage et al., 1999) gains nothing. */
Test(tcp_attack, ack_division)
{
    for (unsigned alg = 0; alg < CC_ALGS; alg++) {
        struct conn c = conn_up(&k);
        struct tcb *b = conn_tcb(&k, &c);
        b->opt.congestion = (uint8_t)alg;
        b->cc.alg = alg;
        cc_ops_of(alg)->start(&b->cc, k.now);
        kit_write(&k, &c, 20 * MSS);
        kit_drop(&k);
        uint32_t before = b->cc.cwnd;
        for (uint32_t i = 1; i <= MSS; i++)
            conn_ack(&k, &c, 1 + i);
        cr_assert_leq(b->cc.cwnd, before + MSS, "algorithm %u", alg);
        kit_end(&k);
    }
}

/* An ACK of what was not sent (optimistic ACKing): RFC 9293 3.10.7.4 fifth: no credit, an
 * answer that is limited, no harm. */
Test(tcp_attack, optimistic_ack)
{
    struct conn c = conn_up(&k);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 40 * MSS);
    kit_drop(&k);
    uint32_t before = b->cc.cwnd;
    uint64_t sent = b->h.snd_max;
    unsigned n = 0;
    for (uint32_t i = 1; i <= 100; i++) {
        conn_raw(&k, &c, TCP_ACK, c.snd, (uint32_t)sent + i * MSS, NULL, 0);
        n += kit_pending(&k);
        kit_drop(&k);
    }
    cr_assert_eq(b->cc.cwnd, before);
    cr_assert_eq(b->h.snd_una, 1);
    cr_assert_eq(b->h.snd_max, sent);
    cr_assert_leq(n, CHALLENGES_SESSION);
    cr_assert_eq(k.arena[0].d_slot[c.slot].tx_head, 0, "bytes were given up");
}

/* Forged duplicate ACKs (RFC 5681 3.2 has each make room for a segment). With SACK those
 * without news are worth nothing; without it each brings one segment at most, the window does
 * not grow, and what was sent is repaired once. */
Test(tcp_attack, duplicate_ack_flood)
{
    for (unsigned sack = 0; sack < 2; sack++) {
        struct conn c = conn_default();
        c.sack = sack != 0;
        conn_up_as(&k, &c);
        kit_write(&k, &c, 40 * MSS);
        const struct tcb *b = conn_tcb(&k, &c);
        uint32_t flight = kit_pending(&k), before = b->cc.cwnd;
        kit_drop(&k);
        unsigned n = 0, again = 0;
        for (unsigned i = 0; i < 500; i++) {
            conn_raw(&k, &c, TCP_ACK, c.snd, c.rcv, NULL, 0);
            cr_assert_leq(kit_pending(&k), 1);
            for (const struct out_seg *o; (o = kit_take(&k)) != NULL; n++)
                again += o->h.seq - c.irs < 1 + flight * MSS;
            cr_assert_leq(b->cc.cwnd, before);
        }
        cr_assert_leq(again, 1);
        cr_assert_leq(n, sack ? 1 : 31);
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* RFC 5482: data that is not acknowledged for the user timeout ends the connection, at that
 * time and not at the next retransmission after it; so does a window that stays shut although
 * the peer answers; so does silence when keepalive asks. */
Test(tcp_attack, user_timeout)
{
    for (unsigned how = 0; how < 3; how++) {
        struct conn c = conn_up(&k);
        kit_set(&k, c.sess, IPPROTO_TCP, TCP_USER_TIMEOUT, 20000);
        if (how == 2) {
            kit_set(&k, c.sess, SOL_SOCKET, SO_KEEPALIVE, 1);
            kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPIDLE, 5);
            kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPINTVL, 5);
            kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPCNT, 100);
        } else if (how == 1) {
            c.wnd = 0;
            conn_ack(&k, &c, 1);
            kit_write(&k, &c, 100);
        } else {
            kit_write(&k, &c, 100);
        }
        ns_t start = k.now;
        while (conn_state(&k, &c) != TCPS_CLOSED && k.now < start + 100 * NS_S) {
            kit_wait(&k, 50 * NS_MS);
            if (how == 1 && kit_pending(&k) != 0)
                conn_ack(&k, &c, 1);
            kit_drop(&k);
        }
        ns_t took = k.now - start;
        cr_assert(took >= 19 * NS_S && took <= 21 * NS_S + 500 * NS_MS, "case %u: %llu ms", how,
                  (unsigned long long)(took / NS_MS));
        cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
        kit_end(&k);
    }
}

/* A peer whose window is shut answers; if it drips, it has taken the byte of the probe, and
 * opens and shuts its window in turn. */
static void
answer(struct conn *c, bool drip)
{
    const struct tcb *b = conn_tcb(&k, c);
    c->wnd = drip ? !c->wnd : 0;
    if (b->used && b->rport == c->rport)
        conn_ack(&k, c, (uint32_t)(drip ? b->h.snd_max : b->h.snd_una));
    kit_drop(&k);
}

/* Sockstress: a program is gone, and its peers shut their windows and answer every probe, for
 * ever; or take a byte now and then. Neither holds session nor memory for long. */
Test(tcp_attack, sockstress)
{
    for (unsigned drip = 0; drip < 2; drip++) {
        struct transport *tr;
        struct conn c[5];
        kit_init(&k);
        tr = (struct transport *)(void *)k.t;
        kit_listen(&k, KIT_PORT, 8, NULL);
        for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
            c[i] = conn_peer(i);
            cr_assert(conn_accept(&k, &c[i]));
            c[i].wnd = 0;
            conn_ack(&k, &c[i], 1);
            kit_write(&k, &c[i], 8000);
        }
        tcp_ops.client_gone(tr, 0, k.now);
        ns_t start = k.now;
        while (tcp_sessions(k.t) != 0 && k.now < start + 2 * ORPHAN_TIME) {
            kit_wait(&k, 100 * NS_MS);
            kit_drop(&k);
            for (unsigned i = 0; i < ARRAY_LEN(c); i++)
                answer(&c[i], drip != 0);
        }
        cr_assert_leq(k.now - start, ORPHAN_TIME + NS_S);
        cr_assert(!drip || k.now - start > ORPHAN_TIME - NS_S, "it did not drip");
        cr_assert_eq(tcp_sessions(k.t), 0);
        cr_assert_eq(k.t->n_orphans, 0);
        cr_assert(tcp_ops.client_idle(tr, 0), "the dead program's memory is held");
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* The same over a crash of the domain in between: the time begins anew, and ends. */
Test(tcp_attack, sockstress_and_crash)
{
    struct conn c = conn_up(&k);
    c.wnd = 0;
    conn_ack(&k, &c, 1);
    kit_write(&k, &c, 8000);
    kit_do(&k, c.sess, REQ_CLOSE, 0);
    kit_restart(&k);
    ns_t start = k.now;
    for (unsigned i = 0; k.t->n_orphans != 0 && k.now < start + 2 * ORPHAN_TIME; i++) {
        kit_wait(&k, 100 * NS_MS);
        answer(&c, true);
    }
    cr_assert_leq(k.now - start, ORPHAN_TIME + NS_S);
    cr_assert_eq(k.t->n_orphans, 0);
}

/* Programs that die with many connections: orphans beyond the limit end at once, with a RST,
 * and the rest is bounded (RFC 9293 3.10.4 lets a close wait; memory does not). */
Test(tcp_attack, orphans_are_bounded)
{
    kit_prepare(&k);
    k.cfg.orphans = 3;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 8, NULL);
    for (unsigned i = 0; i < 7; i++) {
        struct conn c = conn_peer(i);
        cr_assert(conn_accept(&k, &c));
    }
    kit_drop(&k);
    tcp_ops.client_gone((struct transport *)(void *)k.t, 0, k.now);
    cr_assert_leq(k.t->n_orphans, 3);
    kit_step(&k, NULL, 0);
    unsigned rst = 0;
    for (const struct out_seg *o; (o = kit_take(&k)) != NULL;)
        rst += (o->h.flags & TCP_RST) != 0;
    cr_assert_eq(rst, 4);
    cr_assert_eq(k.stats.v[STAT_tcp_orphans_killed], 4);
}
