/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_topology.c: every region, link and bell of a composition, and what a domain is told of
 * them. Who gets what stands in policy/topology.c.
 */
#include "sup.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "base/ports.h"
#include "tcp/tcp.h"
#include "udp/udp.h"
#include "xsk.h"

#define PAGE ((size_t)4096)

void
sup_store_layout(const struct sup *s, struct store_layout *l)
{
    struct tcp_config t = {.n_sessions = s->conf.tcp_sessions,
                           .half_open = s->conf.half_open,
                           .orphans = s->conf.orphans,
                           .sndbuf = s->conf.sndbuf,
                           .rcvbuf = s->conf.rcvbuf};
    struct udp_config u = {
        .n_sessions = s->conf.udp_sessions, .sndbuf = s->conf.sndbuf, .rcvbuf = s->conf.rcvbuf};
    l->tcp = ALIGN_UP(tcp_store_size(&t, &s->frames), PAGE);
    l->udp = ALIGN_UP(udp_store_size(&u, &s->frames), PAGE);
    l->ledger = ALIGN_UP((size_t)frames_bytes(&s->frames) / FRAME_SIZE, PAGE);
}

static size_t
region_bytes(const struct sup *s, unsigned region)
{
    struct store_layout l;
    if (region >= TOPO_FRAMES)
        return s->frames.size[region - TOPO_FRAMES];
    sup_store_layout(s, &l);
    switch (region) {
    case TOPO_PATH:
        return ALIGN_UP(sizeof(struct path_table), PAGE);
    case TOPO_PORTS:
        return ALIGN_UP(sizeof(struct port_table), PAGE);
    case TOPO_STORE_IP:
        return l.ledger;
    case TOPO_STORE_TCP:
        return l.tcp;
    case TOPO_STORE_UDP:
        return l.udp;
    case TOPO_STORE_MONO:
        return l.tcp + l.udp + l.ledger;
    case TOPO_NICMAP:
        return ALIGN_UP(nicmap_bytes(s->conf.n_frames[PART_RX]), PAGE);
    default:
        return ALIGN_UP(sizeof(struct stats), PAGE);
    }
}

static int
create_region(struct sup *s, unsigned region)
{
    char name[64];
    if (s->region[region].size != 0)
        return 0; /* another domain has it too */
    snprintf(name, sizeof name, "bulkhead:%s", topo_region_name[region]);
    return region_create(&s->region[region], name, region_bytes(s, region));
}

static int
create_link(struct sup *s, struct sup_link *l, const struct topo_link *t)
{
    l->present = true;
    link_sizes_for(&l->sizes, t->kind, &s->frames);
    for (unsigned side = LINK_A; side <= LINK_B; side++) {
        char name[64];
        snprintf(name, sizeof name, "bulkhead:%s-%s.%s", domain_name(t->side[LINK_A]),
                 domain_name(t->side[LINK_B]), domain_name(t->side[side]));
        l->bytes[side] = link_half_bytes(t->kind, side, &l->sizes);
        int e = region_create(&l->half[side], name, l->bytes[side]);
        if (e == 0)
            e = bell_pipe(l->bell[side]);
        if (e != 0)
            return e;
    }
    return 0;
}

int
sup_topology_create(struct sup *s, char *err, size_t err_len)
{
    int e = 0;
    frames_layout(&s->frames, s->conf.n_frames);
    for (unsigned g = 0; e == 0 && g < topo_n_grants; g++)
        if (sup_present(s, topo_grants[g].dom))
            e = create_region(s, topo_grants[g].region);
    for (unsigned i = 0; e == 0 && i < TOPO_LINKS; i++)
        if (sup_present(s, topo_links[i].side[LINK_A]))
            e = create_link(s, &s->link[i], &topo_links[i]);
    for (unsigned d = 0; e == 0 && d < DOM_COUNT; d++) {
        const struct region *r = &s->region[TOPO_STATS_NIC + d];
        if (!sup_present(s, d))
            continue;
        s->dom[d].stats = region_map(r->fd_ro, r->size, false, NULL);
        if (s->dom[d].stats == NULL)
            e = -errno;
    }
    if (e == 0)
        return 0;
    snprintf(err, err_len, "cannot make the shared memory: %s%s", strerror(-e),
             e == -ENOMEM ? " (fewer frames or sessions need less; see bulkhead.conf(5))" : "");
    return EXIT_OTHER;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void
sup_topology_close(struct sup *s)
{
    for (unsigned d = 0; d < DOM_COUNT; d++)
        if (s->dom[d].stats != NULL) {
            munmap((void *)(uintptr_t)s->dom[d].stats, s->region[TOPO_STATS_NIC + d].size);
            s->dom[d].stats = NULL;
        }
    for (unsigned r = 0; r < TOPO_REGIONS; r++)
        if (s->region[r].size != 0)
            region_close(&s->region[r]);
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++) {
            if (s->link[i].half[side].size != 0)
                region_close(&s->link[i].half[side]);
            close_fd(&s->link[i].bell[side][0]);
            close_fd(&s->link[i].bell[side][1]);
        }
}

