/* SPDX-License-Identifier: BSD-2-Clause
 *
 * protolat.c: bulkhead-protolat: how long a message takes there and back. Arguments.
 */
#include "bench/protolat.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/tool.h"

static const char usage_text[] =
    "usage: bulkhead-protolat --serve [--tcp] [--udp] [options]\n"
    "       bulkhead-protolat --connect HOST --tcp|--udp [options]\n"
    "  --via bulkhead|kernel  the stack to use (default bulkhead)\n"
    "  --port N               port to listen on or to send to (default 5002)\n"
    "  --address A            local address\n"
    "  --size N               bytes a message (default 64)\n"
    "  --count N              messages (default 10000)\n"
    "  --warmup N             messages before these, not counted (default 10)\n"
    "  --spin US              look so many microseconds before sleeping (default 0)\n"
    "  --json                 one JSON object as the result\n"
    "A server that is told neither --tcp nor --udp echoes both.\n";

static void
parse(struct protolat *p, int argc, char **argv)
{
    enum { SERVE = 1, CONNECT, TCP, UDP, PORT, SIZE, COUNT, WARMUP, VIA, ADDRESS, SPIN };
    enum { JSON = SPIN + 1, HELP };
    static const struct option opts[] = {
        {"serve", no_argument, NULL, SERVE},
        {"connect", required_argument, NULL, CONNECT},
        {"tcp", no_argument, NULL, TCP},
        {"udp", no_argument, NULL, UDP},
        {"port", required_argument, NULL, PORT},
        {"size", required_argument, NULL, SIZE},
        {"count", required_argument, NULL, COUNT},
        {"warmup", required_argument, NULL, WARMUP},
        {"via", required_argument, NULL, VIA},
        {"address", required_argument, NULL, ADDRESS},
        {"spin", required_argument, NULL, SPIN},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    bool serve = false;
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        switch (c) {
        case SERVE:
            serve = true;
            break;
        case CONNECT:
            p->host = optarg;
            break;
        case TCP:
            p->tcp = true;
            break;
        case UDP:
            p->udp = true;
            break;
        case PORT:
            p->port = (unsigned)tool_number("--port", optarg, 1, 65535);
            break;
        case SIZE:
            p->size = tool_number("--size", optarg, 1, 1u << 30);
            break;
        case COUNT:
            p->count = tool_number("--count", optarg, 1, 100000000);
            break;
        case WARMUP:
            p->warmup = tool_number("--warmup", optarg, 0, 100000000);
            break;
        case VIA:
            p->via = tool_via(optarg);
            break;
        case ADDRESS:
            p->address = optarg;
            break;
        case SPIN:
            p->spin_ns = tool_number("--spin", optarg, 0, 1000000) * 1000u;
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
    if (optind < argc || serve == (p->host != NULL))
        tool_usage(usage_text, EXIT_USAGE);
    if (p->host && p->tcp == p->udp)
        tool_die(EXIT_USAGE, "--connect goes with one of --tcp and --udp");
    if (p->udp && p->size > PROTOLAT_UDP_MAX)
        tool_die(EXIT_USAGE, "--size: a datagram holds at most %u bytes", PROTOLAT_UDP_MAX);
    if (!p->tcp && !p->udp)
        p->tcp = p->udp = true;
}

int
main(int argc, char **argv)
{
    struct protolat p = {
        .via = &via_bulkhead, .port = 5002, .size = 64, .count = 10000, .warmup = 10};
    tool_name = "bulkhead-protolat";
    parse(&p, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (!p.host)
        protolat_serve(&p);
    return protolat_measure(&p);
}
