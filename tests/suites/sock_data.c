/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sock_data.c: bytes through a connection by every call and flag that moves them, waiting and
 * not waiting, timed out, interrupted, and from several threads. Protects: no byte is lost,
 * doubled or changed, and whoever waits is woken by what should wake him, and by nothing else.
 */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int p[2]; /* the pair of the case */

static void
calls(void)
{
    char b[64], c[64];
    tcp_pair(p);
    said("write", write(p[0], "write.", 6));
    struct iovec out[3] = {{"writev,", 7}, {"", 0}, {"two.", 4}};
    said("writev", writev(p[0], out, 3));
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
    said("sendmsg", sendmsg(p[0], &m, 0));
    struct sockaddr_in a = host_addr(htons(9));
    said("sendto with an address", sendto(p[0], "sendto.", 7, 0, (void *)&a, sizeof a));
    await(p[1], POLLIN);
    pause_ms(100);
    memset(b, 0, sizeof b);
    said("read", read(p[1], b, 6));
    say("%s", b);
    struct iovec in[2] = {{b, 5}, {c, 6}};
    memset(c, 0, sizeof c);
    said("readv", readv(p[1], in, 2));
    say("%.5s|%.6s", b, c);
    struct sockaddr_in from;
    memset(&from, 0x5a, sizeof from);
    struct msghdr r = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = in, .msg_iovlen = 2};
    said("recvmsg", recvmsg(p[1], &r, 0));
    say("%.5s|%.6s, name length %u, flags %#x", b, c, r.msg_namelen, (unsigned)r.msg_flags);
    socklen_t len = sizeof from;
    said("recvfrom", recvfrom(p[1], b, sizeof b, 0, (void *)&from, &len));
    say("%.7s, name length %u", b, len);
    said("send of nothing", send(p[0], b, 0, 0));
    said("recv of nothing", recv(p[1], b, 0, MSG_DONTWAIT));
    said("read of nothing", read(p[1], b, 0));
    said("recv with MSG_ERRQUEUE", recv(p[1], b, 5, MSG_ERRQUEUE));
}

static void
flags(void)
{
    char b[64] = "";
    int n = -1;
    tcp_pair(p);
    said("MSG_DONTWAIT", recv(p[1], b, 1, MSG_DONTWAIT));
    said("FIONREAD", ioctl(p[1], FIONREAD, &n));
    say("%d bytes", n);
    send_text(p[0], "abcdefghij");
    await(p[1], POLLIN);
    said("FIONREAD", ioctl(p[1], FIONREAD, &n));
    say("%d bytes", n);
    said("MSG_PEEK", recv(p[1], b, 4, MSG_PEEK));
    said("MSG_PEEK again", recv(p[1], b, 64, MSG_PEEK));
    say("%.10s", b);
    said("MSG_TRUNC throws away", recv(p[1], NULL, 3, MSG_TRUNC));
    said("recv", recv(p[1], b, 3, 0));
    say("%.3s", b);
    struct iovec v = {b, 2};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    said("recvmsg with MSG_PEEK", recvmsg(p[1], &m, MSG_PEEK));
    say("%.2s flags %#x", b, (unsigned)m.msg_flags);
    said("SIOCOUTQ", ioctl(p[0], SIOCOUTQ, &n));
    pause_ms(300);
    said("SIOCOUTQ, later", ioctl(p[0], SIOCOUTQ, &n));
    say("%d bytes on their way", n);
    said("MSG_MORE", send(p[0], "12", 2, MSG_MORE));
    said("the rest", send(p[0], "34", 2, 0));
    said("MSG_WAITALL", recv(p[1], b, 8, MSG_WAITALL));
    say("%.8s", b);
    set_nonblocking(p[1]);
    said("O_NONBLOCK", recv(p[1], b, 1, 0));
    said("O_NONBLOCK and MSG_WAITALL", recv(p[1], b, 8, MSG_WAITALL));
    said("an ioctl that is no socket's", ioctl(p[1], 0x12345, &n));
}

static void *
later(void *arg) /* two pieces, then the end */
{
    const char *text = arg;
    pause_ms(150);
    send_text(p[0], text);
    pause_ms(150);
    send_text(p[0], text);
    pause_ms(150);
    shutdown(p[0], SHUT_WR);
    return NULL;
}

