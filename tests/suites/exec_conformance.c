/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exec_conformance.c: sockets that go into another program by exec, and into another process
 * over a Unix socket. Protects: servers that hand their sockets to helpers and to their
 * successors.
 */
#include "suite.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static int p[2], listener;

static void
reaped(pid_t pid)
{
    int status = 0;
    if (waitpid(pid, &status, 0) != pid)
        give_up("waitpid");
    if (status != 0)
        say("the child: status %#x", (unsigned)status);
}

static char self[4096];

static pid_t
spawned(int fd, bool cloexec)
{
    char number[16], host[16];
    snprintf(number, sizeof number, "%d", fd);
    snprintf(host, sizeof host, "%u", suite_host.s_addr);
    char *argv[] = {self, (char *)"inherited", number, host, NULL};
    pid_t pid;
    fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0);
    if (posix_spawn(&pid, self, NULL, NULL, argv, environ) != 0)
        give_up("posix_spawn");
    return pid;
}

static int
inherited(int fd, const char *host) /* in the program that was executed */
{
    suite_host.s_addr = (in_addr_t)strtoul(host, NULL, 10);
    struct sockaddr_in a;
    if (getpeername(fd, (void *)&a, &(socklen_t){sizeof a}) != 0) {
        said("executed: getpeername", -1);
        return 0;
    }
    say("executed: the peer is on HOST %d", a.sin_addr.s_addr == suite_host.s_addr);
    send_text(fd, "from the executed");
    char b[8] = "";
    said("executed: recv", recv(fd, b, sizeof b, 0));
    int own[2];
    tcp_pair(own);
    send_text(own[0], "its own");
    say_read("executed: a pair of its own", own[1]);
    return 0;
}

static void
executed(void)
{
    tcp_pair(p);
    fcntl(p[1], F_SETFD, FD_CLOEXEC);
    pid_t pid = spawned(p[0], false);
    await(p[1], POLLIN);
    say_read("from it", p[1]);
    send_text(p[1], "answer");
    reaped(pid);
    send_text(p[0], "the parent's copy");
    say_read("works still", p[1]);
    reaped(spawned(p[0], true));
    pid = vfork();
    if (pid == 0) {
        execl("/bin/true", "true", NULL);
        _exit(127);
    }
    reaped(pid);
    send_text(p[0], "works");
    say_read("after vfork and exec", p[1]);
    FILE *f = popen("echo piped", "r");
    char b[16] = "";
    say("popen: %s", fgets(b, sizeof b, f) != NULL ? strtok(b, "\n") : "nothing");
    pclose(f);
    close(p[0]);
    say_read("closed", p[1]);
}

static void
over_unix(int way, int *fds, int n, bool take)
{
    union {
        char room[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } c;
    char b = 'x';
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = &c,
                       .msg_controllen = CMSG_SPACE((size_t)n * sizeof *fds)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (!take) {
        *h = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN((size_t)n * sizeof *fds)};
        memcpy(CMSG_DATA(h), fds, (size_t)n * sizeof *fds);
    }
    if ((take ? recvmsg(way, &m, 0) : sendmsg(way, &m, 0)) != 1)
        give_up("a message over a Unix socket");
    if (take)
        memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), (size_t)n * sizeof *fds);
}

static void
passed(void)
{
    int way[2], fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, way) != 0)
        give_up("socketpair");
    pid_t pid = fork(); /* before there is any socket */
    if (pid == 0) {
        over_unix(way[1], fds, 2, true);
        say_read("the other process", fds[0]);
        send_text(fds[0], "from the other process");
        close(fds[0]);
        int s = accept(fds[1], NULL, NULL);
        send_text(s, "accepted elsewhere");
        _exit(0);
    }
    tcp_pair(p);
    listener = listening();
    int c = connected_to(listener);
    send_text(p[1], "passed");
    pause_ms(100);
    over_unix(way[0], (int[]){p[0], listener}, 2, false);
    close(p[0]);
    close(listener);
    await(p[1], POLLIN);
    say_read("this one", p[1]);
    await(c, POLLIN);
    say_read("the client", c);
    reaped(pid);
    say_read("closed there", p[1]);
    tcp_pair(p); /* on its way, and nobody takes it */
    over_unix(way[0], p, 1, false);
    close(p[0]);
    say_read("on its way", p[1]);
    close(way[0]);
    close(way[1]);
    say_read("lost on its way", p[1]);
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {{"executed", executed}, {"passed", passed}};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        give_up("/proc/self/exe");
    if (argc == 4 && strcmp(argv[1], "inherited") == 0)
        return inherited(atoi(argv[2]), argv[3]);
    return suite_main(argc, argv, CASES(cases));
}
