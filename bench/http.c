/* SPDX-License-Identifier: BSD-2-Clause
 *
 * http.c: the request head: request line, fields, what they mean together.
 */
#include "bench/http.h"

#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "bench/http_text.h"

/* What the fields say, before it is judged as a whole. */
struct fields {
    unsigned hosts;
    bool close, keep_alive;
    bool content_length, transfer_encoding, chunked;
    uint64_t length;
    bool if_none_match, range_seen;
};

static int
parse_method(const char *s, size_t len, enum http_method *m)
{
    static const char *const known[] = {"POST",    "PUT",   "DELETE", "CONNECT",
                                        "OPTIONS", "TRACE", "PATCH"};
    if (!len)
        return -400;
    for (size_t i = 0; i < len; i++)
        if (!text_is_token((unsigned char)s[i]))
            return -400;
    if (text_eq(s, len, "GET") || text_eq(s, len, "HEAD")) {
        *m = len == 3 ? HTTP_GET : HTTP_HEAD;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (text_eq(s, len, known[i]))
            return -405;
    return -501;
}

static int
parse_version(const char *s, size_t len, bool *http10)
{
    if (len != 8 || memcmp(s, "HTTP/", 5) || !text_is_digit(s[5]) || s[6] != '.' ||
        !text_is_digit(s[7]))
        return -400;
    if (s[5] != '1')
        return -505;
    *http10 = s[7] == '0';
    return 0;
}

/* RFC 9112 section 3: method SP target SP version, one space each. */
static int
parse_request_line(const char *s, size_t len, struct http_request *r)
{
    const char *sp1 = memchr(s, ' ', len);
    if (!sp1)
        return -400;
    const char *target = sp1 + 1, *end = s + len;
    const char *sp2 = memchr(target, ' ', (size_t)(end - target));
    if (!sp2)
        return -400;
    /* A version that is not spoken here comes before everything else: what the other parts
     * mean would be for that version to say. */
    int e = parse_version(sp2 + 1, (size_t)(end - sp2 - 1), &r->http10);
    if (!e)
        e = parse_method(s, (size_t)(sp1 - s), &r->method);
    if (!e)
        e = http_parse_target(target, (size_t)(sp2 - target), r);
    return e;
}

/* RFC 9110 section 7.2. Not used for routing, but a bad one is to be refused. */
static int
check_host(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!text_is_alnum(s[i]) && !memchr("-._~%!$&'()*+,;=:[]", s[i], 19))
            return -400;
    return 0;
}

static int
parse_content_length(const char *s, size_t len, struct fields *f)
{
    uint64_t v;
    /* A second one, even with the same value, is what request smuggling is made of. */
    if (f->content_length || !text_number(s, len, &v))
        return -400;
    f->content_length = true;
    f->length = v;
    return 0;
}

static int
parse_transfer_encoding(const char *s, size_t len, struct fields *f)
{
    if (f->transfer_encoding)
        return -400;
    f->transfer_encoding = true;
    f->chunked = text_eq_nocase(s, len, "chunked");
    return 0;
}

static void
parse_connection(const char *s, size_t len, struct fields *f)
{
    const char *item;
    size_t n;
    while (text_next_item(&s, &len, &item, &n)) {
        if (text_eq_nocase(item, n, "close"))
            f->close = true;
        else if (text_eq_nocase(item, n, "keep-alive"))
            f->keep_alive = true;
    }
}

