/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a domain is handed at its start, checked and mapped. Nothing here runs once the
 * domain is confined.
 */
#include "domain.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "base/exit_codes.h"
#include "guard.h"
#include "ipc/region.h"
#include "xsk.h"

#define PAGE 4096u
#define RSEQ_BYTES 32u /* the kernel's area is a multiple of that */

/* Wait for the next message: the socket may be non-blocking. */
static void
receive(struct ctl_msg *m, int fd[CTL_FDS_MAX])
{
    int got;
    while ((got = ctl_recv(DOMAIN_CTL_FD, m, fd)) == -EAGAIN || got == -EINTR) {
        struct pollfd p = {.fd = DOMAIN_CTL_FD, .events = POLLIN};
        (void)poll(&p, 1, -1);
    }
    if (got == 0)
        _exit(EXIT_OK); /* the supervisor went away meanwhile */
    if (got < 0)
        domain_fatal("control socket: %s", strerror(-got));
}

static void
take_config(struct domain *d, const struct ctl_config *c, const char *argv0)
{
    char want[32];
    uint64_t total = 0;

    snprintf(want, sizeof want, "bulkhead-%s", domain_name(c->domain));
    const char *slash = strrchr(argv0, '/');
    if (strcmp(slash != NULL ? slash + 1 : argv0, want) != 0)
        domain_fatal("given the configuration of %s", want);
    for (unsigned p = 0; p < PART_COUNT; p++) {
        if (c->n_frames[p] % (PAGE / FRAME_SIZE) != 0)
            domain_fatal("configuration: part %u is not a multiple of a page", p);
        total += c->n_frames[p];
    }
    if (total == 0 || total > UINT32_MAX / FRAME_SIZE - 1)
        domain_fatal("configuration: %llu frames", (unsigned long long)total);
    d->cfg = *c;
    frames_layout(&d->frames, c->n_frames);
    d->cfg.xsk_ring = xsk_ring_for(&d->frames, c->xsk_ring); /* as netif_open made them */
    d->frames.base = guard_reserve(frames_bytes(&d->frames));
    if (d->frames.base == NULL)
        domain_fatal("cannot reserve %u bytes: %s", frames_bytes(&d->frames), strerror(errno));
}

static void *
map(int fd, uint64_t size, bool writable, void *at, const char *what)
{
    void *p = at != NULL ? region_map(fd, size, writable, at) : guard_map(fd, size, writable);
    if (p == NULL)
        domain_fatal("%s, %llu bytes: %s", what, (unsigned long long)size, strerror(errno));
    close(fd);
    return p;
}

static void
at_least(uint64_t size, size_t need, const char *what)
{
    if (size < need)
        domain_fatal("%s: %llu bytes, need %zu", what, (unsigned long long)size, need);
}

static void
take_frames(struct domain *d, unsigned part, const struct ctl_region *r, int fd)
{
    if (r->size != d->frames.size[part])
        domain_fatal("part %u: %llu bytes, not %u", part, (unsigned long long)r->size,
                     d->frames.size[part]);
    map(fd, r->size, r->writable, d->frames.base + d->frames.off[part], "frames");
    d->frames.readable |= PART_BIT(part);
    if (r->writable)
        d->frames.writable |= PART_BIT(part);
}

static void
take_region(struct domain *d, const struct ctl_region *r, int fd, unsigned *seen)
{
    if (r->role >= REGION_ROLES || (*seen & 1u << r->role))
        domain_fatal("region of role %u: unknown, or given twice", r->role);
    *seen |= 1u << r->role;
    if (r->role >= REGION_FRAMES) {
        take_frames(d, r->role - REGION_FRAMES, r, fd);
        return;
    }
    switch ((enum region_role)r->role) {
    case REGION_STATS:
        at_least(r->size, sizeof *d->stats, "statistics");
        d->stats = map(fd, r->size, true, NULL, "statistics");
        break;
    case REGION_PATH:
        at_least(r->size, sizeof *d->path, "path table");
        d->path = map(fd, r->size, r->writable, NULL, "path table");
        break;
    case REGION_PORTS:
        at_least(r->size, sizeof *d->ports, "port table");
        d->ports = map(fd, r->size, r->writable, NULL, "port table");
        break;
    case REGION_STORE:
        d->store = map(fd, r->size, r->writable, NULL, "store");
        d->store_size = r->size;
        break;
    case REGION_NICMAP:
        at_least(r->size, nicmap_bytes(d->cfg.n_frames[PART_RX]), "nicmap");
        d->nicmap = map(fd, r->size, r->writable, NULL, "nicmap");
        break;
    case REGION_FRAMES:
    case REGION_ROLES:
        break;
    }
}

/* The lowest number that is free: so those that stay have no hole between them (confine.h). */
static int
settle(int fd)
{
    int low = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (low < 0)
        domain_fatal("descriptors: %s", strerror(errno));
    close(low < fd ? fd : low);
    return low < fd ? low : fd;
}

