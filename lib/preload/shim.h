/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shim.h: what the files of libbulkhead-preload.so share.
 *
 * The library stands between a program and libc. A session of the program has a kernel
 * descriptor, its stand-in (bh_kernel_fd), whose number is what the program knows; the table
 * below says for each kernel descriptor which socket of the client library it stands for. A
 * call on a descriptor that is not in the table goes straight to libc.
 *
 * Nothing is kept about a session but its entry: the number of the client library's socket and
 * a few flags. Beside that there are, until it is known whether a socket is the kernel's, the
 * options that were set on it (replay.c).
 *
 * Entries are single words, read and written with atomics; only who takes the number of a
 * session away holds a lock. Readiness, blocking, timeouts,
 * signals and the end of a socket are the kernel's, on the stand-in.
 */
#ifndef PRELOAD_SHIM_H
#define PRELOAD_SHIM_H

/* What is defined here is what the checking headers would replace. */
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "client/bulkhead.h"

#define EXPORT __attribute__((visibility("default")))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Our own call by another name: the linker turns the names of libc in all files but the one
 * that defines them to what inside.c has. */
#define OWN(name) extern __typeof(name) own_##name __attribute__((visibility("hidden")))
#if __has_attribute(copy) /* gcc wants an alias to have what the function has */
#define ALIAS(name) alias(#name), copy(name)
#else
#define ALIAS(name) alias(#name)
#endif
#define OWN_IS(name)                                                                           \
    extern __typeof(name) own_##name __attribute__((ALIAS(name), visibility("hidden")))
OWN(close);
OWN(poll);
OWN(ppoll);
OWN(read);
OWN(recv);
OWN(recvfrom);
OWN(write);

/* ---- libc's own (real.c) ---- */

#define REAL_LIST(X)                                                                           \
    X(int, socket, (int, int, int))                                                            \
    X(int, bind, (int, const struct sockaddr *, socklen_t))                                    \
    X(int, connect, (int, const struct sockaddr *, socklen_t))                                 \
    X(int, listen, (int, int))                                                                 \
    X(int, accept, (int, struct sockaddr *, socklen_t *))                                      \
    X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                \
    X(int, shutdown, (int, int))                                                               \
    X(int, close, (int))                                                                       \
    X(int, close_range, (unsigned, unsigned, int))                                             \
    X(int, dup, (int))                                                                         \
    X(int, dup2, (int, int))                                                                   \
    X(int, dup3, (int, int, int))                                                              \
    X(int, fcntl, (int, int, ...))                                                             \
    X(int, ioctl, (int, unsigned long, ...))                                                   \
    X(int, getsockopt, (int, int, int, void *, socklen_t *))                                   \
    X(int, setsockopt, (int, int, int, const void *, socklen_t))                               \
    X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                 \
    X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                 \
    X(int, sockatmark, (int))                                                                  \
    X(ssize_t, read, (int, void *, size_t))                                                    \
    X(ssize_t, readv, (int, const struct iovec *, int))                                        \
    X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                          \
    X(ssize_t, recv, (int, void *, size_t, int))                                               \
    X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))           \
    X(ssize_t, recvmsg, (int, struct msghdr *, int))                                           \
    X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                \
    X(ssize_t, write, (int, const void *, size_t))                                             \
    X(ssize_t, writev, (int, const struct iovec *, int))                                       \
    X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                         \
    X(ssize_t, send, (int, const void *, size_t, int))                                         \
    X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))   \
    X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                     \
    X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                   \
    X(ssize_t, sendfile, (int, int, off_t *, size_t))                                          \
    X(ssize_t, splice, (int, off_t *, int, off_t *, size_t, unsigned))                         \
    X(int, poll, (struct pollfd *, nfds_t, int))                                               \
    X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))        \
    X(int, epoll_ctl, (int, int, int, struct epoll_event *))                                   \
    X(int, epoll_wait, (int, struct epoll_event *, int, int))                                  \
    X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))               \
    X(int, epoll_pwait2,                                                                       \
      (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))             \
    X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                      \
    X(int, pselect,                                                                            \
      (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))          \
    X(int, nanosleep, (const struct timespec *, struct timespec *))                            \
    X(int, clock_nanosleep, (clockid_t, int, const struct timespec *, struct timespec *))      \
    X(int, usleep, (useconds_t))                                                               \
    X(unsigned, sleep, (unsigned))                                                             \
    X(FILE *, fdopen, (int, const char *))                                                     \
    X(int, vdprintf, (int, const char *, va_list))                                             \
    X(int, prctl, (int, ...))                                                                  \
    X(int, getifaddrs, (struct ifaddrs **))                                                    \
    X(void, freeifaddrs, (struct ifaddrs *))                                                   \
    X(long, syscall, (long, ...))                                                              \
    X(int, execve, (const char *, char *const[], char *const[]))                               \
    X(int, execvpe, (const char *, char *const[], char *const[]))                              \
    X(int, execveat, (int, const char *, char *const[], char *const[], int))                   \
    X(int, fexecve, (int, char *const[], char *const[]))                                       \
    X(int, posix_spawn,                                                                        \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,   \
       char *const[], char *const[]))                                                          \
    X(int, posix_spawnp,                                                                       \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,   \
       char *const[], char *const[]))

