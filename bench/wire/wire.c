/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire.c: the loop: take in what has come, send what has arrived, sleep until the next.
 */
#include "bench/wire/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "base/exit_codes.h"
#include "bench/tool.h"

#define ROUNDS 4u /* batches of a port before the other one has its turn */

static uint8_t *
slot_bytes(const struct wire *w, uint32_t slot)
{
    return w->frames + (size_t)slot * w->size;
}

void
wire_init(struct wire *w)
{
    size_t bytes;
    w->size = (uint32_t)ALIGN_UP(PORT_PREFIX + FRAME_ETH + 4u + w->port[0].mtu, CACHE_LINE);
    bytes = (size_t)w->room * w->size;
    /* Only what is used is ever there: slots are taken from the top of a stack. */
    w->frames = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    w->free = malloc(w->room * sizeof *w->free);
    if (w->frames == MAP_FAILED || w->free == NULL)
        tool_die(EXIT_OTHER, "no memory for %u frames", w->room);
    for (w->n_free = 0; w->n_free < w->room; w->n_free++)
        w->free[w->n_free] = w->room - 1 - w->n_free;
    for (unsigned i = 0; i < WAYS; i++) {
        struct line_entry *heap = malloc(w->room * sizeof *heap);
        struct way_waiting *ring = malloc(w->room * sizeof *ring);
        if (heap == NULL || ring == NULL)
            tool_die(EXIT_OTHER, "no memory for %u frames", w->room);
        line_init(&w->line[i], heap, w->room);
        way_init(&w->way[i], &w->conf.way[i], w->conf.seed, i, ring, w->room);
    }
    w->begun = tool_nanoseconds();
}

static void
slot_free(struct wire *w, uint32_t slot)
{
    w->free[w->n_free++] = slot;
}

static void
put(struct wire *w, unsigned dir, uint32_t slot, uint32_t len, const struct way_verdict *v)
{
    uint64_t held = v->held ? w->conf.way[dir].reorder_packets : 0;
    if (line_put(&w->line[dir], slot, len, v->due, held))
        return;
    w->way[dir].count.no_room++;
    slot_free(w, slot);
}

/* The same again, in a slot of its own. */
static void
put_copy(struct wire *w, unsigned dir, const struct frame *f, const struct way_verdict *v)
{
    if (w->n_free == 0) {
        w->way[dir].count.no_room++;
        return;
    }
    uint32_t slot = w->free[--w->n_free];
    memcpy(slot_bytes(w, slot) + PORT_PREFIX, f->bytes, f->len);
    put(w, dir, slot, f->len, v);
}

/* The router's word goes back at once: it stands where the packet came from. */
static void
answer(struct wire *w, unsigned dir, const struct frame *f)
{
    uint8_t buf[PORT_PREFIX + FRAME_ANSWER_MAX];
    struct port_frame icmp = {.bytes = buf + PORT_PREFIX};
    icmp.len = frame_too_big(f, (uint32_t)w->conf.way[dir].mtu, icmp.bytes);
    if (port_send(&w->port[dir], &icmp, 1) != 1)
        w->way[dir].count.send_failed++;
}

static void
came(struct wire *w, unsigned dir, uint32_t slot, const struct port_frame *p)
{
    struct way *way = &w->way[dir];
    if (p->len == 0) {
        if (way->count.oversize++ == 0)
            tool_warn(
                "%s: dropped a frame longer than its MTU of %u allows; at the other end of "
                "the link: ethtool -K IF tso off gso off tx off",
                w->port[dir].name, w->port[dir].mtu);
        slot_free(w, slot);
        return;
    }
    way->count.checksums_filled += p->filled;
    struct frame f = frame_look(p->bytes, p->len);
    struct way_verdict v = way_input(way, &f, p->at);
    if (v.fate != WAY_PASSES) {
        if (v.answer)
            answer(w, dir, &f);
        slot_free(w, slot);
        return;
    }
    if (v.mark)
        frame_mark(&f);
    if (v.copies > 1) /* of what it is before it is damaged */
        put_copy(w, dir, &f, &v);
    if (v.corrupt)
        frame_flip(&f, v.luck);
    put(w, dir, slot, f.len, &v);
}

/* Take in what a port has. Returns 0 or an errno. */
static int
take_in(struct wire *w, unsigned dir)
{
    uint8_t *into[PORT_BATCH];
    struct port_frame frames[PORT_BATCH];
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t slots[PORT_BATCH];
        if (w->n_free < PORT_BATCH)
            return 0; /* the kernel keeps, and counts, what comes now */
        for (unsigned i = 0; i < PORT_BATCH; i++) {
            slots[i] = w->free[--w->n_free];
            into[i] = slot_bytes(w, slots[i]);
        }
        int n = port_receive(&w->port[dir], into, w->size, frames);
        int err = errno;
        for (unsigned i = PORT_BATCH; i-- > (n > 0 ? (unsigned)n : 0);)
            slot_free(w, slots[i]);
        for (int i = 0; i < n; i++)
            came(w, dir, slots[i], &frames[i]);
        if (n < 0)
            return err;
        if (n < (int)PORT_BATCH)
            return 0;
    }
    return 0;
}

