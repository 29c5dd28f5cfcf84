/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcb.h: the TCP component's own structures: the control block, the component, a segment on its
 * way through.
 *
 * Sequence numbers are kept as 64-bit extended numbers, one space a direction: the SYN is 0,
 * the byte at stream offset o is o + 1, the FIN follows the last byte. On the wire goes
 * initial number + (uint32_t)extended. So comparisons are plain, and a session lives through
 * any amount of data. Names are those of RFC 9293 section 3.3.1.
 *
 * Crash-only ("Sessions" in ARCHITECTURE.md): what must survive is in struct tcb_hard, kept as
 * two copies and a selector; a step works on `h` and tcb_commit makes it real before anything
 * is told to the client or the wire. All else can be reset (tcb_soft_reset).
 */
#ifndef TCP_TCB_H
#define TCP_TCB_H

#include <errno.h>
#include <stdatomic.h>

#include "base/portset.h"
#include "cc.h"
#include "runs.h"
#include "session/clients.h"
#include "session/turns.h"
#include "session/fifo.h"
#include "session/move.h"
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
#define RTO_MAX (120 * NS_S)     /* RFC 6298 (2.5) wants 60 s or more; as Linux */
#define DELACK_TIME (40 * NS_MS) /* RFC 9293 3.8.6.3: under 500 ms */
#define MSL2 (60 * NS_S)         /* twice the MSL, as Linux */
#define FIN_WAIT_2_TIME (60 * NS_S) /* orphans only */
#define FIN_WAIT_2_MAX 120          /* seconds that TCP_LINGER2 can ask for */
#define CORK_TIME (200 * NS_MS)     /* the longest that TCP_CORK holds bytes back */
#define QUICK_ACKS 16u /* segments acknowledged at once: the first, and after TCP_QUICKACK */
#define SYN_RETRIES 6u /* about 127 s */
#define SYNACK_RETRIES 5u
#define DATA_RETRIES 15u /* about 15 minutes, R2 of RFC 9293 3.8.3 */
#define ORPHAN_RETRIES 8u
#define KEEP_IDLE (7200 * NS_S) /* RFC 9293 3.8.4 */
#define KEEP_INTVL (75 * NS_S)
#define KEEP_CNT 9u
#define MSS_DEFAULT 536u /* RFC 9293 3.7.1 */
#define MSS_MIN 88u      /* below it headers outweigh data (as Linux's TCP_MIN_SND_MSS + 40) */
/* The most that a segment has, whatever the path and the peer say. */
#define SEG_PAYLOAD (FRAME_MTU_MAX - IP4_HEADER - TCP_HEADER)
#define SEG_ONE (FRAME_ROOM - TCP_HEADER_MAX) /* that surely fits one frame */
#define WSCALE 9u /* what a FIFO holds, shifted by it, fits 16 bits */
/* What rounding to the window scale may promise too much. */
#define WINDOW_SLACK (1u << WSCALE)
_Static_assert((FIFO_MAX - 2 * FIFO_PAGE) >> WSCALE <= UINT16_MAX, "RFC 7323 2.2");
#define PAGE_SWEEP (20 * NS_MS) /* how often a client without pages is searched for some */
#define ORPHAN_TIME                                                                            \
    (600 * NS_S)                  /* how long the session of a dead program may go on sending  \
                                   */
#define CHALLENGES 500u           /* RFC 5961 section 7: a second, and up to as many again */
#define CHALLENGES_SESSION 8u     /* of these for one session */
#define OOW_GAP (10 * NS_MS)      /* between answers to segments out of the window */
#define COOKIE_PERIOD (64 * NS_S) /* one generation of SYN cookies */
#define COOKIE_BUCKETS 64u        /* sources of refused cookies, told apart by hash */
#define COOKIE_GUESSES 128u       /* refused cookies of one bucket a second */
#define PAWS_IDLE (24ull * 24 * 3600 * NS_S) /* RFC 7323 5.5: 24 days */

#define DUP_THRESH 3u            /* RFC 5681 3.2 */
#define RENEGE_TIME (10 * NS_MS) /* for an acknowledgment that is on its way, at least */
#define TLP_SLACK (2 * NS_MS)    /* what our clock and the peer's may add to two round trips */
#define MIN_RTT_WINDOW (60 * NS_S)
#define PLP_RAISE (600 * NS_S) /* RFC 8899 5.1.1, PMTU_RAISE_TIMER */

