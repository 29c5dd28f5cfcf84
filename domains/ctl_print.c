/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl_print.h"

#include <stdio.h>
#include <string.h>

#define DOMAINS_MAX 8u
#define REGIONS_MAX 4096u

static const char *
text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s != NULL ? s : "-";
}

static long long
number_of(const json_t *j, const char *key)
{
    return (long long)json_number_value(json_object_get(j, key));
}

static bool
true_of(const json_t *j, const char *key)
{
    return json_is_true(json_object_get(j, key));
}

/* "4.0K", "16.0M" in a buffer of the caller. */
static const char *
size_text(char buf[16], double bytes)
{
    const char *unit = "BKMGT";
    while (bytes >= 1024 && unit[1] != '\0') {
        bytes /= 1024;
        unit++;
    }
    snprintf(buf, 16, *unit == 'B' ? "%.0f%c" : "%.1f%c", bytes, *unit);
    return buf;
}

/* ---- status ---- */

static void
print_domains(const json_t *domains)
{
    size_t i;
    json_t *d;
    printf("%-8s %7s %7s %8s %-10s %7s %8s  %-18s %-12s %s\n", "DOMAIN", "PID", "UID",
           "RESTARTS", "STATE", "RSS", "CPU", "SYSTEM CALLS", "CAPABILITIES", "MEMORY");
    json_array_foreach(domains, i, d)
    {
        char rss[16], calls[32], caps[24];
        if (json_object_get(d, "pid") == NULL) {
            printf("%-8s %7s %7s %8lld %-10s\n", text_of(d, "name"), "-", "-",
                   number_of(d, "restarts"), text_of(d, "state"));
            continue;
        }
        bool filter = strcmp(text_of(d, "seccomp"), "filter") == 0;
        snprintf(calls, sizeof calls, filter ? "filter, %lld allowed" : "NOT FILTERED",
                 number_of(d, "syscalls"));
        snprintf(caps, sizeof caps, "%s",
                 strspn(text_of(d, "capabilities"), "0") == 16 ? "none"
                                                               : text_of(d, "capabilities"));
        printf("%-8s %7lld %7lld %8lld %-10s %7s %7.2fs  %-18s %-12s %s\n", text_of(d, "name"),
               number_of(d, "pid"), number_of(d, "uid"), number_of(d, "restarts"),
               text_of(d, "state"), size_text(rss, (double)number_of(d, "rss_kib") * 1024),
               (double)number_of(d, "cpu_ms") / 1000, calls, caps,
               true_of(d, "as_granted") ? "as granted" : "NOT AS GRANTED");
    }
}

struct region_row {
    const char *name;
    double bytes;
    const char *rights[DOMAINS_MAX]; /* NULL: not mapped */
    bool excess[DOMAINS_MAX];        /* mapped, but policy does not say so */
};

static struct region_row *
find_row(struct region_row *rows, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    if (*n == REGIONS_MAX)
        return NULL;
    rows[*n] = (struct region_row){.name = name};
    return &rows[(*n)++];
}

/* Who maps what, as the kernel says: one row a region, one column a domain. */
static void
print_regions(const json_t *domains)
{
    static struct region_row rows[REGIONS_MAX];
    size_t n = 0, d, r;
    json_t *dom, *reg;
    json_array_foreach(domains, d, dom)
    {
        json_array_foreach(json_object_get(dom, "regions"), r, reg)
        {
            struct region_row *row = find_row(rows, &n, text_of(reg, "name"));
            if (row == NULL || d >= DOMAINS_MAX)
                continue;
            row->bytes = (double)number_of(reg, "bytes");
            row->rights[d] = text_of(reg, "rights");
            row->excess[d] = !true_of(reg, "granted");
        }
    }
    printf("\n%-20s %8s ", "REGION", "SIZE");
    json_array_foreach(domains, d, dom)
    {
        printf(" %-5s", text_of(dom, "name"));
    }
    putchar('\n');
    for (r = 0; r < n; r++) {
        char size[16];
        printf("%-20s %8s ", rows[r].name, size_text(size, rows[r].bytes));
        for (d = 0; d < json_array_size(domains) && d < DOMAINS_MAX; d++) {
            char cell[8];
            snprintf(cell, sizeof cell, "%s%s", rows[r].rights[d] ? rows[r].rights[d] : ".",
                     rows[r].excess[d] ? "!" : "");
            printf(" %-5s", cell);
        }
        putchar('\n');
    }
}

/* The sum of a client's counters whose names begin so. */
static long long
counted(const json_t *client, const char *prefix)
{
    long long sum = 0;
    const char *name;
    json_t *v;
    json_object_foreach(json_object_get(client, "counters"), name, v)
    {
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            sum += json_integer_value(v);
    }
    return sum;
}

static void
print_clients(const json_t *clients)
{
    size_t i;
    json_t *c;
    if (json_array_size(clients) == 0)
        return;
    printf("\n%6s %-8s %7s %7s %8s %-9s %-16s %10s %10s  %s\n", "CLIENT", "ARENA", "PID", "UID",
           "SIZE", "STATE", "ACCOUNT", "DROPPED", "REFUSED", "PROGRAM");
    json_array_foreach(clients, i, c)
    {
        char size[16];
        printf("%6lld %-8s %7lld %7lld %8s %-9s %-16s %10lld %10lld  %s\n", number_of(c, "id"),
               text_of(c, "arena"), number_of(c, "pid"), number_of(c, "uid"),
               size_text(size, (double)number_of(c, "arena_bytes")), text_of(c, "state"),
               text_of(c, "account"), counted(c, "drop_"),
               counted(c, "denied") + counted(c, "requests_bad"), text_of(c, "program"));
    }
}

