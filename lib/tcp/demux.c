/* SPDX-License-Identifier: BSD-2-Clause
 *
 * demux.c: from addresses and ports to sessions, and who holds which local port.
 */
#include "base/siphash.h"
#include "priv.h"

static uint32_t
tuple_bucket(const struct tcp *t, const struct ipaddr *laddr, uint16_t lport,
             const struct ipaddr *raddr, uint16_t rport)
{
    const uint64_t w[3] = {laddr->q[1] ^ (laddr->q[0] * 3), raddr->q[1] ^ (raddr->q[0] * 3),
                           (uint64_t)lport << 16 | rport};
    return (uint32_t)siphash_words(t->cfg.key + 16, w, ARRAY_LEN(w)) & t->hash_mask;
}

static bool
keeps_port(const struct tcb *c)
{
    return !c->opt.reuseaddr && !c->opt.reuseport;
}

void
port_reuse(struct tcp *t, struct tcb *c, bool *option, bool on)
{
    t->port_kept[c->lport] -= c->hashed && keeps_port(c);
    *option = on;
    t->port_kept[c->lport] += c->hashed && keeps_port(c);
}

void
demux_insert(struct tcp *t, struct tcb *c)
{
    if (c->hashed)
        return;
    uint32_t b = tuple_bucket(t, &c->laddr, c->lport, &c->raddr, c->rport);
    c->hash_next = t->hash[b];
    t->hash[b] = tcb_number(t, c);
    c->hashed = true;
    t->port_use[c->lport]++;
    t->port_kept[c->lport] += keeps_port(c);
    portset_put(&t->taken, c->lport, true);
}

/* Somebody has left the port. */
static void
port_left(struct tcp *t, uint16_t port)
{
    portset_put(&t->taken, port, t->port_use[port] != 0 || t->bound[port] != SESS_NONE);
}

void
demux_remove(struct tcp *t, struct tcb *c)
{
    if (!c->hashed)
        return;
    uint32_t *at = &t->hash[tuple_bucket(t, &c->laddr, c->lport, &c->raddr, c->rport)];
    while (*at != tcb_number(t, c))
        at = &t->tcb[*at].hash_next;
    *at = c->hash_next;
    c->hashed = false;
    t->port_use[c->lport]--;
    t->port_kept[c->lport] -= keeps_port(c);
    port_left(t, c->lport);
}

struct tcb *
demux_find(struct tcp *t, const struct ipaddr *laddr, uint16_t lport,
           const struct ipaddr *raddr, uint16_t rport)
{
    uint32_t i = t->hash[tuple_bucket(t, laddr, lport, raddr, rport)];
    for (; i != SESS_NONE; i = t->tcb[i].hash_next) {
        struct tcb *c = &t->tcb[i];
        if (c->lport == lport && c->rport == rport && ipaddr_eq(&c->raddr, raddr) &&
            ipaddr_eq(&c->laddr, laddr))
            return c;
    }
    return NULL;
}

bool
port_shared(struct tcp *t, const struct tcb *a, const struct tcb *b)
{
    return a->opt.reuseport && b->opt.reuseport &&
           clients_same_user(t->clients, a->link.client, b->link.client);
}

/* A listener of this address, or of any address. */
static bool
listens(const struct tcb *c, const struct ipaddr *laddr)
{
    return c->h.state == TCPS_LISTEN && ipaddr_eq(&c->laddr, laddr);
}

struct tcb *
demux_listener(struct tcp *t, const struct ipaddr *laddr, uint16_t lport,
               const struct ipaddr *raddr, uint16_t rport)
{
    const struct ipaddr any = {0};
    uint32_t exact = 0, wild = 0, first = t->bound[lport];
    struct tcb *last = NULL;
    for (uint32_t i = first; i != SESS_NONE; i = t->tcb[i].bound_next) {
        struct tcb *c = &t->tcb[i];
        bool here = listens(c, laddr);
        exact += here;
        wild += listens(c, &any);
        last = here || (exact == 0 && listens(c, &any)) ? c : last;
    }
    uint32_t n = exact != 0 ? exact : wild;
    if (n <= 1)
        return last;
    /* Nobody outside can tell who gets which, nor aim at one. */
    const uint64_t w[2] = {raddr->q[1] ^ (raddr->q[0] * 3), (uint64_t)lport << 16 | rport};
    uint32_t k = (uint32_t)(siphash_words(t->cfg.key, w, ARRAY_LEN(w)) % n);
    for (uint32_t i = first; i != SESS_NONE; i = t->tcb[i].bound_next)
        if (listens(&t->tcb[i], exact != 0 ? laddr : &any) && k-- == 0)
            return &t->tcb[i];
    return last;
}

