/* SPDX-License-Identifier: BSD-2-Clause
 *
 * httpd_conn.c: one connection: read a request, send the answer, again.
 *
 * While an answer is on its way nothing is read, and a file is read only as the socket takes
 * it: a slow client costs one buffer at most. Work in one callback is bounded, so one fast
 * client cannot hold the others up.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "bench/httpd.h"

#define REQUESTS_A_TURN 16
#define BYTES_A_TURN (512u << 10)
#define FILE_PIECE (256u << 10)
#define LINGER_MS 2000u

static void on_event(int fd, short what, void *arg);

static void
extend(struct httpd_conn *c)
{
    c->deadline_ms = httpd_now_ms() + c->srv->timeout_ms;
}

void
httpd_conn_new(struct httpd *srv, int fd)
{
    int on = 1;
    struct httpd_conn *c = calloc(1, sizeof *c);
    if (!c || !evio_watch_init(&c->watch, &srv->io, fd, on_event, c)) {
        free(c);
        srv->via->close(fd);
        return;
    }
    c->srv = srv;
    c->fd = fd;
    c->file = -1;
    c->keep = true;
    c->next = srv->conns;
    if (c->next)
        c->next->prev = c;
    srv->conns = c;
    srv->n_conns++;
    extend(c);
    srv->via->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!evio_watch_set(&c->watch, EV_READ))
        httpd_conn_close(c);
}

void
httpd_conn_close(struct httpd_conn *c)
{
    struct httpd *srv = c->srv;
    evio_watch_fini(&c->watch);
    srv->via->close(c->fd);
    if (c->file >= 0)
        close(c->file);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        srv->conns = c->next;
    srv->n_conns--;
    free(c->in);
    free(c->out);
    free(c);
    httpd_conn_gone(srv);
}

/* The client was promised bytes that cannot be had: let it see a reset, not an end. */
static void
abort_conn(struct httpd_conn *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    c->srv->via->setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    httpd_conn_close(c);
}

static void
watch_or_close(struct httpd_conn *c, short what)
{
    if (!evio_watch_set(&c->watch, what))
        httpd_conn_close(c);
}

/* Closing with unread data resets the connection, and that could overtake the answer. */
static void
linger(struct httpd_conn *c)
{
    c->state = HTTPD_LINGER;
    c->deadline_ms = httpd_now_ms() + LINGER_MS;
    free(c->in);
    c->in = NULL;
    if (c->srv->via->shutdown(c->fd, SHUT_WR) < 0)
        httpd_conn_close(c);
    else
        watch_or_close(c, EV_READ);
}

enum progress { MOVED, BLOCKED, FAILED };

static enum progress
send_head(struct httpd_conn *c)
{
    size_t n = c->out_len - c->out_at;
    if (!n)
        return MOVED;
    ssize_t k = c->srv->via->send(c->fd, c->out + c->out_at, n, c->left ? MSG_MORE : 0);
    if (k < 0)
        return errno == EAGAIN || errno == EINTR ? BLOCKED : FAILED;
    extend(c);
    c->out_at += (size_t)k;
    if ((size_t)k < n)
        return BLOCKED;
    free(c->out);
    c->out = NULL;
    c->out_at = c->out_len = 0;
    return MOVED;
}

static enum progress
send_body(struct httpd_conn *c)
{
    size_t budget = BYTES_A_TURN;
    while (c->left && budget) {
        size_t want = c->left < FILE_PIECE ? (size_t)c->left : FILE_PIECE;
        ssize_t k = c->srv->via->send_file(c->fd, c->file, &c->off, want);
        if (k < 0)
            return errno == EAGAIN || errno == EINTR ? BLOCKED : FAILED;
        if (k == 0)
            return FAILED; /* the file has become shorter than what was announced */
        extend(c);
        c->left -= (uint64_t)k;
        budget -= (size_t)k < budget ? (size_t)k : budget;
    }
    return c->left ? BLOCKED : MOVED;
}

