/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_message.c: what the domains say. They are not trusted: a message is checked by
 * ctl_recv, and does nothing but what its sender may ask for.
 */
#include "sup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/exit_codes.h"

#define MESSAGES_A_SECOND 10000u
#define MESSAGES_A_TURN 64 /* of one domain: the others want to be served too */

static void
check_ready(struct sup *s)
{
    for (unsigned i = 0; i < DOM_COUNT && !s->linked; i++)
        if (s->dom[i].life != LIFE_ABSENT && !sup_links_up(&s->dom[i]))
            return;
    s->linked = true;
    if (s->answering && !s->ready)
        sup_clients_accept(s);
}

static void
on_ready(struct sup_dom *d)
{
    struct sup *s = d->sup;
    if (d->life != LIFE_STARTING)
        return;
    d->life = LIFE_UP;
    sup_place_up(d);
    evtimer_del(d->ev_timer);
    sup_watch_start(d);
    if (d->restarts > 0)
        sup_log("%s is back as pid %d, %llu ms after its end", domain_name(d->id), (int)d->pid,
                (unsigned long long)((sup_now() - d->died) / NS_MS));
    else
        sup_verbose(s, "%s is ready, pid %d", domain_name(d->id), (int)d->pid);
    sup_clients_resend(d); /* the arenas first, then what may arrive for them */
    if (sup_links_ready(d) == 0)
        sup_control_dom_up(d);
    check_ready(s);
}

/* d says that somebody wrote what cannot be. A client loses its connection; a neighbour is
 * started anew, because the link to it stays dead otherwise. */
static void
on_poisoned(struct sup_dom *d, const struct ctl_text *t)
{
    sup_log_some(&d->log_left, "%s: %s", domain_name(d->id), t->text);
    if (t->arg < CTL_ARG_PEER) {
        sup_client_poisoned(d, t->arg, t->text);
        return;
    }
    sup_links_accuse(d, t->arg - CTL_ARG_PEER, t->text);
}

static void
on_notice(struct sup_dom *d, const struct ctl_text *t)
{
    struct sup *s = d->sup;
    bool speaks_for_address = d->id == DOM_IP || d->id == DOM_MONO;
    if (t->arg == NOTICE_ADDRESS_READY && speaks_for_address) {
        s->answering = true;
        check_ready(s);
    } else if (t->arg == NOTICE_ADDRESS_CONFLICT && speaks_for_address && !s->ready) {
        sup_log("the address is taken: %s. Choose another one, or find out who that is",
                t->text);
        sup_stop(s, EXIT_ADDRESS_TAKEN);
    } else if (t->arg == NOTICE_SYSCALL) {
        d->refused = (int)(strtoul(t->text, NULL, 10) & INT_MAX); /* told with its death */
    } else {
        sup_log_some(&d->log_left, "%s: %s", domain_name(d->id), t->text);
    }
}

static void
on_message(struct sup_dom *d, const struct ctl_msg *m)
{
    switch (m->type) {
    case CTL_READY:
        on_ready(d);
        break;
    case CTL_ACK:
        if (d->life == LIFE_UP)
            sup_links_ack(d, m->peer);
        break;
    case CTL_CLIENT_FREE:
        sup_client_free_msg(d, m->client.id);
        break;
    case CTL_POISONED:
        if (d->life == LIFE_UP)
            on_poisoned(d, &m->text);
        break;
    case CTL_NOTICE:
        on_notice(d, &m->text);
        break;
    case CTL_DENIAL:
        sup_policy_denied(d, &m->denial);
        break;
    case CTL_STANDINS_OVER:
        sup_standins_over(d, &m->standins);
        break;
    case CTL_SESSION_LIST:
        sup_control_sessions(d, &m->sessions);
        break;
    default:
        sup_dom_kill(d, "it sent a message that is not a domain's to send (%u)", m->type);
    }
}

/* An honest domain says little; the most that it does is to list its sessions. */
static bool
floods(struct sup_dom *d)
{
    ns_t now = sup_now();
    if (now - d->said_at >= NS_S) {
        d->said_at = now;
        d->said = 0;
    }
    return ++d->said > MESSAGES_A_SECOND;
}

void
sup_dom_on_ctl(evutil_socket_t sock, short what, void *arg)
{
    (void)sock;
    (void)what;
    struct sup_dom *d = arg;
    struct ctl_msg m;
    int fd[CTL_FDS_MAX], got = 1;
    for (unsigned i = 0; i < MESSAGES_A_TURN && d->ctl >= 0; i++) {
        got = ctl_recv(d->ctl, &m, fd);
        if (got != 1)
            break;
        ctl_close_fds(fd);
        if (floods(d)) {
            sup_dom_kill(d, "it sent more than %u messages within a second", MESSAGES_A_SECOND);
            continue; /* what is queued comes to nothing */
        }
        on_message(d, &m);
    }
    if (got == 1 || got == -EAGAIN || got == -EINTR || d->ctl < 0)
        return;
    if (d->ev_ctl != NULL)
        event_del(d->ev_ctl); /* at the end it would stay readable */
    if (got == -EPROTO || got == -EPROTONOSUPPORT)
        sup_dom_kill(d, "it sent a malformed message");
    else if (d->life != LIFE_KILLED && !d->sup->stopping)
        sup_dom_set_timer(d, 500); /* an exit that is under way tells its own story first */
}
