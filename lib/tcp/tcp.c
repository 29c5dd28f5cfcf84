/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.c: the component as a whole: memory, start, coming back after a crash, and the step.
 */
#include "priv.h"

#define HELD_BY_IP 1u
#define TIMERS_A_STEP 256u

/* ---- memory ---- */

static size_t
take(size_t *at, size_t bytes)
{
    size_t here = ALIGN_UP(*at, (size_t)CACHE_LINE);
    *at = here + bytes;
    return here;
}

struct layout {
    size_t header, tcb, holder, store_size;
    size_t runs;
    size_t self, clients, free, hash, port_use, port_kept, dirty, stack, soft_size;
    uint32_t n_hash;
};

static uint32_t
runs_extra(const struct tcp_config *c)
{
    return c->runs != 0 ? c->runs : max_u32(c->n_sessions, RUNS_COMMON);
}

static struct layout
layout_of(const struct tcp_config *c, const struct frames *f)
{
    struct layout l = {.n_hash = 64};
    uint32_t n = c->n_sessions, n_frames = f->size[PART_TCPTX] / FRAME_SIZE;
    while (l.n_hash < 2 * n)
        l.n_hash *= 2;
    size_t at = 0;
    l.header = take(&at, sizeof(struct tcp_store));
    l.tcb = take(&at, n * sizeof(struct tcb));
    l.holder = take(&at, n_frames);
    l.store_size = ALIGN_UP(at, (size_t)CACHE_LINE);
    at = 0;
    l.self = take(&at, sizeof(struct tcp));
    l.clients = take(&at, sizeof(struct clients));
    l.free = take(&at, n * sizeof(uint32_t));
    l.hash = take(&at, l.n_hash * sizeof(uint32_t));
    l.port_use = take(&at, 65536 * sizeof(uint32_t));
    l.port_kept = take(&at, 65536 * sizeof(uint32_t));
    l.dirty = take(&at, n * sizeof(uint32_t));
    l.runs = take(&at, runs_of(n, runs_extra(c)) * sizeof(struct run));
    l.stack = take(&at, pool_stack_bytes(n_frames));
    l.soft_size = ALIGN_UP(at, (size_t)CACHE_LINE);
    return l;
}

size_t
tcp_store_size(const struct tcp_config *c, const struct frames *f)
{
    return layout_of(c, f).store_size;
}

size_t
tcp_soft_size(const struct tcp_config *c, const struct frames *f)
{
    return layout_of(c, f).soft_size;
}

size_t
tcp_session_bytes(void)
{
    /* the block; two hash buckets; a free-list and a dirty-list word; its runs, the promised
     * ones and its part of the others */
    return sizeof(struct tcb) + 4 * sizeof(uint32_t) + (RUNS_SURE + 1) * sizeof(struct run);
}

/* ---- start ---- */

static struct wheel_node *
wheel_node_of_tcb(void *ctx, uint32_t number)
{
    struct tcp *t = ctx;
    return &t->tcb[number].wheel;
}

/* A session that was there before the crash goes on from its hard part. */
static void
tcb_resume(struct tcp *t, struct tcb *c)
{
    c->h = c->hard[get(c->sel) & 1];
    tcp_move_resume(t, c);
    if (c->parent != SESS_NONE && (c->parent >= t->cfg.n_sessions || !t->tcb[c->parent].used))
        c->parent = SESS_NONE;
    tcb_soft_reset(t, c);
    tcb_dirty(t, c); /* what ended just before the crash is settled now */
    port_rebuild(t, c);
    /* The program was not told yet; if it was, it hears of it once more and the server of the
     * handles sees that the slot has one. */
    if (c->h.state != TCPS_CLOSED && c->h.state != TCPS_LISTEN)
        demux_insert(t, c);
    if (c->h.state == TCPS_LISTEN)
        c->cookie_at = t->now; /* it may have sent some: what they made is still good */
    if (c->h.state == TCPS_SYN_RCVD)
        t->n_half_open++;
    t->n_orphans += tcb_is_orphan(c);
    if (c->h.state == TCPS_TIME_WAIT)
        time_wait_enter(t, c);
    else if (c->h.state == TCPS_FIN_WAIT_2 && (c->h.bits & H_CLOSED))
        (void)fin_wait_arm(t, c);
    else if (tcb_is_orphan(c))
        timer_set(t, c, T_WAIT, t->now + ORPHAN_TIME);
    if (c->h.snd_max > c->h.snd_una)
        rexmt_arm(t, c);
    if (c->h.state >= TCPS_ESTABLISHED && c->h.state != TCPS_TIME_WAIT) {
        c->ack_now = true; /* tell the peer where we are: it may have lost our last words */
        keep_arm(t, c);
    }
    stat_inc(t->stats, STAT_tcp_resumed);
}

