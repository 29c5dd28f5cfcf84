/* SPDX-License-Identifier: BSD-2-Clause
 *
 * priv.h: the TCP component's own structures and the calls between its files.
 *
 * Sequence numbers are kept as 64-bit extended numbers, one space a direction: the SYN is 0,
 * the byte at stream offset o is o + 1, the FIN follows the last byte. On the wire goes
 * initial number + (uint32_t)extended. So comparisons are plain, and a session lives through
 * any amount of data. Names are those of RFC 9293 section 3.3.1.
 *
 * Crash-only (DESIGN.md section 4): what must survive is in struct tcb_hard, kept as two
 * copies and a selector; a step works on `h` and tcb_commit makes it real before anything is
 * told to the client or the wire. All else can be reset (tcb_soft_reset).
 */
#ifndef TCP_PRIV_H
#define TCP_PRIV_H

#include <errno.h>
#include <stdatomic.h>

#include "cc.h"
#include "session/clients.h"
#include "session/fifo.h"
#include "tcp.h"
#include "wheel.h"
#include "wire/csum.h"
#include "wire/wire.h"

enum tcp_state {
    TCPS_CLOSED,
    TCPS_LISTEN,
    TCPS_SYN_SENT,
    TCPS_SYN_RCVD,
    TCPS_ESTABLISHED,
    TCPS_FIN_WAIT_1,
    TCPS_FIN_WAIT_2,
    TCPS_CLOSE_WAIT,
    TCPS_CLOSING,
    TCPS_LAST_ACK,
    TCPS_TIME_WAIT,
    TCPS_STATES
};

/* RFC and Linux constants, in one place. */
#define RTO_INITIAL NS_S              /* RFC 6298 (2.1) */
#define RTO_AFTER_LOST_SYN (3 * NS_S) /* RFC 6298 (5.7) */
#define RTO_MIN (200 * NS_MS)    /* RFC 6298 (2.4) says 1 s SHOULD; 200 ms is what Linux does */
#define RTO_MAX (60 * NS_S)      /* RFC 6298 (2.5) */
#define DELACK_TIME (40 * NS_MS) /* RFC 9293 3.8.6.3: under 500 ms */
#define MSL2 (60 * NS_S)         /* twice the MSL, as Linux */
#define FIN_WAIT_2_TIME (60 * NS_S) /* orphans only */
#define SYN_RETRIES 6u              /* about 127 s */
#define SYNACK_RETRIES 5u
#define DATA_RETRIES 15u /* about 15 minutes, R2 of RFC 9293 3.8.3 */
#define ORPHAN_RETRIES 8u
#define KEEP_IDLE (7200 * NS_S) /* RFC 9293 3.8.4 */
#define KEEP_INTVL (75 * NS_S)
#define KEEP_CNT 9u
#define MSS_DEFAULT 536u /* RFC 9293 3.7.1 */
#define MSS_MIN 88u      /* below it headers outweigh data (as Linux's TCP_MIN_SND_MSS + 40) */
/* Payload that fits a transmit frame, whatever the path and the peer say. */
#define SEG_PAYLOAD (FRAME_SIZE - FRAME_L4 - TCP_HEADER_MAX)
#define WSCALE 5u        /* FIFO_MAX >> 5 fits 16 bits */
#define WINDOW_SLACK 64u /* what rounding to the window scale may promise too much */
#define OOO_RANGES 16u
#define PAGE_SWEEP (20 * NS_MS) /* how often a client without pages is searched for some */
#define PAWS_IDLE (24ull * 24 * 3600 * NS_S) /* RFC 7323 5.5: 24 days */

enum { T_REXMT, T_DELACK, T_KEEP, T_WAIT, T_COUNT };

/* Bits of tcb_hard.bits. */
#define H_TS 1u           /* timestamps negotiated */
#define H_WS 2u           /* window scaling negotiated */
#define H_SHUT_WR 4u      /* the program closed its direction: FIN after the last byte */
#define H_FIN_RCVD 8u     /* the peer's FIN is in rcv_nxt */
#define H_SHUT_RD 16u     /* the program does not read any more */
#define H_CLOSED 32u      /* the program gave the session up (close, or its death) */
#define H_PASSIVE 64u     /* began in LISTEN */
#define H_BOUND 128u      /* bind() was called: in the port's list */
#define H_FREED 256u      /* EVT_FREED was told */
#define H_ANNOUNCED 512u  /* EVT_ACCEPT was told */
#define H_FIN_ACKED 1024u /* our FIN was acknowledged */

