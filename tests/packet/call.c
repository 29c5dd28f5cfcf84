/* SPDX-License-Identifier: BSD-2-Clause
 *
 * call.c: what a program asks of its sockets, as a script writes it.
 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "script.h"

static const struct {
    const char *name;
    int number;
} errnos[] = {
#define E(x)                                                                                   \
    {                                                                                          \
#x, x                                                                                  \
    }
    E(EAGAIN),       E(EBADF),       E(EINVAL),     E(EPIPE),        E(EADDRINUSE),
    E(ECONNABORTED), E(ECONNRESET),  E(EISCONN),    E(ENOTCONN),     E(ETIMEDOUT),
    E(ECONNREFUSED), E(EINPROGRESS), E(EALREADY),   E(EHOSTUNREACH), E(ENETUNREACH),
    E(ENOPROTOOPT),  E(EBADMSG),     E(EOPNOTSUPP), E(EMSGSIZE),
#undef E
};

int
errno_number(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(errnos); i++)
        if (strcmp(errnos[i].name, name) == 0)
            return errnos[i].number;
    return -1;
}

const char *
errno_name(int number)
{
    for (unsigned i = 0; i < ARRAY_LEN(errnos); i++)
        if (errnos[i].number == number)
            return errnos[i].name;
    return "another errno";
}

static const struct option {
    const char *name;
    int level, number;
} options[] = {
    {"error", SOL_SOCKET, SO_ERROR},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE},
    {"linger", SOL_SOCKET, SO_LINGER},
    {"oobinline", SOL_SOCKET, SO_OOBINLINE},
    {"rcvbuf", SOL_SOCKET, SO_RCVBUF},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR},
    {"sndbuf", SOL_SOCKET, SO_SNDBUF},
    {"congestion", IPPROTO_TCP, TCP_CONGESTION},
    {"cork", IPPROTO_TCP, TCP_CORK},
    {"keepcnt", IPPROTO_TCP, TCP_KEEPCNT},
    {"keepidle", IPPROTO_TCP, TCP_KEEPIDLE},
    {"keepintvl", IPPROTO_TCP, TCP_KEEPINTVL},
    {"maxseg", IPPROTO_TCP, TCP_MAXSEG},
    {"nodelay", IPPROTO_TCP, TCP_NODELAY},
    {"quickack", IPPROTO_TCP, TCP_QUICKACK},
    {"syncnt", IPPROTO_TCP, TCP_SYNCNT},
    {"usertimeout", IPPROTO_TCP, TCP_USER_TIMEOUT},
    {"tos", IPPROTO_IP, IP_TOS},
    {"ttl", IPPROTO_IP, IP_TTL},
    /* Of TCP_INFO, counted in segments: the name is the field's place. */
    {"cwnd", INFO_LEVEL, (int)offsetof(struct tcp_info, tcpi_snd_cwnd)},
    {"ssthresh", INFO_LEVEL, (int)offsetof(struct tcp_info, tcpi_snd_ssthresh)},
};

const char *const congestions[3] = {"reno", "cubic", "vegas"};

static const char *const calls[] = {
    [CALL_SOCKET] = "socket", [CALL_BIND] = "bind",         [CALL_LISTEN] = "listen",
    [CALL_ACCEPT] = "accept", [CALL_CONNECT] = "connect",   [CALL_SEND] = "send",
    [CALL_RECV] = "recv",     [CALL_SHUTDOWN] = "shutdown", [CALL_CLOSE] = "close",
    [CALL_SET] = "set",       [CALL_GET] = "get",
};

bool
parse_call_name(const char *word, enum call *call)
{
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++)
        if (strcmp(calls[i], word) == 0) {
            *call = (enum call)i;
            return true;
        }
    return false;
}

static bool
read_sock(struct parser *p, struct words *w, uint8_t *to)
{
    const char *t = parse_word(w);
    if (t == NULL || !islower((unsigned char)t[0]) || t[1] != '\0')
        return parse_fail(p, "a socket is named by one letter");
    *to = (uint8_t)*t;
    return true;
}