static void
sessions_take_up(struct tcp *t)
{
    uint32_t n = t->cfg.n_sessions;
    struct tcp_store *st = t->store;
    bool again = st->magic == TCP_STORE_MAGIC && st->n_sessions == n;
    uint32_t guilty = SESS_NONE;
    if (!again) {
        st->n_sessions = n;
        st->high = 0;
        st->crashed = SESS_NONE;
        set(st->working, SESS_NONE);
        st->magic = TCP_STORE_MAGIC;
    } else {
        /* In work at two crashes in a row: it is reset, and only it. */
        uint32_t w = get(st->working);
        if (w != SESS_NONE && w == st->crashed)
            guilty = w;
        st->crashed = w;
        set(st->working, SESS_NONE);
    }
    for (uint32_t i = n; i-- > 0;) {
        struct tcb *c = &t->tcb[i];
        if (i >= st->high || !c->used) {
            if (i < st->high)
                c->working = false; /* freed, and still on the list that is lost */
            t->free[t->n_free++] = i;
            continue;
        }
        tcb_resume(t, c);
    }
    /* What spans sessions comes after each was taken up: a listener's counts first. */
    for (uint32_t i = 0; i < st->high; i++) {
        struct tcb *c = &t->tcb[i];
        if (!c->used || c->parent == SESS_NONE)
            continue;
        struct tcb *l = &t->tcb[c->parent];
        child_link(t, l, c);
        l->n_syn += c->h.state == TCPS_SYN_RCVD;
        l->n_untold += c->h.state >= TCPS_ESTABLISHED;
        l->n_accept += c->h.state >= TCPS_ESTABLISHED;
    }
    for (uint32_t i = 0; i < st->high; i++) {
        struct tcb *c = &t->tcb[i];
        if (!c->used)
            continue;
        bool damaged = !tcb_validate(t, c);
        /* Its listener was handed over, and it could not follow. */
        bool left = c->parent != SESS_NONE && t->tcb[c->parent].link.client != c->link.client;
        if (left && c->link.slot == SESS_NONE) {
            c->link.client = t->tcb[c->parent].link.client;
            left = false;
        }
        if (i == guilty || damaged || left) {
            c->rst_due = c->h.state >= TCPS_SYN_RCVD && !damaged;
            tcb_die(t, c, ECONNABORTED);
        }
        if (damaged) /* its numbers mean nothing; the peer is told when it sends */
            c->h = (struct tcb_hard){.snd_una = 1, .snd_max = 1, .bits = c->h.bits};
        if (c->h.state != TCPS_TIME_WAIT) /* it has nothing to say, and may have to make room */
            work_add(t, c);
    }
    stat_set(t->stats, STAT_tcp_sessions, n - t->n_free);
}

