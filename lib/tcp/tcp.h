/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.h: the TCP component (RFC 9293 and what it names). Pure: time and randomness
 * are arguments, memory is handed over once, every call is bounded.
 */
#ifndef TCP_TCP_H
#define TCP_TCP_H

#include "base/frame.h"
#include "base/pkt.h"
#include "base/stats.h"
#include "session/ops.h"

/* RFC 3168: never; when the peer asks; ask. */
enum tcp_ecn { ECN_OFF, ECN_ANSWER, ECN_ASK };

/* SYN cookies (RFC 4987 3.6): when the room for half-open sessions is used up, SYNs are
 * answered without keeping anything; or not at all; or always, for tests. */
enum tcp_cookies { TCP_COOKIES_AUTO, TCP_COOKIES_OFF, TCP_COOKIES_ALWAYS };

struct tcp_config {
    uint32_t n_sessions;
    uint32_t half_open;      /* SYN-RCVD sessions at once, all listeners together */
    uint32_t orphans;        /* sessions without a client at once */
    uint32_t sndbuf, rcvbuf; /* default bytes of a session's FIFOs */
    uint32_t buffer_max;     /* that they may grow to by themselves */
    uint32_t runs;           /* to tell fates apart (runs.h); 0: as usual */
    bool csum_partial_ok;    /* accept a checksum that is just the pseudo-header's sum:
                              * what veth hands over when the peer left it to hardware */
    bool segments;           /* ip takes PKT_WHOLE and PKT_CSUM, and gives the latter */
    uint8_t ecn;             /* enum tcp_ecn */
    bool pacing;             /* spread a window over the round trip */
    uint8_t congestion;      /* enum cc_alg: of sessions that do not say */
    uint8_t cookies;         /* enum tcp_cookies */
    uint32_t isn_fixed;      /* tests only: every initial sequence number; 0: keyed */
    uint8_t key[32];         /* secrets: initial sequence numbers, cookies, ports, hash;
                              * the same after a crash, or what they made is not known again */
};

struct tcp;

/* Two blocks of memory: the store outlives a crash (region of the tcp domain), the
 * rest is rebuilt. Bytes, cache-line aligned. */
size_t tcp_store_size(const struct tcp_config *c, const struct frames *f);
size_t tcp_soft_size(const struct tcp_config *c, const struct frames *f);

/* store all zero: a first start. Else the sessions in it go on (once client_add has
 * given their arenas back). */
struct tcp *tcp_init(void *store, void *soft, const struct tcp_config *c,
                     const struct frames *f, const struct path_table *path, struct stats *stats,
                     ns_t now);

/* The frames that the dead ip domain or the NIC held are free again. */
void tcp_ip_reset(struct tcp *t);

/* Segments and ICMP messages up (n <= BATCH_MAX + FRAME_MAX_CHAIN; a chain is never
 * cut), due timers, and what may be sent, into out. Returns the descriptors written,
 * at most cap. Call it again at once while it returns cap. */
unsigned tcp_step(struct tcp *t, const struct pkt *in, unsigned n, struct pkt *out,
                  unsigned cap, ns_t now);

/* When tcp_step must be called next at the latest; `now` or earlier: work waits. */
ns_t tcp_deadline(const struct tcp *t);

/* A transmit frame comes back from ip. False: refused, ip did not hold it. */
bool tcp_tx_done(struct tcp *t, uint32_t addr);

/* A bit per client with events waiting (64 clients a word). */
const uint64_t *tcp_clients_ready(const struct tcp *t);

extern const struct transport_ops tcp_ops;

/* The invariants of everything; for tests, fuzzers and assertions. */
bool tcp_validate(const struct tcp *t);

/* Sessions in use, for tests and statistics. */
uint32_t tcp_sessions(const struct tcp *t);

/* Bytes of a session in the store and in soft memory together, FIFOs aside. */
size_t tcp_session_bytes(void);

#endif
