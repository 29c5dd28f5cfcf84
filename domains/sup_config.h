/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_config.h: what the supervisor is told: options, configuration file; who may attach is in
 * policy/accounts.h. Every value is checked where it is read, so that a message can name file
 * and line.
 */
#ifndef DOMAINS_SUP_CONFIG_H
#define DOMAINS_SUP_CONFIG_H

#include <sys/types.h>

#include "base/frame.h"
#include "ipc/ctl.h"

enum composition { COMP_FACTORED, COMP_MONOLITHIC };

/* Where the uids of the domains begin: domain N runs as uid_base + 1 + N. Outside of what
 * systemd (DynamicUser 61184-65519, homed 60001-60513, containers from 524288), Debian (up to
 * 65535) and the default of /etc/subuid (from 100000) hand out. */
#define UID_BASE_DEFAULT 70000u

#define CPU_AUTO (-2) /* by the number of processors */

struct sup_conf {
    char interface[16];
    struct ipaddr addr; /* none: not given */
    uint32_t prefix;
    struct ipaddr gateway; /* none: only the connected network */
    enum composition composition;
    uint32_t driver; /* enum nic_driver */
    bool checksum_strict;
    bool verbose;
    char instance[32];
    char accounts[256]; /* file; empty: the built-in ones. There is no default place */
    uint32_t n_frames[PART_COUNT];
    uint32_t xsk_ring; /* descriptors of each AF_XDP ring */
    uint32_t tcp_sessions, udp_sessions, half_open, orphans;
    uint32_t ecn, pacing;
    uint32_t syn_cookies;                /* enum tcp_cookies */
    uint32_t sndbuf, rcvbuf, buffer_max; /* bytes */
    uint32_t congestion;                 /* enum cc_alg of new sessions */
    int32_t spin_us;                     /* -1: by the number of processors */
    int32_t cpu[DOM_COUNT];              /* -1: anywhere; CPU_AUTO */
    uint32_t probes, probe_interval_ms;
    uint32_t uid_base;
};

/* The defaults. */
void sup_conf_init(struct sup_conf *c);

/* Set one of the string keys (interface, address, gateway, composition, driver, checksum,
 * instance, accounts, syn_cookies, congestion) as the command line and the file both spell it.
 * Returns NULL, or what is wrong with the value (static text). */
must_check const char *sup_conf_set(struct sup_conf *c, const char *key, const char *value);

/* Read a configuration file over *c. Returns 0, or EXIT_CONFIG with "FILE:LINE: what" in err;
 * *c is undefined then. */
must_check int sup_conf_file(struct sup_conf *c, const char *path, char *err, size_t err_len);

/* What only the whole can tell: required values are there, the gateway is a neighbour.
 * Returns 0, or EXIT_USAGE with a message. */
must_check int sup_conf_check(const struct sup_conf *c, char *err, size_t err_len);

/* "A.B.C.D" or, with a prefix wanted, "A.B.C.D/P" in host order; false if it is not that. */
must_check bool sup_parse_v4(const char *text, uint32_t *addr, uint32_t *prefix);

#endif
