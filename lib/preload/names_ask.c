/* SPDX-License-Identifier: BSD-2-Clause
 *
 * names_ask.c: one question to the DNS.
 *
 * A channel of c-ares for each: nothing is shared between threads or with a child, and changed
 * files count at once. The library is loaded at the first question, and so that it takes
 * neither its functions nor its system calls from the program, which may have a c-ares of its
 * own.
 */
#include "names.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/bulkhead.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#define CARES "libcares.so.2"
#define TIMEOUT 5u /* seconds, when resolv.conf does not say: libc's */
#define ATTEMPTS 2u
#define LONGEST_WAIT 5000 /* ms */
#define CONF_MAX 16384u

#define CARES_LIST(X)                                                                          \
    X(library_init)                                                                            \
    X(init_options)                                                                            \
    X(destroy)                                                                                 \
    X(set_socket_functions)                                                                    \
    X(getaddrinfo)                                                                             \
    X(freeaddrinfo)                                                                            \
    X(query)                                                                                   \
    X(parse_ptr_reply)                                                                         \
    X(free_hostent)                                                                            \
    X(getsock)                                                                                 \
    X(process_fd)                                                                              \
    X(timeout)

static struct {
    bool loaded;
#define CARES_MEMBER(name) __typeof__(&ares_##name) name;
    CARES_LIST(CARES_MEMBER)
} cares;

static struct names_order order;

/* ---- what it stands on ---- */

static size_t
read_conf(const char *path, char *text, size_t size)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    for (ssize_t got; n < size; n += (size_t)got) {
        got = read(fd, text + n, size - n);
        if (got <= 0)
            break;
    }
    close(fd);
    return n;
}

static void
load(void)
{
    int flags = RTLD_NOW | RTLD_LOCAL;
#ifndef SANITIZED /* which would not have it */
    flags |= RTLD_DEEPBIND;
#endif
    void *lib = dlopen(CARES, flags), *p;
    if (lib == NULL)
        return;
#define CARES_FIND(name)                                                                       \
    if ((p = dlsym(lib, "ares_" #name)) == NULL)                                               \
        return;                                                                                \
    memcpy(&cares.name, &p, sizeof p);
    CARES_LIST(CARES_FIND)
    cares.loaded = cares.library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
}

static void
read_order(void)
{
    char *text = malloc(CONF_MAX);
    size_t n = text == NULL ? 0 : read_conf("/etc/nsswitch.conf", text, CONF_MAX);
    names_order_parse(&order, text != NULL ? text : "", n);
    free(text);
}

const struct names_order *
names_order(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, read_order);
    return &order;
}

static bool
is_on(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' && strcmp(value, "0") != 0;
}

static int
open_channel(ares_channel *channel, struct names_io *io)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static char dns_only[] = "b";
    (void)pthread_once(&once, load);
    if (!cares.loaded) {
        if (is_on("BULKHEAD_DEBUG"))
            fprintf(stderr, "bulkhead: no name can be resolved: cannot load " CARES "\n");
        return ARES_ENOTINITIALIZED;
    }
    struct names_options o = {0};
    char *text = malloc(CONF_MAX);
    if (text == NULL)
        return ARES_ENOMEM;
    names_options_parse(&o, text, read_conf("/etc/resolv.conf", text, CONF_MAX));
    free(text);
    const char *words = getenv("RES_OPTIONS");
    if (words != NULL)
        names_options_words(&o, words, strlen(words));
    struct ares_options options = {
        .flags = o.use_vc ? ARES_FLAG_USEVC : 0,
        .timeout = 1000 * (int)(o.timeout != 0 ? o.timeout : TIMEOUT),
        .tries = (int)(o.attempts != 0 ? o.attempts : ATTEMPTS),
        .lookups = dns_only,
    };
    int status = cares.init_options(channel, &options,
                                    (o.use_vc ? ARES_OPT_FLAGS : 0) | ARES_OPT_TIMEOUTMS |
                                        ARES_OPT_TRIES | ARES_OPT_LOOKUPS);
    if (status == ARES_SUCCESS)
        cares.set_socket_functions(*channel, &names_io_functions, io);
    return status;
}

/* ---- waiting ---- */

struct question {
    bool done;
    int status, family;
    struct names_answer *answer;
};

static int
milliseconds(ares_channel channel)
{
    struct timeval tv, most = {.tv_sec = LONGEST_WAIT / 1000};
    const struct timeval *t = cares.timeout(channel, &most, &tv);
    long ms = t->tv_sec * 1000 + (t->tv_usec + 999) / 1000;
    return ms < 0 ? 0 : ms > LONGEST_WAIT ? LONGEST_WAIT : (int)ms;
}

/* Until c-ares has called back. */
static void
converse(ares_channel channel, const struct names_io *io, const struct question *q)
{
    while (!q->done) {
        ares_socket_t s[ARES_GETSOCK_MAXNUM];
        struct pollfd p[ARES_GETSOCK_MAXNUM];
        unsigned mask = (unsigned)cares.getsock(channel, s, ARES_GETSOCK_MAXNUM);
        for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
            bool in = (mask >> i & 1) != 0, out = (mask >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0;
            p[i] = (struct pollfd){.fd = in || out ? names_io_fd(io, s[i]) : -1,
                                   .events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0))};
        }
        int ready = bh_poll(p, ARES_GETSOCK_MAXNUM, milliseconds(channel));
        if (ready < 0 && errno != EINTR)
            return;
        for (int i = 0; ready > 0 && i < ARES_GETSOCK_MAXNUM; i++) {
            short r = p[i].revents, ends = POLLERR | POLLHUP | POLLNVAL;
            if (r == 0)
                continue;
            cares.process_fd(
                channel,
                (r & (POLLIN | ends)) != 0 && (p[i].events & POLLIN) != 0 ? s[i]
                                                                          : ARES_SOCKET_BAD,
                (r & (POLLOUT | ends)) != 0 && (p[i].events & POLLOUT) != 0 ? s[i]
                                                                            : ARES_SOCKET_BAD);
        }
        if (ready <= 0)
            cares.process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
}

