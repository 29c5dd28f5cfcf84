/* SPDX-License-Identifier: BSD-2-Clause
 *
 * many_conns HOST PORT N BYTES [ROUNDS]: N connections at once through Bulkhead to an echo
 * server; each sends BYTES of a pattern of its own while it reads them back and compares every
 * byte, then shuts down and waits for the end of the stream; all of it ROUNDS times. Exit 0 if
 * all came to a clean end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/client/bulkhead.h"

struct conn {
    int fd;
    size_t sent, got;
    int shut, ended;
};

static unsigned char
pattern(size_t conn, size_t at)
{
    return (unsigned char)((conn * 131 + at * 7 + (at >> 8) * 13) & 0xff);
}

static int
fail(size_t i, const char *what)
{
    fprintf(stderr, "connection %zu: %s: %s\n", i, what, strerror(errno));
    return -1;
}

static int
push(struct conn *c, size_t i, size_t bytes)
{
    unsigned char buf[4096];
    while (c->sent < bytes) {
        size_t n = bytes - c->sent < sizeof buf ? bytes - c->sent : sizeof buf;
        for (size_t k = 0; k < n; k++)
            buf[k] = pattern(i, c->sent + k);
        ssize_t w = bh_send(c->fd, buf, n, 0);
        if (w < 0)
            return errno == EAGAIN ? 0 : fail(i, "send");
        c->sent += (size_t)w;
    }
    if (!c->shut) {
        c->shut = 1;
        if (bh_shutdown(c->fd, SHUT_WR) != 0)
            return fail(i, "shutdown");
    }
    return 0;
}

static int
pull(struct conn *c, size_t i, size_t bytes)
{
    unsigned char buf[8192];
    for (;;) {
        ssize_t n = bh_recv(c->fd, buf, sizeof buf, 0);
        if (n < 0)
            return errno == EAGAIN ? 0 : fail(i, "recv");
        if (n == 0) {
            c->ended = 1;
            errno = EPROTO;
            return c->got == bytes ? 0 : fail(i, "ended early");
        }
        for (ssize_t k = 0; k < n; k++)
            if (buf[k] != pattern(i, c->got + (size_t)k)) {
                errno = EBADMSG;
                return fail(i, "wrong byte");
            }
        c->got += (size_t)n;
    }
}

static int
open_all(struct conn *c, size_t n, const struct sockaddr_in *to)
{
    for (size_t i = 0; i < n; i++) {
        c[i] = (struct conn){.fd = bh_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
        if (c[i].fd < 0)
            return fail(i, bh_strerror_attach());
        if (bh_connect(c[i].fd, (const struct sockaddr *)to, sizeof *to) != 0 &&
            errno != EINPROGRESS)
            return fail(i, "connect");
    }
    return 0;
}

static int
run(struct conn *c, size_t n, size_t bytes)
{
    struct pollfd *p = calloc(n, sizeof *p);
    size_t ended = 0;
    while (p != NULL && ended < n) {
        for (size_t i = 0; i < n; i++)
            p[i] = (struct pollfd){.fd = c[i].ended ? -1 : c[i].fd,
                                   .events = (short)(POLLIN | (c[i].shut ? 0 : POLLOUT))};
        if (bh_poll(p, n, 20000) <= 0) {
            free(p);
            return fail(ended, "nothing happened for 20 s");
        }
        for (size_t i = 0; i < n; i++) {
            if (p[i].fd < 0 || p[i].revents == 0)
                continue;
            if (((p[i].revents & POLLOUT) && push(&c[i], i, bytes) != 0) ||
                ((p[i].revents & ~POLLOUT) && pull(&c[i], i, bytes) != 0)) {
                free(p);
                return -1;
            }
            if (c[i].ended) {
                ended++;
                bh_close(c[i].fd);
            }
        }
    }
    free(p);
    return ended == n ? 0 : -1;
}

int
main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: %s HOST PORT N BYTES [ROUNDS]\n", argv[0]);
        return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)atoi(argv[2]))};
    size_t n = strtoul(argv[3], NULL, 10), bytes = strtoul(argv[4], NULL, 10);
    size_t rounds = argc == 6 ? strtoul(argv[5], NULL, 10) : 1;
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || n == 0)
        return 2;
    struct conn *c = calloc(n, sizeof *c);
    for (size_t i = 0; i < rounds; i++)
        if (c == NULL || open_all(c, n, &to) != 0 || run(c, n, bytes) != 0)
            return 1;
    printf("%zu times %zu connections, %zu bytes each way, all equal\n", rounds, n, bytes);
    return 0;
}
