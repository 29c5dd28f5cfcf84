/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The neighbour cache: where the hosts of the connected network are.
 *
 * INCOMPLETE  asked by broadcast, no answer yet; packets wait, bounded
 * REACHABLE   answered within the last minute
 * STALE       known, but that is a while ago, or it was not us who asked
 * PROBE       used while stale: still used, and asked by unicast (RFC 1122 2.3.2.1);
 *             no answer to three of them: forgotten, and the next packet asks everybody
 *
 * Only a request for our own address or a packet of our own makes an entry. What a
 * flood of requests makes may only push out what was not used for sending lately.
 *
 * What is there for neighbours that do not answer is shared out between the transports'
 * clients: one has a quarter of it at most, and where nothing is left, whoever has the most
 * gives way to one who has less. Which client it is the transport says; one that lies
 * harms its own clients.
 */
#include "priv.h"

static uint32_t
bucket_of(const struct ip *ip, const struct ipaddr *a)
{
    uint64_t h = (a->q[0] ^ ip->key[0]) * 0x9e3779b97f4a7c15u + (a->q[1] ^ ip->key[1]);
    h *= 0xff51afd7ed558ccdu;
    return (uint32_t)(h >> 56) % NEIGH_BUCKETS;
}

void
neigh_init(struct ip *ip)
{
    for (unsigned i = 0; i < NEIGH_BUCKETS; i++)
        ip->bucket[i] = NONE16;
    for (unsigned i = 0; i < WAIT_SLOTS; i++)
        ip->wait[i] = (struct wait_slot){
            .next = (uint16_t)(i + 1 < WAIT_SLOTS ? i + 1 : NONE16), .holder = NONE16};
    ip->wait_free = 0;
    ip->n_wait_free = WAIT_SLOTS;
    static const enum frame_part part[OWNERS] = {
        [OWNER_TCP] = PART_TCPTX, [OWNER_UDP] = PART_UDPTX, [OWNER_IP] = PART_IPTX};
    for (unsigned i = 0; i < OWNERS; i++)
        ip->wait_max[i] = min_u32(ip->f.size[part[i]] / FRAME_SIZE / 2, WAIT_SLOTS);
}

struct neigh *
neigh_find(struct ip *ip, const struct ipaddr *a)
{
    for (uint16_t i = ip->bucket[bucket_of(ip, a)]; i != NONE16; i = ip->neigh[i].next)
        if (ipaddr_eq(&ip->neigh[i].addr, a))
            return &ip->neigh[i];
    return NULL;
}

static void
set_state(struct ip *ip, struct neigh *n, enum neigh_state s)
{
    int change = (s == NEIGH_INCOMPLETE) - (n->state == NEIGH_INCOMPLETE);
    ip->n_incomplete += (uint32_t)change;
    ip->held[n->holder].places = (uint8_t)(ip->held[n->holder].places + change);
    n->state = (uint8_t)s;
}

/* The entry's queue must be empty. */
static void
neigh_free(struct ip *ip, struct neigh *n)
{
    uint16_t me = (uint16_t)(n - ip->neigh);
    uint16_t *at = &ip->bucket[bucket_of(ip, &n->addr)];
    while (*at != me)
        at = &ip->neigh[*at].next;
    *at = n->next;
    set_state(ip, n, NEIGH_FREE);
}

/* May this entry make room? For a packet of our own: whatever nothing waits for. For
 * an ARP request: only what was not used for sending within a minute. */
static bool
evictable(const struct neigh *n, bool for_request, ns_t now)
{
    if (n->state != NEIGH_REACHABLE && n->state != NEIGH_STALE)
        return false;
    return !for_request || !n->used || now - n->last_used > NEIGH_FRESH;
}

/* The one that goes first: never used before used, then the least recently used. */
static bool
goes_before(const struct neigh *a, const struct neigh *b)
{
    return a->used != b->used ? b->used : a->last_used < b->last_used;
}

static struct neigh *
neigh_make(struct ip *ip, const struct ipaddr *a, bool for_request, ns_t now)
{
    struct neigh *n = NULL;
    for (unsigned i = 0; i < NEIGH_ENTRIES; i++) {
        struct neigh *c = &ip->neigh[i];
        if (c->state == NEIGH_FREE) {
            n = c;
            break;
        }
        if (evictable(c, for_request, now) && (n == NULL || goes_before(c, n)))
            n = c;
    }
    if (n == NULL)
        return NULL;
    if (n->state != NEIGH_FREE)
        neigh_free(ip, n);
    uint16_t *bucket = &ip->bucket[bucket_of(ip, a)];
    *n = (struct neigh){
        .addr = *a, .last_used = now, .next = *bucket, .q_head = NONE16, .q_tail = NONE16};
    *bucket = (uint16_t)(n - ip->neigh);
    return n;
}

static void
ask(struct ip *ip, struct ip_out *out, struct neigh *n, ns_t now)
{
    n->tries++;
    n->due = now + NEIGH_RETRY;
    ip_wake_at(ip, n->due);
    arp_request(ip, out, &n->addr, n->state == NEIGH_PROBE ? n->mac : NULL, now);
}

