/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client_kit.c: what the domain of client_kit.h does with requests and payload.
 */
#include "client_kit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

RING_DEFINE(kreq, struct sess_req)
RING_DEFINE(kevt, struct sess_evt)

#define get(x) atomic_load_explicit(&(x), memory_order_acquire)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_release)

static void
publish(struct kit *k)
{
    ring_submit(&k->evt);
    if (k->ringer.fd >= 0 && bell_due(&k->ringer))
        bell_ring(&k->ringer);
}

static void
post(struct kit *k, const struct sess_evt *e)
{
    struct sess_evt *slot = kevt_reserve(&k->evt, k->v.evt);
    if (slot == NULL) {
        atomic_fetch_add(&k->v.d_head->lost, 1);
        return;
    }
    *slot = *e;
    publish(k);
}

/* As a domain does it: tell once a generation, if what is armed holds. */
static void
wake(struct kit *k, uint32_t slot)
{
    const struct slot_client *c = &k->v.c_slot[slot];
    const struct slot_domain *d = &k->v.d_slot[slot];
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t arm = get(c->arm), state = get(d->state), err = get(d->err);
    if (arm >> 2 == k->s[slot].posted)
        return;
    if (((arm & SLOT_READ) && slot_readable(state, err, get(d->rx_tail), get(c->rx_head))) ||
        ((arm & SLOT_WRITE) &&
         slot_writable(state, err, get(d->sndbuf), get(c->tx_tail), get(d->tx_head)))) {
        k->s[slot].posted = arm >> 2;
        post(k, &(struct sess_evt){.kind = EVT_READY, .slot = slot});
    }
}

void
kit_state(struct kit *k, uint32_t slot, uint32_t on, uint32_t off, int err)
{
    struct slot_domain *d = &k->v.d_slot[slot];
    if (err != 0) {
        set(d->err, (uint32_t)err);
        set(d->err_seq, get(d->err_seq) + 1);
    }
    set(d->state, (get(d->state) | on) & ~off);
    wake(k, slot);
}

static uint32_t
put_rx(struct kit *k, uint32_t slot, const void *data, uint32_t len)
{
    struct slot_domain *d = &k->v.d_slot[slot];
    uint64_t tail = get(d->rx_tail);
    uint32_t n = fifo_rx_prepare(&k->v, slot, &k->pages, tail, len);
    fifo_rx_write(&k->v, slot, tail, data, n);
    set(d->rx_tail, tail + n);
    return n;
}

void
kit_deliver(struct kit *k, uint32_t slot, const void *data, uint32_t len)
{
    if (put_rx(k, slot, data, len) != len)
        abort();
    wake(k, slot);
}

void
kit_deliver_dgram(struct kit *k, uint32_t slot, const void *data, uint32_t len, uint16_t port)
{
    struct dgram_head h = {.len = len,
                           .port = port,
                           .addr = ipaddr_v4_u32(KIT_PEER),
                           .local = ipaddr_v4_u32(KIT_OWN)};
    uint8_t *rec = calloc(1, dgram_record_bytes(len));
    memcpy(rec, &h, sizeof h);
    memcpy(rec + sizeof h, data, len);
    if (put_rx(k, slot, rec, dgram_record_bytes(len)) != dgram_record_bytes(len))
        abort();
    free(rec);
    wake(k, slot);
}

/* ---- requests ---- */

/* The place of a handle of the session, or a free one (handle 0). */
static uint64_t *
handle_at(struct kit_slot *s, uint64_t handle)
{
    if (s->handle == handle)
        return &s->handle;
    for (unsigned i = 0; i < ARRAY_LEN(s->minted); i++)
        if (s->minted[i] == handle)
            return &s->minted[i];
    return NULL;
}

static uint32_t
slot_of(struct kit *k, uint64_t handle)
{
    for (uint32_t i = 0; i < k->g.n_slots; i++)
        if (k->s[i].used && handle_at(&k->s[i], handle) != NULL)
            return i;
    return UINT32_MAX;
}

static void
mint(struct kit *k, uint32_t slot, struct sess_evt *e)
{
    uint64_t *free = handle_at(&k->s[slot], 0);
    if (free == NULL)
        abort();
    e->handle = *free = ++k->next_handle << 8 | slot;
}

/* A handle dies, unless it is the last: that one stays, as the session's only name. */
static bool
drop(struct kit *k, uint32_t slot, uint64_t handle)
{
    struct kit_slot *s = &k->s[slot];
    unsigned i = 0;
    while (i < ARRAY_LEN(s->minted) && (s->minted[i] == 0 || s->minted[i] == handle))
        i++;
    if (s->handle != handle) {
        *handle_at(s, handle) = 0;
        return true;
    }
    if (i == ARRAY_LEN(s->minted))
        return false;
    s->handle = s->minted[i];
    s->minted[i] = 0;
    return true;
}

