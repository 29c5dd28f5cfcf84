/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/rawport.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "domains/guard.h"
#include "domains/packet.h"
#include "domains/xsk_priv.h"
#include "ipc/region.h"
#include "lib/wire/wire.h"

#define ARP_FRAME (ETH_HEADER + ARP_BYTES)

static void
make_parts(struct rawport *p, struct region part[PARTS_UMEM])
{
    static const char *const name[PARTS_UMEM] = {"rx", "none", "tx", "none"};
    p->frames.base = guard_reserve(frames_bytes(&p->frames));
    for (unsigned i = 0; i < PARTS_UMEM; i++) {
        part[i] = (struct region){.fd_rw = -1, .fd_ro = -1};
        if (p->frames.size[i] == 0)
            continue;
        int e = region_create(&part[i], name[i], p->frames.size[i]);
        if (e != 0)
            tool_die(EXIT_OTHER, "packet memory: %s", strerror(-e));
        if (!p->frames.base || !region_map(part[i].fd_rw, p->frames.size[i], true,
                                           p->frames.base + p->frames.off[i]))
            tool_die(EXIT_OTHER, "packet memory: %s", strerror(errno));
    }
}

static struct driver *
open_xdp(struct rawport *p)
{
    struct xsk *x = xsk_open(p->netif.fd, xsk_ring_for(&p->frames, RAWPORT_FRAMES), p->map);
    if (x == NULL)
        tool_die(EXIT_OTHER, "AF_XDP rings: %s", strerror(errno));
    x->driver.ops = &xsk_driver;
    return &x->driver;
}

void
rawport_open(struct rawport *p, const char *interface, const struct ipaddr *addr, bool packet)
{
    const uint32_t n[PART_COUNT] = {[PART_RX] = RAWPORT_FRAMES, [PART_TCPTX] = RAWPORT_FRAMES};
    struct region part[PARTS_UMEM];
    int fd[PARTS_UMEM];
    char err[256];

    memset(p, 0, sizeof *p);
    p->addr = *addr;
    frames_layout(&p->frames, n);
    p->frames.readable = p->frames.writable = PART_BIT(PART_RX) | PART_BIT(PART_TCPTX);
    make_parts(p, part);
    for (unsigned i = 0; i < PARTS_UMEM; i++)
        fd[i] = part[i].fd_rw;
    int code = netif_probe(&p->netif, interface, err, sizeof err);
    if (code == 0)
        code = packet ? netif_open_packet(&p->netif, addr, err, sizeof err)
                      : netif_open(&p->netif, &p->frames, fd, RAWPORT_FRAMES, addr, err,
                                   sizeof err);
    if (code != 0)
        tool_die(code, "%s", err);
    for (unsigned i = 0; i < PARTS_UMEM; i++)
        if (p->frames.size[i] != 0)
            region_close(&part[i]);
    p->map = calloc(1, nicmap_bytes(RAWPORT_FRAMES));
    if (p->map == NULL)
        tool_die(EXIT_OTHER, "out of memory");
    p->map->n_frames = RAWPORT_FRAMES;
    p->driver = packet ? packet_open(p->netif.fd, &p->frames, p->map, &p->stats) : open_xdp(p);
    if (p->driver == NULL)
        tool_die(EXIT_OTHER, "out of memory");
    for (uint32_t i = 0; i < RAWPORT_FRAMES; i++) {
        struct fdesc f = {.addr = p->frames.off[PART_RX] + i * FRAME_SIZE};
        rawport_return(p, &f, 1);
        p->free[p->n_free++] = p->frames.off[PART_TCPTX] + i * FRAME_SIZE;
    }
}

void
rawport_close(struct rawport *p)
{
    netif_close(&p->netif);
    free(p->map);
}

unsigned
rawport_send(struct rawport *p, const struct fdesc *f, unsigned n)
{
    n = p->driver->ops->tx(p->driver, f, n);
    p->n_free -= n;
    return n;
}

bool
rawport_kick(struct rawport *p)
{
    return p->driver->ops->kick(p->driver);
}

