/* SPDX-License-Identifier: BSD-2-Clause
 *
 * crash.c: a component dies and another takes its place, with the order of things that
 * domains/ip_main.c and domains/transport.c have: what was on its way to the dead one is
 * dropped, what it had given away comes back to ip and the NIC, then its successor starts on
 * the store and the clients' arenas. Or it dies in the middle of serving its clients: the calls
 * that the server makes are wrapped.
 */
#include "stack.h"

#include <setjmp.h>
#include <stdlib.h>

#define JUNK 0xa5

static void
drop_ups(struct stack *s, enum ip_up up)
{
    struct pkt *p = s->join.up[up];
    for (uint32_t i = 0; i < s->join.out.n_up[up]; i++)
        if (p[i].kind == PKT_DATA)
            ip_up_done(s->join.ip, p[i].addr, &s->join.out);
    s->join.out.n_up[up] = 0;
}

/* ---- tcp ---- */

/* The words of all slots that clients look at, as they are before a step. */
struct words {
    struct slot_domain *at;
    struct {
        uint64_t rx_tail, tx_head, rx_notify;
        uint32_t state, err, sndbuf, rcvbuf, err_seq;
    } was;
};

static uint32_t
words_save(struct stack *s, struct words *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < STACK_CLIENTS; i++) {
        const struct stack_client *c = &s->client[STACK_TCP][i];
        for (uint32_t k = 0; c->used && k < c->v.g.n_slots; k++, n++) {
            if (w == NULL)
                continue;
            struct slot_domain *d = &c->v.d_slot[k];
            w[n].at = d;
            w[n].was.rx_tail = d->rx_tail;
            w[n].was.tx_head = d->tx_head;
            w[n].was.rx_notify = d->rx_notify;
            w[n].was.state = d->state;
            w[n].was.err = d->err;
            w[n].was.err_seq = d->err_seq;
            w[n].was.sndbuf = d->sndbuf;
            w[n].was.rcvbuf = d->rcvbuf;
        }
    }
    return n;
}

static void
words_restore(const struct words *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct slot_domain *d = w[i].at;
        d->rx_tail = w[i].was.rx_tail;
        d->tx_head = w[i].was.tx_head;
        d->rx_notify = w[i].was.rx_notify;
        d->state = w[i].was.state;
        d->err = w[i].was.err;
        d->err_seq = w[i].was.err_seq;
        d->sndbuf = w[i].was.sndbuf;
        d->rcvbuf = w[i].was.rcvbuf;
    }
}

/* The step in which it dies: it works on what has been received, and then the world looks as
 * if it had come no further than `at`. */
static void
last_step(struct stack *s, enum crash_point at, ns_t now)
{
    struct fdesc rx[BATCH_MAX + FRAME_MAX_CHAIN];
    struct pkt out[BATCH_MAX];
    unsigned n = s->cfg.batch;
    size_t bytes = tcp_store_size(&s->tcp_cfg, &s->frames);
    void *store = malloc(bytes);
    uint32_t n_words = words_save(s, NULL);
    struct words *words = calloc(n_words + 1, sizeof *words);
    if (store == NULL || words == NULL)
        abort();
    memcpy(store, s->tcp_store, bytes);
    words_save(s, words);
    stack_take_rx(s, rx, &n);
    unsigned taken = ip_input(s->join.ip, rx, n, &s->join.out, now);
    for (; taken < n; taken++)
        s->join.out.freed[s->join.out.n_freed++] = rx[taken].addr;
    (void)tcp_step(s->join.tcp, s->join.up[IP_UP_TCP], s->join.out.n_up[IP_UP_TCP], out,
                   BATCH_MAX, now);
    if (at == CRASH_UNCOMMITTED)
        memcpy(s->tcp_store, store, bytes);
    if (at == CRASH_UNCOMMITTED || at == CRASH_UNSHOWN)
        words_restore(words, n_words);
    free(store);
    free(words);
}

void
stack_crash_tcp(struct stack *s, enum crash_point at, ns_t now)
{
    join_begin(&s->join);
    if (at != CRASH_IDLE)
        last_step(s, at, now);
    drop_ups(s, IP_UP_TCP);
    ip_up_reset(s->join.ip, IP_UP_TCP, &s->join.out);
    s->join.out.n_done[IP_UP_TCP] = 0; /* told to the dead */
    stack_nic_forget(s, PART_BIT(PART_TCPTX));
    memset(s->tcp_soft, JUNK, tcp_soft_size(&s->tcp_cfg, &s->frames));
    s->join.tcp =
        tcp_init(s->tcp_store, s->tcp_soft, &s->tcp_cfg, &s->frames, &s->path, &s->stats, now);
    tcp_ip_reset(s->join.tcp);
    stack_serve(s, STACK_TCP, true, now);
    stack_give_freed(s);
}

/* ---- udp ---- */

void
stack_crash_udp(struct stack *s, ns_t now)
{
    join_begin(&s->join);
    drop_ups(s, IP_UP_UDP);
    ip_up_reset(s->join.ip, IP_UP_UDP, &s->join.out);
    s->join.out.n_done[IP_UP_UDP] = 0;
    stack_nic_forget(s, PART_BIT(PART_UDPTX));
    memset(s->udp_soft, JUNK, udp_soft_size(&s->udp_cfg, &s->frames));
    s->join.udp =
        udp_init(s->udp_store, s->udp_soft, &s->udp_cfg, &s->frames, &s->path, &s->stats, now);
    udp_ip_reset(s->join.udp);
    stack_serve(s, STACK_UDP, true, now);
    stack_give_freed(s);
}

/* ---- while it serves its clients ---- */

