/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The loop of every domain. Going to sleep follows bell.h: arm everything, look again, wait.
 */
#include "domain.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "confine.h"
#include "guard.h"

#define EVENTS_MAX 16
#define MESSAGES_MAX 32 /* from the supervisor, at once */
#define BUSY_TURNS 64u  /* a busy domain looks at its descriptors this often ... */
#define BUSY_TIME NS_MS /* ... or this */
#define SLEEP_MAX (3600ull * NS_S)

ns_t
domain_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
}

/* ---- peers ---- */

struct domain_peer *
domain_peer_of(struct domain *d, unsigned id)
{
    for (unsigned i = 0; i < d->n_peers; i++)
        if (d->peer[i].id == id)
            return &d->peer[i];
    return NULL;
}

static void
send_due_acks(struct domain *d)
{
    for (unsigned i = 0; i < d->n_peers; i++) {
        struct ctl_msg m = {.type = CTL_ACK, .peer = d->peer[i].id};
        if (d->peer[i].ack_due && ctl_send(d->ctl_fd, &m, NULL) != -EAGAIN)
            d->peer[i].ack_due = false;
    }
}

void
domain_ack_down(struct domain *d, struct domain_peer *p)
{
    p->link.up = false;
    link_half_clear(p->own, p->kind, p->side, &p->sizes);
    p->ack_due = true;
    send_due_acks(d);
}

static void
peer_changed(struct domain *d, unsigned id, bool up)
{
    ns_t now = domain_now();
    struct domain_peer *p = domain_peer_of(d, id);
    if (p == NULL)
        return;
    if (up) {
        link_init(&p->link, p->kind, p->side, &p->sizes, p->own, p->peer, p->fd_sleep,
                  p->fd_ring);
        for (unsigned r = 0; r < LINK_RINGS; r++)
            p->seen[r] = p->link.rx[r].my_head;
        if (d->ops->peer_up != NULL)
            d->ops->peer_up(d, p, now);
        return;
    }
    p->link.up = false;
    if (d->ops->peer_down == NULL || d->ops->peer_down(d, p, now))
        domain_ack_down(d, p);
}

/* A peer that wrote an index which cannot be is not listened to until it is restarted. */
static void
check_poison(struct domain *d)
{
    for (unsigned i = 0; i < d->n_peers; i++) {
        struct domain_peer *p = &d->peer[i];
        if (p->link.up && unlikely(link_poisoned(&p->link))) {
            p->link.up = false;
            domain_poisoned(d, CTL_ARG_PEER + p->id, "%s wrote an impossible ring index",
                            domain_name(p->id));
        }
    }
}

_Static_assert(HOLD_BELLS == DOMAIN_LINKS, "a bell for each link");
_Static_assert(DOM_UDP == STATS_LINKS && LINK_RINGS == STATS_RINGS, "a counter for each ring");

/* What the last turn took from its rings, and how much had been waiting there. */
static void
count_rings(struct domain *d)
{
    for (unsigned i = 0; i < d->n_peers; i++) {
        struct domain_peer *p = &d->peer[i];
        unsigned n = ctl_link_number(d->cfg.domain, p->id);
        for (unsigned r = 0; r < LINK_RINGS && p->link.up; r++) {
            const struct ring_rx *rx = &p->link.rx[r];
            uint32_t taken = rx->my_head - p->seen[r], waited = rx->seen_tail - p->seen[r];
            if (taken == 0)
                continue;
            p->seen[r] = rx->my_head;
            stat_ring(d->stats, n, r, taken, waited, rx->cap);
        }
    }
}

/* ---- events ---- */

static int
watch(struct domain *d, int fd, void *arg, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = arg};
    return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

int
domain_watch(struct domain *d, int fd, void *arg)
{
    return watch(d, fd, arg, EPOLLIN);
}

int
domain_watch_edge(struct domain *d, int fd, void *arg)
{
    return watch(d, fd, arg, EPOLLIN | (uint32_t)EPOLLET);
}

int
domain_watch_end(struct domain *d, int fd, void *arg)
{
    return watch(d, fd, arg, EPOLLRDHUP | (uint32_t)EPOLLET);
}

void
domain_unwatch(struct domain *d, int fd)
{
    struct epoll_event ev = {0}; /* EBADF, ENOENT: it is gone already */
    (void)epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, fd, &ev);
}

