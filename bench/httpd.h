/* SPDX-License-Identifier: BSD-2-Clause
 *
 * httpd.h: the parts of bulkhead-httpd: the server, its connections, the files it serves.
 * One thread, one event loop; a connection that waits for a request holds no buffer.
 */
#ifndef BENCH_HTTPD_H
#define BENCH_HTTPD_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "bench/evio.h"
#include "bench/http.h"
#include "bench/via.h"

/* The longest response head: a redirect to a path of which every byte is encoded. */
#define HTTPD_OUT_MAX (3 * HTTP_PATH_MAX + 1024)

struct httpd_conn;

struct httpd {
    const struct via *via;
    struct evio io;
    int root;     /* directory */
    int listener; /* -1: closed, draining */
    struct evio_watch accept;
    struct event *sweep; /* once a second while there is a connection */
    struct event *sigint, *sigterm, *drain_end;
    struct httpd_conn *conns; /* all of them */
    unsigned n_conns, max_conns;
    uint64_t timeout_ms;
    bool draining;
    bool accept_paused; /* the last accept found no resource */
    time_t date_at;
    char date[HTTP_DATE_SIZE];
    char out[HTTPD_OUT_MAX]; /* the response head being built */
    char junk[65536];        /* what nobody reads */
};

enum httpd_state {
    HTTPD_READ,   /* a request is awaited or half there */
    HTTPD_SEND,   /* an answer is on its way */
    HTTPD_LINGER, /* our direction has ended; what comes is dropped until theirs has */
};

struct httpd_conn {
    struct httpd *srv;
    struct httpd_conn *next, *prev;
    struct evio_watch watch;
    uint64_t deadline_ms; /* then it is over, whatever the state */
    int fd;
    enum httpd_state state;
    bool keep; /* another request may follow this answer */
    /* Requests: in[at..len) is not yet looked at; NULL: nothing has come. */
    char *in;
    size_t at, len;
    /* The answer: what is left of the head (NULL: nothing), then of the file. */
    char *out;
    size_t out_at, out_len;
    int file; /* -1: none */
    off_t off;
    uint64_t left;
};

uint64_t httpd_now_ms(void);

/* httpd_conn.c. A new connection, non-blocking; on failure it is closed. */
void httpd_conn_new(struct httpd *srv, int fd);
void httpd_conn_close(struct httpd_conn *c);
/* Its deadline has passed. */
void httpd_conn_expire(struct httpd_conn *c);
/* The server is about to end: close it if it idles, else after the present answer. */
void httpd_conn_drain(struct httpd_conn *c);

/* httpd.c: a connection has gone. */
void httpd_conn_gone(struct httpd *srv);

/* httpd_reply.c. Build the head of the answer in srv->out and set up c->file, c->off,
 * c->left and c->keep. Returns the length of the head. r: NULL when the request was refused,
 * then refusal is the status code. */
size_t httpd_reply(struct httpd_conn *c, const struct http_request *r, int refusal);

#endif
