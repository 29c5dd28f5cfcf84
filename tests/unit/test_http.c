/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_http.c: the request parser of bulkhead-httpd: what it takes, what it refuses, and that
 * no byte sequence makes it read past the end or name a file outside the root.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "bench/http.h"

static struct http_request req;

/* Parse from a heap copy of the exact size, so that a sanitizer sees a read past the end. */
static int
parse_n(const char *s, size_t len)
{
    char *copy = malloc(len ? len : 1);
    cr_assert_not_null(copy);
    memcpy(copy, s, len);
    int n = http_parse(copy, len, &req);
    free(copy);
    return n;
}

static int
parse(const char *s)
{
    return parse_n(s, strlen(s));
}

#define HOST "Host: a\r\n"
static const char full[] = "\r\nGET http://h:80/a/%62%2Fc/?q=%zz HTTP/1.1\r\n" HOST
                           "Connection: foo , Keep-Alive\r\nRange: bytes=3-9\r\n"
                           "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

/* A whole request is understood in every part. */
Test(http, request)
{
    cr_assert_eq(parse(full), (int)strlen(full));
    cr_assert_eq(req.method, HTTP_GET);
    cr_assert_str_eq(req.path, "a/b/c");
    cr_assert(req.trailing_slash);
    cr_assert(req.keep_alive && !req.http10 && !req.has_body);
    cr_assert_eq(req.range.kind, HTTP_RANGE_FROM);
    cr_assert_eq(req.range.first, 3u);
    cr_assert_eq(req.range.last, 9u);
    cr_assert(req.if_range);
    cr_assert_eq(req.if_range_date, 784111777);
    cr_assert_eq(req.if_modified_since, -1);
}

/* A request that is cut anywhere is incomplete, never refused and never complete; what
 * follows it is not counted in. */
Test(http, truncated)
{
    for (size_t n = 0; n < strlen(full); n++)
        cr_assert_eq(parse_n(full, n), 0, "cut at %zu", n);
    char two[2 * sizeof full];
    snprintf(two, sizeof two, "%s%s", full, full);
    cr_assert_eq(parse(two), (int)strlen(full));
}

/* Bytes changed at every place: the result is a length, a refusal or "more"; and whatever is
 * accepted names something below the root. */
Test(http, mutated)
{
    static const unsigned char bytes[] = {0,   1,   '\n', '\r', ' ', '%',
                                          '.', '/', ':',  0x7f, 0xff};
    char copy[sizeof full];
    for (size_t i = 0; i < strlen(full); i++)
        for (size_t k = 0; k < ARRAY_LEN(bytes); k++) {
            memcpy(copy, full, sizeof full);
            copy[i] = (char)bytes[k];
            int n = parse_n(copy, strlen(full));
            cr_assert(n <= (int)strlen(full) && (n >= 0 || (n <= -400 && n >= -505)));
            if (n > 0) {
                cr_assert_neq(req.path[0], '/');
                cr_assert_null(strstr(req.path, "//"));
                cr_assert_neq(strncmp(req.path, "../", 3), 0);
            }
        }
}

