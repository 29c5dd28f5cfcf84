/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hand_over PORT UID: a parent opens the port, hands it to a worker that attached under another
 * user, lets that serve one request, and takes it back. Says on its output what happened:
 *
 *   parent: listening            the worker may be asked now
 *   worker: uid U serves         it has the listener, and no right but to accept
 *   worker: served               one request was answered
 *   worker: accept: ERRNO        after the parent took it back
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/client/bulkhead.h"

static void
die(const char *what)
{
    fprintf(stderr, "hand_over: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
serve_one(int listener)
{
    static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nworker";
    char request[1024];
    int fd = bh_accept(listener, NULL, NULL);
    if (fd < 0)
        die("accept");
    if (bh_recv(fd, request, sizeof request, 0) <= 0)
        die("recv");
    if (bh_send(fd, answer, sizeof answer - 1, 0) != (ssize_t)sizeof answer - 1)
        die("send");
    bh_close(fd);
}

static int
worker(uid_t uid, int from_parent, int to_parent)
{
    struct bh_token token;
    if (setgid(uid) != 0 || setuid(uid) != 0)
        die("setuid");
    if (read(from_parent, &token, sizeof token) != (ssize_t)sizeof token)
        die("no token");
    int listener = bh_redeem(&token);
    if (listener < 0)
        die("redeem");
    if (bh_listen(listener, 1) == 0 || errno != EACCES)
        die("it may do more than it was handed");
    if (bh_redeem(&token) >= 0 || errno != EINVAL)
        if (errno != ENOENT)
            die("the token is good twice");
    printf("worker: uid %u serves\n", (unsigned)getuid());
    serve_one(listener);
    printf("worker: served\n");
    if (write(to_parent, "x", 1) != 1)
        die("write");
    int r = bh_accept(listener, NULL, NULL); /* sleeps until it is taken back */
    printf("worker: accept: %s\n", r >= 0 ? "a connection" : strerrorname_np(errno));
    return r < 0 && errno == ECONNABORTED ? 0 : 1;
}

int
main(int argc, char **argv)
{
    int down[2], up[2], status;
    char byte;
    if (argc != 3 || pipe(down) != 0 || pipe(up) != 0)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)atoi(argv[1]))};
    pid_t child = fork();
    if (child == 0)
        return worker((uid_t)atoi(argv[2]), down[0], up[1]);
    close(up[1]);
    int listener = bh_socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bh_bind(listener, (struct sockaddr *)&sin, sizeof sin) != 0 ||
        bh_listen(listener, 16) != 0)
        die(bh_strerror_attach());
    struct bh_token token;
    int lent = bh_mint(listener, BH_RIGHT_ACCEPT | BH_RIGHT_DELEGATE);
    if (lent < 0 || bh_delegate(lent, &token) != 0)
        die("delegate");
    printf("parent: listening\n");
    if (write(down[1], &token, sizeof token) != (ssize_t)sizeof token)
        die("write");
    if (read(up[0], &byte, 1) == 1) { /* it has served; let it fall asleep */
        usleep(200000);
        if (bh_revoke(lent) != 0)
            die("revoke");
    }
    if (waitpid(child, &status, 0) != child)
        die("wait");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