struct real {
    bool ready;
#define REAL_MEMBER(r, name, args) r(*name) args;
    REAL_LIST(REAL_MEMBER)
#undef REAL_MEMBER
};
extern struct real real;
void real_init(void);
/* Also for what runs before our constructor. */
#define REAL(name) (*(UNLIKELY(!real.ready) ? (real_init(), real.name) : real.name))

/* ---- the table (shim.c) ---- */

#define SHIM_FDS (1u << 20)   /* no kernel descriptor above is ours */
#define E_OURS 0x40000000u    /* stands for a socket of the client library */
#define E_PRIVATE 0x80000000u /* the client library's own: not there for the program */
#define E_V6 0x20000000u      /* the program asked for AF_INET6 */
#define E_V6ONLY 0x10000000u  /* and for no mapped addresses */
#define E_DGRAM 0x08000000u   /* SOCK_DGRAM */
#define E_SETTLED 0x04000000u /* it stays on the stack, come what may */
#define E_NOWHERE 0x02000000u /* bound to IPv6 alone: no session; E_INDEX is its port */
#define E_WAITS 0x01000000u   /* seen when the process confined itself: it is blocking */
#define E_SAME (E_OURS | E_PRIVATE | E_NOWHERE | E_INDEX) /* which socket it is */
#define E_INDEX 0x00ffffffu /* the socket's number, from BH_FD_BASE on */
#define E_HANDED (E_V6 | E_V6ONLY | E_DGRAM | E_SETTLED) /* other processes are told */
#define PRIVATE_BASE 1024 /* where our own descriptors lie if there is room */
#define PRIVATE_ROOM 128

extern _Atomic uint32_t shim_table[SHIM_FDS];

static inline uint32_t
entry(int fd)
{
    return (unsigned)fd < SHIM_FDS
               ? atomic_load_explicit(&shim_table[(unsigned)fd], memory_order_acquire)
               : 0;
}
static inline bool
is_ours(uint32_t e)
{
    return UNLIKELY((e & E_OURS) != 0);
}
/* The same at the beginning of a call on it: the client library must know by which of its
 * numbers the stand-in can be reached (private.h), since others may have been closed. */
extern __thread int standin_via;
/* Likewise: attachments are shared with children; this process has no number for it any more.
 */
extern bool share_wanted, share_confined;
void standin_forget(int fd);
void standin_watched(int bh, bool edges);
/* As in client/standin.h. */
struct standin_last {
    struct sock *s;
    uint32_t epoch, secs;
};
bool standin_lingers(int bh, struct standin_last *w);
void standin_last(struct standin_last *w);
/* This number is the only one for what it stands for in this process. */
bool table_only(int fd, uint32_t e);
/* Corked bytes that the stack was not told of: who may sleep tells first. */
extern _Atomic bool standin_withheld;
void standin_flush(void);
static inline void
may_sleep(void)
{
    if (UNLIKELY(atomic_load_explicit(&standin_withheld, memory_order_relaxed)))
        standin_flush();
}
int share_hand_on(int bh, uint32_t mark);
void put_control(struct msghdr *h, size_t room, int level, int type, const void *data,
                 size_t n);
int share_open_letter(int fd, bool first);
bool share_peer_is_us(int fd);
bool share_takes(int proto, uint16_t port);
struct ctl_net;
bool share_net(struct ctl_net *net);
int share_be_found(int fd);
int share_adopt(int fd, uint32_t *mark);
static inline bool
is_ours_at(int fd, uint32_t e)
{
    if (is_ours(e))
        standin_via = fd;
    return is_ours(e);
}
static inline int
bh_of(uint32_t e)
{
    return e & E_NOWHERE ? -1 : BH_FD_BASE + (int)(e & E_INDEX);
}

/* The descriptor stands for e from now on (0: for nothing). Nothing happens in the child of a
 * vfork, whose table is its parent's and whose descriptors are not. */
void table_set(int fd, uint32_t e);
/* Flags for a socket, at all of its descriptors. */
void table_mark(uint32_t e, uint32_t set, uint32_t clear);
/* One above the highest descriptor that was ever in the table. */
unsigned table_top(void);
/* A stand-in for the socket `bh`, known to the table, with SOCK_NONBLOCK and SOCK_CLOEXEC of
 * type; -1 and errno (then the socket is closed). */
