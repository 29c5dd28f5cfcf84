/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bad_conformance.c: pointers that point nowhere and lengths that are none. Protects: a program
 * that gets EFAULT or EINVAL from the kernel, and would crash, or get an answer, of a library
 * that trusts what it is given.
 */
#undef _FORTIFY_SOURCE /* whose checks would come first */
#include "suite.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Not seen through by the compiler, who warns. */
static volatile long minus_one = -1;

/* Given as pointers; which of them writes or reads differs. */
enum { NOWHERE, NOT_MAPPED, NO_ACCESS, READ_ONLY, BAD };
static void *bad[BAD];
static const char *const bad_name[BAD] = {"-1", "not mapped", "no access", "read-only"};

static char *
page(int access)
{
    char *p = mmap(NULL, 4096, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED ? p : (give_up("mmap"), NULL);
}

static void
make_bad(void)
{
    bad[NOWHERE] = (void *)(uintptr_t)UINTPTR_MAX;
    bad[NOT_MAPPED] = (void *)(uintptr_t)64;
    bad[NO_ACCESS] = page(PROT_NONE);
    bad[READ_ONLY] = page(PROT_READ);
}

/* For each bad pointer, as `p`. */
#define EACH                                                                                   \
    make_bad();                                                                                \
    for (unsigned i = 0; i < BAD; i++)
#define TELL(what, call)                                                                       \
    do {                                                                                       \
        char text_[96];                                                                        \
        snprintf(text_, sizeof text_, "%s, %s", what, bad_name[i]);                            \
        said(text_, call);                                                                     \
    } while (0)

static void
names(void)
{
    int t[2];
    struct sockaddr_in a;
    socklen_t n = sizeof a, none = 0, minus = (socklen_t)-1;
    tcp_pair(t);
    int lone = socket(AF_INET, SOCK_STREAM, 0);
    EACH
    {
        TELL("getsockname to", getsockname(t[0], bad[i], &n));
        TELL("length at", getsockname(t[0], (struct sockaddr *)&a, bad[i]));
        TELL("getpeername to", getpeername(t[0], bad[i], &n));
        TELL("length at", getpeername(t[0], (struct sockaddr *)&a, bad[i]));
        TELL("of none", getpeername(lone, bad[i], bad[i]));
        none = 0;
        TELL("no room", getsockname(t[0], bad[i], &none));
        say("length %u", none);
    }
    said("length -1", getsockname(t[0], (struct sockaddr *)&a, &minus));
    said("of none", getpeername(lone, (struct sockaddr *)&a, &minus));
}

static void
addresses(void)
{
    static const socklen_t lengths[] = {0, 1, 2, 3, 15, 129, (socklen_t)-1};
    union {
        struct sockaddr_in in;
        struct sockaddr any;
        char room[256];
    } a = {.in = host_addr(port_of(listening()))}, mine = {.in = host_addr(0)};
    int t[2];
    tcp_pair(t);
    EACH
    {
        TELL("bind", bind(socket(AF_INET, SOCK_STREAM, 0), bad[i], sizeof a.in) != 0);
        if (i == READ_ONLY) /* zeros, which are an address */
            continue;
        TELL("bind", bind(socket(AF_INET, SOCK_DGRAM, 0), bad[i], sizeof a.in));
        TELL("one byte", bind(socket(AF_INET, SOCK_STREAM, 0), bad[i], 1));
        TELL("connect", connect(socket(AF_INET, SOCK_STREAM, 0), bad[i], sizeof a.in));
        TELL("connect", connect(socket(AF_INET, SOCK_DGRAM, 0), bad[i], sizeof a.in));
        TELL("connected", connect(t[0], bad[i], sizeof a.in));
        TELL("too long", connect(t[0], bad[i], 129));
    }
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        say("length %d", (int)lengths[i]);
        said("bind", bind(socket(AF_INET, SOCK_STREAM, 0), &mine.any, lengths[i]));
        said("connect", connect(socket(AF_INET, SOCK_STREAM, 0), &a.any, lengths[i]));
        said("connected", connect(t[0], &a.any, lengths[i]));
        said("datagrams", connect(socket(AF_INET, SOCK_DGRAM, 0), &a.any, lengths[i]));
    }
    said("nothing", bind(socket(AF_INET, SOCK_STREAM, 0), NULL, 0));
    said("nothing", connect(socket(AF_INET, SOCK_STREAM, 0), NULL, 0));
}

