/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_options.c: bulkheadd's command line, and the files that it names.
 */
#include "sup.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/exit_codes.h"

static const struct option options[] = {
    {"interface", required_argument, NULL, 'i'}, {"address", required_argument, NULL, 'a'},
    {"gateway", required_argument, NULL, 'g'},   {"composition", required_argument, NULL, 'm'},
    {"checksum", required_argument, NULL, 's'},  {"instance", required_argument, NULL, 'n'},
    {"driver", required_argument, NULL, 'd'},    {"config", required_argument, NULL, 'c'},
    {"verbose", no_argument, NULL, 'v'},         {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},         {NULL, 0, NULL, 0},
};

static const char usage[] =
    "Usage: bulkheadd --interface IF --address A/P [OPTION]...\n"
    "Run a TCP/IP stack on an interface that it shares with the kernel.\n\n"
    "  -i, --interface IF      the interface; with driver xdp, one receive queue\n"
    "  -a, --address A/P       the stack's own address and prefix, such as 10.0.0.1/24\n"
    "  -g, --gateway G         where everything else is reached\n"
    "  -m, --composition WHAT  factored: a process for nic, ip, tcp and udp each (default);\n"
    "                          monolithic: one process\n"
    "  -d, --driver WHICH      xdp: AF_XDP (default); packet: AF_PACKET with segments of\n"
    "                          64 KiB\n"
    "  -s, --checksum HOW      auto: on veth, also accept checksums left to hardware "
    "(default);\n"
    "                          strict: never\n"
    "  -n, --instance NAME     what clients and bulkheadctl find it by (default: default)\n"
    "  -c, --config FILE       read FILE first; see bulkhead.conf(5)\n"
    "  -v, --verbose           say more\n"
    "  -h, --help\n"
    "      --version\n\n"
    "Stays in the foreground, and stops on SIGTERM and SIGINT. See bulkheadd(8).\n";

static const char *
key_of(int opt)
{
    for (const struct option *o = options; o->name != NULL; o++)
        if (o->val == opt)
            return o->name;
    return "";
}

/* One pass over the command line. apply: take the values; else only look for the file. */
static int
scan_options(struct sup_conf *c, int argc, char **argv, bool apply, const char **file)
{
    int opt;
    optind = 0;
    opterr = !apply; /* complain once */
    while ((opt = getopt_long(argc, argv, "i:a:g:m:d:s:n:c:vhV", options, NULL)) != -1) {
        if (opt == 'h') {
            fputs(usage, stdout);
            exit(EXIT_OK);
        }
        if (opt == 'V') {
            puts("bulkheadd " PACKAGE_VERSION);
            exit(EXIT_OK);
        }
        if (opt == '?')
            return EXIT_USAGE;
        if (opt == 'c')
            *file = optarg;
        else if (opt == 'v')
            c->verbose = true;
        else if (apply) {
            const char *why = sup_conf_set(c, key_of(opt), optarg);
            if (why != NULL) {
                sup_log("--%s \"%s\" %s", key_of(opt), optarg, why);
                return EXIT_USAGE;
            }
        }
    }
    if (optind < argc) {
        if (!apply)
            sup_log("\"%s\" is not an option", argv[optind]);
        return EXIT_USAGE;
    }
    return 0;
}

int
sup_options(struct sup *s, int argc, char **argv, char *err, size_t err_len)
{
    const char *file = NULL;
    sup_conf_init(&s->conf);
    int rc = scan_options(&s->conf, argc, argv, false, &file);
    if (rc == 0 && file != NULL)
        rc = sup_conf_file(&s->conf, file, err, err_len);
    if (rc == 0)
        rc = scan_options(&s->conf, argc, argv, true, &file);
    if (rc == 0)
        rc = sup_conf_check(&s->conf, err, err_len);
    if (rc == 0)
        rc = accounts_read(&s->accounts, s->conf.accounts[0] ? s->conf.accounts : NULL, err,
                           err_len);
    return rc;
}
