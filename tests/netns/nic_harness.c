/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nic_harness.c: stands in for the supervisor and for ip around a real nic domain, so that
 * test_nic.sh can kill it, lie to it and count frames. Answers ARP and echo requests for
 * its address. Reads commands on stdin, one a line, and answers each with one line:
 *
 *   pid        the nic's process id
 *   kill       kill -9 the nic, start the next one, account for every receive frame
 *   ip-death   pretend that ip died and came back; account as above
 *   lie        send descriptors that the nic has to refuse; print what it counted
 *   poison     write an impossible ring index; wait for the report
 *   quit
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/stats.h"
#include "domains/netif.h"
#include "domains/spawn.h"
#include "domains/xsk.h"
#include "ipc/ctl.h"
#include "ipc/link.h"
#include "ipc/region.h"

#define RX_FRAMES 256u
#define TX_FRAMES 64u
#define XSK_RING RX_FRAMES /* full when the kernel has them all */
#define UID 65534u

enum holder { MINE, NIC, OLD }; /* OLD: given to a nic that died since */

static struct {
    struct netif netif;
    struct frames frames;
    struct region part[PART_COUNT], stats_region, nicmap_region, half[2];
    struct stats *stats;
    const struct nicmap *nicmap;
    void *own;        /* our half, side B */
    const void *peer; /* the nic's */
    struct link_sizes sizes;
    struct link link;
    int to_ip[2], to_nic[2]; /* bells: read end, write end */
    int ctl, pidfd;
    pid_t pid;
    const char *nic_path;
    uint8_t addr[4];
    uint8_t rx[RX_FRAMES], tx[TX_FRAMES]; /* enum holder */
    unsigned restarts;
} h;

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static void *
make_region(struct region *r, const char *name, size_t size)
{
    if (region_create(r, name, ALIGN_UP(size, (size_t)4096)) != 0)
        die("region %s", name);
    void *p = region_map(r->fd_rw, r->size, true, NULL);
    if (p == NULL)
        die("map %s", name);
    return p;
}

static void
make_regions(void)
{
    const uint32_t n[PART_COUNT] = {RX_FRAMES, TX_FRAMES, 2, 2, 2};
    frames_layout(&h.frames, n);
    h.frames.base = region_reserve(frames_bytes(&h.frames));
    for (unsigned p = 0; p < PART_COUNT; p++)
        if (region_create(&h.part[p], "part", h.frames.size[p]) != 0 ||
            region_map(h.part[p].fd_rw, h.frames.size[p], true,
                       h.frames.base + h.frames.off[p]) == NULL)
            die("part %u", p);
    h.frames.readable = h.frames.writable = PART_BIT(PART_COUNT) - 1;
    h.stats = make_region(&h.stats_region, "stats", sizeof *h.stats);
    h.nicmap = make_region(&h.nicmap_region, "nicmap", nicmap_bytes(RX_FRAMES));
    link_sizes_for(&h.sizes, LINK_NIC, &h.frames);
    h.peer =
        make_region(&h.half[LINK_A], "half-a", link_half_bytes(LINK_NIC, LINK_A, &h.sizes));
    h.own = make_region(&h.half[LINK_B], "half-b", link_half_bytes(LINK_NIC, LINK_B, &h.sizes));
    if (bell_pipe(h.to_ip) != 0 || bell_pipe(h.to_nic) != 0)
        die("pipes");
}

/* ---- being the supervisor ---- */

static void
tell(struct ctl_msg *m, const int *fd)
{
    int err = ctl_send(h.ctl, m, fd);
    if (err != 0)
        die("message %u: %s", m->type, strerror(-err));
}

static void
tell_peer(enum ctl_type type)
{
    struct ctl_msg m = {.type = (uint16_t)type, .peer = DOM_IP};
    tell(&m, NULL);
}

