/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_watch.c: domains that live and do not work. Every TICK each domain is looked at. If its
 * loop has not turned since the last look, that may be evidence, of so much time as has passed:
 *
 *   spun    processor time that it used without turning its loop
 *   still   it has work and sleeps, or is stopped: it says that it is awake, or a bell, a
 *           message or its own deadline waits for it, and it does not even want a processor
 *   full    it turns, and leaves what we sent it unread
 *
 * HANG of that, FULL of the last, and it is killed: 150 ms after it ceased to work, at the
 * most. No look is enough by itself, however long ago the last one was, and processor time is
 * the domain's own: so neither a loaded machine, nor one that was suspended, nor a
 * supervisor that was itself late is taken for a hang. A domain that is ready to run and gets
 * no processor, waits for the kernel (state D) or is held by a debugger (t) is spared, but not
 * for ever.
 *
 * An idle stack costs nothing: when nobody has moved for QUIET looks, the next look is a second
 * away, or at the first deadline of a domain, and what would wake a domain wakes us as well.
 */
#include "sup.h"

#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define TICK (50 * NS_MS)
#define QUIET 20u
#define HANG (2 * TICK)
#define FULL (2 * NS_S)
#define SPARED (30 * NS_S)
#define BELLS_MAX (2 * TOPO_LINKS + CLIENTS_MAX + 1)

/* ---- what waits for a domain ---- */

/* The descriptors that d sleeps on (dom DOM_COUNT: that anybody does). Only of links that are
 * up: on the others nobody promised to listen. The frames of a nic that has no ip wait too. */
static unsigned
bells(const struct sup *s, unsigned dom, int *fd)
{
    unsigned n = sup_client_bells(s, dom, fd, CLIENTS_MAX);
    bool nic = s->dom[DOM_MONO].life != LIFE_ABSENT;
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B && s->link[i].up; side++) {
            nic |= topo_links[i].side[side] == DOM_NIC;
            if (dom == DOM_COUNT || topo_links[i].side[side] == dom)
                fd[n++] = s->link[i].bell[side][0];
        }
    if (nic && (dom == DOM_COUNT || dom == DOM_NIC || dom == DOM_MONO) && s->nif.fd >= 0)
        fd[n++] = s->nif.fd;
    return n;
}

static bool
rung(const struct sup_dom *d)
{
    struct pollfd p[BELLS_MAX];
    int fd[BELLS_MAX];
    unsigned n = bells(d->sup, d->id, fd);
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
    if (poll(p, n, 0) <= 0)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (p[i].revents & POLLIN)
            return true;
    return false;
}

static bool
work_waits(const struct sup_dom *d, ns_t now)
{
    return atomic_load_explicit(&d->stats->state, memory_order_acquire) != STATS_ASLEEP ||
           atomic_load_explicit(&d->stats->until, memory_order_relaxed) < now - TICK ||
           sup_socket_unread(d->ctl) != 0 || rung(d);
}

/* ---- looking ---- */

/* Processor time of the process, ns; 0 if that cannot be told. */
static ns_t
cpu_time(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
}

static uint32_t
beat_of(const struct sup_dom *d)
{
    return atomic_load_explicit(&d->stats->beat, memory_order_relaxed);
}

/* It does not move, but that is not its fault. */
static bool
spare(struct sup_dom *d, ns_t slice)
{
    struct proc_info p;
    if (!proc_read(d->pid, &p) || (p.state != 'R' && p.state != 'D' && p.state != 't'))
        return false;
    d->spared += slice;
    return d->spared < SPARED;
}

/* slice: the time that this look stands for. True: there was nothing to be seen. */
static bool
look(struct sup_dom *d, ns_t now, ns_t slice)
{
    uint32_t beat = beat_of(d);
    bool moved = beat != d->beat;
    ns_t cpu = cpu_time(d->pid), ran = cpu - min_u64(d->cpu, cpu);
    d->cpu = cpu;
    d->beat = beat;
    if (moved) {
        d->spun = d->still = d->spared = 0;
        d->full = sup_socket_unread(d->ctl) != 0 ? d->full + slice : 0;
    } else {
        d->spun += min_u64(ran, HANG - 1);
        if (ran > slice / 2 || !work_waits(d, now))
            d->still = 0;
        else if (!spare(d, slice) && beat_of(d) == beat)
            d->still += slice;
    }
    if (d->spun >= HANG)
        sup_dom_kill(d, "it hangs: busy for %u ms, and its loop does not turn",
                     (unsigned)(d->spun / NS_MS));
    else if (d->still >= HANG)
        sup_dom_kill(d, "it hangs: it has had work for %u ms, and sleeps",
                     (unsigned)(d->still / NS_MS));
    else if (d->full >= FULL)
        sup_dom_kill(d, "it hangs: it does not read its control socket");
    return !moved && d->spun + d->still + d->spared + d->full == 0;
}

