/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ring.h: single-producer, single-consumer descriptor ring across a trust
 * boundary. One implementation, instantiated by descriptor type with RING_DEFINE.
 *
 * `tail` and the slots lie in memory that only the producer can write, `head` in
 * memory that only the consumer can write. Indices run free over 32 bits. Each
 * side keeps private shadows of both indices and of the capacity, and believes
 * the other's index only if it is possible: the distance never exceeds the
 * capacity and the index never goes back. An impossible index poisons the ring:
 * from then on it is empty (or full) for good, and ring_tx_poisoned() and
 * ring_rx_poisoned() tell the caller, who reports the peer. The reader copies descriptors out
 * and works on the copy.
 */
#ifndef IPC_RING_H
#define IPC_RING_H

#include <stdatomic.h>

#include "base/base.h"

typedef _Atomic uint32_t ring_word;

/* After copying out of memory that a peer can change: from here on the compiler must use the
 * copy. Without it the language lets it read the original a second time, after the check. */
#define copied_out() __asm__ volatile("" ::: "memory")

/* The producer's side. Only the producing process calls these. */
struct ring_tx {
    ring_word *tail;       /* shared, ours */
    const ring_word *head; /* shared, the peer's */
    uint32_t cap;
    uint32_t my_tail;   /* what we wrote, submitted or not */
    uint32_t submitted; /* what we published */
    uint32_t seen_head; /* the last believed head */
    bool poisoned;
};

/* The consumer's side. Only the consuming process calls these. */
struct ring_rx {
    const ring_word *tail; /* shared, the peer's */
    ring_word *head;       /* shared, ours */
    uint32_t cap;
    uint32_t my_head;   /* what we took */
    uint32_t released;  /* what we published as taken */
    uint32_t seen_tail; /* the last believed tail */
    bool poisoned;
};

/* Take up a side of a ring whose indices are what shared memory holds now: zero
 * in a new region. cap is a power of two. A side that goes on after a crash
 * believes its own index; the peer's is checked, here or at the first use. */
static inline void
ring_tx_init(struct ring_tx *r, ring_word *tail, const ring_word *head, uint32_t cap)
{
    uint32_t t = atomic_load_explicit(tail, memory_order_relaxed);
    uint32_t h = atomic_load_explicit(head, memory_order_acquire);
    bool poisoned = t - h > cap;
    *r = (struct ring_tx){.tail = tail,
                          .head = head,
                          .cap = cap,
                          .my_tail = t,
                          .submitted = t,
                          .seen_head = poisoned ? t : h, /* never one that cannot be */
                          .poisoned = poisoned};
}

static inline void
ring_rx_init(struct ring_rx *r, const ring_word *tail, ring_word *head, uint32_t cap)
{
    uint32_t h = atomic_load_explicit(head, memory_order_relaxed);
    *r = (struct ring_rx){
        .tail = tail, .head = head, .cap = cap, .my_head = h, .released = h, .seen_tail = h};
}

/* Producer: read the consumer's head; pairs with the release in ring_release. */
static inline void
ring_tx_refresh(struct ring_tx *r)
{
    uint32_t h = atomic_load_explicit(r->head, memory_order_acquire);
    /* It may move from the last believed head up to what we published. */
    if (unlikely(h - r->seen_head > r->submitted - r->seen_head))
        r->poisoned = true;
    else
        r->seen_head = h;
}

/* Producer: how many more descriptors fit, at least `want` if the peer has made
 * room (the shared word is read only when the shadow says less). */
static inline uint32_t
ring_space(struct ring_tx *r, uint32_t want)
{
    uint32_t space = r->cap - (r->my_tail - r->seen_head);
    if (space < want) {
        ring_tx_refresh(r);
        space = r->cap - (r->my_tail - r->seen_head);
    }
    return unlikely(r->poisoned) ? 0 : space;
}

