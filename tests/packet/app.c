/* SPDX-License-Identifier: BSD-2-Clause
 *
 * app.c: the program's side: calls of the client library, never blocking. On a running stack
 * what a call waits for may take a moment, so it is asked again before it counts as a failure.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "lib/client/bulkhead.h"
#include "run.h"

#define PATIENCE (3 * NS_S)
#define ASK_AGAIN (5 * NS_MS)
#define CHUNK 65536u

static struct sockaddr_in
address(uint32_t addr, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
}

static int64_t
result(ssize_t n)
{
    return n >= 0 ? n : -errno;
}

static int64_t
do_send(struct sock *s, int64_t n)
{
    uint8_t buf[CHUNK];
    int64_t done = 0;
    do {
        uint32_t part = (uint32_t)min_u64((uint64_t)(n - done), sizeof buf);
        for (uint32_t i = 0; i < part; i++)
            buf[i] = stream_byte(s->tx + i);
        int64_t k = result(bh_send(s->fd, buf, part, MSG_DONTWAIT));
        if (k < 0)
            return done != 0 ? done : k;
        s->tx += (uint64_t)k;
        done += k;
        if (k < part)
            break;
    } while (done < n);
    return done;
}

/* Reads up to n bytes; a byte that is not the stream's: -EBADMSG. */
static int64_t
do_recv(struct sock *s, int64_t n)
{
    uint8_t buf[CHUNK];
    int64_t done = 0;
    while (done < n) {
        size_t part = min_u64((uint64_t)(n - done), sizeof buf);
        int64_t k = result(bh_recv(s->fd, buf, part, MSG_DONTWAIT));
        if (k <= 0)
            return done != 0 ? done : k;
        for (int64_t i = 0; i < k; i++)
            if (buf[i] != stream_byte(s->rx + (uint64_t)i))
                return -EBADMSG;
        s->rx += (uint64_t)k;
        done += k;
    }
    return done;
}

static int64_t
do_set(struct sock *s, const struct call_spec *c)
{
    int v = (int)c->value;
    struct linger l = {.l_onoff = v >= 0, .l_linger = v > 0 ? v : 0};
    bool linger = c->level == SOL_SOCKET && c->name == SO_LINGER;
    if (c->level == IPPROTO_TCP && c->name == TCP_CONGESTION)
        return result(bh_setsockopt(s->fd, c->level, c->name, congestions[c->value],
                                    (socklen_t)strlen(congestions[c->value])));
    return result(bh_setsockopt(s->fd, c->level, c->name, linger ? (void *)&l : (void *)&v,
                                linger ? sizeof l : sizeof v));
}

static int64_t
do_info(struct sock *s, size_t place)
{
    struct tcp_info info;
    uint32_t field;
    socklen_t len = sizeof info;
    int64_t ret = result(bh_getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    if (ret < 0)
        return ret;
    memcpy(&field, (const char *)&info + place, sizeof field);
    return field;
}

static int64_t
do_get(struct sock *s, const struct call_spec *c)
{
    if (c->level == INFO_LEVEL)
        return do_info(s, (size_t)c->name);
    struct linger l = {0};
    int v = 0;
    bool linger = c->level == SOL_SOCKET && c->name == SO_LINGER;
    socklen_t len = linger ? sizeof l : sizeof v;
    int64_t ret =
        result(bh_getsockopt(s->fd, c->level, c->name, linger ? (void *)&l : (void *)&v, &len));
    if (ret < 0)
        return ret;
    return linger ? (l.l_onoff ? l.l_linger : -1) : v;
}

static int64_t
do_accept(struct run *r, struct sock *s, const struct call_spec *c)
{
    int fd = bh_accept4(s->fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (c->made != 0)
        r->sock[c->made - 'a'] = (struct sock){.fd = fd};
    return 0;
}

static int64_t
do_connect(struct run *r, struct sock *s, const struct call_spec *c)
{
    struct sockaddr_in to = address(r->l->peer, r->peer[r->cur].rport);
    int64_t ret = result(bh_connect(s->fd, (struct sockaddr *)&to, sizeof to));
    return ret == -EINPROGRESS && !c->has_result ? 0 : ret;
}

static int64_t
do_bind(struct run *r, struct sock *s, const struct call_spec *c)
{
    struct sockaddr_in sin = address(0, (uint16_t)(r->l->lport + c->value));
    r->port = (uint16_t)c->value;
    r->peer[r->cur].lport = (uint16_t)(r->l->lport + c->value);
    return result(bh_bind(s->fd, (struct sockaddr *)&sin, sizeof sin));
}

static int64_t
do_call(struct run *r, struct sock *s, const struct call_spec *c)
{
    switch (c->call) {
    case CALL_SOCKET:
        *s = (struct sock){.fd = bh_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
        return s->fd >= 0 ? 0 : -errno;
    case CALL_BIND:
        return do_bind(r, s, c);
    case CALL_LISTEN:
        return result(bh_listen(s->fd, (int)c->value));
    case CALL_ACCEPT:
        return do_accept(r, s, c);
    case CALL_CONNECT:
        return do_connect(r, s, c);
    case CALL_SEND:
        return do_send(s, c->value);
    case CALL_RECV:
        return do_recv(s, c->value);
    case CALL_SHUTDOWN:
        return result(bh_shutdown(s->fd, (int)c->value));
    case CALL_CLOSE: {
        int fd = s->fd;
        s->fd = -1;
        return result(bh_close(fd));
    }
    case CALL_SET:
        return do_set(s, c);
    case CALL_GET:
        return do_get(s, c);
    }
    return -EINVAL;
}

static int64_t
wanted(const struct call_spec *c)
{
    if (c->has_result)
        return c->result;
    return c->call == CALL_SEND || c->call == CALL_RECV ? c->value : 0;
}

/* May it be that what is wanted has only not happened yet? */
static bool
too_early(const struct call_spec *c, int64_t got, int64_t want)
{
    switch (c->call) {
    case CALL_ACCEPT:
    case CALL_RECV:
        return got == -EAGAIN && want != -EAGAIN;
    case CALL_SEND: /* an error that is on its way: this is not meant to send */
        return false;
    case CALL_GET:
        return c->level == INFO_LEVEL ? got != want : got == 0 && want != 0;
    default:
        return false;
    }
}

bool
app_call(struct run *r, const struct call_spec *c)
{
    struct sock *s = &r->sock[c->sock - 'a'];
    struct link *l = r->l;
    int64_t want = wanted(c), got = do_call(r, s, c);
    ns_t end = l->now(l) + PATIENCE;
    while (l->real && l->now(l) < end) {
        bool more = c->call == CALL_RECV && got > 0 && got < want;
        if (!more && !too_early(c, got, want))
            break;
        l->pass(l, r, l->now(l) + ASK_AGAIN, false);
        int64_t k = more ? do_recv(s, want - got) : do_call(r, s, c);
        got = !more ? k : k > 0 ? got + k : got;
    }
    if (got == want)
        return true;
    char text[2][40];
    int64_t v[2] = {got, want};
    for (unsigned i = 0; i < 2; i++)
        snprintf(text[i], sizeof text[i], v[i] < -1 ? "%s (%lld)" : "%s%lld",
                 v[i] < -1 ? errno_name((int)-v[i]) : "", (long long)v[i]);
    return run_fail(r, "the call gave %s, not %s", text[0], text[1]);
}

void
app_end(struct run *r)
{
    for (unsigned i = 0; i < ARRAY_LEN(r->sock); i++)
        if (r->sock[i].fd >= 0)
            (void)bh_close(r->sock[i].fd);
}
