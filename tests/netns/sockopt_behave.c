/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sockopt_behave stack CASE PORT: the side that sets the option, on Bulkhead; it listens.
 * sockopt_behave kernel CASE PORT HOST: its peer, on the kernel.
 *
 * Exit 0 if what was to be seen was seen; else 1, and what was not on stderr.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/client/bulkhead.h"

#define NEED(cond)                                                                             \
    do {                                                                                       \
        if (!(cond)) {                                                                         \
            fprintf(stderr, "line %d: not %s (%s)\n", __LINE__, #cond, strerror(errno));       \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

static char buf[1 << 20];

static long
now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
wait_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

static struct sockaddr_in
address(const char *host, const char *port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (host != NULL)
        inet_pton(AF_INET, host, &sin.sin_addr);
    return sin;
}

/* ---- the side on Bulkhead ---- */

static void
set(int fd, int level, int name, int value)
{
    NEED(bh_setsockopt(fd, level, name, &value, sizeof value) == 0);
}

static int
listener(const char *port, int shared)
{
    struct sockaddr_in sin = address(NULL, port);
    int fd = bh_socket(AF_INET, SOCK_STREAM, 0);
    NEED(fd >= 0);
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (shared)
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    NEED(bh_bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0);
    return fd;
}

static int
accepted(const char *port)
{
    int l = listener(port, 0), fd;
    NEED(bh_listen(l, 5) == 0);
    NEED((fd = bh_accept(l, NULL, NULL)) >= 0);
    return fd;
}

/* The connection comes with its first data, and the peer waited before it sent some. */
static void
stack_defer(const char *port)
{
    int l = listener(port, 0), fd;
    long then;
    set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    NEED(bh_listen(l, 5) == 0);
    NEED((fd = bh_accept(l, NULL, NULL)) >= 0);
    long late = now_ms();
    NEED(bh_recv(fd, &then, sizeof then, MSG_DONTWAIT) == sizeof then);
    NEED(late - then >= 600);
}
static void
kernel_defer(int fd)
{
    long then = now_ms();
    wait_ms(700);
    NEED(send(fd, &then, sizeof then, 0) == sizeof then);
    NEED(recv(fd, buf, 1, 0) == 0);
}

static void
stack_urgent_in(const char *port)
{
    int fd = accepted(port), at = -1;
    wait_ms(500);
    NEED(bh_recv(fd, buf, sizeof buf, 0) == 3 && memcmp(buf, "abc", 3) == 0);
    NEED(bh_ioctl(fd, SIOCATMARK, &at) == 0 && at == 1);
    NEED(bh_recv(fd, buf, sizeof buf, 0) == 3 && memcmp(buf, "Def", 3) == 0);
    NEED(bh_ioctl(fd, SIOCATMARK, &at) == 0 && at == 0);
}
static void
kernel_urgent_in(int fd)
{
    NEED(send(fd, "abc", 3, 0) == 3);
    NEED(send(fd, "D", 1, MSG_OOB) == 1);
    NEED(send(fd, "ef", 2, 0) == 2);
    wait_ms(1000);
}

static void
stack_urgent_out(const char *port)
{
    int fd = accepted(port);
    NEED(bh_send(fd, "abC", 3, MSG_OOB) == 3);
    NEED(bh_send(fd, "de", 2, 0) == 2);
    wait_ms(1000);
}
static void
kernel_urgent_out(int fd)
{
    wait_ms(500);
    NEED(recv(fd, buf, 1, MSG_OOB) == 1 && buf[0] == 'C');
    NEED(recv(fd, buf, sizeof buf, 0) == 2 && memcmp(buf, "ab", 2) == 0);
    NEED(recv(fd, buf, sizeof buf, 0) == 2 && memcmp(buf, "de", 2) == 0);
}

/* What both ends count of one connection is the same. */
static void
stack_info(const char *port)
{
    int fd = accepted(port);
    struct tcp_info mine, theirs;
    socklen_t len = sizeof mine;
    NEED(bh_recv(fd, buf, 100000, MSG_WAITALL) == 100000);
    NEED(bh_send(fd, buf, 50000, 0) == 50000);
    NEED(bh_recv(fd, &theirs, sizeof theirs, MSG_WAITALL) == sizeof theirs);
    NEED(bh_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &mine, &len) == 0 && len == sizeof mine);
    NEED(mine.tcpi_state == 1 && mine.tcpi_ca_state == theirs.tcpi_ca_state);
    NEED((mine.tcpi_options & 7) == (theirs.tcpi_options & 7));
    NEED(mine.tcpi_snd_wscale == theirs.tcpi_rcv_wscale);
    NEED(mine.tcpi_rcv_wscale == theirs.tcpi_snd_wscale);
    NEED(mine.tcpi_snd_mss == theirs.tcpi_snd_mss && mine.tcpi_pmtu == theirs.tcpi_pmtu);
    NEED(mine.tcpi_advmss == theirs.tcpi_advmss + 12 || mine.tcpi_advmss == theirs.tcpi_advmss);
    NEED(mine.tcpi_bytes_acked == theirs.tcpi_bytes_received);
    NEED(mine.tcpi_bytes_received == theirs.tcpi_bytes_sent + sizeof theirs);
    NEED(mine.tcpi_bytes_sent - mine.tcpi_bytes_retrans == 50000);
    NEED(mine.tcpi_data_segs_out >= 35 && mine.tcpi_data_segs_out <= mine.tcpi_segs_out);
    NEED(mine.tcpi_data_segs_in >= 69 && mine.tcpi_data_segs_in <= mine.tcpi_segs_in);
    NEED(mine.tcpi_rtt > 0 && mine.tcpi_min_rtt > 0 && mine.tcpi_min_rtt <= 1000000);
    NEED(mine.tcpi_rto >= 200000 && mine.tcpi_rto < 2000000);
    NEED(mine.tcpi_snd_cwnd >= 10 && mine.tcpi_unacked == 0 && mine.tcpi_notsent_bytes == 0);
    NEED(mine.tcpi_busy_time > 0 && mine.tcpi_delivered >= 35);
    NEED(mine.tcpi_last_data_recv < 500 && mine.tcpi_last_data_sent < 3000);
}
static void
kernel_info(int fd)
{
    struct tcp_info mine;
    socklen_t len = sizeof mine;
    NEED(send(fd, buf, 100000, 0) == 100000);
    NEED(recv(fd, buf, 50000, MSG_WAITALL) == 50000);
    wait_ms(300);
    NEED(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &mine, &len) == 0);
    NEED(send(fd, &mine, sizeof mine, 0) == sizeof mine);
    NEED(recv(fd, buf, 1, 0) == 0);
}

/* Both ends write and neither reads: the peer's window it is that holds up either, and both
 * tell it alike. */
static void
limited(const struct tcp_info *o)
{
    fprintf(stderr, "busy %llu us, rwnd %llu, sndbuf %llu\n",
            (unsigned long long)o->tcpi_busy_time, (unsigned long long)o->tcpi_rwnd_limited,
            (unsigned long long)o->tcpi_sndbuf_limited);
    NEED(o->tcpi_busy_time >= 900000 && o->tcpi_busy_time < 3000000);
    NEED(o->tcpi_rwnd_limited >= 600000 && o->tcpi_rwnd_limited <= o->tcpi_busy_time);
    NEED(o->tcpi_sndbuf_limited <= o->tcpi_busy_time - o->tcpi_rwnd_limited);
}
static void
stack_limited(const char *port)
{
    int fd = accepted(port);
    struct tcp_info o;
    socklen_t len = sizeof o;
    bh_set_nonblocking(fd, 1);
    for (unsigned i = 0; i < 100; i++, wait_ms(10))
        while (bh_send(fd, buf, sizeof buf, 0) > 0)
            ;
    NEED(bh_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &o, &len) == 0);
    limited(&o);
    wait_ms(500);
}
static void
kernel_limited(int fd)
{
    struct tcp_info o;
    socklen_t len = sizeof o;
    for (unsigned i = 0; i < 100; i++, wait_ms(10))
        while (send(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
            ;
    NEED(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &o, &len) == 0);
    limited(&o);
    wait_ms(500);
}

/* A program that writes when it may never has more than the mark waiting. */
static void
stack_notsent(const char *port)
{
    int fd = accepted(port), v;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
    bh_set_nonblocking(fd, 1);
    long sent = 0, waits = 0, end = now_ms() + 20000;
    while (sent < 4 << 20 && now_ms() < end) {
        ssize_t n = bh_send(fd, buf, 8192, 0);
        NEED(n > 0 || errno == EAGAIN);
        NEED(bh_ioctl(fd, SIOCOUTQNSD, &v) == 0 && v <= 16384);
        if (n > 0)
            sent += n;
        else
            waits += bh_poll(&p, 1, 2000) == 1;
    }
    NEED(sent >= 4 << 20);
    NEED(waits > 1);
}
static void
kernel_drain(int fd)
{
    wait_ms(1000);
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
}

static void
stack_rcvlowat(const char *port)
{
    int fd = accepted(port);
    set(fd, SOL_SOCKET, SO_RCVLOWAT, 1000);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    wait_ms(300);
    NEED(bh_poll(&p, 1, 200) == 0);
    NEED(bh_recv(fd, buf, sizeof buf, 0) == 1000);
}
static void
kernel_rcvlowat(int fd)
{
    NEED(send(fd, buf, 400, 0) == 400);
    wait_ms(1000);
    NEED(send(fd, buf, 600, 0) == 600);
    wait_ms(500);
}

static void
stack_cork(const char *port)
{
    int fd = accepted(port);
    set(fd, IPPROTO_TCP, TCP_CORK, 1);
    NEED(bh_recv(fd, buf, 1, 0) == 1);
    NEED(bh_send(fd, buf, 10, 0) == 10);
    NEED(bh_recv(fd, buf, 1, 0) == 1);
    NEED(bh_send(fd, buf, 10, 0) == 10);
    set(fd, IPPROTO_TCP, TCP_CORK, 0);
    wait_ms(500);
}
static void
kernel_cork(int fd)
{
    long start = now_ms();
    NEED(send(fd, "1", 1, 0) == 1 && recv(fd, buf, 10, 0) == 10);
    long held = now_ms() - start;
    NEED(held >= 150 && held < 1000);
    start = now_ms();
    NEED(send(fd, "2", 1, 0) == 1 && recv(fd, buf, 10, 0) == 10);
    NEED(now_ms() - start < 150);
}

/* The link goes down meanwhile. */
static void
stack_user_timeout(const char *port)
{
    int fd = accepted(port);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 2000);
    printf("accepted\n");
    fflush(stdout);
    wait_ms(1500);
    long start = now_ms();
    NEED(bh_send(fd, buf, 1000, 0) == 1000);
    NEED(bh_recv(fd, buf, 1, 0) == -1 && (errno == ETIMEDOUT || errno == EHOSTUNREACH));
    long t = now_ms() - start;
    NEED(t >= 1500 && t < 6000);
}
static void
kernel_wait(int fd)
{
    struct timeval tv = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    (void)recv(fd, buf, 1, 0);
}