int stand_in(int bh, uint32_t flags, int type);
/* The number of the last one. */
int stand_in_last(void);
/* Was one closed within a tenth of a second? (close.c) */
bool closed_lately(void);
/* Sets errno and returns -1. */
static inline int
fails(int err)
{
    errno = err;
    return -1;
}

/* ---- pointers that point nowhere (wild.c) ---- */

#define WILD_PAGE 4096u
#define WILD_PAGES 64u /* so many are remembered of each kind; a thread's buffers and stack */
#define WILD_MOST ((size_t)INT32_MAX & ~(size_t)(WILD_PAGE - 1)) /* MAX_RW_COUNT */
#define CONTROL_MOST (128u << 10)                                /* as net.core.optmem_max */
#if defined(__x86_64__)
#define WILD_END (((uintptr_t)1 << 47) - WILD_PAGE)
#else
#define WILD_END (UINTPTR_MAX / 2)
#endif

/* Of readable pages and of writable ones, by number. */
extern __thread uintptr_t wild_good[2][WILD_PAGES];
/* The kernel is asked; len is not 0. */
bool wild_ask(const void *p, size_t len, bool write);
/* No memory can be there: what the kernel refuses before it does anything. */
static inline bool
is_beyond(const void *p, size_t len)
{
    return (uintptr_t)p > WILD_END || len > WILD_END - (uintptr_t)p;
}
_Static_assert(WILD_PAGES == 1u << (64 - 58), "the top bits of the product");
/* Where a page is remembered: buffers lie at distances that are powers of two. */
static inline uintptr_t *
wild_place(uintptr_t page, bool write)
{
    return &wild_good[write][((uint64_t)page * 0x9e3779b97f4a7c15u) >> 58];
}
static inline bool
wild_known(uintptr_t page, bool write)
{
    return *wild_place(page, write) == page && page != 0;
}
static inline bool
is_wild(const void *p, size_t len, bool write)
{
    uintptr_t first = (uintptr_t)p / WILD_PAGE, last = ((uintptr_t)p + len - 1) / WILD_PAGE;
    if (len == 0 || (len < WILD_END && wild_known(first, write) &&
                     (last == first || wild_known(last, write))))
        return false;
    return wild_ask(p, len, write);
}
static inline bool
wild_to_read(const void *p, size_t len)
{
    return UNLIKELY(is_wild(p, len, false));
}
static inline bool
wild_to_write(const void *p, size_t len)
{
    return UNLIKELY(is_wild(p, len, true));
}
/* Is one of them wild, or are they more together than a call ever moves? */
static inline bool
any_wild(const struct iovec *v, size_t n, bool write)
{
    size_t all = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].iov_len > WILD_MOST - all ||
            UNLIKELY(is_wild(v[i].iov_base, v[i].iov_len, write)))
            return true;
        all += v[i].iov_len;
    }
    return false;
}
/* What the kernel says to such a vector at once, whose n is not above IOV_MAX: 0 or errno. */
int wild_vector(const struct iovec *v, size_t n);
/* The same to readv's and writev's list of any length; *some: it has any bytes. */
int wild_list(const struct iovec *v, int n, bool *some);
/* The same to the header of a message, of which *to becomes a copy. */
int wild_header(struct msghdr *to, const struct msghdr *m, bool send);
/* The beginning of a vector that a call moves, and can be written (to: room for n). How long it
 * is together. */
size_t wild_cut(const struct iovec *v, size_t n, bool write, struct iovec *to, size_t *to_n);

/* ---- what is not done is said (say.c) ---- */

extern bool shim_debug, shim_fallback; /* BULKHEAD_DEBUG, BULKHEAD_FALLBACK */
void say(const char *text);
#define SAY(text)                                                                              \
    do {                                                                                       \
        static atomic_bool said_;                                                              \
        if (shim_debug && !atomic_exchange(&said_, true))                                      \
            say(text);                                                                         \
    } while (0)
/* Why the stack cannot be had; once per process. */
void say_attach(int err);

/* ---- addresses (addr.c) ---- */

/* Where an address that the program gave belongs. */
enum where {
    WHERE_STACK,
    WHERE_KERNEL,
    WHERE_NOWHERE, /* all of IPv6 and no IPv4: to listen there is harmless */
    WHERE_REFUSED, /* *err says why */
};
/* local: to be bound to, otherwise a peer's. *sin: the address, for the stack. */
enum where addr_take(uint32_t e, const struct sockaddr *sa, socklen_t len, bool local,
                     struct sockaddr_in *sin, int *err);
