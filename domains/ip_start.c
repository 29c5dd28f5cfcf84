/* SPDX-License-Identifier: BSD-2-Clause */
#include "ip_start.h"

void *
domain_need(size_t bytes)
{
    return memset(domain_alloc(bytes), 0, bytes); /* so that it is there when it is needed */
}

struct ip *
ip_start(struct domain *d)
{
    struct ip_config c = {
        .addr = d->cfg.addr,
        .prefix = d->cfg.prefix,
        .gateway = d->cfg.gateway,
        .mtu = d->cfg.mtu,
        .segments = d->cfg.driver == DRIVER_PACKET,
        .seed = d->cfg.seed,
        /* An address that was ours a moment ago needs no probe. */
        .probes = d->cfg.restart != 0 ? 0 : d->cfg.probes,
        .probe_interval = d->cfg.probe_interval_ms * NS_MS,
        .ports = d->ports,
    };
    memcpy(c.mac, d->cfg.mac, sizeof c.mac);
    return ip_init(domain_need(ip_size(&d->frames)), &c, &d->frames, d->path, d->stats,
                   domain_now());
}

void
ip_tell_state(struct domain *d, const struct ip *ip, enum ip_state *told)
{
    enum ip_state now = ip_state(ip);
    if (now == *told)
        return;
    *told = now;
    if (now == IP_READY) {
        domain_notice(d, NOTICE_ADDRESS_READY, "address is ours");
    } else if (now == IP_CONFLICT) {
        const uint8_t *m = ip_conflict_mac(ip);
        domain_notice(d, NOTICE_ADDRESS_CONFLICT, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1],
                      m[2], m[3], m[4], m[5]);
    }
}

bool
ip_rx_take(struct domain *d, uint8_t *rx_holder, const struct fdesc *f)
{
    uint32_t frame = f->addr / FRAME_SIZE;
    if (frames_ro(&d->frames, PART_BIT(PART_RX), f->addr, f->len) == NULL ||
        rx_holder[frame] != HOLD_NIC) {
        stat_inc(d->stats, STAT_refused_frames);
        return false;
    }
    rx_holder[frame] = HOLD_IP;
    return true;
}
