/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup.h: the supervisor. It makes every region, hands each domain what policy/topology.c
 * says, lets clients in, and restarts what dies. It is the only process with privilege, is
 * off the data path, and maps nothing but the statistics.
 *
 * One thread, one libevent loop. Files: sup_main.c (from start to loop and back), sup_options.c
 * (what it is told), sup_host.c (what the host must be like), sup_confine.c (what it gives up),
 * sup_topology.c (regions, links,
 * what a domain is told), sup_place.c (processors), sup_domain.c (life and death of a domain),
 * sup_link.c (neighbours), sup_message.c (what domains say), sup_watch.c (hangs), sup_client.c
 * and sup_attach.c (clients), sup_standin.c (descriptors for their sessions), sup_policy.c
 * (accounts), sup_control.c, sup_json.c and sup_proc.c (what bulkheadctl asks).
 */
#ifndef DOMAINS_SUP_H
#define DOMAINS_SUP_H

#include <event2/event.h>
#include <event2/listener.h>

#include "base/stats.h"
#include "ipc/ctl.h"
#include "ipc/region.h"
#include "netif.h"
#include "policy/accounts.h"
#include "policy/topology.h"
#include "sup_config.h"

enum dom_life {
    LIFE_ABSENT,   /* not part of this composition */
    LIFE_STARTING, /* spawned, no CTL_READY yet */
    LIFE_UP,
    LIFE_KILLED, /* SIGKILL is sent; its pidfd will tell */
    LIFE_DEAD,   /* gone; a neighbour has not acknowledged it yet */
    LIFE_DELAY,  /* gone; crashed too often to be started at once */
};

#define CRASHES 5u /* so many within CRASH_WINDOW and restarts are slowed down */
#define CRASH_WINDOW (10 * NS_S)
#define CRASH_DELAY_MIN_MS 50u
#define CRASH_DELAY_MAX_MS 1000u

struct sup;

struct sup_dom {
    struct sup *sup;
    unsigned id;
    enum dom_life life;
    char path[512]; /* of its executable */
    int program;    /* the same, as found at the start */
    pid_t pid;      /* valid while it lives, STARTING to KILLED */
    int pidfd, ctl; /* -1: none */
    struct event *ev_pid, *ev_ctl, *ev_timer;
    unsigned restarts;
    bool wanted;         /* the present death was asked for: not a crash */
    char reason[160];    /* why we killed it; empty: we did not */
    int refused;         /* number of the system call that its filter refused; -1: none */
    ns_t started;        /* the present process, domain_now() */
    ns_t died;           /* the last one */
    ns_t crash[CRASHES]; /* times of the last crashes, a ring */
    unsigned crashes;    /* all, index into the ring */
    unsigned delay_ms;
    unsigned early;            /* deaths in a row soon after the start */
    const struct stats *stats; /* mapped read-only */
    uint8_t key[32];
    /* watchdog, see sup_watch.c */
    uint32_t beat;
    ns_t cpu;                       /* processor time at the last look */
    ns_t spun, still, full, spared; /* evidence: how long it has done what it should not */
    unsigned log_left;              /* messages it may still log in this second */
    ns_t said_at;
    unsigned said; /* messages since said_at, of a second */
};

struct sup_link {
    bool present;
    struct link_sizes sizes;
    struct region half[2]; /* LINK_A, LINK_B */
    size_t bytes[2];
    int bell[2][2]; /* pipe on which that side sleeps: read end, write end */
    bool up;        /* both were told CTL_PEER_UP */
    bool clear[2];  /* that side's half is clear since the link was last up */
    int owes;       /* side that must acknowledge the other's death; -1: none */
    struct event *ev_ack;
    ns_t accused_at; /* when one side last accused the other */
    unsigned accusations;
};

/* An account that the transports know by its number, the place in sup->account; with per_uid,
 * one for each uid. It outlives its clients until the number is needed. */
struct sup_account {
    bool used, per_uid;
    char name[ACCOUNT_NAME_MAX];
    uid_t uid;
    unsigned clients; /* that belong to it */
    ns_t left;        /* when the last one went */
    ns_t attaches;    /* those up to now are paid for then, see account_turn */
    ns_t told;        /* when the log was told that they wait; 0: never */
    uint32_t epoch;
    unsigned line, rule_line[RULE_COUNT]; /* of the file, for the log */
    uint64_t base[ACCOUNT_STAT_COUNT];    /* counters of the number when it was given */
};

