/* SPDX-License-Identifier: BSD-2-Clause
 *
 * standin.c: the descriptors of bh_kernel_fd in a real program: an echo server on epoll that
 * knows nothing but these (`standin serve PORT`), `standin end HOST PORT`: what they show at
 * the end of a connection to a peer that ends with us; and `standin check HOST PORT`: against a
 * peer that echoes, what poll says of one at every step of a connection's life, and that its
 * last close ends the connection, also when it is a copy's or a killed child's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/bulkhead.h"

#define SOCKS 4096

static int bh_of[SOCKS]; /* by kernel descriptor */

static void
need(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "standin: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int
stand_for(int fd)
{
    need(bh_set_nonblocking(fd, 1) == 0, "non-blocking");
    int k = bh_kernel_fd(fd);
    need(k >= 0 && k < SOCKS, "bh_kernel_fd");
    bh_of[k] = fd;
    return k;
}

static struct sockaddr_in
address(const char *host, const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    need(host == NULL || inet_pton(AF_INET, host, &a.sin_addr) == 1, "address");
    return a;
}

/* ---- server ---- */

static void
watch(int ep, int k, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = k};
    need(epoll_ctl(ep, EPOLL_CTL_ADD, k, &ev) == 0, "epoll_ctl");
}

enum { OVER, MORE, NOTHING };

/* Echo; what does not fit is waited for, as a simple server may. */
static int
echo(int k)
{
    static char buf[65536];
    ssize_t n = bh_recv(bh_of[k], buf, sizeof buf, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? NOTHING : OVER;
    for (ssize_t at = 0, m; at < n; at += m) {
        m = bh_send(bh_of[k], buf + at, (size_t)(n - at), 0);
        if (m >= 0)
            continue;
        if (errno != EAGAIN)
            return OVER;
        struct pollfd p = {.fd = k, .events = POLLOUT};
        need(poll(&p, 1, 20000) == 1, "never writable again");
        m = 0;
    }
    return MORE;
}

static void
serve(const char *port)
{
    struct sockaddr_in a = address(NULL, port);
    int ep = epoll_create1(0), l = bh_socket(AF_INET, SOCK_STREAM, 0);
    need(l >= 0 && bh_bind(l, (struct sockaddr *)&a, sizeof a) == 0 && bh_listen(l, 64) == 0,
         "listen");
    int lk = stand_for(l);
    watch(ep, lk, EPOLLIN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event ev[16];
        int n = epoll_wait(ep, ev, 16, -1);
        for (int i = 0; i < n; i++) {
            int k = ev[i].data.fd, c;
            if (k == lk) {
                while ((c = bh_accept(l, NULL, NULL)) >= 0)
                    watch(ep, stand_for(c), EPOLLIN | EPOLLRDHUP | (uint32_t)EPOLLET);
            } else {
                int r;
                while ((r = echo(k)) == MORE)
                    continue;
                if (r == OVER)
                    close(k);
            }
        }
    }
}

/* ---- checks ---- */

static short
state(int k, int wait_ms)
{
    struct pollfd p = {.fd = k, .events = POLLIN | POLLOUT | POLLRDHUP};
    return poll(&p, 1, wait_ms) >= 0 ? p.revents : -1;
}

static void
want(int k, short mask, short value, const char *what)
{
    short got = 0;
    for (int ms = 0; ms < 5000; ms += 10) {
        got = state(k, 0);
        if ((got & mask) == value)
            return;
        usleep(ms < 100 ? 100 : 10000);
    }
    fprintf(stderr, "standin: %s: poll says %#x, not %#x of %#x\n", what, got, value, mask);
    exit(1);
}

static int
connected(const char *host, const char *port)
{
    struct sockaddr_in a = address(host, port);
    int s = bh_socket(AF_INET, SOCK_STREAM, 0), k;
    need(s >= 0, bh_strerror_attach());
    k = stand_for(s);
    int r = bh_connect(s, (struct sockaddr *)&a, sizeof a);
    need(r == 0 || errno == EINPROGRESS, "connect");
    want(k, POLLOUT, POLLOUT, "connected");
    int err = -1;
    socklen_t len = sizeof err;
    need(bh_getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0, "SO_ERROR");
    return k;
}

static void
check_levels(const char *host, const char *port)
{
    static char buf[1 << 16];
    char got[16];
    int k = connected(host, port), s = bh_of[k];
    want(k, POLLIN, 0, "nothing was sent");
    for (int i = 0; i < 1000; i++) {
        need(bh_send(s, "hello", 5, 0) == 5, "send");
        want(k, POLLIN, POLLIN, "the echo came");
        need(bh_recv(s, got, 3, 0) == 3, "recv");
        need(bh_recv(s, got, 16, 0) == 2, "recv the rest");
        need((state(k, 0) & POLLIN) == 0, "readable though all was read");
    }
    /* The echo blocks when nobody reads, and so do we in the end. */
    size_t sent = 0, back = 0;
    for (ssize_t n; (n = bh_send(s, buf, sizeof buf, 0)) > 0 || state(k, 300) & POLLOUT;)
        sent += n > 0 ? (size_t)n : 0;
    need((state(k, 0) & POLLOUT) == 0, "writable though it is full");
    for (ssize_t n; back < sent;) {
        want(k, POLLIN, POLLIN, "the echo stands still");
        while ((n = bh_recv(s, buf, sizeof buf, 0)) > 0)
            back += (size_t)n;
        need(n < 0 && errno == EAGAIN, "recv");
    }
    want(k, POLLIN | POLLOUT, POLLOUT, "all is back");
    need(bh_shutdown(s, SHUT_WR) == 0, "shutdown");
    want(k, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP, "the peer ended");
    need(bh_recv(s, got, 16, 0) == 0, "end of stream");
    close(k);
}

static void
check_refused(const char *host)
{
    struct sockaddr_in a = address(host, "1");
    int s = bh_socket(AF_INET, SOCK_STREAM, 0), k = stand_for(s), err = 0;
    socklen_t len = sizeof err;
    (void)bh_connect(s, (struct sockaddr *)&a, sizeof a);
    want(k, POLLOUT | POLLIN, POLLOUT | POLLIN, "refused");
    need(bh_getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len) == 0, "SO_ERROR");
    need(err == ECONNREFUSED, "ECONNREFUSED");
    close(k);
}

