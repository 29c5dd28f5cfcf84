/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ip and udp together, with a queue between them as in the factored composition, and a udp that
 * gets less time than the wire needs: whose session is flooded loses, and no other.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "test_ip_kit.h"
#include "udp/udp.h"

#define QUEUE 128u  /* between ip and udp */
#define A_TURN 64u  /* what udp takes of it while ... */
#define FLOOD 200u  /* ... so many come for one port */
#define ROUNDS 200u /* of that, and of one datagram for another port */
#define PAGES 32u

static const struct arena_geometry geometry = {
    .n_slots = 4, .n_tx_pages = 4, .n_rx_pages = PAGES, .n_req = 4, .n_evt = 4};

static struct world {
    struct kit *k;
    struct udp *u;
    struct stats st;
    struct arena_view v[2];
    void *mem[6];
    struct pkt q[QUEUE];
    uint32_t n_q;
    uint32_t sess[2]; /* one of each client; ports 53 and 54 */
} w;

static void *
zeroed(unsigned i, size_t bytes)
{
    w.mem[i] = aligned_alloc(FIFO_PAGE, ALIGN_UP(bytes, (size_t)FIFO_PAGE));
    cr_assert_not_null(w.mem[i]);
    return memset(w.mem[i], 0, ALIGN_UP(bytes, (size_t)FIFO_PAGE));
}

static void
request(unsigned i, struct sess_req r)
{
    struct sess_evt e = {0};
    udp_ops.request((struct transport *)(void *)w.u, w.sess[i], &r, &e, w.k->now);
    cr_assert_eq(e.err, 0);
}

static void
client(unsigned i)
{
    static const struct sess_grant any = {.first = 1, .last = 65535};
    struct sess_limits limits = {.sessions = 2};
    struct transport *t = (struct transport *)(void *)w.u;
    uint32_t slot;
    account_rules_any(&limits.rules);
    arena_view_init(&w.v[i], &geometry, zeroed(2 + 2 * i, arena_client_bytes(&geometry)),
                    zeroed(3 + 2 * i, arena_domain_bytes(&geometry)));
    cr_assert_eq(udp_ops.client_add(t, i, &w.v[i], &limits), 0);
    cr_assert_eq(udp_ops.open(t, i, &any, &w.sess[i], &slot), 0);
    cr_assert_eq(slot, 0);
    request(i, (struct sess_req){.op = REQ_BIND, .port = (uint16_t)(53 + i)});
}

static void
setup(void)
{
    memset((void *)&w, 0, sizeof w);
    w.k = kit_ready();
    struct udp_config c = {
        .n_sessions = 4, .sndbuf = 20000, .rcvbuf = 20000, .ports = &w.k->ports};
    w.u =
        udp_init(zeroed(0, udp_store_size(&c, &w.k->f)), zeroed(1, udp_soft_size(&c, &w.k->f)),
                 &c, &w.k->f, &w.k->path, &w.st, w.k->now);
    client(0);
    client(1);
}

static void
finish(void)
{
    cr_assert(udp_validate(w.u));
    cr_assert_eq(kit_away(w.k), 0);
    kit_free(w.k);
    for (unsigned i = 0; i < ARRAY_LEN(w.mem); i++)
        free(w.mem[i]);
}

TestSuite(demux, .init = setup, .fini = finish);

/* From the wire, through ip, into the queue. */
static void
arrives(uint16_t port)
{
    struct frame f = mk_udp(PEER, OUR_IP, 100);
    put_be16(f.b + ETH_HEADER + IP4_HEADER + 2, port);
    memset(f.b + ETH_HEADER + IP4_HEADER + 6, 0, 2); /* no checksum */
    w.k->out.cap_up[IP_UP_UDP] = QUEUE - w.n_q;
    kit_in(w.k, &f);
    for (uint32_t i = 0; i < w.k->out.n_up[IP_UP_UDP]; i++)
        w.q[w.n_q++] = w.k->up[IP_UP_UDP][i];
    kit_forget(w.k);
}

static void
udp_turn(void)
{
    struct pkt out[A_TURN];
    unsigned n = min_u32(w.n_q, A_TURN);
    unsigned sent = udp_step(w.u, w.q, n, out, A_TURN, w.k->now);
    for (unsigned i = 0; i < sent; i++)
        cr_assert(udp_tx_done(w.u, out[i].addr));
    for (unsigned i = 0; i < n; i++) {
        w.k->place[w.q[i].addr / FRAME_SIZE] = IN_IP;
        ip_up_done(w.k->ip, w.q[i].addr, &w.k->out);
    }
    kit_settle(w.k);
    w.n_q -= n;
    memmove(w.q, w.q + n, w.n_q * sizeof w.q[0]);
    w.k->now += NS_MS;
}

/* The client reads all that there is and says so, if it must. Returns the datagrams. */
static uint32_t
reads(unsigned i)
{
    struct slot_client *c = &w.v[i].c_slot[0];
    struct slot_domain *d = &w.v[i].d_slot[0];
    uint64_t n = (d->rx_tail - c->rx_head) / dgram_record_bytes(100);
    c->rx_head = d->rx_tail;
    if (n != 0 && c->rx_head >= d->rx_notify)
        request(i, (struct sess_req){.op = REQ_CONSUMED});
    return (uint32_t)n;
}

static uint32_t
flooded(uint16_t port)
{
    uint32_t got = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < FLOOD; i++) {
            arrives(port);
            if (i == FLOOD / 2)
                arrives(54);
        }
        udp_turn();
        got += reads(1);
    }
    while (w.n_q != 0)
        udp_turn();
    return got + reads(1);
}

/* Protects a session from a flood to another one whose program does not read: the first of the
 * flood fill the queue once, and from then on nothing is lost. When that program reads at last,
 * it is served again, and what ip dropped is charged to it alone. */
Test(demux, unread)
{
    uint32_t got = flooded(53);
    cr_assert_geq(got, ROUNDS - 5);
    uint64_t handed = stat_get(&w.st, STAT_seg_rx) + stat_get(&w.st, STAT_udp_drop_rcvbuf);
    cr_assert_leq(handed, ROUNDS + 1000, "%lu: udp was bothered", (unsigned long)handed);
    uint64_t shed = kit_stat(w.k, STAT_ip_drop_port_full);
    cr_assert_geq(shed, ROUNDS * FLOOD - 1000);
    cr_assert_gt(reads(0), 100);
    arrives(53);
    udp_turn();
    cr_assert_eq(reads(0), 1);
    struct sess_info info;
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(udp_ops.info((struct transport *)(void *)w.u, w.sess[i], &info));
        cr_assert(i == 0 ? info.drops >= shed : info.drops == 0);
    }
}

/* The same for a port that nobody has; what could be answered took some room. */
Test(demux, closed)
{
    uint32_t got = flooded(55);
    cr_assert_geq(got, ROUNDS - 5);
    cr_assert_leq(stat_get(&w.st, STAT_drop_noport), 300);
}
