/* SPDX-License-Identifier: BSD-2-Clause */
#include "bulk.h"

#include <errno.h>
#include <poll.h>

struct world_config
bulk_world(uint64_t seed, ns_t latency)
{
    struct world_config c = world_usual(seed);
    for (unsigned i = 0; i < 2; i++) {
        c.wire[i].latency = latency;
        c.stack[i].sndbuf = c.stack[i].rcvbuf = 500000;
        c.stack[i].frames[PART_TCPTX] = 1024;
        c.stack[i].frames[PART_RX] = 1024;
        c.stack[i].check_every = 53;
        c.arena[0].n_tx_pages = c.arena[0].n_rx_pages = 1024;
    }
    return c;
}

static bool
send_some(struct bulk *b, unsigned f)
{
    uint64_t left = b->to_send - b->sent[f];
    if (left == 0)
        return false;
    ssize_t n = bh_send(b->fd[f][0], load_pattern(f, b->sent[f]), left < 65536 ? left : 65536,
                        MSG_DONTWAIT);
    world_assert(b->w, n > 0 || errno == EAGAIN);
    b->sent[f] += n > 0 ? (uint64_t)n : 0;
    return n > 0;
}

static bool
read_some(struct bulk *b, unsigned f)
{
    static uint8_t buf[65536];
    ssize_t n = bh_recv(b->fd[f][1], buf, sizeof buf, MSG_DONTWAIT);
    world_assert(b->w, n > 0 || (n < 0 && errno == EAGAIN));
    if (n <= 0)
        return false;
    if (memcmp(buf, load_pattern(f, b->got[f]), (size_t)n) != 0)
        world_fail(b->w, "wrong bytes at %llu or later", (unsigned long long)b->got[f]);
    b->got[f] += (uint64_t)n;
    return true;
}

static bool
work(struct world *w, struct program *p, void *ctx)
{
    struct bulk *b = ctx;
    struct bh_event ev[8];
    bool any = false;
    (void)w;
    (void)bh_ready_events(ev, ARRAY_LEN(ev));
    for (unsigned f = 0; f < b->flows; f++)
        any |= p->side == 0 ? send_some(b, f) : read_some(b, f);
    return any;
}

static bool
all_read(void *ctx)
{
    const struct bulk *b = ctx;
    for (unsigned f = 0; f < b->flows; f++)
        if (b->got[f] < b->to_send)
            return false;
    return true;
}

void
bulk_init(struct bulk *b, struct world *w, const struct world_config *c, unsigned flows)
{
    *b = (struct bulk){.w = w, .flows = flows};
    pair_init(w, c);
    for (unsigned f = 0; f < flows; f++) {
        pair_connect(w, b->fd[f]);
        for (unsigned i = 0; i < 2; i++) { /* whoever sleeps is told */
            world_use(w, i);
            world_assert(w, bh_watch(b->fd[f][i], i == 0 ? POLLOUT : POLLIN, b) == 0);
        }
    }
    w->work = work;
    w->ctx = b;
}

double
bulk_transfer(struct bulk *b, uint64_t bytes, ns_t limit)
{
    ns_t from = b->w->now;
    b->to_send = bytes;
    if (!world_run(b->w, from + limit, all_read, b))
        world_fail(b->w, "after %g s only %llu of %llu bytes", (double)limit / 1e9,
                   (unsigned long long)b->got[0], (unsigned long long)bytes);
    return (double)(b->w->now - from) / 1e9;
}

void
bulk_run(struct bulk *b, ns_t time)
{
    b->to_send = UINT64_MAX;
    world_pass(b->w, time);
}

void
bulk_end(struct bulk *b)
{
    struct linger off = {.l_onoff = 1};
    for (unsigned f = 0; f < b->flows; f++)
        for (unsigned i = 0; i < 2; i++) {
            world_use(b->w, i);
            world_assert(
                b->w, bh_setsockopt(b->fd[f][i], SOL_SOCKET, SO_LINGER, &off, sizeof off) == 0);
            pair_close(b->w, i, b->fd[f][i]);
        }
    b->flows = 0;
    pair_end(b->w);
}
