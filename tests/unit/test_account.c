/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a transport keeps of an account: prefixes and ranges, rates, and what is told of
 * denials.
 */
#include <criterion/criterion.h>

#include "session/clients.h"

static const ns_t start = 1000 * NS_S;

static struct account
with(uint64_t connects, uint64_t burst, uint64_t packets, uint64_t bytes)
{
    struct account a = {0};
    account_rules_any(&a.rules);
    a.rules.connects = connects;
    a.rules.connects_burst = burst;
    a.rules.packets = packets;
    a.rules.bytes = bytes;
    return a;
}

/* Protects: a prefix holds to the bit, and all zero allows nothing. */
Test(account, prefixes_and_ranges_are_exact)
{
    struct peer_rule r = {.net = ipaddr_v4_u32(0x0a800000), .bits = 96 + 9, .port = {5, 5}};
    struct ipaddr first = ipaddr_v4_u32(0x0a800000), last = ipaddr_v4_u32(0x0affffff),
                  below = ipaddr_v4_u32(0x0a7fffff), above = ipaddr_v4_u32(0x0b000000);
    cr_assert(account_peer(&r, 1, &first, 5));
    cr_assert(account_peer(&r, 1, &last, 5));
    cr_assert_not(account_peer(&r, 1, &below, 5));
    cr_assert_not(account_peer(&r, 1, &above, 5));
    cr_assert_not(account_peer(&r, 1, &first, 4));
    cr_assert_not(account_peer(&r, 1, &first, 6));
    cr_assert_not(account_peer(&r, 0, &first, 5));
    r.bits = 128;
    cr_assert(account_peer(&r, 1, &first, 5));
    cr_assert_not(account_peer(&r, 1, &last, 5));
    struct account_rules none = {0};
    cr_assert_not(account_port(none.port, none.n_ports, 0));
    cr_assert(account_rules_check(&none));
    none.n_peers = ACCOUNT_PEERS + 1;
    cr_assert_not(account_rules_check(&none));
    none.n_peers = 1;
    none.peer[0].bits = 129;
    cr_assert_not(account_rules_check(&none));
    none = (struct account_rules){.n_listen = 1, .listen = {{2, 1}}};
    cr_assert_not(account_rules_check(&none));
}

/* Protects: a burst goes at once; from then on each has a time of its own, a period after the
 * one before, however many ask; who would wait too long books nothing, and a pause fills the
 * bucket up, but to no more than the burst. */
Test(account, turns_come_one_after_the_other)
{
    ns_t paid = 0, period = NS_S / 20, now = start;
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(account_turn(&paid, 20, 64, NS_S, now), now, "of the burst, %u", i);
    for (unsigned i = 1; i <= 20; i++)
        cr_assert_eq(account_turn(&paid, 20, 64, NS_S, now), now + i * period, "%u", i);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(account_turn(&paid, 20, 64, NS_S, now), NS_NEVER);
    now += period;
    cr_assert_eq(account_turn(&paid, 20, 64, NS_S, now), now + 20 * period);
    cr_assert_eq(account_turn(&paid, 20, 64, NS_S, now), NS_NEVER);
    now += 24 * period; /* those that wait have gone by then, and four more fit */
    unsigned n = 0;
    while (account_turn(&paid, 20, 64, 0, now) == now)
        n++;
    cr_assert_eq(n, 4, "%u", n);
    now += 1000 * NS_S;
    for (n = 0; account_turn(&paid, 20, 64, 0, now) == now;)
        n++;
    cr_assert_eq(n, 64, "after a pause, %u", n);
    account_turn_back(&paid, 20); /* one of them does not use it: one more fits, and no more */
    cr_assert_eq(account_turn(&paid, 20, 64, 0, now), now);
    cr_assert_eq(account_turn(&paid, 20, 64, 0, now), NS_NEVER);
    ns_t long_ago = period / 2; /* nor is anything gained with what is paid for already */
    account_turn_back(&long_ago, 20);
    for (n = 0; account_turn(&long_ago, 20, 64, 0, now) == now;)
        n++;
    cr_assert_eq(n, 64);
    ns_t none = 0; /* a rate without a burst still lets one go */
    cr_assert_eq(account_turn(&none, 1, 0, 0, now), now);
    cr_assert_eq(account_turn(&none, 1, 0, NS_S, now), now + NS_S);
}

/* Protects: as many attempts as the rate and the burst say, in any time, whatever the rhythm.
 */
