/* SPDX-License-Identifier: BSD-2-Clause
 *
 * race_serve.c: the client library and a transport domain's code (udp, then tcp) between two
 * threads, with their arena and their bells between them as between two processes; without the
 * test library, which does not run under ThreadSanitizer: in a --enable-sanitizers=thread build
 * every access of the one side that the protocol does not order after the other's is a report.
 *
 * Protects: cursors, directories, payload and events are complete when they are seen; pages
 * and slots are given back before they are used again; and nobody sleeps for ever.
 */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "domains/serve.h"
#include "lib/client/bulkhead.h"
#include "lib/client/hooks.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

#define OWN 0x0a000001u
#define ROUNDS_CHECK 3000u
#define ROUNDS_LONG 20000u
#define BURST 8u
#define CAP 32u

static const struct arena_geometry geometry = {
    .n_slots = 8, .n_tx_pages = 16, .n_rx_pages = 16, .n_req = 16, .n_evt = 16};
static const uint32_t n_frames[PART_COUNT] = {CAP, 2, 64, 64, 2};

static struct {
    struct frames frames;
    struct path_table path;
    struct stats stats;
    struct serve s;
    bool is_tcp;
    struct tcp *tcp;
    struct udp *udp;
    struct arena_view v;
    void *half[2];
    int to_domain[2], to_client[2];
    atomic_bool stop;
} w;

static ns_t
now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (ns_t)ts.tv_sec * NS_S + (ns_t)ts.tv_nsec;
}

static void *
zeroed(size_t bytes)
{
    void *p = aligned_alloc(4096, ALIGN_UP(bytes, (size_t)4096));
    if (p == NULL)
        abort();
    return memset(p, 0, ALIGN_UP(bytes, (size_t)4096));
}

/* What goes down comes up again: ip's loopback. */
static unsigned
turn_round(const struct pkt *out, unsigned n, struct pkt *in)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t at = i * FRAME_SIZE + 128;
        memcpy(w.frames.base + at, w.frames.base + out[i].addr, out[i].len);
        in[i] = out[i];
        in[i].addr = at;
        in[i].aux = out[i].len;
        if (w.is_tcp)
            (void)tcp_tx_done(w.tcp, out[i].addr);
        else
            (void)udp_tx_done(w.udp, out[i].addr);
    }
    return n;
}

static void *
domain(void *arg)
{
    struct pkt in[CAP], out[CAP];
    unsigned n = 0;
    (void)arg;
    while (!atomic_load(&w.stop)) {
        bool busy = serve_requests(&w.s, now());
        unsigned sent = w.is_tcp ? tcp_step(w.tcp, in, n, out, CAP, now())
                                 : udp_step(w.udp, in, n, out, CAP, now());
        busy |= n != 0 || sent != 0;
        n = turn_round(out, sent, in);
        serve_events(&w.s);
        if (busy || serve_arm(&w.s))
            continue;
        ns_t t = now(), at = w.is_tcp ? tcp_deadline(w.tcp) : udp_deadline(w.udp);
        at = min_u64(at, serve_deadline(&w.s, t));
        struct pollfd p = {.fd = w.to_domain[0], .events = POLLIN};
        if (at > t)
            (void)poll(&p, 1, at == NS_NEVER ? 1000 : (int)((at - t) / NS_MS + 1));
        struct bell_sleeper b = {.fd = w.to_domain[0]};
        (void)bell_drain(&b);
        serve_wake(&w.s, w.s.first);
    }
    return NULL;
}

static void
set_up(bool is_tcp)
{
    struct sess_limits limits = {.sessions = 8, .half_open = 4};
    account_rules_any(&limits.rules);
    static const struct udp_config udp = {.n_sessions = 16, .sndbuf = 20000, .rcvbuf = 20000};
    static const struct tcp_config tcp = {
        .n_sessions = 64, .half_open = 4, .orphans = 16, .sndbuf = 20000, .rcvbuf = 20000};
    memset((void *)&w, 0, sizeof w);
    w.is_tcp = is_tcp;
    frames_layout(&w.frames, n_frames);
    w.frames.base = zeroed(frames_bytes(&w.frames));
    w.frames.readable = w.frames.writable = ~0u;
    w.path =
        (struct path_table){.addr = ipaddr_v4_u32(OWN), .prefix = 24, .mtu = 1500, .ready = 1};
    if (is_tcp)
        w.tcp = tcp_init(zeroed(tcp_store_size(&tcp, &w.frames)),
                         zeroed(tcp_soft_size(&tcp, &w.frames)), &tcp, &w.frames, &w.path,
                         &w.stats, now());
    else
        w.udp = udp_init(zeroed(udp_store_size(&udp, &w.frames)),
                         zeroed(udp_soft_size(&udp, &w.frames)), &udp, &w.frames, &w.path,
                         &w.stats, now());
    serve_init(&w.s, is_tcp ? &tcp_ops : &udp_ops,
               is_tcp ? (struct transport *)(void *)w.tcp : (struct transport *)(void *)w.udp,
               is_tcp ? tcp_clients_ready(w.tcp) : udp_clients_ready(w.udp),
               is_tcp ? 0 : SERVE_CLIENTS, &w.stats);
    w.half[0] = zeroed(arena_client_bytes(&geometry));
    w.half[1] = zeroed(arena_domain_bytes(&geometry));
    arena_view_init(&w.v, &geometry, w.half[0], w.half[1]);
    if (bell_pipe(w.to_domain) != 0 || bell_pipe(w.to_client) != 0 ||
        serve_add(&w.s, w.s.first, &w.v, &limits, false, w.to_domain[0], w.to_client[1]) != 0)
        abort();
}

