/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scale.c: bulkhead-scale: what many TCP sessions cost, idle, active, or coming and going.
 */
#include "bench/scale.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/exit_codes.h"
#include "bench/tool.h"

#define SPARE 128u /* sessions and descriptors besides those of the test */
#define ARENA_LEAST (32u << 20)
#define PAGES_EACH 2u /* of a FIFO, at the worst: a request may lie across two */

unsigned
scale_room(const struct scale *s)
{
    char text[32];
    uint64_t arena = (uint64_t)(s->sessions + SPARE) * PAGES_EACH * 4096;
    rlim_t n = s->sessions + SPARE;
    struct rlimit r;
    if (s->via == &via_kernel) {
        if (getrlimit(RLIMIT_NOFILE, &r) != 0)
            tool_die(EXIT_OTHER, "RLIMIT_NOFILE: %s", strerror(errno));
        struct rlimit more = {.rlim_cur = n, .rlim_max = r.rlim_max < n ? n : r.rlim_max};
        struct rlimit most = {.rlim_cur = r.rlim_max, .rlim_max = r.rlim_max};
        if (r.rlim_cur < n && setrlimit(RLIMIT_NOFILE, &more) != 0)
            (void)setrlimit(RLIMIT_NOFILE, &most); /* the rest in other processes */
        if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur <= SPARE)
            tool_die(EXIT_OTHER, "too few descriptors (ulimit -n)");
        return (unsigned)min_u64(r.rlim_cur - SPARE, SCALE_SESSIONS_MAX);
    }
    snprintf(text, sizeof text, "%u", (unsigned)n);
    setenv("BULKHEAD_SESSIONS", text, 0);
    snprintf(text, sizeof text, "%llu", (unsigned long long)max_u64(arena, ARENA_LEAST));
    setenv("BULKHEAD_ARENA", text, 0);
    return SCALE_SESSIONS_MAX;
}

static const char usage_text[] =
    "usage: bulkhead-scale --serve [options]\n"
    "       bulkhead-scale --connect HOST [options]\n"
    "  --via bulkhead|kernel  the stack to use (default bulkhead)\n"
    "  --sessions N           how many, at most 65000 (default 1); --serve: room for so many\n"
    "  --port N, --ports N    the first port (default 5004) and how many in a row (default "
    "1):\n"
    "                         a client has some 28,000 ports of its own for each of these\n"
    "  --address A            --serve: local address\n"
    "--connect:\n"
    "  --active N             sessions that are used (default all); 0: only hold them\n"
    "  --outstanding N        requests under way at once (default 1), of which each session\n"
    "                         has one at most; they take turns\n"
    "  --size N               bytes of a request and of its answer, 1 to 4096 (default 64)\n"
    "  --churn                each session is closed after one answer, and opened anew\n"
    "  --reset                close by RST: leaves no TIME-WAIT\n"
    "  --seconds S            (default 5); --warmup S: before them (default 0.5)\n"
    "  --patience S           give up when no session opens for so long (default 10)\n"
    "  --pause                say \"established\", \"warm\" and \"done\" on stderr, and wait "
    "for a\n"
    "                         line on stdin after each\n"
    "  --json                 one JSON object\n"
    "Many sessions need room: tcp_sessions in bulkhead.conf; sessions and arena of the "
    "account;\n"
    "BULKHEAD_SESSIONS and BULKHEAD_ARENA, which are chosen by --sessions if they are not "
    "set.\n";

static void
parse(struct scale *s, int argc, char **argv)
{
    enum { SERVE = 1, CONNECT, VIA, SESSIONS, PORT, PORTS, ADDRESS, ACTIVE, OUTSTANDING, SIZE };
    enum { CHURN = SIZE + 1, RESET, SECONDS, WARMUP, PATIENCE, PAUSE, JSON, HELP };
    static const struct option opts[] = {
        {"serve", no_argument, NULL, SERVE},
        {"connect", required_argument, NULL, CONNECT},
        {"via", required_argument, NULL, VIA},
        {"sessions", required_argument, NULL, SESSIONS},
        {"port", required_argument, NULL, PORT},
        {"ports", required_argument, NULL, PORTS},
        {"address", required_argument, NULL, ADDRESS},
        {"active", required_argument, NULL, ACTIVE},
        {"outstanding", required_argument, NULL, OUTSTANDING},
        {"size", required_argument, NULL, SIZE},
        {"churn", no_argument, NULL, CHURN},
        {"reset", no_argument, NULL, RESET},
        {"seconds", required_argument, NULL, SECONDS},
        {"warmup", required_argument, NULL, WARMUP},
        {"patience", required_argument, NULL, PATIENCE},
        {"pause", no_argument, NULL, PAUSE},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    bool serve = false, all = true;
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        switch (c) {
        case SERVE:
            serve = true;
            break;
        case CONNECT:
            s->host = optarg;
            break;
        case VIA:
            s->via = tool_via(optarg);
            break;
        case SESSIONS:
            s->sessions = (unsigned)tool_number("--sessions", optarg, 1, SCALE_SESSIONS_MAX);
            break;
        case PORT:
            s->port = (unsigned)tool_number("--port", optarg, 1, 65535);
            break;
        case PORTS:
            s->ports = (unsigned)tool_number("--ports", optarg, 1, 64);
            break;
        case ADDRESS:
            s->address = optarg;
            break;
        case ACTIVE:
            s->active = (unsigned)tool_number("--active", optarg, 0, SCALE_SESSIONS_MAX);
            all = false;
            break;
        case OUTSTANDING:
            s->outstanding =
                (unsigned)tool_number("--outstanding", optarg, 1, SCALE_SESSIONS_MAX);
            break;
        case SIZE:
            s->size = tool_number("--size", optarg, 1, SCALE_SIZE_MAX);
            break;
        case CHURN:
            s->churn = true;
            break;
        case RESET:
            s->reset = true;
            break;
        case SECONDS:
            s->seconds = tool_time("--seconds", optarg, 0.01, 600);
            break;
        case WARMUP:
            s->warmup = tool_time("--warmup", optarg, 0, 60);
            break;
        case PATIENCE:
            s->patience = tool_time("--patience", optarg, 0.1, 600);
            break;
        case PAUSE:
            s->pause = true;
            break;
        case JSON:
            s->json = true;
            break;
        case HELP:
            tool_usage(usage_text, EXIT_OK);
        default:
            tool_usage(usage_text, EXIT_USAGE);
        }
    }
    if (optind < argc || serve == (s->host != NULL))
        tool_usage(usage_text, EXIT_USAGE);
    s->active = all ? s->sessions : s->active;
    if (s->port + s->ports > 65536 || s->active > s->sessions)
        tool_die(EXIT_USAGE, "more ports, or more active sessions, than there are");
    s->outstanding = min_u32(s->outstanding, max_u32(s->active, 1));
}

int
main(int argc, char **argv)
{
    struct scale s = {.via = &via_bulkhead,
                      .port = 5004,
                      .ports = 1,
                      .sessions = 1,
                      .outstanding = 1,
                      .size = 64,
                      .seconds = 5,
                      .warmup = 0.5,
                      .patience = 10};
    tool_name = "bulkhead-scale";
    parse(&s, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    unsigned room = scale_room(&s);
    if (!s.host)
        scale_serve(&s, room);
    return scale_connect(&s, room);
}
