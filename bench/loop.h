/* SPDX-License-Identifier: BSD-2-Clause
 *
 * loop.h: which of very many sockets are ready, by the way that each stack has for it: epoll,
 * or the client library's bh_watch and bh_ready_events.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include "bench/via.h"

#define LOOP_MAX 256

struct loop {
    const struct via *via;
    int fd; /* the epoll descriptor, or what bh_event_fd gave */
};

struct loop_ready {
    void *arg;
    short events; /* POLLIN, POLLOUT, POLLERR, POLLHUP */
};

/* Exits with a message when there is none. For Bulkhead: one in a process. */
void loop_open(struct loop *l, const struct via *via);
/* POLLIN, POLLOUT or both; level-triggered. Once for each socket; later changes by loop_set. */
void loop_add(struct loop *l, int fd, short events, void *arg);
void loop_set(struct loop *l, int fd, short events, void *arg);
/* Before the socket is closed. */
void loop_remove(struct loop *l, int fd);
/* At most LOOP_MAX that are ready; waits for the first, but no longer than timeout_ms. */
int loop_wait(struct loop *l, struct loop_ready *ready, int timeout_ms);

#endif
