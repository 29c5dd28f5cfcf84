/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ip domain: the component between the link to nic below and the links to tcp and udp
 * above, and the account of who holds each frame.
 *
 *   link to nic   nic's: 0 rx, 1 done        ours: 0 tx, 1 fill
 *   links up      ours:  0 up, 1 done        theirs: 0 down
 */
#include "domain.h"
#include "ip_start.h"
#include "xsk.h"

enum { RX, DONE };    /* nic's rings */
enum { TX, FILL };    /* ours, to nic */
enum { UP, UP_DONE }; /* ours, to a transport */
#define DOWN 0        /* a transport's */

#define NIC_BATCH 256u /* frames to send that a turn may produce */
#define DRAIN_MAX (200 * NS_MS)

struct upper {
    struct domain_peer *peer;
    enum ip_up port;
    enum frame_part part;
    uint32_t reclaimed; /* ring index: the frames of all slots before it came back */
    uint32_t at_nic;    /* its frames that the nic has */
    ns_t ack_by;        /* it died: acknowledge when at_nic is 0, or then; 0: it did not */
};

struct ip_domain {
    struct domain *d;
    struct ip *ip;
    struct domain_peer *nic;
    struct upper up[IP_UPS];
    uint8_t *rx_holder; /* per receive frame; in the store: outlives us */
    uint8_t *at_nic;    /* per frame of the frame space: given to the nic to send */
    uint32_t n_rx;
    enum ip_state told;
    struct ip_out out;
    struct fdesc nic_out[NIC_BATCH];
    struct pkt up_out[IP_UPS][BATCH_MAX + FRAME_MAX_CHAIN];
};

/* Slots of `up` that may be written: not those whose frames we have yet to take back, though
 * the transport has released them. */
static uint32_t
up_space(const struct upper *u)
{
    const struct ring_tx *r = &u->peer->link.tx[UP];
    uint32_t most = BATCH_MAX + FRAME_MAX_CHAIN;
    if (!u->peer->link.up || r->poisoned)
        return 0; /* or what is for it would be lost, frames and all */
    return min_u32(r->cap - (r->my_tail - u->reclaimed), most);
}

static void
out_begin(struct ip_domain *s)
{
    s->out.n_nic = s->out.n_freed = 0;
    for (unsigned u = 0; u < IP_UPS; u++) {
        s->out.n_up[u] = s->out.n_done[u] = 0;
        s->out.cap_up[u] = up_space(&s->up[u]);
    }
}

static void
fill(struct ip_domain *s, uint32_t addr)
{
    struct link *l = &s->nic->link;
    uint32_t i = addr / FRAME_SIZE;
    s->rx_holder[i] = HOLD_NIC;
    if (!l->up)
        return; /* peer_up finds it by nicmap */
    struct fdesc *f = fring_reserve(&l->tx[FILL], l->tx_slots[FILL]);
    if (f != NULL)
        *f = (struct fdesc){.addr = i * FRAME_SIZE};
}

static struct upper *
upper_of(struct ip_domain *s, uint32_t addr)
{
    for (unsigned u = 0; u < IP_UPS; u++)
        if (frames_part(&s->d->frames, addr) == s->up[u].part)
            return &s->up[u];
    return NULL;
}

static void
send_nic(struct ip_domain *s, const struct fdesc *f)
{
    struct link *l = &s->nic->link;
    struct upper *u = upper_of(s, f->addr);
    *fring_reserve(&l->tx[TX], l->tx_slots[TX]) = *f; /* room was made sure of */
    if (u != NULL)
        u->at_nic++;
}

/* These frames are the nic's now. False: one of them is already, or is in it twice, and nothing
 * changes. That cannot come from an honest transport, which has a frame back before it uses it
 * again; and what is there twice comes back once, so that the account of it would never end. */
static bool
claim(struct ip_domain *s, const struct fdesc *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *at = &s->at_nic[f[i].addr / FRAME_SIZE];
        if (unlikely(*at != 0)) {
            while (i-- > 0)
                s->at_nic[f[i].addr / FRAME_SIZE] = 0;
            return false;
        }
        *at = 1;
    }
    return true;
}

/* A packet goes as a whole or not at all: what is cut off would be glued to the next one. */
static void
send_packets(struct ip_domain *s)
{
    struct link *l = &s->nic->link;
    const struct fdesc *f = s->out.nic;
    for (uint32_t i = 0, end; i < s->out.n_nic;) {
        for (end = i + 1; (f[end - 1].flags & FDESC_MORE) && end < s->out.n_nic;)
            end++;
        bool room = l->up && ring_space(&l->tx[TX], end - i) >= end - i;
        bool send = room && claim(s, &f[i], end - i);
        if (unlikely(room && !send))
            stat_inc(s->d->stats, STAT_ip_drop_tx_twice);
        for (; i < end; i++)
            if (likely(send))
                send_nic(s, &f[i]);
            else if (s->at_nic[f[i].addr / FRAME_SIZE] == 0)
                (void)ip_tx_done(s->ip, f[i].addr, &s->out); /* as if the wire had lost it */
    }
}

