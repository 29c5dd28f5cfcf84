/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client_kit.h: a domain for testing the client library: it answers requests and, per
 * session, sends back what it is sent (mode KIT_ECHO) or keeps it. Driven by hand, by the
 * library's wait hook in virtual time, or by a thread with real bells.
 */
#ifndef CLIENT_KIT_H
#define CLIENT_KIT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ipc/bell.h"
#include "ipc/ring.h"
#include "lib/client/bulkhead.h"
#include "lib/client/hooks.h"
#include "session/fifo.h"
#include "session/session.h"

#define KIT_SLOTS_MAX 64u
#define KIT_PEER 0x0a000002u /* 10.0.0.2 */
#define KIT_OWN 0x0a000001u

enum kit_mode { KIT_ECHO, KIT_HOLD /* acknowledge nothing, send nothing */ };
enum kit_connect { KIT_ACCEPTS, KIT_REFUSES, KIT_SILENT };

struct kit_slot {
    bool used, closed, freed;
    bool due; /* a request came, or the echo waits for pages: look at the cursors */
    uint64_t handle;
    uint64_t minted[4]; /* further ones; 0: none */
    uint32_t posted;
    uint64_t tx_taken; /* echoed up to here */
    uint64_t rx_freed;
    uint32_t accepted; /* REQ_ACCEPTED seen */
    uint16_t rport;
    bool linger_zero;
};

struct kit {
    int proto;
    struct arena_geometry g;
    void *half[2];
    struct arena_view v;
    struct ring_rx req;
    struct ring_tx evt;
    struct page_pool pages;
    uint32_t *stack;
    struct kit_slot s[KIT_SLOTS_MAX];
    uint64_t next_handle;
    enum kit_mode mode;
    enum kit_connect connect;
    uint32_t sndbuf, rcvbuf;
    bool deaf;             /* takes no requests */
    unsigned drop_replies; /* as a domain that crashes before it answers */
    unsigned seen[REQ_OPS];
    uint64_t sockopt_value;
    uint64_t urgent; /* of the last REQ_SEND that had one */
    /* virtual time */
    ns_t now;
    ns_t stalled_until; /* kit_wait lets nothing happen before */
    struct lib *lib;
    /* a thread of its own */
    int pipe_in[2], pipe_out[2]; /* in: to the domain; out: to the client */
    struct bell_sleeper sleeper;
    struct bell_ringer ringer, space;
    pthread_t thread;
    pthread_mutex_t lock; /* around everything of the kit, when there is a thread */
    atomic_bool stop;
};

/* A library instance in virtual time on this kit, chosen for the bh_ calls. geometry: n_slots
 * up to KIT_SLOTS_MAX; NULL: 32 slots, 64 pages each way. */
void kit_init(struct kit *k, int proto, const struct arena_geometry *g);
/* The same with a thread and real bells; the clock is the machine's. */
void kit_start(struct kit *k, int proto, const struct arena_geometry *g);
void kit_end(struct kit *k);

/* Work until nothing is left to do. True: something was done. */
bool kit_step(struct kit *k);

/* A connection for the listener in `slot`; returns its slot. */
uint32_t kit_incoming(struct kit *k, uint32_t listener);
/* Bytes from the peer (streams), or a datagram from KIT_PEER:port. */
void kit_deliver(struct kit *k, uint32_t slot, const void *data, uint32_t len);
void kit_deliver_dgram(struct kit *k, uint32_t slot, const void *data, uint32_t len,
                       uint16_t port);
/* Set and clear state bits, set an error, and tell whoever is armed. */
void kit_state(struct kit *k, uint32_t slot, uint32_t set, uint32_t clear, int err);
/* The slot of the only session in use, UINT32_MAX: none or several. */
uint32_t kit_only_slot(const struct kit *k);
void kit_lock(struct kit *k);
void kit_unlock(struct kit *k);

/* ---- what tests do first ---- */
/* The peer's address. */
struct sockaddr_in kit_sin(uint16_t port);
/* bh_connect to the peer; and a new stream socket for which that has begun (flags of bh_socket;
 * ends the process if it cannot). */
int kit_try_connect(int fd);
int kit_connected(int flags);
void kit_nap(long ms);
/* By the kernel's poll, within so many ms. */
bool kit_fd_readable(int fd, int ms);

/* For Criterion tests: a call that must fail with this errno. */
#define FAILS(expr, err)                                                                       \
    do {                                                                                       \
        errno = 0;                                                                             \
        long fails_r = (long)(expr);                                                           \
        cr_assert(fails_r == -1 && errno == (err), #expr ": %ld, %s", fails_r,                 \
                  strerror(errno));                                                            \
    } while (0)

#endif
