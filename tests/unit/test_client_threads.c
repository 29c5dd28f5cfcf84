/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library and threads: many sockets, one socket, against a domain in a thread of its
 * own with real bells.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>

#include "client_kit.h"
#include "lib/client/private.h"

static struct kit k;

struct job {
    int fd;
    unsigned rounds;
    uint32_t seed;
    bool ok;
};

static void *
echo_job(void *arg)
{
    struct job *j = arg;
    uint8_t out[5000], in[5000];
    uint32_t x = j->seed;
    for (unsigned r = 0; r < j->rounds; r++) {
        x = x * 1664525u + 1013904223u;
        size_t n = 1 + (x >> 8) % sizeof out;
        for (size_t i = 0; i < n; i++)
            out[i] = (uint8_t)(x + i * 7);
        if (bh_send(j->fd, out, n, 0) != (ssize_t)n ||
            bh_recv(j->fd, in, n, MSG_WAITALL) != (ssize_t)n || memcmp(in, out, n) != 0)
            return NULL;
    }
    j->ok = true;
    return NULL;
}

/* Several threads, each blocking on its own socket: the lead passes on, nobody is left
 * asleep, and no byte goes to another's stream. */
Test(client_threads, threads)
{
    enum { N = 6 };
    struct job job[N];
    pthread_t t[N];
    kit_start(&k, IPPROTO_TCP, NULL);
    for (unsigned i = 0; i < N; i++) {
        job[i] = (struct job){.fd = kit_connected(0), .rounds = 300, .seed = i + 1};
        pthread_create(&t[i], NULL, echo_job, &job[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
        cr_assert(job[i].ok, "thread %u", i);
    }
    kit_end(&k);
}

/* The same with the bounded spin before sleeping. */
Test(client_threads, threads_spinning)
{
    enum { N = 2 };
    struct job job[N];
    pthread_t t[N];
    setenv("BULKHEAD_SPIN_US", "20", 1);
    kit_start(&k, IPPROTO_TCP, NULL);
    for (unsigned i = 0; i < N; i++) {
        job[i] = (struct job){.fd = kit_connected(0), .rounds = 200, .seed = i + 1};
        pthread_create(&t[i], NULL, echo_job, &job[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
        cr_assert(job[i].ok, "thread %u", i);
    }
    kit_end(&k);
}

static void
exchange(int fd, unsigned times)
{
    char b[4];
    for (unsigned i = 0; i < times; i++)
        cr_assert(bh_send(fd, "ping", 4, 0) == 4 && bh_recv(fd, b, 4, MSG_WAITALL) == 4);
}

/* in_turn: as if something was sent and taken before. */
static void
wait_in_vain(int fd, bool in_turn)
{
    char c;
    struct timeval t = {.tv_usec = 20000};
    cr_assert_eq(bh_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    k.lib->sent = k.lib->took = in_turn;
    FAILS(bh_recv(fd, &c, 1, 0), EAGAIN);
    t.tv_usec = 0;
    cr_assert_eq(bh_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
}

/* How often the library has asked to be woken. */
static uint32_t
armed(void)
{
    return (atomic_load(&k.v.c_head->want) + 1) / 2;
}

/* Who sends and takes in turn looks for as long as the daemon says, and asks nobody to wake it;
 * who only takes sleeps; and it is noticed when the answer took longer. */
Test(client_threads, looks_when_it_pays)
{
    kit_start(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    k.lib->att[0]->spin = 10 * NS_S;
    k.lib->soon = true;
    exchange(fd, 1); /* as from here on something was sent and taken */
    uint32_t before = armed();
    exchange(fd, 200);
    cr_assert_lt(armed() - before, 20, "it slept %u times", armed() - before);
    before = armed();
    wait_in_vain(fd, false); /* nothing was asked */
    cr_assert_gt(armed(), before, "it did not sleep");
    cr_assert(k.lib->soon, "that says nothing of answers");
    k.lib->att[0]->spin = 1;
    wait_in_vain(fd, true);
    cr_assert(!k.lib->soon, "it would look again");
    kit_end(&k);
}

static void *
sender(void *arg)
{
    struct job *j = arg;
    uint8_t buf[997];
    for (unsigned r = 0; r < j->rounds; r++) {
        memset(buf, (int)j->seed, sizeof buf);
        if (bh_send(j->fd, buf, sizeof buf, 0) != sizeof buf)
            return NULL;
    }
    j->ok = true;
    return NULL;
}

/* One socket, two senders and a receiver at once: all bytes arrive, of each sender as
 * many as it sent. */
Test(client_threads, one_socket_many_threads)
{
    enum { ROUNDS = 400 };
    kit_start(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    struct job job[2] = {{.fd = fd, .rounds = ROUNDS, .seed = 1},
                         {.fd = fd, .rounds = ROUNDS, .seed = 2}};
    pthread_t t[2];
    size_t count[3] = {0}, total = 0;
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, sender, &job[i]);
    while (total < 2 * ROUNDS * 997) {
        uint8_t buf[4000];
        ssize_t n = bh_recv(fd, buf, sizeof buf, 0);
        cr_assert(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            cr_assert(buf[i] == 1 || buf[i] == 2);
            count[buf[i]]++;
        }
        total += (size_t)n;
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    cr_assert(job[0].ok && job[1].ok);
    cr_assert(count[1] == ROUNDS * 997 && count[2] == ROUNDS * 997);
    kit_end(&k);
}

static void *
big_sender(void *arg)
{
    struct job *j = arg;
    uint8_t *buf = malloc(200000);
    memset(buf, (int)j->seed, 200000);
    j->ok = bh_send(j->fd, buf, 200000, 0) == 200000;
    free(buf);
    return NULL;
}

/* What one bh_send sends without waiting stays together, however long it is and whoever
 * sends at the same time. */
Test(client_threads, sends_stay_together)
{
    struct arena_geometry g = {
        .n_slots = 4, .n_tx_pages = 512, .n_rx_pages = 512, .n_req = 64, .n_evt = 64};
    static uint8_t in[400000];
    kit_start(&k, IPPROTO_TCP, &g);
    k.sndbuf = k.rcvbuf = 800000;
    int fd = kit_connected(0);
    struct job job[2] = {{.fd = fd, .seed = 1}, {.fd = fd, .seed = 2}};
    pthread_t t[2];
    for (int round = 0; round < 20; round++) {
        unsigned changes = 0;
        for (unsigned i = 0; i < 2; i++)
            pthread_create(&t[i], NULL, big_sender, &job[i]);
        for (unsigned i = 0; i < 2; i++)
            pthread_join(t[i], NULL);
        cr_assert(job[0].ok && job[1].ok);
        cr_assert_eq(bh_recv(fd, in, sizeof in, MSG_WAITALL), (ssize_t)sizeof in);
        for (size_t i = 1; i < sizeof in; i++)
            changes += in[i] != in[i - 1];
        cr_assert_eq(changes, 1, "the bytes of two sends are mixed");
    }
    kit_end(&k);
}

struct sleeper {
    int fd;
    ssize_t r;
    int err;
};

static void *
sleep_in_recv(void *arg)
{
    struct sleeper *s = arg;
    char byte;
    s->r = bh_recv(s->fd, &byte, 1, 0);
    s->err = errno;
    return NULL;
}

static void *
sleep_in_accept(void *arg)
{
    struct sleeper *s = arg;
    s->r = bh_accept(s->fd, NULL, NULL);
    s->err = errno;
    return NULL;
}

/* A thread that sleeps on a descriptor wakes when that is revoked or closed by another thread;
 * one that sleeps on another descriptor for the same socket does not. */
Test(client_threads, revoked_while_others_sleep)
{
    enum { N = 4 };
    struct sleeper s[N];
    pthread_t t[N];
    char byte = 'x';
    kit_start(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0), listener = bh_socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bh_listen(listener, 5), 0);
    s[0].fd = bh_mint(fd, BH_RIGHT_RECEIVE);
    s[1].fd = bh_mint(s[0].fd, BH_RIGHT_RECEIVE);
    s[2].fd = bh_mint(fd, BH_RIGHT_RECEIVE);
    s[3].fd = bh_mint(listener, BH_RIGHT_ACCEPT);
    for (unsigned i = 0; i < N; i++)
        pthread_create(&t[i], NULL, i < 3 ? sleep_in_recv : sleep_in_accept, &s[i]);
    kit_nap(50);
    cr_assert_eq(bh_revoke(s[0].fd), 0);
    cr_assert_eq(bh_close(s[3].fd), 0);
    for (unsigned i = 0; i < N; i++)
        if (i != 2) {
            pthread_join(t[i], NULL);
            cr_assert(s[i].r == -1 && s[i].err == (i == 3 ? EBADF : ECONNABORTED), "%u: %d", i,
                      s[i].err);
        }
    cr_assert_eq(bh_send(fd, &byte, 1, 0), 1);
    pthread_join(t[2], NULL);
    cr_assert_eq(s[2].r, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(bh_close(s[i].fd), 0);
    cr_assert_eq(bh_close(fd), 0);
    cr_assert_eq(bh_close(listener), 0);
    kit_end(&k);
}
