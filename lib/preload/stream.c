/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream.c: stdio on sessions. libc's streams call the kernel past this library, so that a
 * stream on a session gets functions of its own, and the number that fileno tells.
 */
#include "shim.h"

#include <fcntl.h>
#include <stdlib.h>

int __dprintf_chk(int fd, int flag, const char *format, ...);
int __vdprintf_chk(int fd, int flag, const char *format, va_list ap);

static ssize_t
stream_read(void *cookie, char *buf, size_t len)
{
    return own_read((int)(intptr_t)cookie, buf, len);
}

/* 0 tells stdio of an error, a negative number does not. */
static ssize_t
stream_write(void *cookie, const char *buf, size_t len)
{
    ssize_t r = own_write((int)(intptr_t)cookie, buf, len);
    return r < 0 ? 0 : r;
}

static int
stream_seek(void *cookie, off64_t *at, int whence)
{
    (void)cookie;
    (void)at;
    (void)whence;
    return fails(ESPIPE);
}

static int
stream_close(void *cookie)
{
    return own_close((int)(intptr_t)cookie);
}

EXPORT FILE *
fdopen(int fd, const char *mode)
{
    static const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek,
                                                    stream_close};
    if (!is_ours(entry(fd)))
        return REAL(fdopen)(fd, mode);
    FILE *f = fopencookie((void *)(intptr_t)fd, mode, functions);
    if (f == NULL)
        return NULL;
    f->_fileno = fd;
    if (strchr(mode, 'e') != NULL)
        (void)REAL(fcntl)(fd, F_SETFD, FD_CLOEXEC);
    return f;
}

/* ---- dprintf ---- */

static int
print(int fd, const char *format, va_list ap)
{
    if (!is_ours(entry(fd)))
        return REAL(vdprintf)(fd, format, ap);
    char *text;
    int n = vasprintf(&text, format, ap), done = 0;
    if (n < 0)
        return n;
    while (done < n) {
        ssize_t r = own_write(fd, text + done, (size_t)(n - done));
        if (r < 0)
            break;
        done += (int)r;
    }
    free(text);
    return done < n ? -1 : n;
}

EXPORT int
vdprintf(int fd, const char *format, va_list ap)
{
    return print(fd, format, ap);
}

EXPORT int
dprintf(int fd, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = print(fd, format, ap);
    va_end(ap);
    return r;
}

EXPORT int
__vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
    (void)flag;
    return print(fd, format, ap);
}

EXPORT int
__dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list ap;
    (void)flag;
    va_start(ap, format);
    int r = print(fd, format, ap);
    va_end(ap);
    return r;
}
