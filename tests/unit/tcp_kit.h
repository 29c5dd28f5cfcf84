/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_kit.h: a bare TCP component with everything around it that a test plays: two clients with
 * their arenas, the ip component below, and a peer that makes segments by hand. Time stands
 * still unless the test moves it. For the test_tcp_*.c and fuzz_tcp.c.
 */
#ifndef TESTS_TCP_KIT_H
#define TESTS_TCP_KIT_H

#include "kit_request.h"
#include "tcp/priv.h"

#define KIT_SESSIONS 24u
#define KIT_SLOTS 8u
#ifndef KIT_SMALL
#define KIT_TX_PAGES 40u /* of each slot */
#define KIT_RX_PAGES 160u
#define KIT_FRAMES 128u
#define KIT_RX_FRAMES 64u
#define KIT_QUEUE 512u
#define KIT_SEGMENT FRAME_MTU_MAX
#else /* the fuzz target begins anew often */
#define KIT_TX_PAGES 4u
#define KIT_RX_PAGES 10u
#define KIT_FRAMES 24u
#define KIT_RX_FRAMES 50u
#define KIT_QUEUE 32u
#define KIT_SEGMENT FRAME_MTU_MAX
#endif
#define KIT_CAP 64u

#define KIT_OWN 0x0a000001u  /* 10.0.0.1/24 */
#define KIT_PEER 0x0a000002u /* 10.0.0.2 */
#define KIT_PORT 80u         /* of the stack */
#define KIT_RPORT 4000u      /* of the peer */
#define KIT_ISS 0xffffffe0u  /* the peer's first number: wraps after 32 bytes */

/* A segment that the stack sent: parsed, its checksum verified. */
struct out_seg {
    struct tcp_hdr h;
    struct pkt p;
    uint32_t len;
    uint8_t data[KIT_SEGMENT];
};

struct kit {
    struct tcp *t;
    struct tcp_config cfg;
    struct frames frames;
    struct path_table path;
    struct stats stats;
    struct sess_limits limits;
    struct arena_geometry geometry;
    void *store, *soft;
    struct arena_view arena[2];
    ns_t now;
    bool hold; /* ip keeps the frames it gets, in held */
    uint32_t held[KIT_FRAMES];
    unsigned n_held;
    unsigned whole;  /* the most frames that a segment had that is cut further down */
    unsigned joined; /* likewise of one that is not */
    unsigned bad;    /* output that was not a well-formed segment */
    struct out_seg q[KIT_QUEUE];
    unsigned q_head, q_tail;
    uint32_t listener; /* the last one that kit_listen made */
    uint32_t rx_next;  /* receive frame to use next */
};

/* A segment to inject. */
struct in_seg {
    uint32_t src, dst; /* 0: KIT_PEER, KIT_OWN */
    struct tcp_hdr h;
    const void *data;
    uint32_t len;
    uint32_t cut; /* bytes a frame; 0: all that fits */
    int csum;     /* CSUM_* */
};
enum { CSUM_GOOD, CSUM_PARTIAL, CSUM_BAD, CSUM_DONE /* it is bad, and looked at below */ };

/* One connection, seen from the peer. */
struct conn {
    uint32_t client, sess, slot;
    uint16_t lport, rport;
    uint32_t iss; /* the peer's first number */
    uint32_t irs; /* ours */
    uint32_t snd; /* the peer's next byte, counted from iss */
    uint32_t rcv; /* what it acknowledges, counted from irs */
    uint16_t wnd;
    uint16_t mss; /* options of its SYN; 0: none */
    bool ws, ts, sack;
    uint8_t wscale;
    uint32_t ts_val, ts_ecr;
};

/* Begins from nothing; ends the process if memory runs out. Change cfg, limits, geometry or
 * path before kit_start; kit_init does both with what there is by default. */
void kit_prepare(struct kit *k);
void kit_start(struct kit *k);
void kit_init(struct kit *k);
/* With this use of SYN cookies, and a listener. */
void kit_start_cookies(struct kit *k, enum tcp_cookies how);
void kit_end(struct kit *k);
/* The process died: soft memory is lost, the store and the arenas stay. No client attached. */
void kit_crash(struct kit *k);
/* kit_crash, and both clients are attached again. */
void kit_restart(struct kit *k);
int kit_attach(struct kit *k, uint32_t client);
static inline uint64_t
kit_stat(const struct kit *k, enum stat_id id)
{
    return stat_get(&k->stats, id);
}

