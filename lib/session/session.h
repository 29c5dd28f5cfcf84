/* SPDX-License-Identifier: BSD-2-Clause
 *
 * session.h: the layout that a client and a transport domain (tcp or udp) share,
 * and the messages on their rings. This header owns that layout.
 *
 * A client has one *arena* for streams (shared with tcp) and one for datagrams
 * (shared with udp), the same in form. An arena is two regions, its halves:
 *
 *   client half  written by the client, read-only in the domain
 *   domain half  written by the domain, read-only in the client
 *
 * so that neither side can change what the other wrote. The client touches every
 * page of both first: its memory cgroup pays. A half is, in this order:
 *
 *   struct half_head        ring indices and the bell's word
 *   descriptors             client half: requests; domain half: events
 *   slots                   one per session: cursors and FIFO directory
 *   bookkeeping             domain half only: free pages, free slots, the client's
 *                           handle table, its stand-ins: paid by the client, kept over a
 *                           crash
 *   answers                 domain half only: what a reply has no room for
 *   pages                   client half: transmit payload; domain half: receive
 *
 * The sizes come from struct arena_geometry, which the supervisor hands to both
 * sides; they are never read from shared memory.
 *
 * FIFOs. A session has a transmit FIFO (pages in the client half) and a receive
 * FIFO (pages in the domain half). Bytes are named by 64-bit stream offsets that
 * start at 0 (SYN and FIN are not bytes). Page n of the stream, which begins at offset
 * n * FIFO_PAGE, is found in one of two places (struct fifo_dir, fifo_find):
 *
 *   page[n % FIFO_DIR]              if that word is tagged with n: a few pages need no more
 *   map[n / FIFO_MAP % FIFO_MAPS]   names a page that names FIFO_MAP pages, one of them n
 *
 * A page goes into the first place if that is empty when the page is taken, and stays where
 * it is. Maps are pages of the same half, taken when they are needed and given back when they
 * name nothing: so a small window costs no memory beyond the slot, and one of FIFO_MAX bytes
 * costs a page in a thousand. A page's number is stored plus 1, so that zeroed memory means
 * "no page" (FIFO_NOPAGE).
 *
 * TCP streams are bytes; a UDP session's FIFOs carry records (struct dgram_head, then the
 * payload, padded to 8 bytes).
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdatomic.h>

#include "base/base.h"

#define SESSION_LAYOUT_VERSION 6u

#define FIFO_PAGE 4096u
#define FIFO_DIR 64u                     /* pages that are named in the slot itself */
#define FIFO_MAP (FIFO_PAGE / 4u)        /* pages that a map names */
#define FIFO_MAPS 8u                     /* maps of a FIFO */
#define FIFO_SPAN (FIFO_MAPS * FIFO_MAP) /* pages that a FIFO can span */
#define FIFO_MAX (FIFO_PAGE * FIFO_SPAN) /* bytes */
#define FIFO_NOPAGE 0u                   /* a word's low bits are page number + 1 */
#define FIFO_PAGE_BITS 21u               /* so many of them */
#define FIFO_PAGE_MASK ((1u << FIFO_PAGE_BITS) - 1)
#define FIFO_MAP_ENTRY (1u << FIFO_PAGE_BITS) /* above them a map's word counts its entries */
#define HALF_PAGES_MAX (1u << 20)             /* 4 GiB a half */
_Static_assert(HALF_PAGES_MAX < FIFO_PAGE_MASK, "a page's number fits its bits");
_Static_assert(FIFO_MAP <= UINT32_MAX >> FIFO_PAGE_BITS, "a map's count fits the others");
_Static_assert(FIFO_SPAN / FIFO_DIR <= UINT32_MAX >> FIFO_PAGE_BITS, "tags tell pages apart");

/* What the supervisor hands out for one arena. */
struct arena_geometry {
    uint32_t n_slots;    /* sessions */
    uint32_t n_tx_pages; /* in the client half */
    uint32_t n_rx_pages; /* in the domain half */
    uint32_t n_req;      /* request ring, power of two */
    uint32_t n_evt;      /* event ring, power of two */
};

/* Both halves begin with this. Who writes what is told from the writer's side:
 * `tail` is of the ring that the writer produces, `head` of the one it consumes. */
