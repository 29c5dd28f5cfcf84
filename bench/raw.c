/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw.c: bulkhead-raw: frames a second through AF_XDP with no stack above it: what the
 * interface, the kernel and this machine leave to any stack. Same socket, rings, frames and
 * kicks as Bulkhead's own (domains/netif.c, xsk.c).
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/exit_codes.h"
#include "bench/raw_echo.h"
#include "bench/raw_tcp.h"
#include "bench/rawport.h"
#include "bench/tool.h"
#include "bench/window.h"
#include "lib/wire/wire.h"

#define L4_AT (ETH_HEADER + IP4_HEADER)
#define FRAME_MIN (L4_AT + UDP_HEADER)
#define FRAME_MOST 1514u
#define SLICE_MS 20

struct raw {
    const char *interface, *address, *to;
    unsigned port;
    uint32_t frame;
    uint64_t spin_ns;
    double seconds, wait, warmup;
    bool sleep, json;
    bool tcp;       /* send to a real TCP: raw_tcp.h */
    bool segments;  /* of 64 KiB, by AF_PACKET */
    bool echo, hop; /* answer datagrams: raw_echo.h */
    struct rawport p;
    struct raw_tcp t;
    uint64_t frames, calls, bytes;
    double took, cpu;
};

static struct ipaddr
address(const char *text)
{
    return ipaddr_v4_u32(ntohl(tool_address(text, 0).sin_addr.s_addr));
}

static struct ipaddr
resolve(struct raw *r, uint8_t mac[6])
{
    struct ipaddr to = address(r->to);
    if (!rawport_resolve(&r->p, &to, mac))
        tool_die(EXIT_NETWORK, "%s answers no ARP on %s", r->to, r->interface);
    return to;
}

static void
make_frames(struct raw *r)
{
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    struct ipaddr to = resolve(r, e.dst);
    struct ip4_hdr h = {.src = r->p.addr,
                        .dst = to,
                        .total_len = (uint16_t)(r->frame - ETH_HEADER),
                        .ttl = 64,
                        .proto = WIRE_PROTO_UDP};
    struct udp_hdr u = {
        .sport = 40000, .dport = (uint16_t)r->port, .len = (uint16_t)(r->frame - L4_AT)};
    memcpy(e.src, r->p.netif.mac, 6);
    rawport_reclaim(&r->p);
    for (uint32_t i = 0; i < r->p.n_free; i++) {
        uint8_t *f = r->p.frames.base + r->p.free[i];
        memset(f, 0, r->frame);
        eth_emit(f, &e);
        ip4_emit(f + ETH_HEADER, &h);
        udp_emit(f + L4_AT, &u);
        memset(f + L4_AT + 6, 0, 2); /* no checksum: nobody's work */
    }
}

/* Up to a batch of free frames to the kernel. */
static unsigned
queue(struct raw *r)
{
    struct fdesc f[BATCH_MAX];
    unsigned n = min_u32(r->p.n_free, BATCH_MAX);
    for (unsigned i = 0; i < n; i++)
        f[i] =
            (struct fdesc){.addr = r->p.free[r->p.n_free - 1 - i], .len = (uint16_t)r->frame};
    return rawport_send(&r->p, f, n);
}

static void
transmit(struct raw *r)
{
    make_frames(r);
    double cpu = tool_cpu_seconds(), start = tool_seconds(), now;
    while ((now = tool_seconds()) - start < r->seconds) {
        unsigned n = queue(r);
        r->frames += n;
        r->calls += n != 0;
        (void)rawport_kick(&r->p);
        rawport_reclaim(&r->p);
        if (n == 0 && r->sleep) {
            struct pollfd p = {.fd = r->p.netif.fd, .events = POLLOUT};
            (void)poll(&p, 1, SLICE_MS);
        }
    }
    r->frames -= rawport_unsent(&r->p);
    r->bytes = r->frames * r->frame;
    r->took = now - start;
    r->cpu = tool_cpu_seconds() - cpu;
    if (r->frames == 0)
        tool_die(EXIT_NETWORK, "%s sent nothing", r->interface);
}

static void
transmit_tcp(struct raw *r)
{
    r->t = (struct raw_tcp){.port = &r->p,
                            .dport = (uint16_t)r->port,
                            .frame = r->frame,
                            .sleep = r->sleep,
                            .segments = r->segments,
                            .window = {.wait = 1, .warmup = r->warmup, .length = r->seconds}};
    r->t.to = resolve(r, r->t.mac);
    raw_tcp_transmit(&r->t);
    r->took = window_end(&r->t.window, &r->cpu);
    r->frames = r->t.window.n / (r->frame - RAW_TCP_HEADERS);
    r->bytes = r->frames * r->frame;
    r->calls = r->t.kicks;
}

