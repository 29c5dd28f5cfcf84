/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ticks_join.c: join.h, for the simulation, with the counted stack's components joined by
 * rings.
 */
#include <stdlib.h>

#include "bench/ticks.h"
#include "tests/sim/stack.h"

#define CYCLES 4u /* of all domains in one turn; what is left waits for the next */

enum { RX, DONE }; /* the nic's rings */
enum { TX, FILL }; /* ip's, to the nic */
#define DOWN 0     /* a transport's */
#define UP 0       /* ip's, to a transport */

struct ticks ticks = {.domains = 1};

static struct domain ip_dom;
static struct link nic, tcp, udp; /* the other ends of its links */

/* The stack that a composition is part of. */
static struct stack *
stack_of(const struct join *j)
{
    return (struct stack *)(void *)((uintptr_t)j - offsetof(struct stack, join));
}

static bool
counted(const struct join *j)
{
    return stack_of(j)->cfg.addr == ticks.addr;
}

static void
open_link(const struct frames *f, struct domain_peer *p, enum link_kind kind,
          struct link *other)
{
    /* ip is above nic and below the transports. */
    enum link_side mine = kind == LINK_NIC ? LINK_B : LINK_A;
    struct link_sizes sizes;
    uint8_t *half[2];
    link_sizes_for(&sizes, kind, f);
    for (enum link_side s = LINK_A; s <= LINK_B; s++) {
        size_t bytes = link_half_bytes(kind, s, &sizes);
        half[s] = aligned_alloc(4096, bytes);
        if (half[s] == NULL)
            abort();
        memset(half[s], 0, bytes);
    }
    link_init(&p->link, kind, mine, &sizes, half[mine], half[!mine], -1, -1);
    link_init(other, kind, (enum link_side) !mine, &sizes, half[!mine], half[mine], -1, -1);
}

void
join_init(struct join *j, struct ip *ip, struct tcp *t, struct udp *u, uint32_t *freed,
          uint32_t *done_tcp, uint32_t *done_udp)
{
    struct stack *s = stack_of(j);
    plain_join_init(j, ip, t, u, freed, done_tcp, done_udp);
    if (!counted(j) || ticks.domains == 1)
        return;
    open_link(&s->frames, &ip_dom.peer[0], LINK_NIC, &nic);
    open_link(&s->frames, &ip_dom.peer[1], LINK_UP, &tcp);
    open_link(&s->frames, &ip_dom.peer[2], LINK_UP, &udp);
    ticks_ip_init(&ip_dom, ip, &s->frames, &s->stats);
}

void
join_begin(struct join *j)
{
    plain_join_begin(j);
}

/* ---- the nic's side: what nic_main.c does between the kernel's rings and its link ---- */

static void
nic_up(const struct fdesc *rx, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        *fring_reserve(&nic.tx[RX], nic.tx_slots[RX]) = rx[i];
    (void)link_submit(&nic);
}

static bool
nic_down(struct join *j)
{
    unsigned n = fring_take_batch(&nic.rx[TX], nic.rx_slots[TX], j->nic + j->out.n_nic,
                                  min_u32(BATCH_MAX, JOIN_NIC - j->out.n_nic));
    struct fdesc f[BATCH_MAX];
    unsigned k = fring_take_batch(&nic.rx[FILL], nic.rx_slots[FILL], f, BATCH_MAX);
    j->out.n_nic += n;
    for (unsigned i = 0; i < k; i++)
        j->out.freed[j->out.n_freed++] = f[i].addr;
    link_release(&nic);
    return n + k != 0;
}

/* ---- transports ---- */

static unsigned
take_up(struct link *l, struct pkt *in)
{
    unsigned n = pring_take_batch(&l->rx[UP], l->rx_slots[UP], in, BATCH_MAX);
    while (n != 0 && (in[n - 1].flags & PKT_MORE) && n < BATCH_MAX + FRAME_MAX_CHAIN &&
           pring_take(&l->rx[UP], l->rx_slots[UP], &in[n]))
        n++;
    return n;
}

static void
put_down(struct link *l, const struct pkt *out, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct pkt *slot = pring_reserve(&l->tx[DOWN], l->tx_slots[DOWN]);
        if (slot != NULL)
            *slot = out[i];
    }
    link_release(l);
    (void)link_submit(l);
}

bool
ticks_tcp_turn(struct tcp *t, struct link *l, ns_t now)
{
    struct pkt in[BATCH_MAX + FRAME_MAX_CHAIN], out[BATCH_MAX];
    struct fdesc f[BATCH_MAX];
    unsigned done = fring_take_batch(&l->rx[DONE], l->rx_slots[DONE], f, BATCH_MAX);
    for (unsigned i = 0; i < done; i++)
        (void)tcp_tx_done(t, f[i].addr);
    unsigned n = take_up(l, in), cap = min_u32(BATCH_MAX, ring_space(&l->tx[DOWN], BATCH_MAX));
    unsigned sent = tcp_step(t, in, n, out, cap, now);
    put_down(l, out, sent);
    return done + n + sent != 0;
}

