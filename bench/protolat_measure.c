/* SPDX-License-Identifier: BSD-2-Clause
 *
 * protolat_measure.c: the measuring client: one message at a time, there and back.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/pattern.h"
#include "bench/protolat.h"
#include "bench/tool.h"

/* A datagram whose echo has not come after this long is lost. */
#define UDP_WAIT_NS 200000000u
/* A byte stream loses nothing; a peer that is silent this long is taken for gone. */
#define TCP_WAIT_S 30
#define SEQ_BYTES 8u

struct client {
    const struct protolat *p;
    int fd;
    unsigned char *out, *in;
    struct pattern pattern;
    uint64_t answered;
};

/* Message number seq: the number, low byte first, as far as there is room; then the pattern.
 * A one-byte message has one byte of the number: an echo that is late by 256 messages would
 * be taken for the right one. */
static void
stamp(struct client *c, uint64_t seq)
{
    size_t n = c->p->size < SEQ_BYTES ? c->p->size : SEQ_BYTES;
    for (size_t i = 0; i < n; i++)
        c->out[i] = (unsigned char)(seq >> (8 * i));
}

static bool
set_wait(const struct client *c, uint64_t ns)
{
    struct timeval tv = {.tv_sec = (time_t)(ns / 1000000000u),
                         .tv_usec = (suseconds_t)(ns % 1000000000u / 1000u)};
    if (tv.tv_sec == 0 && tv.tv_usec == 0)
        tv.tv_usec = 1;
    return c->p->via->setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0;
}

