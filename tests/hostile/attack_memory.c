/* SPDX-License-Identifier: BSD-2-Clause
 *
 * attack_memory.c: what can be done to the memory and the pipes that a client is handed.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chan.h"

static const int protos[] = {IPPROTO_TCP, IPPROTO_UDP};

static int
proto(void)
{
    return protos[chan_rnd() % 2];
}

/* ---- ring indices ---- */

/* Every impossible index costs the channel that it was written to, soon. */
static void
index_of_requests(bool back)
{
    struct chan c;
    chan_open(&c, proto());
    (void)chan_socket(&c, NULL);
    uint32_t t = atomic_load(&c.v.c_head->tail);
    uint32_t lie =
        back ? t - 1 - chan_rnd() % 1000 : t + c.v.g.n_req + 1 + chan_rnd() % (UINT32_MAX / 2);
    atomic_store(&c.v.c_head->tail, lie);
    chan_ring(&c);
    MUST(chan_dead(&c, 5000), "index %u after %u is believed", lie, t);
    chan_close(&c);
}
static void
index_jump(void)
{
    index_of_requests(false);
}
static void
index_back(void)
{
    index_of_requests(true);
}

static void
index_events(void)
{
    struct chan c;
    chan_open(&c, proto());
    double end = chan_now() + 5;
    atomic_store(&c.v.c_head->head, 1 + chan_rnd());
    while (!chan_dead(&c, 1) && chan_now() < end) {
        while (chan_post(&c, (struct sess_req){.op = REQ_NAME}))
            ;
        chan_ring(&c);
    }
    MUST(chan_now() < end, "an impossible head of the event ring is believed");
    chan_close(&c);
}

/* ---- values that change between check and use ---- */

static struct {
    struct chan *c;
    _Atomic bool stop;
    bool punch;
} foe;

