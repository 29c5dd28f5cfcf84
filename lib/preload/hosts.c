/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hosts.c: gethostbyname and gethostbyaddr, all forms.
 */
#include "names_real.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define BUFFER_FIRST 8192u
#define BUFFER_MAX (1u << 20)

/* One question, by name or by address. */
struct query {
    const char *name;
    const void *addr;
    socklen_t addr_len;
    int family;
};

static int
ask_libc(const struct names_real *real, const struct query *q, struct hostent *h, char *buf,
         size_t len, struct hostent **res, int *err)
{
    return q->name != NULL
               ? real->gethostbyname2_r(q->name, q->family, h, buf, len, res, err)
               : real->gethostbyaddr_r(q->addr, q->addr_len, q->family, h, buf, len, res, err);
}

/* A number stands for itself, or in another family for nothing: nobody is asked. */
static bool
is_number(const char *name)
{
    struct in6_addr a;
    return inet_aton(name, (struct in_addr *)(void *)&a) == 1 ||
           inet_pton(AF_INET6, name, &a) == 1;
}

static int
ask_dns(const struct query *q, struct hostent *h, char *buf, size_t len, struct hostent **res,
        int *err)
{
    *res = NULL;
    if ((q->name != NULL && is_number(q->name)) ||
        (q->family != AF_INET && q->family != AF_INET6)) {
        *err = HOST_NOT_FOUND;
        return 0;
    }
    struct names_answer *a = malloc(sizeof *a);
    if (a == NULL) {
        *err = NETDB_INTERNAL;
        return ENOMEM;
    }
    int status = q->name != NULL ? names_ask(q->name, q->family, a)
                                 : names_ask_addr(q->addr, q->family, a);
    int code = 0;
    *err = names_h_errno(status);
    if (*err == NETDB_SUCCESS) {
        if (q->addr != NULL) {
            a->n = 1;
            a->addr[0].family = q->family;
            memcpy(&a->addr[0].in6, q->addr, q->addr_len);
        }
        code = names_pack(h, buf, len, a, q->name != NULL ? q->name : "", q->family);
        if (code == 0)
            *res = h;
        else
            *err = NETDB_INTERNAL;
    } else if (*err == TRY_AGAIN) {
        code = q->name != NULL ? EAGAIN : 0; /* as libc's own */
    } else if (*err == NETDB_INTERNAL) {
        code = ENOMEM;
    }
    free(a);
    return code;
}

static int
ask(const struct query *q, struct hostent *h, char *buf, size_t len, struct hostent **res,
    int *err)
{
    const struct names_real *real = names_real();
    const struct names_order *o = names_order();
    int code = 0;
    *res = NULL;
    *err = HOST_NOT_FOUND;
    if (real == NULL) {
        *err = NO_RECOVERY;
        return 0;
    }
    if (o->dns_first && o->dns && (q->name == NULL || !is_number(q->name))) {
        code = ask_dns(q, h, buf, len, res, err);
        if (*res != NULL || *err == NETDB_INTERNAL || o->local[0] == '\0')
            return code;
        return ask_libc(real, q, h, buf, len, res, err);
    }
    code = ask_libc(real, q, h, buf, len, res, err);
    if (*res != NULL || (code != 0 && *err == NETDB_INTERNAL) || !o->dns || o->dns_first)
        return code;
    return ask_dns(q, h, buf, len, res, err);
}

int
shim_gethostbyname2_r(const char *name, int family, struct hostent *h, char *buf, size_t len,
                      struct hostent **res, int *err)
{
    struct query q = {.name = name, .family = family};
    return ask(&q, h, buf, len, res, err);
}

int
shim_gethostbyaddr_r(const void *addr, socklen_t addr_len, int family, struct hostent *h,
                     char *buf, size_t len, struct hostent **res, int *err)
{
    struct query q = {.addr = addr, .addr_len = addr_len, .family = family};
    if (addr_len != (family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr))) {
        *res = NULL;
        *err = HOST_NOT_FOUND;
        return 0;
    }
    return ask(&q, h, buf, len, res, err);
}

/* The forms whose answer lasts until the next call, of whatever thread. */
static struct hostent *
ask_static(const struct query *q)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct hostent host;
    static char *buf;
    static size_t len;
    struct hostent *res = NULL;
    int err = NETDB_INTERNAL, code = ERANGE;
    (void)pthread_mutex_lock(&lock);
    while (code == ERANGE && len < BUFFER_MAX) {
        if (len != 0)
            code = ask(q, &host, buf, len, &res, &err);
        if (code == ERANGE) {
            size_t more = len == 0 ? BUFFER_FIRST : 2 * len;
            char *p = realloc(buf, more);
            if (p == NULL)
                break;
            buf = p;
            len = more;
        }
    }
    (void)pthread_mutex_unlock(&lock);
    if (res == NULL)
        h_errno = err;
    return res;
}

struct hostent *
shim_gethostbyname2(const char *name, int family)
{
    struct query q = {.name = name, .family = family};
    return ask_static(&q);
}

struct hostent *
shim_gethostbyaddr(const void *addr, socklen_t len, int family)
{
    struct query q = {.addr = addr, .addr_len = len, .family = family};
    if (len != (family == AF_INET6 ? sizeof(struct in6_addr) : sizeof(struct in_addr))) {
        h_errno = HOST_NOT_FOUND;
        return NULL;
    }
    return ask_static(&q);
}
