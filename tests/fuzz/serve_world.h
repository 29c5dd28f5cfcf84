/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_world.h: a transport domain, the server of its clients, two clients that a fuzzer plays
 * and an honest one that must not notice; for fuzz_serve.c.
 */
#ifndef FUZZ_SERVE_WORLD_H
#define FUZZ_SERVE_WORLD_H

#include "domains/serve.h"
#include "fuzz.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

#define FOES 2u
#define FRIEND 2u
#define CLIENTS 3u
#define SESSIONS 12u
#define SLOTS 8u
#define OWN 0x0a000001u
#define PEER 0x0a000002u
#define FRIEND_PORT 80u
#define FRIEND_BUF 12288u

extern const struct arena_geometry world_geometry;

extern struct world {
    bool is_tcp;
    struct frames frames;
    struct path_table path;
    struct stats stats;
    struct tcp_config tcp_cfg;
    struct udp_config udp_cfg;
    void *store, *soft, *half[CLIENTS][2];
    size_t store_size, soft_size;
    struct tcp *tcp;
    struct udp *udp;
    struct serve s;
    struct arena_view v[CLIENTS];
    struct ring_tx req[CLIENTS];
    struct ring_rx evt[CLIENTS];
    uint32_t foe; /* the hostile client whose turn it is */
    struct foe {
        uint64_t handle[8]; /* as it was told */
        unsigned n_handles;
    } foes[FOES];
    struct sess_evt token; /* the last that one of them had */
    uint64_t friends;      /* the honest one's handle */
    ns_t now;
} w;

/* A new domain with all its clients; the honest one has its session. */
void world_begin(bool is_tcp);
/* The domain's process begins, or begins anew. */
void world_start(void);
/* A client's side anew, on memory that is all zero. */
void world_fresh(uint32_t client);
void world_attach(uint32_t client, bool resume);
/* A turn of the domain, with these packets. */
void world_step(const struct pkt *in, unsigned n);
/* The hostile client is dead and its sessions end. */
void world_bury(void);

/* The domain's invariants hold. */
void world_check(void);
/* The honest client's session is as it left it. */
void world_check_friend(void);

#endif
