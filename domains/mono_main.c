/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The monolith: NIC, ip, tcp and udp in one process, confined like any domain. Same protocol
 * code, same clients, same supervisor; no ring between the components.
 */
#include "driver.h"
#include "guard.h"
#include "ip_start.h"
#include "join.h"
#include "serve_client.h"
#include "transport.h"
#include "xsk.h"

struct mono {
    struct domain *d;
    struct driver *drv;
    unsigned batch; /* frames to receive in a turn */
    struct join join;
    struct serve tcp, udp;
    uint8_t *rx_holder;
    uint8_t *at_nic; /* per frame of the frame space: the kernel has it to send */
    uint32_t n_rx;
    struct fdesc *fill; /* empty frames that the kernel had no room for yet */
    uint32_t n_fill;
    struct fdesc tx[2 * JOIN_NIC]; /* likewise frames to send */
    uint32_t n_tx;
    enum ip_state told;
};

static void
complete(struct mono *m)
{
    struct fdesc f[BATCH_MAX];
    unsigned n;
    while ((n = m->drv->ops->complete(m->drv, f, BATCH_MAX)) != 0)
        for (unsigned i = 0; i < n; i++) {
            uint32_t k = f[i].addr / FRAME_SIZE;
            if (f[i].addr >= frames_bytes(&m->d->frames) || !m->at_nic[k]) {
                stat_inc(m->d->stats, STAT_refused_frames);
                continue;
            }
            m->at_nic[k] = 0;
            (void)join_tx_done(&m->join, f[i].addr);
        }
}

static void
give_fill(struct mono *m)
{
    unsigned refused = 0;
    for (uint32_t i = 0; i < m->join.out.n_freed; i++) {
        uint32_t frame = m->join.out.freed[i] / FRAME_SIZE;
        m->rx_holder[frame] = HOLD_NIC;
        m->fill[m->n_fill++] = (struct fdesc){.addr = frame * FRAME_SIZE};
    }
    m->join.out.n_freed = 0;
    uint32_t done = 0;
    while (done < m->n_fill) {
        uint32_t want =
            min_u32(min_u32(m->n_fill - done, BATCH_MAX), m->drv->ops->fill_space(m->drv));
        if (want == 0)
            break;
        done += m->drv->ops->fill(m->drv, m->fill + done, want, &refused);
    }
    m->n_fill -= done;
    memmove(m->fill, m->fill + done, m->n_fill * sizeof *m->fill);
    stat_add(m->d->stats, STAT_refused_frames, refused);
}

static bool
send_frames(struct mono *m)
{
    for (uint32_t i = 0; i < m->join.out.n_nic; i++) {
        m->at_nic[m->join.nic[i].addr / FRAME_SIZE] = 1;
        m->tx[m->n_tx++] = m->join.nic[i];
    }
    m->join.out.n_nic = 0;
    uint32_t n = min_u32(m->n_tx, m->drv->ops->tx_space(m->drv));
    if (n != 0) {
        uint64_t bytes = 0, packets = 0;
        n = m->drv->ops->tx(m->drv, m->tx, n);
        for (uint32_t i = 0; i < n; i++) {
            bytes += m->tx[i].len;
            packets += !(m->tx[i].flags & FDESC_MORE);
        }
        stat_add(m->d->stats, STAT_nic_tx, packets);
        stat_add(m->d->stats, STAT_nic_tx_bytes, bytes);
        m->n_tx -= n;
        memmove(m->tx, m->tx + n, m->n_tx * sizeof *m->tx);
    }
    if (m->drv->ops->tx_queued(m->drv))
        stat_inc(m->d->stats, STAT_nic_kicks);
    return m->drv->ops->kick(m->drv);
}

static unsigned
receive(struct mono *m, struct fdesc *ok)
{
    struct fdesc f[BATCH_MAX + FRAME_MAX_CHAIN];
    unsigned n = m->drv->ops->rx_peek(m->drv, f, m->batch), n_ok = 0;
    uint64_t bytes = 0, packets = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!ip_rx_take(m->d, m->rx_holder, &f[i]))
            continue;
        bytes += f[i].len;
        packets += !(f[i].flags & FDESC_MORE);
        ok[n_ok++] = f[i];
    }
    if (n != 0) {
        m->drv->ops->rx_done(m->drv, n);
        stat_add(m->d->stats, STAT_nic_rx, packets);
        stat_add(m->d->stats, STAT_nic_rx_bytes, bytes);
    }
    return n_ok;
}

static enum turn
mono_turn(struct domain *d, ns_t now)
{
    struct mono *m = d->self;
    struct fdesc rx[BATCH_MAX + FRAME_MAX_CHAIN];
    complete(m);
    bool asked = serve_requests(&m->tcp, now), moved = false;
    asked |= serve_requests(&m->udp, now);
    join_begin(&m->join);
    /* Room first: what the kernel does not take stays with us, and then nothing new is made. */
    if (m->n_tx < JOIN_NIC) {
        unsigned n = receive(m, rx);
        moved = join_turn(&m->join, rx, n, now);
    }
    give_fill(m);
    moved |= send_frames(m);
    serve_events(&m->tcp);
    serve_events(&m->udp);
    serve_client_reap(&m->tcp, d);
    serve_client_reap(&m->udp, d);
    ip_tell_state(d, m->join.ip, &m->told);
    if (moved)
        return TURN_PACKETS;
    return asked ? TURN_REQUESTS : TURN_NOTHING;
}

