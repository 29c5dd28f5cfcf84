/* SPDX-License-Identifier: BSD-2-Clause
 *
 * option.c: socket options and names. How long a call may block is asked where calls block: at
 * the stand-in.
 */
#include "shim.h"

#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/time.h>

#define OPTION_MAX 512u /* bytes of the longest value */

/* The option of IPv4 that does for an AF_INET6 socket what one of IPv6 is for. */
static bool
as_v4(int name, int *as)
{
    static const int same[][2] = {
        {IPV6_UNICAST_HOPS, IP_TTL},
        {IPV6_TCLASS, IP_TOS},
        {IPV6_RECVPKTINFO, IP_PKTINFO},
        {IPV6_RECVERR, IP_RECVERR},
        {IPV6_MTU_DISCOVER, IP_MTU_DISCOVER},
        {IPV6_MTU, IP_MTU},
        {IPV6_MULTICAST_HOPS, IP_MULTICAST_TTL},
        {IPV6_MULTICAST_LOOP, IP_MULTICAST_LOOP},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (same[i][0] == name) {
            *as = same[i][1];
            return true;
        }
    return false;
}

static bool
is_timeout(int level, int name)
{
    return level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO);
}

static bool
has_port(uint32_t e)
{
    struct sockaddr_in sin;
    socklen_t n = sizeof sin;
    return bh_getsockname(bh_of(e), (struct sockaddr *)(void *)&sin, &n) == 0 &&
           sin.sin_port != 0;
}

static int
set_v6(uint32_t e, int name, const void *value, socklen_t len)
{
    int v, as;
    if (!(e & E_V6))
        return fails(ENOPROTOOPT);
    if (name == IPV6_V6ONLY) {
        if (len < sizeof v || has_port(e))
            return fails(EINVAL);
        memcpy(&v, value, sizeof v);
        table_mark(e, v ? E_V6ONLY : 0, v ? 0 : E_V6ONLY);
        return 0;
    }
    if (name == IPV6_TCLASS && len >= sizeof v) {
        memcpy(&v, value, sizeof v);
        if (v < -1 || v > UINT8_MAX)
            return fails(EINVAL);
        v = v < 0 ? 0 : v;
        return bh_setsockopt(bh_of(e), IPPROTO_IP, IP_TOS, &v, sizeof v);
    }
    if (as_v4(name, &as))
        return bh_setsockopt(bh_of(e), IPPROTO_IP, as, value, len);
    SAY("an option of IPv6 was refused");
    return fails(ENOPROTOOPT);
}

/* The client library passes it on to what is accepted (timeouts_inherit). */
static int
set_timeout(int fd, uint32_t e, int name, const void *value, socklen_t len)
{
    int r = REAL(setsockopt)(fd, SOL_SOCKET, name, value, len);
    if (r == 0 && !(e & E_DGRAM))
        (void)bh_setsockopt(bh_of(e), SOL_SOCKET, name, value, len);
    return r;
}

void
timeouts_inherit(int fd, uint32_t e)
{
    static const int names[] = {SO_RCVTIMEO, SO_SNDTIMEO};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct timeval tv;
        socklen_t len = sizeof tv;
        if (bh_getsockopt(bh_of(e), SOL_SOCKET, names[i], &tv, &len) == 0 &&
            (tv.tv_sec != 0 || tv.tv_usec != 0))
            (void)REAL(setsockopt)(fd, SOL_SOCKET, names[i], &tv, sizeof tv);
    }
}

/* Of IPPROTO_IP: not without a value. */
static bool
wants_byte(int name)
{
    return name == IP_TTL || name == IP_MULTICAST_TTL || name == IP_MULTICAST_LOOP;
}

/* How short a value is looked at; shorter ones are refused unread. */
static socklen_t
least(int level, int name)
{
    if (level == SOL_SOCKET && name == SO_LINGER)
        return sizeof(struct linger);
    return level == IPPROTO_IP || (level == IPPROTO_TCP && name == TCP_CONGESTION)
               ? 1
               : sizeof(int);
}

/* What is said to a value that cannot be read, or not be one: 0 or errno. */
static int
set_refused(uint32_t e, int level, int name, const void *value, socklen_t len)
{
    if (len > INT32_MAX)
        return EINVAL;
    if (level == IPPROTO_TCP && (e & E_DGRAM))
        return ENOPROTOOPT;
    if (!wild_to_read(value, len) || (value == NULL && level == IPPROTO_IPV6))
        return 0;
    return len < least(level, name) ? EINVAL : EFAULT;
}

static bool
is_cork(uint32_t e, int level, int name)
{
    return level == IPPROTO_UDP && name == UDP_CORK && (e & E_DGRAM) && !(e & E_NOWHERE);
}

static int
set_cork(int fd, uint32_t e, const void *value, socklen_t len)
{
    int v;
    if (value == NULL || len < sizeof v) /* the first was refused before */
        return fails(EINVAL);
    memcpy(&v, value, sizeof v);
    return more_cork(fd, e, v != 0);
}

static int
set_ours(int fd, uint32_t e, int level, int name, const void *value, socklen_t len)
{
    static const int none;
    int err = set_refused(e, level, name, value, len);
    if (err != 0)
        return fails(err);
    if (e & E_NOWHERE)
        return 0;
    if (value == NULL && level == IPPROTO_IPV6) { /* which is a zero there */
        value = &none;
        len = len < sizeof none ? len : sizeof none;
    }
    if (len == 0) { /* at this level that is a zero, to most */
        value = &none;
        len = level == IPPROTO_IP && !wants_byte(name) ? sizeof none : 0;
    }
    int r = is_timeout(level, name)   ? set_timeout(fd, e, name, value, len)
            : is_cork(e, level, name) ? set_cork(fd, e, value, len)
            : level == IPPROTO_IPV6   ? set_v6(e, name, value, len)
                                      : bh_setsockopt(bh_of(e), level, name, value, len);
    if (r == 0)
        replay_note(e, level, name, value, len);
    return r;
}

