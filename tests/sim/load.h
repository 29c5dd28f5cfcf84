/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load.h: programs that use a world at random and check everything that they see: several TCP
 * connections at once in both directions, and datagrams beside them.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "world.h"

#define LOAD_FLOWS 256u
#define LOAD_DGRAMS 64u /* that each side sends */
#define LOAD_PORT 5000u
#define LOAD_UDP_PORT 7000u
#define LOAD_CHUNK_MAX 20000u /* bytes a call */

enum thing_kind { THING_LISTENER = 1, THING_END, THING_UDP };

/* How an end of a connection ends it. */
enum plan {
    PLAN_ORDERLY, /* sends all, shuts down, reads to the end, closes */
    PLAN_HASTY,   /* closes when it has sent all, whatever comes */
    PLAN_ABORT,   /* SO_LINGER 0 and close, in the middle */
};

enum end_state { END_NONE, END_CONNECTING, END_OPEN, END_OVER };

struct end {
    enum thing_kind kind; /* first in every thing that is watched */
    struct flow *flow;
    unsigned side;
    enum end_state state;
    enum plan plan;
    int fd;
    uint64_t to_send, sent, got;
    uint64_t abort_at; /* bytes sent and received */
    uint32_t pattern;  /* what it sends */
    uint32_t chunk;    /* bytes a call, at most */
    uint32_t think;    /* pauses: of a hundred calls */
    ns_t think_time;
    ns_t paused_until; /* 0: it does not pause */
    bool shut, eof;
    int err;
    unsigned tries;
};

/* A TCP connection: an end on each side. */
struct flow {
    struct end e[2];
    unsigned opener;
    uint16_t lport; /* the opener's */
    ns_t start;
    bool overtaken; /* load_overtaken() */
};

struct load_udp {
    enum thing_kind kind;
    unsigned side;
    int fd;
    bool connected;
    ns_t next;
    uint32_t n_sent, n_to_send;
    uint32_t size[LOAD_DGRAMS];
    uint8_t n_got[LOAD_DGRAMS]; /* of the other side's */
    uint32_t n_errors;
};

struct load_listener {
    enum thing_kind kind;
    unsigned side;
    int fd;
};

struct load_config {
    uint32_t flows;        /* at most LOAD_FLOWS */
    uint32_t bytes_max;    /* each direction */
    uint32_t dgrams;       /* each side, at most LOAD_DGRAMS */
    uint32_t dgram_max;    /* bytes of payload */
    uint32_t hasty, abort; /* of a hundred ends */
    bool patient;          /* nobody pauses */
    ns_t start_within;
    uint32_t kills;      /* of a hundred programs: they die in the middle */
    uint32_t crashes[3]; /* so many of ip, tcp, udp, on either stack */
    bool serving;        /* they die in the middle of requests, too */
    ns_t crash_within;
    ns_t limit; /* everything is over by then */
    ns_t stall; /* a connection that nobody pauses moves within this time; 0: no matter */
};

struct load {
    struct load_config cfg;
    struct world *w;
    struct rng rng;
    bool timeouts_ok; /* the wire is so bad that a connection may time out */
    bool dup_ok;      /* the wire repeats frames: datagrams may come twice */
    uint32_t n_overtaken[2], n_strangers[2]; /* on this side, so far */
    bool broken_ok;                          /* datagrams may be lost by a crash */
    struct flow flow[LOAD_FLOWS];
    struct load_listener listener[2];
    struct load_udp udp[2];
    ns_t kill_at[2];
    bool dead[2];
    uint32_t n_crashes, n_crashes_left[3];
    ns_t next_crash;
    uint64_t n_resets, n_timeouts, n_bytes, n_dgrams;
    struct {
        uint64_t mark;
        ns_t since;
    } seen[LOAD_FLOWS]; /* load_stall.c */
    ns_t worst_stall;
};

struct load_config load_usual(void);
/* Two programs on a world that was just made: run everything to the end and check it. */
void load_run(struct load *l, struct world *w, const struct load_config *c);

static inline struct end *
end_peer(struct end *e)
{
    return &e->flow->e[!e->side];
}

/* Was this connection reset because an ACK overtook the handshake's, for a listener that had
 * answered by cookie? It cannot tell that from a stranger's, and sends a RST (RFC 9293
 * 3.10.7.2). Only as often as the stack counted it. */
bool load_overtaken(struct load *l, struct flow *f);

/* load_flow.c */
void flow_setup(struct load *l);
void flow_listen(struct load *l, struct program *p);
void flow_start_due(struct load *l, struct program *p);
bool flow_accept(struct load *l, struct load_listener *li);
bool end_work(struct load *l, struct end *e, short revents);
void flow_killed(struct load *l, unsigned side);
bool end_resume(struct load *l, struct end *e);
void flow_check(struct load *l, const struct flow *f);
/* The connection was reset, or timed out: only if there is a reason for it. */
void end_failed(struct load *l, struct end *e, int err);
/* load_bytes.c */
/* One read. True: something came, or the end did. */
bool end_read(struct load *l, struct end *e);
/* One write. True: something went, or the connection is over. */
bool end_write(struct load *l, struct end *e);
/* load_stall.c */
void stall_check(struct load *l);
/* load_dgram.c */
void dgram_open(struct load *l, struct program *p);
bool dgram_receive(struct load *l, struct load_udp *u);
bool dgram_send_due(struct load *l, struct load_udp *u);
void dgram_check(struct load *l);

/* n bytes (up to 65536) that a stream with this pattern has at `at`. */
const uint8_t *load_pattern(uint32_t pattern, uint64_t at);

#endif
