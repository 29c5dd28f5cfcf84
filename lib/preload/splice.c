/* SPDX-License-Identifier: BSD-2-Clause
 *
 * splice.c: sendfile and splice: between a session and a file or a pipe, past the program.
 * Bytes are read from the file straight into the socket's memory, or written straight from
 * there.
 */
#include "shim.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define PIECES 64
#define CHUNK (256u << 10)
#define DGRAM_ROOM 65536u /* more than a datagram has */

/* One piece into the session. Bytes, 0: the end of the file, -1. */
static ssize_t
piece_in(uint32_t e, int in, const off_t *at, size_t len)
{
    struct iovec v[PIECES];
    int n = PIECES;
    ssize_t room = bh_reserve(bh_of(e), len < CHUNK ? len : CHUNK, v, &n);
    if (room < 0)
        return room;
    ssize_t r = at != NULL ? preadv(in, v, n, *at) : REAL(readv)(in, v, n);
    int err = errno;
    if (bh_commit(bh_of(e), r > 0 ? (size_t)r : 0) != 0)
        return -1;
    errno = err;
    return r;
}

/* What can be no file that is sent: 0 or errno. The rest is said by who reads it. */
static int
no_file(int in, const off_t *at, size_t len)
{
    if (entry(in) & E_PRIVATE)
        return EBADF;
    if (wild_to_write(at, at != NULL ? sizeof *at : 0))
        return EFAULT;
    if (is_ours(entry(in)))
        return at != NULL ? ESPIPE : EINVAL;
    /* To read at a place where there are none says so itself. */
    if ((at == NULL || len == 0) && lseek(in, 0, SEEK_CUR) < 0)
        return errno == ESPIPE && at == NULL ? EINVAL : errno;
    return len > SSIZE_MAX || (at != NULL && *at < 0) ? EINVAL : 0;
}

/* All in one datagram, or none. */
static ssize_t
sendfile_dgram(int fd, uint32_t e, int in, off_t *at, size_t len)
{
    size_t most = len < DGRAM_ROOM ? len : DGRAM_ROOM;
    char *text = malloc(most);
    if (text == NULL)
        return fails(ENOMEM);
    off_t from = at != NULL ? *at : lseek(in, 0, SEEK_CUR);
    ssize_t r = pread(in, text, most, from);
    if (r > 0)
        r = shim_send(fd, e, text, (size_t)r, 0);
    int err = errno == EISDIR ? EINVAL : errno;
    free(text);
    if (r > 0 && at != NULL)
        *at += r;
    else if (r > 0)
        (void)lseek(in, from + r, SEEK_SET);
    errno = err;
    return r;
}

static ssize_t
sendfile_ours(int fd, uint32_t e, int in, off_t *at, size_t len)
{
    size_t done = 0;
    unsigned tries = 0;
    int refused = no_file(in, at, len);
    if (refused != 0)
        return fails(refused);
    if (len > WILD_MOST)
        len = WILD_MOST;
    if ((e & E_DGRAM) && len > 0)
        return sendfile_dgram(fd, e, in, at, len);
    while (done < len) {
        ssize_t r = piece_in(e, in, at, len - done);
        if (r == 0)
            break;
        if (r > 0) {
            done += (size_t)r;
            if (at != NULL)
                *at += r;
            continue;
        }
        if (errno == EAGAIN && (errno = wait_write(fd, &tries)) == 0)
            continue;
        if (errno == EISDIR)
            errno = EINVAL;
        return send_failed(e, done, 0);
    }
    return (ssize_t)done;
}

EXPORT ssize_t
sendfile(int out, int in, off_t *at, size_t len)
{
    uint32_t e = entry(out);
    if (is_ours_at(out, e))
        return sendfile_ours(out, e, in, at, len);
    if (is_ours(entry(in)) && !wild_to_read(at, at != NULL ? sizeof *at : 0))
        return fails(at != NULL ? ESPIPE : EINVAL);
    return REAL(sendfile)(out, in, at, len);
}
EXPORT ssize_t
sendfile64(int out, int in, off64_t *at, size_t len)
{
    return sendfile(out, in, at, len);
}

/* ---- splice ---- */

#define SPLICE_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

