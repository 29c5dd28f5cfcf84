/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library's waiting: threads against a domain in a thread of its own with real
 * bells; poll with kernel descriptors; the event descriptor and the libevent adaptor.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"
#include "lib/client/bulkhead_event.h"
#include "lib/client/private.h"

static struct kit k;

/* ---- threads ---- */

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
Test(client_wait, threads)
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
Test(client_wait, threads_spinning)
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
Test(client_wait, one_socket_many_threads)
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
Test(client_wait, sends_stay_together)
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

struct blocked {
    int fd, err;
    ssize_t r;
};

static void *
block_in_recv(void *arg)
{
    struct blocked *b = arg;
    char c;
    b->r = bh_recv(b->fd, &c, 1, 0);
    b->err = errno;
    return NULL;
}

/* bh_close wakes those who block on the socket, leader and follower alike, with EBADF. */
Test(client_wait, close_wakes)
{
    struct blocked b[3];
    pthread_t t[3];
    kit_start(&k, IPPROTO_TCP, NULL);
    for (unsigned i = 0; i < 3; i++) {
        b[i] = (struct blocked){.fd = i == 1 ? b[0].fd : kit_connected(0)};
        pthread_create(&t[i], NULL, block_in_recv, &b[i]);
        kit_nap(20);
    }
    bh_close(b[0].fd);
    bh_close(b[2].fd);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        cr_assert(b[i].r == -1 && b[i].err == EBADF, "%u: %zd %s", i, b[i].r,
                  strerror(b[i].err));
    }
    kit_end(&k);
}

/* The leader gets what it waited for and leaves: one of those who followed leads from then
 * on, though nobody makes a call meanwhile. */
Test(client_wait, lead_is_passed_on)
{
    struct blocked b[3];
    pthread_t t[3];
    kit_start(&k, IPPROTO_TCP, NULL);
    for (unsigned i = 0; i < 3; i++) {
        b[i] = (struct blocked){.fd = kit_connected(0)};
        pthread_create(&t[i], NULL, block_in_recv, &b[i]);
        kit_nap(20);
    }
    for (unsigned i = 0; i < 3; i++) {
        bh_send(b[i].fd, "x", 1, 0);
        pthread_join(t[i], NULL);
        cr_assert_eq(b[i].r, 1, "thread %u", i);
        kit_nap(20);
    }
    kit_end(&k);
}

/* shutdown wakes a reader of another thread, who sees the end of the stream. */
Test(client_wait, shutdown_wakes)
{
    kit_start(&k, IPPROTO_TCP, NULL);
    struct blocked b = {.fd = kit_connected(0)};
    pthread_t t;
    pthread_create(&t, NULL, block_in_recv, &b);
    kit_nap(20);
    cr_assert_eq(bh_shutdown(b.fd, SHUT_RD), 0);
    pthread_join(t, NULL);
    cr_assert_eq(b.r, 0);
    kit_end(&k);
}

static void
on_signal(int sig)
{
    (void)sig;
}

/* A signal interrupts a blocking call with EINTR, and poll too. */
Test(client_wait, signals)
{
    struct sigaction sa = {.sa_handler = on_signal};
    struct itimerval it = {.it_value.tv_usec = 50000};
    kit_start(&k, IPPROTO_TCP, NULL);
    /* Only this thread is to be interrupted. */
    int fd = kit_connected(0);
    char c;
    sigaction(SIGALRM, &sa, NULL);
    pthread_kill(k.thread, 0);
    setitimer(ITIMER_REAL, &it, NULL);
    FAILS(bh_recv(fd, &c, 1, 0), EINTR);
    setitimer(ITIMER_REAL, &it, NULL);
    struct pollfd f = {.fd = fd, .events = POLLIN};
    FAILS(bh_poll(&f, 1, -1), EINTR);
    kit_end(&k);
}

/* SO_RCVTIMEO by the real clock, as leader. */
Test(client_wait, timeout)
{
    kit_start(&k, IPPROTO_TCP, NULL);
    int fd = kit_connected(0);
    struct timeval tv = {.tv_usec = 50000};
    struct timespec a, b;
    char c;
    bh_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    clock_gettime(CLOCK_MONOTONIC, &a);
    FAILS(bh_recv(fd, &c, 1, 0), EAGAIN);
    clock_gettime(CLOCK_MONOTONIC, &b);
    long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
    cr_assert(ms >= 49 && ms < 2000, "%ld ms", ms);
    kit_end(&k);
}

