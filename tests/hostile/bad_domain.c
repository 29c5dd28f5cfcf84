/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bad_domain.c: a domain with code of an attacker's choosing. It is started by bulkheadd in the
 * place of the real one (a folder of programs in which one is this), takes what it is handed,
 * goes into the same sandbox, and then does to its neighbours and to the supervisor what it
 * can. The folder's name says what that is:
 *
 *   garbage   descriptors of any content on all its rings, and any bytes in its frames, with
 *             honest indices
 *   rings     the same, and now and then an index that cannot be
 *   talk      control messages: such as a domain sends, with any content
 *   accuse    neighbours of having broken their rings
 *   deaf      answers nobody, reads nothing
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "domains/domain.h"

#define BURST 16u /* descriptors a turn */

static enum { GARBAGE, RINGS, TALK, ACCUSE, DEAF } mode;
static ns_t next_at;

static uint64_t x = 0x9e3779b97f4a7c15ull;

static uint32_t
rnd(void)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 16);
}

/* An address that could be ours, or is anybody's. */
static uint32_t
address(const struct domain *d)
{
    uint32_t a = rnd();
    return a % 8 == 0 ? a
                      : a % frames_bytes(&d->frames) / FRAME_SIZE * FRAME_SIZE +
                            (a % 3 == 0 ? rnd() % FRAME_SIZE : FRAME_L4);
}

static void
packet(const struct domain *d, struct pkt *p)
{
    uint8_t *raw = (uint8_t *)(void *)p;
    *p = (struct pkt){.addr = address(d), .len = (uint16_t)(rnd() % 1600), .kind = PKT_DATA};
    p->flags = (uint8_t)(rnd() % 4 == 0 ? rnd() : PKT_DF);
    p->proto = (uint8_t)(rnd() % 2 ? 6 : 17);
    p->src = rnd() % 4 ? d->cfg.addr : ipaddr_v4_u32(rnd());
    p->dst = rnd() % 4 ? ipaddr_v4_u32(ipaddr_to_u32(&d->cfg.addr) + 1) : ipaddr_v4_u32(rnd());
    p->aux = rnd() % 3000;
    for (unsigned i = 0; i < 4 && rnd() % 2; i++)
        raw[rnd() % sizeof *p] = (uint8_t)rnd();
}

/* Bytes in all frames that we may write. */
static void
soil(struct domain *d)
{
    for (unsigned part = 0; part < PART_COUNT; part++)
        if (d->frames.writable & PART_BIT(part) && d->frames.size[part] != 0)
            for (unsigned i = 0; i < 64; i++)
                d->frames.base[d->frames.off[part] + rnd() % d->frames.size[part]] =
                    (uint8_t)rnd();
}

static void
spoil(struct domain *d, struct domain_peer *p)
{
    struct link *l = &p->link;
    for (unsigned r = 0; r < LINK_RINGS; r++) {
        if (p->sizes.cap[p->side][r] == 0)
            continue;
        bool packets = p->kind == LINK_UP && r == 0;
        for (unsigned i = 0; i < BURST; i++) {
            if (packets) {
                struct pkt *at = pring_reserve(&l->tx[r], l->tx_slots[r]);
                if (at != NULL)
                    packet(d, at);
            } else {
                struct fdesc *at = fring_reserve(&l->tx[r], l->tx_slots[r]);
                if (at != NULL)
                    *at = (struct fdesc){.addr = address(d),
                                         .len = (uint16_t)(rnd() % 3000),
                                         .flags = (uint16_t)(rnd() % 8)};
            }
        }
    }
    for (unsigned r = 0; r < LINK_RINGS; r++) /* take what comes, look at nothing */
        if (p->sizes.cap[p->side == LINK_A ? LINK_B : LINK_A][r] != 0)
            l->rx[r].my_head += ring_avail(&l->rx[r], 1);
    link_release(l);
    if (mode == RINGS && rnd() % 64 == 0) {
        uint32_t *half = p->own;
        half[rnd() % (sizeof(struct link_half) / 4)] = rnd();
    }
    (void)link_submit(l);
}

static void
talk(struct domain *d)
{
    struct ctl_msg m = {.type =
                            (uint16_t)(CTL_READY + rnd() % (CTL_SESSION_LIST - CTL_READY + 1))};
    if (mode == ACCUSE) {
        m.type = CTL_POISONED;
        m.text.arg = CTL_ARG_PEER + d->peer[rnd() % d->n_peers].id;
    }
    switch (mode == ACCUSE ? CTL_TYPES : m.type) {
    case CTL_ACK:
        m.peer = rnd() % DOM_COUNT;
        break;
    case CTL_CLIENT_FREE: /* of the other transport: not ours to give up */
        m.client.id = d->cfg.domain == DOM_UDP ? rnd() % 128 : 128 + rnd() % 128;
        break;
    case CTL_POISONED:
        m.text.arg = rnd() % 300;
        break;
    case CTL_NOTICE:
        m.text.arg = rnd() % 5;
        break;
    case CTL_SESSION_LIST:
        m.sessions.n = rnd() % (CTL_INFO_MAX + 1);
        break;
    default:
        break;
    }
    snprintf(m.text.text, m.type == CTL_NOTICE || m.type == CTL_POISONED ? 60 : 0,
             "lies \x1b[31m %u", rnd());
    if (ctl_send(d->ctl_fd, &m, NULL) != 0)
        next_at += NS_MS;
}

static enum turn
turn(struct domain *d, ns_t now)
{
    if (now < next_at || mode == DEAF)
        return TURN_NOTHING;
    next_at = now + NS_MS;
    if (mode == TALK || mode == ACCUSE) {
        next_at = now + 20 * NS_MS;
        talk(d);
        return TURN_NOTHING;
    }
    soil(d);
    for (unsigned i = 0; i < d->n_peers; i++)
        if (d->peer[i].link.up)
            spoil(d, &d->peer[i]);
    return TURN_NOTHING;
}

static ns_t
deadline(struct domain *d)
{
    (void)d;
    return mode == DEAF ? NS_NEVER : next_at;
}

static bool
peer_down(struct domain *d, struct domain_peer *p, ns_t now)
{
    (void)d;
    (void)p;
    (void)now;
    return mode != DEAF; /* deaf: it never acknowledges */
}

int
main(int argc, char **argv)
{
    static struct domain d;
    static const struct domain_ops ops = {
        .turn = turn, .deadline = deadline, .peer_down = peer_down};
    static const char *const name[] = {"garbage", "rings", "talk", "accuse", "deaf"};
    char path[512];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    domain_setup(&d, argc, argv);
    for (unsigned i = 0; i < ARRAY_LEN(name); i++) {
        const char *at = strstr(path, name[i]);
        if (at != NULL && at[strlen(name[i])] == '/')
            mode = i;
    }
    if (mode == ACCUSE && d.cfg.restart == 0)
        next_at = domain_now() + 2 * NS_S; /* while the stack starts an end would end all */
    x += d.cfg.restart;
    domain_run(&d, &ops, &d);
}
