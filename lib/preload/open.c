/* SPDX-License-Identifier: BSD-2-Clause
 *
 * open.c: the calls that make sockets and name addresses.
 */
#include "shim.h"

#include <fcntl.h>
#include <sys/resource.h>

#define CLOSE_LASTS 20u /* milliseconds, at most */
#define PROTOCOLS 263   /* IPPROTO_MAX of the kernel; libc's headers may have an older one */
#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

/* ---- socket ---- */

/* What the stack does not have: the kernel's, if that is allowed. */
static int
not_ours(int domain, int type, int protocol)
{
    int kind = type & ~TYPE_FLAGS;
    if (shim_fallback)
        return REAL(socket)(domain, type, protocol);
    if (kind < 0 || kind > SOCK_PACKET || protocol < 0 || protocol >= PROTOCOLS)
        return fails(EINVAL);
    SAY("a socket that is neither TCP nor UDP was refused");
    return fails(kind == SOCK_STREAM || kind == SOCK_DGRAM || kind == SOCK_RAW
                     ? EPROTONOSUPPORT
                     : ESOCKTNOSUPPORT);
}

EXPORT int
socket(int domain, int type, int protocol)
{
    if (domain != AF_INET && domain != AF_INET6)
        return REAL(socket)(domain, type, protocol);
    int kind = type & ~TYPE_FLAGS;
    if ((kind != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) &&
        (kind != SOCK_DGRAM || (protocol != 0 && protocol != IPPROTO_UDP)))
        return not_ours(domain, type, protocol);
    int bh = bh_socket(AF_INET, kind | SOCK_NONBLOCK, protocol);
    if (bh < 0) {
        int err = errno;
        if (err != EMFILE && err != ENFILE && err != ENOBUFS)
            say_attach(err);
        return shim_fallback ? REAL(socket)(domain, type, protocol) : fails(err);
    }
    return stand_in(bh, (domain == AF_INET6 ? E_V6 : 0) | (kind == SOCK_DGRAM ? E_DGRAM : 0),
                    type);
}

/* ---- bind, connect, listen ---- */

/* Programs listen to IPv6 beside IPv4 and give up if they cannot: so they may, as on a host
 * that has IPv6 and no neighbour. */
static int
bind_nowhere(int fd, uint32_t e, in_port_t port)
{
    if (e & E_SETTLED)
        return fails(EINVAL);
    int err = become_nowhere(fd, e, port != 0 ? port : htons((uint16_t)(49152 + e % 16384)));
    return err != 0 ? fails(err) : 0;
}

/* The transport learns from the kernel that a socket was closed, a moment after close returned:
 * a port that this process has just given up may not be free yet. */
static int
bind_stack(uint32_t e, const struct sockaddr_in *sin)
{
    for (unsigned i = 0;; i++) {
        int r = bh_bind(bh_of(e), (const struct sockaddr *)(const void *)sin, sizeof *sin);
        if (r == 0 || errno != EADDRINUSE || i == CLOSE_LASTS || !closed_lately())
            return r;
        nap(1000);
    }
}

static int
bind_ours(int fd, uint32_t e, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_in sin;
    int err;
    switch (addr_take(e, sa, len, true, &sin, &err)) {
    case WHERE_KERNEL:
        if (e & E_SETTLED)
            return fails(EINVAL);
        err = become_kernel(fd, e);
        return err != 0 ? fails(err) : REAL(bind)(fd, sa, len);
    case WHERE_REFUSED:
        return fails(err);
    case WHERE_NOWHERE:
        return bind_nowhere(fd, e, sin.sin_port);
    default:
        break;
    }
    int r = bind_stack(e, &sin);
    if (r != 0)
        return r;
    if ((e & E_DGRAM) && sin.sin_port != 0)
        settle(e); /* a server: it may be spoken to from now on */
    else
        replay_note(e, REPLAY_BIND, 0, sa, len);
    return 0;
}

EXPORT int
bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? bind_ours(fd, e, addr.__sockaddr__, len)
                             : REAL(bind)(fd, addr.__sockaddr__, len);
}

static int
connect_stack(int fd, uint32_t e, const struct sockaddr_in *sin)
{
    unsigned tries = 0;
    for (;;) {
        int r = bh_connect(bh_of(e), (const struct sockaddr *)(const void *)sin, sizeof *sin);
        if (r == 0 || (errno != EINPROGRESS && errno != EALREADY))
            return r;
        int begun = errno, err = wait_write(fd, &tries);
        if (err != 0)
            return fails(err != EAGAIN ? err : tries > 0 ? EINPROGRESS : begun);
    }
}

/* That it is connected, or about to be, is said before what is wrong with the address. */
static bool
connected_already(uint32_t e, socklen_t len)
{
    const struct sockaddr none = {.sa_family = AF_UNIX};
    return !(e & E_DGRAM) && (e & E_SETTLED) && len >= sizeof none.sa_family &&
           len <= sizeof(struct sockaddr_storage) &&
           bh_connect(bh_of(e), &none, sizeof none) != 0 &&
           (errno == EISCONN || errno == EALREADY);
}

