/* SPDX-License-Identifier: BSD-2-Clause
 *
 * evio.c: sockets of either stack in one libevent loop.
 */
#include "bench/evio.h"

#include <errno.h>

#include "client/bulkhead_event.h"

bool
evio_init(struct evio *io, const struct via *via)
{
    io->bulkhead = NULL;
    io->base = event_base_new();
    if (!io->base) {
        errno = ENOMEM;
        return false;
    }
    if (via == &via_bulkhead) {
        io->bulkhead = bh_ev_base_new(io->base);
        if (!io->bulkhead) {
            event_base_free(io->base);
            return false;
        }
    }
    return true;
}

void
evio_fini(struct evio *io)
{
    if (io->bulkhead)
        bh_ev_base_free(io->bulkhead);
    event_base_free(io->base);
}

bool
evio_watch_init(struct evio_watch *w, struct evio *io, int fd, evio_cb cb, void *arg)
{
    w->io = io;
    w->what = 0;
    w->bulkhead = NULL;
    if (!io->bulkhead)
        return event_assign(&w->kernel, io->base, fd, EV_PERSIST, cb, arg) == 0;
    w->bulkhead = bh_ev_new(io->bulkhead, fd, EV_PERSIST, cb, arg);
    return w->bulkhead != NULL;
}

static bool
set_bulkhead(struct evio_watch *w, short what)
{
    if (!what)
        return bh_ev_del(w->bulkhead) == 0;
    if (bh_ev_set(w->bulkhead, (short)(what | EV_PERSIST)) < 0)
        return false;
    return w->what || bh_ev_add(w->bulkhead, NULL) == 0;
}

static bool
set_kernel(struct evio_watch *w, short what)
{
    struct event *e = &w->kernel;
    if (w->what && event_del(e) < 0)
        return false;
    if (!what)
        return true;
    return event_assign(e, w->io->base, event_get_fd(e), (short)(what | EV_PERSIST),
                        event_get_callback(e), event_get_callback_arg(e)) == 0 &&
           event_add(e, NULL) == 0;
}

bool
evio_watch_set(struct evio_watch *w, short what)
{
    if (what == w->what)
        return true;
    if (!(w->bulkhead ? set_bulkhead(w, what) : set_kernel(w, what)))
        return false;
    w->what = what;
    return true;
}

void
evio_watch_fini(struct evio_watch *w)
{
    if (w->bulkhead)
        bh_ev_free(w->bulkhead);
    else if (w->what)
        event_del(&w->kernel);
    w->bulkhead = NULL;
    w->what = 0;
}
