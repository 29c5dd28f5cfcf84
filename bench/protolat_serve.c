/* SPDX-License-Identifier: BSD-2-Clause
 *
 * protolat_serve.c: the echo server. One poll over the UDP socket, the TCP listener and all
 * connections. A connection whose peer does not read its echo is not read from either.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/protolat.h"
#include "bench/tool.h"

#define ECHO_BUF 65536u
#define DATAGRAMS_A_TURN 64

/* What a connection still has to send back; the bytes are kept only while there are some. */
struct backlog {
    unsigned char *bytes;
    size_t len, done;
};

struct server {
    const struct via *via;
    int listener, udp;  /* -1: none */
    struct pollfd *fds; /* [0] listener, [1] udp, then connections */
    struct backlog *backlog;
    size_t n, room;
    unsigned char buf[ECHO_BUF];
};

static void
grow(struct server *s)
{
    if (s->n < s->room)
        return;
    size_t room = s->room ? s->room * 2 : 64;
    struct pollfd *fds = reallocarray(s->fds, room, sizeof *fds);
    if (fds)
        s->fds = fds;
    struct backlog *b = reallocarray(s->backlog, room, sizeof *b);
    if (b)
        s->backlog = b;
    if (!fds || !b)
        tool_die(EXIT_OTHER, "no memory for %zu connections", room);
    s->room = room;
}

static void
add(struct server *s, int fd)
{
    grow(s);
    s->fds[s->n] = (struct pollfd){.fd = fd, .events = POLLIN};
    s->backlog[s->n] = (struct backlog){0};
    s->n++;
}

static void
drop(struct server *s, size_t i)
{
    s->via->close(s->fds[i].fd);
    free(s->backlog[i].bytes);
    s->n--;
    s->fds[i] = s->fds[s->n];
    s->backlog[i] = s->backlog[s->n];
}

static void
accept_one(struct server *s)
{
    int on = 1;
    int fd = s->via->accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) {
        /* No descriptor for it: serve those that there are; it waits in the backlog. */
        s->fds[0].events = errno == EMFILE || errno == ENFILE ? 0 : POLLIN;
        return;
    }
    s->via->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    add(s, fd);
}

/* Echo what has come on connection i. False: it is over. */
static bool
echo_stream(struct server *s, size_t i)
{
    int fd = s->fds[i].fd;
    struct backlog *b = &s->backlog[i];

    if (b->bytes) {
        ssize_t n = s->via->send(fd, b->bytes + b->done, b->len - b->done, 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        b->done += (size_t)n;
        if (b->done < b->len)
            return true;
        free(b->bytes);
        *b = (struct backlog){0};
        s->fds[i].events = POLLIN;
        return true;
    }
    ssize_t got = s->via->recv(fd, s->buf, sizeof s->buf, 0);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    ssize_t n = s->via->send(fd, s->buf, (size_t)got, 0);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    if (n < 0)
        n = 0;
    if (n < got) {
        b->len = (size_t)(got - n);
        b->bytes = malloc(b->len);
        if (!b->bytes)
            return false;
        memcpy(b->bytes, s->buf + n, b->len);
        s->fds[i].events = POLLOUT;
    }
    return true;
}

static void
echo_datagrams(struct server *s)
{
    for (int k = 0; k < DATAGRAMS_A_TURN; k++) {
        struct sockaddr_in from;
        socklen_t fromlen = sizeof from;
        ssize_t n = s->via->recvfrom(s->udp, s->buf, sizeof s->buf, MSG_DONTWAIT,
                                     (struct sockaddr *)&from, &fromlen);
        if (n < 0)
            return; /* nothing more, or an ICMP error about an echo: either way go on */
        /* An echo that cannot be sent is a datagram lost, as the client will see. */
        s->via->sendto(s->udp, s->buf, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&from,
                       fromlen);
    }
}

/* Wait for something, looking for a while first if it was told to. */
static int
await(struct server *s, uint64_t spin_ns)
{
    uint64_t until = spin_ns > 0 ? tool_nanoseconds() + spin_ns : 0;
    while (spin_ns > 0 && tool_nanoseconds() < until) {
        int n = s->via->poll(s->fds, s->n, 0);
        if (n != 0)
            return n;
        sched_yield();
    }
    return s->via->poll(s->fds, s->n, -1);
}

_Noreturn void
protolat_serve(const struct protolat *p)
{
    static struct server s;
    struct sockaddr_in at = tool_address(p->address, p->port);
    struct rlimit r;

    if (!getrlimit(RLIMIT_NOFILE, &r)) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    s.via = p->via;
    s.listener = p->tcp ? tool_listen(p->via, SOCK_STREAM | SOCK_NONBLOCK, &at, 16384) : -1;
    s.udp = p->udp ? tool_listen(p->via, SOCK_DGRAM, &at, 0) : -1;
    add(&s, s.listener);
    add(&s, s.udp);
    tool_end_on_signal();
    for (;;) {
        if (await(&s, p->spin_ns) < 0) {
            if (errno == EINTR)
                continue;
            tool_die(EXIT_OTHER, "poll: %s", strerror(errno));
        }
        for (size_t i = s.n; i-- > 2;) {
            if (s.fds[i].revents && !echo_stream(&s, i)) {
                drop(&s, i);
                s.fds[0].events = POLLIN;
            }
        }
        if (s.listener >= 0 && s.fds[0].revents)
            accept_one(&s);
        if (s.udp >= 0 && s.fds[1].revents)
            echo_datagrams(&s);
    }
}
