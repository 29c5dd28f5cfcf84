/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library against a domain made for the purpose (client_kit.h): what programs
 * see of streams. Ring indices start next to where 32 bits wrap.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"
#include "lib/client/private.h"

static struct kit k;

static uint8_t
pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + 3);
}

static void
fill(uint8_t *p, uint64_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(at + i);
}

static size_t
first_wrong(const uint8_t *p, uint64_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != pattern(at + i))
            return i;
    return n;
}

/* ---- the life of a socket ---- */

/* Wrong arguments get the errno that the kernel gives. */
Test(client, socket_arguments)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    FAILS(bh_socket(AF_INET6, SOCK_STREAM, 0), EAFNOSUPPORT);
    FAILS(bh_socket(AF_INET, SOCK_RAW, 0), ESOCKTNOSUPPORT);
    FAILS(bh_socket(AF_INET, 77, 0), EINVAL);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    FAILS(bh_recv(BH_FD_BASE, NULL, 0, 0), EBADF);
    FAILS(bh_recv(BH_FD_BASE + 12345, NULL, 0, 0), EBADF);
    FAILS(bh_close(3), EBADF);
    FAILS(bh_close(-1), EBADF);
    int fd = bh_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    struct sockaddr_in sin = kit_sin(80);
    FAILS(bh_connect(fd, (struct sockaddr *)&sin, 4), EINVAL);
    sin.sin_family = AF_INET6;
    FAILS(bh_connect(fd, (struct sockaddr *)&sin, sizeof sin), EAFNOSUPPORT);
    FAILS(bh_bind(fd, NULL, 0), EFAULT);
    FAILS(bh_shutdown(fd, 9), EINVAL);
    FAILS(bh_accept(fd, NULL, NULL), EINVAL);
    kit_end(&k);
}

/* Slots and pages come back: many more sockets than slots, one after another, each of
 * which moves data. The kit aborts if a slot is not given back as the layout wants it. */
Test(client, slots_are_given_back)
{
    struct arena_geometry g = {
        .n_slots = 4, .n_tx_pages = 8, .n_rx_pages = 8, .n_req = 8, .n_evt = 8};
    char buf[100];
    kit_init(&k, IPPROTO_TCP, &g);
    for (int i = 0; i < 200; i++) {
        int fd = kit_connected(0);
        cr_assert_eq(bh_send(fd, "hello", 5, 0), 5);
        cr_assert_eq(bh_recv(fd, buf, sizeof buf, 0), 5);
        cr_assert_eq(bh_close(fd), 0);
        FAILS(bh_close(fd), EBADF);
    }
    kit_step(&k);
    lib_drain(k.lib);
    lib_flush(k.lib);
    kit_step(&k);
    cr_assert_eq(k.lib->att[0]->n_socks, 0);
    cr_assert_eq(k.lib->att[0]->pages.n_free, g.n_tx_pages, "transmit pages leak");
    cr_assert_eq(k.pages.n_free, g.n_rx_pages, "receive pages leak");
    cr_assert_eq(k.seen[REQ_RELEASED], 200);
    kit_end(&k);
}

/* When all slots are in use the next socket fails and works again after a close. */
Test(client, slots_run_out)
{
    struct arena_geometry g = {
        .n_slots = 2, .n_tx_pages = 8, .n_rx_pages = 8, .n_req = 8, .n_evt = 8};
    kit_init(&k, IPPROTO_TCP, &g);
    int a = kit_connected(0), b = kit_connected(0);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), EMFILE);
    cr_assert_eq(bh_close(a), 0);
    kit_step(&k);
    int c = kit_connected(0);
    cr_assert_neq(b, c);
    kit_end(&k);
}

/* A megabyte there and back in odd pieces, through FIFOs that wrap their directories
 * and a pool smaller than the stream: no byte is lost, repeated or changed. */
