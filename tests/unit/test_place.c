/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which processor a domain runs on, of two. The domains are processes that wait, the traffic is
 * what nic's counters say. In a running stack: tests/netns/test_place.sh.
 */
#include <criterion/criterion.h>

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domains/sup.h"

static struct sup s;
static struct stats nic;
static cpu_set_t both;
static bool two;

bool
sup_present(const struct sup *of, unsigned dom)
{
    return of->dom[dom].life != LIFE_ABSENT;
}

static void
spawn(unsigned dom, enum dom_life life)
{
    struct sup_dom *d = &s.dom[dom];
    *d = (struct sup_dom){.sup = &s, .id = dom, .life = life, .pid = fork()};
    if (d->pid == 0) {
        pause();
        _exit(0);
    }
    cr_assert_gt(d->pid, 0);
}

static void
setup(void)
{
    cpu_set_t all;
    CPU_ZERO(&both);
    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    for (unsigned i = 0; i < CPU_SETSIZE && CPU_COUNT(&both) < 2; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &both);
    two = CPU_COUNT(&both) == 2;
    cr_assert_eq(sched_setaffinity(0, sizeof both, &both), 0);
    for (unsigned d = 0; d < DOM_COUNT; d++)
        s.conf.cpu[d] = CPU_AUTO;
    spawn(DOM_NIC, LIFE_UP);
    spawn(DOM_IP, LIFE_UP);
    spawn(DOM_TCP, LIFE_UP);
    spawn(DOM_UDP, LIFE_STARTING);
    s.dom[DOM_NIC].stats = &nic;
}
static void
finish(void)
{
    for (unsigned d = 0; d < DOM_COUNT; d++)
        if (s.dom[d].pid > 0) {
            kill(s.dom[d].pid, SIGKILL);
            (void)waitpid(s.dom[d].pid, NULL, 0);
        }
}
TestSuite(place, .init = setup, .fini = finish, .timeout = 30);

/* On the last processor alone? */
static bool
pinned(unsigned dom)
{
    cpu_set_t set;
    cr_assert_eq(sched_getaffinity(s.dom[dom].pid, sizeof set, &set), 0);
    return CPU_COUNT(&set) == 1;
}

static void
traffic(uint64_t in, uint64_t out)
{
    static ns_t now;
    stat_add(&nic, STAT_nic_rx_bytes, in);
    stat_add(&nic, STAT_nic_tx_bytes, out);
    sup_place_look(&s, now += NS_S);
}

/* What changes while a domain starts is no business of its: it was told where to begin. When it
 * is up it goes where it belongs by then, or it would be there alone until the next change. */
Test(place, changed_while_one_starts)
{
    if (!two)
        cr_skip("needs two processors");
    traffic(1 << 20, 0);
    cr_assert(pinned(DOM_NIC) && pinned(DOM_TCP));
    cr_assert_not(pinned(DOM_UDP), "not while it starts");
    s.dom[DOM_UDP].life = LIFE_UP;
    sup_place_up(&s.dom[DOM_UDP]);
    cr_assert(pinned(DOM_UDP));
    s.dom[DOM_UDP].life = LIFE_STARTING;
    traffic(0, 1 << 20);
    cr_assert(pinned(DOM_NIC) && pinned(DOM_IP) && !pinned(DOM_TCP) && pinned(DOM_UDP));
    s.dom[DOM_UDP].life = LIFE_UP;
    sup_place_up(&s.dom[DOM_UDP]);
    cr_assert_not(pinned(DOM_UDP));
}

/* Protects both ends of request and response: one at a time stays where it was woken, and a
 * server of many is not divided from its stack for that its answers are long. */
Test(place, questions_and_answers)
{
    if (!two)
        cr_skip("needs two processors");
    s.dom[DOM_UDP].life = LIFE_UP;
    stat_add(&nic, STAT_nic_rx, 1000);
    stat_add(&nic, STAT_nic_tx, 1100);
    stat_add(&nic, STAT_nic_kicks, 1000);
    traffic(100000, 1200000);
    cr_assert(!pinned(DOM_NIC) && !pinned(DOM_IP) && !pinned(DOM_TCP));
    stat_add(&nic, STAT_nic_rx, 1000);
    stat_add(&nic, STAT_nic_tx, 1100);
    stat_add(&nic, STAT_nic_kicks, 300);
    traffic(100000, 1200000);
    cr_assert(pinned(DOM_NIC) && pinned(DOM_IP) && pinned(DOM_TCP) && pinned(DOM_UDP));
    stat_add(&nic, STAT_nic_rx, 1000);
    stat_add(&nic, STAT_nic_tx, 2000);
    stat_add(&nic, STAT_nic_kicks, 100);
    traffic(100000, 1200000);
    cr_assert(pinned(DOM_NIC) && pinned(DOM_IP) && !pinned(DOM_TCP), "the other way: sending");
}

/* What the configuration says stays. */
Test(place, pinned_by_hand)
{
    if (!two)
        cr_skip("needs two processors");
    s.conf.cpu[DOM_UDP] = 0;
    traffic(1 << 20, 0);
    s.dom[DOM_UDP].life = LIFE_UP;
    sup_place_up(&s.dom[DOM_UDP]);
    cr_assert_not(pinned(DOM_UDP), "it has pinned itself, or could not");
}
