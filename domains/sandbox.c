/* SPDX-License-Identifier: BSD-2-Clause */
#include "sandbox.h"

#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What linux/pidfd.h of an older system lacks: the beginning of the answer, up to what is used
 * here. The kernel fills in as much as it knows. */
struct pidfd_answer {
    uint64_t mask, cgroup;
    uint32_t ids[11], exit_code, coredump, pad;
};
#define ASK_COREDUMP (1ull << 4)
#define COREDUMP_SKIPPED (1u << 1)
#define PIDFD_ASK _IOWR(0xff, 11, struct pidfd_answer)

#define BIT(cap) (1ull << (cap))
#define SUPERVISOR_MAY (BIT(CAP_SETUID) | BIT(CAP_SETGID))

FILE *
sandbox_open(pid_t pid, const char *file)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return fopen(path, "re");
}

void
sandbox_finding(json_t *j, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_array_append_new(json_object_get(j, "findings"), json_string(text));
}

/* The rest of the line of /proc/PID/status that begins with this; "" if there is none. */
static void
status_line(pid_t pid, const char *begin, char *buf, size_t len)
{
    char line[512];
    FILE *f = sandbox_open(pid, "status");
    buf[0] = '\0';
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, begin, strlen(begin)) == 0) {
            const char *at = line + strlen(begin) + strspn(line + strlen(begin), " \t");
            snprintf(buf, len, "%.*s", (int)strcspn(at, "\n"), at);
        }
    if (f != NULL)
        fclose(f);
}

static void
read_capabilities(json_t *j, pid_t pid, uint64_t may)
{
    static const struct {
        const char *line, *name;
    } set[] = {{"CapInh:", "inheritable"},
               {"CapPrm:", "permitted"},
               {"CapEff:", "effective"},
               {"CapBnd:", "bounding"},
               {"CapAmb:", "ambient"}};
    json_t *caps = json_object();
    for (unsigned i = 0; i < sizeof set / sizeof set[0]; i++) {
        char text[32];
        status_line(pid, set[i].line, text, sizeof text);
        uint64_t has = strtoull(text, NULL, 16);
        json_object_set_new(caps, set[i].name, json_string(text));
        if (text[0] == '\0' || (has & ~may) != 0)
            sandbox_finding(j, "has capabilities %s (%s)", text, set[i].name);
    }
    json_object_set_new(j, "capabilities", caps);
}

/* Where the kernel tells (Linux 6.16); a domain's own files in /proc belong to the same user
 * whether or not it may be dumped. */
static const char *
dumpable(pid_t pid)
{
    struct pidfd_answer a = {.mask = ASK_COREDUMP};
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int e = fd >= 0 ? ioctl(fd, PIDFD_ASK, &a) : -1;
    if (fd >= 0)
        close(fd);
    if (e != 0 || (a.mask & ASK_COREDUMP) == 0)
        return "unknown";
    return a.coredump & COREDUMP_SKIPPED ? "no" : "yes";
}

static void
read_status(json_t *j, pid_t pid, bool domain)
{
    char privs[16], mode[16], filters[16], threads[16], uid[64];
    status_line(pid, "NoNewPrivs:", privs, sizeof privs);
    status_line(pid, "Seccomp:", mode, sizeof mode);
    status_line(pid, "Seccomp_filters:", filters, sizeof filters);
    status_line(pid, "Threads:", threads, sizeof threads);
    status_line(pid, "Uid:", uid, sizeof uid);
    const char *dump = dumpable(pid);
    json_object_update_new(j, json_pack("{s:i, s:b, s:i, s:i, s:i, s:s}", "uid", atoi(uid),
                                        "no_new_privs", atoi(privs), "seccomp", atoi(mode),
                                        "filters", atoi(filters), "threads", atoi(threads),
                                        "dumpable", dump));
    if (strcmp(privs, "1") != 0)
        sandbox_finding(j, "may gain privileges by exec");
    if (strcmp(mode, "2") != 0)
        sandbox_finding(j, "its system calls are not filtered");
    if (strcmp(threads, "1") != 0)
        sandbox_finding(j, "has %s threads", threads);
    if (strcmp(dump, "yes") == 0)
        sandbox_finding(j, "its memory may be dumped");
    if (domain && atoi(uid) == 0)
        sandbox_finding(j, "is root");
}

