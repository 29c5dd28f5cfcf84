/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pps.c: bulkhead-pps: datagrams a second through one UDP socket, in batches, and what it
 * costs.
 *
 * The receiver measures: it waits for the first datagram, lets a warm-up pass, and counts over
 * a window of time. So it matters not when either side began. The sender's own figure is what
 * its stack took from it, of which some may never leave.
 */
#include "bench/pps.h"

#include <errno.h>
#include <getopt.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/tool.h"
#include "bench/window.h"

#define SLICE_MS 100L /* how long a wait may be before the clock is looked at */
#define GSO_MAX 64u   /* datagrams that one call may bring, in every kernel that can */

struct batch {
    struct mmsghdr msg[PPS_BATCH_MAX];
    struct iovec iov[PPS_BATCH_MAX];
    uint8_t (*buf)[PPS_SIZE_MAX];
    unsigned n;
};

static void
batch_init(struct batch *b, unsigned n, size_t size)
{
    memset(b, 0, sizeof *b);
    b->n = n;
    b->buf = calloc(n, sizeof *b->buf);
    if (!b->buf)
        tool_die(EXIT_OTHER, "no memory for %u datagrams", n);
    for (unsigned i = 0; i < n; i++) {
        b->iov[i] = (struct iovec){.iov_base = b->buf[i], .iov_len = size};
        b->msg[i].msg_hdr = (struct msghdr){.msg_iov = &b->iov[i], .msg_iovlen = 1};
    }
}

/* ---- sending ---- */

static int
sending_socket(const struct pps *p)
{
    struct sockaddr_in to = tool_address(p->to, p->port);
    int fd = via_socket_or_exit(p->via, SOCK_DGRAM), size = (int)p->size;
    if (p->address) {
        struct sockaddr_in from = tool_address(p->address, 0);
        if (p->via->bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
            tool_die(EXIT_OTHER, "cannot bind to %s: %s", p->address, strerror(errno));
    }
    if (p->via->connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        tool_die(EXIT_NETWORK, "%s port %u: %s", p->to, p->port, strerror(errno));
    if (p->gso && p->via->setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size) < 0)
        tool_die(EXIT_OTHER, "UDP_SEGMENT: %s", strerror(errno));
    return fd;
}

/* One call of as many datagrams as it takes; returns how many were taken, or -1. */
static int
send_some(const struct pps *p, int fd, struct batch *b, uint8_t *big)
{
    if (!p->gso)
        return p->via->sendmmsg(fd, b->msg, b->n, 0);
    for (unsigned i = 0; i < b->n; i++)
        memcpy(big + i * p->size, b->buf[i], p->size);
    ssize_t n = p->via->send(fd, big, b->n * p->size, 0);
    return n < 0 ? -1 : (int)((size_t)n / p->size);
}

int
pps_transmit(const struct pps *p, struct pps_result *r)
{
    struct batch b;
    int fd = sending_socket(p);
    uint8_t *big = malloc(p->batch * p->size);
    if (!big)
        tool_die(EXIT_OTHER, "no memory");
    batch_init(&b, p->batch, p->size);
    double cpu = tool_cpu_seconds(), start = tool_seconds(), end = start + p->seconds, now;
    while ((now = tool_seconds()) < end) {
        for (unsigned i = 0; i < b.n; i++) {
            uint64_t number = r->packets + i;
            memcpy(b.buf[i], &number, sizeof number);
        }
        int n = send_some(p, fd, &b, big);
        r->calls++;
        if (n > 0)
            r->packets += (unsigned)n;
        else if (errno == ECONNREFUSED || errno == ENOBUFS || errno == EINTR)
            r->failed++; /* no receiver yet; a queue was full */
        else
            tool_die(EXIT_NETWORK, "sending: %s", strerror(errno));
    }
    r->seconds = now - start;
    r->cpu = tool_cpu_seconds() - cpu;
    p->via->close(fd);
    free(b.buf);
    free(big);
    return r->packets ? EXIT_OK : EXIT_NETWORK;
}

/* ---- receiving ---- */

/* Counts, and says how many numbers went by meanwhile. */
static uint64_t
read_all(const struct pps *p, int fd, struct window *w)
{
    struct batch b;
    struct timeval slice = {.tv_usec = SLICE_MS * 1000};
    uint64_t number = 0, low = 0;
    int n;
    batch_init(&b, p->batch, PPS_SIZE_MAX);
    if (p->via->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice) < 0)
        tool_die(EXIT_OTHER, "SO_RCVTIMEO: %s", strerror(errno));
    do {
        n = p->via->recvmmsg(fd, b.msg, b.n, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            tool_die(EXIT_NETWORK, "receiving: %s", strerror(errno));
        if (n > 0)
            memcpy(&number, b.buf[n - 1], sizeof number);
        if (!window_counting(w))
            low = number;
    } while (window_take(w, n > 0 ? (unsigned)n : 0, tool_seconds()));
    free(b.buf);
    return number > low ? number - low : 0;
}

/* The cheapest receiver that a kernel has: a filter drops what comes for the socket, which the
 * socket counts. For the peer of a sender under test. */
static uint32_t
sink_count(int fd)
{
    uint32_t mem[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof mem;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
        tool_die(EXIT_OTHER, "SO_MEMINFO: %s", strerror(errno));
    return mem[SK_MEMINFO_DROPS];
}

static void
sink_all(int fd, struct window *w)
{
    const struct timespec nap = {.tv_nsec = 5000000};
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog all = {.len = 1, .filter = &drop};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) < 0)
        tool_die(EXIT_OTHER, "SO_ATTACH_FILTER: %s", strerror(errno));
    uint32_t before, is = sink_count(fd);
    do {
        before = is;
        nanosleep(&nap, NULL);
        is = sink_count(fd);
    } while (window_take(w, is - before, tool_seconds()));
}

