/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_config.c: the defaults, the configuration file, and what only the whole can tell.
 */
#include "sup_config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_codes.h"
#include "conf_file.h"
#include "session/session.h"
#include "tcp/cc.h"
#include "tcp/tcp.h"

/* Numbers of the file: where they go and what they may be. */
static const struct number {
    const char *section; /* NULL: top level */
    const char *name;
    size_t off;
    long min, max;
    bool pow2;
} numbers[] = {
#define N(name, lo, hi, p2)                                                                    \
    {                                                                                          \
        NULL, #name, offsetof(struct sup_conf, name), lo, hi, p2                               \
    }
#define FRAMES(name, part, lo)                                                                 \
    {                                                                                          \
        "frames", name, offsetof(struct sup_conf, n_frames[part]), lo, 1 << 18, false          \
    }
#define CPU(name, dom)                                                                         \
    {                                                                                          \
        "cpu", name, offsetof(struct sup_conf, cpu[dom]), -1, 4095, false                      \
    }
    N(xsk_ring, 64, 16384, true),
    N(tcp_sessions, 16, 1 << 20, false),
    N(udp_sessions, 16, 1 << 20, false),
    N(half_open, 1, 1 << 20, false),
    N(orphans, 0, 1 << 20, false),
    N(ecn, ECN_OFF, ECN_ASK, false),
    N(pacing, 0, 1, false),
    N(sndbuf, FIFO_PAGE, FIFO_MAX, false),
    N(rcvbuf, FIFO_PAGE, FIFO_MAX, false),
    N(buffer_max, FIFO_PAGE, FIFO_MAX, false),
    N(spin_us, -1, 100000, false),
    N(probes, 0, 10, false),
    N(probe_interval_ms, 1, 10000, false),
    N(uid_base, 1, INT_MAX - 16, false),
    FRAMES("rx", PART_RX, 256),
    FRAMES("iptx", PART_IPTX, 128),
    FRAMES("tcptx", PART_TCPTX, 64),
    FRAMES("udptx", PART_UDPTX, 64),
    FRAMES("up", PART_UP, 64),
    CPU("nic", DOM_NIC),
    CPU("ip", DOM_IP),
    CPU("tcp", DOM_TCP),
    CPU("udp", DOM_UDP),
    CPU("mono", DOM_MONO),
#undef N
#undef FRAMES
#undef CPU
};

static const char *const strings[] = {"interface",   "address",     "gateway",
                                      "composition", "checksum",    "instance",
                                      "accounts",    "syn_cookies", "driver"};

void
sup_conf_init(struct sup_conf *c)
{
    *c = (struct sup_conf){
        .instance = "default",
        .n_frames = {[PART_RX] = 4096,
                     [PART_IPTX] = 512,
                     [PART_TCPTX] = 2048,
                     [PART_UDPTX] = 2048,
                     [PART_UP] = 1024},
        .xsk_ring = 2048,
        .tcp_sessions = 16384,
        .udp_sessions = 4096,
        .half_open = 1024,
        .orphans = 4096,
        .ecn = ECN_ANSWER,
        .congestion = CC_CUBIC,
        .sndbuf = 524288,
        .buffer_max = 16777216,
        .rcvbuf = 1000000,
        .spin_us = -1,
        .probes = 3,
        .probe_interval_ms = 200,
        .uid_base = UID_BASE_DEFAULT,
    };
    for (unsigned d = 0; d < DOM_COUNT; d++)
        c->cpu[d] = CPU_AUTO;
}

static const struct number *
number_find(const char *section, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const struct number *n = &numbers[i];
        bool top = n->section == NULL;
        if (strcmp(n->name, name) == 0 &&
            (top ? strcmp(section, "root") == 0 : strcmp(section, n->section) == 0))
            return n;
    }
    return NULL;
}

static int
validate_number(cfg_t *cfg, cfg_opt_t *opt)
{
    const struct number *n = number_find(cfg_name(cfg), opt->name);
    long v = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);
    if (n == NULL)
        return -1;
    if (v < n->min || v > n->max) {
        cfg_error(cfg, "%s = %ld: must be %ld to %ld", opt->name, v, n->min, n->max);
        return -1;
    }
    /* Parts of the frame space are mapped one by one: whole pages. */
    if (n->section != NULL && strcmp(n->section, "frames") == 0 && v % 2 != 0) {
        cfg_error(cfg, "%s = %ld: must be even", opt->name, v);
        return -1;
    }
    if (n->pow2 && (v & (v - 1)) != 0) {
        cfg_error(cfg, "%s = %ld: must be a power of two", opt->name, v);
        return -1;
    }
    return 0;
}

static int
validate_string(cfg_t *cfg, cfg_opt_t *opt)
{
    struct sup_conf scratch;
    const char *v = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    const char *why = sup_conf_set(&scratch, opt->name, v);
    if (why == NULL)
        return 0;
    cfg_error(cfg, "%s = \"%s\" %s", opt->name, v, why);
    return -1;
}

