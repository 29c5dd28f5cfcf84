/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stages.c: bulkhead-stages: packets a second through a row of dummy stages: what a boundary
 * between two domains costs when the domains themselves do nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/exit_codes.h"
#include "bench/chain.h"
#include "bench/rawport.h"
#include "bench/tool.h"
#include "bench/window.h"

struct stages {
    struct chain_opt opt;
    const char *interface, *address, *split;
    bool json;
    struct rawport *port; /* NULL: frames go round */
    struct window w;
    double took, cpu;
    struct chain_count count[CHAIN_STAGES_MAX + 1];
};

/* One turn: what the last stage has goes back to where the first one's comes from. */
static unsigned
turn(struct stages *s, struct chain *c, bool *any)
{
    struct fdesc f[BATCH_MAX];
    unsigned in = 0, out = chain_take(c, f);
    if (s->port == NULL) {
        if (out != 0)
            chain_put(c, f, out);
    } else {
        rawport_return(s->port, f, out);
        in = rawport_receive(s->port, f);
        if (in != 0)
            chain_put(c, f, in);
    }
    *any = in + out != 0;
    return out;
}

static void
nothing_to_do(struct stages *s, struct chain *c)
{
    struct pollfd p;
    if (c->n != 0) {
        chain_sleep(c, s->port ? s->port->netif.fd : -1);
    } else if (s->port) {
        p = (struct pollfd){.fd = s->port->netif.fd, .events = POLLIN};
        (void)poll(&p, 1, 100);
    }
}

static void
measure(struct stages *s, struct chain *c)
{
    const ns_t spin = s->opt.spin_us * NS_US;
    ns_t now, busy_at = 0;
    unsigned out;
    bool any;
    do {
        now = tool_nanoseconds();
        out = turn(s, c, &any);
        if (any) {
            busy_at = now;
        } else if (now - busy_at < spin) {
            sched_yield();
        } else {
            nothing_to_do(s, c);
            busy_at = tool_nanoseconds();
        }
    } while (window_take(&s->w, out, (double)now / 1e9));
}

/* All frames on their way. Where no process is between, a batch is as much as there is. */
static void
put_all(struct chain *c)
{
    struct fdesc f[BATCH_MAX];
    unsigned n = c->n != 0 ? c->opt.frames : min_u32(c->opt.frames, BATCH_MAX), done = 0;
    while (done < n) {
        unsigned k = 0;
        for (; k < BATCH_MAX && done < n; k++, done++)
            f[k] = (struct fdesc){.addr = done * FRAME_SIZE, .len = 60};
        chain_put(c, f, k);
    }
}

static void
run(struct stages *s)
{
    static struct rawport port;
    static struct chain c;

    if (s->interface) {
        struct ipaddr own = ipaddr_v4_u32(ntohl(tool_address(s->address, 0).sin_addr.s_addr));
        s->port = &port;
        rawport_open(s->port, s->interface, &own, false);
        s->opt.memory = port.frames.base;
        s->opt.frames = RAWPORT_FRAMES;
    } else {
        size_t bytes = (size_t)s->opt.frames * FRAME_SIZE;
        s->opt.memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (s->opt.memory == MAP_FAILED)
            tool_die(EXIT_OTHER, "%zu bytes of packets: %s", bytes, strerror(errno));
        memset(s->opt.memory, 1, bytes);
    }
    chain_start(&c, &s->opt);
    if (!s->port)
        put_all(&c);
    measure(s, &c);
    s->took = window_end(&s->w, &s->cpu);
    chain_stop(&c, s->count);
    if (s->port)
        rawport_close(s->port);
}

/* ---- the program ---- */

static void
report(const struct stages *s, unsigned n)
{
    double pps = (double)s->w.n / s->took, sleeps = 0, rung = 0, batch = 0;
    for (unsigned k = 0; k <= n; k++) {
        sleeps += (double)s->count[k].sleeps;
        rung += (double)s->count[k].rung;
    }
    uint64_t packets = n ? s->count[0].packets : 0;
    if (n && s->count[n - 1].batches)
        batch = (double)s->count[n - 1].packets / (double)s->count[n - 1].batches;
    double each = packets ? 1 / (double)packets : 0;
    if (!s->json) {
        printf("%u stages, %s: %.0f packets a second, %.1f ns each; batches of %.1f, %.4f "
               "sleeps and %.4f bells a packet\n",
               s->opt.stages, s->split, pps, 1e9 / pps, batch, sleeps * each, rung * each);
        return;
    }
    printf(
        "{\"stages\": %u, \"processes\": \"%s\", \"frames\": %u, \"descriptor_bytes\": %zu, "
        "\"touch\": %s, \"af_xdp\": %s, \"spin_us\": %u, \"packets\": %llu, \"seconds\": %.6f, "
        "\"packets_per_second\": %.0f, \"mean_batch\": %.2f, \"sleeps_per_packet\": %.6f, "
        "\"bells_per_packet\": %.6f, \"feeder_cpu_seconds\": %.6f, "
        "\"stage_cpu_ns_per_packet\": [",
        s->opt.stages, s->split, s->opt.frames,
        s->opt.wide ? sizeof(struct pkt) : sizeof(struct fdesc),
        s->opt.touch ? "true" : "false", s->port ? "true" : "false", s->opt.spin_us,
        (unsigned long long)s->w.n, s->took, pps, batch, sleeps * each, rung * each, s->cpu);
    for (unsigned k = 0; k < n; k++)
        printf("%s%.2f", k ? ", " : "",
               s->count[k].packets ? (double)s->count[k].cpu_ns / (double)s->count[k].packets
                                   : 0);
    printf("]}\n");
}

