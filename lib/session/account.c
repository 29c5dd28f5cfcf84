/* SPDX-License-Identifier: BSD-2-Clause */
#include "account.h"

#define PACKETS_BURST 64u      /* sent at once, at least */
#define BYTES_BURST 131072u    /* likewise */
#define BURST_TIME (4 * NS_MS) /* as much as goes in this time goes at once */

void
account_rules_any(struct account_rules *r)
{
    *r = (struct account_rules){
        .n_ports = 1,
        .n_listen = 1,
        .n_peers = 1,
        .n_accept = 1,
        .port = {{0, UINT16_MAX}},
        .listen = {{0, UINT16_MAX}},
        .peer = {{.port = {0, UINT16_MAX}}},
        .accept = {{.port = {0, UINT16_MAX}}},
        .sessions = ACCOUNT_ANY,
        .half_open = ACCOUNT_ANY,
        .congestion = UINT32_MAX,
        .first = ACCOUNT_ANY,
        .connects = RATE_ANY,
        .packets = RATE_ANY,
        .bytes = RATE_ANY,
    };
}

static bool
ranges_check(const struct port_range *list, uint32_t n)
{
    if (n > ACCOUNT_RANGES)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (list[i].first > list[i].last)
            return false;
    return true;
}

static bool
peers_check(const struct peer_rule *list, uint32_t n)
{
    if (n > ACCOUNT_PEERS)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (list[i].bits > 128 || !ranges_check(&list[i].port, 1))
            return false;
    return true;
}

bool
account_rules_check(const struct account_rules *r)
{
    return ranges_check(r->port, r->n_ports) && ranges_check(r->listen, r->n_listen) &&
           peers_check(r->peer, r->n_peers) && peers_check(r->accept, r->n_accept);
}

bool
account_port(const struct port_range *list, uint32_t n, uint16_t port)
{
    for (uint32_t i = 0; i < n && i < ACCOUNT_RANGES; i++)
        if (list[i].first <= port && port <= list[i].last)
            return true;
    return false;
}

static bool
in_prefix(const struct ipaddr *net, uint32_t bits, const struct ipaddr *addr)
{
    uint32_t whole = min_u32(bits, 128) / 8, rest = min_u32(bits, 128) % 8;
    if (memcmp(net->b, addr->b, whole) != 0)
        return false;
    return rest == 0 || ((net->b[whole] ^ addr->b[whole]) >> (8 - rest)) == 0;
}

bool
account_peer(const struct peer_rule *list, uint32_t n, const struct ipaddr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < n && i < ACCOUNT_PEERS; i++)
        if (account_port(&list[i].port, 1, port) && in_prefix(&list[i].net, list[i].bits, addr))
            return true;
    return false;
}

/* ---- rates ---- */

/* The time that n of them take at this rate. */
static ns_t
cost(uint64_t rate, uint64_t n)
{
    return rate == RATE_ANY ? 0 : rate == 0 ? NS_S * n : n * NS_S / rate;
}

ns_t
account_turn(ns_t *paid, uint64_t rate, uint64_t burst, ns_t longest, ns_t now)
{
    ns_t one = cost(rate, 1), all = max_u64(*paid, now) + one;
    if (all <= now + one * max_u64(burst, 1)) {
        *paid = all;
        return now;
    }
    ns_t at = all - one * max_u64(burst, 1);
    if (at - now > longest)
        return NS_NEVER;
    *paid = all;
    return at;
}

void
account_turn_back(ns_t *paid, uint64_t rate)
{
    *paid -= min_u64(*paid, cost(rate, 1));
}

bool
account_connect(struct account *a, ns_t now)
{
    const struct account_rules *r = &a->rules;
    if (r->connects == RATE_ANY || r->connects == 0)
        return r->connects != 0;
    return account_turn(&a->connects, r->connects, r->connects_burst, 0, now) == now;
}

static ns_t
burst_of(uint64_t rate, uint64_t least)
{
    return max_u64(cost(rate, least), BURST_TIME);
}

/* When what is paid for at `paid` may go. */
static ns_t
due(ns_t paid, ns_t burst, ns_t now)
{
    return paid > now + burst ? paid - burst : now;
}

ns_t
account_book(struct account *a, uint32_t packets, uint32_t bytes, ns_t now)
{
    const struct account_rules *r = &a->rules;
    ns_t at = now;
    if (r->packets != RATE_ANY) {
        a->packets = max_u64(a->packets, now) + cost(r->packets, packets);
        at = due(a->packets, burst_of(r->packets, PACKETS_BURST), now);
    }
    if (r->bytes != RATE_ANY) {
        a->bytes = max_u64(a->bytes, now) + cost(r->bytes, bytes);
        at = max_u64(at, due(a->bytes, burst_of(r->bytes, BYTES_BURST), now));
    }
    return at;
}

ns_t
account_due(const struct account *a, ns_t now)
{
    const struct account_rules *r = &a->rules;
    ns_t at = now;
    if (r->packets != RATE_ANY)
        at = due(a->packets, burst_of(r->packets, PACKETS_BURST), now);
    if (r->bytes != RATE_ANY)
        at = max_u64(at, due(a->bytes, burst_of(r->bytes, BYTES_BURST), now));
    return at;
}

static void
charge(ns_t *paid, ns_t takes, ns_t now)
{
    ns_t most = max_u64(*paid, now + ACCOUNT_DEBT);
    *paid = min_u64(max_u64(*paid, now) + takes, most);
}

void
account_charge(struct account *a, uint32_t packets, uint32_t bytes, ns_t now)
{
    const struct account_rules *r = &a->rules;
    if (r->packets != RATE_ANY)
        charge(&a->packets, cost(r->packets, packets), now);
    if (r->bytes != RATE_ANY)
        charge(&a->bytes, cost(r->bytes, bytes), now);
}
