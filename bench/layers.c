/* SPDX-License-Identifier: BSD-2-Clause
 *
 * layers.c: bulkhead-layers: where the time of a round trip goes. Sends one message at a time
 * to an echo server on a stack whose domains keep a trace (trace.h), and looks afterwards which
 * domain worked when, between sending and receiving.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "bench/trace.h"

#define DOMAINS_MAX 4u
#define STOPS_MAX (2 * DOMAINS_MAX)
#define SIZE_MAX_ 1460u
#define COUNT_MAX 16000u

struct traced {
    char name[16];
    pid_t pid;
    struct trace t;
    uint64_t at; /* the next turn to be looked at */
};

struct layers {
    const char *host;
    unsigned port;
    size_t size, count;
    bool json;
    struct traced *domain[DOMAINS_MAX]; /* in the order of a packet's way up */
    unsigned n;
    uint64_t *sent, *got;
    double ticks_us;
};

/* ---- the round trips ---- */

static void
one_trip(int fd, size_t size, uint64_t *sent, uint64_t *got)
{
    uint8_t buf[SIZE_MAX_] = {0};
    *sent = trace_now();
    if (send(fd, buf, size, 0) != (ssize_t)size)
        tool_die(EXIT_NETWORK, "sending: %s", strerror(errno));
    for (size_t n = 0; n < size;) {
        ssize_t k = recv(fd, buf, size - n, 0);
        if (k <= 0)
            tool_die(EXIT_NETWORK, "receiving: %s", k ? strerror(errno) : "closed");
        n += (size_t)k;
    }
    *got = trace_now();
}

static void
trips(struct layers *l)
{
    struct sockaddr_in to = tool_address(l->host, l->port);
    struct timeval patience = {.tv_sec = 5};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        tool_die(EXIT_NETWORK, "cannot connect to %s: %s", l->host, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (unsigned i = 0; i < 100; i++) /* not counted: caches, slow start */
        one_trip(fd, l->size, &l->sent[0], &l->got[0]);
    double start = tool_seconds();
    uint64_t from = trace_now();
    for (size_t i = 0; i < l->count; i++)
        one_trip(fd, l->size, &l->sent[i], &l->got[i]);
    l->ticks_us = (double)(trace_now() - from) / ((tool_seconds() - start) * 1e6);
    close(fd);
}

/* ---- the traces ---- */

/* Find the trace in the writable memory of the process. */
static void
read_trace(struct traced *d)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)d->pid);
    int mem = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)d->pid);
    FILE *maps = fopen(path, "re");
    if (mem < 0 || !maps)
        tool_die(EXIT_PRIVILEGE, "memory of %s (%d): %s", d->name, (int)d->pid,
                 strerror(errno));
    while (fgets(line, sizeof line, maps)) {
        uint64_t from, to, head[2];
        char rights[5];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights) != 3 ||
            strcmp(rights, "rw-p") != 0 || to - from > (64u << 20))
            continue;
        for (; from < to; from += CACHE_LINE) /* it may go on in the next line */
            if (pread(mem, head, sizeof head, (off_t)from) == sizeof head &&
                head[0] == TRACE_MAGIC_A && head[1] == TRACE_MAGIC_B &&
                pread(mem, &d->t, sizeof d->t, (off_t)from) == sizeof d->t) {
                (void)fclose(maps);
                close(mem);
                d->at = d->t.n > TRACE_EVENTS ? d->t.n - TRACE_EVENTS : 0;
                return;
            }
    }
    tool_die(EXIT_OTHER, "%s (%d) keeps no trace: is it one of bench/traced?", d->name,
             (int)d->pid);
}

