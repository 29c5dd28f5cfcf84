/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chan.h: a real channel to a running stack, in the hands of an attacker: attached as any
 * program would, and from then on bare memory, pipes and a socket.
 */
#ifndef TESTS_CHAN_H
#define TESTS_CHAN_H

#include <stdio.h>
#include <stdlib.h>

#include "ipc/bell.h"
#include "ipc/ctl.h"
#include "ipc/ring.h"
#include "session/session.h"

RING_DEFINE(creq, struct sess_req)
RING_DEFINE(cevt, struct sess_evt)

struct chan {
    int sup; /* connection to the supervisor */
    int fd[CTL_FDS_MAX];
    void *half[2];
    size_t size[2];
    struct arena_view v;
    struct ring_tx req;
    struct ring_rx evt;
    uint32_t cookie;
};
/* fd[] of a welcome */
enum { CHAN_OWN, CHAN_THEIRS, CHAN_SLEEP, CHAN_RING, CHAN_HOLD };

/* A connection to the supervisor; ends the process if there is none. */
int chan_connect(void);
/* Attach; IPPROTO_TCP or IPPROTO_UDP. 0, or what the answer was (enum ctl_denied), or -errno. A
 * domain that is just being replaced is waited for. */
int chan_try(struct chan *c, int proto);
/* The same; ends the process if it is refused for five seconds. */
void chan_open(struct chan *c, int proto);
/* The same with memory and pipes of our own, which nobody serves. */
void chan_nobody(struct chan *c);
void chan_close(struct chan *c);
/* The supervisor hung up, within so many ms. */
bool chan_dead(const struct chan *c, int ms);

void chan_ring(const struct chan *c);
/* A request without waiting for anything. False: the ring is full. */
bool chan_post(struct chan *c, struct sess_req r);
bool chan_event(struct chan *c, struct sess_evt *e);
/* Request and reply: its errno; -1: none within two seconds, or the channel is dead. */
int chan_call(struct chan *c, struct sess_req r, struct sess_evt *reply);
/* A session, or 0. */
uint64_t chan_socket(struct chan *c, uint32_t *slot);

uint32_t chan_rnd(void);
double chan_now(void);

/* Something that must hold does not: the stack failed, not the attack. */
#define MUST(ok, ...)                                                                          \
    do {                                                                                       \
        if (!(ok)) {                                                                           \
            fprintf(stderr, __VA_ARGS__);                                                      \
            fprintf(stderr, " (%s:%d)\n", __FILE__, __LINE__);                                 \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

/* What an attack does once; it is called until its time is over. */
typedef void attack_fn(void);
struct attack {
    const char *name;
    attack_fn *run;
};
extern const struct attack attack_memory[], attack_request[], attack_control[], attack_death[];
/* What some of them do to a channel, done to nobody. */
extern const struct attack attack_nobody[];

#endif