static ns_t
mono_deadline(struct domain *d)
{
    struct mono *m = d->self;
    ns_t now = domain_now();
    ns_t at = min_u64(serve_deadline(&m->tcp, now), serve_deadline(&m->udp, now));
    at = min_u64(at, m->drv->ops->deadline(m->drv, now));
    return m->n_tx < JOIN_NIC ? min_u64(at, join_deadline(&m->join)) : at;
}

static bool
mono_arm(struct domain *d)
{
    struct mono *m = d->self;
    bool waits = serve_arm(&m->tcp);
    waits |= serve_arm(&m->udp);
    return waits || m->drv->ops->rx_pending(m->drv) || m->drv->ops->done_pending(m->drv);
}

static void
mono_ctl(struct domain *d, struct ctl_msg *msg, int *fd, ns_t now)
{
    struct mono *m = d->self;
    bool udp = ((msg->type == CTL_CLIENT_ADD || msg->type == CTL_CLIENT_GONE) &&
                msg->client.id >= m->udp.first) ||
               (msg->type == CTL_STANDINS && msg->standins.client >= m->udp.first);
    serve_client_ctl(udp ? &m->udp : &m->tcp, d, msg, fd, now);
}

static void
mono_ready(struct domain *d, void *arg)
{
    struct mono *m = d->self;
    if (arg == m->drv)
        return;
    if (!serve_client_ready(&m->tcp, d, arg))
        (void)serve_client_ready(&m->udp, d, arg);
}

/* The store: tcp's, then udp's, then the frame ledger, each on a page of its own. */
static void
components(struct mono *m, struct domain *d)
{
    struct tcp_config tc;
    struct udp_config uc;
    transport_tcp_config(&d->cfg, &tc);
    transport_udp_config(&d->cfg, &uc);
    uc.ports = d->ports;
    size_t tcp_bytes = ALIGN_UP(tcp_store_size(&tc, &d->frames), (size_t)4096);
    size_t udp_bytes = ALIGN_UP(udp_store_size(&uc, &d->frames), (size_t)4096);
    uint32_t n_all = frames_bytes(&d->frames) / FRAME_SIZE;
    if (d->store_size < tcp_bytes + udp_bytes + n_all)
        domain_fatal("the store is too small");
    uint8_t *store = d->store;
    ns_t now = domain_now();
    struct ip *ip = ip_start(d);
    struct tcp *t = tcp_init(store, domain_alloc(tcp_soft_size(&tc, &d->frames)), &tc,
                             &d->frames, d->path, d->stats, now);
    struct udp *u = udp_init(store + tcp_bytes, domain_alloc(udp_soft_size(&uc, &d->frames)),
                             &uc, &d->frames, d->path, d->stats, now);
    if (d->cfg.restart != 0) {
        tcp_ip_reset(t);
        udp_ip_reset(u);
    }
    m->rx_holder = store + tcp_bytes + udp_bytes;
    m->at_nic = domain_need(n_all);
    join_init(&m->join, ip, t, u, domain_need(n_all * sizeof(uint32_t)),
              domain_need(n_all * sizeof(uint32_t)), domain_need(n_all * sizeof(uint32_t)));
    if (driver_chain(&d->cfg) > 1)
        m->join.batch = JOIN_OUT;
    if (window_open(2 * CLIENTS_MAX) != 0)
        domain_fatal("no room for clients");
    serve_init(&m->tcp, &tcp_ops, (struct transport *)(void *)t, tcp_clients_ready(t), 0,
               d->stats);
    serve_init(&m->udp, &udp_ops, (struct transport *)(void *)u, udp_clients_ready(u),
               SERVE_CLIENTS, d->stats);
    m->tcp.list_next = &m->udp;
    m->udp.list_base = tc.n_sessions;
    serve_client_init(&m->tcp, d);
    serve_client_init(&m->udp, d);
}

/* Every receive frame that the kernel does not hold is empty. */
static void
take_up_frames(struct mono *m, struct domain *d)
{
    m->n_rx = d->frames.size[PART_RX] / FRAME_SIZE;
    m->fill = domain_need(2 * m->n_rx * sizeof *m->fill);
    for (uint32_t i = 0; i < m->n_rx; i++) {
        m->rx_holder[i] = HOLD_NIC;
        if (!atomic_load_explicit(&d->nicmap->held[i], memory_order_relaxed))
            m->fill[m->n_fill++] = (struct fdesc){.addr = i * FRAME_SIZE};
    }
    /* What the predecessor gave the kernel to send: wait until it is sent, so that no frame is
     * written to on its way out. */
    struct fdesc f[BATCH_MAX];
    ns_t until = domain_now() + 200 * NS_MS;
    while (m->drv->ops->tx_outstanding(m->drv) != 0 && domain_now() < until) {
        (void)m->drv->ops->kick(m->drv);
        while (m->drv->ops->complete(m->drv, f, BATCH_MAX) != 0)
            ;
    }
}

int
main(int argc, char **argv)
{
    static struct domain d;
    static struct mono m;
    static const struct domain_ops ops = {
        .turn = mono_turn,
        .deadline = mono_deadline,
        .arm = mono_arm,
        .ctl = mono_ctl,
        .ready = mono_ready,
    };
    domain_setup(&d, argc, argv);
    m.d = &d;
    m.drv = driver_open(&d);
    m.batch = driver_chain(&d.cfg) > 1 ? BATCH_MAX + FRAME_MAX_CHAIN : BATCH_MAX;
    components(&m, &d);
    take_up_frames(&m, &d);
    if (domain_watch_edge(&d, d.nic_fd, m.drv) != 0)
        domain_fatal("the socket of the interface cannot be watched");
    domain_run(&d, &ops, &m);
}
