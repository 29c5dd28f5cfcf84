/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cc.c: the congestion controls that there are, by number and by name, and what they share.
 */
#include <string.h>

#include "cc.h"

extern const struct cc_ops cc_reno, cc_cubic, cc_vegas;

static const struct cc_ops *const all[CC_ALGS] = {
    [CC_RENO] = &cc_reno, [CC_CUBIC] = &cc_cubic, [CC_VEGAS] = &cc_vegas};

const struct cc_ops *
cc_ops_of(uint32_t alg)
{
    return all[alg < CC_ALGS ? alg : CC_RENO];
}

enum cc_alg
cc_alg_of(const char *name, size_t len)
{
    for (unsigned i = 0; i < CC_ALGS; i++)
        if (strlen(all[i]->name) == len && strncmp(all[i]->name, name, len) == 0)
            return (enum cc_alg)i;
    return CC_ALGS;
}

void
cc_begin(struct cc *cc)
{
    if (cc->ssthresh == 0)
        cc->ssthresh = SSTHRESH_NONE;
    if (cc->cwnd == 0)
        cc->cwnd = cc_initial_window(cc);
}

void
cc_halve(struct cc *cc, uint32_t flight)
{
    cc->ssthresh = max_u32(flight / 2, 2 * cc->mss);
}

void
cc_raise(struct cc *cc, uint32_t cwnd, uint32_t ssthresh, ns_t now)
{
    (void)now;
    cc->cwnd = max_u32(cc->cwnd, cwnd);
    cc->ssthresh = max_u32(cc->ssthresh, ssthresh);
}