struct half_head {
    _Alignas(CACHE_LINE) _Atomic uint32_t tail;
    _Alignas(CACHE_LINE) _Atomic uint32_t head;
    _Alignas(CACHE_LINE) _Atomic uint32_t want; /* bell: odd while the writer sleeps */
    _Atomic uint32_t want_space;                /* odd while the writer waits for ring space */
    _Atomic uint32_t lost; /* events that found the ring full: rescan all slots */
    /* The domain's note to its successor: requests before this index were begun. */
    _Atomic uint32_t begun;
    /* Likewise: slots from this number on were never used, and are zero. */
    _Atomic uint32_t slots_high;
    /* udp's word on the interface, so that a call can say what it would find out later: the
     * address (host order), bits of the network, bytes of a packet, is there a gateway.
     * net_mtu 0: it said nothing. */
    _Atomic uint32_t net_own, net_prefix, net_mtu, net_gateway;
};
_Static_assert(sizeof(struct half_head) == 3 * CACHE_LINE, "shared layout");

/* ---- where the pages of a FIFO are ---- */
struct fifo_dir {
    _Atomic uint32_t page[FIFO_DIR]; /* tag of the stream's page, and page number + 1 */
    _Atomic uint32_t map[FIFO_MAPS]; /* entries in use, and page number + 1 */
};

/* The word for a stream's page that the slot names itself. */
static inline uint32_t
fifo_word(uint64_t at, uint32_t page)
{
    return (uint32_t)(at / FIFO_PAGE / FIFO_DIR) << FIFO_PAGE_BITS | (page + 1);
}

/* dir.c: look into the maps. */
uint32_t fifo_find_mapped(const struct fifo_dir *d, const uint8_t *base, uint32_t n,
                          uint64_t at);

/* The number of the page that holds offset `at`, out of the n pages that begin at base; n or
 * more: there is none. Every word is read once and checked: it may be the other side's. */
static inline uint32_t
fifo_find(const struct fifo_dir *d, const uint8_t *base, uint32_t n, uint64_t at)
{
    uint32_t word =
        atomic_load_explicit(&d->page[at / FIFO_PAGE % FIFO_DIR], memory_order_relaxed);
    uint32_t page = word - fifo_word(at, 0);
    return page < n ? page : fifo_find_mapped(d, base, n, at);
}

/* ---- one session, client half ---- */
struct slot_client {
    _Alignas(CACHE_LINE) _Atomic uint64_t tx_tail; /* bytes written so far */
    _Atomic uint64_t rx_head;                      /* bytes consumed so far */
    /* Tell me when: (generation << 2) | SLOT_READ | SLOT_WRITE. A new generation
     * arms again; the domain posts at most one EVT_READY for each of them a generation. */
    _Atomic uint32_t arm;
    _Atomic uint64_t rx_seen; /* what lies below is no reason for SLOT_READ; 0: rx_head alone
                               * counts. For who is told of changes and does not read all. */
    _Alignas(CACHE_LINE) struct fifo_dir tx_dir;
};
#define SLOT_READ 1u
#define SLOT_WRITE 2u

/* ---- one session, domain half ---- */
struct slot_domain {
    _Alignas(CACHE_LINE) _Atomic uint64_t rx_tail; /* readable up to here */
    _Atomic uint64_t tx_head;   /* transmit bytes no longer needed (acknowledged) */
    _Atomic uint64_t rx_notify; /* send REQ_CONSUMED once rx_head reaches this */
    _Atomic uint32_t state;     /* SLOT_* bits below */
    _Atomic uint32_t err;       /* pending errno, 0 if none. To take it, the client sends
                                 * REQ_GETOPT SO_ERROR: the domain answers and clears it.
                                 * An error counts once per err_seq, cleared yet or not. */
    _Atomic uint32_t sndbuf;    /* bytes that may lie between tx_head and tx_tail */
    _Atomic uint32_t rcvbuf;
    _Atomic uint32_t err_seq;    /* counts errors: a client takes each one once */
    _Atomic uint32_t generation; /* of the session in this slot */
    /* The domain's note to its successor: the client knows of this session. */
    _Atomic uint32_t told;
    _Atomic uint32_t notsent; /* TCP_NOTSENT_LOWAT, 0: none */
    _Atomic uint64_t tx_sent; /* transmit bytes that were sent at least once */
    _Alignas(CACHE_LINE) _Atomic uint64_t urgent; /* one past the last urgent byte, 0: none */
    _Atomic uint32_t rcvlowat;                    /* readable from so many bytes on, 0: one */
    /* The domain's own: what came with a session from another client (move.h). */
    _Atomic uint32_t moved;        /* page number + 1 of the directory of transmit bytes */
    _Atomic uint64_t moved_end;    /* that lie below this */
    _Atomic uint64_t given_handle; /* SLOT_GIVEN: what may be done with the session ... */
    _Atomic uint32_t given;        /* ... of this number, which is another client's now */
    /* What stands for the session in a program's descriptor table: see struct standin. */
    _Atomic uint32_t standin;   /* its number, 0: nothing does */
    _Atomic uint32_t shown_in;  /* how often it was made readable ... */
    _Atomic uint32_t shown_out; /* ... and writable */
    _Alignas(CACHE_LINE) struct fifo_dir rx_dir;
};
_Static_assert(sizeof(struct slot_client) == 6 * CACHE_LINE, "shared layout");
_Static_assert(sizeof(struct slot_domain) == 7 * CACHE_LINE, "shared layout");

