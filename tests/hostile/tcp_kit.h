/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_kit.h: a tcp domain without its processes: the component, the server of its clients, two
 * clients that speak to it over their arenas (and may write there what they like), and a wire
 * that a test plays by hand.
 */
#ifndef TESTS_TCP_KIT_H
#define TESTS_TCP_KIT_H

#include "domains/serve.h"
#include "tcp/tcp.h"
#include "wire/wire.h"

#define KIT_CLIENTS 2u
#define KIT_OUT 64u

struct kit_client {
    struct arena_view v;
    void *half[2];
    int to_domain[2], to_client[2];
    struct ring_tx req;
    struct ring_rx evt;
    uint32_t cookie;
};

struct kit {
    struct frames frames;
    struct path_table path;
    struct stats stats;
    struct tcp_config cfg;
    void *store, *soft;
    struct tcp *tcp;
    struct serve serve;
    ns_t now;
    struct kit_client c[KIT_CLIENTS];
    struct pkt out[KIT_OUT]; /* what the last kit_turn sent; its frames are given back */
    unsigned n_out;
};

void kit_init(struct kit *k);
void kit_end(struct kit *k);
/* The tcp process dies and the next one starts; no client is back yet. */
void kit_restart(struct kit *k);
void kit_attach(struct kit *k, unsigned client, bool resume);

/* Client side. Put a request on the ring; false: full. */
bool kit_post(struct kit *k, unsigned client, struct sess_req r);
/* The next event, if there is one. */
bool kit_event(struct kit *k, unsigned client, struct sess_evt *e);
/* Request and reply, with as many turns as it takes; events on the way are dropped. Returns
 * the errno of the reply. */
int kit_call(struct kit *k, unsigned client, struct sess_req r, struct sess_evt *reply);
uint64_t kit_socket(struct kit *k, unsigned client, uint32_t *slot);
int kit_bind(struct kit *k, unsigned client, uint64_t handle, uint16_t port);

/* One turn of the domain. */
void kit_turn(struct kit *k);
/* A segment from the peer, then a turn. */
void kit_segment(struct kit *k, const struct tcp_hdr *h);
/* The same with n bytes in it. */
void kit_data(struct kit *k, const struct tcp_hdr *h, uint32_t n);
/* The segment sent last, parsed; false: none was. */
bool kit_sent(const struct kit *k, struct tcp_hdr *h);
/* A connection to the peer's port 9 with so many bytes written, sent and not acknowledged; its
 * handle. The peer's first byte is number 101. */
uint64_t kit_connection(struct kit *k, unsigned client, uint64_t bytes, struct tcp_hdr *syn);

extern const struct ipaddr *const kit_peer;

#endif
