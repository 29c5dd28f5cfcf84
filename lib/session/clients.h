/* SPDX-License-Identifier: BSD-2-Clause
 *
 * clients.h: what tcp and udp keep of each client in the same way: its arena, its free slots
 * and pages, and the queue of sessions that have something to tell it. All but the struct
 * itself lies in the client's own arena (domain half), so the client pays and a restarted
 * domain can rebuild it. Pure.
 */
#ifndef SESSION_CLIENTS_H
#define SESSION_CLIENTS_H

#include "base/stats.h"
#include "fifo.h"
#include "ops.h"

/* A session's part in it; embedded in tcb and udp session. */
struct client_link {
    uint32_t client; /* SESS_NONE: nobody's */
    uint32_t slot;   /* SESS_NONE: no slot (orphan, not accepted yet) */
    uint32_t posted; /* arm generation that was answered, at least in part */
    uint32_t next;   /* session queue of the client: its neighbours, while it is queued */
    uint32_t prev;
    uint8_t events; /* 1 << enum evt_kind that wait to be told */
    uint8_t hit;    /* SLOT_READ, SLOT_WRITE that were answered of that generation */
    uint8_t fresh;  /* ... and wait to be told with EVT_READY */
    uint8_t over;   /* SLOT_EOF, SLOT_DEAD that were told for its stand-in, if it has one */
    bool queued;
};

struct client {
    bool used;
    bool gone; /* died; its sessions are ending */
    struct arena_view v;
    struct sess_limits limits;
    struct page_pool pages;
    uint32_t n_slots_free; /* on v.slot_stack, and those that were never used */
    uint32_t slots_high;   /* the first of these; half_head has a copy for our successor */
    uint32_t n_sessions;   /* charged to it, orphans included */
    uint32_t n_half_open;  /* tcp: its SYN-RCVD sessions, over all listeners */
    uint64_t answers;      /* written so far */
    uint32_t pending[16];  /* sessions that it has a token for, plus 1; some are out of date */
    uint32_t head, tail;   /* sessions with events; SESS_NONE: none */
};

struct clients {
    struct client c[CLIENTS_MAX];
    uint64_t ready[CLIENTS_MAX / 64]; /* a bit per client whose queue is not empty */
    struct account account[ACCOUNTS_MAX];
    uint64_t denials[ACCOUNTS_MAX / 64]; /* a bit per account with a denial to be told */
    struct stats *stats;                 /* counters of clients and accounts; NULL: none */
};

/* Take a client in. Every slot is free and every page too: after a restart the owner calls
 * client_keep_slot for each session that goes on, and then clients_rebuild. 0 or errno. */
must_check int clients_add(struct clients *cs, uint32_t id, const struct arena_view *v,
                           const struct sess_limits *limits);
/* Rebuild free slots and pages from the slots that are SLOT_OPEN in the domain half. */
void clients_rebuild(struct clients *cs, uint32_t id);
void clients_remove(struct clients *cs, uint32_t id);

/* The client's record, NULL if there is none of that number. */
static inline struct client *
clients_get(struct clients *cs, uint32_t id)
{
    return id < CLIENTS_MAX && cs->c[id].used ? &cs->c[id] : NULL;
}

/* Are both, by number, clients of one user? A client that is not there is only its own. */
static inline bool
clients_same_user(const struct clients *cs, uint32_t a, uint32_t b)
{
    return a == b || (a < CLIENTS_MAX && b < CLIENTS_MAX && cs->c[a].used && cs->c[b].used &&
                      cs->c[a].limits.uid == cs->c[b].limits.uid);
}

/* The account that the client belongs to. */
static inline struct account *
client_account(struct clients *cs, const struct client *c)
{
    return &cs->account[c->limits.account % ACCOUNTS_MAX];
}
/* Sessions, and among them half-open ones, that come (or, negative, go). */
void client_count(struct clients *cs, struct client *c, int sessions, int half_open);
/* May its account have one more session? */
bool client_has_room(struct clients *cs, const struct client *c);
/* Other rules, or another account. */
void clients_limits(struct clients *cs, uint32_t id, const struct sess_limits *limits);

/* The client was denied something: counted, and told now and then. addr NULL: no peer is
 * concerned. Returns err, for the caller to return. */
int client_deny(struct clients *cs, uint32_t id, enum account_rule rule,
                const struct ipaddr *addr, uint16_t port, ns_t now, int err);
/* The next denial to be told; false: none. */
bool clients_denial(struct clients *cs, struct account_denial *d);
/* Count something for a client; SESS_NONE: for nobody. */
static inline void
client_stat(struct clients *cs, uint32_t id, enum client_stat_id stat, uint64_t n)
{
    if (cs->stats != NULL && id < CLIENTS_MAX)
        stat_client(cs->stats, id, stat, n);
}
/* A packet that came for it, of so many bytes with its IP header. */
static inline void
client_received(struct clients *cs, uint32_t id, uint32_t bytes)
{
    client_stat(cs, id, CLIENT_STAT_received_packets, 1);
    client_stat(cs, id, CLIENT_STAT_received_bytes, bytes);
}
/* Packets that a client sent: counted for it and its account. */
void client_sent(struct clients *cs, const struct client *c, uint32_t packets, uint64_t bytes);
/* Something of it waits for its account's rate. */
void client_held(struct clients *cs, const struct client *c);

/* A free slot, made empty: its domain-half words are zero but generation, which moves on.
 * SESS_NONE: none left. The caller sets `state`. */
must_check uint32_t client_slot_take(struct client *c);
/* The slot's pages and the slot are free again. */
void client_slot_give(struct client *c, uint32_t slot);

/* Session `sess`, whose link is l, has `kind` to tell its client. link_of(ctx, sess) finds the
 * link of another session of the same owner. */
typedef struct client_link *client_link_of(void *ctx, uint32_t sess);
void client_event(struct clients *cs, struct client_link *l, uint32_t sess, enum evt_kind kind,
                  client_link_of *link_of, void *ctx);
/* Take the next session with events off the client's queue; SESS_NONE: none. Its link's
 * `events` tells which; the caller clears them, and may put it back by client_event. */
uint32_t client_next(struct clients *cs, uint32_t id, client_link_of *link_of, void *ctx);
/* Nobody is there any more to be told: what waits, waits no longer. */
void clients_hush(struct clients *cs, uint32_t id, client_link_of *link_of, void *ctx);
/* Take a session that ends out of the queue, in the same time however many wait in it. */
void client_forget(struct clients *cs, struct client_link *l, client_link_of *link_of,
                   void *ctx);

/* Write an answer (session.h) of len bytes; returns its number. */
uint64_t client_answer(struct client *c, const void *from, size_t len);

/* The slot's words changed: does the client wait for what holds now? If so the event is
 * queued (once an arming); and for the end of what a stand-in stands for, whatever was armed.
 * Call after the words are stored. */
void client_wake(struct clients *cs, struct client_link *l, uint32_t sess,
                 client_link_of *link_of, void *ctx);

/* What EVT_READY is to tell: the conditions that came to hold since it last did. */
static inline uint32_t
client_fresh(struct client_link *l)
{
    uint32_t fresh = l->fresh;
    l->fresh = 0;
    return fresh;
}

/* Count an error for the client to take: SO_ERROR. */
void client_set_err(struct slot_domain *d, int err);

#endif
