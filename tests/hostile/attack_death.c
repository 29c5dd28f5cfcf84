/* SPDX-License-Identifier: BSD-2-Clause
 *
 * attack_death.c: a client that dies at every step. A child attaches and uses the library like
 * any program; we let it make one system call more each time, and kill it there: halfway
 * through attaching, with a request written and no bell rung, with an answer not taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chan.h"
#include "lib/client/bulkhead.h"

#define STEPS_MAX 5000u

static const struct sockaddr_in *
sin_of(uint32_t addr, uint16_t port)
{
    static struct sockaddr_in sin;
    sin = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
    return &sin;
}
#define SIN(addr, port) (const struct sockaddr *)sin_of(addr, port), sizeof(struct sockaddr_in)

/* What a program does with a stack, from the first call to the last. */
static void
life(void)
{
    char buf[3000] = {0};
    int s = bh_socket(AF_INET, SOCK_STREAM, 0), u = bh_socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    if (s < 0 || u < 0)
        _exit(2);
    bh_setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bh_bind(s, SIN(0, 31000));
    bh_listen(s, 8);
    bh_bind(u, SIN(0, 31001));
    bh_sendto(u, buf, 2000, 0, SIN(0x0a4d0002, 31002));
    bh_recv(u, buf, sizeof buf, MSG_DONTWAIT);
    int c = bh_socket(AF_INET, SOCK_STREAM, 0); /* nobody listens there: refused */
    bh_connect(c, SIN(0x0a4d0002, 31003));
    bh_send(c, buf, sizeof buf, MSG_NOSIGNAL);
    bh_close(c);
    int d = bh_socket(AF_INET, SOCK_STREAM, 0); /* the echo that the test starts there */
    if (bh_connect(d, SIN(0x0a4d0002, 31004)) == 0) {
        bh_send(d, buf, sizeof buf, MSG_NOSIGNAL);
        bh_recv(d, buf, sizeof buf, 0);
        bh_shutdown(d, SHUT_WR);
    }
    bh_close(d);
    bh_close(u);
    bh_close(s);
}

/* Kill a life at its n-th stop. True: it was over before. */
static bool
kill_at(unsigned n)
{
    pid_t pid = fork();
    MUST(pid >= 0, "cannot fork");
    if (pid == 0) {
        setenv("BULKHEAD_ARENA", "1M", 1);
        setenv("BULKHEAD_SESSIONS", "64", 1);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
            _exit(3);
        life();
        _exit(0);
    }
    int st;
    for (unsigned i = 0; waitpid(pid, &st, 0) == pid && WIFSTOPPED(st); i++) {
        if (i == n) {
            kill(pid, SIGKILL);
            waitpid(pid, &st, 0);
            return false;
        }
        if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0)
            MUST(errno == ESRCH, "cannot trace");
    }
    MUST(WIFEXITED(st) && WEXITSTATUS(st) == 0, "it ended by itself: status %#x", st);
    return true;
}

/* From the first step to the last. */
static void
die(void)
{
    unsigned n = 0;
    while (!kill_at(n))
        MUST(n++ < STEPS_MAX, "no end after %u steps", n);
    printf("%u steps\n", n);
}

const struct attack attack_death[] = {{"die", die}, {NULL, NULL}};
