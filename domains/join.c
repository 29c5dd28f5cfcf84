/* SPDX-License-Identifier: BSD-2-Clause */
#include "join.h"

#define ROUNDS 4u /* of the transports in one turn; what is left waits for the next */

void
join_init(struct join *j, struct ip *ip, struct tcp *tcp, struct udp *udp, uint32_t *freed,
          uint32_t *done_tcp, uint32_t *done_udp)
{
    memset(j, 0, sizeof *j);
    j->ip = ip;
    j->tcp = tcp;
    j->udp = udp;
    j->batch = BATCH_MAX;
    j->out = (struct ip_out){
        .nic = j->nic,
        .cap_nic = JOIN_NIC,
        .up = {j->up[IP_UP_TCP], j->up[IP_UP_UDP]},
        .cap_up = {ARRAY_LEN(j->up[0]), ARRAY_LEN(j->up[1])},
        .freed = freed,
        .done = {done_tcp, done_udp},
    };
}

void
join_begin(struct join *j)
{
    j->out.n_nic = 0;
    j->out.n_freed = 0;
}

static void
take_done(struct join *j)
{
    for (uint32_t i = 0; i < j->out.n_done[IP_UP_TCP]; i++)
        (void)tcp_tx_done(j->tcp, j->out.done[IP_UP_TCP][i]);
    for (uint32_t i = 0; i < j->out.n_done[IP_UP_UDP]; i++)
        (void)udp_tx_done(j->udp, j->out.done[IP_UP_UDP][i]);
    j->out.n_done[IP_UP_TCP] = j->out.n_done[IP_UP_UDP] = 0;
}

/* One transport: what came up for it, then what it sends: at most what ip has room for, and
 * each may need a frame besides, to ask for its neighbour. */
static bool
transport_round(struct join *j, enum ip_up u, ns_t now)
{
    struct pkt out[JOIN_OUT];
    struct pkt *in = j->out.up[u];
    unsigned n_in = j->out.n_up[u];
    unsigned cap =
        ip_waits_nic(j->ip) ? 0 : min_u32(j->batch, (j->out.cap_nic - j->out.n_nic) / 2);
    unsigned n = u == IP_UP_TCP ? tcp_step(j->tcp, in, n_in, out, cap, now)
                                : udp_step(j->udp, in, n_in, out, cap, now);
    for (unsigned i = 0; i < n_in; i++)
        if (in[i].kind == PKT_DATA)
            ip_up_done(j->ip, in[i].addr, &j->out);
    j->out.n_up[u] = 0;
    /* To ourselves it comes back up in the same call: as many as fit, the rest next round. */
    for (unsigned taken = 0; taken < n;) {
        unsigned k = ip_output(j->ip, u, out + taken, n - taken, &j->out, now);
        if (k == 0) { /* cannot be: there is room for `cap`. Lost as on the wire. */
            while (taken < n)
                j->out.done[u][j->out.n_done[u]++] = out[taken++].addr;
        }
        taken += k;
    }
    take_done(j);
    return n_in != 0 || n != 0;
}

bool
join_turn(struct join *j, const struct fdesc *rx, unsigned n, ns_t now)
{
    bool busy = n != 0;
    unsigned taken = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* What ip kept back goes first, also if nothing came: behind it is the room. */
        if (taken < n || round == 0)
            taken += ip_input(j->ip, rx + taken, n - taken, &j->out, now);
        bool any = transport_round(j, IP_UP_TCP, now);
        any |= transport_round(j, IP_UP_UDP, now);
        busy |= any;
        if (taken >= n && (!any || (j->out.n_up[0] == 0 && j->out.n_up[1] == 0)))
            break;
    }
    for (; taken < n; taken++) /* no room at all: dropped like a full queue */
        j->out.freed[j->out.n_freed++] = rx[taken].addr;
    if (ip_deadline(j->ip) <= now)
        ip_timer(j->ip, &j->out, now);
    take_done(j);
    return busy;
}

bool
join_tx_done(struct join *j, uint32_t addr)
{
    bool ok = ip_tx_done(j->ip, addr, &j->out);
    take_done(j);
    return ok;
}

ns_t
join_deadline(const struct join *j)
{
    ns_t at = min_u64(ip_deadline(j->ip), min_u64(tcp_deadline(j->tcp), udp_deadline(j->udp)));
    return j->out.n_up[0] != 0 || j->out.n_up[1] != 0 ? 0 : at;
}
