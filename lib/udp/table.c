/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who gets a datagram. Every session that has a port is in the chain of its port; connected
 * ones are also in a table of their own, which is asked first, so that a connected session
 * costs the same however many share its port.
 */
#include "base/siphash.h"
#include "udp_int.h"

static uint64_t
tuple_hash(const struct udp *u, uint16_t lport, const struct ipaddr *remote, uint16_t rport)
{
    uint64_t w[3] = {remote->q[0], remote->q[1], (uint64_t)lport << 16 | rport};
    return siphash_words(u->cfg.key, w, 3);
}

static uint32_t *
conn_bucket(const struct udp *u, const struct udp_name *n)
{
    return &u->conn[tuple_hash(u, n->lport, &n->remote, n->rport) & u->hash_mask];
}

void
table_init(struct udp *u)
{
    memset(u->bound, 0xff, sizeof u->bound);
    memset(u->conn, 0xff, (u->hash_mask + 1) * sizeof *u->conn);
    memset(&u->taken, 0, sizeof u->taken);
    for (uint32_t i = 0; u->cfg.ports != NULL && i < 65536; i++)
        port_set(u->cfg.ports, (uint16_t)i, PORT_NOBODY);
}

/* Is there room for what comes for it? */
static bool
is_open(const struct udp *u, uint32_t sess)
{
    return !u->soft[sess].full;
}

/* Whom a datagram reaches is not decided by its port alone, so a port is full only if all that
 * have it are. They are counted: many may have one port. */
static enum port_want
port_want(const struct udp *u, uint16_t port)
{
    return u->n_open[port] != 0 ? PORT_WANTED : u->n_have[port] != 0 ? PORT_FULL : PORT_NOBODY;
}

static void
tell(struct udp *u, uint16_t port)
{
    if (u->cfg.ports != NULL)
        port_set(u->cfg.ports, port, port_want(u, port));
}

void
table_full(struct udp *u, uint32_t sess, bool full)
{
    struct udp_soft *t = &u->soft[sess];
    uint16_t port = name_of(&u->sess[sess])->lport;
    u->n_open[port] -= t->hashed && is_open(u, sess);
    t->full = full;
    u->n_open[port] += t->hashed && is_open(u, sess);
    tell(u, port);
}

void
table_insert(struct udp *u, uint32_t sess)
{
    const struct udp_name *n = name_of(&u->sess[sess]);
    struct udp_soft *t = &u->soft[sess];
    if (t->hashed || n->lport == 0)
        return;
    t->hashed = true;
    uint32_t *head = &u->bound[n->lport];
    t->bound_next = *head;
    t->bound_prev = SESS_NONE;
    if (*head != SESS_NONE)
        u->soft[*head].bound_prev = sess;
    *head = sess;
    portset_put(&u->taken, n->lport, true);
    u->n_have[n->lport]++;
    u->n_open[n->lport] += is_open(u, sess);
    if (n->bits & UN_CONNECTED) {
        head = conn_bucket(u, n);
        t->conn_next = *head;
        t->conn_prev = SESS_NONE;
        if (*head != SESS_NONE)
            u->soft[*head].conn_prev = sess;
        *head = sess;
    }
    tell(u, n->lport);
}

void
table_unlink(struct udp *u, uint32_t sess)
{
    const struct udp_name *n = name_of(&u->sess[sess]);
    struct udp_soft *t = &u->soft[sess];
    if (!t->hashed)
        return;
    t->hashed = false;
    if (t->bound_prev != SESS_NONE)
        u->soft[t->bound_prev].bound_next = t->bound_next;
    else
        u->bound[n->lport] = t->bound_next;
    if (t->bound_next != SESS_NONE)
        u->soft[t->bound_next].bound_prev = t->bound_prev;
    if (--u->n_have[n->lport] == 0)
        portset_put(&u->taken, n->lport, false);
    u->n_open[n->lport] -= is_open(u, sess);
    tell(u, n->lport);
    if (!(n->bits & UN_CONNECTED))
        return;
    if (t->conn_prev != SESS_NONE)
        u->soft[t->conn_prev].conn_next = t->conn_next;
    else
        *conn_bucket(u, n) = t->conn_next;
    if (t->conn_next != SESS_NONE)
        u->soft[t->conn_next].conn_prev = t->conn_prev;
}

void
table_rename(struct udp *u, uint32_t sess, const struct udp_name *name)
{
    struct udp_sess *s = &u->sess[sess];
    uint32_t spare = (atomic_load_explicit(&s->sel, memory_order_relaxed) & 1) ^ 1;
    table_unlink(u, sess);
    s->name[spare] = *name;
    atomic_store_explicit(&s->sel, spare, memory_order_release);
    table_insert(u, sess);
}

