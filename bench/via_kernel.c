/* SPDX-License-Identifier: BSD-2-Clause
 *
 * via_kernel.c: the kernel's own stack.
 */
#include "bench/via.h"

#include <sys/sendfile.h>
#include <unistd.h>

/* The C library's prototypes may use transparent unions for the address arguments, so their
 * functions do not fit a plain pointer; these do. */
static int
k_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    return bind(fd, addr, len);
}

static int
k_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return connect(fd, addr, len);
}

static int
k_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    return accept4(fd, addr, len, flags);
}

static ssize_t
k_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
         socklen_t tolen)
{
    return sendto(fd, buf, len, flags | MSG_NOSIGNAL, to, tolen);
}

static ssize_t
k_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *fromlen)
{
    return recvfrom(fd, buf, len, flags, from, fromlen);
}

static ssize_t
k_send(int fd, const void *buf, size_t len, int flags)
{
    return send(fd, buf, len, flags | MSG_NOSIGNAL);
}

static int
k_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    return sendmmsg(fd, msgs, n, flags | MSG_NOSIGNAL);
}

static int
k_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    return getsockname(fd, addr, len);
}

static ssize_t
k_send_file(int fd, int file, off_t *off, size_t len)
{
    return sendfile(fd, file, off, len);
}

const struct via via_kernel = {
    .name = "kernel",
    .socket = socket,
    .bind = k_bind,
    .connect = k_connect,
    .listen = listen,
    .accept4 = k_accept4,
    .send = k_send,
    .recv = recv,
    .sendto = k_sendto,
    .recvfrom = k_recvfrom,
    .sendmmsg = k_sendmmsg,
    .recvmmsg = recvmmsg,
    .shutdown = shutdown,
    .close = close,
    .setsockopt = setsockopt,
    .getsockopt = getsockopt,
    .getsockname = k_getsockname,
    .poll = poll,
    .send_file = k_send_file,
};
