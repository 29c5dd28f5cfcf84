/* SPDX-License-Identifier: BSD-2-Clause
 *
 * transport.h: the domain around a transport component: its link to ip below, its clients
 * above. tcp_main.c and udp_main.c say which component it is.
 */
#ifndef DOMAINS_TRANSPORT_H
#define DOMAINS_TRANSPORT_H

#include "domain.h"
#include "serve.h"

struct transport_kind {
    const struct transport_ops *ops;
    uint32_t first_client;
    unsigned (*step)(struct transport *, const struct pkt *in, unsigned n, struct pkt *out,
                     unsigned cap, ns_t now);
    ns_t (*deadline)(const struct transport *);
    bool (*tx_done)(struct transport *, uint32_t addr);
    void (*ip_reset)(struct transport *);
    const uint64_t *(*ready)(const struct transport *);
};

/* Serve until the supervisor ends it. tr is initialised. */
_Noreturn void transport_run(struct domain *d, const struct transport_kind *k,
                             struct transport *tr);

/* The part of a domain's configuration that each component wants, in its own form. */
struct tcp_config;
struct udp_config;
void transport_tcp_config(const struct ctl_config *c, struct tcp_config *t);
void transport_udp_config(const struct ctl_config *c, struct udp_config *u);

#endif
