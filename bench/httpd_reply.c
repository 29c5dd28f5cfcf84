/* SPDX-License-Identifier: BSD-2-Clause
 *
 * httpd_reply.c: from a request to a response head and an open file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "bench/httpd.h"

/* What the path names may be a pipe or a terminal: neither wait for it nor take it. */
#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

static const char *
content_type(const char *path)
{
    static const char *const table[][2] = {
        {"html", "text/html; charset=utf-8"},
        {"htm", "text/html; charset=utf-8"},
        {"txt", "text/plain; charset=utf-8"},
        {"md", "text/markdown; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"},
        {"json", "application/json"},
        {"xml", "application/xml"},
        {"pdf", "application/pdf"},
        {"wasm", "application/wasm"},
        {"gz", "application/gzip"},
        {"tar", "application/x-tar"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"jpeg", "image/jpeg"},
        {"gif", "image/gif"},
        {"svg", "image/svg+xml"},
        {"webp", "image/webp"},
        {"ico", "image/x-icon"},
        {"mp4", "video/mp4"},
    };
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < ARRAY_LEN(table); i++)
        if (!strcasecmp(dot + 1, table[i][0]))
            return table[i][1];
    return "application/octet-stream";
}

/* Open below the root and nowhere else: the kernel refuses whatever leads out of it,
 * symbolic links too. Returns a descriptor or -errno. */
static int
open_beneath(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = -1;
    /* EAGAIN: the tree was changed meanwhile. */
    for (int i = 0; i < 4; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd < 0 ? -errno : (int)fd;
}

static int
status_of(int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return 404;
    case EACCES:
    case EPERM:
    case EXDEV: /* leads out of the root */
    case ELOOP:
    case ENXIO: /* a socket or the like */
        return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        return 503;
    default:
        return 500;
    }
}

/* A path that ends in a slash means the index of a directory. */
static int
open_index(int root, const struct http_request *r, const char **type)
{
    char name[HTTP_PATH_MAX + 16];
    snprintf(name, sizeof name, "%s%sindex.html", r->path, *r->path ? "/" : "");
    *type = content_type(name);
    int fd = open_beneath(root, name, FILE_FLAGS);
    if (fd != -ENOENT)
        return fd;
    int dir = open_beneath(root, *r->path ? r->path : ".", O_PATH | O_DIRECTORY);
    if (dir < 0)
        return dir;
    close(dir);
    return -EACCES; /* it is there, and has no index: there are no listings */
}

/* The file that the request names. Returns 200 with *fd and *st, 301, or the status that
 * refuses it (*fd is -1). */
static int
find_file(int root, const struct http_request *r, int *fd, struct stat *st, const char **type)
{
    int status = 200, f;
    *fd = -1;
    *type = content_type(r->path);
    f = r->trailing_slash ? open_index(root, r, type) : open_beneath(root, r->path, FILE_FLAGS);
    if (f < 0)
        return status_of(-f);
    if (fstat(f, st) < 0)
        status = 500;
    else if (S_ISDIR(st->st_mode) && !r->trailing_slash)
        status = 301;
    else if (!S_ISREG(st->st_mode))
        status = 403;
    if (status != 200)
        close(f);
    else
        *fd = f;
    return status;
}

/* Appends; what does not fit is cut, which HTTPD_OUT_MAX makes impossible. */
static void __attribute__((format(printf, 3, 4)))
put(struct httpd *srv, size_t *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int k = vsnprintf(srv->out + *n, sizeof srv->out - *n, fmt, ap);
    va_end(ap);
    if (k > 0)
        *n += (size_t)k < sizeof srv->out - *n ? (size_t)k : sizeof srv->out - *n - 1;
}

static size_t
begin_head(struct httpd_conn *c, const struct http_request *r, int status)
{
    struct httpd *srv = c->srv;
    time_t now = time(NULL);
    size_t n = 0;
    if (now != srv->date_at) {
        srv->date_at = now;
        http_format_date(srv->date, now);
    }
    put(srv, &n, "HTTP/1.1 %d %s\r\nServer: bulkhead-httpd\r\nDate: %s\r\n", status,
        http_reason(status), srv->date);
    if (!c->keep)
        put(srv, &n, "Connection: close\r\n");
    else if (r && r->http10)
        put(srv, &n, "Connection: keep-alive\r\n");
    return n;
}

/* An answer that is no file: a line of text. */
static size_t
reply_text(struct httpd_conn *c, const struct http_request *r, int status, uint64_t size)
{
    struct httpd *srv = c->srv;
    size_t n = begin_head(c, r, status);
    if (status == 301) {
        put(srv, &n, "Location: /");
        n += http_encode_path(r->path, srv->out + n, 3 * HTTP_PATH_MAX);
        put(srv, &n, "/\r\n");
    }
    if (status == 405)
        put(srv, &n, "Allow: GET, HEAD\r\n");
    if (status == 416)
        put(srv, &n, "Content-Range: bytes */%llu\r\n", (unsigned long long)size);
    size_t body = 3 + 1 + strlen(http_reason(status)) + 1;
    put(srv, &n, "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", body);
    if (!r || r->method != HTTP_HEAD)
        put(srv, &n, "%d %s\n", status, http_reason(status));
    return n;
}

/* RFC 9110 section 13.1.5: a date is good enough for a range only if it is exactly the
 * file's, and the file cannot have changed again within the same second. */
static bool
range_holds(const struct http_request *r, const struct stat *st)
{
    return !r->if_range || (r->if_range_date == st->st_mtime && time(NULL) > st->st_mtime);
}

static size_t
reply_file(struct httpd_conn *c, const struct http_request *r, int fd, const struct stat *st,
           const char *type)
{
    struct httpd *srv = c->srv;
    uint64_t size = (uint64_t)st->st_size, first = 0, len = size;
    char modified[HTTP_DATE_SIZE];
    int status = 200;

    if (r->if_modified_since >= 0 && st->st_mtime <= r->if_modified_since)
        status = 304;
    else if (range_holds(r, st))
        status = http_apply_range(&r->range, size, &first, &len);
    if (status == 416) {
        close(fd);
        return reply_text(c, r, status, size);
    }
    size_t n = begin_head(c, r, status);
    http_format_date(modified, st->st_mtime);
    put(srv, &n, "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n", modified);
    if (status == 206)
        put(srv, &n, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)first,
            (unsigned long long)(first + len - 1), (unsigned long long)size);
    if (status != 304)
        put(srv, &n, "Content-Type: %s\r\nContent-Length: %llu\r\n", type,
            (unsigned long long)len);
    put(srv, &n, "\r\n");
    if (status == 304 || r->method == HTTP_HEAD || len == 0) {
        close(fd);
        return n;
    }
    c->file = fd;
    c->off = (off_t)first;
    c->left = len;
    return n;
}

size_t
httpd_reply(struct httpd_conn *c, const struct http_request *r, int refusal)
{
    struct stat st;
    const char *type;
    int fd;

    c->file = -1;
    c->left = 0;
    c->keep = r && r->keep_alive && !c->srv->draining;
    if (!r)
        return reply_text(c, NULL, refusal, 0);
    int status = find_file(c->srv->root, r, &fd, &st, &type);
    if (status != 200)
        return reply_text(c, r, status, 0);
    return reply_file(c, r, fd, &st, type);
}
