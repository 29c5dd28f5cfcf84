/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library against a domain made for the purpose: what programs see of datagrams.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include "client_kit.h"
#include "lib/client/private.h"

static struct kit k;

static ssize_t
to(int fd, const void *buf, size_t len, uint16_t port)
{
    struct sockaddr_in sin = kit_sin(port);
    return bh_sendto(fd, buf, len, 0, (struct sockaddr *)&sin, sizeof sin);
}

static int
opened(int flags)
{
    int fd = bh_socket(AF_INET, SOCK_DGRAM | flags, 0);
    cr_assert(fd >= BH_FD_BASE, "socket: %s", strerror(errno));
    return fd;
}

/* Boundaries, sender's address and truncation are the datagram's own. */
Test(client_dgram, boundaries)
{
    char buf[100];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    kit_init(&k, IPPROTO_UDP, NULL);
    int fd = opened(0), n = -1;
    FAILS(bh_send(fd, "x", 1, 0), EDESTADDRREQ);
    FAILS(to(fd, "x", 1, 0), EINVAL);
    cr_assert_eq(to(fd, "first", 5, 1001), 5);
    cr_assert_eq(to(fd, "", 0, 1002), 0);
    cr_assert_eq(to(fd, "third one", 9, 1003), 9);
    kit_step(&k);
    cr_assert_eq(bh_fionread(fd, &n), 0);
    cr_assert_eq(n, 5);
    cr_assert_eq(bh_recvfrom(fd, buf, 3, MSG_PEEK | MSG_TRUNC, NULL, NULL), 5);
    cr_assert_eq(bh_recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 5);
    cr_assert(memcmp(buf, "first", 5) == 0 && ntohs(from.sin_port) == 1001);
    cr_assert_eq(bh_recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 0);
    cr_assert_eq(ntohs(from.sin_port), 1002);
    struct iovec v = {buf, 5};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
    cr_assert_eq(bh_recvmsg(fd, &h, 0), 5);
    cr_assert_eq(h.msg_flags, MSG_TRUNC);
    FAILS(bh_recv(fd, buf, sizeof buf, MSG_DONTWAIT), EAGAIN);
    kit_end(&k);
}

/* All sizes around pages, one after another, so that heads and payloads straddle pages:
 * every byte as it was sent. */
Test(client_dgram, integrity)
{
    static uint8_t out[DGRAM_MAX], in[DGRAM_MAX];
    struct arena_geometry g = {
        .n_slots = 4, .n_tx_pages = 64, .n_rx_pages = 64, .n_req = 8, .n_evt = 8};
    kit_init(&k, IPPROTO_UDP, &g);
    k.sndbuf = k.rcvbuf = 200000;
    int fd = opened(0);
    for (size_t n = 0; n < sizeof out; n += 1 + n / 7 + (n > 3900 && n < 4200 ? 0 : n / 3)) {
        for (size_t i = 0; i < n; i++)
            out[i] = (uint8_t)(i * 13 + n);
        cr_assert_eq(to(fd, out, n, 7), (ssize_t)n, "%zu: %s", n, strerror(errno));
        cr_assert_eq(bh_recv(fd, in, sizeof in, 0), (ssize_t)n);
        cr_assert_eq(memcmp(in, out, n), 0, "%zu bytes", n);
    }
    cr_assert_eq(to(fd, out, DGRAM_MAX, 7), DGRAM_MAX);
    cr_assert_eq(bh_recv(fd, in, sizeof in, 0), DGRAM_MAX);
    FAILS(to(fd, out, DGRAM_MAX + 1, 7), EMSGSIZE);
    kit_end(&k);
}

/* A full FIFO blocks or says EAGAIN, never cuts a datagram; one that can never fit is
 * too long. */
Test(client_dgram, full)
{
    static uint8_t data[9000];
    kit_init(&k, IPPROTO_UDP, NULL);
    k.mode = KIT_HOLD;
    k.sndbuf = 20000;
    int fd = opened(SOCK_NONBLOCK);
    cr_assert_eq(to(fd, data, 9000, 7), 9000);
    cr_assert_eq(to(fd, data, 9000, 7), 9000);
    FAILS(to(fd, data, 9000, 7), EAGAIN);
    cr_assert_eq(to(fd, data, 1000, 7), 1000);
    struct pollfd f = {.fd = fd, .events = POLLOUT};
    cr_assert_eq(bh_poll(&f, 1, 5), 0);
    k.mode = KIT_ECHO;
    k.s[0].due = true;
    cr_assert_eq(bh_poll(&f, 1, 5), 1);
    bh_set_nonblocking(fd, 0);
    cr_assert_eq(to(fd, data, 9000, 7), 9000);
    k.sndbuf = 5000;
    int small = opened(0);
    FAILS(to(small, data, 9000, 7), EMSGSIZE);
    kit_end(&k);
}