/* How many came here, until nobody comes for two seconds. */
static void
stack_share(const char *port)
{
    int l = listener(port, 1), n = 0;
    NEED(bh_listen(l, 100) == 0);
    struct pollfd p = {.fd = l, .events = POLLIN};
    while (bh_poll(&p, 1, n == 0 ? 10000 : 2000) == 1) {
        int fd = bh_accept(l, NULL, NULL);
        NEED(fd >= 0);
        bh_close(fd);
        n++;
    }
    printf("%d\n", n);
}

static void
stack_name(const char *port)
{
    int fd = bh_socket(AF_INET, SOCK_STREAM, 0);
    char name[16] = "";
    socklen_t len = sizeof name;
    (void)port;
    NEED(bh_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0);
    printf("%s\n", name);
}

static const struct {
    const char *name;
    void (*stack)(const char *port);
    void (*kernel)(int fd);
} cases[] = {
    {"defer", stack_defer, kernel_defer},
    {"urgent-in", stack_urgent_in, kernel_urgent_in},
    {"urgent-out", stack_urgent_out, kernel_urgent_out},
    {"info", stack_info, kernel_info},
    {"limited", stack_limited, kernel_limited},
    {"notsent", stack_notsent, kernel_drain},
    {"rcvlowat", stack_rcvlowat, kernel_rcvlowat},
    {"cork", stack_cork, kernel_cork},
    {"user-timeout", stack_user_timeout, kernel_wait},
    {"share", stack_share, NULL},
    {"name", stack_name, NULL},
};

int
main(int argc, char **argv)
{
    NEED(argc >= 4);
    struct sockaddr_in sin = address(argc > 4 ? argv[4] : NULL, argv[3]);
    size_t i = 0, n = sizeof cases / sizeof cases[0];
    while (i < n && strcmp(cases[i].name, argv[2]) != 0)
        i++;
    NEED(i < n);
    if (strcmp(argv[1], "stack") == 0) {
        cases[i].stack(argv[3]);
        return 0;
    }
    int fd;
    for (int tries = 0;; tries++) { /* until the other side listens */
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0)
            break;
        NEED(tries < 100);
        close(fd);
        wait_ms(50);
    }
    if (cases[i].kernel != NULL)
        cases[i].kernel(fd);
    close(fd);
    return 0;
}
