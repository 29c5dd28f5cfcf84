/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bulkhead_event.h: bulkhead sockets in a libevent loop. Link with
 * `pkg-config --libs bulkhead-event` (libbulkhead-event, which needs libevent_core).
 *
 *     struct event_base *base = event_base_new();
 *     struct bh_ev_base *eb = bh_ev_base_new(base);
 *     struct bh_ev *ev = bh_ev_new(eb, fd, EV_READ | EV_PERSIST, on_readable, arg);
 *     bh_ev_add(ev, NULL);
 *     event_base_dispatch(base);
 *
 * The words are libevent's: EV_READ, EV_WRITE, EV_PERSIST, EV_TIMEOUT; readiness is
 * level-triggered. A socket that failed or was closed by its peer reports every direction
 * that it was added for, so that the next call on it says why.
 *
 * All calls belong to the thread that runs the event_base. A process has one
 * bh_ev_base at a time (bulkhead has one event descriptor a process).
 *
 * Fairness. In one turn of the loop at most BH_EV_BATCH sockets get their callback; the
 * others, and everything else that the event_base watches, have their turn before the
 * same socket is called again.
 */
#ifndef BULKHEAD_EVENT_H
#define BULKHEAD_EVENT_H

#include <event2/event.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_EV_BATCH 64

struct bh_ev_base;
struct bh_ev;

/* what: EV_READ, EV_WRITE and EV_TIMEOUT or'ed. fd: the bulkhead descriptor. */
typedef void (*bh_ev_cb)(int fd, short what, void *arg);

/* Join the event_base. NULL and errno on failure (EBUSY: there is one already). Works
 * before the first bh_socket() too. */
struct bh_ev_base *bh_ev_base_new(struct event_base *base);

/* All its events must have been freed. Before event_base_free. */
void bh_ev_base_free(struct bh_ev_base *eb);

/* An event for a socket: at most one per socket at a time. what: EV_READ, EV_WRITE,
 * EV_PERSIST (without it the event is deleted before its callback runs). Not yet added.
 * NULL and errno on failure. */
struct bh_ev *bh_ev_new(struct bh_ev_base *eb, int fd, short what, bh_ev_cb cb, void *arg);

/* Start to watch; timeout may be NULL. With EV_PERSIST the timeout starts again after
 * every callback. Adding again replaces the timeout. 0, or -1 and errno. */
int bh_ev_add(struct bh_ev *ev, const struct timeval *timeout);

/* Stop to watch. No callback of this event runs after it returns. 0, or -1 and errno. */
int bh_ev_del(struct bh_ev *ev);

/* Other directions from now on; added stays added. 0, or -1 and errno. */
int bh_ev_set(struct bh_ev *ev, short what);

/* Deletes and frees; allowed in its own callback. Before bh_close(fd). */
void bh_ev_free(struct bh_ev *ev);

int bh_ev_fd(const struct bh_ev *ev);
short bh_ev_what(const struct bh_ev *ev);

#ifdef __cplusplus
}
#endif

#endif
