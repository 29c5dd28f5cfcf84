/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_client.c: letting clients in. The kernel says who connects, policy says what that one
 * may use, and it gets an arena and two bells; from then on it talks to tcp or udp without
 * us. The connection stays open only to tell when it ends.
 *
 * Clients 0..127 have a stream arena (tcp), 128..255 a datagram arena (udp); in the monolith
 * too.
 */
#include "sup.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exit_codes.h"

#define WAITING_MAX 128u /* connections that have not said who they are, or were denied */
#define WAITING_PER_UID_MAX 16u /* of these, from one uid */

static void on_client(evutil_socket_t fd, short what, void *arg);

static void
close_pair(int fd[2])
{
    for (unsigned i = 0; i < 2; i++) {
        if (fd[i] >= 0)
            close(fd[i]);
        fd[i] = -1;
    }
}

/* ---- one client's end ---- */

void
sup_client_drop_id(struct sup_client *c)
{
    if (c->id != CLIENT_NO_ID)
        c->sup->by_id[c->id] = NULL;
    c->id = CLIENT_NO_ID;
}

void
sup_client_destroy(struct sup_client *c)
{
    if (c->ev != NULL)
        event_free(c->ev);
    if (c->fd >= 0)
        close(c->fd);
    region_close(&c->half[0]);
    region_close(&c->half[1]);
    close_pair(c->to_domain);
    close_pair(c->to_client);
    sup_standins_close(c);
    sup_client_drop_id(c);
    sup_client_turn_back(c);
    sup_policy_leave(c);
    free(c->cgroups);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    free(c);
}

struct sup_dom *
sup_client_domain(const struct sup_client *c)
{
    struct sup *s = c->sup;
    if (sup_present(s, DOM_MONO))
        return &s->dom[DOM_MONO];
    return &s->dom[c->proto == IPPROTO_TCP ? DOM_TCP : DOM_UDP];
}

/* ---- its counters: its domain's, which outlive that process ---- */

static uint64_t
counter(const struct sup_client *c, enum client_stat_id id)
{
    const struct stats *st = sup_client_domain(c)->stats;
    return st != NULL ? atomic_load_explicit(&st->client[c->id][id], memory_order_relaxed) : 0;
}

uint64_t
sup_client_count(const struct sup_client *c, enum client_stat_id id)
{
    return counter(c, id) - c->base[id];
}

void
sup_client_count_begin(struct sup_client *c)
{
    for (unsigned id = 0; id < CLIENT_STAT_COUNT; id++)
        c->base[id] = counter(c, (enum client_stat_id)id);
}

/* ---- its end ---- */

/* Its process is gone, or not wanted any more. The domain brings its sessions to their end
 * and says CTL_CLIENT_FREE. */
void
sup_client_cut(struct sup_client *c)
{
    if (c->state == CLIENT_GONE)
        return;
    if (c->state != CLIENT_ATTACHED) {
        sup_client_destroy(c);
        return;
    }
    sup_verbose(c->sup, "client %u (pid %d, %s) is gone", c->id, (int)c->pid, c->program);
    c->state = CLIENT_GONE;
    event_free(c->ev);
    c->ev = NULL;
    close(c->fd);
    c->fd = -1;
    struct ctl_msg m = {.type = CTL_CLIENT_GONE, .client = {.id = c->id}};
    sup_dom_send(sup_client_domain(c), &m,
                 NULL); /* if it is down: said again when it is back */
}

static void
on_client(evutil_socket_t sock, short what, void *arg)
{
    struct sup_client *c = arg;
    struct ctl_msg m;
    int fd[CTL_FDS_MAX];
    if (what & EV_TIMEOUT) {
        if (c->state == CLIENT_TURN)
            sup_client_turn(c);
        else
            sup_client_destroy(c);
        return;
    }
    int got = ctl_recv(sock, &m, fd);
    if (got == -EAGAIN || got == -EINTR)
        return;
    if (got == 1 && m.type == CTL_HELLO && c->state == CLIENT_HELLO) {
        sup_client_hello(c, &m.hello);
        return;
    }
    if (got == 1 && (m.type == CTL_WANT_STANDINS || m.type == CTL_WANT_STANDIN) &&
        c->state == CLIENT_ATTACHED) {
        sup_standins_wanted(c, m.type == CTL_WANT_STANDIN ? 1 : CTL_STANDINS_MAX);
        return;
    }
    if (got == 1)
        ctl_close_fds(fd);
    if (got != 0 && got != -ECONNRESET)
        sup_log_some(&c->sup->log_left,
                     "pid %d (uid %u) sent what no client sends: disconnected", (int)c->pid,
                     (unsigned)c->uid);
    sup_client_cut(c);
}

void
sup_client_timeout(struct sup_client *c, ns_t in)
{
    ns_t us = in / NS_US + 1;
    const struct timeval tv = {.tv_sec = (time_t)(us / 1000000),
                               .tv_usec = (suseconds_t)(us % 1000000)};
    (void)event_add(c->ev, &tv);
}

/* ---- connections ---- */

static bool
too_many_waiting(const struct sup *s, uid_t uid)
{
    unsigned all = 0, own = 0;
    for (const struct sup_client *c = s->clients; c != NULL; c = c->next)
        if (c->state == CLIENT_HELLO || c->state == CLIENT_DENIED) {
            all++;
            own += c->uid == uid;
        }
    return all >= WAITING_MAX || own >= WAITING_PER_UID_MAX;
}

