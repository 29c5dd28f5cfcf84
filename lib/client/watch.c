/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch.c: the descriptor for an event loop, and the sockets behind it.
 *
 * The descriptor is an epoll instance over the bells, the supervisor's sockets, an eventfd
 * and a timer. Watched sockets that may be ready are in lib.ready: put there when they are
 * watched, by an event of theirs, and kept there as long as they are reported
 * (level-triggered). So a call costs what there are such sockets, not what there are
 * watched ones.
 *
 * The loop is *asleep* from the time bh_ready_events found nothing: then the bells are armed
 * for it, and whoever puts a socket into the list makes the descriptor readable. While the
 * list is not empty the descriptor stays readable, by a byte left in a bell or by the
 * eventfd.
 */
#include "private.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { SRC_KICK, SRC_TIMER, SRC_BELL, SRC_SUP = SRC_BELL + ATTS, SRC_END = SRC_SUP + ATTS };

static int
epoll_add(struct lib *l, int fd, uint32_t source)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = source};
    return epoll_ctl(l->fd_event, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : errno;
}

void
loop_readable(struct lib *l)
{
    if (l->fd_event < 0 || l->kicked)
        return;
    for (unsigned i = 0; i < ATTS; i++)
        if (l->att[i] != NULL && l->att[i]->pipe_full)
            return;
    uint64_t one = 1;
    ssize_t n = write(l->fd_kick, &one, sizeof one);
    (void)n;
    l->kicked = true;
}

int
watch_add_att(struct lib *l, struct att *a)
{
    unsigned i = att_index(a->proto);
    int err = 0;
    if (l->fd_event < 0)
        return 0;
    const struct own *o = own_of(a);
    if (o->sleep >= 0)
        err = epoll_add(l, o->sleep, SRC_BELL + i);
    if (err == 0 && o->sup >= 0)
        err = epoll_add(l, o->sup, SRC_SUP + i);
    loop_readable(l); /* its bell is not armed for the loop yet */
    return err;
}

void
watch_drop_att(struct lib *l, struct att *a)
{
    a->pipe_full = false;
    if (l->fd_event < 0)
        return;
    const struct own *o = own_of(a);
    if (o->sleep >= 0)
        epoll_ctl(l->fd_event, EPOLL_CTL_DEL, o->sleep, NULL);
    if (o->sup >= 0)
        epoll_ctl(l->fd_event, EPOLL_CTL_DEL, o->sup, NULL);
}

static int
open_event_fd(struct lib *l)
{
    l->fd_event = epoll_create1(EPOLL_CLOEXEC);
    l->fd_kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->fd_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int err = l->fd_event < 0 || l->fd_kick < 0 || l->fd_timer < 0 ? errno : 0;
    if (err == 0)
        err = epoll_add(l, l->fd_kick, SRC_KICK);
    if (err == 0)
        err = epoll_add(l, l->fd_timer, SRC_TIMER);
    for (unsigned i = 0; i < ATTS && err == 0; i++)
        if (l->att[i] != NULL && !l->att[i]->down)
            err = watch_add_att(l, l->att[i]);
    if (err == 0) {
        loop_readable(l); /* until bh_ready_events has armed the bells */
        return 0;
    }
    int *fds[] = {&l->fd_event, &l->fd_kick, &l->fd_timer};
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    return err;
}

int
bh_event_fd(void)
{
    struct lib *l = lib_lock();
    int err = l->fd_event < 0 ? open_event_fd(l) : 0;
    int fd = l->fd_event;
    lib_unlock(l);
    return err != 0 ? (int)ret_errno(-err) : fd;
}

/* ---- watching ---- */

void
watch_touch_desc(struct lib *l, struct desc *d)
{
    if (d->watch == 0)
        return;
    list_remove(&d->ready);
    list_append(&l->ready, &d->ready);
    if (l->loop_asleep)
        loop_readable(l);
}

void
watch_touch(struct lib *l, struct sock *s)
{
    for (struct list *p = s->descs.next; p != &s->descs; p = p->next)
        watch_touch_desc(l, list_item(p, struct desc, of));
}

void
watch_forget(struct desc *d)
{
    d->watch = 0;
    list_remove(&d->ready);
}

static int
do_watch(struct lib *l, struct desc *d, short events, void *arg)
{
    if (d == NULL || d->att != NULL)
        return -EBADF;
    events &= POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDHUP;
    d->watch = events;
    d->watch_arg = arg;
    if (events == 0)
        watch_forget(d);
    else
        watch_touch_desc(l, d);
    return 0;
}