/* A listener with somebody to accept. */
static int
with_guest(void)
{
    int l = listening();
    connected_to(l);
    await(l, POLLIN);
    return l;
}

static void
accepting(void)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a, minus = (socklen_t)-1;
    EACH
    {
        int l = with_guest();
        set_nonblocking(l);
        TELL("accept to", accept(l, bad[i], &n));
        said("once more: he is lost", accept(l, NULL, NULL));
        TELL("length at", accept(with_guest(), (struct sockaddr *)&a, bad[i]));
        TELL("unused", accept(with_guest(), NULL, bad[i]) < 0);
    }
    said("length -1", accept(with_guest(), (struct sockaddr *)&a, &minus));
    said("no length", accept(with_guest(), (struct sockaddr *)&a, NULL));
}

static void
options(void)
{
    static const struct {
        const char *text;
        int level, name;
    } some[] = {{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
                {"SO_LINGER", SOL_SOCKET, SO_LINGER},
                {"SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO},
                {"IP_TTL", IPPROTO_IP, IP_TTL},
                {"IP_TOS", IPPROTO_IP, IP_TOS},
                {"TCP_NODELAY", IPPROTO_TCP, 1},
                {"TCP_CONGESTION", IPPROTO_TCP, 13}};
    int kind[2] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0)};
    char value[64] = {0};
    make_bad();
    for (unsigned k = 0; k < 2 * sizeof some / sizeof *some; k++) {
        int fd = kind[k % 2], level = some[k / 2].level, name = some[k / 2].name;
        socklen_t n, minus = (socklen_t)-1;
        say("%s of a %s", some[k / 2].text, k % 2 ? "datagram socket" : "stream");
        for (unsigned i = 0; i < BAD; i++) {
            n = 16;
            TELL("get to", getsockopt(fd, level, name, bad[i], &n));
            TELL("length at", getsockopt(fd, level, name, value, bad[i]));
            n = 0;
            TELL("no room", getsockopt(fd, level, name, bad[i], &n));
            if (i == READ_ONLY)
                continue;
            TELL("set of 16", setsockopt(fd, level, name, bad[i], 16));
            TELL("set of 3", setsockopt(fd, level, name, bad[i], 3));
        }
        said("set, length -1", setsockopt(fd, level, name, value, minus));
        said("set to nothing", setsockopt(fd, level, name, NULL, 0));
        said("get, length -1", getsockopt(fd, level, name, value, &minus));
    }
    for (unsigned i = 1; i < 5; i++) {
        socklen_t n = i;
        said("IP_TOS, short", getsockopt(kind[0], IPPROTO_IP, IP_TOS, value, &n));
        say("length %u", n);
    }
}

static void
feed(int fd, int from)
{
    send_text(from, "0123456789");
    await(fd, POLLIN);
}

static void
receive(int fd, int from)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a, minus = (socklen_t)-1;
    static char b[64]; /* not on the stack: how far its address is from the end is chance */
    EACH
    {
        feed(fd, from);
        TELL("recv to", recv(fd, bad[i], 4, 0));
        feed(fd, from);
        TELL("read to", read(fd, bad[i], 4));
        TELL("of nothing", read(fd, bad[i], 0));
        feed(fd, from);
        TELL("length at", recvfrom(fd, b, 4, 0, (struct sockaddr *)&a, bad[i]));
        feed(fd, from);
        TELL("name to", recvfrom(fd, b, 4, 0, bad[i], &n));
        while (recv(fd, b, sizeof b, MSG_DONTWAIT) > 0)
            ;
        TELL("when there is nothing", recv(fd, bad[i], 4, MSG_DONTWAIT));
    }
    feed(fd, from);
    said("length -1", recvfrom(fd, b, 4, 0, (struct sockaddr *)&a, &minus));
    while (recv(fd, b, sizeof b, MSG_DONTWAIT) > 0)
        ;
    feed(fd, from);
    said("all of the memory", recv(fd, b, (size_t)minus_one, 0));
    said("read it", read(fd, b, (size_t)minus_one));
    said("all flags", recv(fd, b, sizeof b, -1));
    /* The end of what is memory: what fits there comes. */
    char *edge = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    said("a page", mprotect(edge, 4096, PROT_READ | PROT_WRITE));
    feed(fd, from);
    said("more than there is memory", recv(fd, edge + 4096 - 20, 4096, 0));
}