EXPORT int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? set_ours(fd, e, level, name, value, len)
                             : REAL(setsockopt)(fd, level, name, value, len);
}

static int
give_int(void *value, socklen_t *len, int v)
{
    if (*len > sizeof v)
        *len = sizeof v;
    memcpy(value, &v, *len);
    return 0;
}

/* There is no session behind it that could be asked. */
static int
get_nowhere(uint32_t e, int name, void *value, socklen_t *len)
{
    int v = name == SO_TYPE         ? e & E_DGRAM ? SOCK_DGRAM : SOCK_STREAM
            : name == SO_ACCEPTCONN ? !(e & E_DGRAM)
                                    : 0;
    return give_int(value, len, v);
}

static int
get_value(int fd, uint32_t e, int level, int name, void *value, socklen_t *len)
{
    int as;
    if ((e & E_NOWHERE) && level == SOL_SOCKET && name != SO_DOMAIN)
        return get_nowhere(e, name, value, len);
    if (is_timeout(level, name))
        return REAL(getsockopt)(fd, level, name, value, len);
    if (is_cork(e, level, name))
        return give_int(value, len, more_corked(e));
    if (level == SOL_SOCKET && name == SO_DOMAIN)
        return give_int(value, len, e & E_V6 ? AF_INET6 : AF_INET);
    if (level == SOL_SOCKET && name == SO_BINDTODEVICE) {
        *len = 0; /* to none */
        return 0;
    }
    if (level != IPPROTO_IPV6)
        return bh_getsockopt(bh_of(e), level, name, value, len);
    if (!(e & E_V6))
        return fails(EOPNOTSUPP);
    if (name == IPV6_V6ONLY)
        return give_int(value, len, (e & E_V6ONLY) != 0);
    if (as_v4(name, &as))
        return bh_getsockopt(bh_of(e), IPPROTO_IP, as, value, len);
    SAY("an option of IPv6 was refused");
    return fails(ENOPROTOOPT);
}

/* A small number is a single byte at this level, if there is no room for more. */
static socklen_t
as_byte(int level, socklen_t room, const void *value, socklen_t len)
{
    int v;
    if (level != IPPROTO_IP || room == 0 || room >= sizeof v || len != sizeof v)
        return len < room ? len : room;
    memcpy(&v, value, sizeof v);
    return v >= 0 && v <= UINT8_MAX ? 1 : room;
}

/* Without room for it, or where not all of the room is memory: it is got first. */
static __attribute__((noinline)) int
get_aside(int fd, uint32_t e, int level, int name, void *value, socklen_t *len)
{
    union {
        int v;
        char bytes[OPTION_MAX];
    } got;
    socklen_t room = *len, n = room < sizeof got ? room : sizeof got;
    if (room > INT32_MAX)
        return fails(EINVAL);
    if (level == IPPROTO_IP && n < sizeof got.v)
        n = sizeof got.v;
    if (get_value(fd, e, level, name, &got, &n) != 0)
        return -1;
    n = as_byte(level, room, &got, n);
    if (wild_to_write(value, n))
        return fails(EFAULT);
    if (n > 0)
        memcpy(value, &got, n);
    *len = n;
    return 0;
}

static int
get_ours(int fd, uint32_t e, int level, int name, void *value, socklen_t *len)
{
    if (level == IPPROTO_TCP && (e & E_DGRAM))
        return fails(EOPNOTSUPP);
    if (wild_to_write(len, sizeof *len))
        return fails(EFAULT);
    return *len < sizeof(int) || *len > OPTION_MAX || wild_to_write(value, *len)
               ? get_aside(fd, e, level, name, value, len)
               : get_value(fd, e, level, name, value, len);
}

EXPORT int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? get_ours(fd, e, level, name, value, len)
                             : REAL(getsockopt)(fd, level, name, value, len);
}

/* ---- names ---- */

static int
name_ours(uint32_t e, int (*ask)(int, struct sockaddr *, socklen_t *), struct sockaddr *sa,
          socklen_t *len)
{
    struct sockaddr_in sin = {.sin_port = htons((uint16_t)e)};
    struct sockaddr_storage ss;
    socklen_t n = sizeof sin;
    if ((e & E_NOWHERE) && ask == bh_getpeername)
        return fails(ENOTCONN);
    if (!(e & E_NOWHERE) && ask(bh_of(e), (struct sockaddr *)(void *)&sin, &n) != 0)
        return -1;
    int err = addr_put(&ss, addr_make(e, &sin, &ss), sa, len);
    return err != 0 ? fails(err) : 0;
}

EXPORT int
getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? name_ours(e, bh_getsockname, addr.__sockaddr__, len)
                             : REAL(getsockname)(fd, addr.__sockaddr__, len);
}

EXPORT int
getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? name_ours(e, bh_getpeername, addr.__sockaddr__, len)
                             : REAL(getpeername)(fd, addr.__sockaddr__, len);
}

OWN_IS(getpeername);
OWN_IS(getsockname);
OWN_IS(getsockopt);
OWN_IS(setsockopt);
