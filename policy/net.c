/* SPDX-License-Identifier: BSD-2-Clause
 *
 * net.c: the values of an account that are about ports and peers.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "value.h"

#define EPHEMERAL_FIRST 32768u /* those that the transports choose from */
#define EPHEMERAL_LAST 60999u

/* The next word of s, which moves on; "" at the end. */
static void
split(const char **s, char *word, size_t size)
{
    size_t n = 0;
    *s += strspn(*s, " ");
    while (**s != '\0' && **s != ' ') {
        if (n + 1 < size)
            word[n] = **s;
        n++;
        (*s)++;
    }
    word[n < size ? n : 0] = '\0';
}

static bool
ports(const char *text, struct port_range *r)
{
    unsigned first, last;
    char rest;
    if (strcmp(text, "any") == 0) {
        *r = (struct port_range){0, UINT16_MAX};
        return true;
    }
    if (strcmp(text, "ephemeral") == 0) {
        *r = (struct port_range){EPHEMERAL_FIRST, EPHEMERAL_LAST};
        return true;
    }
    if (strspn(text, "0123456789-") != strlen(text) || strlen(text) > 11)
        return false;
    int n = sscanf(text, "%5u-%5u%c", &first, &last, &rest);
    if (n == 1 && strchr(text, '-') == NULL && strlen(text) <= 5)
        last = first;
    else if (n != 2)
        return false;
    if (first < 1 || first > last || last > UINT16_MAX)
        return false;
    *r = (struct port_range){(uint16_t)first, (uint16_t)last};
    return true;
}

/* "tcp" or "udp" before, or both; then the ports. Returns the protocols, 0: wrong. */
static unsigned
proto_ports(const char *v, bool may_end, struct port_range *r)
{
    char word[32];
    unsigned which = 1u << ACCOUNT_TCP | 1u << ACCOUNT_UDP;
    split(&v, word, sizeof word);
    if (strcmp(word, "tcp") == 0 || strcmp(word, "udp") == 0) {
        which = word[0] == 't' ? 1u << ACCOUNT_TCP : 1u << ACCOUNT_UDP;
        split(&v, word, sizeof word);
    }
    if (word[0] == '\0' && may_end)
        *r = (struct port_range){0, UINT16_MAX};
    else if (!ports(word, r))
        return 0;
    split(&v, word, sizeof word);
    return word[0] == '\0' ? which : 0;
}

#define PORTS_ALLOWED "\"any\", \"tcp 80\", \"udp 5000-5999\", \"tcp ephemeral\" and the like"

const char *
policy_take_ports(struct policy_account *a, const char *v)
{
    struct port_range r;
    unsigned which = proto_ports(v, false, &r);
    if (which == 0)
        return "ports are " PORTS_ALLOWED;
    for (unsigned p = 0; p < ACCOUNT_PROTOS; p++) {
        if (!(which >> p & 1))
            continue;
        if (a->rules[p].n_ports == ACCOUNT_RANGES)
            return "there are 16 ranges already, the most for one protocol";
        a->rules[p].port[a->rules[p].n_ports++] = r;
    }
    return NULL;
}

const char *
policy_take_listen(struct policy_account *a, const char *v)
{
    struct port_range r;
    struct account_rules *tcp = &a->rules[ACCOUNT_TCP];
    if (!(proto_ports(v, false, &r) >> ACCOUNT_TCP & 1))
        return "ports to listen on are of tcp: \"any\", \"80\", \"tcp 8000-8080\", "
               "\"ephemeral\" and the like";
    if (tcp->n_listen == ACCOUNT_RANGES)
        return "there are 16 ranges already, the most that an account can have";
    tcp->listen[tcp->n_listen++] = r;
    return NULL;
}

static bool
prefix(char *text, struct peer_rule *r)
{
    struct in_addr in;
    uint64_t bits = 32;
    char *slash = strchr(text, '/');
    if (strcmp(text, "any") == 0) {
        r->net = (struct ipaddr){0};
        r->bits = 0;
        return true;
    }
    if (slash != NULL && !policy_number(slash + 1, 32, &bits))
        return false;
    if (slash != NULL)
        *slash = '\0';
    if (inet_pton(AF_INET, text, &in) != 1)
        return false;
    uint32_t addr = ntohl(in.s_addr);
    r->net = ipaddr_v4_u32(addr);
    r->bits = 96 + (uint32_t)bits;
    return bits == 32 ||
           (addr & (UINT32_MAX >> bits)) == 0; /* else it is not clear what is meant */
}

#define PEERS_ALLOWED                                                                          \
    "peers are \"any\", \"10.1.0.0/16\", \"10.1.2.3 tcp 443\", \"any udp 53\" and the like, "  \
    "with no bits behind the prefix"

static const char *
take_peer(struct policy_account *a, const char *v, bool accept)
{
    char word[64];
    struct peer_rule r = {0};
    split(&v, word, sizeof word);
    if (!prefix(word, &r))
        return PEERS_ALLOWED;
    unsigned which = proto_ports(v, true, &r.port);
    if (which == 0)
        return PEERS_ALLOWED;
    for (unsigned p = 0; p < ACCOUNT_PROTOS; p++) {
        struct account_rules *to = &a->rules[p];
        uint32_t *n = accept ? &to->n_accept : &to->n_peers;
        if (!(which >> p & 1))
            continue;
        if (*n == ACCOUNT_PEERS)
            return "there are 16 prefixes already, the most for one protocol";
        (accept ? to->accept : to->peer)[(*n)++] = r;
    }
    return NULL;
}

const char *
policy_take_peers(struct policy_account *a, const char *v)
{
    return take_peer(a, v, false);
}

const char *
policy_take_accept(struct policy_account *a, const char *v)
{
    return take_peer(a, v, true);
}
