/* SPDX-License-Identifier: BSD-2-Clause
 *
 * evio.h: sockets of either stack in one libevent loop. The kernel's are plain events;
 * Bulkhead's go through the adaptor of its client library. Timers and signals are
 * libevent's own in both cases. One thread.
 */
#ifndef BENCH_EVIO_H
#define BENCH_EVIO_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#include "bench/via.h"

struct bh_ev;
struct bh_ev_base;

struct evio {
    struct event_base *base;
    struct bh_ev_base *bulkhead; /* NULL: the kernel's sockets */
};

/* what: EV_READ and EV_WRITE or'ed; level-triggered. */
typedef void (*evio_cb)(int fd, short what, void *arg);

struct evio_watch {
    struct evio *io;
    struct bh_ev *bulkhead;
    struct event kernel;
    short what;
};

/* False, and errno, on failure. */
bool evio_init(struct evio *io, const struct via *via);
void evio_fini(struct evio *io); /* after every watch */

/* Nothing is watched until evio_watch_set says what. False, and errno, on failure. */
bool evio_watch_init(struct evio_watch *w, struct evio *io, int fd, evio_cb cb, void *arg);

/* EV_READ, EV_WRITE, both, or 0 for nothing. False: no memory. */
bool evio_watch_set(struct evio_watch *w, short what);

/* Before the socket is closed; no callback comes after it. Allowed in the callback. */
void evio_watch_fini(struct evio_watch *w);

#endif
