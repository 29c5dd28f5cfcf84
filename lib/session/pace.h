/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pace.h: how much of its domain's time a client may take with what it asks for. Requests cost
 * the domain time that nobody's packets get, whether they make sense or not; and while it is
 * busy with them its neighbours wait for a processor. So a client has a small share of the
 * domain's time for asking, saved up for a while, and more for every event that the network
 * caused, since who has much traffic has much to ask for. When it has used that up its requests
 * stay in their ring, which is bounded and its own, until there is enough for a batch again.
 * Sending itself is shared in another way (turns.h). Pure.
 */
#ifndef SESSION_PACE_H
#define SESSION_PACE_H

#include "base/base.h"

#define PACE_SHARE 20 /* one part in so many of the time */
#define PACE_SAVED (int64_t)(NS_MS / 2)
#define PACE_BACK (int64_t)(50 * NS_US) /* who was held is served again with so much */
#define PACE_EVENT (int64_t)(3 * NS_US) /* for an event that it was told */

/* ns, as beside a client that writes all the time into what is read: most of it goes into cache
 * lines that come from another processor. They are not measured while they are spent: what a
 * preemption takes would be charged to whom it happens to, and nothing about a client's share
 * could be repeated in a test. */
#define PACE_TURN 500u  /* some requests in one turn */
#define PACE_CHEAP 150u /* one that looks something up or moves a cursor */
#define PACE_DEAR 600u  /* one that makes or ends something */
#define PACE_BELL 1000u /* waking the client */
#define PACE_SLOT 20u   /* looking at one of its slots */
#define PACE_STEP 20u   /* at another session, to find out whether it may have what it wants */
#define PACE_STEP_BYTES 160u /* so many are copied in that time, of a session that moves */

struct pace {
    int64_t left; /* ns; below 0: in debt */
    ns_t at;      /* its share was given up to here */
};

/* Its share of the time up to now. */
static inline void
pace_refill(struct pace *p, ns_t now)
{
    if (now <= p->at)
        return;
    uint64_t got = (now - p->at) / PACE_SHARE;
    p->at += got * PACE_SHARE;
    p->left += (int64_t)min_u64((uint64_t)(PACE_SAVED - p->left), got); /* left <= PACE_SAVED */
}

static inline void
pace_charge(struct pace *p, uint32_t cost)
{
    p->left -= cost;
}

/* It was told n events. */
static inline void
pace_earn(struct pace *p, unsigned n)
{
    p->left += (int64_t)n * PACE_EVENT;
    if (p->left > PACE_SAVED)
        p->left = PACE_SAVED;
}

/* When it will have enough to be served again. */
static inline ns_t
pace_back(const struct pace *p)
{
    return p->left >= PACE_BACK ? p->at : p->at + (ns_t)(PACE_BACK - p->left) * PACE_SHARE;
}

#endif