struct tcb_hard {
    uint64_t snd_una, snd_max; /* snd_max: highest ever sent + 1 */
    uint64_t rcv_nxt, rcv_adv; /* rcv_adv: right edge advertised */
    uint64_t tx_tail;          /* the client's cursor, believed so far: stream bytes */
    uint64_t rx_head;          /* likewise: bytes consumed */
    uint32_t iss, irs;
    uint32_t ts_recent, ts_offset;
    uint32_t bits;
    uint32_t snd_wnd; /* bytes, scaled */
    uint16_t mss;     /* payload of a full segment to the peer, options taken off */
    uint16_t peer_mss;
    uint8_t state;
    uint8_t snd_wscale;
    uint8_t pad[2];
};

struct tcb_opts {
    uint32_t sndbuf, rcvbuf;
    uint32_t keep_idle_s, keep_intvl_s, keep_cnt;
    uint32_t linger; /* seconds; UINT32_MAX: off */
    uint32_t user_timeout_ms;
    uint16_t maxseg;
    uint8_t ttl, tos;
    bool nodelay, cork, keepalive, reuseaddr, reuseport, quickack;
};

struct tcb {
    /* -- identity: set when the session gets its addresses -- */
    bool used;
    bool suspect; /* was in work when the domain died */
    struct ipaddr laddr, raddr;
    uint16_t lport, rport;
    struct client_link link;
    uint32_t parent; /* listener, until EVT_ACCEPT is told */
    int died_of;     /* errno for a client that was not there to be told */
    struct tcb_opts opt;
    /* -- hard -- */
    _Atomic uint32_t sel;
    struct tcb_hard hard[2];
    /* -- soft from here on -- */
    struct tcb_hard h; /* this step's working copy */
    uint64_t snd_nxt;
    uint64_t recover;          /* RFC 6582 */
    uint64_t last_ack;         /* RFC 7323 Last.ACK.sent, extended */
    uint64_t told_adv;         /* right edge in the last ACK that was sent */
    uint64_t snd_wl1, snd_wl2; /* extended */
    uint64_t rtt_seq;          /* this extended number's acknowledgment is timed; 0: none */
    ns_t rtt_time;
    ns_t srtt, rttvar, rto;
    ns_t last_rx, last_tx; /* keepalive, idle restart */
    ns_t ts_recent_age;
    ns_t rexmt_since;  /* first timeout of the data at snd_una; 0: none */
    ns_t last_oow_ack; /* an ACK sent for something out of the window */
    uint32_t max_wnd;  /* largest window the peer offered */
    struct cc cc;
    ns_t timer[T_COUNT];
    struct wheel_node wheel;
    uint32_t hash_next, bound_next, work_next, tw_next, tw_prev;
    uint32_t dirty_at;        /* its place in the list of changed sessions */
    uint32_t n_syn, n_accept; /* listener: half-open, and established but not accepted */
    uint32_t n_untold;        /* of n_accept, those whose EVT_ACCEPT waits */
    uint32_t backlog;
    uint8_t n_ooo;
    uint8_t dupacks;
    uint8_t backoff;   /* timeouts in a row */
    uint8_t keep_sent; /* keepalive probes without an answer */
    uint8_t ack_dups;  /* duplicate ACKs owed: one for each segment out of order */
    uint8_t ack_segs;  /* full segments received since the last ACK */
    bool hashed, working, ack_now, in_recovery, probing, dirty, on_tw, sent_window_zero;
    bool rst_due; /* a RST is owed; the block lives until it is sent */
    struct ooo {
        uint64_t left, right; /* extended receive numbers, right exclusive */
    } ooo[OOO_RANGES];
    /* per-session counters */
    uint64_t n_rx, n_tx, n_drop, n_rexmt;
};

/* The store region: header, then the sessions, then frame holders. */
#define TCP_STORE_MAGIC 0x54435031u
struct tcp_store {
    uint32_t magic;
    uint32_t n_sessions;
    uint32_t high;            /* sessions from here on were never used: memory not touched */
    _Atomic uint32_t working; /* session in work, SESS_NONE: none */
    uint32_t crashed;         /* the one that was in work at the last crash */
};

#define PORT_HASH 1024u
#define EPHEMERAL_FIRST 32768u
#define EPHEMERAL_LAST 60999u

