/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A hostile client of the tcp domain, beside an honest one: what the first does with its own
 * sessions, arena and timing must not reach the second, nor stop the domain.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp/priv.h"
#include "tcp_kit.h"

#define FOE 0
#define FRIEND 1

static struct kit k;

static void
setup(void)
{
    kit_init(&k);
}
static void
finish(void)
{
    kit_end(&k);
}

TestSuite(hostile_client, .init = setup, .fini = finish, .timeout = 30);

/* Connect and be refused by the peer. */
static void
be_refused(unsigned client, uint64_t handle, uint16_t port)
{
    struct tcp_hdr syn;
    cr_assert_eq(
        kit_call(&k, client,
                 (struct sess_req){
                     .op = REQ_CONNECT, .handle = handle, .addr = *kit_peer, .port = port},
                 NULL),
        0);
    kit_turn(&k);
    cr_assert(kit_sent(&k, &syn) && syn.flags == TCP_SYN);
    kit_segment(&k, &(struct tcp_hdr){.sport = port,
                                      .dport = syn.sport,
                                      .ack = syn.seq + 1,
                                      .flags = TCP_RST | TCP_ACK});
}

static void
expect_syn_ack(uint16_t port)
{
    static uint16_t sport = 5555;
    struct tcp_hdr h;
    sport++;
    kit_segment(&k,
                &(struct tcp_hdr){
                    .sport = sport, .dport = port, .seq = 1, .wnd = 1000, .flags = TCP_SYN});
    cr_assert(kit_sent(&k, &h));
    cr_assert_eq(h.flags, TCP_SYN | TCP_ACK, "flags %#x", h.flags);
}

/* Protects: another client's listener from one who shares its hash bucket (ports 1024 apart),
 * and whose connection attempt fails and is made again. */
Test(hostile_client, connecting_again_leaves_listeners_alone)
{
    uint64_t listener = kit_socket(&k, FRIEND, NULL);
    cr_assert_eq(kit_bind(&k, FRIEND, listener, 8080), 0);
    cr_assert_eq(kit_call(&k, FRIEND,
                          (struct sess_req){.op = REQ_LISTEN, .handle = listener, .value = 5},
                          NULL),
                 0);
    expect_syn_ack(8080);
    uint64_t h = kit_socket(&k, FOE, NULL);
    cr_assert_eq(kit_bind(&k, FOE, h, 8080 - 1024), 0);
    be_refused(FOE, h, 9);
    be_refused(FOE, h, 9);
    expect_syn_ack(8080);
    uint64_t thief = kit_socket(&k, FOE, NULL);
    cr_assert_eq(kit_bind(&k, FOE, thief, 8080), EADDRINUSE);
}

static void
arm(unsigned client, uint32_t slot)
{
    struct slot_client *s = &k.c[client].v.c_slot[slot];
    atomic_store(&s->arm, (((atomic_load(&s->arm) >> 2) + 1) << 2) | SLOT_READ);
}

/* Protects: the queue of sessions that have something to tell. A client that does not take its
 * events, fails to connect, and tries again with the same session, must not tie it into a
 * knot: the domain would never come out of it. */
Test(hostile_client, connecting_again_does_not_knot_the_event_queue)
{
    uint32_t slot[10];
    uint64_t h[10];
    struct sess_evt e;
    for (unsigned i = 0; i < 10; i++)
        h[i] = kit_socket(&k, FOE, &slot[i]);
    /* Replies to what is done from here on would need room: each call takes its own out, so
     * events are kept from leaving by never letting serve_events run between. */
    struct transport *t = (struct transport *)(void *)k.tcp;
    struct sess_evt reply;
    struct pkt out[KIT_OUT];
    uint32_t sess[10], object;
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(handle_get(k.c[FOE].v.handles, h[i], 0, &object), 0);
        sess[i] = object;
    }
    struct sess_req connect = {.op = REQ_CONNECT, .addr = *kit_peer, .port = 9};
    /* d, c, e have something to tell, in this order; then c connects again, twice. */
    static const unsigned order[] = {0, 1, 2, 1, 1};
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        unsigned s = order[i];
        memset(&reply, 0, sizeof reply);
        tcp_ops.request(t, sess[s], &connect, &reply, k.now);
        cr_assert_eq(reply.err, 0);
        arm(FOE, slot[s]);
        unsigned n = tcp_step(k.tcp, NULL, 0, out, KIT_OUT, k.now);
        cr_assert_eq(n, 1);
        struct tcp_hdr syn;
        cr_assert_eq(tcp_parse(&syn, k.frames.base + out[0].addr, out[0].len), WIRE_OK);
        (void)tcp_tx_done(k.tcp, out[0].addr);
        struct served *full = &k.serve.c[FOE]; /* the ring of events counts as full */
        full->gone = true;
        kit_segment(&k, &(struct tcp_hdr){.sport = 9,
                                          .dport = syn.sport,
                                          .ack = syn.seq + 1,
                                          .flags = TCP_RST | TCP_ACK});
        full->gone = false;
    }
    for (unsigned i = 0; i < 3; i++) {
        (void)kit_post(&k, FOE, (struct sess_req){.op = REQ_CLOSE, .handle = h[2 - i]});
        (void)kit_post(&k, FOE, (struct sess_req){.op = REQ_RELEASED, .handle = h[2 - i]});
        (void)serve_requests(&k.serve, k.now);
    }
    kit_turn(&k);
    while (kit_event(&k, FOE, &e))
        ;
    cr_assert(tcp_validate(k.tcp));
    cr_assert_eq(kit_call(&k, FOE, (struct sess_req){.op = REQ_NAME, .handle = h[5]}, NULL), 0);
}

