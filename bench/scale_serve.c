/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scale_serve.c: an echo server that costs as little as may be: one buffer, one loop, and
 * nothing kept of a connection but its descriptor.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "bench/loop.h"
#include "bench/scale.h"
#include "bench/tool.h"

#define BACKLOG 4096
#define ECHO_BYTES 65536
#define ACCEPTS 64 /* of one listener in a turn */

/* A descriptor as what comes back from the loop; listeners are told apart by a bit. */
#define LISTENER 1u

static void *
mark(int fd, unsigned bit)
{
    return (void *)((uintptr_t)(unsigned)fd << 1 | bit);
}

static void
accept_all(const struct scale *s, struct loop *l, int listener)
{
    int on = 1;
    for (unsigned i = 0; i < ACCEPTS; i++) {
        int fd = s->via->accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            return;
        if (fd < 0)
            tool_die(EXIT_OTHER, "accept: %s", strerror(errno));
        s->via->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        loop_add(l, fd, POLLIN, mark(fd, 0));
    }
}

static void
echo(const struct scale *s, struct loop *l, int fd)
{
    static uint8_t buf[ECHO_BYTES];
    ssize_t n = s->via->recv(fd, buf, sizeof buf, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && s->via->send(fd, buf, (size_t)n, 0) == n)
        return;
    /* The end, a reset, or a client that sends without reading. */
    loop_remove(l, fd);
    s->via->close(fd);
}

/* The given ports, in this process. */
static _Noreturn void
serve_ports(const struct scale *s, unsigned port, unsigned ports)
{
    struct loop l = {.fd = -1};
    struct loop_ready ready[LOOP_MAX];
    for (unsigned i = 0; i < ports; i++) {
        struct sockaddr_in at = tool_address(s->address, port + i);
        int fd = tool_listen(s->via, SOCK_STREAM | SOCK_NONBLOCK, &at, BACKLOG);
        if (i == 0)
            loop_open(&l, s->via);
        loop_add(&l, fd, POLLIN, mark(fd, LISTENER));
    }
    tool_end_on_signal();
    for (;;) {
        int n = loop_wait(&l, ready, 1000);
        for (int i = 0; i < n; i++) {
            uintptr_t v = (uintptr_t)ready[i].arg;
            if (v & LISTENER)
                accept_all(s, &l, (int)(v >> 1));
            else
                echo(s, &l, (int)(v >> 1));
        }
    }
}

void
scale_serve(const struct scale *s, unsigned room)
{
    int status = 0;
    if (s->sessions <= room)
        serve_ports(s, s->port, s->ports);
    if (s->sessions / s->ports + s->ports > room)
        tool_die(EXIT_USAGE,
                 "a process may hold %u sessions here (ulimit -n), and each of --ports gets "
                 "its own: make these more",
                 room);
    for (unsigned i = 0; i < s->ports; i++) {
        pid_t self = getpid(), pid = fork();
        if (pid < 0)
            tool_die(EXIT_OTHER, "fork: %s", strerror(errno));
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == self)
                serve_ports(s, s->port + i, 1);
            _exit(EXIT_OTHER);
        }
    }
    tool_end_on_signal();
    wait(&status); /* none of them ends while all is well */
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_OTHER);
}
