/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bulkhead_event.c: one libevent event on the library's descriptor stands for all sockets;
 * each turn hands a bounded batch of callbacks out. On the public interface only.
 */
#include "bulkhead_event.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bulkhead.h"

struct bh_ev_base {
    struct event_base *base;
    struct event *bell;
    struct bh_event *batch; /* while its callbacks run: the events not yet called */
    int n_batch;
};

struct bh_ev {
    struct bh_ev_base *eb;
    int fd;
    short what;
    bool added;
    bool has_timeout;
    struct timeval timeout;
    struct event *timer;
    bh_ev_cb cb;
    void *arg;
};

static atomic_bool taken;

static short
poll_events(short what)
{
    return (short)((what & EV_READ ? POLLIN : 0) | (what & EV_WRITE ? POLLOUT : 0));
}

/* ---- callbacks ---- */

static void
call(struct bh_ev *ev, short what)
{
    bh_ev_cb cb = ev->cb;
    void *arg = ev->arg;
    int fd = ev->fd;
    if (!(ev->what & EV_PERSIST))
        bh_ev_del(ev);
    else if (ev->has_timeout)
        event_add(ev->timer, &ev->timeout);
    cb(fd, what, arg); /* may free ev */
}

static void
on_timer(evutil_socket_t none, short what, void *arg)
{
    (void)none;
    (void)what;
    call(arg, EV_TIMEOUT);
}

static void
on_bell(evutil_socket_t fd, short unused, void *arg)
{
    struct bh_ev_base *eb = arg;
    struct bh_event batch[BH_EV_BATCH];
    (void)fd;
    (void)unused;
    int n = bh_ready_events(batch, BH_EV_BATCH);
    eb->batch = batch;
    eb->n_batch = n;
    for (int i = 0; i < n; i++) {
        struct bh_ev *ev = batch[i].arg;
        if (ev == NULL)
            continue; /* deleted by a callback before it */
        short r = batch[i].revents, what = 0;
        if (r & (POLLIN | POLLHUP | POLLERR))
            what |= ev->what & EV_READ;
        if (r & (POLLOUT | POLLHUP | POLLERR))
            what |= ev->what & EV_WRITE;
        if (what != 0)
            call(ev, what);
    }
    eb->batch = NULL;
    eb->n_batch = 0;
}

/* No callback of this event in the batch that is being handed out. */
static void
forget(struct bh_ev *ev)
{
    for (int i = 0; i < ev->eb->n_batch; i++)
        if (ev->eb->batch[i].arg == ev)
            ev->eb->batch[i].arg = NULL;
}

/* ---- the interface ---- */

struct bh_ev_base *
bh_ev_base_new(struct event_base *base)
{
    int fd = bh_event_fd();
    if (fd < 0)
        return NULL;
    if (atomic_exchange(&taken, true)) {
        errno = EBUSY;
        return NULL;
    }
    struct bh_ev_base *eb = calloc(1, sizeof *eb);
    if (eb != NULL) {
        eb->base = base;
        eb->bell = event_new(base, fd, EV_READ | EV_PERSIST, on_bell, eb);
    }
    if (eb == NULL || eb->bell == NULL || event_add(eb->bell, NULL) != 0) {
        bh_ev_base_free(eb);
        atomic_store(&taken, false);
        errno = ENOMEM;
        return NULL;
    }
    return eb;
}

void
bh_ev_base_free(struct bh_ev_base *eb)
{
    if (eb == NULL)
        return;
    if (eb->bell != NULL)
        event_free(eb->bell);
    free(eb);
    atomic_store(&taken, false);
}

struct bh_ev *
bh_ev_new(struct bh_ev_base *eb, int fd, short what, bh_ev_cb cb, void *arg)
{
    struct bh_ev *ev = calloc(1, sizeof *ev);
    if (ev == NULL)
        return NULL;
    *ev = (struct bh_ev){.eb = eb, .fd = fd, .what = what, .cb = cb, .arg = arg};
    ev->timer = event_new(eb->base, -1, 0, on_timer, ev);
    if (ev->timer == NULL) {
        free(ev);
        errno = ENOMEM;
        return NULL;
    }
    return ev;
}

int
bh_ev_add(struct bh_ev *ev, const struct timeval *timeout)
{
    if (bh_watch(ev->fd, poll_events(ev->what), ev) != 0)
        return -1;
    ev->added = true;
    ev->has_timeout = timeout != NULL;
    event_del(ev->timer);
    if (timeout != NULL) {
        ev->timeout = *timeout;
        event_add(ev->timer, timeout);
    }
    return 0;
}

int
bh_ev_del(struct bh_ev *ev)
{
    if (!ev->added)
        return 0;
    ev->added = false;
    event_del(ev->timer);
    forget(ev);
    return bh_watch(ev->fd, 0, NULL);
}

int
bh_ev_set(struct bh_ev *ev, short what)
{
    ev->what = what;
    return ev->added ? bh_watch(ev->fd, poll_events(what), ev) : 0;
}

void
bh_ev_free(struct bh_ev *ev)
{
    if (ev == NULL)
        return;
    bh_ev_del(ev);
    event_free(ev->timer);
    free(ev);
}

int
bh_ev_fd(const struct bh_ev *ev)
{
    return ev->fd;
}

short
bh_ev_what(const struct bh_ev *ev)
{
    return ev->what;
}
