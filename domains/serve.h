/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve.h: the clients' side of a transport domain: takes requests off each client's ring,
 * turns handles into sessions by the rights they carry, and hands replies and events back. The
 * same for tcp and udp, in their own processes and in the monolith. serve_* on memory alone
 * (serve.c) makes no system call but ringing a bell; taking in and letting go of clients is in
 * serve_client.c.
 */
#ifndef DOMAINS_SERVE_H
#define DOMAINS_SERVE_H

#include "ipc/bell.h"
#include "ipc/ctl.h"
#include "ipc/handle.h"
#include "ipc/ring.h"
#include "base/stats.h"
#include "session/ops.h"
#include "session/pace.h"

#define SERVE_CLIENTS 128u /* per protocol; ids from `first` on */

RING_DEFINE(reqring, struct sess_req)
RING_DEFINE(evtring, struct sess_evt)

struct served {
    bool used;
    bool gone;       /* the client died; waiting for its sessions to end */
    bool poisoned;   /* it broke its ring: not served any more */
    bool tell_given; /* EVT_GIVEN waits for room in its ring */
    uint32_t quiet_turns;
    uint32_t rung_for_nothing; /* its bell, since it last had a request */
    ns_t deaf_until;           /* and so it is not listened to; 0: it is */
    struct pace pace;          /* what it may take of our time */
    struct arena_view v;
    void *client_half, *domain_half; /* as mapped; NULL in tests */
    struct ring_rx req;
    struct ring_tx evt;
    uint32_t begun;    /* requests before this index were begun by a process that died */
    uint32_t evt_rung; /* the client's bell was thought of for events before this index */
    struct bell_sleeper sleeper;
    struct bell_ringer ringer; /* it waits for events */
    struct bell_ringer space;  /* it waits for room for requests */
    struct handle_table *handles;
    uint32_t n_handles;  /* of it, as counted in the statistics */
    uint32_t n_standins; /* descriptors in v.standin */
};
_Static_assert(SERVE_CLIENTS * 2 == CLIENTS_MAX, "half of the ids are tcp's");

struct serve {
    const struct transport_ops *ops;
    struct transport *tr;
    const uint64_t *ready; /* a bit per client id with events in the transport */
    struct stats *stats;
    uint32_t first;                       /* id of c[0] */
    uint32_t life;                        /* of this process: which descriptors are its own */
    struct ctl_standins over;             /* that the supervisor is to be told of */
    uint64_t active[SERVE_CLIENTS / 64];  /* looked at every turn */
    uint64_t blocked[SERVE_CLIENTS / 64]; /* events wait for room in the client's ring */
    uint64_t held[SERVE_CLIENTS / 64];    /* it asked too much: not looked at for a while */
    uint32_t n_gone;
    ns_t deaf_until; /* the first of the clients' */
    ns_t held_until; /* likewise */
    uint32_t turn;   /* the client that is served first next time */
    uint32_t shown;  /* the same for events */
    bool behind;     /* events wait only because a turn is bounded */
    struct served c[SERVE_CLIENTS];
    /* For listing the sessions of several transports in one process: the number that our first
     * one is shown under, and who goes on after our last. */
    uint32_t list_base;
    const struct serve *list_next;
    /* A client broke the rules of its ring: the supervisor is told through this. */
    void (*report)(void *ctx, uint32_t id, const char *what);
    void *ctx;
};

void serve_init(struct serve *s, const struct transport_ops *ops, struct transport *tr,
                const uint64_t *ready, uint32_t first, struct stats *stats);

/* A client's arena is mapped at v. resume: it was in use before this process. Returns 0 or
 * errno. fd_sleep, fd_ring: ends of its bells (serve.h does not close them). */
must_check int serve_add(struct serve *s, uint32_t id, const struct arena_view *v,
                         const struct sess_limits *limits, bool resume, int fd_sleep,
                         int fd_ring);

/* The client died. */
void serve_gone(struct serve *s, uint32_t id, ns_t now);
/* A client that died and whose sessions have ended, so that its arena can be unmapped and
 * serve_remove called; SESS_NONE: none. */
uint32_t serve_idle_client(struct serve *s);
void serve_remove(struct serve *s, uint32_t id);

/* Its bell rang: look at it again. */
void serve_wake(struct serve *s, uint32_t id);

/* Is c[i] not served for a while, because it asked too much (session/pace.h)? */
static inline bool
serve_is_held(const struct serve *s, uint32_t i)
{
    return (s->held[i / 64] >> (i % 64) & 1) != 0;
}

/* Requests of the active clients, in turn, beginning with who is next after the last: a bounded
 * number in all, and of each no more than leaves the others theirs. True: there was one. */
bool serve_requests(struct serve *s, ns_t now);
/* Events of the clients that have some, in the same way. Call after the transport's step. */
void serve_events(struct serve *s);
/* Before sleeping: arm every active client's bell. True: a request waits after all. */
bool serve_arm(struct serve *s);
/* When to look again because a client left no room for its events, or there are more; NS_NEVER.
 */
ns_t serve_deadline(const struct serve *s, ns_t now);

