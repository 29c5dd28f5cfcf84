/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sock_states.c: calls on sockets that are not, not yet, or no longer connected. Protects: each
 * says what it says on the kernel, and has the effect that it has there.
 */
#include "suite.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void
look(const char *what, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    (void)poll(&p, 1, 0);
    say("%s:%s%s%s%s%s", what, p.revents & POLLIN ? " IN" : "",
        p.revents & POLLOUT ? " OUT" : "", p.revents & POLLERR ? " ERR" : "",
        p.revents & POLLHUP ? " HUP" : "", p.revents & POLLRDHUP ? " RDHUP" : "");
}

/* ---- datagrams ---- */

static int reader;

static void *
wait_in_recv(void *arg)
{
    char c;
    (void)arg;
    said("who slept in recv", recv(reader, &c, 1, 0));
    return NULL;
}

/* Shut down, with somebody waiting who gives up after a while, and spoken to. */
static void
shut_dgram(int fd, int how)
{
    struct timeval tv = {.tv_usec = 700000};
    struct sockaddr_in to = host_addr(port_of(fd));
    pthread_t t;
    char b[8];
    reader = fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    pthread_create(&t, NULL, wait_in_recv, NULL);
    pause_ms(100);
    bool ok = shutdown(fd, how) == 0;
    int err = errno;
    pthread_join(t, NULL);
    say("shutdown %d: %s", how, ok ? "0" : strerrorname_np(err));
    look("shut down", fd);
    said("recv that would not wait", recv(fd, b, sizeof b, MSG_DONTWAIT));
    said("recv that would", recv(fd, b, sizeof b, 0));
    said("a datagram",
         sendto(socket(AF_INET, SOCK_DGRAM, 0), "abc", 3, 0, (void *)&to, sizeof to));
    pause_ms(100);
    look("it is there", fd);
    said("recv", recv(fd, b, sizeof b, MSG_DONTWAIT));
    said("and there is no other", recv(fd, b, sizeof b, 0));
    said("sendto", sendto(fd, "x", 1, 0, (void *)&to, sizeof to));
}

static void
dgram_shut(void)
{
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++)
        shut_dgram(bound(SOCK_DGRAM), how);
    int p[2];
    char b;
    udp_pair(p);
    said("with a peer", shutdown(p[0], SHUT_RD));
    send_text(p[1], "x");
    pause_ms(100);
    said("what it says", recv(p[0], &b, 1, 0));
    said("and no more", recv(p[0], &b, 1, 0));
}

/* ---- streams ---- */

/* The end comes before an error that came behind it, which SO_ERROR tells. */
static void
end_then_reset(void)
{
    int p[2], err = -1;
    char b;
    socklen_t len = sizeof err;
    tcp_pair(p);
    close(p[1]);
    await(p[0], POLLRDHUP);
    said("send to who has gone", send(p[0], "x", 1, 0));
    pause_ms(100);
    said("recv", recv(p[0], &b, 1, 0));
    said("recv again", recv(p[0], &b, 1, 0));
    getsockopt(p[0], SOL_SOCKET, SO_ERROR, &err, &len);
    say("SO_ERROR %s", strerrorname_np(err));
    said("send", send(p[0], "x", 1, MSG_NOSIGNAL));
}

/* So many connections are there before the program accepts one. */
static void
backlog(void)
{
    for (int n = 0; n < 3; n++) {
        int l = bound(SOCK_STREAM), there = 0;
        struct sockaddr_in a = host_addr(port_of(l));
        listen(l, n);
        for (int i = 0; i < 5; i++) {
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            (void)connect(fd, (void *)&a, sizeof a);
            there += poll(&p, 1, 100);
        }
        say("backlog %d: %d", n, there);
    }
}

/* Where nobody is who could answer: on the network that the host is in, and not there. */
static int
connecting(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = host_addr(htons(9));
    a.sin_addr.s_addr ^= htonl(0x55);
    said("connect", connect(fd, (void *)&a, sizeof a));
    return fd;
}

static void
shut_connecting(void)
{
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
        int fd = connecting(), err = -1, l = listening();
        struct sockaddr_in a = host_addr(port_of(l));
        char b;
        said("shutdown", shutdown(fd, how));
        look("shut", fd);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){sizeof err});
        say("SO_ERROR %s", strerrorname_np(err));
        look("told", fd);
        said("recv", recv(fd, &b, 1, 0));
        said("send", send(fd, "x", 1, MSG_NOSIGNAL));
        said("connect again", connect(fd, (void *)&a, sizeof a));
        await(fd, POLLOUT);
        said("and again", connect(fd, (void *)&a, sizeof a));
        send_text(fd, "hello");
        say_read("the other end", accept(l, NULL, NULL));
    }
    int fd = connecting();
    char b;
    said("shutdown", shutdown(fd, SHUT_RDWR));
    said("recv", recv(fd, &b, 1, 0));
    said("and then", recv(fd, &b, 1, 0));
}

