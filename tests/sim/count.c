/* SPDX-License-Identifier: BSD-2-Clause
 *
 * count.c: a transfer between two stacks in virtual time, to have its instructions counted
 * (valgrind --tool=callgrind; bench/eval_instructions.py). Nothing is checked on the way that a
 * running stack does not check.
 *
 *	count BYTES		prints how many segments each end received
 */
#include <stdio.h>
#include <stdlib.h>

#include "bulk.h"

#define LATENCY (20 * NS_US)

int
main(int argc, char **argv)
{
    static struct world w;
    struct bulk b;
    uint64_t bytes = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    if (bytes == 0) {
        fprintf(stderr, "usage: count BYTES\n");
        return 2;
    }
    struct world_config c = bulk_world(1, LATENCY);
    for (unsigned i = 0; i < 2; i++)
        c.stack[i].check_every = UINT32_MAX;
    bulk_init(&b, &w, &c, 1);
    bulk_transfer(&b, bytes, 3600 * NS_S);
    printf("{\"bytes\": %llu, \"data_segments\": %llu, \"acknowledgments\": %llu}\n",
           (unsigned long long)bytes, (unsigned long long)stat_get(&w.s[1].stats, STAT_seg_rx),
           (unsigned long long)stat_get(&w.s[0].stats, STAT_seg_rx));
    return 0;
}
