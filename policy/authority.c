/* SPDX-License-Identifier: BSD-2-Clause
 *
 * authority.c: policy/AUTHORITY.md out of what the programs are built from: what each domain
 * may map, hold and call, and what each built-in account may do. It is committed, so that a
 * change of anybody's authority is a change of that table. Run by `make authority`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "accounts.h"
#include "topology.h"

static int
fail(const char *what)
{
    fprintf(stderr, "authority: %s: %s\n", what, strerror(errno));
    return 1;
}

/* ---- regions ---- */

static const char *
right_to(unsigned dom, unsigned region)
{
    for (unsigned i = 0; i < topo_n_grants; i++)
        if (topo_grants[i].dom == dom && topo_grants[i].region == region)
            return topo_grants[i].driver == TOPO_PACKET_ONLY
                       ? topo_grants[i].writable ? "**rw** (packet)" : "r (packet)"
                   : topo_grants[i].writable ? "**rw**"
                                             : "r";
    return "";
}

static void
print_row(const char *name, const char *cell[DOM_COUNT])
{
    printf("| %s |", name);
    for (unsigned d = 0; d < DOM_COUNT; d++)
        printf(" %s |", cell[d]);
    putchar('\n');
}

/* A column for each domain. */
static void
print_head(const char *first)
{
    const char *cell[DOM_COUNT];
    for (unsigned d = 0; d < DOM_COUNT; d++)
        cell[d] = domain_name(d);
    print_row(first, cell);
    for (unsigned d = 0; d < DOM_COUNT; d++)
        cell[d] = "---";
    print_row("---", cell);
}

static void
print_regions(void)
{
    const char *cell[DOM_COUNT];
    puts("## Memory\n\n"
         "What a domain may map: **rw** to write, r to read, nothing: it holds no "
         "descriptor. (packet): only with `--driver packet`.\n");
    print_head("region");
    for (unsigned r = 0; r < TOPO_REGIONS; r++) {
        for (unsigned d = 0; d < DOM_COUNT; d++)
            cell[d] = right_to(d, r);
        print_row(topo_region_name[r], cell);
    }
    for (unsigned l = 0; l < TOPO_LINKS; l++)
        for (unsigned side = LINK_A; side <= LINK_B; side++) {
            const enum domain_id *ends = topo_links[l].side;
            char name[64];
            snprintf(name, sizeof name, "%s-%s.%s", domain_name(ends[LINK_A]),
                     domain_name(ends[LINK_B]), domain_name(ends[side]));
            for (unsigned d = 0; d < DOM_COUNT; d++)
                cell[d] = d == ends[side] ? "**rw**" : d == ends[LINK_B - side] ? "r" : "";
            print_row(name, cell);
        }
    static const struct {
        const char *name;
        unsigned doms;
        const char *right;
    } more[] = {
        {"a stream arena, client half", TOPO_STREAMS, "r"},
        {"a stream arena, domain half", TOPO_STREAMS, "**rw**"},
        {"a datagram arena, client half", TOPO_DATAGRAMS, "r"},
        {"a datagram arena, domain half", TOPO_DATAGRAMS, "**rw**"},
        {"the interface's AF_XDP or AF_PACKET socket", TOPO_XSK, "**rw**"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(more); i++) {
        for (unsigned d = 0; d < DOM_COUNT; d++)
            cell[d] = more[i].doms & TOPO_BIT(d) ? more[i].right : "";
        print_row(more[i].name, cell);
    }
}

/* ---- system calls ---- */

#define CALLS_MAX 256u

struct call {
    char domain[16], call[64]; /* with its rule */
};

static unsigned
read_calls(const char *path, struct call *c)
{
    char line[256];
    unsigned n = 0;
    FILE *f = fopen(path, "re");
    while (f != NULL && n < CALLS_MAX && fgets(line, sizeof line, f) != NULL) {
        char rule[64] = "", *hash = strchr(line, '#');
        if (hash != NULL)
            *hash = '\0';
        char name[48];
        int got = sscanf(line, "%15s %47s %63[^\n]", c[n].domain, name, rule);
        if (got < 2)
            continue;
        rule[strcspn(rule, "\t\n")] = '\0';
        for (size_t len = strlen(rule); len > 0 && rule[len - 1] == ' ';)
            rule[--len] = '\0';
        snprintf(c[n].call, sizeof c[n].call, "%.40s%s%.20s", name, rule[0] != '\0' ? " " : "",
                 rule);
        n++;
    }
    if (f != NULL)
        fclose(f);
    return n;
}

static bool
may_call(const struct call *c, unsigned n, const char *domain, const char *call)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(c[i].call, call) == 0 &&
            (strcmp(c[i].domain, domain) == 0 || strcmp(c[i].domain, "all") == 0))
            return true;
    return false;
}

static bool
print_calls(const char *path)
{
    static struct call c[CALLS_MAX];
    const char *cell[DOM_COUNT];
    unsigned n = read_calls(path, c);
    if (n == 0)
        return false;
    puts("\n## System calls\n\n"
         "What a domain may call, with what narrows it (policy/syscalls.conf); any other call\n"
         "ends it. \"fds N\": so many descriptors at most, 0: none beside those it was "
         "given.\n");
    print_head("call");
    for (unsigned i = 0; i < n; i++) {
        bool first = true;
        for (unsigned k = 0; k < i; k++)
            first &= strcmp(c[k].call, c[i].call) != 0;
        if (!first)
            continue;
        for (unsigned d = 0; d < DOM_COUNT; d++)
            cell[d] = may_call(c, n, domain_name(d), c[i].call) ? "yes" : "";
        print_row(c[i].call, cell);
    }
    return true;
}

/* ---- accounts ---- */

static void
said(void *ctx, const char *key, const char *value)
{
    (void)ctx;
    printf("| %s | %s |\n", key, value);
}

static bool
print_accounts(const char *path)
{
    struct accounts as;
    char err[512];
    if (accounts_read(&as, path, err, sizeof err) != 0) {
        fprintf(stderr, "authority: %s\n", err);
        return false;
    }
    puts("\n## Accounts\n\n"
         "Those that the daemon has which is given none (policy/accounts.conf). The first one\n"
         "that names a process decides; who is named by none is turned away.");
    for (unsigned i = 0; i < as.n; i++) {
        printf("\n### %s\n\n| what | may |\n| --- | --- |\n", as.a[i].name);
        account_describe(&as.a[i], said, NULL);
    }
    accounts_free(&as);
    return true;
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("Usage: authority SYSCALLS.CONF ACCOUNTS.CONF >AUTHORITY.md\n", stderr);
        return 2;
    }
    puts("# Authority\n\n"
         "Everything that a domain or an account may do. Made by `make authority` from\n"
         "policy/topology.c, policy/syscalls.conf and policy/accounts.conf; a test fails when "
         "it\n"
         "is not what these say.\n");
    print_regions();
    if (!print_calls(argv[1]))
        return fail(argv[1]);
    if (!print_accounts(argv[2]))
        return 1;
    return fflush(stdout) == 0 ? 0 : fail("writing");
}
