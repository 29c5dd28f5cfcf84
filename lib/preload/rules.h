/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.h: which sockets of a program that runs on Bulkhead unchanged are the kernel's. One
 * rule in a line, the first that fits decides:
 *
 *     kernel   tcp to 10.0.0.0/8 port 5432
 *     bulkhead udp from any port 5000-5999
 *
 * (kernel or bulkhead, and whom it is about: protocol, side, prefix, ports; what is not said is
 * all.) What no line fits: loopback is the kernel's, all else Bulkhead's.
 */
#ifndef PRELOAD_RULES_H
#define PRELOAD_RULES_H

#include <sys/socket.h>

#include "base/base.h"

#define RULES_MAX 256u
#define RULES_FILE_MAX 65536u /* bytes */

#define RULE_TCP 1u
#define RULE_UDP 2u
#define RULE_TO 1u   /* the peer's address: connect, sendto */
#define RULE_FROM 2u /* the own one: bind */

struct rule {
    uint32_t net, mask;   /* host byte order */
    uint16_t first, last; /* ports */
    uint8_t protos, sides;
    bool kernel;
};

struct rules {
    unsigned n;
    struct rule rule[RULES_MAX];
};

enum rules_say {
    RULES_STACK,
    RULES_KERNEL,
    RULES_LOOPBACK, /* the kernel's, as no rule is about it and it is loopback */
};

/* Read len bytes of text. False: err has "NAME:LINE:COLUMN: what", and r is unusable. */
bool rules_parse(struct rules *r, const char *name, const char *text, size_t len, char *err,
                 size_t err_len);
/* Does a socket of this type (SOCK_STREAM, SOCK_DGRAM, flags may be or'ed in) belong to the
 * kernel when it is bound to addr (local), or connected to it or sent to there (not local)?
 * What Bulkhead does not do, other types and families, is the kernel's; an IPv4 address mapped
 * into IPv6 is the IPv4 address. */
bool rules_decide(const struct rules *r, int type, const struct sockaddr *addr, bool local);
enum rules_say rules_say(const struct rules *r, int type, const struct sockaddr *addr,
                         bool local);

/* The rules of this process. rules_load reads them from a file, and is to be called before
 * threads are; NULL or empty: those without a file. False: err says why, the rules are as
 * before. */
bool rules_load(const char *path, char *err, size_t err_len);
bool rules_kernel(int type, const struct sockaddr *addr, bool local);
enum rules_say rules_of(int type, const struct sockaddr *addr, bool local);

#endif