/* Send what can be sent. True: the answer is out and the connection awaits a request. */
static bool
send_answer(struct httpd_conn *c)
{
    enum progress p = send_head(c);
    if (p == MOVED)
        p = send_body(c);
    if (p == FAILED) {
        abort_conn(c);
        return false;
    }
    if (p == BLOCKED) {
        watch_or_close(c, EV_WRITE);
        return false;
    }
    if (c->file >= 0)
        close(c->file);
    c->file = -1;
    if (!c->keep) {
        linger(c);
        return false;
    }
    c->state = HTTPD_READ;
    return true;
}

/* Take the head that httpd_reply has built, and begin to send. */
static bool
begin_answer(struct httpd_conn *c, size_t n)
{
    c->state = HTTPD_SEND;
    extend(c);
    c->out = malloc(n);
    if (!c->out) {
        abort_conn(c);
        return false;
    }
    memcpy(c->out, c->srv->out, n);
    c->out_at = 0;
    c->out_len = n;
    return send_answer(c);
}

/* Answer the requests that are here, but a bounded number of them. */
static void
serve(struct httpd_conn *c)
{
    struct http_request r;
    for (int i = 0; i < REQUESTS_A_TURN; i++) {
        int n = c->len > c->at ? http_parse(c->in + c->at, c->len - c->at, &r) : 0;
        if (n == 0) {
            if (c->at == c->len) {
                free(c->in);
                c->in = NULL;
                c->at = c->len = 0;
            }
            if (c->srv->draining && !c->in)
                linger(c);
            else
                watch_or_close(c, EV_READ);
            return;
        }
        c->at += n > 0 ? (size_t)n : 0;
        if (!begin_answer(c, httpd_reply(c, n > 0 ? &r : NULL, -n)))
            return;
    }
    /* More requests wait in the buffer. Being writable is what brings us back: there may be
     * nothing to read. */
    watch_or_close(c, EV_WRITE);
}

static void
read_requests(struct httpd_conn *c)
{
    if (!c->in) {
        c->in = malloc(HTTP_HEAD_MAX);
        if (!c->in) {
            abort_conn(c);
            return;
        }
        c->at = c->len = 0;
    }
    if (c->at) {
        memmove(c->in, c->in + c->at, c->len - c->at);
        c->len -= c->at;
        c->at = 0;
    }
    /* There is room: http_parse refuses a head that fills the buffer. */
    ssize_t n = c->srv->via->recv(c->fd, c->in + c->len, HTTP_HEAD_MAX - c->len, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        httpd_conn_close(c);
        return;
    }
    /* The clock of a request runs from its first byte, however slowly the others follow. */
    if (n > 0 && c->len == 0)
        extend(c);
    c->len += n > 0 ? (size_t)n : 0;
    serve(c);
}

static void
on_event(int fd, short what, void *arg)
{
    struct httpd_conn *c = arg;
    (void)fd;
    switch (c->state) {
    case HTTPD_READ:
        if (what & EV_READ)
            read_requests(c);
        else
            serve(c);
        break;
    case HTTPD_SEND:
        if (send_answer(c)) {
            extend(c);
            serve(c);
        }
        break;
    case HTTPD_LINGER:
    default: {
        ssize_t n = c->srv->via->recv(c->fd, c->srv->junk, sizeof c->srv->junk, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            httpd_conn_close(c);
        break;
    }
    }
}

void
httpd_conn_expire(struct httpd_conn *c)
{
    if (c->state != HTTPD_READ || c->len == c->at) {
        if (c->state == HTTPD_SEND)
            abort_conn(c);
        else
            httpd_conn_close(c);
        return;
    }
    begin_answer(c, httpd_reply(c, NULL, 408));
}

void
httpd_conn_drain(struct httpd_conn *c)
{
    if (c->state == HTTPD_READ && c->len == c->at)
        httpd_conn_close(c);
    else
        c->keep = false;
}
