/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_standin.c: makes the socket pairs that stand for sessions in the descriptor tables of
 * programs (session.h, struct standin): one end for the client, the other for its domain, and a
 * copy of that kept here for the domain's successor.
 */
#include "sup.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DOMAIN_STANDINS 60000u /* policy/syscalls.conf: fewer than a domain's descriptors */

static uint32_t
table_size(const struct sup_client *c)
{
    return arena_standins(&c->g);
}

static struct sup_standin *
entry(const struct sup_client *c, uint32_t number)
{
    return &c->standin[number & (table_size(c) - 1)];
}

/* The first n of them; in place of the others comes none, and the descriptor of the first. */
static void
send_to_domain(struct sup_client *c, const struct ctl_standins *m, int *fd, uint32_t n)
{
    struct ctl_msg msg = {.type = CTL_STANDINS, .standins = *m};
    msg.standins.client = c->id;
    msg.standins.n = CTL_STANDINS_MAX;
    for (uint32_t k = n; k < CTL_STANDINS_MAX; k++) {
        msg.standins.number[k] = 0;
        fd[k] = fd[0];
    }
    sup_dom_send(sup_client_domain(c), &msg, fd);
}

/* Its own sessions bound it, those of its account all of its clients, and the domain's
 * descriptors everybody: one that cannot take any more would be of use to nobody. */
static bool
room(const struct sup_client *c, uint32_t n)
{
    uint64_t own = 0, all = 0, clients = 0;
    for (const struct sup_client *o = c->sup->clients; o != NULL; o = o->next) {
        bool same = o->number == c->number && o->proto == c->proto;
        all += sup_client_domain(o) == sup_client_domain(c) ? o->n_standins : 0;
        own += same ? o->n_standins : 0;
        clients += same;
    }
    return c->n_standins + n <= c->g.n_slots + ARENA_STANDINS_SPARE &&
           own + n <= c->limits.sessions + clients * (uint64_t)ARENA_STANDINS_SPARE &&
           all + n <= DOMAIN_STANDINS;
}

/* Numbers that are free, and whose entries are. False: there are not so many. */
static bool
choose(struct sup_client *c, struct ctl_standins *m)
{
    uint32_t tries = table_size(c), n = 0;
    if (!room(c, m->n))
        return false;
    for (; n < m->n && tries > 0; tries--) {
        uint32_t number = ++c->next_standin;
        if (number != 0 && entry(c, number)->fd < 0)
            m->number[n++] = number;
    }
    return n == m->n;
}

/* The program's end is used as a blocking socket by whoever waits on it; the domain never
 * waits. A small buffer: what makes the program's end not writable is little. */
static int
make_pair(int *ours, int *theirs)
{
    int pair[2], small = 1, none = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    *ours = pair[0];
    *theirs = pair[1];
    /* No descriptor of the program's may come along: closing it could wait. Before Linux 6.16
     * the kernel cannot be told. */
    (void)setsockopt(pair[0], SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof none);
    if (setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) != 0 ||
        evutil_make_socket_nonblocking(pair[0]) != 0)
        return -errno;
    return 0;
}

static void
close_all(int *fd)
{
    for (unsigned k = 0; k < CTL_STANDINS_MAX; k++)
        if (fd[k] >= 0)
            close(fd[k]);
}

static bool
have_table(struct sup_client *c)
{
    if (c->standin != NULL)
        return true;
    c->standin = malloc(table_size(c) * sizeof *c->standin);
    for (uint32_t i = 0; c->standin != NULL && i < table_size(c); i++)
        c->standin[i].fd = -1;
    return c->standin != NULL;
}

static void
say_no(struct sup_client *c, const char *why)
{
    struct ctl_msg m = {.type = CTL_DENIED, .text = {.arg = DENIED_STANDINS}};
    snprintf(m.text.text, sizeof m.text.text, "%s", why);
    if (ctl_send(c->fd, &m, NULL) != 0)
        sup_client_cut(c);
}

void
sup_standins_wanted(struct sup_client *c, uint32_t n)
{
    struct ctl_msg m = {.type = n == 1 ? CTL_STANDIN : CTL_STANDINS, .standins = {.n = n}};
    int ours[CTL_STANDINS_MAX], theirs[CTL_STANDINS_MAX], err = 0;
    if (!have_table(c) || !choose(c, &m.standins)) {
        say_no(c, "it has as many descriptors for sessions as its account allows sessions");
        return;
    }
    for (unsigned k = 0; k < CTL_STANDINS_MAX; k++)
        ours[k] = theirs[k] = -1;
    for (unsigned k = 0; k < n && err == 0; k++)
        err = make_pair(&ours[k], &theirs[k]);
    if (err == 0)
        err = ctl_send(c->fd, &m, theirs);
    close_all(theirs);
    if (err != 0) {
        close_all(ours);
        if (err == -EMFILE || err == -ENFILE || err == -ENOMEM)
            say_no(c, "the daemon has no descriptors left");
        else
            sup_client_cut(c); /* it asks, and does not read */
        return;
    }
    for (unsigned k = 0; k < n; k++) {
        *entry(c, m.standins.number[k]) =
            (struct sup_standin){.number = m.standins.number[k], .fd = ours[k]};
        c->n_standins++;
    }
    /* If it is down: with all others when it is back. */
    send_to_domain(c, &m.standins, ours, n);
}

void
sup_standins_over(struct sup_dom *d, const struct ctl_standins *m)
{
    struct sup_client *c = sup_client_of(d, m->client) ? d->sup->by_id[m->client] : NULL;
    for (uint32_t k = 0; c != NULL && c->standin != NULL && k < m->n; k++) {
        struct sup_standin *e = entry(c, m->number[k]);
        if (e->fd < 0 || e->number != m->number[k])
            continue;
        close(e->fd);
        e->fd = -1;
        c->n_standins--;
    }
}

void
sup_standins_resend(struct sup_client *c)
{
    struct ctl_standins m = {0};
    int fd[CTL_STANDINS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; c->standin != NULL && i < table_size(c); i++) {
        if (c->standin[i].fd < 0)
            continue;
        m.number[n] = c->standin[i].number;
        fd[n++] = c->standin[i].fd;
        if (n == CTL_STANDINS_MAX) {
            send_to_domain(c, &m, fd, n);
            n = 0;
        }
    }
    if (n > 0)
        send_to_domain(c, &m, fd, n);
}

void
sup_standins_close(struct sup_client *c)
{
    for (uint32_t i = 0; c->standin != NULL && i < table_size(c); i++)
        if (c->standin[i].fd >= 0)
            close(c->standin[i].fd);
    free(c->standin);
    c->standin = NULL;
    c->n_standins = 0;
}