int
bh_watch(int fd, short events, void *arg)
{
    struct lib *l = lib_lock();
    int r = do_watch(l, lib_desc(l, fd), events, arg);
    lib_unlock(l);
    return (int)ret_errno(r);
}

/* ---- collecting ---- */

static void
empty(int fd)
{
    uint64_t sink;
    ssize_t n = read(fd, &sink, sizeof sink);
    (void)n;
}

/* Why did the loop wake up? Bells are left as they are: they keep the descriptor readable
 * until there is nothing more to report. */
static void
take_wakeup(struct lib *l)
{
    struct epoll_event e[SRC_END];
    int n = epoll_wait(l->fd_event, e, SRC_END, 0);
    for (int i = 0; i < n; i++) {
        uint32_t src = e[i].data.u32;
        if (src == SRC_TIMER) {
            empty(l->fd_timer);
        } else if (src >= SRC_BELL && src < SRC_SUP) {
            if (l->att[src - SRC_BELL] != NULL)
                l->att[src - SRC_BELL]->pipe_full = true;
        } else if (src >= SRC_SUP && src < SRC_END) {
            if (l->att[src - SRC_SUP] != NULL)
                att_check(l->att[src - SRC_SUP]);
        }
    }
}

/* Conditions to report, or 0 if the socket is armed and needs no more looking at. */
static short
examine(struct desc *d)
{
    short want = (short)(d->watch | POLLERR | POLLHUP);
    struct sock *s = d->s;
    if (d->dead)
        return POLLERR | POLLHUP;
    short r = sock_conditions(s) & want;
    if (r == 0 && !s->listening && sock_arm(s, poll_mask(d->watch)))
        r = sock_conditions(s) & want;
    return r;
}

static int
collect(struct lib *l, struct bh_event *ev, int max)
{
    struct list todo;
    int n = 0;
    if (list_empty(&l->ready))
        return 0;
    todo = l->ready; /* as it is now; what is put back is looked at in the next call */
    todo.next->prev = todo.prev->next = &todo;
    list_init(&l->ready);
    while (n < max && !list_empty(&todo)) {
        struct desc *d = list_item(todo.next, struct desc, ready);
        list_remove(&d->ready);
        short r = examine(d);
        if (r != 0) {
            ev[n++] = (struct bh_event){.fd = d->fd, .revents = r, .arg = d->watch_arg};
            list_append(&l->ready, &d->ready);
        } else if (d->s->starved) {
            list_append(&l->starved, &d->ready);
        }
    }
    if (!list_empty(&todo)) { /* these go first next time */
        struct list *first = todo.next, *last = todo.prev;
        last->next = l->ready.next;
        l->ready.next->prev = last;
        l->ready.next = first;
        first->prev = &l->ready;
    }
    return n;
}

static bool
owing(const struct lib *l)
{
    for (unsigned i = 0; i < ATTS; i++)
        if (l->att[i] != NULL && !l->att[i]->down && !list_empty(&l->att[i]->owing))
            return true;
    return false;
}

/* Nothing to report: make the descriptor tell of what comes. False: something came. */
static bool
fall_asleep(struct lib *l)
{
    lib_flush(l);
    for (unsigned i = 0; i < ATTS && l->leader == NULL; i++)
        if (l->att[i] != NULL && l->att[i]->pipe_full) {
            l->att[i]->pipe_full = false;
            own_empty(own_of(l->att[i]));
        }
    if (l->kicked) {
        empty(l->fd_kick);
        l->kicked = false;
    }
    l->loop_asleep = true;
    bells_settle(l); /* arms, and looks again */
    if (!list_empty(&l->ready)) {
        l->loop_asleep = false;
        return false;
    }
    if (!list_empty(&l->starved) || owing(l)) {
        struct itimerspec it = {.it_value.tv_nsec = SHORT_WAIT};
        timerfd_settime(l->fd_timer, 0, &it, NULL);
    }
    return true;
}

int
bh_ready_events(struct bh_event *ev, int max)
{
    int n;
    if (max <= 0)
        return (int)ret_errno(-EINVAL);
    struct lib *l = lib_lock();
    if (l->loop_asleep) {
        l->loop_asleep = false;
        take_wakeup(l);
    }
    while (!list_empty(&l->starved)) {
        watch_touch_desc(l, list_item(l->starved.next, struct desc, ready));
    }
    do {
        lib_drain(l);
        n = collect(l, ev, max);
    } while (n == 0 && l->fd_event >= 0 && !fall_asleep(l));
    if (n > 0)
        loop_readable(l);
    lib_unlock(l);
    return n;
}