void
ctl_print_status(const json_t *j)
{
    long long up = number_of(j, "uptime_s");
    const json_t *domains = json_object_get(j, "domains");
    printf("instance %s: %s on %s (%s), %s%s%s, %s, up %lld:%02lld:%02lld, pid %lld\n\n",
           text_of(j, "instance"), text_of(j, "composition"), text_of(j, "interface"),
           text_of(j, "driver"), text_of(j, "address"),
           json_object_get(j, "gateway") != NULL ? " via " : "",
           json_object_get(j, "gateway") != NULL ? text_of(j, "gateway") : "",
           true_of(j, "ready") ? "ready" : "not ready yet", up / 3600, up / 60 % 60, up % 60,
           number_of(j, "pid"));
    print_domains(domains);
    print_regions(domains);
    print_clients(json_object_get(j, "clients"));
}

/* ---- counters ---- */

static void
print_counters(json_t *counters, bool all)
{
    const char *name;
    json_t *v;
    json_object_foreach(counters, name, v)
    {
        if (all || json_integer_value(v) != 0)
            printf("  %-24s %16lld\n", name, (long long)json_integer_value(v));
    }
}

static void
print_client_counters(const json_t *clients, bool all)
{
    size_t i;
    json_t *c;
    json_array_foreach(clients, i, c)
    {
        printf("\nclient %lld: %s, pid %lld, uid %lld, %s\n", number_of(c, "id"),
               text_of(c, "arena"), number_of(c, "pid"), number_of(c, "uid"),
               text_of(c, "program"));
        print_counters(json_object_get(c, "counters"), all);
    }
}

static void
print_accounts(const json_t *accounts, bool all)
{
    size_t i;
    json_t *a;
    json_array_foreach(accounts, i, a)
    {
        printf("\naccount %s", text_of(a, "name"));
        if (json_object_get(a, "uid") != NULL)
            printf(" of uid %lld", number_of(a, "uid"));
        printf(": %lld clients\n", number_of(a, "clients"));
        print_counters(json_object_get(a, "counters"), all);
    }
}

void
ctl_print_policy(const json_t *j)
{
    size_t i;
    json_t *a;
    printf("accounts of %s\n", text_of(j, "source"));
    json_array_foreach(json_object_get(j, "accounts"), i, a)
    {
        const char *key;
        json_t *v;
        printf("\n%s (line %lld)\n", text_of(a, "name"), number_of(a, "line"));
        json_object_foreach(json_object_get(a, "may"), key, v)
        {
            printf("  %-20s %s\n", key, json_string_value(v));
        }
    }
}

void
ctl_print_reload(const json_t *j)
{
    printf("%s: %lld accounts hold now\n", text_of(j, "source"), number_of(j, "accounts"));
}

/* ---- the others ---- */

void
ctl_print_stats(const json_t *j, bool all)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(j, "domains"), i, d)
    {
        json_t *v;
        printf("%s%s\n", i > 0 ? "\n" : "", text_of(d, "name"));
        print_counters(json_object_get(d, "counters"), all);
        size_t k;
        json_array_foreach(json_object_get(d, "rings"), k, v)
        {
            printf("  ring %-5s from %-8s %16lld  at most %lld of %lld waited\n",
                   text_of(v, "name"), text_of(v, "from"), number_of(v, "passed"),
                   number_of(v, "most"), number_of(v, "size"));
        }
    }
    print_client_counters(json_object_get(j, "clients"), all);
    print_accounts(json_object_get(j, "accounts"), all);
}

static const char *
end_text(char buf[32], const json_t *s, const char *addr, const char *port)
{
    const char *a = text_of(s, addr);
    bool any = strcmp(a, "0.0.0.0") == 0;
    if (number_of(s, port) == 0)
        snprintf(buf, 32, "%s:*", any ? "*" : a);
    else
        snprintf(buf, 32, "%s:%lld", any ? "*" : a, number_of(s, port));
    return buf;
}

void
ctl_print_sessions(const json_t *j)
{
    size_t i;
    json_t *s;
    printf("%-5s %-12s %-22s %-22s %9s %9s %13s %13s %8s %8s  %s\n", "PROTO", "STATE", "LOCAL",
           "REMOTE", "RX-QUEUE", "TX-QUEUE", "RX-BYTES", "TX-BYTES", "RETRANS", "DROPS",
           "PROGRAM");
    json_array_foreach(json_object_get(j, "sessions"), i, s)
    {
        char local[32], remote[32], who[64] = "-";
        if (json_object_get(s, "pid") != NULL)
            snprintf(who, sizeof who, "%lld/%s", number_of(s, "pid"), text_of(s, "program"));
        printf("%-5s %-12s %-22s %-22s %9lld %9lld %13lld %13lld %8lld %8lld  %s\n",
               text_of(s, "proto"), text_of(s, "state"),
               end_text(local, s, "local", "local_port"),
               end_text(remote, s, "remote", "remote_port"), number_of(s, "rx_queued"),
               number_of(s, "tx_queued"), number_of(s, "rx_bytes"), number_of(s, "tx_bytes"),
               number_of(s, "retransmits"), number_of(s, "drops"), who);
    }
    if (!true_of(j, "complete"))
        printf("(incomplete: a domain did not answer)\n");
}

void
ctl_print_restart(const json_t *j)
{
    printf("%s: back as pid %lld after %.1f ms (%lld restarts so far)\n", text_of(j, "domain"),
           number_of(j, "pid"), json_real_value(json_object_get(j, "ms")),
           number_of(j, "restarts"));
}
