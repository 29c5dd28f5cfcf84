/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library's waiting, against a domain in a thread of its own with real bells: what
 * wakes whom, signals, poll with kernel descriptors, a daemon that goes away, fork.
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
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"
#include "ipc/ctl.h"
#include "lib/client/bulkhead_event.h"
#include "lib/client/private.h"

static struct kit k;

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
    k.lib->own->sup = sv[0];
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

static int daemon_at;

/* Hangs up on the first few, before they said anything and after, and turns the next away. */
static void *
be_busy(void *arg)
{
    for (unsigned i = 0; i < 6; i++) {
        struct ctl_msg m;
        int fd[CTL_FDS_MAX], s = accept(daemon_at, NULL, NULL);
        if (i % 2 == 1 || i == 5)
            (void)!ctl_recv(s, &m, fd);
        m = (struct ctl_msg){.type = CTL_DENIED, .text = {.arg = DENIED_ACCOUNT}};
        if (i == 5)
            (void)!ctl_send(s, &m, NULL);
        close(s);
    }
    return arg;
}

/* A daemon that hangs up has too much to do: who attaches tries again, and believes that it is
 * gone only when nobody listens any more. */
Test(client_wait, daemon_hangs_up)
{
    char dir[] = "/tmp/bulkhead-wait-XXXXXX";
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    pthread_t t;
    cr_assert_not_null(mkdtemp(dir));
    setenv("BULKHEAD_RUN_DIR", dir, 1);
    setenv("BULKHEAD_INSTANCE", "busy", 1);
    cr_assert(ctl_socket_path(sun.sun_path, sizeof sun.sun_path, "busy", "sock"));
    daemon_at = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(daemon_at, (struct sockaddr *)&sun, sizeof sun), 0);
    cr_assert_eq(listen(daemon_at, 8), 0);
    pthread_create(&t, NULL, be_busy, NULL);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), EACCES);
    pthread_join(t, NULL);
    close(daemon_at);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), ECONNREFUSED);
    unlink(sun.sun_path);
    rmdir(dir);
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