/* ---- the daemon goes away ---- */

/* When the supervisor's socket hangs up every socket fails with ENETDOWN, also under a
 * thread that blocks, and closing still works. */
Test(client_wait, daemon_gone)
{
    int sv[2];
    kit_start(&k, IPPROTO_TCP, NULL);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    k.lib->att[0]->fd_sup = sv[0];
    int other = kit_connected(0);
    struct blocked b = {.fd = kit_connected(0)};
    pthread_t t;
    pthread_create(&t, NULL, block_in_recv, &b);
    kit_nap(20);
    close(sv[1]);
    pthread_join(t, NULL);
    cr_assert(b.r == -1 && b.err == ENETDOWN);
    FAILS(bh_send(other, "x", 1, 0), ENETDOWN);
    FAILS(bh_listen(other, 1), ENETDOWN);
    struct pollfd f = {.fd = other, .events = POLLIN};
    cr_assert_eq(bh_poll(&f, 1, -1), 1);
    cr_assert(f.revents & POLLERR);
    cr_assert_eq(bh_close(other), 0);
    close(sv[0]);
    cr_assert_eq(bh_close(b.fd), 0);
    cr_assert_null(k.lib->att[0], "an attachment that is down and unused stays");
    kit_end(&k);
}

/* No daemon: the errno and the words that the manual promises. */
Test(client_wait, no_daemon)
{
    setenv("BULKHEAD_RUN_DIR", "/nonexistent", 1);
    setenv("BULKHEAD_INSTANCE", "nobody", 1);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), ECONNREFUSED);
    cr_assert_not_null(strstr(bh_strerror_attach(), "nobody"), "%s", bh_strerror_attach());
    setenv("BULKHEAD_INSTANCE", "../evil", 1);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), EINVAL);
    setenv("BULKHEAD_ARENA", "12Q", 1);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), EINVAL);
    cr_assert_not_null(strstr(bh_strerror_attach(), "BULKHEAD_ARENA"));
}

/* ---- poll ---- */

/* Bulkhead and kernel descriptors in one poll, whichever is first; POLLNVAL for nonsense. */
Test(client_wait, poll_mixed)
{
    int pfd[2];
    char c;
    kit_start(&k, IPPROTO_TCP, NULL);
    cr_assert_eq(pipe(pfd), 0);
    int fd = kit_connected(0);
    struct pollfd f[4] = {{.fd = pfd[0], .events = POLLIN},
                          {.fd = fd, .events = POLLIN},
                          {.fd = -1, .events = POLLIN, .revents = 7},
                          {.fd = pfd[1], .events = 0}};
    cr_assert_eq(bh_poll(f, 4, 10), 0);
    cr_assert_eq(f[2].revents, 0);
    cr_assert_eq(write(pfd[1], "x", 1), 1);
    cr_assert_eq(bh_poll(f, 4, -1), 1);
    cr_assert(f[0].revents == POLLIN && f[1].revents == 0);
    cr_assert_eq(read(pfd[0], &c, 1), 1);
    bh_send(fd, "y", 1, 0);
    cr_assert_eq(bh_poll(f, 4, -1), 1);
    cr_assert(f[0].revents == 0 && f[1].revents == POLLIN);
    cr_assert_eq(write(pfd[1], "x", 1), 1);
    cr_assert_eq(bh_poll(f, 4, -1), 2);
    f[1].fd = BH_FD_BASE + 4000;
    cr_assert_eq(bh_poll(f, 4, -1), 2);
    cr_assert_eq(f[1].revents, POLLNVAL);
    kit_end(&k);
}

static void *
poll_job(void *arg)
{
    struct blocked *b = arg;
    struct pollfd f = {.fd = b->fd, .events = POLLIN};
    b->r = bh_poll(&f, 1, 10000);
    b->err = f.revents;
    return NULL;
}