int
pps_receive(const struct pps *p, struct pps_result *r)
{
    struct sockaddr_in at = tool_address(p->address, p->port);
    struct window w = {.wait = p->wait, .warmup = p->warmup, .length = p->seconds};
    int fd = tool_listen(p->via, SOCK_DGRAM, &at, 0);
    if (p->sink)
        sink_all(fd, &w);
    else
        r->span = read_all(p, fd, &w);
    p->via->close(fd);
    r->seconds = window_end(&w, &r->cpu);
    r->packets = w.n;
    r->calls = w.calls;
    return EXIT_OK;
}

/* ---- the program ---- */

static void
report(const struct pps *p, const struct pps_result *r, bool receive)
{
    double pps = r->seconds > 0 ? (double)r->packets / r->seconds : 0;
    double batch = r->calls && !p->sink ? (double)r->packets / (double)r->calls : 0;
    bool numbered = receive && !p->sink;
    uint64_t lost = numbered && r->span > r->packets ? r->span - r->packets : 0;
    const char *what =
        receive ? (p->sink ? "sink" : "receive") : (p->interface ? "generate" : "transmit");
    if (p->json) {
        printf("{\"what\": \"%s\", \"via\": \"%s\", \"size\": %zu, \"batch\": %u, "
               "\"gso\": %s, \"packets\": %llu, \"seconds\": %.6f, "
               "\"packets_per_second\": %.0f, \"mean_batch\": %.2f, \"lost\": %llu, "
               "\"failed\": %llu, \"cpu_seconds\": %.6f}\n",
               what, p->via->name, p->size, p->batch, p->gso ? "true" : "false",
               (unsigned long long)r->packets, r->seconds, pps, batch, (unsigned long long)lost,
               (unsigned long long)r->failed, r->cpu);
        return;
    }
    printf("%s: %llu datagrams in %.3f s: %.0f a second, %.1f a call, %.3f s of CPU", what,
           (unsigned long long)r->packets, r->seconds, pps, batch, r->cpu);
    if (numbered)
        printf(", %llu lost", (unsigned long long)lost);
    putchar('\n');
}

static const char usage_text[] =
    "usage: bulkhead-pps --transmit HOST [options]\n"
    "       bulkhead-pps --receive [--sink] [options]\n"
    "       bulkhead-pps --generate IF --to HOST [options]\n"
    "  --via bulkhead|kernel  the stack to use (default bulkhead)\n"
    "  --port N               port to send to or to bind (default 5003)\n"
    "  --address A            local address\n"
    "  --size N               bytes of payload, 8 to 1472 (default 18: frames of 64 bytes)\n"
    "  --seconds S            how long to send; the receiver's window (default 5)\n"
    "  --batch N              datagrams a call, 1 to 256 (default 64)\n"
    "  --gso                  --transmit through the kernel: UDP_SEGMENT, 64 a call at most\n"
    "  --wait S               --receive: how long to wait for the first one (default 10)\n"
    "  --warmup S             --receive: what is not counted at the beginning (default 0.2)\n"
    "  --sink                 --receive through the kernel: drop them at the socket, count\n"
    "  --json                 one JSON object\n"
    "--generate sends finished frames through AF_PACKET, past the kernel's stack (root).\n";

