/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp_conn.c: the peer's side of one connection, for tests that use tcp_kit.h.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "tcp_kit.h"

struct conn
conn_default(void)
{
    return (struct conn){.lport = KIT_PORT,
                         .rport = KIT_RPORT,
                         .iss = KIT_ISS,
                         .wnd = 65535,
                         .mss = 1460,
                         .ts_val = 0xfffffff0u};
}

struct conn
conn_peer(unsigned i)
{
    struct conn c = conn_default();
    c.rport = (uint16_t)(KIT_RPORT + i);
    return c;
}

struct in_seg
conn_seg(const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack)
{
    struct in_seg s = {.h = {.sport = c->rport,
                             .dport = c->lport,
                             .seq = c->iss + seq,
                             .ack = flags & TCP_ACK ? c->irs + ack : 0,
                             .flags = flags,
                             .wnd = c->wnd,
                             .has_ts = c->ts,
                             .ts_val = c->ts_val,
                             .ts_ecr = c->ts_ecr}};
    if (flags & TCP_SYN) {
        s.h.mss = c->mss;
        s.h.has_wscale = c->ws;
        s.h.sack_ok = c->sack;
        s.h.wscale = c->wscale;
    }
    return s;
}

void
conn_raw(struct kit *k, const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack,
         const void *data, uint32_t len)
{
    struct in_seg s = conn_seg(c, flags, seq, ack);
    s.data = data;
    s.len = len;
    kit_inject(k, &s);
}

void
conn_send(struct kit *k, struct conn *c, uint8_t flags, uint32_t len)
{
    uint8_t data[FRAME_SIZE];
    len = min_u32(len, sizeof data - 128);
    for (uint32_t i = 0; i < len; i++)
        data[i] = kit_byte(c->snd - 1 + i);
    conn_raw(k, c, flags, c->snd, c->rcv, data, len);
    c->snd += len + ((flags & TCP_FIN) != 0) + ((flags & TCP_SYN) != 0);
}

void
conn_ack(struct kit *k, struct conn *c, uint32_t rcv)
{
    c->rcv = rcv;
    conn_raw(k, c, TCP_ACK, c->snd, rcv, NULL, 0);
}

void
conn_sack(struct kit *k, struct conn *c, uint32_t rcv, unsigned n, const uint32_t blocks[][2])
{
    c->rcv = rcv;
    struct in_seg s = conn_seg(c, TCP_ACK, c->snd, rcv);
    s.h.n_sack = (uint8_t)n;
    for (unsigned i = 0; i < n; i++)
        s.h.sack[i] = (struct tcp_sack){c->irs + blocks[i][0], c->irs + blocks[i][1]};
    kit_inject(k, &s);
}

void
conn_icmp(struct kit *k, const struct conn *c, uint32_t seq, int err, uint32_t mtu)
{
    struct pkt p = {.kind = PKT_ICMP,
                    .proto = WIRE_PROTO_TCP,
                    .err = (uint8_t)err,
                    .aux = mtu,
                    .src = ipaddr_v4_u32(KIT_OWN),
                    .dst = ipaddr_v4_u32(KIT_PEER),
                    .sport = c->lport,
                    .dport = c->rport,
                    .seq = c->irs + seq};
    kit_step(k, &p, 1);
}

const struct out_seg *
conn_syn(struct kit *k, struct conn *c, uint8_t flags)
{
    conn_raw(k, c, (uint8_t)(TCP_SYN | flags), 0, 0, NULL, 0);
    const struct out_seg *o = kit_take(k);
    if (o == NULL)
        return NULL;
    c->irs = o->h.seq;
    c->ts_ecr = o->h.ts_val;
    c->snd = c->rcv = 1;
    return o;
}

bool
conn_half_open(struct kit *k, struct conn *c, uint8_t flags)
{
    const struct out_seg *o = conn_syn(k, c, flags);
    return o != NULL && (o->h.flags & ~(flags & TCP_ECE)) == (TCP_SYN | TCP_ACK) &&
           o->h.ack == c->iss + 1;
}