static void *
wait_in_connect(void *arg)
{
    struct sockaddr_in a = host_addr(htons(9));
    a.sin_addr.s_addr ^= htonl(0x55);
    (void)arg;
    said("who slept in connect", connect(reader, (void *)&a, sizeof a));
    return NULL;
}

static void
shut_connect(void)
{
    pthread_t t;
    reader = socket(AF_INET, SOCK_STREAM, 0);
    pthread_create(&t, NULL, wait_in_connect, NULL);
    pause_ms(100);
    bool ok = shutdown(reader, SHUT_RDWR) == 0;
    pthread_join(t, NULL);
    say("shutdown said %s", ok ? "yes" : "no");
}

/* Its port is free again, if it was not named, and it can do anything else. */
static void
refused(void)
{
    int b = bound(SOCK_STREAM), q = bound(SOCK_STREAM), n = bound(SOCK_STREAM);
    struct sockaddr_in to = host_addr(port_of(b)), own = host_addr(port_of(q)),
                       any = host_addr(0);
    said("refused", connect(q, (void *)&to, sizeof to));
    say("its port is still told: %d", port_of(q) == own.sin_port);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    said("another binds it", bind(s, (void *)&own, sizeof own));
    said("bind the first", bind(q, (void *)&any, sizeof any));
    said("listen", listen(q, 1));
    own = host_addr(port_of(n));
    close(n);
    n = socket(AF_INET, SOCK_STREAM, 0);
    said("bind to a number", bind(n, (void *)&own, sizeof own));
    said("refused", connect(n, (void *)&to, sizeof to));
    close(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    said("another binds it", bind(s, (void *)&own, sizeof own));
    said("refused without a port", connect(s, (void *)&to, sizeof to));
    said("bind", bind(s, (void *)&any, sizeof any));
    said("listen", listen(s, 1));
    s = socket(AF_INET, SOCK_STREAM, 0);
    said("refused", connect(s, (void *)&to, sizeof to));
    said("listen", listen(s, 1));
    said("and somebody there", listen(b, 1));
    s = socket(AF_INET, SOCK_STREAM, 0);
    said("is connected to", connect(s, (void *)&to, sizeof to));
}

static void
time_wait(void)
{
    int p[2];
    struct sockaddr_in a;
    tcp_pair(p);
    shutdown(p[0], SHUT_WR);
    await(p[1], POLLRDHUP);
    shutdown(p[1], SHUT_WR);
    await(p[0], POLLRDHUP);
    pause_ms(100);
    for (int i = 0; i < 2; i++) {
        said("SHUT_RD", shutdown(p[i], SHUT_RD));
        said("SHUT_WR", shutdown(p[i], SHUT_WR));
        said("getpeername", getpeername(p[i], (void *)&a, &(socklen_t){sizeof a}));
    }
}

static void
bind_beside(const char *what, in_port_t port)
{
    struct sockaddr_in a = host_addr(port);
    for (int on = 0; on < 2; on++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        int r = bind(fd, (void *)&a, sizeof a);
        say("%s, %s: %s", what, on ? "reused" : "plain", r == 0 ? "0" : strerrorname_np(errno));
        close(fd);
    }
}

/* Who may bind the port of connections whose listener is closed, or of those in TIME-WAIT. */
static void
ports(void)
{
    for (int on = 0; on < 2; on++) {
        int l = bound(SOCK_STREAM);
        setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        listen(l, 1);
        in_port_t port = port_of(l);
        int c = connected_to(l), a = accept(l, NULL, NULL);
        say("a listener %s", on ? "that reuses" : "that does not");
        close(l);
        pause_ms(100);
        bind_beside("established", port);
        bind_beside("the other end", port_of(c));
        close(a);
        await(c, POLLRDHUP);
        close(c);
        pause_ms(100);
        bind_beside("TIME-WAIT", port);
    }
}

static double
close_takes(int fd)
{
    double from = now_s();
    said("close", close(fd));
    return now_s() - from;
}

/* A pair whose first end has more to send than the other takes, and lingers so long. */
static void
lingering(int p[2], int seconds)
{
    struct linger l = {.l_onoff = 1, .l_linger = seconds};
    tcp_pair(p);
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l);
    (void)fill(p[0]);
}

