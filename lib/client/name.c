/* SPDX-License-Identifier: BSD-2-Clause
 *
 * name.c: socket addresses, ours and the program's.
 */
#include "private.h"

int
addr_in(const struct sockaddr *sa, socklen_t len, struct ipaddr *a, uint16_t *port)
{
    struct sockaddr_in sin;
    if (sa == NULL)
        return EFAULT;
    if (len < sizeof sin)
        return EINVAL;
    memcpy(&sin, sa, sizeof sin);
    if (sin.sin_family != AF_INET)
        return EAFNOSUPPORT;
    *a = ipaddr_v4((const uint8_t *)&sin.sin_addr);
    *port = ntohs(sin.sin_port);
    return 0;
}

void
addr_out(struct sockaddr_in *sin, const struct ipaddr *a, uint16_t port)
{
    memset(sin, 0, sizeof *sin);
    sin->sin_family = AF_INET;
    sin->sin_port = htons(port);
    sin->sin_addr.s_addr = htonl(ipaddr_is_v4(a) ? ipaddr_to_u32(a) : 0);
}

void
addr_copy(struct sockaddr *to, socklen_t *len, const struct sockaddr_in *from)
{
    if (to == NULL || len == NULL)
        return;
    memcpy(to, from, *len < sizeof *from ? *len : sizeof *from);
    *len = sizeof *from;
}

void
name_heard(struct sock *s, const struct sess_evt *reply)
{
    bool reached = ipaddr_is_any(&reply->addr) || ipaddr_is_loopback(&reply->addr);
    s->named = reply->port != 0;
    s->loop_port = reached ? reply->port : 0;
}

static bool
takes(const struct sock *s, uint16_t port)
{
    return s->life == SOCK_OPEN && s->loop_port == port && !s->gone && !s->given &&
           !s->revoked && (s->listening || !sock_is_stream(s));
}

bool
share_takes(int proto, uint16_t port)
{
    struct lib *l = lib_lock();
    bool found = false;
    lib_drain(l); /* some may be over */
    for (struct own *o = l->own; o != NULL && port != 0; o = o->next) {
        const struct att *a = o->a;
        uint32_t left = a->proto == proto && !a->down ? a->n_socks : 0;
        for (uint32_t i = 0; i < a->v.g.n_slots && left > 0 && !found; i++) {
            left -= a->sock[i].life != SOCK_FREE;
            found = takes(&a->sock[i], port);
        }
    }
    lib_unlock(l);
    return found;
}

/* It may have got a port without having asked for one. */
static int
be_found(struct lib *l, struct sock *s)
{
    struct sess_req bind = {.op = REQ_BIND}, name = {.op = REQ_NAME};
    struct sess_evt e;
    if (s->named)
        return 0;
    int err = sock_request(l, s, &bind, &e);
    if (err == EINVAL)
        err = sock_request(l, s, &name, &e);
    if (err == 0)
        name_heard(s, &e);
    return -err;
}

int
share_be_found(int fd)
{
    WITH_SOCK(int, fd, 0u, be_found(l, s));
}

static int
names(int fd, struct sess_evt *reply)
{
    struct lib *l = lib_lock();
    struct sock *s = lib_sock(l, fd);
    int err = errno;
    if (s != NULL) {
        struct sess_req r = {.op = REQ_NAME};
        err = sock_request(l, s, &r, reply);
        if (err == 0)
            name_heard(s, reply);
        sock_put(l, s);
    }
    lib_unlock(l);
    return err;
}

int
bh_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct sess_evt e;
    struct sockaddr_in sin;
    int err = addr == NULL || len == NULL ? EFAULT : names(fd, &e);
    if (err != 0)
        return (int)ret_errno(-err);
    addr_out(&sin, &e.addr, e.port);
    addr_copy(addr, len, &sin);
    return 0;
}

int
bh_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct sess_evt e;
    struct sockaddr_in sin;
    int err = addr == NULL || len == NULL ? EFAULT : names(fd, &e);
    if (err == 0 && e.peer_v4 == 0)
        err = ENOTCONN;
    if (err != 0)
        return (int)ret_errno(-err);
    struct ipaddr peer = ipaddr_v4_u32(e.peer_v4);
    addr_out(&sin, &peer, e.peer_port);
    addr_copy(addr, len, &sin);
    return 0;
}

bool
share_net(struct ctl_net *net)
{
    struct lib *l = lib_lock();
    bool found = false;
    for (struct own *o = l->own; o != NULL && !found; o = o->next) {
        *net = o->a->net;
        found = !o->a->down && net->name[0] != '\0';
    }
    lib_unlock(l);
    return found;
}