bool
conn_accepted(struct kit *k, struct conn *c)
{
    struct sess_evt e;
    do
        if (!kit_event(k, 0, &e))
            return false;
    while (e.kind != EVT_ACCEPT || e.port != c->rport);
    (void)kit_do(k, k->listener, REQ_ACCEPTED, 0);
    c->client = 0;
    c->sess = e.cookie;
    c->slot = (uint32_t)e.value;
    return true;
}

bool
conn_accept(struct kit *k, struct conn *c)
{
    if (!conn_half_open(k, c, 0))
        return false;
    conn_ack(k, c, 1);
    if (!conn_accepted(k, c))
        return false;
    kit_step(k, NULL, 0);
    return true;
}

bool
conn_connecting(struct kit *k, struct conn *c)
{
    c->sess = kit_open(k, c->client, &c->slot);
    if (c->sess == SESS_NONE || kit_connect(k, c->sess, KIT_PEER, c->rport) != 0)
        return false;
    kit_step(k, NULL, 0);
    const struct out_seg *o = kit_take(k);
    if (o == NULL || o->h.flags != TCP_SYN)
        return false;
    c->lport = o->h.sport;
    c->irs = o->h.seq;
    c->ts_ecr = o->h.ts_val;
    return true;
}

bool
conn_connect(struct kit *k, struct conn *c)
{
    if (!conn_connecting(k, c))
        return false;
    conn_raw(k, c, TCP_SYN | TCP_ACK, 0, 1, NULL, 0);
    c->snd = c->rcv = 1;
    const struct out_seg *o = kit_take(k);
    return o != NULL && o->h.flags == TCP_ACK;
}

void
conn_up_as(struct kit *k, struct conn *c)
{
    kit_init(k);
    if (kit_listen(k, c->lport, 5, NULL) == SESS_NONE || !conn_accept(k, c))
        abort();
}

struct conn
conn_up(struct kit *k)
{
    struct conn c = conn_default();
    conn_up_as(k, &c);
    return c;
}

struct conn
conn_up_in(struct kit *k, enum tcp_state s, bool ts)
{
    struct conn c = conn_default();
    c.ts = ts;
    conn_up_as(k, &c);
    conn_to(k, &c, s);
    if (conn_state(k, &c) != (unsigned)s)
        abort();
    kit_wait(k, 10 * NS_MS);
    kit_drop(k);
    return c;
}

struct tcb *
conn_tcb(struct kit *k, const struct conn *c)
{
    return &k->t->tcb[c->sess];
}

unsigned
conn_state(struct kit *k, const struct conn *c)
{
    const struct tcb *b = conn_tcb(k, c);
    return b->used ? b->h.state : (unsigned)TCPS_CLOSED;
}

void
conn_to(struct kit *k, struct conn *c, enum tcp_state s)
{
    bool ours = s == TCPS_FIN_WAIT_1 || s == TCPS_FIN_WAIT_2 || s == TCPS_CLOSING ||
                s == TCPS_TIME_WAIT;
    if (ours) {
        (void)kit_do(k, c->sess, REQ_SHUTDOWN, SHUT_WR);
        kit_step(k, NULL, 0);
    }
    if (s == TCPS_FIN_WAIT_2 || s == TCPS_TIME_WAIT)
        conn_ack(k, c, c->rcv + 1);
    if (s == TCPS_CLOSING || s == TCPS_TIME_WAIT || s == TCPS_CLOSE_WAIT || s == TCPS_LAST_ACK)
        conn_send(k, c, TCP_ACK | TCP_FIN, 0);
    if (s == TCPS_LAST_ACK) {
        (void)kit_do(k, c->sess, REQ_SHUTDOWN, SHUT_WR);
        kit_step(k, NULL, 0);
    }
    kit_drop(k);
}