Test(client, stream_integrity)
{
    struct arena_geometry g = {
        .n_slots = 4, .n_tx_pages = 16, .n_rx_pages = 16, .n_req = 8, .n_evt = 8};
    enum { TOTAL = 3 << 20 };
    static uint8_t out[20000], in[20000];
    uint64_t sent = 0, got = 0;
    uint32_t x = 12345;
    kit_init(&k, IPPROTO_TCP, &g);
    int fd = kit_connected(0);
    while (got < TOTAL) {
        x = x * 1664525u + 1013904223u;
        size_t n = 1 + (x >> 8) % sizeof out;
        n = n < TOTAL - sent ? n : TOTAL - sent;
        fill(out, sent, n);
        ssize_t r = n > 0 ? bh_send(fd, out, n, MSG_DONTWAIT) : 0;
        cr_assert(r >= 0 || errno == EAGAIN);
        sent += r > 0 ? (size_t)r : 0;
        x = x * 1664525u + 1013904223u;
        size_t want = 1 + (x >> 8) % sizeof in;
        if (got == sent)
            continue;
        r = bh_recv(fd, in, want, 0);
        cr_assert(r > 0, "recv: %zd %s after %lu", r, strerror(errno), got);
        cr_assert_eq(first_wrong(in, got, (size_t)r), (size_t)r, "wrong byte near %lu", got);
        got += (size_t)r;
    }
    cr_assert_eq(sent, TOTAL);
    bh_close(fd);
    kit_end(&k);
}

/* More than the domain may keep for us: it goes on as we read, which it must be told. */
Test(client, reading_opens_the_window)
{
    struct arena_geometry g = {
        .n_slots = 2, .n_tx_pages = 128, .n_rx_pages = 16, .n_req = 8, .n_evt = 8};
    static uint8_t data[200000], in[10000];
    kit_init(&k, IPPROTO_TCP, &g);
    k.sndbuf = 1u << 18;
    fill(data, 0, sizeof data);
    int fd = kit_connected(0);
    cr_assert_eq(bh_send(fd, data, sizeof data, 0), (ssize_t)sizeof data);
    for (size_t got = 0; got < sizeof data;) {
        ssize_t n = bh_recv(fd, in, sizeof in, 0);
        cr_assert(n > 0, "stuck at %zu: %s", got, strerror(errno));
        cr_assert_eq(first_wrong(in, got, (size_t)n), (size_t)n);
        got += (size_t)n;
    }
    kit_end(&k);
}

/* Vectors are gathered and scattered in order, over empty pieces too. */
Test(client, vectors)
{
    char a[3] = "abc", b[5] = "defgh", x[2], y[9];
    struct iovec out[] = {{a, 3}, {NULL, 0}, {b, 5}};
    struct iovec in[] = {{x, 2}, {NULL, 0}, {y, 9}};
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    cr_assert_eq(bh_writev(fd, out, 3), 8);
    cr_assert_eq(bh_readv(fd, in, 3), 8);
    cr_assert(memcmp(x, "ab", 2) == 0 && memcmp(y, "cdefgh", 6) == 0);
    FAILS(bh_writev(fd, out, -1), EINVAL);
    struct iovec huge[] = {{a, SIZE_MAX / 2}, {b, SIZE_MAX / 2}};
    FAILS(bh_writev(fd, huge, 2), EINVAL);
    kit_end(&k);
}

/* ---- connect ---- */

/* The non-blocking sequence: EINPROGRESS, EALREADY, done once with 0, then EISCONN. */
Test(client, connect_nonblocking)
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
Test(client, connect_refused)
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
Test(client, connect_timeout)
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
Test(client, wait_is_bounded_by_the_world)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    char c;
    FAILS(bh_recv(fd, &c, 1, 0), EAGAIN);
    kit_end(&k);
}

/* ---- errors and the end of the stream ---- */

/* Data first, then the error, once, then end of stream; the sender gets EPIPE. */
Test(client, reset_after_data)
{
    char buf[10];
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    kit_deliver(&k, 0, "tail", 4);
    kit_state(&k, 0, SLOT_DEAD, SLOT_CONNECTED, ECONNRESET);
    cr_assert_eq(bh_recv(fd, buf, 2, 0), 2);
    cr_assert_eq(bh_recv(fd, buf + 2, 8, 0), 2);
    cr_assert_eq(memcmp(buf, "tail", 4), 0);
    FAILS(bh_recv(fd, buf, 8, 0), ECONNRESET);
    cr_assert_eq(bh_recv(fd, buf, 8, 0), 0);
    FAILS(bh_send(fd, "x", 1, 0), EPIPE);
    kit_step(&k);
    cr_assert_eq(k.seen[REQ_GETOPT], 1, "the domain must learn that the error was taken");
    /* A new error counts, though its number may be the same. */
    kit_state(&k, 0, 0, 0, ECONNRESET);
    FAILS(bh_send(fd, "x", 1, 0), ECONNRESET);
    FAILS(bh_send(fd, "x", 1, 0), EPIPE);
    kit_end(&k);
}