/* The values that the file gives; what it does not mention stays. */
static void
take_values(struct sup_conf *c, cfg_t *cfg)
{
    cfg_t *tcp = cfg_getsec(cfg, "tcp");
    if (tcp != NULL && cfg_size(tcp, "congestion") > 0 &&
        sup_conf_set(c, "congestion", cfg_getstr(tcp, "congestion")) != NULL)
        abort(); /* it was validated a moment ago */
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        if (cfg_size(cfg, strings[i]) > 0 &&
            sup_conf_set(c, strings[i], cfg_getstr(cfg, strings[i])) != NULL)
            abort(); /* it was validated a moment ago */
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const struct number *n = &numbers[i];
        cfg_t *sec = n->section == NULL ? cfg : cfg_getsec(cfg, n->section);
        if (sec == NULL || cfg_size(sec, n->name) == 0)
            continue;
        int32_t v = (int32_t)cfg_getint(sec, n->name);
        memcpy((char *)c + n->off, &v, sizeof v);
    }
}

#define OPT_INT(name) CFG_INT(name, 0, CFGF_NODEFAULT)
#define OPT_STR(name) CFG_STR(name, NULL, CFGF_NODEFAULT)

int
sup_conf_file(struct sup_conf *c, const char *path, char *err, size_t err_len)
{
    cfg_opt_t frames[] = {OPT_INT("rx"),    OPT_INT("iptx"), OPT_INT("tcptx"),
                          OPT_INT("udptx"), OPT_INT("up"),   CFG_END()};
    cfg_opt_t cpu[] = {OPT_INT("nic"), OPT_INT("ip"),   OPT_INT("tcp"),
                       OPT_INT("udp"), OPT_INT("mono"), CFG_END()};
    cfg_opt_t tcp[] = {OPT_STR("congestion"), CFG_END()};
    cfg_opt_t opts[] = {OPT_STR("interface"),
                        OPT_STR("address"),
                        OPT_STR("gateway"),
                        OPT_STR("composition"),
                        OPT_STR("checksum"),
                        OPT_STR("instance"),
                        OPT_STR("accounts"),
                        OPT_STR("syn_cookies"),
                        OPT_STR("driver"),
                        OPT_INT("xsk_ring"),
                        OPT_INT("tcp_sessions"),
                        OPT_INT("udp_sessions"),
                        OPT_INT("half_open"),
                        OPT_INT("orphans"),
                        OPT_INT("ecn"),
                        OPT_INT("pacing"),
                        OPT_INT("sndbuf"),
                        OPT_INT("buffer_max"),
                        OPT_INT("rcvbuf"),
                        OPT_INT("spin_us"),
                        OPT_INT("probes"),
                        OPT_INT("probe_interval_ms"),
                        OPT_INT("uid_base"),
                        CFG_SEC("frames", frames, CFGF_NONE),
                        CFG_SEC("cpu", cpu, CFGF_NONE),
                        CFG_SEC("tcp", tcp, CFGF_NONE),
                        CFG_END()};
    cfg_t *cfg = conf_open(opts, path, err, err_len);
    if (cfg == NULL)
        return EXIT_CONFIG;
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        cfg_set_validate_func(cfg, strings[i], validate_string);
    cfg_set_validate_func(cfg, "tcp|congestion", validate_string);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char name[64];
        const char *section = numbers[i].section;
        snprintf(name, sizeof name, "%s%s%s", section ? section : "", section ? "|" : "",
                 numbers[i].name);
        cfg_set_validate_func(cfg, name, validate_number);
    }
    bool ok = conf_read(cfg, NULL);
    if (ok)
        take_values(c, cfg);
    cfg_free(cfg);
    return ok ? 0 : EXIT_CONFIG;
}

int
sup_conf_check(const struct sup_conf *c, char *err, size_t err_len)
{
    if (c->interface[0] == '\0') {
        snprintf(err, err_len, "which interface? Give --interface IF (ip link lists them)");
        return EXIT_USAGE;
    }
    if (ipaddr_is_none(&c->addr)) {
        snprintf(err, err_len, "which address? Give --address A/P, such as 10.0.0.1/24");
        return EXIT_USAGE;
    }
    if (c->driver == DRIVER_PACKET && c->checksum_strict) {
        snprintf(err, err_len,
                 "checksum strict does not go with the packet driver: what it receives in one "
                 "piece has no checksum that could be looked at");
        return EXIT_USAGE;
    }
    if (ipaddr_is_none(&c->gateway))
        return 0;
    uint32_t a = ipaddr_to_u32(&c->addr), g = ipaddr_to_u32(&c->gateway);
    uint32_t mask = UINT32_MAX << (32 - c->prefix);
    if (g == a) {
        snprintf(err, err_len, "the gateway is the stack's own address");
        return EXIT_USAGE;
    }
    if ((g & mask) != (a & mask)) {
        snprintf(err, err_len, "the gateway is not in the network of the address (/%u)",
                 c->prefix);
        return EXIT_USAGE;
    }
    return 0;
}
