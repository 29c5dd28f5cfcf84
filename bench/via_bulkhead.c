/* SPDX-License-Identifier: BSD-2-Clause
 *
 * via_bulkhead.c: Bulkhead, through its client library.
 */
#include "bench/via.h"

#include <errno.h>
#include <unistd.h>

#include "base/base.h"
#include "client/bulkhead.h"

#define FILE_PIECES 64

/* One copy in all: from the page cache into the transmit FIFO, where TCP takes it from. */
static ssize_t
b_send_file(int fd, int file, off_t *off, size_t len)
{
    struct iovec iov[FILE_PIECES];
    int n = (int)ARRAY_LEN(iov);
    if (bh_reserve(fd, len, iov, &n) < 0)
        return -1;
    ssize_t got = preadv(file, iov, n, *off);
    int err = errno;
    if (bh_commit(fd, got > 0 ? (size_t)got : 0) < 0)
        return -1;
    if (got < 0)
        errno = err;
    else
        *off += got;
    return got;
}

const struct via via_bulkhead = {
    .name = "bulkhead",
    .socket = bh_socket,
    .bind = bh_bind,
    .connect = bh_connect,
    .listen = bh_listen,
    .accept4 = bh_accept4,
    .send = bh_send,
    .recv = bh_recv,
    .sendto = bh_sendto,
    .recvfrom = bh_recvfrom,
    .sendmmsg = bh_sendmmsg,
    .recvmmsg = bh_recvmmsg,
    .shutdown = bh_shutdown,
    .close = bh_close,
    .setsockopt = bh_setsockopt,
    .getsockopt = bh_getsockopt,
    .getsockname = bh_getsockname,
    .poll = bh_poll,
    .send_file = b_send_file,
    .reserve = bh_reserve,
    .commit = bh_commit,
    .peek = bh_peek,
    .consume = bh_consume,
};