/* T_REXMT: RFC 6298, or a window probe. T_LOSS: RFC 8985, a tail loss probe or the end of a
 * reordering window. */
enum { T_REXMT, T_LOSS, T_PACE, T_DELACK, T_KEEP, T_WAIT, T_CORK, T_COUNT };

#define ECN_MASK 3u
#define ECN_ECT0 2u
#define ECN_CE 3u

/* What congestion control is told: all is well; losses found by ACKs are repaired, under
 * RFC 6937; a timeout is repaired, in slow start. */
enum tcp_ca { CA_OPEN, CA_RECOVERY, CA_LOSS };

/* TCP_INFO: time with something to send or unacknowledged, and what of it the peer's window or
 * a small buffer held up. */
enum chrono { CHRONO_IDLE, CHRONO_BUSY, CHRONO_RWND, CHRONO_SNDBUF, CHRONOS };

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
#define H_SACK 2048u      /* selective acknowledgments negotiated */
#define H_ECN 4096u       /* RFC 3168 negotiated */
#define H_REVOKED 8192u   /* the program may close it, and no more */
#define H_ADDR 16384u     /* bind() named the address, which another connection keeps */
#define H_PORT 32768u     /* the program named the port that it is bound to */

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
    uint32_t max_pacing;    /* bytes a second; 0: no limit */
    uint32_t window_clamp;  /* bytes; 0: none */
    uint32_t notsent_lowat; /* bytes; 0: none */
    uint32_t rcvlowat;      /* bytes */
    int16_t fin_wait_s;     /* TCP_LINGER2: 0: the usual time, -1: none */
    uint16_t maxseg;
    uint8_t congestion; /* enum cc_alg */
    uint8_t ttl, tos;
    bool snd_fixed, rcv_fixed; /* the program chose the buffer's size */
    uint8_t syn_cnt;           /* SYNs sent again; 0: SYN_RETRIES */
    uint8_t defer;             /* TCP_DEFER_ACCEPT, in timeouts of the SYN-ACK; 0: off */
    uint8_t priority;          /* read back, and nothing else */
    bool nodelay, cork, keepalive, reuseaddr, reuseport, quickack, broadcast;
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
    struct sess_grant grant;
    struct sess_move mv;
    struct tcb_opts opt;
    /* -- hard -- */
    _Atomic uint32_t sel;
    struct tcb_hard hard[2];
    /* -- soft from here on -- */
    struct tcb_hard h; /* this step's working copy */
    uint64_t snd_nxt;
    uint64_t recover;          /* RFC 6582: repaired when this is acknowledged */
    uint64_t last_ack;         /* RFC 7323 Last.ACK.sent, extended */
    uint64_t told_adv;         /* right edge in the last ACK that was sent */
    uint64_t snd_wl1, snd_wl2; /* extended */
    struct run_list sent;      /* tiles [max(snd_una, 1), snd_nxt) */
    struct run_queue flight;   /* of sent, by time: neither SACKed nor lost */
    struct run_queue gone;     /* lost, the same */
    uint32_t first_lost;       /* no lost run lies before this one; RUN_NONE: there is none */
    struct run_list ooo;       /* received beyond rcv_nxt */
    struct run_queue recent;   /* of ooo, by arrival */
    uint32_t sacked, lost;     /* bytes of sent that are so */
    uint32_t dup_bytes;        /* what duplicate ACKs without SACK say has arrived */
    uint64_t delivered;        /* bytes acknowledged or SACKed so far */
    uint64_t delivered_ce;     /* with ECE */
    ns_t syn_time;             /* when the SYN was sent; 0: more than once */
    ns_t srtt, rttvar, rto;
    uint64_t rtt_next; /* RFC 6298 gets a sample a round trip: when this is acked */
    ns_t min_rtt[2];   /* of this window of time, and of the one before */
    ns_t min_rtt_since;
    struct rack { /* RFC 8985 section 5 */
        ns_t at;  /* when the latest sent of what was delivered was sent */
        ns_t rtt; /* of what was delivered last */
        uint64_t end, fack;
        uint64_t dsack_round;  /* 0: none */
        uint8_t mult, persist; /* of the reordering window */
        bool reordering, dsack;
    } rack;
    uint64_t tlp_end; /* a probe of the tail was sent, up to here; 0: none */
    bool tlp_rexmt;   /* and it was no new data */
    struct prr {      /* RFC 6937 */
        uint32_t delivered, out, fs;
    } prr;
    struct undo {        /* the state before the repair, if that turns out unneeded */
        uint64_t end;    /* snd_nxt then */
        uint64_t marker; /* snd_una then; 0: nothing to undo */
        uint32_t cwnd, ssthresh;
        uint32_t rexmt; /* segments sent again and not yet reported as duplicates */
        uint32_t ts;    /* TSval of the first of them */
    } undo;
    struct frto {            /* RFC 5682, after a timeout */
        uint8_t step, again; /* frto.c's; segments sent again since */
    } frto;
    ns_t last_rx, last_data; /* keepalive; idle restart: when data was sent */
    ns_t ts_recent_age;
    ns_t rexmt_since;  /* the data at snd_una has waited, and timed out, since; 0: not yet */
    ns_t last_oow_ack; /* an ACK sent for something out of the window */
    ns_t challenge_second;
    uint32_t challenge_n; /* challenge ACKs in it */
    ns_t cookie_at;       /* listener: when it last sent a cookie; 0: never */
    uint32_t max_wnd;     /* largest window the peer offered */
    struct cc cc;
    struct tune { /* autotune.c: since then the program took what is beyond head */
        uint64_t head;
        ns_t since, rtt;
    } tune;
    uint64_t limited;   /* what was sent below this filled our window */
    uint64_t round_end; /* the round trip of round_out ends when this is acknowledged */
    uint32_t round_out; /* the most that was out in it */
    ns_t pace_next;     /* when the next segment is due */
    ns_t book_at;       /* when so many bytes may go as the account's rate is concerned */
    uint32_t booked;    /* 0: none were asked for yet */
    struct plp { /* plpmtud.c: a probe of a larger size is [left, right); right 0: none */
        uint64_t left, right;
        ns_t next;
        uint16_t size, fails; /* payload; the smallest that is thought not to get through */
        bool guess;           /* and that only because of timeouts */
    } plp;
    uint64_t ecn_until; /* slowed down for a mark; not again below this */
    ns_t timer[T_COUNT];
    struct wheel_node wheel;
    uint32_t hash_next, bound_next, bound_prev, work_next, tw_next, tw_prev;
    uint32_t dirty_at;        /* its place in the list of changed sessions */
    uint32_t n_syn, n_accept; /* listener: half-open, and established but not accepted */
    uint32_t n_untold;        /* of n_accept, those whose EVT_ACCEPT waits */
    uint32_t child, sib_next, sib_prev; /* listener: its first child; a child: its neighbours */
    uint32_t backlog;
    uint8_t ca; /* enum tcp_ca */
    uint8_t dupacks;
    uint8_t backoff;   /* timeouts in a row */
    uint8_t keep_sent; /* keepalive probes without an answer */
    uint8_t ack_dups;  /* duplicate ACKs owed: one for each segment out of order */
    uint8_t ack_segs;  /* full segments received since the last ACK */
    bool hashed, working, ack_now, probing, dirty, on_tw, sent_window_zero;
    bool rst_due;            /* a RST is owed; the block lives until it is sent */
    bool lost_beyond;        /* beyond recover, found while that was repaired */
    bool ecn_echo, ecn_cwr;  /* ECE and CWR are owed */
    bool tlp_due;            /* T_LOSS is for a tail loss probe */
    bool deferred;           /* SYN-RECEIVED: acknowledged, and waiting for data */
    bool answers;            /* we sent soon after we had received: ACKs go with answers */
    bool uncork;             /* TCP_CORK has held bytes back long enough */
    bool ecn_seen;           /* something came with ECT or CE */
    uint8_t chrono;          /* enum chrono, since n.chrono_at */
    uint8_t soft_err;        /* errno of an ICMP error since the last ACK; 0: none */
    uint8_t quick;           /* segments still to be acknowledged at once */
    uint64_t snd_up, rcv_up; /* one past the last urgent byte, extended; 0: none */
    uint64_t early_fin;      /* their FIN, of which we know before what precedes it; 0: none */
    uint64_t snd_small;      /* right edge of the last segment that was not full; 0: none */
    uint64_t dsack_l, dsack_r; /* RFC 2883: to be reported with the next ACK; equal: none */
    /* per-session counters */
    uint64_t n_rx, n_tx, n_drop, n_rexmt;
    struct counts {
        uint64_t bytes_rexmt;
        ns_t chrono[CHRONOS], chrono_at; /* the first is not counted */
        uint32_t segs_out, segs_in, data_out, data_in;
        uint32_t dsacks, reordered, ooo;
        uint32_t data_sent_ms, data_rcvd_ms, ack_rcvd_ms; /* ts_clock of the last */
    } n;
    struct rate { /* what arrived in the last whole round trip */
        ns_t at;
        uint64_t delivered, bytes_s;
        bool app_limited; /* there was not always something to send in it */
        bool starved;     /* nor in the present one */
    } rate;
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
    struct run_pool runs;
    uint32_t runs_used[CLIENTS_MAX + 1]; /* beyond the promised; the last: of no client */
    struct clients *clients;
    uint32_t *free; /* session numbers */
    uint32_t n_free;
    uint32_t *hash; /* connections */
    uint32_t hash_mask;
    uint32_t bound[65536];     /* by local port: the first session that is bound to it */
    uint32_t *port_use;        /* connections per local port, 65536 */
    uint32_t *port_kept;       /* those of them that keep who reuses addresses off it */
    struct portset taken;      /* ports that are bound, or of connections */
    uint32_t steps;            /* the request in work took so far (PACE_STEP) */
    struct turns work;         /* sessions with something to send */
    int32_t credit;            /* what the one in work may still send, as turns.h counts */
    uint32_t tw_head, tw_tail; /* TIME-WAIT, oldest first */
    uint32_t n_half_open, n_orphans;
    uint32_t *dirty; /* sessions changed in this step */
    uint32_t n_dirty;
    uint32_t port_salt;
    uint32_t n_tokens;
    ns_t swept[CLIENTS_MAX]; /* when the client was last searched for pages */
    ns_t challenge_second;
    uint32_t challenge_n; /* left in it */
    ns_t cookie_second;
    uint16_t cookie_refused[COOKIE_BUCKETS]; /* in it */
    /* the step's output */
    struct pkt *out;
    unsigned n_out, cap_out;
    uint32_t starved; /* frames that were missing in the last step, or their descriptors */
    ns_t now;
    uint8_t bounce[65536 + 64];
};

