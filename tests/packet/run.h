/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run.h: a script at work. What differs between the two drivers is in struct link: whose clock
 * it is, and how frames and time pass. Everything else is the same: the program's calls go
 * through the client library, the peer is made of Ethernet frames.
 */
#ifndef PACKET_RUN_H
#define PACKET_RUN_H

#include "script.h"
#include "wire/wire.h"

#define PEERS 8u
#define QUEUE 256u
#define RECENT 14u
#define FRAME_BYTES 2048u

struct run;

struct link {
    uint32_t own, peer; /* addresses: the stack's, ours */
    uint8_t mac[6];     /* ours */
    uint16_t rport;     /* our first port; peer N has rport + N */
    uint16_t lport;     /* added to a script's port of the stack */
    ns_t early, late;   /* how wrong a time may be, */
    uint32_t late_part; /* and how much more: this part of 100 of the time */
    ns_t now_takes;     /* something expected at once may take so long */
    ns_t quiet;         /* `none` without a time, and between calls and segments */
    bool real;          /* things take time: ask again before it is a failure */
    ns_t (*now)(struct link *l);
    void (*send)(struct link *l, const uint8_t *frame, uint32_t len);
    /* Let time pass until `until`; if stop, only until something is in the queue. Frames go to
     * run_frame. */
    void (*pass)(struct link *l, struct run *r, ns_t until, bool stop);
    /* What is wrong in the stack itself; NULL: nothing. */
    const char *(*broken)(struct link *l);
};

/* A segment that the stack sent. */
struct got {
    struct tcp_hdr h;
    ns_t at;
    uint32_t len;
    uint8_t tos;
    bool bad_csum;
    uint8_t data[FRAME_BYTES];
};

struct peer {
    uint16_t rport, lport;
    uint32_t iss, irs, ts_first;
    bool irs_known, ts_known; /* the stack's first numbers */
    bool ts;                  /* both sides sent time stamps: ours go without saying */
    bool ts_sent;
    uint16_t win; /* the last one said */
    uint32_t ts_val, ts_last;
    ns_t ts_at;        /* when ts_val was said */
    uint32_t last_ack; /* of the stack, as it was on the wire */
};

struct sock {
    int fd; /* -1: none */
    uint64_t tx, rx;
};

struct run {
    struct link *l;
    const struct script *s;
    struct peer peer[PEERS];
    unsigned cur;
    struct got q[QUEUE];
    unsigned head, tail;
    uint8_t stack_mac[6];
    bool mac_known;
    struct sock sock[26];
    uint16_t port; /* of the last bind */
    ns_t last;     /* when the last event was */
    ns_t begin;
    char recent[RECENT][SCRIPT_TEXT];
    unsigned n_recent;
    char error[SCRIPT_ERROR];
};

/* True: everything was as the script says. Else r->error. */
bool run_script(struct run *r, struct link *l, const struct script *s);
/* The last segments and calls, for a failure's report. */
void run_tell(const struct run *r, void (*line)(const char *text));

/* run.c, for drivers: a frame that the stack sent. */
void run_frame(struct run *r, const uint8_t *frame, uint32_t len, ns_t at);

/* ---- between the files ---- */
bool run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_note(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline uint8_t
stream_byte(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}
/* peer.c */
struct peer peer_begin(const struct run *r, unsigned n, uint32_t iss);
void peer_send(struct run *r, const struct seg_spec *s);
void peer_icmp(struct run *r, const struct icmp_spec *i);
void peer_arp(struct run *r, const uint8_t *frame, uint32_t len);
bool peer_resolve(struct run *r);
void peer_learn(struct run *r, const struct got *g);
void peer_reset(struct run *r, struct peer *p);
bool got_parse(struct run *r, struct got *g, const uint8_t *frame, uint32_t len);
void got_text(const struct run *r, const struct got *g, char *to, size_t size);
/* match.c: does it fit? times: how many came before by the same line. */
bool match_segment(struct run *r, const struct seg_spec *s, const struct got *g,
                   uint32_t times);
/* app.c */
bool app_call(struct run *r, const struct call_spec *c);
void app_end(struct run *r);

#endif