static struct stack *at_work; /* it may die in a call; NULL: nobody may */
static jmp_buf death;

/* Is this the call at which it dies? */
static bool
dies(enum stack_up up, unsigned call)
{
    struct stack_death *d = at_work != NULL ? &at_work->death[up] : NULL;
    if (d == NULL || d->in == 0 || (d->call != 0 && d->call != call) || --d->in != 0)
        return false;
    d->in = d->again > 0;
    d->again -= d->again > 0;
    return true;
}

#define MORTAL(up, real)                                                                       \
    static int real##_open(struct transport *t, uint32_t client, const struct sess_grant *g,   \
                           uint32_t *sess, uint32_t *slot)                                     \
    {                                                                                          \
        bool now = dies(up, REQ_SOCKET);                                                       \
        if (now && !at_work->death[up].after)                                                  \
            longjmp(death, 1);                                                                 \
        int err = real.open(t, client, g, sess, slot);                                         \
        if (now)                                                                               \
            longjmp(death, 1);                                                                 \
        return err;                                                                            \
    }                                                                                          \
    static uint32_t real##_request(struct transport *t, uint32_t sess,                         \
                                   const struct sess_req *r, struct sess_evt *reply, ns_t at)  \
    {                                                                                          \
        bool now = dies(up, r->op);                                                            \
        if (now && !at_work->death[up].after)                                                  \
            longjmp(death, 1);                                                                 \
        uint32_t steps = real.request(t, sess, r, reply, at);                                  \
        if (now)                                                                               \
            longjmp(death, 1);                                                                 \
        return steps;                                                                          \
    }                                                                                          \
    static int real##_redeem(struct transport *t, uint32_t sess, uint32_t client,              \
                             uint64_t root, uint32_t deny, ns_t at, struct sess_redeem *m)     \
    {                                                                                          \
        bool now = dies(up, REQ_REDEEM);                                                       \
        if (now && !at_work->death[up].after)                                                  \
            longjmp(death, 1);                                                                 \
        int err = real.redeem(t, sess, client, root, deny, at, m);                             \
        if (now)                                                                               \
            longjmp(death, 1);                                                                 \
        return err;                                                                            \
    }                                                                                          \
    static bool real##_next_event(struct transport *t, uint32_t client, struct sess_evt *e)    \
    {                                                                                          \
        bool any = real.next_event(t, client, e);                                              \
        if (any && dies(up, STACK_EVENT + e->kind))                                            \
            longjmp(death, 1);                                                                 \
        return any;                                                                            \
    }
MORTAL(STACK_TCP, tcp_ops)
MORTAL(STACK_UDP, udp_ops)

const struct transport_ops *
stack_ops(struct stack *s, enum stack_up up)
{
    bool tcp = up == STACK_TCP;
    s->ops[up] = tcp ? tcp_ops : udp_ops;
    s->ops[up].open = tcp ? tcp_ops_open : udp_ops_open;
    s->ops[up].request = tcp ? tcp_ops_request : udp_ops_request;
    s->ops[up].redeem = tcp ? tcp_ops_redeem : udp_ops_redeem;
    s->ops[up].next_event = tcp ? tcp_ops_next_event : udp_ops_next_event;
    return &s->ops[up];
}

void
stack_crash_serving(struct stack *s, enum stack_up up, const struct stack_death *d)
{
    s->death[up] = *d;
}

static void
died(struct stack *s, enum stack_up up, ns_t now)
{
    at_work = NULL;
    s->n_died++;
    if (up == STACK_TCP)
        stack_crash_tcp(s, CRASH_IDLE, now);
    else
        stack_crash_udp(s, now);
}

bool
stack_requests(struct stack *s, enum stack_up up, ns_t now)
{
    if (setjmp(death) != 0) {
        died(s, up, now);
        return true;
    }
    at_work = s;
    bool any = serve_requests(&s->serve[up], now);
    at_work = NULL;
    return any;
}

void
stack_events(struct stack *s, enum stack_up up, ns_t now)
{
    if (setjmp(death) != 0) {
        died(s, up, now);
        return;
    }
    at_work = s;
    serve_events(&s->serve[up]);
    at_work = NULL;
}

void
stack_serve_gone(struct stack *s, enum stack_up up, uint32_t id, ns_t now)
{
    if (setjmp(death) != 0) {
        died(s, up, now);
        return;
    }
    at_work = s;
    serve_gone(&s->serve[up], id, now);
    at_work = NULL;
}

/* ---- ip ---- */

/* The account of frames outlives ip: what the NIC does not hold is empty now, and of what tcp
 * and udp had given down nothing is left. */
void
stack_crash_ip(struct stack *s, ns_t now)
{
    join_begin(&s->join);
    s->join.out.n_up[IP_UP_TCP] = s->join.out.n_up[IP_UP_UDP] = 0;
    s->join.out.n_done[IP_UP_TCP] = s->join.out.n_done[IP_UP_UDP] = 0;
    stack_nic_forget(s, PART_BIT(PART_COUNT) - 1);
    uint32_t first = s->frames.off[PART_RX] / FRAME_SIZE;
    for (uint32_t i = first; i < first + s->cfg.frames[PART_RX]; i++)
        if (s->holder[i] == WITH_IP) {
            s->holder[i] = NIC_EMPTY;
            s->filled[s->n_filled++] = i * FRAME_SIZE;
        }
    memset(s->ip_mem, 0, ip_size(&s->frames));
    s->ip_cfg.seed = rng_next(&s->rng);
    s->join.ip = ip_init(s->ip_mem, &s->ip_cfg, &s->frames, &s->path, &s->stats, now);
    tcp_ip_reset(s->join.tcp);
    udp_ip_reset(s->join.udp);
}
