/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp_int.h: the UDP component's own structures and the calls between its files.
 *
 * A session's store record survives a crash of the process; the soft record beside it is
 * rebuilt by udp_init and client_add. FIFO cursors that UDP itself moves (rx_tail, tx_head)
 * live in the domain half of the arena, which no client can write.
 */
#ifndef UDP_UDP_INT_H
#define UDP_UDP_INT_H

#include <errno.h>
#include <stdatomic.h>

#include "base/portset.h"
#include "session/clients.h"
#include "session/fifo.h"
#include "session/move.h"
#include "session/turns.h"
#include "udp.h"
#include "wire/csum.h"
#include "wire/wire.h"

#define EPHEMERAL_FIRST 32768u /* as Linux: net.ipv4.ip_local_port_range */
#define EPHEMERAL_LAST 60999u
#define UDP_BUF_MIN 4096u
#define UDP_BUF_MAX (FIFO_MAX - FIFO_PAGE) /* what lies in a FIFO never shares a page */
#define UDP_TTL 64u
#define UDP_PRIORITY_MAX 6u   /* more takes a privilege, and nobody has it */
#define UDP_STEP_RECORDS 256u /* records of clients looked at in one step */
#define UDP_SWEEP (100 * NS_MS)
#define UDP_RECLAIM (10 * NS_S) /* after a restart, frames not returned by then are lost */

enum udp_state {
    US_FREE,
    US_OPEN,
    US_CLOSING, /* closed; what was written before is still being sent */
    US_FREED,   /* over; the client has not let the slot go yet */
    US_STATES
};

/* Bits of udp_name.bits. */
#define UN_ADDR 1u      /* bind() named the address */
#define UN_PORT 2u      /* bind() named the port, or chose one: it stays when the peer goes */
#define UN_CONNECTED 4u /* remote and rport are the peer */
#define UN_REVOKED 16u  /* the program may close it, and no more */

/* What a session is called. Two copies and a selector: a change is whole or did not happen. */
struct udp_name {
    struct ipaddr local; /* 0.0.0.0: any */
    struct ipaddr remote;
    uint16_t lport, rport; /* host order; lport 0: not bound */
    uint32_t bits;
};

struct udp_sess {
    _Atomic uint32_t state; /* enum udp_state */
    uint32_t client, slot;
    uint32_t generation; /* of the slot, when the session got it */
    _Atomic uint32_t sel;
    struct udp_name name[2];
    uint64_t rx_head; /* the client's cursor, believed so far */
    uint64_t tx_end;  /* US_CLOSING: send up to here */
    uint32_t sndbuf, rcvbuf;
    uint8_t ttl; /* 0: the default */
    uint8_t tos;
    uint8_t mtu_disc; /* IP_PMTUDISC_* */
    uint8_t group_ttl;
    bool group_from_own; /* IP_MULTICAST_IF names our address */
    bool group_loop;     /* kept: nobody here is a member */
    bool broadcast, reuseaddr, reuseport;
    bool keepalive, oobinline; /* these two, and what follows, are kept and have no effect */
    bool linger_on;
    uint8_t priority;
    uint32_t linger; /* seconds */
    struct sess_grant grant;
    struct sess_move mv;
    uint64_t n_rx, n_tx, n_drop; /* payload bytes, payload bytes, datagrams */
};

struct udp_soft {
    struct client_link link;
    uint32_t bound_next, bound_prev; /* those with the same port */
    uint32_t conn_next, conn_prev;
    uint32_t tx_next;
    bool hashed;
    bool sending; /* on the transmit list, or on that of its account */
    bool held;    /* the latter: the account's rate does not let it send now */
    bool touched; /* slot words changed in this step */
    bool full;    /* no room when a datagram came: ip drops what comes for it */
    bool starved; /* the same, and it was its client's pages that were missing */
    bool suspect; /* in work at two crashes in a row, or its record was damaged */
};

#define UDP_STORE_MAGIC 0x55445032u
struct udp_store {
    uint32_t magic;
    uint32_t n_sessions, n_frames;
    _Atomic uint32_t working; /* session in work, SESS_NONE: none */
    uint32_t crashed;         /* the one in work at the last crash */
    uint32_t pad;
};

