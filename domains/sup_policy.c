/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_policy.c: accounts while the daemon runs: which one a client belongs to, by what the
 * kernel vouches for; the number under which tcp and udp know it; new rules; and what the
 * domains had to deny, with the line of the file that decided.
 */
#include "sup.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exit_codes.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define GIDS_MAX 65536u    /* NGROUPS_MAX: all that a process can have */
#define CGROUPS_MAX 16384u /* bytes of /proc/PID/cgroup */

/* ---- who ---- */

/* /proc/PID/cgroup of the process at the other end, to be freed; NULL: not to be had. The
 * number could have passed to another process, but not while this one runs, and that it still
 * does is asked of the pidfd after the file was read. */
static char *
read_cgroups(const struct sup_client *c)
{
    char path[64];
    int pidfd = -1;
    socklen_t len = sizeof pidfd;
    if (c->pid <= 0 || getsockopt(c->fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) != 0)
        return NULL;
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)c->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd >= 0 ? malloc(CGROUPS_MAX) : NULL;
    size_t n = 0;
    ssize_t got = -1;
    while (text != NULL && n < CGROUPS_MAX - 1 &&
           (got = read(fd, text + n, CGROUPS_MAX - 1 - n)) > 0)
        n += (size_t)got;
    struct pollfd alive = {.fd = pidfd, .events = POLLIN}; /* readable when it has ended */
    if (text == NULL || got != 0 || poll(&alive, 1, 0) != 0) {
        free(text);
        text = NULL;
    } else {
        text[n] = '\0';
    }
    if (fd >= 0)
        close(fd);
    close(pidfd);
    return text;
}

/* By uid, gid and supplementary groups, and cgroup, as the kernel knows them. Not knowing all,
 * an account that denies could be missed: NULL then. */
static const struct policy_account *
account_of(struct sup_client *c, const struct accounts *as)
{
    socklen_t len = GIDS_MAX * sizeof(gid_t);
    const struct policy_account *a = NULL;
    gid_t *gids = malloc(len + sizeof(gid_t));
    if (c->cgroups == NULL && accounts_want_cgroup(as)) {
        c->cgroups = read_cgroups(c);
        if (c->cgroups == NULL)
            sup_log_some(&c->sup->log_left, "pid %d: the kernel does not tell its cgroup",
                         (int)c->pid);
    }
    if (gids != NULL && (c->cgroups != NULL || !accounts_want_cgroup(as)) &&
        getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, gids, &len) == 0) {
        struct account_who who = {.uid = c->uid,
                                  .gids = gids,
                                  .n_gids = (unsigned)(len / sizeof(gid_t)),
                                  .cgroups = c->cgroups};
        gids[who.n_gids++] = c->gid;
        a = accounts_find(as, &who);
    }
    free(gids);
    return a;
}

bool
sup_policy_find(struct sup_client *c)
{
    c->account = account_of(c, &c->sup->accounts);
    return c->account != NULL && !c->account->deny;
}

/* ---- the numbers of accounts ---- */

static bool
same(const struct sup_account *n, const struct policy_account *a, uid_t uid)
{
    return n->used && strcmp(n->name, a->name) == 0 && n->per_uid == a->per_uid &&
           (!a->per_uid || n->uid == uid);
}

uint64_t
sup_policy_count(const struct sup *s, unsigned number, unsigned id)
{
    uint64_t sum = 0;
    for (unsigned d = 0; d < DOM_COUNT; d++)
        if (sup_present(s, d) && s->dom[d].stats != NULL)
            sum += atomic_load_explicit(&s->dom[d].stats->account[number][id],
                                        memory_order_relaxed);
    return sum - s->account[number].base[id];
}

/* The account's number, or a new one: of those that nobody has, the one that was left first,
 * so that counters and rates outlive a client for long. */
struct sup_account *
sup_policy_number(struct sup_client *c)
{
    struct sup *s = c->sup;
    const struct policy_account *a = c->account;
    uid_t uid = c->uid;
    struct sup_account *best = NULL;
    for (unsigned i = 0; i < ACCOUNTS_MAX; i++) {
        struct sup_account *n = &s->account[i];
        if (same(n, a, uid))
            return n;
        if (n->clients == 0 && (best == NULL || n->left < best->left))
            best = n;
    }
    if (best == NULL)
        return NULL;
    *best = (struct sup_account){.used = true,
                                 .per_uid = a->per_uid,
                                 .uid = uid,
                                 .left = sup_now(),
                                 .epoch = ++s->account_epoch};
    memcpy(best->name, a->name, sizeof best->name);
    for (unsigned id = 0; id < ACCOUNT_STAT_COUNT; id++)
        best->base[id] = sup_policy_count(s, (unsigned)(best - s->account), id);
    return best;
}

/* The client's limits are those of its account. */
static void
limits_of(struct sup_client *c)
{
    const struct policy_account *a = c->account;
    c->limits = (struct sess_limits){
        .sessions = min_u32(a->sessions, c->g.n_slots),
        .half_open = a->half_open,
        .uid = c->uid,
        .account = (uint32_t)(c->number - c->sup->account),
        .epoch = c->number->epoch,
    };
    account_rules_of(a, c->proto == IPPROTO_TCP ? ACCOUNT_TCP : ACCOUNT_UDP, &c->limits.rules);
}

void
sup_policy_leave(struct sup_client *c)
{
    if (c->number != NULL && --c->number->clients == 0)
        c->number->left = sup_now();
    c->number = NULL;
}

