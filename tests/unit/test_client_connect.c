/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library against a domain made for the purpose (client_kit.h): connecting, and
 * listening.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>

#include "client_kit.h"
#include "lib/client/private.h"

static struct kit k;

/* ---- connect ---- */

/* The non-blocking sequence: EINPROGRESS, EALREADY, done once with 0, then EISCONN. */
Test(client_connect, connect_nonblocking)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    k.connect = KIT_SILENT;
    int fd = bh_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd f = {.fd = fd, .events = POLLIN | POLLOUT};
    FAILS(kit_try_connect(fd), EINPROGRESS);
    FAILS(kit_try_connect(fd), EALREADY);
    cr_assert_eq(bh_poll(&f, 1, 0), 0);
    FAILS(bh_send(fd, "x", 1, 0), EAGAIN);
    FAILS(bh_recv(fd, &f, 1, 0), EAGAIN);
    kit_state(&k, 0, SLOT_CONNECTED, SLOT_CONNECTING, 0);
    cr_assert_eq(bh_poll(&f, 1, 0), 1);
    cr_assert_eq(f.revents, POLLOUT);
    int err = 1;
    socklen_t len = sizeof err;
    cr_assert_eq(bh_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_assert_eq(err, 0);
    cr_assert_eq(kit_try_connect(fd), 0);
    FAILS(kit_try_connect(fd), EISCONN);
    kit_end(&k);
}

/* A refused connection: told once, by whichever call asks first; and again possible. */
Test(client_connect, connect_refused)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    k.connect = KIT_REFUSES;
    int fd = bh_socket(AF_INET, SOCK_STREAM, 0);
    FAILS(kit_try_connect(fd), ECONNREFUSED);
    int err = 1;
    socklen_t len = sizeof err;
    cr_assert_eq(bh_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_assert_eq(err, 0, "told twice");
    bh_set_nonblocking(fd, 1);
    k.connect = KIT_SILENT;
    FAILS(kit_try_connect(fd), EINPROGRESS);
    kit_state(&k, 0, SLOT_DEAD, SLOT_CONNECTING, ECONNREFUSED);
    struct pollfd f = {.fd = fd, .events = POLLOUT};
    cr_assert_eq(bh_poll(&f, 1, 1000), 1);
    cr_assert(f.revents & POLLERR && f.revents & POLLHUP && f.revents & POLLOUT);
    cr_assert_eq(bh_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_assert_eq(err, ECONNREFUSED);
    FAILS(kit_try_connect(fd), ECONNABORTED);
    k.connect = KIT_ACCEPTS;
    bh_set_nonblocking(fd, 0);
    cr_assert_eq(kit_try_connect(fd), 0);
    cr_assert_eq(bh_send(fd, "x", 1, 0), 1);
    kit_end(&k);
}

/* SO_SNDTIMEO ends a connect with EINPROGRESS at its time, not before. */
Test(client_connect, connect_timeout)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    k.connect = KIT_SILENT;
    int fd = bh_socket(AF_INET, SOCK_STREAM, 0);
    struct timeval tv = {.tv_sec = 3};
    cr_assert_eq(bh_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv), 0);
    ns_t start = k.now;
    FAILS(kit_try_connect(fd), EINPROGRESS);
    cr_assert_eq(k.now - start, 3 * NS_S);
    kit_end(&k);
}

/* A connect without an end in sight fails once nothing can happen any more, instead of
 * spinning: the library asks to sleep for ever and believes the answer. */
Test(client_connect, wait_is_bounded_by_the_world)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    char c;
    FAILS(bh_recv(fd, &c, 1, 0), EAGAIN);
    kit_end(&k);
}

/* ---- listening ---- */

Test(client_connect, accept_order_and_end)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int lfd = bh_socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bh_listen(lfd, 10), 0);
    struct pollfd f = {.fd = lfd, .events = POLLIN};
    bh_set_nonblocking(lfd, 1);
    FAILS(bh_accept(lfd, NULL, NULL), EAGAIN);
    cr_assert_eq(bh_poll(&f, 1, 0), 0);
    uint32_t s[4];
    for (int i = 0; i < 4; i++)
        s[i] = kit_incoming(&k, 0);
    cr_assert_eq(bh_poll(&f, 1, 0), 1);
    for (unsigned i = 0; i < 2; i++) {
        struct sockaddr_in sin;
        socklen_t len = sizeof sin;
        int fd = bh_accept4(lfd, (struct sockaddr *)&sin, &len, i ? SOCK_NONBLOCK : 0);
        cr_assert(fd >= BH_FD_BASE);
        cr_assert_eq(ntohs(sin.sin_port), 40000 + s[i], "accepted out of order");
        cr_assert_eq(bh_get_nonblocking(fd), (int)i);
        char c;
        kit_deliver(&k, s[i], "z", 1);
        cr_assert_eq(bh_recv(fd, &c, 1, 0), 1);
    }
    kit_step(&k);
    cr_assert_eq(k.s[0].accepted, 2);
    FAILS(kit_try_connect(lfd), EISCONN);
    /* Nobody will accept the other two, nor what comes too late. */
    cr_assert_eq(bh_close(lfd), 0);
    cr_assert(k.s[s[2]].used && k.s[s[3]].used);
    uint32_t late = kit_incoming(&k, 0);
    lib_drain(k.lib);
    lib_flush(k.lib);
    kit_step(&k);
    cr_assert(k.s[s[2]].closed && k.s[s[3]].closed && k.s[0].closed && k.s[late].closed);
    cr_assert(!k.s[s[0]].closed && !k.s[s[1]].closed);
    kit_end(&k);
}

Test(client_connect, accept_after_shutdown)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int lfd = bh_socket(AF_INET, SOCK_STREAM, 0), v = 0;
    socklen_t len = sizeof v;
    bh_listen(lfd, 10);
    bh_getsockopt(lfd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len);
    cr_assert_eq(v, 1);
    cr_assert_eq(bh_shutdown(lfd, SHUT_RD), 0);
    FAILS(bh_accept(lfd, NULL, NULL), EINVAL);
    kit_end(&k);
}