/* Is the descriptor open for that (O_RDONLY, O_WRONLY)? */
static bool
open_for(int fd, int what)
{
    int flags = entry(fd) & E_PRIVATE ? -1 : REAL(fcntl)(fd, F_GETFL);
    return flags >= 0 && !(flags & O_PATH) &&
           ((flags & O_ACCMODE) == O_RDWR || (flags & O_ACCMODE) == what);
}

static bool
is_pipe(int fd)
{
    struct stat st;
    return !is_ours(entry(fd)) && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Until the pipe is ready. 0 or errno. */
static int
await_pipe(int fd, short events, unsigned flags)
{
    struct pollfd p = {.fd = fd, .events = events};
    bool wait = !(flags & SPLICE_F_NONBLOCK) && may_block(fd);
    int r = REAL(poll)(&p, 1, wait ? -1 : 0);
    return r > 0 ? 0 : r == 0 ? EAGAIN : errno;
}

static ssize_t
from_pipe(int pipe, int fd, uint32_t e, size_t len, unsigned flags)
{
    unsigned tries = 0;
    for (;;) {
        int err = await_pipe(pipe, POLLIN, flags);
        if (err != 0)
            return fails(err);
        ssize_t r = piece_in(e, pipe, NULL, len);
        if (r >= 0)
            return r;
        if (errno != EAGAIN)
            return send_failed(e, 0, 0);
        err = flags & SPLICE_F_NONBLOCK ? EAGAIN : wait_write(fd, &tries);
        if (err != 0)
            return fails(err);
    }
}

/* A pipe that is ready takes at least PIPE_BUF bytes at once. */
static ssize_t
to_pipe(int fd, uint32_t e, int pipe, size_t len, unsigned flags)
{
    struct iovec v[1];
    unsigned tries = 0;
    for (;;) {
        int n = 1, err = await_pipe(pipe, POLLOUT, flags);
        if (err != 0)
            return fails(err);
        ssize_t r = bh_peek(bh_of(e), v, &n);
        if (r > 0) {
            size_t most = len < PIPE_BUF ? len : PIPE_BUF;
            r = REAL(write)(pipe, v->iov_base, v->iov_len < most ? v->iov_len : most);
            return r > 0 && bh_consume(bh_of(e), (size_t)r) != 0 ? -1 : r;
        }
        if (r == 0 || errno != EAGAIN)
            return r;
        err = flags & SPLICE_F_NONBLOCK ? EAGAIN : wait_read(fd, &tries);
        if (err != 0)
            return fails(err);
    }
}

/* What the kernel says at once to a splice of one session at least: 0 or errno. */
static int
no_splice(int in, const off64_t *in_at, int out, const off64_t *out_at, size_t len,
          unsigned flags)
{
    bool from = is_pipe(in), to = is_pipe(out);
    if (flags & ~SPLICE_ALL)
        return EINVAL;
    if (REAL(fcntl)(in, F_GETFD) < 0 || REAL(fcntl)(out, F_GETFD) < 0)
        return EBADF;
    if ((from && in_at != NULL) || (to && out_at != NULL))
        return ESPIPE;
    if (wild_to_read(in_at, in_at != NULL ? sizeof *in_at : 0) ||
        wild_to_read(out_at, out_at != NULL ? sizeof *out_at : 0))
        return EFAULT;
    if (!open_for(in, O_RDONLY) || !open_for(out, O_WRONLY))
        return EBADF;
    return (!from && !to) || in_at != NULL || out_at != NULL || len > SSIZE_MAX ? EINVAL : 0;
}

static ssize_t
splice_ours(int in, const off64_t *in_at, int out, const off64_t *out_at, size_t len,
            unsigned flags)
{
    uint32_t from = entry(in), to = entry(out);
    if (len == 0)
        return 0;
    int err = no_splice(in, in_at, out, out_at, len, flags);
    if (err != 0)
        return fails(err);
    if ((is_ours(from) ? from : to) & E_DGRAM) {
        SAY("splice was refused: it is not for datagrams");
        return fails(EINVAL);
    }
    return is_ours(from) ? to_pipe(in, from, out, len, flags)
                         : from_pipe(in, out, to, len, flags);
}

EXPORT ssize_t
splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len, unsigned flags)
{
    if (is_ours_at(in, entry(in)) || is_ours_at(out, entry(out)))
        return splice_ours(in, in_at, out, out_at, len, flags);
    return REAL(splice)(in, in_at, out, out_at, len, flags);
}

OWN_IS(sendfile);
OWN_IS(splice);