/* There must be a free slot. */
static void
enqueue(struct ip *ip, struct neigh *n, const struct wait_slot *w)
{
    uint16_t at = ip->wait_free;
    ip->wait_free = ip->wait[at].next;
    ip->n_wait_free--;
    ip->wait[at] = *w;
    ip->wait[at].next = NONE16;
    ip->held[w->holder].frames++;
    ip->waits[w->who]++;
    if (n->q_head == NONE16)
        n->q_head = at;
    else
        ip->wait[n->q_tail].next = at;
    n->q_tail = at;
    n->q_frames++;
    n->q_packets = (uint8_t)(n->q_packets + w->first);
}

/* The queue's first frame; false: none. */
static bool
dequeue(struct ip *ip, struct neigh *n, struct wait_slot *w)
{
    uint16_t at = n->q_head;
    if (at == NONE16)
        return false;
    *w = ip->wait[at];
    n->q_head = w->next;
    n->q_frames--;
    n->q_packets = (uint8_t)(n->q_packets - w->first);
    ip->wait[at].next = ip->wait_free;
    ip->wait[at].holder = NONE16;
    ip->wait_free = at;
    ip->n_wait_free++;
    ip->held[w->holder].frames--;
    ip->waits[w->who]--;
    return true;
}

/* ---- shares ---- */

/* Room for something else: what waited is lost, and nobody is told that the host is not there,
 * for that is not known. */
static void
drop(struct ip *ip, struct ip_out *out, const struct wait_slot *w)
{
    ip_tx_release(ip, out, (enum owner)w->who, w->frame.addr);
    if (w->first)
        stat_inc(ip->stats, STAT_arp_drop_queue);
}

static void
give_up(struct ip *ip, struct ip_out *out, struct neigh *n)
{
    struct wait_slot w;
    while (dequeue(ip, n, &w))
        drop(ip, out, &w);
    neigh_free(ip, n);
}

/* A place that is given up for one more of this client's: among its own one that was asked for
 * a second ago and more, so that hosts that are there have the time to answer, and nobody makes
 * us ask at the rate at which it sends. Where all are taken: of whoever has the most. The
 * oldest; NULL: none. */
static struct neigh *
place_to_give(struct ip *ip, uint16_t holder, bool own, ns_t now)
{
    struct neigh *best = NULL;
    unsigned most = ip->held[holder].places + 1u;
    for (unsigned i = 0; i < NEIGH_ENTRIES; i++) {
        struct neigh *n = &ip->neigh[i];
        unsigned has = ip->held[n->holder].places;
        if (n->state != NEIGH_INCOMPLETE ||
            (own ? n->holder != holder || now - n->asked < NEIGH_RETRY
                 : has < most || (best == NULL && has == most)))
            continue;
        if (best == NULL || (!own && has > most) || n->asked < best->asked) {
            best = n;
            most = has;
        }
    }
    return best;
}

static bool
place_for(struct ip *ip, struct ip_out *out, uint16_t holder, ns_t now)
{
    bool own = ip->held[holder].places >= NEIGH_INCOMPLETE_MAX / NEIGH_SHARE;
    if (!own && ip->n_incomplete < NEIGH_INCOMPLETE_MAX)
        return true;
    struct neigh *n = place_to_give(ip, holder, own, now);
    if (n == NULL)
        return false;
    give_up(ip, out, n);
    return true;
}

struct neigh *
neigh_use(struct ip *ip, struct ip_out *out, const struct ipaddr *hop, uint16_t holder,
          ns_t now)
{
    struct neigh *n = neigh_find(ip, hop);
    if (n == NULL) {
        if (!place_for(ip, out, holder, now) || (n = neigh_make(ip, hop, false, now)) == NULL)
            return NULL;
        n->holder = holder;
        n->asked = now;
        set_state(ip, n, NEIGH_INCOMPLETE);
        ask(ip, out, n, now);
    }
    n->last_used = now;
    n->used = true;
    if (n->state == NEIGH_REACHABLE && now >= n->due)
        set_state(ip, n, NEIGH_STALE);
    if (n->state == NEIGH_STALE) {
        set_state(ip, n, NEIGH_PROBE);
        n->tries = 0;
        ask(ip, out, n, now);
    }
    return n;
}

/* What waits in n and is charged to h is dropped; what stays keeps its order. */
static bool
drop_held(struct ip *ip, struct ip_out *out, struct neigh *n, uint16_t h)
{
    struct wait_slot w;
    bool any = false;
    for (unsigned k = n->q_frames; k > 0 && dequeue(ip, n, &w); k--) {
        if (w.holder == h) {
            drop(ip, out, &w);
            any = true;
        } else {
            enqueue(ip, n, &w);
        }
    }
    return any;
}

/* Room for k more frames: what one neighbour keeps of whoever has the most is dropped, if that
 * is more than w's client will have. */