static void
parse(struct pps *p, int argc, char **argv, bool *receive)
{
    enum { RECEIVE = 1, TRANSMIT, GENERATE, TO, PORT, SIZE, SECONDS, VIA, ADDRESS, BATCH };
    enum { GSO = BATCH + 1, WAIT, WARMUP, SINK, JSON, HELP };
    static const struct option opts[] = {
        {"receive", no_argument, NULL, RECEIVE},
        {"transmit", required_argument, NULL, TRANSMIT},
        {"generate", required_argument, NULL, GENERATE},
        {"to", required_argument, NULL, TO},
        {"port", required_argument, NULL, PORT},
        {"size", required_argument, NULL, SIZE},
        {"seconds", required_argument, NULL, SECONDS},
        {"via", required_argument, NULL, VIA},
        {"address", required_argument, NULL, ADDRESS},
        {"batch", required_argument, NULL, BATCH},
        {"gso", no_argument, NULL, GSO},
        {"wait", required_argument, NULL, WAIT},
        {"warmup", required_argument, NULL, WARMUP},
        {"sink", no_argument, NULL, SINK},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    unsigned modes = 0;
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        modes += c == RECEIVE || c == TRANSMIT || c == GENERATE;
        switch (c) {
        case RECEIVE:
            *receive = true;
            break;
        case TRANSMIT:
        case TO:
            p->to = optarg;
            break;
        case GENERATE:
            p->interface = optarg;
            break;
        case PORT:
            p->port = (unsigned)tool_number("--port", optarg, 1, 65535);
            break;
        case SIZE:
            p->size = tool_number("--size", optarg, 8, PPS_SIZE_MAX);
            break;
        case SECONDS:
            p->seconds = tool_time("--seconds", optarg, 0.01, 600);
            break;
        case VIA:
            p->via = tool_via(optarg);
            break;
        case ADDRESS:
            p->address = optarg;
            break;
        case BATCH:
            p->batch = (unsigned)tool_number("--batch", optarg, 1, PPS_BATCH_MAX);
            break;
        case GSO:
            p->gso = true;
            break;
        case WAIT:
            p->wait = tool_time("--wait", optarg, 0, 600);
            break;
        case WARMUP:
            p->warmup = tool_time("--warmup", optarg, 0, 60);
            break;
        case SINK:
            p->sink = true;
            break;
        case JSON:
            p->json = true;
            break;
        case HELP:
            tool_usage(usage_text, EXIT_OK);
        default:
            tool_usage(usage_text, EXIT_USAGE);
        }
    }
    if (optind < argc || modes != 1 || *receive == (p->to != NULL))
        tool_usage(usage_text, EXIT_USAGE);
    if ((p->sink || p->gso) && p->via != &via_kernel)
        tool_die(EXIT_USAGE, "--sink and --gso go with --via kernel");
    if (p->sink > *receive || (p->gso && (*receive || p->interface)))
        tool_die(EXIT_USAGE, "--sink goes with --receive, --gso with --transmit");
    if (p->gso && p->batch > GSO_MAX)
        p->batch = GSO_MAX;
    if (p->gso && p->batch * p->size > UINT16_MAX - 28u)
        p->batch = (unsigned)((UINT16_MAX - 28u) / p->size);
}

int
main(int argc, char **argv)
{
    struct pps p = {.via = &via_bulkhead,
                    .port = 5003,
                    .batch = 64,
                    .size = 18,
                    .seconds = 5,
                    .wait = 10,
                    .warmup = 0.2};
    struct pps_result r = {0};
    bool receive = false;
    tool_name = "bulkhead-pps";
    parse(&p, argc, argv, &receive);
    int code = receive       ? pps_receive(&p, &r)
               : p.interface ? pps_generate(&p, &r)
                             : pps_transmit(&p, &r);
    report(&p, &r, receive);
    return code;
}