static const char usage_text[] =
    "usage: bulkhead-stages [options]\n"
    "  --stages N        0 to 16 (default 1)\n"
    "  --processes HOW   separate: one for each stage (default); one: one for all of them;\n"
    "                    none: the stages are called by the feeder\n"
    "  --frames N        packets under way, 1 to 65536 (default 1024); 1: a round trip at a "
    "time\n"
    "  --descriptor N    bytes: 8, as between nic and ip (default), or 64, as above ip\n"
    "  --touch           each stage reads the packet's first 64 bytes\n"
    "  --spin US         how long an idle process looks again before it sleeps (default 20)\n"
    "  --cpus LIST       processors, such as 0 or 0,1: feeder and stages are bound to them in\n"
    "                    turn (default: bound to none)\n"
    "  --interface IF --address A\n"
    "                    packets come from AF_XDP and their frames go back to it (root);\n"
    "                    otherwise the same ones go round\n"
    "  --wait S          with --interface: how long to wait for the first (default 10)\n"
    "  --warmup S        what is not counted at the beginning (default 0.2)\n"
    "  --seconds S       the window (default 2)\n"
    "  --json            one JSON object\n";

static void
parse_cpus(struct chain_opt *o, const char *text)
{
    char *copy = strdup(text), *rest = copy;
    for (char *one; copy && (one = strsep(&rest, ",")) != NULL;) {
        if (o->n_cpus == CHAIN_CPUS_MAX)
            tool_die(EXIT_USAGE, "--cpus: more than %u", CHAIN_CPUS_MAX);
        o->cpu[o->n_cpus++] = (int)tool_number("--cpus", one, 0, CPU_SETSIZE - 1);
    }
    free(copy);
}

static void
parse_split(struct stages *s, const char *text)
{
    static const char *const name[] = {"separate", "one", "none"};
    for (enum chain_split i = CHAIN_SEPARATE; i <= CHAIN_NONE; i++)
        if (!strcmp(text, name[i])) {
            s->opt.split = i;
            s->split = name[i];
            return;
        }
    tool_die(EXIT_USAGE, "--processes: \"%s\" is neither separate, one nor none", text);
}

static void
parse(struct stages *s, int argc, char **argv)
{
    enum { STAGES = 1, PROCESSES, FRAMES, DESCRIPTOR, TOUCH, SPIN, CPUS, INTERFACE, ADDRESS };
    enum { WAIT = ADDRESS + 1, WARMUP, SECONDS, JSON, HELP };
    static const struct option opts[] = {
        {"stages", required_argument, NULL, STAGES},
        {"processes", required_argument, NULL, PROCESSES},
        {"frames", required_argument, NULL, FRAMES},
        {"descriptor", required_argument, NULL, DESCRIPTOR},
        {"touch", no_argument, NULL, TOUCH},
        {"spin", required_argument, NULL, SPIN},
        {"cpus", required_argument, NULL, CPUS},
        {"interface", required_argument, NULL, INTERFACE},
        {"address", required_argument, NULL, ADDRESS},
        {"wait", required_argument, NULL, WAIT},
        {"warmup", required_argument, NULL, WARMUP},
        {"seconds", required_argument, NULL, SECONDS},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        switch (c) {
        case STAGES:
            s->opt.stages = (unsigned)tool_number("--stages", optarg, 0, CHAIN_STAGES_MAX);
            break;
        case PROCESSES:
            parse_split(s, optarg);
            break;
        case FRAMES:
            s->opt.frames = (unsigned)tool_number("--frames", optarg, 1, 65536);
            break;
        case DESCRIPTOR:
            s->opt.wide = tool_number("--descriptor", optarg, 8, 64) == 64;
            break;
        case TOUCH:
            s->opt.touch = true;
            break;
        case SPIN:
            s->opt.spin_us = (unsigned)tool_number("--spin", optarg, 0, 100000);
            break;
        case CPUS:
            parse_cpus(&s->opt, optarg);
            break;
        case INTERFACE:
            s->interface = optarg;
            break;
        case ADDRESS:
            s->address = optarg;
            break;
        case WAIT:
            s->w.wait = tool_time("--wait", optarg, 0, 600);
            break;
        case WARMUP:
            s->w.warmup = tool_time("--warmup", optarg, 0, 60);
            break;
        case SECONDS:
            s->w.length = tool_time("--seconds", optarg, 0.01, 600);
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
    if (optind < argc || (s->interface != NULL) != (s->address != NULL))
        tool_usage(usage_text, EXIT_USAGE);
}

int
main(int argc, char **argv)
{
    static struct stages s = {
        .opt = {.stages = 1, .frames = 1024, .spin_us = 20},
        .split = "separate",
        .w = {.wait = 10, .warmup = 0.2, .length = 2},
    };
    tool_name = "bulkhead-stages";
    parse(&s, argc, argv);
    if (s.opt.stages == 0) /* the feeder alone: what all others have on top of it */
        parse_split(&s, "none");
    run(&s);
    report(&s, s.opt.split == CHAIN_SEPARATE ? s.opt.stages : s.opt.split == CHAIN_ONE ? 1 : 0);
    return EXIT_OK;
}
