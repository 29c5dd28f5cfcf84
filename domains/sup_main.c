/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_main.c: bulkheadd from what it is told to its loop, and back. Whatever was made is
 * taken away again on every way out.
 */
#include "sup.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/exit_codes.h"

#define STOP_MS 500      /* that the domains have to end by themselves */
#define BUSY_ATTEMPTS 15 /* 100 ms apart */
#define FILES_MAX 262144 /* descriptors: seven for each client, its stand-ins, and some */

static void
log_line(const char *fmt, va_list ap)
{
    char line[512];
    int n = vsnprintf(line, sizeof line, fmt, ap);
    if (n < 0)
        return;
    for (char *p = line; *p != '\0'; p++) /* some of it was written by others */
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    fprintf(stderr, "bulkheadd: %s\n", line);
}

void
sup_log(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    log_line(fmt, ap);
    va_end(ap);
}

void
sup_log_some(unsigned *left, const char *fmt, ...)
{
    if (*left == 0)
        return;
    va_list ap;
    va_start(ap, fmt);
    log_line(fmt, ap);
    va_end(ap);
    if (--*left == 0)
        sup_log("(and more; the rest of this second is left out)");
}

void
sup_verbose(const struct sup *s, const char *fmt, ...)
{
    if (!s->conf.verbose)
        return;
    va_list ap;
    va_start(ap, fmt);
    log_line(fmt, ap);
    va_end(ap);
}

ns_t
sup_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
}

bool
sup_present(const struct sup *s, unsigned dom)
{
    unsigned all = s->conf.composition == COMP_FACTORED ? TOPO_FACTORED : TOPO_MONOLITHIC;
    return all & TOPO_BIT(dom);
}

/* ---- stopping ---- */

static void
on_stop_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sup *s = arg;
    for (unsigned d = 0; d < DOM_COUNT; d++) {
        if (s->dom[d].pidfd >= 0)
            sup_verbose(s, "%s does not end by itself", domain_name(d));
        sup_dom_close(&s->dom[d]);
    }
    event_base_loopbreak(s->base);
}

void
sup_stop(struct sup *s, int exit_code)
{
    static const struct timeval tv = {.tv_usec = STOP_MS * 1000};
    if (!s->stopping) {
        s->stopping = true;
        s->exit_code = exit_code;
        sup_clients_close(s);
        for (unsigned d = 0; d < DOM_COUNT; d++)
            sup_dom_hang_up(&s->dom[d]); /* no supervisor, no domain: they exit */
        s->ev_stop = evtimer_new(s->base, on_stop_timeout, s);
        evtimer_add(s->ev_stop, &tv);
    }
    for (unsigned d = 0; d < DOM_COUNT; d++)
        if (s->dom[d].pidfd >= 0)
            return;
    event_base_loopexit(s->base, NULL);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)what;
    if (!((struct sup *)arg)->stopping)
        sup_verbose(arg, "SIG%s: stopping", sigabbrev_np((int)sig));
    sup_stop(arg, EXIT_OK);
}

/* ---- starting ---- */

static int
make_events(struct sup *s)
{
    signal(SIGPIPE, SIG_IGN);
    s->base = event_base_new();
    if (s->base == NULL)
        return -1;
    s->ev_term = evsignal_new(s->base, SIGTERM, on_signal, s);
    s->ev_int = evsignal_new(s->base, SIGINT, on_signal, s);
    s->ev_watch = evtimer_new(s->base, sup_watch_tick, s);
    if (s->ev_term == NULL || s->ev_int == NULL || s->ev_watch == NULL ||
        event_add(s->ev_term, NULL) != 0 || event_add(s->ev_int, NULL) != 0)
        return -1;
    sup_watch_wake(s);
    s->ev_hup = evsignal_new(s->base, SIGHUP, sup_policy_on_hup, s);
    return s->ev_hup != NULL && event_add(s->ev_hup, NULL) == 0 ? 0 : -1;
}

static void
raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= FILES_MAX)
        return;
    r.rlim_cur = FILES_MAX;
    if (r.rlim_max < FILES_MAX)
        r.rlim_max = FILES_MAX;
    if (setrlimit(RLIMIT_NOFILE, &r) == 0)
        return;
    (void)getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
}

static int
open_netif(struct sup *s, char *err, size_t err_len)
{
    int part_fd[PARTS_UMEM];
    for (unsigned p = 0; p < PARTS_UMEM; p++)
        part_fd[p] = s->region[TOPO_FRAMES + p].fd_rw;
    /* The socket of a daemon that ended a moment ago takes a moment to go. */
    const struct timespec wait = {.tv_nsec = 100 * 1000 * 1000};
    int rc = EXIT_BUSY;
    for (unsigned attempt = 0; attempt < BUSY_ATTEMPTS && rc == EXIT_BUSY; attempt++) {
        if (attempt > 0)
            nanosleep(&wait, NULL);
        rc = s->conf.driver == DRIVER_PACKET
                 ? netif_open_packet(&s->nif, &s->conf.addr, err, err_len)
                 : netif_open(&s->nif, &s->frames, part_fd, s->conf.xsk_ring, &s->conf.addr,
                              err, err_len);
    }
    s->nif_open = rc == 0;
    return rc;
}

