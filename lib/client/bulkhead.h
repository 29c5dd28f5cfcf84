/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bulkhead.h: the client library of the Bulkhead TCP/IP stack.
 *
 * The calls have the shape of the POSIX socket calls: same argument order, same errno
 * values, same meaning, so a program is ported by a handful of renames. Addresses are
 * struct sockaddr_in. What a call returns as a "socket" is a bulkhead descriptor: a small
 * integer from BH_FD_BASE on, valid in these calls only.
 *
 * The first bh_socket() attaches to the daemon of the instance named by the environment
 * variable BULKHEAD_INSTANCE (default "default"). It fails with ECONNREFUSED if no daemon
 * runs, EACCES if no account admits this user, EDQUOT if the arena is larger than the
 * account may have, ENETDOWN if the daemon went away later; the others are in bulkhead(3).
 * bh_strerror_attach() says in words what to do.
 *
 * Threads. Every call may be made from any thread at any time. Different sockets proceed
 * in parallel but for short critical sections; one socket used by several threads behaves
 * as a kernel socket: each call is atomic with respect to the stream (two senders'
 * bytes are not interleaved within one bh_send that does not block), the order between
 * threads is not defined. bh_close wakes the threads that block on the socket with EBADF.
 * After fork() the child has no sockets: it attaches anew at its first bh_socket().
 *
 * Memory. Payload lives in an arena that this process pays for. BULKHEAD_ARENA (bytes, with
 * K, M or G; default 32M) sets the size of each FIFO pool, BULKHEAD_SESSIONS (default 4096)
 * the number of sessions.
 */
#ifndef BULKHEAD_H
#define BULKHEAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_FD_BASE 0x40000000

/* AF_INET; SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK or'ed in if wanted. */
int bh_socket(int domain, int type, int protocol);
int bh_bind(int fd, const struct sockaddr *addr, socklen_t len);
int bh_connect(int fd, const struct sockaddr *addr, socklen_t len);
int bh_listen(int fd, int backlog);
int bh_accept(int fd, struct sockaddr *addr, socklen_t *len);
int bh_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int bh_shutdown(int fd, int how);
int bh_close(int fd);

/* flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_NOSIGNAL (always implied:
 * the library never raises SIGPIPE), MSG_MORE (accepted, changes nothing). Sending on a stream
 * also MSG_OOB: the last byte is urgent; it is received in line (RFC 6093). */
ssize_t bh_send(int fd, const void *buf, size_t len, int flags);
ssize_t bh_recv(int fd, void *buf, size_t len, int flags);
ssize_t bh_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
                  socklen_t tolen);
ssize_t bh_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
                    socklen_t *fromlen);
ssize_t bh_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t bh_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t bh_read(int fd, void *buf, size_t len);
ssize_t bh_write(int fd, const void *buf, size_t len);
ssize_t bh_readv(int fd, const struct iovec *iov, int n);
ssize_t bh_writev(int fd, const struct iovec *iov, int n);
struct mmsghdr;
int bh_sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags);
int bh_recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags, struct timespec *timeout);

int bh_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int bh_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int bh_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int bh_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int bh_set_nonblocking(int fd, int on); /* fcntl(F_SETFL, O_NONBLOCK) */
int bh_get_nonblocking(int fd);
int bh_fionread(int fd, int *bytes); /* ioctl(FIONREAD) */
/* ioctl(2): FIONREAD (SIOCINQ), FIONBIO; of streams also SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK. arg
 * is a pointer to int; ENOTTY: anything else. */
int bh_ioctl(int fd, unsigned long request, void *arg);

/* poll(2) over bulkhead descriptors; kernel descriptors may be mixed in. */
struct pollfd;
int bh_poll(struct pollfd *fds, unsigned long n, int timeout_ms);

/* Zero-copy. bh_reserve gives room for up to len bytes in the transmit FIFO as up to *n
 * pieces (in: capacity of iov, out: used); returns the bytes, or -1 (EAGAIN: no room and
 * non-blocking). bh_commit sends the first len bytes of what was reserved. bh_peek gives
 * what is readable, without copying; bh_consume drops the first len bytes of it. Streams
 * only. Between reserve and commit (peek and consume) the socket is the calling thread's. */
ssize_t bh_reserve(int fd, size_t len, struct iovec *iov, int *n);
int bh_commit(int fd, size_t len);
ssize_t bh_peek(int fd, struct iovec *iov, int *n);
int bh_consume(int fd, size_t len);

/* A kernel descriptor that stands for the socket, of the lowest number that is free: for poll,
 * select and epoll it is readable and writable when the socket is, as far as the calls above
 * were told; nothing else is to be done with it but dup(2), fork(2), passing it on, and
 * close(2): with the last copy, in whatever process, the socket is closed, and bh_close must
 * not be called. The socket should be non-blocking, and not be watched by bh_watch. EBUSY: it
 * has one; EMFILE; ENOBUFS: the account has no more sessions, or the daemon no more
 * descriptors. */
