/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_attach.c: a client says who it is and what it wants. The kernel's word on its process
 * finds its account, the account bounds what it gets, and it gets an arena and two bells.
 */
#include "sup.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Clients give up after ten seconds (lib/client/attach.c), some of ours earlier. */
#define TURN_LONGEST (5 * NS_S)
#define TURNS_MAX 512u /* clients that wait for theirs */
#define TURNS_PER_UID_MAX 128u
#define CLIENT_SPIN_US 50 /* longer than an answer over a short wire takes */

static void __attribute__((format(printf, 3, 4)))
client_deny(struct sup_client *c, enum ctl_denied why, const char *fmt, ...)
{
    struct ctl_msg m = {.type = CTL_DENIED, .text = {.arg = why}};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(m.text.text, sizeof m.text.text, fmt, ap);
    va_end(ap);
    char rule[320] = "";
    if (c->account != NULL) /* where to change it is the administrator's concern */
        snprintf(rule, sizeof rule, ": account \"%s\" (%.255s:%u)", c->account->name,
                 c->sup->accounts.source, c->account->line);
    sup_log_some(&c->sup->log_left, "denied pid %d (uid %u): %s%s", (int)c->pid,
                 (unsigned)c->uid, m.text.text, rule);
    sup_client_drop_id(c);
    sup_client_turn_back(c);
    sup_policy_leave(c);
    c->state = CLIENT_DENIED; /* until it hangs up: a reset could overtake the answer */
    if (ctl_send(c->fd, &m, NULL) != 0)
        sup_client_destroy(c);
}

