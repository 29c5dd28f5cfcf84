/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Socket options of a UDP session. What is told is what is in force, and what the kernel keeps
 * for a datagram socket too and does nothing with. Everything else that has no effect here is
 * refused with ENOPROTOOPT.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "udp_int.h"

/* A buffer size as asked for becomes one that is possible. Unlike Linux nothing is doubled:
 * the number counts bytes of the FIFO, record headers included. */
static uint32_t
buf_size(uint64_t value)
{
    return (uint32_t)min_u64(max_u64(value & INT32_MAX, UDP_BUF_MIN), UDP_BUF_MAX);
}

/* What is only kept. */
static int
set_kept(struct udp_sess *s, int name, uint64_t value)
{
    switch (name) {
    case SO_KEEPALIVE:
        s->keepalive = (uint32_t)value != 0;
        return 0;
    case SO_OOBINLINE:
        s->oobinline = (uint32_t)value != 0;
        return 0;
    case SO_PRIORITY:
        if (value > UDP_PRIORITY_MAX)
            return EPERM;
        s->priority = (uint8_t)value;
        return 0;
    case SO_LINGER:
        s->linger_on = (value & LINGER_ON) != 0;
        s->linger = (uint32_t)value;
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

static int
set_socket(struct udp *u, uint32_t sess, int name, uint64_t value)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    if (c == NULL)
        return EBADF;
    struct slot_domain *d = &c->v.d_slot[s->slot];
    bool on = (uint32_t)value != 0;
    switch (name) {
    case SO_SNDBUF:
        s->sndbuf = buf_size(value);
        atomic_store_explicit(&d->sndbuf, s->sndbuf, memory_order_release);
        sess_touch(u, sess);
        return 0;
    case SO_RCVBUF:
        s->rcvbuf = buf_size(value);
        atomic_store_explicit(&d->rcvbuf, s->rcvbuf, memory_order_release);
        atomic_store_explicit(&d->rx_notify, s->rx_head + s->rcvbuf / 2, memory_order_release);
        rx_reopen(u, sess);
        return 0;
    case SO_BROADCAST:
        s->broadcast = on;
        return 0;
    case SO_REUSEADDR:
        s->reuseaddr = on;
        return 0;
    case SO_REUSEPORT:
        s->reuseport = on;
        return 0;
    default:
        return set_kept(s, name, value);
    }
}

/* The number is the address as it stands in memory. */
static int
set_group_if(const struct udp *u, struct udp_sess *s, uint32_t number)
{
    uint8_t b[4];
    memcpy(b, &number, sizeof b);
    struct ipaddr a = ipaddr_v4(b), own = u->path->addr;
    if (!ipaddr_is_any(&a) && !ipaddr_eq(&a, &own))
        return EADDRNOTAVAIL;
    s->group_from_own = !ipaddr_is_any(&a);
    return 0;
}

static uint32_t
get_group_if(const struct udp *u, const struct udp_sess *s)
{
    struct ipaddr own = u->path->addr;
    return s->group_from_own ? htonl(ipaddr_to_u32(&own)) : 0;
}

static int
set_ip(const struct udp *u, struct udp_sess *s, int name, uint64_t value)
{
    int v = (int)(int32_t)(uint32_t)value;
    switch (name) {
    case IP_TTL:
        if (v != -1 && (v < 1 || v > 255))
            return EINVAL;
        s->ttl = v == -1 ? 0 : (uint8_t)v;
        return 0;
    case IP_TOS:
        if (s->tos != (uint8_t)v)
            s->priority = tos_priority((uint8_t)v);
        s->tos = (uint8_t)v;
        return 0;
    case IP_MTU_DISCOVER:
        if (v < IP_PMTUDISC_DONT || v > IP_PMTUDISC_PROBE)
            return EINVAL;
        s->mtu_disc = (uint8_t)v;
        return 0;
    case IP_MULTICAST_TTL:
        if (v < -1 || v > 255)
            return EINVAL;
        s->group_ttl = v == -1 ? 1 : (uint8_t)v;
        return 0;
    case IP_MULTICAST_LOOP:
        s->group_loop = v != 0;
        return 0;
    case IP_MULTICAST_IF:
        return set_group_if(u, s, (uint32_t)v);
    default:
        return ENOPROTOOPT;
    }
}

int
option_set(struct udp *u, uint32_t sess, int level, int name, uint64_t value)
{
    if (level == SOL_SOCKET)
        return set_socket(u, sess, name, value);
    return level == IPPROTO_IP ? set_ip(u, &u->sess[sess], name, value) : ENOPROTOOPT;
}

/* Taking the error clears it. */
static uint32_t
take_error(struct udp *u, uint32_t sess)
{
    struct client *c = client_of(u, sess);
    if (c == NULL)
        return 0;
    return atomic_exchange_explicit(&c->v.d_slot[u->sess[sess].slot].err, 0,
                                    memory_order_acq_rel);
}

static int
get_socket(struct udp *u, uint32_t sess, int name, uint64_t *value)
{
    const struct udp_sess *s = &u->sess[sess];
    switch (name) {
    case SO_ERROR:
        *value = take_error(u, sess);
        return 0;
    case SO_TYPE:
        *value = SOCK_DGRAM;
        return 0;
    case SO_PROTOCOL:
        *value = IPPROTO_UDP;
        return 0;
    case SO_DOMAIN:
        *value = AF_INET;
        return 0;
    case SO_ACCEPTCONN:
        *value = 0;
        return 0;
    case SO_SNDBUF:
        *value = s->sndbuf;
        return 0;
    case SO_RCVBUF:
        *value = s->rcvbuf;
        return 0;
    case SO_BROADCAST:
        *value = s->broadcast;
        return 0;
    case SO_REUSEADDR:
        *value = s->reuseaddr;
        return 0;
    case SO_REUSEPORT:
        *value = s->reuseport;
        return 0;
    case SO_KEEPALIVE:
        *value = s->keepalive;
        return 0;
    case SO_OOBINLINE:
        *value = s->oobinline;
        return 0;
    case SO_PRIORITY:
        *value = s->priority;
        return 0;
    case SO_LINGER:
        *value = (s->linger_on ? LINGER_ON : 0) | s->linger;
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

static int
get_ip(struct udp *u, const struct udp_sess *s, int name, uint64_t *value)
{
    const struct udp_name *n = name_of(s);
    switch (name) {
    case IP_TTL:
        *value = s->ttl ? s->ttl : UDP_TTL;
        return 0;
    case IP_TOS:
        *value = s->tos;
        return 0;
    case IP_MTU_DISCOVER:
        *value = s->mtu_disc;
        return 0;
    case IP_MULTICAST_TTL:
        *value = s->group_ttl;
        return 0;
    case IP_MULTICAST_LOOP:
        *value = s->group_loop;
        return 0;
    case IP_MULTICAST_IF:
        *value = get_group_if(u, s);
        return 0;
    case IP_MTU:
        if (!(n->bits & UN_CONNECTED))
            return ENOTCONN;
        *value = path_mtu(u->path, &n->remote);
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

int
option_get(struct udp *u, uint32_t sess, int level, int name, uint64_t *value)
{
    if (level == SOL_SOCKET)
        return get_socket(u, sess, name, value);
    if (level == IPPROTO_IP)
        return get_ip(u, &u->sess[sess], name, value);
    return level == IPPROTO_UDP ? ENOPROTOOPT : EOPNOTSUPP;
}
