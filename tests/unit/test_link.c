/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Links: two halves, each mapped read-only on the other side, so that a side that wrote
 * into its peer's half would fault here.
 */
#include <criterion/criterion.h>

#include <sys/ioctl.h>

#include "base/frame.h"
#include "ipc/link.h"
#include "ipc/region.h"

struct end {
    struct link l;
    void *own;
    const void *peer;
};

struct duo {
    enum link_kind kind;
    struct link_sizes sizes;
    struct end e[2];
    int bell[2][2]; /* [side that sleeps] */
};

static struct link_sizes
sizes_of(enum link_kind kind, const uint32_t n[PART_COUNT])
{
    struct frames f;
    struct link_sizes s;
    memset(&f, 0, sizeof f);
    frames_layout(&f, n);
    link_sizes_for(&s, kind, &f);
    return s;
}

static void
duo_up(struct duo *d)
{
    for (unsigned i = 0; i < 2; i++)
        link_half_clear(d->e[i].own, d->kind, (enum link_side)i, &d->sizes);
    for (unsigned i = 0; i < 2; i++)
        link_init(&d->e[i].l, d->kind, (enum link_side)i, &d->sizes, d->e[i].own, d->e[i].peer,
                  d->bell[i][0], d->bell[1 - i][1]);
}

static void
duo_make(struct duo *d, enum link_kind kind)
{
    static const uint32_t n[PART_COUNT] = {64, 8, 16, 16, 8};
    d->kind = kind;
    d->sizes = sizes_of(kind, n);
    for (unsigned i = 0; i < 2; i++) {
        struct region r;
        size_t size = link_half_bytes(kind, (enum link_side)i, &d->sizes);
        cr_assert_eq(region_create(&r, "half", size), 0);
        d->e[i].own = region_map(r.fd_rw, size, true, NULL);
        d->e[1 - i].peer = region_map(r.fd_ro, size, false, NULL);
        cr_assert(d->e[i].own != NULL && d->e[1 - i].peer != NULL);
        region_close(&r);
        cr_assert_eq(bell_pipe(d->bell[i]), 0);
    }
    duo_up(d);
}

static int
bell_bytes(const struct duo *d, unsigned sleeper)
{
    int n = -1;
    cr_assert_eq(ioctl(d->bell[sleeper][0], FIONREAD, &n), 0);
    return n;
}

static bool
send_one(struct end *e, unsigned ring, bool is_pkt, uint32_t addr)
{
    if (is_pkt) {
        struct pkt *p = pring_reserve(&e->l.tx[ring], e->l.tx_slots[ring]);
        if (p != NULL)
            *p = (struct pkt){.addr = addr, .l3_len = (uint16_t)~addr};
        return p != NULL;
    }
    struct fdesc *f = fring_reserve(&e->l.tx[ring], e->l.tx_slots[ring]);
    if (f != NULL)
        *f = (struct fdesc){.addr = addr, .len = (uint16_t)~addr};
    return f != NULL;
}

static bool
take_one(struct end *e, unsigned ring, bool is_pkt, uint32_t *addr)
{
    if (is_pkt) {
        struct pkt p;
        if (!pring_take(&e->l.rx[ring], e->l.rx_slots[ring], &p))
            return false;
        cr_assert_eq(p.l3_len, (uint16_t)~p.addr);
        *addr = p.addr;
        return true;
    }
    struct fdesc f;
    if (!fring_take(&e->l.rx[ring], e->l.rx_slots[ring], &f))
        return false;
    cr_assert_eq(f.len, (uint16_t)~f.addr);
    *addr = f.addr;
    return true;
}

/* Protects: every ring of both kinds and directions takes exactly as many descriptors as it
 * has slots, and hands over each; so no two rings share memory, and none leaves its half. */
static void
fill_and_empty(enum link_kind kind)
{
    struct duo d;
    duo_make(&d, kind);
    for (unsigned round = 0; round < 3; round++) {
        uint32_t sent = 0;
        for (unsigned side = 0; side < 2; side++)
            for (unsigned r = 0; r < LINK_RINGS; r++)
                for (uint32_t i = 0; i < d.sizes.cap[side][r]; i++)
                    cr_assert(send_one(&d.e[side], r, kind == LINK_UP && r == 0, sent++));
        for (unsigned side = 0; side < 2; side++) {
            for (unsigned r = 0; r < LINK_RINGS; r++)
                if (d.sizes.cap[side][r] != 0)
                    cr_assert_not(send_one(&d.e[side], r, kind == LINK_UP && r == 0, 0));
            link_submit(&d.e[side].l);
        }
        uint32_t got = 0, addr;
        for (unsigned side = 0; side < 2; side++)
            for (unsigned r = 0; r < LINK_RINGS; r++)
                for (uint32_t i = 0; i < d.sizes.cap[side][r]; i++) {
                    cr_assert(take_one(&d.e[1 - side], r, kind == LINK_UP && r == 0, &addr));
                    cr_assert_eq(addr, got++);
                }
        for (unsigned side = 0; side < 2; side++) {
            cr_assert_not(link_poisoned(&d.e[side].l));
            link_release(&d.e[side].l);
        }
    }
}

Test(link, nic_rings_carry)
{
    fill_and_empty(LINK_NIC);
}

