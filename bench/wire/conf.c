/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conf.c: settings and profiles.
 */
#include "bench/wire/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_codes.h"
#include "domains/conf_file.h"

#define MINUTE (60.0 * NS_S)
#define S(name, kind, max, help)                                                               \
    {                                                                                          \
#name, kind, offsetof(struct way_conf, name), max, help                                \
    }
const struct setting settings[SETTINGS] = {
    S(rate, SET_RATE, 1e11, "bits a second; 0: no limit"),
    S(overhead, SET_BYTES, 1000, "bytes that each frame takes of the rate besides itself (24)"),
    S(delay, SET_TIME, MINUTE, "one way"),
    S(jitter, SET_TIME, MINUTE, "up to so much more delay, evenly spread, in order"),
    S(queue_bytes, SET_BYTES, 1e12, "what may wait for the rate (usual: 50 ms of it)"),
    S(queue_packets, SET_COUNT, 1e6, "the same, counted in packets"),
    S(mark_above, SET_BYTES, 1e12, "set CE where ECN is understood when more than this waits"),
    S(mark, SET_PART, 1, "set CE where ECN is understood, by chance"),
    S(loss, SET_PART, 1, "of the packets"),
    S(burst_enter, SET_PART, 1, "chance that a burst of losses begins, for each packet"),
    S(burst_leave, SET_PART, 1, "that it ends (0.25)"),
    S(burst_loss, SET_PART, 1, "loss within a burst (1)"),
    S(duplicate, SET_PART, 1, "of the packets"),
    S(corrupt, SET_PART, 1, "one bit behind the IP header is turned over"),
    S(reorder, SET_PART, 1, "part of the packets that is held back"),
    S(reorder_packets, SET_COUNT, 1e6, "until so many have overtaken it (3)"),
    S(reorder_delay, SET_TIME, MINUTE,
      "but not longer than this (10ms); only this if that is 0"),
    S(mtu, SET_COUNT, 65535, "drop longer IPv4 packets that may not be fragmented"),
    S(mtu_silent, SET_BOOL, 1, "and send no ICMP: a black hole"),
};
#undef S

void
wire_conf_init(struct wire_conf *c)
{
    *c = (struct wire_conf){.way = {way_perfect(), way_perfect()}, .seed = 1};
}

static const struct unit {
    enum setting_kind kind;
    const char *text;
    double factor;
} units[] = {
    {SET_RATE, "", 1},         {SET_RATE, "K", 1e3},      {SET_RATE, "M", 1e6},
    {SET_RATE, "G", 1e9},      {SET_TIME, "ns", 1},       {SET_TIME, "us", 1e3},
    {SET_TIME, "ms", 1e6},     {SET_TIME, "s", 1e9},      {SET_BYTES, "", 1},
    {SET_BYTES, "K", 1 << 10}, {SET_BYTES, "M", 1 << 20}, {SET_BYTES, "G", 1 << 30},
    {SET_COUNT, "", 1},        {SET_PART, "", 1},         {SET_PART, "%", 0.01},
};

static const char *const must_be[] = {
    [SET_RATE] = "must be a rate up to 100G, such as 100M (bits a second)",
    [SET_TIME] = "must be a time up to 60s, such as 20ms or 250us",
    [SET_BYTES] = "must be a number of bytes, such as 1500 or 64K",
    [SET_COUNT] = "must be a whole number, and not too large",
    [SET_PART] = "must be from 0 to 1, such as 0.01 or 1%",
    [SET_BOOL] = "must be yes or no",
};

/* A number with a unit of the kind; no sign, no space, nothing that only strtod knows. */
static bool
read_value(enum setting_kind kind, const char *text, double *v)
{
    size_t digits = strspn(text, "0123456789.");
    char *end;
    if (digits == 0)
        return false;
    *v = strtod(text, &end);
    if (end != text + digits)
        return false;
    if (kind == SET_TIME && *v == 0 && *end == '\0')
        return true; /* nothing of any unit */
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].kind == kind && strcmp(units[i].text, end) == 0) {
            *v *= units[i].factor;
            return true;
        }
    }
    return false;
}