static bool
make_room(struct ip *ip, struct ip_out *out, const struct wait_slot *w, unsigned k)
{
    while (ip->n_wait_free < k || ip->waits[w->who] + k > ip->wait_max[w->who]) {
        bool any_who = ip->n_wait_free < k, done = false;
        uint16_t h = w->holder;
        unsigned most = ip->held[h].frames + k;
        for (unsigned i = 0; i < WAIT_SLOTS; i++) {
            const struct wait_slot *o = &ip->wait[i];
            if (o->holder != NONE16 && (any_who || o->who == w->who) &&
                ip->held[o->holder].frames > most) {
                h = o->holder;
                most = ip->held[h].frames;
            }
        }
        if (h == w->holder)
            return false;
        for (unsigned i = 0; i < NEIGH_ENTRIES && !done; i++)
            if (ip->neigh[i].state == NEIGH_INCOMPLETE)
                done = drop_held(ip, out, &ip->neigh[i], h);
        if (!done)
            return false;
    }
    return true;
}

bool
neigh_queue(struct ip *ip, struct ip_out *out, struct neigh *n, struct wait_slot *w,
            const struct fdesc *frames, unsigned k)
{
    unsigned has = ip->held[w->holder].frames;
    if (n->q_packets >= NEIGH_PACKETS || n->q_frames + k > NEIGH_FRAMES)
        return false;
    /* One packet may wait, however large it is. */
    if ((has != 0 && has + k > ip->wait_max[w->who] / NEIGH_SHARE) ||
        k > ip->wait_max[w->who] || !make_room(ip, out, w, k))
        return false;
    for (unsigned i = 0; i < k; i++) {
        w->frame = frames[i];
        w->first = i == 0;
        enqueue(ip, n, w);
    }
    return true;
}

/* The frames go out, now that there is an address to write in front. */
static void
flush(struct ip *ip, struct ip_out *out, struct neigh *n, ns_t now)
{
    static const uint32_t tx =
        PART_BIT(PART_IPTX) | PART_BIT(PART_TCPTX) | PART_BIT(PART_UDPTX);
    struct wait_slot w;
    struct fdesc d[FRAME_MAX_CHAIN]; /* of one packet, whose header is in the first */
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    memcpy(e.dst, n->mac, 6);
    memcpy(e.src, ip->cfg.mac, 6);
    for (unsigned k = 0; dequeue(ip, n, &w);) {
        d[k++] = w.frame;
        if ((w.frame.flags & FDESC_MORE) && k < ARRAY_LEN(d))
            continue;
        eth_emit(frames_rw(&ip->f, tx, d->addr, d->len), &e);
        ip_nic_send(ip, out, (enum owner)w.who, d, k, now);
        k = 0;
    }
}

/* Nobody answered: the packets are dropped and their senders told, once a packet. */
static void
fail(struct ip *ip, struct ip_out *out, struct neigh *n)
{
    struct wait_slot w;
    stat_inc(ip->stats, STAT_arp_failed);
    while (dequeue(ip, n, &w)) {
        ip_tx_release(ip, out, (enum owner)w.who, w.frame.addr);
        if (w.first && w.who != OWNER_IP)
            up_icmp(ip, out, &w.icmp);
    }
    neigh_free(ip, n);
}

void
neigh_learn(struct ip *ip, struct ip_out *out, const struct ipaddr *a, const uint8_t mac[6],
            bool solicited, bool create, ns_t now)
{
    struct neigh *n = neigh_find(ip, a);
    if (n == NULL && (!create || (n = neigh_make(ip, a, true, now)) == NULL))
        return;
    bool waiting = n->state == NEIGH_INCOMPLETE, changed = !mac_eq(n->mac, mac);
    solicited = solicited && (waiting || n->state == NEIGH_PROBE);
    memcpy(n->mac, mac, 6);
    if (solicited) {
        set_state(ip, n, NEIGH_REACHABLE);
        n->due = now + NEIGH_FRESH;
    } else if (n->state == NEIGH_FREE || waiting || changed) {
        /* It is not known to hear us at this address: asked at the next use. */
        set_state(ip, n, NEIGH_STALE);
    }
    if (waiting)
        flush(ip, out, n, now);
}

void
neigh_timer(struct ip *ip, struct ip_out *out, ns_t now)
{
    for (unsigned i = 0; i < NEIGH_ENTRIES; i++) {
        struct neigh *n = &ip->neigh[i];
        if (n->state != NEIGH_INCOMPLETE && n->state != NEIGH_PROBE)
            continue;
        if (now < n->due)
            ip_wake_at(ip, n->due);
        else if (n->tries < NEIGH_TRIES)
            ask(ip, out, n, now);
        else
            fail(ip, out, n);
    }
}

void
neigh_forget(struct ip *ip, enum owner who, struct ip_out *out)
{
    for (unsigned i = 0; i < NEIGH_ENTRIES; i++) {
        struct neigh *n = &ip->neigh[i];
        struct wait_slot w;
        if (n->state != NEIGH_INCOMPLETE)
            continue;
        /* Once round the queue: what stays is put behind the others again. */
        for (unsigned k = n->q_frames; k > 0 && dequeue(ip, n, &w); k--) {
            if (w.who == who)
                ip_tx_release(ip, out, who, w.frame.addr);
            else
                enqueue(ip, n, &w);
        }
    }
}