/* A copy in a child keeps the connection; when it is killed the peer sees the end. The peer
 * closes then, too, and our listing of sessions, which the test looks at, is empty. */
static void
check_copies(const char *host, const char *port)
{
    int k = connected(host, port);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    int d = dup(k);
    close(k);
    close(d);
    usleep(200000);
    need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child, "kill");
}

/* The end of a stream, and of a datagram socket that was shut down. */
static void
check_end(const char *host, const char *port)
{
    struct sockaddr_in a = address(host, port);
    int k = connected(host, port);
    need(bh_shutdown(bh_of[k], SHUT_WR) == 0, "shutdown");
    want(k, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP, "the peer ended");
    int u = bh_socket(AF_INET, SOCK_DGRAM, 0), uk = stand_for(u);
    need(bh_connect(u, (struct sockaddr *)&a, sizeof a) == 0, "connect");
    want(uk, POLLIN | POLLOUT, POLLOUT, "a datagram socket");
    need(bh_shutdown(u, SHUT_RD) == 0, "shutdown of a datagram socket");
    want(uk, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP, "shut down");
    close(k);
    close(uk);
}

int
main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "end") == 0) {
        check_end(argv[2], argv[3]);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve(argv[2]);
    if (argc != 4 || strcmp(argv[1], "check") != 0)
        return 2;
    check_levels(argv[2], argv[3]);
    check_refused(argv[2]);
    check_copies(argv[2], argv[3]);
    for (int i = 0; i < 300; i++) /* more than are made at once, and numbers again */
        close(connected(argv[2], argv[3]));
    puts("ok");
    return 0;
}