/* Send what has arrived by now. */
static void
let_out(struct wire *w, unsigned dir, ns_t now)
{
    struct port_frame frames[PORT_BATCH];
    uint32_t slots[PORT_BATCH];
    struct line_entry e;
    unsigned n;
    do {
        uint64_t bytes = 0;
        for (n = 0; n < PORT_BATCH && line_take(&w->line[dir], now, &e); n++) {
            slots[n] = e.slot;
            frames[n] =
                (struct port_frame){.bytes = slot_bytes(w, e.slot) + PORT_PREFIX, .len = e.len};
            bytes += e.len;
            w->late_max = max_u64(w->late_max, now - e.due);
            w->late_sum += now - e.due;
            w->n_sent++;
        }
        unsigned taken = n == 0 ? 0 : port_send(&w->port[dir ^ 1], frames, n);
        w->way[dir].count.forwarded += taken;
        w->way[dir].count.forwarded_bytes += taken == n ? bytes : bytes * taken / n;
        w->way[dir].count.send_failed += n - taken;
        for (unsigned i = 0; i < n; i++)
            slot_free(w, slots[i]);
    } while (n == PORT_BATCH);
}

/* Until a frame comes or one arrives. Shorter than w->spin is not worth going to sleep. */
static void
rest(struct wire *w, const sigset_t *awake)
{
    ns_t next = min_u64(line_next(&w->line[TO_RIGHT]), line_next(&w->line[TO_LEFT]));
    ns_t now = tool_nanoseconds();
    struct pollfd fds[WAYS];
    struct timespec t = {0};
    if (next != NS_NEVER && next > now + w->spin) {
        ns_t sleep = next - now - w->spin;
        t = (struct timespec){(time_t)(sleep / NS_S), (long)(sleep % NS_S)};
    }
    for (unsigned i = 0; i < WAYS; i++)
        fds[i] = (struct pollfd){.fd = w->port[i].fd, .events = POLLIN};
    ppoll(fds, WAYS, next == NS_NEVER ? NULL : &t, awake);
}

int
wire_run(struct wire *w, const volatile sig_atomic_t *stop, const sigset_t *awake)
{
    while (!*stop) {
        for (unsigned i = 0; i < WAYS; i++) {
            int err = take_in(w, i);
            if (err != 0)
                return err;
        }
        ns_t now = tool_nanoseconds();
        for (unsigned i = 0; i < WAYS; i++)
            let_out(w, i, now);
        rest(w, awake);
    }
    return 0;
}

static const struct counter {
    const char *name;
    size_t off;
} counters[] = {
#define C(name)                                                                                \
    {                                                                                          \
#name, offsetof(struct way_count, name)                                                \
    }
    C(packets),
    C(bytes),
    C(forwarded),
    C(forwarded_bytes),
    C(lost),
    C(lost_in_bursts),
    C(duplicated),
    C(reordered),
    C(corrupted),
    C(marked),
    C(queue_drops),
    C(max_queue_bytes),
    C(max_queue_packets),
    C(too_long),
    C(answered),
    C(oversize),
    C(checksums_filled),
    C(no_room),
    C(missed),
    C(send_failed),
#undef C
};

static uint64_t
value(const struct wire *w, unsigned dir, size_t i)
{
    uint64_t v;
    memcpy(&v, (const char *)&w->way[dir].count + counters[i].off, sizeof v);
    return v;
}

void
wire_report(struct wire *w, FILE *to, bool json)
{
    static const char *const way[WAYS] = {"to_right", "to_left"};
    double seconds = (double)(tool_nanoseconds() - w->begun) / 1e9;
    double late = w->n_sent == 0 ? 0 : (double)w->late_sum / (double)w->n_sent / 1e3;
    for (unsigned dir = 0; dir < WAYS; dir++)
        w->way[dir].count.missed += port_missed(&w->port[dir]);

    fprintf(
        to,
        json ? "{\"seed\": %llu, \"seconds\": %.3f, \"cpu_seconds\": %.3f, "
               "\"late_mean_us\": %.1f, \"late_max_us\": %.1f"
             : "seed %llu; %.3f s, %.3f s of CPU; sent %.1f us after its time, at most %.1f\n",
        (unsigned long long)w->conf.seed, seconds, tool_cpu_seconds(), late,
        (double)w->late_max / 1e3);
    if (!json)
        fprintf(to, "%-20s %12s %12s\n", "", "to right", "to left");
    for (unsigned dir = 0; json && dir < WAYS; dir++) {
        fprintf(to, ", \"%s\": {", way[dir]);
        for (size_t i = 0; i < ARRAY_LEN(counters); i++)
            fprintf(to, "%s\"%s\": %llu", i == 0 ? "" : ", ", counters[i].name,
                    (unsigned long long)value(w, dir, i));
        fputc('}', to);
    }
    for (size_t i = 0; !json && i < ARRAY_LEN(counters); i++)
        fprintf(to, "%-20s %12llu %12llu\n", counters[i].name,
                (unsigned long long)value(w, TO_RIGHT, i),
                (unsigned long long)value(w, TO_LEFT, i));
    fputs(json ? "}\n" : "", to);
    fflush(to);
}