static void
take_link(struct domain *d, const struct ctl_link *l, const int fd[4])
{
    if (d->n_peers == DOMAIN_LINKS || l->peer >= DOM_COUNT || l->kind > LINK_UP ||
        l->side > LINK_B || domain_peer_of(d, l->peer) != NULL)
        domain_fatal("link to peer %u: unknown, or given twice", l->peer);
    struct domain_peer *p = &d->peer[d->n_peers++];
    *p = (struct domain_peer){.present = true,
                              .id = l->peer,
                              .kind = (enum link_kind)l->kind,
                              .side = (enum link_side)l->side,
                              .fd_sleep = fd[2],
                              .fd_ring = fd[3]};
    enum link_side other = p->side == LINK_A ? LINK_B : LINK_A;
    link_sizes_for(&p->sizes, p->kind, &d->frames);
    if (l->own_size != link_half_bytes(p->kind, p->side, &p->sizes) ||
        l->peer_size != link_half_bytes(p->kind, other, &p->sizes))
        domain_fatal("link to %s: halves of %llu and %llu bytes", domain_name(p->id),
                     (unsigned long long)l->own_size, (unsigned long long)l->peer_size);
    p->own = map(fd[0], l->own_size, true, NULL, "own half of a link");
    p->peer = map(fd[1], l->peer_size, false, NULL, "peer's half of a link");
    link_half_clear(p->own, p->kind, p->side, &p->sizes);
    p->fd_sleep = settle(p->fd_sleep); /* the halves' descriptors are closed */
    p->fd_ring = settle(p->fd_ring);
    if (domain_watch(d, p->fd_sleep, p) != 0)
        domain_fatal("cannot watch the bell of %s", domain_name(p->id));
}

static void
pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        dprintf(STDERR_FILENO, "bulkhead: cannot pin to processor %d: %s\n", cpu,
                strerror(errno));
}

static void
begin(struct domain *d, const char *argv0)
{
    int type;
    socklen_t len = sizeof type;
    if (getsockopt(DOMAIN_CTL_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        type != SOCK_SEQPACKET) {
        dprintf(STDERR_FILENO, "%s: started by bulkheadd, not by hand\n", argv0);
        _exit(EXIT_USAGE);
    }
    /* The loop asks for one message more than there is. */
    if (fcntl(DOMAIN_CTL_FD, F_SETFL, O_NONBLOCK) != 0)
        domain_fatal("control socket: %s", strerror(errno));
    const char *slash = strrchr(argv0, '/');
    (void)prctl(PR_SET_NAME, slash != NULL ? slash + 1 : argv0);
    *d = (struct domain){.nic_fd = -1, .ctl_fd = DOMAIN_CTL_FD};
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll_fd < 0 || domain_watch(d, d->ctl_fd, d) != 0)
        domain_fatal("epoll: %s", strerror(errno));
}

/* Nothing here uses restartable sequences, for which the C library registers every thread, and
 * the kernel has work with one that is registered at each switch: 3 % of a round trip
 * (bench/PROFILES.md). The supervisor could ask for none, but by an environment, and domains
 * get none. If it fails nothing is lost but those. */
static void
leave_rseq(void)
{
#ifdef RSEQ_SIG
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
    unsigned len = (__rseq_size + RSEQ_BYTES - 1) / RSEQ_BYTES * RSEQ_BYTES; /* as registered */
    if (len != 0)
        (void)syscall(SYS_rseq, area, len, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

void
domain_setup(struct domain *d, int argc, char **argv)
{
    const char *argv0 = argc > 0 ? argv[0] : "bulkhead";
    struct ctl_msg m;
    int fd[CTL_FDS_MAX];
    unsigned seen = 0;

    begin(d, argv0);
    receive(&m, fd);
    if (m.type != CTL_CONFIG)
        domain_fatal("message %u before the configuration", m.type);
    take_config(d, &m.config, argv0);
    for (receive(&m, fd); m.type != CTL_START; receive(&m, fd)) {
        if (m.type == CTL_REGION)
            take_region(d, &m.region, fd[0], &seen);
        else if (m.type == CTL_LINK)
            take_link(d, &m.link, fd);
        else if (m.type == CTL_SOCKET && d->nic_fd < 0)
            d->nic_fd = fd[0];
        else
            domain_fatal("message %u is out of place", m.type);
    }
    if (d->stats == NULL)
        domain_fatal("no statistics region");
    atomic_store_explicit(&d->stats->state, STATS_AWAKE, memory_order_relaxed);
    pin(d->cfg.cpu);
    leave_rseq();
}

void *
domain_alloc(size_t bytes)
{
    void *p = guard_alloc(bytes);
    if (p == NULL)
        domain_fatal("out of memory");
    return p;
}
