/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl_samples.h: one valid control message of each type, for tests to spoil.
 */
#ifndef TESTS_CTL_SAMPLES_H
#define TESTS_CTL_SAMPLES_H

#include <netinet/in.h>

#include "ipc/ctl.h"
#include "ipc/link.h"

static const struct arena_geometry sample_geometry = {
    .n_slots = 16, .n_tx_pages = 32, .n_rx_pages = 32, .n_req = 64, .n_evt = 64};

static inline void
ctl_sample_sessions(struct ctl_msg *m)
{
    m->sessions.n = CTL_INFO_MAX;
    m->sessions.more = 1;
    m->sessions.next = 17;
    for (uint32_t i = 0; i < CTL_INFO_MAX; i++)
        m->sessions.s[i] = (struct sess_info){.sess = i,
                                              .client = i == 3 ? SESS_NONE : i,
                                              .proto = i % 2 ? IPPROTO_TCP : IPPROTO_UDP,
                                              .state = (uint8_t)(i % CTL_STATE_MAX)};
}

/* Valid but for magic and version, which ctl_send fills in. */
static inline struct ctl_msg
ctl_sample(unsigned type)
{
    struct ctl_msg m;
    memset(&m, 0, sizeof m); /* padding too: samples are compared by bytes */
    m.type = (uint16_t)type;
    switch (type) {
    case CTL_CONFIG:
        m.config.domain = DOM_UDP;
        m.config.xsk_ring = 256;
        for (unsigned p = 0; p < PART_COUNT; p++)
            m.config.n_frames[p] = 512 + p;
        m.config.prefix = 24;
        m.config.cpu = -1;
        memcpy(m.config.instance, "default", 8);
        break;
    case CTL_REGION:
        m.region.role = REGION_FRAMES + PART_UP;
        m.region.writable = 1;
        m.region.size = 4096;
        break;
    case CTL_LINK:
        m.link.peer = DOM_IP;
        m.link.kind = LINK_UP;
        m.link.side = LINK_B;
        m.link.own_size = 4096;
        m.link.peer_size = 8192;
        break;
    case CTL_PEER_UP:
    case CTL_PEER_DOWN:
    case CTL_ACK:
        m.peer = DOM_MONO;
        break;
    case CTL_CLIENT_ADD:
    case CTL_WELCOME:
    case CTL_CLIENT_LIMITS:
        m.client.resume = 1;
        m.client.g = sample_geometry;
        m.client.limits.sessions = 100;
        m.client.limits.account = ACCOUNTS_MAX - 1;
        m.client.limits.rules.n_ports = ACCOUNT_RANGES;
        m.client.limits.rules.n_peers = ACCOUNT_PEERS;
        m.client.limits.rules.peer[1].bits = 128;
        m.client.id = CLIENTS_MAX - 1;
        break;
    case CTL_CLIENT_GONE:
    case CTL_CLIENT_FREE:
        m.client.id = CLIENTS_MAX - 1;
        break;
    case CTL_SESSIONS:
        m.from = 4711;
        break;
    case CTL_HELLO:
        m.hello.layout = SESSION_LAYOUT_VERSION;
        m.hello.proto = IPPROTO_UDP;
        m.hello.g = sample_geometry;
        memcpy(m.hello.program, "sample", 7);
        break;
    case CTL_POISONED:
        m.text.arg = CTL_ARG_PEER + DOM_NIC;
        memcpy(m.text.text, "tail of ring 1", 15);
        break;
    case CTL_NOTICE:
        m.text.arg = NOTICE_ADDRESS_CONFLICT;
        memcpy(m.text.text, "02:00:00:00:00:01", 18);
        break;
    case CTL_DENIED:
        m.text.arg = DENIED_RATE;
        memcpy(m.text.text, "no memory", 10);
        break;
    case CTL_DENIAL:
        m.denial.account = ACCOUNTS_MAX - 1;
        m.denial.client = CLIENTS_MAX - 1;
        m.denial.rule = RULE_PEERS;
        m.denial.proto = IPPROTO_TCP;
        break;
    case CTL_STANDINS:
    case CTL_STANDINS_OVER:
        m.standins.client = CLIENTS_MAX - 1;
        m.standins.n = CTL_STANDINS_MAX;
        for (unsigned i = 0; i < CTL_STANDINS_MAX; i++)
            m.standins.number[i] = UINT32_MAX - i;
        break;
    case CTL_STANDIN:
        m.standins.client = CLIENTS_MAX - 1;
        m.standins.n = 1;
        m.standins.number[0] = UINT32_MAX;
        break;
    case CTL_SESSION_LIST:
        ctl_sample_sessions(&m);
        break;
    default:
        break;
    }
    return m;
}

/* As it stands in a datagram. */
static inline struct ctl_msg
ctl_sample_wire(unsigned type)
{
    struct ctl_msg m = ctl_sample(type);
    m.magic = CTL_MAGIC;
    m.version = CTL_VERSION;
    return m;
}

#endif
