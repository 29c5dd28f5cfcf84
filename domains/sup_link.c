/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_link.c: the links between neighbours. A link is up once both sides live and both halves
 * are clear. When a side dies the other one drops what is queued, clears its half and
 * acknowledges; nobody is started on a link that a neighbour has not let go of.
 */
#include "sup.h"

#define ACK_TIMEOUT_S 2
#define ACCUSED_MAX 2u
#define ACCUSED_PEACE (10 * NS_S)

static void on_ack_timeout(evutil_socket_t fd, short what, void *arg);

static struct sup_dom *
side_of(struct sup *s, unsigned link, unsigned side)
{
    return &s->dom[topo_links[link].side[side]];
}

bool
sup_links_up(const struct sup_dom *d)
{
    for (unsigned i = 0; i < TOPO_LINKS; i++) {
        const struct sup_link *l = &d->sup->link[i];
        const struct topo_link *t = &topo_links[i];
        if (l->present && !l->up && (t->side[LINK_A] == d->id || t->side[LINK_B] == d->id))
            return false;
    }
    return d->life == LIFE_UP;
}

static void
link_try_up(struct sup *s, unsigned i)
{
    struct sup_link *l = &s->link[i];
    struct sup_dom *a = side_of(s, i, LINK_A), *b = side_of(s, i, LINK_B);
    if (!l->present || l->up || a->life != LIFE_UP || b->life != LIFE_UP || !l->clear[LINK_A] ||
        !l->clear[LINK_B])
        return;
    l->up = true;
    l->clear[LINK_A] = l->clear[LINK_B] = false;
    struct ctl_msg m = {.type = CTL_PEER_UP, .peer = b->id};
    sup_dom_send(a, &m, NULL);
    m = (struct ctl_msg){.type = CTL_PEER_UP, .peer = a->id};
    sup_dom_send(b, &m, NULL);
    for (unsigned side = LINK_A; side <= LINK_B; side++)
        if (sup_links_up(side_of(s, i, side)))
            sup_control_dom_up(side_of(s, i, side));
}

static void
link_owe(struct sup *s, unsigned i, int side)
{
    static const struct timeval tv = {.tv_sec = ACK_TIMEOUT_S};
    struct sup_link *l = &s->link[i];
    l->owes = side;
    if (side < 0) {
        if (l->ev_ack != NULL)
            evtimer_del(l->ev_ack);
        return;
    }
    if (l->ev_ack == NULL)
        l->ev_ack = evtimer_new(s->base, on_ack_timeout, s);
    if (l->ev_ack != NULL)
        evtimer_add(l->ev_ack, &tv);
}

static void
on_ack_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sup *s = arg;
    for (unsigned i = 0; i < TOPO_LINKS; i++) {
        struct sup_link *l = &s->link[i];
        if (l->owes < 0 || evtimer_pending(l->ev_ack, NULL))
            continue;
        struct sup_dom *d = side_of(s, i, (unsigned)l->owes);
        sup_dom_kill(d, "it did not acknowledge the death of %s",
                     domain_name(side_of(s, i, LINK_B - (unsigned)l->owes)->id));
    }
}

/* Its links are down now; who lives on the other side must acknowledge. */
void
sup_links_died(struct sup_dom *d)
{
    struct sup *s = d->sup;
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++) {
            struct sup_link *l = &s->link[i];
            if (!l->present || topo_links[i].side[side] != d->id)
                continue;
            struct sup_dom *n = side_of(s, i, LINK_B - side);
            l->clear[side] = false;
            if (l->up) {
                l->up = false;
                l->clear[LINK_B - side] = false;
                if (n->life != LIFE_UP)
                    continue; /* it is ending too, and starts with a clear half */
                link_owe(s, i, (int)(LINK_B - side));
                struct ctl_msg m = {.type = CTL_PEER_DOWN, .peer = d->id};
                sup_dom_send(n, &m, NULL);
            } else if (l->owes == (int)side) {
                link_owe(s, i, -1); /* n waited for its word: no need any more */
                sup_dom_respawn(n);
            }
        }
}

void
sup_links_ack(struct sup_dom *d, unsigned peer)
{
    struct sup *s = d->sup;
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++)
            if (s->link[i].owes == (int)side && topo_links[i].side[side] == d->id &&
                topo_links[i].side[LINK_B - side] == peer) {
                link_owe(s, i, -1);
                s->link[i].clear[side] = true;
                sup_dom_respawn(&s->dom[peer]);
                link_try_up(s, i);
            }
}

unsigned
sup_links_ready(struct sup_dom *d)
{
    struct sup *s = d->sup;
    unsigned n = 0;
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++)
            if (s->link[i].present && topo_links[i].side[side] == d->id) {
                n++;
                s->link[i].clear[side] = true;
                link_try_up(s, i);
            }
    return n;
}

bool
sup_links_owed(const struct sup_dom *d)
{
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++)
            if (topo_links[i].side[side] == d->id &&
                d->sup->link[i].owes == (int)(LINK_B - side))
                return true;
    return false;
}

static unsigned
links_of(unsigned dom)
{
    unsigned n = 0;
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        n += topo_links[i].side[LINK_A] == dom || topo_links[i].side[LINK_B] == dom;
    return n;
}

/* Of the links of dom but this one, is there one over which there is quarrel too? */
static bool
quarrels_elsewhere(const struct sup *s, unsigned dom, unsigned but, ns_t now)
{
    for (unsigned i = 0; i < TOPO_LINKS; i++) {
        const enum domain_id *side = topo_links[i].side;
        if (i != but && (side[LINK_A] == dom || side[LINK_B] == dom) &&
            s->link[i].accusations > ACCUSED_MAX && now - s->link[i].accused_at < ACCUSED_PEACE)
            return true;
    }
    return false;
}

/* One side accuses the other. Who lies cannot be known. The first times it is the accused that
 * is started anew; from then on, until there is peace, the one on which fewer depend, whoever
 * accuses: the longer it goes on the longer that one is held back (note_crash). One that
 * quarrels with two neighbours is started anew as well. */
static void
accuse(struct sup *s, unsigned i, unsigned accuser, const char *text)
{
    struct sup_link *l = &s->link[i];
    struct sup_dom *by = side_of(s, i, accuser), *of = side_of(s, i, LINK_B - accuser);
    ns_t now = sup_now();
    if (now - l->accused_at > ACCUSED_PEACE)
        l->accusations = 0;
    l->accused_at = now;
    if (++l->accusations <= ACCUSED_MAX) {
        sup_dom_kill(of, "%s says: %s", domain_name(by->id), text);
        return;
    }
    bool leaf = links_of(by->id) <= links_of(of->id);
    struct sup_dom *few = leaf ? by : of, *many = leaf ? of : by;
    sup_dom_kill(few, "%s accused %s, accusation %u between them: %s", domain_name(by->id),
                 domain_name(of->id), l->accusations, text);
    if (quarrels_elsewhere(s, many->id, i, now))
        sup_dom_kill(many, "it quarrels with more than one neighbour");
}

void
sup_links_accuse(struct sup_dom *d, unsigned peer, const char *text)
{
    struct sup *s = d->sup;
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++)
            if (s->link[i].up && topo_links[i].side[side] == d->id &&
                topo_links[i].side[LINK_B - side] == peer)
                accuse(s, i, side, text);
}
