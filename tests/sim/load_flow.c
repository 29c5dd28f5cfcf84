/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load_flow.c: TCP connections from their opening to their end.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "load.h"

#define TRIES 8u

void
flow_setup(struct load *l)
{
    const struct load_config *c = &l->cfg;
    for (uint32_t i = 0; i < c->flows; i++) {
        struct flow *f = &l->flow[i];
        f->opener = rng_below(&l->rng, 2);
        f->start = l->w->now + (c->start_within ? rng_next(&l->rng) % c->start_within : 0);
        for (unsigned k = 0; k < 2; k++) {
            struct end *e = &f->e[k];
            uint32_t p = rng_below(&l->rng, 100);
            *e = (struct end){.kind = THING_END,
                              .flow = f,
                              .side = k,
                              .fd = -1,
                              .to_send = rng_percent(&l->rng, 50)
                                             ? rng_size(&l->rng, c->bytes_max)
                                             : rng_below(&l->rng, c->bytes_max + 1),
                              .pattern = (uint32_t)rng_next(&l->rng)};
            e->plan = p < c->abort              ? PLAN_ABORT
                      : p < c->abort + c->hasty ? PLAN_HASTY
                                                : PLAN_ORDERLY;
            e->abort_at = rng_size(&l->rng, c->bytes_max);
            e->chunk = 1 + rng_size(&l->rng, LOAD_CHUNK_MAX - 1);
            if (e->to_send > 20000)
                e->chunk = max_u32(e->chunk, 500);
            if (!c->patient && rng_percent(&l->rng, 40)) {
                e->think = rng_below(&l->rng, 60);
                e->think_time = NS_US << rng_range(&l->rng, 4, 20);
            }
        }
    }
}

static void
set_option(struct load *l, int fd, int level, int name, int value)
{
    if (bh_setsockopt(fd, level, name, &value, sizeof value) != 0)
        world_fail(l->w, "setsockopt %d %d: errno %d", level, name, errno);
}

void
flow_listen(struct load *l, struct program *p)
{
    struct load_listener *li = &l->listener[p->side];
    struct sockaddr_in sin = world_sin(p->side, LOAD_PORT);
    *li = (struct load_listener){.kind = THING_LISTENER, .side = p->side};
    li->fd = bh_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (li->fd < 0 || bh_bind(li->fd, (struct sockaddr *)&sin, sizeof sin) != 0 ||
        bh_listen(li->fd, 1000) != 0 || bh_watch(li->fd, POLLIN, li) != 0)
        world_fail(l->w, "cannot listen: errno %d", errno);
}

