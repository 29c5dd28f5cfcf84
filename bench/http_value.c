/* SPDX-License-Identifier: BSD-2-Clause
 *
 * http_value.c: the values inside a request: target, range, date.
 */
#include <stdio.h>

#include "base/base.h"
#include "bench/http.h"
#include "bench/http_text.h"

static int
hex(char c)
{
    if (text_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* absolute-form (RFC 9112 section 3.2.2): skip the scheme and the authority. */
static int
skip_authority(const char **s, size_t *len)
{
    if (*len < 7 || strncasecmp(*s, "http://", 7))
        return -400;
    const char *p = *s + 7, *end = *s + *len;
    while (p < end && *p != '/' && *p != '?')
        p++;
    if (p == *s + 7)
        return -400;
    *len = (size_t)(end - p);
    *s = p;
    return 0;
}

/* One byte of the target at s[*at], decoded. Returns it, or -1 when it is not allowed: control
 * characters, NUL, a half percent sequence. */
static int
decode(const char *s, size_t len, size_t *at)
{
    unsigned char c = (unsigned char)s[(*at)++];
    if (c <= 0x20 || c == 0x7f || c == '#' || c == '\\')
        return -1;
    if (c != '%')
        return c;
    if (len - *at < 2)
        return -1;
    int hi = hex(s[*at]), lo = hex(s[*at + 1]);
    if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
        return -1;
    *at += 2;
    return hi << 4 | lo;
}

/* A segment begins at path[start] and ends at path[*n]: drop "" and ".", let ".." take the one
 * before along. False: it climbs out of the root. */
static bool
end_segment(const char *path, size_t start, size_t *n)
{
    size_t len = *n - start;
    if (len == 0 || (len == 1 && path[start] == '.')) {
        *n = start;
        return true;
    }
    if (len != 2 || path[start] != '.' || path[start + 1] != '.')
        return true;
    if (start == 0)
        return false;
    size_t to = start - 1; /* the slash before ".." */
    while (to > 0 && path[to - 1] != '/')
        to--;
    *n = to;
    return true;
}

int
http_parse_target(const char *s, size_t len, struct http_request *r)
{
    size_t at = 0, n = 0, start = 0;
    int c = '/';

    r->path[0] = 0;
    if (len && *s != '/' && skip_authority(&s, &len) < 0)
        return -400;
    if (!len)
        s = "/", len = 1;
    const char *query = memchr(s, '?', len);
    size_t plen = query ? (size_t)(query - s) : len;

    /* Decoded first and split after, so that an encoded slash or dot is a slash or dot:
     * there is no second reading of the name further on. */
    while (at < plen) {
        c = decode(s, plen, &at);
        if (c < 0)
            return -400;
        if (c == '/') {
            if (!end_segment(r->path, start, &n))
                return -400;
            if (n && r->path[n - 1] != '/')
                r->path[n++] = '/';
            start = n;
        } else {
            r->path[n++] = (char)c;
        }
        if (n >= HTTP_PATH_MAX - 1)
            return -414;
    }
    size_t last = n - start;
    bool dots = (last == 1 && r->path[start] == '.') ||
                (last == 2 && r->path[start] == '.' && r->path[start + 1] == '.');
    if (!end_segment(r->path, start, &n))
        return -400;
    while (n && r->path[n - 1] == '/')
        n--;
    r->path[n] = 0;
    /* "a/." and "a/.." name directories as "a/" does. */
    r->trailing_slash = n == 0 || c == '/' || dots;

    for (at = plen; at < len; at++)
        if ((unsigned char)s[at] <= 0x20 || s[at] == 0x7f || s[at] == '#')
            return -400;
    return 0;
}

void
http_parse_range(const char *s, size_t len, struct http_range *range)
{
    *range = (struct http_range){.kind = HTTP_RANGE_NONE};
    if (len < 6 || strncasecmp(s, "bytes=", 6))
        return;
    s += 6;
    len -= 6;
    text_trim(&s, &len);
    const char *dash = memchr(s, '-', len);
    if (!dash || memchr(s, ',', len))
        return;
    size_t before = (size_t)(dash - s), after = len - before - 1;
    uint64_t first = 0, last = UINT64_MAX;
    if (before == 0) {
        if (text_number(dash + 1, after, &last))
            *range = (struct http_range){.kind = HTTP_RANGE_SUFFIX, .last = last};
        return;
    }
    if (!text_number(s, before, &first) || (after && !text_number(dash + 1, after, &last)) ||
        last < first)
        return;
    *range = (struct http_range){.kind = HTTP_RANGE_FROM, .first = first, .last = last};
}

int
http_apply_range(const struct http_range *range, uint64_t size, uint64_t *first, uint64_t *len)
{
    *first = 0;
    *len = size;
    switch (range->kind) {
    case HTTP_RANGE_FROM:
        if (range->first >= size)
            break;
        *first = range->first;
        *len = (range->last < size ? range->last : size - 1) - *first + 1;
        return 206;
    case HTTP_RANGE_SUFFIX:
        if (range->last == 0 || size == 0)
            break;
        *len = range->last < size ? range->last : size;
        *first = size - *len;
        return 206;
    case HTTP_RANGE_NONE:
    default:
        return 200;
    }
    *len = 0;
    return 416;
}

time_t
http_parse_date(const char *s, size_t len)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT",
                                        "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};
    char text[48];
    if (len >= sizeof text || memchr(s, 0, len))
        return -1;
    memcpy(text, s, len);
    text[len] = 0;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end && !*end)
            return timegm(&tm);
    }
    return -1;
}

void
http_format_date(char *out, time_t t)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    if (t < 0 || !gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900)
        t = 0, gmtime_r(&t, &tm);
    snprintf(out, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

size_t
http_encode_path(const char *path, char *out, size_t room)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        bool plain = text_is_alnum((char)c) || strchr("/-._~", c);
        if (n + (plain ? 1 : 3) >= room) {
            out[0] = 0;
            return 0;
        }
        if (plain) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    out[n] = 0;
    return n;
}

const char *
http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {
        {200, "OK"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].reason;
    return "Error";
}
