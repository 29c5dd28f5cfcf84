/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ticks_ip.c: the ip domain's turn, the very code, in a process that is not the domain's.
 */
#define main ip_domain_main
int ip_domain_main(int argc, char **argv);
/* NOLINTNEXTLINE(bugprone-suspicious-include): its turn, and not a copy of it */
#include "domains/ip_main.c"
#undef main

#include <stdlib.h>

#include "bench/ticks.h"

static void *
need(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        abort();
    return p;
}

void
ticks_ip_init(struct domain *d, struct ip *ip, const struct frames *f, struct stats *st)
{
    static struct ip_domain s;
    uint32_t n_all = frames_bytes(f) / FRAME_SIZE;
    d->frames = *f;
    d->stats = st;
    d->ctl_fd = -1;
    d->self = &s;
    s.d = d;
    s.ip = ip;
    s.n_rx = f->size[PART_RX] / FRAME_SIZE;
    s.nic = &d->peer[0];
    s.up[IP_UP_TCP] =
        (struct upper){.peer = &d->peer[1], .port = IP_UP_TCP, .part = PART_TCPTX};
    s.up[IP_UP_UDP] =
        (struct upper){.peer = &d->peer[2], .port = IP_UP_UDP, .part = PART_UDPTX};
    s.rx_holder = need(s.n_rx, 1);
    memset(s.rx_holder, HOLD_NIC, s.n_rx);
    s.at_nic = need(n_all, 1);
    s.out = (struct ip_out){
        .nic = s.nic_out,
        .cap_nic = NIC_BATCH,
        .up = {s.up_out[IP_UP_TCP], s.up_out[IP_UP_UDP]},
        .freed = need(n_all, sizeof(uint32_t)),
        .done = {need(n_all, sizeof(uint32_t)), need(n_all, sizeof(uint32_t))},
    };
    s.told = ip_state(ip);
}

enum turn
ticks_ip_turn(struct domain *d, ns_t now)
{
    struct ip_domain *s = d->self;
    s->told = ip_state(s->ip); /* there is no supervisor to be told */
    return ip_turn(d, now);
}
