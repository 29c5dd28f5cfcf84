/* SPDX-License-Identifier: BSD-2-Clause
 *
 * way.c: what becomes of a packet, and when.
 */
#include "bench/wire/way.h"

struct way_conf
way_perfect(void)
{
    /* What Ethernet sends besides a frame: preamble 8, checksum 4, gap 12. */
    return (struct way_conf){.overhead = 24,
                             .burst_leave = 0.25,
                             .burst_loss = 1,
                             .reorder_packets = 3,
                             .reorder_delay = 10 * NS_MS};
}

/* A queue that nobody has set: 50 ms of the rate, and some packets also on slow links. */
static uint64_t
usual_queue(uint64_t rate)
{
    return max_u64(rate / 8 / 20, 20 * 1514);
}

void
way_init(struct way *w, const struct way_conf *conf, uint64_t seed, uint64_t stream,
         struct way_waiting *ring, uint32_t n)
{
    *w = (struct way){
        .conf = *conf, .dice = dice_new(seed, stream), .ring = ring, .ring_mask = n - 1};
    if (conf->rate != 0 && conf->queue_bytes == 0 && conf->queue_packets == 0)
        w->conf.queue_bytes = usual_queue(conf->rate);
}

/* Let leave what has left by now. */
static void
ring_advance(struct way *w, ns_t now)
{
    while (w->head != w->tail && w->ring[w->head & w->ring_mask].leaves <= now) {
        w->waiting_bytes -= w->ring[w->head & w->ring_mask].len;
        w->head++;
    }
}

/* When the packet has left the queue at the limited rate; NS_NEVER: there is no room for it. */
static ns_t
queue_leave(struct way *w, uint32_t len, ns_t now)
{
    const struct way_conf *c = &w->conf;
    if (c->rate == 0)
        return now;
    ring_advance(w, now);
    uint32_t waiting = w->tail - w->head;
    if (waiting > w->ring_mask ||
        (c->queue_bytes != 0 && waiting != 0 && w->waiting_bytes + len > c->queue_bytes) ||
        (c->queue_packets != 0 && waiting >= c->queue_packets))
        return NS_NEVER;

    ns_t start = max_u64(now, w->free);
    w->free = start + ((uint64_t)len + c->overhead) * 8 * NS_S / c->rate;
    w->ring[w->tail++ & w->ring_mask] = (struct way_waiting){w->free, len};
    w->waiting_bytes += len;
    w->count.max_queue_bytes = max_u64(w->count.max_queue_bytes, w->waiting_bytes);
    w->count.max_queue_packets = max_u64(w->count.max_queue_packets, waiting + 1);
    return w->free;
}

/* Does chance take packet n? The burst's state moves with every packet, dropped or not. */
static bool
is_lost(struct way *w, uint64_t n)
{
    const struct way_conf *c = &w->conf;
    const struct dice *d = &w->dice;
    if (w->burst)
        w->burst = !dice_chance(d, DICE_BURST_LEAVE, n, c->burst_leave);
    else
        w->burst = dice_chance(d, DICE_BURST_ENTER, n, c->burst_enter);
    return w->burst ? dice_chance(d, DICE_BURST_LOSS, n, c->burst_loss)
                    : dice_chance(d, DICE_LOSS, n, c->loss);
}

static void
delay(struct way *w, struct way_verdict *v, ns_t left, uint64_t n, bool ip)
{
    const struct way_conf *c = &w->conf;
    const struct dice *d = &w->dice;
    ns_t due = left + c->delay;
    if (ip)
        due += (ns_t)((double)c->jitter * dice_unit(d, DICE_JITTER, n));
    due = max_u64(due, w->in_row); /* jitter stretches and squeezes; it does not reorder */
    if (ip && dice_chance(d, DICE_REORDER, n, c->reorder)) {
        v->held = c->reorder_packets != 0;
        v->due = due + c->reorder_delay;
        w->count.reordered++;
        return;
    }
    w->in_row = due;
    v->due = due;
}

struct way_verdict
way_input(struct way *w, const struct frame *f, ns_t now)
{
    const struct way_conf *c = &w->conf;
    const struct dice *d = &w->dice;
    struct way_verdict v = {.copies = 1};
    bool ip = f->version != 0;
    uint64_t n = ip ? w->n++ : 0;
    bool lost = ip && is_lost(w, n);

    w->count.packets++;
    w->count.bytes += f->len;
    w->now = max_u64(w->now, now);
    if (c->mtu != 0 && f->version == 4 && f->df && f->ip_len > c->mtu) {
        w->count.too_long++;
        v.fate = WAY_TOO_LONG;
        v.answer = c->mtu_silent == 0 && frame_may_answer(f);
        w->count.answered += v.answer;
        return v;
    }
    ns_t left = queue_leave(w, f->len, w->now);
    if (left == NS_NEVER) {
        w->count.queue_drops++;
        v.fate = WAY_QUEUE_FULL;
        return v;
    }
    if (lost) {
        w->count.lost++;
        w->count.lost_in_bursts += w->burst;
        v.fate = WAY_LOST;
        return v;
    }
    if (ip) {
        v.mark = f->ect && ((c->mark_above != 0 && w->waiting_bytes > c->mark_above) ||
                            dice_chance(d, DICE_MARK, n, c->mark));
        v.corrupt = dice_chance(d, DICE_CORRUPT, n, c->corrupt);
        v.luck = v.corrupt ? dice_throw(d, DICE_CORRUPT_BIT, n) : 0;
        v.copies = dice_chance(d, DICE_DUPLICATE, n, c->duplicate) ? 2 : 1;
        w->count.marked += v.mark;
        w->count.corrupted += v.corrupt;
        w->count.duplicated += v.copies - 1;
    }
    delay(w, &v, left, n, ip);
    return v;
}