/* Holders of transmit frames. */
#define HOLD_IP 1u
#define HOLD_OLD 2u /* was out when we died */

struct udp {
    struct udp_config cfg;
    struct frames frames;
    const struct path_table *path;
    struct stats *stats;
    struct udp_store *store;
    struct udp_sess *sess;
    struct udp_soft *soft;
    struct pool pool;
    uint32_t *free; /* session numbers */
    uint32_t n_free;
    uint32_t high;  /* sessions from this number on were not in use since the start */
    uint32_t *conn; /* connected ones, by local port and peer; hash_mask + 1 heads */
    uint32_t hash_mask;
    uint32_t *touched;
    uint32_t n_touched;
    struct turns tx; /* sessions with something to send */
    struct {
        uint32_t first, last; /* sessions that wait for their account's rate, in turn */
    } held[ACCOUNTS_MAX];
    uint64_t holding[ACCOUNTS_MAX / 64]; /* a bit per account with such */
    bool starved;                        /* nothing more can be sent until a frame comes back */
    uint64_t n_drawn;                    /* random numbers so far */
    ns_t reclaim_at; /* HOLD_OLD frames are ours again; NS_NEVER: there are none */
    ns_t reopen_at;  /* sessions that are starved may try again; NS_NEVER: there are none */
    ns_t now;
    /* the step's output */
    struct pkt *out;
    unsigned n_out, cap;
    ns_t swept[CLIENTS_MAX];
    uint32_t steps;         /* the request in work took so far (PACE_STEP) */
    struct portset taken;   /* local ports in use */
    uint32_t bound[65536];  /* by local port: the first session that has it, */
    uint32_t n_have[65536]; /* how many do, */
    uint32_t n_open[65536]; /* and those of them that have room */
    struct clients clients;
};

static inline bool
is_group(const struct ipaddr *a)
{
    return ipaddr_to_u32(a) >> 28 == 0xe;
}
static inline uint32_t
state_of(const struct udp_sess *s)
{
    return atomic_load_explicit(&s->state, memory_order_relaxed);
}
static inline void
state_set(struct udp_sess *s, uint32_t state)
{
    atomic_store_explicit(&s->state, state, memory_order_release);
}
static inline const struct udp_name *
name_of(const struct udp_sess *s)
{
    return &s->name[atomic_load_explicit(&s->sel, memory_order_relaxed) & 1];
}
/* The arena of a session; NULL while its client is not attached (after a restart). */
static inline struct client *
client_of(struct udp *u, uint32_t sess)
{
    return clients_get(&u->clients, u->soft[sess].link.client);
}

/* table.c */
void table_init(struct udp *u);
void table_insert(struct udp *u, uint32_t sess);
void table_unlink(struct udp *u, uint32_t sess);
/* Give the session another name: out of the tables, committed, in again. */
void table_rename(struct udp *u, uint32_t sess, const struct udp_name *name);
/* The session that a datagram is for, SESS_NONE: nobody listens. */
uint32_t table_lookup(const struct udp *u, const struct ipaddr *local, uint16_t lport,
                      const struct ipaddr *remote, uint16_t rport);
/* The same among connected sessions only. */
uint32_t table_connected(const struct udp *u, const struct ipaddr *local, uint16_t lport,
                         const struct ipaddr *remote, uint16_t rport);
/* The session has no room, or has some again; ip is told what follows for its port. */
void table_full(struct udp *u, uint32_t sess, bool full);
/* May the session have this address and port beside those who have it already? */
bool table_port_free(struct udp *u, uint32_t sess, const struct ipaddr *local, uint16_t port);
/* A port that the session may have and nobody uses, of the ephemeral range if possible, chosen
 * at random (RFC 6056 3.3.1); 0: none. */
uint16_t table_port_pick(struct udp *u, const struct udp_sess *s);
/* The session is where its name says, or nowhere if it has none. */
bool table_validate(const struct udp *u, uint32_t sess);