static void *
drain_late(void *arg)
{
    pause_ms(300);
    (void)drain(*(int *)arg);
    return NULL;
}

/* close waits for what was not acknowledged, up to that time; but not if others have it. */
static void
linger(void)
{
    int p[2];
    pthread_t t;
    struct linger l = {.l_onoff = 1, .l_linger = 5};
    tcp_pair(p);
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l);
    say("at once: %d", close_takes(p[0]) < 0.8);
    lingering(p, 1);
    int other = dup(p[0]);
    say("not the last, at once: %d", close_takes(p[0]) < 0.8);
    double took = close_takes(other);
    say("the last after a second: %d", took > 0.9 && took < 3);
    lingering(p, 1);
    pid_t child = fork();
    if (child == 0) {
        pause_ms(1000);
        _exit(0);
    }
    say("a child has it, at once: %d", close_takes(p[0]) < 0.8);
    waitpid(child, NULL, 0);
    lingering(p, 20);
    pthread_create(&t, NULL, drain_late, &p[1]);
    took = close_takes(p[0]);
    say("when it is read: %d", took > 0.2 && took < 10);
    pthread_join(t, NULL);
}

/* An address of no family ends an attempt to connect. */
static void
dissolve(void)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int l = listening(), fd = connecting(), err = -1;
    struct sockaddr_in a = host_addr(port_of(l));
    said("connect to nothing", connect(fd, &none, sizeof none));
    look("dissolved", fd);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){sizeof err});
    say("SO_ERROR %s", strerrorname_np(err));
    said("once more", connect(fd, &none, sizeof none));
    said("connect", connect(fd, (void *)&a, sizeof a));
    await(fd, POLLOUT);
    said("connect", connect(fd, (void *)&a, sizeof a));
    said("a new one", connect(socket(AF_INET, SOCK_STREAM, 0), &none, sizeof none));
}

/* What connect says of a connected socket, whatever it is asked for. */
static void
connect_bad(void)
{
    int p[2], l = listening(), n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = host_addr(port_of(l));
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    tcp_pair(p);
    said("another family", connect(p[0], (void *)&six, sizeof six));
    said("too short", connect(p[0], (void *)&a, 8));
    said("far too short", connect(p[0], (void *)&a, 1));
    said("a listener, another family", connect(l, (void *)&six, sizeof six));
    said("too short", connect(l, (void *)&a, 8));
    said("a new one, another family", connect(n, (void *)&six, sizeof six));
    said("too short", connect(n, (void *)&a, 8));
    n = connecting();
    said("a connecting one, another family", connect(n, (void *)&six, sizeof six));
    said("too short", connect(n, (void *)&a, 8));
}

static void
inherited(void)
{
    int l = listening(), v = -1, u = bound(SOCK_DGRAM);
    struct timeval rcv = {.tv_sec = 3, .tv_usec = 500000}, snd = {.tv_sec = 4}, got;
    socklen_t len = sizeof got;
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &rcv, sizeof rcv);
    setsockopt(l, SOL_SOCKET, SO_SNDTIMEO, &snd, sizeof snd);
    (void)connected_to(l);
    int a = accept(l, NULL, NULL);
    getsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &got, &len);
    say("SO_RCVTIMEO %ld.%06ld", (long)got.tv_sec, (long)got.tv_usec);
    getsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &got, &len);
    say("SO_SNDTIMEO %ld.%06ld", (long)got.tv_sec, (long)got.tv_usec);
    said("SIOCOUTQ of datagrams", ioctl(u, SIOCOUTQ, &v));
    say("%d bytes", v);
    said("SIOCOUTQNSD", ioctl(u, SIOCOUTQNSD, &v));
    for (int tos = 0; tos < 256; tos += 36)
        for (int i = 0; i < 2; i++) {
            int fd = i == 0 ? l : u;
            setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
            getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &v, &(socklen_t){sizeof v});
            say("IP_TOS %d: SO_PRIORITY %d", tos, v);
        }
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"datagrams-shut", dgram_shut},
        {"end-then-reset", end_then_reset},
        {"backlog", backlog},
        {"shut-connecting", shut_connecting},
        {"shut-connect", shut_connect},
        {"refused", refused},
        {"time-wait", time_wait},
        {"inherited", inherited},
        {"linger", linger},
        {"connect-bad", connect_bad},
        {"ports", ports},
        {"dissolve", dissolve},
    };
    return suite_main(argc, argv, CASES(cases));
}
