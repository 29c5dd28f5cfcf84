/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tcp_model.c: the TCP state machine beside an independent model of it (tcp_model.h), in
 * random exchanges: whatever a peer sends and a program does, both are in the same state, and
 * the stack answers as the RFCs say. Numbers begin close to where 32 bits wrap.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tcp_kit.h"
#include "tcp_model.h"

#define RUNS 1500u
#define STEPS 40u

static struct kit k;
static struct model m;
static uint64_t rng, seed;
static uint32_t irs, iss; /* of the peer's and our numbers */
static uint32_t sess, slot;
static bool have_iss, verbose;
static unsigned step;
static unsigned visits[TCPS_STATES]; /* segments that came in each state */

static uint32_t
below(uint32_t n)
{
    uint64_t z = (rng += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ (z >> 31)) % n);
}

#define AGREE(cond, ...)                                                                       \
    do {                                                                                       \
        if (!(cond)) {                                                                         \
            fprintf(stderr, "seed %llu, step %u: ", (unsigned long long)seed, step);           \
            fprintf(stderr, __VA_ARGS__);                                                      \
            fprintf(stderr, " (BH_SEED=%llu)\n", (unsigned long long)seed);                    \
            cr_assert_fail(#cond);                                                             \
        }                                                                                      \
    } while (0)

static struct tcb *
connection(void)
{
    struct ipaddr own = ipaddr_v4_u32(KIT_OWN), peer = ipaddr_v4_u32(KIT_PEER);
    if (m.passive || m.listener)
        return demux_find(k.t, &own, KIT_PORT, &peer, KIT_RPORT);
    return sess != SESS_NONE && k.t->tcb[sess].used && k.t->tcb[sess].hashed ? &k.t->tcb[sess]
                                                                             : NULL;
}

/* Look at all that was sent: tell the model, and see whether it is an answer as expected. */
static void
observe(enum model_answer expected)
{
    unsigned acks = 0, resets = 0, syns = 0, other = 0;
    const struct out_seg *o;
    while ((o = kit_take(&k)) != NULL) {
        if ((o->h.flags & TCP_SYN) && !have_iss) {
            iss = o->h.seq;
            have_iss = true;
        }
        struct model_seg s = {.flags = o->h.flags,
                              .seq = (int32_t)(o->h.seq - iss),
                              .ack = (int32_t)(o->h.ack - irs),
                              .len = o->len,
                              .wnd = o->h.wnd};
        if (verbose)
            fprintf(stderr, "    out flags %#x seq %lld ack %lld len %u\n", s.flags,
                    (long long)s.seq, (long long)s.ack, s.len);
        if (s.flags & TCP_RST) {
            resets++;
            continue;
        }
        AGREE(model_sent(&m, &s), "a FIN that nobody asked for");
        if (s.flags & TCP_ACK)
            AGREE(s.ack == m.rcv, "acknowledges %lld, not %lld", (long long)s.ack,
                  (long long)m.rcv);
        if (s.flags & TCP_SYN)
            syns++;
        else if (s.len == 0 && !(s.flags & TCP_FIN))
            acks++;
        else
            other++;
    }
    bool ok = expected == ANSWER_NONE     ? acks + resets + syns == 0
              : expected == ANSWER_ACK    ? acks + other > 0 && resets + syns == 0
              : expected == ANSWER_RST    ? resets > 0 && syns == 0
              : expected == ANSWER_SYNACK ? syns > 0 && resets == 0
                                          : resets + syns == 0;
    AGREE(ok, "expected answer %d; %u ACKs, %u RSTs, %u SYNs, %u others", (int)expected, acks,
          resets, syns, other);
    const struct tcb *c = connection();
    unsigned state = c == NULL ? (m.listener ? TCPS_LISTEN : TCPS_CLOSED) : c->h.state;
    AGREE(state == m.state, "in state %u, not %u", state, m.state);
    AGREE(tcp_validate(k.t) && k.bad == 0, "tcp_validate");
}

/* ---- the peer ---- */

static int64_t
some_seq(uint32_t len)
{
    switch (below(10)) {
    case 0: /* all of it old */
        return m.rcv - 1 - below(50);
    case 1: /* a part of it */
        return m.rcv - (int64_t)below(len + 1);
    case 2: /* a gap before it */
        return m.rcv + 1 + below(100);
    case 3: /* beyond the window, by far */
        return m.edge + 70000 + below(100000);
    case 4:
        return m.rcv - 70000 - (int64_t)below(100000);
    case 5:
        return 0;
    default:
        return m.rcv;
    }
}

static int64_t
some_ack(void)
{
    switch (below(8)) {
    case 0:
        return m.nxt + 1 + below(1000);
    case 1:
        return m.una - 1 - (int64_t)below(3);
    case 2:
        return m.una - 70000;
    case 3:
        return m.una;
    default:
        return m.una + (m.nxt > m.una ? below((uint32_t)(m.nxt - m.una) + 1) : 0);
    case 7:
        return m.nxt;
    }
}

static void
arrives(const struct model_seg *s)
{
    uint8_t data[256];
    struct in_seg in = {.h = {.sport = KIT_RPORT,
                              .dport = m.listener ? KIT_PORT : k.t->tcb[sess].lport,
                              .seq = irs + (uint32_t)s->seq,
                              .ack = s->flags & TCP_ACK ? iss + (uint32_t)s->ack : 0,
                              .flags = s->flags,
                              .wnd = 65535,
                              .mss = s->flags & TCP_SYN ? 1460 : 0},
                        .data = data,
                        .len = s->len};
    for (uint32_t i = 0; i < s->len; i++)
        data[i] = kit_byte((uint64_t)(s->seq + i - 1));
    if (verbose)
        fprintf(stderr,
                "%u: in state %u flags %#x seq %lld ack %lld len %u; rcv %lld una %lld "
                "nxt %lld\n",
                step, m.state, s->flags, (long long)s->seq, (long long)s->ack, s->len,
                (long long)m.rcv, (long long)m.una, (long long)m.nxt);
    bool fresh =
        (m.state == TCPS_LISTEN || m.state == TCPS_TIME_WAIT || m.state == TCPS_SYN_SENT);
    visits[m.state]++;
    enum model_answer a = model_arrives(&m, s);
    if (a == ANSWER_SYNACK && fresh) {
        irs += (uint32_t)s->seq;
        have_iss &= !m.passive;
    } else if (fresh && m.state == TCPS_ESTABLISHED) {
        irs += (uint32_t)s->seq;
    }
    kit_inject(&k, &in);
    observe(a);
}

static void
random_segment(void)
{
    static const uint8_t usual[] = {TCP_ACK, TCP_ACK, TCP_ACK,           TCP_ACK | TCP_FIN,
                                    TCP_SYN, TCP_RST, TCP_SYN | TCP_ACK, TCP_RST | TCP_ACK,
                                    TCP_FIN, 0};
    struct model_seg s = {.flags = usual[below(below(3) ? 4 : sizeof usual)]};
    bool opening = m.state == TCPS_LISTEN || m.state == TCPS_SYN_SENT || m.state == TCPS_CLOSED;
    if (opening && below(2))
        s.flags = m.state == TCPS_SYN_SENT && below(3) ? TCP_SYN | TCP_ACK : TCP_SYN;
    if (!(s.flags & (TCP_SYN | TCP_RST)))
        s.len = below(3) ? 0 : 1 + below(200);
    if (s.flags & (TCP_ACK | TCP_FIN) && (s.flags & TCP_FIN) && m.rcv > 4000)
        s.len = 0;
    s.seq = opening ? 0 : some_seq(s.len);
    s.ack = s.flags & TCP_ACK ? some_ack() : 0;
    if (s.seq + s.len >= (int64_t)MODEL_BYTES - 300 && s.seq < 60000)
        s.len = 0;
    if (s.seq < 1 && !opening)
        s.len = 0; /* there are no bytes before the first */
    arrives(&s);
}

/* ---- the program ---- */

static void
take_events(void)
{
    struct sess_evt e;
    while (kit_event(&k, 0, &e))
        if (e.kind == EVT_ACCEPT) {
            sess = e.cookie;
            slot = (uint32_t)e.value;
            (void)kit_do(&k, k.listener, REQ_ACCEPTED, 0);
            kit_set(&k, sess, IPPROTO_TCP, TCP_NODELAY, 1);
        }
}

static void
program(void)
{
    struct conn c = {.client = 0, .sess = sess, .slot = slot};
    uint8_t buf[MODEL_BYTES];
    bool open = sess != SESS_NONE && m.state >= TCPS_ESTABLISHED && !m.closed;
    enum model_answer a = ANSWER_FREE;
    if (!open)
        return;
    switch (below(8)) {
    case 0:
        if (verbose)
            fprintf(stderr, "%u: shutdown\n", step);
        m.shut = true;
        AGREE(kit_do(&k, sess, REQ_SHUTDOWN, SHUT_WR) ==
                  (m.state == TCPS_TIME_WAIT ? ENOTCONN : 0),
              "shutdown");
        break;
    case 1:
        if (below(2))
            return;
        if (verbose)
            fprintf(stderr, "%u: close\n", step);
        a = model_close(&m);
        AGREE(kit_do(&k, sess, REQ_CLOSE, 0) == 0, "close");
        break;
    case 2:
    case 3:
        m.read += kit_read(&k, &c, buf, sizeof buf);
        AGREE(m.read == m.rcv - 1 - (m.fin_at != 0), "%lld bytes read of %lld",
              (long long)m.read, (long long)m.rcv - 1);
        break;
    default:
        if (m.shut || m.nxt > 4000)
            return;
        kit_fill(&k, 0, slot, 1 + below(300));
        (void)kit_do(&k, sess, REQ_SEND, 0);
    }
    kit_step(&k, NULL, 0);
    observe(a);
}

/* ---- a run ---- */

static void
begin(void)
{
    rng = seed * 7919;
    kit_prepare(&k);
    k.cfg.isn_fixed = UINT32_MAX - below(600);
    k.cfg.rcvbuf = 8192;
    kit_start(&k);
    m = (struct model){.listener = below(3) != 0};
    irs = 0u - below(600);
    iss = 0;
    have_iss = false;
    sess = slot = SESS_NONE;
    if (m.listener) {
        m.state = TCPS_LISTEN;
        AGREE(kit_listen(&k, KIT_PORT, 5, NULL) != SESS_NONE, "listen");
        return;
    }
    m.state = TCPS_SYN_SENT;
    sess = kit_open(&k, 0, &slot);
    kit_set(&k, sess, IPPROTO_TCP, TCP_NODELAY, 1);
    AGREE(kit_connect(&k, sess, KIT_PEER, KIT_RPORT) == 0, "connect");
    kit_step(&k, NULL, 0);
    observe(ANSWER_SYNACK);
}

static void
run(void)
{
    begin();
    bool was_open = false;
    for (step = 0; step < STEPS; step++) {
        k.now += 11 * NS_MS;
        kit_step(&k, NULL, 0);
        struct tcb *c = connection();
        if (c != NULL) /* that answers are limited in number is tested elsewhere */
            c->challenge_n = 0, c->last_oow_ack = 0;
        observe(ANSWER_FREE);
        if (m.state == TCPS_TIME_WAIT && below(10) == 0) {
            k.now += MSL2;
            kit_step(&k, NULL, 0);
            model_wait(&m);
            observe(ANSWER_FREE);
        }
        if (below(3) == 0)
            program();
        else
            random_segment();
        take_events();
        was_open |= m.state >= TCPS_ESTABLISHED;
        if (was_open && (m.state == TCPS_LISTEN || m.state == TCPS_CLOSED) && below(3) == 0)
            break;
    }
    kit_end(&k);
}

Test(tcp_model, random_exchanges)
{
    const char *one = getenv("BH_SEED"), *more = getenv("BH_LONG");
    unsigned n = more != NULL && *more != '\0' ? 20 * RUNS : RUNS;
    verbose = one != NULL && *one != '\0';
    if (verbose) {
        seed = strtoull(one, NULL, 0);
        run();
        return;
    }
    for (seed = 1; seed <= n; seed++)
        run();
    for (unsigned i = 0; i < TCPS_STATES; i++) /* or it says nothing of that state */
        cr_expect_gt(visits[i], 100, "only %u segments came in state %u", visits[i], i);
}