/* Requests that must be refused, and with what. */
Test(http, refused)
{
    static const struct {
        int status;
        const char *text;
    } t[] = {
        {400, "GET /\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\n"},
        {400, " GET / HTTP/1.1\r\n"},
        {400, "GET / HTTP/1.1 \r\n"},
        {400, "GET / HTTP/1.x\r\n"},
        {400, "GET / http/1.1\r\n"},
        {400, "GET / HTTP/1.1\rX\r\n"},
        {505, "GET / HTTP/2.0\r\n"},
        {505, "BREW x HTTP/3.0\r\n"},
        {501, "BREW / HTTP/1.1\r\n"},
        {501, "get / HTTP/1.1\r\n"},
        {405, "POST / HTTP/1.1\r\n"},
        {405, "OPTIONS * HTTP/1.1\r\n"},
        {400, "G(T / HTTP/1.1\r\n"},
        {400, "GET * HTTP/1.1\r\n"},
        {400, "GET a HTTP/1.1\r\n"},
        {400, "GET h:80 HTTP/1.1\r\n"},
        {400, "GET ftp://h/ HTTP/1.1\r\n"},
        {400, "GET http:/// HTTP/1.1\r\n"},
        {400, "GET /\x01 HTTP/1.1\r\n"},
        {400, "GET /a#b HTTP/1.1\r\n"},
        {400, "GET /?\x7f HTTP/1.1\r\n"},
        {400, "GET /a%0 HTTP/1.1\r\n"},
        {400, "GET /a%00b HTTP/1.1\r\n"},
        {400, "GET /%g0 HTTP/1.1\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST " folded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "nocolon\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n"},
        {400,
         "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {501, "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        cr_expect_eq(parse(t[i].text), -t[i].status, "%s", t[i].text);
    cr_expect_eq(parse_n("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 30), -400);
}

/* No way of writing a target leads out of the root, and each name has one reading. */
Test(http, target)
{
    static const struct {
        const char *target, *path; /* NULL: refused */
        bool slash;
    } t[] = {
        {"/", "", true},
        {"/a", "a", false},
        {"/a/", "a", true},
        {"//a///b", "a/b", false},
        {"/./a/./b/.", "a/b", true},
        {"/a/b/..", "a", true},
        {"/a/../b", "b", false},
        {"/a/b/../../c", "c", false},
        {"/a/..", "", true},
        {"/a/%2e%2e/b", "b", false},
        {"/a%2f..%2fb", "b", false},
        {"/...", "...", false},
        {"/..a", "..a", false},
        {"/a?/../../x", "a", false},
        {"/%41%7e", "A~", false},
        {"/a%20b%25", "a b%", false},
        {"/a%0d%0ab", "a\r\nb", false},
        {"http://h", "", true},
        {"HTTP://h/x", "x", false},
        {"http://h?x", "", true},
        {"/..", NULL, false},
        {"/../a", NULL, false},
        {"/a/../../b", NULL, false},
        {"/%2e%2e", NULL, false},
        {"/%2e./a", NULL, false},
        {"/..%2fa", NULL, false},
        {"//..", NULL, false},
        {"/./..", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        int e = http_parse_target(t[i].target, strlen(t[i].target), &req);
        cr_expect_eq(e, t[i].path ? 0 : -400, "%s: %d", t[i].target, e);
        if (e || !t[i].path)
            continue;
        cr_expect_str_eq(req.path, t[i].path, "%s: %s", t[i].target, req.path);
        cr_expect_eq(req.trailing_slash, t[i].slash, "%s", t[i].target);
    }
}

/* Every limit holds at its bound and one past it. */
Test(http, limits)
{
    static char s[HTTP_HEAD_MAX + 64];
    size_t n;

    memset(s, 'a', sizeof s);
    memcpy(s, "/", 1);
    cr_expect_eq(http_parse_target(s, HTTP_PATH_MAX - 1, &req), 0);
    cr_expect_eq(strlen(req.path), HTTP_PATH_MAX - 2);
    cr_expect_eq(http_parse_target(s, HTTP_PATH_MAX, &req), -414);

    /* A request line without an end. */
    memcpy(s, "GET /", 5);
    cr_expect_eq(parse_n(s, HTTP_LINE_MAX), 0);
    cr_expect_eq(parse_n(s, HTTP_LINE_MAX + 1), -414);

    /* Fields: the last one is made so long that the head is as long as it may be. */
    static const char line[] = "GET / HTTP/1.1\r\n" HOST "X: ";
    for (size_t over = 0; over < 2; over++) {
        n = HTTP_HEAD_MAX + over;
        memset(s, 'a', sizeof s);
        memcpy(s, line, strlen(line));
        memcpy(s + n - 4, "\r\n\r\n", 4);
        cr_expect_eq(parse_n(s, n), over ? -431 : (int)n);
    }
    /* A head without an end fills the buffer. */
    memset(s, 'a', sizeof s);
    memcpy(s, line, strlen(line));
    cr_expect_eq(parse_n(s, HTTP_HEAD_MAX - 1), 0);
    cr_expect_eq(parse_n(s, HTTP_HEAD_MAX), -431);
    /* Nothing but empty lines. */
    memset(s, '\n', sizeof s);
    cr_expect_eq(parse_n(s, HTTP_HEAD_MAX - 1), 0);
    cr_expect_eq(parse_n(s, HTTP_HEAD_MAX), -431);
}

/* When the connection goes on (RFC 9112 section 9.3), and that a request with content ends it,
 * since the content is not read. */
Test(http, persistence)
{
    cr_expect(parse("GET / HTTP/1.1\r\n" HOST "\r\n") > 0 && req.keep_alive);
    cr_expect(parse("GET / HTTP/1.1\n" HOST "\n") > 0 && req.keep_alive);
    cr_expect(parse("GET / HTTP/1.1\r\n" HOST "Connection: x,\tCLOSE\r\n\r\n") > 0 &&
              !req.keep_alive);
    cr_expect(parse("GET / HTTP/1.0\r\n\r\n") > 0 && !req.keep_alive && req.http10);
    cr_expect(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") > 0 && req.keep_alive);
    cr_expect(parse("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n") > 0 &&
              req.keep_alive && !req.has_body);
    cr_expect(parse("GET / HTTP/1.1\r\n" HOST
                    "Content-Length: 99999999999999999999999\r\n\r\n") > 0 &&
              !req.keep_alive && req.has_body);
    cr_expect(parse("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n") > 0 &&
              !req.keep_alive && req.has_body);
}

/* Ranges: what is not one range in bytes is ignored; numbers past 64 bits do not wrap. */
Test(http, ranges)
{
    static const struct {
        const char *text;
        uint64_t size;
        int status;
        uint64_t first, len;
    } t[] = {
        {"bytes=0-0", 10, 206, 0, 1},
        {"bytes=0-9", 10, 206, 0, 10},
        {"bytes=0-10", 10, 206, 0, 10},
        {"bytes=9-", 10, 206, 9, 1},
        {"bytes=10-", 10, 416, 0, 0},
        {"bytes=-1", 10, 206, 9, 1},
        {"bytes=-10", 10, 206, 0, 10},
        {"bytes=-11", 10, 206, 0, 10},
        {"bytes=-0", 10, 416, 0, 0},
        {"BYTES= 2-3 ", 10, 206, 2, 2},
        {"bytes=0-", 0, 416, 0, 0},
        {"bytes=-1", 0, 416, 0, 0},
        {"bytes=5-99999999999999999999999", 10, 206, 5, 5},
        {"bytes=18446744073709551616-", 10, 416, 0, 0},
        {"bytes=-99999999999999999999999", 10, 206, 0, 10},
        {"bytes=0-18446744073709551615", UINT64_MAX, 206, 0, UINT64_MAX},
        {"bytes=3-2", 10, 200, 0, 10},
        {"bytes=0-1,3-4", 10, 200, 0, 10},
        {"bytes=", 10, 200, 0, 10},
        {"bytes=-", 10, 200, 0, 10},
        {"bytes=a-b", 10, 200, 0, 10},
        {"bytes=1-2x", 10, 200, 0, 10},
        {"bytes=+1-2", 10, 200, 0, 10},
        {"lines=1-2", 10, 200, 0, 10},
        {"", 10, 200, 0, 10},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct http_range r;
        uint64_t first, len;
        http_parse_range(t[i].text, strlen(t[i].text), &r);
        int status = http_apply_range(&r, t[i].size, &first, &len);
        cr_expect_eq(status, t[i].status, "%s: %d", t[i].text, status);
        cr_expect(first == t[i].first && len == t[i].len, "%s", t[i].text);
    }
    cr_expect(parse("HEAD / HTTP/1.1\r\n" HOST "Range: bytes=0-0\r\n\r\n") > 0 &&
              req.range.kind == HTTP_RANGE_NONE);
    cr_expect(parse("GET / HTTP/1.1\r\n" HOST "Range: bytes=0-0\r\nRange: bytes=1-1\r\n\r\n") >
                  0 &&
              req.range.kind == HTTP_RANGE_NONE);
}

/* Dates: the three forms of RFC 9110 section 5.6.7 mean one moment; what is written is read
 * back; rubbish is no date. */
Test(http, dates)
{
    static const char *const same[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                       "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994"};
    /* Too long for any date, else well-formed: strptime takes any number of spaces. */
    static const char padded[] = "Sun, 06 Nov 1994                               08:49:37 GMT";
    static const char *const none[] = {"", "Sun", "Sun, 06 Nov 1994 08:49:37 GMT!",
                                       "Sun, 06 Nov 1994 08:49:37 CET", padded};
    char out[HTTP_DATE_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        cr_expect_eq(http_parse_date(same[i], strlen(same[i])), 784111777, "%s", same[i]);
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        cr_expect_eq(http_parse_date(none[i], strlen(none[i])), -1, "%s", none[i]);
    http_format_date(out, 784111777);
    cr_expect_str_eq(out, same[0]);
    http_format_date(out, 4102444800);
    cr_expect_eq(http_parse_date(out, strlen(out)), 4102444800);
    http_format_date(out, INT64_MAX);
    cr_expect_eq(strlen(out), HTTP_DATE_SIZE - 1u);
    cr_expect(parse("GET / HTTP/1.1\r\n" HOST "If-None-Match: \"x\"\r\n"
                    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n") > 0 &&
              req.if_modified_since == -1);
}

/* A redirect cannot be made to end its line or to leave the site. */
Test(http, encode)
{
    char out[16];
    cr_expect_eq(http_encode_path("a/b\r\n%", out, sizeof out), 12u);
    cr_expect_str_eq(out, "a/b%0D%0A%25");
    cr_expect_eq(http_encode_path("\xff?", out, 7), 6u);
    cr_expect_str_eq(out, "%FF%3F");
    cr_expect_eq(http_encode_path("\xff?", out, 6), 0u);
}
