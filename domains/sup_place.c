/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_place.c: which processor a domain runs on, where the configuration leaves it to us. With
 * a processor for every domain and one for a program, the scheduler knows best. With fewer, nic
 * and ip share the last one that we may use: they touch the same headers one after the other,
 * and the scheduler would put either beside whoever keeps the other processor busy.
 *
 * With two, it depends on the direction of the traffic where a transport does best. What is
 * received goes up a chain of short turns, and whoever sends it keeps the other processor busy:
 * then tcp and udp belong beside ip. What is sent costs the kernel most, in nic: then they
 * belong anywhere else. So every LOOK the nic's counters are asked which way most bytes went; a
 * nic that lies there costs time and nothing else.
 */
#include "sup.h"

#include <sched.h>

#define LOOK (50 * NS_MS)
#define LEAST 65536u /* bytes between two looks; below that it does not matter */
#define MOSTLY 4u    /* that many times as much one way as the other */

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

static int32_t
last_of(const cpu_set_t *set)
{
    for (int i = CPU_SETSIZE - 1; i >= 0; i--)
        if (CPU_ISSET((unsigned)i, set))
            return i;
    return -1;
}

static bool
is_transport(unsigned dom)
{
    return dom == DOM_TCP || dom == DOM_UDP;
}

int32_t
sup_place_first(const struct sup *s, unsigned dom)
{
    cpu_set_t set;
    if (s->conf.cpu[dom] != CPU_AUTO)
        return s->conf.cpu[dom];
    if (dom == DOM_MONO || sup_place_enough(s) || !ours(&set))
        return -1;
    if (is_transport(dom) && (CPU_COUNT(&set) != 2 || s->sending))
        return -1;
    return last_of(&set);
}

static void
move_transports(const struct sup *s, const cpu_set_t *set)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)last_of(set), &one);
    for (unsigned d = 0; d < DOM_COUNT; d++)
        if (is_transport(d) && s->dom[d].life == LIFE_UP && s->conf.cpu[d] == CPU_AUTO)
            (void)sched_setaffinity(s->dom[d].pid, sizeof *set, s->sending ? set : &one);
}

void
sup_place_look(struct sup *s, ns_t now)
{
    const struct stats *nic = s->dom[DOM_NIC].stats;
    cpu_set_t set;
    if (nic == NULL || now - s->placed_at < LOOK)
        return;
    uint64_t rx = stat_get(nic, STAT_nic_rx_bytes), tx = stat_get(nic, STAT_nic_tx_bytes);
    uint64_t in = rx - s->seen_rx, out = tx - s->seen_tx;
    s->placed_at = now;
    s->seen_rx = rx;
    s->seen_tx = tx;
    bool sending = in + out < LEAST ? s->sending : out / MOSTLY > in;
    if (sending == s->sending)
        return;
    s->sending = sending;
    if (!sup_place_enough(s) && ours(&set) && CPU_COUNT(&set) == 2)
        move_transports(s, &set);
}