enum client_state {
    CLIENT_HELLO,  /* connected, has not said who it is */
    CLIENT_TURN,   /* has said it; waits until its account may have one more */
    CLIENT_DENIED, /* was told no; waits for it to hang up */
    CLIENT_ATTACHED,
    CLIENT_GONE, /* disconnected; the domain still uses its arena */
};

struct sup_standin {
    uint32_t number;
    int fd; /* the domain's end; -1: none */
};

struct sup_client {
    struct sup *sup;
    struct sup_client *next, **link; /* in sup->clients */
    enum client_state state;
    int fd;
    struct event *ev;
    uid_t uid;
    gid_t gid;
    pid_t pid;
    unsigned id; /* CLIENT_NO_ID: none */
    uint32_t proto;
    char program[32];
    struct ctl_hello hello; /* what it wants */
    const struct policy_account
        *account;               /* of the present file; NULL: not found yet, or gone */
    struct sup_account *number; /* NULL: none yet */
    struct {                    /* the turn that it waits for */
        struct sup_account *of; /* NULL: none */
        uint32_t epoch;         /* of that */
        uint64_t rate;
    } turn;
    char *cgroups; /* /proc/PID/cgroup when it attached; NULL: not read */
    struct arena_geometry g;
    struct sess_limits limits;
    struct region half[2];            /* client's, domain's */
    int to_domain[2], to_client[2];   /* bells: read end, write end */
    uint64_t base[CLIENT_STAT_COUNT]; /* counters of its number when it got it */
    struct sup_standin *standin;      /* arena_standins() of them; NULL: none yet */
    uint32_t n_standins, next_standin;
};

#define CLIENT_STREAMS_MAX                                                                     \
    (CLIENTS_MAX / 2) /* ids below: streams, from there on: datagrams                          \
                       */
#define CLIENT_NO_ID UINT32_MAX

/* Of Linux 6.16: an older kernel refuses it, and headers do not know it. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* What most of the traffic does, for sup_place.c. */
enum place { PLACE_FREE, PLACE_RECEIVING, PLACE_SENDING };
#define PLACE_SEEN 5u /* counters */

struct sup_conn; /* a connection of bulkheadctl, sup_control.c */

struct sup {
    struct sup_conf conf;
    struct accounts accounts;
    struct sup_account account[ACCOUNTS_MAX];
    uint32_t account_epoch;
    struct netif nif;
    bool nif_open;
    struct frames frames; /* layout only: nothing is mapped */
    struct event_base *base;
    struct event *ev_term, *ev_int, *ev_hup, *ev_watch, *ev_stop;
    struct region region[TOPO_REGIONS];
    struct sup_link link[TOPO_LINKS];
    struct sup_dom dom[DOM_COUNT];
    uint64_t seed;
    ns_t started;
    ns_t watch_at; /* last look of the watchdog */
    ns_t log_at;   /* log_left was last filled up */
    int watch_fd;  /* epoll: what may wake the watchdog of an idle stack; -1: it looks often */
    struct event *ev_work; /* for watch_fd */
    unsigned quiet;        /* looks in a row at which nobody had moved */
    ns_t placed_at;        /* the last look of sup_place.c, and nic's counters then */
    uint64_t seen[PLACE_SEEN];
    enum place place;
    bool linked;    /* every domain was up once and told of its peers */
    bool answering; /* ip says that the address is ours */
    bool ready;     /* and everybody is up: clients may come */
    bool stopping;
    int exit_code;
    int lock_fd;
    char lock_path[108], sock_path[108], ctl_path[108];
    struct evconnlistener *clients_at, *control_at;
    struct sup_client *clients;
    struct sup_client *by_id[CLIENTS_MAX];
    struct sup_conn *conns;
    unsigned log_left; /* for what clients cause */
};

