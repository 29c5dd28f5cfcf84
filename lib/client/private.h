/* SPDX-License-Identifier: BSD-2-Clause
 *
 * private.h: the inside of the client library.
 *
 * A struct lib is what bh_* calls act on: one attachment per protocol, the table of
 * descriptors, the threads that wait, the sockets that are watched. A process has one;
 * tests make others and choose between them.
 *
 * Locking. One mutex, lib.lock, guards everything here. It is held for short, bounded
 * work only: payload longer than COPY_LOCKED is copied without it, under the socket's
 * tx_busy or rx_busy mark. Functions below run with the lock held unless they say
 * otherwise.
 *
 * Waiting. Of the threads that wait one is the leader: it arms the bells and sleeps in
 * poll(); the others sleep on condition variables. Events are taken in by whoever holds
 * the lock and finds some, and wake the waiters that they concern.
 */
#ifndef CLIENT_PRIVATE_H
#define CLIENT_PRIVATE_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/base.h"
#include "ipc/bell.h"
#include "ipc/ctl.h"
#include "ipc/handle.h"
#include "ipc/ring.h"
#include "bulkhead.h"
#include "hooks.h"
#include "session/dir.h"
#include "standin.h"

#define ATTS 2u           /* [0] streams, [1] datagrams */
#define COPY_LOCKED 1024u /* bytes that are copied with the lock held */
#define TX_CHUNK 65536u   /* bytes written before the domain is told */
#define SHORT_WAIT NS_MS  /* when nothing will tell us: look again after this */
#define REPLY_TIMEOUT (10 * NS_S)
#define REPLY_RETRY NS_S
#define KICKS 16u
#define COOKIE_OP 31u /* the part of a cookie that repeats the op */
#define COOKIE_MAX (UINT32_MAX / (COOKIE_OP + 1) - 1)
_Static_assert(REQ_OPS <= COOKIE_OP + 1, "an op fits");

RING_DEFINE(rring, struct sess_req)
RING_DEFINE(ering, struct sess_evt)

/* ---- lists ---- */

struct list {
    struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool
list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void
list_append(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
static inline void
list_remove(struct list *l) /* harmless if it is in none */
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}
#define list_item(l, type, member) ((type *)(void *)((char *)(l)-offsetof(type, member)))

/* ---- one socket: there is one per slot of the arena ---- */

enum sock_life {
    SOCK_FREE,    /* the slot is the domain's */
    SOCK_QUEUED,  /* accepted by the domain, not yet by the program */
    SOCK_OPEN,    /* has a descriptor */
    SOCK_CLOSING, /* waiting for EVT_FREED */
};

enum sock_owed { /* messages to send as soon as the request ring has room */
                 OWE_SEND = 1,
                 OWE_CONSUMED = 2,
                 OWE_ACCEPTED = 4,
                 OWE_CLEAR_ERR = 8,
                 OWE_CLOSE = 16,
                 OWE_RELEASED = 32,
                 OWE_STANDIN = 64,
};

/* Control messages that a program asked for: IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, SO_TIMESTAMP,
 * SO_TIMESTAMPNS. */
enum { SAID_PKTINFO = 1, SAID_TTL = 2, SAID_TOS = 4, SAID_TIME = 8, SAID_TIME_NS = 16 };

struct sock {
    struct att *att;
    uint64_t handle; /* one that it has, or the last that it had */
    uint32_t rights; /* of the first descriptor for it */
    uint32_t slot;
    uint8_t life;
    bool nonblock;
    bool closed;     /* it has no descriptor any more; ends when nobody uses it */
    bool given;      /* it is another process's: it can be revoked, and closed */
    bool revoked;    /* by whoever it is from: nothing is left but to close it */
    bool gone;       /* the domain freed the slot before we asked */
    bool listening;  /* bh_listen succeeded, and no shutdown since */
    bool refused;    /* ends without having been accepted */
    bool connecting; /* REQ_CONNECT is under way, its end not yet reported */
    bool cut;        /* and shutdown ended it */
    bool connected;  /* its success was reported; UDP: has a default peer */
    bool rx_shut, tx_shut;
    bool tx_busy, rx_busy; /* a thread copies without the lock */
    bool corked;           /* TCP_CORK */
    bool starved;          /* found no transmit page */
    uint8_t said;          /* SAID_*: beside each datagram that is read */
    bool named;            /* it has a port, as we last heard */
    bool no_loop;          /* IP_MULTICAST_LOOP of a stream */
    bool broadcast;        /* SO_BROADCAST, or perhaps: it was another process's */
    uint8_t mtu_disc;      /* IP_PMTUDISC_*, if it was set here */
    uint32_t users;        /* calls that hold it */
    uint32_t listener;     /* SOCK_QUEUED: slot of whom it is to be accepted from */
    uint32_t epoch;        /* counts the sessions in this slot */

