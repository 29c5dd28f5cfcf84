/* SPDX-License-Identifier: BSD-2-Clause
 *
 * via.h: the socket calls of one stack, as a table. Every tool in bench/ reaches the
 * network through it alone, so the same program measures Bulkhead and the kernel.
 */
#ifndef BENCH_VIA_H
#define BENCH_VIA_H

#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* The members have the arguments, results and errno values of the POSIX call of that name.
 * Descriptors of one table mean nothing to the other. */
struct via {
    const char *name;
    int (*socket)(int domain, int type, int protocol);
    int (*bind)(int fd, const struct sockaddr *addr, socklen_t len);
    int (*connect)(int fd, const struct sockaddr *addr, socklen_t len);
    int (*listen)(int fd, int backlog);
    int (*accept4)(int fd, struct sockaddr *addr, socklen_t *len, int flags);
    ssize_t (*send)(int fd, const void *buf, size_t len, int flags);
    ssize_t (*recv)(int fd, void *buf, size_t len, int flags);
    ssize_t (*sendto)(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
                      socklen_t tolen);
    ssize_t (*recvfrom)(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
                        socklen_t *fromlen);
    int (*sendmmsg)(int fd, struct mmsghdr *msgs, unsigned n, int flags);
    int (*recvmmsg)(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *t);
    int (*shutdown)(int fd, int how);
    int (*close)(int fd);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
    int (*getsockname)(int fd, struct sockaddr *addr, socklen_t *len);
    int (*poll)(struct pollfd *fds, unsigned long n, int timeout_ms);
    /* Send up to len bytes of the file from *off on, by the cheapest way the stack has:
     * sendfile(2), or reading straight into the transmit FIFO. Advances *off by what was
     * sent and returns it; 0: the file has no byte at *off. */
    ssize_t (*send_file)(int fd, int file, off_t *off, size_t len);
    /* Zero-copy calls as in bulkhead.h; NULL where the stack has none. */
    ssize_t (*reserve)(int fd, size_t len, struct iovec *iov, int *n);
    int (*commit)(int fd, size_t len);
    ssize_t (*peek)(int fd, struct iovec *iov, int *n);
    int (*consume)(int fd, size_t len);
};

extern const struct via via_kernel, via_bulkhead;

/* "kernel" or "bulkhead"; NULL: neither. */
const struct via *via_find(const char *name);

/* The first socket of a program: AF_INET of the given type, which may hold SOCK_NONBLOCK. Says
 * why and exits when it cannot be had: EXIT_NO_DAEMON, EXIT_ACCOUNT or EXIT_OTHER. */
int via_socket_or_exit(const struct via *via, int type);

#endif
