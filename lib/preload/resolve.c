/* SPDX-License-Identifier: BSD-2-Clause
 *
 * resolve.c: getaddrinfo and getnameinfo.
 *
 * libc makes every list that a program gets, out of numbers, so that freeaddrinfo is libc's,
 * and services, socket types and errors are as it has them.
 */
#include "names_real.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <nss.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static struct names_real real;
static bool real_there;

static void
real_init(void)
{
    const struct names_order *o = names_order();
    void *p;
#define FIND(name)                                                                             \
    if ((p = dlsym(RTLD_NEXT, #name)) == NULL)                                                 \
        return;                                                                                \
    memcpy(&real.name, &p, sizeof p);
    FIND(getaddrinfo)
    FIND(getnameinfo)
    FIND(gethostbyname2_r)
    FIND(gethostbyaddr_r)
#undef FIND
    if (__nss_configure_lookup("hosts", o->local[0] != '\0' ? o->local : "files") == 0)
        real_there = true;
}

const struct names_real *
names_real(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, real_init);
    return real_there ? &real : NULL;
}

/* ---- getaddrinfo ---- */

/* Has the kernel an IPv6 address with which more can be reached than the link? */
static bool
have_ipv6(void)
{
    struct ifaddrs *all;
    bool have = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *i = all; i != NULL && !have; i = i->ifa_next) {
        struct sockaddr_in6 in6;
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET6)
            continue;
        memcpy(&in6, i->ifa_addr, sizeof in6);
        have = !IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) && !IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr);
    }
    freeifaddrs(all);
    return have;
}

/* Which addresses there are to ask from: the stack's always, which the kernel does not know of
 * and libc therefore would not count. */
static int
configured(struct addrinfo *h)
{
    if ((h->ai_flags & AI_ADDRCONFIG) == 0)
        return 0;
    h->ai_flags &= ~AI_ADDRCONFIG;
    if (h->ai_family == AF_INET || have_ipv6())
        return 0;
    if (h->ai_family == AF_INET6)
        return EAI_NONAME;
    if (h->ai_family == AF_UNSPEC)
        h->ai_family = AF_INET;
    return 0;
}

/* Append what libc makes of one address: 0 or EAI_. */
static int
append(struct addrinfo ***end, const struct names_addr *a, bool mapped, const char *service,
       const struct addrinfo *hints)
{
    char text[INET6_ADDRSTRLEN + 8] = "::ffff:";
    size_t skip = mapped ? strlen(text) : 0;
    struct addrinfo h = *hints;
    h.ai_flags = (h.ai_flags & (AI_NUMERICSERV | AI_PASSIVE)) | AI_NUMERICHOST;
    if (inet_ntop(a->family, &a->in6, text + skip, (socklen_t)(sizeof text - skip)) == NULL)
        return EAI_FAIL;
    int err = real.getaddrinfo(text, service, &h, *end);
    if (err != 0)
        return err;
    for (struct addrinfo *i = **end; i != NULL; i = i->ai_next) {
        i->ai_flags = hints->ai_flags;
        *end = &i->ai_next;
    }
    return 0;
}

/* The list, of IPv4 addresses first: that is what the stack carries. */
static int
make_list(const struct names_answer *a, const char *node, const char *service,
          const struct addrinfo *hints, struct addrinfo **res)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct addrinfo *list = NULL, **end = &list;
    int err = 0;
    bool mapped_last = hints->ai_family == AF_INET6;
    for (unsigned f = 0; f < 2; f++)
        for (unsigned i = 0; i < a->n && err == 0; i++) {
            int family = families[mapped_last ? 1 - f : f];
            if (a->addr[i].family == family)
                err =
                    append(&end, &a->addr[i], mapped_last && family == AF_INET, service, hints);
        }
    if (err == 0 && list == NULL)
        err = EAI_NODATA;
    if (err == 0 && (hints->ai_flags & AI_CANONNAME) != 0) {
        free(list->ai_canonname);
        list->ai_canonname = strdup(a->canon[0] != '\0' ? a->canon : node);
        if (list->ai_canonname == NULL)
            err = EAI_MEMORY;
    }
    if (err == 0)
        *res = list;
    else if (list != NULL)
        freeaddrinfo(list);
    return err;
}

static int
from_dns(const char *node, const char *service, const struct addrinfo *hints,
         struct addrinfo **res)
{
    struct names_answer *a = malloc(sizeof *a);
    if (a == NULL)
        return EAI_MEMORY;
    bool mapped = hints->ai_family == AF_INET6 && (hints->ai_flags & AI_V4MAPPED) != 0;
    bool all = mapped && (hints->ai_flags & AI_ALL) != 0;
    int err = names_eai(names_ask(node, all ? AF_UNSPEC : hints->ai_family, a));
    if (mapped && !all && (err == EAI_NODATA || err == EAI_NONAME))
        err = names_eai(names_ask(node, AF_INET, a));
    if (err == 0)
        err = make_list(a, node, service, hints, res);
    free(a);
    return err;
}