/* The next message of this type, within 5 s; notices are shown on the way. */
static bool
expect(enum ctl_type type, struct ctl_msg *m)
{
    int fd[CTL_FDS_MAX];
    for (;;) {
        struct pollfd p = {.fd = h.ctl, .events = POLLIN};
        if (poll(&p, 1, 5000) != 1 || ctl_recv(h.ctl, m, fd) != 1)
            return false;
        if (m->type == type)
            return true;
        if (m->type == CTL_NOTICE)
            fprintf(stderr, "nic says: %s\n", m->text.text);
    }
}

static void
give_region(enum region_role role, const struct region *r)
{
    struct ctl_msg m = {.type = CTL_REGION};
    m.region = (struct ctl_region){.role = role, .writable = 1, .size = r->size};
    tell(&m, &r->fd_rw);
}

static void
start_nic(void)
{
    int pair[2];
    struct ctl_msg m = {.type = CTL_CONFIG};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        die("socketpair");
    h.ctl = pair[0];
    h.pid = spawn_domain(h.nic_path, "nic", "test", UID, UID, pair[1], &h.pidfd);
    if (h.pid < 0)
        die("spawn: %s", strerror(-h.pid));
    close(pair[1]);
    m.config = (struct ctl_config){.domain = DOM_NIC,
                                   .restart = h.restarts++,
                                   .xsk_ring = XSK_RING,
                                   .prefix = 24,
                                   .addr = ipaddr_v4(h.addr),
                                   .mtu = 1500,
                                   .cpu = -1,
                                   .uid = UID,
                                   .gid = UID,
                                   .instance = "test"};
    for (unsigned p = 0; p < PART_COUNT; p++)
        m.config.n_frames[p] = h.frames.size[p] / FRAME_SIZE;
    memcpy(m.config.mac, h.netif.mac, sizeof m.config.mac);
    tell(&m, NULL);
    give_region(REGION_STATS, &h.stats_region);
    give_region(REGION_NICMAP, &h.nicmap_region);
    m = (struct ctl_msg){.type = CTL_SOCKET};
    tell(&m, &h.netif.fd);
    m = (struct ctl_msg){.type = CTL_LINK};
    m.link = (struct ctl_link){.peer = DOM_IP,
                               .kind = LINK_NIC,
                               .side = LINK_A,
                               .own_size = h.half[LINK_A].size,
                               .peer_size = h.half[LINK_B].size};
    tell(&m, (int[]){h.half[LINK_A].fd_rw, h.half[LINK_B].fd_ro, h.to_nic[0], h.to_ip[1]});
    m = (struct ctl_msg){.type = CTL_START};
    tell(&m, NULL);
    if (!expect(CTL_READY, &m))
        die("the nic does not get ready");
}

static void
end_nic(void)
{
    kill(h.pid, SIGKILL);
    waitpid(h.pid, NULL, 0);
    close(h.pidfd);
    close(h.ctl);
}

/* ---- being ip ---- */

static void
fill(void)
{
    for (uint32_t i = 0; i < RX_FRAMES; i++)
        if (h.rx[i] == MINE) {
            struct fdesc *f = fring_reserve(&h.link.tx[1], h.link.tx_slots[1]);
            if (f == NULL)
                break;
            *f = (struct fdesc){.addr = i * FRAME_SIZE};
            h.rx[i] = NIC;
        }
}

static void
send_frame(const uint8_t *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < TX_FRAMES; i++)
        if (h.tx[i] == MINE) {
            struct fdesc *f = fring_reserve(&h.link.tx[0], h.link.tx_slots[0]);
            if (f == NULL)
                return;
            f->addr = h.frames.off[PART_IPTX] + i * FRAME_SIZE + FRAME_L4;
            f->len = (uint16_t)len;
            memcpy(h.frames.base + f->addr, bytes, len);
            h.tx[i] = NIC;
            return;
        }
}