static int
connect_ours(int fd, uint32_t e, const struct sockaddr *sa, socklen_t len)
{
    struct sockaddr_in sin;
    int err;
    enum where where = addr_take(e, sa, len, false, &sin, &err);
    if (where == WHERE_REFUSED && err == EFAULT)
        return fails(err);
    if (len >= sizeof sa->sa_family && len <= sizeof(struct sockaddr_storage) &&
        sa->sa_family == AF_UNSPEC)
        return bh_connect(bh_of(e), sa, len);
    switch (where) {
    case WHERE_KERNEL:
        if ((e & E_SETTLED) && addr_is_loopback(&sin))
            return fails(ENETUNREACH); /* on the stack somebody else is there */
        if (e & E_SETTLED)
            break;
        err = become_kernel(fd, e);
        return err != 0 ? fails(err) : REAL(connect)(fd, sa, len);
    case WHERE_REFUSED:
        return fails(connected_already(e, len) ? errno : err);
    default:
        break;
    }
    settle(e);
    return connect_stack(fd, e, &sin);
}

EXPORT int
connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? connect_ours(fd, e, addr.__sockaddr__, len)
                             : REAL(connect)(fd, addr.__sockaddr__, len);
}

EXPORT int
listen(int fd, int backlog)
{
    uint32_t e = entry(fd);
    if (!is_ours_at(fd, e))
        return REAL(listen)(fd, backlog);
    if ((e & E_NOWHERE) && !(e & E_DGRAM))
        return 0;
    int r = bh_listen(bh_of(e), backlog);
    if (r == 0)
        settle(e);
    return r;
}

/* ---- accept, shutdown ---- */

/* Nobody will come: until a signal does. */
static int
accept_nowhere(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return !may_block(fd) ? fails(EAGAIN) : REAL(poll)(&p, 1, -1) < 0 ? -1 : fails(EAGAIN);
}

/* A connection is not taken from the queue if there is no number for it. To find out costs two
 * calls of the kernel, and is done only if the last number was near the limit. */
static bool
no_number_left(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur > (rlim_t)stand_in_last() + 64)
        return false;
    int fd = REAL(fcntl)(2, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return errno == EMFILE;
    REAL(close)(fd);
    return false;
}

/* A connection whose peer cannot be told is lost, as in the kernel. */
static int
accepted(int fd, uint32_t e, const struct sockaddr_in *sin, struct sockaddr *sa, socklen_t *len)
{
    struct sockaddr_storage ss;
    int err = addr_put(&ss, addr_make(e, sin, &ss), sa, len);
    if (err == 0)
        return fd;
    own_close(fd);
    return fails(err);
}

static int
accept_ours(int fd, uint32_t e, struct sockaddr *sa, socklen_t *len, int flags)
{
    struct sockaddr_in sin;
    socklen_t n = sizeof sin;
    unsigned tries = 0;
    int bh;
    if (flags & ~TYPE_FLAGS)
        return fails(EINVAL);
    if (e & E_NOWHERE)
        return accept_nowhere(fd);
    if (no_number_left())
        return fails(EMFILE);
    while ((bh = bh_accept4(bh_of(e), (struct sockaddr *)(void *)&sin, &n, SOCK_NONBLOCK)) <
           0) {
        int err = errno == EAGAIN ? wait_read(fd, &tries) : errno;
        if (err != 0)
            return fails(err);
    }
    int r = stand_in(bh, (e & E_V6) | E_SETTLED, flags);
    if (r >= 0)
        timeouts_inherit(r, entry(r));
    return r < 0 || sa == NULL ? r : accepted(r, e, &sin, sa, len);
}

EXPORT int
accept4(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? accept_ours(fd, e, addr.__sockaddr__, len, flags)
                             : REAL(accept4)(fd, addr.__sockaddr__, len, flags);
}

EXPORT int
accept(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? accept_ours(fd, e, addr.__sockaddr__, len, 0)
                             : REAL(accept)(fd, addr.__sockaddr__, len);
}

/* Who waits in accept must find that nobody will come. */
static int
shutdown_ours(int fd, uint32_t e, int how)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    (void)bh_getsockopt(bh_of(e), SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
    int r = bh_shutdown(bh_of(e), how);
    if (r == 0 && listening && how != SHUT_WR)
        (void)REAL(shutdown)(fd, SHUT_RD);
    return r;
}

EXPORT int
shutdown(int fd, int how)
{
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? shutdown_ours(fd, e, how) : REAL(shutdown)(fd, how);
}

OWN_IS(accept4);
OWN_IS(bind);
OWN_IS(connect);
OWN_IS(listen);
OWN_IS(shutdown);
OWN_IS(socket);