/* A thread in recv leads, another in poll follows, and the other way round. */
Test(client_wait, poll_beside_recv)
{
    kit_start(&k, IPPROTO_TCP, NULL);
    for (int turn = 0; turn < 2; turn++) {
        struct blocked b[2] = {{.fd = kit_connected(0)}, {.fd = kit_connected(0)}};
        pthread_t t[2];
        pthread_create(&t[0], NULL, turn ? poll_job : block_in_recv, &b[0]);
        kit_nap(20);
        pthread_create(&t[1], NULL, turn ? block_in_recv : poll_job, &b[1]);
        kit_nap(20);
        bh_send(b[1].fd, "a", 1, 0);
        pthread_join(t[1], NULL);
        cr_assert_eq(b[1].r, 1);
        bh_send(b[0].fd, "a", 1, 0);
        pthread_join(t[0], NULL);
        cr_assert_eq(b[0].r, 1);
    }
    kit_end(&k);
}

/* ---- the event descriptor ---- */

/* Level-triggered, quiet when nothing is ready, readable as long as something is. */
Test(client_wait, event_descriptor)
{
    struct bh_event ev[8];
    char c;
    kit_start(&k, IPPROTO_TCP, NULL);
    int efd = bh_event_fd();
    int fd = kit_connected(SOCK_NONBLOCK), other = kit_connected(SOCK_NONBLOCK);
    cr_assert(efd >= 0 && bh_event_fd() == efd);
    bh_watch(fd, POLLIN, &fd);
    bh_watch(other, POLLIN, &other);
    cr_assert(kit_fd_readable(efd, 0), "a new watch must be looked at");
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    cr_assert(!kit_fd_readable(efd, 20), "nothing is ready");
    bh_send(fd, "ab", 2, 0);
    cr_assert(kit_fd_readable(efd, 5000));
    cr_assert_eq(bh_ready_events(ev, 8), 1);
    cr_assert(ev[0].fd == fd && ev[0].arg == &fd && ev[0].revents == POLLIN);
    cr_assert(kit_fd_readable(efd, 0), "still ready");
    cr_assert_eq(bh_ready_events(ev, 8), 1);
    bh_recv(fd, &c, 1, 0);
    cr_assert_eq(bh_ready_events(ev, 8), 1, "one byte is left");
    bh_recv(fd, &c, 1, 0);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    cr_assert(!kit_fd_readable(efd, 20));
    bh_watch(fd, POLLIN | POLLOUT, &fd);
    cr_assert(kit_fd_readable(efd, 0));
    cr_assert_eq(bh_ready_events(ev, 8), 1);
    cr_assert_eq(ev[0].revents, POLLOUT);
    bh_watch(fd, 0, NULL);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    bh_send(fd, "ab", 2, 0);
    kit_nap(20);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    bh_close(fd);
    bh_close(other);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    kit_end(&k);
}

/* More ready sockets than fit: each has its turn before one has two. */
Test(client_wait, event_fairness)
{
    enum { N = 10 };
    struct bh_event ev[4];
    int fd[N], seen[N] = {0};
    kit_start(&k, IPPROTO_TCP, NULL);
    bh_event_fd();
    for (int i = 0; i < N; i++) {
        fd[i] = kit_connected(SOCK_NONBLOCK);
        bh_watch(fd[i], POLLOUT, &seen[i]);
    }
    for (int turn = 0; turn < 5; turn++) {
        cr_assert_eq(bh_ready_events(ev, 4), 4);
        for (int i = 0; i < 4; i++)
            (*(int *)ev[i].arg)++;
    }
    for (int i = 0; i < N; i++)
        cr_assert_eq(seen[i], 2, "socket %d: %d", i, seen[i]);
    kit_end(&k);
}

/* A thread that blocks takes the events in; the sleeping loop hears of its own. */
Test(client_wait, event_descriptor_beside_thread)
{
    struct bh_event ev[8];
    kit_start(&k, IPPROTO_TCP, NULL);
    int efd = bh_event_fd(), fd = kit_connected(SOCK_NONBLOCK);
    struct blocked b = {.fd = kit_connected(0)};
    pthread_t t;
    bh_watch(fd, POLLIN, NULL);
    cr_assert_eq(bh_ready_events(ev, 8), 0);
    pthread_create(&t, NULL, block_in_recv, &b);
    kit_nap(20);
    for (int i = 0; i < 20; i++) {
        char c;
        bh_send(fd, "x", 1, 0);
        cr_assert(kit_fd_readable(efd, 5000), "round %d", i);
        while (bh_ready_events(ev, 8) > 0)
            bh_recv(fd, &c, 1, 0);
    }
    bh_send(b.fd, "x", 1, 0);
    pthread_join(t, NULL);
    cr_assert_eq(b.r, 1);
    bh_send(fd, "x", 1, 0);
    cr_assert(kit_fd_readable(efd, 5000));
    kit_end(&k);
}

