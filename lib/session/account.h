/* SPDX-License-Identifier: BSD-2-Clause
 *
 * account.h: what an account may do, as a transport is told it, and what is kept of it there:
 * who is charged for what, and how fast it may go. An account is shared by every client that
 * belongs to it. All zero allows nothing. Pure; carried by value in control messages, so there
 * are no pointers.
 *
 * Rates are kept as the time at which all that was used so far is paid for (a token bucket is
 * full when that time has passed), so that a rate costs one word and no timer.
 */
#ifndef SESSION_ACCOUNT_H
#define SESSION_ACCOUNT_H

#include "base/base.h"

#define ACCOUNTS_MAX 256u      /* numbers of accounts in one transport */
#define ACCOUNT_RANGES 16u     /* port ranges in one list */
#define ACCOUNT_PEERS 16u      /* prefixes in one list */
#define RATE_ANY UINT64_MAX    /* no limit */
#define ACCOUNT_ANY UINT32_MAX /* likewise, of a number */

/* What can decide against a client, by the key of its account that did. */
enum account_rule {
    RULE_PORTS,      /* bind */
    RULE_LISTEN,     /* listen */
    RULE_PEERS,      /* connect, send */
    RULE_ACCEPT,     /* a connection or a datagram comes from outside */
    RULE_CONNECTS,   /* connection attempts a second */
    RULE_CONGESTION, /* TCP_CONGESTION */
    RULE_SESSIONS,   /* another session */
    RULE_HALF_OPEN,  /* another handshake without a cookie */
    RULE_COUNT
};

struct port_range {
    uint16_t first, last;
};

struct peer_rule {
    struct ipaddr net; /* IPv4 as ::ffff:a.b.c.d, as everywhere */
    uint32_t bits;     /* of it that count: 0 to 128, IPv4's /n is 96 + n */
    struct port_range port;
};

struct account_rules {
    uint32_t n_ports, n_listen, n_peers, n_accept;
    struct port_range port[ACCOUNT_RANGES];   /* local ports that may be asked for by number */
    struct port_range listen[ACCOUNT_RANGES]; /* and listened on, however they were got */
    struct peer_rule peer[ACCOUNT_PEERS];     /* whom it may talk to */
    struct peer_rule accept[ACCOUNT_PEERS];   /* who may talk to it unasked */
    uint32_t sessions, half_open;             /* of all its clients together; ACCOUNT_ANY */
    uint32_t congestion; /* 1 << enum cc_alg that may be chosen; 0: only what is the default */
    uint32_t first;      /* enum cc_alg of new sessions, one of these */
    uint64_t connects, connects_burst; /* attempts a second, and at once; RATE_ANY */
    uint64_t packets;                  /* sent, a second; RATE_ANY */
    uint64_t bytes;                    /* sent, a second, IP headers included; RATE_ANY */
};

/* Everything is allowed and nothing limited. */
void account_rules_any(struct account_rules *r);
/* Counts are in bounds and ranges are ranges. */
must_check bool account_rules_check(const struct account_rules *r);

bool account_port(const struct port_range *list, uint32_t n, uint16_t port);
bool account_peer(const struct peer_rule *list, uint32_t n, const struct ipaddr *addr,
                  uint16_t port);

/* One of its denials, for the log. */
struct account_denial {
    uint32_t account, client;
    uint32_t rule;       /* enum account_rule */
    uint32_t suppressed; /* like it since the one that was told before */
    struct ipaddr addr;  /* of the peer; none where no peer is concerned */
    uint16_t port;       /* local (RULE_PORTS, RULE_LISTEN), else the peer's */
    uint8_t proto;       /* IPPROTO_TCP, IPPROTO_UDP */
    uint8_t pad[5];
};

/* What is kept of an account that clients belong to. */
struct account {
    uint32_t epoch;   /* of the account that the number stands for */
    uint32_t clients; /* attached */
    uint32_t n_sessions, n_half_open;
    struct account_rules rules;
    ns_t connects, packets, bytes; /* what was used is paid for then */
    struct {
        bool told;           /* one was, at `at` */
        bool due;            /* one waits to be told */
        ns_t at;             /* when the last one was taken up */
        uint32_t suppressed; /* since */
        uint32_t before;     /* suppressed before the one that waits */
        uint32_t client;
        struct ipaddr addr;
        uint16_t port;
    } denied[RULE_COUNT];
};

#define DENIAL_GAP (60 * NS_S) /* one is told of each account and rule in such a time */

/* When one more of what goes `rate` times a second, and `burst` times at once, may go: now, or
 * later, and then that time is its own. *paid, 0 at first, is kept from one to the next.
 * NS_NEVER: it would wait for longer than `longest`; nothing is booked then. */
must_check ns_t account_turn(ns_t *paid, uint64_t rate, uint64_t burst, ns_t longest, ns_t now);
/* What was booked so was not used after all. */
void account_turn_back(ns_t *paid, uint64_t rate);
/* May one more connection be attempted now? It is charged if so. */
must_check bool account_connect(struct account *a, ns_t now);

static inline bool
account_is_paced(const struct account *a)
{
    return a->rules.packets != RATE_ANY || a->rules.bytes != RATE_ANY;
}
/* Take packets and bytes out of what may be sent, and say when they may go: now or later. What
 * is booked is charged at once, so that everybody who waits has a time of his own. */
ns_t account_book(struct account *a, uint32_t packets, uint32_t bytes, ns_t now);
/* When one more packet may go: at most `now` if at once. Nothing is charged. */
ns_t account_due(const struct account *a, ns_t now);
/* What goes at once whatever the rate is (acknowledgments, repairs): the others wait for it,
 * but never longer than ACCOUNT_DEBT. */
void account_charge(struct account *a, uint32_t packets, uint32_t bytes, ns_t now);
#define ACCOUNT_DEBT NS_S

#endif
