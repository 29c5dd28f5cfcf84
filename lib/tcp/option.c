/* SPDX-License-Identifier: BSD-2-Clause
 *
 * option.c: socket options, with the values and the errno that Linux gives.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "priv.h"

#define BUF_MIN 4608u /* as SOCK_MIN_RCVBUF on Linux, rounded to pages */
#define BUF_MAX (FIFO_MAX - 2 * FIFO_PAGE)

/* Linux doubles what the program asks for, to account for its overhead; we have none, but
 * programs read back the double. The FIFO limit is what is asked for. */
static uint32_t
buffer_size(uint64_t asked)
{
    return (uint32_t)min_u64(max_u64(asked, BUF_MIN), BUF_MAX);
}

static int
set_socket(struct tcp *t, struct tcb *c, int name, uint64_t v)
{
    switch (name) {
    case SO_REUSEADDR:
        c->opt.reuseaddr = v != 0;
        return 0;
    case SO_REUSEPORT:
        return v == 0 ? 0 : ENOPROTOOPT; /* no balancing between listeners: say so */
    case SO_KEEPALIVE:
        c->opt.keepalive = v != 0;
        c->keep_sent = 0;
        if (c->h.state >= TCPS_ESTABLISHED && c->h.state != TCPS_TIME_WAIT) {
            c->last_rx = t->now;
            keep_arm(t, c);
        }
        return 0;
    case SO_LINGER:
        c->opt.linger = v & LINGER_ON ? (uint32_t)v : UINT32_MAX;
        return 0;
    case SO_SNDBUF:
        c->opt.sndbuf = buffer_size(v);
        c->opt.snd_fixed = true;
        return 0;
    case SO_RCVBUF:
        c->opt.rcvbuf = buffer_size(v);
        c->opt.rcv_fixed = true;
        return 0;
    case SO_OOBINLINE: /* urgent data is always in line (RFC 6093) */
        return v != 0 ? 0 : ENOPROTOOPT;
    case SO_MAX_PACING_RATE: /* bytes a second */
        c->opt.max_pacing = v >= UINT32_MAX ? 0 : (uint32_t)v;
        work_add(t, c);
        return 0;
    case SO_BROADCAST:
    case SO_PRIORITY:
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

static int
set_tcp(struct tcp *t, struct tcb *c, int name, uint64_t v)
{
    switch (name) {
    case TCP_NODELAY:
        c->opt.nodelay = v != 0;
        break;
    case TCP_CORK:
        c->opt.cork = v != 0;
        break;
    case TCP_QUICKACK:
        c->opt.quickack = v != 0;
        if (v != 0 && c->h.state >= TCPS_ESTABLISHED && c->ack_segs != 0)
            c->ack_now = true;
        break;
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
        if (v < 1 || v > 32767)
            return EINVAL;
        *(name == TCP_KEEPIDLE ? &c->opt.keep_idle_s : &c->opt.keep_intvl_s) = (uint32_t)v;
        if (c->h.state >= TCPS_ESTABLISHED && c->h.state != TCPS_TIME_WAIT)
            keep_arm(t, c);
        return 0;
    case TCP_KEEPCNT:
        if (v < 1 || v > 127)
            return EINVAL;
        c->opt.keep_cnt = (uint32_t)v;
        return 0;
    case TCP_USER_TIMEOUT:
        if (v > INT32_MAX)
            return EINVAL;
        c->opt.user_timeout_ms = (uint32_t)v;
        return 0;
    case TCP_MAXSEG:
        if (v < MSS_MIN || v > 32767)
            return EINVAL;
        c->opt.maxseg = (uint16_t)v;
        if (c->h.mss > v)
            c->h.mss = (uint16_t)v;
        return 0;
    default:
        return ENOPROTOOPT;
    }
    work_add(t, c);
    return 0;
}

int
tcp_option_set(struct tcp *t, struct tcb *c, int level, int name, uint64_t v)
{
    if (level == SOL_SOCKET)
        return set_socket(t, c, name, v);
    if (level == IPPROTO_TCP)
        return set_tcp(t, c, name, v);
    if (level != IPPROTO_IP)
        return ENOPROTOOPT;
    switch (name) {
    case IP_TTL:
        if (v != (uint64_t)-1 && (v < 1 || v > 255))
            return EINVAL;
        c->opt.ttl = v == (uint64_t)-1 ? 0 : (uint8_t)v;
        return 0;
    case IP_TOS:
        c->opt.tos = (uint8_t)(v & 0xfc); /* ECN bits are the stack's */
        return 0;
    case IP_MTU_DISCOVER:
        return v == IP_PMTUDISC_DO || v == IP_PMTUDISC_WANT ? 0 : ENOPROTOOPT;
    default:
        return ENOPROTOOPT;
    }
}

static int
get_socket(struct tcp *t, struct tcb *c, int name, uint64_t *v)
{
    struct slot_domain *d = tcb_slot(t, c);
    switch (name) {
    case SO_TYPE:
        *v = SOCK_STREAM;
        return 0;
    case SO_DOMAIN:
        *v = AF_INET;
        return 0;
    case SO_PROTOCOL:
        *v = IPPROTO_TCP;
        return 0;
    case SO_ACCEPTCONN:
        *v = c->h.state == TCPS_LISTEN;
        return 0;
    case SO_ERROR:
        *v = d != NULL ? get(d->err) : 0;
        if (d != NULL)
            set(d->err, 0);
        return 0;
    case SO_REUSEADDR:
        *v = c->opt.reuseaddr;
        return 0;
    case SO_REUSEPORT:
    case SO_BROADCAST:
    case SO_PRIORITY:
        *v = 0;
        return 0;
    case SO_KEEPALIVE:
        *v = c->opt.keepalive;
        return 0;
    case SO_OOBINLINE:
        *v = 1;
        return 0;
    case SO_LINGER:
        *v = c->opt.linger == UINT32_MAX ? 0 : LINGER_ON | c->opt.linger;
        return 0;
    case SO_SNDBUF:
        *v = c->opt.sndbuf;
        return 0;
    case SO_RCVBUF:
        *v = c->opt.rcvbuf;
        return 0;
    case SO_MAX_PACING_RATE:
        *v = c->opt.max_pacing != 0 ? c->opt.max_pacing : UINT32_MAX;
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

static int
get_tcp(struct tcp *t, struct tcb *c, int name, uint64_t *v)
{
    switch (name) {
    case TCP_NODELAY:
        *v = c->opt.nodelay;
        return 0;
    case TCP_CORK:
        *v = c->opt.cork;
        return 0;
    case TCP_QUICKACK:
        *v = c->opt.quickack;
        return 0;
    case TCP_KEEPIDLE:
        *v = c->opt.keep_idle_s;
        return 0;
    case TCP_KEEPINTVL:
        *v = c->opt.keep_intvl_s;
        return 0;
    case TCP_KEEPCNT:
        *v = c->opt.keep_cnt;
        return 0;
    case TCP_USER_TIMEOUT:
        *v = c->opt.user_timeout_ms;
        return 0;
    case TCP_MAXSEG:
        *v = c->h.state >= TCPS_ESTABLISHED ? c->h.mss
             : c->opt.maxseg != 0           ? c->opt.maxseg
                                            : t->path->mtu - IP4_HEADER - TCP_HEADER;
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

int
tcp_option_get(struct tcp *t, struct tcb *c, int level, int name, uint64_t *v)
{
    if (level == SOL_SOCKET)
        return get_socket(t, c, name, v);
    if (level == IPPROTO_TCP)
        return get_tcp(t, c, name, v);
    if (level != IPPROTO_IP)
        return ENOPROTOOPT;
    switch (name) {
    case IP_TTL:
        *v = c->opt.ttl != 0 ? c->opt.ttl : 64;
        return 0;
    case IP_TOS:
        *v = c->opt.tos;
        return 0;
    case IP_MTU:
        if (c->h.state < TCPS_ESTABLISHED)
            return ENOTCONN;
        *v = path_mtu(t->path, &c->raddr);
        return 0;
    case IP_MTU_DISCOVER:
        *v = IP_PMTUDISC_DO;
        return 0;
    default:
        return ENOPROTOOPT;
    }
}
