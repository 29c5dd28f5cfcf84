/* SPDX-License-Identifier: BSD-2-Clause
 *
 * poll_conformance.c: what poll, select and epoll say of a connected pair, a listener and
 * datagrams in every state. Protects: event loops, which hang or spin if an event is missing,
 * late, doubled, or does not go away.
 */
#include "suite.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ALL (POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM)

static void
add(char *text, int events, int bit, const char *name)
{
    if (events & bit) {
        strcat(text, " ");
        strcat(text, name);
    }
}

static const char *
named(int events)
{
    static char text[128];
    text[0] = '\0';
    add(text, events, POLLIN, "in");
    add(text, events, POLLPRI, "pri");
    add(text, events, POLLOUT, "out");
    add(text, events, POLLERR, "err");
    add(text, events, POLLHUP, "hup");
    add(text, events, POLLRDHUP, "rdhup");
    add(text, events, POLLNVAL, "nval");
    add(text, events, POLLRDNORM, "rdnorm");
    add(text, events, POLLWRNORM, "wrnorm");
    return text[0] == '\0' ? " nothing" : text;
}

/* All three at once, after a pause in which what is on its way arrives. */
static void
look(const char *what, int fd)
{
    struct pollfd w = {.fd = fd, .events = ALL};
    pause_ms(80);
    int n = poll(&w, 1, 0);
    say("%s: poll %d:%s", what, n, named(w.revents));
    fd_set r, s, e;
    struct timeval none = {0};
    FD_ZERO(&r);
    FD_SET(fd, &r);
    s = e = r;
    n = select(fd + 1, &r, &s, &e, &none);
    say("%s: select %d: %d%d%d", what, n, !!FD_ISSET(fd, &r), !!FD_ISSET(fd, &s),
        !!FD_ISSET(fd, &e));
    int set = epoll_create1(0);
    struct epoll_event v = {.events = ALL};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &v) != 0)
        give_up("EPOLL_CTL_ADD");
    v.events = 0;
    n = epoll_wait(set, &v, 1, 0);
    say("%s: epoll %d:%s", what, n, named(n > 0 ? (int)v.events : 0));
    close(set);
}

static void
connection(void)
{
    int p[2];
    tcp_pair(p);
    look("fresh", p[0]);
    send_text(p[1], "bytes");
    look("with bytes", p[0]);
    drain(p[0]);
    look("read empty", p[0]);
    fill(p[0]);
    look("full", p[0]);
    drain(p[1]);
    look("emptied by the peer", p[0]);
    shutdown(p[1], SHUT_WR);
    look("after the peer's end", p[0]);
    look("the peer itself", p[1]);
    drain(p[0]);
    look("after reading the end", p[0]);
    shutdown(p[0], SHUT_WR);
    look("both ends", p[0]);
    look("both ends, the peer", p[1]);
}

static void
broken(void)
{
    int p[2];
    char b;
    struct linger hard = {.l_onoff = 1};
    tcp_pair(p);
    setsockopt(p[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(p[1]);
    look("reset", p[0]);
    said("recv", recv(p[0], &b, 1, 0));
    look("told of the reset", p[0]);
    tcp_pair(p);
    shutdown(p[0], SHUT_WR);
    look("own end", p[0]);
    tcp_pair(p);
    shutdown(p[0], SHUT_RD);
    look("own SHUT_RD", p[0]);
    tcp_pair(p);
    shutdown(p[0], SHUT_RDWR);
    look("own SHUT_RDWR", p[0]);
    tcp_pair(p);
    close(p[1]);
    look("the peer has closed", p[0]);
    said("send", send(p[0], "x", 1, MSG_NOSIGNAL));
    look("and answered with a reset", p[0]);
}

/* What epoll says of fd to who asks for `events` alone. */
static void
asked(const char *what, int fd, uint32_t events)
{
    int set = epoll_create1(0);
    struct epoll_event v = {.events = events};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &v) != 0)
        give_up("EPOLL_CTL_ADD");
    v.events = 0;
    int n = epoll_wait(set, &v, 1, 1000);
    say("%s: %d:%s", what, n, named(n > 0 ? (int)v.events : 0));
    close(set);
}

/* The end comes when there is something to read already, which was shown before. */
static void
end_behind_data(void)
{
    int p[2];
    char b[8];
    tcp_pair(p);
    send_text(p[1], "abc");
    await(p[0], POLLIN);
    asked("data", p[0], EPOLLIN | EPOLLRDHUP);
    shutdown(p[1], SHUT_WR);
    pause_ms(80);
    asked("end, data unread", p[0], EPOLLIN | EPOLLRDHUP);
    asked("end alone", p[0], EPOLLRDHUP);
    struct pollfd w = {.fd = p[0], .events = POLLRDHUP};
    said("poll", poll(&w, 1, 1000));
    say("%s", named(w.revents));
    said("recv", recv(p[0], b, sizeof b, 0));
    asked("data read", p[0], EPOLLRDHUP);
    said("recv", recv(p[0], b, sizeof b, 0));
    asked("end read", p[0], EPOLLRDHUP);
}

