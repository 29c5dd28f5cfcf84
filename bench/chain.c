/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/chain.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "ipc/bell.h"

#define SLICE_MS 100
#define HEADERS 64u /* bytes of a packet that a stage reads when it touches them */

struct chain_shared {
    _Atomic uint32_t stop;
    struct chain_count count[CHAIN_STAGES_MAX + 1];
};

static void
count_add(_Atomic uint64_t *w, uint64_t n)
{
    atomic_store_explicit(w, atomic_load_explicit(w, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void *
shared_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        tool_die(EXIT_OTHER, "%zu bytes of shared memory: %s", bytes, strerror(errno));
    return p;
}

/* ---- what a stage does: nothing, or read the headers ---- */

typedef void stage_fn(const uint8_t *memory, const struct fdesc *f, unsigned n);

static void
stage_nothing(const uint8_t *memory, const struct fdesc *f, unsigned n)
{
    __asm__ volatile("" : : "r"(memory), "r"(f), "r"(n) : "memory");
}

static void
stage_touch(const uint8_t *memory, const struct fdesc *f, unsigned n)
{
    uint64_t sum = 0, word;
    for (unsigned i = 0; i < n; i++)
        for (unsigned at = 0; at < HEADERS; at += sizeof word) {
            memcpy(&word, memory + f[i].addr + at, sizeof word);
            sum += word;
        }
    __asm__ volatile("" : : "r"(sum));
}

/* Called as the components of a composition are: by pointer, the next with the batch in hand.
 */
static void
run_stages(const struct chain_opt *o, unsigned stages, const struct fdesc *f, unsigned n)
{
    stage_fn *volatile fn = o->touch ? stage_touch : stage_nothing;
    for (unsigned s = 0; s < stages; s++)
        fn(o->memory, f, n);
}

/* ---- links ---- */

static unsigned
take(const struct chain *c, struct link *l, struct fdesc *f)
{
    struct pkt p[BATCH_MAX];
    if (!c->opt.wide)
        return fring_take_batch(&l->rx[0], l->rx_slots[0], f, BATCH_MAX);
    unsigned n = pring_take_batch(&l->rx[0], l->rx_slots[0], p, BATCH_MAX);
    for (unsigned i = 0; i < n; i++)
        f[i] = (struct fdesc){.addr = p[i].addr, .len = p[i].len};
    return n;
}

static void
put(const struct chain *c, struct link *l, const struct fdesc *f, unsigned n,
    struct chain_count *count)
{
    for (unsigned i = 0; i < n; i++) {
        struct fdesc *narrow;
        struct pkt *wide;
        if (c->opt.wide && (wide = pring_reserve(&l->tx[0], l->tx_slots[0])) != NULL)
            *wide =
                (struct pkt){.addr = f[i].addr, .len = (uint16_t)f[i].len, .kind = PKT_DATA};
        else if (!c->opt.wide && (narrow = fring_reserve(&l->tx[0], l->tx_slots[0])) != NULL)
            *narrow = f[i];
        else
            tool_die(EXIT_OTHER, "no room in a ring that has room for every frame");
    }
    if (link_submit(l))
        count_add(&count->rung, 1);
}

static void
make_links(struct chain *c)
{
    unsigned cap = 2;
    while (cap < c->opt.frames)
        cap *= 2;
    c->kind = c->opt.wide ? LINK_UP : LINK_NIC;
    c->sizes.cap[LINK_A][0] = cap;
    for (unsigned k = 0; k <= c->n; k++) {
        for (enum link_side s = LINK_A; s <= LINK_B; s++)
            c->half[k][s] = shared_memory(link_half_bytes(c->kind, s, &c->sizes));
        int e = bell_pipe(c->bell[k]);
        if (e != 0)
            tool_die(EXIT_OTHER, "pipe: %s", strerror(-e));
    }
}

/* Side A of link k puts into it, side B takes out of it and sleeps on its bell. */
static void
open_link(const struct chain *c, struct link *l, unsigned k, enum link_side side)
{
    link_init(l, c->kind, side, &c->sizes, c->half[k][side], c->half[k][!side], c->bell[k][0],
              c->bell[k][1]);
}

/* ---- a process ---- */

static void
bind_to(const struct chain_opt *o, unsigned i)
{
    cpu_set_t set;
    if (o->n_cpus == 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((unsigned)o->cpu[i % o->n_cpus], &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        tool_die(EXIT_OTHER, "cannot run on processor %d: %s", o->cpu[i % o->n_cpus],
                 strerror(errno));
}

static void
wait_bell(struct link *l, int fd, struct chain_count *count)
{
    struct pollfd p[2] = {{.fd = l->sleeper.fd, .events = POLLIN},
                          {.fd = fd, .events = POLLIN}};
    if (!link_arm(l)) {
        count_add(&count->sleeps, 1);
        (void)poll(p, 2, SLICE_MS);
        (void)bell_drain(&l->sleeper);
    }
    bell_disarm(&l->sleeper);
}

static uint64_t
cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_S + (uint64_t)t.tv_nsec;
}

static _Noreturn void
be_process(struct chain *c, unsigned k)
{
    struct chain_count *count = &c->shared->count[k];
    const unsigned stages = c->opt.split == CHAIN_ONE ? c->opt.stages : 1;
    const ns_t spin = c->opt.spin_us * NS_US;
    struct link in, out;
    struct fdesc f[BATCH_MAX];
    ns_t busy_at = 0;
    open_link(c, &in, k, LINK_B);
    open_link(c, &out, k + 1, LINK_A);
    while (atomic_load_explicit(&c->shared->stop, memory_order_relaxed) == 0) {
        ns_t now = tool_nanoseconds(); /* as a domain does at each turn */
        unsigned n = take(c, &in, f);
        if (n != 0) {
            /* Before the frames go on: one that has gone round must find its slot free. */
            link_release(&in);
            run_stages(&c->opt, stages, f, n);
            put(c, &out, f, n, count);
            count_add(&count->packets, n);
            count_add(&count->batches, 1);
            busy_at = now;
        } else if (now - busy_at < spin) {
            sched_yield();
        } else {
            wait_bell(&in, -1, count);
            busy_at = tool_nanoseconds();
        }
    }
    atomic_store(&count->cpu_ns, cpu_now());
    _exit(EXIT_OK);
}

/* ---- the caller's side ---- */

void
chain_start(struct chain *c, const struct chain_opt *opt)
{
    memset(c, 0, sizeof *c);
    c->opt = *opt;
    c->n = opt->split == CHAIN_SEPARATE ? opt->stages : opt->split == CHAIN_ONE ? 1 : 0;
    c->shared = shared_memory(sizeof *c->shared);
    make_links(c);
    pid_t self = getpid();
    for (unsigned k = 0; k < c->n; k++) {
        c->pid[k] = fork();
        if (c->pid[k] < 0)
            tool_die(EXIT_OTHER, "fork: %s", strerror(errno));
        if (c->pid[k] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != self)
                _exit(EXIT_OTHER);
            bind_to(opt, k + 1);
            be_process(c, k);
        }
    }
    bind_to(opt, 0);
    open_link(c, &c->first, 0, LINK_A);
    open_link(c, &c->last, c->n, LINK_B);
}

void
chain_stop(struct chain *c, struct chain_count count[CHAIN_STAGES_MAX + 1])
{
    int status;
    atomic_store(&c->shared->stop, 1);
    for (unsigned k = 0; k < c->n; k++)
        if (waitpid(c->pid[k], &status, 0) < 0 || status != 0)
            tool_die(EXIT_OTHER, "stage %u ended with status %d", k, status);
    memcpy(count, c->shared->count, sizeof c->shared->count);
}

void
chain_put(struct chain *c, const struct fdesc *f, unsigned n)
{
    if (c->n != 0) {
        put(c, &c->first, f, n, &c->shared->count[c->n]);
        return;
    }
    run_stages(&c->opt, c->opt.stages, f, n);
    memcpy(c->held, f, n * sizeof *f);
    c->n_held = n;
}

unsigned
chain_take(struct chain *c, struct fdesc *f)
{
    unsigned n = c->n_held;
    if (c->n != 0) {
        n = take(c, &c->last, f);
        link_release(&c->last);
    } else {
        memcpy(f, c->held, n * sizeof *f);
        c->n_held = 0;
    }
    return n;
}

void
chain_sleep(struct chain *c, int fd)
{
    wait_bell(&c->last, fd, &c->shared->count[c->n]);
}
