/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The AF_PACKET driver over a pair of sockets that keep messages apart as it does, and the
 * header of virtio in front of them.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "domains/packet.h"
#include "domains/vnet.h"
#include "wire/wire.h"

#define N_RX 256u
#define N_TX 128u
#define HEADERS (ETH_HEADER + IP4_HEADER + TCP_HEADER)

static struct world {
    struct frames f;
    struct nicmap *map;
    struct stats stats;
    struct driver *d;
    int wire;
} w;

static void
again(int fd)
{
    w.d = packet_open(fd, &w.f, w.map, &w.stats);
    cr_assert_not_null(w.d);
}

/* Every receive frame but the first is the driver's. Returns its socket. */
static int
begin(void)
{
    int pair[2];
    const uint32_t n[PART_COUNT] = {N_RX, N_TX, N_TX, 2, 2};
    unsigned refused = 0;
    w = (struct world){0};
    frames_layout(&w.f, n);
    w.f.base = calloc(1, frames_bytes(&w.f));
    w.map = calloc(1, nicmap_bytes(N_RX));
    w.map->n_frames = N_RX;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    w.wire = pair[1];
    again(pair[0]);
    for (uint32_t i = 1; i < N_RX; i++) {
        struct fdesc f = {.addr = i * FRAME_SIZE};
        cr_assert_eq(w.d->ops->fill(w.d, &f, 1, &refused), 1);
    }
    cr_assert_eq(refused, 0);
    return pair[0];
}

static uint8_t bytes[70000];

static void
comes_in(uint32_t len, uint8_t type, uint8_t flags)
{
    struct virtio_net_hdr v = {.gso_type = type, .flags = flags};
    memcpy(bytes, &v, sizeof v);
    for (uint32_t i = 0; i < len; i++)
        bytes[sizeof v + i] = (uint8_t)(i * 7 + len);
    cr_assert_eq(write(w.wire, bytes, sizeof v + len), (ssize_t)(sizeof v + len));
}

/* These descriptors are a packet of len bytes, in frames that nobody holds any more. */
static unsigned
is_packet(const struct fdesc *f, uint32_t len, uint16_t flags)
{
    unsigned n = 0;
    for (uint32_t at = 0; at < len; at += f[n++].len) {
        cr_assert(f[n].len == FRAME_SIZE || at + f[n].len == len);
        cr_assert_eq(!!(f[n].flags & FDESC_MORE), at + f[n].len < len);
        cr_assert_eq(f[n].flags & FDESC_CSUM, n == 0 ? flags : 0);
        cr_assert_eq(w.map->held[f[n].addr / FRAME_SIZE], 0);
        for (uint32_t i = 0; i < f[n].len; i++)
            cr_assert_eq(w.f.base[f[n].addr + i], (uint8_t)((at + i) * 7 + len));
    }
    return n;
}

/* Short and long packets, whole, in order, each byte at its place, however little is taken at a
 * time; a chain is never cut. */
Test(packet, receives)
{
    struct fdesc f[256];
    begin();
    comes_in(60, VIRTIO_NET_HDR_GSO_NONE, 0);
    comes_in(65549, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
             VIRTIO_NET_HDR_F_NEEDS_CSUM);
    comes_in(FRAME_SIZE, VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_F_DATA_VALID);
    cr_assert(w.d->ops->rx_pending(w.d));
    cr_assert_eq(w.d->ops->rx_peek(w.d, f, 20), 1, "the next is longer than 19");
    is_packet(f, 60, 0);
    cr_assert_eq(w.d->ops->rx_peek(w.d, f, 48), 34);
    cr_assert_eq(is_packet(f, 65549, FDESC_CSUM), 33);
    cr_assert_eq(is_packet(f + 33, FRAME_SIZE, FDESC_CSUM), 1);
    cr_assert_not(w.d->ops->rx_pending(w.d));
    cr_assert_eq(w.d->ops->rx_peek(w.d, f, 256), 0);
}

/* Frames go round: given back they are used again, none twice, and nothing is lost on the way.
 */
Test(packet, frames_go_round)
{
    struct fdesc f[256];
    unsigned refused = 0;
    begin();
    for (unsigned i = 0; i < 500; i++) {
        uint32_t len = 60 + i * 131 % 65000;
        comes_in(len, VIRTIO_NET_HDR_GSO_TCPV4, 0);
        unsigned n = w.d->ops->rx_peek(w.d, f, 64);
        cr_assert_eq(is_packet(f, len, 0), n);
        cr_assert_eq(w.d->ops->fill(w.d, f, n, &refused), n);
    }
    cr_assert_eq(refused, 0);
    cr_assert_eq(stat_get(&w.stats, STAT_nic_drop_rx), 0);
    for (unsigned i = 1; i < N_RX; i++)
        cr_assert_eq(w.map->held[i], 1);
}

