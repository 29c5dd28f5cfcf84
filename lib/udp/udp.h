/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp.h: the UDP component (RFC 768, 1122 4.1). Pure, with the same shape as tcp.h.
 */
#ifndef UDP_UDP_H
#define UDP_UDP_H

#include "base/frame.h"
#include "base/pkt.h"
#include "base/stats.h"
#include "session/ops.h"

struct udp_config {
    uint32_t n_sessions;
    uint32_t sndbuf, rcvbuf; /* default bytes of a session's FIFOs */
    bool csum_partial_ok;    /* as in tcp.h */
    uint8_t key[32];
};

struct udp;

size_t udp_store_size(const struct udp_config *c, const struct frames *f);
size_t udp_soft_size(const struct udp_config *c, const struct frames *f);
struct udp *udp_init(void *store, void *soft, const struct udp_config *c,
                     const struct frames *f, const struct path_table *path, struct stats *stats,
                     ns_t now);
void udp_ip_reset(struct udp *u);
unsigned udp_step(struct udp *u, const struct pkt *in, unsigned n, struct pkt *out,
                  unsigned cap, ns_t now);
ns_t udp_deadline(const struct udp *u); /* 0: work waits, NS_NEVER: none */
bool udp_tx_done(struct udp *u, uint32_t addr);
const uint64_t *udp_clients_ready(const struct udp *u);
extern const struct transport_ops udp_ops;
bool udp_validate(const struct udp *u);
uint32_t udp_sessions(const struct udp *u);

#endif
