/* SPDX-License-Identifier: BSD-2-Clause
 *
 * http.h: the head of an HTTP/1.1 request (RFC 9110, RFC 9112), from bytes to a checked
 * value, as far as a server of files needs it. Pure: no system call, no allocation; every
 * byte is taken for hostile.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HTTP_HEAD_MAX 16384u /* request line and fields; more is 431 */
#define HTTP_LINE_MAX                                                                          \
    8192u                   /* request line; more is 414 (RFC 9112 section 3: 8000 at least)   \
                             */
#define HTTP_PATH_MAX 4096u /* decoded path with its terminator; more is 414 */

enum http_method { HTTP_GET, HTTP_HEAD };

/* The one byte range that was asked for (RFC 9110 section 14.1.2). */
enum http_range_kind {
    HTTP_RANGE_NONE,   /* none, several, or one to be ignored: answer with the whole */
    HTTP_RANGE_FROM,   /* first to last; last is UINT64_MAX when left open */
    HTTP_RANGE_SUFFIX, /* the last `last` bytes */
};

struct http_range {
    enum http_range_kind kind;
    uint64_t first, last;
};

struct http_request {
    enum http_method method;
    bool http10;
    bool keep_alive; /* the client wants to go on, and the connection can */
    bool has_body;   /* content follows; it is not read: the connection ends after the answer */
    bool trailing_slash;
    struct http_range range;
    time_t if_modified_since; /* -1: none */
    bool if_range;            /* the range counts only if the file is as of if_range_date */
    time_t if_range_date;     /* -1: a validator that matches nothing here */
    /* Decoded and normalised: no slash at either end, no empty segment, no "." or ".."; ""
     * is the root. */
    char path[HTTP_PATH_MAX];
};

/* Read one request head from the first len bytes of buf. Returns its length (>0: *r is
 * valid), 0 when more bytes are needed, or minus the status code that refuses it: 400, 405,
 * 414, 431, 501, 505. After a refusal the rest of the connection is not to be read: where the
 * next request begins is not known. */
int http_parse(const char *buf, size_t len, struct http_request *r);

/* The parts of it, for their tests. Each returns 0 or minus a status code. */
int http_parse_target(const char *s, size_t len, struct http_request *r);
void http_parse_range(const char *s, size_t len, struct http_range *range);

/* An HTTP date in any of the three forms of RFC 9110 section 5.6.7; -1: it is none. */
time_t http_parse_date(const char *s, size_t len);
/* IMF-fixdate. out has room for HTTP_DATE_SIZE bytes. */
#define HTTP_DATE_SIZE 30
void http_format_date(char *out, time_t t);

/* Apply a range to a file of `size` bytes. Returns 200 (whole), 206 or 416; *first and *len
 * are what to send (416: nothing). */
int http_apply_range(const struct http_range *range, uint64_t size, uint64_t *first,
                     uint64_t *len);

/* "Not Found" and so on; "Error" for a code that this server does not use. */
const char *http_reason(int status);

/* Percent-encode a path for a Location field: '/' and unreserved bytes stay. Returns the
 * length, or 0 when it does not fit (out then holds ""). */
size_t http_encode_path(const char *path, char *out, size_t room);

#endif
