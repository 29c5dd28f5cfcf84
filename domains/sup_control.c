/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_control.c: what bulkheadctl asks. One line of JSON in, one line of JSON out; the socket
 * is root's alone.
 */
#include "sup_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/exit_codes.h"

#define CONNS_MAX 16u
#define LINE_MAX_BYTES 4096u
#define WAIT_S 10         /* for an answer that takes a domain's help */
#define PAGES_MAX 100000u /* of one listing: the domain that sends them is not trusted */

struct sup_conn {
    struct sup *sup;
    struct sup_conn *next, **link;
    struct bufferevent *bev;
    struct event *timer;
    bool wants_sessions;
    int wants_dom; /* waits until this domain is back; -1: does not */
    ns_t asked;
};

/* The one listing under way; whoever asks meanwhile gets the same. */
static struct {
    json_t *list;  /* NULL: none under way */
    unsigned dom;  /* whom we asked last */
    uint32_t from; /* and from where on */
    unsigned pages;
    bool incomplete;
} job;

static void
conn_close(struct sup_conn *c)
{
    if (c->timer != NULL)
        event_free(c->timer);
    if (c->bev != NULL)
        bufferevent_free(c->bev);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    free(c);
}

static void
reply(struct sup_conn *c, json_t *j)
{
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    c->wants_sessions = false;
    c->wants_dom = -1;
    evtimer_del(c->timer);
    if (text != NULL) {
        bufferevent_write(c->bev, text, strlen(text));
        bufferevent_write(c->bev, "\n", 1);
    }
    free(text);
    json_decref(j);
}