/* ---- sup_main.c ---- */
void sup_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What others can cause at will: at most LOG_PER_SECOND lines of each source. */
#define LOG_PER_SECOND 10u
void sup_log_some(unsigned *left, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sup_verbose(const struct sup *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
ns_t sup_now(void);
/* Ends the loop in good order with this exit code (the first one counts). */
void sup_stop(struct sup *s, int exit_code);
bool sup_present(const struct sup *s, unsigned dom);

/* ---- sup_options.c ---- */
/* Fill conf and accounts from the command line and the files that it names; --help and
 * --version end the process. Returns 0, or an exit code with a message in err, or already told.
 */
must_check int sup_options(struct sup *s, int argc, char **argv, char *err, size_t err_len);

/* ---- sup_host.c: each returns 0, or an exit code with a message in err ---- */
must_check int sup_host_check(struct sup *s, char *err, size_t err_len);
must_check int sup_lock(struct sup *s, char *err, size_t err_len);
void sup_unlock(struct sup *s);
must_check int sup_find_programs(struct sup *s, char *err, size_t err_len);
/* A Unix socket of this type that listens at path, in the place of what was left there; those
 * whom mode lets write may connect. Returns it, or -1 with errno. */
must_check int sup_socket(const char *path, int type, mode_t mode, int backlog);

/* ---- sup_confine.c ---- */
/* Everything is made: give up what is not needed to keep it. As sup_host.c's. */
must_check int sup_confine(char *err, size_t err_len);

/* ---- sup_topology.c ---- */
must_check int sup_topology_create(struct sup *s, char *err, size_t err_len);
void sup_topology_close(struct sup *s);
/* Bytes of the store of each transport and of ip's ledger; mono has all three in one region,
 * in this order, each from a page boundary on. */
struct store_layout {
    size_t tcp, udp, ledger; /* bytes, page multiples */
};
void sup_store_layout(const struct sup *s, struct store_layout *l);
/* CTL_CONFIG ... CTL_START. 0 or -errno. */
must_check int sup_topology_tell(struct sup_dom *d);
/* Empty the pipe: what is in it was meant for one that died. */
void sup_bell_drain(int fd);
/* Bytes that wait to be read by the other end of a socket. */
unsigned sup_socket_unread(int fd);

/* ---- sup_place.c ---- */
/* A processor for each domain and one for a program? */
bool sup_place_enough(const struct sup *s);
/* The processor that dom is to start on; -1: any. */
int32_t sup_place_first(const struct sup *s, unsigned dom);
/* d is up: it may have missed a change while it started. */
void sup_place_up(const struct sup_dom *d);
/* Move domains if the traffic's direction has changed. Costs next to nothing; call it
 * often. */
void sup_place_look(struct sup *s, ns_t now);

/* ---- sup_domain.c ---- */
must_check int sup_dom_spawn(struct sup_dom *d);
void sup_dom_kill(struct sup_dom *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Send to a domain that is up. A domain that does not take it is killed. descriptors as in
 * ctl_send. */
void sup_dom_send(struct sup_dom *d, struct ctl_msg *m, const int *fd);
/* End its control socket: it exits by itself. */
void sup_dom_hang_up(struct sup_dom *d);
/* Close what we hold of it; SIGKILL if it still lives. */
void sup_dom_close(struct sup_dom *d);
const char *sup_dom_state(const struct sup_dom *d);
/* Dead, and nobody has to acknowledge it any more: start the next one, at once or later. */
void sup_dom_respawn(struct sup_dom *d);
void sup_dom_set_timer(struct sup_dom *d, unsigned ms);

/* ---- sup_link.c ---- */
/* d is ready and its halves are clear: take up what can be. Returns how many links it has. */
unsigned sup_links_ready(struct sup_dom *d);
/* d is dead: its neighbours are told and have to acknowledge. */
void sup_links_died(struct sup_dom *d);
void sup_links_ack(struct sup_dom *d, unsigned peer);
bool sup_links_up(const struct sup_dom *d);   /* it is up, and every link of it */
bool sup_links_owed(const struct sup_dom *d); /* a neighbour has not let go of it yet */
/* d says that its neighbour wrote what cannot be: that one is started anew, because the link
 * stays dead otherwise. */
void sup_links_accuse(struct sup_dom *d, unsigned peer, const char *text);

/* ---- sup_message.c ---- */
void sup_dom_on_ctl(evutil_socket_t sock, short what, void *arg);

/* ---- sup_watch.c ---- */
/* d is up: watch it. */
void sup_watch_start(struct sup_dom *d);
/* Something was sent to a domain, or a bell came to be: look often from now on. */
void sup_watch_wake(struct sup *s);
void sup_watch_tick(evutil_socket_t fd, short what, void *arg);
void sup_watch_close(struct sup *s);

/* ---- sup_attach.c ---- */
/* It said who it is: welcomes it, says no, or lets it wait for its turn. The client may be gone
 * afterwards. */
void sup_client_hello(struct sup_client *c, const struct ctl_hello *h);
/* It does not attach after all: the others may have its turn. */
void sup_client_turn_back(struct sup_client *c);
/* Its turn has come. */
void sup_client_turn(struct sup_client *c);
void sup_client_send_add(struct sup_client *c, bool resume);

/* ---- sup_policy.c ---- */
/* Find its account; false: there is none, or it denies (c->account then says which). */
must_check bool sup_policy_find(struct sup_client *c);
/* Be charged to c->account, under a number, and have its limits; leave it again. */
void sup_policy_join(struct sup_client *c);
void sup_policy_leave(struct sup_client *c);
/* The record of c->account's number, which may be a new one; NULL: none is free. */
struct sup_account *sup_policy_number(struct sup_client *c);
/* How many clients of its kind its account has beside it, and the bytes of all their arenas. */
unsigned sup_policy_clients(const struct sup_client *c, uint64_t *memory);
/* A counter of an account's number (enum account_stat_id), since it has it. */
uint64_t sup_policy_count(const struct sup *s, unsigned number, unsigned id);
/* Read the accounts again. What is wrong leaves all as it was: 0, or an exit code and err. */
int sup_policy_reload(struct sup *s, char *err, size_t err_len);
void sup_policy_on_hup(evutil_socket_t sig, short what, void *arg);
void sup_policy_denied(struct sup_dom *d, const struct account_denial *m);

/* ---- sup_client.c ---- */
#define HELLO_TIMEOUT (5 * NS_S)
/* What is to happen, does when so much time is over: it is cut off, or has its turn. */
void sup_client_timeout(struct sup_client *c, ns_t in);
/* A counter of a client that has a number, since it has it. */
uint64_t sup_client_count(const struct sup_client *c, enum client_stat_id id);
/* It got its number: they begin. */
void sup_client_count_begin(struct sup_client *c);
/* It is not wanted any more: its sessions end as if its process had. */
void sup_client_cut(struct sup_client *c);
void sup_client_destroy(struct sup_client *c);
void sup_client_drop_id(struct sup_client *c);
struct sup_dom *sup_client_domain(const struct sup_client *c); /* who serves it */
must_check int sup_clients_listen(struct sup *s, char *err, size_t err_len);
void sup_clients_accept(struct sup *s);
void sup_clients_close(struct sup *s);
/* Domain d is up (again): give it its clients. */
void sup_clients_resend(struct sup_dom *d);
void sup_client_free_msg(struct sup_dom *d, unsigned id);
void sup_client_poisoned(struct sup_dom *d, unsigned id, const char *text);
/* The domain starts from nothing: its clients have lost their sessions. */
unsigned sup_clients_drop(struct sup_dom *d);
/* The read ends of the bells that clients ring at this domain (all: DOM_COUNT), at most max. */
unsigned sup_client_bells(const struct sup *s, unsigned dom, int *fd, unsigned max);
bool sup_client_of(const struct sup_dom *d, unsigned id);

/* ---- sup_standin.c ---- */
/* A client wants some more: makes them, or says no. The client may be cut afterwards. */
void sup_standins_wanted(struct sup_client *c, uint32_t n);
void sup_standins_over(struct sup_dom *d, const struct ctl_standins *m);
/* To a domain that was started anew. */
void sup_standins_resend(struct sup_client *c);
void sup_standins_close(struct sup_client *c);

/* ---- sup_control.c ---- */
must_check int sup_control_listen(struct sup *s, char *err, size_t err_len);
void sup_control_close(struct sup *s);
void sup_control_sessions(struct sup_dom *d, const struct ctl_sessions *m);
void sup_control_dom_up(struct sup_dom *d); /* it is up and linked */
void sup_control_dom_died(struct sup_dom *d);

/* ---- sup_proc.c: what the kernel says of a process ---- */
#define PROC_REGIONS_MAX 1024u
struct proc_info {
    unsigned uid, gid;
    uint64_t rss_kib;
    uint64_t cpu_ticks; /* user and system */
    char state;         /* R, S, D, T, Z */
    int seccomp;        /* 0 off, 1 strict, 2 filter; -1 unknown */
    int filters;        /* how many; -1 unknown */
    bool no_new_privs;
    uint64_t cap_eff, cap_bnd;
};
struct proc_region {
    char name[48]; /* after "bulkhead:" */
    bool r, w, x;
    uint64_t bytes;
};
must_check bool proc_read(pid_t pid, struct proc_info *p);
/* Mapped regions of ours, neighbouring pieces with the same name and rights as one. Returns
 * how many, at most max. */
unsigned proc_regions(pid_t pid, struct proc_region *r, unsigned max);

#endif
