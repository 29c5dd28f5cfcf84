/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_account.c: which process may attach and what it may use.
 */
#include "sup_config.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_codes.h"
#include "conf_file.h"
#include "session/ops.h"

/* policy/accounts.conf, as it was when this was built. */
static const char builtin_accounts[] =
#include "policy/accounts_text.h"
    ;

static bool
parse_id(const char *text, uint32_t *id)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || v >= UINT32_MAX)
        return false;
    *id = (uint32_t)v;
    return true;
}

static bool
parse_uid(const char *text, uid_t *uid)
{
    const struct passwd *pw;
    if (parse_id(text, uid))
        return true;
    if ((pw = getpwnam(text)) == NULL)
        return false;
    *uid = pw->pw_uid;
    return true;
}

static bool
parse_gid(const char *text, gid_t *gid)
{
    const struct group *gr;
    if (parse_id(text, gid))
        return true;
    if ((gr = getgrnam(text)) == NULL)
        return false;
    *gid = gr->gr_gid;
    return true;
}

static int
validate_id(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *v = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    bool group = strcmp(opt->name, "gids") == 0;
    uint32_t id;
    if (cfg_opt_size(opt) > ACCOUNT_IDS_MAX) {
        cfg_error(cfg, "%s: more than %u", opt->name, ACCOUNT_IDS_MAX);
        return -1;
    }
    if (group ? parse_gid(v, &id) : parse_uid(v, &id))
        return 0;
    cfg_error(cfg, "%s: there is no %s \"%s\"", opt->name, group ? "group" : "user", v);
    return -1;
}

static int
validate_bytes(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *v = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    uint64_t bytes;
    if (sup_parse_bytes(v, &bytes) && bytes <= 1ull << 40)
        return 0;
    cfg_error(cfg, "%s = \"%s\": must be a size such as \"256M\"", opt->name, v);
    return -1;
}

static int
validate_count(cfg_t *cfg, cfg_opt_t *opt)
{
    long v = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);
    long max = strcmp(opt->name, "clients") == 0 ? (long)CLIENTS_MAX / 2 : 1l << 20;
    if (v >= 0 && v <= max)
        return 0;
    cfg_error(cfg, "%s = %ld: must be 0 to %ld", opt->name, v, max);
    return -1;
}

static void
take_account(struct account *a, cfg_t *sec)
{
    snprintf(a->name, sizeof a->name, "%s", cfg_title(sec));
    a->deny = cfg_getbool(sec, "deny");
    a->sessions = (uint32_t)cfg_getint(sec, "sessions");
    a->half_open = (uint32_t)cfg_getint(sec, "half_open");
    a->clients = (uint32_t)cfg_getint(sec, "clients");
    if (!sup_parse_bytes(cfg_getstr(sec, "arena"), &a->arena))
        abort(); /* it was validated a moment ago */
    a->n_uids = min_u32(cfg_size(sec, "uids"), ACCOUNT_IDS_MAX);
    a->n_gids = min_u32(cfg_size(sec, "gids"), ACCOUNT_IDS_MAX);
    a->everybody = a->n_uids == 0 && a->n_gids == 0;
    /* A name that vanished since it was validated must not become uid 0. */
    for (unsigned i = 0; i < a->n_uids; i++)
        if (!parse_uid(cfg_getnstr(sec, "uids", i), &a->uid[i]))
            a->uid[i] = (uid_t)-1;
    for (unsigned i = 0; i < a->n_gids; i++)
        if (!parse_gid(cfg_getnstr(sec, "gids", i), &a->gid[i]))
            a->gid[i] = (gid_t)-1;
}

int
accounts_read(struct accounts *as, const char *path, char *err, size_t err_len)
{
    cfg_opt_t account[] = {
        CFG_STR_LIST("uids", NULL, CFGF_NODEFAULT), CFG_STR_LIST("gids", NULL, CFGF_NODEFAULT),
        CFG_STR("arena", "256M", CFGF_NONE),        CFG_INT("sessions", 16384, CFGF_NONE),
        CFG_INT("half_open", 1024, CFGF_NONE),      CFG_INT("clients", 64, CFGF_NONE),
        CFG_BOOL("deny", cfg_false, CFGF_NONE),     CFG_END()};
    cfg_opt_t opts[] = {
        CFG_SEC("account", account, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES), CFG_END()};
    *as = (struct accounts){0};
    cfg_t *cfg = conf_open(opts, path != NULL ? path : "accounts", err, err_len);
    if (cfg == NULL)
        return EXIT_CONFIG;
    cfg_set_validate_func(cfg, "account|uids", validate_id);
    cfg_set_validate_func(cfg, "account|gids", validate_id);
    cfg_set_validate_func(cfg, "account|arena", validate_bytes);
    cfg_set_validate_func(cfg, "account|sessions", validate_count);
    cfg_set_validate_func(cfg, "account|half_open", validate_count);
    cfg_set_validate_func(cfg, "account|clients", validate_count);
    bool ok = conf_read(cfg, path != NULL ? NULL : builtin_accounts);
    if (ok) {
        as->n = cfg_size(cfg, "account");
        as->a = calloc(as->n + 1, sizeof *as->a);
        if (as->a == NULL)
            abort();
        for (unsigned i = 0; i < as->n; i++)
            take_account(&as->a[i], cfg_getnsec(cfg, "account", i));
    }
    cfg_free(cfg);
    return ok ? 0 : EXIT_CONFIG;
}

void
accounts_free(struct accounts *as)
{
    free(as->a);
    *as = (struct accounts){0};
}

const struct account *
accounts_find(const struct accounts *as, uid_t uid, const gid_t *gids, unsigned n_gids)
{
    for (unsigned i = 0; i < as->n; i++) {
        const struct account *a = &as->a[i];
        if (a->everybody)
            return a;
        for (unsigned u = 0; u < a->n_uids; u++)
            if (a->uid[u] == uid)
                return a;
        for (unsigned g = 0; g < a->n_gids; g++)
            for (unsigned have = 0; have < n_gids; have++)
                if (a->gid[g] == gids[have])
                    return a;
    }
    return NULL;
}
