/* SPDX-License-Identifier: BSD-2-Clause
 *
 * suite.c: see suite.h.
 */
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 5000

struct in_addr suite_host;

void
say(const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n > sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)n + 1) < 0)
        _exit(2);
}

long
said(const char *what, long r)
{
    if (r == -1)
        say("%s: %s", what, strerrorname_np(errno));
    else
        say("%s: %ld", what, r);
    return r;
}

void
give_up(const char *what)
{
    say("cannot go on: %s: %s", what, strerrorname_np(errno));
    exit(1);
}

struct sockaddr_in
host_addr(in_port_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port, .sin_addr = suite_host};
    return a;
}

in_port_t
port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        give_up("getsockname");
    return a.sin_port;
}

int
bound(int type)
{
    int fd = socket(AF_INET, type, 0);
    struct sockaddr_in a = host_addr(0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0)
        give_up("bind to the host's address");
    return fd;
}

int
listening(void)
{
    int fd = bound(SOCK_STREAM);
    if (listen(fd, 16) != 0)
        give_up("listen");
    return fd;
}

int
connected_to(int listener)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = host_addr(port_of(listener));
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        give_up("connect to the host's address");
    return fd;
}

void
tcp_pair(int pair[2])
{
    int l = listening();
    pair[0] = connected_to(l);
    pair[1] = accept(l, NULL, NULL);
    if (pair[1] < 0)
        give_up("accept");
    close(l);
}

void
udp_pair(int pair[2])
{
    pair[0] = bound(SOCK_DGRAM);
    pair[1] = bound(SOCK_DGRAM);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in a = host_addr(port_of(pair[1 - i]));
        if (connect(pair[i], (struct sockaddr *)&a, sizeof a) != 0)
            give_up("connect of a datagram socket");
    }
}

void
send_text(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        give_up("send");
}

void
say_read(const char *what, int fd)
{
    char text[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 1000) == 0) {
        say("%s: nothing comes", what);
        return;
    }
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (n < 0) {
        said(what, n);
        return;
    }
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    say("%s: %s", what, n == 0 ? "end" : text);
}

void
set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
        give_up("O_NONBLOCK");
}

void
pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0)
        continue;
}

void
await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    errno = ETIMEDOUT;
    if (poll(&p, 1, PATIENCE_MS) != 1)
        give_up("an event that must come");
}

size_t
fill(int fd)
{
    static const char block[65536];
    size_t all = 0;
    /* What is on its way makes room once more: stop when not one byte goes for a while. */
    for (unsigned quiet = 0; quiet < 10;) {
        ssize_t n = send(fd, block, quiet == 0 ? sizeof block : 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            all += (size_t)n;
            quiet = 0;
            continue;
        }
        if (quiet++ > 0)
            pause_ms(20);
    }
    return all;
}

size_t
drain(int fd)
{
    static char block[65536];
    size_t all = 0;
    for (unsigned quiet = 0; quiet < 5;) {
        ssize_t n = recv(fd, block, sizeof block, MSG_DONTWAIT);
        if (n == 0)
            break;
        if (n > 0) {
            all += (size_t)n;
            quiet = 0;
            continue;
        }
        pause_ms(20);
        quiet++;
    }
    return all;
}

double
now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
suite_main(int argc, char **argv, const struct suite_case *cases, size_t n)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < n; i++)
            say("%s", cases[i].name);
        return 0;
    }
    if (argc != 3 || inet_pton(AF_INET, argv[1], &suite_host) != 1) {
        fprintf(stderr, "usage: %s list | %s HOST CASE\n", argv[0], argv[0]);
        return 64;
    }
    alarm(20); /* a case that hangs ends */
    for (size_t i = 0; i < n; i++)
        if (strcmp(argv[2], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    fprintf(stderr, "%s: no case '%s'\n", argv[0], argv[2]);
    return 64;
}
