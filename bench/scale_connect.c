/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scale_connect.c: the side that opens the sessions and asks. A closed loop: so many requests
 * are outstanding, one at most on each session; each answer lets the next session in turn ask.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/exit_codes.h"
#include "bench/loop.h"
#include "bench/scale.h"
#include "bench/tool.h"

#define OPENING 128u /* connects under way at once */

enum conn_state { CLOSED, CONNECTING, IDLE, ASKED };

struct conn {
    int fd;
    enum conn_state state;
    size_t got; /* of the answer */
    ns_t asked;
};

struct client {
    const struct scale *s;
    struct loop loop;
    struct conn *c;
    struct sockaddr_in *to; /* one for each port */
    unsigned opened, open, next, next_port;
    bool asking, counting;
    double give_up; /* waiting for the server */
    const _Atomic unsigned *phase;
    struct scale_result *r;
};

static void
ask(struct client *k, struct conn *c)
{
    static const uint8_t zeros[SCALE_SIZE_MAX];
    c->state = ASKED;
    c->got = 0;
    if (!k->s->churn)
        c->asked = tool_nanoseconds();
    if (k->s->via->send(c->fd, zeros, k->s->size, 0) != (ssize_t)k->s->size)
        tool_die(EXIT_NETWORK, "sending a request: %s", strerror(errno));
}

/* The next session in turn that has no request outstanding. */
static void
ask_next(struct client *k)
{
    for (unsigned i = 0; i < k->s->active; i++) {
        struct conn *c = &k->c[k->next];
        k->next = k->next + 1 < k->s->active ? k->next + 1 : 0;
        if (c->state == IDLE) {
            ask(k, c);
            return;
        }
    }
}

static void
begin_connect(struct client *k, struct conn *c)
{
    const struct sockaddr_in *to = &k->to[k->next_port];
    int on = 1;
    k->next_port = (k->next_port + 1) % k->s->ports;
    c->fd = k->opened == 0 ? via_socket_or_exit(k->s->via, SOCK_STREAM | SOCK_NONBLOCK)
                           : k->s->via->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        tool_die(EXIT_OTHER, "session %u: %s", k->opened, strerror(errno));
    if (k->opened++ == 0)
        loop_open(&k->loop, k->s->via);
    k->s->via->setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (k->s->via->connect(c->fd, (const struct sockaddr *)to, sizeof *to) < 0 &&
        errno != EINPROGRESS)
        tool_die(EXIT_NETWORK, "session %u: cannot connect: %s", k->opened, strerror(errno));
    c->state = CONNECTING;
    c->asked = tool_nanoseconds(); /* churn: from here to the answer */
    loop_add(&k->loop, c->fd, POLLOUT, c);
}

/* Nobody listens yet: a server takes its time to start. */
static void
try_again(struct client *k, struct conn *c)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    loop_remove(&k->loop, c->fd);
    k->s->via->close(c->fd);
    nanosleep(&nap, NULL);
    begin_connect(k, c);
    k->opened--;
}

