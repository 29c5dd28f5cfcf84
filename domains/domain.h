/* SPDX-License-Identifier: BSD-2-Clause
 *
 * domain.h: what every domain process does the same way: take its configuration,
 * regions and peers from the supervisor, confine itself, and turn its loop: work while
 * there is work, spin a bounded while, arm the bells, look again, sleep.
 */
#ifndef DOMAINS_DOMAIN_H
#define DOMAINS_DOMAIN_H

#include "base/frame.h"
#include "base/pkt.h"
#include "base/ports.h"
#include "base/stats.h"
#include "ipc/ctl.h"
#include "ipc/link.h"

#define DOMAIN_LINKS 3u

struct domain_peer {
    bool present;
    unsigned id; /* enum domain_id */
    enum link_kind kind;
    enum link_side side;
    struct link_sizes sizes;
    void *own;        /* our half, writable */
    const void *peer; /* theirs, read-only */
    int fd_sleep, fd_ring;
    struct link link;          /* link.up tells whether it may be used */
    bool ack_due;              /* the runtime's: CTL_ACK is still to be sent */
    uint32_t seen[LINK_RINGS]; /* the runtime's: what was counted of the rings we read */
};

struct domain {
    struct ctl_config cfg;
    struct frames frames;
    struct stats *stats;
    struct path_table *path;  /* read-only but in ip and mono */
    struct port_table *ports; /* read-only but in udp and mono */
    void *store;
    size_t store_size;
    struct nicmap *nicmap;
    int nic_fd; /* -1: none */
    int ctl_fd;
    int epoll_fd;
    struct domain_peer peer[DOMAIN_LINKS];
    unsigned n_peers;
    void *self; /* the domain's own state, given to the callbacks */
    const struct domain_ops *ops;
    /* The runtime's own from here on. */
    ns_t notice_at; /* when notice_left was last topped up */
    unsigned notice_left, notice_lost;
};

/* What a turn did. After any work the next one follows at once; only after packets the domain
 * stays awake a while for more. A request or a bell alone is no sign that packets come, and one
 * client's must not keep the domain giving way, for who gives way goes behind all others. */
enum turn { TURN_NOTHING, TURN_REQUESTS, TURN_PACKETS };

struct domain_ops {
    /* One bounded turn. */
    enum turn (*turn)(struct domain *, ns_t now);
    /* When the next turn is due with nothing arriving. */
    ns_t (*deadline)(struct domain *);
    /* Arm whatever the domain sleeps on besides its links (client bells); true: work
     * waits after all. NULL: nothing. */
    bool (*arm)(struct domain *);
    /* Awake again: disarm them. NULL: nothing. */
    void (*disarm)(struct domain *);
    /* The link is up now. NULL: nothing to do. */
    void (*peer_up)(struct domain *, struct domain_peer *, ns_t now);
    /* The peer died; its link is marked down and our half cleared after this returns.
     * False: not finished, the domain calls domain_ack_down itself, soon. */
    bool (*peer_down)(struct domain *, struct domain_peer *, ns_t now);
    /* A message that the runtime does not handle itself (CLIENT_ADD, CLIENT_GONE,
     * SESSIONS). fd[]: to keep or close. NULL: none is expected. */
    void (*ctl)(struct domain *, struct ctl_msg *, int *fd, ns_t now);
    /* A descriptor given to domain_watch is readable. NULL: just wakes the loop. */
    void (*ready)(struct domain *, void *arg);
};

/* Receive CTL_CONFIG ... CTL_START on the descriptor that the supervisor left at
 * DOMAIN_CTL_FD, map everything. Exits with a message on failure. */
#define DOMAIN_CTL_FD 3
void domain_setup(struct domain *d, int argc, char **argv);
/* Memory before confinement; ends the domain if there is none. It takes none of the machine's
 * before it is written to. */
void *domain_alloc(size_t bytes);

/* Confine the process (confine.h; the list is the one of cfg.domain), tell the supervisor
 * CTL_READY, and loop until the control socket ends. The domain's own state must be ready
 * before: after this nothing can be allocated from the system but what policy/ lets the domain
 * do: clients go into the window of guard.h. */
_Noreturn void domain_run(struct domain *d, const struct domain_ops *ops, void *self);

/* Watch a readable descriptor in the loop; arg comes back in ops->ready. 0 or -errno. */
must_check int domain_watch(struct domain *d, int fd, void *arg);
/* The same, woken once by each arrival: the caller looks itself before it sleeps. */
must_check int domain_watch_edge(struct domain *d, int fd, void *arg);
/* Told when the other end of a socket is closed. */
must_check int domain_watch_end(struct domain *d, int fd, void *arg);
void domain_unwatch(struct domain *d, int fd);

/* PEER_DOWN of this peer is dealt with: clears our half, tells the supervisor. */
void domain_ack_down(struct domain *d, struct domain_peer *p);

/* The runtime's: the process is confined now, and says things through the supervisor. */
void domain_tell_start(struct domain *d);
/* Tell the supervisor, rate-limited; never blocks. */
void domain_notice(struct domain *d, enum ctl_notice what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void domain_poisoned(struct domain *d, uint32_t who, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Say why and end. Before confinement on stderr, afterwards through the supervisor's log.
 * A failed assertion of the domain's own comes here too: as process 1 of its namespace
 * abort() would look like a segmentation fault. */
_Noreturn void domain_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct domain_peer *domain_peer_of(struct domain *d, unsigned id); /* NULL: no such peer */

ns_t domain_now(void); /* CLOCK_MONOTONIC */

#endif