/* One segment on its way through the state machine. */
struct seg {
    struct tcp_hdr h;
    struct ipaddr src, dst;
    uint8_t tos;
    uint32_t len;        /* payload bytes */
    const uint8_t *text; /* payload in the bounce buffer; NULL: placed already */
    uint64_t seq;        /* extended; valid with a session whose irs is known */
    uint64_t ack;
    bool unscaled; /* it was a SYN: RFC 7323 2.2 */
    bool placed;   /* in order, and in the receive FIFO at rcv_nxt */
};

/* What one acknowledgment delivered. */
struct delivery {
    uint64_t una;        /* snd_una before it */
    uint32_t bytes;      /* acknowledged or SACKed for the first time */
    uint32_t flight;     /* in the network before it */
    uint32_t lost;       /* bytes found lost because of it */
    ns_t rtt, rtt_first; /* of the latest and earliest sent run that was sent once; 0: none */
    bool advanced;       /* snd_una moved */
    bool hole;           /* RFC 6582: it shows the next hole, to be repaired now */
    bool sacked;         /* some were SACKed for the first time, */
    uint64_t sacked_to;  /* the highest of them below this */
    bool dsack;          /* RFC 2883: something arrived twice */
    uint64_t dsack_l, dsack_r;
    bool ts; /* the ACK has a time stamp, and this it echoes */
    uint32_t ts_ecr;
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

/* Bytes in the network, as far as we know (RFC 6675's pipe). */
static inline uint32_t
pipe_of(const struct tcb *c)
{
    uint64_t out = c->snd_nxt - min_u64(max_u64(c->h.snd_una, 1), c->snd_nxt);
    uint64_t gone = (uint64_t)c->sacked + c->lost + c->dup_bytes;
    return (uint32_t)min_u64(out > gone ? out - gone : 0, UINT32_MAX);
}

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

#endif
