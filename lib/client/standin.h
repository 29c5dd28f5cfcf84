/* SPDX-License-Identifier: BSD-2-Clause
 *
 * standin.h: the part of the client library that unchanged programs need: kernel descriptors
 * that stand for sockets (standin.c), and attachments that processes share (share.c). For
 * private.h, whose rules about the lock hold here.
 */
#ifndef CLIENT_STANDIN_H
#define CLIENT_STANDIN_H

#include "base/base.h"
#include "session/session.h"

struct att;
struct lib;
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
/* The last copy was closed: the domain let go of the socket. */
void standin_over(struct lib *l, struct sock *s);
/* Sleep until it shows SLOT_READ, or SLOT_WRITE. As lib_wait. */
int standin_wait(struct lib *l, struct sock *s, uint32_t mask, ns_t deadline);
/* An answer of the supervisor that nobody waits for any more. False: that is not what it said.
 */
bool standin_take_late(struct lib *l, struct att *a);
void standin_drop_spares(struct lib *l, unsigned i);
/* The process has no descriptor for the socket any more; others may. */
void standin_forget(int fd);

/* share.c */
extern bool share_wanted; /* attachments made from now on are shared with children */
void *share_alloc(bool shared, size_t n, size_t size); /* zero; NULL */
void share_free(bool shared, void *p, size_t bytes);
int share_init(struct att *a); /* 0 or errno */
/* The shared locks, with lib.lock held. */
void share_lock(struct lib *l);
void share_unlock(struct lib *l);
struct share_box *share_box(struct lib *l, struct att *a); /* NULL: all stay taken */
bool share_reply(struct att *a, const struct sess_evt *e); /* true: it was asked for */
void share_wait(struct lib *l, struct att *a, struct share_box *b, ns_t deadline);
void share_before_fork(struct lib *l);
void share_in_parent(struct lib *l);
void share_in_child(struct lib *l);

#endif
