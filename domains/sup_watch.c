/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_watch.c: domains that live and do not work. Once a second every domain is looked at:
 *
 *   stuck    awake at both looks, and its loop did not turn in between
 *   deaf     asleep, its loop did not turn, and a bell was pending at several looks
 *   running  says that it sleeps, its loop did not turn, and it burns processor time
 *   full     it left what we sent it unread at several looks
 *
 * A domain that is ready to run and got no processor is spared: that is the machine's doing.
 */
#include "sup.h"

#include <time.h>

#define TICK NS_S
#define DEAF_MAX 2u
#define FULL_MAX 3u
#define RUNNING_MAX 2u
#define RUNNING_NS (NS_S / 2)   /* of processor time between two looks: busy */
#define STARVED_NS (10 * NS_MS) /* less than this: it did not get a processor */
#define STARVED_MAX 30u         /* looks; then it is ended all the same */

/* Bytes on the bells that d sleeps on. Only of links that are up: on the others nobody
 * promised to listen. */
static unsigned
bells_pending(const struct sup_dom *d)
{
    unsigned n = 0;
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++)
            if (d->sup->link[i].up && topo_links[i].side[side] == d->id)
                n += sup_pipe_bytes(d->sup->link[i].bell[side][0]);
    return n + sup_clients_pending(d);
}

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

/* Ready to run, and never chosen since the last look? */
static bool
starved(struct sup_dom *d, ns_t ran)
{
    struct proc_info p;
    return ran < STARVED_NS && proc_read(d->pid, &p) && p.state == 'R' &&
           d->spared++ < STARVED_MAX;
}

void
sup_watch_start(struct sup_dom *d)
{
    d->beat = atomic_load_explicit(&d->stats->beat, memory_order_relaxed);
    d->was_awake = false;
    d->stuck = d->deaf = d->running = d->full = d->spared = 0;
    d->cpu = cpu_time(d->pid);
    d->log_left = LOG_PER_SECOND;
}

static void
look(struct sup_dom *d)
{
    uint32_t beat = atomic_load_explicit(&d->stats->beat, memory_order_relaxed);
    uint32_t state = atomic_load_explicit(&d->stats->state, memory_order_relaxed);
    bool moved = beat != d->beat, awake = state != STATS_ASLEEP;
    d->beat = beat;
    ns_t cpu = cpu_time(d->pid), ran = cpu - d->cpu;
    d->cpu = cpu;
    if (moved)
        d->spared = 0;
    d->full = sup_socket_unread(d->ctl) != 0 ? d->full + 1 : 0;
    d->stuck = awake && d->was_awake && !moved ? d->stuck + 1 : 0;
    d->deaf = !awake && !moved && bells_pending(d) != 0 ? d->deaf + 1 : 0;
    d->running = !awake && !moved && ran > RUNNING_NS ? d->running + 1 : 0;
    d->was_awake = awake;
    if (d->stuck == 0 && d->deaf < DEAF_MAX && d->running < RUNNING_MAX && d->full < FULL_MAX)
        return;
    if (starved(d, ran))
        return;
    if (d->stuck != 0)
        sup_dom_kill(d, "it hangs: awake, and its loop has not turned for a second");
    else if (d->running >= RUNNING_MAX)
        sup_dom_kill(d, "it hangs: busy, and its loop does not turn");
    else if (d->deaf >= DEAF_MAX)
        sup_dom_kill(d, "it hangs: asleep, and does not answer its bells");
    else
        sup_dom_kill(d, "it hangs: it does not read its control socket");
}

void
sup_watch_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sup *s = arg;
    ns_t now = sup_now();
    /* We ourselves were stopped, or the machine slept: nobody had the time to move. */
    bool late = now - s->watch_at > 2 * TICK;
    s->watch_at = now;
    s->log_left = LOG_PER_SECOND;
    for (unsigned i = 0; i < DOM_COUNT; i++) {
        struct sup_dom *d = &s->dom[i];
        d->log_left = LOG_PER_SECOND;
        if (d->life != LIFE_UP)
            continue;
        if (late)
            sup_watch_start(d);
        else
            look(d);
    }
}
