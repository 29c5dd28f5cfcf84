/* SPDX-License-Identifier: BSD-2-Clause
 *
 * accounts.h: policy/accounts.conf and files like it: who may attach, and what he may do then.
 * Used by the daemon, by bulkheadctl and by what renders policy/AUTHORITY.md.
 */
#ifndef POLICY_ACCOUNTS_H
#define POLICY_ACCOUNTS_H

#include <sys/types.h>

#include "session/account.h"

#define ACCOUNT_IDS_MAX 64u
#define ACCOUNT_CGROUPS_MAX 8u
#define ACCOUNT_NAME_MAX 32u
#define ACCOUNT_LIMIT_MAX (1u << 20) /* sessions, half_open */
#define ACCOUNT_CLIENTS_MAX 128u
/* A second, and at once, if it does not say. Each holds its domain up for 0.2 to 0.5 ms: at
 * this rate fewer than one packet in a hundred waits for that, whatever an account's programs
 * do. At once there may be what a test suite has in tests that fork. */
#define ACCOUNT_ATTACHES 20u
#define ACCOUNT_ATTACHES_BURST 256u

enum account_proto { ACCOUNT_TCP, ACCOUNT_UDP, ACCOUNT_PROTOS };

struct policy_account {
    char name[ACCOUNT_NAME_MAX];
    unsigned line;                  /* where it begins */
    unsigned rule_line[RULE_COUNT]; /* of the key; 0: it is not there */
    bool deny;
    bool everybody;     /* neither uids nor gids nor cgroups given */
    bool per_uid;       /* what is of the account is of each uid of it by itself */
    uint64_t arena;     /* bytes of one client's arena, both halves */
    uint64_t memory;    /* of all arenas of the account together; RATE_ANY */
    uint32_t sessions;  /* of the account, tcp and udp counted apart */
    uint32_t half_open; /* likewise */
    uint32_t clients;   /* at once, streams and datagrams counted apart */
    uint64_t attaches;  /* of its programs, a second; RATE_ANY */
    uint64_t attaches_burst;
    unsigned n_uids, n_gids, n_cgroups;
    uid_t uid[ACCOUNT_IDS_MAX];
    gid_t gid[ACCOUNT_IDS_MAX];
    char *cgroup[ACCOUNT_CGROUPS_MAX]; /* "/path" of the unified tree, or "controller:/path" */
    struct account_rules rules[ACCOUNT_PROTOS];
};

struct accounts {
    unsigned n;
    struct policy_account *a; /* in the order of the file */
    char *source;             /* its name, as messages have it */
};

/* Read accounts; path NULL: those that were built in. Returns 0, or EXIT_CONFIG with
 * "FILE:LINE:COLUMN: what is wrong, and what is allowed". */
must_check int accounts_read(struct accounts *as, const char *path, char *err, size_t err_len);
/* The same from memory. */
must_check int accounts_parse(struct accounts *as, const char *name, const char *text,
                              size_t len, char *err, size_t err_len);
void accounts_free(struct accounts *as);

/* Who a process is. cgroups: /proc/PID/cgroup's text; NULL: it could not be learnt, and no
 * account that asks for one matches. */
struct account_who {
    uid_t uid;
    const gid_t *gids;
    unsigned n_gids;
    const char *cgroups;
};

/* The first account that names this process: by uid or one of its gids, if it has such lists,
 * and by cgroup, if it has that. NULL: none does, which means no. */
const struct policy_account *accounts_find(const struct accounts *as,
                                           const struct account_who *who);
/* Does any account ask for a cgroup? */
bool accounts_want_cgroup(const struct accounts *as);

/* The rules that a transport is told. */
void account_rules_of(const struct policy_account *a, enum account_proto proto,
                      struct account_rules *r);
/* The key of a rule: "ports", "listen", ... */
const char *account_rule_key(enum account_rule rule);

/* What it says, a key and a value at a time, in words. */
typedef void account_said(void *ctx, const char *key, const char *value);
void account_describe(const struct policy_account *a, account_said *said, void *ctx);

/* ---- value.c: one value of a key. Each returns NULL, or what is allowed instead ---- */
const char *policy_take(struct policy_account *a, const char *key, const char *value);
/* Is that a key of an account, and does it take a list? */
bool policy_key(const char *key, bool *list);
/* All keys, for messages. */
const char *policy_keys(void);
/* The rule that a key is about, RULE_COUNT: none. */
enum account_rule policy_key_rule(const char *key);
/* Bytes from "64M", "1G", "4096"; false if it is not a size or does not fit. */
must_check bool policy_parse_bytes(const char *text, uint64_t *bytes);

#endif
