/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wheel.h: a hierarchical timing wheel (Varghese and Lauck, 1987): four levels of 64 slots,
 * one tick is 2^20 ns (about a millisecond). Nodes are numbered and lie in the caller's
 * structs; the wheel holds no memory of its own. Pure.
 */
#ifndef TCP_WHEEL_H
#define TCP_WHEEL_H

#include "base/base.h"

#define WHEEL_TICK_BITS 20u
#define WHEEL_LEVELS 4u
#define WHEEL_SLOTS 64u
#define WHEEL_NONE UINT32_MAX

struct wheel_node {
    uint64_t tick;       /* when it is due; 0: not in the wheel */
    uint32_t next, prev; /* node numbers */
    uint16_t slot;       /* level * WHEEL_SLOTS + slot */
};

typedef struct wheel_node *wheel_node_of(void *ctx, uint32_t number);

struct wheel {
    uint64_t tick; /* all before it has fired */
    uint64_t busy[WHEEL_LEVELS];
    uint32_t head[WHEEL_LEVELS * WHEEL_SLOTS];
    wheel_node_of *node_of;
    void *ctx;
};

void wheel_init(struct wheel *w, wheel_node_of *node_of, void *ctx, ns_t now);
/* Insert a node that is not in; at: ns, rounded up to a tick, never the past. */
void wheel_insert(struct wheel *w, uint32_t number, ns_t at);
void wheel_remove(struct wheel *w, uint32_t number);
/* Take out a node that is due at now; WHEEL_NONE: none. */
uint32_t wheel_take(struct wheel *w, ns_t now);
/* No node is due before this; NS_NEVER: the wheel is empty. */
ns_t wheel_deadline(const struct wheel *w);

#endif
