/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp.h: the UDP component (RFC 768, 1122 4.1). Pure, with the same shape as tcp.h: time and
 * randomness are arguments, memory is handed over once, every call is bounded.
 */
#ifndef UDP_UDP_H
#define UDP_UDP_H

#include "base/frame.h"
#include "base/pkt.h"
#include "base/ports.h"
#include "base/stats.h"
#include "session/ops.h"

struct udp_config {
    uint32_t n_sessions;
    uint32_t sndbuf, rcvbuf;  /* default bytes of a session's FIFOs, record headers included */
    bool csum_partial_ok;     /* as in tcp.h */
    bool csum_trusted;        /* ip gives PKT_CSUM */
    uint8_t key[32];          /* secrets: hash, ports */
    struct port_table *ports; /* what ip is told of them; NULL: nothing */
};

struct udp;

/* Two blocks of memory: the store outlives a crash (region of the udp domain), the rest is
 * rebuilt. Bytes, cache-line aligned. */
size_t udp_store_size(const struct udp_config *c, const struct frames *f);
size_t udp_soft_size(const struct udp_config *c, const struct frames *f);

/* store all zero, or of other sizes: a first start. Else the sessions in it go on: their ports
 * stay taken, and client_add gives them their arena back. Frames that were out when the last
 * life ended are taken back when they return, or after ten seconds. */
struct udp *udp_init(void *store, void *soft, const struct udp_config *c,
                     const struct frames *f, const struct path_table *path, struct stats *stats,
                     ns_t now);

/* The frames that the dead ip domain or the NIC held are free again. */
void udp_ip_reset(struct udp *u);

/* Datagrams and ICMP messages up (n <= BATCH_MAX + FRAME_MAX_CHAIN; a chain is never cut), and
 * what may be sent, into out. Returns the descriptors written, at most cap. A datagram waits
 * while cap has no room for all its fragments: FRAME_MAX_CHAIN is enough for any. */
unsigned udp_step(struct udp *u, const struct pkt *in, unsigned n, struct pkt *out,
                  unsigned cap, ns_t now);

/* When udp_step must be called next at the latest; 0: work waits; NS_NEVER: only for input, a
 * request or a frame that comes back. */
ns_t udp_deadline(const struct udp *u);

/* A transmit frame comes back from ip. False: refused, ip did not hold it. */
bool udp_tx_done(struct udp *u, uint32_t addr);

/* A bit per client with events waiting (64 clients a word). */
const uint64_t *udp_clients_ready(const struct udp *u);

extern const struct transport_ops udp_ops;

/* The invariants of everything; for tests, fuzzers and assertions. */
bool udp_validate(const struct udp *u);

/* Sessions in use, for tests and statistics. */
uint32_t udp_sessions(const struct udp *u);

#endif
