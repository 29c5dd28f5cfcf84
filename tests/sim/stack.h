/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stack.h: one complete stack of the simulated composition: ip, tcp and udp joined as in the
 * monolith (domains/join.c), clients served as in any domain (domains/serve.c), and a NIC that
 * keeps account of every frame: it fails the test when one is handed over that its holder did
 * not have.
 */
#ifndef SIM_STACK_H
#define SIM_STACK_H

#include "domains/join.h"
#include "domains/serve.h"
#include "wire.h"

#define STACK_CLIENTS 4u /* tcp: ids from 0; udp: from SERVE_CLIENTS */
#define STACK_TX_MAX 1024u

enum stack_up { STACK_TCP, STACK_UDP };

struct stack_config {
    uint32_t addr; /* host order */
    uint16_t mtu;
    uint64_t seed;
    uint32_t frames[PART_COUNT];
    uint32_t tcp_sessions, udp_sessions, half_open, orphans;
    uint32_t sndbuf, rcvbuf; /* of streams */
    uint32_t buffer_max;     /* that they grow to by themselves */
    uint32_t runs;           /* as in tcp_config */
    uint32_t udp_buf;        /* of datagrams, each way */
    uint32_t isn_fixed;      /* as in tcp_config, and so are these */
    uint8_t ecn, congestion, cookies;
    bool pacing;
    uint32_t batch;       /* received frames that one turn takes, 1 to BATCH_MAX */
    ns_t tx_time;         /* the NIC keeps a frame so long at most */
    uint32_t check_every; /* turns; 0 counts as 1 */
};

/* At which call of its server a transport dies. */
struct stack_death {
    uint32_t in;    /* at this many calls from now; 0: not */
    unsigned call;  /* of this kind: REQ_*, or STACK_EVENT + EVT_*; 0: of any */
    bool after;     /* not before it (an event is always taken) */
    uint32_t again; /* and so many times more, at the next such call */
};
#define STACK_EVENT 100u

struct stack_client {
    bool used, gone;
    struct arena_view v;
};

struct stack {
    struct stack_config cfg;
    struct rng rng;
    struct wire *out; /* what the NIC sends */
    /* memory as in a domain: the stores outlive a crash */
    struct frames frames;
    struct path_table path;
    struct port_table ports;
    struct stats stats;
    struct tcp_config tcp_cfg;
    struct udp_config udp_cfg;
    struct ip_config ip_cfg;
    void *ip_mem, *tcp_store, *tcp_soft, *udp_store, *udp_soft, *lists;
    struct join join;
    struct serve serve[2];
    struct stack_client client[2][STACK_CLIENTS];
    /* the NIC */
    uint8_t *holder;  /* per frame of the frame space: enum stack_holder */
    uint32_t *filled; /* empty receive frames that the NIC has */
    uint32_t n_filled;
    struct fdesc *rx; /* received, not yet taken by ip */
    uint32_t n_rx;
    struct stack_tx {
        uint32_t addr;
        ns_t done;
    } tx[STACK_TX_MAX];
    uint32_t n_tx;
    uint64_t turns, idle_turns; /* idle: nothing was due and nothing was done */
    uint64_t n_no_frame;
    /* crash.c: it dies while it serves its clients */
    struct transport_ops ops[2];
    struct stack_death death[2];
    uint32_t n_died;
    ns_t blocked_until;
    bool started;       /* a component: it takes a turn before it sleeps */
    const char *broken; /* the invariant that failed first; NULL: none */
};

/* In nobody's hands but ip's and its upper neighbours'; with the NIC to be filled; received;
 * to be sent. */
enum stack_holder { WITH_IP, NIC_EMPTY, NIC_FULL, NIC_TX };

void stack_init(struct stack *s, const struct stack_config *c, struct wire *out, ns_t now);
void stack_free(struct stack *s);

/* A client's arenas are there. id: below STACK_CLIENTS. */
void stack_attach(struct stack *s, enum stack_up up, uint32_t id, const struct arena_view *v);
/* The client died. */
void stack_gone(struct stack *s, uint32_t id, ns_t now);
/* All its sessions are over and its arenas were let go. */
bool stack_left(const struct stack *s, uint32_t id);

/* A frame from the wire: lost if the NIC has no empty one. */
void stack_receive(struct stack *s, const uint8_t *frame, uint32_t len);

/* Everything that is due at now, once. True: something was done. */
bool stack_turn(struct stack *s, ns_t now);
/* Is there anything to do at now? */
bool stack_due(struct stack *s, ns_t now);
/* When something will be due if nothing comes in. */
ns_t stack_next(struct stack *s, ns_t now);

/* All invariants, of the components and of the NIC's account; NULL, or what is wrong. */
const char *stack_check(struct stack *s);
/* The same for a stack at rest with no session and no client's request: no frame is out, every
 * page and slot of the clients is free. */
const char *stack_check_rest(struct stack *s);

/* ---- crash.c: a component is killed and comes back, as the supervisor would do it ---- */

/* Where in its last step tcp died. */
enum crash_point {
    CRASH_IDLE,        /* between steps */
    CRASH_UNCOMMITTED, /* payload is in the FIFOs, nothing else */
    CRASH_UNSHOWN,     /* committed, the clients' words not yet written */
    CRASH_UNSENT,      /* all but the segments */
    CRASH_POINTS
};
void stack_crash_tcp(struct stack *s, enum crash_point at, ns_t now);
void stack_crash_udp(struct stack *s, ns_t now);
void stack_crash_serving(struct stack *s, enum stack_up up, const struct stack_death *d);
void stack_crash_ip(struct stack *s, ns_t now);

/* crash.c, for stack.c */
const struct transport_ops *stack_ops(struct stack *s, enum stack_up up);
bool stack_requests(struct stack *s, enum stack_up up, ns_t now);
void stack_events(struct stack *s, enum stack_up up, ns_t now);
void stack_serve_gone(struct stack *s, enum stack_up up, uint32_t id, ns_t now);

/* stack.c, for crash.c */
void stack_nic_forget(struct stack *s, uint32_t parts);
void stack_take_rx(struct stack *s, struct fdesc *f, unsigned *n);
void stack_give_freed(struct stack *s);
struct transport *stack_transport(struct stack *s, enum stack_up up);
void stack_serve(struct stack *s, enum stack_up up, bool resume, ns_t now);

/* inspect_tcp.c, inspect_udp.c: what only the components' own headers tell */
uint32_t inspect_tcp_frames(const struct tcp *t);
void inspect_tcp_tell(const struct tcp *t, ns_t start);
uint32_t inspect_udp_frames(const struct udp *u);
const char *inspect_tcp_client(struct tcp *t, uint32_t id);
const char *inspect_udp_client(struct udp *u, uint32_t id);

#endif
