/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load_stall.c: a connection that stands still while both its programs want to go on is noticed
 * at once, and not only when it never ends.
 */
#include "load.h"

/* Anything that one end can see of the other changes this. */
static uint64_t
mark_of(const struct flow *f)
{
    uint64_t mark = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct end *e = &f->e[i];
        mark += (e->sent + e->got) * 256 + (uint64_t)e->tries * 64 + (uint64_t)e->state * 4 +
                (uint64_t)e->eof * 2 + e->shut;
    }
    return mark;
}

/* It went away with a RST, which nobody repeats. */
static bool
rude(const struct end *e)
{
    return e->state == END_OVER && (e->plan != PLAN_ORDERLY || e->err != 0);
}

static bool
may_stand(const struct flow *f)
{
    const struct end *o = &f->e[f->opener];
    bool over = f->e[0].state == END_OVER && f->e[1].state == END_OVER;
    bool pauses = f->e[0].paused_until != 0 || f->e[1].paused_until != 0;
    /* One that nobody accepted is the stack's alone. */
    return over || pauses || rude(&f->e[0]) || rude(&f->e[1]) || o->state == END_NONE ||
           o->state == END_OVER;
}

void
stall_check(struct load *l)
{
    for (uint32_t i = 0; i < l->cfg.flows; i++) {
        const struct flow *f = &l->flow[i];
        uint64_t mark = mark_of(f);
        if (may_stand(f) || mark != l->seen[i].mark) {
            l->seen[i].mark = mark;
            l->seen[i].since = l->w->now;
            continue;
        }
        ns_t stands = l->w->now - l->seen[i].since;
        l->worst_stall = max_u64(l->worst_stall, stands);
        if (l->cfg.stall != 0 && stands > l->cfg.stall)
            world_fail(l->w, "flow %u stands still for %.3f s", i, (double)stands / 1e9);
    }
}
