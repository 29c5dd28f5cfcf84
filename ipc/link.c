/* SPDX-License-Identifier: BSD-2-Clause */
#include "link.h"

#include "base/frame.h"

#define PAGE 4096u
#define UP_CAP_MAX 1024u

static uint32_t
pow2_at_least(uint32_t n)
{
    uint32_t p = 2;
    while (p < n)
        p *= 2;
    return p;
}

void
link_sizes_for(struct link_sizes *s, enum link_kind kind, const struct frames *f)
{
    uint32_t rx = f->size[PART_RX] / FRAME_SIZE;
    uint32_t tx = 0;
    for (unsigned p = PART_IPTX; p <= PART_UDPTX; p++)
        tx += f->size[p] / FRAME_SIZE;
    uint32_t all_tx = pow2_at_least(tx);
    *s = (struct link_sizes){0};
    if (kind == LINK_NIC) {
        s->cap[LINK_A][0] = pow2_at_least(rx); /* rx */
        s->cap[LINK_A][1] = all_tx;            /* done */
        s->cap[LINK_B][0] = all_tx;            /* tx */
        s->cap[LINK_B][1] = pow2_at_least(rx); /* fill */
    } else {
        s->cap[LINK_A][0] = pow2_at_least(min_u32(UP_CAP_MAX, rx / 4)); /* up */
        s->cap[LINK_A][1] = all_tx;                                     /* done */
        s->cap[LINK_B][0] = all_tx;                                     /* down */
    }
}

static size_t
slot_bytes(enum link_kind kind, unsigned ring)
{
    return kind == LINK_UP && ring == 0 ? sizeof(struct pkt) : sizeof(struct fdesc);
}

/* Offset of a ring's slots in its producer's half; ring LINK_RINGS: the end. */
static size_t
slots_at(enum link_kind kind, enum link_side side, const struct link_sizes *s, unsigned ring)
{
    size_t at = ALIGN_UP(sizeof(struct link_half), (size_t)CACHE_LINE);
    for (unsigned r = 0; r < ring; r++)
        at = ALIGN_UP(at + s->cap[side][r] * slot_bytes(kind, r), (size_t)CACHE_LINE);
    return at;
}

size_t
link_half_bytes(enum link_kind kind, enum link_side side, const struct link_sizes *s)
{
    return ALIGN_UP(slots_at(kind, side, s, LINK_RINGS), (size_t)PAGE);
}

void
link_half_clear(void *own, enum link_kind kind, enum link_side side, const struct link_sizes *s)
{
    (void)kind;
    (void)side;
    (void)s;
    memset(own, 0, sizeof(struct link_half));
    atomic_thread_fence(memory_order_seq_cst);
}

void
link_init(struct link *l, enum link_kind kind, enum link_side side, const struct link_sizes *s,
          void *own, const void *peer, int fd_sleep, int fd_ring)
{
    enum link_side other = side == LINK_A ? LINK_B : LINK_A;
    struct link_half *mine = own;
    /* Read-only in our address space; the ring types keep us from writing it. */
    const struct link_half *theirs = peer;
    *l = (struct link){.up = true};
    for (unsigned r = 0; r < LINK_RINGS; r++) {
        if (s->cap[side][r] != 0) {
            ring_tx_init(&l->tx[r], &mine->produce[r].tail, &theirs->consume[r].head,
                         s->cap[side][r]);
            l->tx_slots[r] = (uint8_t *)own + slots_at(kind, side, s, r);
        }
        if (s->cap[other][r] != 0) {
            ring_rx_init(&l->rx[r], &theirs->produce[r].tail, &mine->consume[r].head,
                         s->cap[other][r]);
            l->rx_slots[r] = (const uint8_t *)peer + slots_at(kind, other, s, r);
        }
    }
    bell_sleeper_init(&l->sleeper, &mine->want, fd_sleep);
    bell_ringer_init(&l->ringer, &theirs->want, fd_ring);
}

bool
link_submit(struct link *l)
{
    bool published = false;
    for (unsigned r = 0; r < LINK_RINGS; r++)
        if (l->tx[r].my_tail != l->tx[r].submitted) {
            ring_submit(&l->tx[r]);
            published = true;
        }
    if (!published || !bell_due(&l->ringer))
        return false;
    bell_ring(&l->ringer);
    return true;
}

void
link_release(struct link *l)
{
    for (unsigned r = 0; r < LINK_RINGS; r++)
        if (l->rx[r].cap != 0)
            ring_release(&l->rx[r]);
}

bool
link_poisoned(const struct link *l)
{
    for (unsigned r = 0; r < LINK_RINGS; r++)
        if (l->tx[r].poisoned || l->rx[r].poisoned)
            return true;
    return false;
}

bool
link_arm(struct link *l)
{
    bool poisoned = link_poisoned(l);
    bool work = false;
    bell_arm(&l->sleeper);
    for (unsigned r = 0; r < LINK_RINGS && !work; r++)
        work = l->rx[r].cap != 0 && ring_avail(&l->rx[r], 1) != 0;
    if (!poisoned && link_poisoned(l)) /* to be reported before going to sleep */
        work = true;
    if (work)
        bell_disarm(&l->sleeper);
    return work;
}
