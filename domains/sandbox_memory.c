/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sandbox_memory.c: what a process maps. Shared memory must have a guard on each side.
 */
#include "sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GUARD_MIN 4096u

struct mapping {
    uint64_t from, to;
    char rights[8], name[64];
};

struct tally {
    unsigned regions, unguarded, executable, writable_and_executable, files_writable;
    uint64_t region_bytes, private_bytes;
};

static bool
next_mapping(FILE *f, struct mapping *m)
{
    char line[512];
    int at = 0;
    if (fgets(line, sizeof line, f) == NULL ||
        sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %n", &m->from, &m->to, m->rights,
               &at) < 3)
        return false;
    snprintf(m->name, sizeof m->name, "%.*s", (int)strcspn(line + at, "\n"), line + at);
    return true;
}

static bool
shared(const struct mapping *m)
{
    return m->rights[3] == 's' && m->rights[0] == 'r';
}

/* Between a and b, its neighbour above: nothing, or what nobody may touch. Parts of the frame
 * space follow each other: the kernel knows them by their place in it. */
static bool
apart(const struct mapping *a, const struct mapping *b)
{
    static const char *const frames[] = {":rx ", ":iptx ", ":tcptx ", ":udptx ", ":up "};
    unsigned parts = 0;
    for (unsigned i = 0; i < sizeof frames / sizeof frames[0]; i++)
        parts += (strstr(a->name, frames[i]) != NULL) + (strstr(b->name, frames[i]) != NULL);
    return b->from - a->to >= GUARD_MIN || strncmp(a->rights, "---", 3) == 0 ||
           strncmp(b->rights, "---", 3) == 0 || parts == 2;
}

static void
count(struct tally *t, const struct mapping *m)
{
    t->executable += m->rights[2] == 'x' && m->name[0] == '/';
    t->writable_and_executable += m->rights[1] == 'w' && m->rights[2] == 'x';
    t->files_writable += m->rights[1] == 'w' && m->rights[3] == 's' &&
                         strstr(m->name, "memfd:") == NULL && m->name[0] == '/';
    if (shared(m)) {
        t->regions++;
        t->region_bytes += m->to - m->from;
    } else if (m->rights[1] == 'w') {
        t->private_bytes += m->to - m->from;
    }
}

void
sandbox_memory(json_t *j, pid_t pid, bool domain)
{
    struct mapping m = {0}, last = {0};
    struct tally t = {0};
    FILE *f = sandbox_open(pid, "maps");
    if (f == NULL || !next_mapping(f, &m)) {
        sandbox_finding(j, "its memory cannot be looked at");
    } else {
        do {
            count(&t, &m);
            if (domain && last.to != 0 && (shared(&m) || shared(&last)) && !apart(&last, &m)) {
                t.unguarded++;
                sandbox_finding(j, "nothing lies between %s and %s",
                                last.name[0] != '\0' ? last.name : "memory",
                                m.name[0] != '\0' ? m.name : "memory");
            }
            last = m;
        } while (next_mapping(f, &m));
    }
    if (f != NULL)
        fclose(f);
    if (t.writable_and_executable != 0)
        sandbox_finding(j, "%u mappings are writable and executable",
                        t.writable_and_executable);
    if (t.files_writable != 0)
        sandbox_finding(j, "%u files are mapped writable", t.files_writable);
    json_object_set_new(j, "memory",
                        json_pack("{s:i, s:I, s:I, s:i, s:i, s:i}", "regions", (int)t.regions,
                                  "region_bytes", (json_int_t)t.region_bytes, "private_bytes",
                                  (json_int_t)t.private_bytes, "executable", (int)t.executable,
                                  "writable_and_executable", (int)t.writable_and_executable,
                                  "unguarded", (int)t.unguarded));
}