static void
receiving(void)
{
    int p[2];
    tcp_pair(p);
    receive(p[0], p[1]);
    say("datagrams");
    udp_pair(p);
    receive(p[0], p[1]);
}

static void
send_badly(int fd, int to)
{
    struct sockaddr_in a = host_addr(port_of(to));
    static const socklen_t lengths[] = {0, 1, 15, 129, (socklen_t)-1};
    EACH
    {
        if (i == READ_ONLY)
            continue;
        TELL("send", send(fd, bad[i], 4, 0));
        TELL("write", write(fd, bad[i], 4));
        TELL("of nothing", write(fd, bad[i], 0));
        TELL("to", sendto(fd, "x", 1, 0, bad[i], sizeof a));
        TELL("no length", sendto(fd, "x", 1, 0, bad[i], 0));
    }
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
        said("an address with a length", sendto(fd, "x", 1, 0, (void *)&a, lengths[i]));
}

static void
sending(void)
{
    int p[2];
    tcp_pair(p);
    send_badly(p[0], p[1]);
    say("datagrams");
    udp_pair(p);
    send_badly(p[0], p[1]);
}

/* The same header to sendmsg and recvmsg. */
static void
both(const char *what, const int p[2], const struct msghdr *m)
{
    char b[64];
    struct msghdr h = *m;
    said(what, sendmsg(p[0], &h, 0));
    while (recv(p[0], b, sizeof b, MSG_DONTWAIT) > 0)
        ;
    feed(p[0], p[1]);
    h = *m;
    said("recvmsg", recvmsg(p[0], &h, 0));
    while (recv(p[1], b, sizeof b, MSG_DONTWAIT) > 0)
        ;
}

static void
message(const int p[2])
{
    static char room[8], b[16];
    static struct iovec many[1025];
    struct iovec one = {b, 4}, minus = {b, (size_t)-1};
    for (unsigned i = 0; i < 1025; i++)
        many[i] = (struct iovec){b, 1};
    EACH
    {
        if (i == READ_ONLY)
            continue;
        struct iovec second[2] = {{b, 4}, {bad[i], 4}};
        say("%s", bad_name[i]);
        TELL("header to send", sendmsg(p[0], bad[i], 0));
        TELL("header to receive", recvmsg(p[0], bad[i], 0));
        both("vector", p, &(struct msghdr){.msg_iov = bad[i], .msg_iovlen = 1});
        both("no vector", p, &(struct msghdr){.msg_iov = bad[i], .msg_iovlen = 0});
        said("second of it",
             sendmsg(p[0], &(struct msghdr){NULL, 0, second, 2, NULL, 0, 0}, 0));
        both("name", p, &(struct msghdr){bad[i], 16, &one, 1, NULL, 0, 0});
        both("control", p, &(struct msghdr){NULL, 0, &one, 1, bad[i], 64, 0});
        both("no control", p, &(struct msghdr){NULL, 0, &one, 1, bad[i], 0, 0});
    }
    both("length -1", p, &(struct msghdr){.msg_iov = &one, .msg_iovlen = (size_t)-1});
    both("length 1025", p, &(struct msghdr){.msg_iov = many, .msg_iovlen = 1025});
    both("bytes -1", p, &(struct msghdr){.msg_iov = &minus, .msg_iovlen = 1});
    both("no name, long", p, &(struct msghdr){NULL, 16, &one, 1, NULL, 0, 0});
    both("name, length -1", p, &(struct msghdr){b, (socklen_t)-1, &one, 1, NULL, 0, 0});
    both("no control, long", p, &(struct msghdr){NULL, 0, &one, 1, NULL, 64, 0});
    both("short control", p, &(struct msghdr){NULL, 0, &one, 1, room, sizeof room, 0});
    said("control, length -1",
         sendmsg(p[0], &(struct msghdr){NULL, 0, &one, 1, room, (size_t)-1, 0}, 0));
}