static int
take_field(const char *name, size_t nlen, const char *v, size_t vlen, struct http_request *r,
           struct fields *f)
{
    if (text_eq_nocase(name, nlen, "host")) {
        f->hosts++;
        return check_host(v, vlen);
    }
    if (text_eq_nocase(name, nlen, "connection"))
        parse_connection(v, vlen, f);
    else if (text_eq_nocase(name, nlen, "content-length"))
        return parse_content_length(v, vlen, f);
    else if (text_eq_nocase(name, nlen, "transfer-encoding"))
        return parse_transfer_encoding(v, vlen, f);
    else if (text_eq_nocase(name, nlen, "range")) {
        /* Two of them: neither counts. */
        if (f->range_seen)
            r->range.kind = HTTP_RANGE_NONE;
        else
            http_parse_range(v, vlen, &r->range);
        f->range_seen = true;
    } else if (text_eq_nocase(name, nlen, "if-range")) {
        r->if_range = true;
        r->if_range_date = http_parse_date(v, vlen);
    } else if (text_eq_nocase(name, nlen, "if-modified-since"))
        r->if_modified_since = http_parse_date(v, vlen);
    else if (text_eq_nocase(name, nlen, "if-none-match"))
        f->if_none_match = true;
    return 0;
}

/* RFC 9112 section 5: a line of "name: value"; continued lines are refused. */
static int
parse_field(const char *s, size_t len, struct http_request *r, struct fields *f)
{
    size_t n = 0;
    while (n < len && text_is_token((unsigned char)s[n]))
        n++;
    if (n == 0 || n == len || s[n] != ':')
        return -400;
    const char *v = s + n + 1;
    size_t vlen = len - n - 1;
    for (size_t i = 0; i < vlen; i++)
        if (((unsigned char)v[i] < 0x20 && v[i] != '\t') || v[i] == 0x7f)
            return -400;
    text_trim(&v, &vlen);
    return take_field(s, n, v, vlen, r, f);
}

/* What the fields mean together: framing (RFC 9112 section 6.3), persistence (section 9.3),
 * preconditions (RFC 9110 section 13.2). */
static int
judge(struct http_request *r, const struct fields *f)
{
    if (f->hosts > 1 || (!r->http10 && f->hosts == 0))
        return -400;
    if (f->transfer_encoding && (f->content_length || r->http10))
        return -400;
    if (f->transfer_encoding && !f->chunked)
        return -501;
    r->has_body = f->transfer_encoding || f->length > 0;
    r->keep_alive = !f->close && !r->has_body && (!r->http10 || f->keep_alive);
    if (f->if_none_match)
        r->if_modified_since = -1;
    if (r->method == HTTP_HEAD)
        r->range.kind = HTTP_RANGE_NONE;
    return 0;
}

/* The next line of s[*at..len), without its end. CR LF ends a line, and so does LF alone
 * (RFC 9112 section 2.2). False: there is no whole line yet. */
static bool
next_line(const char *s, size_t len, size_t *at, const char **line, size_t *n)
{
    *line = s + *at;
    const char *lf = len > *at ? memchr(*line, '\n', len - *at) : NULL;
    if (!lf)
        return false;
    *n = (size_t)(lf - *line);
    *at += *n + 1;
    if (*n && (*line)[*n - 1] == '\r')
        (*n)--;
    return true;
}

int
http_parse(const char *buf, size_t len, struct http_request *r)
{
    struct fields f = {0};
    const char *line;
    size_t at = 0, n, begin;
    int e = 0;

    memset(r, 0, offsetof(struct http_request, path));
    r->path[0] = 0;
    r->if_modified_since = r->if_range_date = -1;

    /* Empty lines before a request are passed over (RFC 9112 section 2.2). */
    while (at < len && at < HTTP_HEAD_MAX && (buf[at] == '\r' || buf[at] == '\n'))
        at++;
    begin = at;
    if (!next_line(buf, len, &at, &line, &n) || n > HTTP_LINE_MAX) {
        if (at - begin > HTTP_LINE_MAX || len - begin > HTTP_LINE_MAX)
            return -414;
        return len >= HTTP_HEAD_MAX ? -431 : 0;
    }
    e = parse_request_line(line, n, r);
    while (!e) {
        if (!next_line(buf, len, &at, &line, &n))
            return len >= HTTP_HEAD_MAX ? -431 : 0;
        if (at > HTTP_HEAD_MAX)
            return -431;
        if (n == 0)
            break;
        e = parse_field(line, n, r, &f);
    }
    if (!e)
        e = judge(r, &f);
    return e ? e : (int)at;
}