uint32_t
table_connected(const struct udp *u, const struct ipaddr *local, uint16_t lport,
                const struct ipaddr *remote, uint16_t rport)
{
    uint32_t s = u->conn[tuple_hash(u, lport, remote, rport) & u->hash_mask];
    for (; s != SESS_NONE; s = u->soft[s].conn_next) {
        const struct udp_name *n = name_of(&u->sess[s]);
        if (n->lport == lport && n->rport == rport && ipaddr_eq(&n->remote, remote) &&
            ipaddr_eq(&n->local, local))
            return s;
    }
    return SESS_NONE;
}

/* How well an unconnected session fits: 0 not at all, 2 the address named, 1 any address. */
static unsigned
fit(const struct udp_name *n, const struct ipaddr *local)
{
    if (n->bits & UN_CONNECTED)
        return 0;
    return ipaddr_is_any(&n->local) ? 1 : ipaddr_eq(&n->local, local) ? 2 : 0;
}

uint32_t
table_lookup(const struct udp *u, const struct ipaddr *local, uint16_t lport,
             const struct ipaddr *remote, uint16_t rport)
{
    uint32_t best = table_connected(u, local, lport, remote, rport);
    if (best != SESS_NONE)
        return best;
    unsigned best_fit = 0;
    uint64_t hash = 0, n_same = 0;
    uint32_t s = u->bound[lport];
    for (; s != SESS_NONE; s = u->soft[s].bound_next) {
        unsigned f = fit(name_of(&u->sess[s]), local);
        if (f == 0 || f < best_fit)
            continue;
        if (f > best_fit) {
            best = s;
            best_fit = f;
            n_same = 1;
        } else if (u->sess[s].reuseport) {
            /* SO_REUSEPORT spreads peers over the sessions: each of k is taken with
             * probability 1/k, and always the same one for the same peer. */
            if (n_same == 1)
                hash = tuple_hash(u, lport, remote, rport);
            n_same++;
            hash = hash * 0x9e3779b97f4a7c15ull + 1;
            if ((hash >> 32) % n_same == 0)
                best = s;
        }
    }
    return best;
}

bool
table_port_free(struct udp *u, uint32_t sess, const struct ipaddr *local, uint16_t port)
{
    const struct udp_sess *a = &u->sess[sess];
    uint32_t s = u->bound[port];
    if (u->n_have[port] >= PORT_SHARED_MAX)
        return false;
    for (; s != SESS_NONE; s = u->soft[s].bound_next) {
        const struct udp_sess *b = &u->sess[s];
        const struct udp_name *n = name_of(b);
        u->steps++;
        bool overlap =
            ipaddr_is_any(local) || ipaddr_is_any(&n->local) || ipaddr_eq(local, &n->local);
        bool shared = (a->reuseaddr && b->reuseaddr) ||
                      (a->reuseport && b->reuseport &&
                       clients_same_user(&u->clients, a->client, b->client));
        if (overlap && !shared)
            return false;
    }
    return true;
}

uint16_t
table_port_pick(struct udp *u, const struct udp_sess *s)
{
    uint32_t first = EPHEMERAL_FIRST, last = EPHEMERAL_LAST;
    grant_range(&s->grant, &first, &last);
    const uint32_t n = last - first + 1;
    uint64_t w[2] = {u->n_drawn++, u->now};
    uint32_t start = (uint32_t)(siphash_words(u->cfg.key + 16, w, 2) % n);
    return portset_free(&u->taken, first, last, first + start);
}

static bool
in_chain(uint32_t s, uint32_t sess, const struct udp_soft *soft, bool conn, uint32_t max)
{
    for (uint32_t i = 0; s != SESS_NONE && i <= max; i++) {
        if (s == sess)
            return true;
        s = conn ? soft[s].conn_next : soft[s].bound_next;
    }
    return false;
}

static uint32_t
count_open(const struct udp *u, uint16_t port)
{
    uint32_t n = 0, max = u->cfg.n_sessions;
    uint32_t s = u->bound[port];
    for (uint32_t i = 0; s != SESS_NONE && i <= max; i++, s = u->soft[s].bound_next)
        n += is_open(u, s);
    return n;
}

bool
table_validate(const struct udp *u, uint32_t sess)
{
    const struct udp_name *n = name_of(&u->sess[sess]);
    uint32_t max = u->cfg.n_sessions;
    if (!u->soft[sess].hashed)
        return true;
    if (n->lport == 0 || !portset_has(&u->taken, n->lport))
        return false;
    if (u->n_open[n->lport] != count_open(u, n->lport))
        return false;
    if (u->cfg.ports != NULL && port_get(u->cfg.ports, n->lport) != port_want(u, n->lport))
        return false;
    if (!in_chain(u->bound[n->lport], sess, u->soft, false, max))
        return false;
    return !(n->bits & UN_CONNECTED) || in_chain(*conn_bucket(u, n), sess, u->soft, true, max);
}