/* rx.c */
void rx_step(struct udp *u, const struct pkt *in, unsigned n);
/* Take in how far the client has read, and give it back its pages. */
void rx_refresh(struct udp *u, uint32_t sess);
/* It may have room again. */
void rx_reopen(struct udp *u, uint32_t sess);
/* The same for all that wait for pages. */
void rx_reopen_starved(struct udp *u);

/* tx.c */
void tx_step(struct udp *u);
void tx_queue(struct udp *u, uint32_t sess);
/* When a session that waits for its account's rate may go on; NS_NEVER: none does. */
ns_t tx_due(const struct udp *u);
/* Every session may ask its account again. */
void tx_release(struct udp *u);
void tx_unqueue(struct udp *u, uint32_t sess);
turns_next_of tx_next_of;
/* Where the client has written to; equal to tx_head if it wrote nonsense. */
uint64_t tx_tail(struct udp *u, uint32_t sess);

/* session.c */
int sess_open(struct udp *u, uint32_t client, const struct sess_grant *g, uint32_t *sess,
              uint32_t *slot);
void sess_close(struct udp *u, uint32_t sess);
/* Nothing is left to send: tell the client, or be gone if it is. */
void sess_finish(struct udp *u, uint32_t sess);
void sess_release(struct udp *u, uint32_t sess);
int sess_bind(struct udp *u, uint32_t sess, const struct ipaddr *addr, uint16_t port);
int sess_connect(struct udp *u, uint32_t sess, const struct ipaddr *addr, uint16_t port);
/* Give it a port if it has none. 0 or errno. */
int sess_autobind(struct udp *u, uint32_t sess);
int sess_shutdown(struct udp *u, uint32_t sess, uint64_t how);
void sess_revoke(struct udp *u, uint32_t sess);
void sess_error(struct udp *u, uint32_t sess, int err);
/* The slot's words changed: look at the end of the step whether the client waits for it. */
void sess_touch(struct udp *u, uint32_t sess);
void sess_wake_touched(struct udp *u);
bool sess_check(const struct udp *u, uint32_t sess);
/* May its account send to there? 0 or EPERM. */
int sess_may_send(struct udp *u, uint32_t sess, const struct ipaddr *dst, uint16_t port);
/* And may it get datagrams from there? */
bool sess_admits(struct udp *u, uint32_t sess, const struct ipaddr *src, uint16_t port);
/* 0.0.0.0 as a destination means this host (path_peer); broadcast needs leave. 0 or errno. */
int sess_destination(const struct udp *u, const struct udp_sess *s, struct ipaddr *dst,
                     uint16_t port);

/* move.c: for the table of calls (session/ops.h) */
int move_delegate(struct transport *tr, uint32_t sess, uint64_t handle, ns_t now,
                  uint64_t token[2]);
int move_token(struct transport *tr, uint32_t sess, const uint64_t token[2], uint32_t client,
               ns_t now, struct sess_redeem *out);
int move_redeem(struct transport *tr, uint32_t sess, uint32_t client, uint64_t root,
                uint32_t deny, ns_t now, struct sess_redeem *out);
int move_take_back(struct transport *tr, uint32_t sess, uint32_t client, uint64_t handle,
                   ns_t now);
void move_slot_let_go(struct transport *tr, uint32_t client, uint32_t slot);
/* Its datagrams are being copied: nothing may change. */
bool sess_move_holds(struct udp *u, uint32_t sess);
/* It does not move after all. */
void sess_move_stop(struct udp *u, uint32_t sess);
void sess_move_resume(struct udp *u, uint32_t sess);
void sess_move_settle(struct udp *u, uint32_t client, const struct arena_view *v);
void sess_move_client_gone(struct udp *u, uint32_t sess, uint32_t client);

/* option.c */
int option_set(struct udp *u, uint32_t sess, int level, int name, uint64_t value);
int option_get(struct udp *u, uint32_t sess, int level, int name, uint64_t *value);

/* The account of a session's client; NULL: it has none. */
static inline struct account *
account_of(struct udp *u, uint32_t sess)
{
    const struct client *c = client_of(u, sess);
    return c != NULL ? client_account(&u->clients, c) : NULL;
}

/* client.c */
struct client_link *udp_link_of(void *ctx, uint32_t sess);

#endif
