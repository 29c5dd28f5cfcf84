/* SPDX-License-Identifier: BSD-2-Clause */
#include "serve_client.h"

#include <errno.h>
#include <unistd.h>

#include "guard.h"

#define RINGS_MAX 16u          /* of a bell without a request */
#define RING_HELD 8u           /* one counts so much of who is not to ring at all */
#define DEAF_TIME (20 * NS_MS) /* then nobody listens to it */

static void
report(void *ctx, uint32_t id, const char *what)
{
    domain_poisoned(ctx, id, "client %u: %s", id, what);
}

void
serve_client_init(struct serve *s, struct domain *d)
{
    s->report = report;
    s->ctx = d;
    s->life = d->cfg.restart + 1;
}

static void
client_free(struct domain *d, uint32_t id)
{
    struct ctl_msg m = {.type = CTL_CLIENT_FREE, .client.id = id};
    if (ctl_send(d->ctl_fd, &m, NULL) != 0)
        domain_notice(d, NOTICE_LOG, "client %u: could not report that its arena is free", id);
}

static void
client_add(struct serve *s, struct domain *d, const struct ctl_client *c, int *fd)
{
    struct served *sv = &s->c[c->id - s->first];
    size_t client_bytes = arena_client_bytes(&c->g), domain_bytes = arena_domain_bytes(&c->g);
    void *client_half = NULL, *domain_half = NULL;
    unsigned slot = 2 * c->id;
    int err = sv->used ? EEXIST : 0;
    if (err == 0 && (client_half = window_map(slot, fd[0], client_bytes, false)) == NULL)
        err = errno;
    if (err == 0 && (domain_half = window_map(slot + 1, fd[1], domain_bytes, true)) == NULL)
        err = errno;
    close(fd[0]);
    close(fd[1]);
    if (err == 0) {
        struct arena_view v;
        arena_view_init(&v, &c->g, client_half, domain_half);
        err = serve_add(s, c->id, &v, &c->limits, c->resume != 0, fd[2], fd[3]);
    }
    if (err == 0) {
        sv->client_half = client_half;
        sv->domain_half = domain_half;
        err = -domain_watch(d, fd[2], sv);
        if (err == 0)
            return;
        serve_gone(s, c->id, domain_now());
        serve_remove(s, c->id);
    }
    domain_notice(d, NOTICE_LOG, "client %u: cannot be taken in: error %d", c->id, err);
    if (client_half != NULL)
        window_unmap(slot);
    if (domain_half != NULL)
        window_unmap(slot + 1);
    close(fd[2]);
    close(fd[3]);
    client_free(d, c->id);
}

static void
send_sessions(const struct serve *s, struct domain *d, uint32_t from)
{
    struct ctl_msg m = {.type = CTL_SESSION_LIST};
    struct sess_info info;
    while (s->list_next != NULL && from >= s->list_next->list_base)
        s = s->list_next;
    uint32_t at = from - s->list_base;
    while (m.sessions.n < CTL_INFO_MAX && s->ops->info(s->tr, at, &info)) {
        at = info.sess + 1;
        info.sess += s->list_base;
        m.sessions.s[m.sessions.n++] = info;
    }
    m.sessions.more = s->ops->info(s->tr, at, &info);
    m.sessions.next = at + s->list_base;
    if (!m.sessions.more && s->list_next != NULL) {
        m.sessions.more = 1;
        m.sessions.next = s->list_next->list_base;
    }
    if (ctl_send(d->ctl_fd, &m, NULL) != 0)
        domain_notice(d, NOTICE_LOG, "session list lost: the supervisor does not read");
}

/* ---- stand-ins ---- */

/* Which one a watched descriptor is, as domain_watch keeps it: no pointer is odd. */
static void *
standin_name(uint32_t id, uint32_t at)
{
    return (void *)((uintptr_t)at << 16 | id << 1 | 1);
}

/* The supervisor may let go of it, too. There is no hurry: several in one message. */
static void
standins_over(struct serve *s, struct domain *d, uint32_t id, uint32_t number)
{
    struct ctl_standins *o = &s->over;
    if (o->n == CTL_STANDINS_MAX || (o->n != 0 && o->client != id)) {
        struct ctl_msg m = {.type = CTL_STANDINS_OVER, .standins = *o};
        if (ctl_send(d->ctl_fd, &m, NULL) != 0)
            domain_notice(d, NOTICE_LOG, "client %u: could not report closed descriptors", id);
        o->n = 0;
    }
    o->client = id;
    o->number[o->n++] = number;
}

static void
take_standins(struct serve *s, struct domain *d, const struct ctl_standins *m, const int *fd)
{
    uint32_t i = m->client - s->first;
    for (unsigned k = 0; k < CTL_STANDINS_MAX; k++) {
        uint32_t n = m->number[k], at = n & (arena_standins(&s->c[i].v.g) - 1);
        bool taken = s->c[i].used && !s->c[i].gone && serve_standin_take(s, i, n, fd[k]) == 0;
        if (taken && domain_watch_end(d, fd[k], standin_name(m->client, at)) != 0) {
            int e = serve_standin_over(s, i, at, domain_now(), &n);
            (void)e;
            taken = false;
        }
        if (taken)
            continue;
        close(fd[k]);
        if (n != 0)
            standins_over(s, d, m->client, n);
    }
}

