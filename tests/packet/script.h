/* SPDX-License-Identifier: BSD-2-Clause
 *
 * script.h: a packet script (README.md has the language) as the parser leaves it.
 */
#ifndef PACKET_SCRIPT_H
#define PACKET_SCRIPT_H

#include "base/base.h"

#define SCRIPT_STEPS 512u
#define SCRIPT_RULES 8u
#define SCRIPT_SYMBOLS 16u
#define SCRIPT_TEXT 200u
#define SCRIPT_ERROR 400u

/* A number as a script gives it. */
enum how {
    NUM_UNSAID, /* in an expectation: anything, also that it is not there */
    NUM_ANY,    /* `*`: there, whatever it is */
    NUM_IS,
    NUM_LESS,
    NUM_MORE,
    NUM_ABSENT, /* `no...`: must not be there */
};
struct num {
    enum how how;
    int64_t v;
};

/* A segment to send, or what an expected one must be. Numbers are counted from the first of
 * their direction, so the SYN is 0 and the first byte 1. */
struct seg_spec {
    uint8_t flags; /* to send; expected: these and no other of S A F R U */
    uint8_t not ;  /* of P E C, which are looked at only if they are named: must not be set */
    struct num seq, end; /* end: exclusive, SYN and FIN not counted */
    struct num ack, win, urg, mss, ws, sackok, ts_val, ts_ecr, ecn, sack;
    struct num sport, dport;
    int64_t block[4][2]; /* sack: how many */
    uint8_t raw[40];     /* option bytes as they are */
    uint32_t n_raw;
    bool echo; /* TSecr is the last TSval that came */
    bool bad_csum, junk;
    uint32_t times; /* `xN` */
};

enum call {
    CALL_SOCKET,
    CALL_BIND,
    CALL_LISTEN,
    CALL_ACCEPT,
    CALL_CONNECT,
    CALL_SEND,
    CALL_RECV,
    CALL_SHUTDOWN,
    CALL_CLOSE,
    CALL_SET,
    CALL_GET,
};
#define INFO_LEVEL (-1) /* get: a field of TCP_INFO, its place for a name */
extern const char *const congestions[3];
struct call_spec {
    enum call call;
    uint8_t sock; /* a letter */
    uint8_t made; /* accept: the new one's */
    int level, name;
    int64_t value;
    bool has_result;
    int64_t result; /* -errno if negative (SO_LINGER off: get gives -1 too) */
};

enum step_kind {
    STEP_IN,     /* to the stack */
    STEP_OUT,    /* expected from it */
    STEP_NONE,   /* nothing may come for a while */
    STEP_WAIT,   /* time passes */
    STEP_IGNORE, /* what has come does not matter */
    STEP_ICMP,   /* an error that quotes a segment of the stack's */
    STEP_PEER,   /* go on as another peer */
    STEP_ISS,    /* its first number; a connection begins anew */
    STEP_CALL,
};
enum when {
    WHEN_NOW,
    WHEN_AT,     /* at after the last event; expectations: within tol of it */
    WHEN_WITHIN, /* expectations: at or before */
};

struct icmp_spec {
    uint8_t type, code;
    uint16_t mtu;
    int64_t seq; /* of the quoted segment */
};

struct step {
    enum step_kind kind;
    enum when when;
    ns_t at;
    ns_t tol;      /* 0: the driver's usual */
    ns_t time;     /* NONE, WAIT */
    int64_t v;     /* PEER, ISS */
    bool together; /* IN: arrives with the one before */
    int line;
    const char *file;
    char text[SCRIPT_TEXT];
    union {
        struct seg_spec seg;
        struct call_spec call;
        struct icmp_spec icmp;
    };
};

struct rule { /* what a script holds the stack to */
    char source[16];
    char section[24];
    char quote[SCRIPT_ERROR];
    bool own_words; /* it says what the section means, and does not quote it */
};

struct script {
    char path[256];
    struct rule rule[SCRIPT_RULES];
    unsigned n_rules;
    bool needs_pure;
    char todo[SCRIPT_TEXT]; /* why it is expected to fail; empty: it is not */
    uint32_t mtu, isn;      /* 0: the usual */
    uint32_t ecn;           /* enum tcp_ecn */
    struct step *step;
    unsigned n_steps;
};

/* Reads a script and what it includes. False: err has "file:line: what". */
bool script_read(struct script *s, const char *path, char err[SCRIPT_ERROR]);
void script_free(struct script *s);

/* ---- between the parser's files ---- */

struct words {
    char *w[64];
    bool quoted[64];
    unsigned n, at;
};

struct parser {
    struct script *s;
    char *err;
    const char *file;
    int line;
    unsigned depth; /* of includes */
    struct symbol {
        char name[16];
        int64_t v;
    } symbol[SCRIPT_SYMBOLS];
    unsigned n_symbols;
};

/* Returns false, with the error told. */
bool parse_fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The next word, NULL at the end. */
const char *parse_word(struct words *w);
/* An expression of numbers and symbols with + - *: all of text. */
bool parse_number(struct parser *p, const char *text, int64_t *v);
bool parse_time(struct parser *p, const char *text, ns_t *t);
/* segment.c, call.c: the rest of a line that begins with this word */
bool parse_segment(struct parser *p, struct words *w, struct step *st);
bool parse_icmp(struct parser *p, struct words *w, struct icmp_spec *i);
bool parse_call(struct parser *p, enum call call, struct words *w, struct step *st);
/* Is it the name of a call? */
bool parse_call_name(const char *word, enum call *call);
/* -1: no such errno. */
int errno_number(const char *name);
const char *errno_name(int number);
/* "a name | an option", for errors; the bits of ECN by name, -1: none. */
int ecn_number(const char *name);

#endif
