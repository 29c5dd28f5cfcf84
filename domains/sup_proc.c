/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_proc.c: what the kernel says of a process, so that bulkheadctl shows facts and not
 * what was configured.
 */
#include "sup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *
proc_open(pid_t pid, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return fopen(path, "re");
}

/* State and processor time: fields 3, 14 and 15 of /proc/PID/stat. The name in field 2 may
 * hold anything, so counting starts after its last parenthesis. */
static bool
read_stat(pid_t pid, struct proc_info *p)
{
    char line[1024];
    FILE *f = proc_open(pid, "stat");
    if (f == NULL)
        return false;
    char *got = fgets(line, sizeof line, f);
    fclose(f);
    const char *at = got != NULL ? strrchr(line, ')') : NULL;
    uint64_t user, sys;
    if (at == NULL ||
        sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
               &p->state, &user, &sys) != 3)
        return false;
    p->cpu_ticks = user + sys;
    return true;
}

bool
proc_read(pid_t pid, struct proc_info *p)
{
    char line[256];
    *p = (struct proc_info){.seccomp = -1, .filters = -1, .state = '?'};
    if (!read_stat(pid, p))
        return false;
    FILE *f = proc_open(pid, "status");
    if (f == NULL)
        return false;
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned v;
        if (sscanf(line, "Uid: %*u %u", &v) == 1)
            p->uid = v;
        else if (sscanf(line, "Gid: %*u %u", &v) == 1)
            p->gid = v;
        else if (sscanf(line, "Seccomp: %u", &v) == 1)
            p->seccomp = (int)v;
        else if (sscanf(line, "Seccomp_filters: %u", &v) == 1)
            p->filters = (int)v;
        else if (sscanf(line, "NoNewPrivs: %u", &v) == 1)
            p->no_new_privs = v != 0;
        else if (strncmp(line, "VmRSS:", 6) == 0)
            p->rss_kib = strtoull(line + 6, NULL, 10);
        else if (strncmp(line, "CapEff:", 7) == 0)
            p->cap_eff = strtoull(line + 7, NULL, 16);
        else if (strncmp(line, "CapBnd:", 7) == 0)
            p->cap_bnd = strtoull(line + 7, NULL, 16);
    }
    fclose(f);
    return true;
}

static void
add_region(struct proc_region *r, unsigned *n, unsigned max, const struct proc_region *one)
{
    for (unsigned i = 0; i < *n; i++)
        if (strcmp(r[i].name, one->name) == 0 && r[i].r == one->r && r[i].w == one->w &&
            r[i].x == one->x) {
            r[i].bytes += one->bytes;
            return;
        }
    if (*n < max)
        r[(*n)++] = *one;
}

unsigned
proc_regions(pid_t pid, struct proc_region *r, unsigned max)
{
    static const char mark[] = "/memfd:bulkhead:";
    char line[512];
    unsigned n = 0;
    FILE *f = proc_open(pid, "maps");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL) {
        uint64_t from, to;
        char rights[8];
        struct proc_region one = {0};
        const char *at = strstr(line, mark);
        if (at == NULL || sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, rights) != 3)
            continue;
        at += sizeof mark - 1;
        snprintf(one.name, sizeof one.name, "%.*s", (int)strcspn(at, " \n"), at);
        one.r = rights[0] == 'r';
        one.w = rights[1] == 'w';
        one.x = rights[2] == 'x';
        one.bytes = to - from;
        add_region(r, &n, max, &one);
    }
    fclose(f);
    return n;
}