struct tcb *
demux_listener_of(struct tcp *t, const struct tcb *c)
{
    const struct ipaddr any = {0};
    for (uint32_t i = t->bound[c->lport]; i != SESS_NONE; i = t->tcb[i].bound_next) {
        struct tcb *l = &t->tcb[i];
        if (l->link.client == c->link.client && (listens(l, &c->laddr) || listens(l, &any)))
            return l;
    }
    return NULL;
}

/* ---- local ports ---- */

static void
bound_insert(struct tcp *t, struct tcb *c)
{
    uint32_t *head = &t->bound[c->lport];
    c->bound_next = *head;
    c->bound_prev = SESS_NONE;
    if (*head != SESS_NONE)
        t->tcb[*head].bound_prev = tcb_number(t, c);
    *head = tcb_number(t, c);
    c->h.bits |= H_BOUND;
    portset_put(&t->taken, c->lport, true);
}

void
port_release(struct tcp *t, struct tcb *c)
{
    if (!(c->h.bits & H_BOUND))
        return;
    uint32_t *head = &t->bound[c->lport];
    if (c->bound_prev != SESS_NONE)
        t->tcb[c->bound_prev].bound_next = c->bound_next;
    else if (*head == tcb_number(t, c))
        *head = c->bound_next;
    if (c->bound_next != SESS_NONE)
        t->tcb[c->bound_next].bound_prev = c->bound_prev;
    c->h.bits &= ~(H_BOUND | H_PORT);
    port_left(t, c->lport);
}

/* Its program has closed it: it binds nothing any more, and if its connection goes on, or is in
 * TIME-WAIT, that is in the table of connections, which is enough for a port that it was ready
 * to share with anybody. Else whoever binds one port again and again and connects from there
 * would soon have used it up (PORT_SHARED_MAX). */
void
port_closed(struct tcp *t, struct tcb *c)
{
    if (!c->hashed || c->opt.reuseaddr)
        port_release(t, c);
}

/* After a crash: the list is soft, the bit is not. */
void
port_rebuild(struct tcp *t, struct tcb *c)
{
    if (c->h.bits & H_BOUND)
        bound_insert(t, c);
}

/* Would binding c to addr:port disturb somebody (the rules of Linux), or are too many there? */
static bool
port_conflict(struct tcp *t, const struct tcb *c, const struct ipaddr *addr, uint16_t port)
{
    uint32_t n = 0;
    for (uint32_t i = t->bound[port]; i != SESS_NONE; i = t->tcb[i].bound_next) {
        const struct tcb *o = &t->tcb[i];
        t->steps++;
        if (++n >= PORT_SHARED_MAX)
            return true;
        if (!ipaddr_is_any(addr) && !ipaddr_is_any(&o->laddr) && !ipaddr_eq(addr, &o->laddr))
            continue;
        if (o->opt.reuseaddr && c->opt.reuseaddr && o->h.state != TCPS_LISTEN)
            continue;
        if (port_shared(t, o, c))
            continue;
        return true;
    }
    /* Of a connection, also one in TIME-WAIT, both must say so. */
    return t->port_kept[port] != 0 || (keeps_port(c) && t->port_use[port] != 0);
}

/* The ports that are chosen from for a session. */
struct choice {
    uint32_t first, n, start;
};

static struct choice
ephemeral_choice(struct tcp *t, const struct tcb *c, const struct ipaddr *addr, uint16_t port)
{
    uint32_t first = EPHEMERAL_FIRST, last = EPHEMERAL_LAST;
    grant_range(&c->grant, &first, &last);
    /* RFC 6056 algorithm 3: keyed by the destination, moved on by each use. */
    const uint64_t w[3] = {addr->q[0], addr->q[1], (uint64_t)port << 32 | t->port_salt};
    t->port_salt++;
    uint32_t n = last - first + 1;
    return (struct choice){.first = first,
                           .n = n,
                           .start = (uint32_t)(siphash_words(t->cfg.key, w, ARRAY_LEN(w)) % n)};
}