/* End of stream comes after the last byte, and each side ends on its own. */
Test(client, half_close)
{
    char buf[10];
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    kit_deliver(&k, 0, "bye", 3);
    kit_state(&k, 0, SLOT_EOF, 0, 0);
    cr_assert_eq(bh_recv(fd, buf, 10, MSG_WAITALL), 3);
    cr_assert_eq(bh_recv(fd, buf, 10, 0), 0);
    cr_assert_eq(bh_send(fd, "x", 1, 0), 1);
    cr_assert_eq(bh_shutdown(fd, SHUT_WR), 0);
    FAILS(bh_send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
    struct pollfd f = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    cr_assert_eq(bh_poll(&f, 1, 0), 1);
    cr_assert_eq(f.revents, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
    kit_end(&k);
}

/* Calls on a socket that is not connected, and what poll says of it. */
Test(client, not_connected)
{
    char c;
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = bh_socket(AF_INET, SOCK_STREAM, 0);
    struct pollfd f = {.fd = fd, .events = POLLIN | POLLOUT};
    FAILS(bh_recv(fd, &c, 1, 0), ENOTCONN);
    FAILS(bh_send(fd, &c, 1, 0), EPIPE);
    cr_assert_eq(bh_poll(&f, 1, -1), 1);
    cr_assert_eq(f.revents, POLLOUT | POLLHUP);
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    FAILS(bh_getpeername(fd, (struct sockaddr *)&sin, &len), ENOTCONN);
    cr_assert_eq(bh_getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    cr_assert_eq(len, sizeof sin);
    cr_assert_eq(ntohl(sin.sin_addr.s_addr), KIT_OWN);
    kit_end(&k);
}

/* ---- flags ---- */

Test(client, receive_flags)
{
    char buf[16];
    kit_init(&k, IPPROTO_TCP, NULL);
    k.mode = KIT_HOLD;
    int fd = kit_connected(0), n;
    FAILS(bh_recv(fd, buf, 1, MSG_DONTWAIT), EAGAIN);
    kit_deliver(&k, 0, "abcdef", 6);
    cr_assert_eq(bh_fionread(fd, &n), 0);
    cr_assert_eq(n, 6);
    cr_assert_eq(bh_recv(fd, buf, 3, MSG_PEEK), 3);
    cr_assert_eq(bh_recv(fd, buf, 10, MSG_PEEK), 6);
    cr_assert_eq(memcmp(buf, "abcdef", 6), 0);
    cr_assert_eq(bh_recv(fd, NULL, 2, MSG_TRUNC), 2);
    cr_assert_eq(bh_recv(fd, buf, 2, 0), 2);
    cr_assert_eq(memcmp(buf, "cd", 2), 0);
    /* Wait for all, get what there is when the time is over. */
    struct timeval tv = {.tv_usec = 250000};
    bh_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    ns_t start = k.now;
    cr_assert_eq(bh_recv(fd, buf, 10, MSG_WAITALL), 2);
    cr_assert_eq(k.now - start, 250 * NS_MS);
    FAILS(bh_recv(fd, buf, 10, 0), EAGAIN);
    FAILS(bh_recv(fd, buf, 10, MSG_OOB), EINVAL);
    cr_assert_eq(bh_recv(fd, buf, 0, 0), 0);
    kit_end(&k);
}

/* SO_SNDTIMEO: a send that fills the FIFO says how far it came. */
Test(client, send_timeout)
{
    static char data[100000];
    kit_init(&k, IPPROTO_TCP, NULL);
    k.mode = KIT_HOLD;
    int fd = kit_connected(0);
    struct timeval tv = {.tv_sec = 1};
    bh_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    cr_assert_eq(bh_send(fd, data, sizeof data, 0), k.sndbuf);
    FAILS(bh_send(fd, data, 1, 0), EAGAIN);
    FAILS(bh_send(fd, data, 1, MSG_DONTWAIT), EAGAIN);
    struct pollfd f = {.fd = fd, .events = POLLOUT};
    cr_assert_eq(bh_poll(&f, 1, 10), 0);
    kit_end(&k);
}

/* ---- listening ---- */

Test(client, accept_order_and_end)
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

Test(client, accept_after_shutdown)
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

/* ---- rings under pressure ---- */

/* Far more to tell than the request ring holds: everything arrives once there is room. */
Test(client, full_request_ring)
{
    struct arena_geometry g = {
        .n_slots = 32, .n_tx_pages = 64, .n_rx_pages = 64, .n_req = 4, .n_evt = 64};
    int fd[30];
    char c;
    kit_init(&k, IPPROTO_TCP, &g);
    for (int i = 0; i < 30; i++)
        fd[i] = kit_connected(0);
    k.deaf = true;
    for (int i = 0; i < 30; i++)
        cr_assert_eq(bh_send(fd[i], "q", 1, 0), 1);
    for (int i = 20; i < 30; i++)
        bh_close(fd[i]);
    cr_assert(!list_empty(&k.lib->att[0]->owing));
    k.deaf = false;
    for (int i = 0; i < 20; i++)
        cr_assert_eq(bh_recv(fd[i], &c, 1, 0), 1, "socket %d: %s", i, strerror(errno));
    for (int i = 0; i < 20; i++)
        bh_close(fd[i]);
    for (int i = 0; i < 20; i++) {
        struct waiter w = {.any = true};
        lib_wait(k.lib, &w, k.now + NS_MS, NULL, 0);
    }
    cr_assert_eq(k.lib->att[0]->n_socks, 0);
    cr_assert_eq(k.seen[REQ_CLOSE], 30);
    cr_assert_eq(k.seen[REQ_RELEASED], 30);
    kit_end(&k);
}

/* REQ_SEND is not repeated while the last one has not been taken, and is once it was. */
Test(client, send_is_told_once)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    k.deaf = true;
    for (int i = 0; i < 10; i++)
        bh_send(fd, "q", 1, 0);
    k.deaf = false;
    kit_step(&k);
    cr_assert_eq(k.seen[REQ_SEND], 1);
    for (int i = 0; i < 5; i++) {
        bh_send(fd, "q", 1, 0);
        kit_step(&k);
    }
    cr_assert_eq(k.seen[REQ_SEND], 6);
    kit_end(&k);
}

/* A domain that crashed between taking a request and answering it: asked again. */
Test(client, lost_reply)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    k.drop_replies = 1;
    int fd = bh_socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(fd >= BH_FD_BASE);
    k.drop_replies = 1;
    cr_assert_eq(kit_try_connect(fd), 0);
    cr_assert_leq(k.now, 4 * NS_S);
    k.drop_replies = 1000;
    ns_t start = k.now;
    FAILS(bh_listen(fd, 1), ETIMEDOUT);
    cr_assert_eq(k.now - start, REPLY_TIMEOUT);
    kit_end(&k);
}

/* An event that found no room in the ring: a rescan finds what it would have told. */
Test(client, lost_events)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(SOCK_NONBLOCK);
    int efd = bh_event_fd();
    struct bh_event ev[4];
    cr_assert(efd >= 0);
    bh_watch(fd, POLLIN, &k);
    cr_assert_eq(bh_ready_events(ev, 4), 0);
    fifo_rx_prepare(&k.v, 0, &k.pages, 0, 3);
    atomic_store(&k.v.d_slot[0].rx_tail, 3);
    cr_assert_eq(bh_ready_events(ev, 4), 0);
    atomic_fetch_add(&k.v.d_head->lost, 1);
    cr_assert_eq(bh_ready_events(ev, 4), 1);
    cr_assert_eq(ev[0].arg, &k);
    kit_end(&k);
}

