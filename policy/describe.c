/* SPDX-License-Identifier: BSD-2-Clause
 *
 * describe.c: an account in words, for people: bulkheadctl policy show, policy/AUTHORITY.md.
 */
#include "accounts.h"

#include <stdarg.h>
#include <stdio.h>

#include "tcp/cc.h"

/* A list that is written piece by piece; what does not fit is left out with "...". */
struct line {
    char text[2048];
    size_t n;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *l, const char *fmt, ...)
{
    va_list ap;
    char piece[320];
    va_start(ap, fmt);
    vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    size_t len = strlen(piece);
    if (l->n + len + 8 > sizeof l->text) {
        if (l->n > 3 && l->text[l->n - 1] != '.')
            l->n += (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, ", ...");
        return;
    }
    l->n += (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, "%s%s",
                             l->n == 0 ? "" : ", ", piece);
}

static void
range_text(char *buf, size_t len, const struct port_range *r)
{
    if (r->first == 0 && r->last == UINT16_MAX)
        snprintf(buf, len, "any port");
    else if (r->first == r->last)
        snprintf(buf, len, "port %u", r->first);
    else
        snprintf(buf, len, "ports %u-%u", r->first, r->last);
}

static void
add_ranges(struct line *l, const char *proto, const struct port_range *r, uint32_t n)
{
    char text[32];
    for (uint32_t i = 0; i < n; i++) {
        range_text(text, sizeof text, &r[i]);
        add(l, "%s %s", proto, text);
    }
}

static void
add_peers(struct line *l, const char *proto, const struct peer_rule *r, uint32_t n)
{
    char port[32], net[64] = "any address";
    for (uint32_t i = 0; i < n; i++) {
        uint32_t a = ipaddr_to_u32(&r[i].net);
        if (r[i].bits >= 96)
            snprintf(net, sizeof net, "%u.%u.%u.%u/%u", a >> 24, a >> 16 & 255, a >> 8 & 255,
                     a & 255, r[i].bits - 96);
        else
            snprintf(net, sizeof net, "any address");
        range_text(port, sizeof port, &r[i].port);
        add(l, "%s %s %s", proto, net, port);
    }
}

static void
tell(const struct line *l, const char *key, const char *none, account_said *said, void *ctx)
{
    said(ctx, key, l->n != 0 ? l->text : none);
}

static void
tell_who(const struct policy_account *a, account_said *said, void *ctx)
{
    struct line l = {0};
    for (unsigned i = 0; i < a->n_uids; i++)
        add(&l, "uid %u", (unsigned)a->uid[i]);
    for (unsigned i = 0; i < a->n_gids; i++)
        add(&l, "gid %u", (unsigned)a->gid[i]);
    if (a->n_cgroups != 0 && l.n == 0)
        add(&l, "everybody");
    for (unsigned i = 0; i < a->n_cgroups; i++)
        add(&l, "%sin cgroup %s", i == 0 ? "if " : "or ", a->cgroup[i]);
    tell(&l, "who", "everybody", said, ctx);
}

static void
tell_rate(const char *key, uint64_t rate, const char *unit, account_said *said, void *ctx)
{
    char text[160] = "not limited";
    if (rate != RATE_ANY)
        snprintf(text, sizeof text, "%llu %s", (unsigned long long)rate, unit);
    said(ctx, key, text);
}

static void
tell_congestion(const struct account_rules *r, account_said *said, void *ctx)
{
    struct line l = {0};
    for (unsigned alg = 0; alg < CC_ALGS; alg++)
        if (r->congestion >> alg & 1)
            add(&l, "%s", cc_ops_of(alg)->name);
    tell(&l, "congestion controls", "the default one only", said, ctx);
}

static void
tell_limits(const struct policy_account *a, account_said *said, void *ctx)
{
    const struct account_rules *tcp = &a->rules[ACCOUNT_TCP];
    char text[128];
    snprintf(text, sizeof text, "%u, of these %u handshakes under way", a->sessions,
             a->half_open);
    said(ctx, "sessions", text);
    snprintf(text, sizeof text, "%u", a->clients);
    said(ctx, "clients", text);
    snprintf(text, sizeof text, "a second, at once %llu",
             (unsigned long long)a->attaches_burst);
    tell_rate("attachments", a->attaches, text, said, ctx);
    tell_rate("arena of a client", a->arena >> 10, "KiB", said, ctx);
    tell_rate("arenas together", a->memory == RATE_ANY ? RATE_ANY : a->memory >> 10, "KiB",
              said, ctx);
    snprintf(text, sizeof text, "a second, at once %llu",
             (unsigned long long)tcp->connects_burst);
    tell_rate("connection attempts", tcp->connects, text, said, ctx);
    tell_rate("packets sent", tcp->packets, "a second", said, ctx);
    tell_rate("bytes sent", tcp->bytes, "a second", said, ctx);
    said(ctx, "shared by",
         a->per_uid ? "all clients of one uid" : "all clients of the account");
}

void
account_describe(const struct policy_account *a, account_said *said, void *ctx)
{
    const struct account_rules *tcp = &a->rules[ACCOUNT_TCP], *udp = &a->rules[ACCOUNT_UDP];
    tell_who(a, said, ctx);
    if (a->deny) {
        said(ctx, "may attach", "no");
        return;
    }
    struct line l = {0};
    add_ranges(&l, "tcp", tcp->port, tcp->n_ports);
    add_ranges(&l, "udp", udp->port, udp->n_ports);
    tell(&l, "binds", "none but what it is given", said, ctx);
    l = (struct line){0};
    add_ranges(&l, "tcp", tcp->listen, tcp->n_listen);
    tell(&l, "listens on", "none", said, ctx);
    l = (struct line){0};
    add_peers(&l, "tcp", tcp->peer, tcp->n_peers);
    add_peers(&l, "udp", udp->peer, udp->n_peers);
    tell(&l, "talks to", "nobody", said, ctx);
    l = (struct line){0};
    add_peers(&l, "tcp", tcp->accept, tcp->n_accept);
    add_peers(&l, "udp", udp->accept, udp->n_accept);
    tell(&l, "accepts from", "nobody", said, ctx);
    tell_congestion(tcp, said, ctx);
    tell_limits(a, said, ctx);
}
