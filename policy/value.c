/* SPDX-License-Identifier: BSD-2-Clause
 *
 * value.c: the values of an account's keys. Every list has a bound, because transports are told
 * the whole of it in one message.
 */
#include "accounts.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "tcp/cc.h"
#include "value.h"

/* ---- numbers ---- */

bool
policy_number(const char *text, uint64_t max, uint64_t *n)
{
    char *end;
    errno = 0;
    if (text[0] < '0' || text[0] > '9')
        return false;
    unsigned long long v = strtoull(text, &end, 10);
    *n = v;
    return *end == '\0' && errno == 0 && v <= max;
}

/* A number with a unit, each a power of `base` (1000: 10 bits are not meant) more. */
static bool
with_unit(const char *text, uint64_t base, uint64_t *n)
{
    static const char units[] = "kKmMgG";
    char *end;
    errno = 0;
    if (text[0] < '0' || text[0] > '9')
        return false;
    unsigned long long v = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    if (unit != NULL)
        end++;
    for (long i = unit != NULL ? (unit - units) / 2 + 1 : 0; i > 0; i--) {
        if (v > UINT64_MAX / base)
            return false;
        v *= base;
    }
    *n = v;
    return *end == '\0' && errno == 0;
}

bool
policy_parse_bytes(const char *text, uint64_t *bytes)
{
    return with_unit(text, 1024, bytes);
}

