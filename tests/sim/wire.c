/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire.h"

#include <stdlib.h>

#include "wire/wire.h"

struct wire_frame {
    ns_t at;
    uint64_t order; /* of sending: frames of the same time arrive in order */
    uint32_t len;
    uint8_t *bytes;
};

void
wire_init(struct wire *w, const struct wire_profile *p, uint64_t seed)
{
    *w = (struct wire){.p = *p, .rng = {seed}};
}

void
wire_free(struct wire *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        free(w->heap[i].bytes);
    free(w->heap);
    w->heap = NULL;
    w->n = w->cap = 0;
}

/* ---- a heap, the earliest first ---- */

static bool
before(const struct wire_frame *a, const struct wire_frame *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
swap(struct wire_frame *a, struct wire_frame *b)
{
    struct wire_frame t = *a;
    *a = *b;
    *b = t;
}

static void
push(struct wire *w, struct wire_frame f)
{
    if (w->n == w->cap) {
        w->cap = w->cap == 0 ? 64 : 2 * w->cap;
        w->heap = realloc(w->heap, w->cap * sizeof *w->heap);
        if (w->heap == NULL)
            abort();
    }
    uint32_t i = w->n++;
    w->heap[i] = f;
    for (; i > 0 && before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&w->heap[i], &w->heap[(i - 1) / 2]);
}

static struct wire_frame
pop(struct wire *w)
{
    struct wire_frame first = w->heap[0];
    w->heap[0] = w->heap[--w->n];
    for (uint32_t i = 0, c; (c = 2 * i + 1) < w->n; i = c) {
        if (c + 1 < w->n && before(&w->heap[c + 1], &w->heap[c]))
            c++;
        if (!before(&w->heap[c], &w->heap[i]))
            break;
        swap(&w->heap[c], &w->heap[i]);
    }
    return first;
}

static void
trace(const struct wire *w, const char *what, const uint8_t *frame, uint32_t len, ns_t now)
{
    if (w->trace)
        wire_trace(what, frame, len, (double)(now - w->start) / 1e9);
}

/* ---- what happens to a frame ---- */

static bool
is_arp(const uint8_t *frame, uint32_t len)
{
    return len >= ETH_HEADER && be16(frame + 12) == ETH_TYPE_ARP;
}

static void
corrupt(struct wire *w, uint8_t *frame, uint32_t len)
{
    uint32_t bits = rng_range(&w->rng, 1, 15);
    uint32_t half = rng_percent(&w->rng, 50) ? min_u32(len, 70) : len; /* headers more often */
    uint32_t first = rng_below(&w->rng, half * 8);
    bool any = false;
    for (uint32_t i = first; i < first + bits && i < len * 8; i++) {
        bool flip = i == first || rng_percent(&w->rng, 50);
        if (flip)
            frame[i / 8] ^= (uint8_t)(0x80 >> i % 8);
        any |= flip;
    }
    w->n_corrupt += any;
}

static void
deliver(struct wire *w, const uint8_t *frame, uint32_t len, uint32_t queued, ns_t at)
{
    struct wire_frame f = {.at = at, .order = w->order++, .len = len};
    if (w->p.pad && len < 60)
        f.len = 60;
    f.bytes = malloc(f.len);
    if (f.bytes == NULL)
        abort();
    memcpy(f.bytes, frame, len);
    wire_touch(w, f.bytes, len, queued);
    for (uint32_t i = len; i < f.len; i++)
        f.bytes[i] = (uint8_t)rng_next(&w->rng);
    if (!is_arp(frame, len) && rng_ppm(&w->rng, w->p.corrupt))
        corrupt(w, f.bytes, len);
    push(w, f);
}

/* When the last bit of the frame has left; NS_NEVER: the queue is full. *queued: the bytes
 * before it. */
static ns_t
leaves_at(struct wire *w, uint32_t len, ns_t now, uint64_t *queued_bytes)
{
    *queued_bytes = 0;
    if (w->p.bits_per_s == 0)
        return now;
    ns_t start = max_u64(now, w->free_at);
    uint64_t queued = *queued_bytes = (start - now) * w->p.bits_per_s / (8 * NS_S);
    if (w->p.queue_bytes != 0 && queued + len > w->p.queue_bytes)
        return NS_NEVER;
    w->free_at = start + (uint64_t)len * 8 * NS_S / w->p.bits_per_s;
    return w->free_at;
}

/* Losses that come together: a link that is down for a moment. */
static bool
in_burst(struct wire *w, ns_t now)
{
    if (rng_ppm(&w->rng, w->p.burst) && now >= w->burst_until)
        w->burst_until = now + 1 + rng_next(&w->rng) % max_u64(w->p.burst_time, 1);
    return now < w->burst_until;
}

void
wire_send(struct wire *w, const uint8_t *frame, uint32_t len, ns_t now)
{
    w->n_sent++;
    uint64_t queued;
    ns_t left = leaves_at(w, len, now, &queued);
    if (left == NS_NEVER || w->cut || len > WIRE_FRAME_MAX ||
        (w->filter != NULL && !w->filter(w->filter_ctx, frame, len)) || in_burst(w, now) ||
        wire_too_large(w, frame, len, now) || rng_ppm(&w->rng, w->p.loss)) {
        w->n_lost++;
        trace(w, "lost", frame, len, now);
        return;
    }
    unsigned copies = rng_ppm(&w->rng, w->p.dup) ? rng_range(&w->rng, 2, 3) : 1;
    w->n_dup += copies - 1;
    for (unsigned i = 0; i < copies; i++) {
        ns_t at = left + w->p.latency;
        if (w->p.jitter != 0)
            at += rng_next(&w->rng) % w->p.jitter;
        if (rng_ppm(&w->rng, w->p.late) && w->p.late_by != 0) {
            at += rng_next(&w->rng) % w->p.late_by;
            w->n_late++;
        }
        trace(w, i == 0 ? "sent" : "copy", frame, len, now);
        deliver(w, frame, len, (uint32_t)queued, at);
    }
}

ns_t
wire_next(const struct wire *w)
{
    return w->n == 0 ? NS_NEVER : w->heap[0].at;
}

uint32_t
wire_receive(struct wire *w, uint8_t frame[WIRE_FRAME_MAX], ns_t now)
{
    if (wire_next(w) > now)
        return 0;
    struct wire_frame f = pop(w);
    memcpy(frame, f.bytes, f.len);
    free(f.bytes);
    trace(w, "came", frame, f.len, f.at);
    return f.len;
}

struct wire_profile
wire_random(struct rng *r)
{
    static const uint32_t worst[] = {0, 10000, 50000, 300000};
    static const ns_t far[] = {20 * NS_US, NS_MS, 20 * NS_MS, 150 * NS_MS};
    uint32_t max = worst[rng_below(r, ARRAY_LEN(worst))];
    struct wire_profile p = {
        .loss = rng_below(r, max + 1),
        .dup = rng_below(r, max + 1),
        .corrupt = rng_below(r, max / 2 + 1),
        .late = rng_below(r, max + 1),
        .latency = far[rng_below(r, ARRAY_LEN(far))],
        .pad = rng_percent(r, 50),
    };
    p.latency += rng_next(r) % p.latency;
    if (max != 0) {
        p.jitter = rng_next(r) % (p.latency / 2);
        p.late_by = 4 * p.latency;
    }
    if (rng_percent(r, 25)) {
        p.bits_per_s = 1000000ull << rng_range(r, 0, 8);
        p.queue_bytes = rng_percent(r, 50) ? rng_range(r, 20000, 200000) : 0;
        p.mark_above = rng_percent(r, 50) ? rng_range(r, 5000, 50000) : 0;
    }
    if (rng_percent(r, 25)) {
        p.burst = rng_below(r, 5000);
        p.burst_time = min_u64(20 * p.latency, 2 * NS_S);
    }
    p.mark = rng_percent(r, 25) ? rng_below(r, 100000) : 0;
    return p;
}