struct tcp {
    struct tcp_config cfg;
    struct tcp_store *store;
    struct tcb *tcb;
    struct frames frames;
    const struct path_table *path;
    struct stats *stats;
    struct pool pool;
    struct wheel wheel;
    struct clients *clients;
    uint32_t *free; /* session numbers */
    uint32_t n_free;
    uint32_t *hash; /* connections */
    uint32_t hash_mask;
    uint32_t bound[PORT_HASH];
    uint16_t *port_use;            /* connections per local port, 65536 */
    uint32_t work_head, work_tail; /* sessions with something to send */
    uint32_t tw_head, tw_tail;     /* TIME-WAIT, oldest first */
    uint32_t n_half_open, n_orphans;
    uint32_t *dirty; /* sessions changed in this step */
    uint32_t n_dirty;
    uint32_t port_salt;
    ns_t swept[CLIENTS_MAX]; /* when the client was last searched for pages */
    ns_t challenge_second;
    uint32_t challenge_n;
    /* the step's output */
    struct pkt *out;
    unsigned n_out, cap_out;
    bool starved; /* no frame or no room in the last step */
    ns_t now;
    uint8_t bounce[65536 + 64];
};

/* One segment on its way through the state machine. */
struct seg {
    struct tcp_hdr h;
    struct ipaddr src, dst;
    uint32_t len;        /* payload bytes */
    const uint8_t *text; /* payload in the bounce buffer; NULL: placed already */
    uint64_t seq;        /* extended; valid with a session whose irs is known */
    uint64_t ack;
    bool placed; /* in order, and in the receive FIFO at rcv_nxt */
};

static inline uint32_t
tcb_number(const struct tcp *t, const struct tcb *c)
{
    return (uint32_t)(c - t->tcb);
}

/* Wire number to extended, near a reference that is known. */
static inline uint64_t
seq_extend(uint64_t near, uint32_t base, uint32_t wire)
{
    return near + (uint64_t)(int64_t)(int32_t)(wire - (base + (uint32_t)near));
}

/* One past the last number that there is to send: SYN, bytes, FIN. */
static inline uint64_t
snd_end(const struct tcb *c)
{
    return 1 + c->h.tx_tail + ((c->h.bits & H_SHUT_WR) ? 1 : 0);
}
/* Given up by its program, and still at work for it. */
static inline bool
tcb_is_orphan(const struct tcb *c)
{
    return (c->h.bits & H_CLOSED) && c->h.state >= TCPS_SYN_RCVD &&
           c->h.state != TCPS_TIME_WAIT;
}

/* ---- tcb.c: life of a control block ---- */
struct tcb *tcb_new(struct tcp *t);
void tcb_free(struct tcp *t, struct tcb *c);
/* Everything soft as it is when nothing is known: after a crash, when it is in no list. */
void tcb_soft_reset(struct tcp *t, struct tcb *c);
/* The same for another attempt of a session that is in lists and stays there. */
void tcb_begin(struct tcp *t, struct tcb *c);
void tcb_commit(struct tcp *t, struct tcb *c);
void tcb_dirty(struct tcp *t, struct tcb *c);
void tcb_set_state(struct tcp *t, struct tcb *c, enum tcp_state s);
/* The session is over with this errno (0: an orderly end). Frees it if nobody is left to be
 * told; the pointer must not be used afterwards. */
void tcb_die(struct tcp *t, struct tcb *c, int err);
/* The program gave it up, and our FIN is acknowledged or moot: tell EVT_FREED, count orphans,
 * free it when it is CLOSED. */
void tcb_settle(struct tcp *t, struct tcb *c);
struct client *tcb_client(struct tcp *t, const struct tcb *c);
struct slot_domain *tcb_slot(struct tcp *t, const struct tcb *c);
/* It has FIFOs, but its client is not back yet after a crash: they cannot be touched. */
bool tcb_arena_away(struct tcp *t, const struct tcb *c);
const struct slot_client *tcb_cslot(struct tcp *t, const struct tcb *c);
client_link_of tcb_link_of;
bool tcb_validate(const struct tcp *t, const struct tcb *c);

/* ---- slot.c: what the client sees ---- */
void slot_publish(struct tcp *t, struct tcb *c);
/* Believe the client's cursors as far as they are possible. False: it lied. */
bool slot_take_cursors(struct tcp *t, struct tcb *c);
/* Give an established session of a listener to its client. False: no room for it. */
bool slot_attach(struct tcp *t, struct tcb *c, struct client *cl);