static void
answer(const struct fdesc *f)
{
    uint8_t b[FRAME_SIZE];
    const uint8_t *in = frames_ro(&h.frames, PART_BIT(PART_RX), f->addr, f->len);
    if (in == NULL)
        die("the nic gave %u bytes at %u", f->len, f->addr);
    memcpy(b, in, f->len);
    memcpy(b, in + 6, 6);
    memcpy(b + 6, h.netif.mac, 6);
    if (be16(b + 12) == 0x0806 && be16(b + 20) == 1) {
        put_be16(b + 20, 2);
        memcpy(b + 32, in + 22, 10);
        memcpy(b + 22, h.netif.mac, 6);
        memcpy(b + 28, h.addr, 4);
        send_frame(b, f->len);
    } else if (be16(b + 12) == 0x0800 && b[23] == 1 && b[34] == 8) {
        memcpy(b + 26, in + 30, 4);
        memcpy(b + 30, in + 26, 4);
        b[34] = 0; /* the checksum field grows by what the type shrank */
        uint32_t sum = be16(b + 36) + 0x0800u;
        put_be16(b + 36, (uint16_t)(sum + (sum >> 16)));
        send_frame(b, f->len);
    }
}

static bool
step(void)
{
    struct fdesc f;
    bool any = false;
    while (fring_take(&h.link.rx[1], h.link.rx_slots[1], &f)) {
        uint32_t i = (f.addr - h.frames.off[PART_IPTX]) / FRAME_SIZE;
        if (i >= TX_FRAMES || h.tx[i] == MINE)
            die("done: %u, which the nic did not have", f.addr);
        h.tx[i] = MINE;
        any = true;
    }
    while (fring_take(&h.link.rx[0], h.link.rx_slots[0], &f)) {
        uint32_t i = f.addr / FRAME_SIZE;
        if (i >= RX_FRAMES || h.rx[i] != NIC)
            die("rx: %u, which the nic did not have", f.addr);
        h.rx[i] = MINE;
        answer(&f);
        any = true;
    }
    fill();
    link_release(&h.link);
    link_submit(&h.link);
    return any;
}

static void
link_up(void)
{
    link_half_clear(h.own, LINK_NIC, LINK_B, &h.sizes);
    link_init(&h.link, LINK_NIC, LINK_B, &h.sizes, h.own, h.peer, h.to_ip[0], h.to_nic[1]);
}

/* While the link is down: who has what, by the nic's map. Every frame that it holds must be one
 * that we gave; the others are ours again. */
static const char *
account(void)
{
    static char line[128];
    unsigned held = 0, lost = 0;
    if (atomic_load(&h.nicmap->op) != NICMAP_IDLE)
        die("the journal is not idle");
    for (unsigned i = 0; i < RX_FRAMES; i++) {
        bool map = atomic_load(&h.nicmap->held[i]) != 0;
        if (map && h.rx[i] != NIC)
            die("frame %u is held by the kernel and by us", i);
        lost += !map && h.rx[i] == NIC;
        held += map;
        h.rx[i] = map ? NIC : MINE;
    }
    snprintf(line, sizeof line, "ok held=%u in_flight=%u of=%u", held, lost, RX_FRAMES);
    return line;
}

static const char *
restart_nic(void)
{
    end_nic();
    start_nic();
    const char *line = account();
    /* What the kernel got is reported by the new nic; the rest died with the old one. */
    for (unsigned i = 0; i < TX_FRAMES; i++)
        h.tx[i] = h.tx[i] == NIC ? OLD : MINE;
    link_up();
    fill();
    tell_peer(CTL_PEER_UP);
    link_submit(&h.link);
    return line;
}

static const char *
restart_ip(void)
{
    struct ctl_msg m;
    tell_peer(CTL_PEER_DOWN);
    if (!expect(CTL_ACK, &m) || m.peer != DOM_IP)
        return "no acknowledgement";
    const char *line = account();
    memset(h.tx, MINE, sizeof h.tx); /* sent, or dropped: that is what the nic acknowledged */
    link_up();
    tell_peer(CTL_PEER_UP);
    return line;
}

