/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load_dgram.c: a UDP socket on each side. A datagram begins with its number; what it must
 * look like follows from that.
 */
#include <errno.h>
#include <poll.h>

#include "load.h"
#include "wire/csum.h"
#include "wire/wire.h"

#define HEAD 8u /* side, number */
#define PATTERN(side, number) ((side)*100000u + (number)*7919u)

void
dgram_open(struct load *l, struct program *p)
{
    struct load_udp *u = &l->udp[p->side];
    struct sockaddr_in own = world_sin(p->side, LOAD_UDP_PORT),
                       other = world_sin(!p->side, LOAD_UDP_PORT);
    *u = (struct load_udp){.kind = THING_UDP,
                           .side = p->side,
                           .n_to_send = l->cfg.dgrams,
                           .connected = rng_percent(&l->rng, 50),
                           .next = l->w->now};
    u->fd = bh_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (u->fd < 0 || bh_bind(u->fd, (struct sockaddr *)&own, sizeof own) != 0 ||
        (u->connected && bh_connect(u->fd, (struct sockaddr *)&other, sizeof other) != 0) ||
        bh_watch(u->fd, POLLIN, u) != 0)
        world_fail(l->w, "no UDP socket: errno %d", errno);
    for (uint32_t i = 0; i < u->n_to_send; i++)
        u->size[i] = rng_size(&l->rng, l->cfg.dgram_max);
}

/* ICMP may have told of something: that is no failure of the socket. */
static bool
soft_error(struct load *l, struct load_udp *u)
{
    if (errno == EAGAIN)
        return false;
    bool narrow = l->w->cfg.wire[u->side].mtu != 0;
    if (errno != ECONNREFUSED && errno != EHOSTUNREACH && !(errno == EMSGSIZE && narrow))
        world_fail(l->w, "UDP: errno %d", errno);
    u->n_errors++;
    return true;
}

/* Each fragment may be corrupted for itself, and once in 65536 times that two are, their errors
 * cancel out in the checksum: no receiver can know. */
static bool
sums_differ(struct load *l, const struct load_udp *o, const uint8_t *got, const uint8_t *want,
            size_t n)
{
    return l->w->cfg.wire[o->side].corrupt == 0 || n + UDP_HEADER <= 576 - IP4_HEADER ||
           csum_fold(csum_bytes(got, n)) != csum_fold(csum_bytes(want, n));
}

bool
dgram_receive(struct load *l, struct load_udp *u)
{
    static uint8_t buf[70000];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = bh_recvfrom(u->fd, buf, sizeof buf, MSG_TRUNC, (struct sockaddr *)&from, &len);
    if (n < 0)
        return soft_error(l, u);
    if (from.sin_addr.s_addr != htonl(WORLD_ADDR(!u->side)) ||
        ntohs(from.sin_port) != LOAD_UDP_PORT)
        world_fail(l->w, "a datagram from somebody else");
    l->n_dgrams++;
    if (n < HEAD)
        return true;
    const struct load_udp *o = &l->udp[!u->side];
    uint32_t side = be32(buf), number = be32(buf + 4);
    if (side != o->side || number >= o->n_sent)
        world_fail(l->w, "a datagram that was not sent");
    if ((uint32_t)n != o->size[number])
        world_fail(l->w, "a datagram of %u bytes came with %zd", o->size[number], n);
    const uint8_t *want = load_pattern(PATTERN(side, number), 0);
    if (memcmp(buf + HEAD, want, (size_t)n - HEAD) != 0 &&
        sums_differ(l, o, buf + HEAD, want, (size_t)n - HEAD))
        world_fail(l->w, "a datagram came with other bytes");
    if (u->n_got[number] != 0 && !l->dup_ok)
        world_fail(l->w, "a datagram came twice");
    u->n_got[number] = 1;
    return true;
}

bool
dgram_send_due(struct load *l, struct load_udp *u)
{
    static uint8_t buf[70000];
    struct sockaddr_in to = world_sin(!u->side, LOAD_UDP_PORT);
    if (u->n_sent == u->n_to_send || u->next > l->w->now)
        return false;
    uint32_t size = u->size[u->n_sent];
    memcpy(buf + HEAD, load_pattern(PATTERN(u->side, u->n_sent), 0), size);
    put_be32(buf, u->side);
    put_be32(buf + 4, u->n_sent);
    u->n_sent++; /* it may arrive before the call returns */
    ssize_t n = u->connected
                    ? bh_send(u->fd, buf, size, 0)
                    : bh_sendto(u->fd, buf, size, 0, (struct sockaddr *)&to, sizeof to);
    u->next = l->w->now + 1 + rng_next(&l->rng) % (20 * NS_MS);
    if (n < 0) {
        u->n_sent--;
        (void)soft_error(l, u);
    } else if ((size_t)n != size) {
        world_fail(l->w, "a datagram was sent in part");
    }
    return true;
}

/* On a wire that loses nothing, nothing is lost. */
void
dgram_check(struct load *l)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct wire *w = &l->w->wire[i];
        const struct load_udp *u = &l->udp[i], *o = &l->udp[!i];
        bool quiet = w->n_lost == 0 && w->n_corrupt == 0 && l->w->s[!i].n_no_frame == 0;
        if (!quiet || l->broken_ok || l->dead[!i] ||
            world_stat(l->w, !i, STAT_udp_drop_rcvbuf) != 0 ||
            world_stat(l->w, !i, STAT_drop_nobuf) != 0 || u->n_errors != 0 ||
            world_stat(l->w, !i, STAT_ip_drop_frag_limit) != 0 ||
            world_stat(l->w, !i, STAT_ip_drop_queue_udp) != 0 ||
            world_stat(l->w, !i, STAT_ip_drop_port_full) != 0 ||
            world_stat(l->w, i, STAT_arp_drop_queue) != 0 ||
            world_stat(l->w, i, STAT_ip_drop_tx_nobuf) != 0)
            continue;
        for (uint32_t k = 0; k < u->n_sent; k++)
            if (u->size[k] >= HEAD && o->n_got[k] == 0)
                world_fail(l->w, "datagram %u of side %u is lost on a perfect wire", k, i);
    }
}