/* ---- transmit pages ---- */

/* A connection whose peer acknowledges nothing cannot take all pages; the others go on. */
Test(client, pages_are_shared)
{
    struct arena_geometry g = {
        .n_slots = 4, .n_tx_pages = 8, .n_rx_pages = 64, .n_req = 8, .n_evt = 8};
    static char data[65536], back[65536];
    kit_init(&k, IPPROTO_TCP, &g);
    k.mode = KIT_HOLD;
    k.sndbuf = 1u << 20;
    int stuck = kit_connected(SOCK_NONBLOCK), other = kit_connected(SOCK_NONBLOCK);
    ssize_t n, sum = 0;
    while ((n = bh_send(stuck, data, sizeof data, 0)) > 0)
        sum += n;
    cr_assert_eq(errno, EAGAIN);
    cr_assert_leq(sum, 5 * 4096, "one socket holds %zd bytes", sum);
    cr_assert_geq(sum, 3 * 4096);
    struct pollfd f = {.fd = stuck, .events = POLLOUT};
    cr_assert_eq(bh_poll(&f, 1, 5), 0);
    cr_assert_eq(bh_send(other, data, 5000, 0), 5000);
    /* It is acknowledged: everything is free again, and both go on. */
    k.mode = KIT_ECHO;
    k.s[0].due = k.s[1].due = true;
    bh_set_nonblocking(stuck, 0);
    bh_set_nonblocking(other, 0);
    cr_assert_eq(bh_recv(stuck, back, (size_t)sum, MSG_WAITALL), sum);
    cr_assert_eq(bh_send(stuck, data, 1, 0), 1);
    cr_assert_eq(bh_send(other, data, 1, 0), 1);
    kit_end(&k);
}

