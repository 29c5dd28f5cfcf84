/* SPDX-License-Identifier: BSD-2-Clause
 *
 * poll_wait.c: programs that wait in poll, select and epoll while others act: what wakes them,
 * whom, how often, and when they give up. Protects: nobody sleeps over an event, and nobody is
 * woken for none.
 */
#include "suite.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SOON 150 /* milliseconds */

static int p[2], l;

/* --- what happens meanwhile, in another thread --- */

static void
send_one(void)
{
    send_text(p[1], "x");
}

static void
end_it(void)
{
    shutdown(p[1], SHUT_WR);
}

static void
reset_it(void)
{
    struct linger hard = {.l_onoff = 1};
    setsockopt(p[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(p[1]);
}

static void
make_room(void)
{
    drain(p[1]);
}

static void
connect_to_it(void)
{
    connected_to(l);
}

static void
shut_own(void)
{
    shutdown(p[0], SHUT_RD);
}

static void
nothing(void)
{
}

static void *
act(void *arg)
{
    pause_ms(SOON);
    (*(void (**)(void))arg)();
    return NULL;
}

/* --- the ways of waiting, each for a second at most --- */

static int
by_poll(int fd, short events)
{
    struct pollfd w = {.fd = fd, .events = events};
    return poll(&w, 1, 1000);
}

static int
by_ppoll(int fd, short events)
{
    struct pollfd w = {.fd = fd, .events = events};
    struct timespec t = {.tv_sec = 1};
    return ppoll(&w, 1, &t, NULL);
}

static int
by_select(int fd, short events)
{
    fd_set s;
    struct timeval t = {.tv_sec = 1};
    FD_ZERO(&s);
    FD_SET(fd, &s);
    return select(fd + 1, events & POLLIN ? &s : NULL, events & POLLOUT ? &s : NULL, NULL, &t);
}

static int
by_pselect(int fd, short events)
{
    fd_set s;
    struct timespec t = {.tv_sec = 1};
    FD_ZERO(&s);
    FD_SET(fd, &s);
    return pselect(fd + 1, events & POLLIN ? &s : NULL, events & POLLOUT ? &s : NULL, NULL, &t,
                   NULL);
}

static int
by_epoll_with(int fd, uint32_t events)
{
    struct epoll_event v = {.events = events};
    int set = epoll_create1(0);
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &v) != 0)
        give_up("EPOLL_CTL_ADD");
    int n = epoll_wait(set, &v, 1, 1000);
    close(set);
    return n;
}

static int
by_epoll(int fd, short events)
{
    return by_epoll_with(fd, (uint32_t)events);
}

static int
by_edge(int fd, short events)
{
    return by_epoll_with(fd, (uint32_t)events | EPOLLET);
}

static int
by_nested(int fd, short events)
{
    struct epoll_event v = {.events = (uint32_t)events};
    int set = epoll_create1(0);
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &v) != 0)
        give_up("EPOLL_CTL_ADD");
    int n = by_poll(set, POLLIN);
    close(set);
    return n;
}

static const struct {
    const char *name;
    int (*wait)(int fd, short events);
} ways[] = {
    {"poll", by_poll},   {"ppoll", by_ppoll}, {"select", by_select}, {"pselect", by_pselect},
    {"epoll", by_epoll}, {"edge", by_edge},   {"nested", by_nested},
};

static void
each_way(const char *what, void (*meanwhile)(void), bool of_listener, short events)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        pthread_t t;
        if (of_listener)
            l = listening();
        else
            tcp_pair(p);
        if (events == POLLOUT)
            fill(p[0]);
        double since = now_s();
        pthread_create(&t, NULL, act, &meanwhile);
        int n = ways[i].wait(of_listener ? l : p[0], events);
        double took = now_s() - since;
        say("%s, %s: %d, %s", what, ways[i].name, n,
            took < SOON / 1e3 * 0.9 ? "too early"
            : took < 0.9            ? "when it happened"
            : took < 0.99           ? "early"
                                    : "after the second");
        pthread_join(t, NULL);
        close(of_listener ? l : p[0]);
    }
}

static void
woken(void)
{
    each_way("a byte", send_one, false, POLLIN);
    each_way("a connection", connect_to_it, true, POLLIN);
    each_way("nothing", nothing, false, POLLIN);
}

static void
woken_by_ends(void)
{
    each_way("the peer's end", end_it, false, POLLIN);
    each_way("a reset", reset_it, false, POLLIN);
    each_way("own shutdown", shut_own, false, POLLIN);
}

static void
woken_by_room(void)
{
    each_way("room", make_room, false, POLLOUT);
}

static atomic_int wakes;

static void *
waits_exclusive(void *arg)
{
    struct epoll_event v = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int set = epoll_create1(0);
    (void)arg;
    if (epoll_ctl(set, EPOLL_CTL_ADD, l, &v) != 0)
        give_up("EPOLLEXCLUSIVE");
    if (epoll_wait(set, &v, 1, 1000) == 1 && accept(l, NULL, NULL) >= 0)
        wakes++;
    close(set);
    return NULL;
}