/* Protects: a handle names the session it was made for, or none. After a restart of tcp, a
 * session that is given up (it was in work at two crashes in a row) is not handed to somebody
 * else while its owner still holds a handle. */
Test(hostile_client, an_old_handle_never_names_a_strangers_session)
{
    uint64_t old[8];
    for (unsigned i = 0; i < 8; i++)
        old[i] = kit_socket(&k, FOE, NULL);
    uint32_t guilty;
    cr_assert_eq(handle_get(k.c[FOE].v.handles, old[3], 0, &guilty), 0);
    struct tcp_store *store = k.store;
    atomic_store(&store->working, guilty);
    store->crashed = guilty;
    kit_restart(&k);
    kit_attach(&k, FRIEND, true);
    kit_turn(&k);
    uint64_t theirs[16];
    for (unsigned i = 0; i < 16; i++)
        theirs[i] = kit_socket(&k, FRIEND, NULL);
    kit_attach(&k, FOE, true);
    for (unsigned i = 0; i < 8; i++) {
        struct sess_evt e;
        (void)kit_call(&k, FOE,
                       (struct sess_req){.op = REQ_SETOPT,
                                         .handle = old[i],
                                         .level = SOL_SOCKET,
                                         .name = SO_SNDBUF,
                                         .value = 5000},
                       &e);
        (void)kit_post(&k, FOE, (struct sess_req){.op = REQ_CLOSE, .handle = old[i]});
    }
    kit_turn(&k);
    for (unsigned i = 0; i < 16; i++) {
        struct sess_evt e;
        cr_assert_eq(kit_call(&k, FRIEND,
                              (struct sess_req){.op = REQ_GETOPT,
                                                .handle = theirs[i],
                                                .level = SOL_SOCKET,
                                                .name = SO_SNDBUF},
                              &e),
                     0, "session %u was closed by a stranger", i);
        cr_assert_eq(e.value, 65536, "session %u was changed by a stranger", i);
    }
}

/* Protects: a client that was behind with its events and takes them in gets the answer that it
 * waits for, without having to ring again: it rang when it asked. */
Test(hostile_client, a_full_event_ring_does_not_lose_requests)
{
    uint64_t h = kit_socket(&k, FRIEND, NULL);
    unsigned posted = 0;
    for (; posted < 20; posted++)
        cr_assert(kit_post(&k, FRIEND, (struct sess_req){.op = REQ_NAME, .handle = h}));
    serve_wake(&k.serve, FRIEND);
    for (unsigned i = 0; i < 5; i++)
        kit_turn(&k);
    (void)serve_arm(&k.serve); /* the domain goes to sleep; 12 requests find no room */
    unsigned got = 0;
    struct sess_evt e;
    for (unsigned i = 0; i < 20; i++) { /* and is woken by its own deadline alone */
        while (kit_event(&k, FRIEND, &e))
            got++;
        cr_assert(got == posted || serve_deadline(&k.serve, k.now) != NS_NEVER);
        kit_turn(&k);
        (void)serve_arm(&k.serve);
    }
    cr_assert_eq(got, posted);
    cr_assert_eq(serve_deadline(&k.serve, k.now), NS_NEVER, "keeps polling for nothing");
}

/* A connection of FRIEND, with `bytes` written and sent as far as the peer's window goes. */
static uint64_t
established(uint32_t bytes, uint16_t peer_mss, struct tcp_hdr *syn)
{
    uint32_t slot;
    uint64_t h = kit_socket(&k, FRIEND, &slot);
    cr_assert_eq(kit_call(&k, FRIEND,
                          (struct sess_req){
                              .op = REQ_CONNECT, .handle = h, .addr = *kit_peer, .port = 80},
                          NULL),
                 0);
    kit_turn(&k);
    cr_assert(kit_sent(&k, syn));
    kit_segment(&k, &(struct tcp_hdr){.sport = 80,
                                      .dport = syn->sport,
                                      .seq = 1,
                                      .ack = syn->seq + 1,
                                      .wnd = 65535,
                                      .mss = peer_mss,
                                      .flags = TCP_SYN | TCP_ACK});
    struct slot_client *s = &k.c[FRIEND].v.c_slot[slot];
    for (unsigned i = 0; i * FIFO_PAGE < bytes; i++)
        atomic_store(&s->tx_dir.page[i], i + 1);
    atomic_store(&s->tx_tail, bytes);
    cr_assert(kit_post(&k, FRIEND, (struct sess_req){.op = REQ_SEND, .handle = h}));
    serve_wake(&k.serve, FRIEND);
    return h;
}

