/* SPDX-License-Identifier: BSD-2-Clause */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/text.h"

#define LOOPBACK 0x7f000000u
#define LOOPBACK_MASK 0xff000000u

static struct rules current; /* empty: loopback to the kernel */

/* ---- reading ---- */

/* Digits alone, up to max. */
static bool
number(const char *text, unsigned max, unsigned *out)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 5 || text[n] != '\0')
        return false;
    *out = (unsigned)strtoul(text, NULL, 10);
    return *out <= max;
}

static bool
take_prefix(struct policy_text *t, struct rule *rule)
{
    struct in_addr in;
    unsigned bits = 32;
    char word[POLICY_WORD_MAX];
    memcpy(word, t->word, sizeof word);
    char *slash = strchr(word, '/');
    if (slash != NULL)
        *slash = '\0';
    if (inet_pton(AF_INET, word, &in) != 1 || (slash != NULL && !number(slash + 1, 32, &bits)))
        return policy_wrong(t,
                            "\"%s\" is none of tcp, udp, to, from, any, port, and no "
                            "prefix such as 10.1.0.0/16",
                            t->word);
    rule->net = ntohl(in.s_addr);
    rule->mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    if ((rule->net & ~rule->mask) != 0)
        return policy_wrong(t, "%s has bits behind its prefix of %u: is it %s or %s/32?",
                            t->word, bits, word, word);
    return true;
}

static bool
take_ports(struct policy_text *t, struct rule *rule)
{
    unsigned first, last;
    char word[POLICY_WORD_MAX];
    memcpy(word, t->word, sizeof word);
    char *dash = strchr(word, '-');
    if (dash != NULL)
        *dash = '\0';
    bool good = number(word, UINT16_MAX, &first);
    last = first;
    if (good && dash != NULL)
        good = number(dash + 1, UINT16_MAX, &last);
    if (!good || first > last)
        return policy_wrong(t, "\"%s\" is no port (0 to 65535) and no range such as 8000-8080",
                            t->word);
    rule->first = (uint16_t)first;
    rule->last = (uint16_t)last;
    return true;
}

/* The parts of a rule, in this order; each may be left out. */
enum part { PART_PROTO, PART_SIDE, PART_PREFIX, PART_PORT, PART_PORTS, PART_NONE };

static enum part
part_of(const char *word)
{
    if (strcmp(word, "tcp") == 0 || strcmp(word, "udp") == 0)
        return PART_PROTO;
    if (strcmp(word, "to") == 0 || strcmp(word, "from") == 0)
        return PART_SIDE;
    if (strcmp(word, "port") == 0)
        return PART_PORT;
    return PART_PREFIX;
}

static bool
take_part(struct policy_text *t, struct rule *rule, enum part part)
{
    switch (part) {
    case PART_PROTO:
        rule->protos = t->word[0] == 't' ? RULE_TCP : RULE_UDP;
        return true;
    case PART_SIDE:
        rule->sides = t->word[0] == 't' ? RULE_TO : RULE_FROM;
        return true;
    case PART_PREFIX:
        return strcmp(t->word, "any") == 0 || take_prefix(t, rule);
    default:
        return true;
    }
}

/* One line; its first word has been read. Leaves the first word of the next. */
static bool
take_rule(struct policy_text *t, struct rule *rule)
{
    unsigned line = t->word_line, column = t->word_column, parts = 0;
    enum part next = PART_PROTO;
    *rule = (struct rule){.last = UINT16_MAX,
                          .protos = RULE_TCP | RULE_UDP,
                          .sides = RULE_TO | RULE_FROM,
                          .kernel = strcmp(t->word, "kernel") == 0};
    if (t->token != TOKEN_WORD || (!rule->kernel && strcmp(t->word, "bulkhead") != 0))
        return policy_wrong(t, "a rule begins with kernel or bulkhead, not with \"%s\"",
                            t->word);
    for (;; parts++) {
        enum policy_token token = policy_next(t);
        if (token == TOKEN_BAD)
            return false;
        if (token == TOKEN_END || t->word_line != line)
            break;
        if (token == TOKEN_MARK)
            return policy_wrong(t, "there is no \"%s\" in a rule", t->word);
        enum part part = next == PART_PORTS ? PART_PORTS : part_of(t->word);
        if (part < next)
            return policy_wrong(t,
                                "\"%s\" is too much or too late: the order is tcp or udp, to "
                                "or from, any or a prefix, port and its number",
                                t->word);
        if (part == PART_PORTS ? !take_ports(t, rule) : !take_part(t, rule, part))
            return false;
        next = part + 1;
        column = t->word_column;
    }
    if (next == PART_PORTS)
        return policy_wrong_at(t, line, column, "\"port\" stands without its number");
    if (parts == 0)
        return policy_wrong_at(t, line, column,
                               "what goes there is missing, for example: %s 10.0.0.0/8",
                               rule->kernel ? "kernel" : "bulkhead");
    return true;
}

