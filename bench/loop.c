/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "client/bulkhead.h"

void
loop_open(struct loop *l, const struct via *via)
{
    l->via = via;
    l->fd = via == &via_bulkhead ? bh_event_fd() : epoll_create1(EPOLL_CLOEXEC);
    if (l->fd < 0)
        tool_die(EXIT_OTHER, "no event loop: %s", strerror(errno));
}

/* poll's and epoll's bits for these are the same numbers. */
_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR, "same bits");

static void
change(struct loop *l, int op, int fd, short events, void *arg)
{
    struct epoll_event e = {.events = (uint32_t)events, .data.ptr = arg};
    int r = l->via == &via_bulkhead ? bh_watch(fd, events, arg) : epoll_ctl(l->fd, op, fd, &e);
    if (r != 0)
        tool_die(EXIT_OTHER, "watching a socket: %s", strerror(errno));
}

void
loop_add(struct loop *l, int fd, short events, void *arg)
{
    change(l, EPOLL_CTL_ADD, fd, events, arg);
}

void
loop_set(struct loop *l, int fd, short events, void *arg)
{
    change(l, EPOLL_CTL_MOD, fd, events, arg);
}

void
loop_remove(struct loop *l, int fd)
{
    change(l, EPOLL_CTL_DEL, fd, 0, NULL);
}

static int
wait_bulkhead(struct loop *l, struct loop_ready *ready, int timeout_ms)
{
    struct bh_event e[LOOP_MAX];
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    int n = bh_ready_events(e, LOOP_MAX);
    if (n == 0 && timeout_ms != 0 && poll(&p, 1, timeout_ms) > 0)
        n = bh_ready_events(e, LOOP_MAX);
    for (int i = 0; i < n; i++)
        ready[i] = (struct loop_ready){.arg = e[i].arg, .events = e[i].revents};
    return n;
}

static int
wait_kernel(struct loop *l, struct loop_ready *ready, int timeout_ms)
{
    struct epoll_event e[LOOP_MAX];
    int n = epoll_wait(l->fd, e, LOOP_MAX, timeout_ms);
    for (int i = 0; i < n; i++)
        ready[i] = (struct loop_ready){.arg = e[i].data.ptr, .events = (short)e[i].events};
    return n;
}

int
loop_wait(struct loop *l, struct loop_ready *ready, int timeout_ms)
{
    int n = l->via == &via_bulkhead ? wait_bulkhead(l, ready, timeout_ms)
                                    : wait_kernel(l, ready, timeout_ms);
    if (n < 0 && errno != EINTR)
        tool_die(EXIT_OTHER, "waiting for sockets: %s", strerror(errno));
    return n < 0 ? 0 : n;
}