/* A sender that found no page waits and goes on by itself when another's are acknowledged. */
Test(client, starved_sender)
{
    struct arena_geometry g = {
        .n_slots = 8, .n_tx_pages = 4, .n_rx_pages = 64, .n_req = 16, .n_evt = 16};
    static char data[65536];
    kit_init(&k, IPPROTO_TCP, &g);
    k.mode = KIT_HOLD;
    k.sndbuf = k.rcvbuf = 1u << 19;
    int a = kit_connected(SOCK_NONBLOCK), b = kit_connected(SOCK_NONBLOCK),
        c = kit_connected(0);
    cr_assert(bh_send(a, data, 8192, 0) > 0);
    cr_assert(bh_send(b, data, 8192, 0) > 0);
    cr_assert_eq(k.lib->att[0]->pages.n_free, 0);
    struct bh_event ev[4];
    bh_event_fd();
    bh_watch(c, POLLOUT, NULL);
    cr_assert_eq(bh_ready_events(ev, 4), 0);
    k.mode = KIT_ECHO;
    k.s[0].due = k.s[1].due = true;
    cr_assert_eq(bh_send(c, data, 20000, 0), 20000);
    cr_assert_eq(bh_ready_events(ev, 4), 1);
    kit_end(&k);
}

/* An idle connection holds no transmit page once another needs it. */
Test(client, idle_holds_nothing)
{
    struct arena_geometry g = {
        .n_slots = 8, .n_tx_pages = 4, .n_rx_pages = 8, .n_req = 16, .n_evt = 16};
    char c[10];
    int fd[8];
    kit_init(&k, IPPROTO_TCP, &g);
    for (int i = 0; i < 8; i++) {
        fd[i] = kit_connected(0);
        for (int r = 0; r < 3; r++) {
            cr_assert_eq(bh_send(fd[i], "12345", 5, 0), 5, "socket %d", i);
            cr_assert_eq(bh_recv(fd[i], c, 10, 0), 5);
        }
    }
    kit_end(&k);
}

/* ---- in place ---- */

Test(client, zero_copy)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    uint64_t sent = 0, got = 0;
    while (got < 500000) {
        struct iovec iov[8];
        int n = 8;
        ssize_t room = bh_reserve(fd, 9000, iov, &n);
        cr_assert(room > 0 && room <= 9000);
        ssize_t sum = 0;
        for (int i = 0; i < n; i++) {
            fill(iov[i].iov_base, sent + (size_t)sum, iov[i].iov_len);
            sum += (ssize_t)iov[i].iov_len;
        }
        cr_assert_eq(sum, room);
        size_t part = (size_t)room - (size_t)(room > 100 ? 37 : 0);
        cr_assert_eq(bh_commit(fd, part), 0);
        FAILS(bh_commit(fd, 1), EINVAL);
        sent += part;
        n = 8;
        ssize_t have = bh_peek(fd, iov, &n);
        cr_assert(have > 0);
        size_t at = 0;
        for (int i = 0; i < n; i++) {
            cr_assert_eq(first_wrong(iov[i].iov_base, got + at, iov[i].iov_len),
                         iov[i].iov_len);
            at += iov[i].iov_len;
        }
        cr_assert_eq(at, (size_t)have);
        FAILS(bh_consume(fd, at + 100000), EINVAL);
        cr_assert_eq(bh_consume(fd, at), 0);
        got += at;
    }
    struct iovec iov[2];
    int n = 2;
    kit_state(&k, 0, SLOT_EOF | SLOT_NOSEND, 0, 0);
    FAILS(bh_reserve(fd, 10, iov, &n), EPIPE);
    while (got < sent) {
        n = 2;
        ssize_t r = bh_peek(fd, iov, &n);
        cr_assert(r > 0);
        bh_consume(fd, (size_t)r);
        got += (size_t)r;
    }
    n = 2;
    cr_assert_eq(bh_peek(fd, iov, &n), 0);
    kit_end(&k);
}

/* ---- a domain that writes nonsense ---- */

