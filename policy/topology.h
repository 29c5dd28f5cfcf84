/* SPDX-License-Identifier: BSD-2-Clause
 *
 * topology.h: the authority of every domain as plain data. The supervisor hands out exactly
 * what stands here, and bulkheadctl compares it with what the kernel says is mapped.
 */
#ifndef POLICY_TOPOLOGY_H
#define POLICY_TOPOLOGY_H

#include "ipc/ctl.h"
#include "ipc/link.h"

/* Every region that is not half of a link and not a client's. */
enum topo_region {
    TOPO_STATS_NIC,
    TOPO_STATS_IP,
    TOPO_STATS_TCP,
    TOPO_STATS_UDP,
    TOPO_STATS_MONO,
    TOPO_PATH,
    TOPO_PORTS,
    TOPO_STORE_IP,
    TOPO_STORE_TCP,
    TOPO_STORE_UDP,
    TOPO_STORE_MONO,
    TOPO_NICMAP,
    TOPO_FRAMES, /* TOPO_FRAMES + enum frame_part */
    TOPO_REGIONS = TOPO_FRAMES + PART_COUNT
};

/* What the memfd is called, as it shows in /proc/PID/maps: "bulkhead:" and this. */
extern const char *const topo_region_name[TOPO_REGIONS];

#define TOPO_BIT(dom) (1u << (dom))

/* The domains of each composition. */
#define TOPO_FACTORED                                                                          \
    (TOPO_BIT(DOM_NIC) | TOPO_BIT(DOM_IP) | TOPO_BIT(DOM_TCP) | TOPO_BIT(DOM_UDP))
#define TOPO_MONOLITHIC TOPO_BIT(DOM_MONO)

/* Domain `dom` may map `region`; it learns of it as `role`. `driver`: only with that one. */
enum topo_driver { TOPO_ANY_DRIVER, TOPO_PACKET_ONLY };
struct topo_grant {
    enum domain_id dom;
    enum topo_region region;
    enum region_role role;
    bool writable;
    enum topo_driver driver;
};
extern const struct topo_grant topo_grants[];
extern const unsigned topo_n_grants;

static inline bool
topo_granted(const struct topo_grant *g, uint32_t driver)
{
    return g->driver == TOPO_ANY_DRIVER || driver == DRIVER_PACKET;
}

/* Two neighbours. Each writes its own half and reads the other's. */
struct topo_link {
    enum link_kind kind;
    enum domain_id side[2]; /* LINK_A, LINK_B */
};
#define TOPO_LINKS 3u
extern const struct topo_link topo_links[TOPO_LINKS];

/* Holds the socket of the interface. */
#define TOPO_XSK (TOPO_BIT(DOM_NIC) | TOPO_BIT(DOM_MONO))
/* Serves stream clients, datagram clients. */
#define TOPO_STREAMS (TOPO_BIT(DOM_TCP) | TOPO_BIT(DOM_MONO))
#define TOPO_DATAGRAMS (TOPO_BIT(DOM_UDP) | TOPO_BIT(DOM_MONO))

#endif