void
sup_watch_start(struct sup_dom *d)
{
    d->beat = beat_of(d);
    d->spun = d->still = d->full = d->spared = 0;
    d->cpu = cpu_time(d->pid);
    d->log_left = LOG_PER_SECOND;
    sup_watch_wake(d->sup);
}

/* ---- when to look ---- */

static void
look_in(struct sup *s, ns_t time)
{
    struct timeval tv = {.tv_sec = (time_t)(time / NS_S),
                         .tv_usec = (suseconds_t)(time % NS_S / NS_US)};
    (void)evtimer_add(s->ev_watch, &tv);
}

void
sup_watch_close(struct sup *s)
{
    if (s->ev_work != NULL)
        event_free(s->ev_work);
    if (s->watch_fd >= 0)
        close(s->watch_fd);
    s->ev_work = NULL;
    s->watch_fd = -1;
}

void
sup_watch_wake(struct sup *s)
{
    s->quiet = 0;
    if (s->watch_fd < 0 && evtimer_pending(s->ev_watch, NULL))
        return;
    sup_watch_close(s);
    s->watch_at = sup_now();
    look_in(s, TICK);
}

static void
on_work(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sup_watch_wake(arg);
}

/* Let whatever wakes a domain wake us too. It is one epoll within the other, made anew each
 * time, so that a busy stack's bells have one sleeper to wake and not two. */
static void
doze(struct sup *s)
{
    int fd[BELLS_MAX];
    unsigned n = bells(s, DOM_COUNT, fd);
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    bool ok = s->watch_fd >= 0;
    for (unsigned i = 0; i < n && ok; i++) {
        struct epoll_event ev = {.events = EPOLLIN};
        ok = epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, fd[i], &ev) == 0;
    }
    if (ok)
        s->ev_work = event_new(s->base, s->watch_fd, EV_READ, on_work, s);
    if (!ok || s->ev_work == NULL || event_add(s->ev_work, NULL) != 0)
        sup_watch_close(s); /* then we look often */
}

/* To the first deadline of a domain, and the time that it has to keep it; at most a second. */
static ns_t
next_look(const struct sup *s, ns_t now)
{
    ns_t at = now + NS_S;
    for (unsigned i = 0; i < DOM_COUNT; i++)
        if (s->dom[i].life == LIFE_UP) {
            ns_t until = atomic_load_explicit(&s->dom[i].stats->until, memory_order_relaxed);
            at = min_u64(at, until < NS_NEVER - 2 * TICK ? until + TICK + NS_MS : NS_NEVER);
        }
    return at > now + TICK ? at - now : TICK;
}

void
sup_watch_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sup *s = arg;
    ns_t now = sup_now(), slice = min_u64(now - s->watch_at, TICK);
    bool full = now - s->log_at >= NS_S, quiet = true;
    s->watch_at = now;
    sup_place_look(s, now);
    if (full) {
        s->log_at = now;
        s->log_left = LOG_PER_SECOND;
    }
    for (unsigned i = 0; i < DOM_COUNT; i++) {
        struct sup_dom *d = &s->dom[i];
        if (full)
            d->log_left = LOG_PER_SECOND;
        if (d->life == LIFE_UP)
            quiet &= look(d, now, slice);
    }
    s->quiet = quiet ? min_u32(s->quiet + 1, QUIET) : 0;
    if (s->quiet == QUIET && s->watch_fd < 0)
        doze(s);
    else if (s->quiet < QUIET && s->watch_fd >= 0)
        sup_watch_close(s);
    look_in(s, s->watch_fd >= 0 ? next_look(s, now) : TICK);
}
