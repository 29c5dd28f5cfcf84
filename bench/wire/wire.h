/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire.h: the wire at work: two ports, two directions, and the packets under way.
 */
#ifndef BENCH_WIRE_WIRE_H
#define BENCH_WIRE_WIRE_H

#include <signal.h>
#include <stdio.h>

#include "bench/wire/conf.h"
#include "bench/wire/line.h"
#include "bench/wire/port.h"

struct wire {
    struct wire_conf conf;
    struct port port[WAYS]; /* where the direction of that name begins: left, right */
    struct way way[WAYS];
    struct line line[WAYS];
    uint8_t *frames;     /* room of these, each of size bytes */
    uint32_t room, size; /* room is a power of two */
    uint32_t *free;      /* slots that hold nothing, n_free of them */
    uint32_t n_free;
    ns_t spin; /* do not sleep for less than this */
    ns_t begun;
    ns_t late_max, late_sum; /* how long after its time a frame was sent */
    uint64_t n_sent;
};

/* Make room for what is under way. Exits with EXIT_OTHER when there is none. */
void wire_init(struct wire *w);

/* Forward until *stop. awake: the signals to be let in while it sleeps. Returns 0, or an errno
 * when an interface went away. */
int wire_run(struct wire *w, const volatile sig_atomic_t *stop, const sigset_t *awake);

/* Counters as one JSON object, or as lines for people. */
void wire_report(struct wire *w, FILE *to, bool json);

#endif