/* ---- a client ---- */
uint32_t kit_open(struct kit *k, uint32_t client, uint32_t *slot);
int kit_do(struct kit *k, uint32_t sess, unsigned op, uint64_t value);
bool kit_event(struct kit *k, uint32_t client, struct sess_evt *e);
/* A listener of client 0 on port; returns its session. */
uint32_t kit_listen(struct kit *k, uint16_t port, unsigned backlog, uint32_t *slot);
/* Append len bytes to the stream without telling tcp; byte i of the stream is kit_byte(i). */
void kit_fill(struct kit *k, uint32_t client, uint32_t slot, uint32_t len);
/* kit_fill, REQ_SEND, and a step. */
void kit_write(struct kit *k, const struct conn *c, uint32_t len);
/* Take up to max bytes that are readable and say REQ_CONSUMED; a step. Returns the bytes. */
uint32_t kit_read(struct kit *k, const struct conn *c, uint8_t *p, uint32_t max);
uint32_t kit_readable(struct kit *k, const struct conn *c);
static inline uint8_t
kit_byte(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

/* ---- the wire ---- */
/* Put a segment into receive frames; returns the descriptors put into p. */
unsigned kit_segment(struct kit *k, const struct in_seg *s, struct pkt *p);
/* A step with these; output goes to the queue. */
void kit_step(struct kit *k, const struct pkt *in, unsigned n);
void kit_inject(struct kit *k, const struct in_seg *s);
/* Time goes on by d; every deadline on the way is met with a step. */
void kit_wait(struct kit *k, ns_t d);
/* The same until something is sent, at most max; returns how long that took. */
ns_t kit_until_sent(struct kit *k, ns_t max);
/* The next segment that was sent, NULL: none. Valid until the queue is full again. */
const struct out_seg *kit_take(struct kit *k);
unsigned kit_pending(const struct kit *k);
void kit_drop(struct kit *k); /* all that was sent is lost */
/* ip gives the held frames back. */
bool kit_done(struct kit *k);

/* ---- a connection ---- */
struct conn conn_default(void);
/* The same from the i-th of the peer's ports. */
struct conn conn_peer(unsigned i);
/* The peer connects to a listener of client 0; the accept is taken. False: it failed. */
bool conn_accept(struct kit *k, struct conn *c);
/* The parts of it: a SYN with more flags, whose answer gives c its numbers (returned; NULL:
 * none came); and the accept of this peer. False: there is none. */
const struct out_seg *conn_syn(struct kit *k, struct conn *c, uint8_t flags);
bool conn_accepted(struct kit *k, struct conn *c);
/* conn_syn; false: the answer was no SYN-ACK for it. */
bool conn_half_open(struct kit *k, struct conn *c, uint8_t flags);
/* The client connects to the peer. */
bool conn_connect(struct kit *k, struct conn *c);
/* The same up to its SYN. */
bool conn_connecting(struct kit *k, struct conn *c);
/* A segment from the peer, to be changed and injected; seq and ack are counted from iss and
 * irs.
 */
struct in_seg conn_seg(const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack);
/* The same with data, injected. A step. */
void conn_raw(struct kit *k, const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack,
              const void *data, uint32_t len);
/* The same at its place in the stream; snd moves. Data is kit_byte of the stream. */
void conn_send(struct kit *k, struct conn *c, uint8_t flags, uint32_t len);
/* An acknowledgment of everything below `rcv` (counted from irs). */
void conn_ack(struct kit *k, struct conn *c, uint32_t rcv);
/* The same, with blocks: pairs of numbers counted from irs. */
void conn_sack(struct kit *k, struct conn *c, uint32_t rcv, unsigned n,
               const uint32_t blocks[][2]);
/* An ICMP error for a segment of ours with this number, counted from irs. A step. */
void conn_icmp(struct kit *k, const struct conn *c, uint32_t seq, int err, uint32_t mtu);
/* kit_init, a listener, and one connection to it; ends the process if that fails. */
struct conn conn_up(struct kit *k);
/* The same for a peer whose SYN is as c says. */
void conn_up_as(struct kit *k, struct conn *c);
/* The same in a later state (conn_to), a moment ago, with time stamps or without. */
struct conn conn_up_in(struct kit *k, enum tcp_state s, bool ts);
struct tcb *conn_tcb(struct kit *k, const struct conn *c);
unsigned conn_state(struct kit *k, const struct conn *c);
/* Bring a connection that is ESTABLISHED to one of the later states, nothing in the queue. */
void conn_to(struct kit *k, struct conn *c, enum tcp_state s);

/* For Criterion tests: the next segment out is this, counted from the connection's first
 * numbers. */
#define EXPECT_SEG(k, c, f, s, a, n)                                                           \
    do {                                                                                       \
        const struct out_seg *o_ = kit_take(k);                                                \
        cr_assert_not_null(o_, "nothing was sent");                                            \
        cr_assert_eq(o_->h.flags & ~TCP_PSH, (f), "flags %#x", o_->h.flags);                   \
        cr_assert_eq(o_->h.seq - (c)->irs, (uint32_t)(s), "seq %u", o_->h.seq - (c)->irs);     \
        cr_assert_eq(o_->h.ack - (c)->iss, (uint32_t)(a), "ack %u", o_->h.ack - (c)->iss);     \
        cr_assert_eq(o_->len, (uint32_t)(n), "len %u", o_->len);                               \
    } while (0)
#define EXPECT_ACK(k, c) EXPECT_SEG(k, c, TCP_ACK, (c)->rcv, (c)->snd, 0)
#define EXPECT_NONE(k)                                                                         \
    do {                                                                                       \
        const struct out_seg *o_ = kit_take(k);                                                \
        cr_assert_null(o_, "sent: flags %#x len %u", o_->h.flags, o_->len);                    \
        cr_assert(tcp_validate((k)->t));                                                       \
    } while (0)
#define EXPECT_STATE(k, c, s)                                                                  \
    cr_assert_eq(conn_state(k, c), (unsigned)(s), "state %u", conn_state(k, c))

#endif
