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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/exit_codes.h"

#define HELLO_TIMEOUT_S 5
#define STREAMS_MAX (CLIENTS_MAX / 2)
#define WAITING_MAX 128u /* connections that have not said who they are, or were denied */
#define WAITING_PER_UID_MAX 16u /* of these, from one uid */
#define GIDS_MAX 65536u         /* NGROUPS_MAX: all that a process can have */
#define NO_ID UINT32_MAX

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

static void
drop_id(struct sup_client *c)
{
    if (c->id != NO_ID)
        c->sup->by_id[c->id] = NULL;
    c->id = NO_ID;
}

static void
client_destroy(struct sup_client *c)
{
    if (c->ev != NULL)
        event_free(c->ev);
    if (c->fd >= 0)
        close(c->fd);
    region_close(&c->half[0]);
    region_close(&c->half[1]);
    close_pair(c->to_domain);
    close_pair(c->to_client);
    drop_id(c);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    free(c);
}

static struct sup_dom *
domain_of(const struct sup_client *c)
{
    struct sup *s = c->sup;
    if (sup_present(s, DOM_MONO))
        return &s->dom[DOM_MONO];
    return &s->dom[c->proto == IPPROTO_TCP ? DOM_TCP : DOM_UDP];
}

/* Its process is gone, or not wanted any more. The domain brings its sessions to their end
 * and says CTL_CLIENT_FREE. */
static void
client_gone(struct sup_client *c)
{
    if (c->state == CLIENT_GONE)
        return;
    if (c->state != CLIENT_ATTACHED) {
        client_destroy(c);
        return;
    }
    sup_verbose(c->sup, "client %u (pid %d, %s) is gone", c->id, (int)c->pid, c->program);
    c->state = CLIENT_GONE;
    event_free(c->ev);
    c->ev = NULL;
    close(c->fd);
    c->fd = -1;
    struct ctl_msg m = {.type = CTL_CLIENT_GONE, .client = {.id = c->id}};
    sup_dom_send(domain_of(c), &m, NULL); /* if it is down: said again when it is back */
}

static void __attribute__((format(printf, 3, 4)))
client_deny(struct sup_client *c, enum ctl_denied why, const char *fmt, ...)
{
    struct ctl_msg m = {.type = CTL_DENIED, .text = {.arg = why}};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(m.text.text, sizeof m.text.text, fmt, ap);
    va_end(ap);
    sup_log_some(&c->sup->log_left, "denied pid %d (uid %u): %s", (int)c->pid, (unsigned)c->uid,
                 m.text.text);
    drop_id(c);
    c->state = CLIENT_DENIED; /* until it hangs up: a reset could overtake the answer */
    if (ctl_send(c->fd, &m, NULL) != 0)
        client_destroy(c);
}

/* ---- attaching ---- */

/* By uid, gid and supplementary groups, as the kernel knows them. */
static bool
find_account(struct sup_client *c)
{
    socklen_t len = GIDS_MAX * sizeof(gid_t);
    gid_t *gids = malloc(len + sizeof(gid_t));
    if (gids == NULL || getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, gids, &len) != 0) {
        free(gids); /* not knowing all groups, an account that denies could be missed */
        return false;
    }
    unsigned n = (unsigned)(len / sizeof(gid_t));
    gids[n++] = c->gid;
    c->account = accounts_find(&c->sup->accounts, c->uid, gids, n);
    free(gids);
    return c->account != NULL && !c->account->deny;
}

static unsigned
clients_of(const struct sup *s, uid_t uid, uint32_t proto)
{
    unsigned n = 0;
    for (const struct sup_client *c = s->clients; c != NULL; c = c->next)
        n += c->id != NO_ID && c->uid == uid && c->proto == proto;
    return n;
}

static bool
take_id(struct sup_client *c)
{
    unsigned first = c->proto == IPPROTO_TCP ? 0 : STREAMS_MAX;
    for (unsigned id = first; id < first + STREAMS_MAX; id++)
        if (c->sup->by_id[id] == NULL) {
            c->sup->by_id[id] = c;
            c->id = id;
            return true;
        }
    return false;
}