static void
exclusive(void)
{
    pthread_t t[4];
    l = listening();
    set_nonblocking(l);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, waits_exclusive, NULL);
    pause_ms(SOON);
    connected_to(l);
    pause_ms(SOON);
    say("one connection, accepted: %d", wakes);
    for (int i = 0; i < 3; i++) {
        connected_to(l);
        pause_ms(SOON);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    while (accept(l, NULL, NULL) >= 0)
        wakes++;
    say("four connections, accepted: %d", wakes);
    struct epoll_event v = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int set = epoll_create1(0);
    said("exclusive", epoll_ctl(set, EPOLL_CTL_ADD, l, &v));
    said("and modified", epoll_ctl(set, EPOLL_CTL_MOD, l, &v));
}

static int shared;

static void *
waits_shared(void *arg)
{
    struct epoll_event v;
    (void)arg;
    if (epoll_wait(shared, &v, 1, 600) == 1)
        wakes++;
    return NULL;
}

static void
one_set(void) /* four threads wait on one set */
{
    static const struct {
        const char *name;
        uint32_t flag;
    } kinds[] = {{"edge", EPOLLET}, {"one-shot", EPOLLONESHOT}};
    for (int k = 0; k < 2; k++) {
        pthread_t t[4];
        struct epoll_event v = {.events = EPOLLIN | kinds[k].flag};
        tcp_pair(p);
        shared = epoll_create1(0);
        epoll_ctl(shared, EPOLL_CTL_ADD, p[0], &v);
        wakes = 0;
        for (int i = 0; i < 4; i++)
            pthread_create(&t[i], NULL, waits_shared, NULL);
        pause_ms(SOON);
        send_text(p[1], "x");
        for (int i = 0; i < 4; i++)
            pthread_join(t[i], NULL);
        say("%s: one byte wakes %d of four", kinds[k].name, wakes);
    }
}

static volatile sig_atomic_t alarms;

static void
alarmed(int signal)
{
    (void)signal;
    alarms++;
}

static void
signals(void)
{
    struct itimerval soon = {.it_value = {.tv_usec = SOON * 1000}};
    struct sigaction act_on = {.sa_handler = alarmed, .sa_flags = SA_RESTART};
    sigset_t blocked, none;
    tcp_pair(p);
    sigaction(SIGALRM, &act_on, NULL);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        setitimer(ITIMER_REAL, &soon, NULL);
        said(ways[i].name, ways[i].wait(p[0], POLLIN));
    }
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    alarms = 0;
    setitimer(ITIMER_REAL, &soon, NULL);
    said("poll, the signal blocked", by_poll(p[0], POLLIN));
    say("signals %d", (int)alarms);
    struct pollfd w = {.fd = p[0], .events = POLLIN};
    said("ppoll that lets it in", ppoll(&w, 1, NULL, &none));
    say("signals %d", (int)alarms);
    setitimer(ITIMER_REAL, &soon, NULL);
    struct epoll_event v = {.events = EPOLLIN};
    int set = epoll_create1(0);
    epoll_ctl(set, EPOLL_CTL_ADD, p[0], &v);
    said("epoll_pwait that lets it in", epoll_pwait(set, &v, 1, 2000, &none));
    say("signals %d", (int)alarms);
    send_text(p[1], "x");
    setitimer(ITIMER_REAL, &soon, NULL);
    pause_ms(2 * SOON);
    said("ppoll with an event and a signal", ppoll(&w, 1, NULL, &none) != 0);
}

#define MANY 300

static void
many(void)
{
    static struct pollfd w[MANY];
    static int other[MANY];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < MANY; i++) {
        tcp_pair(p);
        w[i] = (struct pollfd){.fd = p[0], .events = POLLIN};
        other[i] = p[1];
    }
    said("poll of 300", poll(w, MANY, 0));
    for (int i = 0; i < MANY; i += 7)
        send_text(other[i], "x");
    pause_ms(SOON);
    said("poll of 300, one in seven has a byte", poll(w, MANY, 0));
    int wrong = 0;
    for (int i = 0; i < MANY; i++)
        wrong += (w[i].revents != 0) != (i % 7 == 0);
    say("wrong ones: %d", wrong);
    fd_set s;
    FD_ZERO(&s);
    for (int i = 0; i < MANY; i++)
        FD_SET(w[i].fd, &s);
    struct timeval t = {0};
    said("select of 300", select(FD_SETSIZE, &s, NULL, NULL, &t));
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"woken", woken},
        {"woken-by-ends", woken_by_ends},
        {"woken-by-room", woken_by_room},
        {"exclusive", exclusive},
        {"one-set", one_set},
        {"signals", signals},
        {"many", many},
    };
    return suite_main(argc, argv, CASES(cases));
}
