/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sock_states.c: calls on sockets that are not, not yet, or no longer connected. Protects: each
 * says what it says on the kernel, and has the effect that it has there.
 */
#include "suite.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
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

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"datagrams-shut", dgram_shut},
    };
    return suite_main(argc, argv, CASES(cases));
}