/* ---- what a domain is told ---- */

static int32_t
spin_for(const struct sup *s)
{
    if (s->conf.spin_us >= 0)
        return s->conf.spin_us;
    /* A domain that waits gives way at every turn (domain.c), so a little of it pays also where
     * neighbours share a processor; more only where each has one of its own. */
    return sup_place_enough(s) ? 50 : 20;
}

static void
fill_config(const struct sup_dom *d, struct ctl_config *c)
{
    const struct sup *s = d->sup;
    *c = (struct ctl_config){
        .domain = d->id,
        .restart = d->restarts,
        .xsk_ring = s->conf.xsk_ring,
        .prefix = s->conf.prefix,
        .addr = s->conf.addr,
        .gateway = s->conf.gateway,
        .mtu = (uint16_t)min_u32(s->nif.mtu, UINT16_MAX),
        .driver = s->conf.driver,
        .csum_partial_ok = !s->conf.checksum_strict && s->nif.is_veth,
        .tcp_sessions = s->conf.tcp_sessions,
        .udp_sessions = s->conf.udp_sessions,
        .half_open = s->conf.half_open,
        .syn_cookies = s->conf.syn_cookies,
        .orphans = s->conf.orphans,
        .ecn = s->conf.ecn,
        .pacing = s->conf.pacing,
        .sndbuf = s->conf.sndbuf,
        .rcvbuf = s->conf.rcvbuf,
        .buffer_max = s->conf.buffer_max,
        .congestion = s->conf.congestion,
        .probes = s->conf.probes,
        .probe_interval_ms = s->conf.probe_interval_ms,
        .spin_us = (uint32_t)spin_for(s),
        .cpu = sup_place_first(s, d->id),
        .uid = s->conf.uid_base + 1 + d->id,
        .gid = s->conf.uid_base + 1 + d->id,
        .seed = s->seed + d->restarts * 0x9e3779b97f4a7c15ull + d->id,
    };
    memcpy(c->n_frames, s->conf.n_frames, sizeof c->n_frames);
    memcpy(c->mac, s->nif.mac, sizeof c->mac);
    memcpy(c->key, d->key, sizeof c->key);
    memcpy(c->instance, s->conf.instance, sizeof c->instance);
}

static int
tell_regions(struct sup_dom *d)
{
    for (unsigned i = 0; i < topo_n_grants; i++) {
        const struct topo_grant *g = &topo_grants[i];
        if (g->dom != d->id || !topo_granted(g, d->sup->conf.driver))
            continue;
        const struct region *r = &d->sup->region[g->region];
        struct ctl_msg m = {
            .type = CTL_REGION,
            .region = {.role = g->role, .writable = g->writable, .size = r->size}};
        int fd = g->writable ? r->fd_rw : r->fd_ro;
        int e = ctl_send(d->ctl, &m, &fd);
        if (e != 0)
            return e;
    }
    return 0;
}

static int
tell_links(struct sup_dom *d)
{
    for (unsigned i = 0; i < TOPO_LINKS; i++) {
        const struct topo_link *t = &topo_links[i];
        struct sup_link *l = &d->sup->link[i];
        for (unsigned side = LINK_A; side <= LINK_B; side++) {
            if (!l->present || t->side[side] != d->id)
                continue;
            unsigned other = LINK_B - side;
            struct ctl_msg m = {.type = CTL_LINK,
                                .link = {.peer = t->side[other],
                                         .kind = t->kind,
                                         .side = side,
                                         .own_size = l->bytes[side],
                                         .peer_size = l->bytes[other]}};
            int fd[] = {l->half[side].fd_rw, l->half[other].fd_ro, l->bell[side][0],
                        l->bell[other][1]};
            int e = ctl_send(d->ctl, &m, fd);
            if (e != 0)
                return e;
        }
    }
    return 0;
}

int
sup_topology_tell(struct sup_dom *d)
{
    struct ctl_msg m = {.type = CTL_CONFIG};
    fill_config(d, &m.config);
    int e = ctl_send(d->ctl, &m, NULL);
    explicit_bzero(&m, sizeof m);
    if (e == 0)
        e = tell_regions(d);
    if (e == 0)
        e = tell_links(d);
    if (e == 0 && (TOPO_XSK & TOPO_BIT(d->id))) {
        m = (struct ctl_msg){.type = CTL_SOCKET};
        e = ctl_send(d->ctl, &m, &d->sup->nif.fd);
    }
    if (e == 0) {
        m = (struct ctl_msg){.type = CTL_START};
        e = ctl_send(d->ctl, &m, NULL);
    }
    return e;
}

void
sup_bell_drain(int fd)
{
    char buf[4096];
    /* A pipe holds 64 KiB; whoever fills it meanwhile must not keep us here. */
    for (unsigned i = 0; i < 32 && read(fd, buf, sizeof buf) > 0; i++)
        ;
}

unsigned
sup_socket_unread(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (unsigned)n : 0;
}