/* Protects: the domain from a path table that a hostile ip domain wrote, and from a peer that
 * takes any size: a segment never leaves its frame. */
Test(hostile_client, no_path_makes_a_segment_leave_its_frame)
{
    struct tcp_hdr syn;
    k.path.mtu = 65535;
    (void)established(15 * FIFO_PAGE, 65495, &syn);
    uint32_t sent = 0;
    for (unsigned i = 0; i < 3; i++) {
        kit_turn(&k);
        for (unsigned j = 0; j < k.n_out; j++) {
            cr_assert_leq(k.out[j].addr % FRAME_SIZE + k.out[j].len, FRAME_SIZE);
            sent += k.out[j].len;
        }
    }
    cr_assert_gt(sent, FRAME_SIZE, "nothing much was sent: tests nothing");
}

/* Protects: the domain from directories and maps that lie, another lie at every turn: a map
 * that is out of bounds, that is itself, that is a page of data, entries that are anything.
 * What goes out are well-formed segments of the client's own stream, whatever is in them. */
Test(hostile_client, maps_that_lie)
{
    struct tcp_hdr syn, h, ack = {.dport = 0, .sport = 80, .seq = 2, .flags = TCP_ACK};
    uint64_t handle = established(FIFO_PAGE, 1460, &syn);
    struct slot_client *s = NULL;
    struct arena_view *v = &k.c[FRIEND].v;
    for (uint32_t i = 0; i < v->g.n_slots; i++)
        if (atomic_load(&v->c_slot[i].tx_tail) != 0)
            s = &v->c_slot[i];
    cr_assert_not_null(s);
    atomic_store(&s->tx_tail, 20u << 20);
    cr_assert(kit_post(&k, FRIEND, (struct sess_req){.op = REQ_SEND, .handle = handle}));
    serve_wake(&k.serve, FRIEND);
    uint32_t x = 1, sent = 0;
    for (unsigned i = 0; i < 16000; i++) {
        uint32_t *word = (uint32_t *)(void *)v->tx_page;
        for (unsigned j = 0; j < 8; j++) {
            x = x * 1664525 + 1013904223;
            uint32_t lie = x >> 29 == 0 ? x : x >> 30 == 1 ? 0 : (x >> 8) % 68;
            atomic_store(&s->tx_dir.map[j], lie);
            atomic_store(&s->tx_dir.page[x % FIFO_DIR], x >> 28 == 3 ? x : 0);
            word[(x >> 12) % (v->g.n_tx_pages * FIFO_MAP)] = lie;
        }
        kit_turn(&k);
        for (unsigned j = 0; j < k.n_out; j++) {
            const struct pkt *o = &k.out[j];
            cr_assert_eq(tcp_parse(&h, k.frames.base + o->addr, o->len), WIRE_OK);
            sent += o->len - h.header_len;
            ack.ack = h.seq + o->len - h.header_len;
        }
        ack.dport = syn.sport;
        ack.wnd = 65535;
        if (k.n_out != 0)
            kit_segment(&k, &ack);
        else
            k.now += 100 * NS_MS;
    }
    cr_assert_gt(sent, 6u << 20, "only %u bytes: no map was looked into", sent);
    cr_assert_eq(kit_bind(&k, FRIEND, kit_socket(&k, FRIEND, NULL), 4000), 0, "it still works");
}

/* Protects: a restarted domain whose loop turns, timers fire and packets arrive before the
 * clients are back: their memory is not mapped yet. Nothing is lost by it. */
Test(hostile_client, a_restarted_domain_works_before_its_clients_are_back)
{
    struct tcp_hdr syn, h;
    uint8_t seen = 0;
    (void)established(3000, 1460, &syn);
    kit_turn(&k);
    cr_assert_gt(k.n_out, 0);
    kit_restart(&k);
    struct tcp_hdr ack = {.sport = 80,
                          .dport = syn.sport,
                          .seq = 2,
                          .ack = syn.seq + 1,
                          .wnd = 65535,
                          .flags = TCP_ACK};
    for (unsigned i = 0; i < 20; i++) {
        k.now += 500 * NS_MS;
        kit_turn(&k);
        kit_segment(&k, &ack);
    }
    kit_attach(&k, FRIEND, true);
    for (unsigned i = 0; i < 20 && !seen; i++) {
        k.now += 500 * NS_MS;
        kit_turn(&k);
        for (unsigned j = 0; j < k.n_out; j++)
            seen |= tcp_parse(&h, k.frames.base + k.out[j].addr, k.out[j].len) == WIRE_OK &&
                    h.seq == syn.seq + 1 && k.out[j].len > h.header_len;
    }
    cr_assert(seen, "what was not acknowledged is not sent again");
}
