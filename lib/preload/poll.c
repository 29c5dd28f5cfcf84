/* SPDX-License-Identifier: BSD-2-Clause
 *
 * poll.c: poll and ppoll. The kernel's, on the stand-ins; but a stand-in cannot show all that a
 * socket can, so that those which the kernel says are ready are looked at once more. select and
 * epoll are the kernel's altogether.
 */
#include "shim.h"

/* The stand-in shows what is not so any more: a call that finds nothing takes that back. */
static void
take_back(int bh)
{
    char c;
    (void)bh_recv(bh, &c, 1, MSG_PEEK | MSG_DONTWAIT);
}

/* Correct what the kernel said. Returns how many are ready then. */
static int
correct(struct pollfd *f, nfds_t n)
{
    int ready = 0;
    for (nfds_t i = 0; i < n; i++) {
        uint32_t e = f[i].fd >= 0 ? entry(f[i].fd) : 0;
        if (f[i].revents != 0 && is_ours(e)) {
            struct pollfd one = {.fd = bh_of(e), .events = f[i].events};
            standin_via = f[i].fd;
            if (bh_poll(&one, 1, 0) >= 0)
                f[i].revents = one.revents;
            if (one.revents == 0)
                take_back(bh_of(e));
        }
        ready += f[i].revents != 0;
    }
    return ready;
}

/* No list that the kernel would take: it is told what the kernel says. */
static bool
no_list(const struct pollfd *f, nfds_t n)
{
    if (n > SHIM_FDS || wild_to_read(f, n * sizeof *f))
        return true;
    for (nfds_t i = 0; i < n; i += WILD_PAGE / sizeof *f)
        if (wild_to_read(&f[i], sizeof *f))
            return true;
    return false;
}

bool
any_ours(const struct pollfd *f, nfds_t n)
{
    if (no_list(f, n))
        return false;
    for (nfds_t i = 0; i < n; i++)
        if (f[i].fd >= 0 && is_ours(entry(f[i].fd)))
            return true;
    return false;
}

static struct timespec
left(const struct timespec *end)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct timespec r = {.tv_sec = end->tv_sec - now.tv_sec,
                         .tv_nsec = end->tv_nsec - now.tv_nsec};
    if (r.tv_nsec < 0) {
        r.tv_nsec += 1000000000;
        r.tv_sec--;
    }
    return r.tv_sec < 0 ? (struct timespec){0} : r;
}

int
shim_ppoll(struct pollfd *f, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
    struct timespec end = {0}, now = {0};
    may_sleep();
    if (!any_ours(f, n) || wild_to_write(f, n * sizeof *f))
        return REAL(ppoll)(f, n, ts, mask);
    if (ts != NULL && wild_to_read(ts, sizeof *ts))
        return fails(EFAULT);
    if (ts != NULL) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        end.tv_sec = now.tv_sec + ts->tv_sec + (now.tv_nsec + ts->tv_nsec) / 1000000000;
        end.tv_nsec = (now.tv_nsec + ts->tv_nsec) % 1000000000;
        now = *ts;
    }
    for (unsigned tries = 0;; tries++) {
        int r = REAL(ppoll)(f, n, ts != NULL ? &now : NULL, mask);
        if (r <= 0)
            return r;
        r = correct(f, n);
        if (r > 0 || (ts != NULL && now.tv_sec == 0 && now.tv_nsec == 0))
            return r;
        /* Ready for nothing: it was just taken, or is about to be told. */
        if (tries > 2)
            nap(tries > 20 ? 1000 : 50);
        if (ts != NULL)
            now = left(&end);
    }
}

EXPORT int
poll(struct pollfd *f, nfds_t n, int ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    may_sleep();
    if (!any_ours(f, n))
        return REAL(poll)(f, n, ms);
    return shim_ppoll(f, n, ms < 0 ? NULL : &ts, NULL);
}

EXPORT int
ppoll(struct pollfd *f, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
    return shim_ppoll(f, n, ts, mask);
}

OWN_IS(poll);
OWN_IS(ppoll);

/* ---- what the kernel does altogether ---- */

#define SLEEPS(type, name, params, ...)                                                        \
    EXPORT type name params                                                                    \
    {                                                                                          \
        may_sleep();                                                                           \
        return REAL(name)(__VA_ARGS__);                                                        \
    }

SLEEPS(int, epoll_wait, (int set, struct epoll_event *e, int n, int ms), set, e, n, ms)
SLEEPS(int, epoll_pwait, (int set, struct epoll_event *e, int n, int ms, const sigset_t *mask),
       set, e, n, ms, mask)
SLEEPS(int, epoll_pwait2,
       (int set, struct epoll_event *e, int n, const struct timespec *ts, const sigset_t *mask),
       set, e, n, ts, mask)
SLEEPS(int, select, (int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *t), n, r, w, x, t)
SLEEPS(int, pselect,
       (int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t, const sigset_t *mask),
       n, r, w, x, t, mask)
SLEEPS(int, nanosleep, (const struct timespec *t, struct timespec *rest), t, rest)
SLEEPS(int, clock_nanosleep,
       (clockid_t clock, int flags, const struct timespec *t, struct timespec *rest), clock,
       flags, t, rest)
SLEEPS(int, usleep, (useconds_t us), us)
SLEEPS(unsigned, sleep, (unsigned s), s)

/* ---- epoll ---- */

EXPORT int
epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    int r = REAL(epoll_ctl)(set, op, fd, event);
    uint32_t e = entry(fd);
    if (r != 0 || !is_ours_at(fd, e) || (e & E_NOWHERE))
        return r;
    if (op == EPOLL_CTL_DEL)
        event = NULL; /* which may point anywhere */
    else
        standin_watched(bh_of(e), (event->events & EPOLLET) != 0);
    if (e & E_SETTLED)
        return r;
    struct replay_epoll w = {.op = op, .fd = fd};
    if (event != NULL)
        w.event = *event;
    replay_note(e, REPLAY_EPOLL, set, &w, sizeof w);
    return r;
}

OWN_IS(epoll_ctl);
