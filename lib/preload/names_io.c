/* SPDX-License-Identifier: BSD-2-Clause
 *
 * names_io.c: sockets for c-ares. Whether one is the stack's or the kernel's shows when it is
 * connected to its name server; until then it is but a number.
 */
#include "names.h"

#include <ares.h>
#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/bulkhead.h"
#include "rules.h"

#define FIRST 3 /* c-ares' name for the first of them */

/* The kernel's calls, which are made past the preloaded library. */
#define KERNEL(name, ...) syscall(SYS_##name, __VA_ARGS__)

static struct names_socket *
socket_of(struct names_io *io, ares_socket_t s)
{
    int i = s - FIRST;
    return i >= 0 && i < (int)NAMES_SOCKETS && io->socket[i].used ? &io->socket[i] : NULL;
}

static ares_socket_t
io_socket(int domain, int type, int protocol, void *arg)
{
    struct names_io *io = arg;
    for (unsigned i = 0; i < NAMES_SOCKETS; i++)
        if (!io->socket[i].used) {
            io->socket[i] = (struct names_socket){
                .used = true, .fd = -1, .domain = domain, .type = type, .protocol = protocol};
            return FIRST + (int)i;
        }
    errno = EMFILE;
    return ARES_SOCKET_BAD;
}

static int
io_close(ares_socket_t number, void *arg)
{
    struct names_socket *s = socket_of(arg, number);
    if (s == NULL) {
        errno = EBADF;
        return -1;
    }
    s->used = false;
    if (s->fd < 0)
        return 0;
    return s->kernel ? (int)KERNEL(close, s->fd) : bh_close(s->fd);
}

static int
open_socket(const struct names_io *io, struct names_socket *s, const struct sockaddr *to)
{
    s->kernel = rules_kernel(s->type, to, false);
    if (!s->kernel)
        s->fd = bh_socket(s->domain, s->type | SOCK_NONBLOCK, s->protocol);
    if (s->fd < 0 && io->fallback)
        s->kernel = true;
    if (s->kernel)
        s->fd =
            (int)KERNEL(socket, s->domain, s->type | SOCK_NONBLOCK | SOCK_CLOEXEC, s->protocol);
    return s->fd < 0 ? -1 : 0;
}

static int
io_connect(ares_socket_t number, const struct sockaddr *to, ares_socklen_t len, void *arg)
{
    struct names_socket *s = socket_of(arg, number);
    if (s == NULL || s->fd >= 0) {
        errno = EBADF;
        return -1;
    }
    if (open_socket(arg, s, to) != 0)
        return -1;
    return s->kernel ? (int)KERNEL(connect, s->fd, to, len) : bh_connect(s->fd, to, len);
}

static ares_ssize_t
io_recvfrom(ares_socket_t number, void *buf, size_t len, int flags, struct sockaddr *from,
            ares_socklen_t *from_len, void *arg)
{
    const struct names_socket *s = socket_of(arg, number);
    if (s == NULL || s->fd < 0) {
        errno = EBADF;
        return -1;
    }
    return s->kernel ? KERNEL(recvfrom, s->fd, buf, len, flags, from, from_len)
                     : bh_recvfrom(s->fd, buf, len, flags, from, from_len);
}

static ares_ssize_t
io_sendv(ares_socket_t number, const struct iovec *iov, int n, void *arg)
{
    const struct names_socket *s = socket_of(arg, number);
    if (s == NULL || s->fd < 0) {
        errno = EBADF;
        return -1;
    }
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    return s->kernel ? KERNEL(sendmsg, s->fd, &m, MSG_NOSIGNAL)
                     : bh_sendmsg(s->fd, &m, MSG_NOSIGNAL);
}

const struct ares_socket_functions names_io_functions = {.asocket = io_socket,
                                                         .aclose = io_close,
                                                         .aconnect = io_connect,
                                                         .arecvfrom = io_recvfrom,
                                                         .asendv = io_sendv};

int
names_io_fd(const struct names_io *io, int s)
{
    int i = s - FIRST;
    return i >= 0 && i < (int)NAMES_SOCKETS && io->socket[i].used ? io->socket[i].fd : -1;
}
