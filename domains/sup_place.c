/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_place.c: which processor a domain runs on, where the configuration leaves it to us. With
 * a processor for every domain and one for a program, the scheduler knows best. With fewer, nic
 * and ip share the last one that we may use: they touch the same headers one after the other,
 * and the scheduler would put either beside whoever keeps the other processor busy.
 *
 * With two, it depends on the traffic, so every LOOK the nic's counters are asked which way the
 * bytes went. What is received goes up a chain of short turns while whoever sends it keeps the
 * other processor busy: then all belong together. What is sent costs the kernel most, in nic:
 * then tcp and udp belong anywhere else. Where questions and answers alternate, one at a time,
 * each wakes the next, and the scheduler brings all of them and the programs together, if it is
 * let; where many are under way, all domains belong on one and leave the other to the programs
 * (bench/PROFILES.md). A nic that lies in its counters costs time and nothing else.
 *
 * Where nic takes and gives segments of 64 KiB there are few turns, and what costs is copying,
 * which two processors share best: then the scheduler has its way too.
 */
#include "sup.h"

#include <sched.h>

#define LOOK (50 * NS_MS)
#define LEAST 16384u /* bytes between two looks; with fewer nothing is moved */
#define MOSTLY 4u    /* that many times as much one way as the other */
#define SEVERAL 2u   /* packets that are sent at a time, where many programs are answered */

/* The processors that we may use; false: that cannot be told. */
static bool
ours(cpu_set_t *set)
{
    return sched_getaffinity(0, sizeof *set, set) == 0;
}

bool
sup_place_enough(const struct sup *s)
{
    cpu_set_t set;
    int need = 1;
    for (unsigned d = 0; d < DOM_COUNT; d++)
        need += sup_present(s, d);
    return ours(&set) && CPU_COUNT(&set) >= need;
}

static bool
scheduler_places(const struct sup *s)
{
    return s->conf.driver == DRIVER_PACKET || sup_place_enough(s);
}

/* Does dom belong on the last processor, of two or of a few? */
static bool
on_last(unsigned dom, enum place place, bool two)
{
    bool below = dom == DOM_NIC || dom == DOM_IP;
    if (!two)
        return below;
    switch (place) {
    case PLACE_FREE:
        return false;
    case PLACE_RECEIVING:
        return true;
    case PLACE_SENDING:
        return below;
    }
    return false;
}

static int32_t
last_of(const cpu_set_t *set)
{
    for (int i = CPU_SETSIZE - 1; i >= 0; i--)
        if (CPU_ISSET((unsigned)i, set))
            return i;
    return -1;
}

int32_t
sup_place_first(const struct sup *s, unsigned dom)
{
    cpu_set_t set;
    if (s->conf.cpu[dom] != CPU_AUTO)
        return s->conf.cpu[dom];
    if (scheduler_places(s) || !ours(&set))
        return -1;
    return on_last(dom, s->place, CPU_COUNT(&set) == 2) ? last_of(&set) : -1;
}

/* Two processors, and which domain belongs where depends on the traffic. */
static bool
depends(const struct sup *s, cpu_set_t *set)
{
    return !scheduler_places(s) && ours(set) && CPU_COUNT(set) == 2;
}

static void
move(const struct sup_dom *d, const cpu_set_t *all)
{
    const struct sup *s = d->sup;
    cpu_set_t last;
    CPU_ZERO(&last);
    CPU_SET((unsigned)last_of(all), &last);
    if (d->life == LIFE_UP && s->conf.cpu[d->id] == CPU_AUTO)
        (void)sched_setaffinity(d->pid, sizeof *all,
                                on_last(d->id, s->place, true) ? &last : all);
}

/* It was told where to start when it was spawned, and while it starts nobody moves it. */
void
sup_place_up(const struct sup_dom *d)
{
    cpu_set_t set;
    if (depends(d->sup, &set))
        move(d, &set);
}

enum { IN, OUT, BYTES_IN, BYTES_OUT, KICKS };
_Static_assert(KICKS + 1 == PLACE_SEEN, "what is kept");

/* Which way the traffic goes, from how much there was of each since the last look. */
static enum place
judge(enum place was, const uint64_t n[PLACE_SEEN])
{
    if (n[BYTES_IN] + n[BYTES_OUT] < LEAST)
        return was;
    bool alternate = n[IN] > 0 && n[IN] * 2 <= n[OUT] * 3 && n[OUT] * 2 <= n[IN] * 3;
    if (alternate) /* however long the answers are; several at a time come from many programs */
        return n[OUT] >= SEVERAL * n[KICKS] ? PLACE_RECEIVING : PLACE_FREE;
    return n[BYTES_OUT] / MOSTLY > n[BYTES_IN]   ? PLACE_SENDING
           : n[BYTES_IN] / MOSTLY > n[BYTES_OUT] ? PLACE_RECEIVING
                                                 : PLACE_FREE;
}

void
sup_place_look(struct sup *s, ns_t now)
{
    const struct stats *nic = s->dom[DOM_NIC].stats;
    cpu_set_t set;
    if (nic == NULL || now - s->placed_at < LOOK)
        return;
    const uint64_t is[PLACE_SEEN] = {
        [IN] = stat_get(nic, STAT_nic_rx),
        [OUT] = stat_get(nic, STAT_nic_tx),
        [BYTES_IN] = stat_get(nic, STAT_nic_rx_bytes),
        [BYTES_OUT] = stat_get(nic, STAT_nic_tx_bytes),
        [KICKS] = stat_get(nic, STAT_nic_kicks),
    };
    uint64_t n[PLACE_SEEN];
    for (unsigned i = 0; i < PLACE_SEEN; i++) {
        n[i] = is[i] - s->seen[i];
        s->seen[i] = is[i];
    }
    s->placed_at = now;
    enum place place = judge(s->place, n);
    if (place == s->place)
        return;
    s->place = place;
    if (!depends(s, &set))
        return;
    for (unsigned d = 0; d < DOM_COUNT; d++)
        move(&s->dom[d], &set);
}