struct tcp *
tcp_init(void *store, void *soft, const struct tcp_config *cfg, const struct frames *f,
         const struct path_table *path, struct stats *stats, ns_t now)
{
    struct layout l = layout_of(cfg, f);
    uint8_t *s = store, *m = soft;
    struct tcp *t = (struct tcp *)(void *)(m + l.self);
    memset(t, 0, sizeof *t - sizeof t->bounce);
    t->cfg = *cfg;
    t->cfg.sndbuf = min_u32(max_u32(cfg->sndbuf, FIFO_PAGE), FIFO_MAX - 2 * FIFO_PAGE);
    t->cfg.rcvbuf = min_u32(max_u32(cfg->rcvbuf, FIFO_PAGE), FIFO_MAX - 2 * FIFO_PAGE);
    t->store = (struct tcp_store *)(void *)(s + l.header);
    t->tcb = (struct tcb *)(void *)(s + l.tcb);
    t->cfg.buffer_max = min_u32(cfg->buffer_max, FIFO_MAX - 2 * FIFO_PAGE);
    t->frames = *f;
    t->path = path;
    t->stats = stats;
    t->now = now;
    t->clients = (struct clients *)(void *)(m + l.clients);
    memset(t->clients, 0, sizeof *t->clients);
    t->clients->stats = stats;
    t->free = (uint32_t *)(void *)(m + l.free);
    t->hash = (uint32_t *)(void *)(m + l.hash);
    t->hash_mask = l.n_hash - 1;
    t->port_use = (uint32_t *)(void *)(m + l.port_use);
    t->port_kept = (uint32_t *)(void *)(m + l.port_kept);
    t->dirty = (uint32_t *)(void *)(m + l.dirty);
    memset(t->port_use, 0, 65536 * sizeof *t->port_use);
    memset(t->port_kept, 0, 65536 * sizeof *t->port_kept);
    for (uint32_t i = 0; i < l.n_hash; i++)
        t->hash[i] = SESS_NONE;
    for (unsigned i = 0; i < ARRAY_LEN(t->bound); i++)
        t->bound[i] = SESS_NONE;
    t->tw_head = t->tw_tail = SESS_NONE;
    turns_init(&t->work);
    for (unsigned i = 0; i < ARRAY_LEN(t->runs_used); i++)
        t->runs_used[i] = 0;
    runs_init(&t->runs, (struct run *)(void *)(m + l.runs), cfg->n_sessions, runs_extra(cfg));
    pool_init(&t->pool, f, PART_TCPTX, (uint32_t *)(void *)(m + l.stack), s + l.holder);
    wheel_init(&t->wheel, wheel_node_of_tcb, t, now);
    sessions_take_up(t);
    return t;
}

/* A client comes, or comes back with the sessions that it had before a crash. */
int
tcp_client_add(struct transport *tr, uint32_t client, const struct arena_view *v,
               const struct sess_limits *limits)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    tcp_move_settle(t, client, v);
    int err = clients_add(t->clients, client, v, limits);
    if (err != 0)
        return err;
    struct client *cl = clients_get(t->clients, client);
    /* All are counted before one ends: a listener takes its children along. One that is new has
     * none, and they are not looked at again. */
    uint32_t end = 0;
    for (uint32_t i = 0; i < t->store->high; i++) {
        const struct tcb *c = &t->tcb[i];
        if (!c->used || c->link.client != client)
            continue;
        client_count(t->clients, cl, 1, c->h.state == TCPS_SYN_RCVD);
        end = i + 1;
    }
    for (uint32_t i = 0; i < end; i++) {
        struct tcb *c = &t->tcb[i];
        if (!c->used || c->link.client != client || c->link.slot == SESS_NONE)
            continue;
        struct slot_domain *d = c->link.slot < v->g.n_slots ? &v->d_slot[c->link.slot] : NULL;
        if (d == NULL || !(get(d->state) & SLOT_OPEN)) {
            /* The crash came while it gave the slot back, or this is not the arena it had. */
            c->link.slot = SESS_NONE;
            if (!(c->h.bits & H_FREED))
                abort_session(t, c, ECONNABORTED);
            tcb_dirty(t, c);
            continue;
        }
        if (c->died_of != 0)
            client_set_err(d, c->died_of);
        c->died_of = 0;
        if (c->h.state == TCPS_CLOSED && (c->h.bits & (H_PASSIVE | H_ANNOUNCED)) == H_PASSIVE) {
            client_slot_give(cl, c->link.slot); /* the client was never told of it */
            c->link.slot = SESS_NONE;
            tcb_dirty(t, c);
            continue;
        }
        c->link.posted = 0; /* whoever waits is told again: a wake-up too many is harmless */
        if (c->parent != SESS_NONE && c->h.state >= TCPS_ESTABLISHED &&
            !(c->h.bits & H_ANNOUNCED))
            client_event(t->clients, &c->link, i, EVT_ACCEPT, tcb_link_of, t);
        if ((c->h.bits & (H_CLOSED | H_FREED)) == (H_CLOSED | H_FREED))
            client_event(t->clients, &c->link, i, EVT_FREED, tcb_link_of, t);
        if ((c->h.bits & (H_CLOSED | H_REVOKED)) == H_REVOKED)
            client_event(t->clients, &c->link, i, EVT_REVOKED, tcb_link_of, t);
        /* A program that has closed may have given the slot back already: its cursors are of
         * the next session then. */
        if (!(c->h.bits & H_CLOSED) && !slot_take_cursors(t, c))
            tcb_die(t, c, EPROTO);
        tcb_dirty(t, c);
        work_add(t, c);
    }
    tcp_flush(t);
    return 0;
}