static bool
take_id(struct sup_client *c)
{
    unsigned first = c->proto == IPPROTO_TCP ? 0 : CLIENT_STREAMS_MAX;
    for (unsigned id = first; id < first + CLIENT_STREAMS_MAX; id++)
        if (c->sup->by_id[id] == NULL) {
            c->sup->by_id[id] = c;
            c->id = id;
            sup_client_count_begin(c);
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

void
sup_client_send_add(struct sup_client *c, bool resume)
{
    struct ctl_msg m = {
        .type = CTL_CLIENT_ADD,
        .client = {.id = c->id, .resume = resume, .g = c->g, .limits = c->limits}};
    int fd[] = {c->half[0].fd_ro, c->half[1].fd_rw, c->to_domain[0], c->to_client[1]};
    sup_dom_send(sup_client_domain(c), &m, fd);
}

static int
send_welcome(struct sup_client *c)
{
    struct ctl_msg m = {.type = CTL_WELCOME,
                        .client = {.id = c->id, .g = c->g, .limits = c->limits}};
    /* What it may do it learns by asking; the others of its account are no concern of its. */
    m.client.limits.rules = (struct account_rules){0};
    /* Where the stack is one process, a program that looks on saves a wake-up; where it is a
     * chain, it is one more that takes turns with those that have its answer in hand. */
    m.client.spin_us = c->sup->conf.composition == COMP_MONOLITHIC ? CLIENT_SPIN_US : 0;
    m.client.net.addr = ipaddr_to_u32(&c->sup->conf.addr);
    m.client.net.prefix = c->sup->conf.prefix;
    memcpy(m.client.net.name, c->sup->conf.interface, sizeof m.client.net.name - 1);
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
    const struct policy_account *a = c->account;
    uint64_t others;
    unsigned clients = sup_policy_clients(c, &others);
    if (clients >= a->clients) {
        client_deny(c, DENIED_CLIENTS,
                    "account \"%s\" has %u clients already%s, all it may have", a->name,
                    clients, a->per_uid ? " of this uid" : "");
        return false;
    }
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
    if (a->memory != RATE_ANY && want > a->memory - min_u64(others, a->memory)) {
        client_deny(
            c, DENIED_ARENA,
            "the arenas of account \"%s\" may have %llu MiB together, and have %llu: end "
            "another client, or set BULKHEAD_ARENA or BULKHEAD_SESSIONS lower",
            a->name, (unsigned long long)(a->memory >> 20), (unsigned long long)(others >> 20));
        return false;
    }
    return true;
}

/* ---- whose turn it is ---- */

static bool
too_many_in_turn(const struct sup_client *c)
{
    unsigned all = 0, own = 0;
    for (const struct sup_client *o = c->sup->clients; o != NULL; o = o->next)
        if (o->state == CLIENT_TURN) {
            all++;
            own += o->uid == c->uid;
        }
    return all >= TURNS_MAX || own >= TURNS_PER_UID_MAX;
}

/* A turn is what attaching costs others, so it is used up where that begins (admit): who hangs
 * up while it waits, or is refused, has cost no more than who never said who it is, and gets
 * around nothing, as all that it gives back is what it had booked itself. If turns were kept,
 * one process that asks and hangs up, again and again, would keep all others of its account
 * from attaching. */
void
sup_client_turn_back(struct sup_client *c)
{
    struct sup_account *n = c->turn.of;
    c->turn.of = NULL;
    if (n != NULL && n->epoch == c->turn.epoch)
        account_turn_back(&n->attaches, c->turn.rate);
}

/* Attaching costs tcp or udp the time to map memory and to make a table in it, whoever pays for
 * the memory: so an account has only so many in a second. True: this one may go at once. */
static bool
take_turn(struct sup_client *c)
{
    const struct policy_account *a = c->account;
    struct sup_account *n = a->attaches != RATE_ANY ? sup_policy_number(c) : NULL;
    if (n == NULL)
        return true;
    ns_t now = sup_now(), longest = too_many_in_turn(c) ? 0 : TURN_LONGEST;
    ns_t at = account_turn(&n->attaches, a->attaches, a->attaches_burst, longest, now);
    if (at == NS_NEVER) {
        client_deny(c, DENIED_RATE,
                    "account \"%s\" may attach %llu times a second%s, and too many wait "
                    "already: try again later",
                    a->name, (unsigned long long)a->attaches,
                    a->per_uid ? " for each uid" : "");
        return false;
    }
    c->turn.of = n;
    c->turn.epoch = n->epoch;
    c->turn.rate = a->attaches;
    if (at == now)
        return true;
    if (n->told == 0 || now - n->told > DENIAL_GAP) {
        n->told = now;
        sup_log_some(&c->sup->log_left,
                     "account \"%s\" (%.255s:%u) attaches more than %llu times a second: pid "
                     "%d (uid %u) and others wait",
                     a->name, c->sup->accounts.source, a->line, (unsigned long long)a->attaches,
                     (int)c->pid, (unsigned)c->uid);
    }
    c->state = CLIENT_TURN;
    sup_client_timeout(c, at - now);
    return false;
}

static bool
may_attach(struct sup_client *c)
{
    if (!sup_policy_find(c)) {
        client_deny(c, DENIED_ACCOUNT, "no account admits uid %u", (unsigned)c->uid);
        return false;
    }
    if (sup_client_domain(c)->life != LIFE_UP) {
        client_deny(c, DENIED_BUSY, "%s is being restarted: try again",
                    domain_name(sup_client_domain(c)->id));
        return false;
    }
    return true;
}

static void
admit(struct sup_client *c)
{
    struct sup *s = c->sup;
    if (!grant(c, &c->hello))
        return;
    if (!take_id(c)) {
        client_deny(c, DENIED_CLIENTS, "%u clients are attached: no more fit",
                    CLIENT_STREAMS_MAX);
        return;
    }
    c->turn.of = NULL; /* from here on it costs */
    sup_policy_join(c);
    int e = make_arena(c);
    if (e == 0)
        e = send_welcome(c);
    if (e != 0) {
        client_deny(c, DENIED_INTERNAL, "cannot make the arena: %s", strerror(-e));
        return;
    }
    c->state = CLIENT_ATTACHED;
    /* Without the timeout from here on, which libevent would begin anew at each message. */
    event_callback_fn callback = event_get_callback(c->ev);
    event_del(c->ev);
    event_assign(c->ev, s->base, c->fd, EV_READ | EV_PERSIST, callback, c);
    event_add(c->ev, NULL);
    sup_client_send_add(c, false);
    /* Kept for the next tcp or udp; the client's own rights are the client's alone. */
    close(c->half[0].fd_rw);
    close(c->half[1].fd_ro);
    c->half[0].fd_rw = c->half[1].fd_ro = -1;
    sup_verbose(s, "client %u: pid %d (%s), uid %u, account %s", c->id, (int)c->pid, c->program,
                (unsigned)c->uid, c->account->name);
}

void
sup_client_hello(struct sup_client *c, const struct ctl_hello *h)
{
    c->hello = *h;
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
    if (may_attach(c) && take_turn(c))
        admit(c);
}

void
sup_client_turn(struct sup_client *c)
{
    c->state = CLIENT_HELLO;
    sup_client_timeout(c, HELLO_TIMEOUT);
    if (may_attach(c)) /* much may have changed meanwhile */
        admit(c);
}
