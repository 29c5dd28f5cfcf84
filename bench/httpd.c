/* SPDX-License-Identifier: BSD-2-Clause
 *
 * httpd.c: bulkhead-httpd: a server of files over HTTP/1.1 that runs on either stack:
 * arguments, listener, deadlines, the end.
 */
#include "bench/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/tool.h"

#define ACCEPTS_A_TURN 64
#define BACKLOG 1024
#define DRAIN_S 5
#define SPARE_FDS 32u

struct config {
    const struct via *via;
    const char *root, *address;
    unsigned port;
    uint64_t timeout_s;
    unsigned max_conns; /* 0: as many as there are descriptors for */
};

uint64_t
httpd_now_ms(void)
{
    return tool_nanoseconds() / 1000000u;
}

static void
finish_if_drained(struct httpd *srv)
{
    if (srv->draining && !srv->n_conns)
        event_base_loopexit(srv->io.base, NULL);
}

static void
watch_listener(struct httpd *srv)
{
    bool on = srv->n_conns < srv->max_conns && !srv->accept_paused;
    if (srv->listener >= 0)
        evio_watch_set(&srv->accept, on ? EV_READ : 0);
}

void
httpd_conn_gone(struct httpd *srv)
{
    srv->accept_paused = false;
    watch_listener(srv);
    finish_if_drained(srv);
}

static void
start_sweep(struct httpd *srv)
{
    struct timeval second = {.tv_sec = 1};
    if (!event_pending(srv->sweep, EV_TIMEOUT, NULL))
        event_add(srv->sweep, &second);
}

static void
on_accept(int fd, short what, void *arg)
{
    struct httpd *srv = arg;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN && srv->n_conns < srv->max_conns; i++) {
        int conn = srv->via->accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conn < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            /* Nothing to make a connection from: they wait in the backlog until one of
             * ours ends, or the next sweep. */
            srv->accept_paused = errno != EAGAIN;
            break;
        }
        httpd_conn_new(srv, conn);
    }
    watch_listener(srv);
    start_sweep(srv);
}

static void
on_sweep(int fd, short what, void *arg)
{
    struct httpd *srv = arg;
    uint64_t now = httpd_now_ms();
    struct httpd_conn *next;
    (void)fd;
    (void)what;
    for (struct httpd_conn *c = srv->conns; c; c = next) {
        next = c->next;
        if (now >= c->deadline_ms)
            httpd_conn_expire(c);
    }
    srv->accept_paused = false;
    watch_listener(srv);
    if (srv->conns)
        start_sweep(srv);
}

static void
on_drain_end(int fd, short what, void *arg)
{
    struct httpd *srv = arg;
    (void)fd;
    (void)what;
    event_base_loopexit(srv->io.base, NULL);
}

/* The first signal lets answers under way finish; the second does not. */
static void
on_signal(int sig, short what, void *arg)
{
    struct httpd *srv = arg;
    struct timeval tv = {.tv_sec = DRAIN_S};
    struct httpd_conn *next;
    (void)sig;
    (void)what;
    if (srv->draining) {
        event_base_loopexit(srv->io.base, NULL);
        return;
    }
    srv->draining = true;
    evio_watch_fini(&srv->accept);
    srv->via->close(srv->listener);
    srv->listener = -1;
    event_add(srv->drain_end, &tv);
    for (struct httpd_conn *c = srv->conns; c; c = next) {
        next = c->next;
        httpd_conn_drain(c);
    }
    finish_if_drained(srv);
}

static void
raise_descriptors(struct httpd *srv, unsigned wanted)
{
    struct rlimit r = {.rlim_cur = 1024, .rlim_max = 1024};
    if (!getrlimit(RLIMIT_NOFILE, &r)) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    /* A connection takes a descriptor for its file and, in the kernel, one for itself. */
    rlim_t most = r.rlim_cur > 2 * SPARE_FDS ? r.rlim_cur - SPARE_FDS : SPARE_FDS;
    if (srv->via == &via_kernel)
        most /= 2;
    srv->max_conns = most > 1000000u ? 1000000u : (unsigned)most;
    if (wanted && wanted < srv->max_conns)
        srv->max_conns = wanted;
}