/* ---- demux.c ---- */
void demux_insert(struct tcp *t, struct tcb *c);
void demux_remove(struct tcp *t, struct tcb *c);
struct tcb *demux_find(struct tcp *t, const struct ipaddr *laddr, uint16_t lport,
                       const struct ipaddr *raddr, uint16_t rport);
struct tcb *demux_listener(struct tcp *t, const struct ipaddr *laddr, uint16_t lport);
int port_bind(struct tcp *t, struct tcb *c, const struct ipaddr *addr, uint16_t port);
int port_connect(struct tcp *t, struct tcb *c, const struct ipaddr *addr, uint16_t port);
void port_release(struct tcp *t, struct tcb *c);
void port_rebuild(struct tcp *t, struct tcb *c);

/* ---- isn.c ---- */
uint32_t isn_make(const struct tcp *t, const struct tcb *c);
uint32_t ts_offset_make(const struct tcp *t, const struct tcb *c);
static inline uint32_t
ts_clock(ns_t now)
{
    return (uint32_t)(now / NS_MS);
}

/* ---- input.c ---- */
/* Takes one packet (a chain of n descriptors). */
void input_packet(struct tcp *t, const struct pkt *p, unsigned n);
void input_icmp(struct tcp *t, const struct pkt *p);
/* ---- handshake.c: segments for LISTEN, SYN-SENT, nobody ---- */
void listen_segment(struct tcp *t, struct tcb *l, const struct seg *s);
void syn_sent_segment(struct tcp *t, struct tcb *c, struct seg *s);
void no_session_segment(struct tcp *t, const struct seg *s);
void syn_options(struct tcp *t, struct tcb *c, const struct tcp_hdr *h);
void tcb_established(struct tcp *t, struct tcb *c);
/* ---- ack.c ---- */
/* False: the segment must be dropped; a challenge was sent. */
bool ack_acceptable(struct tcp *t, struct tcb *c, const struct seg *s);
void ack_process(struct tcp *t, struct tcb *c, const struct seg *s);
void window_update(struct tcb *c, const struct seg *s);
void rtt_sample(struct tcb *c, ns_t rtt);
/* ---- reasm.c ---- */
/* Take the payload of an acceptable segment; true if rcv_nxt moved. */
bool reasm_data(struct tcp *t, struct tcb *c, struct seg *s);
/* ---- output.c ---- */
/* Put the session on the work list. */
void work_add(struct tcp *t, struct tcb *c);
/* Send what may be sent; false if it stopped for want of frames or room. */
bool output_session(struct tcp *t, struct tcb *c);
/* One segment at once: a RST or ACK that belongs to a session. */
void output_control(struct tcp *t, struct tcb *c, uint8_t flags);
void output_reset_for(struct tcp *t, const struct seg *s);
bool output_segment(struct tcp *t, struct tcb *c, uint64_t seq, uint32_t len, uint8_t flags);
void window_choose(struct tcp *t, struct tcb *c);
/* The most that the receive window may be, bytes. */
uint32_t window_limit(struct tcp *t, const struct tcb *c);
/* Send the first unacknowledged segment again, whatever the windows say. */
void output_again(struct tcp *t, struct tcb *c);
/* A zero-window probe, or what a window too small allows (RFC 9293 3.8.6.1). */
void output_probe(struct tcp *t, struct tcb *c);
/* An ACK that says nothing new, limited in rate (RFC 5961 section 7). */
void output_challenge(struct tcp *t, struct tcb *c);
/* ---- timer.c ---- */
void timer_set(struct tcp *t, struct tcb *c, unsigned which, ns_t at);
void timer_fire(struct tcp *t, struct tcb *c);
void rexmt_arm(struct tcp *t, struct tcb *c);
void keep_arm(struct tcp *t, struct tcb *c);
void time_wait_enter(struct tcp *t, struct tcb *c);
void time_wait_leave(struct tcp *t, struct tcb *c);
/* ---- request.c ---- */
/* End it now, with a RST if the peer may still believe in it. */
void abort_session(struct tcp *t, struct tcb *c, int err);
void close_session(struct tcp *t, struct tcb *c);
/* Commit and show every changed session, outside a step as at its end. */
void tcp_flush(struct tcp *t);
/* ---- option.c ---- */
int tcp_option_set(struct tcp *t, struct tcb *c, int level, int name, uint64_t value);
int tcp_option_get(struct tcp *t, struct tcb *c, int level, int name, uint64_t *value);

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

#endif