/* If each port is somebody's, those are tried that have no connection to this destination: so
 * many in all, as a search must end soon, and so many before one in TIME-WAIT is taken again:
 * fresh ones are better. */
#define TRIES 256u
#define FRESH_TRIES 64u
#define STEPS_OF_TRY 4u /* a look into the table of connections costs as much */

static uint16_t
ephemeral_nth(const struct choice *e, uint32_t i)
{
    return (uint16_t)(e->first + (e->start + i) % e->n);
}

/* One that nobody has at all; 0: there is none. */
static uint16_t
ephemeral_unused(const struct tcp *t, const struct choice *e)
{
    return portset_free(&t->taken, e->first, e->first + e->n - 1, e->first + e->start);
}

static bool
to_itself(const struct ipaddr *local, uint16_t lport, const struct ipaddr *addr, uint16_t port)
{
    return port == lport && ipaddr_eq(addr, local);
}

int
port_bind(struct tcp *t, struct tcb *c, const struct ipaddr *addr, uint16_t port)
{
    if (c->h.bits & H_BOUND || c->h.state != TCPS_CLOSED || c->lport != 0)
        return EINVAL;
    if (!ipaddr_is_any(addr) && !path_local(t->path, addr))
        return EADDRNOTAVAIL;
    bool named = port != 0;
    if (!named) {
        struct choice e = ephemeral_choice(t, c, addr, 0);
        port = ephemeral_unused(t, &e); /* one that is chosen for it is not shared */
        if (port == 0)
            return EADDRINUSE;
    } else if (!grant_port(&c->grant, port)) {
        return EACCES;
    } else if (port_conflict(t, c, addr, port)) {
        return EADDRINUSE;
    }
    c->laddr = ipaddr_is_any(addr) ? (struct ipaddr){0} : *addr;
    c->h.bits |= ipaddr_is_any(addr) ? 0 : H_ADDR;
    c->lport = port;
    bound_insert(t, c);
    c->h.bits |= named ? H_PORT : 0;
    return 0;
}

/* A local port for a connection to addr:port, or the pair of one in TIME-WAIT. */
static int
port_ephemeral(struct tcp *t, struct tcb *c, const struct ipaddr *local,
               const struct ipaddr *addr, uint16_t port)
{
    struct tcb *old = NULL;
    struct choice e = ephemeral_choice(t, c, addr, port);
    uint16_t unused = ephemeral_unused(t, &e);
    if (unused != 0 && !to_itself(local, unused, addr, port)) {
        c->lport = unused;
        return 0;
    }
    for (uint32_t i = 0; i < min_u32(e.n, TRIES) && (old == NULL || i < FRESH_TRIES); i++) {
        uint16_t p = ephemeral_nth(&e, i);
        t->steps += STEPS_OF_TRY;
        if (t->bound[p] != SESS_NONE || to_itself(local, p, addr, port))
            continue;
        struct tcb *o = demux_find(t, local, p, addr, port);
        if (o == NULL) {
            c->lport = p;
            return 0;
        }
        if (old == NULL && time_wait_reusable(t, o))
            old = o;
    }
    if (old == NULL)
        return EADDRNOTAVAIL;
    c->lport = old->lport;
    time_wait_replace(t, old, c);
    return 0;
}

/* Give c a local address and, if it has none, a local port for a connection to addr:port. */
int
port_connect(struct tcp *t, struct tcb *c, const struct ipaddr *addr, uint16_t port)
{
    struct ipaddr local = c->h.bits & H_ADDR ? c->laddr : path_source(t->path, addr);
    if (c->lport == 0) {
        int err = port_ephemeral(t, c, &local, addr, port);
        if (err != 0)
            return err;
    } else {
        struct tcb *old = demux_find(t, &local, c->lport, addr, port);
        if (old != NULL && !time_wait_reusable(t, old))
            return EADDRNOTAVAIL;
        if (old != NULL)
            time_wait_replace(t, old, c);
    }
    c->laddr = local;
    return 0;
}