/* A peer that vanished without a word is noticed. */
static void
options(struct load *l, struct end *e)
{
    set_option(l, e->fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(l, e->fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set_option(l, e->fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_option(l, e->fd, IPPROTO_TCP, TCP_KEEPCNT, 8);
    if (rng_percent(&l->rng, 30))
        set_option(l, e->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rng_percent(&l->rng, 20))
        set_option(l, e->fd, SOL_SOCKET, SO_RCVBUF, (int)rng_range(&l->rng, 4096, 200000));
}

static void
watch(struct load *l, struct end *e)
{
    short events = 0;
    if (!e->eof)
        events |= POLLIN;
    if (!e->shut) /* there is something to send, or to shut down */
        events |= POLLOUT;
    if (bh_watch(e->fd, events, e) != 0)
        world_fail(l->w, "bh_watch: errno %d", errno);
}

static void
start(struct load *l, struct end *e)
{
    struct sockaddr_in sin = world_sin(!e->side, LOAD_PORT);
    e->fd = bh_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (e->fd < 0)
        world_fail(l->w, "bh_socket: errno %d", errno);
    options(l, e);
    /* By its port the acceptor tells whose connection it is: each attempt has its own. */
    uint16_t port = (uint16_t)(LOAD_PORT + 1 + (e->flow - l->flow) * TRIES + e->tries++);
    struct sockaddr_in own = world_sin(e->side, port);
    if (bh_bind(e->fd, (struct sockaddr *)&own, sizeof own) != 0)
        world_fail(l->w, "bh_bind: errno %d", errno);
    e->flow->lport = port;
    e->state = END_CONNECTING;
    if (bh_connect(e->fd, (struct sockaddr *)&sin, sizeof sin) != 0 && errno != EINPROGRESS)
        world_fail(l->w, "bh_connect: errno %d", errno);
    watch(l, e);
}

void
flow_start_due(struct load *l, struct program *p)
{
    for (uint32_t i = 0; i < l->cfg.flows; i++) {
        struct flow *f = &l->flow[i];
        if (f->opener != p->side || f->e[p->side].state != END_NONE)
            continue;
        if (f->start <= l->w->now)
            start(l, &f->e[p->side]);
        else
            p->wake = min_u64(p->wake, f->start);
    }
}

bool
flow_accept(struct load *l, struct load_listener *li)
{
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    int fd = bh_accept4(li->fd, (struct sockaddr *)&sin, &len, SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno != EAGAIN)
            world_fail(l->w, "bh_accept: errno %d", errno);
        return false;
    }
    for (uint32_t i = 0; i < l->cfg.flows; i++) {
        struct flow *f = &l->flow[i];
        struct end *e = &f->e[li->side];
        if (f->opener == li->side || f->lport != ntohs(sin.sin_port) || e->state != END_NONE)
            continue;
        e->fd = fd;
        e->state = END_OPEN;
        options(l, e);
        watch(l, e);
        return true;
    }
    /* Of an earlier attempt of an opener that gave up; or made of copies of an opener's
     * segments that came after its connection was reset, or of an ACK with a cookie in it that
     * came after its connection was over. */
    bool ghost = l->n_strangers[li->side]++ < world_stat(l->w, li->side, STAT_tcp_cookie_rx);
    if (!l->timeouts_ok && !l->dup_ok && !ghost)
        world_fail(l->w, "a connection that nobody made, from port %u", ntohs(sin.sin_port));
    bh_close(fd);
    return true;
}

static void
over(struct load *l, struct end *e, int err)
{
    e->err = err;
    e->state = END_OVER;
    if (bh_close(e->fd) != 0)
        world_fail(l->w, "bh_close: errno %d", errno);
    e->fd = -1;
}

void
end_failed(struct load *l, struct end *e, int err)
{
    const struct end *o = end_peer(e);
    bool rude = o->plan != PLAN_ORDERLY && (o->state == END_OVER || o->state == END_NONE);
    /* After its own end timed out the other side answers with a reset. */
    bool reset = (err == ECONNRESET || err == EPIPE) &&
                 (rude || l->timeouts_ok || load_overtaken(l, e->flow));
    bool silence = err == ETIMEDOUT || err == EHOSTUNREACH;
    bool late = silence && l->timeouts_ok;
    bool killed = l->dead[o->side] &&
                  (err == ECONNRESET || err == ECONNREFUSED || err == EPIPE || silence);
    if (!reset && !late && !killed && !(silence && rude))
        world_fail(l->w, "an end on side %u failed: errno %d (%s; %llu sent, %llu received)",
                   e->side, err, strerror(err), (unsigned long long)e->sent,
                   (unsigned long long)e->got);
    l->n_resets += reset;
    l->n_timeouts += late;
    over(l, e, err);
}

static bool
end_connect(struct load *l, struct end *e)
{
    struct sockaddr_in sin = world_sin(!e->side, LOAD_PORT);
    if (bh_connect(e->fd, (struct sockaddr *)&sin, sizeof sin) == 0 || errno == EISCONN) {
        e->state = END_OPEN;
        watch(l, e);
        return true;
    }
    if (errno == EALREADY || errno == EINPROGRESS)
        return false;
    int err = errno;
    if (!l->timeouts_ok || l->dead[!e->side] || e->tries == TRIES) {
        end_failed(l, e, err);
        return true;
    }
    bh_close(e->fd); /* another attempt, with another socket */
    e->fd = -1;
    start(l, e);
    return true;
}

static bool
abort_due(struct load *l, struct end *e)
{
    if (e->plan != PLAN_ABORT || e->sent + e->got < e->abort_at)
        return false;
    struct linger off = {.l_onoff = 1};
    if (bh_setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &off, sizeof off) != 0)
        world_fail(l->w, "SO_LINGER: errno %d", errno);
    over(l, e, 0);
    return true;
}

static void
shut_down(struct load *l, struct end *e)
{
    e->shut = true;
    if (bh_shutdown(e->fd, SHUT_WR) != 0) {
        e->shut = false;
        int err = errno, pending = 0;
        socklen_t len = sizeof pending;
        if (bh_getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &pending, &len) == 0 && pending != 0)
            err = pending;
        end_failed(l, e, err == ENOTCONN ? ECONNRESET : err);
        return;
    }
    watch(l, e);
}

bool
end_work(struct load *l, struct end *e, short revents)
{
    bool any = false;
    if (e->state == END_CONNECTING)
        return end_connect(l, e);
    if (e->state != END_OPEN || e->paused_until != 0)
        return false;
    if (!e->eof && (revents & (POLLIN | POLLERR | POLLHUP)))
        any |= end_read(l, e);
    if (e->state == END_OPEN && e->sent < e->to_send && (revents & (POLLOUT | POLLERR)))
        any |= end_write(l, e);
    if (e->state != END_OPEN || abort_due(l, e))
        return true;
    if (e->sent == e->to_send && e->plan == PLAN_HASTY) {
        over(l, e, 0);
        return true;
    }
    if (e->sent == e->to_send && !e->shut) {
        shut_down(l, e);
        if (e->state != END_OPEN)
            return true;
        any = true;
    }
    if (e->eof && e->shut) {
        over(l, e, 0);
        return true;
    }
    if (e->think != 0 && rng_percent(&l->rng, e->think)) {
        e->paused_until = l->w->now + 1 + rng_next(&l->rng) % e->think_time;
        (void)bh_watch(e->fd, 0, e);
    } else if (any) {
        watch(l, e);
    }
    return any;
}

bool
end_resume(struct load *l, struct end *e)
{
    if (e->paused_until == 0 || e->paused_until > l->w->now)
        return false;
    e->paused_until = 0;
    watch(l, e);
    return true;
}

/* The program on this side is dead: so are its ends, without a word. */
void
flow_killed(struct load *l, unsigned side)
{
    for (uint32_t i = 0; i < l->cfg.flows; i++) {
        struct flow *f = &l->flow[i];
        struct end *e = &f->e[side];
        if (e->state == END_OVER)
            continue;
        e->plan = PLAN_ABORT;
        if (e->state != END_NONE || f->opener == side)
            e->state = END_OVER;
        e->fd = -1;
    }
}

/* After everything: was all that was promised delivered? */
void
flow_check(struct load *l, const struct flow *f)
{
    const struct end *a = &f->e[0], *b = &f->e[1];
    if (a->plan != PLAN_ORDERLY || b->plan != PLAN_ORDERLY || l->timeouts_ok || f->overtaken)
        return;
    if (!a->eof || !b->eof || a->got != b->to_send || b->got != a->to_send)
        world_fail(l->w, "a connection did not end as it should");
}