/* The nic has done with a frame, or will never be. */
static void
back_from_nic(struct ip_domain *s, uint32_t addr)
{
    uint32_t i = addr / FRAME_SIZE;
    if (addr >= frames_bytes(&s->d->frames) || s->at_nic[i] == 0) {
        stat_inc(s->d->stats, STAT_refused_frames);
        return;
    }
    s->at_nic[i] = 0;
    struct upper *u = upper_of(s, addr);
    if (u != NULL)
        u->at_nic--;
    (void)ip_tx_done(s->ip, addr, &s->out);
}

/* Hand the component's results to the neighbours. Nothing is visible before link_submit. */
static void
out_flush(struct ip_domain *s)
{
    send_packets(s);
    for (unsigned u = 0; u < IP_UPS; u++) {
        struct link *l = &s->up[u].peer->link;
        for (uint32_t i = 0; i < s->out.n_up[u]; i++) {
            struct pkt *slot = pring_reserve(&l->tx[UP], l->tx_slots[UP]);
            if (slot != NULL)
                *slot = s->out.up[u][i];
        }
        for (uint32_t i = 0; i < s->out.n_done[u] && l->up; i++) {
            struct fdesc *slot = fring_reserve(&l->tx[UP_DONE], l->tx_slots[UP_DONE]);
            if (slot != NULL)
                *slot = (struct fdesc){.addr = s->out.done[u][i]};
        }
    }
    for (uint32_t i = 0; i < s->out.n_freed; i++)
        fill(s, s->out.freed[i]);
    out_begin(s);
}

/* Frames in the slots that the transport has released are no longer read. */
static void
reclaim_up(struct ip_domain *s, struct upper *u, uint32_t until)
{
    const struct link *l = &u->peer->link;
    const struct pkt *slots = l->tx_slots[UP]; /* our own half: nobody else writes it */
    for (; u->reclaimed != until; u->reclaimed++) {
        const struct pkt *p = &slots[u->reclaimed & (l->tx[UP].cap - 1)];
        if (p->kind == PKT_DATA)
            ip_up_done(s->ip, p->addr, &s->out);
    }
}

static bool
turn_nic(struct ip_domain *s, ns_t now)
{
    struct link *l = &s->nic->link;
    struct fdesc f[BATCH_MAX + FRAME_MAX_CHAIN], ok[BATCH_MAX + FRAME_MAX_CHAIN];
    unsigned n_ok = 0;
    unsigned n_done = fring_take_batch(&l->rx[DONE], l->rx_slots[DONE], f, BATCH_MAX);
    for (unsigned i = 0; i < n_done; i++)
        back_from_nic(s, f[i].addr);
    unsigned n = fring_take_batch(&l->rx[RX], l->rx_slots[RX], f, BATCH_MAX);
    while (n != 0 && (f[n - 1].flags & FDESC_MORE) && n < ARRAY_LEN(f) &&
           fring_take(&l->rx[RX], l->rx_slots[RX], &f[n]))
        n++;
    for (unsigned i = 0; i < n; i++)
        if (ip_rx_take(s->d, s->rx_holder, &f[i]))
            ok[n_ok++] = f[i];
    for (unsigned taken = 0; taken < n_ok;) {
        unsigned k = ip_input(s->ip, ok + taken, n_ok - taken, &s->out, now);
        if (k == 0 && s->out.n_nic == 0) { /* cannot be: an empty out takes one at least */
            fill(s, ok[taken].addr);
            k = 1;
        }
        taken += k;
        out_flush(s);
    }
    link_release(l);
    return n + n_done != 0;
}

static bool
turn_up(struct ip_domain *s, struct upper *u, ns_t now)
{
    struct link *l = &u->peer->link;
    struct pkt in[BATCH_MAX + FRAME_MAX_CHAIN];
    unsigned n = pring_take_batch(&l->rx[DOWN], l->rx_slots[DOWN], in, BATCH_MAX);
    while (n != 0 && (in[n - 1].flags & PKT_MORE) && n < ARRAY_LEN(in) &&
           pring_take(&l->rx[DOWN], l->rx_slots[DOWN], &in[n]))
        n++;
    for (unsigned taken = 0; taken < n;) {
        unsigned k = ip_output(s->ip, u->port, in + taken, n - taken, &s->out, now);
        taken += k;
        bool stuck = k == 0 && s->out.n_nic == 0;
        out_flush(s);
        if (stuck)
            break; /* cannot be; what is left is lost as on the wire, its frames on restart */
    }
    link_release(l);
    return n != 0;
}