static int
make_arena(struct sup_client *c)
{
    char name[64];
    snprintf(name, sizeof name, "bulkhead:client-%u.client", c->id);
    int e = region_create(&c->half[0], name, arena_client_bytes(&c->g));
    snprintf(name, sizeof name, "bulkhead:client-%u.domain", c->id);
    if (e == 0)
        e = region_create(&c->half[1], name, arena_domain_bytes(&c->g));
    if (e == 0)
        e = bell_pipe(c->to_domain);
    if (e == 0)
        e = bell_pipe(c->to_client);
    return e;
}

static void
send_add(struct sup_client *c, bool resume)
{
    struct ctl_msg m = {
        .type = CTL_CLIENT_ADD,
        .client = {.id = c->id, .resume = resume, .g = c->g, .limits = c->limits}};
    int fd[] = {c->half[0].fd_ro, c->half[1].fd_rw, c->to_domain[0], c->to_client[1]};
    sup_dom_send(domain_of(c), &m, fd);
}

static int
send_welcome(struct sup_client *c)
{
    struct ctl_msg m = {.type = CTL_WELCOME,
                        .client = {.id = c->id, .g = c->g, .limits = c->limits}};
    /* An open file description of its own: the domain's must stay as it is. */
    int copy = bell_reader_copy(c->to_domain[0]);
    if (copy < 0)
        return copy;
    int fd[] = {c->half[0].fd_rw, c->half[1].fd_ro, c->to_client[0], c->to_domain[1], copy};
    int e = ctl_send(c->fd, &m, fd);
    close(copy);
    return e;
}

/* What it may have of what it wants; false: it was denied. */
static bool
grant(struct sup_client *c, const struct ctl_hello *h)
{
    const struct account *a = c->account;
    c->g = h->g;
    c->g.n_slots = min_u32(c->g.n_slots, a->sessions);
    uint64_t want = (uint64_t)arena_client_bytes(&c->g) + arena_domain_bytes(&c->g);
    if (!arena_geometry_check(&c->g)) {
        client_deny(c, DENIED_ARENA,
                    "the arena asked for is not one that can be; see "
                    "BULKHEAD_ARENA and BULKHEAD_SESSIONS");
        return false;
    }
    if (want > a->arena) {
        client_deny(
            c, DENIED_ARENA,
            "the arena asked for has %llu MiB and account \"%s\" may have %llu MiB: set "
            "BULKHEAD_ARENA (size of each of its two pools) or BULKHEAD_SESSIONS lower",
            (unsigned long long)((want + (1 << 20) - 1) >> 20), a->name,
            (unsigned long long)(a->arena >> 20));
        return false;
    }
    c->limits.sessions = min_u32(a->sessions, c->g.n_slots);
    c->limits.half_open = a->half_open;
    return true;
}

static void
on_hello(struct sup_client *c, const struct ctl_hello *h)
{
    struct sup *s = c->sup;
    c->proto = h->proto;
    memcpy(c->program, h->program, sizeof c->program);
    for (char *p = c->program; *p != '\0'; p++) /* it goes to logs and terminals */
        if (*p < ' ' || *p > '~')
            *p = '?';
    if (h->layout != SESSION_LAYOUT_VERSION) {
        client_deny(
            c, DENIED_VERSION,
            "this daemon speaks layout %u and the client's library %u: install the same "
            "version of both",
            SESSION_LAYOUT_VERSION, h->layout);
        return;
    }
    if (!find_account(c)) {
        client_deny(c, DENIED_ACCOUNT, "no account admits uid %u", (unsigned)c->uid);
        return;
    }
    if (clients_of(s, c->uid, c->proto) >= c->account->clients) {
        client_deny(c, DENIED_CLIENTS,
                    "uid %u has %u clients already, all that account \"%s\" "
                    "may have",
                    (unsigned)c->uid, c->account->clients, c->account->name);
        return;
    }
    if (domain_of(c)->life != LIFE_UP) {
        client_deny(c, DENIED_BUSY, "%s is being restarted: try again",
                    domain_name(domain_of(c)->id));
        return;
    }
    if (!grant(c, h))
        return;
    if (!take_id(c)) {
        client_deny(c, DENIED_CLIENTS, "%u clients are attached: no more fit", STREAMS_MAX);
        return;
    }
    int e = make_arena(c);
    if (e == 0)
        e = send_welcome(c);
    if (e != 0) {
        client_deny(c, DENIED_INTERNAL, "cannot make the arena: %s", strerror(-e));
        return;
    }
    c->state = CLIENT_ATTACHED;
    event_del(c->ev);
    event_add(c->ev, NULL); /* without the timeout from here on */
    send_add(c, false);
    /* Kept for the next tcp or udp; the client's own rights are the client's alone. */
    close(c->half[0].fd_rw);
    close(c->half[1].fd_ro);
    c->half[0].fd_rw = c->half[1].fd_ro = -1;
    sup_verbose(s, "client %u: pid %d (%s), uid %u, account %s", c->id, (int)c->pid, c->program,
                (unsigned)c->uid, c->account->name);
}

