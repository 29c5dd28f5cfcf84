/* SPDX-License-Identifier: BSD-2-Clause
 *
 * seeds_kept.c: seeds whose run of test_sim_transfer.c failed once, with a word why; they are
 * run every time. What a seed means follows from seeds.c and load_flow.c: who changes what is
 * drawn there makes other runs of these, so a bug also gets a test of its own that stays.
 */
#include "seeds.h"

const uint64_t seeds_kept[] = {
    0,
};
const unsigned seeds_n_kept = ARRAY_LEN(seeds_kept);