/* The first turn of d that ends after `from` and begins before `to`, from d->at on. */
static const struct trace_turn *
turn_after(struct traced *d, uint64_t from, uint64_t to)
{
    for (; d->at < d->t.n; d->at++) {
        const struct trace_turn *t = &d->t.turn[d->at % TRACE_EVENTS];
        if (t->end <= from)
            continue;
        if (t->begin >= to)
            return NULL;
        d->at++;
        return t;
    }
    return NULL;
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The last turn of d that begins before `to`, from d->at on. */
static const struct trace_turn *
turn_before(const struct traced *d, uint64_t to)
{
    const struct trace_turn *last = NULL;
    for (uint64_t i = d->at; i < d->t.n; i++) {
        const struct trace_turn *t = &d->t.turn[i % TRACE_EVENTS];
        if (t->begin >= to)
            break;
        last = t;
    }
    return last;
}

/* Up through the domains, each by its first turn after that of the one below; and down again,
 * looked up from the end, each by its last turn before that of the one below: what they do in
 * between (acknowledgments, frames that come back) is not on the way. For each stop the time
 * before it, from the end of the stop before, and in it. False: the way is not in the traces.
 */
static bool
follow(struct layers *l, uint64_t sent, uint64_t got, uint64_t before[], uint64_t in[])
{
    const struct trace_turn *way[STOPS_MAX];
    unsigned stops = 2 * l->n;
    uint64_t last = sent;
    for (unsigned i = 0; i < l->n; i++) {
        if (!(way[i] = turn_after(l->domain[i], last, got)))
            return false;
        last = way[i]->begin;
    }
    last = got;
    for (unsigned i = 0; i < l->n; i++) {
        if (!(way[stops - 1 - i] = turn_before(l->domain[i], last)))
            return false;
        last = way[stops - 1 - i]->begin;
    }
    last = sent;
    for (unsigned k = 0; k < stops; k++) {
        uint64_t begin = way[k]->begin > last ? way[k]->begin : last;
        before[k] = begin - last;
        in[k] = way[k]->end > begin ? way[k]->end - begin : 0;
        last = begin + in[k];
    }
    before[stops] = got > last ? got - last : 0;
    return true;
}

static double
median(uint64_t *v, size_t n, double ticks_us)
{
    qsort(v, n, sizeof *v, by_value);
    size_t middle = n / 2;
    return (double)v[middle] / ticks_us;
}

static void
analyse(struct layers *l)
{
    unsigned stops = 2 * l->n;
    size_t n = 0;
    uint64_t *all[2 * STOPS_MAX + 2], before[STOPS_MAX + 1], in[STOPS_MAX];
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (!(all[i] = calloc(l->count, sizeof *all[i])))
            tool_die(EXIT_OTHER, "out of memory");
    for (size_t i = 0; i < l->count; i++) {
        if (!follow(l, l->sent[i], l->got[i], before, in))
            continue;
        for (unsigned k = 0; k <= stops; k++) {
            all[2 * k][n] = before[k];
            all[2 * k + 1][n] = k < stops ? in[k] : l->got[i] - l->sent[i];
        }
        n++;
    }
    if (n < l->count / 2)
        tool_die(EXIT_OTHER, "only %zu of %zu round trips are in the traces", n, l->count);
    double total = median(all[2 * stops + 1], n, l->ticks_us);
    printf(l->json ? "{\"round_trips\": %zu, \"size\": %zu, \"median_us\": %.2f, \"parts\": ["
                   : "%zu round trips of %zu bytes, median %.2f us\n",
           n, l->size, total);
    for (unsigned k = 0; k <= stops; k++) {
        const char *to = k == stops ? "peer" : l->domain[k < l->n ? k : 2 * l->n - 1 - k]->name;
        const char *from =
            k == 0 ? "peer" : l->domain[k - 1 < l->n ? k - 1 : 2 * l->n - k]->name;
        const char *what = k == l->n ? "program" : "crossing";
        double b = median(all[2 * k], n, l->ticks_us);
        printf(l->json ? "%s{\"part\": \"%s\", \"from\": \"%s\", \"to\": \"%s\", "
                         "\"median_us\": %.3f}"
                       : "%s%-9s %s -> %s: %.3f us\n",
               l->json && k ? ", " : "", what, from, to, b);
        if (k < stops)
            printf(l->json ? ", {\"part\": \"work\", \"in\": \"%s\", \"way\": \"%s\", "
                             "\"median_us\": %.3f}"
                           : "work      %s (%s): %.3f us\n",
                   to,
                   stops == 1 ? "both"
                   : k < l->n ? "up"
                              : "down",
                   median(all[2 * k + 1], n, l->ticks_us));
    }
    if (l->json)
        printf("]}\n");
}

/* ---- the program ---- */

static const char usage_text[] =
    "usage: bulkhead-layers --connect HOST --domain NAME=PID... [options]\n"
    "  --domain NAME=PID  a domain of bench/traced, in the order of a packet's way up:\n"
    "                     nic=1 ip=2 tcp=3, or mono=1\n"
    "  --port N           the echo server's (default 5002)\n"
    "  --size N           bytes, 1 to 1460 (default 1); --count N: round trips, to 16000\n"
    "                     (default 5000)\n"
    "  --json             one JSON object\n"
    "Needs root, to read the domains' memory.\n";

static void
add_domain(struct layers *l, const char *text)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || (size_t)(eq - text) >= sizeof l->domain[0]->name ||
        l->n == DOMAINS_MAX)
        tool_die(EXIT_USAGE, "--domain: \"%s\" is not NAME=PID, or there are too many", text);
    static struct traced store[DOMAINS_MAX];
    struct traced *d = l->domain[l->n] = &store[l->n];
    l->n++;
    memcpy(d->name, text, (size_t)(eq - text));
    d->pid = (pid_t)tool_number("--domain", eq + 1, 1, 1 << 22);
}

int
main(int argc, char **argv)
{
    enum { CONNECT = 1, DOMAIN, PORT, SIZE, COUNT, JSON, HELP };
    static const struct option opts[] = {
        {"connect", required_argument, NULL, CONNECT},
        {"domain", required_argument, NULL, DOMAIN},
        {"port", required_argument, NULL, PORT},
        {"size", required_argument, NULL, SIZE},
        {"count", required_argument, NULL, COUNT},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    struct layers l = {.port = 5002, .size = 1, .count = 5000};
    tool_name = "bulkhead-layers";
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        if (c == CONNECT) {
            l.host = optarg;
        } else if (c == DOMAIN) {
            add_domain(&l, optarg);
        } else if (c == PORT) {
            l.port = (unsigned)tool_number("--port", optarg, 1, 65535);
        } else if (c == SIZE) {
            l.size = tool_number("--size", optarg, 1, SIZE_MAX_);
        } else if (c == COUNT) {
            l.count = tool_number("--count", optarg, 1, COUNT_MAX);
        } else if (c == JSON) {
            l.json = true;
        } else {
            tool_usage(usage_text, c == HELP ? EXIT_OK : EXIT_USAGE);
        }
    }
    if (optind < argc || !l.host || l.n == 0)
        tool_usage(usage_text, EXIT_USAGE);
    l.sent = calloc(l.count, sizeof *l.sent);
    l.got = calloc(l.count, sizeof *l.got);
    if (!l.sent || !l.got)
        tool_die(EXIT_OTHER, "out of memory");
    trips(&l);
    for (unsigned i = 0; i < l.n; i++)
        read_trace(l.domain[i]);
    analyse(&l);
    return EXIT_OK;
}
