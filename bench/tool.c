/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tool.c: what the tools in bench/ share.
 */
#include "bench/tool.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/exit_codes.h"

const char *tool_name = "bulkhead";

static void
vwarn(const char *fmt, va_list ap)
{
    fprintf(stderr, "%s: ", tool_name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void
tool_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vwarn(fmt, ap);
    va_end(ap);
}

void
tool_die(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vwarn(fmt, ap);
    va_end(ap);
    exit(code);
}

void
tool_usage(const char *text, int code)
{
    fputs(text, code == EXIT_OK ? stdout : stderr);
    exit(code);
}

uint64_t
tool_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    unsigned shift = 0;
    errno = 0;
    /* strtoull takes a sign and leading space; a count has neither. */
    unsigned long long v = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (end && *end) {
        shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        end += shift ? 1 : 0;
    }
    if (!end || *end || errno || v > UINT64_MAX >> shift || v << shift < min ||
        v << shift > max)
        tool_die(EXIT_USAGE, "%s: \"%s\" is not a number from %llu to %llu", option, text,
                 (unsigned long long)min, (unsigned long long)max);
    return v << shift;
}

double
tool_time(const char *option, const char *text, double min, double max)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max))
        tool_die(EXIT_USAGE, "%s: \"%s\" is not a number of seconds from %g to %g", option,
                 text, min, max);
    return v;
}

const struct via *
tool_via(const char *text)
{
    const struct via *via = via_find(text);
    if (!via)
        tool_die(EXIT_USAGE, "--via: \"%s\" is neither bulkhead nor kernel", text);
    return via;
}

struct sockaddr_in
tool_address(const char *host, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    if (host) {
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
        int e = getaddrinfo(host, NULL, &hints, &list);
        if (e)
            tool_die(EXIT_USAGE, "%s: %s", host, gai_strerror(e));
        memcpy(&a, list->ai_addr, sizeof a);
        freeaddrinfo(list);
    }
    a.sin_port = htons((uint16_t)port);
    return a;
}

uint64_t
tool_nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double
tool_seconds(void)
{
    return (double)tool_nanoseconds() / 1e9;
}

double
tool_cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int
tool_listen(const struct via *via, int type, const struct sockaddr_in *at, int backlog)
{
    bool stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
    int on = 1;
    int fd = via_socket_or_exit(via, type);
    /* For streams only: on datagram sockets it would let two servers share a port unseen. */
    if (stream && via->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        tool_die(EXIT_OTHER, "SO_REUSEADDR: %s", strerror(errno));
    if (via->bind(fd, (const struct sockaddr *)at, sizeof *at) < 0)
        tool_die(errno == EDQUOT || errno == EACCES ? EXIT_ACCOUNT : EXIT_OTHER,
                 "cannot bind to port %u: %s", ntohs(at->sin_port), strerror(errno));
    if (stream && via->listen(fd, backlog) < 0)
        tool_die(EXIT_OTHER, "listen: %s", strerror(errno));
    return fd;
}

static void
end_now(int sig)
{
    (void)sig;
    _exit(EXIT_OK);
}

void
tool_end_on_signal(void)
{
    struct sigaction sa = {.sa_handler = end_now};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}