static void
reply_error(struct sup_conn *c, const char *why)
{
    reply(c, json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

static void
wait_for_answer(struct sup_conn *c)
{
    static const struct timeval tv = {.tv_sec = WAIT_S};
    c->asked = sup_now();
    evtimer_add(c->timer, &tv);
}

/* ---- sessions ---- */

static void
job_finish(struct sup *s)
{
    json_t *answer = json_pack("{s:b, s:b, s:o}", "ok", 1, "complete", !job.incomplete,
                               "sessions", job.list);
    job.list = NULL;
    for (struct sup_conn *c = s->conns; c != NULL; c = c->next)
        if (c->wants_sessions)
            reply(c, json_incref(answer));
    json_decref(answer);
}

static void
job_ask(struct sup *s)
{
    struct ctl_msg m = {.type = CTL_SESSIONS, .from = job.from};
    sup_dom_send(&s->dom[job.dom], &m, NULL);
}

/* The next domain that has sessions, from job.dom on. */
static void
job_next_domain(struct sup *s)
{
    for (; job.dom < DOM_COUNT; job.dom++) {
        unsigned bit = TOPO_BIT(job.dom);
        if (!sup_present(s, job.dom) || (!(TOPO_STREAMS & bit) && !(TOPO_DATAGRAMS & bit)))
            continue;
        if (s->dom[job.dom].life == LIFE_UP) {
            job.from = 0;
            job_ask(s);
            return;
        }
        job.incomplete = true;
    }
    job_finish(s);
}

void
sup_control_sessions(struct sup_dom *d, const struct ctl_sessions *m)
{
    struct sup *s = d->sup;
    if (job.list == NULL || job.dom != d->id || d->life != LIFE_UP)
        return; /* nobody asked, or not any more */
    for (uint32_t i = 0; i < min_u32(m->n, CTL_INFO_MAX); i++)
        json_array_append_new(job.list, sup_json_session(s, &m->s[i]));
    if (m->more && m->next > job.from && ++job.pages < PAGES_MAX) {
        job.from = m->next;
        job_ask(s);
        return;
    }
    job.incomplete |= m->more != 0;
    job.dom++;
    job_next_domain(s);
}

void
sup_control_dom_died(struct sup_dom *d)
{
    if (job.list == NULL || job.dom != d->id)
        return;
    job.incomplete = true;
    job.dom++;
    job_next_domain(d->sup);
}

static void
start_sessions(struct sup_conn *c)
{
    c->wants_sessions = true;
    wait_for_answer(c);
    if (job.list != NULL)
        return;
    job.list = json_array();
    job.dom = job.pages = 0;
    job.incomplete = false;
    job_next_domain(c->sup);
}

/* ---- restart ---- */

static void
start_restart(struct sup_conn *c, const char *name)
{
    struct sup *s = c->sup;
    for (unsigned d = 0; name != NULL && d < DOM_COUNT; d++) {
        if (!sup_present(s, d) || strcmp(name, domain_name(d)) != 0)
            continue;
        if (!s->linked) {
            reply_error(c, "the daemon is still starting");
            return;
        }
        c->wants_dom = (int)d;
        wait_for_answer(c);
        if (s->dom[d].life == LIFE_UP) {
            sup_dom_kill(&s->dom[d], "on request");
            s->dom[d].wanted = true;
        }
        return;
    }
    reply_error(c, "there is no such domain in this composition");
}

void
sup_control_dom_up(struct sup_dom *d)
{
    struct sup_conn *next;
    for (struct sup_conn *c = d->sup->conns; c != NULL; c = next) {
        next = c->next;
        if (c->wants_dom == (int)d->id)
            reply(c, json_pack("{s:b, s:s, s:i, s:i, s:f}", "ok", 1, "domain",
                               domain_name(d->id), "pid", (int)d->pid, "restarts",
                               (int)d->restarts, "ms", (double)(sup_now() - c->asked) / 1e6));
    }
}

static void
start_reload(struct sup_conn *c)
{
    char err[768];
    const struct sup *s = c->sup;
    if (sup_policy_reload(c->sup, err, sizeof err) != 0)
        reply_error(c, err);
    else
        reply(c, json_pack("{s:b, s:s, s:i}", "ok", 1, "source", s->accounts.source, "accounts",
                           (int)s->accounts.n));
}

/* ---- connections ---- */

static void
on_line(struct sup_conn *c, const char *line)
{
    json_t *j = json_loads(line, 0, NULL);
    const char *cmd = json_string_value(json_object_get(j, "cmd"));
    if (cmd == NULL)
        reply_error(c, "want one JSON object a line, with \"cmd\"");
    else if (strcmp(cmd, "status") == 0)
        reply(c, sup_json_status(c->sup));
    else if (strcmp(cmd, "stats") == 0)
        reply(c, sup_json_stats(c->sup));
    else if (strcmp(cmd, "sessions") == 0)
        start_sessions(c);
    else if (strcmp(cmd, "policy") == 0)
        reply(c, sup_json_policy(c->sup));
    else if (strcmp(cmd, "reload") == 0)
        start_reload(c);
    else if (strcmp(cmd, "restart") == 0)
        start_restart(c, json_string_value(json_object_get(j, "domain")));
    else
        reply_error(c, "unknown command");
    json_decref(j);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
    struct sup_conn *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    char *line;
    while (!c->wants_sessions && c->wants_dom < 0 &&
           (line = evbuffer_readln(in, NULL, EVBUFFER_EOL_LF)) != NULL) {
        on_line(c, line);
        free(line);
    }
    if (evbuffer_get_length(in) > LINE_MAX_BYTES)
        conn_close(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what;
    conn_close(arg);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sup_conn *c = arg;
    if (c->wants_sessions && job.list != NULL) { /* what came so far */
        job.incomplete = true;
        job_finish(c->sup);
    } else {
        reply_error(c, "the domain did not come back in time; see the daemon's log");
    }
}

static void
on_connect(struct evconnlistener *at, evutil_socket_t fd, struct sockaddr *sa, int len,
           void *arg)
{
    (void)at;
    (void)sa;
    (void)len;
    struct sup *s = arg;
    unsigned n = 0;
    for (const struct sup_conn *c = s->conns; c != NULL; c = c->next)
        n++;
    struct sup_conn *c = n < CONNS_MAX ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        close(fd);
        return;
    }
    *c = (struct sup_conn){.sup = s, .next = s->conns, .link = &s->conns, .wants_dom = -1};
    if (c->next != NULL)
        c->next->link = &c->next;
    s->conns = c;
    c->timer = evtimer_new(s->base, on_timeout, c);
    c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (c->bev == NULL)
        close(fd);
    if (c->timer == NULL || c->bev == NULL) {
        conn_close(c);
        return;
    }
    bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

int
sup_control_listen(struct sup *s, char *err, size_t err_len)
{
    int fd = sup_socket(s->ctl_path, SOCK_STREAM, 0600, 16);
    if (fd >= 0)
        s->control_at = evconnlistener_new(
            s->base, on_connect, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (s->control_at != NULL)
        return 0;
    snprintf(err, err_len, "cannot listen on %s: %s", s->ctl_path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return EXIT_OTHER;
}

void
sup_control_close(struct sup *s)
{
    if (s->control_at != NULL) {
        evconnlistener_free(s->control_at);
        s->control_at = NULL;
        unlink(s->ctl_path);
    }
    struct sup_conn *next;
    for (struct sup_conn *c = s->conns; c != NULL; c = next) {
        next = c->next;
        conn_close(c);
    }
    json_decref(job.list);
    job.list = NULL;
}