/* A request by a handle that names nothing, or not this, or not for that. */
static inline void
serve_bad_handle(struct serve *s, uint32_t i)
{
    stat_inc(s->stats, STAT_req_bad_handle);
    stat_client(s->stats, s->first + i, CLIENT_STAT_requests_bad, 1);
}

/* ---- serve_standin.c: what stands for sessions in programs' descriptor tables ---- */

/* A descriptor for client i came from the supervisor. 0; -EEXIST: it is not wanted. */
must_check int serve_standin_take(struct serve *s, uint32_t i, uint32_t number, int fd);
/* The program's end of entry `at` is closed: its session ends as by REQ_CLOSE. Returns the
 * descriptor, which is the caller's to close; -1: there was none. */
must_check int serve_standin_over(struct serve *s, uint32_t i, uint32_t at, ns_t now,
                                  uint32_t *number);
/* Something was told of entry `at`: is the program's end closed? */
must_check bool serve_standin_closed(struct serve *s, uint32_t i, uint32_t at);
/* The session was shut down by its client. */
void serve_standin_shut(struct serve *s, uint32_t i, uint32_t sess);
/* REQ_STANDIN */
void serve_standin(struct serve *s, uint32_t i, uint32_t sess, const struct sess_req *r,
                   ns_t now);
/* EVT_READY: true: shown, there is nobody else to tell. */
must_check bool serve_standin_ready(struct serve *s, uint32_t i, const struct sess_evt *ev);
/* An EVT_ACCEPT for the listener in this slot was told. */
void serve_standin_accept(struct serve *s, uint32_t i, uint32_t listener);

/* ---- serve_told.c, for serve.c ---- */

/* A successor finds what we did up to here, whatever happens next. */
#define serve_in_order() atomic_signal_fence(memory_order_seq_cst)

/* An event for the client; its room was made sure of before. new_slot: of the session that it
 * tells of; SESS_NONE: of none that is new. */
void serve_tell(struct served *c, const struct sess_evt *e, uint32_t new_slot);
/* The same for the reply with a handle that was minted. */
void serve_tell_minted(struct served *c, const struct sess_evt *e);
/* A session that its client knows nothing of goes again, slot and all. */
void serve_drop(struct serve *s, uint32_t sess);
/* After a crash, c[i]'s sessions are back: names that mean nothing any more go, and sessions
 * that its client does not know of are told again, or go. */
void serve_take_up(struct serve *s, uint32_t i);

/* A request that makes no sense. */
static inline void
serve_bad_request(struct serve *s, uint32_t i)
{
    stat_inc(s->stats, STAT_req_bad);
    stat_client(s->stats, s->first + i, CLIENT_STAT_requests_bad, 1);
}

/* ---- serve_call.c, for serve.c ---- */

/* Do what c[i] asks for, and answer where an answer is due; its room was made sure of. What it
 * costs is charged to c[i]. */
void serve_call(struct serve *s, uint32_t i, const struct sess_req *r, ns_t now);

/* ---- serve_handle.c, for serve.c: requests about handles as such ---- */

/* The creator that a new arena's table begins with. */
void serve_first_creator(struct served *c);
/* A session from a creator. */
void serve_open(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply);
/* The name for a session that was accepted. HANDLE_NONE: its creator is dead. */
uint64_t serve_name_accepted(struct served *c, uint32_t sess, uint64_t creator);
void serve_mint(struct served *c, const struct sess_req *r, struct sess_evt *reply);
void serve_revoke(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
                  ns_t now);

/* ---- serve_give.c, for serve.c ---- */

void serve_delegate(struct serve *s, uint32_t i, const struct sess_req *r,
                    struct sess_evt *reply, ns_t now);
void serve_redeem(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
                  ns_t now);
/* Was it a request about a slot whose session was given away? Then it is done. */
bool serve_given(struct serve *s, uint32_t i, const struct sess_req *r, struct sess_evt *reply,
                 ns_t now);
/* Its creator was revoked. */
void serve_given_ended(struct serve *s, uint32_t i, uint32_t slot, uint64_t handle, ns_t now);
void serve_tell_given(struct serve *s, uint32_t i);
void serve_given_take_up(struct serve *s, uint32_t i);

/* ---- serve_event.c, for serve.c ---- */

/* Make visible what was written to the client's event ring, and wake it if it sleeps. */
void serve_publish(struct serve *s, uint32_t i);
/* After anything that makes or ends handles of it. */
void serve_count_handles(struct serve *s, uint32_t i);
/* The clients of a mask that has a bit for each, or of two, beginning with `from` and going
 * round; *n: how many. */
void serve_in_turn(const uint64_t *a, const uint64_t *b, uint32_t from,
                   uint8_t order[SERVE_CLIENTS], unsigned *n);

/* serve.c: it broke its rings, and is not served any more. */
void serve_poison(struct serve *s, uint32_t i, const char *what);

static inline void
serve_bit_set(uint64_t *m, uint32_t i)
{
    m[i / 64] |= 1ull << (i % 64);
}
static inline void
serve_bit_clear(uint64_t *m, uint32_t i)
{
    m[i / 64] &= ~(1ull << (i % 64));
}

#endif
