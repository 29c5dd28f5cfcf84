/* SPDX-License-Identifier: BSD-2-Clause
 *
 * accounts.c: an accounts file as a whole, and which account a process belongs to.
 */
#include "accounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_codes.h"
#include "text.h"

#define FILE_MAX (1u << 20) /* bytes */
#define ACCOUNTS_IN_FILE 256u

/* policy/accounts.conf, as it was when this was built. */
static const char builtin_accounts[] =
#include "policy/accounts_text.h"
    ;

static void
account_init(struct policy_account *a)
{
    *a = (struct policy_account){.arena = 256u << 20,
                                 .memory = RATE_ANY,
                                 .sessions = 16384,
                                 .half_open = 1024,
                                 .clients = 64,
                                 .attaches = ACCOUNT_ATTACHES,
                                 .attaches_burst = ACCOUNT_ATTACHES_BURST};
    for (unsigned p = 0; p < ACCOUNT_PROTOS; p++) {
        a->rules[p].connects = a->rules[p].packets = a->rules[p].bytes = RATE_ANY;
        a->rules[p].connects_burst = 0; /* as many as in a second */
        a->rules[p].first = ACCOUNT_ANY;
    }
}

/* ---- reading ---- */

static bool
value(struct policy_text *t, struct policy_account *a, const char *key)
{
    if (t->token != TOKEN_WORD)
        return policy_wrong(t, "a value of %s belongs here", key);
    const char *allowed = policy_take(a, key, t->word);
    return allowed == NULL || policy_wrong(t, "%s = \"%s\": %s", key, t->word, allowed);
}

/* The token is "{": values up to "}". */
static bool
list(struct policy_text *t, struct policy_account *a, const char *key)
{
    for (;;) {
        (void)policy_next(t);
        if (policy_is(t, '}'))
            return true;
        if (!value(t, a, key))
            return false;
        (void)policy_next(t);
        if (policy_is(t, '}'))
            return true;
        if (!policy_is(t, ','))
            return policy_wrong(
                t, "between the values of %s belongs a comma, and } behind them", key);
    }
}

#define KEYS_MAX 32u

/* KEY = VALUE or KEY = {VALUE, ...}; the token is the key. */
static bool
assignment(struct policy_text *t, struct policy_account *a, char seen[KEYS_MAX][32],
           unsigned *n_seen)
{
    char key[32];
    bool is_list;
    if (t->token != TOKEN_WORD)
        return policy_wrong(t, "a key of the account belongs here, or }");
    if (!policy_key(t->word, &is_list))
        return policy_wrong(t, "\"%s\" is no key of an account; there are %s", t->word,
                            policy_keys());
    snprintf(key, sizeof key, "%s", t->word);
    for (unsigned i = 0; i < *n_seen; i++)
        if (strcmp(seen[i], key) == 0)
            return policy_wrong(t, "%s is there twice: give it once", key);
    if (*n_seen < KEYS_MAX)
        snprintf(seen[(*n_seen)++], sizeof seen[0], "%s", key);
    enum account_rule rule = policy_key_rule(key);
    if (rule != RULE_COUNT)
        a->rule_line[rule] = t->word_line;
    (void)policy_next(t);
    if (!policy_is(t, '='))
        return policy_wrong(t, "behind %s belongs =", key);
    (void)policy_next(t);
    if (policy_is(t, '{'))
        return is_list ? list(t, a, key) : policy_wrong(t, "%s takes one value, no list", key);
    return value(t, a, key);
}

static bool
name_ok(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < ACCOUNT_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               n;
}

static void
account_complete(struct policy_account *a)
{
    a->everybody = a->n_uids == 0 && a->n_gids == 0 && a->n_cgroups == 0;
    struct account_rules *tcp = &a->rules[ACCOUNT_TCP];
    if (tcp->connects_burst == 0)
        tcp->connects_burst = max_u64(tcp->connects == RATE_ANY ? 1 : tcp->connects, 1);
    for (unsigned p = 0; p < ACCOUNT_PROTOS; p++) {
        a->rules[p].sessions = a->sessions;
        a->rules[p].half_open = a->half_open;
    }
}

/* account "NAME" { ... }; the token is "account". */
static bool
account(struct policy_text *t, struct accounts *as)
{
    char seen[KEYS_MAX][32];
    unsigned n_seen = 0;
    struct policy_account *a = &as->a[as->n];
    if (t->token != TOKEN_WORD || strcmp(t->word, "account") != 0)
        return policy_wrong(t, "\"%s\": account \"NAME\" { ... } belongs here", t->word);
    if (as->n == ACCOUNTS_IN_FILE)
        return policy_wrong(t, "more than %u accounts", ACCOUNTS_IN_FILE);
    account_init(a);
    as->n++; /* also if it is not complete: it may own memory */
    a->line = t->word_line;
    (void)policy_next(t);
    if (t->token != TOKEN_WORD || !name_ok(t->word))
        return policy_wrong(t,
                            "behind account belongs its name: 1 to %u letters, digits, or "
                            "any of _.-",
                            ACCOUNT_NAME_MAX - 1);
    for (unsigned i = 0; i + 1 < as->n; i++)
        if (strcmp(as->a[i].name, t->word) == 0)
            return policy_wrong(t, "there is an account \"%s\" in line %u already", t->word,
                                as->a[i].line);
    snprintf(a->name, sizeof a->name, "%s", t->word);
    (void)policy_next(t);
    if (!policy_is(t, '{'))
        return policy_wrong(t, "behind the name belongs {");
    for (;;) {
        (void)policy_next(t);
        if (policy_is(t, '}'))
            break;
        if (t->token == TOKEN_END)
            return policy_wrong(t, "account \"%s\" of line %u has no } at its end", a->name,
                                a->line);
        if (!assignment(t, a, seen, &n_seen))
            return false;
    }
    account_complete(a);
    return true;
}

