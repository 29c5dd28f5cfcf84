/* SPDX-License-Identifier: BSD-2-Clause */
#include "transport.h"

#include "driver.h"
#include "guard.h"
#include "ipc/link.h"
#include "serve_client.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

#define UP 0   /* link rings, from ip: packets */
#define DONE 1 /* from ip: transmit frames that are free again */
#define DOWN 0 /* to ip */

#define STEP_OUT (4 * BATCH_MAX) /* descriptors of a step, where packets have several */

struct transport_domain {
    const struct transport_kind *kind;
    struct transport *tr;
    struct domain_peer *ip;
    unsigned batch; /* descriptors that a step may produce */
    struct serve serve;
};

/* One batch off the link; a chain is never cut. */
static unsigned
take_up(struct link *l, struct pkt *in)
{
    unsigned n = pring_take_batch(&l->rx[UP], l->rx_slots[UP], in, BATCH_MAX);
    while (n != 0 && (in[n - 1].flags & PKT_MORE) && n < BATCH_MAX + FRAME_MAX_CHAIN &&
           pring_take(&l->rx[UP], l->rx_slots[UP], &in[n]))
        n++;
    return n;
}

static bool
take_done(struct transport_domain *t, struct link *l)
{
    struct fdesc f[BATCH_MAX];
    unsigned n = fring_take_batch(&l->rx[DONE], l->rx_slots[DONE], f, BATCH_MAX);
    for (unsigned i = 0; i < n; i++)
        (void)t->kind->tx_done(t->tr, f[i].addr); /* a refused one is counted there */
    return n != 0;
}

static enum turn
transport_turn(struct domain *d, ns_t now)
{
    struct transport_domain *t = d->self;
    struct link *l = &t->ip->link;
    struct pkt in[BATCH_MAX + FRAME_MAX_CHAIN], out[STEP_OUT];
    unsigned n = 0, cap = 0;
    bool asked = serve_requests(&t->serve, now), done = false;
    if (l->up) {
        done = take_done(t, l);
        n = take_up(l, in);
        cap = min_u32(t->batch, ring_space(&l->tx[DOWN], t->batch));
    }
    unsigned sent = t->kind->step(t->tr, in, n, out, cap, now);
    if (l->up) {
        for (unsigned i = 0; i < sent; i++) {
            struct pkt *slot = pring_reserve(&l->tx[DOWN], l->tx_slots[DOWN]);
            if (slot != NULL)
                *slot = out[i];
        }
        link_release(l);
        if (link_submit(l))
            stat_inc(d->stats, STAT_bells_rung);
    }
    serve_events(&t->serve);
    serve_client_reap(&t->serve, d);
    if (done || n != 0 || sent != 0)
        return TURN_PACKETS;
    return asked ? TURN_REQUESTS : TURN_NOTHING;
}

static ns_t
transport_deadline(struct domain *d)
{
    struct transport_domain *t = d->self;
    ns_t now = domain_now();
    ns_t at = t->kind->deadline(t->tr);
    if (!t->ip->link.up) /* nothing can be sent: wait for ip, not for the next attempt */
        at = max_u64(at, now + 100 * NS_MS);
    return min_u64(at, serve_deadline(&t->serve, now));
}

static bool
transport_arm(struct domain *d)
{
    struct transport_domain *t = d->self;
    return serve_arm(&t->serve);
}

static bool
transport_peer_down(struct domain *d, struct domain_peer *p, ns_t now)
{
    struct transport_domain *t = d->self;
    (void)p;
    (void)now;
    t->kind->ip_reset(t->tr);
    return true;
}

static void
transport_ctl(struct domain *d, struct ctl_msg *m, int *fd, ns_t now)
{
    struct transport_domain *t = d->self;
    serve_client_ctl(&t->serve, d, m, fd, now);
}

static void
transport_ready(struct domain *d, void *arg)
{
    struct transport_domain *t = d->self;
    (void)serve_client_ready(&t->serve, d, arg);
}

void
transport_run(struct domain *d, const struct transport_kind *k, struct transport *tr)
{
    static struct transport_domain t;
    static const struct domain_ops ops = {
        .turn = transport_turn,
        .deadline = transport_deadline,
        .arm = transport_arm,
        .peer_down = transport_peer_down,
        .ctl = transport_ctl,
        .ready = transport_ready,
    };
    t.kind = k;
    t.tr = tr;
    t.batch = driver_chain(&d->cfg) > 1 ? STEP_OUT : BATCH_MAX;
    t.ip = domain_peer_of(d, DOM_IP);
    if (t.ip == NULL)
        domain_fatal("no link to ip was handed over");
    if (window_open(2 * CLIENTS_MAX) != 0)
        domain_fatal("no room for clients");
    serve_init(&t.serve, k->ops, tr, k->ready(tr), k->first_client, d->stats);
    serve_client_init(&t.serve, d);
    if (d->cfg.restart != 0) /* ip and nic hold nothing of the predecessor's any more */
        k->ip_reset(tr);
    domain_run(d, &ops, &t);
}

void
transport_tcp_config(const struct ctl_config *c, struct tcp_config *t)
{
    *t = (struct tcp_config){
        .n_sessions = c->tcp_sessions,
        .half_open = c->half_open,
        .cookies = (uint8_t)c->syn_cookies,
        .orphans = c->orphans,
        .ecn = (uint8_t)c->ecn,
        .pacing = c->pacing != 0,
        .sndbuf = c->sndbuf,
        .rcvbuf = c->rcvbuf,
        .buffer_max = c->buffer_max,
        .csum_partial_ok = c->csum_partial_ok != 0,
        .segments = c->driver == DRIVER_PACKET,
        .congestion = (uint8_t)c->congestion,
    };
    memcpy(t->key, c->key, sizeof t->key);
}

void
transport_udp_config(const struct ctl_config *c, struct udp_config *u)
{
    *u = (struct udp_config){
        .n_sessions = c->udp_sessions,
        .sndbuf = c->sndbuf,
        .rcvbuf = c->rcvbuf,
        .csum_partial_ok = c->csum_partial_ok != 0,
        .csum_trusted = c->driver == DRIVER_PACKET,
    };
    memcpy(u->key, c->key, sizeof u->key);
}