static const char *
lie(void)
{
    static char line[128];
    const uint32_t tx = h.frames.off[PART_IPTX], end = h.frames.off[PART_UP];
    const struct fdesc bad_tx[] = {
        {tx, 0, 0},   {tx, FRAME_SIZE + 1, 0}, {tx + 1, FRAME_SIZE, 0}, {0, 60, 0},
        {end, 60, 0}, {UINT32_MAX, 60, 0},     {end - 1, 2, 0},
    };
    const uint32_t bad_fill[] = {1, tx, end, UINT32_MAX, 0 /* held already, most likely */};
    uint64_t t0 = stat_get(h.stats, STAT_nic_bad_desc);
    uint64_t f0 = stat_get(h.stats, STAT_refused_frames);
    for (unsigned i = 0; i < ARRAY_LEN(bad_tx); i++)
        *fring_reserve(&h.link.tx[0], h.link.tx_slots[0]) = bad_tx[i];
    for (unsigned i = 0; i < ARRAY_LEN(bad_fill); i++)
        *fring_reserve(&h.link.tx[1], h.link.tx_slots[1]) = (struct fdesc){.addr = bad_fill[i]};
    link_submit(&h.link);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    snprintf(line, sizeof line, "tx=%llu/%zu fill=%llu/%zu",
             (unsigned long long)(stat_get(h.stats, STAT_nic_bad_desc) - t0), ARRAY_LEN(bad_tx),
             (unsigned long long)(stat_get(h.stats, STAT_refused_frames) - f0),
             ARRAY_LEN(bad_fill));
    return line;
}

static const char *
poison(void)
{
    static char line[300];
    struct ctl_msg m;
    atomic_store(h.link.tx[0].tail, h.link.tx[0].submitted + 0x40000000u);
    bell_ring(&h.link.ringer);
    if (!expect(CTL_POISONED, &m))
        return "no report";
    snprintf(line, sizeof line, "arg=%#x %s", m.text.arg, m.text.text);
    return line;
}

static bool
command(void)
{
    char line[64];
    if (fgets(line, sizeof line, stdin) == NULL || strcmp(line, "quit\n") == 0)
        return false;
    if (strcmp(line, "pid\n") == 0)
        printf("%d\n", (int)h.pid);
    else if (strcmp(line, "kill\n") == 0)
        printf("%s\n", restart_nic());
    else if (strcmp(line, "ip-death\n") == 0)
        printf("%s\n", restart_ip());
    else if (strcmp(line, "lie\n") == 0)
        printf("%s\n", lie());
    else if (strcmp(line, "poison\n") == 0)
        printf("%s\n", poison());
    else
        printf("?\n");
    return true;
}

int
main(int argc, char **argv)
{
    char err[256];
    if (argc != 4 ||
        sscanf(argv[2], "%hhu.%hhu.%hhu.%hhu", h.addr, h.addr + 1, h.addr + 2, h.addr + 3) != 4)
        die("usage: %s INTERFACE ADDRESS bulkhead-nic", argv[0]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll sees what waits */
    signal(SIGPIPE, SIG_IGN);
    h.nic_path = argv[3];
    struct ipaddr addr = ipaddr_v4(h.addr);
    int code = netif_probe(&h.netif, argv[1], err, sizeof err);
    if (code == 0) {
        make_regions();
        int fd[PARTS_UMEM];
        for (unsigned p = 0; p < PARTS_UMEM; p++)
            fd[p] = h.part[p].fd_rw;
        code = netif_open(&h.netif, &h.frames, fd, XSK_RING, &addr, err, sizeof err);
    }
    if (code != 0) {
        fprintf(stderr, "%s\n", err);
        return code;
    }
    start_nic();
    link_up();
    tell_peer(CTL_PEER_UP);
    printf("ready %d\n", (int)h.pid);
    for (;;) {
        while (step())
            ;
        struct pollfd p[] = {{.fd = h.to_ip[0], .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN}};
        if (!link_arm(&h.link))
            poll(p, 2, -1);
        bell_disarm(&h.link.sleeper);
        if (p[0].revents & POLLIN)
            bell_drain(&h.link.sleeper);
        if (p[1].revents != 0 && !command())
            break;
    }
    end_nic();
    netif_close(&h.netif);
    return 0;
}
