/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fork_conformance.c: sockets that several processes have: by fork, exec, a Unix socket, and
 * after one of them was killed. Protects: forking servers. A connection lives until its last
 * copy is closed, wherever that is; what several may take, one of them gets.
 */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int p[2];

/* A child that does this and ends; its pid. */
static pid_t
child(void (*work)(void))
{
    pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid == 0) {
        alarm(15);
        work();
        _exit(0);
    }
    return pid;
}

static void
reaped(pid_t pid)
{
    int status = 0;
    if (waitpid(pid, &status, 0) != pid)
        give_up("waitpid");
    if (WIFSIGNALED(status))
        say("the child: signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        say("the child: exit status %d", WEXITSTATUS(status));
}

static void
use_inherited(void)
{
    close(p[1]);
    send_text(p[0], "from the child");
}

static void
use_and_close(void)
{
    send_text(p[0], "then the child's");
    close(p[0]);
    close(p[1]);
}

static void
close_both(void)
{
    close(p[0]);
    close(p[1]);
}

static void
shared(void)
{
    tcp_pair(p);
    reaped(child(use_inherited));
    say_read("sent by the child", p[1]);
    send_text(p[0], "from the parent");
    say_read("sent by the parent after it", p[1]);
    reaped(child(close_both));
    send_text(p[0], "still open");
    say_read("after the child closed it", p[1]);
    send_text(p[0], "first the parent's, ");
    reaped(child(use_and_close));
    pause_ms(100);
    say_read("in order", p[1]);
    pid_t pid = child(use_inherited);
    close(p[0]);
    reaped(pid);
    await(p[1], POLLIN);
    say_read("the parent closed first", p[1]);
    await(p[1], POLLIN);
    say_read("the last copy is gone", p[1]);
}

static void
shut_it(void)
{
    shutdown(p[0], SHUT_WR);
}

static void
read_half(void)
{
    char b[5] = "";
    if (read(p[1], b, 4) != 4)
        give_up("read");
    say("the child reads %s", b);
}

static void
one_state(void) /* what one process does, the other sees */
{
    tcp_pair(p);
    send_text(p[0], "12345678");
    await(p[1], POLLIN);
    reaped(child(read_half));
    say_read("the parent reads the rest", p[1]);
    reaped(child(shut_it));
    say_read("shut by the child", p[1]);
    said("send in the parent", send(p[0], "x", 1, MSG_NOSIGNAL));
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    pid_t pid = fork();
    if (pid == 0) {
        say("O_NONBLOCK in the child: %d", (fcntl(p[1], F_GETFL) & O_NONBLOCK) != 0);
        fcntl(p[1], F_SETFL, 0);
        int on = 1;
        setsockopt(p[1], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        _exit(0);
    }
    reaped(pid);
    int on = 0;
    getsockopt(p[1], SOL_SOCKET, SO_KEEPALIVE, &on, &(socklen_t){sizeof on});
    say("in the parent: O_NONBLOCK %d, SO_KEEPALIVE %d",
        (fcntl(p[1], F_GETFL) & O_NONBLOCK) != 0, on);
}

#define CLIENTS 12

static int listener, tell[2];

static void
accept_some(void)
{
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        send_text(fd, "served");
        if (write(tell[1], "x", 1) != 1)
            give_up("write");
        pause_ms(20); /* so that the others come to turn */
    }
}

static void
acceptors(void)
{
    pid_t pids[3];
    char b[64];
    listener = listening();
    if (pipe(tell) != 0)
        give_up("pipe");
    for (int i = 0; i < 3; i++)
        pids[i] = child(accept_some);
    int served = 0;
    for (int i = 0; i < CLIENTS; i++) {
        int c = connected_to(listener);
        await(c, POLLIN);
        served += recv(c, b, sizeof b, MSG_WAITALL) == 6;
        close(c);
    }
    say("clients served: %d of %d", served, CLIENTS);
    kill(pids[0], SIGKILL);
    reaped(pids[0]);
    for (int i = 0; i < CLIENTS; i++) {
        int c = connected_to(listener);
        await(c, POLLIN);
        served += recv(c, b, sizeof b, MSG_WAITALL) == 6;
        close(c);
    }
    say("after one acceptor was killed: %d of %d", served, 2 * CLIENTS);
    say("acceptors say: %zd", read(tell[0], b, sizeof b));
    kill(pids[1], SIGKILL);
    kill(pids[2], SIGKILL);
    reaped(pids[1]);
    reaped(pids[2]);
    int c = connected_to(listener);
    int s = accept(listener, NULL, NULL);
    send_text(c, "to the parent");
    say_read("the parent accepts", s);
}

static void
forks_for_each(void) /* as inetd: the child has the connection, the parent closes its copy */
{
    listener = listening();
    for (int i = 0; i < 4; i++) {
        int c = connected_to(listener), s = accept(listener, NULL, NULL);
        pid_t pid = fork();
        if (pid == 0) {
            char b[32] = "";
            close(listener);
            close(c);
            ssize_t n = recv(s, b, sizeof b, 0);
            send(s, b, (size_t)n, 0);
            _exit(0);
        }
        close(s);
        send_text(c, "echo this");
        await(c, POLLIN);
        say_read("client", c);
        await(c, POLLIN);
        say_read("the child has ended", c);
        reaped(pid);
    }
}

static void
killed(void)
{
    tcp_pair(p);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    close(p[0]);
    pause_ms(50);
    say_read("the child holds it", p[1]);
    kill(pid, SIGKILL);
    reaped(pid);
    await(p[1], POLLIN);
    say_read("the child was killed", p[1]);
    tcp_pair(p);
    pid = fork();
    if (pid == 0) {
        char b[16];
        recv(p[0], b, sizeof b, 0); /* killed while it waits */
        _exit(0);
    }
    pause_ms(100);
    kill(pid, SIGKILL);
    reaped(pid);
    send_text(p[1], "not lost");
    say_read("after a reader was killed", p[0]);
    pid = fork();
    if (pid == 0)
        for (char b[4096] = "";;)
            send(p[0], b, sizeof b, 0); /* killed while it sends */
    pause_ms(100);
    kill(pid, SIGKILL);
    reaped(pid);
    drain(p[1]);
    send_text(p[0], "the connection works");
    say_read("after a writer was killed", p[1]);
}

static void
epoll_in_both(void)
{
    struct epoll_event v = {.events = EPOLLIN};
    tcp_pair(p);
    int set = epoll_create1(0);
    epoll_ctl(set, EPOLL_CTL_ADD, p[0], &v);
    pid_t pid = fork();
    if (pid == 0) {
        said("the child's epoll_wait", epoll_wait(set, &v, 1, 2000));
        say_read("the child", p[0]);
        _exit(0);
    }
    pause_ms(100);
    send_text(p[1], "x");
    reaped(pid);
    said("the parent's epoll_wait", epoll_wait(set, &v, 1, 0));
    send_text(p[1], "y");
    said("with a byte", epoll_wait(set, &v, 1, 1000));
    close(p[0]);
    say_read("closed", p[1]);
}

/* Each process makes its first socket, all in the same moment. */
static void
begin_at_once(void)
{
    int begin[2], failed = 0, status;
    char c;
    if (pipe(begin) != 0)
        give_up("pipe");
    setenv("BULKHEAD_ARENA", "1M", 1); /* all is touched when it is made */
    for (int i = 0; i < 32; i++)
        if (fork() == 0) {
            close(begin[1]);
            (void)!read(begin[0], &c, 1);
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            _exit(fd >= 0 && listen(fd, 1) == 0 ? 0 : 1);
        }
    close(begin[1]);
    while (wait(&status) > 0)
        failed += status != 0;
    say("of 32 children failed %d", failed);
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"shared", shared},
        {"one-state", one_state},
        {"acceptors", acceptors},
        {"forks-for-each", forks_for_each},
        {"killed", killed},
        {"epoll-in-both", epoll_in_both},
        {"begin-at-once", begin_at_once},
    };
    return suite_main(argc, argv, CASES(cases));
}