const char *
setting_put(const struct setting *s, struct way_conf *w, const char *text)
{
    void *to = (char *)w + s->off;
    double v = 0;
    uint64_t whole;

    if (s->kind == SET_BOOL) {
        whole = strcmp(text, "yes") == 0;
        if (whole == 0 && strcmp(text, "no") != 0)
            return must_be[SET_BOOL];
        memcpy(to, &whole, sizeof whole);
        return NULL;
    }
    if (!read_value(s->kind, text, &v) || v > s->max)
        return must_be[s->kind];
    if (s->kind == SET_PART) {
        memcpy(to, &v, sizeof v);
        return NULL;
    }
    if (s->kind == SET_COUNT && strchr(text, '.') != NULL)
        return must_be[SET_COUNT];
    whole = (uint64_t)(v + 0.5);
    memcpy(to, &whole, sizeof whole);
    return NULL;
}

bool
wire_number(const char *text, uint64_t *v)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *v = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static int
validate(cfg_t *cfg, cfg_opt_t *opt)
{
    struct way_conf scratch;
    const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    const char *why = "is no such setting";
    uint64_t seed;
    if (strcmp(opt->name, "seed") == 0)
        why = wire_number(text, &seed) ? NULL : "must be a whole number";
    for (size_t i = 0; i < SETTINGS; i++)
        if (strcmp(settings[i].name, opt->name) == 0)
            why = setting_put(&settings[i], &scratch, text);
    if (why == NULL)
        return 0;
    cfg_error(cfg, "%s = \"%s\" %s", opt->name, text, why);
    return -1;
}

static void
take(struct way_conf *w, cfg_t *cfg)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (cfg_size(cfg, settings[i].name) > 0 &&
            setting_put(&settings[i], w, cfg_getstr(cfg, settings[i].name)) != NULL)
            abort(); /* it was validated a moment ago */
}

static void
take_all(struct wire_conf *c, cfg_t *cfg)
{
    static const char *const section[WAYS] = {[TO_RIGHT] = "to_right", [TO_LEFT] = "to_left"};
    for (unsigned i = 0; i < WAYS; i++)
        take(&c->way[i], cfg);
    for (unsigned i = 0; i < WAYS; i++)
        if (cfg_size(cfg, section[i]) > 0)
            take(&c->way[i], cfg_getsec(cfg, section[i]));
    if (cfg_size(cfg, "seed") > 0 && !wire_number(cfg_getstr(cfg, "seed"), &c->seed))
        abort();
}

int
wire_profile(struct wire_conf *c, const char *path, char *err, size_t err_len)
{
    cfg_opt_t way[SETTINGS + 1], opts[SETTINGS + 4];
    cfg_opt_t end = CFG_END();
    size_t n = 0;
    for (; n < SETTINGS; n++)
        way[n] = opts[n] = (cfg_opt_t)CFG_STR(settings[n].name, NULL, CFGF_NODEFAULT);
    way[n] = end;
    opts[n++] = (cfg_opt_t)CFG_SEC("to_right", way, CFGF_NODEFAULT);
    opts[n++] = (cfg_opt_t)CFG_SEC("to_left", way, CFGF_NODEFAULT);
    opts[n++] = (cfg_opt_t)CFG_STR("seed", NULL, CFGF_NODEFAULT);
    opts[n] = end;

    cfg_t *cfg = conf_open(opts, path, err, err_len);
    if (cfg == NULL)
        return EXIT_CONFIG;
    for (size_t i = 0; i <= SETTINGS; i++) {
        static const char *const where[] = {"", "to_right|", "to_left|"};
        for (size_t j = 0; j < (i < SETTINGS ? ARRAY_LEN(where) : 1); j++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s", where[j],
                     i < SETTINGS ? settings[i].name : "seed");
            cfg_set_validate_func(cfg, name, validate);
        }
    }
    bool ok = conf_read(cfg, NULL);
    if (ok)
        take_all(c, cfg);
    cfg_free(cfg);
    return ok ? 0 : EXIT_CONFIG;
}
