/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The control protocol between two honest ends. What a hostile end can do is in
 * tests/hostile/test_hostile_ctl.c.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/ctl.h"
#include "tests/hostile/ctl_samples.h"

static int sv[2];

static void
connect_pair(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
}

/* Protects: every type goes through with all its bytes and all its descriptors in order,
 * close-on-exec. */
Test(ctl, every_type_arrives, .init = connect_pair)
{
    int pipes[CTL_FDS_MAX / 2][2], out[CTL_FDS_MAX], in[CTL_FDS_MAX];
    for (unsigned i = 0; i < ARRAY_LEN(pipes); i++)
        cr_assert_eq(pipe(pipes[i]), 0);
    for (unsigned i = 0; i < CTL_FDS_MAX; i++)
        out[i] = pipes[i / 2][i % 2];
    for (unsigned type = 1; type < CTL_TYPES; type++) {
        struct ctl_msg m = ctl_sample(type), got;
        unsigned n = ctl_fds(type);
        cr_assert_eq(ctl_send(sv[0], &m, n > 0 ? out : NULL), 0, "type %u", type);
        cr_assert_eq(ctl_recv(sv[1], &got, in), 1, "type %u", type);
        cr_assert_eq(memcmp(&m, &got, ctl_bytes(type)), 0);
        for (unsigned i = 0; i < CTL_FDS_MAX; i++) {
            struct stat a, b;
            if (i >= n) {
                cr_assert_eq(in[i], -1);
                continue;
            }
            cr_assert_eq(fstat(out[i], &a), 0);
            cr_assert_eq(fstat(in[i], &b), 0);
            cr_assert_eq(a.st_ino, b.st_ino);
            cr_assert(fcntl(in[i], F_GETFD) & FD_CLOEXEC);
            close(in[i]);
        }
    }
}

/* Protects: the three ways in which nothing comes are told apart. */
Test(ctl, tells_nothing_there_from_gone, .init = connect_pair)
{
    struct ctl_msg m;
    int fd[CTL_FDS_MAX];
    cr_assert_eq(ctl_recv(sv[1], &m, fd), -EAGAIN);
    m = ctl_sample(CTL_READY);
    cr_assert_eq(ctl_send(sv[1], &m, NULL), 0);
    close(sv[0]); /* did not read: the kernel calls this a reset */
    cr_assert_eq(ctl_recv(sv[1], &m, fd), 0);
    cr_assert_eq(ctl_recv(sv[1], &m, fd), 0);
    cr_assert_eq(ctl_recv(-1, &m, fd), -EBADF);
}

/* Protects: sending to one who is gone is an error and not a signal. */
Test(ctl, sending_to_the_dead_raises_nothing, .init = connect_pair)
{
    signal(SIGPIPE, SIG_DFL);
    struct ctl_msg m = ctl_sample(CTL_READY);
    close(sv[0]);
    cr_assert_eq(ctl_send(sv[1], &m, NULL), -EPIPE);
}

/* Protects: a receiver that does not read never makes the sender wait, also if the socket is
 * in blocking mode. */
Test(ctl, sending_never_waits, .init = connect_pair, .timeout = 20)
{
    cr_assert_eq(fcntl(sv[1], F_SETFL, 0), 0);
    struct ctl_msg m = ctl_sample(CTL_SESSION_LIST);
    int err = 0;
    for (unsigned i = 0; i < 100000 && err == 0; i++)
        err = ctl_send(sv[1], &m, NULL);
    cr_assert_eq(err, -EAGAIN);
}

/* Protects: nothing is sent that the other end would refuse. */
Test(ctl, refuses_to_send_nonsense, .init = connect_pair)
{
    struct ctl_msg m = ctl_sample(CTL_PEER_UP);
    m.peer = DOM_COUNT;
    cr_assert_eq(ctl_send(sv[1], &m, NULL), -EINVAL);
    m.type = CTL_TYPES;
    cr_assert_eq(ctl_send(sv[1], &m, NULL), -EINVAL);
    m = ctl_sample(CTL_NOTICE);
    memset(m.text.text, 'x', sizeof m.text.text);
    cr_assert_eq(ctl_send(sv[1], &m, NULL), -EINVAL);
    m = ctl_sample(CTL_LINK);
    cr_assert_eq(ctl_send(sv[1], &m, NULL), -EINVAL);
    int fd[CTL_FDS_MAX];
    cr_assert_eq(ctl_recv(sv[0], &m, fd), -EAGAIN, "nothing was sent");
}

/* Protects: what lies behind a text's end (the sender's stack) does not leave the sender,
 * and what comes out can be printed to a terminal. */
Test(ctl, texts_are_clean, .init = connect_pair)
{
    struct ctl_msg m = ctl_sample(CTL_NOTICE), got;
    int fd[CTL_FDS_MAX];
    memset(m.text.text, 'S', sizeof m.text.text - 1);
    strcpy(m.text.text, "a\x1b[2J\nb\x7f\xc2\x9b");
    cr_assert_eq(ctl_send(sv[1], &m, NULL), 0);
    cr_assert_eq(ctl_recv(sv[0], &got, fd), 1);
    cr_assert_str_eq(got.text.text, "a?[2J?b???");
    for (size_t i = strlen(got.text.text); i < sizeof got.text.text; i++)
        cr_assert_eq(got.text.text[i], '\0');
}

/* Protects: a peer of another version can be told so, whatever the size of its messages. */
Test(ctl, knows_another_version, .init = connect_pair)
{
    uint8_t big[sizeof(struct ctl_msg) + 8] = {0};
    struct ctl_msg m = ctl_sample(CTL_HELLO);
    int fd[CTL_FDS_MAX];
    m.magic = CTL_MAGIC;
    m.version = CTL_VERSION + 1;
    memcpy(big, &m, sizeof m);
    static const size_t sizes[] = {8, 100, sizeof big};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        cr_assert_eq(send(sv[1], big, sizes[i], 0), (ssize_t)sizes[i]);
        cr_assert_eq(ctl_recv(sv[0], &m, fd), -EPROTONOSUPPORT);
    }
}

/* Protects: the names that scripts rely on, and that a name cannot leave the directory. */
Test(ctl, names)
{
    char path[108];
    unsetenv("BULKHEAD_RUN_DIR");
    cr_assert(ctl_socket_path(path, sizeof path, "default", "sock"));
    cr_assert_eq(path[0], '/');
    cr_assert_str_eq(strrchr(path, '/'), "/default.sock");
    setenv("BULKHEAD_RUN_DIR", "/x", 1);
    cr_assert(ctl_socket_path(path, sizeof path, "A-z_0.9", "ctl"));
    cr_assert_str_eq(path, "/x/A-z_0.9.ctl");
    cr_assert(ctl_socket_path(path, sizeof path, "0123456789012345678901234567890", "ctl"));
    static const char *const bad[] = {
        "", "a/b", "/", "a b", "01234567890123456789012345678901", "a\n", "\xff", "*", "../x"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_not(ctl_socket_path(path, sizeof path, bad[i], "sock"), "%s", bad[i]);
    cr_assert_not(ctl_socket_path(path, 5, "default", "sock"));
    cr_assert_str_eq(domain_name(DOM_TCP), "tcp");
    for (unsigned i = 0; i < DOM_COUNT + 3; i++)
        cr_assert_not_null(domain_name(i));
}