static bool
boolean(const char *text, bool *b)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no",
                                                                           "off"};
    for (unsigned i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *b = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* ---- who ---- */

static const char *
take_uid(struct policy_account *a, const char *v)
{
    uint64_t id;
    if (!policy_number(v, UINT32_MAX - 1, &id)) {
        const struct passwd *pw = getpwnam(v);
        if (pw == NULL)
            return "there is no such user: a name or a number from 0 to 4294967294";
        id = pw->pw_uid;
    }
    if (a->n_uids == ACCOUNT_IDS_MAX)
        return "there are 64 already, the most that an account can name";
    a->uid[a->n_uids++] = (uid_t)id;
    return NULL;
}

static const char *
take_gid(struct policy_account *a, const char *v)
{
    uint64_t id;
    if (!policy_number(v, UINT32_MAX - 1, &id)) {
        const struct group *gr = getgrnam(v);
        if (gr == NULL)
            return "there is no such group: a name or a number from 0 to 4294967294";
        id = gr->gr_gid;
    }
    if (a->n_gids == ACCOUNT_IDS_MAX)
        return "there are 64 already, the most that an account can name";
    a->gid[a->n_gids++] = (gid_t)id;
    return NULL;
}

static const char *
take_cgroup(struct policy_account *a, const char *v)
{
    const char *path = strchr(v, '/');
    size_t len = strlen(v);
    if (path == NULL || (path != v && path[-1] != ':') || strstr(path, "//") != NULL ||
        strstr(path, "/..") != NULL || (path[1] != '\0' && v[len - 1] == '/'))
        return "a cgroup is \"/path\" or, of an old hierarchy, \"controller:/path\"";
    if (a->n_cgroups == ACCOUNT_CGROUPS_MAX)
        return "there are 8 already, the most that an account can name";
    a->cgroup[a->n_cgroups] = strdup(v);
    if (a->cgroup[a->n_cgroups] == NULL)
        return "no memory";
    a->n_cgroups++;
    return NULL;
}

static const char *
take_congestion(struct policy_account *a, const char *v)
{
    struct account_rules *r = &a->rules[ACCOUNT_TCP];
    uint32_t mask = UINT32_MAX;
    enum cc_alg alg = cc_alg_of(v, strlen(v));
    if (alg != CC_ALGS)
        mask = 1u << alg;
    else if (strcmp(v, "any") != 0)
        return "must be \"reno\", \"cubic\", \"vegas\" or \"any\"";
    if (r->congestion == 0)
        r->first = alg == CC_ALGS ? ACCOUNT_ANY : alg;
    r->congestion |= mask;
    return NULL;
}

/* ---- limits ---- */

static const char *
take_arena(struct policy_account *a, const char *v)
{
    return policy_parse_bytes(v, &a->arena) && a->arena <= 1ull << 40
               ? NULL
               : "must be a size such as \"256M\", at most 1024G";
}

static const char *
take_memory(struct policy_account *a, const char *v)
{
    return policy_parse_bytes(v, &a->memory) && a->memory <= 1ull << 50
               ? NULL
               : "must be a size such as \"4G\"";
}

static const char *
take_number(uint32_t *to, const char *v, uint64_t max, const char *allowed)
{
    uint64_t n;
    if (!policy_number(v, max, &n))
        return allowed;
    *to = (uint32_t)n;
    return NULL;
}

static const char *
take_sessions(struct policy_account *a, const char *v)
{
    return take_number(&a->sessions, v, ACCOUNT_LIMIT_MAX, "must be 0 to 1048576");
}

static const char *
take_half_open(struct policy_account *a, const char *v)
{
    return take_number(&a->half_open, v, ACCOUNT_LIMIT_MAX, "must be 0 to 1048576");
}

static const char *
take_clients(struct policy_account *a, const char *v)
{
    return take_number(&a->clients, v, ACCOUNT_CLIENTS_MAX, "must be 0 to 128");
}

static const char *
take_rate(uint64_t *to, const char *v)
{
    if (strcmp(v, "any") == 0) {
        *to = RATE_ANY;
        return NULL;
    }
    return policy_number(v, 1000000000, to)
               ? NULL
               : "must be a number a second, to 1000000000, or any";
}

static const char *
take_connects(struct policy_account *a, const char *v)
{
    return take_rate(&a->rules[ACCOUNT_TCP].connects, v);
}

static const char *
take_burst(struct policy_account *a, const char *v)
{
    uint64_t *to = &a->rules[ACCOUNT_TCP].connects_burst;
    return policy_number(v, 1000000, to) && *to != 0 ? NULL : "must be 1 to 1000000";
}

static const char *
take_attaches(struct policy_account *a, const char *v)
{
    const char *wrong = take_rate(&a->attaches, v);
    return wrong == NULL && a->attaches == 0 ? "must be 1 to 1000000000 a second, or any"
                                             : wrong;
}

static const char *
take_attaches_burst(struct policy_account *a, const char *v)
{
    uint64_t *to = &a->attaches_burst;
    return policy_number(v, 1000000, to) && *to != 0 ? NULL : "must be 1 to 1000000";
}

static const char *
take_packets(struct policy_account *a, const char *v)
{
    const char *wrong = take_rate(&a->rules[ACCOUNT_TCP].packets, v);
    if (wrong == NULL && a->rules[ACCOUNT_TCP].packets == 0)
        return "must be 1 to 1000000000 a second, or any";
    a->rules[ACCOUNT_UDP].packets = a->rules[ACCOUNT_TCP].packets;
    return wrong;
}

static const char *
take_bandwidth(struct policy_account *a, const char *v)
{
    uint64_t bits = RATE_ANY;
    if (strcmp(v, "any") != 0 && (!with_unit(v, 1000, &bits) || bits < 8000))
        return "must be bits a second, such as \"100M\" or \"2G\", at least \"8k\", or any";
    for (unsigned p = 0; p < ACCOUNT_PROTOS; p++)
        a->rules[p].bytes = bits == RATE_ANY ? RATE_ANY : bits / 8;
    return NULL;
}

static const char *
take_deny(struct policy_account *a, const char *v)
{
    return boolean(v, &a->deny) ? NULL : "must be true or false";
}

static const char *
take_per_uid(struct policy_account *a, const char *v)
{
    return boolean(v, &a->per_uid) ? NULL : "must be true or false";
}

/* ---- the keys ---- */

static const struct key {
    const char *name;
    bool list;
    enum account_rule rule;
    const char *(*take)(struct policy_account *a, const char *v);
} keys[] = {
    {"uids", true, RULE_COUNT, take_uid},
    {"gids", true, RULE_COUNT, take_gid},
    {"cgroups", true, RULE_COUNT, take_cgroup},
    {"deny", false, RULE_COUNT, take_deny},
    {"per_uid", false, RULE_COUNT, take_per_uid},
    {"ports", true, RULE_PORTS, policy_take_ports},
    {"listen", true, RULE_LISTEN, policy_take_listen},
    {"peers", true, RULE_PEERS, policy_take_peers},
    {"accept", true, RULE_ACCEPT, policy_take_accept},
    {"congestion", true, RULE_CONGESTION, take_congestion},
    {"arena", false, RULE_COUNT, take_arena},
    {"memory", false, RULE_COUNT, take_memory},
    {"sessions", false, RULE_SESSIONS, take_sessions},
    {"half_open", false, RULE_HALF_OPEN, take_half_open},
    {"clients", false, RULE_COUNT, take_clients},
    {"attaches", false, RULE_COUNT, take_attaches},
    {"attaches_burst", false, RULE_COUNT, take_attaches_burst},
    {"connects", false, RULE_CONNECTS, take_connects},
    {"connects_burst", false, RULE_COUNT, take_burst},
    {"packets", false, RULE_COUNT, take_packets},
    {"bandwidth", false, RULE_COUNT, take_bandwidth},
};

static const struct key *
key_of(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

bool
policy_key(const char *name, bool *list)
{
    const struct key *k = key_of(name);
    *list = k != NULL && k->list;
    return k != NULL;
}

const char *
policy_keys(void)
{
    return "uids, gids, cgroups, deny, per_uid, ports, listen, peers, accept, congestion, "
           "arena, "
           "memory, sessions, half_open, clients, attaches, attaches_burst, connects, "
           "connects_burst, packets, bandwidth";
}

enum account_rule
policy_key_rule(const char *name)
{
    const struct key *k = key_of(name);
    return k != NULL ? k->rule : RULE_COUNT;
}

const char *
account_rule_key(enum account_rule rule)
{
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].rule == rule && rule != RULE_COUNT)
            return keys[i].name;
    return "?";
}

const char *
policy_take(struct policy_account *a, const char *name, const char *value)
{
    const struct key *k = key_of(name);
    return k != NULL ? k->take(a, value) : policy_keys();
}