bool
ticks_udp_turn(struct udp *u, struct link *l, ns_t now)
{
    struct pkt in[BATCH_MAX + FRAME_MAX_CHAIN], out[BATCH_MAX];
    struct fdesc f[BATCH_MAX];
    unsigned done = fring_take_batch(&l->rx[DONE], l->rx_slots[DONE], f, BATCH_MAX);
    for (unsigned i = 0; i < done; i++)
        (void)udp_tx_done(u, f[i].addr);
    unsigned n = take_up(l, in), cap = min_u32(BATCH_MAX, ring_space(&l->tx[DOWN], BATCH_MAX));
    unsigned sent = udp_step(u, in, n, out, cap, now);
    put_down(l, out, sent);
    return done + n + sent != 0;
}

/* ---- turns ---- */

/* Two domains: the same rings below, calls above. */
static bool
turn_two(struct join *j, const struct fdesc *rx, unsigned n, ns_t now)
{
    struct link *l = &ip_dom.peer[0].link;
    struct fdesc f[BATCH_MAX];
    nic_up(rx, n);
    unsigned done = fring_take_batch(&l->rx[DONE], l->rx_slots[DONE], f, BATCH_MAX);
    for (unsigned i = 0; i < done; i++)
        (void)plain_join_tx_done(j, f[i].addr);
    unsigned got = fring_take_batch(&l->rx[RX], l->rx_slots[RX], f, BATCH_MAX);
    bool busy = plain_join_turn(j, f, got, now);
    for (uint32_t i = 0; i < j->out.n_nic; i++)
        *fring_reserve(&l->tx[TX], l->tx_slots[TX]) = j->nic[i];
    for (uint32_t i = 0; i < j->out.n_freed; i++)
        *fring_reserve(&l->tx[FILL], l->tx_slots[FILL]) =
            (struct fdesc){.addr = j->out.freed[i]};
    j->out.n_nic = j->out.n_freed = 0;
    link_release(l);
    (void)link_submit(l);
    while (nic_down(j))
        ;
    return busy || done != 0;
}

static bool
turn_rings(struct join *j, const struct fdesc *rx, unsigned n, ns_t now)
{
    bool any = false, busy = true;
    nic_up(rx, n);
    for (unsigned i = 0; i < CYCLES && busy; i++) {
        busy = ticks_ip_turn(&ip_dom, now);
        busy |= ticks_tcp_turn(j->tcp, &tcp, now);
        if (ticks.domains > 3)
            busy |= ticks_udp_turn(j->udp, &udp, now);
        busy |= nic_down(j);
        any |= busy;
    }
    return any || n != 0;
}

__attribute__((noinline)) bool
ticks_measured(struct join *j, const struct fdesc *rx, unsigned n, ns_t now)
{
    return ticks.domains == 1   ? plain_join_turn(j, rx, n, now)
           : ticks.domains == 2 ? turn_two(j, rx, n, now)
                                : turn_rings(j, rx, n, now);
}

static uint64_t
ticks_now(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return domain_now(); /* nanoseconds, then */
#endif
}

bool
join_turn(struct join *j, const struct fdesc *rx, unsigned n, ns_t now)
{
    if (!counted(j))
        return plain_join_turn(j, rx, n, now);
    uint64_t start = ticks_now();
    bool busy = ticks_measured(j, rx, n, now);
    ticks.ticks += ticks_now() - start;
    ticks.packets += n + j->out.n_nic;
    ticks.turns++;
    return busy;
}

bool
join_tx_done(struct join *j, uint32_t addr)
{
    if (!counted(j) || ticks.domains == 1)
        return plain_join_tx_done(j, addr);
    *fring_reserve(&nic.tx[DONE], nic.tx_slots[DONE]) = (struct fdesc){.addr = addr};
    (void)link_submit(&nic);
    return true;
}

ns_t
join_deadline(const struct join *j)
{
    ns_t at = plain_join_deadline(j);
    if (counted(j) && ticks.domains > 1)
        for (unsigned r = 0; r < LINK_RINGS; r++)
            if (ring_avail(&nic.rx[r], 1) || ring_avail(&ip_dom.peer[0].link.rx[r], 1) ||
                ring_avail(&ip_dom.peer[1].link.rx[0], 1) || ring_avail(&tcp.rx[r], 1))
                return 0;
    return at;
}