static void
pattern(uint8_t *p, size_t n, unsigned round)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + round);
}

/* Datagrams or bytes to itself, several pieces at once, each compared. NULL, or what is wrong.
 */
static const char *
exchange(int from, int to, unsigned round)
{
    uint8_t sent[1400], got[1400];
    size_t len = 1 + round * 37 % sizeof sent;
    struct pollfd p = {.fd = to, .events = POLLIN};
    for (unsigned i = 0; i < BURST; i++) {
        pattern(sent, len, round + i);
        if (bh_send(from, sent, len, 0) != (ssize_t)len)
            return "not all can be sent";
    }
    for (unsigned i = 0; i < BURST; i++) {
        if (round % 2 && bh_poll(&p, 1, 10000) != 1)
            return "nobody woke a poll";
        if (bh_recv(to, got, len, w.is_tcp ? MSG_WAITALL : 0) != (ssize_t)len)
            return "what came has another length";
        pattern(sent, len, round + i);
        if (memcmp(sent, got, len) != 0)
            return "what came is not what was sent";
    }
    return NULL;
}

/* Two sockets that talk to each other; listener: -1 for datagrams. */
static bool
make_pair(uint16_t port, int fd[2], int *listener)
{
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(OWN), .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 10};
    int type = w.is_tcp ? SOCK_STREAM : SOCK_DGRAM, on = 1;
    int a = bh_socket(AF_INET, type, 0), b = bh_socket(AF_INET, type, 0);
    (void)bh_setsockopt(b, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a < 0 || b < 0 || bh_bind(b, (void *)&sin, sizeof sin) != 0 ||
        (w.is_tcp && bh_listen(b, 4) != 0) || bh_connect(a, (void *)&sin, sizeof sin) != 0)
        return false;
    *listener = w.is_tcp ? b : -1;
    fd[0] = a;
    fd[1] = w.is_tcp ? bh_accept(b, NULL, NULL) : b;
    return bh_setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0;
}

static const char *
client(unsigned rounds)
{
    const char *fault = NULL;
    for (unsigned i = 0; i < rounds && fault == NULL; i += 100) {
        int fd[2], listener;
        if (!make_pair((uint16_t)(2000 + i / 100 % 1000), fd, &listener))
            return "no pair of sockets";
        for (unsigned j = 0; j < 100 && fault == NULL; j++)
            fault = exchange(fd[j % 2 * w.is_tcp], fd[1 - j % 2 * w.is_tcp], i + j);
        bh_close(fd[1]); /* its TIME-WAIT is the other's: which wants no slot */
        bh_close(fd[0]);
        if (listener >= 0)
            bh_close(listener);
    }
    return fault;
}

static int
run(unsigned number, bool is_tcp, unsigned rounds)
{
    pthread_t t;
    set_up(is_tcp);
    struct lib *l = bh_test_new(NULL);
    if (l == NULL ||
        bh_test_attach(l, is_tcp ? IPPROTO_TCP : IPPROTO_UDP, &geometry, w.half[0], w.half[1],
                       w.to_client[0], w.to_domain[1]) != 0 ||
        pthread_create(&t, NULL, domain, NULL) != 0) {
        printf("Bail out! no library or no thread\n");
        exit(1);
    }
    bh_test_use(l);
    const char *fault = client(rounds);
    struct bell_ringer r = {.fd = w.to_domain[1]};
    atomic_store(&w.stop, true);
    bell_ring(&r);
    pthread_join(t, NULL);
    printf("%s %u - race: %u rounds between a client and the %s domain in two threads\n",
           fault == NULL ? "ok" : "not ok", number, rounds, is_tcp ? "tcp" : "udp");
    if (fault != NULL)
        printf("# %s\n", fault);
    return fault != NULL;
}

int
main(void)
{
    unsigned rounds = getenv("BH_LONG") != NULL ? ROUNDS_LONG : ROUNDS_CHECK;
    printf("1..2\n");
    return run(1, false, rounds) + run(2, true, rounds);
}