int bh_kernel_fd(int fd);

/* For an event loop: one kernel descriptor that is readable whenever some watched socket
 * may have become ready, and stays so until bh_ready_events has found nothing. bh_watch
 * says which conditions of a socket count (POLLIN, POLLOUT, POLLRDHUP; 0: none) and what
 * pointer to report. bh_ready_events collects up to max sockets whose condition holds now
 * (level-triggered, each in its turn) and never blocks. Use from one thread. */
struct bh_event {
    int fd;
    short revents;
    void *arg;
};
int bh_event_fd(void);
int bh_watch(int fd, short events, void *arg);
int bh_ready_events(struct bh_event *ev, int max);

/* A descriptor is a handle: it carries rights. bh_mint makes another one for the same socket
 * (or creator), with some of the rights that fd has: EACCES if it has not all of them, EMFILE
 * if no more fit. A call whose right is missing fails with EACCES. The socket ends when its
 * last descriptor is closed. bh_rights tells the rights of fd.
 *
 * bh_revoke takes back: fd and all descriptors minted from it are dead at once. Calls on them
 * fail with ECONNABORTED, those that sleep in one wake up with it, and bh_poll reports POLLERR
 * and POLLHUP; the numbers are free when they are closed. A socket without another descriptor
 * is reset. */
#define BH_RIGHT_SEND 1u      /* bh_send and its kin, bh_reserve, bh_commit */
#define BH_RIGHT_RECEIVE 2u   /* bh_recv and its kin, bh_peek, bh_consume */
#define BH_RIGHT_ACCEPT 4u    /* bh_accept */
#define BH_RIGHT_SHUTDOWN 8u  /* bh_shutdown */
#define BH_RIGHT_OPTIONS 16u  /* bh_setsockopt */
#define BH_RIGHT_BIND 32u     /* bh_bind */
#define BH_RIGHT_DELEGATE 64u /* hand it to another process */
#define BH_RIGHT_CONNECT 128u /* bh_connect */
#define BH_RIGHT_LISTEN 256u  /* bh_listen */
#define BH_RIGHT_OPEN 512u    /* of a creator: bh_socket_from */
int bh_mint(int fd, unsigned rights);
int bh_rights(int fd);
int bh_revoke(int fd);

/* Hand a socket to another process. bh_delegate makes a token, which is good once and for 30
 * seconds; whoever has it gets the socket from bh_redeem, with the rights of fd, as a
 * descriptor of its own, with all that was received and not read, and that was sent and is not
 * acknowledged: that lies in the taker's memory then. A listener brings along the connections
 * that bh_accept had not been told of. What is left to the giver is fd, which can do nothing
 * (EACCES) but be revoked
 * - then the taker's calls fail with ECONNABORTED and a connection is reset - and closed, which
 * leaves the socket to the taker; so does the giver's end. Between bh_delegate and bh_redeem
 * the giver should not use the socket.
 *
 * bh_delegate: EACCES without BH_RIGHT_DELEGATE; ENOBUFS if 16 tokens are out; ELOOP for a
 * socket that went through two hands already. bh_redeem: ENOENT if the token is none, was used,
 * is too old, or stands for what was closed or revoked meanwhile; EMFILE and ENOBUFS if this
 * process has no room (the token stays good); EINVAL if the socket is this process's own. */
struct bh_token {
    uint64_t word[3];
    uint32_t type;
    uint32_t reserved;
};
int bh_delegate(int fd, struct bh_token *token);
int bh_redeem(const struct bh_token *token);

/* A creator is what sockets are made from. bh_creator is a descriptor for the one that this
 * process got from the daemon, of SOCK_STREAM or SOCK_DGRAM; bh_socket makes its sockets from
 * it, and fails with EACCES once it was closed or revoked. bh_mint_ports makes a narrower one:
 * its sockets may have the local ports first to last and the rights of the creator; a port that
 * is chosen for them is one of these (EADDRINUSE, EADDRNOTAVAIL: none is free), any other is
 * refused with EACCES. Revoking a creator revokes all sockets that were made from it or from
 * what was minted from it, and the connections that they accepted. */
int bh_creator(int type);
int bh_mint_ports(int creator, unsigned first, unsigned last, unsigned rights);
int bh_socket_from(int creator, int domain, int type, int protocol);

/* Where the last failed attach of this thread stood: text for a human. */
const char *bh_strerror_attach(void);

/* The version of the library, "MAJOR.MINOR.PATCH". */
const char *bh_version(void);

#ifdef __cplusplus
}
#endif

#endif