static uint32_t
open_slot(struct kit *k)
{
    for (uint32_t i = 0; i < k->g.n_slots; i++) {
        if (k->s[i].used)
            continue;
        struct slot_client *c = &k->v.c_slot[i];
        struct slot_domain *d = &k->v.d_slot[i];
        if (get(c->tx_tail) != 0 || get(c->rx_head) != 0)
            abort(); /* was given back as the layout says */
        if (dir_count(&c->tx_dir, k->v.tx_page, k->g.n_tx_pages) != 0)
            abort();
        memset((void *)d, 0, sizeof *d);
        set(d->sndbuf, k->sndbuf);
        set(d->rcvbuf, k->rcvbuf);
        set(d->rx_notify, 0);
        set(d->state, SLOT_OPEN | (k->proto == IPPROTO_UDP ? SLOT_CONNECTED : 0));
        k->s[i] = (struct kit_slot){.used = true, .handle = ++k->next_handle << 8 | i};
        return i;
    }
    return UINT32_MAX;
}

static void
do_connect(struct kit *k, uint32_t slot, const struct sess_req *r)
{
    k->s[slot].rport = r->port;
    if (k->proto == IPPROTO_UDP)
        return;
    if (k->connect == KIT_ACCEPTS)
        kit_state(k, slot, SLOT_CONNECTED, SLOT_CONNECTING | SLOT_DEAD, 0);
    else if (k->connect == KIT_REFUSES)
        kit_state(k, slot, SLOT_DEAD, SLOT_CONNECTING, ECONNREFUSED);
    else
        kit_state(k, slot, SLOT_CONNECTING, SLOT_DEAD, 0);
}

static void
do_shutdown(struct kit *k, uint32_t slot, uint64_t how)
{
    kit_state(k, slot, (how != SHUT_RD ? SLOT_NOSEND : 0) | (how != SHUT_WR ? SLOT_EOF : 0), 0,
              0);
}

static void
answer(struct kit *k, uint32_t slot, const struct sess_req *r, struct sess_evt *e)
{
    struct slot_domain *d = &k->v.d_slot[slot];
    switch (r->op) {
    case REQ_CONNECT:
        do_connect(k, slot, r);
        break;
    case REQ_LISTEN:
        kit_state(k, slot, SLOT_LISTEN, 0, 0);
        break;
    case REQ_SHUTDOWN:
        do_shutdown(k, slot, r->value);
        break;
    case REQ_ACCEPTED:
        k->s[slot].accepted++;
        break;
    case REQ_MINT:
        mint(k, slot, e);
        break;
    case REQ_REVOKE: /* what was minted from it is nobody's any more, for all that it matters */
        (void)drop(k, slot, r->handle);
        break;
    case REQ_CLOSE:
        k->s[slot].closed = !drop(k, slot, r->handle);
        break;
    case REQ_RELEASED:
        fifo_rx_clear(&k->v, slot, &k->pages);
        k->s[slot].used = false;
        break;
    case REQ_SEND:
        k->urgent = r->value != 0 ? r->value : k->urgent;
        break;
    case REQ_GETOPT:
        e->value = r->name == SO_ERROR ? get(d->err) : k->sockopt_value;
        if (r->level == SOL_SOCKET && r->name == SO_ERROR)
            set(d->err, 0);
        break;
    case REQ_SETOPT:
        if (r->name == SO_LINGER)
            k->s[slot].linger_zero = r->value == LINGER_ON;
        k->sockopt_value = r->value;
        break;
    case REQ_NAME:
        e->addr = ipaddr_v4_u32(KIT_OWN);
        e->port = 1234;
        e->peer_v4 = k->s[slot].rport != 0 ? KIT_PEER : 0;
        e->peer_port = k->s[slot].rport;
        break;
    default:
        break;
    }
}

static void
one_request(struct kit *k, const struct sess_req *r)
{
    struct sess_evt e = {.kind = EVT_REPLY, .cookie = r->cookie};
    uint32_t slot = slot_of(k, r->handle);
    if (r->op == 0 || r->op >= REQ_OPS)
        abort();
    k->seen[r->op]++;
    if (r->op == REQ_SOCKET) {
        slot = open_slot(k);
        e.err = slot == UINT32_MAX ? EMFILE : 0;
        e.slot = slot;
        e.handle = slot == UINT32_MAX ? 0 : k->s[slot].handle;
    } else if (slot == UINT32_MAX) {
        e.err = EBADF;
    } else {
        k->s[slot].due = true;
        answer(k, slot, r, &e);
    }
    bool reply = r->op != REQ_ACCEPTED && r->op != REQ_CLOSE && r->op != REQ_SEND &&
                 r->op != REQ_CONSUMED && r->op != REQ_RELEASED;
    if (reply && k->drop_replies > 0)
        k->drop_replies--;
    else if (reply)
        post(k, &e);
}

/* ---- payload ---- */

