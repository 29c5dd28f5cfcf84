/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ops.h: what a transport component (tcp, udp) offers to whoever serves its
 * clients: the same for both, so that one piece of code (domains/serve.c) serves both.
 * Sessions are named by their number in the session store; the server has looked up
 * the client's handle and its rights before it calls.
 */
#ifndef SESSION_OPS_H
#define SESSION_OPS_H

#include "account.h"
#include "session.h"

#define SESS_NONE UINT32_MAX
#define CLIENTS_MAX 256u

struct sess_limits {
    uint32_t sessions;  /* at once, orphans included */
    uint32_t half_open; /* SYN-RCVD sessions over all listeners */
    uint32_t uid;       /* of whoever attached, as the kernel told */
    uint32_t account;   /* its number, below ACCOUNTS_MAX: clients with the same one share it */
    uint32_t epoch;     /* another one: the number stands for another account than before */
    uint32_t pad;
    struct account_rules rules; /* of the account, for this transport */
};

/* What a session was made from, and so may do: kept as long as it lives, and passed on to the
 * connections that it accepts. */
struct sess_grant {
    uint64_t creator;     /* its handle in the client's table; 0: none */
    uint16_t first, last; /* local ports */
};
static inline bool
grant_port(const struct sess_grant *g, uint16_t port)
{
    return port >= g->first && port <= g->last;
}
/* Where to look for a port for the session: the part of [*first, *last] that it may have, if
 * there is one; else all that it may have. */
static inline void
grant_range(const struct sess_grant *g, uint32_t *first, uint32_t *last)
{
    bool apart = g->first > *last || g->last < *first;
    *first = apart ? g->first : max_u32(*first, g->first);
    *last = apart ? g->last : min_u32(*last, g->last);
}

/* The SO_PRIORITY that Linux derives from IP_TOS. */
static inline uint8_t
tos_priority(uint8_t tos)
{
    static const uint8_t of[] = {0, 2, 6, 4}; /* by the bits for throughput and delay */
    return of[tos >> 3 & 3];
}

/* One line of `bulkheadctl sessions`. */
struct sess_info {
    uint32_t sess;
    uint32_t client;
    uint8_t proto;
    uint8_t state; /* enum tcp_state; udp: 0 */
    uint16_t lport, rport;
    struct ipaddr local, remote;
    uint64_t rx_bytes, tx_bytes, drops, retransmits;
    uint32_t rx_queued, tx_queued;
    uint32_t srtt_us, cwnd, rto_us;
    uint32_t slot; /* in the client's arena; SESS_NONE: none */
};

/* What a token stands for, and what came of it. */
struct sess_redeem {
    uint32_t client;     /* the giver */
    uint32_t giver_slot; /* which is SLOT_GIVEN now */
    uint64_t handle;     /* in the giver's table: that the token was made for */
    bool again;          /* it is the taker's already, and the taker does not know */
    uint32_t slot;       /* the taker's */
    uint64_t tx_tail, rx_head;
    uint32_t deny;  /* rights that the taker has not */
    uint32_t steps; /* what this call of redeem had to copy and to look at (PACE_STEP) */
};

struct transport; /* struct tcp or struct udp */

struct transport_ops {
    /* A client's arena is mapped. The slots of a new arena are all zero; after a
     * restart they hold the sessions that go on. Returns 0 or errno. */
    int (*client_add)(struct transport *, uint32_t client, const struct arena_view *,
                      const struct sess_limits *);
    /* The client died: its sessions end as if closed. client_idle becomes true when
     * its arena is no longer needed. */
    void (*client_gone)(struct transport *, uint32_t client, ns_t now);
    bool (*client_idle)(const struct transport *, uint32_t client);
    void (*client_remove)(struct transport *, uint32_t client);

    /* A new session in a free slot of the client's arena. 0 or errno (EMFILE: limit or
     * no slot; ENFILE: store full). */
    int (*open)(struct transport *, uint32_t client, const struct sess_grant *, uint32_t *sess,
                uint32_t *slot);
    /* A request (REQ_BIND ... REQ_RELEASED, REQ_REVOKE) on a session; fills err and results
     * of the reply. The caller knows from the op whether to send it. Returns how many entries
     * of lists and tables had to be looked at for it, as PACE_STEP counts them. */
    uint32_t (*request)(struct transport *, uint32_t sess, const struct sess_req *,
                        struct sess_evt *reply, ns_t now);
    /* The next event for a client (EVT_READY, EVT_ACCEPT, EVT_FREED), false if none.
     * EVT_ACCEPT and EVT_FREED carry the session number in `cookie`; the server turns
     * it into a handle, under the creator that EVT_ACCEPT has in `handle`. */
    bool (*next_event)(struct transport *, uint32_t client, struct sess_evt *);
    /* A token for the session, made for this handle of its client. 0; ENOBUFS: the client has
     * too many; ELOOP: it went through too many hands; ECONNABORTED. */
    int (*delegate)(struct transport *, uint32_t sess, uint64_t handle, ns_t now,
                    uint64_t token[2]);
    /* Is it the token of this session, for a client other than the one that has it? 0, or
     * ENOENT: it is not; EINVAL: it has the session; EAGAIN. */
    int (*token)(struct transport *, uint32_t sess, const uint64_t token[2], uint32_t client,
                 ns_t now, struct sess_redeem *);
    /* Move it to the client; `root` stays with the giver to take it back. What it cost is told
     * in `steps`, whatever it came to. 0 or EINPROGRESS (ask again), EMFILE, ENOBUFS (nothing
     * was moved), EBUSY, EAGAIN, ENOENT. */
    int (*redeem)(struct transport *, uint32_t sess, uint32_t client, uint64_t root,
                  uint32_t deny, ns_t now, struct sess_redeem *);
    /* Revoke it, if this client gave it away by this handle. */
    int (*take_back)(struct transport *, uint32_t sess, uint32_t client, uint64_t handle,
                     ns_t now);
    /* A slot that is SLOT_GIVEN is free. */
    void (*slot_release)(struct transport *, uint32_t client, uint32_t slot);
    /* After a crash: the session has a slot, and its client does not know of it. True: it
     * will, by an EVT_ACCEPT that is queued now or later. False: it never will. */
    bool (*tell_again)(struct transport *, uint32_t sess);
    /* The rules of a client's account are new, or it belongs to another account. What it has
     * stays; what it asks for from now on is judged by them. */
    void (*client_limits)(struct transport *, uint32_t client, const struct sess_limits *);
    /* The next denial that is to be told; false: none. */
    bool (*denial)(struct transport *, struct account_denial *);
    /* Fill in line `sess` or the next one in use after it; false at the end. */
    bool (*info)(const struct transport *, uint32_t sess, struct sess_info *);
};

#endif
