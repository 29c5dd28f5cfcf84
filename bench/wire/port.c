/* SPDX-License-Identifier: BSD-2-Clause
 *
 * port.c: AF_PACKET sockets.
 */
#include "bench/wire/port.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "bench/wire/frame.h"

#define SOCKET_BUFFER (64 << 20) /* bytes, in the kernel's count */

_Static_assert(sizeof(struct virtio_net_hdr) == PORT_PREFIX, "what stands before a frame");

static void
set(struct port *p, int level, int name, int value, const char *what)
{
    if (setsockopt(p->fd, level, name, &value, sizeof value) < 0)
        tool_die(EXIT_OTHER, "%s: %s: %s", p->name, what, strerror(errno));
}

/* What would hand us pieces that no wire carries. What a driver does not have, it has not. */
static void
offloads_off(const struct port *p)
{
    static const uint32_t commands[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO,
                                        ETHTOOL_STXCSUM};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct ethtool_value v = {.cmd = commands[i], .data = 0};
        struct ifreq r = {.ifr_data = (char *)&v};
        snprintf(r.ifr_name, sizeof r.ifr_name, "%s", p->name);
        ioctl(p->fd, SIOCETHTOOL, &r);
    }
}

static void
probe(struct port *p)
{
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", p->name);
    if (ioctl(p->fd, SIOCGIFMTU, &r) < 0)
        tool_die(EXIT_OTHER, "%s: %s", p->name, strerror(errno));
    p->mtu = (unsigned)r.ifr_mtu;
    if (ioctl(p->fd, SIOCGIFFLAGS, &r) < 0 || !(r.ifr_flags & IFF_UP))
        tool_die(EXIT_NO_INTERFACE, "%s is down; bring it up with: ip link set %s up", p->name,
                 p->name);
}

void
port_open(struct port *p, const char *name)
{
    unsigned index = strlen(name) < IFNAMSIZ ? if_nametoindex(name) : 0;
    p->name = name;
    if (index == 0)
        tool_die(EXIT_NO_INTERFACE, "no interface %s here", name);
    /* Protocol 0: nothing is received before bind, from whatever interface. */
    p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        tool_die(errno == EPERM ? EXIT_PRIVILEGE : EXIT_OTHER, "packet socket: %s%s",
                 strerror(errno), errno == EPERM ? " (must be root)" : "");
    probe(p);
    offloads_off(p);
    set(p, SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
    set(p, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
    set(p, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS");
    set(p, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER, "SO_RCVBUFFORCE");
    set(p, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER, "SO_SNDBUFFORCE");
    set(p, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");

    struct packet_mreq all = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(p->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0)
        tool_die(EXIT_OTHER, "%s: PACKET_MR_PROMISC: %s", name, strerror(errno));
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = __builtin_bswap16(ETH_P_ALL),
                             .sll_ifindex = (int)index};
    if (bind(p->fd, (struct sockaddr *)&at, sizeof at) < 0)
        tool_die(EXIT_OTHER, "%s: bind: %s", name, strerror(errno));
}

static ns_t
clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
}

/* The kernel stamps with the time of day, which may be set while we run; the wire's time is
 * monotonic. */
static ns_t
stamp(struct msghdr *m, ns_t now, ns_t day)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        ns_t at = (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
        return at < day && day - at < NS_S && day - at < now ? now - (day - at) : now;
    }
    return now;
}

static void
take(struct port_frame *f, uint8_t *buf, const struct mmsghdr *m)
{
    struct virtio_net_hdr h;
    *f = (struct port_frame){.bytes = buf + PORT_PREFIX};
    if (m->msg_len < PORT_PREFIX || (m->msg_hdr.msg_flags & MSG_TRUNC) != 0)
        return;
    memcpy(&h, buf, sizeof h);
    if (h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
        return; /* several frames in one: whoever makes these must stop it */
    f->len = m->msg_len - PORT_PREFIX;
    if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        f->filled = frame_checksum(f->bytes, f->len, h.csum_start, h.csum_offset);
}

int
port_receive(struct port *p, uint8_t *const into[PORT_BATCH], uint32_t size,
             struct port_frame out[PORT_BATCH])
{
    struct mmsghdr m[PORT_BATCH];
    struct iovec iov[PORT_BATCH];
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr align;
    } control[PORT_BATCH];

    for (unsigned i = 0; i < PORT_BATCH; i++) {
        iov[i] = (struct iovec){into[i], size};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
                                       .msg_iovlen = 1,
                                       .msg_control = control[i].bytes,
                                       .msg_controllen = sizeof control[i].bytes};
    }
    int n = recvmmsg(p->fd, m, PORT_BATCH, MSG_DONTWAIT, NULL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    ns_t now = clock_ns(CLOCK_MONOTONIC), day = clock_ns(CLOCK_REALTIME);
    for (int i = 0; i < n; i++) {
        take(&out[i], into[i], &m[i]);
        out[i].at = stamp(&m[i].msg_hdr, now, day);
    }
    return n;
}

unsigned
port_send(struct port *p, const struct port_frame *frames, unsigned n)
{
    struct mmsghdr m[PORT_BATCH];
    struct iovec iov[PORT_BATCH];
    unsigned taken = 0, done = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t *start = frames[i].bytes - PORT_PREFIX;
        memset(start, 0, PORT_PREFIX); /* as it stands: no checksum, no pieces to make */
        iov[i] = (struct iovec){start, PORT_PREFIX + frames[i].len};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    while (done < n) {
        int k = sendmmsg(p->fd, m + done, n - done, MSG_DONTWAIT);
        if (k < 0 && errno == EINTR)
            continue;
        taken += k > 0 ? (unsigned)k : 0;
        done += k > 0 ? (unsigned)k : 1; /* go on behind the one that was refused */
    }
    return taken;
}

uint64_t
port_missed(struct port *p)
{
    struct tpacket_stats s = {0};
    socklen_t len = sizeof s;
    return getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len) == 0 ? s.tp_drops : 0;
}