Test(link, up_rings_carry)
{
    fill_and_empty(LINK_UP);
}

/* Protects: the halves are as large as what lies in them, and the sizes what the rings need:
 * powers of two, room for every frame that could be in them, also for absurd pools. */
Test(link, sizes_fit_the_frames)
{
    static const uint32_t pools[][PART_COUNT] = {
        {64, 8, 16, 16, 8}, {1, 1, 1, 1, 1}, {4096, 512, 2048, 1024, 64}, {5000, 0, 0, 0, 0}};
    for (unsigned i = 0; i < ARRAY_LEN(pools); i++) {
        uint32_t tx = pools[i][PART_IPTX] + pools[i][PART_TCPTX] + pools[i][PART_UDPTX];
        for (unsigned kind = 0; kind < 2; kind++) {
            struct link_sizes s = sizes_of((enum link_kind)kind, pools[i]);
            for (unsigned side = 0; side < 2; side++)
                for (unsigned r = 0; r < LINK_RINGS; r++) {
                    uint32_t cap = s.cap[side][r];
                    cr_assert_eq(cap & (cap - 1), 0);
                    if (!(kind == LINK_UP && side == LINK_B && r == 1))
                        cr_assert_geq(cap, 2);
                }
            if (kind == LINK_NIC) {
                cr_assert_geq(s.cap[LINK_A][0], pools[i][PART_RX]);
                cr_assert_geq(s.cap[LINK_B][1], pools[i][PART_RX]);
                cr_assert_geq(s.cap[LINK_B][0], tx);
            }
            cr_assert_geq(s.cap[LINK_A][1], tx);
        }
    }
}

/* Protects: one write for one arming, only after something was published, and only from the
 * side that published. */
Test(link, rings_the_bell_of_a_sleeper_once)
{
    struct duo d;
    duo_make(&d, LINK_UP);
    struct link *a = &d.e[0].l, *b = &d.e[1].l;
    cr_assert(send_one(&d.e[0], 0, true, 1));
    cr_assert_not(link_submit(a), "nobody sleeps");
    cr_assert(link_arm(b), "something waits");
    cr_assert_not(bell_armed(&b->sleeper));
    uint32_t addr;
    cr_assert(take_one(&d.e[1], 0, true, &addr));
    cr_assert_not(link_arm(b));
    cr_assert(bell_armed(&b->sleeper));
    cr_assert_not(link_submit(a), "nothing was published");
    cr_assert_eq(bell_bytes(&d, 1), 0);
    cr_assert(send_one(&d.e[0], 1, false, 2));
    cr_assert(link_submit(a));
    cr_assert(send_one(&d.e[0], 0, true, 3));
    cr_assert_not(link_submit(a), "rung already");
    cr_assert_eq(bell_bytes(&d, 1), 1);
    cr_assert_eq(bell_bytes(&d, 0), 0);
    cr_assert(bell_drain(&b->sleeper));
    bell_disarm(&b->sleeper);
    cr_assert(link_arm(b));
}

/* Protects: a link comes up clean after one side died in any state. */
Test(link, comes_up_again_after_a_death)
{
    struct duo d;
    uint32_t addr;
    duo_make(&d, LINK_NIC);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert(send_one(&d.e[0], 0, false, i));
    link_submit(&d.e[0].l);
    cr_assert(take_one(&d.e[1], 0, false, &addr));
    link_release(&d.e[1].l);
    link_arm(&d.e[0].l);
    duo_up(&d);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_not(link_poisoned(&d.e[i].l));
        cr_assert_not(bell_armed(&d.e[i].l.sleeper));
    }
    cr_assert_not(take_one(&d.e[1], 0, false, &addr));
    cr_assert(send_one(&d.e[0], 0, false, 77));
    link_submit(&d.e[0].l);
    cr_assert(take_one(&d.e[1], 0, false, &addr));
    cr_assert_eq(addr, 77);
}

/* Protects: a poisoned ring is noticed before its owner sleeps on it, once: a link that is
 * known to be poisoned keeps nobody awake. */
Test(link, tells_of_poison_before_sleep)
{
    struct duo d;
    duo_make(&d, LINK_UP);
    struct link_half *h = d.e[0].own;
    atomic_store(&h->produce[0].tail, 0x12345678u);
    cr_assert_not(link_poisoned(&d.e[1].l));
    cr_assert(link_arm(&d.e[1].l));
    cr_assert(link_poisoned(&d.e[1].l));
    cr_assert_not(link_arm(&d.e[1].l));
    cr_assert_not(link_poisoned(&d.e[0].l), "the liar itself is no judge");
}

/* Protects: a peer that did not clear its half is caught, on both of its words. */
Test(link, an_old_half_is_poison)
{
    struct duo d;
    duo_make(&d, LINK_NIC);
    struct link_half *h = d.e[0].own;
    struct end *b = &d.e[1];
    atomic_store(&h->consume[0].head, 3);
    link_half_clear(b->own, d.kind, LINK_B, &d.sizes);
    link_init(&b->l, d.kind, LINK_B, &d.sizes, b->own, b->peer, d.bell[1][0], d.bell[0][1]);
    cr_assert(link_poisoned(&b->l));
    cr_assert_not(send_one(b, 0, false, 0));
}