static int
spawn_all(struct sup *s, char *err, size_t err_len)
{
    for (unsigned d = 0; d < DOM_COUNT; d++) {
        if (!sup_present(s, d))
            continue;
        int e = sup_dom_spawn(&s->dom[d]);
        if (e == 0)
            continue;
        snprintf(
            err, err_len, "cannot start %s as uid %u: %s%s", s->dom[d].path,
            s->conf.uid_base + 1 + d, strerror(-e),
            e == -EPERM || e == -EINVAL
                ? "; are user namespaces allowed here, and does this uid exist in this one "
                  "(uid_base in bulkhead.conf(5))?"
                : "");
        return EXIT_OTHER;
    }
    return 0;
}

static int
start(struct sup *s, char *err, size_t err_len)
{
    raise_file_limit();
    int rc = sup_host_check(s, err, err_len);
    if (rc == 0)
        rc = sup_find_programs(s, err, err_len);
    if (rc == 0)
        rc = sup_lock(s, err, err_len);
    if (rc != 0)
        return rc;
    if (make_events(s) != 0 || getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed) {
        snprintf(err, err_len, "cannot set up: %s", strerror(errno));
        return EXIT_OTHER;
    }
    for (unsigned d = 0; d < DOM_COUNT; d++)
        if (getrandom(s->dom[d].key, sizeof s->dom[d].key, 0) != sizeof s->dom[d].key) {
            snprintf(err, err_len, "no randomness: %s", strerror(errno));
            return EXIT_OTHER;
        }
    rc = sup_topology_create(s, err, err_len);
    if (rc == 0)
        rc = open_netif(s, err, err_len);
    if (rc == 0)
        rc = sup_clients_listen(s, err, err_len);
    if (rc == 0)
        rc = sup_control_listen(s, err, err_len);
    if (rc == 0) /* the domains begin with no more than the next ones will */
        rc = sup_confine(err, err_len);
    if (rc == 0)
        rc = spawn_all(s, err, err_len);
    return rc;
}

static void
tear_down(struct sup *s)
{
    sup_control_close(s);
    sup_clients_close(s);
    for (unsigned d = 0; d < DOM_COUNT; d++) {
        sup_dom_close(&s->dom[d]);
        if (s->dom[d].program >= 0)
            close(s->dom[d].program);
    }
    if (s->nif_open)
        netif_close(&s->nif);
    sup_topology_close(s);
    sup_unlock(s);
    sup_watch_close(s);
    struct event *ev[] = {s->ev_term, s->ev_int,         s->ev_hup,         s->ev_watch,
                          s->ev_stop, s->link[0].ev_ack, s->link[1].ev_ack, s->link[2].ev_ack};
    for (unsigned i = 0; i < ARRAY_LEN(ev); i++)
        if (ev[i] != NULL)
            event_free(ev[i]);
    if (s->base != NULL)
        event_base_free(s->base);
    accounts_free(&s->accounts);
}

static void
init(struct sup *s)
{
    s->lock_fd = -1;
    s->nif.fd = -1;
    s->watch_fd = -1;
    s->log_left = LOG_PER_SECOND;
    s->started = s->watch_at = sup_now();
    for (unsigned d = 0; d < DOM_COUNT; d++) {
        s->dom[d].sup = s;
        s->dom[d].id = d;
        s->dom[d].pidfd = s->dom[d].ctl = s->dom[d].program = -1;
        s->dom[d].log_left = LOG_PER_SECOND;
    }
    for (unsigned i = 0; i < TOPO_LINKS; i++) {
        memset(s->link[i].bell, -1, sizeof s->link[i].bell);
        s->link[i].owes = -1;
    }
}

int
main(int argc, char **argv)
{
    static struct sup s;
    char err[512] = "";
    init(&s);
    int rc = sup_options(&s, argc, argv, err, sizeof err);
    if (rc == 0)
        rc = start(&s, err, sizeof err);
    if (rc != 0) {
        if (err[0] != '\0')
            sup_log("%s", err);
        else if (rc == EXIT_USAGE)
            fputs("Try bulkheadd --help.\n", stderr);
    } else {
        event_base_dispatch(s.base);
        rc = s.exit_code;
    }
    tear_down(&s);
    return rc;
}
