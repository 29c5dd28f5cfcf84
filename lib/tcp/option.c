/* SPDX-License-Identifier: BSD-2-Clause
 *
 * option.c: socket options, with the values and the errno that Linux gives.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "priv.h"

#define CLAMP_MIN 1152u /* half of the least buffer that Linux has */
#define BUF_MIN 4608u   /* as SOCK_MIN_RCVBUF on Linux, rounded to pages */
#define BUF_MAX (FIFO_MAX - 2 * FIFO_PAGE)

/* Linux doubles what the program asks for, to account for its overhead; we have none, but
 * programs read back the double. The FIFO limit is what is asked for. */
static uint32_t
buffer_size(uint64_t asked)
{
    return (uint32_t)min_u64(max_u64(asked, BUF_MIN), BUF_MAX);
}

static uint32_t
low_mark(const struct tcb *c, uint32_t asked)
{
    return max_u32(1, min_u32(asked, c->opt.rcvbuf / 2));
}

static int
set_socket(struct tcp *t, struct tcb *c, int name, uint64_t v)
{
    switch (name) {
    case SO_REUSEADDR:
        port_reuse(t, c, &c->opt.reuseaddr, v != 0);
        return 0;
    case SO_REUSEPORT:
        port_reuse(t, c, &c->opt.reuseport, v != 0);
        return 0;
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
    case SO_RCVLOWAT: /* more than half of the buffer may never be there at once */
        c->opt.rcvlowat = v > INT32_MAX ? c->opt.rcvbuf / 2 : low_mark(c, (uint32_t)v);
        return 0;
    case SO_BROADCAST:
        c->opt.broadcast = v != 0;
        return 0;
    case SO_PRIORITY:
        if (v > 6) /* that takes a privilege */
            return EPERM;
        c->opt.priority = (uint8_t)v;
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

/* A name travels as eight bytes; none that is known here is longer. */
static int
set_congestion(struct tcp *t, struct tcb *c, uint64_t packed)
{
    char name[sizeof packed + 1] = {0};
    memcpy(name, &packed, sizeof packed);
    enum cc_alg alg = cc_alg_of(name, strlen(name));
    if (alg == CC_ALGS)
        return ENOENT;
    if (alg == c->opt.congestion)
        return 0;
    const struct account *a = tcb_account(t, c);
    if (a == NULL || !(a->rules.congestion >> alg & 1))
        return tcb_deny(t, c, RULE_CONGESTION, NULL, 0, EPERM);
    c->opt.congestion = (uint8_t)alg;
    c->cc.alg = alg;
    memset(c->cc.priv, 0, sizeof c->cc.priv);
    cc_ops_of(alg)->start(&c->cc, t->now);
    work_add(t, c);
    return 0;
}

void
congestion_begin(const struct tcp *t, struct tcb *c)
{
    const struct client *cl = clients_get(t->clients, c->link.client);
    const struct account_rules *r = &client_account(t->clients, cl)->rules;
    if (r->congestion != 0 && !(r->congestion >> t->cfg.congestion & 1) && r->first < CC_ALGS)
        c->opt.congestion = (uint8_t)r->first;
}

static uint64_t
congestion_name(const struct tcb *c)
{
    uint64_t packed = 0;
    const char *name = cc_ops_of(c->opt.congestion)->name;
    memcpy(&packed, name, min_u32((uint32_t)strlen(name), sizeof packed));
    return packed;
}

static int
set_maxseg(struct tcb *c, uint64_t v)
{
    if (v != 0 && (v < MSS_MIN || v > 32767))
        return EINVAL;
    c->opt.maxseg = (uint16_t)v;
    if (v != 0 && c->h.mss > v)
        mss_set(c, (uint32_t)v);
    return 0;
}

static int
set_window_clamp(struct tcb *c, uint64_t v)
{
    if (v > INT32_MAX)
        return EINVAL;
    if (v == 0 && c->h.state != TCPS_CLOSED)
        return EINVAL;
    c->opt.window_clamp = v == 0 ? 0 : max_u32((uint32_t)v, CLAMP_MIN);
    return 0;
}

/* 0: acknowledgments wait, as they may. 1: what is owed goes now, and so do the next. As on
 * Linux, another even number is the first of it and then off. */
static void
set_quickack(struct tcb *c, uint64_t v)
{
    bool live = c->h.state >= TCPS_ESTABLISHED;
    if (v != 0 && live && c->ack_segs != 0)
        c->ack_now = true;
    c->opt.quickack = (v & 1) || (v != 0 && !live);
    c->quick = c->opt.quickack ? QUICK_ACKS : 0;
}

/* Those that are a number within bounds, and no more. */
static int
set_tcp_number(struct tcb *c, int name, uint64_t v)
{
    switch (name) {
    case TCP_SYNCNT:
        if (v < 1 || v > 127)
            return EINVAL;
        c->opt.syn_cnt = (uint8_t)v;
        return 0;
    case TCP_LINGER2:
        c->opt.fin_wait_s = v > INT32_MAX ? -1 : (int16_t)min_u64(v, FIN_WAIT_2_MAX);
        return 0;
    case TCP_DEFER_ACCEPT:
        c->opt.defer = defer_timeouts(v);
        return 0;
    case TCP_NOTSENT_LOWAT:
        c->opt.notsent_lowat = (uint32_t)v;
        return 0;
    case TCP_WINDOW_CLAMP:
        return set_window_clamp(c, v);
    case TCP_MAXSEG:
        return set_maxseg(c, v);
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
        if (c->opt.nodelay && c->snd_nxt < 1 + c->h.tx_tail)
            c->uncork = true; /* what waits goes now, also corked: as on Linux */
        break;
    case TCP_CORK:
        c->opt.cork = v != 0;
        break;
    case TCP_QUICKACK:
        set_quickack(c, v);
        break;
    case TCP_CONGESTION:
        return set_congestion(t, c, v);
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
    default:
        return set_tcp_number(c, name, v);
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
        v &= 0xfc; /* ECN bits are the stack's */
        if (c->opt.tos != v)
            c->opt.priority = tos_priority((uint8_t)v);
        c->opt.tos = (uint8_t)v;
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
        *v = c->opt.reuseport;
        return 0;
    case SO_BROADCAST:
        *v = c->opt.broadcast;
        return 0;
    case SO_PRIORITY:
        *v = c->opt.priority;
        return 0;
    case SO_RCVLOWAT:
        *v = c->opt.rcvlowat;
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
                                            : MSS_DEFAULT;
        return 0;
    case TCP_SYNCNT:
        *v = c->opt.syn_cnt != 0 ? c->opt.syn_cnt : SYN_RETRIES;
        return 0;
    case TCP_LINGER2:
        *v = c->opt.fin_wait_s == 0 ? FIN_WAIT_2_TIME / NS_S : (uint64_t)c->opt.fin_wait_s;
        return 0;
    case TCP_DEFER_ACCEPT:
        *v = defer_seconds(c->opt.defer);
        return 0;
    case TCP_NOTSENT_LOWAT:
        *v = c->opt.notsent_lowat;
        return 0;
    case TCP_WINDOW_CLAMP:
        *v = c->opt.window_clamp;
        return 0;
    case TCP_CONGESTION:
        *v = congestion_name(c);
        return 0;
    case TCP_INFO:
        return tcp_info_answer(t, c, v);
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
        return EOPNOTSUPP;
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
