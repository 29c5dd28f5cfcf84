/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bulk.h: connections from program 0 to program 1 that always have data, to see what the
 * stack makes of a path.
 */
#ifndef SIM_BULK_H
#define SIM_BULK_H

#include "pair.h"

#define BULK_FLOWS 4u

struct bulk {
    struct world *w;
    unsigned flows;
    int fd[BULK_FLOWS][2];
    uint64_t to_send; /* each; UINT64_MAX: without end */
    uint64_t sent[BULK_FLOWS], got[BULK_FLOWS];
};

/* Such a world: `latency` each way, buffers for any window that the tests need. */
struct world_config bulk_world(uint64_t seed, ns_t latency);
/* Connect the flows. */
void bulk_init(struct bulk *b, struct world *w, const struct world_config *c, unsigned flows);
/* Send so many bytes over each; returns the seconds until all were read, which fails the test
 * if it takes longer than `limit`. */
double bulk_transfer(struct bulk *b, uint64_t bytes, ns_t limit);
/* Keep sending for so long. */
void bulk_run(struct bulk *b, ns_t time);
/* Reset what is open, and come to rest. */
void bulk_end(struct bulk *b);

#endif
