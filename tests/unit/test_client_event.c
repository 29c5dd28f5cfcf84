/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library's event descriptor, and the libevent adaptor on it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>

#include "client_kit.h"
#include "lib/client/bulkhead_event.h"

static struct kit k;

/* Level-triggered, quiet when nothing is ready, readable as long as something is. */
Test(client_event, event_descriptor)
{
    struct bh_event ev[8];
    char c;
    kit_start(&k, IPPROTO_TCP, NULL);
    int efd = bh_event_fd();
    int fd = kit_connected(SOCK_NONBLOCK), other = kit_connected(SOCK_NONBLOCK);
    cr_assert(efd >= 0 && bh_event_fd() == efd);
    bh_watch(fd, POLLIN, &fd);
    bh_watch(other, POLLIN, &other);
    cr_assert(kit_fd_readable(efd, 0), "a new watch must be looked at");
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    cr_assert(!kit_fd_readable(efd, 20), "nothing is ready");
    bh_send(fd, "ab", 2, 0);
    cr_assert(kit_fd_readable(efd, 5000));
    cr_assert_eq(bh_ready_events(ev, 8), 1);
    cr_assert(ev[0].fd == fd && ev[0].arg == &fd && ev[0].revents == POLLIN);
    cr_assert(kit_fd_readable(efd, 0), "still ready");
    cr_assert_eq(bh_ready_events(ev, 8), 1);
    bh_recv(fd, &c, 1, 0);
    cr_assert_eq(bh_ready_events(ev, 8), 1, "one byte is left");
    bh_recv(fd, &c, 1, 0);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    cr_assert(!kit_fd_readable(efd, 20));
    bh_watch(fd, POLLIN | POLLOUT, &fd);
    cr_assert(kit_fd_readable(efd, 0));
    cr_assert_eq(bh_ready_events(ev, 8), 1);
    cr_assert_eq(ev[0].revents, POLLOUT);
    bh_watch(fd, 0, NULL);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    bh_send(fd, "ab", 2, 0);
    kit_nap(20);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    bh_close(fd);
    bh_close(other);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    kit_end(&k);
}

/* More ready sockets than fit: each has its turn before one has two. */
Test(client_event, event_fairness)
{
    enum { N = 10 };
    struct bh_event ev[4];
    int fd[N], seen[N] = {0};
    kit_start(&k, IPPROTO_TCP, NULL);
    bh_event_fd();
    for (int i = 0; i < N; i++) {
        fd[i] = kit_connected(SOCK_NONBLOCK);
        bh_watch(fd[i], POLLOUT, &seen[i]);
    }
    for (int turn = 0; turn < 5; turn++) {
        cr_assert_eq(bh_ready_events(ev, 4), 4);
        for (int i = 0; i < 4; i++)
            (*(int *)ev[i].arg)++;
    }
    for (int i = 0; i < N; i++)
        cr_assert_eq(seen[i], 2, "socket %d: %d", i, seen[i]);
    kit_end(&k);
}

/* ---- libevent ---- */

struct echo {
    struct event_base *base;
    struct bh_ev_base *eb;
    struct bh_ev *ev[8];
    unsigned left, timeouts, live;
};

static void
on_echo(int fd, short what, void *arg)
{
    struct echo *e = arg;
    char buf[64];
    unsigned i = 0;
    while (bh_ev_fd(e->ev[i]) != fd)
        i++;
    if (what & EV_TIMEOUT) {
        e->timeouts++;
        return;
    }
    cr_assert_eq(what, EV_READ);
    ssize_t n = bh_recv(fd, buf, sizeof buf, 0);
    cr_assert(n > 0);
    if (e->left-- > 0) {
        cr_assert_eq(bh_send(fd, buf, (size_t)n, 0), n);
        return;
    }
    e->left = 0;
    bh_ev_del(e->ev[i]);
    if (--e->live == 0)
        event_base_loopbreak(e->base);
}

static void
too_long(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    cr_assert_fail("the loop hangs");
}

/* Eight sockets ping-pong in a libevent loop; one event a base; a base a process. */
Test(client_event, libevent)
{
    struct echo e = {.left = 2000, .live = 8};
    kit_start(&k, IPPROTO_TCP, NULL);
    e.base = event_base_new();
    e.eb = bh_ev_base_new(e.base);
    cr_assert_not_null(e.eb);
    cr_assert_null(bh_ev_base_new(e.base));
    cr_assert_eq(errno, EBUSY);
    for (unsigned i = 0; i < 8; i++) {
        int fd = kit_connected(SOCK_NONBLOCK);
        e.ev[i] = bh_ev_new(e.eb, fd, EV_READ | EV_PERSIST, on_echo, &e);
        cr_assert_eq(bh_ev_add(e.ev[i], NULL), 0);
        bh_send(fd, "ping", 4, 0);
    }
    struct event *watchdog = evtimer_new(e.base, too_long, NULL);
    struct timeval ten = {.tv_sec = 20}, soon = {.tv_usec = 20000};
    evtimer_add(watchdog, &ten);
    event_base_dispatch(e.base);
    cr_assert_eq(e.live, 0);
    cr_assert_eq(bh_ev_add(e.ev[0], &soon), 0);
    while (e.timeouts < 3)
        event_base_loop(e.base, EVLOOP_ONCE);
    for (unsigned i = 0; i < 8; i++) {
        int fd = bh_ev_fd(e.ev[i]);
        bh_ev_free(e.ev[i]);
        bh_close(fd);
    }
    event_free(watchdog);
    bh_ev_base_free(e.eb);
    event_base_free(e.base);
    kit_end(&k);
}

static unsigned once_calls;

static void
on_once(int fd, short what, void *arg)
{
    struct bh_ev **ev = arg;
    (void)what;
    once_calls++;
    (void)fd;
    for (int i = 0; i < 2; i++) { /* frees itself and its neighbour, who is ready too */
        bh_ev_free(ev[i]);
        ev[i] = NULL;
    }
}

/* An event may free itself and others of the same batch from its callback. */
Test(client_event, libevent_free_in_callback)
{
    struct bh_ev *ev[2];
    kit_start(&k, IPPROTO_TCP, NULL);
    struct event_base *base = event_base_new();
    struct bh_ev_base *eb = bh_ev_base_new(base);
    for (int i = 0; i < 2; i++) {
        ev[i] = bh_ev_new(eb, kit_connected(SOCK_NONBLOCK), EV_WRITE, on_once, ev);
        bh_ev_add(ev[i], NULL);
    }
    for (int i = 0; i < 5; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    cr_assert_eq(once_calls, 1);
    bh_ev_base_free(eb);
    event_base_free(base);
    kit_end(&k);
}