#define SLOT_OPEN 1u      /* belongs to a session */
#define SLOT_CONNECTED 2u /* may send (TCP: handshake done) */
#define SLOT_EOF 4u       /* rx_tail is final: the peer sent FIN, or we shut down */
#define SLOT_NOSEND 8u    /* our direction is shut: EPIPE */
#define SLOT_DEAD 16u     /* reset, timed out or refused: see err */
#define SLOT_LISTEN 32u
#define SLOT_CONNECTING 64u
#define SLOT_GIVEN 128u /* its session was handed to another client */

/* Both sides decide readiness with these, from copies of the words. */
static inline bool
slot_readable(uint32_t state, uint32_t err, uint64_t rx_tail, uint64_t rx_head)
{
    return rx_tail != rx_head || err != 0 || (state & (SLOT_EOF | SLOT_DEAD)) != 0;
}
#define FIFO_WORTH 262144u /* room that is worth a wake-up, however large the FIFO is */
static inline bool
slot_writable(uint32_t state, uint32_t err, uint32_t sndbuf, uint64_t tx_tail, uint64_t tx_head)
{
    if (err != 0 || (state & (SLOT_NOSEND | SLOT_DEAD)) != 0)
        return true;
    uint64_t used = tx_tail - tx_head;
    return (state & SLOT_CONNECTED) != 0 && used < sndbuf &&
           sndbuf - used >= min_u32(sndbuf / 3, FIFO_WORTH);
}

/* TCP_NOTSENT_LOWAT: are few enough bytes waiting to be sent for the first time? */
static inline bool
slot_notsent_ok(uint32_t lowat, uint64_t tx_tail, uint64_t tx_sent)
{
    return lowat == 0 || tx_tail - tx_sent < lowat || tx_tail < tx_sent;
}
/* SO_RCVLOWAT: are enough bytes there, or will there be no more? */
static inline bool
slot_lowat_ok(uint32_t lowat, uint32_t state, uint32_t err, uint64_t avail)
{
    return avail >= lowat || err != 0 || (state & (SLOT_EOF | SLOT_DEAD)) != 0;
}

/* ---- datagram records in the FIFOs of a UDP session ---- */
struct dgram_head {
    uint32_t len;  /* payload bytes that follow, before padding to 8 */
    uint16_t port; /* peer's port, host order: to (tx) or from (rx) */
    uint8_t tos;
    uint8_t ttl;         /* tx: 0 means the session's */
    struct ipaddr addr;  /* peer; tx: none means the one when it is sent */
    struct ipaddr local; /* rx: the address it was sent to */
    uint64_t when;       /* rx: CLOCK_MONOTONIC, ns */
};
_Static_assert(sizeof(struct dgram_head) == 48, "shared layout");
#define DGRAM_MAX 65507u /* UDP payload over IPv4 */
static inline uint32_t
dgram_record_bytes(uint32_t len)
{
    return (uint32_t)sizeof(struct dgram_head) + ((len + 7u) & ~7u);
}

/* ---- answers ---- */

/* What is too long for a reply (TCP_INFO) lies here. The reply's value names it: number n is in
 * answer n % ARENA_ANSWERS, and is whole as long as `number` is n before and after it was
 * copied; if not, others have been written since, and it must be asked for again. */