    uint32_t arm_gen, arm_mask; /* what the domain was asked to tell */
    uint32_t err_seen;          /* err_seq of the last error taken */

    uint64_t tx_tail;              /* as published */
    uint64_t tx_head;              /* the last believed one */
    uint64_t tx_lo, tx_hi;         /* pages are there for [tx_lo, tx_hi); page multiples */
    uint32_t tx_reserved;          /* by bh_reserve, not yet committed */
    uint32_t linger;               /* seconds */
    uint64_t rx_head;              /* as published */
    uint64_t send_no, consumed_no; /* request number of the last such message */
    uint64_t cork_from; /* bytes from here on were written corked, and may be untold */
    uint64_t urgent;    /* one past the last urgent byte that was sent, not yet told */
    uint32_t owed, owed_accepted;
    ns_t rcvtimeo, sndtimeo; /* 0: none */
    bool linger_on;
    uint16_t peer_port;
    uint16_t loop_port; /* where it is reached over loopback, as we last heard; 0: nowhere */
    struct ipaddr peer;

    /* The kernel's descriptor that stands for it (standin.c). */
    uint32_t standin;             /* its number, 0: none */
    uint64_t cookie;              /* of it: the kernel's name for it, once it was passed on */
    uint32_t mark;                /* what the preloaded library knows of it, then */
    int standin_fd;               /* as bh_kernel_fd gave it */
    uint32_t standin_ask;         /* SLOT_READ, SLOT_WRITE: the domain is to show it */
    uint32_t missed;              /* SLOT_READ, SLOT_WRITE: this call found it not so */
    uint32_t shown_in, shown_out; /* shown so often when we last took it back */
    uint32_t seen_in;             /* or saw it at least */
    bool filled;                  /* its buffer is full, as far as we know */
    bool edges;                   /* each arrival is shown, also beside what was not read */
    bool levels;                  /* somebody looks whether it is readable, too */
    uint64_t rx_known;            /* up to where the program was told, or read */

