/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hystart.c: HyStart++ (RFC 9406 section 4.2). Names in comments are the RFC's.
 */
#include "hystart.h"

static void
take_sample(struct hystart *h, ns_t rtt)
{
    if (rtt == 0)
        return;
    h->cur_min = h->cur_min == 0 ? rtt : min_u64(h->cur_min, rtt);
    if (h->samples < HYSTART_N_RTT_SAMPLE)
        h->samples++;
}

static void
look(struct hystart *h)
{
    if (h->samples < HYSTART_N_RTT_SAMPLE)
        return;
    if (h->conservative) {
        if (h->cur_min >= h->css_baseline)
            return;
        h->conservative = 0; /* the delay was jitter: slow start as before */
        h->css_baseline = 0;
        h->css_rounds = 0;
        return;
    }
    if (h->last_min == 0)
        return;
    ns_t thresh = min_u64(h->last_min / HYSTART_MIN_RTT_DIVISOR, HYSTART_MAX_RTT_THRESH);
    if (h->cur_min < h->last_min + max_u64(thresh, HYSTART_MIN_RTT_THRESH))
        return;
    h->conservative = 1;
    h->css_baseline = h->cur_min;
    h->css_rounds = 0;
}

bool
hystart_ack(struct hystart *h, ns_t rtt, uint64_t una, uint64_t nxt)
{
    take_sample(h, rtt); /* of the round that may end here: it was sent before windowEnd */
    look(h);
    if (una < h->window_end)
        return false;
    h->window_end = nxt;
    h->last_min = h->cur_min;
    h->cur_min = 0;
    h->samples = 0;
    /* The round in whose middle CSS began counts. */
    return h->conservative && ++h->css_rounds >= HYSTART_CSS_ROUNDS;
}

uint32_t
hystart_growth(const struct hystart *h, uint32_t acked)
{
    return h->conservative ? acked / HYSTART_CSS_GROWTH_DIVISOR : acked;
}
