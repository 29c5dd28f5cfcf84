/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c: bulkhead-wire: a bad wire between two network interfaces, for kernels without netem
 * and for runs that are to be repeated.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "bench/wire/wire.h"

static volatile sig_atomic_t stop;

static void
on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static const char usage_text[] =
    "usage: bulkhead-wire [options] LEFT RIGHT\n"
    "Forwards every Ethernet frame between two interfaces, as badly as it is told.\n"
    "  --profile FILE       settings from a file; options stand over it\n"
    "  --seed N             the same seed and the same packets: the same fates (1)\n"
    "  --json               counters as JSON at the end\n"
    "  --room N             packets under way at once, both directions (65536)\n"
    "  --spin TIME          do not go to sleep for less (5us)\n"
    "  --realtime           before every ordinary process (SCHED_FIFO)\n"
    "  --to-right, --to-left, --both\n"
    "                       for which direction the settings behind it are (both)\n"
    "Settings:\n";

static void
usage(FILE *to)
{
    fputs(usage_text, to);
    for (size_t i = 0; i < SETTINGS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s", settings[i].name);
        for (char *c = name; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        fprintf(to, "  --%-18s %s\n", name, settings[i].help);
    }
    fputs("It says \"ready\" when it forwards, and ends with SIGTERM or SIGINT.\n", to);
}

_Noreturn static void
misused(void)
{
    usage(stderr);
    exit(EXIT_USAGE);
}

enum { PROFILE = 1, SEED, JSON, ROOM, SPIN, REALTIME, RIGHT, LEFT, BOTH, HELP, SETTING };

struct options {
    struct option list[SETTINGS + HELP + 1];
    char names[SETTINGS][32];
};

static void
options_make(struct options *o)
{
    static const struct option first[] = {
        {"profile", required_argument, NULL, PROFILE},
        {"seed", required_argument, NULL, SEED},
        {"json", no_argument, NULL, JSON},
        {"room", required_argument, NULL, ROOM},
        {"spin", required_argument, NULL, SPIN},
        {"realtime", no_argument, NULL, REALTIME},
        {"to-right", no_argument, NULL, RIGHT},
        {"to-left", no_argument, NULL, LEFT},
        {"both", no_argument, NULL, BOTH},
        {"help", no_argument, NULL, HELP},
    };
    *o = (struct options){0};
    memcpy(o->list, first, sizeof first);
    for (size_t i = 0; i < SETTINGS; i++) {
        snprintf(o->names[i], sizeof o->names[i], "%s", settings[i].name);
        for (char *c = o->names[i]; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        o->list[ARRAY_LEN(first) + i] =
            (struct option){o->names[i], required_argument, NULL, SETTING + (int)i};
    }
}

static void
put_setting(struct wire *w, size_t i, unsigned ways)
{
    for (unsigned dir = 0; dir < WAYS; dir++) {
        const char *why =
            ways & 1u << dir ? setting_put(&settings[i], &w->conf.way[dir], optarg) : NULL;
        if (why != NULL)
            tool_die(EXIT_USAGE, "%s \"%s\" %s", settings[i].name, optarg, why);
    }
}

static void
put_spin(struct wire *w)
{
    static const struct setting spin = {"spin", SET_TIME, offsetof(struct way_conf, delay), 1e6,
                                        NULL};
    struct way_conf scratch = {0};
    if (setting_put(&spin, &scratch, optarg) != NULL)
        tool_die(EXIT_USAGE, "--spin \"%s\" must be a time up to 1ms", optarg);
    w->spin = scratch.delay;
}

static void
before_others(void)
{
    struct sched_param p = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &p) < 0)
        tool_die(EXIT_PRIVILEGE, "--realtime: %s", strerror(errno));
}

/* The profile first, wherever it stands: options are the exceptions from it. */
static void
read_profile(struct wire *w, const struct options *o, int argc, char **argv)
{
    char err[512];
    for (int c; (c = getopt_long(argc, argv, "", o->list, NULL)) != -1;) {
        if (c == '?')
            misused();
        if (c != PROFILE)
            continue;
        int code = wire_profile(&w->conf, optarg, err, sizeof err);
        if (code != 0)
            tool_die(code, "%s", err);
    }
    optind = 1;
}

/* Returns whether the counters shall be JSON. */
static bool
parse(struct wire *w, int argc, char **argv)
{
    struct options o;
    unsigned ways = 3;
    bool json = false;
    options_make(&o);
    read_profile(w, &o, argc, argv);
    for (int c; (c = getopt_long(argc, argv, "", o.list, NULL)) != -1;) {
        switch (c) {
        case PROFILE:
            break;
        case SEED:
            if (!wire_number(optarg, &w->conf.seed))
                tool_die(EXIT_USAGE, "--seed: \"%s\" is not a number", optarg);
            break;
        case JSON:
            json = true;
            break;
        case ROOM:
            w->room = (uint32_t)tool_number("--room", optarg, 256, 1 << 22);
            break;
        case SPIN:
            put_spin(w);
            break;
        case REALTIME:
            before_others();
            break;
        case RIGHT:
        case LEFT:
        case BOTH:
            ways = c == RIGHT ? 1 : c == LEFT ? 2 : 3;
            break;
        case HELP:
            usage(stdout);
            exit(EXIT_OK);
        default:
            put_setting(w, (size_t)(c - SETTING), ways);
        }
    }
    if (argc - optind != 2)
        misused();
    while ((w->room & (w->room - 1)) != 0)
        w->room += w->room & -w->room; /* up to a power of two */
    return json;
}

int
main(int argc, char **argv)
{
    struct wire w = {.room = 65536, .spin = 5 * NS_US};
    struct sigaction sa = {.sa_handler = on_signal};
    sigset_t ours, awake;

    tool_name = "bulkhead-wire";
    wire_conf_init(&w.conf);
    bool json = parse(&w, argc, argv);
    port_open(&w.port[TO_RIGHT], argv[optind]);
    port_open(&w.port[TO_LEFT], argv[optind + 1]);
    if (w.port[TO_RIGHT].mtu != w.port[TO_LEFT].mtu)
        tool_die(EXIT_OTHER, "the MTU of %s is %u, that of %s is %u: a wire has one",
                 argv[optind], w.port[TO_RIGHT].mtu, argv[optind + 1], w.port[TO_LEFT].mtu);
    wire_init(&w);

    /* Signals come only while it sleeps, so none is overlooked before that. */
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigprocmask(SIG_BLOCK, &ours, &awake);
    sigdelset(&awake, SIGINT);
    sigdelset(&awake, SIGTERM);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0); /* ns; else sleeps are 50 us too long */
    puts("ready");
    fflush(stdout);

    int err = wire_run(&w, &stop, &awake);
    if (err != 0)
        tool_warn("an interface went away: %s", strerror(err));
    wire_report(&w, stdout, json);
    return err == 0 ? EXIT_OK : EXIT_OTHER;
}