/* Is it loopback, of whatever stack? 0.0.0.0 is, as a peer. */
static inline bool
addr_is_loopback(const struct sockaddr_in *sin)
{
    uint32_t a = ntohl(sin->sin_addr.s_addr);
    return a >> 24 == IN_LOOPBACKNET || a == INADDR_ANY;
}
/* One of the stack's addresses, as the program of this socket has them. Returns its length. */
socklen_t addr_make(uint32_t e, const struct sockaddr_in *sin, struct sockaddr_storage *ss);
/* `whole` bytes of an address, to where the program wants them, as the kernel does it. *len in:
 * room, out: the whole length. 0 or errno. */
int addr_put(const struct sockaddr_storage *ss, socklen_t whole, struct sockaddr *sa,
             socklen_t *len);

/* ---- the stack's interface (netif.c) ---- */

/* SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFDSTADDR; SIOCGIFCONF. */
int netif_address(unsigned long what, void *ifreq);
int netif_list(void *ifconf);
void netif_release(void); /* in the child of a fork */

/* ---- options to be set again (replay.c) ---- */

void replay_note(uint32_t e, int level, int name, const void *value, socklen_t len);
void replay_drop(uint32_t e);
/* Socket fd becomes a socket of the kernel, with the same options and under the same numbers.
 * 0 or errno. */
int become_kernel(int fd, uint32_t e);
/* It becomes one that is bound to this port (network order) of IPv6 alone, where nothing comes
 * from. */
int become_nowhere(int fd, uint32_t e, in_port_t port);
/* It stays, and what it keeps of its beginnings is nothing. */
static inline void
settle(uint32_t e)
{
    if (e & E_SETTLED)
        return;
    table_mark(e, E_SETTLED, 0);
    replay_drop(e);
}
#define REPLAY_BIND (-1)  /* as a level: bind, to the address that is the value */
#define REPLAY_EPOLL (-2) /* epoll_ctl on the set that is the name; struct replay_epoll */
struct replay_epoll {
    int op, fd;
    struct epoll_event event;
};

/* ---- sessions that pass to other programs (exec.c, rights.c) ---- */

#define LETTERS_MAX                                                                            \
    16u /* attachments that a process has a part of: two, but for odd programs */
struct letters {
    int fd[LETTERS_MAX];
    unsigned n;
};
/* What stands at fd is about to be had elsewhere: adds the letter that is needed there. False
 * and errno: it cannot be. */
bool hand_on(struct letters *t, int fd, uint32_t e);
/* Found in the environment by a program that was executed. */
void take_handed(const char *letters);
/* Whether the descriptor stands for a session from now on. */
bool adopt(int fd);
/* As of a call on a descriptor that is none of ours, which may carry sessions. */
ssize_t rights_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t rights_recvmsg(int fd, struct msghdr *m, int flags);

/* ---- waiting (wait.c) ---- */

/* The call found nothing to do: sleep until there may be something. 0: try again; else the
 * errno to end with. *tries: 0 at first. */
int wait_read(int fd, unsigned *tries);
int wait_write(int fd, unsigned *tries);
bool may_block(int fd);
/* SO_RCVTIMEO and SO_SNDTIMEO of the listener, for the number of what was accepted. */
void timeouts_inherit(int fd, uint32_t e);
void nap(unsigned us);
/* A process that forbids itself most system calls goes on reading and writing its sockets: what
 * else is asked of the kernel about them is asked now (control.c). */
void confined(void);

/* ---- datagrams in pieces (more.c) ---- */

extern _Atomic unsigned more_kept;
static inline bool
more_any(void)
{
    return atomic_load_explicit(&more_kept, memory_order_relaxed) > 0;
}
/* As send_whole, by which it sends what is whole. */
ssize_t more_send(int fd, uint32_t e, const struct msghdr *m, int flags);
int more_cork(int fd, uint32_t e, bool on);
bool more_corked(uint32_t e);
/* Of a socket that is gone. */
void more_drop(uint32_t e);
void more_hold(void); /* around fork */
void more_release(void);

/* ---- data (recv.c, send.c) ---- */

ssize_t shim_recv(int fd, uint32_t e, void *buf, size_t len, int flags);
ssize_t shim_send(int fd, uint32_t e, const void *buf, size_t len, int flags);
/* A datagram whose address is the stack's. */
ssize_t send_whole(int fd, uint32_t e, const struct msghdr *m, int flags);
/* What is wrong with the control messages of one that is sent (cmsg.c): 0 or errno. */
int control_refused(uint32_t e, const struct msghdr *m);
/* Flags of preadv2 and pwritev2 that a socket takes; the rest EOPNOTSUPP. */
#define RWF_SOCKET (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | 0x20)
/* The end of a call that failed with errno after it sent `done` bytes; may raise SIGPIPE. */
ssize_t send_failed(uint32_t e, size_t done, int flags);
bool any_ours(const struct pollfd *f, nfds_t n);
int shim_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask);

#endif
