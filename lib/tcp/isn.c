/* SPDX-License-Identifier: BSD-2-Clause
 *
 * isn.c: numbers that a stranger must not guess.
 */
#include "base/siphash.h"
#include "priv.h"

static uint64_t
tuple_hash(const uint8_t key[16], const struct ipaddr *laddr, uint16_t lport,
           const struct ipaddr *raddr, uint16_t rport)
{
    const uint64_t w[5] = {laddr->q[0], laddr->q[1], raddr->q[0], raddr->q[1],
                           (uint64_t)lport << 16 | rport};
    return siphash_words(key, w, ARRAY_LEN(w));
}

static uint64_t
hash_of(const struct tcp *t, const struct tcb *c)
{
    return tuple_hash(t->cfg.key, &c->laddr, c->lport, &c->raddr, c->rport);
}

/* RFC 6528 section 3: ISN = M + F(tuple, key), M a clock of one step each 4 us. */
uint32_t
isn_make(const struct tcp *t, const struct tcb *c)
{
    if (t->cfg.isn_fixed != 0)
        return t->cfg.isn_fixed;
    return (uint32_t)(t->now / (4 * NS_US)) + (uint32_t)hash_of(t, c);
}

/* RFC 7323 section 5.4: a random offset for each connection, the same for the same tuple, so
 * that time stamps stay monotonic over its incarnations. */
uint32_t
ts_offset_make(const struct tcp *t, const struct tcb *c)
{
    return (uint32_t)(hash_of(t, c) >> 32);
}

uint32_t
ts_offset_for(const struct tcp *t, const struct seg *s)
{
    uint64_t h = tuple_hash(t->cfg.key, &s->dst, s->h.dport, &s->src, s->h.sport);
    return (uint32_t)(h >> 32);
}