/* What is no empty frame of the kernel's side to give is refused. */
Test(packet, fill_refuses)
{
    unsigned refused = 0;
    begin();
    const struct fdesc bad[] = {
        {FRAME_SIZE, 0, 0}, {7, 0, 0}, {N_RX * FRAME_SIZE, 0, 0}, {UINT32_MAX, 0, 0}};
    cr_assert_eq(w.d->ops->fill(w.d, bad, 4, &refused), 4);
    cr_assert_eq(refused, 4);
}

/* Without empty frames packets are lost and counted, and the socket does not stay readable. */
Test(packet, out_of_frames)
{
    struct fdesc f[256];
    unsigned got = 0;
    begin();
    for (unsigned i = 0; i < 9; i++) {
        comes_in(65000, VIRTIO_NET_HDR_GSO_TCPV4, 0);
        got += w.d->ops->rx_peek(w.d, f, 256);
    }
    cr_assert_eq(got, N_RX - 1);
    cr_assert_eq(stat_get(&w.stats, STAT_nic_drop_rx), 1);
    cr_assert_eq(recv(w.wire, bytes, 1, 0), -1);
}

/* Datagrams that were joined are not one datagram. */
Test(packet, joined_datagrams)
{
    struct fdesc f[256];
    begin();
    comes_in(5000, 5 /* VIRTIO_NET_HDR_GSO_UDP_L4 */, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    comes_in(70, VIRTIO_NET_HDR_GSO_NONE, 0);
    cr_assert_eq(w.d->ops->rx_peek(w.d, f, 256), 1);
    is_packet(f, 70, 0);
    cr_assert_eq(stat_get(&w.stats, STAT_nic_drop_rx), 1);
}

/* However many in a row are dropped, the driver does not say that nothing is pending while
 * something is: the socket tells of what comes in, not of what is still there, and a domain
 * that sleeps beside a readable socket is taken for one that hangs. */
Test(packet, many_dropped)
{
    struct fdesc f[256];
    unsigned turns = 0;
    begin();
    for (unsigned i = 0; i < 100; i++)
        comes_in(64, 5 /* VIRTIO_NET_HDR_GSO_UDP_L4 */, 0);
    comes_in(70, VIRTIO_NET_HDR_GSO_NONE, 0);
    while (w.d->ops->rx_peek(w.d, f, 256) == 0) {
        cr_assert(w.d->ops->rx_pending(w.d), "asleep, and packets wait");
        cr_assert_lt(++turns, 10);
    }
    is_packet(f, 70, 0);
    cr_assert_not(w.d->ops->rx_pending(w.d));
    cr_assert_eq(stat_get(&w.stats, STAT_nic_drop_rx), 100);
}

/* A successor has the frames that were empty or being written to, and no others: not those that
 * ip was shown. */
Test(packet, successor)
{
    struct fdesc f[256];
    int fd = begin();
    comes_in(65000, VIRTIO_NET_HDR_GSO_TCPV4, 0);
    unsigned n = w.d->ops->rx_peek(w.d, f, 256);
    comes_in(5000, VIRTIO_NET_HDR_GSO_TCPV4, 0);
    cr_assert(w.d->ops->rx_pending(w.d)); /* read, not shown, and dies */
    again(fd);
    unsigned held = 0, got = 0;
    for (unsigned i = 0; i < N_RX; i++)
        held += w.map->held[i];
    cr_assert_eq(held, N_RX - 1 - n);
    for (unsigned i = 0; i < n; i++)
        cr_assert_eq(w.map->held[f[i].addr / FRAME_SIZE], 0);
    for (unsigned i = 0; i < held; i++) {
        comes_in(100, VIRTIO_NET_HDR_GSO_NONE, 0);
        got += w.d->ops->rx_peek(w.d, f, 256);
    }
    cr_assert_eq(got, held);
}

/* ---- send ---- */

static struct fdesc
tx_frame(unsigned i, uint16_t len, uint16_t flags)
{
    struct fdesc f = {.addr = w.f.off[PART_TCPTX] + i * FRAME_SIZE + 64, len, flags};
    memset(w.f.base + f.addr, (int)i + 1, len);
    w.f.base[f.addr + ETH_HEADER + IP4_HEADER + 12] = 5 << 4; /* the TCP header's length */
    return f;
}

/* What went out; returns its bytes behind the header of virtio. */
static ssize_t
went_out(struct virtio_net_hdr *v)
{
    ssize_t n = recv(w.wire, bytes, sizeof bytes, 0);
    memcpy(v, bytes, sizeof *v);
    return n - (ssize_t)sizeof *v;
}

Test(packet, sends)
{
    struct virtio_net_hdr v;
    struct fdesc back[8];
    begin();
    const struct fdesc f[] = {tx_frame(0, 60, 0), tx_frame(1, HEADERS, FDESC_CSUM),
                              tx_frame(2, HEADERS + 1000, FDESC_CSUM | FDESC_MORE),
                              tx_frame(3, 1000, FDESC_MORE), tx_frame(4, 10, 0)};
    cr_assert_eq(w.d->ops->tx(w.d, f, 4), 4);
    cr_assert_not(w.d->ops->kick(w.d), "the last one has no end yet");
    cr_assert_eq(went_out(&v), 60);
    cr_assert(v.flags == 0 && v.gso_type == 0 && v.gso_size == 0);
    cr_assert_eq(went_out(&v), HEADERS);
    cr_assert(v.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM && v.gso_type == 0);
    cr_assert(v.csum_start == 34 && v.csum_offset == 16);
    cr_assert_eq(recv(w.wire, bytes, 1, 0), -1);
    cr_assert_eq(w.d->ops->tx_unsent(w.d), 2);
    cr_assert_eq(w.d->ops->tx(w.d, f + 4, 1), 1);
    cr_assert_not(w.d->ops->kick(w.d));
    cr_assert_eq(went_out(&v), HEADERS + 2010);
    cr_assert(v.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 && v.gso_size == 1000 &&
              v.hdr_len == HEADERS && v.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
    cr_assert_eq(bytes[sizeof v + HEADERS + 1000], 4);
    cr_assert_eq(w.d->ops->complete(w.d, back, 8), 5);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(back[i].addr, f[i].addr);
    cr_assert_eq(w.d->ops->tx_outstanding(w.d), 0);
}

/* The kernel has no room: what waits stays in order, and is tried again at growing intervals.
 */
Test(packet, no_room)
{
    struct fdesc f[N_TX], back[N_TX];
    int small = 4096;
    int fd = begin();
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (unsigned i = 0; i < 64; i++)
        f[i] = tx_frame(i, 1500, 0);
    cr_assert_eq(w.d->ops->deadline(w.d, 5), NS_NEVER);
    cr_assert_eq(w.d->ops->tx(w.d, f, 64), 64);
    while (w.d->ops->kick(w.d))
        ;
    cr_assert(w.d->ops->tx_unsent(w.d) > 0 && w.d->ops->tx_queued(w.d));
    ns_t at = w.d->ops->deadline(w.d, NS_S);
    cr_assert(at > NS_S && at < NS_S + NS_MS);
    cr_assert_eq(w.d->ops->deadline(w.d, NS_S), at, "asking does not move it");
    cr_assert_gt(w.d->ops->deadline(w.d, at), at + (at - NS_S));
    unsigned seen = 0;
    while (w.d->ops->tx_unsent(w.d) > 0) {
        while (recv(w.wire, bytes, sizeof bytes, 0) > 0)
            cr_assert_eq(bytes[sizeof(struct virtio_net_hdr)], ++seen);
        (void)w.d->ops->kick(w.d);
    }
    while (recv(w.wire, bytes, sizeof bytes, 0) > 0)
        seen++;
    cr_assert_eq(seen, 64);
    cr_assert_eq(w.d->ops->complete(w.d, back, N_TX), 64);
}

/* ip dies between the frames of a packet: what it left of it is given back, and is not the
 * beginning of the next one. */
Test(packet, cut_off)
{
    struct virtio_net_hdr v;
    struct fdesc back[8];
    begin();
    const struct fdesc f[] = {tx_frame(0, HEADERS + 100, FDESC_CSUM | FDESC_MORE),
                              tx_frame(1, 60, 0)};
    cr_assert_eq(w.d->ops->tx(w.d, f, 1), 1);
    (void)w.d->ops->kick(w.d);
    w.d->ops->tx_cut(w.d);
    cr_assert_eq(w.d->ops->complete(w.d, back, 8), 1);
    cr_assert_eq(w.d->ops->tx(w.d, f + 1, 1), 1);
    (void)w.d->ops->kick(w.d);
    cr_assert_eq(went_out(&v), 60);
}

/* A hostile ip or tcp: a chain without an end, one that is no TCP, one without a payload, one
 * whose header would have the kernel cut it into segments of a byte. Each is dropped, counted
 * and given back, and the next packet goes out. */
Test(packet, hostile)
{
    struct virtio_net_hdr v;
    struct fdesc back[N_TX], f[N_TX];
    begin();
    for (unsigned i = 0; i < FRAME_MAX_CHAIN; i++)
        f[i] = tx_frame(i, 100, FDESC_MORE);
    f[48] = tx_frame(48, HEADERS, FDESC_CSUM | FDESC_MORE);
    f[49] = tx_frame(49, 100, 0);
    f[50] = tx_frame(50, 20, FDESC_CSUM);
    f[51] = tx_frame(51, HEADERS + 1, FDESC_CSUM | FDESC_MORE);
    f[52] = tx_frame(52, 100, 0);
    f[53] = tx_frame(53, 61, 0);
    w.f.base[f[48].addr + 46] = 15 << 4;
    cr_assert_eq(w.d->ops->tx(w.d, f, 54), 54);
    (void)w.d->ops->kick(w.d);
    cr_assert_eq(went_out(&v), 61);
    cr_assert_eq(stat_get(&w.stats, STAT_nic_drop_tx), 4);
    cr_assert_eq(w.d->ops->complete(w.d, back, N_TX), 54);
}
