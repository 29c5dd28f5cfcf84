/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library against a domain made for the purpose (client_kit.h): what programs
 * see of streams, from the first byte to the last.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>

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