int
accounts_parse(struct accounts *as, const char *name, const char *text, size_t len, char *err,
               size_t err_len)
{
    struct policy_text t;
    policy_text_init(&t, name, text, len, err, err_len);
    *as =
        (struct accounts){.a = calloc(ACCOUNTS_IN_FILE, sizeof *as->a), .source = strdup(name)};
    bool ok = as->a != NULL && as->source != NULL;
    if (!ok)
        snprintf(err, err_len, "%s: no memory", name);
    while (ok && policy_next(&t) != TOKEN_END)
        ok = account(&t, as);
    if (ok)
        return 0;
    accounts_free(as);
    return EXIT_CONFIG;
}

int
accounts_read(struct accounts *as, const char *path, char *err, size_t err_len)
{
    if (path == NULL)
        return accounts_parse(as, "accounts.conf", builtin_accounts,
                              sizeof builtin_accounts - 1, err, err_len);
    *as = (struct accounts){0};
    FILE *f = fopen(path, "re");
    char *text = f != NULL ? malloc(FILE_MAX + 1) : NULL;
    size_t len = text != NULL ? fread(text, 1, FILE_MAX + 1, f) : 0;
    int rc = EXIT_CONFIG;
    if (text == NULL || ferror(f))
        snprintf(err, err_len, "%s: %s", path, strerror(errno));
    else if (len > FILE_MAX)
        snprintf(err, err_len, "%s: longer than %u bytes", path, FILE_MAX);
    else
        rc = accounts_parse(as, path, text, len, err, err_len);
    free(text);
    if (f != NULL)
        fclose(f);
    return rc;
}

void
accounts_free(struct accounts *as)
{
    for (unsigned i = 0; as->a != NULL && i < as->n; i++)
        for (unsigned c = 0; c < as->a[i].n_cgroups; c++)
            free(as->a[i].cgroup[c]);
    free(as->a);
    free(as->source);
    *as = (struct accounts){0};
}

/* ---- finding ---- */

/* One line of /proc/PID/cgroup, "NUMBER:CONTROLLERS:/PATH", against what an account names. */
static bool
cgroup_line(const char *line, size_t len, const char *want)
{
    const char *path = memchr(line, ':', len), *slash = strchr(want, '/');
    size_t want_names = slash == want ? 0 : (size_t)(slash - want) - 1,
           want_len = strlen(slash);
    const char *names = path != NULL ? path + 1 : NULL;
    path = names != NULL ? memchr(names, ':', len - (size_t)(names - line)) : NULL;
    if (path == NULL)
        return false;
    size_t n_names = (size_t)(path - names), n_path = len - (size_t)(++path - line);
    bool mine = want_names == 0 && n_names == 0;
    for (const char *n = names; want_names != 0 && n < names + n_names;) {
        const char *comma = memchr(n, ',', n_names - (size_t)(n - names));
        size_t one = comma != NULL ? (size_t)(comma - n) : n_names - (size_t)(n - names);
        mine |= one == want_names && memcmp(n, want, one) == 0;
        n += one + 1;
    }
    if (!mine || n_path == 0)
        return false;
    if (want_len == 1) /* the root: everything is below it */
        return true;
    return n_path >= want_len && memcmp(path, slash, want_len) == 0 &&
           (n_path == want_len || path[want_len] == '/');
}

static bool
in_cgroup(const struct policy_account *a, const char *cgroups)
{
    for (const char *line = cgroups; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        size_t len = end != NULL ? (size_t)(end - line) : strlen(line);
        for (unsigned i = 0; i < a->n_cgroups; i++)
            if (cgroup_line(line, len, a->cgroup[i]))
                return true;
        line = end != NULL ? end + 1 : NULL;
    }
    return false;
}

static bool
has_id(const struct policy_account *a, const struct account_who *who)
{
    for (unsigned u = 0; u < a->n_uids; u++)
        if (a->uid[u] == who->uid)
            return true;
    for (unsigned g = 0; g < a->n_gids; g++)
        for (unsigned have = 0; have < who->n_gids; have++)
            if (a->gid[g] == who->gids[have])
                return true;
    return a->n_uids == 0 && a->n_gids == 0;
}

const struct policy_account *
accounts_find(const struct accounts *as, const struct account_who *who)
{
    for (unsigned i = 0; i < as->n; i++) {
        const struct policy_account *a = &as->a[i];
        if (has_id(a, who) && (a->n_cgroups == 0 || in_cgroup(a, who->cgroups)))
            return a;
    }
    return NULL;
}

bool
accounts_want_cgroup(const struct accounts *as)
{
    for (unsigned i = 0; i < as->n; i++)
        if (as->a[i].n_cgroups != 0)
            return true;
    return false;
}

void
account_rules_of(const struct policy_account *a, enum account_proto proto,
                 struct account_rules *r)
{
    *r = a->rules[proto];
}
