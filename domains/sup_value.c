/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_value.c: the values of keys, as the configuration file and the command line both spell
 * them.
 */
#include "sup_config.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "tcp/cc.h"
#include "tcp/tcp.h"

bool
sup_parse_v4(const char *text, uint32_t *addr, uint32_t *prefix)
{
    char host[INET_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    struct in_addr in;
    if (len >= sizeof host || (slash != NULL) != (prefix != NULL))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, &in) != 1)
        return false;
    *addr = ntohl(in.s_addr);
    if (slash == NULL)
        return true;
    if (slash[1] < '0' || slash[1] > '9' || strlen(slash + 1) > 2)
        return false;
    char *end;
    unsigned long p = strtoul(slash + 1, &end, 10);
    *prefix = (uint32_t)p;
    return *end == '\0' && p <= 32;
}

static const char *
set_address(struct sup_conf *c, const char *value)
{
    uint32_t a, p;
    if (!sup_parse_v4(value, &a, &p))
        return "must be an IPv4 address with a prefix, such as 10.0.0.1/24";
    uint32_t mask = p == 0 ? 0 : UINT32_MAX << (32 - p);
    if (a >> 28 >= 0xe || a >> 24 == 127 || a >> 24 == 0)
        return "is not an address that a host can have";
    if (p < 8)
        return "has a prefix shorter than 8";
    if (p < 31 && ((a & ~mask) == 0 || (a & ~mask) == ~mask))
        return "is the network's or the broadcast address, not a host's";
    c->addr = ipaddr_v4_u32(a);
    c->prefix = p;
    return NULL;
}

static const char *
set_gateway(struct sup_conf *c, const char *value)
{
    uint32_t a;
    if (!sup_parse_v4(value, &a, NULL))
        return "must be an IPv4 address, such as 10.0.0.254";
    c->gateway = ipaddr_v4_u32(a);
    return NULL;
}

static const char *
set_choice(const char *value, const char *zero, const char *one, bool *is_one)
{
    *is_one = strcmp(value, one) == 0;
    return *is_one || strcmp(value, zero) == 0 ? NULL : "is none of the choices";
}

static const char *
set_copy(char *to, size_t len, const char *value, const char *too_long)
{
    if (value[0] == '\0')
        return "must not be empty";
    size_t n = strlen(value);
    if (n >= len)
        return too_long;
    memcpy(to, value, n + 1);
    return NULL;
}

const char *
sup_conf_set(struct sup_conf *c, const char *key, const char *value)
{
    bool one;
    if (strcmp(key, "interface") == 0)
        return set_copy(c->interface, sizeof c->interface, value,
                        "is longer than an interface name can be");
    if (strcmp(key, "address") == 0)
        return set_address(c, value);
    if (strcmp(key, "gateway") == 0)
        return set_gateway(c, value);
    if (strcmp(key, "composition") == 0) {
        if (set_choice(value, "factored", "monolithic", &one) != NULL)
            return "must be factored or monolithic";
        c->composition = one ? COMP_MONOLITHIC : COMP_FACTORED;
        return NULL;
    }
    if (strcmp(key, "driver") == 0) {
        if (set_choice(value, "xdp", "packet", &one) != NULL)
            return "must be xdp or packet";
        c->driver = one ? DRIVER_PACKET : DRIVER_XDP;
        return NULL;
    }
    if (strcmp(key, "checksum") == 0) {
        if (set_choice(value, "auto", "strict", &one) != NULL)
            return "must be auto or strict";
        c->checksum_strict = one;
        return NULL;
    }
    if (strcmp(key, "syn_cookies") == 0) {
        static const char *const names[] = {[TCP_COOKIES_AUTO] = "auto",
                                            [TCP_COOKIES_OFF] = "off",
                                            [TCP_COOKIES_ALWAYS] = "always"};
        for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
            if (strcmp(value, names[i]) == 0) {
                c->syn_cookies = i;
                return NULL;
            }
        }
        return "must be auto, off or always";
    }
    if (strcmp(key, "instance") == 0) {
        char path[256];
        if (!ctl_socket_path(path, sizeof path, value, "sock"))
            return "must be 1 to 31 of A-Z a-z 0-9 _ . -";
        return set_copy(c->instance, sizeof c->instance, value, "is too long");
    }
    if (strcmp(key, "congestion") == 0) {
        c->congestion = cc_alg_of(value, strlen(value));
        return c->congestion < CC_ALGS ? NULL : "is no congestion control that there is";
    }
    if (strcmp(key, "accounts") == 0)
        return set_copy(c->accounts, sizeof c->accounts, value, "is too long a file name");
    return "is no such key";
}
