/* SPDX-License-Identifier: BSD-2-Clause */
#include "netif.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "ipc/region.h"
#include "xsk.h"

#define MTU_MIN 576u
#define SEND_BUFFER (16 << 20) /* bytes of frames on their way out, in the kernel's count */

#ifndef XDP_MAX_TX_SKB_BUDGET /* Linux 6.17: frames that one kick sends; was 32 */
#define XDP_MAX_TX_SKB_BUDGET 9
#endif
#define TX_BUDGET 256u

#ifndef XDP_USE_SG /* Linux 6.6: packets of several frames */
#define XDP_USE_SG (1 << 4)
#endif

#define PROGRAM "bulkhead_xdp"

struct bpf {
    struct bpf_object *object;
    struct bpf_link *link;
};

/* The object file of xdp_prog.c, made into an array by the build. */
extern const unsigned char xdp_prog_object[];
extern const size_t xdp_prog_object_size;

int
netif_refuse(int code, char *err, size_t err_len, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err, err_len, fmt, ap);
    va_end(ap);
    return code;
}

/* ---- looking at an interface ---- */

static void
list_interfaces(char *out, size_t len)
{
    struct if_nameindex *all = if_nameindex();
    size_t at = 0;
    out[0] = '\0';
    for (struct if_nameindex *i = all; i != NULL && i->if_name != NULL && at < len; i++) {
        int n = snprintf(out + at, len - at, "%s%s", at > 0 ? ", " : "", i->if_name);
        at += n > 0 ? (size_t)n : 0;
    }
    if (all != NULL)
        if_freenameindex(all);
}

static bool
ethtool(int sock, const char *name, void *command)
{
    struct ifreq r = {.ifr_data = command};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    return ioctl(sock, SIOCETHTOOL, &r) == 0;
}

static bool
query(int sock, unsigned long what, const char *name, struct ifreq *r)
{
    *r = (struct ifreq){0};
    snprintf(r->ifr_name, sizeof r->ifr_name, "%s", name);
    return ioctl(sock, what, r) == 0;
}

static int
probe(struct netif *n, int sock, char *err, size_t err_len)
{
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
    struct ifreq r;

    if (!query(sock, SIOCGIFHWADDR, n->name, &r))
        return netif_refuse(EXIT_OTHER, err, err_len, "%s: %s", n->name, strerror(errno));
    if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return netif_refuse(EXIT_NO_INTERFACE, err, err_len, "%s is not an Ethernet interface",
                            n->name);
    memcpy(n->mac, r.ifr_hwaddr.sa_data, sizeof n->mac);
    if (!query(sock, SIOCGIFFLAGS, n->name, &r) || !(r.ifr_flags & IFF_UP))
        return netif_refuse(EXIT_NO_INTERFACE, err, err_len,
                            "%s is down; bring it up with: ip link set %s up", n->name,
                            n->name);
    if (!query(sock, SIOCGIFMTU, n->name, &r))
        return netif_refuse(EXIT_OTHER, err, err_len, "%s: %s", n->name, strerror(errno));
    n->mtu = (unsigned)r.ifr_mtu;
    n->is_veth = ethtool(sock, n->name, &driver) &&
                 strncmp(driver.driver, "veth", sizeof driver.driver) == 0;
    n->n_queues = 1; /* a driver that does not know the question has one */
    if (ethtool(sock, n->name, &channels))
        n->n_queues = max_u32(1, channels.rx_count + channels.combined_count);
    n->can_combine = channels.combined_count > 0;
    return 0;
}

int
netif_mtu(const struct netif *n, unsigned most, char *err, size_t err_len)
{
    if (n->mtu >= MTU_MIN && n->mtu <= most)
        return 0;
    return netif_refuse(EXIT_OTHER, err, err_len,
                        "%s has an MTU of %u, usable are %u to %u; set it with: "
                        "ip link set %s mtu %u",
                        n->name, n->mtu, MTU_MIN, most, n->name,
                        n->mtu > most && most >= 9000 ? 9000 : 1500);
}

int
netif_one_queue(const struct netif *n, char *err, size_t err_len)
{
    if (n->n_queues == 1)
        return 0;
    return netif_refuse(
        EXIT_QUEUES, err, err_len,
        "%s has %u receive queues, and the stack would hear only one; make it one with: "
        "ethtool -L %s %s, or use --driver packet",
        n->name, n->n_queues, n->name, n->can_combine ? "combined 1" : "rx 1");
}