    struct list holder;  /* in att.holders while it has pages */
    struct list owing;   /* in att.owing */
    struct list descs;   /* its descriptors */
    struct list queued;  /* in its listener's accepts */
    struct list accepts; /* a listener's */
};

/* ---- one descriptor: a handle for a socket or for a creator ---- */

struct desc {
    int fd;
    uint32_t rights;
    uint32_t epoch; /* of the socket, when it was made */
    uint64_t handle;
    struct sock *s;      /* NULL: it is dead, or a creator's */
    struct att *att;     /* a creator's; NULL: a socket's */
    uint16_t port[2];    /* a creator's: first and last */
    struct desc *parent; /* it was minted from; NULL: from none that is open */
    struct list of;      /* in sock.descs, or in att.creators */
    bool delegated;      /* a token was made for it */
    bool dead;           /* revoked; the number is taken until it is closed */
    bool closed;
    uint32_t users;    /* calls that came in by it */
    short watch;       /* bh_watch; 0: not watched */
    void *watch_arg;   /* its pointer */
    struct list ready; /* in lib.ready or lib.starved */
};

/* What this thread's call came in by: a call that sleeps must notice when it dies. */
extern __thread struct desc *call_via;

/* ---- one attachment ---- */

struct att {
    struct lib *l;
    bool shared; /* with children (share.c) */
    pthread_mutex_t lock;
    uint32_t cookie;
    struct share_box box[SHARE_BOXES];
    size_t bytes;    /* of all this, with sock and pages behind it */
    uint64_t number; /* shared: no other attachment has it */
    int proto;       /* IPPROTO_TCP, IPPROTO_UDP */
    struct arena_view v;
    struct ring_tx req;
    struct ring_rx evt;
    struct bell_sleeper bell, space; /* events; room for requests. Not their descriptors: */
    struct bell_ringer ringer;       /* those are in struct own */
    void *half[2];
    size_t half_size[2];
    struct ctl_net net; /* what the daemon said of its interface */
    ns_t spin;          /* and of looking for events before sleeping */
    bool mapped;        /* the halves are ours to unmap, the descriptors ours to close */
    bool down;          /* the daemon is gone, or talks nonsense */
    bool pushed;        /* requests written and not yet submitted */
    bool withheld;      /* the same, and that can wait (tx_publish) */
    bool pipe_full;     /* the event loop left a byte in the bell */
    uint64_t req_no;    /* requests written, ever: names one without ambiguity */
    uint32_t lost_seen;
    uint32_t n_socks; /* not SOCK_FREE */
    struct list creators;
    struct sock *sock;
    struct page_pool pages; /* free transmit pages */
    struct list holders, owing;
};

/* What a process has of an attachment for itself, whoever shares the rest. */
struct own {
    struct own *next; /* in lib.own, by the address of a: the order of locking */
    struct att *a;
    int sup;                  /* the supervisor: hangs up when it ends; -1 in tests */
    int hold;                 /* read end of the domain's bell: ringing never raises SIGPIPE */
    int sleep, ring;          /* our bell's read end, the domain's write end; -1 in tests */
    int memory[L_DOMAIN + 1]; /* what it is mapped from, if it is shared, until it is in a */
    int letter; /* which another process needs to take part (pass.c); -1: none is written */
    pid_t letter_of; /* whose descriptor that is, if not that of a child of vfork */
    uint32_t users;  /* calls that hold it without a socket */
    uint32_t descs;  /* descriptors for its sockets, if it is shared */
    struct spare spare[SPARES];
    uint32_t n_spare;
    uint32_t singly; /* so many more are asked for one by one: more did not fit last time */
};

/* ---- the library in one process ---- */

struct waiter;

struct lib {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* tx_busy or rx_busy went away */
    uint32_t idle_waiters;
    struct bh_hooks hooks;
    struct att *att[ATTS]; /* for new sockets */
    struct own *own; /* all: also those that others were replaced by, and passed on to us */
    bool attaching[ATTS];
    bool given_up[ATTS]; /* the first creator was closed or revoked: bh_socket fails */
    uint32_t cookie;
    ns_t spin; /* BULKHEAD_SPIN_US; NS_NEVER: as the daemon says, if it seems to pay */
    /* For that: since the last wait something was sent, something was taken; and the answer to
     * what was sent last came so soon that it would have been seen. */
    bool sent, took, soon;
    bool keep; /* what this call withholds stays so */
    pid_t pid; /* the process whose memory this is */

    struct desc **fds;
    uint32_t *fd_next; /* free list through the unused descriptors */
    uint32_t n_fds, fd_free;

    struct list waiters;
    struct waiter *leader;
    int kick[KICKS]; /* idle eventfds */
    uint32_t n_kicks;

