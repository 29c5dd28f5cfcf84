/* SPDX-License-Identifier: BSD-2-Clause
 *
 * names_export.c: the names under which programs find all this. Apart from the rest, so that
 * tests can have it without.
 */
#include "names.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **res)
{
    return shim_getaddrinfo(node, service, hints, res);
}

EXPORT int
getnameinfo(const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_len,
            char *service, socklen_t service_len, int flags)
{
    return shim_getnameinfo(sa, len, host, host_len, service, service_len, flags);
}

EXPORT struct hostent *
gethostbyname(const char *name)
{
    return shim_gethostbyname2(name, AF_INET);
}

EXPORT struct hostent *
gethostbyname2(const char *name, int family)
{
    return shim_gethostbyname2(name, family);
}

EXPORT struct hostent *
gethostbyaddr(const void *addr, socklen_t len, int family)
{
    return shim_gethostbyaddr(addr, len, family);
}

EXPORT int
gethostbyname_r(const char *name, struct hostent *h, char *buf, size_t len,
                struct hostent **res, int *err)
{
    return shim_gethostbyname2_r(name, AF_INET, h, buf, len, res, err);
}

EXPORT int
gethostbyname2_r(const char *name, int family, struct hostent *h, char *buf, size_t len,
                 struct hostent **res, int *err)
{
    return shim_gethostbyname2_r(name, family, h, buf, len, res, err);
}

EXPORT int
gethostbyaddr_r(const void *addr, socklen_t addr_len, int family, struct hostent *h, char *buf,
                size_t len, struct hostent **res, int *err)
{
    return shim_gethostbyaddr_r(addr, addr_len, family, h, buf, len, res, err);
}
