/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library where something is short or wrong: rings that are full, replies and events
 * that are lost, no pages, a domain that writes nonsense. Ring indices start next to where 32
 * bits wrap.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include "client_kit.h"
#include "lib/client/private.h"

static struct kit k;

/* ---- rings under pressure ---- */

/* Far more to tell than the request ring holds: everything arrives once there is room. */
Test(client_pressure, full_request_ring)
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

static void *
hear_again(void *arg)
{
    (void)arg;
    kit_nap(50);
    k.deaf = false;
    bell_ring(&(struct bell_ringer){.fd = k.pipe_in[1]});
    return NULL;
}

/* A program that will sleep on a stand-in is woken by nobody when the ring has room: what it
 * has to tell is told before its call returns. */
Test(client_pressure, nothing_stays_untold_behind_a_stand_in, .timeout = 20)
{
    struct arena_geometry g = {
        .n_slots = 32, .n_tx_pages = 64, .n_rx_pages = 64, .n_req = 4, .n_evt = 64};
    int fd[6], pair[2];
    pthread_t t;
    kit_start(&k, IPPROTO_TCP, &g);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (int i = 0; i < 6; i++)
        fd[i] = kit_connected(0);
    lib_lock();
    struct sock *s = lib_desc(k.lib, fd[5])->s;
    s->standin = 1;
    s->standin_fd = pair[0];
    lib_unlock(k.lib);
    k.deaf = true;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(bh_send(fd[i], "q", 1, 0), 1);
    cr_assert(!list_empty(&k.lib->att[0]->owing));
    pthread_create(&t, NULL, hear_again, NULL);
    cr_assert_eq(bh_send(fd[5], "q", 1, 0), 1);
    cr_assert(list_empty(&k.lib->att[0]->owing));
    pthread_join(t, NULL);
    kit_end(&k);
}

/* A domain that takes no request any more costs a call a while, and not for ever. */
Test(client_pressure, request_ring_that_stays_full)
{
    struct arena_geometry g = {
        .n_slots = 32, .n_tx_pages = 64, .n_rx_pages = 64, .n_req = 4, .n_evt = 64};
    int fd[6];
    kit_init(&k, IPPROTO_TCP, &g);
    for (int i = 0; i < 6; i++)
        fd[i] = kit_connected(0);
    k.deaf = true;
    for (int i = 0; i < 6; i++)
        cr_assert_eq(bh_send(fd[i], "q", 1, 0), 1);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), ETIMEDOUT);
    k.deaf = false;
    cr_assert_geq(bh_socket(AF_INET, SOCK_STREAM, 0), 0);
    kit_end(&k);
}

/* REQ_SEND is not repeated while the last one has not been taken, and is once it was. */
Test(client_pressure, send_is_told_once)
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
Test(client_pressure, lost_reply)
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
Test(client_pressure, lost_events)
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
Test(client_pressure, pages_are_shared)
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
Test(client_pressure, starved_sender)
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
Test(client_pressure, idle_holds_nothing)
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

/* ---- a domain that writes nonsense ---- */

/* Cursors and page numbers that cannot be do not lead out of the arena. */
Test(client_pressure, nonsense_in_the_slot)
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
Test(client_pressure, nonsense_in_the_ring)
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
Test(client_pressure, freed_unasked)
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
