/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The udp domain.
 */
#include "udp/udp.h"
#include "transport.h"

#define SELF(t) ((struct udp *)(void *)(t))

static unsigned
step(struct transport *t, const struct pkt *in, unsigned n, struct pkt *out, unsigned cap,
     ns_t now)
{
    return udp_step(SELF(t), in, n, out, cap, now);
}

static ns_t
deadline(const struct transport *t)
{
    return udp_deadline((const struct udp *)(const void *)t);
}

static bool
tx_done(struct transport *t, uint32_t addr)
{
    return udp_tx_done(SELF(t), addr);
}

static void
ip_reset(struct transport *t)
{
    udp_ip_reset(SELF(t));
}

static const uint64_t *
ready(const struct transport *t)
{
    return udp_clients_ready((const struct udp *)(const void *)t);
}

int
main(int argc, char **argv)
{
    static struct domain d;
    static const struct transport_kind kind = {
        .ops = &udp_ops,
        .first_client = SERVE_CLIENTS,
        .step = step,
        .deadline = deadline,
        .tx_done = tx_done,
        .ip_reset = ip_reset,
        .ready = ready,
    };
    struct udp_config c;
    domain_setup(&d, argc, argv);
    transport_udp_config(&d.cfg, &c);
    c.ports = d.ports;
    if (d.store_size < udp_store_size(&c, &d.frames))
        domain_fatal("the session store is too small");
    void *soft = domain_alloc(udp_soft_size(&c, &d.frames));
    struct udp *t = udp_init(d.store, soft, &c, &d.frames, d.path, d.stats, domain_now());
    transport_run(&d, &kind, (struct transport *)(void *)t);
}