bool
rules_parse(struct rules *r, const char *name, const char *text, size_t len, char *err,
            size_t err_len)
{
    struct policy_text t;
    policy_text_init(&t, name, text, len, err, err_len);
    r->n = 0;
    if (policy_next(&t) == TOKEN_BAD)
        return false;
    while (t.token != TOKEN_END) {
        if (r->n == RULES_MAX)
            return policy_wrong(&t, "there are %u rules already, the most", RULES_MAX);
        if (!take_rule(&t, &r->rule[r->n]))
            return false;
        r->n++;
    }
    return true;
}

/* ---- deciding ---- */

/* What an address is in IPv4. False: it is none. */
static bool
as_ipv4(const struct sockaddr *addr, uint32_t *ip, uint16_t *port)
{
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof in);
        *ip = ntohl(in.sin_addr.s_addr);
        *port = ntohs(in.sin_port);
        return true;
    }
    if (addr->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, addr, sizeof in6);
    *port = ntohs(in6.sin6_port);
    if (IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr)) {
        *ip = INADDR_ANY;
        return true;
    }
    if (!IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        return false;
    memcpy(ip, &in6.sin6_addr.s6_addr[12], sizeof *ip);
    *ip = ntohl(*ip);
    return true;
}

enum rules_say
rules_say(const struct rules *r, int type, const struct sockaddr *addr, bool local)
{
    uint32_t ip;
    uint16_t port;
    type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if ((type != SOCK_STREAM && type != SOCK_DGRAM) || !as_ipv4(addr, &ip, &port))
        return RULES_KERNEL;
    if (!local && ip == INADDR_ANY) /* means this host */
        ip = INADDR_LOOPBACK;
    unsigned proto = type == SOCK_STREAM ? RULE_TCP : RULE_UDP;
    unsigned side = local ? RULE_FROM : RULE_TO;
    for (const struct rule *u = r->rule; u < r->rule + r->n; u++)
        if ((u->protos & proto) != 0 && (u->sides & side) != 0 && (ip & u->mask) == u->net &&
            port >= u->first && port <= u->last)
            return u->kernel ? RULES_KERNEL : RULES_STACK;
    return (ip & LOOPBACK_MASK) == LOOPBACK ? RULES_LOOPBACK : RULES_STACK;
}

bool
rules_decide(const struct rules *r, int type, const struct sockaddr *addr, bool local)
{
    return rules_say(r, type, addr, local) != RULES_STACK;
}

enum rules_say
rules_of(int type, const struct sockaddr *addr, bool local)
{
    return rules_say(&current, type, addr, local);
}

bool
rules_kernel(int type, const struct sockaddr *addr, bool local)
{
    return rules_decide(&current, type, addr, local);
}

/* ---- the file ---- */

/* Its length; -1 and errno. */
static ssize_t
read_all(const char *path, char *text, size_t size)
{
    ssize_t n = 0, got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while (got > 0 && (size_t)n < size) {
        got = read(fd, text + n, size - (size_t)n);
        if (got > 0)
            n += got;
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    int err = errno;
    close(fd);
    errno = err;
    return got < 0 ? -1 : n;
}

bool
rules_load(const char *path, char *err, size_t err_len)
{
    if (path == NULL || *path == '\0') {
        current.n = 0;
        return true;
    }
    struct rules *r = malloc(sizeof *r);
    char *text = malloc(RULES_FILE_MAX + 1);
    bool good = r != NULL && text != NULL;
    ssize_t n = good ? read_all(path, text, RULES_FILE_MAX + 1) : -1;
    if (n < 0) {
        snprintf(err, err_len, "cannot read the rules in %s: %s", path, strerror(errno));
        good = false;
    } else if ((size_t)n > RULES_FILE_MAX) {
        snprintf(err, err_len, "the rules in %s are longer than %u bytes, the most", path,
                 RULES_FILE_MAX);
        good = false;
    } else {
        good = rules_parse(r, path, text, (size_t)n, err, err_len);
    }
    if (good)
        current = *r;
    free(text);
    free(r);
    return good;
}
