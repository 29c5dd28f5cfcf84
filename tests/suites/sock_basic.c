/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sock_basic.c: the life of a socket: made, named, connected, accepted, duplicated, shut,
 * closed; and what every call answers when it is the wrong one. Protects: a program that asks
 * whether its call failed, and how, takes the way that it takes on the kernel.
 */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sockaddr *
sa(void *address)
{
    return address;
}

static void
create(void)
{
    int low = open("/dev/null", O_RDONLY);
    close(low);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say("lowest free number: %d", fd == low);
    say("flags %#x, descriptor flags %#x", (unsigned)fcntl(fd, F_GETFL),
        (unsigned)fcntl(fd, F_GETFD));
    int fast = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    say("flags %#x, descriptor flags %#x", (unsigned)fcntl(fast, F_GETFL),
        (unsigned)fcntl(fast, F_GETFD));
    int on = 1;
    said("FIONBIO", ioctl(fd, FIONBIO, &on));
    say("flags %#x", (unsigned)fcntl(fd, F_GETFL));
    said("stream of UDP", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    said("datagrams of TCP", socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    said("no such type", socket(AF_INET, SOCK_RDM, 0));
    said("no such family", socket(99, SOCK_STREAM, 0));
    int sv[2];
    said("socketpair of AF_INET", socketpair(AF_INET, SOCK_STREAM, 0, sv));
    close(fd);
    said("closed twice", close(fd));
    int again = socket(AF_INET, SOCK_STREAM, 0);
    say("the number is used again: %d", again == fd);
}

static void
say_name(const char *what, int (*ask)(int, struct sockaddr *, socklen_t *), int fd,
         in_port_t port)
{
    struct sockaddr_in a;
    memset(&a, 0xa5, sizeof a);
    socklen_t len = sizeof a;
    if (ask(fd, sa(&a), &len) != 0)
        said(what, -1);
    else
        say("%s: family %d, length %u, address %s, port %s", what, a.sin_family, len,
            a.sin_addr.s_addr == suite_host.s_addr ? "HOST"
            : a.sin_addr.s_addr == 0               ? "any"
                                                   : "other",
            a.sin_port == 0      ? "0"
            : a.sin_port == port ? "as expected"
                                 : "some");
}

static void
names(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say_name("own name of a new one", getsockname, fd, 1);
    say_name("peer's name of a new one", getpeername, fd, 1);
    struct sockaddr_in a = host_addr(0);
    said("bind", bind(fd, sa(&a), sizeof a));
    say_name("own name, bound", getsockname, fd, 0);
    said("bind twice", bind(fd, sa(&a), sizeof a));
    int other = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in taken = host_addr(port_of(fd));
    said("listen", listen(fd, 1));
    said("bind to a port that is taken", bind(other, sa(&taken), sizeof taken));
    struct sockaddr_in strange = {.sin_family = AF_INET, .sin_addr = {htonl(0xc6336401)}};
    said("bind to a stranger's address", bind(other, sa(&strange), sizeof strange));
    said("bind, length too small", bind(other, sa(&a), 4));
    a.sin_family = AF_UNIX;
    said("bind, wrong family", bind(other, sa(&a), sizeof a));
    int pair[2];
    tcp_pair(pair);
    say_name("the peer of one", getpeername, pair[0], port_of(pair[1]));
    say_name("the peer of the other", getpeername, pair[1], port_of(pair[0]));
    socklen_t small = 4;
    struct sockaddr_in cut;
    memset(&cut, 0, sizeof cut);
    said("getsockname with little room", getsockname(pair[0], sa(&cut), &small));
    say("length %u, port known %d, address known %d", small, cut.sin_port != 0,
        cut.sin_addr.s_addr != 0);
    small = (socklen_t)-1;
    said("getsockname, negative length", getsockname(pair[0], sa(&cut), &small));
    int file = open("/dev/null", O_RDWR);
    say_name("of a file", getsockname, file, 1);
    say_name("of nothing", getsockname, 999, 1);
}

static void
accepting(void)
{
    int l = listening();
    set_nonblocking(l);
    said("accept, nobody there", accept(l, NULL, NULL));
    int c = connected_to(l);
    await(l, 1);
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int s = accept(l, sa(&a), &len);
    say("accepted: length %u, from HOST %d, its port %d, flags %#x, descriptor flags %#x", len,
        a.sin_addr.s_addr == suite_host.s_addr, a.sin_port == port_of(c),
        (unsigned)fcntl(s, F_GETFL), (unsigned)fcntl(s, F_GETFD));
    int c2 = connected_to(l);
    await(l, 1);
    int s2 = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    say("accept4: flags %#x, descriptor flags %#x", (unsigned)fcntl(s2, F_GETFL),
        (unsigned)fcntl(s2, F_GETFD));
    said("accept4, unknown flag", accept4(l, NULL, NULL, 1));
    said("accept on a connection", accept(s, NULL, NULL));
    said("accept on datagrams", accept(bound(SOCK_DGRAM), NULL, NULL));
    said("accept on a file", accept(open("/dev/null", O_RDWR), NULL, NULL));
    said("listen on datagrams", listen(bound(SOCK_DGRAM), 1));
    said("listen on a connection", listen(c, 1));
    said("listen without a name", listen(socket(AF_INET, SOCK_STREAM, 0), 1));
    said("recv on a listener", recv(l, &a, 1, 0));
    said("send on a listener", send(l, &a, 1, MSG_NOSIGNAL));
    int waits = connected_to(l);
    close(l);
    say_read("one that nobody accepted", waits);
    send_text(c2, "still");
    await(s2, 1);
    say_read("one that was accepted", s2);
}

static void
connecting(void)
{
    int l = listening();
    struct sockaddr_in a = host_addr(port_of(l));
    int c = socket(AF_INET, SOCK_STREAM, 0);
    said("connect, length too small", connect(c, sa(&a), 8));
    said("connect", connect(c, sa(&a), sizeof a));
    said("connect twice", connect(c, sa(&a), sizeof a));
    int n = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    said("connect without waiting", connect(n, sa(&a), sizeof a));
    await(n, 4);
    int e = -1;
    socklen_t len = sizeof e;
    said("SO_ERROR", getsockopt(n, SOL_SOCKET, SO_ERROR, &e, &len));
    say("error %d", e);
    said("connect again", connect(n, sa(&a), sizeof a));
    int gone = bound(SOCK_STREAM);
    a.sin_port = port_of(gone);
    close(gone);
    int r = socket(AF_INET, SOCK_STREAM, 0);
    said("connect, nobody listens", connect(r, sa(&a), sizeof a));
    int rn = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    said("the same without waiting", connect(rn, sa(&a), sizeof a));
    await(rn, 4);
    said("SO_ERROR", getsockopt(rn, SOL_SOCKET, SO_ERROR, &e, &len));
    say("error %s", strerrorname_np(e));
    said("SO_ERROR once more", getsockopt(rn, SOL_SOCKET, SO_ERROR, &e, &len));
    say("error %d", e);
    a.sin_family = AF_UNIX;
    said("connect, wrong family", connect(socket(AF_INET, SOCK_STREAM, 0), sa(&a), sizeof a));
    said("connect a file", connect(open("/dev/null", O_RDWR), sa(&a), sizeof a));
    int u = socket(AF_INET, SOCK_STREAM, 0);
    said("send before connect", send(u, "x", 1, MSG_NOSIGNAL));
    said("recv before connect", recv(u, &e, 1, MSG_DONTWAIT));
    said("shutdown before connect", shutdown(u, SHUT_WR));
}

static int pipes; /* SIGPIPE */

static void
count_pipe(int signal)
{
    (void)signal;
    pipes++;
}

static void
shutting(void)
{
    signal(SIGPIPE, count_pipe);
    int p[2];
    tcp_pair(p);
    said("shutdown, no such way", shutdown(p[0], 7));
    said("shutdown SHUT_WR", shutdown(p[0], SHUT_WR));
    await(p[1], 1);
    say_read("the other end", p[1]);
    say_read("and once more", p[1]);
    send_text(p[1], "the other way");
    await(p[0], 1);
    say_read("this end", p[0]);
    said("send after SHUT_WR", send(p[0], "x", 1, 0));
    say("signals %d", pipes);
    said("with MSG_NOSIGNAL", send(p[0], "x", 1, MSG_NOSIGNAL));
    said("write", write(p[0], "x", 1));
    say("signals %d", pipes);
    said("SHUT_WR twice", shutdown(p[0], SHUT_WR));
    tcp_pair(p);
    said("SHUT_RD", shutdown(p[0], SHUT_RD));
    say_read("after SHUT_RD", p[0]);
    send_text(p[0], "this way still");
    await(p[1], 1);
    say_read("the other end", p[1]);
    said("SHUT_RDWR", shutdown(p[1], SHUT_RDWR));
    said("send after it", send(p[1], "x", 1, MSG_NOSIGNAL));
    close(p[0]);
    int l = listening();
    said("shutdown of a listener", shutdown(l, SHUT_RD));
    said("accept after it", accept(l, NULL, NULL));
    said("listen anew", listen(l, 4));
    said("shutdown of a file", shutdown(open("/dev/null", O_RDWR), SHUT_RD));
}

static void
resetting(void)
{
    int p[2];
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    tcp_pair(p);
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(p[0]);
    await(p[1], 1);
    say_read("after a hard close", p[1]);
    say_read("and then", p[1]);
    said("send", send(p[1], "x", 1, MSG_NOSIGNAL));
    tcp_pair(p);
    send_text(p[0], "unread");
    await(p[1], 1);
    close(p[1]);
    await(p[0], 1);
    say_read("closed with bytes unread", p[0]);
    tcp_pair(p);
    send_text(p[0], "last words");
    close(p[0]);
    await(p[1], 1);
    say_read("after an orderly close", p[1]);
    say_read("and then", p[1]);
    said("the first send after it", send(p[1], "x", 1, MSG_NOSIGNAL));
    pause_ms(100);
    said("the second", send(p[1], "x", 1, MSG_NOSIGNAL));
    said("the third", send(p[1], "x", 1, MSG_NOSIGNAL));
}

static void
duplicates(void)
{
    int p[2];
    tcp_pair(p);
    int d = dup(p[0]);
    close(p[0]);
    send_text(d, "by the copy");
    say_read("arrives", p[1]);
    int high = fcntl(d, F_DUPFD, 100);
    say("F_DUPFD: at least 100 %d, descriptor flags %d", high >= 100, fcntl(high, F_GETFD));
    int exec = fcntl(d, F_DUPFD_CLOEXEC, 100);
    say("F_DUPFD_CLOEXEC: another %d, descriptor flags %d", exec > high, fcntl(exec, F_GETFD));
    close(d);
    close(high);
    say_read("one copy is left", p[1]);
    set_nonblocking(exec);
    int e = dup(exec);
    say("O_NONBLOCK is shared: %d", (fcntl(e, F_GETFL) & O_NONBLOCK) != 0);
    close(e);
    close(exec);
    say_read("the last copy closed", p[1]);
    int q[2];
    tcp_pair(p);
    tcp_pair(q);
    said("dup2 over a socket", dup2(q[0], p[0]) == p[0]);
    say_read("its peer", p[1]);
    send_text(p[0], "through the new one");
    say_read("the other's peer", q[1]);
    said("dup2 onto itself", dup2(q[0], q[0]) == q[0]);
    said("dup3 onto itself", dup3(q[0], q[0], 0));
    said("dup3 with close-on-exec", dup3(q[0], p[0], O_CLOEXEC) == p[0]);
    say("descriptor flags %d", fcntl(p[0], F_GETFD));
    said("dup2 of a file over a socket", dup2(open("/dev/null", O_RDWR), p[0]) == p[0]);
    said("write", write(p[0], "x", 1));
    said("dup2 of a socket over standard input", dup2(q[1], 0));
    send_text(q[0], "to standard input");
    await(0, 1);
    say_read("read", 0);
}

static void
ranges(void)
{
    int p[2];
    tcp_pair(p);
    int keep = fcntl(p[0], F_DUPFD, 200);
    int end = fcntl(p[1], F_DUPFD, 210);
    said("close_range", close_range((unsigned)p[0], 199, 0));
    send_text(keep, "kept");
    say_read("what is above", end);
    said("close_range, backwards", close_range(10, 5, 0));
    said("mark close-on-exec", close_range(200, 220, CLOSE_RANGE_CLOEXEC));
    say("descriptor flags %d", fcntl(keep, F_GETFD));
    closefrom(205);
    said("after closefrom", fcntl(end, F_GETFD));
    say_read("peer of a closed one", keep);
    closefrom(3);
    tcp_pair(p); /* the stack still works */
    send_text(p[0], "after closefrom(3)");
    say_read("a new pair", p[1]);
}

static void
files(void)
{
    int p[2];
    tcp_pair(p);
    struct stat st;
    said("fstat", fstat(p[0], &st));
    say("a socket %d, size %ld, links %lu", S_ISSOCK(st.st_mode), (long)st.st_size,
        (unsigned long)st.st_nlink);
    said("isatty", isatty(p[0]) == 1);
    said("lseek", lseek(p[0], 0, SEEK_SET));
    said("ftruncate", ftruncate(p[0], 0));
    said("fsync", fsync(p[0]));
    said("pread", pread(p[0], &st, 1, 0));
    said("fchmod", fchmod(p[0], 0600));
    char path[64], to[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
    ssize_t n = readlink(path, to, sizeof to);
    say("/proc/self/fd: %.8s", n > 8 ? to : "?");
    said("open by that path", open(path, O_RDWR));
    said("F_GETOWN", fcntl(p[0], F_GETOWN));
    int kind = 0;
    socklen_t len = sizeof kind;
    said("SO_TYPE", getsockopt(p[0], SOL_SOCKET, SO_TYPE, &kind, &len));
    say("stream %d", kind == SOCK_STREAM);
    said("SO_DOMAIN", getsockopt(p[0], SOL_SOCKET, SO_DOMAIN, &kind, &len));
    say("AF_INET %d", kind == AF_INET);
    said("SO_TYPE of a file",
         getsockopt(open("/dev/null", 0), SOL_SOCKET, SO_TYPE, &kind, &len));
}

static void
limits(void)
{
    int l = listening();
    int c = connected_to(l);
    int top = dup(l);
    close(top);
    struct rlimit none = {.rlim_cur = (rlim_t)top, .rlim_max = 1024};
    said("setrlimit", setrlimit(RLIMIT_NOFILE, &none));
    said("socket", socket(AF_INET, SOCK_STREAM, 0));
    said("dup", dup(l));
    said("accept", accept(l, NULL, NULL));
    struct rlimit some = {.rlim_cur = 256, .rlim_max = 1024};
    said("setrlimit", setrlimit(RLIMIT_NOFILE, &some));
    int s = accept(l, NULL, NULL);
    say("the connection waited: %d", s >= 0);
    send_text(c, "hello");
    say_read("it works", s);
    int top_fd = s;
    for (int fd; (fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0;)
        top_fd = fd;
    said("the table is full", -1);
    say("the highest number is the limit's: %d", top_fd == 255);
}

/* The library needs descriptors of its own, and leaves the program most of what it may have,
 * however little that is, before its first socket. */
static void
few_descriptors(void)
{
    struct rlimit few = {.rlim_cur = 24, .rlim_max = 256},
                  more = {.rlim_cur = 100, .rlim_max = 256};
    int l = -1, n = 0, low = dup(0), high = dup(0);
    said("setrlimit", setrlimit(RLIMIT_NOFILE, &few));
    close(low);
    close(high);
    int first = socket(AF_INET, SOCK_STREAM, 0), next = socket(AF_INET, SOCK_STREAM, 0);
    say("lowest free numbers: %d %d", first == low, next == high);
    close(first);
    close(next);
    for (int fd; (fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0; n++)
        l = fd;
    said("the table is full", -1);
    say("of 20 at least 10: %d", n >= 10);
    struct sockaddr_in any = {.sin_family = AF_INET};
    said("the last one works", bind(l, (void *)&any, sizeof any));
    said("listen", listen(l, 1));
    said("setrlimit", setrlimit(RLIMIT_NOFILE, &more));
    for (; socket(AF_INET, SOCK_STREAM, 0) >= 0; n++)
        continue;
    say("of 96 at least 80: %d", n >= 80);
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"create", create},
        {"names", names},
        {"accepting", accepting},
        {"connecting", connecting},
        {"shutting", shutting},
        {"resetting", resetting},
        {"duplicates", duplicates},
        {"close_range", ranges},
        {"as-files", files},
        {"limits", limits},
        {"few-descriptors", few_descriptors},
    };
    return suite_main(argc, argv, CASES(cases));
}