#define ARENA_ANSWERS 16u
#define ANSWER_WORDS 46u
struct answer {
    _Alignas(CACHE_LINE) _Atomic uint64_t number; /* from 1 on; 0: being written */
    _Atomic uint32_t len;                         /* bytes */
    _Atomic uint64_t word[ANSWER_WORDS];
};
_Static_assert(sizeof(struct answer) == 6 * CACHE_LINE, "shared layout");

/* ---- stand-ins ---- */

/* A stand-in is a socket pair that the supervisor made: one end is an ordinary descriptor of
 * the program, the other is held by the domain. It stands for a session towards the kernel: the
 * domain makes the program's end readable (by a byte), writable (by taking out what the client
 * put in to make it not so) and lets it end, so that poll, select and epoll work on it; and
 * when the last copy of the program's end is closed, in whatever process, the session is
 * closed, as by REQ_CLOSE with the handle that REQ_STANDIN came with. What EVT_READY would tell
 * of the session, its stand-in shows instead. Number n is entry n % arena_standins(). The
 * domain's own, in its half of the arena; the descriptor is good only in the process that got
 * it. */
struct standin {
    uint32_t number;     /* 0: none */
    uint32_t life;       /* of the domain, as it counts its own restarts */
    uint64_t handle;     /* that it was named with */
    uint32_t slot;       /* plus 1; 0: stands for nothing yet */
    uint32_t generation; /* of arm that an accepted connection answered */
    int32_t fd;
    bool lived;     /* the session was connected once */
    bool closed;    /* the program's end was closed before the session was named */
    uint8_t alarms; /* something was told of it, and it was not closed */
    uint8_t over;   /* what it showed of the session's end: STANDIN_LIVES, ... */
};
/* Over for the reader; altogether; as the first, and no more can be shown. */
enum { STANDIN_LIVES, STANDIN_READ, STANDIN_OVER, STANDIN_BARE };
#define STANDIN_LEAVES 5u /* bytes, at the end, of which fewer are taken out */
/* Bytes that make a stand-in not writable: more than its buffer takes, so that a write waits;
 * and so few that poll says so, too. */
#define STANDIN_FILL 8192u
#define STANDIN_LITTLE 255u
#define ARENA_STANDINS_SPARE 64u /* made, and for no session yet */

/* ---- messages ---- */

enum req_op {
    REQ_SOCKET = 1, /* handle of a creator -> handle, slot */
    REQ_BIND,       /* handle, addr, port (0: ephemeral) -> addr, port */
    REQ_CONNECT,    /* handle, addr, port -> addr, port (local). TCP: result 0 means
                     * under way; the end shows as SLOT_CONNECTED or SLOT_DEAD + err.
                     * UDP: sets the default peer; addr none dissolves it. */
    REQ_LISTEN,     /* handle, value = backlog */
    REQ_ACCEPTED,   /* handle of a listener: one EVT_ACCEPT was taken by the program.
                     * No reply. */
    REQ_SHUTDOWN,   /* handle, value = SHUT_RD/WR/RDWR */
    REQ_CLOSE,      /* handle, which dies. If it was the last one for its session, that is
                     * closed; value: 1 for a session that was never accepted: its peer gets a
                     * RST. No reply; EVT_FREED when the slot may be forgotten */
    REQ_SETOPT,     /* handle, level, name, value (all options here fit 64 bits; a name of
                     * up to eight letters, too) */
    REQ_GETOPT,     /* handle, level, name -> value. TCP_INFO: the number of an answer */
    REQ_NAME,       /* handle -> addr, port (local), peer_addr, peer_port */
    REQ_SEND,       /* handle: tx_tail moved. value: one past the last urgent byte, or 0. No
                     * reply. */
    REQ_CONSUMED,   /* handle: rx_head moved past rx_notify. No reply. */
    REQ_RELEASED,   /* handle: client took in EVT_FREED and dropped the slot: tx_tail, rx_head
                     * and tx_dir are zero again, so that the next session in it begins at
                     * offset 0 (arm is kept). No reply. */
    REQ_MINT,       /* handle, value = rights, all of which it has; a creator's: level, name =
                     * first and last of its ports -> handle */
    REQ_REVOKE,     /* handle: it dies with all that was minted from it. If it was the last for
                     * its session, that is reset; so are all that were opened from a creator.
                     * Such a session stays to be closed, and EVT_REVOKED tells of it. */
    REQ_DELEGATE,   /* handle -> addr, value: a token, which another client may redeem */
    REQ_REDEEM,     /* addr, value: a token -> handle, slot, value = tx_tail, addr.q[0] =
                     * rx_head to begin with, peer_v4 = rights. EINPROGRESS: ask again */
    REQ_STANDIN, /* handle, value = number: that one stands for the session from now on; level =
                  * SLOT_READ, SLOT_WRITE: it shows that at once. No reply. */
    REQ_OPS
};