Test(account, attempts_are_counted_by_the_second)
{
    struct account a = with(10, 5, RATE_ANY, RATE_ANY);
    unsigned n = 0;
    for (unsigned i = 0; i < 1000; i++)
        n += account_connect(&a, start);
    cr_assert_eq(n, 5, "the burst, %u", n);
    cr_assert_not(account_connect(&a, start + 99 * NS_MS));
    cr_assert(account_connect(&a, start + 100 * NS_MS));
    for (ns_t t = start + 100 * NS_MS; t < start + 60 * NS_S; t += NS_MS)
        n += account_connect(&a, t);
    cr_assert_geq(n, 5 + 10 * 60 - 2 - 1, "%u", n);
    cr_assert_leq(n, 5 + 10 * 60, "%u", n);
    a = with(0, 5, RATE_ANY, RATE_ANY);
    cr_assert_not(account_connect(&a, start), "none is none");
    a = with(RATE_ANY, 0, RATE_ANY, RATE_ANY);
    cr_assert(account_connect(&a, start));
}

/* Protects: what is booked leaves at the rate, each at a time of its own, and the stricter of
 * two rates counts. */
Test(account, bookings_are_apart_by_the_rate)
{
    struct account a = with(RATE_ANY, 0, RATE_ANY, 1000000);
    ns_t last = start;
    for (unsigned i = 0; i < 10000; i++) {
        ns_t at = account_book(&a, 1, 1000, start);
        cr_assert_geq(at, last);
        cr_assert_leq(at - last, NS_MS);
        last = at;
    }
    cr_assert_geq(last, start + 9 * NS_S, "10 MB at 1 MB/s");
    cr_assert_leq(last, start + 10 * NS_S);
    cr_assert_gt(account_due(&a, start), start);
    cr_assert_eq(account_due(&a, start + 11 * NS_S), start + 11 * NS_S);
    a = with(RATE_ANY, 0, 100, 1000000000);
    for (unsigned i = 0; i < 164; i++)
        last = account_book(&a, 1, 1000, start);
    cr_assert_eq(last, start + NS_S, "64 at once, then 100 a second");
}

/* Protects: what cannot wait does not starve what can: the debt is bounded. */
Test(account, debt_is_bounded)
{
    struct account a = with(RATE_ANY, 0, 100, RATE_ANY);
    for (unsigned i = 0; i < 100000; i++)
        account_charge(&a, 1, 40, start);
    cr_assert_leq(account_due(&a, start), start + ACCOUNT_DEBT);
    ns_t far = account_book(&a, 1000, 0, start);
    account_charge(&a, 1, 40, start);
    cr_assert_geq(account_due(&a, start), far, "what is booked stays booked");
}

static struct clients *
two_clients(struct stats *stats)
{
    static struct clients cs;
    memset(&cs, 0, sizeof cs);
    cs.stats = stats;
    for (unsigned i = 0; i < 3; i++) {
        cs.c[i].used = true;
        cs.c[i].limits.account = i / 2;
    }
    return &cs;
}

/* Protects: a denial is told at once, then once a minute with how many were left out; each
 * account and each rule by itself; all of them are counted. */
Test(account, denials_are_told_once_a_minute)
{
    static struct stats stats;
    struct clients *cs = two_clients(&stats);
    struct account_denial d;
    cr_assert_not(clients_denial(cs, &d));
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(client_deny(cs, i % 2, RULE_PORTS, NULL, 80, start + i, 13), 13);
    cr_assert(clients_denial(cs, &d));
    cr_assert_eq(d.rule, RULE_PORTS);
    cr_assert_eq(d.client, 0);
    cr_assert_eq(d.port, 80);
    cr_assert_eq(d.suppressed, 0);
    cr_assert_not(clients_denial(cs, &d));
    (void)client_deny(cs, 0, RULE_LISTEN, NULL, 81, start + 100, 13);
    (void)client_deny(cs, 2, RULE_PORTS, NULL, 82, start + 100, 13);
    cr_assert(clients_denial(cs, &d));
    cr_assert_eq(d.rule, RULE_LISTEN);
    cr_assert(clients_denial(cs, &d));
    cr_assert_eq(d.account, 1);
    cr_assert_not(clients_denial(cs, &d));
    (void)client_deny(cs, 1, RULE_PORTS, NULL, 83, start + DENIAL_GAP - 1, 13);
    cr_assert_not(clients_denial(cs, &d));
    (void)client_deny(cs, 1, RULE_PORTS, NULL, 84, start + DENIAL_GAP, 13);
    cr_assert(clients_denial(cs, &d));
    cr_assert_eq(d.port, 84);
    cr_assert_eq(d.suppressed, 100);
    cr_assert_eq(stats.account[0][ACCOUNT_STAT_denied_ports], 102);
    cr_assert_eq(stats.account[1][ACCOUNT_STAT_denied_ports], 1);
}