    struct list ready;   /* watched sockets to look at */
    struct list starved; /* watched, and wait for transmit pages */
    int fd_event;        /* epoll; -1: not asked for yet */
    int fd_kick, fd_timer;
    bool kicked;
    bool loop_asleep; /* bh_ready_events said: nothing; the bells are armed for it */
};

struct waiter {
    struct list link;
    struct sock *s;        /* waits for an event of this socket */
    uint32_t cookie;       /* or for this reply */
    struct share_box *box; /* or so, where processes share the attachment */
    bool any;              /* or for any event */
    bool woken, replied, polling;
    bool promoted; /* was asked to lead */
    int kick;
    pthread_cond_t cond;
    struct sess_evt reply;
};

/* lib.c */
struct lib *lib_lock(void);
void lib_unlock(struct lib *l); /* submits and rings first */
void lib_flush(struct lib *l);
ns_t lib_now(const struct lib *l);
void lib_init(struct lib *l);
struct lib *lib_current(void);

/* Take in all events that wait. Returns how many there were. */
unsigned lib_drain(struct lib *l);
void lib_wake_sock(struct lib *l, struct sock *s);
void lib_wake_all(struct lib *l);
/* The leader leaves: another waiter has to lead. */
void lib_promote(struct lib *l);

/* wait.c: sleep until something may have changed; releases the lock meanwhile. k: kernel
 * descriptors to poll too, with POLL_EXTRA unused entries in front. 0, ETIMEDOUT or
 * EINTR. */
#define POLL_EXTRA (1u + 2u * ATTS)
int lib_wait(struct lib *l, struct waiter *w, ns_t deadline, struct pollfd *k, unsigned nk);

/* A blocking call's turn of waiting, after it found nothing to do: 0: try again, else the
 * errno to fail with. Start with a zeroed struct. */
struct turn {
    ns_t deadline;
    int verdict;
    bool started;
    bool hurry; /* no event will tell: look again soon */
};
int sock_block(struct lib *l, struct sock *s, struct turn *t, uint32_t mask, bool nonblock,
               ns_t timeout);

/* attach.c: the attachment for a protocol, made if there is none. May release the lock.
 * NULL and errno. */
struct att *att_get(struct lib *l, int proto);

/* att.c */
/* Everything but the halves, which may have to lie behind it, and descriptors. NULL: no memory.
 * In no list yet. */
struct own *att_new(struct lib *l, int proto, const struct arena_geometry *g, size_t halves);
/* Both halves are there: take up rings and bells. */
void att_start(struct att *a);
void att_down(struct att *a);
void att_free(struct own *o); /* it is in no list */
/* For own_add's caller to lock, if it is shared. */
void own_add(struct lib *l, struct own *o);
void own_remove(struct lib *l, struct own *o);
void att_free_if_unused(struct att *a); /* it is down, and nobody holds it */
/* Look whether the supervisor hung up. */
void att_check(struct att *a);

/* request.c */
/* Send a request and wait for its reply: 0 or errno. */
int request(struct lib *l, struct att *a, struct sess_req *r, struct sess_evt *reply);
/* The same for a socket, filling in the handle; ENETDOWN if it has none any more. */
int sock_request(struct lib *l, struct sock *s, struct sess_req *r, struct sess_evt *reply);
/* The same without waiting for the reply, which cannot say no. later: it may go with the next
 * message. False: there is no room. */
bool sock_tell(struct sock *s, const struct sess_req *r, bool later);
/* Owe messages; sent at once if there is room. */
void sock_owe(struct sock *s, uint32_t what);
/* A request without a reply; may wait for room. */
void tell(struct lib *l, struct att *a, uint8_t op, uint64_t handle);
/* The same, if there is room. */
void tell_if_room(struct att *a, uint8_t op, uint64_t handle);
void att_pay(struct att *a);

/* table.c */
struct sock *lib_sock(struct lib *l, int fd); /* takes a use; NULL, errno EBADF */
struct desc *lib_desc(struct lib *l, int fd); /* NULL: none */
void sock_put(struct lib *l, struct sock *s);
/* A new descriptor, of what the caller says then. NULL: EMFILE. */
struct desc *desc_new(struct lib *l);
/* Its number is free. It goes when no call uses it; s may be in its last use then. */
void desc_close(struct lib *l, struct desc *d);
void desc_put(struct desc *d);
/* It and what was minted from it are dead. */
void desc_kill(struct lib *l, struct list *family, struct desc *d);
/* The first descriptor of a socket: it, or -errno. */
int table_add(struct lib *l, struct sock *s);
/* The socket has no descriptor any more: it ends as soon as nobody uses it. */
void sock_close(struct lib *l, struct sock *s);
/* The socket of a slot that the domain just gave us; NULL if that cannot be. */
struct sock *sock_adopt(struct att *a, uint32_t slot, uint64_t handle);
/* A handle of the socket with such rights, if it has one. */
uint64_t sock_handle(const struct sock *s, uint32_t need);
/* sock.c */
void stop_listening(struct lib *l, struct sock *s);
int open_from(struct lib *l, struct att *a, uint64_t creator, uint32_t rights, bool nonblock);
/* The protocol of a socket that is asked for, or -errno. */
int proto_of(int domain, int type, int protocol);
void sock_end(struct lib *l, struct sock *s); /* nobody uses it: close */
void sock_freed(struct sock *s);              /* EVT_FREED */

/* slot.c: what the domain says about a session, copied and checked */
struct look {
    uint32_t state;
    int err; /* not yet taken */
    uint32_t err_seq;
    uint32_t sndbuf;
    uint32_t tx_max;   /* the same, or less by TCP_NOTSENT_LOWAT */
    uint32_t rcvlowat; /* from 1 on */
    uint64_t rx_avail; /* readable bytes */
    uint64_t urgent;   /* one past the last urgent byte, 0: none */
};
void sock_look(struct sock *s, struct look *l);
int sock_take_err(struct sock *s, const struct look *l);
/* Ask for EVT_READY. True: newly asked; look again before sleeping. */
bool sock_arm(struct sock *s, uint32_t mask);
/* poll(2) conditions that hold now, of all kinds. */
short sock_conditions(struct sock *s);

/* pages.c: transmit pages, and copying */
struct cursor { /* a place in an iovec */
    const struct iovec *v;
    size_t n, off, left;
};
int cursor_init(struct cursor *k, const struct iovec *v, size_t n); /* 0 or errno */
uint32_t tx_room(struct sock *s, const struct look *l, size_t want);
void tx_write(struct sock *s, uint64_t at, struct cursor *from, size_t n); /* any lock state */
void tx_write_bytes(struct sock *s, uint64_t at, const void *from, size_t n);
void tx_publish(struct sock *s, uint32_t n);
void tx_free(struct sock *s);     /* what is acknowledged */
void tx_free_all(struct sock *s); /* the session is over */
bool tx_pages_left(struct sock *s);
bool rx_read(struct sock *s, uint64_t at, struct cursor *to, size_t n); /* any lock state */
bool rx_read_bytes(struct sock *s, uint64_t at, void *to, size_t n);
void rx_consume(struct sock *s, uint64_t n);
const uint8_t *rx_piece(struct sock *s, uint64_t at, size_t *n); /* NULL: nonsense */
uint8_t *tx_piece(struct sock *s, uint64_t at, size_t *n);

/* Mark busy; waits for another thread's mark to go. 0 or EBADF. */
int sock_busy(struct lib *l, struct sock *s, bool *mark);
void sock_idle(struct lib *l, bool *mark);

/* stream.c, dgram.c: bytes moved, or -errno */
struct meta { /* what travels beside a datagram */
    struct sockaddr_in *name;
    bool has_name;
    struct in_addr local;
    uint8_t tos, ttl;
    uint64_t when; /* as in dgram_head */
    int out_flags;
};
ssize_t stream_send(struct lib *l, struct sock *s, struct cursor *k, int flags);
ssize_t stream_recv(struct lib *l, struct sock *s, struct cursor *k, int flags);
ssize_t dgram_send(struct lib *l, struct sock *s, struct cursor *k, int flags,
                   const struct meta *m);
ssize_t dgram_recv(struct lib *l, struct sock *s, struct cursor *k, int flags, struct meta *m);
/* sock_request for what changes how datagrams are sent: those from before are sent as it was
 * before. */
int dgram_request(struct lib *l, struct sock *s, struct sess_req *r, struct sess_evt *e);

/* io.c */
/* A control message behind those that are there. As the kernel: what has no room is cut. */
void put_control(struct msghdr *h, size_t room, int level, int type, const void *data,
                 size_t n);

/* name.c */
int addr_in(const struct sockaddr *sa, socklen_t len, struct ipaddr *a, uint16_t *port);
void addr_out(struct sockaddr_in *sin, const struct ipaddr *a, uint16_t port);
void addr_copy(struct sockaddr *to, socklen_t *len, const struct sockaddr_in *from);
/* A reply that says the socket's own name. */
void name_heard(struct sock *s, const struct sess_evt *reply);

/* watch.c */
void watch_touch(struct lib *l, struct sock *s); /* look at it, if it is watched */
void watch_touch_desc(struct lib *l, struct desc *d);
void watch_forget(struct desc *d);
int watch_add_att(struct lib *l, struct att *a); /* its descriptors to the event fd */
void watch_drop_att(struct lib *l, struct att *a);
void loop_readable(struct lib *l); /* make the event fd readable */

/* wait.c: nobody sleeps in poll any more: disarm the bells, or arm them for the event
 * loop if that is asleep. Nothing if another thread leads: it will. */
void bells_settle(struct lib *l);

/* poll.c: what to arm for these poll(2) events */
uint32_t poll_mask(short events);

/* delegate.c */
struct sock *sock_redeemed(struct att *a, const struct sess_evt *e);
void sock_given(struct lib *l, struct sock *s, uint64_t handle);

/* lib.c: lib.lock, and those that are shared with other processes */
void lib_acquire(struct lib *l);
void lib_release(struct lib *l);
void lib_sleep(struct lib *l, pthread_cond_t *c);
int lib_sleep_until(struct lib *l, pthread_cond_t *c, const struct timespec *at);

/* Whoever shares it has a struct lib of its own. */
static inline void
close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static inline struct lib *
att_lib(const struct att *a)
{
    return a->shared ? lib_current() : a->l;
}

/* What we have of it. */
static inline struct own *
own_of(const struct att *a)
{
    struct own *o = att_lib(a)->own;
    while (o->a != a)
        o = o->next;
    return o;
}

/* Take out what rang. */
static inline void
own_empty(const struct own *o)
{
    (void)bell_drain(&(struct bell_sleeper){.fd = o->sleep});
}

/* Where lib keeps what belongs to a protocol. */
static inline unsigned
att_index(int proto)
{
    return proto == IPPROTO_TCP ? 0 : 1;
}

/* Is there an event, as far as can be seen without taking it? */
static inline bool
ring_rx_seen(const struct ring_rx *r)
{
    return atomic_load_explicit(r->tail, memory_order_acquire) != r->my_head;
}

static inline struct slot_client *
slot_ours(const struct sock *s)
{
    return &s->att->v.c_slot[s->slot];
}
static inline struct slot_domain *
slot_theirs(const struct sock *s)
{
    return &s->att->v.d_slot[s->slot];
}
static inline bool
sock_is_stream(const struct sock *s)
{
    return s->att->proto == IPPROTO_TCP;
}

/* Did another process take in the end of the socket that this call is about, while it waited?
 * Its slot may be another socket's by now. */
static inline bool
call_stale(const struct sock *s)
{
    return s->att->shared && call_via != NULL && call_via->epoch != s->epoch;
}

/* May the call go on? 0, or why it cannot, as its descriptor is not what it was. */
static inline int
call_err(const struct sock *s)
{
    if (call_stale(s))
        return EBADF;
    if (s->revoked || (call_via != NULL && call_via->dead))
        return ECONNABORTED;
    if (s->given && list_empty(&s->accepts))
        return EACCES;
    return s->closed || (call_via != NULL && call_via->closed) ? EBADF : 0;
}

/* -errno -> -1 with errno set. */
static inline ssize_t
ret_errno(ssize_t r)
{
    if (r >= 0)
        return r;
    errno = (int)-r;
    return -1;
}

/* The body of a public call on a socket: take the lock and the socket, look for the rights that
 * cannot be left to the domain, evaluate expr, which may use l and s and is a result or -errno,
 * give both back and return it. */
#define WITH_SOCK(type, fd, need, expr)                                                        \
    do {                                                                                       \
        struct lib *l = lib_lock();                                                            \
        struct sock *s = lib_sock(l, fd);                                                      \
        ssize_t ret = s != NULL ? -EACCES : -errno;                                            \
        if (s != NULL) {                                                                       \
            if (((need) & ~call_via->rights) == 0)                                             \
                ret = (expr);                                                                  \
            sock_put(l, s);                                                                    \
        }                                                                                      \
        lib_unlock(l);                                                                         \
        return (type)ret_errno(ret);                                                           \
    } while (0)

#endif