static void
on_client(evutil_socket_t sock, short what, void *arg)
{
    struct sup_client *c = arg;
    struct ctl_msg m;
    int fd[CTL_FDS_MAX];
    if (what & EV_TIMEOUT) {
        client_destroy(c);
        return;
    }
    int got = ctl_recv(sock, &m, fd);
    if (got == -EAGAIN || got == -EINTR)
        return;
    if (got == 1 && m.type == CTL_HELLO && c->state == CLIENT_HELLO) {
        on_hello(c, &m.hello);
        return;
    }
    if (got == 1)
        for (unsigned f = 0; f < ctl_fds(m.type); f++)
            close(fd[f]);
    if (got != 0 && got != -ECONNRESET)
        sup_log_some(&c->sup->log_left,
                     "pid %d (uid %u) sent what no client sends: disconnected", (int)c->pid,
                     (unsigned)c->uid);
    client_gone(c);
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
    static const struct timeval tv = {.tv_sec = HELLO_TIMEOUT_S};
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
                             .id = NO_ID,
                             .half = {{-1, -1, 0}, {-1, -1, 0}},
                             .to_domain = {-1, -1},
                             .to_client = {-1, -1}};
    c->next = s->clients;
    c->link = &s->clients;
    if (c->next != NULL)
        c->next->link = &c->next;
    s->clients = c;
    c->ev = event_new(s->base, fd, EV_READ | EV_PERSIST, on_client, c);
    if (c->ev == NULL || event_add(c->ev, &tv) != 0)
        client_destroy(c);
}

int
sup_clients_listen(struct sup *s, char *err, size_t err_len)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    memcpy(sun.sun_path, s->sock_path, sizeof sun.sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(s->sock_path); /* we hold the lock: what is left of it is stale */
    if (fd >= 0 && bind(fd, (struct sockaddr *)&sun, sizeof sun) == 0 &&
        chmod(s->sock_path, 0666) == 0 && listen(fd, 128) == 0)
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
    while (s->clients != NULL)
        client_destroy(s->clients);
}

/* ---- the domain's side ---- */

bool
sup_client_of(const struct sup_dom *d, unsigned id)
{
    return id < CLIENTS_MAX && (d->id == DOM_MONO || (d->id == DOM_TCP && id < STREAMS_MAX) ||
                                (d->id == DOM_UDP && id >= STREAMS_MAX));
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
        send_add(c, true);
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
    client_destroy(d->sup->by_id[id]);
}

void
sup_client_poisoned(struct sup_dom *d, unsigned id, const char *text)
{
    (void)text;
    if (sup_client_of(d, id) && d->sup->by_id[id] != NULL)
        client_gone(d->sup->by_id[id]);
}

unsigned
sup_clients_drop(struct sup_dom *d)
{
    unsigned n = 0;
    for (unsigned id = 0; id < CLIENTS_MAX; id++)
        if (sup_client_of(d, id) && d->sup->by_id[id] != NULL) {
            n += d->sup->by_id[id]->state == CLIENT_ATTACHED;
            client_destroy(d->sup->by_id[id]);
        }
    return n;
}

unsigned
sup_clients_pending(const struct sup_dom *d)
{
    unsigned n = 0;
    for (unsigned id = 0; id < CLIENTS_MAX; id++)
        if (sup_client_of(d, id) && d->sup->by_id[id] != NULL)
            n += sup_pipe_bytes(d->sup->by_id[id]->to_domain[0]);
    return n;
}
