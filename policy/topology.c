/* SPDX-License-Identifier: BSD-2-Clause */
#include "topology.h"

const char *const topo_region_name[TOPO_REGIONS] = {
    [TOPO_STATS_NIC] = "stats-nic",
    [TOPO_STATS_IP] = "stats-ip",
    [TOPO_STATS_TCP] = "stats-tcp",
    [TOPO_STATS_UDP] = "stats-udp",
    [TOPO_STATS_MONO] = "stats-mono",
    [TOPO_PATH] = "path",
    [TOPO_PORTS] = "ports",
    [TOPO_STORE_IP] = "store-ip",
    [TOPO_STORE_TCP] = "store-tcp",
    [TOPO_STORE_UDP] = "store-udp",
    [TOPO_STORE_MONO] = "store-mono",
    [TOPO_NICMAP] = "nicmap",
    [TOPO_FRAMES + PART_RX] = "rx",
    [TOPO_FRAMES + PART_IPTX] = "iptx",
    [TOPO_FRAMES + PART_TCPTX] = "tcptx",
    [TOPO_FRAMES + PART_UDPTX] = "udptx",
    [TOPO_FRAMES + PART_UP] = "up",
};

#define RO false, TOPO_ANY_DRIVER
#define RW true, TOPO_ANY_DRIVER
#define PACKET_RO false, TOPO_PACKET_ONLY
#define PACKET_RW true, TOPO_PACKET_ONLY
#define FRAMES(part) TOPO_FRAMES + (part), REGION_FRAMES + (part)

/* clang-format off */
const struct topo_grant topo_grants[] = {
    /* With AF_XDP the NIC driver moves descriptors: no packet memory at all. With AF_PACKET the
     * kernel copies to and from what the driver has mapped. */
    {DOM_NIC,  TOPO_STATS_NIC,  REGION_STATS,  RW},
    {DOM_NIC,  TOPO_NICMAP,     REGION_NICMAP, RW},
    {DOM_NIC,  FRAMES(PART_RX),    PACKET_RW},
    {DOM_NIC,  FRAMES(PART_IPTX),  PACKET_RO},
    {DOM_NIC,  FRAMES(PART_TCPTX), PACKET_RO},
    {DOM_NIC,  FRAMES(PART_UDPTX), PACKET_RO},

    /* ip writes the headers in front of what tcp and udp built. */
    {DOM_IP,   TOPO_STATS_IP,   REGION_STATS,  RW},
    {DOM_IP,   TOPO_PATH,       REGION_PATH,   RW},
    {DOM_IP,   TOPO_PORTS,      REGION_PORTS,  RO},
    {DOM_IP,   TOPO_STORE_IP,   REGION_STORE,  RW},
    {DOM_IP,   TOPO_NICMAP,     REGION_NICMAP, RO},
    {DOM_IP,   FRAMES(PART_RX),    RO},
    {DOM_IP,   FRAMES(PART_IPTX),  RW},
    {DOM_IP,   FRAMES(PART_TCPTX), RW},
    {DOM_IP,   FRAMES(PART_UDPTX), RW},
    {DOM_IP,   FRAMES(PART_UP),    RW},

    {DOM_TCP,  TOPO_STATS_TCP,  REGION_STATS,  RW},
    {DOM_TCP,  TOPO_PATH,       REGION_PATH,   RO},
    {DOM_TCP,  TOPO_STORE_TCP,  REGION_STORE,  RW},
    {DOM_TCP,  FRAMES(PART_RX),    RO},
    {DOM_TCP,  FRAMES(PART_TCPTX), RW},
    {DOM_TCP,  FRAMES(PART_UP),    RO},

    {DOM_UDP,  TOPO_STATS_UDP,  REGION_STATS,  RW},
    {DOM_UDP,  TOPO_PATH,       REGION_PATH,   RO},
    {DOM_UDP,  TOPO_PORTS,      REGION_PORTS,  RW},
    {DOM_UDP,  TOPO_STORE_UDP,  REGION_STORE,  RW},
    {DOM_UDP,  FRAMES(PART_RX),    RO},
    {DOM_UDP,  FRAMES(PART_UDPTX), RW},
    {DOM_UDP,  FRAMES(PART_UP),    RO},

    /* One process, everything. */
    {DOM_MONO, TOPO_STATS_MONO, REGION_STATS,  RW},
    {DOM_MONO, TOPO_PATH,       REGION_PATH,   RW},
    {DOM_MONO, TOPO_PORTS,      REGION_PORTS,  RW},
    {DOM_MONO, TOPO_STORE_MONO, REGION_STORE,  RW},
    {DOM_MONO, TOPO_NICMAP,     REGION_NICMAP, RW},
    {DOM_MONO, FRAMES(PART_RX),    RW},
    {DOM_MONO, FRAMES(PART_IPTX),  RW},
    {DOM_MONO, FRAMES(PART_TCPTX), RW},
    {DOM_MONO, FRAMES(PART_UDPTX), RW},
    {DOM_MONO, FRAMES(PART_UP),    RW},
};
/* clang-format on */
const unsigned topo_n_grants = ARRAY_LEN(topo_grants);

const struct topo_link topo_links[TOPO_LINKS] = {
    {LINK_NIC, {DOM_NIC, DOM_IP}},
    {LINK_UP, {DOM_IP, DOM_TCP}},
    {LINK_UP, {DOM_IP, DOM_UDP}},
};
