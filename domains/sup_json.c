/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_json.c: what bulkheadctl is shown. It comes from the kernel and from the domains'
 * counters, not from what was configured; the authority that policy grants stands beside what
 * is mapped.
 */
#include "sup_json.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "confine.h"

static json_t *
json_addr(const struct ipaddr *a)
{
    uint32_t v = ipaddr_to_u32(a);
    return json_sprintf("%u.%u.%u.%u", v >> 24, v >> 16 & 255, v >> 8 & 255, v & 255);
}

static int64_t
ticks_ms(uint64_t ticks)
{
    return (int64_t)(ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* ---- status ---- */

/* May d map the region of that name, and write it? */
static bool
granted(const struct sup_dom *d, const char *name, bool *writable)
{
    const struct sup *s = d->sup;
    for (unsigned i = 0; i < topo_n_grants; i++)
        if (topo_grants[i].dom == d->id && topo_granted(&topo_grants[i], s->conf.driver) &&
            strcmp(name, topo_region_name[topo_grants[i].region]) == 0) {
            *writable = topo_grants[i].writable;
            return true;
        }
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++) {
            const enum domain_id *ends = topo_links[i].side;
            char half[48];
            snprintf(half, sizeof half, "%s-%s.%s", domain_name(ends[LINK_A]),
                     domain_name(ends[LINK_B]), domain_name(ends[side]));
            if ((ends[LINK_A] == d->id || ends[LINK_B] == d->id) && strcmp(name, half) == 0) {
                *writable = ends[side] == d->id;
                return s->link[i].present;
            }
        }
    unsigned id;
    char which[16];
    if (sscanf(name, "client-%u.%15s", &id, which) == 2 && sup_client_of(d, id) &&
        s->by_id[id] != NULL) {
        *writable = strcmp(which, "domain") == 0;
        return true;
    }
    return false;
}

static json_t *
json_regions(const struct sup_dom *d, bool *as_granted)
{
    json_t *list = json_array();
    struct proc_region *r = calloc(PROC_REGIONS_MAX, sizeof *r);
    unsigned n = r != NULL ? proc_regions(d->pid, r, PROC_REGIONS_MAX) : 0;
    *as_granted = n > 0;
    for (unsigned i = 0; i < n; i++) {
        bool writable = false;
        bool ok = granted(d, r[i].name, &writable) && !r[i].x && (writable || !r[i].w);
        *as_granted &= ok;
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I, s:b}", "name", r[i].name, "rights",
                                        r[i].x   ? "rwx"
                                        : r[i].w ? "rw"
                                        : r[i].r ? "r"
                                                 : "",
                                        "bytes", (json_int_t)r[i].bytes, "granted", ok));
    }
    free(r);
    return list;
}

static json_t *
json_domain(const struct sup_dom *d)
{
    static const char *const modes[] = {"off", "strict", "filter"};
    struct proc_info p;
    json_t *j = json_pack("{s:s, s:s, s:i}", "name", domain_name(d->id), "state",
                          sup_dom_state(d), "restarts", (int)d->restarts);
    if (d->pid <= 0 || !proc_read(d->pid, &p))
        return j;
    char caps[32];
    bool as_granted;
    const struct policy *policy = policy_of(domain_name(d->id));
    snprintf(caps, sizeof caps, "%016llx", (unsigned long long)(p.cap_eff | p.cap_bnd));
    json_t *regions = json_regions(d, &as_granted);
    json_t *more = json_pack(
        "{s:i, s:i, s:i, s:I, s:I, s:s, s:i, s:i, s:b, s:s, s:b, s:o}", "pid", (int)d->pid,
        "uid", (int)p.uid, "gid", (int)p.gid, "rss_kib", (json_int_t)p.rss_kib, "cpu_ms",
        (json_int_t)ticks_ms(p.cpu_ticks), "seccomp",
        p.seccomp >= 0 && p.seccomp <= 2 ? modes[p.seccomp] : "unknown", "filters", p.filters,
        "syscalls", policy != NULL ? (int)policy->n : -1, "no_new_privs", p.no_new_privs,
        "capabilities", caps, "as_granted", as_granted, "regions", regions);
    json_object_update(j, more);
    json_decref(more);
    return j;
}