static void
beat(struct domain *d)
{
    atomic_store_explicit(&d->stats->beat,
                          atomic_load_explicit(&d->stats->beat, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void
take_messages(struct domain *d)
{
    struct ctl_msg m;
    int fd[CTL_FDS_MAX], got = 0;

    for (unsigned i = 0; i < MESSAGES_MAX && (got = ctl_recv(d->ctl_fd, &m, fd)) == 1; i++) {
        beat(d); /* a client with a large arena takes its time */
        if (m.type == CTL_PEER_UP || m.type == CTL_PEER_DOWN) {
            peer_changed(d, m.peer, m.type == CTL_PEER_UP);
        } else if (d->ops->ctl != NULL) {
            d->ops->ctl(d, &m, fd, domain_now());
        } else {
            ctl_close_fds(fd);
        }
    }
    if (got == 0 || got == -ECONNRESET)
        _exit(EXIT_OK); /* no supervisor, no domain */
    if (got < 0 && got != -EAGAIN && got != -EINTR)
        domain_fatal("control socket: %s", strerror(-got));
}

static bool
is_peer(const struct domain *d, const void *p)
{
    return (uintptr_t)p - (uintptr_t)d->peer < sizeof d->peer;
}

/* Wait at most `timeout` ns (NS_NEVER: for ever) and deal with what came. Messages last:
 * they may end what another event of the same round belongs to. */
static void
wait_events(struct domain *d, ns_t timeout)
{
    struct epoll_event ev[EVENTS_MAX];
    struct timespec ts = {.tv_sec = (time_t)(timeout / NS_S),
                          .tv_nsec = (long)(timeout % NS_S)};
    bool messages = false;

    int n = epoll_pwait2(d->epoll_fd, ev, EVENTS_MAX, timeout == NS_NEVER ? NULL : &ts, NULL);
    if (n < 0 && errno != EINTR)
        domain_fatal("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        void *p = ev[i].data.ptr;
        if (p == d) {
            messages = true;
        } else if (is_peer(d, p)) {
            bell_drain(&(struct bell_sleeper){.fd = ((struct domain_peer *)p)->fd_sleep});
            stat_inc(d->stats, STAT_bells_heard);
        } else if (d->ops->ready != NULL) {
            d->ops->ready(d, p);
        }
    }
    if (messages)
        take_messages(d);
    send_due_acks(d);
}

/* ---- the loop ---- */

/* Ask everybody to ring. True: something waits already, or the deadline is there. */
static bool
arm_all(struct domain *d)
{
    bool waits = false;
    for (unsigned i = 0; i < d->n_peers && !waits; i++)
        waits = d->peer[i].link.up && link_arm(&d->peer[i].link);
    if (!waits && d->ops->arm != NULL)
        waits = d->ops->arm(d);
    return waits;
}

static void
disarm_all(struct domain *d)
{
    for (unsigned i = 0; i < d->n_peers; i++)
        if (d->peer[i].link.up)
            bell_disarm(&d->peer[i].link.sleeper);
    if (d->ops->disarm != NULL)
        d->ops->disarm(d);
}

static void
sleep_until(struct domain *d, ns_t deadline)
{
    atomic_store_explicit(&d->stats->until, deadline, memory_order_relaxed);
    atomic_store_explicit(&d->stats->state, STATS_ASLEEP, memory_order_release);
    if (!arm_all(d)) {
        ns_t now = domain_now(), wait = deadline;
        if (deadline != NS_NEVER)
            wait = deadline > now ? min_u64(deadline - now, SLEEP_MAX) : 0;
        stat_inc(d->stats, STAT_sleeps);
        wait_events(d, wait);
    }
    disarm_all(d);
    atomic_store_explicit(&d->stats->state, STATS_AWAKE, memory_order_relaxed);
}

static void
loop(struct domain *d)
{
    const ns_t spin = d->cfg.spin_us * NS_US;
    ns_t looked = domain_now(), packets_at = looked;

    for (unsigned turns = 0;; turns++) {
        ns_t now = domain_now();
        enum turn did = d->ops->turn(d, now);
        bool busy = did != TURN_NOTHING;
        stat_inc(d->stats, STAT_loops);
        beat(d);
        if (did == TURN_PACKETS)
            packets_at = now;
        if (busy) {
            count_rings(d);
        } else {
            check_poison(d);
        }
        ns_t deadline = busy ? now : d->ops->deadline(d);
        if (deadline <= now || now - packets_at < spin) {
            if (turns >= BUSY_TURNS || now - looked >= BUSY_TIME) {
                wait_events(d, 0);
                check_poison(d);
                turns = 0;
                looked = now;
            }
            if (!busy && deadline > now)
                sched_yield(); /* who shares this processor may have what we wait for */
            continue;
        }
        sleep_until(d, deadline);
        looked = domain_now();
        turns = 0;
    }
}

static void
confine_domain(const struct domain *d)
{
    struct holdings h = {.ctl = d->ctl_fd,
                         .epoll = d->epoll_fd,
                         .nic = d->nic_fd,
                         .packet = d->cfg.driver == DRIVER_PACKET,
                         .n_bells = d->n_peers,
                         .window = window_base(),
                         .window_mask = window_mask(),
                         .window_piece = window_piece()};
    for (unsigned i = 0; i < d->n_peers; i++) {
        h.sleep[i] = d->peer[i].fd_sleep;
        h.ring[i] = d->peer[i].fd_ring;
    }
    confine(policy_of(domain_name(d->cfg.domain)), &h);
}

void
domain_run(struct domain *d, const struct domain_ops *ops, void *self)
{
    struct ctl_msg ready = {.type = CTL_READY};

    d->ops = ops;
    d->self = self;
    confine_domain(d);
    domain_tell_start(d);
    if (ctl_send(d->ctl_fd, &ready, NULL) != 0)
        domain_fatal("cannot report to the supervisor");
    loop(d);
    __builtin_unreachable();
}
