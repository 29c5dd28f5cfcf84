/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Attacks on connections that stand, by who cannot see them: RFC 5961, RFC 5927, RFC 6528.
 */
#include <criterion/criterion.h>

#include "tcp_kit.h"

#define MSS 1460u

static struct kit k;

static const enum tcp_state synchronized[] = {TCPS_ESTABLISHED, TCPS_FIN_WAIT_1,
                                              TCPS_FIN_WAIT_2,  TCPS_CLOSE_WAIT,
                                              TCPS_CLOSING,     TCPS_LAST_ACK};

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
        struct conn c = conn_up_in(&k, synchronized[i], false);
        const struct tcb *b = conn_tcb(&k, &c);
        uint32_t wnd = (uint32_t)(b->h.rcv_adv - b->h.rcv_nxt);
        const uint32_t in[] = {1, 2, 1000, wnd - 1},
                       out[] = {0u - 1, 0u - 1000, wnd, wnd + 1, 1u << 31, 0u - wnd};
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
        struct conn c = conn_up_in(&k, synchronized[i], false);
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
    struct conn c = conn_up_in(&k, TCPS_ESTABLISHED, true);
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
        struct conn c = conn_up_in(&k, synchronized[i], false);
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