static void
open_client(struct client *c)
{
    const struct protolat *p = c->p;
    struct sockaddr_in to = tool_address(p->host, p->port);
    int on = 1;

    c->out = malloc(p->size);
    c->in = malloc(p->size);
    if (!c->out || !c->in || !pattern_init(&c->pattern, 1, 4096))
        tool_die(EXIT_OTHER, "no memory for messages of %zu bytes", p->size);
    pattern_fill(&c->pattern, 0, c->out, p->size);

    c->fd = via_socket_or_exit(p->via, p->tcp ? SOCK_STREAM : SOCK_DGRAM);
    if (p->address) {
        struct sockaddr_in from = tool_address(p->address, 0);
        if (p->via->bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
            tool_die(EXIT_OTHER, "cannot bind to %s: %s", p->address, strerror(errno));
    }
    if (p->tcp && p->via->setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        tool_die(EXIT_OTHER, "TCP_NODELAY: %s", strerror(errno));
    if (!set_wait(c, p->tcp ? TCP_WAIT_S * 1000000000ull : UDP_WAIT_NS))
        tool_die(EXIT_OTHER, "SO_RCVTIMEO: %s", strerror(errno));
    if (p->via->connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        tool_die(EXIT_NETWORK, "cannot connect to %s port %u: %s", p->host, p->port,
                 strerror(errno));
}

_Noreturn static void
broken(uint64_t seq, const char *why)
{
    tool_die(EXIT_NETWORK, "message %llu: %s", (unsigned long long)seq, why);
}

/* recv() that looks for a while before it sleeps, if it was told to. */
static ssize_t
receive(const struct client *c, size_t at, size_t len, int flags)
{
    uint64_t spin = flags & MSG_DONTWAIT ? 0 : c->p->spin_ns;
    uint64_t until = spin > 0 ? tool_nanoseconds() + spin : 0;
    while (spin > 0 && tool_nanoseconds() < until) {
        ssize_t n = c->p->via->recv(c->fd, c->in + at, len, flags | MSG_DONTWAIT);
        if (n >= 0 || errno != EAGAIN)
            return n;
        sched_yield();
    }
    return c->p->via->recv(c->fd, c->in + at, len, flags);
}

/* A big message and its echo may not fit into the buffers on the way, so both directions
 * move at once, by poll; a small one is one send and one receive that blocks. */
static void
exchange_tcp(struct client *c, uint64_t seq)
{
    const struct via *via = c->p->via;
    size_t size = c->p->size, sent = 0, got = 0;

    while (got < size) {
        ssize_t n;
        if (sent < size) {
            n = via->send(c->fd, c->out + sent, size - sent, MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                broken(seq, strerror(errno));
            sent += n > 0 ? (size_t)n : 0;
        }
        n = receive(c, got, size - got, sent < size ? MSG_DONTWAIT : 0);
        if (n == 0)
            broken(seq, "the server ended the connection");
        if (n < 0 && errno == EAGAIN && sent == size)
            broken(seq, "no answer");
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            broken(seq, strerror(errno));
        got += n > 0 ? (size_t)n : 0;
        if (n < 0 && sent < size) {
            struct pollfd pfd = {.fd = c->fd, .events = POLLIN | POLLOUT};
            if (via->poll(&pfd, 1, TCP_WAIT_S * 1000) == 0)
                broken(seq, "no answer");
        }
    }
    if (memcmp(c->in, c->out, size))
        broken(seq, "the echo is not what was sent");
}

/* True: the echo came in time. Echoes of earlier messages, and ICMP errors once the server
 * has answered at all, are passed over; only the clock makes a message lost. */
static bool
exchange_udp(struct client *c, uint64_t seq)
{
    const struct via *via = c->p->via;
    size_t size = c->p->size;
    uint64_t end = tool_nanoseconds() + UDP_WAIT_NS;
    bool shortened = false, ok = false;

    if (via->send(c->fd, c->out, size, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS &&
        errno != EHOSTUNREACH)
        broken(seq, strerror(errno));
    for (;;) {
        ssize_t n = receive(c, 0, size, MSG_TRUNC);
        if (n == (ssize_t)size && !memcmp(c->in, c->out, size)) {
            ok = true;
            break;
        }
        if (n < 0 && errno == ECONNREFUSED && !c->answered)
            broken(seq, strerror(errno));
        uint64_t now = tool_nanoseconds();
        if (now >= end)
            break;
        /* Something else came: wait for what is left of the time only. */
        set_wait(c, end - now);
        shortened = true;
    }
    if (shortened)
        set_wait(c, UDP_WAIT_NS);
    c->answered += ok;
    return ok;
}

static int
by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The smallest sample that at least `percent` of all samples do not exceed. */
static double
percentile_us(const uint32_t *ns, uint64_t n, unsigned percent)
{
    uint64_t rank = (n * percent + 99) / 100;
    return (double)ns[rank ? rank - 1 : 0] / 1e3;
}

static void
report(const struct protolat *p, uint32_t *ns, uint64_t n)
{
    unsigned long long count = p->count, lost = p->count - n;
    qsort(ns, n, sizeof *ns, by_value);
    if (!n && p->json)
        printf("{\"size\": %zu, \"count\": %llu, \"lost\": %llu, \"min_us\": null, "
               "\"p50_us\": null, \"p99_us\": null, \"max_us\": null}\n",
               p->size, count, lost);
    else if (!n)
        printf("%llu messages of %zu bytes, all lost\n", count, p->size);
    else
        printf(p->json ? "{\"size\": %zu, \"count\": %llu, \"lost\": %llu, \"min_us\": %.2f, "
                         "\"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f}\n"
                       : "size %zu, count %llu, lost %llu: min %.2f us, p50 %.2f us, "
                         "p99 %.2f us, max %.2f us\n",
               p->size, count, lost, (double)ns[0] / 1e3, percentile_us(ns, n, 50),
               percentile_us(ns, n, 99), (double)ns[n - 1] / 1e3);
    fflush(stdout);
}

int
protolat_measure(const struct protolat *p)
{
    struct client c = {.p = p};
    uint32_t *ns = calloc(p->count, sizeof *ns);
    uint64_t n = 0;

    open_client(&c);
    if (!ns)
        tool_die(EXIT_OTHER, "no memory for %llu samples", (unsigned long long)p->count);
    for (uint64_t seq = 0; seq < p->warmup + p->count; seq++) {
        bool ok = true;
        stamp(&c, seq);
        uint64_t t0 = tool_nanoseconds();
        if (p->tcp)
            exchange_tcp(&c, seq);
        else
            ok = exchange_udp(&c, seq);
        uint64_t took = tool_nanoseconds() - t0;
        if (ok && seq >= p->warmup)
            ns[n++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
    }
    p->via->close(c.fd);
    report(p, ns, n);
    free(ns);
    free(c.out);
    free(c.in);
    pattern_fini(&c.pattern);
    return n ? EXIT_OK : EXIT_NETWORK;
}