void
tcp_ip_reset(struct tcp *t)
{
    (void)pool_reclaim(&t->pool, HELD_BY_IP);
    t->starved = 0;
}

bool
tcp_tx_done(struct tcp *t, uint32_t addr)
{
    if (!pool_return(&t->pool, addr, HELD_BY_IP)) {
        stat_inc(t->stats, STAT_refused_frames);
        return false;
    }
    t->starved = 0;
    return true;
}

/* ---- the step ---- */

/* Of the next packet's bytes; the processor goes on by itself from there. */
#define AHEAD_LINES 6

static void
step_input(struct tcp *t, const struct pkt *in, unsigned n)
{
    for (unsigned i = 0; i < n;) {
        unsigned len = 1;
        while (i + len < n && (in[i + len - 1].flags & PKT_MORE))
            len++;
        if (i + len < n)
            frames_prefetch(&t->frames, in[i + len].addr, AHEAD_LINES);
        if (in[i].kind == PKT_DATA)
            input_packet(t, &in[i], len);
        else if (in[i].kind == PKT_ICMP)
            input_icmp(t, &in[i]);
        i += len;
    }
}

static void
step_timers(struct tcp *t)
{
    for (unsigned i = 0; i < TIMERS_A_STEP; i++) {
        uint32_t s = wheel_take(&t->wheel, t->now);
        if (s == WHEEL_NONE)
            return;
        set(t->store->working, s);
        if (t->tcb[s].used)
            timer_fire(t, &t->tcb[s]);
        set(t->store->working, SESS_NONE);
    }
}

/* Clients take turns, and the sessions of each: who could not send all goes to the end. */
static void
step_output(struct tcp *t)
{
    uint32_t who, i;
    while (t->n_out < t->cap_out && (i = turns_first(&t->work, &who)) != SESS_NONE) {
        struct tcb *c = &t->tcb[i];
        turns_pop(&t->work, who, work_next_of, t);
        c->working = false;
        int32_t credit = t->credit = turns_credit(&t->work, who);
        set(t->store->working, i);
        bool done = !c->used || output_session(t, c);
        set(t->store->working, SESS_NONE);
        if (!c->used)
            t->free[t->n_free++] = i;
        else if (!done)
            work_add(t, c);
        turns_charge(&t->work, who, (uint32_t)(credit - t->credit));
        if (!done && t->starved && t->n_out < t->cap_out)
            return; /* out of frames: tx_done brings us back */
    }
}

unsigned
tcp_step(struct tcp *t, const struct pkt *in, unsigned n, struct pkt *out, unsigned cap,
         ns_t now)
{
    t->now = now;
    t->out = out;
    t->n_out = 0;
    t->cap_out = cap;
    t->starved = 0;
    step_input(t, in, n);
    step_timers(t);
    step_output(t);
    t->out = NULL;
    tcp_flush(t); /* commit, then show the client; the caller sends only after this */
    stat_set(t->stats, STAT_tcp_frames_out, t->pool.n - t->pool.n_free);
    return t->n_out;
}

ns_t
tcp_deadline(const struct tcp *t)
{
    if (!turns_none(&t->work) && t->starved <= t->pool.n_free)
        return 0;
    return wheel_deadline(&t->wheel);
}

const uint64_t *
tcp_clients_ready(const struct tcp *t)
{
    return t->clients->ready;
}

uint32_t
tcp_sessions(const struct tcp *t)
{
    uint32_t listed = 0; /* freed, but still on the work list */
    for (uint32_t i = 0; i < t->store->high && !turns_none(&t->work); i++)
        listed += t->tcb[i].working && !t->tcb[i].used;
    return t->cfg.n_sessions - t->n_free - listed;
}