static void
waiting(void)
{
    char b[64] = "";
    pthread_t t;
    tcp_pair(p);
    pthread_create(&t, NULL, later, "1234");
    said("a read that waits", read(p[1], b, sizeof b));
    said("MSG_WAITALL that the end cuts", recv(p[1], b, sizeof b, MSG_WAITALL));
    said("at the end", recv(p[1], b, sizeof b, MSG_WAITALL));
    pthread_join(t, NULL);
    tcp_pair(p);
    pthread_create(&t, NULL, later, "1234");
    said("MSG_WAITALL over two pieces", recv(p[1], b, 8, MSG_WAITALL));
    say("%.8s", b);
    said("MSG_PEEK that waits for the end", recv(p[1], b, 8, MSG_PEEK));
    pthread_join(t, NULL);
}

static void
timed(const char *what, ssize_t r, double since, double least)
{
    int e = errno;
    double took = now_s() - since;
    errno = e;
    said(what, r);
    say("not too early %d, not much too late %d", took >= least * 0.95, took < least + 2);
}

static void
timeouts(void)
{
    char b[8];
    struct timeval quarter = {.tv_usec = 250000}, got;
    socklen_t len = sizeof got;
    tcp_pair(p);
    said("SO_RCVTIMEO", setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &quarter, sizeof quarter));
    said("asked", getsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &got, &len));
    say("%ld s %s", (long)got.tv_sec,
        got.tv_usec >= 250000 && got.tv_usec < 260000 ? "1/4" : "?");
    double t = now_s();
    timed("recv", recv(p[1], b, sizeof b, 0), t, 0.25);
    t = now_s();
    timed("read", read(p[1], b, sizeof b), t, 0.25);
    send_text(p[0], "abc");
    t = now_s();
    timed("MSG_WAITALL with a part", recv(p[1], b, sizeof b, MSG_WAITALL), t, 0.25);
    int l = listening();
    said("of a listener", setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &quarter, sizeof quarter));
    t = now_s();
    timed("accept", accept(l, NULL, NULL), t, 0.25);
    said("SO_SNDTIMEO", setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &quarter, sizeof quarter));
    fill(p[0]);
    t = now_s();
    timed("send", send(p[0], b, sizeof b, 0), t, 0.25);
    quarter.tv_usec = 1000000;
    said("too many microseconds",
         setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &quarter, sizeof quarter));
}

static volatile sig_atomic_t alarms;

static void
alarmed(int signal)
{
    (void)signal;
    alarms++;
    if (alarms == 2)
        send(p[0], "woken", 5, MSG_NOSIGNAL);
}

static void
signals(void)
{
    char b[8] = "";
    struct sigaction act = {.sa_handler = alarmed};
    struct itimerval soon = {.it_value = {.tv_usec = 150000}};
    tcp_pair(p);
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    said("recv, interrupted", recv(p[1], b, sizeof b, 0));
    act.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    said("recv, restarted", recv(p[1], b, sizeof b, 0));
    say("%.5s", b);
    act.sa_flags = 0;
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    said("accept, interrupted", accept(listening(), NULL, NULL));
    setitimer(ITIMER_REAL, &soon, NULL);
    struct pollfd w = {.fd = p[1], .events = POLLIN};
    said("poll, interrupted", poll(&w, 1, -1));
    fill(p[0]);
    setitimer(ITIMER_REAL, &soon, NULL);
    said("send, interrupted", send(p[0], b, sizeof b, 0));
    act.sa_flags = SA_RESTART; /* with a timeout it is not restarted */
    sigaction(SIGALRM, &act, NULL);
    struct timeval second = {.tv_sec = 1};
    setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    drain(p[1]);
    setitimer(ITIMER_REAL, &soon, NULL);
    said("recv with a timeout, interrupted", recv(p[1], b, sizeof b, 0));
    say("signals %d", (int)alarms);
}

static void *
reads(void *arg)
{
    char b[8];
    (void)arg;
    return (void *)recv(p[1], b, sizeof b, 0);
}

static void *
accepts(void *arg)
{
    int fd = accept(*(int *)arg, NULL, NULL);
    return (void *)(long)(fd < 0 ? -errno : 1);
}

static void
threads(void)
{
    pthread_t t[4];
    void *r;
    tcp_pair(p);
    pthread_create(&t[0], NULL, reads, NULL);
    pause_ms(150);
    shutdown(p[1], SHUT_RD);
    pthread_join(t[0], &r);
    say("shutdown ends another thread's recv: %ld", (long)r);
    tcp_pair(p);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, reads, NULL);
    pause_ms(150);
    for (int i = 0; i < 4; i++) {
        send_text(p[0], "x");
        pause_ms(60);
    }
    long sum = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &r);
        sum += (long)r;
    }
    say("four threads wait in recv, each gets one: %ld", sum);
    int l = listening();
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, accepts, &l);
    sum = 0;
    for (int i = 0; i < 4; i++)
        connected_to(l);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &r);
        sum += (long)r;
    }
    say("four threads wait in accept, each gets one: %ld", sum);
    pthread_create(&t[0], NULL, accepts, &l);
    pause_ms(150);
    shutdown(l, SHUT_RDWR);
    pthread_join(t[0], &r);
    say("shutdown ends another thread's accept: %s", strerrorname_np((int)-(long)r));
}