static void
connected(struct client *k, struct conn *c)
{
    int err = 0;
    socklen_t len = sizeof err;
    if (k->s->via->getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
        err = errno;
    if (err == ECONNREFUSED && tool_seconds() < k->give_up) {
        try_again(k, c);
        return;
    }
    if (err != 0)
        tool_die(EXIT_NETWORK, "%u of %u sessions are there; the next one: %s", k->open,
                 k->s->sessions, strerror(err));
    c->state = IDLE;
    k->open++;
    loop_set(&k->loop, c->fd, POLLIN, c);
    if (k->s->churn && k->asking)
        ask(k, c);
}

static void
end_one(struct client *k, struct conn *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    loop_remove(&k->loop, c->fd);
    if (k->s->reset)
        k->s->via->setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    k->s->via->close(c->fd);
    c->state = CLOSED;
    k->open--;
    k->r->closed += k->counting;
}

static void
answered(struct client *k, struct conn *c)
{
    if (k->counting) {
        k->r->requests++;
        hist_add(&k->r->times, tool_nanoseconds() - c->asked);
    }
    c->state = IDLE;
    if (k->s->churn) {
        end_one(k, c);
        begin_connect(k, c);
    } else if (k->asking) {
        ask_next(k);
    }
}

static void
readable(struct client *k, struct conn *c)
{
    uint8_t buf[SCALE_SIZE_MAX];
    ssize_t n = k->s->via->recv(c->fd, buf, sizeof buf, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        tool_die(EXIT_NETWORK, "a session ended: %s",
                 n ? strerror(errno) : "closed by the peer");
    c->got += (size_t)n;
    if (c->state != ASKED || c->got > k->s->size)
        tool_die(EXIT_NETWORK, "an answer that nobody asked for");
    if (c->got == k->s->size)
        answered(k, c);
}

static void
turn(struct client *k, int timeout_ms)
{
    struct loop_ready ready[LOOP_MAX];
    int n = loop_wait(&k->loop, ready, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct conn *c = ready[i].arg;
        if (c->state == CONNECTING)
            connected(k, c);
        else
            readable(k, c);
    }
}

/* Segments of all sessions so far, as this side's TCP counts them. */
static void
count_segments(const struct client *k, uint64_t *out, uint64_t *in)
{
    *out = *in = 0;
    for (unsigned i = 0; i < k->s->active && !k->s->churn; i++) {
        struct tcp_info t = {0};
        socklen_t len = sizeof t;
        if (k->s->via->getsockopt(k->c[i].fd, IPPROTO_TCP, TCP_INFO, &t, &len) == 0) {
            *out += t.tcpi_segs_out;
            *in += t.tcpi_segs_in;
        }
    }
}

static void
establish(struct client *k)
{
    double start = tool_seconds(), last = start, now = start;
    unsigned before = 0;
    k->give_up = start + k->s->patience;
    while (k->open < k->s->sessions) {
        while (k->opened < k->s->sessions && k->opened - k->open < OPENING)
            begin_connect(k, &k->c[k->opened]);
        turn(k, 10);
        now = tool_seconds();
        if (k->open != before)
            last = now;
        before = k->open;
        if (now - last > k->s->patience)
            tool_die(EXIT_NETWORK, "%u of %u sessions are there, and no more come", k->open,
                     k->s->sessions);
    }
    k->r->open_seconds = now - start;
}

/* As long as the phase is an earlier one. */
static void
run_until(struct client *k, enum scale_phase until)
{
    while (atomic_load_explicit(k->phase, memory_order_relaxed) < until)
        turn(k, k->s->active ? 1 : 50);
}

static void
use(struct client *k)
{
    struct scale_result *r = k->r;
    uint64_t out = 0, in = 0;
    k->asking = true;
    if (k->s->churn)
        for (unsigned i = 0; i < k->s->sessions; i++)
            ask(k, &k->c[i]);
    else
        for (unsigned i = 0; i < k->s->outstanding; i++)
            ask_next(k);
    run_until(k, SCALE_COUNT);
    count_segments(k, &out, &in);
    double start = tool_seconds(), cpu = tool_cpu_seconds();
    k->counting = true;
    run_until(k, SCALE_HOLD);
    k->counting = k->asking = false;
    r->seconds = tool_seconds() - start;
    r->cpu = tool_cpu_seconds() - cpu;
    count_segments(k, &r->segs_out, &r->segs_in);
    r->segs_out -= out;
    r->segs_in -= in;
}

void
scale_work(const struct scale *s, unsigned first_port, const _Atomic unsigned *phase,
           struct scale_result *r)
{
    static struct client k;
    k = (struct client){.s = s, .r = r, .phase = phase, .next_port = first_port % s->ports};
    k.c = calloc(s->sessions, sizeof *k.c);
    k.to = calloc(s->ports, sizeof *k.to);
    if (!k.c || !k.to)
        tool_die(EXIT_OTHER, "out of memory");
    for (unsigned i = 0; i < s->ports; i++)
        k.to[i] = tool_address(s->host, s->port + i);
    establish(&k);
    atomic_store(&r->reached, SCALE_OPEN + 1);
    run_until(&k, SCALE_WARM);
    if (s->active)
        use(&k);
    run_until(&k, SCALE_HOLD);
    atomic_store(&r->reached, SCALE_COUNT + 1);
    run_until(&k, SCALE_END);
}
