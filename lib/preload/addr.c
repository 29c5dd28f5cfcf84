/* SPDX-License-Identifier: BSD-2-Clause
 *
 * addr.c: the addresses of the program and those of the stack. The stack has IPv4; an AF_INET6
 * socket carries it by mapped addresses (RFC 4291 2.5.5.2): `::` stands for any address and
 * ::ffff:a.b.c.d for a.b.c.d.
 */
#include "shim.h"
#include "rules.h"

#define SIN6_SHORT 24u /* what the kernel takes: without sin6_scope_id */

static enum where
refuse(int *err, int why)
{
    *err = why;
    return WHERE_REFUSED;
}

/* A program that speaks to itself over loopback finds itself, if no rule is about that; what is
 * somebody else's is the kernel's, so that nobody can take the place of who listens there. */
static enum where
by_rules(uint32_t e, const struct sockaddr_in *sin, bool local)
{
    int type = e & E_DGRAM ? SOCK_DGRAM : SOCK_STREAM;
    int proto = e & E_DGRAM ? IPPROTO_UDP : IPPROTO_TCP;
    enum rules_say r = rules_of(type, (const struct sockaddr *)(const void *)sin, local);
    if (r == RULES_LOOPBACK && !local && share_takes(proto, ntohs(sin->sin_port)))
        r = RULES_STACK;
    return r == RULES_STACK ? WHERE_STACK : WHERE_KERNEL;
}

/* An AF_INET6 socket's. */
static enum where
take_v6(uint32_t e, const struct sockaddr *sa, socklen_t len, bool local,
        struct sockaddr_in *sin, int *err)
{
    struct sockaddr_in6 in6 = {0};
    if (len < SIN6_SHORT)
        return refuse(err, EINVAL);
    memcpy(&in6, sa, len < sizeof in6 ? len : sizeof in6);
    *sin = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = in6.sin6_port};
    if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr))
        return WHERE_KERNEL;
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        if (e & E_V6ONLY)
            return refuse(err, local ? EINVAL : ENETUNREACH);
        memcpy(&sin->sin_addr, &in6.sin6_addr.s6_addr[12], 4);
    } else if (!IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr)) {
        SAY("an IPv6 address was refused: the stack has IPv4");
        return refuse(err, local ? EADDRNOTAVAIL : ENETUNREACH);
    } else if (!local && (e & E_V6ONLY)) {
        return WHERE_KERNEL; /* ::1 */
    } else if (local && (e & E_V6ONLY)) {
        SAY("a socket is bound to IPv6 alone: nothing will come, the stack has IPv4");
        return WHERE_NOWHERE;
    }
    return by_rules(e, sin, local);
}

enum where
addr_take(uint32_t e, const struct sockaddr *sa, socklen_t len, bool local,
          struct sockaddr_in *sin, int *err)
{
    sa_family_t family;
    if (len > sizeof(struct sockaddr_storage))
        return refuse(err, EINVAL);
    if (wild_to_read(sa, len))
        return refuse(err, EFAULT);
    if (len < sizeof family)
        return refuse(err, EINVAL);
    memcpy(&family, sa, sizeof family);
    if ((e & E_V6) && family == AF_INET6)
        return take_v6(e, sa, len, local, sin, err);
    if ((e & E_V6) && !(family == AF_INET && (e & E_DGRAM) && !local))
        return refuse(err, len < SIN6_SHORT ? EINVAL : EAFNOSUPPORT);
    if (len < sizeof *sin)
        return refuse(err, EINVAL);
    memcpy(sin, sa, sizeof *sin);
    if (family == AF_UNSPEC && (!local || sin->sin_addr.s_addr == htonl(INADDR_ANY)))
        sin->sin_family = AF_INET; /* as the kernel: programs forget it */
    if (sin->sin_family != AF_INET)
        return refuse(err, EAFNOSUPPORT);
    return by_rules(e, sin, local);
}

socklen_t
addr_make(uint32_t e, const struct sockaddr_in *sin, struct sockaddr_storage *ss)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = sin->sin_port};
    if (!(e & E_V6)) {
        memcpy(ss, sin, sizeof *sin);
        return sizeof *sin;
    }
    if (sin->sin_addr.s_addr != htonl(INADDR_ANY)) {
        in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
        memcpy(&in6.sin6_addr.s6_addr[12], &sin->sin_addr, 4);
    }
    memcpy(ss, &in6, sizeof in6);
    return sizeof in6;
}

int
addr_put(const struct sockaddr_storage *ss, socklen_t whole, struct sockaddr *sa,
         socklen_t *len)
{
    if (wild_to_write(len, sizeof *len))
        return EFAULT;
    if (*len > INT32_MAX)
        return EINVAL;
    socklen_t n = *len < whole ? *len : whole;
    if (wild_to_write(sa, n))
        return EFAULT;
    if (n > 0)
        memcpy(sa, ss, n);
    *len = whole;
    return 0;
}
