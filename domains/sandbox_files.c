/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sandbox_files.c: what a process has open, and what it sees of the filesystem and the network.
 */
#include "sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The rights of an open file, from the octal flags that the kernel shows. */
static int
open_flags(pid_t pid, const char *number)
{
    char name[64], line[128];
    int flags = -1;
    snprintf(name, sizeof name, "fdinfo/%.20s", number);
    FILE *f = sandbox_open(pid, name);
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "flags:", 6) == 0)
            flags = (int)strtol(line + 6, NULL, 8);
    if (f != NULL)
        fclose(f);
    return flags;
}

/* What a descriptor is, in a word; NULL: nothing that a domain has. */
static const char *
kind_of(const char *link, int flags)
{
    if (strncmp(link, "pipe:", 5) == 0)
        return (flags & O_ACCMODE) == O_RDONLY ? "bell to sleep on" : "bell to ring";
    if (strncmp(link, "socket:", 7) == 0)
        return "socket";
    if (strcmp(link, "anon_inode:[eventpoll]") == 0)
        return "epoll";
    if (strcmp(link, "/dev/null") == 0)
        return "/dev/null";
    return NULL;
}

static void
read_descriptors(json_t *j, pid_t pid, bool domain)
{
    char path[64], link[PATH_MAX];
    json_t *list = json_object();
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        sandbox_finding(j, "its descriptors cannot be looked at");
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
        if (n < 0)
            continue;
        link[n] = '\0';
        const char *kind = kind_of(link, open_flags(pid, e->d_name));
        if (kind == NULL && domain)
            sandbox_finding(j, "descriptor %s is %s", e->d_name, link);
        if (kind == NULL)
            kind = strncmp(link, "/memfd:", 7) == 0 ? "region" : link[0] == '/' ? "file" : link;
        json_int_t had = json_integer_value(json_object_get(list, kind));
        json_object_set_new(list, kind, json_integer(had + 1));
    }
    if (dir != NULL)
        closedir(dir);
    json_object_set_new(j, "descriptors", list);
}

/* How many names stand in its root directory; -1: cannot be told. */
static int
root_entries(pid_t pid)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/root/", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -1;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

/* Lines of a file of /proc that are not among the first `head` and do not contain `but`. */
static int
lines(pid_t pid, const char *file, unsigned head, const char *but)
{
    char line[1024];
    int n = 0;
    FILE *f = sandbox_open(pid, file);
    if (f == NULL)
        return -1;
    for (unsigned i = 0; fgets(line, sizeof line, f) != NULL; i++)
        n += i >= head && (but == NULL || strstr(line, but) == NULL);
    fclose(f);
    return n;
}

void
sandbox_files(json_t *j, pid_t pid, bool domain)
{
    read_descriptors(j, pid, domain);
    if (!domain)
        return;
    int names = root_entries(pid), mounts = lines(pid, "mountinfo", 0, NULL),
        writable = lines(pid, "mountinfo", 0, " ro,"),
        interfaces = lines(pid, "net/dev", 2, " lo:");
    if (names != 0)
        sandbox_finding(j, names < 0 ? "its root directory cannot be looked at"
                                     : "its root directory is not empty");
    if (mounts != 1 || writable != 0)
        sandbox_finding(j, "it sees %d filesystems, %d of them writable", mounts, writable);
    if (interfaces != 0)
        sandbox_finding(j, "it sees %d network interfaces", interfaces);
    json_object_update_new(j, json_pack("{s:i, s:i, s:i}", "root_entries", names, "mounts",
                                        mounts, "interfaces", interfaces));
}
