/* SPDX-License-Identifier: BSD-2-Clause
 *
 * attack_control.c: what can be said to the supervisor over a client's connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chan.h"

static bool
hung_up(int s, int ms)
{
    struct pollfd p = {.fd = s, .events = POLLIN};
    static uint8_t buf[65536];
    double end = chan_now() + ms / 1000.0;
    while (chan_now() < end) {
        if (poll(&p, 1, 10) == 1 && recv(s, buf, sizeof buf, MSG_DONTWAIT) <= 0)
            return true;
    }
    return false;
}

/* Any bytes, with any number of descriptors; where the kernel keeps those from the daemon
 * (Linux 6.16), without them, and one byte short so that it is wrong all the same. */
static void
say(int s, const void *data, size_t len, unsigned nfds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(64 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (nfds > 0) {
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        for (unsigned i = 0; i < nfds; i++)
            memcpy(CMSG_DATA(cm) + i * sizeof(int), &s, sizeof s);
    }
    if (sendmsg(s, &mh, MSG_NOSIGNAL) < 0 && errno == EPERM && nfds > 0)
        say(s, data, len > 0 ? len - 1 : 0, 0);
}

/* Truncated, stretched, of another's type, with descriptors: the first such message is the last
 * of its connection, and what came with it is closed. */
static void
ctl_garbage(void)
{
    static uint8_t big[60000];
    struct ctl_msg m;
    uint8_t *raw = (uint8_t *)(void *)&m;
    int s = chan_connect();
    for (size_t i = 0; i < sizeof m; i++)
        raw[i] = (uint8_t)chan_rnd();
    unsigned what = chan_rnd() % 5, type = 1 + chan_rnd() % (CTL_TYPES - 1);
    size_t len = ctl_bytes(type);
    m.magic = CTL_MAGIC;
    m.version = CTL_VERSION;
    m.type = (uint16_t)type;
    if (what == 0)
        say(s, &m, chan_rnd() % (len + 1), 0);
    else if (what == 1)
        say(s, &m, len, 1 + chan_rnd() % 60);
    else if (what == 2)
        say(s, big, sizeof big, 0);
    else if (what == 3)
        say(s, raw + 1, sizeof m - 1, chan_rnd() % 3);
    else
        say(s, &m, len, ctl_fds(type));
    MUST(hung_up(s, 3000), "garbage of kind %u, type %u, is no reason to hang up", what, type);
    close(s);
}

/* Well-formed messages that a client has no business to send, or not now. */
static void
ctl_order(void)
{
    struct chan c;
    struct ctl_msg m = {.type = (uint16_t)(1 + chan_rnd() % (CTL_TYPES - 1))};
    int dev_null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fd[CTL_FDS_MAX];
    for (unsigned i = 0; i < CTL_FDS_MAX; i++)
        fd[i] = dev_null;
    bool attached = chan_rnd() % 2;
    chan_open(&c, IPPROTO_TCP);
    int s = attached ? c.sup : chan_connect();
    if (m.type == CTL_HELLO && !attached)
        m.type = CTL_READY;
    if (m.type == CTL_HELLO)
        m.hello = (struct ctl_hello){
            .layout = SESSION_LAYOUT_VERSION, .proto = IPPROTO_TCP, .g = c.v.g};
    if ((m.type == CTL_WANT_STANDINS || m.type == CTL_WANT_STANDIN) && attached) /* its own */
        m.type = CTL_READY;
    if (m.type == CTL_STANDINS)
        m.standins.n = CTL_STANDINS_MAX;
    if (m.type == CTL_CLIENT_FREE || m.type == CTL_CLIENT_GONE)
        m.client.id = 0;
    if (ctl_send(s, &m, fd) == 0)
        MUST(hung_up(s, 3000), "message %u is taken from a client (attached: %d)", m.type,
             attached);
    if (!attached)
        close(s);
    chan_close(&c);
    close(dev_null);
}

/* As fast as it goes: connect, ask for an arena, and hang up before it comes. */
static void
ctl_storm(void)
{
    struct ctl_msg m = {.type = CTL_HELLO};
    unsigned sent = 0;
    for (unsigned i = 0; i < 1000; i++) {
        int s = chan_connect();
        m.hello = (struct ctl_hello){.layout = SESSION_LAYOUT_VERSION, .proto = IPPROTO_TCP};
        m.hello.g = (struct arena_geometry){64, 64, 64, 64, 64};
        sent += ctl_send(s, &m, NULL) == 0;
        close(s);
    }
    MUST(sent > 0, "not one of 1000 connections could speak");
}

/* Many connections that say nothing: only so many wait, and others still get in. */
static void
ctl_silent(void)
{
    int s[64];
    unsigned refused = 0;
    for (unsigned i = 0; i < ARRAY_LEN(s); i++)
        s[i] = chan_connect();
    usleep(100000);
    for (unsigned i = 0; i < ARRAY_LEN(s); i++)
        refused += hung_up(s[i], 2);
    MUST(refused >= 32, "%u connections of one user may wait", 64 - refused);
    for (unsigned i = 0; i < ARRAY_LEN(s); i++)
        close(s[i]);
}

/* More clients than an account may have; each that is let in stays. */
static void
ctl_many(void)
{
    static struct chan c[200];
    unsigned n = 0;
    int r = 0;
    for (; n < ARRAY_LEN(c) && (r = chan_try(&c[n], IPPROTO_UDP)) == 0; n++)
        ;
    MUST(n < ARRAY_LEN(c), "%u clients of one user are let in", n);
    MUST(r == DENIED_CLIENTS || r == -ECONNRESET, "refused with %d", r);
    while (n > 0)
        chan_close(&c[--n]);
    usleep(300000);
}

/* Take stand-ins, one or a batch, let them stand for any session under any number, and do to
 * them what is not to be done. The daemon says no in time, and has its descriptors back in the
 * end.
 */
static void
standins(void)
{
    struct chan c;
    struct ctl_msg m;
    int fd[CTL_FDS_MAX], kept[64];
    char junk[512] = "";
    unsigned n = 0, had = 0;
    chan_open(&c, chan_rnd() % 2 ? IPPROTO_TCP : IPPROTO_UDP);
    for (double end = chan_now() + 0.3; chan_now() < end;) {
        bool one = chan_rnd() % 4 == 0;
        m = (struct ctl_msg){.type = one ? CTL_WANT_STANDIN : CTL_WANT_STANDINS};
        MUST(ctl_send(c.sup, &m, NULL) == 0 && ctl_recv(c.sup, &m, fd) == 1, "no answer");
        if (m.type == CTL_DENIED) {
            MUST(had >= 4 * CTL_STANDINS_MAX, "%u stand-ins are all there are", had);
            while (n > 0)
                close(kept[--n]);
            continue;
        }
        MUST(m.type == (one ? CTL_STANDIN : CTL_STANDINS), "message %u for an answer", m.type);
        had += m.standins.n;
        for (unsigned i = 0; i < m.standins.n; i++) {
            struct sess_req r = {.op = REQ_STANDIN, .level = (int32_t)chan_rnd()};
            r.handle = chan_rnd() % 4 ? chan_socket(&c, NULL) : chan_rnd();
            r.value = chan_rnd() % 4 ? m.standins.number[i] : chan_rnd();
            (void)chan_post(&c, r);
            chan_ring(&c);
            for (unsigned k = 0; k < 8; k++)
                (void)!send(fd[i], junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (chan_rnd() % 4 == 0)
                (void)shutdown(fd[i], (int)(chan_rnd() % 3));
            if (n < ARRAY_LEN(kept) && chan_rnd() % 2)
                kept[n++] = fd[i];
            else
                close(fd[i]);
        }
    }
    while (n > 0)
        close(kept[--n]);
    MUST(!chan_dead(&c, 0), "an honest channel was cut off");
    chan_close(&c);
}

const struct attack attack_control[] = {{"ctl-garbage", ctl_garbage},
                                        {"ctl-order", ctl_order},
                                        {"ctl-storm", ctl_storm},
                                        {"ctl-silent", ctl_silent},
                                        {"ctl-many", ctl_many},
                                        {"standins", standins},
                                        {NULL, NULL}};