/* ---- libevent ---- */

struct echo {
    struct event_base *base;
    struct bh_ev_base *eb;
    struct bh_ev *ev[8];
    unsigned left, timeouts, live;
};

static void
on_echo(int fd, short what, void *arg)
{
    struct echo *e = arg;
    char buf[64];
    unsigned i = 0;
    while (bh_ev_fd(e->ev[i]) != fd)
        i++;
    if (what & EV_TIMEOUT) {
        e->timeouts++;
        return;
    }
    cr_assert_eq(what, EV_READ);
    ssize_t n = bh_recv(fd, buf, sizeof buf, 0);
    cr_assert(n > 0);
    if (e->left-- > 0) {
        cr_assert_eq(bh_send(fd, buf, (size_t)n, 0), n);
        return;
    }
    e->left = 0;
    bh_ev_del(e->ev[i]);
    if (--e->live == 0)
        event_base_loopbreak(e->base);
}

static void
too_long(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    cr_assert_fail("the loop hangs");
}

/* Eight sockets ping-pong in a libevent loop; one event a base; a base a process. */
Test(client_wait, libevent)
{
    struct echo e = {.left = 2000, .live = 8};
    kit_start(&k, IPPROTO_TCP, NULL);
    e.base = event_base_new();
    e.eb = bh_ev_base_new(e.base);
    cr_assert_not_null(e.eb);
    cr_assert_null(bh_ev_base_new(e.base));
    cr_assert_eq(errno, EBUSY);
    for (unsigned i = 0; i < 8; i++) {
        int fd = kit_connected(SOCK_NONBLOCK);
        e.ev[i] = bh_ev_new(e.eb, fd, EV_READ | EV_PERSIST, on_echo, &e);
        cr_assert_eq(bh_ev_add(e.ev[i], NULL), 0);
        bh_send(fd, "ping", 4, 0);
    }
    struct event *watchdog = evtimer_new(e.base, too_long, NULL);
    struct timeval ten = {.tv_sec = 20}, soon = {.tv_usec = 20000};
    evtimer_add(watchdog, &ten);
    event_base_dispatch(e.base);
    cr_assert_eq(e.live, 0);
    cr_assert_eq(bh_ev_add(e.ev[0], &soon), 0);
    while (e.timeouts < 3)
        event_base_loop(e.base, EVLOOP_ONCE);
    for (unsigned i = 0; i < 8; i++) {
        int fd = bh_ev_fd(e.ev[i]);
        bh_ev_free(e.ev[i]);
        bh_close(fd);
    }
    event_free(watchdog);
    bh_ev_base_free(e.eb);
    event_base_free(e.base);
    kit_end(&k);
}

static unsigned once_calls;

static void
on_once(int fd, short what, void *arg)
{
    struct bh_ev **ev = arg;
    (void)what;
    once_calls++;
    (void)fd;
    for (int i = 0; i < 2; i++) { /* frees itself and its neighbour, who is ready too */
        bh_ev_free(ev[i]);
        ev[i] = NULL;
    }
}

/* An event may free itself and others of the same batch from its callback. */
Test(client_wait, libevent_free_in_callback)
{
    struct bh_ev *ev[2];
    kit_start(&k, IPPROTO_TCP, NULL);
    struct event_base *base = event_base_new();
    struct bh_ev_base *eb = bh_ev_base_new(base);
    for (int i = 0; i < 2; i++) {
        ev[i] = bh_ev_new(eb, kit_connected(SOCK_NONBLOCK), EV_WRITE, on_once, ev);
        bh_ev_add(ev[i], NULL);
    }
    for (int i = 0; i < 5; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    cr_assert_eq(once_calls, 1);
    bh_ev_base_free(eb);
    event_base_free(base);
    kit_end(&k);
}

/* ---- fork ---- */

/* The child has no sockets and no bells; the parent goes on. */
Test(client_wait, fork_leaves_the_child_without)
{
    setenv("BULKHEAD_RUN_DIR", "/nonexistent", 1);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), ECONNREFUSED);
    int efd = bh_event_fd();
    cr_assert(efd >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool gone = fcntl(efd, F_GETFD) == -1 && errno == EBADF;
        int again = bh_event_fd();
        _exit(gone && again >= 0 ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_eq(bh_event_fd(), efd);
}