static void
on_connect(struct evconnlistener *at, evutil_socket_t fd, struct sockaddr *sa, int len,
           void *arg)
{
    (void)at;
    (void)sa;
    (void)len;
    struct sup *s = arg;
    struct ucred cred;
    socklen_t cred_len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) != 0 ||
        too_many_waiting(s, cred.uid)) {
        sup_log_some(&s->log_left, "too many connections wait: one more is refused");
        close(fd);
        return;
    }
    struct sup_client *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return;
    }
    *c = (struct sup_client){.sup = s,
                             .fd = fd,
                             .uid = cred.uid,
                             .gid = cred.gid,
                             .pid = cred.pid,
                             .id = CLIENT_NO_ID,
                             .half = {{-1, -1, 0}, {-1, -1, 0}},
                             .to_domain = {-1, -1},
                             .to_client = {-1, -1}};
    c->next = s->clients;
    c->link = &s->clients;
    if (c->next != NULL)
        c->next->link = &c->next;
    s->clients = c;
    int none = 0; /* clients pass no descriptors in */
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof none);
    c->ev = event_new(s->base, fd, EV_READ | EV_PERSIST, on_client, c);
    if (c->ev == NULL)
        sup_client_destroy(c);
    else
        sup_client_timeout(c, HELLO_TIMEOUT);
}

int
sup_clients_listen(struct sup *s, char *err, size_t err_len)
{
    int fd = sup_socket(s->sock_path, SOCK_SEQPACKET, 0666, 128);
    if (fd >= 0)
        s->clients_at = evconnlistener_new(
            s->base, on_connect, s,
            LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
    if (s->clients_at != NULL)
        return 0;
    snprintf(err, err_len, "cannot listen on %s: %s", s->sock_path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return EXIT_OTHER;
}

void
sup_clients_accept(struct sup *s)
{
    char text[INET_ADDRSTRLEN];
    uint32_t a = ipaddr_to_u32(&s->conf.addr);
    snprintf(text, sizeof text, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
    s->ready = true;
    evconnlistener_enable(s->clients_at);
    sup_log("ready: %s on %s, composition %s", text, s->conf.interface,
            s->conf.composition == COMP_FACTORED ? "factored" : "monolithic");
}

void
sup_clients_close(struct sup *s)
{
    if (s->clients_at != NULL) {
        evconnlistener_free(s->clients_at);
        s->clients_at = NULL;
        unlink(s->sock_path);
    }
    struct sup_client *next;
    for (struct sup_client *c = s->clients; c != NULL; c = next) {
        next = c->next;
        sup_client_destroy(c);
    }
}

/* ---- the domain's side ---- */

bool
sup_client_of(const struct sup_dom *d, unsigned id)
{
    unsigned serve = id < CLIENT_STREAMS_MAX ? TOPO_STREAMS : TOPO_DATAGRAMS;
    return id < CLIENTS_MAX && (serve & TOPO_BIT(d->id)) != 0;
}

void
sup_clients_resend(struct sup_dom *d)
{
    struct sup *s = d->sup;
    for (unsigned id = 0; id < CLIENTS_MAX; id++) {
        struct sup_client *c = s->by_id[id];
        if (c == NULL || !sup_client_of(d, id))
            continue;
        /* Descriptions that its predecessor shared: as they were, and nothing pending that
         * the next one could mistake for work. */
        (void)fcntl(c->to_domain[0], F_SETFL, O_NONBLOCK);
        (void)fcntl(c->to_client[1], F_SETFL, O_NONBLOCK);
        sup_bell_drain(c->to_domain[0]);
        sup_client_send_add(c, true);
        sup_standins_resend(c);
        if (c->state == CLIENT_GONE) {
            struct ctl_msg m = {.type = CTL_CLIENT_GONE, .client = {.id = id}};
            sup_dom_send(d, &m, NULL);
        }
    }
}

void
sup_client_free_msg(struct sup_dom *d, unsigned id)
{
    if (!sup_client_of(d, id) || d->sup->by_id[id] == NULL)
        return;
    if (d->sup->by_id[id]->state != CLIENT_GONE)
        sup_log_some(&d->log_left, "%s gave up client %u, which still lives",
                     domain_name(d->id), id);
    sup_client_destroy(d->sup->by_id[id]);
}

void
sup_client_poisoned(struct sup_dom *d, unsigned id, const char *text)
{
    (void)text;
    if (sup_client_of(d, id) && d->sup->by_id[id] != NULL)
        sup_client_cut(d->sup->by_id[id]);
}

unsigned
sup_clients_drop(struct sup_dom *d)
{
    unsigned n = 0;
    for (unsigned id = 0; id < CLIENTS_MAX; id++)
        if (sup_client_of(d, id) && d->sup->by_id[id] != NULL) {
            n += d->sup->by_id[id]->state == CLIENT_ATTACHED;
            sup_client_destroy(d->sup->by_id[id]);
        }
    return n;
}

unsigned
sup_client_bells(const struct sup *s, unsigned dom, int *fd, unsigned max)
{
    unsigned n = 0;
    for (unsigned id = 0; id < CLIENTS_MAX && n < max; id++)
        if (s->by_id[id] != NULL && (dom == DOM_COUNT || sup_client_of(&s->dom[dom], id)))
            fd[n++] = s->by_id[id]->to_domain[0];
    return n;
}
