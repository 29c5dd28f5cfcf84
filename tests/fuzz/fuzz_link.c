/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A domain's end of a link against a neighbour that writes anything into its half: the first
 * byte says which of the four ends is ours, then come actions: of the neighbour, words at its
 * head or bytes anywhere in its half; of ours, what a domain does in a turn. What we take lies
 * inside the half (the sanitizers see to that), no more of it comes than the ring holds, and a
 * ring that was found poisoned gives and takes nothing any more.
 */
#include "base/frame.h"
#include "fuzz.h"
#include "ipc/link.h"

static const uint32_t n_frames[PART_COUNT] = {16, 8, 8, 8, 8};

static struct {
    struct link l;
    enum link_kind kind;
    enum link_side side;
    struct link_sizes sizes;
    void *own;
    uint8_t *peer;
    size_t peer_len;
} w;

static bool
is_packets(unsigned ring)
{
    return w.kind == LINK_UP && ring == 0;
}

static void
scribble(struct input *in)
{
    struct link_half *h = (struct link_half *)(void *)w.peer;
    uint32_t what = take(in, 1);
    _Atomic uint32_t *word = what % 8 == 0  ? &h->want
                             : what % 8 < 4 ? &h->produce[what % 2].tail
                             : what % 8 < 7 ? &h->consume[what % 2].head
                                            : NULL;
    if (word == NULL)
        w.peer[take(in, 4) % w.peer_len] = (uint8_t)take(in, 1);
    else if (what & 64)
        atomic_store(word, take(in, 4));
    else
        atomic_fetch_add(word, what & 128 ? 0u - take(in, 1) % 3 : take(in, 1) % 20);
}

static void
consume(unsigned r, uint32_t max)
{
    struct ring_rx *rx = &w.l.rx[r];
    uint32_t cap = w.sizes.cap[LINK_B - w.side][r], n;
    if (cap == 0)
        return;
    bool poisoned = ring_rx_poisoned(rx);
    if (is_packets(r)) {
        struct pkt p[64];
        n = pring_take_batch(rx, w.l.rx_slots[r], p, min_u32(max, 64));
    } else {
        struct fdesc f[64];
        n = fring_take_batch(rx, w.l.rx_slots[r], f, min_u32(max, 64));
    }
    expect(n <= cap && rx->my_head - rx->released <= cap);
    expect(!poisoned || n == 0);
}

static void
produce(unsigned r, uint32_t max)
{
    struct ring_tx *tx = &w.l.tx[r];
    uint32_t cap = w.sizes.cap[w.side][r];
    if (cap == 0)
        return;
    bool poisoned = ring_tx_poisoned(tx);
    uint32_t n = min_u32(ring_space(tx, max), max);
    expect(n <= cap && (!poisoned || n == 0));
    while (n-- > 0) {
        if (is_packets(r)) {
            struct pkt *p = pring_reserve(tx, w.l.tx_slots[r]);
            expect(p != NULL);
            *p = (struct pkt){.kind = PKT_DATA};
        } else {
            struct fdesc *f = fring_reserve(tx, w.l.tx_slots[r]);
            expect(f != NULL);
            *f = (struct fdesc){.len = 1};
        }
    }
    expect(tx->my_tail - tx->seen_head <= cap);
}

static void
turn(struct input *in)
{
    uint32_t what = take(in, 1);
    for (unsigned r = 0; r < LINK_RINGS; r++) {
        if (what & 1)
            consume(r, what >> 2);
        if (what & 2)
            produce(r, what >> 2);
    }
    if (what & 64)
        link_release(&w.l);
    if (what & 128)
        (void)link_submit(&w.l);
    if (what % 16 == 15)
        (void)link_arm(&w.l);
    if (link_poisoned(&w.l)) /* for good */
        expect(link_poisoned(&w.l));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct frames f = {0};
    uint32_t how = take(&in, 1);
    frames_layout(&f, n_frames);
    w.kind = how & 1 ? LINK_UP : LINK_NIC;
    w.side = how & 2 ? LINK_B : LINK_A;
    link_sizes_for(&w.sizes, w.kind, &f);
    w.peer_len = link_half_bytes(w.kind, w.side == LINK_A ? LINK_B : LINK_A, &w.sizes);
    w.own = aligned_alloc(4096, link_half_bytes(w.kind, w.side, &w.sizes));
    w.peer = aligned_alloc(4096, w.peer_len);
    expect(w.own != NULL && w.peer != NULL);
    link_half_clear(w.own, w.kind, w.side, &w.sizes);
    memset(w.peer, 0, w.peer_len);
    link_init(&w.l, w.kind, w.side, &w.sizes, w.own, w.peer, -1, -1);
    while (in.left > 0) {
        if (take(&in, 1) % 2)
            scribble(&in);
        else
            turn(&in);
    }
    free(w.own);
    free(w.peer);
    return 0;
}