/* Anything in the client half but, mostly, the ring's indices: who breaks these is out soon. */
static void *
scribbler(void *arg)
{
    uint32_t x = 1;
    uint32_t *word = foe.c->half[0];
    size_t slots = (size_t)((uint8_t *)foe.c->v.c_slot - (uint8_t *)word) / 4;
    size_t pages = (size_t)(foe.c->v.tx_page - (uint8_t *)word) / 4;
    (void)arg;
    for (; !atomic_load(&foe.stop); x = x * 1664525 + 1013904223) {
        size_t at = sizeof(struct half_head) / 4;
        if (foe.punch) {
            size_t off = ALIGN_UP(at * 4, (size_t)FIFO_PAGE) + (x >> 8) % 64 * FIFO_PAGE;
            (void)madvise((uint8_t *)word + off, FIFO_PAGE * (1 + (x >> 20) % 8), MADV_REMOVE);
            continue;
        }
        if (x >> 30 == 0) /* requests */
            at += (x >> 7) % (slots - at);
        else if (x >> 30 == 1) /* pages, which may be maps */
            at = pages + (x >> 7) % (16 * FIFO_PAGE / 4);
        else
            at = slots + (x >> 7) % ((pages - slots) / 8);
        __atomic_store_n(&word[at], (x >> 5 & 3) == 0 ? x : (x >> 9) % 70, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void
fill_slot(struct chan *c, uint32_t slot)
{
    struct slot_client *s = &c->v.c_slot[slot];
    for (unsigned i = 0; i < 8; i++)
        atomic_store(&s->tx_dir.page[i], i + 1);
    atomic_fetch_add(&s->tx_tail, chan_rnd() % 20000);
}

#define VICTIMS 8u /* sessions of its own that it lies about */

/* Sessions in every state: listening, connected to the echo that the test starts, closed. */
static void
set_up(struct chan *c, bool tcp, uint64_t *h, uint32_t *slot)
{
    for (unsigned i = 0; i < VICTIMS; i++) {
        struct sess_req r = {.handle = h[i] = chan_socket(c, &slot[i])};
        MUST(h[i] != 0 && slot[i] < c->v.g.n_slots, "no session");
        r.op = i % 2 || !tcp ? REQ_CONNECT : REQ_LISTEN;
        r.addr = ipaddr_v4_u32(r.op == REQ_CONNECT ? 0x0a4d0002 : 0);
        r.port = r.op == REQ_CONNECT ? 31004 : 0;
        r.value = 4;
        (void)chan_call(c, r, NULL);
    }
}

/* Honest requests, one after the other: what they are about is what changes. */
static void
ask_on(struct chan *c, const uint64_t *h, const uint32_t *slot)
{
    static const uint8_t ops[] = {REQ_SEND,   REQ_CONSUMED, REQ_SEND, REQ_NAME,
                                  REQ_GETOPT, REQ_SETOPT,   REQ_SEND, REQ_CONSUMED};
    struct sess_evt e;
    for (unsigned j = 0; j < 64; j++) {
        unsigned i = chan_rnd() % VICTIMS;
        struct sess_req r = {.op = ops[chan_rnd() % ARRAY_LEN(ops)],
                             .handle = h[i],
                             .level = 1,
                             .name = (int32_t)(chan_rnd() % 40),
                             .value = chan_rnd() % 70000};
        if (chan_rnd() % 200 == 0)
            r.op = REQ_CLOSE;
        fill_slot(c, slot[i]);
        (void)chan_post(c, r);
    }
    chan_ring(c);
    while (chan_event(c, &e))
        ;
}

/* served: by the stack, not by nobody. */
static void
changing(bool punch, bool served)
{
    struct chan c;
    pthread_t t;
    uint64_t h[VICTIMS] = {0};
    uint32_t slot[VICTIMS] = {0, 1, 2, 3, 4, 5, 6, 7};
    int p = proto();
    if (served) {
        chan_open(&c, p);
        set_up(&c, p == IPPROTO_TCP, h, slot);
    } else {
        chan_nobody(&c);
    }
    foe.c = &c;
    foe.punch = punch;
    atomic_store(&foe.stop, false);
    MUST(pthread_create(&t, NULL, scribbler, NULL) == 0, "no thread");
    for (double end = chan_now() + 0.1; chan_now() < end && !chan_dead(&c, 0);)
        ask_on(&c, h, slot);
    atomic_store(&foe.stop, true);
    pthread_join(t, NULL);
    chan_close(&c);
}
static void
scribble(void)
{
    changing(false, true);
}
static void
holes(void)
{
    changing(true, true);
}

static void
scribble_nobody(void)
{
    changing(false, false);
}
static void
holes_nobody(void)
{
    changing(true, false);
}

/* ---- rights over the regions ---- */

static void
sealed(void)
{
    struct chan c;
    char path[40];
    chan_open(&c, proto());
    for (unsigned i = 0; i < 2; i++) {
        MUST(ftruncate(c.fd[i], 0) != 0, "half %u shrinks", i);
        MUST(ftruncate(c.fd[i], (off_t)c.size[i] * 2) != 0, "half %u grows", i);
        MUST(fcntl(c.fd[i], F_ADD_SEALS, F_SEAL_WRITE) != 0, "half %u takes another seal", i);
    }
    MUST(mmap(NULL, c.size[1], PROT_READ | PROT_WRITE, MAP_SHARED, c.fd[1], 0) == MAP_FAILED,
         "the domain's half is mapped writable");
    MUST(mprotect(c.half[1], c.size[1], PROT_READ | PROT_WRITE) != 0,
         "the domain's half is made writable");
    MUST(madvise(c.half[1], c.size[1], MADV_REMOVE) != 0, "holes in the domain's half");
    MUST(fallocate(c.fd[1], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0,
         "holes in the domain's half by its file");
    MUST(pwrite(c.fd[1], "x", 1, 0) != 1, "the domain's half is written by its file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", c.fd[1]);
    MUST(open(path, O_RDWR | O_CLOEXEC) < 0, "the domain's half is opened for writing");
    chan_close(&c);
}

/* ---- bells ---- */

static void
bell_storm(void)
{
    struct chan c;
    static const char many[4096];
    chan_open(&c, proto());
    for (double end = chan_now() + 0.3; chan_now() < end;)
        (void)!write(c.fd[CHAN_RING], many, 1 + chan_rnd() % sizeof many);
    MUST(chan_socket(&c, NULL) != 0, "a channel does not outlive its own bell storm");
    chan_close(&c);
}

/* The domain is told at every look that its client sleeps, and its bells are never answered:
 * the pipe fills up. All descriptors are put into blocking mode first: that must not reach it.
 */
static void
bell_fill(void)
{
    struct chan c;
    struct sess_evt e;
    chan_open(&c, proto());
    for (unsigned i = CHAN_SLEEP; i <= CHAN_HOLD; i++)
        (void)fcntl(c.fd[i], F_SETFL, 0);
    (void)fcntl(c.fd[CHAN_SLEEP], F_SETPIPE_SZ, 4096);
    uint32_t want = 1;
    for (double end = chan_now() + 0.5; chan_now() < end;) {
        atomic_store(&c.v.c_head->want, want);
        atomic_store(&c.v.c_head->want_space, want);
        want += 2;
        (void)chan_post(&c, (struct sess_req){.op = REQ_NAME});
        if (want % 64 == 1)
            (void)!write(c.fd[CHAN_RING], "", 1);
        while (chan_event(&c, &e))
            ;
    }
    chan_close(&c);
}

/* Its own wake-ups are taken away from the domain, then the pipes are closed. */
static void
bell_steal(void)
{
    struct chan c;
    char buf[512];
    chan_open(&c, proto());
    for (double end = chan_now() + 0.2; chan_now() < end;) {
        (void)chan_post(&c, (struct sess_req){.op = REQ_NAME});
        chan_ring(&c);
        (void)fcntl(c.fd[CHAN_HOLD], F_SETFL, O_NONBLOCK);
        (void)!read(c.fd[CHAN_HOLD], buf, sizeof buf);
    }
    for (unsigned i = CHAN_SLEEP; i <= CHAN_HOLD; i++)
        close(c.fd[i]);
    for (unsigned i = 0; i < 200; i++) {
        (void)chan_post(&c, (struct sess_req){.op = REQ_SOCKET, .handle = SESS_CREATOR});
        atomic_store(&c.v.c_head->want, 1 + 2 * i);
        usleep(100);
    }
    for (unsigned i = CHAN_SLEEP; i <= CHAN_HOLD; i++)
        c.fd[i] = -1;
    chan_close(&c);
}

const struct attack attack_memory[] = {{"index-jump", index_jump},
                                       {"index-back", index_back},
                                       {"index-events", index_events},
                                       {"scribble", scribble},
                                       {"holes", holes},
                                       {"sealed", sealed},
                                       {"bell-storm", bell_storm},
                                       {"bell-fill", bell_fill},
                                       {"bell-steal", bell_steal},
                                       {NULL, NULL}};
const struct attack attack_nobody[] = {
    {"scribble", scribble_nobody}, {"holes", holes_nobody}, {NULL, NULL}};