static void
read_map(json_t *j, pid_t pid, const char *which)
{
    unsigned inside = 0, outside = 0, count = 0, n = 0;
    char line[128];
    FILE *f = sandbox_open(pid, which);
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        n += sscanf(line, "%u %u %u", &inside, &outside, &count) == 3;
    if (f != NULL)
        fclose(f);
    json_object_set_new(j, which, json_sprintf("%u %u %u", inside, outside, count));
    if (n != 1 || count != 1 || outside == 0)
        sandbox_finding(j, "%s holds more than one who is nobody outside", which);
}

static void
read_namespaces(json_t *j, pid_t pid, pid_t other)
{
    static const char *const kind[] = {"user", "mnt", "net", "ipc", "uts", "pid", "cgroup"};
    json_t *own = json_array();
    for (unsigned i = 0; i < sizeof kind / sizeof kind[0]; i++) {
        char path[64], a[64] = "", b[64] = "";
        snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind[i]);
        ssize_t n = readlink(path, a, sizeof a - 1);
        snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)other, kind[i]);
        ssize_t m = readlink(path, b, sizeof b - 1);
        if (n > 0 && m > 0 && strcmp(a, b) != 0)
            json_array_append_new(own, json_string(kind[i]));
        else
            sandbox_finding(j, "has no %s namespace of its own", kind[i]);
    }
    json_object_set_new(j, "namespaces", own);
}

static void
read_limits(json_t *j, pid_t pid, bool domain)
{
    static const struct {
        const char *line, *name;
        bool zero_in_supervisor;
    } limit[] = {{"Max core file size", "core", true},
                 {"Max processes", "processes", false},
                 {"Max locked memory", "locked", true},
                 {"Max file size", "file", false},
                 {"Max msgqueue size", "msgqueue", false}};
    char line[256];
    json_t *limits = json_object();
    FILE *f = sandbox_open(pid, "limits");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char hard[32] = "";
        if (strncmp(line, "Max open files", 14) == 0 &&
            sscanf(line + 26, "%*s %31s", hard) == 1)
            json_object_set_new(limits, "files", json_string(hard));
        for (unsigned i = 0; i < sizeof limit / sizeof limit[0]; i++) {
            if (strncmp(line, limit[i].line, strlen(limit[i].line)) != 0 ||
                sscanf(line + 26, "%*s %31s", hard) != 1)
                continue;
            json_object_set_new(limits, limit[i].name, json_string(hard));
            if (strcmp(hard, "0") != 0 && (domain || limit[i].zero_in_supervisor))
                sandbox_finding(j, "%s: %s", limit[i].line, hard);
        }
    }
    if (f != NULL)
        fclose(f);
    json_object_set_new(j, "limits", limits);
}

static json_t *
read_processors(pid_t pid)
{
    cpu_set_t set;
    json_t *list = json_array();
    if (sched_getaffinity(pid, sizeof set, &set) == 0)
        for (int i = 0; i < CPU_SETSIZE; i++)
            if (CPU_ISSET((unsigned)i, &set))
                json_array_append_new(list, json_integer(i));
    return list;
}

json_t *
sandbox_read(const char *name, pid_t pid, pid_t supervisor)
{
    bool domain = strcmp(name, "supervisor") != 0;
    char state[32];
    status_line(pid, "State:", state, sizeof state);
    if (state[0] == '\0' || state[0] == 'Z')
        return NULL;
    json_t *j = json_pack("{s:s, s:i, s:[]}", "name", name, "pid", (int)pid, "findings");
    read_status(j, pid, domain);
    read_capabilities(j, pid, domain ? 0 : SUPERVISOR_MAY);
    if (domain) {
        read_map(j, pid, "uid_map");
        read_map(j, pid, "gid_map");
        read_namespaces(j, pid, supervisor != 0 ? supervisor : getpid());
    }
    sandbox_files(j, pid, domain);
    sandbox_memory(j, pid, domain);
    read_limits(j, pid, domain);
    json_object_set_new(j, "processors", read_processors(pid));
    return j;
}