int
netif_probe(struct netif *n, const char *name, char *err, size_t err_len)
{
    char all[256];

    *n = (struct netif){.fd = -1};
    if (strlen(name) < sizeof n->name)
        n->index = if_nametoindex(name);
    if (n->index == 0) {
        list_interfaces(all, sizeof all);
        return netif_refuse(EXIT_NO_INTERFACE, err, err_len, "no interface %s; there are: %s",
                            name, all);
    }
    snprintf(n->name, sizeof n->name, "%s", name);
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return netif_refuse(EXIT_OTHER, err, err_len, "socket: %s", strerror(errno));
    int code = probe(n, sock, err, err_len);
    close(sock);
    return code;
}

/* ---- socket and UMEM ---- */

static bool
set_ring(int fd, int which, uint32_t size)
{
    return setsockopt(fd, SOL_XDP, which, &size, sizeof size) == 0;
}

/* Map the parts next to each other and register the whole as the UMEM. The kernel keeps the
 * pages; the caller unmaps. Returns the address, or NULL with errno set. */
static void *
make_umem(int fd, const struct frames *f, const int part_fd[PARTS_UMEM], size_t bytes)
{
    uint8_t *base = region_reserve(bytes);
    if (base == NULL)
        return NULL;
    bool ok = true;
    for (unsigned p = 0; p < PARTS_UMEM && ok; p++)
        if (f->size[p] > 0)
            ok = region_map(part_fd[p], f->size[p], true, base + f->off[p]) != NULL;
    struct xdp_umem_reg reg = {
        .addr = (uintptr_t)base, .len = bytes, .chunk_size = FRAME_SIZE, .headroom = 0};
    if (ok && setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof reg) == 0)
        return base;
    int saved = errno;
    munmap(base, bytes);
    errno = saved;
    return NULL;
}

/* Packets in several frames cost a little with each packet: only where there are any. */
static bool
is_jumbo(const struct netif *n)
{
    return n->mtu > FRAME_MTU;
}

static bool
bind_queue(const struct netif *n)
{
    /* The kernel takes the better one of copy and zero-copy. But how many frames a card takes
     * for one packet without copying is its own matter, and what is beyond is another packet to
     * it. */
    struct sockaddr_xdp to = {
        .sxdp_family = AF_XDP,
        .sxdp_flags =
            (uint16_t)(XDP_USE_NEED_WAKEUP | (is_jumbo(n) ? XDP_USE_SG | XDP_COPY : 0)),
        .sxdp_ifindex = n->index,
        .sxdp_queue_id = 0};
    return bind(n->fd, (struct sockaddr *)&to, sizeof to) == 0;
}

static int
cannot_bind(const struct netif *n, int e, char *err, size_t err_len)
{
    if (e == EBUSY)
        return netif_refuse(EXIT_BUSY, err, err_len,
                            "%s: another program has an AF_XDP socket on it (%s)", n->name,
                            strerror(e));
    if (is_jumbo(n) && (e == EINVAL || e == EOPNOTSUPP))
        return netif_refuse(EXIT_OTHER, err, err_len,
                            "%s has an MTU of %u, and this kernel or driver takes no AF_XDP "
                            "packet of several frames (Linux has it since 6.6); set it with: "
                            "ip link set %s mtu 1500",
                            n->name, n->mtu, n->name);
    return netif_refuse(EXIT_OTHER, err, err_len, "%s: cannot bind an AF_XDP socket: %s",
                        n->name, strerror(e));
}

static int
make_socket(struct netif *n, const struct frames *f, const int part_fd[PARTS_UMEM],
            uint32_t ring, char *err, size_t err_len)
{
    const size_t bytes = f->off[PARTS_UMEM - 1] + f->size[PARTS_UMEM - 1];
    const int buffer = SEND_BUFFER;
    const uint32_t budget = min_u32(TX_BUDGET, ring);

    n->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd < 0)
        return netif_refuse(errno == EPERM ? EXIT_PRIVILEGE : EXIT_OTHER, err, err_len,
                            "AF_XDP socket: %s", strerror(errno));
    void *umem = make_umem(n->fd, f, part_fd, bytes);
    if (umem == NULL)
        return netif_refuse(EXIT_OTHER, err, err_len, "packet memory of %zu bytes: %s", bytes,
                            strerror(errno));
    bool ok = set_ring(n->fd, XDP_UMEM_FILL_RING, ring) &&
              set_ring(n->fd, XDP_UMEM_COMPLETION_RING, ring) &&
              set_ring(n->fd, XDP_RX_RING, ring) && set_ring(n->fd, XDP_TX_RING, ring) &&
              bind_queue(n);
    int saved = errno;
    /* Both only make sending smoother; an older kernel lacks the second. */
    (void)setsockopt(n->fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    (void)setsockopt(n->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof budget);
    munmap(umem, bytes); /* the supervisor maps no packet memory */
    return ok ? 0 : cannot_bind(n, saved, err, err_len);
}

