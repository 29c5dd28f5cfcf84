/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack.h"
#include "udp/udp_int.h"

uint32_t
inspect_udp_frames(const struct udp *u)
{
    return u->pool.n - u->pool.n_free;
}

const char *
inspect_udp_client(struct udp *u, uint32_t id)
{
    const struct client *c = clients_get(&u->clients, id);
    if (c == NULL)
        return "udp does not know the client";
    if (c->n_sessions != 0)
        return "a client is still charged for a UDP session";
    if (c->n_slots_free != c->v.g.n_slots)
        return "a slot of the datagram arena is lost";
    if (c->pages.n_free != c->pages.n)
        return "a page of the datagram arena is lost";
    return NULL;
}
