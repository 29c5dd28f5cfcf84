/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ttcp.c: bulkhead-ttcp: how fast bytes get through one TCP connection, and at what cost.
 *
 * The clock of the transmitter stops when the receiver has everything: it ends its direction,
 * and the receiver ends the other one only after it has read to the end.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/pattern.h"
#include "bench/tool.h"

#define DEFAULT_PORT 5001u
#define DEFAULT_BYTES (256u << 20)
#define DEFAULT_SIZE (64u << 10)
#define PIECES 16

struct ttcp {
    const struct via *via;
    const char *host; /* NULL: receive */
    const char *address;
    const char *congestion; /* NULL: the stack's own choice */
    int sndbuf, rcvbuf;     /* 0: the stack's own choice */
    unsigned port;
    uint64_t bytes;
    bool bytes_given;
    size_t size;
    uint64_t seed;
    bool zero_copy, nodelay, verify, json;
    struct pattern pattern;
    unsigned char *buf; /* of size; the copying receiver's */
};

static void
report(const struct ttcp *t, uint64_t bytes, double seconds, double cpu)
{
    double bps = seconds > 0 ? (double)bytes * 8 / seconds : 0;
    if (t->json)
        printf("{\"bytes\": %llu, \"seconds\": %.6f, \"bits_per_second\": %.0f, "
               "\"cpu_seconds\": %.6f}\n",
               (unsigned long long)bytes, seconds, bps, cpu);
    else
        printf("%s %llu bytes in %.3f s: %.1f Mbit/s, %.3f s of CPU\n",
               t->host ? "sent" : "received", (unsigned long long)bytes, seconds, bps / 1e6,
               cpu);
    fflush(stdout);
}

/* Hand over the next piece, at most `left` bytes of the sequence from offset `at` on. Returns
 * the bytes taken or -1. */
static ssize_t
send_piece(const struct ttcp *t, int fd, uint64_t at, uint64_t left)
{
    size_t want = left < t->size ? (size_t)left : t->size;
    if (!t->zero_copy)
        return t->via->send(fd, pattern_at(&t->pattern, at), want, 0);

    struct iovec iov[PIECES];
    int n = PIECES;
    ssize_t room = t->via->reserve(fd, want, iov, &n);
    if (room < 0)
        return -1;
    size_t done = 0;
    for (int i = 0; i < n && done < want; i++) {
        size_t len = iov[i].iov_len < want - done ? iov[i].iov_len : want - done;
        pattern_fill(&t->pattern, at + done, iov[i].iov_base, len);
        done += len;
    }
    return t->via->commit(fd, done) < 0 ? -1 : (ssize_t)done;
}

static void
set_congestion(const struct ttcp *t, int fd)
{
    char name[16] = {0}; /* TCP_CA_NAME_MAX of the kernel */
    memcpy(name, t->congestion, strlen(t->congestion));
    if (t->via->setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, sizeof name) < 0)
        tool_die(EXIT_OTHER, "the %s stack refuses the congestion control \"%s\": %s",
                 t->via->name, t->congestion, strerror(errno));
}

/* Before connect: the kernel chooses its window's scale then. Accepted sockets inherit them. */
static void
set_buffers(const struct ttcp *t, int fd)
{
    const int name[] = {SO_SNDBUF, SO_RCVBUF}, bytes[] = {t->sndbuf, t->rcvbuf};
    for (int i = 0; i < 2; i++)
        if (bytes[i] && t->via->setsockopt(fd, SOL_SOCKET, name[i], &bytes[i], sizeof(int)) < 0)
            tool_die(EXIT_OTHER, "a buffer of %d bytes: %s", bytes[i], strerror(errno));
}