/* Cursors and page numbers that cannot be do not lead out of the arena. */
Test(client, nonsense_in_the_slot)
{
    char buf[5000];
    kit_init(&k, IPPROTO_TCP, NULL);
    k.mode = KIT_HOLD;
    int fd = kit_connected(SOCK_NONBLOCK);
    struct slot_domain *d = &k.v.d_slot[0];
    bh_send(fd, "abc", 3, 0);
    atomic_store(&d->rx_tail, UINT64_MAX);
    FAILS(bh_recv(fd, buf, sizeof buf, 0), EAGAIN);
    atomic_store(&d->rx_tail, 1ull << 40);
    FAILS(bh_recv(fd, buf, sizeof buf, 0), EAGAIN);
    atomic_store(&d->rx_tail, 5000);
    atomic_store(&d->rx_dir.page[0], 1);
    atomic_store(&d->rx_dir.page[1], 0xfffffff0u);
    FAILS(bh_recv(fd, buf, sizeof buf, 0), EIO);
    struct iovec iov[4];
    int n = 4;
    FAILS(bh_peek(fd, iov, &n), EIO);
    atomic_store(&d->tx_head, 1ull << 50); /* more than was ever written */
    atomic_store(&d->sndbuf, UINT32_MAX);
    ssize_t r = bh_send(fd, buf, sizeof buf, 0);
    cr_assert(r == 5000 || (r == -1 && errno == EAGAIN));
    kit_end(&k);
}

/* Events about slots that do not exist, or are not ours, are passed over. */
Test(client, nonsense_in_the_ring)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int lfd = bh_socket(AF_INET, SOCK_STREAM, 0);
    bh_listen(lfd, 5);
    const struct sess_evt evil[] = {
        {.kind = 0},
        {.kind = 200, .slot = 1},
        {.kind = EVT_READY, .slot = 31},
        {.kind = EVT_READY, .slot = UINT32_MAX},
        {.kind = EVT_FREED, .slot = 77777},
        {.kind = EVT_FREED, .slot = 9},
        {.kind = EVT_REPLY, .cookie = 0xdeadbeef},
        {.kind = EVT_ACCEPT, .slot = 0, .value = UINT64_MAX},
        {.kind = EVT_ACCEPT, .slot = 0, .value = 0},          /* a slot in use */
        {.kind = EVT_ACCEPT, .slot = UINT32_MAX, .value = 7}, /* no such listener */
    };
    for (unsigned i = 0; i < sizeof evil / sizeof *evil; i++) {
        k.v.evt[k.evt.my_tail++ & (k.g.n_evt - 1)] = evil[i];
        ring_submit(&k.evt);
    }
    bh_set_nonblocking(lfd, 1);
    FAILS(bh_accept(lfd, NULL, NULL), EAGAIN);
    /* An index that cannot be: no more is believed. */
    atomic_fetch_add(&k.v.d_head->tail, 1000);
    FAILS(bh_accept(lfd, NULL, NULL), ENETDOWN);
    cr_assert_eq(bh_close(lfd), 0);
    kit_end(&k);
}

/* The domain frees a session that nobody closed: the program sees its end. */
Test(client, freed_unasked)
{
    char c;
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    k.v.evt[k.evt.my_tail++ & (k.g.n_evt - 1)] = (struct sess_evt){.kind = EVT_FREED};
    ring_submit(&k.evt);
    cr_assert_eq(bh_recv(fd, &c, 1, 0), 0);
    FAILS(bh_send(fd, &c, 1, 0), EPIPE);
    FAILS(bh_bind(fd, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET},
                  sizeof(struct sockaddr_in)),
          ENOTCONN);
    cr_assert_eq(bh_close(fd), 0);
    cr_assert_eq(k.lib->att[0]->n_socks, 0);
    kit_end(&k);
}

/* ---- options ---- */