/* What a client did, and what was dropped, refused or put off on its account. */
static json_t *
json_client_counters(const struct sup_client *c)
{
    static const char *const name[] = {
#define X(id) #id,
        CLIENT_STATS_LIST(X)
#undef X
    };
    json_t *counters = json_object();
    for (unsigned id = 0; id < CLIENT_STAT_COUNT; id++)
        json_object_set_new(
            counters, name[id],
            json_integer((json_int_t)sup_client_count(c, (enum client_stat_id)id)));
    return counters;
}

static json_t *
json_clients(const struct sup *s)
{
    json_t *list = json_array();
    for (unsigned id = 0; id < CLIENTS_MAX; id++) {
        const struct sup_client *c = s->by_id[id];
        if (c != NULL)
            json_array_append_new(
                list, json_pack("{s:i, s:s, s:i, s:i, s:s, s:s, s:I, s:s, s:o}", "id", (int)id,
                                "arena", c->proto == IPPROTO_TCP ? "stream" : "datagram", "pid",
                                (int)c->pid, "uid", (int)c->uid, "program", c->program,
                                "account", c->number != NULL ? c->number->name : "",
                                "arena_bytes", (json_int_t)(c->half[0].size + c->half[1].size),
                                "state", c->state == CLIENT_GONE ? "gone" : "attached",
                                "counters", json_client_counters(c)));
    }
    return list;
}

/* Every account that had a client, with what it was denied and what it sent. */
static json_t *
json_accounts(const struct sup *s)
{
    static const char *const name[] = {
#define X(id) #id,
        ACCOUNT_STATS_LIST(X)
#undef X
    };
    json_t *list = json_array();
    for (unsigned i = 0; i < ACCOUNTS_MAX; i++) {
        const struct sup_account *a = &s->account[i];
        if (!a->used)
            continue;
        json_t *counters = json_object();
        for (unsigned id = 0; id < ACCOUNT_STAT_COUNT; id++)
            json_object_set_new(counters, name[id],
                                json_integer((json_int_t)sup_policy_count(s, i, id)));
        json_t *j = json_pack("{s:s, s:i, s:i, s:o}", "name", a->name, "line", (int)a->line,
                              "clients", (int)a->clients, "counters", counters);
        if (a->per_uid)
            json_object_set_new(j, "uid", json_integer(a->uid));
        json_array_append_new(list, j);
    }
    return list;
}

/* ---- policy ---- */

static void
said(void *ctx, const char *key, const char *value)
{
    json_object_set_new(ctx, key, json_string(value));
}

json_t *
sup_json_policy(const struct sup *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < s->accounts.n; i++) {
        json_t *may = json_object();
        account_describe(&s->accounts.a[i], said, may);
        json_array_append_new(list, json_pack("{s:s, s:i, s:o}", "name", s->accounts.a[i].name,
                                              "line", (int)s->accounts.a[i].line, "may", may));
    }
    return json_pack("{s:b, s:s, s:o}", "ok", 1, "source", s->accounts.source, "accounts",
                     list);
}

json_t *
sup_json_status(struct sup *s)
{
    const uint8_t *m = s->nif.mac;
    json_t *domains = json_array();
    for (unsigned d = 0; d < DOM_COUNT; d++)
        if (sup_present(s, d))
            json_array_append_new(domains, json_domain(&s->dom[d]));
    json_t *addr = json_addr(&s->conf.addr);
    json_t *j = json_pack(
        "{s:b, s:s, s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:i, s:s, s:b, s:f, s:o, s:o, s:o}",
        "ok", 1, "version", PACKAGE_VERSION, "instance", s->conf.instance, "pid", (int)getpid(),
        "composition", s->conf.composition == COMP_FACTORED ? "factored" : "monolithic",
        "driver", s->conf.driver == DRIVER_PACKET ? "packet" : "xdp", "interface",
        s->conf.interface, "mac",
        json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]),
        "address", json_sprintf("%s/%u", json_string_value(addr), s->conf.prefix), "mtu",
        (int)s->nif.mtu, "checksum", s->conf.checksum_strict ? "strict" : "auto", "ready",
        s->ready, "uptime_s", (double)(sup_now() - s->started) / 1e9, "domains", domains,
        "clients", json_clients(s), "accounts", json_accounts(s));
    json_decref(addr);
    if (!ipaddr_is_none(&s->conf.gateway))
        json_object_set_new(j, "gateway", json_addr(&s->conf.gateway));
    return j;
}

