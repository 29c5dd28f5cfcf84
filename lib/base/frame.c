/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

void
frames_layout(struct frames *f, const uint32_t n[PART_COUNT])
{
    uint32_t at = 0;
    memset(f, 0, sizeof *f);
    for (unsigned p = 0; p < PART_COUNT; p++) {
        f->off[p] = at;
        f->size[p] = n[p] * FRAME_SIZE;
        at += f->size[p];
    }
}

void
pool_init(struct pool *p, const struct frames *f, enum frame_part part, uint32_t *stack,
          uint8_t *holder)
{
    *p = (struct pool){
        .off = f->off[part],
        .n = f->size[part] / FRAME_SIZE,
        .stack = stack,
        .holder = holder,
    };
    for (uint32_t i = p->n; i-- > 0;)
        if (holder[i] == FRAME_FREE)
            stack[p->n_free++] = i;
}

bool
pool_take(struct pool *p, uint8_t holder, uint32_t *addr)
{
    if (p->n_free == 0)
        return false;
    uint32_t i = p->stack[--p->n_free];
    p->holder[i] = holder;
    *addr = p->off + i * FRAME_SIZE;
    return true;
}

bool
pool_move(struct pool *p, uint32_t addr, uint8_t from, uint8_t to)
{
    uint32_t i = (addr - p->off) / FRAME_SIZE;
    if (addr < p->off || i >= p->n || p->holder[i] != from || from == FRAME_FREE) {
        p->refused++;
        return false;
    }
    p->holder[i] = to;
    if (to == FRAME_FREE)
        p->stack[p->n_free++] = i;
    return true;
}

uint32_t
pool_reclaim(struct pool *p, uint8_t from)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->holder[i] == from) {
            p->holder[i] = FRAME_FREE;
            p->stack[p->n_free++] = i;
            n++;
        }
    return n;
}

bool
pool_validate(const struct pool *p)
{
    uint32_t n_free = 0;
    for (uint32_t i = 0; i < p->n; i++)
        n_free += p->holder[i] == FRAME_FREE;
    if (n_free != p->n_free)
        return false;
    for (uint32_t i = 0; i < p->n_free; i++)
        if (p->stack[i] >= p->n || p->holder[p->stack[i]] != FRAME_FREE)
            return false;
    return true;
}