static void
receive(struct raw *r)
{
    struct window w = {.wait = r->wait, .warmup = r->warmup, .length = r->seconds};
    struct fdesc f[BATCH_MAX];
    unsigned n;
    do {
        n = rawport_receive(&r->p, f);
        if (window_counting(&w))
            for (unsigned i = 0; i < n; i++)
                r->bytes += f[i].len;
        rawport_return(&r->p, f, n);
        if (n == 0 && r->sleep) {
            struct pollfd p = {.fd = r->p.netif.fd, .events = POLLIN};
            (void)poll(&p, 1, SLICE_MS);
        }
    } while (window_take(&w, n, tool_seconds()));
    r->took = window_end(&w, &r->cpu);
    r->frames = w.n;
    r->calls = w.calls;
}

/* What only a TCP has. */
static void
report_tcp(const struct raw *r)
{
    const struct raw_tcp *t = &r->t;
    double batch = t->reads ? (double)t->acks / (double)t->reads : 0;
    printf(r->json ? ", \"kicks\": %llu, \"acknowledgments\": %llu, "
                     "\"acknowledgment_batch\": %.2f, \"acknowledged_bytes\": %llu, "
                     "\"sent_again\": %u"
                   : "%llu kicks; %llu acknowledgments, %.2f at once; %llu bytes in all; "
                     "all sent again %u times\n",
           (unsigned long long)t->kicks, (unsigned long long)t->acks, batch,
           (unsigned long long)t->bytes, t->rewinds);
}

static void
report(const struct raw *r)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double fps = (double)r->frames / r->took, mean = (double)r->bytes / (double)r->frames;
    double payload = mean > RAW_TCP_HEADERS ? mean - RAW_TCP_HEADERS : 0;
    double batch = r->calls ? (double)r->frames / (double)r->calls : 0;
    if (r->json)
        printf("{\"what\": \"%s\", \"wait\": \"%s\", \"frame_bytes\": %.1f, \"frames\": %llu, "
               "\"seconds\": %.6f, \"frames_per_second\": %.0f, "
               "\"tcp_payload_bits_per_second\": %.0f, \"mean_batch\": %.2f, "
               "\"cpu_seconds\": %.6f, \"sleeps\": %ld",
               r->to ? "transmit" : "receive", r->sleep ? "poll" : "spin", mean,
               (unsigned long long)r->frames, r->took, fps, fps * payload * 8, batch, r->cpu,
               u.ru_nvcsw);
    else
        printf(
            "%s: %llu frames of %.0f bytes in %.3f s: %.0f a second (as TCP %.0f Mbit/s), %.1f "
            "a batch, %.3f s of CPU\n",
            r->to ? "sent" : "received", (unsigned long long)r->frames, mean, r->took, fps,
            fps * payload * 8 / 1e6, batch, r->cpu);
    if (r->tcp)
        report_tcp(r);
    if (r->json)
        printf("}\n");
}

static int
echo(struct raw *r, const struct ipaddr *own)
{
    struct raw_echo e = {
        .port = &r->p, .udp_port = (uint16_t)r->port, .hop = r->hop, .spin_ns = r->spin_ns};
    raw_echo_prepare(&e);
    rawport_open(&r->p, r->interface, own, false);
    raw_echo_run(&e);
    rawport_close(&r->p);
    return EXIT_OK;
}

static const char usage_text[] =
    "usage: bulkhead-raw --interface IF --address A --transmit HOST [options]\n"
    "       bulkhead-raw --interface IF --address A --receive [options]\n"
    "       bulkhead-raw --interface IF --address A --transmit HOST --tcp [--segments] "
    "[options]\n"
    "       bulkhead-raw --interface IF --address A --echo [--hop] [options]\n"
    "  --address A   the address it speaks for: free, and not the kernel's\n"
    "  --tcp         one connection to a TCP there: full segments, as fast as they are\n"
    "                acknowledged; no congestion control; what is lost is sent again\n"
    "  --segments    many such segments at once, for the kernel to cut: by AF_PACKET\n"
    "  --echo        answer datagrams until SIGTERM; says \"ready\" when it does\n"
    "  --hop         the answers are those of a second process\n"
    "  --spin US     --echo: look so many microseconds, giving way, before sleeping\n"
    "                (default 0)\n"
    "  --port N      port to send to, of UDP or TCP, or to answer at (default 5003)\n"
    "  --frame N     bytes of a frame, 42 to 1514 (default 1514); --tcp: 67 at least\n"
    "  --sleep       wait in poll(2) where there is nothing to do; otherwise look again\n"
    "  --seconds S   how long to send; the window of --receive and --tcp (default 5)\n"
    "  --wait S      --receive: how long to wait for the first frame (default 10)\n"
    "  --warmup S    --receive, --tcp: what is not counted at the beginning (default 0.2)\n"
    "  --json        one JSON object\n"
    "Needs root.\n";