/* Producer: publish what was reserved; pairs with the acquire in ring_avail. */
static inline void
ring_submit(struct ring_tx *r)
{
    r->submitted = r->my_tail;
    atomic_store_explicit(r->tail, r->my_tail, memory_order_release);
}

/* Producer: has the consumer taken everything that was published? On a poisoned ring the
 * answer means nothing. */
static inline bool
ring_tx_drained(struct ring_tx *r)
{
    ring_tx_refresh(r);
    return r->seen_head == r->submitted;
}

/* Consumer: read the producer's tail; pairs with the release in ring_submit. */
static inline void
ring_rx_refresh(struct ring_rx *r)
{
    uint32_t t = atomic_load_explicit(r->tail, memory_order_acquire);
    /* It may move forward, and never further than cap from what we released. */
    if (unlikely(t - r->released > r->cap || t - r->released < r->seen_tail - r->released))
        r->poisoned = true;
    else
        r->seen_tail = t;
}

/* Consumer: how many descriptors wait, at least `want` if the peer has them. */
static inline uint32_t
ring_avail(struct ring_rx *r, uint32_t want)
{
    uint32_t n = r->seen_tail - r->my_head;
    if (n < want) {
        ring_rx_refresh(r);
        n = r->seen_tail - r->my_head;
    }
    return unlikely(r->poisoned) ? 0 : n;
}

/* Consumer: give the taken slots back whose index is before `end`, and keep the later ones:
 * a successor would take these again. Pairs with the acquire in ring_tx_refresh. */
static inline void
ring_release_to(struct ring_rx *r, uint32_t end)
{
    if (r->released != end) {
        r->released = end;
        atomic_store_explicit(r->head, end, memory_order_release);
    }
}

/* Consumer: give all taken slots back. */
static inline void
ring_release(struct ring_rx *r)
{
    ring_release_to(r, r->my_head);
}

static inline bool
ring_tx_poisoned(const struct ring_tx *r)
{
    return r->poisoned;
}
static inline bool
ring_rx_poisoned(const struct ring_rx *r)
{
    return r->poisoned;
}

/* RING_DEFINE(name, type):
 *   type *name_reserve(struct ring_tx *, type *slots)
 *       Producer: the next slot to fill, or NULL if the ring is full or poisoned.
 *       Visible to the peer at ring_submit.
 *   bool name_take(struct ring_rx *, const type *slots, type *copy)
 *       Consumer: copy the next descriptor out; false if there is none. The slot
 *       is the peer's again at ring_release.
 *   unsigned name_take_batch(...)  up to max at once.
 */
#define RING_FN static inline __attribute__((unused)) /* few need all three */
#define RING_DEFINE(name, type)                                                                \
    RING_FN type *name##_reserve(struct ring_tx *r, type *slots)                               \
    {                                                                                          \
        if (ring_space(r, 1) == 0)                                                             \
            return NULL;                                                                       \
        return &slots[r->my_tail++ & (r->cap - 1)];                                            \
    }                                                                                          \
    RING_FN bool name##_take(struct ring_rx *r, const type *slots, type *copy)                 \
    {                                                                                          \
        if (ring_avail(r, 1) == 0)                                                             \
            return false;                                                                      \
        memcpy(copy, &slots[r->my_head++ & (r->cap - 1)], sizeof *copy);                       \
        copied_out();                                                                          \
        return true;                                                                           \
    }                                                                                          \
    RING_FN unsigned name##_take_batch(struct ring_rx *r, const type *slots, type *copy,       \
                                       unsigned max)                                           \
    {                                                                                          \
        uint32_t n = min_u32(ring_avail(r, max), max);                                         \
        for (uint32_t i = 0; i < n; i++)                                                       \
            memcpy(&copy[i], &slots[r->my_head++ & (r->cap - 1)], sizeof *copy);               \
        copied_out();                                                                          \
        return n;                                                                              \
    }

#endif
