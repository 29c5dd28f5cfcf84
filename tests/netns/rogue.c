/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rogue.c: a domain that somebody took over, in the place of a real one in a running stack:
 * with its regions, links, bells and filter. What it does stands in the file "attack" beside
 * it; it begins a second after its first start.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "domains/domain.h"
#include "domains/guard.h"
#include "wire/wire.h"

static char attack[32];
static ns_t begins;

static uint32_t
dice(void)
{
    static uint32_t state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void
tell(struct domain *d, struct ctl_msg *m)
{
    int e = ctl_send(d->ctl_fd, m, NULL);
    (void)e; /* it does not read fast enough: so much the better */
}

/* ---- what it does, each turn ---- */

static void
do_ring(struct domain *d) /* bells that nobody asked for, without end */
{
    for (unsigned p = 0; p < d->n_peers; p++)
        for (unsigned i = 0; i < 1000; i++)
            (void)!write(d->peer[p].fd_ring, "", 1);
}

static void
do_jump(struct domain *d) /* an index that cannot be */
{
    for (unsigned p = 0; p < d->n_peers; p++) {
        struct link_half *h = d->peer[p].own;
        if (!d->peer[p].link.up) /* else it would begin with these, and take them for ip's */
            continue;
        for (unsigned r = 0; r < LINK_RINGS; r++) {
            atomic_store(&h->produce[r].tail, dice());
            atomic_store(&h->consume[r].head, dice());
        }
        (void)!write(d->peer[p].fd_ring, "", 1);
    }
}

static void
do_accuse(struct domain *d) /* its neighbours, who did nothing */
{
    for (unsigned p = 0; p < d->n_peers; p++)
        domain_poisoned(d, CTL_ARG_PEER + d->peer[p].id, "it lies");
}

static void
do_flood(struct domain *d) /* the supervisor, with what nobody asked for */
{
    struct ctl_msg m = {.type = CTL_SESSION_LIST};
    for (unsigned i = 0; i < 1000; i++)
        tell(d, &m);
}

static void
do_order(struct domain *d) /* what a domain says, and not now */
{
    static const uint16_t type[] = {CTL_READY, CTL_ACK, CTL_CLIENT_FREE, CTL_SESSION_LIST};
    struct ctl_msg m = {.type = type[dice() % ARRAY_LEN(type)]};
    if (m.type == CTL_ACK)
        m.peer = dice() % DOM_COUNT;
    else if (m.type == CTL_CLIENT_FREE)
        m.client.id = dice() % CLIENTS_MAX;
    tell(d, &m);
}

static void
do_forge(struct domain *d) /* what only the supervisor says */
{
    struct ctl_msg m = {.type = CTL_PEER_DOWN, .peer = DOM_IP};
    tell(d, &m);
}

static void
do_malformed(struct domain *d)
{
    uint32_t word[64];
    for (unsigned i = 0; i < ARRAY_LEN(word); i++)
        word[i] = dice();
    word[0] = CTL_MAGIC;
    struct iovec iov = {.iov_base = word, .iov_len = dice() % sizeof word};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    (void)sendmsg(d->ctl_fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
do_descriptors(struct domain *d) /* its own, to the supervisor: it must not keep them */
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct ctl_msg m = {.type = CTL_ACK, .magic = CTL_MAGIC, .version = CTL_VERSION};
    struct iovec iov = {.iov_base = &m, .iov_len = ctl_bytes(CTL_ACK)};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.buf,
                       .msg_controllen = sizeof control.buf};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(4 * sizeof(int));
    for (unsigned i = 0; i < 4; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &d->peer[0].fd_ring, sizeof(int));
    (void)sendmsg(d->ctl_fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
do_repeat(struct domain *d) /* one frame, as often as the ring takes it */
{
    struct link *l = &d->peer[0].link;
    struct pkt p = {.addr = d->frames.off[PART_UDPTX] + FRAME_L4,
                    .len = UDP_HEADER,
                    .kind = PKT_DATA,
                    .proto = WIRE_PROTO_UDP,
                    .aux = UDP_HEADER,
                    .src = d->cfg.addr,
                    .dst = ipaddr_v4_u32(ipaddr_to_u32(&d->cfg.addr) ^ 3)}; /* the peer */
    struct pkt *slot;
    if (!l->up)
        return;
    memset(d->frames.base + p.addr, 0, UDP_HEADER);
    put_be16(d->frames.base + p.addr, 9);
    put_be16(d->frames.base + p.addr + 2, 9);
    put_be16(d->frames.base + p.addr + 4, UDP_HEADER);
    while ((slot = pring_reserve(&l->tx[0], l->tx_slots[0])) != NULL)
        *slot = p;
    (void)link_submit(l);
}

static const struct {
    const char *name;
    void (*turn)(struct domain *);
} attacks[] = {
    {"ring", do_ring},     {"jump", do_jump},
    {"accuse", do_accuse}, {"flood", do_flood},
    {"order", do_order},   {"malformed", do_malformed},
    {"forge", do_forge},   {"descriptors", do_descriptors},
    {"repeat", do_repeat},
};

static enum turn
turn(struct domain *d, ns_t now)
{
    struct link *l = &d->peer[0].link;
    if (now < begins)
        return TURN_NOTHING;
    for (unsigned i = 0; i < ARRAY_LEN(attacks); i++)
        if (strcmp(attacks[i].name, attack) == 0)
            attacks[i].turn(d);
    return l->up ? TURN_PACKETS : TURN_NOTHING;
}

static ns_t
deadline(struct domain *d)
{
    (void)d;
    return max_u64(begins, domain_now() + NS_MS);
}

/* Before it is confined: while it still has a filesystem. */
static void
read_attack(void)
{
    char path[400];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    strcpy(slash != NULL ? slash + 1 : path, "attack");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, attack, sizeof attack - 1) : 0;
    attack[n > 0 ? n : 0] = '\0';
    attack[strcspn(attack, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

int
main(int argc, char **argv)
{
    static struct domain d;
    static const struct domain_ops ops = {.turn = turn, .deadline = deadline};
    read_attack();
    domain_setup(&d, argc, argv);
    if (window_open(2) != 0)
        domain_fatal("window");
    begins = domain_now() + (d.cfg.restart == 0 ? NS_S : 0);
    domain_run(&d, &ops, NULL);
}