static enum turn
ip_turn(struct domain *d, ns_t now)
{
    struct ip_domain *s = d->self;
    bool busy = false;
    out_begin(s);
    for (unsigned u = 0; u < IP_UPS; u++) {
        struct ring_tx *r = &s->up[u].peer->link.tx[UP];
        if (!s->up[u].peer->link.up)
            continue;
        ring_tx_refresh(r);
        reclaim_up(s, &s->up[u], r->seen_head);
    }
    out_flush(s);
    if (s->nic->link.up)
        busy |= turn_nic(s, now);
    for (unsigned u = 0; u < IP_UPS; u++)
        if (s->up[u].peer->link.up)
            busy |= turn_up(s, &s->up[u], now);
    if (ip_deadline(s->ip) <= now)
        ip_timer(s->ip, &s->out, now);
    out_flush(s);
    for (unsigned u = 0; u < IP_UPS; u++) {
        struct upper *up = &s->up[u];
        if (up->peer->link.up && link_submit(&up->peer->link))
            stat_inc(d->stats, STAT_bells_rung);
        if (up->ack_by != 0 && (up->at_nic == 0 || now >= up->ack_by)) {
            up->ack_by = 0;
            domain_ack_down(d, up->peer);
        }
    }
    if (s->nic->link.up && link_submit(&s->nic->link))
        stat_inc(d->stats, STAT_bells_rung);
    ip_tell_state(d, s->ip, &s->told);
    return busy ? TURN_PACKETS : TURN_NOTHING;
}

static ns_t
ip_dom_deadline(struct domain *d)
{
    const struct ip_domain *s = d->self;
    ns_t at = ip_deadline(s->ip);
    for (unsigned u = 0; u < IP_UPS; u++)
        if (s->up[u].ack_by != 0)
            at = min_u64(at, s->up[u].ack_by);
    return at;
}

static void
ip_peer_up(struct domain *d, struct domain_peer *p, ns_t now)
{
    struct ip_domain *s = d->self;
    (void)now;
    out_begin(s);
    for (unsigned u = 0; u < IP_UPS; u++)
        if (s->up[u].peer == p)
            s->up[u].reclaimed = p->link.tx[UP].submitted;
    if (p != s->nic)
        return;
    /* What the kernel does not hold and we do not use is empty: the nic shall have it. */
    for (uint32_t i = 0; i < s->n_rx; i++)
        if (atomic_load_explicit(&d->nicmap->held[i], memory_order_relaxed))
            s->rx_holder[i] = HOLD_NIC;
        else if (s->rx_holder[i] != HOLD_IP)
            fill(s, i * FRAME_SIZE);
    /* A new nic has sent or dropped what its predecessor left before it says that it is ready.
     */
    for (uint32_t i = 0; i < frames_bytes(&d->frames) / FRAME_SIZE; i++)
        if (s->at_nic[i])
            back_from_nic(s, i * FRAME_SIZE);
    out_flush(s);
}

static bool
ip_peer_down(struct domain *d, struct domain_peer *p, ns_t now)
{
    struct ip_domain *s = d->self;
    out_begin(s);
    for (unsigned u = 0; u < IP_UPS; u++) {
        struct upper *up = &s->up[u];
        if (up->peer != p)
            continue;
        reclaim_up(s, up, p->link.tx[UP].submitted);
        ip_up_reset(s->ip, up->port, &s->out);
        out_flush(s);
        up->ack_by = up->at_nic == 0 ? 0 : now + DRAIN_MAX;
        return up->at_nic == 0;
    }
    return true;
}

static void
take_up_peers(struct ip_domain *s, struct domain *d)
{
    s->nic = domain_peer_of(d, DOM_NIC);
    s->up[IP_UP_TCP] = (struct upper){
        .peer = domain_peer_of(d, DOM_TCP), .port = IP_UP_TCP, .part = PART_TCPTX};
    s->up[IP_UP_UDP] = (struct upper){
        .peer = domain_peer_of(d, DOM_UDP), .port = IP_UP_UDP, .part = PART_UDPTX};
    if (s->nic == NULL || s->up[IP_UP_TCP].peer == NULL || s->up[IP_UP_UDP].peer == NULL ||
        d->nicmap == NULL)
        domain_fatal("a link or the nic's frame map is missing");
}

int
main(int argc, char **argv)
{
    static struct domain d;
    static struct ip_domain s;
    static const struct domain_ops ops = {
        .turn = ip_turn,
        .deadline = ip_dom_deadline,
        .peer_up = ip_peer_up,
        .peer_down = ip_peer_down,
    };
    domain_setup(&d, argc, argv);
    take_up_peers(&s, &d);
    s.d = &d;
    s.n_rx = d.frames.size[PART_RX] / FRAME_SIZE;
    uint32_t n_all = frames_bytes(&d.frames) / FRAME_SIZE;
    if (d.store_size < n_all)
        domain_fatal("the frame ledger is too small");
    s.rx_holder = d.store;
    /* Nobody above holds a frame of our predecessor's any more: nicmap alone counts. */
    memset(s.rx_holder, 0, s.n_rx);
    s.at_nic = domain_need(n_all);
    s.out = (struct ip_out){
        .nic = s.nic_out,
        .cap_nic = NIC_BATCH,
        .up = {s.up_out[IP_UP_TCP], s.up_out[IP_UP_UDP]},
        .freed = domain_need(n_all * sizeof(uint32_t)),
        .done = {domain_need(n_all * sizeof(uint32_t)), domain_need(n_all * sizeof(uint32_t))},
    };
    s.ip = ip_start(&d);
    domain_run(&d, &ops, &s);
}