static void
parse(struct raw *r, int argc, char **argv)
{
    enum {
        INTERFACE = 1,
        ADDRESS,
        TRANSMIT,
        RECEIVE,
        TCP,
        SEGMENTS,
        PORT,
        FRAME,
        SLEEP,
        SECONDS
    };
    enum { WAIT = SECONDS + 1, WARMUP, JSON, ECHO, HOP, SPIN, HELP };
    static const struct option opts[] = {
        {"interface", required_argument, NULL, INTERFACE},
        {"address", required_argument, NULL, ADDRESS},
        {"transmit", required_argument, NULL, TRANSMIT},
        {"receive", no_argument, NULL, RECEIVE},
        {"tcp", no_argument, NULL, TCP},
        {"segments", no_argument, NULL, SEGMENTS},
        {"echo", no_argument, NULL, ECHO},
        {"hop", no_argument, NULL, HOP},
        {"spin", required_argument, NULL, SPIN},
        {"port", required_argument, NULL, PORT},
        {"frame", required_argument, NULL, FRAME},
        {"sleep", no_argument, NULL, SLEEP},
        {"seconds", required_argument, NULL, SECONDS},
        {"wait", required_argument, NULL, WAIT},
        {"warmup", required_argument, NULL, WARMUP},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    bool rx = false;
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        switch (c) {
        case INTERFACE:
            r->interface = optarg;
            break;
        case ADDRESS:
            r->address = optarg;
            break;
        case TRANSMIT:
            r->to = optarg;
            break;
        case RECEIVE:
            rx = true;
            break;
        case TCP:
            r->tcp = true;
            break;
        case SEGMENTS:
            r->segments = true;
            break;
        case ECHO:
            r->echo = true;
            break;
        case HOP:
            r->hop = true;
            break;
        case SPIN:
            r->spin_ns = tool_number("--spin", optarg, 0, 1000000) * 1000u;
            break;
        case PORT:
            r->port = (unsigned)tool_number("--port", optarg, 1, 65535);
            break;
        case FRAME:
            r->frame = (uint32_t)tool_number("--frame", optarg, FRAME_MIN, FRAME_MOST);
            break;
        case SLEEP:
            r->sleep = true;
            break;
        case SECONDS:
            r->seconds = tool_time("--seconds", optarg, 0.01, 600);
            break;
        case WAIT:
            r->wait = tool_time("--wait", optarg, 0, 600);
            break;
        case WARMUP:
            r->warmup = tool_time("--warmup", optarg, 0, 60);
            break;
        case JSON:
            r->json = true;
            break;
        case HELP:
            tool_usage(usage_text, EXIT_OK);
        default:
            tool_usage(usage_text, EXIT_USAGE);
        }
    }
    if (optind < argc || !r->interface || !r->address || rx + r->echo + (r->to != NULL) != 1 ||
        (r->tcp && (!r->to || r->frame <= RAW_TCP_HEADERS)) || (r->hop && !r->echo) ||
        (r->segments && !r->tcp))
        tool_usage(usage_text, EXIT_USAGE);
}

int
main(int argc, char **argv)
{
    static struct raw r = {
        .port = 5003, .frame = 1514, .seconds = 5, .wait = 10, .warmup = 0.2};
    tool_name = "bulkhead-raw";
    parse(&r, argc, argv);
    struct ipaddr own = address(r.address);
    if (r.echo)
        return echo(&r, &own);
    rawport_open(&r.p, r.interface, &own, r.segments);
    if (r.tcp)
        transmit_tcp(&r);
    else if (r.to)
        transmit(&r);
    else
        receive(&r);
    rawport_close(&r.p);
    report(&r);
    return EXIT_OK;
}