void
sup_policy_join(struct sup_client *c)
{
    struct sup_account *n = sup_policy_number(c);
    if (n == NULL) /* there are no more clients than numbers */
        abort();
    n->clients++;
    sup_policy_leave(c);
    c->number = n;
    memcpy(n->rule_line, c->account->rule_line, sizeof n->rule_line);
    n->line = c->account->line;
    limits_of(c);
}

unsigned
sup_policy_clients(const struct sup_client *c, uint64_t *memory)
{
    unsigned n = 0;
    *memory = 0;
    for (const struct sup_client *o = c->sup->clients; o != NULL; o = o->next) {
        if (o == c || o->number == NULL || !same(o->number, c->account, c->uid))
            continue;
        n += o->proto == c->proto;
        *memory += (uint64_t)arena_client_bytes(&o->g) + arena_domain_bytes(&o->g);
    }
    return n;
}

/* ---- new rules ---- */

static void
follow(struct sup_client *c)
{
    struct ctl_msg m;
    sup_policy_join(c);
    memset(&m, 0, sizeof m);
    m.type = CTL_CLIENT_LIMITS;
    m.client.id = c->id;
    m.client.g = c->g;
    m.client.limits = c->limits;
    sup_dom_send(sup_client_domain(c), &m, NULL); /* if it is down: told when it is back */
}

int
sup_policy_reload(struct sup *s, char *err, size_t err_len)
{
    struct accounts old = s->accounts, new;
    int rc = accounts_read(&new, s->conf.accounts[0] ? s->conf.accounts : NULL, err, err_len);
    if (rc != 0) {
        sup_log("the accounts stay as they are: %s", err);
        return rc;
    }
    s->accounts = new;
    for (unsigned i = 0; i < ACCOUNTS_MAX; i++) /* paid for at a rate that is not any more */
        s->account[i].attaches = 0;
    unsigned kept = 0, cut = 0;
    struct sup_client *next;
    for (struct sup_client *c = s->clients; c != NULL; c = next) {
        next = c->next;
        c->account = NULL; /* it was the old file's */
        c->turn.of = NULL;
        if (c->state != CLIENT_ATTACHED)
            continue;
        if (sup_policy_find(c)) {
            follow(c);
            kept++;
            continue;
        }
        sup_log("client %u (uid %u, pid %d) may not be attached any more: cut off", c->id,
                (unsigned)c->uid, (int)c->pid);
        sup_client_cut(c);
        cut++;
    }
    accounts_free(&old);
    sup_log("%s: %u accounts; %u clients follow them, %u were cut off", s->accounts.source,
            s->accounts.n, kept, cut);
    return 0;
}

void
sup_policy_on_hup(evutil_socket_t sig, short what, void *arg)
{
    char err[768];
    (void)sig;
    (void)what;
    (void)sup_policy_reload(arg, err, sizeof err);
}

/* ---- what was denied ---- */

static void
describe(const struct account_denial *d, char *buf, size_t len)
{
    const char *proto = d->proto == IPPROTO_TCP ? "tcp" : "udp";
    uint32_t a = ipaddr_to_u32(&d->addr);
    char peer[48];
    snprintf(peer, sizeof peer, "%u.%u.%u.%u %s port %u", a >> 24, a >> 16 & 255, a >> 8 & 255,
             a & 255, proto, d->port);
    switch ((enum account_rule)d->rule) {
    case RULE_PORTS:
        snprintf(buf, len, "bind to %s port %u", proto, d->port);
        break;
    case RULE_LISTEN:
        snprintf(buf, len, "listen on %s port %u", proto, d->port);
        break;
    case RULE_PEERS:
        snprintf(buf, len, "%s %s", d->proto == IPPROTO_TCP ? "connection to" : "datagram to",
                 peer);
        break;
    case RULE_ACCEPT:
        snprintf(buf, len, "%s %s",
                 d->proto == IPPROTO_TCP ? "connection from" : "datagram from", peer);
        break;
    case RULE_CONNECTS:
        snprintf(buf, len, "one more connection attempt, to %s,", peer);
        break;
    case RULE_CONGESTION:
        snprintf(buf, len, "another congestion control");
        break;
    case RULE_SESSIONS:
        snprintf(buf, len, "one more %s session", proto);
        break;
    case RULE_HALF_OPEN:
    case RULE_COUNT:
        snprintf(buf, len, "one more handshake");
        break;
    }
}

void
sup_policy_denied(struct sup_dom *d, const struct account_denial *m)
{
    const struct sup *s = d->sup;
    const struct sup_account *n = &s->account[m->account];
    const struct sup_client *c = s->by_id[m->client];
    char what[160], more[64] = "";
    if (!sup_client_of(d, m->client) || !n->used || (c != NULL && c->number != n))
        return; /* not its client, or not (any more) of that account */
    describe(m, what, sizeof what);
    if (m->suppressed != 0)
        snprintf(more, sizeof more, " (and %u more since the last one)", m->suppressed);
    unsigned line = n->rule_line[m->rule];
    char who[64] = "which is gone";
    if (c != NULL)
        snprintf(who, sizeof who, "uid %u, pid %d", (unsigned)c->uid, (int)c->pid);
    sup_log_some(&d->log_left, "client %u (%s): %s denied by account \"%s\" (%s:%u%s%s)%s",
                 m->client, who, what, n->name, s->accounts.source, line != 0 ? line : n->line,
                 line != 0 ? "" : ", which has no ", line != 0 ? "" : account_rule_key(m->rule),
                 more);
}