static bool
echo_stream(struct kit *k, uint32_t slot, uint64_t tail)
{
    struct slot_domain *d = &k->v.d_slot[slot];
    uint8_t buf[3000];
    bool any = false;
    while (k->s[slot].tx_taken < tail) {
        uint64_t queued = get(d->rx_tail) - get(k->v.c_slot[slot].rx_head);
        uint32_t room = queued < k->rcvbuf ? k->rcvbuf - (uint32_t)queued : 0;
        uint32_t n = min_u32((uint32_t)min_u64(tail - k->s[slot].tx_taken, sizeof buf), room);
        n = fifo_rx_prepare(&k->v, slot, &k->pages, get(d->rx_tail), n);
        if (n == 0) {
            k->s[slot].due = room > 0;
            break;
        }
        fifo_tx_read(&k->v, slot, k->s[slot].tx_taken, buf, n);
        if (put_rx(k, slot, buf, n) != n)
            abort();
        k->s[slot].tx_taken += n;
        any = true;
    }
    set(d->tx_head, k->s[slot].tx_taken);
    return any;
}

static bool
echo_dgrams(struct kit *k, uint32_t slot, uint64_t tail)
{
    struct slot_domain *d = &k->v.d_slot[slot];
    static __thread uint8_t buf[DGRAM_MAX + 64];
    bool any = false;
    while (k->s[slot].tx_taken + sizeof(struct dgram_head) <= tail) {
        struct dgram_head h;
        fifo_tx_read(&k->v, slot, k->s[slot].tx_taken, &h, sizeof h);
        uint32_t bytes = dgram_record_bytes(h.len);
        if (h.len > DGRAM_MAX || k->s[slot].tx_taken + bytes > tail)
            abort();
        if (fifo_rx_prepare(&k->v, slot, &k->pages, get(d->rx_tail), bytes) != bytes) {
            k->s[slot].due = true;
            break;
        }
        fifo_tx_read(&k->v, slot, k->s[slot].tx_taken, buf, bytes);
        h.port = h.port != 0 ? h.port : k->s[slot].rport;
        h.addr = ipaddr_v4_u32(KIT_PEER);
        h.local = ipaddr_v4_u32(KIT_OWN);
        memcpy(buf, &h, sizeof h);
        if (put_rx(k, slot, buf, bytes) != bytes)
            abort();
        k->s[slot].tx_taken += bytes;
        any = true;
    }
    set(d->tx_head, k->s[slot].tx_taken);
    return any;
}

static bool
serve_slot(struct kit *k, uint32_t slot)
{
    struct kit_slot *s = &k->s[slot];
    struct slot_domain *d = &k->v.d_slot[slot];
    const struct slot_client *c = &k->v.c_slot[slot];
    uint64_t tail = get(c->tx_tail), head = get(c->rx_head);
    bool any = false;
    if (!s->due)
        return false;
    s->due = false;
    if (tail < s->tx_taken || head > get(d->rx_tail))
        abort(); /* a cursor that cannot be */
    if (head > s->rx_freed) {
        fifo_rx_free(&k->v, slot, &k->pages, s->rx_freed, head);
        s->rx_freed = head;
        any = true;
    }
    if (k->mode == KIT_ECHO)
        any |=
            k->proto == IPPROTO_TCP ? echo_stream(k, slot, tail) : echo_dgrams(k, slot, tail);
    set(d->rx_notify, s->rx_freed + k->rcvbuf / 4);
    atomic_thread_fence(memory_order_seq_cst);
    if (get(c->rx_head) >= get(d->rx_notify))
        s->due = any = true;
    wake(k, slot);
    if (s->closed && !s->freed && (k->mode == KIT_HOLD || s->tx_taken == tail)) {
        s->freed = true;
        post(k, &(struct sess_evt){.kind = EVT_FREED, .slot = slot});
        any = true;
    }
    return any;
}

bool
kit_step(struct kit *k)
{
    struct sess_req r;
    bool any = false, more;
    do {
        more = false;
        while (!k->deaf && kreq_take(&k->req, k->v.req, &r)) {
            ring_release(&k->req);
            atomic_thread_fence(memory_order_seq_cst);
            one_request(k, &r);
            more = true;
        }
        for (uint32_t i = 0; i < k->g.n_slots && !k->deaf; i++)
            if (k->s[i].used)
                more |= serve_slot(k, i);
        any |= more;
    } while (more);
    if (k->space.fd >= 0 && bell_due(&k->space))
        bell_ring(&k->space);
    if (ring_rx_poisoned(&k->req) || ring_tx_poisoned(&k->evt))
        abort();
    return any;
}

uint32_t
kit_incoming(struct kit *k, uint32_t listener)
{
    uint32_t slot = open_slot(k);
    if (slot == UINT32_MAX)
        abort();
    set(k->v.d_slot[slot].state, SLOT_OPEN | SLOT_CONNECTED);
    k->s[slot].rport = (uint16_t)(40000 + slot);
    post(k, &(struct sess_evt){.kind = EVT_ACCEPT,
                               .slot = listener,
                               .handle = k->s[slot].handle,
                               .value = slot,
                               .addr = ipaddr_v4_u32(KIT_PEER),
                               .port = k->s[slot].rport});
    return slot;
}

uint32_t
kit_only_slot(const struct kit *k)
{
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < k->g.n_slots; i++)
        if (k->s[i].used) {
            if (found != UINT32_MAX)
                return UINT32_MAX;
            found = i;
        }
    return found;
}