Test(client, options)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0), v = 0;
    socklen_t len = sizeof v;
    cr_assert_eq(bh_getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len), 0);
    cr_assert_eq(v, SOCK_STREAM);
    cr_assert_eq(bh_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len), 0);
    cr_assert_eq(v, IPPROTO_TCP);
    v = 1;
    cr_assert_eq(bh_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v), 0);
    cr_assert_eq(k.sockopt_value, 1);
    FAILS(bh_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, 2), EINVAL);
    FAILS(bh_setsockopt(fd, SOL_SOCKET, SO_TYPE, &v, sizeof v), ENOPROTOOPT);
    struct linger lg = {.l_onoff = 1, .l_linger = 0}, back;
    cr_assert_eq(bh_setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg), 0);
    cr_assert(k.s[0].linger_zero);
    len = sizeof back;
    cr_assert_eq(bh_getsockopt(fd, SOL_SOCKET, SO_LINGER, &back, &len), 0);
    cr_assert(back.l_onoff == 1 && back.l_linger == 0);
    struct timeval tv = {.tv_sec = 1, .tv_usec = 2000000}, got;
    FAILS(bh_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), EDOM);
    tv = (struct timeval){.tv_sec = 5, .tv_usec = 250000};
    cr_assert_eq(bh_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    len = sizeof got;
    cr_assert_eq(bh_getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
    cr_assert(got.tv_sec == 5 && got.tv_usec == 250000);
    kit_end(&k);
}

/* A name travels as a number; one that does not fit is the name of nothing. */
Test(client, congestion_name)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    char name[20] = "----";
    socklen_t len = sizeof name;
    cr_assert_eq(bh_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "vegasXXX", 5), 0);
    cr_assert_eq(memcmp(&k.sockopt_value, "vegas\0\0", 8), 0);
    cr_assert_eq(bh_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_eq(len, 16);
    cr_assert_str_eq(name, "vegas");
    len = 3;
    cr_assert_eq(bh_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    cr_assert_eq(len, 3);
    FAILS(bh_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "highspeed", 9), ENOENT);
    FAILS(bh_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, 0), EINVAL);
    kit_end(&k);
}

