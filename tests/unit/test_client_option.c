/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library's getsockopt, setsockopt and ioctl for streams, and what the options do
 * there.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "client_kit.h"
#include "lib/client/private.h"

static struct kit k;

Test(client_option, options)
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
    int asked = 0; /* whoever asks finds it set: nobody waited for the domain to set it */
    cr_assert_eq(bh_getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &asked, &len), 0);
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
Test(client_option, congestion_name)
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
Test(client_option, answers)
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
Test(client_option, notsent_lowat)
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
Test(client_option, receive_low_mark)
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
Test(client_option, urgent)
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
Test(client_option, ioctl)
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
Test(client_option, linger)
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
