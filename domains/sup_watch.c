/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_watch.c: domains that live and do not work. Once a second every domain is looked at:
 *
 *   stuck  awake at both looks, and its loop did not turn in between
 *   deaf   asleep at both looks, its loop did not turn, and a bell was pending all the time
 *   full   it left what we sent it unread at several looks
 *
 * A domain that is ready to run and got no processor is spared: that is the machine's doing.
 */
#include "sup.h"

#define TICK NS_S
#define DEAF_MAX 2u
#define FULL_MAX 3u
#define STARVED_MAX 30u

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

/* Ready to run since the last look, and never chosen? Samples the processor time. */
static bool
starved(struct sup_dom *d)
{
    struct proc_info p;
    if (!proc_read(d->pid, &p))
        return false;
    bool ran = p.cpu_ticks != d->cpu_ticks;
    d->cpu_ticks = p.cpu_ticks;
    return p.state == 'R' && !ran && d->spared++ < STARVED_MAX;
}

void
sup_watch_start(struct sup_dom *d)
{
    d->beat = atomic_load_explicit(&d->stats->beat, memory_order_relaxed);
    d->was_awake = false;
    d->stuck = d->deaf = d->full = d->spared = 0;
    d->cpu_ticks = UINT64_MAX;
    d->log_left = LOG_PER_SECOND;
}

static void
look(struct sup_dom *d)
{
    uint32_t beat = atomic_load_explicit(&d->stats->beat, memory_order_relaxed);
    uint32_t state = atomic_load_explicit(&d->stats->state, memory_order_relaxed);
    bool moved = beat != d->beat, awake = state != STATS_ASLEEP;
    d->beat = beat;
    if (moved)
        d->spared = 0;
    d->full = sup_socket_unread(d->ctl) != 0 ? d->full + 1 : 0;
    d->stuck = awake && d->was_awake && !moved ? d->stuck + 1 : 0;
    d->deaf = !awake && !moved && bells_pending(d) != 0 ? d->deaf + 1 : 0;
    d->was_awake = awake;
    /* Asleep and quiet costs one look at memory and one at each socket and pipe. */
    if ((awake || d->deaf != 0 || d->full != 0) && starved(d))
        return;
    if (d->stuck == 0 && d->deaf < DEAF_MAX && d->full < FULL_MAX)
        return;
    if (d->stuck != 0)
        sup_dom_kill(d, "it hangs: awake, and its loop has not turned for a second");
    else if (d->deaf != 0)
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
