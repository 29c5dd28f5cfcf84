/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ticks_main.c: bulkhead-ticks: ticks of the time-stamp counter a packet through ip and tcp, as
 * one to four domains in one process, in a bulk transfer in virtual time. bench/ticks runs it
 * under callgrind too, for instructions.
 */
#include "bench/ticks.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_codes.h"
#include "tests/sim/bulk.h"

static const char usage_text[] =
    "usage: bulkhead-ticks [options]\n"
    "  --domains N   1: calls; 2: nic, rest; 3: nic, ip, tcp; 4: nic, ip, tcp, udp (default "
    "1)\n"
    "  --side WHO    receive (default) or send: which end is counted\n"
    "  --batch N     received frames that a turn takes, 1 to 64 (default 64)\n"
    "  --mib N       how much is sent, 1 to 4096 (default 16)\n"
    "One JSON object. Packets are those received and those sent by the end that is counted.\n";

static unsigned
number(const char *text, unsigned min, unsigned max)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (end == text || *end || v < min || v > max) {
        fprintf(stderr, "bulkhead-ticks: \"%s\" is not a number from %u to %u\n", text, min,
                max);
        exit(EXIT_USAGE);
    }
    return (unsigned)v;
}

int
main(int argc, char **argv)
{
    enum { DOMAINS = 1, SIDE, BATCH, MIB, HELP };
    static const struct option opts[] = {
        {"domains", required_argument, NULL, DOMAINS},
        {"side", required_argument, NULL, SIDE},
        {"batch", required_argument, NULL, BATCH},
        {"mib", required_argument, NULL, MIB},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    static struct world w;
    struct bulk b;
    unsigned side = 1, batch = BATCH_MAX, mib = 16;
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        if (c == DOMAINS) {
            ticks.domains = number(optarg, 1, 4);
        } else if (c == SIDE && (!strcmp(optarg, "send") || !strcmp(optarg, "receive"))) {
            side = !strcmp(optarg, "receive");
        } else if (c == BATCH) {
            batch = number(optarg, 1, BATCH_MAX);
        } else if (c == MIB) {
            mib = number(optarg, 1, 4096);
        } else {
            fputs(usage_text, c == HELP ? stdout : stderr);
            return c == HELP ? EXIT_OK : EXIT_USAGE;
        }
    }
    struct world_config c = bulk_world(1, 100 * NS_US);
    c.stack[side].batch = batch;
    c.stack[0].check_every = c.stack[1].check_every = 1u << 30; /* not what is counted */
    ticks.addr = WORLD_ADDR(side);
    bulk_init(&b, &w, &c, 1);
    ticks.packets = ticks.turns = ticks.ticks = 0;
    bulk_transfer(&b, (uint64_t)mib << 20, 600 * NS_S);
    printf("{\"domains\": %u, \"side\": \"%s\", \"batch\": %u, \"bytes\": %llu, "
           "\"packets\": %llu, \"turns\": %llu, \"packets_a_turn\": %.2f, "
           "\"ticks_a_packet\": %.1f}\n",
           ticks.domains, side ? "receive" : "send", batch, (unsigned long long)mib << 20,
           (unsigned long long)ticks.packets, (unsigned long long)ticks.turns,
           (double)ticks.packets / (double)ticks.turns,
           (double)ticks.ticks / (double)ticks.packets);
    return EXIT_OK;
}