/* connect sets the peer and AF_UNSPEC dissolves it; an ICMP error is told once. */
Test(client_dgram, connect_and_errors)
{
    char c;
    kit_init(&k, IPPROTO_UDP, NULL);
    int fd = opened(0);
    struct sockaddr_in sin = kit_sin(53), got;
    socklen_t len = sizeof got;
    cr_assert_eq(bh_connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    cr_assert_eq(bh_send(fd, "q", 1, 0), 1);
    cr_assert_eq(bh_recv(fd, &c, 1, 0), 1);
    cr_assert_eq(bh_getpeername(fd, (struct sockaddr *)&got, &len), 0);
    cr_assert_eq(ntohs(got.sin_port), 53);
    kit_state(&k, 0, 0, 0, ECONNREFUSED);
    struct pollfd f = {.fd = fd, .events = POLLIN};
    cr_assert_eq(bh_poll(&f, 1, 0), 1);
    cr_assert(f.revents & POLLERR);
    FAILS(bh_recv(fd, &c, 1, 0), ECONNREFUSED);
    cr_assert_eq(bh_send(fd, "q", 1, 0), 1);
    cr_assert_eq(bh_recv(fd, &c, 1, 0), 1);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    cr_assert_eq(bh_connect(fd, &none, sizeof none), 0);
    FAILS(bh_send(fd, "q", 1, 0), EDESTADDRREQ);
    FAILS(bh_listen(fd, 1), EOPNOTSUPP);
    FAILS(bh_accept(fd, NULL, NULL), EOPNOTSUPP);
    kit_end(&k);
}

/* What was sent goes to the peer of then, however late the domain comes to it; and what changes
 * how it is sent, and would overtake it, waits, but not for ever. */
Test(client_dgram, sent_before_a_change)
{
    struct dgram_head h;
    int ttl = 9;
    kit_init(&k, IPPROTO_UDP, NULL);
    k.mode = KIT_HOLD;
    int fd = opened(0);
    struct sockaddr_in sin = kit_sin(53);
    cr_assert_eq(bh_connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    ns_t before = k.now;
    cr_assert_eq(bh_setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), 0);
    cr_assert_lt(k.now - before, 10 * NS_MS, "nothing to wait for");
    cr_assert_eq(bh_send(fd, "q", 1, 0), 1);
    sin = kit_sin(54);
    before = k.now;
    cr_assert_eq(bh_connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    cr_assert(k.now - before > 100 * NS_MS && k.now - before < NS_S);
    fifo_tx_read(&k.v, 0, 0, &h, sizeof h);
    cr_assert(ipaddr_to_u32(&h.addr) == KIT_PEER && h.port == 53);
    before = k.now;
    cr_assert_eq(bh_setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), 0);
    cr_assert_gt(k.now - before, 100 * NS_MS);
    before = k.now;
    cr_assert_eq(bh_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &ttl, sizeof ttl), 0);
    cr_assert_lt(k.now - before, 10 * NS_MS, "that changes nothing about it");
    kit_end(&k);
}

/* What the domain says of the interface is enough to refuse at once what it would refuse later,
 * in the kernel's order; what it says nothing of, or nonsense, is left to it. */
Test(client_dgram, refused_at_once)
{
    static uint8_t data[2000];
    int on = 1, whole = IP_PMTUDISC_DO;
    kit_init(&k, IPPROTO_UDP, NULL);
    struct half_head *h = k.v.d_head;
    int fd = opened(0);
    struct sockaddr_in all = kit_sin(9), far = kit_sin(9);
    const struct sockaddr *to_all = (struct sockaddr *)&all, *to_far = (struct sockaddr *)&far;
    all.sin_addr.s_addr = htonl(KIT_OWN | 255);
    far.sin_addr.s_addr = htonl(0xc6120001);
    cr_assert_eq(bh_sendto(fd, "x", 1, 0, to_all, sizeof all), 1, "it said nothing yet");
    atomic_store(&h->net_own, KIT_OWN);
    atomic_store(&h->net_prefix, 24);
    atomic_store(&h->net_mtu, 1500);
    FAILS(bh_sendto(fd, "x", 1, 0, to_all, sizeof all), EACCES);
    FAILS(bh_sendto(fd, "x", 1, 0, to_far, sizeof far), ENETUNREACH);
    cr_assert_eq(to(fd, data, sizeof data, 9), (ssize_t)sizeof data);
    cr_assert_eq(bh_setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof whole), 0);
    FAILS(to(fd, data, 1473, 9), EMSGSIZE);
    cr_assert_eq(to(fd, data, 1472, 9), 1472);
    cr_assert_eq(bh_setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on), 0);
    cr_assert_eq(bh_sendto(fd, "x", 1, 0, to_all, sizeof all), 1);
    atomic_store(&h->net_gateway, 1);
    cr_assert_eq(bh_sendto(fd, "x", 1, 0, to_far, sizeof far), 1);
    atomic_store(&h->net_gateway, 0);
    for (uint32_t bits = 0; bits < 200; bits++) {
        atomic_store(&h->net_prefix, bits * bits * bits);
        (void)!bh_sendto(fd, "x", 1, MSG_DONTWAIT, to_far, sizeof far);
    }
    kit_end(&k);
}