/* Did libc not find it, rather than not like it? */
static bool
not_found(int err)
{
    return err == EAI_NONAME || err == EAI_NODATA || err == EAI_ADDRFAMILY ||
           err == EAI_AGAIN || err == EAI_FAIL || err == EAI_SYSTEM;
}

static bool
all_digits(const char *text)
{
    return text[strspn(text, "0123456789")] == '\0';
}

int
shim_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                 struct addrinfo **res)
{
    struct addrinfo h = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
    if (names_real() == NULL)
        return EAI_FAIL;
    if (hints != NULL)
        h = (struct addrinfo){.ai_flags = hints->ai_flags,
                              .ai_family = hints->ai_family,
                              .ai_socktype = hints->ai_socktype,
                              .ai_protocol = hints->ai_protocol};
    /* Numbers ask nobody; and all but the name is looked at. */
    struct addrinfo number = h;
    number.ai_flags = (h.ai_flags & ~AI_ADDRCONFIG) | AI_NUMERICHOST;
    if (node != NULL) {
        int err = real.getaddrinfo(node, service, &number, res);
        if (err != EAI_NONAME || (h.ai_flags & AI_NUMERICHOST) != 0)
            return err;
        if (service != NULL && (h.ai_flags & AI_NUMERICSERV) != 0 && !all_digits(service))
            return err;
    }
    int err = configured(&h);
    if (err != 0 || node == NULL)
        return err != 0 ? err : real.getaddrinfo(node, service, &h, res);
    const struct names_order *o = names_order();
    bool local = o->local[0] != '\0';
    err = EAI_NONAME;
    if (local && !o->dns_first) {
        err = real.getaddrinfo(node, service, &h, res);
        if (!not_found(err))
            return err;
    }
    if (o->dns)
        err = from_dns(node, service, &h, res);
    if (local && o->dns_first && not_found(err)) {
        int other = real.getaddrinfo(node, service, &h, res);
        err = not_found(other) ? err : other;
    }
    return err;
}

/* ---- getnameinfo ---- */

/* The address in sa, IPv4 also where it is mapped. False: no such family. */
static bool
take_address(const struct sockaddr *sa, socklen_t len, struct names_addr *a)
{
    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        *a = (struct names_addr){.family = AF_INET, .in = in.sin_addr};
        return true;
    }
    if (sa->sa_family != AF_INET6 || len < sizeof(struct sockaddr_in6))
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, sa, sizeof in6);
    *a = (struct names_addr){.family = AF_INET6, .in6 = in6.sin6_addr};
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        a->family = AF_INET;
        memcpy(&a->in, &in6.sin6_addr.s6_addr[12], sizeof a->in);
    }
    return true;
}

/* NI_NOFQDN: without the domain that this host is in, too. */
static void
cut_domain(char *name)
{
    char own[256] = "";
    if (gethostname(own, sizeof own - 1) != 0)
        return;
    const char *domain = strchr(own, '.');
    char *at = strchr(name, '.');
    if (domain != NULL && at != NULL && strcasecmp(at, domain) == 0)
        *at = '\0';
}

static int
name_from_dns(const struct names_addr *addr, char *host, socklen_t host_len, int flags)
{
    struct names_answer *a = malloc(sizeof *a);
    if (a == NULL)
        return EAI_MEMORY;
    int err = names_eai(names_ask_addr(&addr->in6, addr->family, a));
    if (err == 0 && (flags & NI_NOFQDN) != 0)
        cut_domain(a->canon);
    if (err == 0 && a->canon[0] == '\0')
        err = EAI_NONAME;
    else if (err == 0 && strlen(a->canon) >= host_len)
        err = EAI_OVERFLOW;
    else if (err == 0)
        strcpy(host, a->canon);
    free(a);
    return err;
}

int
shim_getnameinfo(const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_len,
                 char *service, socklen_t service_len, int flags)
{
    struct names_addr a;
    if (names_real() == NULL)
        return EAI_FAIL;
    if ((flags & NI_NUMERICHOST) != 0 || host == NULL || host_len == 0 || sa == NULL ||
        !take_address(sa, len, &a))
        return real.getnameinfo(sa, len, host, host_len, service, service_len, flags);
    const struct names_order *o = names_order();
    int err = EAI_NONAME;
    if (o->local[0] != '\0' && !o->dns_first) {
        err = real.getnameinfo(sa, len, host, host_len, service, service_len,
                               flags | NI_NAMEREQD);
        if (!not_found(err))
            return err;
    }
    if (o->dns)
        err = name_from_dns(&a, host, host_len, flags);
    if (err == 0) {
        if (service == NULL || service_len == 0)
            return 0;
        return real.getnameinfo(sa, len, NULL, 0, service, service_len, flags);
    }
    if (err == EAI_AGAIN || err == EAI_MEMORY || err == EAI_OVERFLOW)
        return err;
    if (o->local[0] == '\0' || !o->dns_first) { /* libc was asked already */
        if ((flags & NI_NAMEREQD) != 0)
            return EAI_NONAME;
        flags |= NI_NUMERICHOST;
    }
    return real.getnameinfo(sa, len, host, host_len, service, service_len, flags);
}
