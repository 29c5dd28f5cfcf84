/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_model.h: one connection as RFC 9293 figure 5 and section 3.10.7 have it, and no more: no
 * congestion, no timers, no memory. It is fed the segments that a stack is fed, and says in
 * which state that must be then, and how it must have answered. What the stack is free to do
 * (when to send its data and its FIN, how far to open the window) it learns from the wire.
 *
 * Numbers are counted from the SYN of their direction, so they do not wrap here.
 */
#ifndef TESTS_TCP_MODEL_H
#define TESTS_TCP_MODEL_H

#include "tcp/priv.h"

#define MODEL_BYTES 8192u

/* How a segment is answered: not at all; with an ACK of what is expected next; with a RST; with
 * a SYN and an ACK; or in one of the first two ways. Data and FIN may go along with any but a
 * RST. */
enum model_answer { ANSWER_NONE, ANSWER_ACK, ANSWER_RST, ANSWER_SYNACK, ANSWER_FREE };

struct model {
    enum tcp_state state; /* TCPS_LISTEN, TCPS_CLOSED: there is no connection */
    bool listener, passive;
    int64_t una, nxt; /* ours; nxt as seen on the wire */
    int64_t rcv, edge;
    int64_t fin_at;        /* end of the peer's FIN; 0: not received */
    int64_t early_fin;     /* their FIN, ahead of its turn; 0: none */
    int64_t our_fin;       /* end of ours; 0: not sent */
    bool shut, closed;     /* what the program said */
    bool owed;             /* text came that need not have been acknowledged yet */
    int64_t read;          /* bytes that it took */
    bool got[MODEL_BYTES]; /* the peer's bytes, by number */
};

struct model_seg {
    uint8_t flags;
    int64_t seq, ack;
    uint32_t len, wnd;
};

/* A segment from the peer. */
enum model_answer model_arrives(struct model *m, const struct model_seg *s);
/* One from the stack: what it chose to do. False: it may not do that. */
bool model_sent(struct model *m, const struct model_seg *s);
/* The program closes. */
enum model_answer model_close(struct model *m);
/* Twice the MSL goes by. */
void model_wait(struct model *m);

#endif