/* IP_PKTINFO tells the address that a datagram was sent to. */
Test(client_dgram, pktinfo)
{
    char buf[10];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control;
    int on = 1;
    kit_init(&k, IPPROTO_UDP, NULL);
    int fd = opened(0);
    cr_assert_eq(bh_setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on), 0);
    kit_deliver_dgram(&k, 0, "one", 3, 5000);
    kit_deliver_dgram(&k, 0, "two", 3, 5001);
    struct iovec v = {buf, sizeof buf};
    struct msghdr h = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    cr_assert_eq(bh_recvmsg(fd, &h, 0), 3);
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    cr_assert_not_null(c);
    cr_assert(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO);
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    cr_assert_eq(ntohl(info.ipi_addr.s_addr), KIT_OWN);
    h.msg_controllen = 4; /* no room: said so */
    cr_assert_eq(bh_recvmsg(fd, &h, 0), 3);
    cr_assert(h.msg_flags & MSG_CTRUNC);
    kit_end(&k);
}

/* Several in one call; MSG_WAITFORONE takes what is there after the first. */
Test(client_dgram, many_at_once)
{
    char in[4][20];
    struct iovec iov[4];
    struct mmsghdr m[4];
    kit_init(&k, IPPROTO_UDP, NULL);
    int fd = opened(0);
    struct sockaddr_in sin = kit_sin(99);
    bh_connect(fd, (struct sockaddr *)&sin, sizeof sin);
    char *text[] = {"a", "bb", "ccc"};
    memset(m, 0, sizeof m);
    for (unsigned i = 0; i < 3; i++) {
        iov[i] = (struct iovec){text[i], strlen(text[i])};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    cr_assert_eq(bh_sendmmsg(fd, m, 3, 0), 3);
    cr_assert_eq(m[2].msg_len, 3);
    for (unsigned i = 0; i < 4; i++)
        iov[i] = (struct iovec){in[i], sizeof in[i]};
    m[3].msg_hdr = (struct msghdr){.msg_iov = &iov[3], .msg_iovlen = 1};
    cr_assert_eq(bh_recvmmsg(fd, m, 4, MSG_WAITFORONE, NULL), 3);
    cr_assert(m[0].msg_len == 1 && m[1].msg_len == 2 && m[2].msg_len == 3);
    cr_assert_eq(memcmp(in[2], "ccc", 3), 0);
    kit_end(&k);
}

/* A record that cannot be does not lead out of the FIFO, and the next ones are read. */
Test(client_dgram, nonsense_record)
{
    char buf[10];
    kit_init(&k, IPPROTO_UDP, NULL);
    int fd = opened(SOCK_NONBLOCK);
    struct dgram_head h = {.len = 1u << 30};
    kit_deliver(&k, 0, &h, sizeof h);
    FAILS(bh_recv(fd, buf, sizeof buf, 0), EIO);
    FAILS(bh_recv(fd, buf, sizeof buf, 0), EAGAIN);
    kit_deliver(&k, 0, &h, 8); /* not even a head */
    FAILS(bh_recv(fd, buf, sizeof buf, 0), EIO);
    kit_deliver_dgram(&k, 0, "ok", 2, 1);
    cr_assert_eq(bh_recv(fd, buf, sizeof buf, 0), 2);
    kit_end(&k);
}

/* SHUT_WR ends sending; SHUT_RD waiting, not reading, as on Linux. */
Test(client_dgram, shut_down)
{
    char c;
    kit_init(&k, IPPROTO_UDP, NULL);
    int fd = opened(0);
    struct sockaddr_in sin = kit_sin(99);
    bh_connect(fd, (struct sockaddr *)&sin, sizeof sin);
    cr_assert_eq(bh_shutdown(fd, SHUT_WR), 0);
    FAILS(bh_send(fd, "x", 1, 0), EPIPE);
    cr_assert_eq(bh_shutdown(fd, SHUT_RD), 0);
    cr_assert_eq(bh_recv(fd, &c, 1, 0), 0);
    FAILS(bh_recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
    kit_deliver_dgram(&k, 0, "late", 4, 1);
    cr_assert_eq(bh_recv(fd, &c, 1, 0), 1);
    kit_end(&k);
}
