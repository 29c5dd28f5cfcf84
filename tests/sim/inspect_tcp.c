/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "stack.h"
#include "tcp/priv.h"

uint32_t
inspect_tcp_frames(const struct tcp *t)
{
    return t->pool.n - t->pool.n_free;
}

const char *
inspect_tcp_client(struct tcp *t, uint32_t id)
{
    const struct client *c = clients_get(t->clients, id);
    if (c == NULL)
        return "tcp does not know the client";
    if (c->n_sessions != 0)
        return "a client is still charged for a TCP session";
    if (c->n_slots_free != c->v.g.n_slots)
        return "a slot of the stream arena is lost";
    if (c->pages.n_free != c->pages.n)
        return "a page of the stream arena is lost";
    if (t->n_free != t->cfg.n_sessions)
        return "the number of a session is lost";
    if (t->n_orphans != 0 || t->n_half_open != 0)
        return "orphans or half-open sessions are miscounted";
    return NULL;
}

/* What keeps each session from going on, for whoever looks into a failure. */
void
inspect_tcp_tell(const struct tcp *t, ns_t start)
{
    for (uint32_t i = 0; i < t->store->high; i++) {
        const struct tcb *c = &t->tcb[i];
        if (!c->used || c->h.state < TCPS_SYN_SENT)
            continue;
        fprintf(stderr,
                "# session %u: una %llu nxt %llu max %llu wnd %u, rcv %llu adv %llu, mss %u, "
                "cwnd %u ssthresh %u, sacked %u lost %u dup %u, ca %u backoff %u probing %d "
                "working %d, bits %#x\n#  timers",
                i, (unsigned long long)c->h.snd_una, (unsigned long long)c->snd_nxt,
                (unsigned long long)c->h.snd_max, c->h.snd_wnd,
                (unsigned long long)c->h.rcv_nxt, (unsigned long long)c->h.rcv_adv, c->h.mss,
                c->cc.cwnd, c->cc.ssthresh, c->sacked, c->lost, c->dup_bytes, c->ca, c->backoff,
                c->probing, c->working, c->h.bits);
        for (unsigned k = 0; k < T_COUNT; k++)
            fprintf(stderr, " %.6f",
                    c->timer[k] == NS_NEVER ? -1.0 : (double)(c->timer[k] - start) / 1e9);
        fprintf(stderr, ", pace %.6f\n", (double)(int64_t)(c->pace_next - start) / 1e9);
    }
}