/* TCP_INFO is copied whole or not at all, and as much as the program has room for. */
Test(client, answers)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    uint8_t info[600];
    socklen_t len = sizeof info;
    struct answer *a = &k.v.answer[21 % ARENA_ANSWERS];
    k.sockopt_value = 21;
    atomic_store(&a->len, 20);
    for (unsigned i = 0; i < 3; i++)
        atomic_store(&a->word[i], 0x0101010101010101ull * (i + 1));
    FAILS(bh_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), EIO); /* overwritten since */
    atomic_store(&a->number, 21);
    cr_assert_eq(bh_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    cr_assert_eq(len, 20);
    cr_assert(info[7] == 1 && info[8] == 2 && info[19] == 3);
    len = 9;
    memset(info, 7, sizeof info);
    cr_assert_eq(bh_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    cr_assert_eq(len, 9);
    cr_assert(info[8] == 2 && info[9] == 7);
    atomic_store(&a->len, UINT32_MAX); /* a domain that talks nonsense */
    len = sizeof info;
    cr_assert_eq(bh_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    cr_assert_eq(len, 8 * ANSWER_WORDS);
    FAILS(bh_setsockopt(fd, IPPROTO_TCP, TCP_INFO, info, 4), ENOPROTOOPT);
    kit_end(&k);
}

/* Writable: only while few enough bytes wait to be sent for the first time. */
Test(client, notsent_lowat)
{
    char buf[4096] = {0};
    kit_init(&k, IPPROTO_TCP, NULL);
    k.mode = KIT_HOLD;
    int fd = kit_connected(SOCK_NONBLOCK), v;
    uint32_t slot = kit_only_slot(&k);
    atomic_store(&k.v.d_slot[slot].notsent, 1000);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    cr_assert(bh_poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
    cr_assert_eq(bh_send(fd, buf, sizeof buf, 0), 1000);
    FAILS(bh_send(fd, buf, sizeof buf, 0), EAGAIN);
    cr_assert_eq(bh_poll(&p, 1, 0), 0);
    cr_assert(bh_ioctl(fd, SIOCOUTQ, &v) == 0 && v == 1000);
    cr_assert(bh_ioctl(fd, SIOCOUTQNSD, &v) == 0 && v == 1000);
    atomic_store(&k.v.d_slot[slot].tx_sent, 400); /* but not acknowledged */
    cr_assert(bh_poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
    cr_assert(bh_ioctl(fd, SIOCOUTQNSD, &v) == 0 && v == 600);
    cr_assert_eq(bh_send(fd, buf, sizeof buf, 0), 400);
    kit_end(&k);
}

/* SO_RCVLOWAT: fewer bytes make no reader ready; one that waits gets them when its time is
 * over. */
Test(client, receive_low_mark)
{
    char buf[100];
    kit_init(&k, IPPROTO_TCP, NULL);
    k.mode = KIT_HOLD;
    int fd = kit_connected(0);
    uint32_t slot = kit_only_slot(&k);
    atomic_store(&k.v.d_slot[slot].rcvlowat, 10);
    struct timeval tv = {.tv_sec = 2};
    bh_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    kit_deliver(&k, slot, "12345678", 8);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    cr_assert_eq(bh_poll(&p, 1, 0), 0);
    ns_t start = k.now;
    cr_assert_eq(bh_recv(fd, buf, 5, 0), 5); /* enough for so small a buffer */
    cr_assert_eq(k.now - start, 0);
    cr_assert_eq(bh_recv(fd, buf, sizeof buf, 0), 3);
    cr_assert_eq(k.now - start, 2 * NS_S);
    kit_deliver(&k, slot, "123456789012", 12);
    cr_assert(bh_poll(&p, 1, 0) == 1 && p.revents == POLLIN);
    cr_assert_eq(bh_recv(fd, buf, sizeof buf, 0), 12);
    kit_deliver(&k, slot, "1", 1);
    cr_assert_eq(bh_recv(fd, buf, sizeof buf, MSG_DONTWAIT), 1);
    kit_deliver(&k, slot, "1", 1);
    kit_state(&k, slot, SLOT_EOF, 0, 0); /* there will be no more */
    start = k.now;
    cr_assert_eq(bh_recv(fd, buf, sizeof buf, 0), 1);
    cr_assert_eq(k.now - start, 0);
    kit_end(&k);
}

/* RFC 6093: urgent data stays in line, and a read ends before it so that the mark is found. */
Test(client, urgent)
{
    char buf[100];
    int v;
    kit_init(&k, IPPROTO_TCP, NULL);
    k.mode = KIT_HOLD;
    int fd = kit_connected(0);
    uint32_t slot = kit_only_slot(&k);
    cr_assert_eq(bh_send(fd, "abc", 3, MSG_OOB), 3);
    kit_step(&k);
    cr_assert_eq(k.urgent, 3);
    cr_assert_eq(bh_send(fd, "abc", 3, 0), 3);
    kit_step(&k);
    cr_assert_eq(k.urgent, 3);
    k.urgent = 0;
    cr_assert_eq(bh_send(fd, "abc", 3, 0), 3);
    kit_step(&k);
    cr_assert_eq(k.urgent, 0, "told once");
    kit_deliver(&k, slot, "123456", 6);
    atomic_store(&k.v.d_slot[slot].urgent, 4); /* the fourth byte */
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    cr_assert(bh_poll(&p, 1, 0) == 1 && p.revents == POLLPRI);
    cr_assert(bh_ioctl(fd, SIOCATMARK, &v) == 0 && v == 0);
    cr_assert_eq(bh_recv(fd, buf, sizeof buf, 0), 3);
    cr_assert(bh_ioctl(fd, SIOCATMARK, &v) == 0 && v == 1);
    FAILS(bh_recv(fd, buf, 1, MSG_OOB), EINVAL);
    cr_assert_eq(bh_recv(fd, buf, sizeof buf, 0), 3);
    cr_assert_eq(buf[0], '4');
    cr_assert(bh_ioctl(fd, SIOCATMARK, &v) == 0 && v == 0);
    cr_assert_eq(bh_poll(&p, 1, 0), 0);
    kit_end(&k);
}

/* ioctl(2) as far as a socket has any. */
Test(client, ioctl)
{
    int v = -1, on = 1;
    kit_init(&k, IPPROTO_TCP, NULL);
    k.mode = KIT_HOLD;
    int fd = kit_connected(0);
    kit_deliver(&k, kit_only_slot(&k), "12345", 5);
    cr_assert(bh_ioctl(fd, FIONREAD, &v) == 0 && v == 5);
    cr_assert_eq(bh_ioctl(fd, FIONBIO, &on), 0);
    cr_assert_eq(bh_get_nonblocking(fd), 1);
    FAILS(bh_ioctl(fd, TIOCGWINSZ, &v), ENOTTY);
    FAILS(bh_ioctl(fd, FIONREAD, NULL), EFAULT);
    FAILS(bh_ioctl(-1, FIONREAD, &v), EBADF);
    kit_end(&k);
}

/* SO_LINGER: close waits until the domain has everything, no longer than asked. */
Test(client, linger)
{
    kit_init(&k, IPPROTO_TCP, NULL);
    struct linger lg = {.l_onoff = 1, .l_linger = 5};
    int a = kit_connected(0), b = kit_connected(0);
    bh_setsockopt(a, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    bh_setsockopt(b, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    ns_t start = k.now;
    k.stalled_until = k.now + 2 * NS_S;
    bh_close(a);
    cr_assert_eq(k.now - start, 2 * NS_S);
    cr_assert_eq(k.lib->att[0]->n_socks, 1);
    k.deaf = true;
    start = k.now;
    bh_close(b);
    cr_assert_eq(k.now - start, 5 * NS_S);
    kit_end(&k);
}
