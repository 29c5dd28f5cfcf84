/* SPDX-License-Identifier: BSD-2-Clause */
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
