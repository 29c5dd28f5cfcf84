/* SPDX-License-Identifier: BSD-2-Clause
 *
 * standin.h: the part of the client library that unchanged programs need: kernel descriptors
 * that stand for sockets (standin.c), and attachments that processes share (share.c). For
 * private.h, whose rules about the lock hold here.
 */
#ifndef CLIENT_STANDIN_H
#define CLIENT_STANDIN_H

#include "base/base.h"
#include "ipc/ctl.h"
#include "session/session.h"

struct att;
struct lib;
struct own;
struct sock;

#define SPARES 16u
struct spare { /* a stand-in for no socket yet */
    int fd;
    uint32_t number;
};

#define SHARE_BOXES 32u
struct share_box { /* a request of some process, whose reply any of them may take in */
    uint32_t pid;  /* 0: free */
    uint32_t cookie;
    _Atomic uint32_t done;
    struct sess_evt reply;
};

/* standin.c */
/* The descriptor that this thread's call came in by, if the caller knows of several for one
 * socket; -1: the one that bh_kernel_fd gave. */
extern __thread int standin_via;
/* The domain is to show SLOT_READ, SLOT_WRITE. */
void standin_ask(struct sock *s, uint32_t what);
/* After a call on a socket that has one. */
void standin_settle(struct lib *l, struct sock *s);
/* It is about to ask for a connection, or did not after all. */
void standin_connects(struct sock *s, bool begins);
/* The last copy was closed: the domain let go of the socket. */
void standin_over(struct lib *l, struct sock *s);
/* Sleep until it shows SLOT_READ, or SLOT_WRITE. As lib_wait. */
int standin_wait(struct lib *l, struct sock *s, uint32_t mask, ns_t deadline);
/* Somebody waits on the socket's stand-in and is told of edges, or else looks at its level. */
void standin_watched(int bh, bool edges);
/* Something is withheld (tx_publish); before the process sleeps, it must be told. */
extern _Atomic bool standin_withheld;
void standin_flush(void);
/* An answer of the supervisor that nobody waits for any more. False: that is not what it said.
 */
bool standin_take_late(struct att *a);
void standin_drop_spares(struct own *o);
/* The process has no descriptor for the socket any more; others may. */
void standin_forget(int fd);
/* SO_LINGER: this process is about to close its last number for the socket. False: there is
 * nothing to wait for. Else, unless w is NULL, standin_last is called when it has closed it. */
struct standin_last {
    struct sock *s;
    uint32_t epoch, secs;
};
bool standin_lingers(int fd, struct standin_last *w);
void standin_last(struct standin_last *w);

/* name.c */
/* Does a session of ours, or of who shares our attachments, take what comes to this port over
 * loopback: does it listen there, on any address or on one of loopback's (IPPROTO_TCP), or is
 * it bound so (IPPROTO_UDP)? */
bool share_takes(int proto, uint16_t port);
/* A datagram socket is about to send over loopback: give it a port, if it has none, so that it
 * is known as one that takes what is answered. 0, or -1 and errno. */
int share_be_found(int fd);

/* share.c */
extern bool share_wanted; /* attachments made from now on are shared with children */
/* So many bytes (whole pages), zero, at an address where every process should have room, with
 * room behind them; *fd: of this memory. NULL and errno. */
struct att *share_books(size_t bytes, size_t room, int *fd);
int share_init(struct att *a); /* 0 or errno */
/* Address space there, inaccessible; NULL: something is there. */
void *share_place(uint64_t where, size_t size);
void share_take(struct att *a); /* its lock */
/* The shared locks, with lib.lock held. */
void share_lock(struct lib *l);
void share_unlock(struct lib *l);
struct share_box *share_box(struct lib *l, struct att *a); /* NULL: all stay taken */
bool share_reply(struct att *a, const struct sess_evt *e); /* true: it was asked for */
void share_wait(struct lib *l, struct att *a, struct share_box *b, ns_t deadline);
/* Attachments of which this process has nothing any more, but those for new sockets. */
void share_let_go(struct lib *l);
void share_before_fork(struct lib *l);
void share_in_parent(struct lib *l);
void share_in_child(struct lib *l);

/* The process has confined itself: what its own calls on sockets need it was allowed, read,
 * write and poll; another system call may be its end. */
extern bool share_confined;

/* pass.c */
#define LETTER_MAGIC 0x62682d6c65747465ull
struct letter {
    uint64_t magic;
    uint32_t layout, books_layout; /* of the session, and of struct att */
    uint64_t number, at, bytes, half[2];
};
enum { L_BOOKS, L_CLIENT, L_DOMAIN, L_SUP, L_HOLD, L_SLEEP, L_RING, L_FDS };
/* The socket `bh` is about to be found by other processes; mark: to be told to them. The letter
 * of its attachment (which stays ours), written now if it was not; -1 and errno: nobody else
 * can have it. */
int share_hand_on(int bh, uint32_t mark);
/* Is fd a letter? Then take part in its attachment, for new sockets, too, if first. Whoever
 * wrote it can write to our memory from then on: one by another user than root or ours is
 * refused. 1, 0: it is none, or -1 and errno. */
int share_open_letter(int fd, bool first);
/* Is a Unix socket's other end, or who made the pair, root's or ours? Not who is not known. */
bool share_peer_is_us(int fd);
/* The number of the socket that this stand-in stands for, known from now on; -1: of none. */
int share_adopt(int fd, uint32_t *mark);

/* The daemon's interface; false: this process has nothing of a daemon's. */
bool share_net(struct ctl_net *net);

#endif