static bool
read_value(struct parser *p, struct words *w, int64_t *v)
{
    const char *t = parse_word(w);
    return t != NULL ? parse_number(p, t, v) : parse_fail(p, "a number is missing");
}

static bool
read_option(struct parser *p, struct words *w, struct call_spec *c)
{
    const char *t = parse_word(w);
    for (unsigned i = 0; i < ARRAY_LEN(options) && t != NULL; i++)
        if (strcmp(options[i].name, t) == 0) {
            c->level = options[i].level;
            c->name = options[i].number;
            return true;
        }
    return parse_fail(p, "unknown option \"%s\"", t != NULL ? t : "");
}

static bool
read_how(struct parser *p, struct words *w, struct call_spec *c)
{
    const char *t = parse_word(w);
    static const char *const how[] = {[SHUT_RD] = "rd", [SHUT_WR] = "wr", [SHUT_RDWR] = "rdwr"};
    for (unsigned i = 0; i < ARRAY_LEN(how) && t != NULL; i++)
        if (strcmp(how[i], t) == 0) {
            c->value = i;
            return true;
        }
    return parse_fail(p, "shutdown wants rd, wr or rdwr");
}

/* What TCP_CONGESTION is set to, by name; anything else is a number. */
static bool
read_setting(struct parser *p, struct words *w, struct call_spec *c)
{
    if (c->level != IPPROTO_TCP || c->name != TCP_CONGESTION)
        return read_value(p, w, &c->value);
    const char *t = parse_word(w);
    for (unsigned i = 0; i < ARRAY_LEN(congestions) && t != NULL; i++)
        if (strcmp(congestions[i], t) == 0) {
            c->value = i;
            return true;
        }
    return parse_fail(p, "congestion wants reno, cubic or vegas");
}

/* "= N" or "= ERRNO" at the end. */
static bool
read_result(struct parser *p, struct words *w, struct call_spec *c)
{
    if (w->at == w->n)
        return true;
    if (strcmp(w->w[w->at], "=") != 0)
        return true; /* the caller complains */
    w->at++;
    const char *t = parse_word(w);
    c->has_result = true;
    if (t == NULL)
        return parse_fail(p, "the result is missing");
    if (*t != 'E')
        return parse_number(p, t, &c->result);
    if (errno_number(t) < 0)
        return parse_fail(p, "unknown errno \"%s\"", t);
    /* SO_ERROR is asked for a number, and is no failure. */
    bool value = c->call == CALL_GET && c->level == SOL_SOCKET && c->name == SO_ERROR;
    c->result = value ? errno_number(t) : -errno_number(t);
    return true;
}

static bool
read_as(struct parser *p, struct words *w, struct call_spec *c)
{
    if (w->at == w->n || strcmp(w->w[w->at], "as") != 0)
        return true;
    w->at++;
    return read_sock(p, w, &c->made);
}

bool
parse_call(struct parser *p, enum call call, struct words *w, struct step *st)
{
    struct call_spec *c = &st->call;
    c->call = call;
    bool ok = read_sock(p, w, &c->sock);
    switch (call) {
    case CALL_SOCKET:
    case CALL_CONNECT:
    case CALL_CLOSE:
        break;
    case CALL_BIND:
    case CALL_SEND:
    case CALL_RECV:
        ok = ok && read_value(p, w, &c->value);
        break;
    case CALL_LISTEN:
        c->value = 8;
        if (w->at < w->n && *w->w[w->at] != '=')
            ok = ok && read_value(p, w, &c->value);
        break;
    case CALL_ACCEPT:
        ok = ok && read_as(p, w, c);
        break;
    case CALL_SHUTDOWN:
        ok = ok && read_how(p, w, c);
        break;
    case CALL_SET:
        ok = ok && read_option(p, w, c) && read_setting(p, w, c);
        break;
    case CALL_GET:
        ok = ok && read_option(p, w, c);
        break;
    }
    if (!ok || !read_result(p, w, c))
        return false;
    if (call == CALL_GET && !c->has_result)
        return parse_fail(p, "get wants a result");
    if (call == CALL_ACCEPT && c->made == 0 && !c->has_result)
        return parse_fail(p, "accept wants \"as\" and a letter");
    return true;
}