static void
streams(void)
{
    char line[64] = "";
    tcp_pair(p);
    FILE *out = fdopen(p[0], "w"), *in = fdopen(p[1], "r");
    if (out == NULL || in == NULL)
        give_up("fdopen");
    say("fileno is the number: %d", fileno(out) == p[0] && fileno(in) == p[1]);
    said("fprintf", fprintf(out, "%s %d\n", "line", 1));
    said("fflush", fflush(out));
    say("fgets: %s", fgets(line, sizeof line, in) != NULL ? strtok(line, "\n") : "nothing");
    fputs("line 2\nline 3\n", out);
    said("fclose", fclose(out));
    char *all = NULL;
    size_t room = 0;
    said("getline", getline(&all, &room, in));
    said("getline", getline(&all, &room, in));
    said("at the end", getline(&all, &room, in) == -1 && feof(in));
    free(all);
    said("fseek", fseek(in, 0, SEEK_SET));
    fclose(in);
    said("the number is closed", fcntl(p[1], F_GETFD));
    tcp_pair(p);
    dprintf(p[0], "dprintf %d", 4);
    await(p[1], POLLIN);
    say_read("dprintf", p[1]);
    FILE *both = fdopen(p[0], "r+");
    fputs("both ways\n", both);
    fflush(both);
    say_read("r+", p[1]);
    send_text(p[1], "answer\n");
    say("%s", fgets(line, sizeof line, both) != NULL ? strtok(line, "\n") : "nothing");
}

#define MUCH (4u << 20)
static unsigned char
value(size_t at)
{
    return (unsigned char)((at * 2654435761u) >> 13);
}

static void *
sends_much(void *arg)
{
    unsigned char *b = malloc(MUCH);
    (void)arg;
    for (size_t i = 0; i < MUCH; i++)
        b[i] = value(i);
    for (size_t at = 0, step = 1; at < MUCH; step = step * 3 % 70001 + 1) {
        size_t len = step < MUCH - at ? step : MUCH - at;
        ssize_t n = write(p[0], b + at, len);
        if (n != (ssize_t)len)
            give_up("a write that waits takes all");
        at += len;
    }
    close(p[0]);
    free(b);
    return NULL;
}

static void
much(void)
{
    static unsigned char b[50000];
    pthread_t t;
    size_t at = 0, wrong = 0;
    tcp_pair(p);
    set_nonblocking(p[1]);
    pthread_create(&t, NULL, sends_much, NULL);
    for (ssize_t n; (n = read(p[1], b, 1 + at % sizeof b)) != 0;) {
        if (n < 0 && errno != EAGAIN)
            give_up("read");
        if (n < 0)
            await(p[1], POLLIN);
        for (ssize_t i = 0; i < n; i++)
            wrong += b[i] != value(at++);
    }
    pthread_join(t, NULL);
    say("%zu bytes, %zu wrong", at, wrong);
}

/* Small writes behind a cork go when it is lifted, or a fifth of a second later, also if the
 * writer only sleeps meanwhile, or ends. */
static void
corked(void)
{
    struct timespec long_enough = {.tv_nsec = 400000000};
    int on = 1, off = 0;
    char b[32];
    tcp_pair(p);
    setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    send_text(p[0], "head,");
    send_text(p[0], "body");
    setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    say_read("lifted", p[1]);
    setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    send_text(p[0], "slept over");
    nanosleep(&long_enough, NULL);
    say("after a sleep: %zd", recv(p[1], b, sizeof b, MSG_DONTWAIT));
    pid_t pid = fork();
    if (pid == 0) {
        send_text(p[0], "and ended");
        _exit(0);
    }
    close(p[0]);
    waitpid(pid, NULL, 0);
    say_read("the writer has ended", p[1]);
    say_read("and closed", p[1]);
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"calls", calls},       {"flags", flags},     {"waiting", waiting},
        {"timeouts", timeouts}, {"signals", signals}, {"threads", threads},
        {"stdio", streams},     {"much", much},       {"corked", corked},
    };
    return suite_main(argc, argv, CASES(cases));
}