bool
rawport_queued(const struct rawport *p)
{
    return p->driver->ops->tx_queued(p->driver);
}

unsigned
rawport_outstanding(const struct rawport *p)
{
    return p->driver->ops->tx_outstanding(p->driver);
}

unsigned
rawport_unsent(const struct rawport *p)
{
    return p->driver->ops->tx_unsent(p->driver);
}

void
rawport_reclaim(struct rawport *p)
{
    struct fdesc f[BATCH_MAX];
    for (unsigned n; (n = p->driver->ops->complete(p->driver, f, BATCH_MAX)) != 0;)
        for (unsigned i = 0; i < n; i++)
            p->free[p->n_free++] = f[i].addr - f[i].addr % FRAME_SIZE;
}

void
rawport_return(struct rawport *p, const struct fdesc *f, unsigned n)
{
    if (n == 0)
        return;
    unsigned refused = 0, done = 0;
    do /* the kernel may have handed a frame up whose slot it has not given back yet */
        done += p->driver->ops->fill(p->driver, f + done, n - done, &refused);
    while (done < n && refused == 0);
    if (refused != 0)
        tool_die(EXIT_OTHER, "the fill ring refused %u of %u frames", refused, n);
}

static void
send_arp(struct rawport *p, const struct arp_pkt *a, const uint8_t to[6])
{
    struct eth_hdr e = {.type = ETH_TYPE_ARP};
    rawport_reclaim(p);
    if (p->n_free == 0)
        return;
    struct fdesc f = {.addr = p->free[p->n_free - 1], .len = ARP_FRAME};
    memcpy(e.dst, to, 6);
    memcpy(e.src, p->netif.mac, 6);
    eth_emit(p->frames.base + f.addr, &e);
    arp_emit(p->frames.base + f.addr + ETH_HEADER, a);
    (void)rawport_send(p, &f, 1);
    (void)rawport_kick(p);
}

static void
heard_arp(struct rawport *p, const struct arp_pkt *q)
{
    struct arp_pkt a = {.op = ARP_REPLY, .spa = p->addr, .tpa = q->spa};
    if (q->op != ARP_REQUEST) {
        p->heard = q->spa;
        memcpy(p->heard_mac, q->sha, 6);
    } else if (ipaddr_eq(&q->tpa, &p->addr)) {
        memcpy(a.sha, p->netif.mac, 6);
        memcpy(a.tha, q->sha, 6);
        send_arp(p, &a, q->sha);
    }
}

unsigned
rawport_receive(struct rawport *p, struct fdesc *f)
{
    unsigned n = p->driver->ops->rx_peek(p->driver, f, BATCH_MAX);
    struct arp_pkt a;
    for (unsigned i = 0; i < n; i++) {
        /* Only frames of an ARP's length are looked into here: the others' bytes stay where
         * they are. */
        if (unlikely(f[i].len == ARP_FRAME) &&
            arp_parse(&a, p->frames.base + f[i].addr + ETH_HEADER, ARP_BYTES) == WIRE_OK)
            heard_arp(p, &a);
        if (p->hear != NULL)
            p->hear(p->hear_arg, p->frames.base + f[i].addr, f[i].len);
        f[i].addr -= f[i].addr % FRAME_SIZE;
    }
    if (n != 0)
        p->driver->ops->rx_done(p->driver, n);
    return n;
}

bool
rawport_resolve(struct rawport *p, const struct ipaddr *who, uint8_t mac[6])
{
    const struct timespec nap = {.tv_nsec = 10000000};
    const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
    struct arp_pkt q = {.op = ARP_REQUEST, .spa = p->addr, .tpa = *who};
    struct fdesc f[BATCH_MAX];
    memcpy(q.sha, p->netif.mac, 6);
    for (unsigned t = 0; t < 200 && !ipaddr_eq(&p->heard, who); t++) {
        if (t % 20 == 0)
            send_arp(p, &q, all);
        nanosleep(&nap, NULL);
        rawport_return(p, f, rawport_receive(p, f));
    }
    memcpy(mac, p->heard_mac, 6);
    return ipaddr_eq(&p->heard, who);
}