static void
standin_over(struct serve *s, struct domain *d, uint32_t id, uint32_t at)
{
    uint32_t number, i = id - s->first;
    int fd = serve_standin_closed(s, i, at)
                 ? serve_standin_over(s, i, at, domain_now(), &number)
                 : -1;
    if (fd < 0)
        return;
    domain_unwatch(d, fd);
    close(fd);
    standins_over(s, d, id, number);
    serve_wake(s, id);
}

/* The client goes, and all of them. */
static void
drop_standins(struct serve *s, struct domain *d, uint32_t i)
{
    const struct served *c = &s->c[i];
    uint32_t left = c->n_standins;
    if (s->over.client == s->first + i) /* the next client counts from one again */
        s->over.n = 0;
    for (uint32_t at = 0; left != 0 && at < arena_standins(&c->v.g); at++) {
        const struct standin *e = &c->v.standin[at];
        if (e->number == 0 || e->life != s->life)
            continue;
        domain_unwatch(d, e->fd);
        close(e->fd);
        left--;
    }
}

void
serve_client_ctl(struct serve *s, struct domain *d, struct ctl_msg *m, int *fd, ns_t now)
{
    switch (m->type) {
    case CTL_CLIENT_ADD:
        if (m->client.id - s->first < SERVE_CLIENTS)
            client_add(s, d, &m->client, fd);
        break;
    case CTL_CLIENT_GONE:
        serve_gone(s, m->client.id, now);
        break;
    case CTL_CLIENT_LIMITS:
        if (m->client.id - s->first < SERVE_CLIENTS && s->c[m->client.id - s->first].used)
            s->ops->client_limits(s->tr, m->client.id, &m->client.limits);
        break;
    case CTL_SESSIONS:
        send_sessions(s, d, m->from);
        break;
    case CTL_STANDINS:
        if (m->standins.client - s->first < SERVE_CLIENTS)
            take_standins(s, d, &m->standins, fd);
        break;
    default:
        break;
    }
}

/* Listen again to those who rang for nothing, when their time is over. */
static void
listen_again(struct serve *s, struct domain *d)
{
    ns_t now = domain_now();
    if (now < s->deaf_until)
        return;
    s->deaf_until = NS_NEVER;
    for (uint32_t i = 0; i < SERVE_CLIENTS; i++) {
        struct served *sv = &s->c[i];
        if (!sv->used || sv->deaf_until == 0)
            continue;
        if (sv->deaf_until > now) {
            s->deaf_until = min_u64(s->deaf_until, sv->deaf_until);
            continue;
        }
        sv->deaf_until = 0;
        sv->rung_for_nothing = 0;
        if (domain_watch(d, sv->sleeper.fd, sv) == 0)
            serve_wake(s, s->first + i);
    }
}

/* It rings and has nothing to say: each ring costs us a turn. For a while its requests are
 * found when we are awake anyway, and its bell costs nothing. */
static void
be_deaf_to(struct serve *s, struct domain *d, struct served *sv)
{
    domain_unwatch(d, sv->sleeper.fd);
    sv->deaf_until = domain_now() + DEAF_TIME;
    s->deaf_until = min_u64(s->deaf_until, sv->deaf_until);
    stat_inc(s->stats, STAT_bells_ignored);
    stat_client(s->stats, s->first + (uint32_t)(sv - s->c), CLIENT_STAT_rings_ignored, 1);
}

/* What accounts forbade, for the log. A supervisor that does not read loses a line. */
static void
tell_denials(struct serve *s, struct domain *d)
{
    struct ctl_msg m = {.type = CTL_DENIAL};
    while (s->ops->denial(s->tr, &m.denial))
        if (ctl_send(d->ctl_fd, &m, NULL) != 0)
            return;
}

void
serve_client_reap(struct serve *s, struct domain *d)
{
    if (unlikely(s->deaf_until != NS_NEVER))
        listen_again(s, d);
    tell_denials(s, d);
    uint32_t id; /* all of them: the next turn may be far away */
    while ((id = serve_idle_client(s)) != SESS_NONE) {
        struct served sv = s->c[id - s->first];
        drop_standins(s, d, id - s->first);
        serve_remove(s, id);
        domain_unwatch(d, sv.sleeper.fd);
        close(sv.sleeper.fd);
        close(sv.ringer.fd);
        window_unmap(2 * id);
        window_unmap(2 * id + 1);
        client_free(d, id);
    }
}

bool
serve_client_ready(struct serve *s, struct domain *d, void *arg)
{
    struct served *sv = arg;
    if ((uintptr_t)arg & 1) {
        uint32_t id = (uint32_t)((uintptr_t)arg >> 1 & 0x7fff);
        if (id - s->first >= SERVE_CLIENTS)
            return false;
        standin_over(s, d, id, (uint32_t)((uintptr_t)arg >> 16));
        return true;
    }
    if (sv < s->c || sv >= s->c + SERVE_CLIENTS)
        return false;
    uint32_t i = (uint32_t)(sv - s->c);
    sv->rung_for_nothing += serve_is_held(s, i) ? RING_HELD : 1;
    if (!bell_drain(&sv->sleeper)) /* its end is closed: the supervisor will tell */
        domain_unwatch(d, sv->sleeper.fd);
    else if (sv->rung_for_nothing > RINGS_MAX)
        be_deaf_to(s, d, sv);
    serve_wake(s, s->first + i);
    return true;
}