static void
start(struct httpd *srv, const struct config *cf)
{
    struct sockaddr_in at = tool_address(cf->address, cf->port);
    socklen_t len = sizeof at;
    char text[INET_ADDRSTRLEN];

    srv->via = cf->via;
    srv->timeout_ms = cf->timeout_s * 1000u;
    srv->root = open(cf->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (srv->root < 0)
        tool_die(EXIT_USAGE, "--root %s: %s", cf->root, strerror(errno));
    raise_descriptors(srv, cf->max_conns);
    srv->listener = tool_listen(cf->via, SOCK_STREAM | SOCK_NONBLOCK, &at, BACKLOG);
    if (!evio_init(&srv->io, cf->via))
        tool_die(EXIT_OTHER, "event loop: %s", strerror(errno));
    srv->sweep = evtimer_new(srv->io.base, on_sweep, srv);
    srv->drain_end = evtimer_new(srv->io.base, on_drain_end, srv);
    srv->sigint = evsignal_new(srv->io.base, SIGINT, on_signal, srv);
    srv->sigterm = evsignal_new(srv->io.base, SIGTERM, on_signal, srv);
    if (!srv->sweep || !srv->drain_end || !srv->sigint || !srv->sigterm ||
        event_add(srv->sigint, NULL) || event_add(srv->sigterm, NULL) ||
        !evio_watch_init(&srv->accept, &srv->io, srv->listener, on_accept, srv) ||
        !evio_watch_set(&srv->accept, EV_READ))
        tool_die(EXIT_OTHER, "event loop: %s", strerror(errno));
    if (cf->via->getsockname(srv->listener, (struct sockaddr *)&at, &len) < 0)
        tool_die(EXIT_OTHER, "getsockname: %s", strerror(errno));
    inet_ntop(AF_INET, &at.sin_addr, text, sizeof text);
    tool_warn("serving %s at %s port %u via %s", cf->root, text, ntohs(at.sin_port),
              cf->via->name);
}

static void
stop(struct httpd *srv)
{
    while (srv->conns)
        httpd_conn_close(srv->conns);
    if (srv->listener >= 0) {
        evio_watch_fini(&srv->accept);
        srv->via->close(srv->listener);
    }
    event_free(srv->sweep);
    event_free(srv->drain_end);
    event_free(srv->sigint);
    event_free(srv->sigterm);
    evio_fini(&srv->io);
    close(srv->root);
}

static const char usage_text[] =
    "usage: bulkhead-httpd --root DIR [options]\n"
    "  --via bulkhead|kernel  the stack to use (default bulkhead)\n"
    "  --port N               port (default 8080; 0: any, named at the start)\n"
    "  --address A            local address (default: all)\n"
    "  --timeout S            seconds for a request to arrive, and for a client to take\n"
    "                         the next bytes (default 30)\n"
    "  --max-connections N    at once (default: as many as there are descriptors for)\n";

static void
parse(struct config *cf, int argc, char **argv)
{
    enum { ROOT = 1, PORT, VIA, ADDRESS, TIMEOUT, MAX, HELP };
    static const struct option opts[] = {
        {"root", required_argument, NULL, ROOT},
        {"port", required_argument, NULL, PORT},
        {"via", required_argument, NULL, VIA},
        {"address", required_argument, NULL, ADDRESS},
        {"timeout", required_argument, NULL, TIMEOUT},
        {"max-connections", required_argument, NULL, MAX},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    for (int c; (c = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        switch (c) {
        case ROOT:
            cf->root = optarg;
            break;
        case PORT:
            cf->port = (unsigned)tool_number("--port", optarg, 0, 65535);
            break;
        case VIA:
            cf->via = tool_via(optarg);
            break;
        case ADDRESS:
            cf->address = optarg;
            break;
        case TIMEOUT:
            cf->timeout_s = tool_number("--timeout", optarg, 1, 86400);
            break;
        case MAX:
            cf->max_conns = (unsigned)tool_number("--max-connections", optarg, 1, 1000000);
            break;
        case HELP:
            tool_usage(usage_text, EXIT_OK);
        default:
            tool_usage(usage_text, EXIT_USAGE);
        }
    }
    if (optind < argc || !cf->root)
        tool_usage(usage_text, EXIT_USAGE);
}

int
main(int argc, char **argv)
{
    static struct httpd srv;
    struct config cf = {.via = &via_bulkhead, .port = 8080, .timeout_s = 30};
    tool_name = "bulkhead-httpd";
    parse(&cf, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    start(&srv, &cf);
    event_base_dispatch(srv.io.base);
    stop(&srv);
    return EXIT_OK;
}