/* ---- stats ---- */

/* The rings between domains that d reads. */
static json_t *
json_rings(const struct sup *s, unsigned d)
{
    static const char *const names[2][2][LINK_RINGS] = {
        /* [kind][who writes it] */
        [LINK_NIC] = {{"rx", "done"}, {"tx", "fill"}},
        [LINK_UP] = {{"up", "done"}, {"down", NULL}},
    };
    json_t *rings = json_array();
    const struct stats *st = s->dom[d].stats;
    for (unsigned k = 0; k < TOPO_LINKS; k++) {
        const struct topo_link *l = &topo_links[k];
        unsigned i = ctl_link_number(l->side[0], l->side[1]);
        if (l->side[LINK_A] != d && l->side[LINK_B] != d)
            continue;
        unsigned from = l->side[LINK_A] == d ? LINK_B : LINK_A;
        for (unsigned r = 0; r < LINK_RINGS; r++) {
            if (names[l->kind][from][r] == NULL || atomic_load(&st->ring[i][r].size) == 0)
                continue;
            json_array_append_new(
                rings, json_pack("{s:s, s:s, s:I, s:i, s:i}", "name", names[l->kind][from][r],
                                 "from", domain_name(l->side[from]), "passed",
                                 (json_int_t)atomic_load(&st->ring[i][r].passed), "most",
                                 (int)atomic_load(&st->ring[i][r].most), "size",
                                 (int)atomic_load(&st->ring[i][r].size)));
        }
    }
    return rings;
}

json_t *
sup_json_stats(struct sup *s)
{
    static const char *const name[] = {
#define X(id) #id,
        STATS_LIST(X)
#undef X
    };
    json_t *domains = json_array();
    for (unsigned d = 0; d < DOM_COUNT; d++) {
        if (!sup_present(s, d))
            continue;
        json_t *counters = json_object();
        for (unsigned i = 0; i < STAT_COUNT; i++)
            json_object_set_new(counters, name[i],
                                json_integer((json_int_t)stat_get(s->dom[d].stats, i)));
        json_array_append_new(domains,
                              json_pack("{s:s, s:o, s:o}", "name", domain_name(d), "counters",
                                        counters, "rings", json_rings(s, d)));
    }
    return json_pack("{s:b, s:o, s:o, s:o}", "ok", 1, "domains", domains, "clients",
                     json_clients(s), "accounts", json_accounts(s));
}

/* ---- sessions ---- */

json_t *
sup_json_session(const struct sup *s, const struct sess_info *i)
{
    static const char *const states[] = {
        "CLOSED",     "LISTEN",     "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
        "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",  "LAST-ACK",     "TIME-WAIT"};
    bool tcp = i->proto == IPPROTO_TCP;
    const char *state = !tcp ? "-" : i->state < ARRAY_LEN(states) ? states[i->state] : "?";
    json_t *j =
        json_pack("{s:i, s:s, s:s, s:o, s:i, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I}",
                  "session", (int)i->sess, "proto", tcp ? "tcp" : "udp", "state", state,
                  "local", json_addr(&i->local), "local_port", (int)i->lport, "remote",
                  json_addr(&i->remote), "remote_port", (int)i->rport, "rx_queued",
                  (json_int_t)i->rx_queued, "tx_queued", (json_int_t)i->tx_queued, "rx_bytes",
                  (json_int_t)i->rx_bytes, "tx_bytes", (json_int_t)i->tx_bytes, "retransmits",
                  (json_int_t)i->retransmits, "drops", (json_int_t)i->drops);
    if (tcp) {
        json_object_set_new(j, "srtt_us", json_integer(i->srtt_us));
        json_object_set_new(j, "rto_us", json_integer(i->rto_us));
        json_object_set_new(j, "cwnd", json_integer(i->cwnd));
    }
    const struct sup_client *c = i->client < CLIENTS_MAX ? s->by_id[i->client] : NULL;
    if (c != NULL) {
        json_object_set_new(j, "client", json_integer(i->client));
        json_object_set_new(j, "pid", json_integer(c->pid));
        json_object_set_new(j, "uid", json_integer(c->uid));
        json_object_set_new(j, "program", json_string(c->program));
    }
    return j;
}
