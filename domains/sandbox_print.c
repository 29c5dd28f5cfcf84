/* SPDX-License-Identifier: BSD-2-Clause */
#include "sandbox.h"

#include <stdio.h>
#include <string.h>

static const char *
text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s != NULL ? s : "-";
}

static long long
number_of(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

static void
print_list(const char *what, const json_t *list)
{
    size_t i;
    json_t *v;
    printf("  %-14s", what);
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v))
            printf(" %s", json_string_value(v));
        else
            printf(" %lld", (long long)json_integer_value(v));
    }
    putchar('\n');
}

static void
print_counts(const char *what, json_t *object)
{
    const char *key;
    json_t *v;
    printf("  %-14s", what);
    json_object_foreach(object, key, v)
    {
        if (json_is_string(v))
            printf(" %s %s;", key, json_string_value(v));
        else
            printf(" %lld %s;", (long long)json_integer_value(v), key);
    }
    putchar('\n');
}

static void
print_process(const json_t *p)
{
    const json_t *m = json_object_get(p, "memory");
    printf("%s, pid %lld, uid %lld\n", text_of(p, "name"), number_of(p, "pid"),
           number_of(p, "uid"));
    printf("  %-14s %s, %lld filters, %s, dumpable: %s\n", "system calls",
           number_of(p, "seccomp") == 2 ? "filtered" : "NOT FILTERED", number_of(p, "filters"),
           json_is_true(json_object_get(p, "no_new_privs")) ? "no new privileges"
                                                            : "MAY GAIN PRIVILEGES",
           text_of(p, "dumpable"));
    print_counts("capabilities", json_object_get(p, "capabilities"));
    if (json_object_get(p, "uid_map") != NULL) {
        printf("  %-14s uids %s, gids %s\n", "identities", text_of(p, "uid_map"),
               text_of(p, "gid_map"));
        print_list("own namespaces", json_object_get(p, "namespaces"));
        printf("  %-14s %lld names in its root, %lld network interfaces\n", "sees",
               number_of(p, "root_entries"), number_of(p, "interfaces"));
    }
    print_counts("descriptors", json_object_get(p, "descriptors"));
    printf("  %-14s %lld shared regions of %.1f MiB, %.1f MiB of its own, %lld writable and "
           "executable\n",
           "memory", number_of(m, "regions"), (double)number_of(m, "region_bytes") / (1 << 20),
           (double)number_of(m, "private_bytes") / (1 << 20),
           number_of(m, "writable_and_executable"));
    print_counts("limits", json_object_get(p, "limits"));
    print_list("processors", json_object_get(p, "processors"));
}

void
sandbox_print(const json_t *processes)
{
    size_t i, k;
    json_t *p, *text;
    json_array_foreach(processes, i, p)
    {
        print_process(p);
        json_array_foreach(json_object_get(p, "findings"), k, text)
        {
            printf("! %s: %s\n", text_of(p, "name"), json_string_value(text));
        }
    }
}
