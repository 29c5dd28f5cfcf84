/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl.h: the control protocol, spoken on seqpacket sockets between the supervisor and
 * a domain, and between the supervisor and a client. One datagram is one message; it
 * may carry descriptors. Parsing is strict: magic, version, type, exact length and
 * exact number of descriptors for the type, else the message is refused and whatever
 * came with it is closed.
 */
#ifndef IPC_CTL_H
#define IPC_CTL_H

#include "base/frame.h"
#include "base/pkt.h"
#include "session/ops.h"

#define CTL_MAGIC 0x424c4b48u
#define CTL_VERSION 2u
#define CTL_STANDINS_MAX 16u /* in one message */
#define CTL_FDS_MAX CTL_STANDINS_MAX
#define CTL_TEXT_MAX 232u
#define CTL_INFO_MAX 16u
#define CTL_STATE_MAX 16u /* sess_info.state is below this */

enum domain_id { DOM_NIC, DOM_IP, DOM_TCP, DOM_UDP, DOM_MONO, DOM_COUNT };

/* Links as struct stats counts them: each domain but the first has one to a lower one. */
static inline unsigned
ctl_link_number(unsigned a, unsigned b)
{
    return max_u32(a, b) - 1;
}

enum region_role {
    REGION_STATS,  /* struct stats */
    REGION_PATH,   /* struct path_table */
    REGION_STORE,  /* the domain's own store (tcp, udp: sessions; ip: frame ledger) */
    REGION_PORTS,  /* struct port_table: udp writes, ip reads */
    REGION_NICMAP, /* which receive frames the NIC holds: nic writes, ip reads */
    REGION_FRAMES, /* REGION_FRAMES + part: a part of the frame space */
    REGION_ROLES = REGION_FRAMES + PART_COUNT
};

enum ctl_type {
    /* supervisor -> domain, before it confines itself */
    CTL_CONFIG = 1, /* config */
    CTL_REGION,     /* region; 1 descriptor */
    CTL_LINK,       /* link; 4 descriptors: own half, peer half, bell to sleep on (read
                     * end), bell to ring (write end) */
    CTL_SOCKET,     /* 1 descriptor: the interface's socket (nic, mono) */
    CTL_START,      /* that is all: confine yourself, then CTL_READY */
    /* supervisor -> domain, running */
    CTL_PEER_UP,     /* peer: both halves are clear, take the link up */
    CTL_PEER_DOWN,   /* peer: it died. Drop what is queued, clear the own half, CTL_ACK */
    CTL_CLIENT_ADD,  /* client; 4 descriptors: client half (ro), domain half (rw), bell to
                      * sleep on (read end), bell to ring (write end) */
    CTL_CLIENT_GONE, /* client.id: it died; CTL_CLIENT_FREE follows when all is done */
    CTL_SESSIONS,    /* list: from this session number on */
    /* domain -> supervisor */
    CTL_READY,        /* confined, own halves clear, waiting for peers */
    CTL_ACK,          /* peer: PEER_DOWN is dealt with */
    CTL_CLIENT_FREE,  /* client.id: its arena is unmapped */
    CTL_POISONED,     /* text, arg = client id or CTL_ARG_PEER + domain id */
    CTL_NOTICE,       /* text, arg = enum ctl_notice */
    CTL_SESSION_LIST, /* sessions */
    /* client -> supervisor, supervisor -> client */
    CTL_HELLO,   /* hello */
    CTL_WELCOME, /* client; 5 descriptors: client half (rw), domain half (ro), bell to sleep
                  * on (read end), bell to ring (write end), and a read end of that one,
                  * held only so that ringing never raises SIGPIPE: made by
                  * bell_reader_copy, never the description that the domain reads */
    CTL_DENIED,  /* text, arg = enum ctl_denied */
    /* supervisor -> domain, running */
    CTL_CLIENT_LIMITS, /* client.id, client.limits: what its account says now */
    /* domain -> supervisor */
    CTL_DENIAL, /* denial: an account's rule decided against a client */
    /* client -> supervisor: make some more */
    CTL_WANT_STANDINS,
    /* supervisor -> client, supervisor -> domain: standins; CTL_STANDINS_MAX descriptors, the
     * client's ends or the domain's. Number 0: none, but its descriptor comes along. */
    CTL_STANDINS,
    /* domain -> supervisor: standins, whose clients' ends are closed; no descriptors */
    CTL_STANDINS_OVER,
    /* client -> supervisor: one alone, as no more descriptors fit */
    CTL_WANT_STANDIN,
    /* supervisor -> client: standins, one; its descriptor */
    CTL_STANDIN,
    CTL_TYPES
};

#define CTL_ARG_PEER 0x10000u

enum ctl_notice {
    NOTICE_LOG = 1,          /* text for the log */
    NOTICE_ADDRESS_READY,    /* ip: probed and announced, answering */
    NOTICE_ADDRESS_CONFLICT, /* ip: text names the MAC that has it */
    NOTICE_SYSCALL,          /* text: number of a system call that its filter refused */
};

enum ctl_denied {
    DENIED_VERSION = 1, /* client library and daemon do not fit */
    DENIED_ACCOUNT,     /* no account for this uid/gid */
    DENIED_ARENA,       /* larger than the account may have */
    DENIED_CLIENTS,     /* too many clients */
    DENIED_BUSY,        /* the domain is being restarted: try again */
    DENIED_INTERNAL,
    DENIED_RATE,     /* too many of the account wait for their turn to attach */
    DENIED_STANDINS, /* no more CTL_STANDINS */
    DENIED_ENDS
};

/* How frames get from the kernel to packet memory and back. */
enum nic_driver { DRIVER_XDP, DRIVER_PACKET, DRIVERS };

