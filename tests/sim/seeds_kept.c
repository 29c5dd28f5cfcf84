/* SPDX-License-Identifier: BSD-2-Clause
 *
 * seeds_kept.c: seeds whose run of test_sim_transfer.c failed once, with a word why; they are
 * run every time. What a seed means follows from seeds.c and load_flow.c: who changes what is
 * drawn there makes other runs of these, so a bug also gets a test of its own that stays.
 */
#include "seeds.h"

const uint64_t seeds_kept[] = {
    940,  /* stood still: a keepalive timer hid the retransmission timer */
    987,  /* the same, and the age of what a repair uncovered was taken for a round trip */
    2016, /* the latter, with pacing: a segment every half minute, for hours */
    525,  /* an answer to a duplicate was taken for a round trip of 100 s */
    423,  /* the same at 30 % loss: not over in four hours */
    1180, /* no error: a cookie cannot tell an ACK that overtakes the handshake's: a RST */
    1701, /* no error: a black hole of 1024 bytes takes eight timeouts to be suspected */
    4903, /* no error: two corrupted fragments with the checksum of the right ones */
};
const unsigned seeds_n_kept = ARRAY_LEN(seeds_kept);
