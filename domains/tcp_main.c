/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tcp domain.
 */
#include "tcp/tcp.h"
#include "transport.h"

#define SELF(t) ((struct tcp *)(void *)(t))

static unsigned
step(struct transport *t, const struct pkt *in, unsigned n, struct pkt *out, unsigned cap,
     ns_t now)
{
    return tcp_step(SELF(t), in, n, out, cap, now);
}

static ns_t
deadline(const struct transport *t)
{
    return tcp_deadline((const struct tcp *)(const void *)t);
}

static bool
tx_done(struct transport *t, uint32_t addr)
{
    return tcp_tx_done(SELF(t), addr);
}

static void
ip_reset(struct transport *t)
{
    tcp_ip_reset(SELF(t));
}

static const uint64_t *
ready(const struct transport *t)
{
    return tcp_clients_ready((const struct tcp *)(const void *)t);
}

int
main(int argc, char **argv)
{
    static struct domain d;
    static const struct transport_kind kind = {
        .ops = &tcp_ops,
        .first_client = 0,
        .step = step,
        .deadline = deadline,
        .tx_done = tx_done,
        .ip_reset = ip_reset,
        .ready = ready,
    };
    struct tcp_config c;
    domain_setup(&d, argc, argv);
    transport_tcp_config(&d.cfg, &c);
    if (d.store_size < tcp_store_size(&c, &d.frames))
        domain_fatal("the session store is too small");
    void *soft = domain_alloc(tcp_soft_size(&c, &d.frames));
    struct tcp *t = tcp_init(d.store, soft, &c, &d.frames, d.path, d.stats, domain_now());
    transport_run(&d, &kind, (struct transport *)(void *)t);
}