/* Everything a domain is told about itself; the same for all, each uses its part. */
struct ctl_config {
    uint32_t domain;  /* enum domain_id */
    uint32_t restart; /* how often this domain was started before */
    uint32_t n_frames[PART_COUNT];
    uint32_t xsk_ring; /* descriptors of each AF_XDP ring, power of two */
    uint32_t prefix;
    struct ipaddr addr;
    struct ipaddr gateway;
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t driver; /* enum nic_driver */
    uint32_t csum_partial_ok;
    uint32_t tcp_sessions, udp_sessions;
    uint32_t half_open, orphans;
    uint32_t syn_cookies; /* enum tcp_cookies */
    uint32_t sndbuf, rcvbuf, buffer_max;
    uint32_t ecn, pacing; /* enum tcp_ecn; 1: spread windows over the round trip */
    uint32_t congestion;  /* enum cc_alg of new sessions */
    uint32_t probes, probe_interval_ms;
    uint32_t spin_us;  /* poll this long before sleeping */
    int32_t cpu;       /* pin to this processor; -1: do not */
    uint32_t uid, gid; /* as seen from outside: for the log */
    uint64_t seed;
    uint8_t key[32];
    char instance[32];
};

struct ctl_region {
    uint32_t role;
    uint32_t writable;
    uint64_t size;
};

struct ctl_link {
    uint32_t peer; /* enum domain_id */
    uint32_t kind; /* enum link_kind */
    uint32_t side; /* enum link_side: ours */
    uint32_t pad;
    uint64_t own_size, peer_size;
};

#define CTL_SPIN_MAX 1000000u /* microseconds */

/* The interface of the stack, for the clients' programs that ask for one. */
struct ctl_net {
    char name[16];         /* terminated; empty: nobody is told */
    uint32_t addr, prefix; /* IPv4, host order; bits */
};

struct ctl_client {
    uint32_t id;
    uint32_t resume; /* the arena was in use before the domain was restarted */
    struct arena_geometry g;
    struct sess_limits limits;
    uint32_t spin_us; /* for how long it should look for events before it sleeps */
    struct ctl_net net;
};

struct ctl_hello {
    uint32_t layout;         /* SESSION_LAYOUT_VERSION */
    uint32_t proto;          /* IPPROTO_TCP: a stream arena; IPPROTO_UDP: a datagram arena */
    struct arena_geometry g; /* wanted */
    uint32_t pad;
    char program[32]; /* for listings */
};

struct ctl_text {
    uint32_t arg;
    char text[CTL_TEXT_MAX]; /* terminated */
};

struct ctl_sessions {
    uint32_t n;
    uint32_t more; /* ask again from `next` */
    uint32_t next;
    uint32_t pad;
    struct sess_info s[CTL_INFO_MAX];
};

/* Socket pairs that stand for sessions (session.h: struct standin). */
struct ctl_standins {
    uint32_t client;
    uint32_t n; /* of number[] */
    uint32_t number[CTL_STANDINS_MAX];
};

struct ctl_msg {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    union {
        struct ctl_config config;
        struct ctl_region region;
        struct ctl_link link;
        struct ctl_client client;
        struct ctl_hello hello;
        struct ctl_text text;
        struct ctl_sessions sessions;
        struct account_denial denial;
        struct ctl_standins standins;
        uint32_t peer; /* enum domain_id */
        uint32_t from; /* CTL_SESSIONS */
    };
};

/* Bytes of a message of this type on the wire; 0 for an unknown type. */
size_t ctl_bytes(unsigned type);
/* Descriptors that a message of this type carries. */
unsigned ctl_fds(unsigned type);

/* Is this a message that may be acted upon? `len` bytes of *m were received (not trusted
 * beyond sizeof *m) with `nfds` descriptors. Pure. Returns 0; -EPROTONOSUPPORT: ours, of
 * another version; -EPROTO: malformed. Everything that can serve as an index or a size is
 * in bounds after this: domains, clients, roles, kinds, counts, geometry; texts end. */
must_check int ctl_check(const struct ctl_msg *m, size_t len, unsigned nfds);

/* Send; descriptors in fd[0 .. ctl_fds(type)), NULL if there are none. Fills in magic and
 * version, and clears what lies behind the end of a text. Never waits, never raises
 * SIGPIPE. 0 or -errno (-EAGAIN: the receiver does not read; -EINVAL: ctl_check would
 * refuse it at the other end). */
must_check int ctl_send(int sock, struct ctl_msg *m, const int *fd);

/* Receive one message; waits if the socket is in blocking mode. Returns 1: a valid message,
 * its descriptors (close-on-exec, the caller's to close) in fd[], -1 behind them, texts
 * printable ASCII, all bytes behind the message zero; 0: the peer is gone; -EAGAIN: nothing
 * there; -EPROTO and -EPROTONOSUPPORT as ctl_check, the descriptors that came with it are
 * closed; other -errno. */
must_check int ctl_recv(int sock, struct ctl_msg *m, int fd[CTL_FDS_MAX]);

/* Close what came with a message; fd[] is -1 then. */
void ctl_close_fds(int fd[CTL_FDS_MAX]);

const char *domain_name(unsigned id); /* "nic", "ip", "tcp", "udp", "mono" */

/* Where the daemon of an instance listens: NAME.SUFFIX, with the suffix "sock" for clients
 * and "ctl" for bulkheadctl, under BULKHEAD_RUN_DIR (set by the build, overridden by the
 * environment variable of that name, which a setuid program does not look at). Returns
 * false if the name is not [A-Za-z0-9_.-]{1,31} or buf is too small. */
must_check bool ctl_socket_path(char *buf, size_t len, const char *instance,
                                const char *suffix);

#endif