/* ---- program ---- */

static int
quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
    (void)level;
    (void)fmt;
    (void)ap;
    return 0;
}

/* The program's one constant: which address it takes. */
static int
set_address(struct bpf_object *o, const struct ipaddr *addr)
{
    struct bpf_map *m;
    bpf_object__for_each_map(m, o)
    {
        size_t size;
        const void *v = bpf_map__initial_value(m, &size);
        const char *name = bpf_map__name(m);
        size_t len = strlen(name);
        if (v == NULL || len < 7 || strcmp(name + len - 7, ".rodata") != 0)
            continue;
        return size == 4 ? bpf_map__set_initial_value(m, addr->b + 12, 4) : -EINVAL;
    }
    return -ENOENT;
}

static int
load_program(struct netif *n, const struct ipaddr *addr)
{
    const uint32_t queue = 0;
    LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "bulkhead");

    libbpf_set_print(quiet);
    n->bpf->object = bpf_object__open_mem(xdp_prog_object, xdp_prog_object_size, &opts);
    if (n->bpf->object == NULL)
        return -errno;
    int err = set_address(n->bpf->object, addr);
    /* It looks at the headers alone, which are in the first piece of a packet. */
    struct bpf_program *p = bpf_object__find_program_by_name(n->bpf->object, PROGRAM);
    if (err == 0 && is_jumbo(n) && p != NULL)
        err = bpf_program__set_flags(p, BPF_F_XDP_HAS_FRAGS);
    if (err == 0)
        err = bpf_object__load(n->bpf->object);
    if (err != 0)
        return err;
    int map = bpf_object__find_map_fd_by_name(n->bpf->object, "sockets");
    return map < 0 ? map : bpf_map_update_elem(map, &queue, &n->fd, BPF_ANY);
}

static int
attach_program(struct netif *n)
{
    struct bpf_program *p = bpf_object__find_program_by_name(n->bpf->object, PROGRAM);
    if (p == NULL)
        return -ENOENT;
    n->bpf->link = bpf_program__attach_xdp(p, (int)n->index);
    return n->bpf->link != NULL ? 0 : -errno;
}

int
netif_open(struct netif *n, const struct frames *f, const int part_fd[PARTS_UMEM],
           uint32_t xsk_ring, const struct ipaddr *addr, char *err, size_t err_len)
{
    const struct rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};
    /* Older kernels charge maps and programs against it. If it is refused and was needed,
     * the load says so. */
    (void)setrlimit(RLIMIT_MEMLOCK, &no_limit);

    int code = netif_one_queue(n, err, err_len);
    if (code == 0)
        code = netif_mtu(n, FRAME_MTU_MAX, err, err_len);
    if (code != 0)
        return code;
    n->bpf = calloc(1, sizeof *n->bpf);
    if (n->bpf == NULL)
        return netif_refuse(EXIT_OTHER, err, err_len, "out of memory");
    code = make_socket(n, f, part_fd, xsk_ring_for(f, xsk_ring), err, err_len);
    if (code != 0) {
        netif_close(n);
        return code;
    }
    int e = load_program(n, addr);
    if (e != 0)
        code = netif_refuse(e == -EPERM ? EXIT_PRIVILEGE : EXIT_OTHER, err, err_len,
                            "cannot load the XDP program: %s", strerror(-e));
    else if ((e = attach_program(n)) == -EBUSY || e == -EEXIST)
        code = netif_refuse(EXIT_BUSY, err, err_len,
                            "%s has an XDP program already; see it with: ip link show %s",
                            n->name, n->name);
    else if (e != 0)
        code = netif_refuse(EXIT_OTHER, err, err_len, "%s: cannot attach the XDP program: %s",
                            n->name, strerror(-e));
    if (code != 0) {
        netif_close(n);
        return code;
    }
    /* The link holds the program, and that its map; what else there is nobody needs. */
    bpf_object__close(n->bpf->object);
    n->bpf->object = NULL;
    return 0;
}

void
netif_close(struct netif *n)
{
    if (n->bpf != NULL) {
        if (n->bpf->link != NULL)
            bpf_link__destroy(n->bpf->link);
        if (n->bpf->object != NULL)
            bpf_object__close(n->bpf->object);
        free(n->bpf);
        n->bpf = NULL;
    }
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}