static int
transmit(struct ttcp *t)
{
    struct sockaddr_in to = tool_address(t->host, t->port);
    int on = 1, fd = via_socket_or_exit(t->via, SOCK_STREAM);
    char byte;

    if (t->address) {
        struct sockaddr_in from = tool_address(t->address, 0);
        if (t->via->bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
            tool_die(EXIT_OTHER, "cannot bind to %s: %s", t->address, strerror(errno));
    }
    if (t->nodelay && t->via->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        tool_die(EXIT_OTHER, "TCP_NODELAY: %s", strerror(errno));
    if (t->congestion)
        set_congestion(t, fd);
    set_buffers(t, fd);
    if (t->via->connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        tool_die(EXIT_NETWORK, "cannot connect to %s port %u: %s", t->host, t->port,
                 strerror(errno));

    double t0 = tool_seconds(), cpu0 = tool_cpu_seconds();
    uint64_t sent = 0;
    while (sent < t->bytes) {
        ssize_t n = send_piece(t, fd, sent, t->bytes - sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            tool_die(EXIT_NETWORK, "after %llu bytes: %s", (unsigned long long)sent,
                     strerror(errno));
        sent += (uint64_t)n;
    }
    if (t->via->shutdown(fd, SHUT_WR) < 0)
        tool_die(EXIT_NETWORK, "shutdown: %s", strerror(errno));
    for (;;) {
        ssize_t n = t->via->recv(fd, &byte, 1, 0);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            tool_die(EXIT_NETWORK, "the receiver did not take everything: %s", strerror(errno));
    }
    report(t, sent, tool_seconds() - t0, tool_cpu_seconds() - cpu0);
    t->via->close(fd);
    return EXIT_OK;
}

/* Take the next piece, which begins at stream offset `at`. Returns its length, 0 at the end,
 * -1 on error; *good is how much of it is as sent (all of it when not verifying). */
static ssize_t
recv_piece(const struct ttcp *t, int fd, uint64_t at, size_t *good)
{
    if (!t->zero_copy) {
        ssize_t n = t->via->recv(fd, t->buf, t->size, 0);
        if (n > 0)
            *good = t->verify ? pattern_match(&t->pattern, at, t->buf, (size_t)n) : (size_t)n;
        return n;
    }
    struct iovec iov[PIECES];
    int n = PIECES;
    ssize_t len = t->via->peek(fd, iov, &n);
    if (len <= 0)
        return len;
    *good = t->verify ? 0 : (size_t)len;
    for (int i = 0; t->verify && i < n; i++) {
        size_t ok = pattern_match(&t->pattern, at + *good, iov[i].iov_base, iov[i].iov_len);
        *good += ok;
        if (ok < iov[i].iov_len)
            break;
    }
    return t->via->consume(fd, (size_t)len) < 0 ? -1 : len;
}

/* One transfer. What is wrong with it is said; the transmitter learns of it by a reset. */
static void
receive_one(struct ttcp *t, int fd)
{
    double t0 = tool_seconds(), cpu0 = tool_cpu_seconds();
    uint64_t got = 0;
    size_t good = 0;
    ssize_t n;

    for (;;) {
        n = recv_piece(t, fd, got, &good);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || good < (size_t)n)
            break;
        got += (uint64_t)n;
    }
    if (n == 0 && (!t->bytes_given || got == t->bytes)) {
        double seconds = tool_seconds() - t0;
        t->via->close(fd); /* this is what the transmitter waits for */
        report(t, got, seconds, tool_cpu_seconds() - cpu0);
        return;
    }
    if (n < 0)
        tool_warn("after %llu bytes: %s", (unsigned long long)got, strerror(errno));
    else if (n > 0)
        tool_warn("byte %llu differs from what was sent", (unsigned long long)(got + good));
    else
        tool_warn("the transfer ended after %llu bytes of %llu", (unsigned long long)got,
                  (unsigned long long)t->bytes);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    t->via->setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    t->via->close(fd);
}

static int
receive(struct ttcp *t)
{
    struct sockaddr_in at = tool_address(t->address, t->port);
    int on = 1, listener = tool_listen(t->via, SOCK_STREAM, &at, 16);
    set_buffers(t, listener);
    tool_end_on_signal();
    for (;;) {
        int fd = t->via->accept4(listener, NULL, NULL, 0);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            tool_die(EXIT_OTHER, "accept: %s", strerror(errno));
        }
        if (t->nodelay)
            t->via->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        receive_one(t, fd);
    }
}

static const char usage_text[] =
    "usage: bulkhead-ttcp --receive [options]\n"
    "       bulkhead-ttcp --transmit HOST [options]\n"
    "  --via bulkhead|kernel  the stack to use (default bulkhead)\n"
    "  --port N               port to listen on or connect to (default 5001)\n"
    "  --address A            local address\n"
    "  --bytes N              how much to send (default 256M); --receive: how much must come\n"
    "  --size N               bytes a call (default 64K)\n"
    "  --seed N               which sequence of bytes (default 1)\n"
    "  --verify               --receive: compare every byte with the sequence\n"
    "  --zero-copy            write into and read from the stack's buffers (bulkhead only)\n"
    "  --nodelay              TCP_NODELAY\n"
    "  --congestion NAME      --transmit: the congestion control, such as reno or cubic\n"
    "  --sndbuf N, --rcvbuf N SO_SNDBUF, SO_RCVBUF\n"
    "  --json                 one JSON object for each transfer\n"
    "N may end in K, M or G (powers of 1024).\n";

static void
parse(struct ttcp *t, int argc, char **argv)
{
    enum { RECEIVE = 1, TRANSMIT, PORT, BYTES, SIZE, VIA, ADDRESS, SEED };
    enum { ZERO_COPY = SEED + 1, NODELAY, CONGESTION, SNDBUF, RCVBUF, VERIFY, JSON, HELP };
    static const struct option opts[] = {
        {"receive", no_argument, NULL, RECEIVE},
        {"transmit", required_argument, NULL, TRANSMIT},
        {"port", required_argument, NULL, PORT},
        {"bytes", required_argument, NULL, BYTES},
        {"size", required_argument, NULL, SIZE},
        {"via", required_argument, NULL, VIA},
        {"address", required_argument, NULL, ADDRESS},
        {"seed", required_argument, NULL, SEED},
        {"zero-copy", no_argument, NULL, ZERO_COPY},
        {"nodelay", no_argument, NULL, NODELAY},
        {"congestion", required_argument, NULL, CONGESTION},
        {"sndbuf", required_argument, NULL, SNDBUF},
        {"rcvbuf", required_argument, NULL, RCVBUF},
        {"verify", no_argument, NULL, VERIFY},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    bool rx = false;
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        switch (c) {
        case RECEIVE:
            rx = true;
            break;
        case TRANSMIT:
            t->host = optarg;
            break;
        case PORT:
            t->port = (unsigned)tool_number("--port", optarg, 1, 65535);
            break;
        case BYTES:
            t->bytes = tool_number("--bytes", optarg, 0, INT64_MAX);
            t->bytes_given = true;
            break;
        case SIZE:
            t->size = tool_number("--size", optarg, 1, 1u << 30);
            break;
        case VIA:
            t->via = tool_via(optarg);
            break;
        case ADDRESS:
            t->address = optarg;
            break;
        case SEED:
            t->seed = tool_number("--seed", optarg, 0, UINT64_MAX);
            break;
        case ZERO_COPY:
            t->zero_copy = true;
            break;
        case NODELAY:
            t->nodelay = true;
            break;
        case CONGESTION:
            t->congestion = optarg;
            break;
        case SNDBUF:
            t->sndbuf = (int)tool_number("--sndbuf", optarg, 1, 1u << 30);
            break;
        case RCVBUF:
            t->rcvbuf = (int)tool_number("--rcvbuf", optarg, 1, 1u << 30);
            break;
        case VERIFY:
            t->verify = true;
            break;
        case JSON:
            t->json = true;
            break;
        case HELP:
            tool_usage(usage_text, EXIT_OK);
        default:
            tool_usage(usage_text, EXIT_USAGE);
        }
    }
    if (optind < argc || rx == (t->host != NULL))
        tool_usage(usage_text, EXIT_USAGE);
    if (t->zero_copy && !t->via->reserve)
        tool_die(EXIT_USAGE, "--zero-copy: the %s stack has no such calls", t->via->name);
    if (t->verify && !rx)
        tool_die(EXIT_USAGE, "--verify goes with --receive");
    if (t->congestion && (rx || strlen(t->congestion) > 15))
        tool_die(EXIT_USAGE, "--congestion goes with --transmit, and is a name of at most 15");
}

int
main(int argc, char **argv)
{
    struct ttcp t = {.via = &via_bulkhead,
                     .port = DEFAULT_PORT,
                     .bytes = DEFAULT_BYTES,
                     .size = DEFAULT_SIZE,
                     .seed = 1};
    tool_name = "bulkhead-ttcp";
    parse(&t, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    t.buf = malloc(t.size);
    if (!t.buf || !pattern_init(&t.pattern, t.seed, t.size))
        tool_die(EXIT_OTHER, "no memory for pieces of %zu bytes", t.size);
    int code = t.host ? transmit(&t) : receive(&t);
    pattern_fini(&t.pattern);
    free(t.buf);
    return code;
}