static void
messages(void)
{
    int p[2];
    tcp_pair(p);
    message(p);
    say("datagrams");
    udp_pair(p);
    message(p);
}

static void
vectors(void)
{
    static char b[16];
    static struct iovec many[1025];
    struct iovec one = {b, 4}, minus = {b, (size_t)-1};
    struct mmsghdr two[2] = {{.msg_hdr = {.msg_iov = &one, .msg_iovlen = 1}},
                             {.msg_hdr = {.msg_iov = NULL, .msg_iovlen = 1}}};
    struct timespec late = {.tv_nsec = 1000000000}, past = {.tv_sec = -1};
    int p[2];
    for (unsigned i = 0; i < 1025; i++)
        many[i] = (struct iovec){b, 1};
    udp_pair(p);
    EACH
    {
        if (i == READ_ONLY)
            continue;
        struct iovec empty[2] = {{bad[i], 0}, {b, 3}};
        TELL("writev", writev(p[0], bad[i], 1));
        TELL("readv", readv(p[0], bad[i], 1));
        TELL("none of it", writev(p[0], empty, 2));
        TELL("sendmmsg", sendmmsg(p[0], bad[i], 1, 0));
        TELL("sendmmsg of none", sendmmsg(p[0], bad[i], 0, 0));
        TELL("recvmmsg", recvmmsg(p[0], bad[i], 1, MSG_DONTWAIT, NULL));
        TELL("until", recvmmsg(p[0], two, 1, MSG_DONTWAIT, bad[i]));
    }
    said("writev -1", writev(p[0], &one, (int)minus_one));
    said("writev 1025", writev(p[0], many, 1025));
    said("bytes -1", writev(p[0], &minus, 1));
    said("readv -1", readv(p[0], &one, (int)minus_one));
    said("readv 1025", readv(p[0], many, 1025));
    said("bytes -1", readv(p[0], &minus, 1));
    said("the second is bad", sendmmsg(p[0], two, 2, 0));
    said("until a second of a milliard nanoseconds", recvmmsg(p[0], two, 1, 0, &late));
    struct timespec left = {.tv_sec = 5};
    feed(p[0], p[1]);
    said("in time", recvmmsg(p[0], two, 1, 0, &left));
    say("what is left of it %d", left.tv_sec == 4 && left.tv_nsec > 0);
    said("until before now", recvmmsg(p[0], two, 1, 0, &past));
}

static void
waiting(void)
{
    int p[2], n, set = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN};
    tcp_pair(p);
    struct pollfd f = {.fd = p[0], .events = POLLIN};
    EACH
    {
        if (i != READ_ONLY)
            TELL("poll", poll(bad[i], 1, 0));
        TELL("of none", poll(bad[i], 0, 0));
        TELL("FIONREAD", ioctl(p[0], FIONREAD, bad[i]));
        said("to a set", epoll_ctl(set, EPOLL_CTL_ADD, p[0], &ev));
        TELL("from it", epoll_ctl(set, EPOLL_CTL_DEL, p[0], bad[i]));
        if (i != READ_ONLY)
            TELL("to it", epoll_ctl(set, EPOLL_CTL_ADD, p[0], bad[i]));
    }
    said("poll -1", poll(&f, (nfds_t)minus_one, 0));
    said("poll 1 << 30", poll(&f, (nfds_t)(-minus_one << 30), 0));
    said("FIONREAD", ioctl(p[0], FIONREAD, &n));
}

/* Descriptors that are the kernel's, on whose messages sessions may travel. */
static void
unix_sockets(void)
{
    int p[2];
    char b[16];
    struct iovec one = {b, 4};
    said("socketpair", socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
    EACH
    {
        if (i == READ_ONLY)
            continue;
        TELL("sendmsg", sendmsg(p[0], bad[i], 0));
        TELL("recvmsg", recvmsg(p[0], bad[i], 0));
        both("control", p, &(struct msghdr){NULL, 0, &one, 1, bad[i], 64, 0});
    }
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"names", names},       {"addresses", addresses},
        {"accept", accepting},  {"options", options},
        {"receive", receiving}, {"send", sending},
        {"messages", messages}, {"vectors", vectors},
        {"wait", waiting},      {"unix-sockets", unix_sockets},
    };
    return suite_main(argc, argv, CASES(cases));
}