/* The end of connecting is told once, as something to write: who was told first that there is
 * something to read would take it for a connection that ended. */
static void
refusals(void)
{
    struct sockaddr_in a;
    int wrong = 0, t = bound(SOCK_STREAM);
    a = host_addr(port_of(t));
    for (int i = 0; i < 100; i++) {
        int set = epoll_create1(0), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct epoll_event v = {.events = EPOLLIN | EPOLLOUT};
        if (i % 2 == 0)
            epoll_ctl(set, EPOLL_CTL_ADD, s, &v);
        if (connect(s, (void *)&a, sizeof a) == 0 || errno != EINPROGRESS)
            wrong += errno != ECONNREFUSED;
        else {
            epoll_ctl(set, i % 2 == 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s, &v);
            wrong += epoll_wait(set, &v, 1, 1000) != 1 || !(v.events & EPOLLOUT);
        }
        close(s);
        close(set);
    }
    say("told otherwise than as something to write: %d", wrong);
}

static void
unconnected(void)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    look("new stream", s);
    int t = bound(SOCK_STREAM);
    look("bound stream", t);
    struct sockaddr_in a = host_addr(port_of(t));
    close(t);
    said("connect", connect(s, (void *)&a, sizeof a));
    look("refused", s);
    int e = 0;
    getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &(socklen_t){sizeof e});
    say("SO_ERROR %s", strerrorname_np(e));
    look("refused, and told", s);
    int l = listening();
    look("listener", l);
    int c = connected_to(l);
    look("listener with one", l);
    close(c);
    look("listener whose one has gone", l);
    close(accept(l, NULL, NULL));
    look("listener without", l);
    shutdown(l, SHUT_RDWR);
    look("listener shut", l);
}

static void
datagrams(void)
{
    int p[2], fresh = socket(AF_INET, SOCK_DGRAM, 0);
    look("new", fresh);
    udp_pair(p);
    look("connected", p[0]);
    send_text(p[1], "one");
    send_text(p[1], "two");
    look("two there", p[0]);
    say_read("recv", p[0]);
    look("one there", p[0]);
    say_read("recv", p[0]);
    look("none there", p[0]);
    close(p[1]);
    send_text(p[0], "nobody");
    look("an error is there", p[0]);
    said("send", send(p[0], "x", 1, 0));
    look("told of it, and another", p[0]);
    said("shutdown", shutdown(p[0], SHUT_RD));
    look("shut for reading", p[0]);
}

static int set; /* the epoll descriptor */

static void
watch(int op, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event v = {.events = events, .data.u64 = tag};
    if (epoll_ctl(set, op, fd, &v) != 0)
        said("epoll_ctl", -1);
}

static void
events(const char *what)
{
    struct epoll_event v[8];
    pause_ms(80);
    int n = epoll_wait(set, v, 8, 0);
    if (n <= 0)
        said(what, n);
    for (int i = 0; i < n; i++)
        say("%s: %llu:%s", what, (unsigned long long)v[i].data.u64, named((int)v[i].events));
}

static void
level(void)
{
    int p[2];
    char b[4];
    tcp_pair(p);
    set = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    events("nothing");
    send_text(p[1], "12345678");
    events("bytes");
    events("bytes still");
    said("recv", recv(p[0], b, 4, 0));
    events("half of them");
    said("recv", recv(p[0], b, 4, 0));
    events("none");
    watch(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLOUT, 2);
    events("modified");
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN, 3);
    int d = dup(p[0]);
    watch(EPOLL_CTL_ADD, d, EPOLLIN, 4);
    send_text(p[1], "1");
    events("by two numbers");
    watch(EPOLL_CTL_DEL, p[0], 0, 0);
    watch(EPOLL_CTL_DEL, p[0], 0, 0);
    watch(EPOLL_CTL_MOD, p[0], EPOLLIN, 5);
    events("one is left");
    watch(EPOLL_CTL_ADD, p[0], 0, 6);
    watch(EPOLL_CTL_DEL, d, 0, 0);
    close(p[1]);
    events("no events asked for");
    close(d);
    close(p[0]);
    events("closed");
}

static void
edge(void)
{
    int p[2];
    char b[4];
    tcp_pair(p);
    set_nonblocking(p[0]);
    set = epoll_create1(0);
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, 1);
    events("at first");
    events("and again");
    send_text(p[1], "1234");
    events("bytes");
    events("no edge");
    send_text(p[1], "5678");
    events("more bytes");
    said("recv", recv(p[0], b, 4, 0));
    events("reading a part is none");
    said("recv", recv(p[0], b, 4, 0));
    said("recv", recv(p[0], b, 4, 0));
    events("nor reading all");
    watch(EPOLL_CTL_MOD, p[0], EPOLLOUT | EPOLLET, 2);
    events("MOD looks anew");
    fill(p[0]);
    events("full");
    drain(p[1]);
    events("there is room");
    watch(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET | EPOLLRDHUP, 3);
    shutdown(p[1], SHUT_WR);
    events("the peer's end");
    events("once");
    watch(EPOLL_CTL_DEL, p[0], 0, 0);
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET, 4);
    events("added anew");
    int l = listening();
    set_nonblocking(l);
    watch(EPOLL_CTL_ADD, l, EPOLLIN | EPOLLET, 5);
    connected_to(l);
    events("a connection waits");
    events("no edge");
    connected_to(l);
    events("another");
    say("both are there: %d", accept(l, NULL, NULL) >= 0 && accept(l, NULL, NULL) >= 0);
    connected_to(l);
    events("a third");
}