/* ---- what comes back ---- */

static void
put_alias(struct names_answer *a, const char *name)
{
    if (name == NULL || a->n_aliases == NAMES_ALIASES || strlen(name) >= NAMES_LEN)
        return;
    for (unsigned i = 0; i < a->n_aliases; i++)
        if (strcasecmp(a->alias[i], name) == 0)
            return;
    strcpy(a->alias[a->n_aliases++], name);
}

static void
put_canon(struct names_answer *a, const char *name)
{
    if (name != NULL && strlen(name) < NAMES_LEN)
        strcpy(a->canon, name);
}

static void
take_addresses(struct question *q, const struct ares_addrinfo *res)
{
    struct names_answer *a = q->answer;
    for (const struct ares_addrinfo_node *n = res->nodes; n != NULL; n = n->ai_next) {
        struct names_addr *to = &a->addr[a->n];
        if (a->n == NAMES_ADDRS)
            break;
        to->family = n->ai_family;
        if (n->ai_family == AF_INET)
            memcpy(&to->in, (char *)n->ai_addr + offsetof(struct sockaddr_in, sin_addr),
                   sizeof to->in);
        else if (n->ai_family == AF_INET6)
            memcpy(&to->in6, (char *)n->ai_addr + offsetof(struct sockaddr_in6, sin6_addr),
                   sizeof to->in6);
        else
            continue;
        a->n++;
    }
    put_canon(a, res->name);
    for (const struct ares_addrinfo_cname *c = res->cnames; c != NULL; c = c->next) {
        put_alias(a, c->alias);
        put_canon(a, c->name); /* the last of the chain */
    }
}

static void
on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *res)
{
    struct question *q = arg;
    (void)timeouts;
    q->done = true;
    q->status = status;
    if (status == ARES_SUCCESS && res != NULL) {
        take_addresses(q, res);
        if (q->answer->n == 0)
            q->status = ARES_ENODATA;
    }
    if (res != NULL)
        cares.freeaddrinfo(res);
}

static void
take_host(struct question *q, const struct hostent *h)
{
    put_canon(q->answer, h->h_name);
    for (char **alias = h->h_aliases; alias != NULL && *alias != NULL; alias++)
        if (h->h_name == NULL || strcasecmp(*alias, h->h_name) != 0)
            put_alias(q->answer, *alias);
}

static void
on_pointer(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    struct question *q = arg;
    struct hostent *h = NULL;
    (void)timeouts;
    q->done = true;
    if (status == ARES_SUCCESS)
        status = cares.parse_ptr_reply(reply, len, NULL, 0, q->family, &h);
    if (status == ARES_SUCCESS)
        take_host(q, h);
    if (h != NULL)
        cares.free_hostent(h);
    q->status = status;
}

/* The name under which the DNS keeps the name of an address. */
static void
reverse_name(char name[80], const uint8_t *addr, int family)
{
    static const char hex[] = "0123456789abcdef";
    if (family == AF_INET) {
        snprintf(name, 80, "%u.%u.%u.%u.in-addr.arpa", addr[3], addr[2], addr[1], addr[0]);
        return;
    }
    for (unsigned i = 16; i-- > 0; name += 4) {
        name[0] = hex[addr[i] & 15];
        name[2] = hex[addr[i] >> 4];
        name[1] = name[3] = '.';
    }
    strcpy(name, "ip6.arpa");
}

int
names_ask(const char *name, int family, struct names_answer *a)
{
    struct names_io io = {.fallback = is_on("BULKHEAD_FALLBACK")};
    struct question q = {.status = ARES_ETIMEOUT, .answer = a};
    struct ares_addrinfo_hints hints = {.ai_family = family, .ai_flags = ARES_AI_NOSORT};
    ares_channel channel;
    memset(a, 0, offsetof(struct names_answer, alias));
    int status = names_is_host(name) ? open_channel(&channel, &io) : ARES_EBADNAME;
    if (status != ARES_SUCCESS)
        return status;
    cares.getaddrinfo(channel, name, NULL, &hints, on_addresses, &q);
    converse(channel, &io, &q);
    cares.destroy(channel);
    return q.status;
}

int
names_ask_addr(const void *addr, int family, struct names_answer *a)
{
    struct names_io io = {.fallback = is_on("BULKHEAD_FALLBACK")};
    struct question q = {.status = ARES_ETIMEOUT, .family = family, .answer = a};
    ares_channel channel;
    char name[80];
    memset(a, 0, offsetof(struct names_answer, alias));
    int status = open_channel(&channel, &io);
    if (status != ARES_SUCCESS)
        return status;
    reverse_name(name, addr, family);
    /* Not its gethostbyaddr: that does not tell a silent server from a missing name. */
    cares.query(channel, name, ns_c_in, ns_t_ptr, on_pointer, &q);
    converse(channel, &io, &q);
    cares.destroy(channel);
    return q.status;
}