/* The creator that a new arena has: everything that the client's account may do. */
#define SESS_CREATOR (1ull << 32)

/* SO_LINGER as one 64-bit value: bit 63 on/off, low 32 bits seconds. */
#define LINGER_ON (1ull << 63)

struct sess_req {
    uint8_t op; /* enum req_op */
    uint8_t pad0;
    uint16_t port;   /* host order */
    uint32_t cookie; /* comes back in the reply */
    uint64_t handle;
    struct ipaddr addr;
    int32_t level; /* SETOPT, GETOPT: as in the sockets API */
    int32_t name;
    uint64_t value;
    uint64_t pad1[2];
};
_Static_assert(sizeof(struct sess_req) == CACHE_LINE, "shared layout");

enum evt_kind {
    EVT_REPLY = 1, /* to the request with this cookie; err, and results */
    EVT_READY,     /* slot: an armed condition holds; value: which (SLOT_READ, SLOT_WRITE; none:
                    * only a stand-in shows something) */
    EVT_ACCEPT,    /* slot: the listener's; handle, value = slot of the new session;
                    * addr, port: its peer */
    EVT_FREED,     /* slot: tx pages and slot are the client's again */
    EVT_GIVEN,     /* slot: its session is another's now; handle: to revoke it, or to release
                    * the slot */
    EVT_REVOKED,   /* slot: nothing can be done with the session but to close it */
};

struct sess_evt {
    uint8_t kind; /* enum evt_kind */
    uint8_t pad0;
    uint16_t port;
    uint32_t cookie;
    int32_t err; /* errno, 0: success */
    uint32_t slot;
    uint64_t handle;
    struct ipaddr addr;
    uint64_t value;
    uint16_t peer_port; /* REQ_NAME */
    uint16_t pad1[3];
    uint32_t peer_v4; /* REQ_NAME: IPv4 peer in host order, 0: not connected */
    uint32_t pad2;
};
_Static_assert(sizeof(struct sess_evt) == CACHE_LINE, "shared layout");

/* ---- where things are in a half ---- */

struct arena_view {
    struct arena_geometry g;
    /* client half */
    struct half_head *c_head;
    struct sess_req *req;
    struct slot_client *c_slot;
    uint8_t *tx_page; /* page 0 */
    /* domain half */
    struct half_head *d_head;
    struct sess_evt *evt;
    struct slot_domain *d_slot;
    uint32_t *page_stack; /* n_rx_pages words */
    uint32_t *slot_stack; /* n_slots words */
    void *handles;        /* arena_handles_bytes() bytes */
    struct answer *answer;
    struct standin *standin; /* arena_standins() of them */
    uint8_t *rx_page;
};

/* Handles a client can hold at once, and the room for their table: one for each session is
 * sure, whatever was minted. */
#define ARENA_CREATORS 16u
static inline uint32_t
arena_handles(const struct arena_geometry *g)
{
    return 2 * g->n_slots + ARENA_CREATORS;
}
#define ARENA_HANDLE_BYTES 28u
static inline size_t
arena_handles_bytes(const struct arena_geometry *g)
{
    return 16 + (size_t)arena_handles(g) * ARENA_HANDLE_BYTES;
}

/* Stand-ins at once: a power of two. */
static inline uint32_t
arena_standins(const struct arena_geometry *g)
{
    uint32_t n = ARENA_STANDINS_SPARE;
    while (n < g->n_slots + ARENA_STANDINS_SPARE)
        n *= 2;
    return n;
}

/* Bytes of each half, page multiples. 0 if the geometry is out of bounds. */
size_t arena_client_bytes(const struct arena_geometry *g);
size_t arena_domain_bytes(const struct arena_geometry *g);

/* Is the geometry one that both sides accept? */
bool arena_geometry_check(const struct arena_geometry *g);

/* Point a view into two mapped halves of at least those sizes. The side that may
 * not write a half casts nothing away: writing faults. */
void arena_view_init(struct arena_view *v, const struct arena_geometry *g, void *client_half,
                     void *domain_half);

#endif