static void
oneshot(void)
{
    int p[2];
    tcp_pair(p);
    set = epoll_create1(0);
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLONESHOT, 1);
    send_text(p[1], "1");
    events("once");
    events("disarmed");
    send_text(p[1], "2");
    events("still disarmed");
    watch(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 2);
    events("armed anew");
    close(p[1]);
    events("disarmed, even for the end");
    watch(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT | EPOLLET, 3);
    events("one-shot and edge");
    events("and then");
}

static void
nested(void)
{
    int p[2], outer = epoll_create1(0), inner = epoll_create1(0), three = epoll_create1(0);
    tcp_pair(p);
    set = inner;
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    set = three;
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET, 7);
    set = outer;
    watch(EPOLL_CTL_ADD, inner, EPOLLIN, 2);
    events("nothing");
    look("the inner set", inner);
    send_text(p[1], "1");
    events("the outer set");
    look("the inner set", inner);
    set = inner;
    events("the inner set");
    set = three;
    events("another set with it");
    say_read("recv", p[0]);
    set = outer;
    events("empty again");
    set = inner;
    watch(EPOLL_CTL_ADD, inner, EPOLLIN, 3);
}

static void
mixed(void)
{
    int p[2], way[2], bell = eventfd(0, EFD_NONBLOCK),
                      timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
    tcp_pair(p);
    if (pipe(way) != 0)
        give_up("pipe");
    set = epoll_create1(0);
    watch(EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    events("nothing");
    watch(EPOLL_CTL_ADD, way[0], EPOLLIN, 2);
    said("write", write(way[1], "x", 1));
    events("a pipe");
    send_text(p[1], "x");
    watch(EPOLL_CTL_DEL, way[0], 0, 0);
    events("a socket");
    drain(p[0]);
    watch(EPOLL_CTL_ADD, timer, EPOLLIN, 3);
    timerfd_settime(timer, 0, &soon, NULL);
    events("a timer");
    watch(EPOLL_CTL_DEL, timer, 0, 0);
    watch(EPOLL_CTL_ADD, bell, EPOLLIN, 4);
    said("eventfd_write", eventfd_write(bell, 1));
    events("an eventfd");
    struct pollfd w[4] = {
        {p[0], POLLIN, 0}, {way[0], POLLIN, 0}, {-1, POLLIN, 0}, {999, POLLIN, 0}};
    said("poll", poll(w, 4, 0));
    say("%d %d %d %d", w[0].revents, w[1].revents, w[2].revents, w[3].revents);
}

static void
before_connect(void) /* put into a set before it is known where it goes */
{
    const struct in_addr stack = suite_host;
    for (unsigned loopback = 0; loopback < 2; loopback++) {
        suite_host.s_addr = loopback ? htonl(INADDR_LOOPBACK) : stack.s_addr;
        int l = listening(), other = epoll_create1(0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), copy = dup(fd);
        set = epoll_create1(0);
        struct epoll_event v = {.events = EPOLLIN, .data.u32 = 1}, got;
        epoll_ctl(set, EPOLL_CTL_ADD, fd, &v);
        epoll_ctl(other, EPOLL_CTL_ADD, copy, &v);
        v = (struct epoll_event){.events = EPOLLOUT | EPOLLET, .data.u32 = 2};
        epoll_ctl(set, EPOLL_CTL_MOD, fd, &v);
        epoll_ctl(other, EPOLL_CTL_DEL, copy, NULL);
        struct sockaddr_in a = host_addr(port_of(l));
        said("connect", connect(fd, (void *)&a, sizeof a));
        said("told", epoll_wait(set, &got, 1, 1000));
        say("%s, of %u", named((int)got.events & EPOLLOUT), got.data.u32);
        said("not told", epoll_wait(other, &got, 1, 50));
        said("taken out", epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
        close(fd);
        close(copy);
        close(l);
    }
    suite_host = stack;
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"connection", connection},
        {"broken", broken},
        {"end-behind-data", end_behind_data},
        {"refusals", refusals},
        {"unconnected", unconnected},
        {"datagrams", datagrams},
        {"level", level},
        {"edge", edge},
        {"oneshot", oneshot},
        {"nested", nested},
        {"mixed", mixed},
        {"before-connect", before_connect},
    };
    return suite_main(argc, argv, CASES(cases));
}
