/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp_kit.h: a UDP component with everything around it that a test plays: clients with their
 * arenas, and the ip component below. For the test_udp*.c and fuzz_udp.c.
 */
#ifndef TESTS_UDP_KIT_H
#define TESTS_UDP_KIT_H

#include "kit_request.h"
#include "udp/udp.h"

#define KIT_SESSIONS 12u
#define KIT_SLOTS 8u
#ifndef KIT_SMALL
#define KIT_TX_PAGES 24u /* of each slot */
#define KIT_RX_PAGES 40u
#else /* the fuzz target begins anew often */
#define KIT_TX_PAGES 4u
#define KIT_RX_PAGES 10u
#endif
#define KIT_CAP 64u

#define KIT_OWN 0x0a000001u  /* 10.0.0.1/24 */
#define KIT_PEER 0x0a000002u /* 10.0.0.2 */

struct kit {
    struct udp *u;
    struct udp_config cfg;
    struct frames frames;
    struct path_table path;
    struct port_table ports;
    struct stats stats;
    void *store, *soft;
    struct arena_view arena[2];
    ns_t now;
    struct pkt out[KIT_CAP];
    unsigned n_out;
    unsigned n_fragments; /* of what kit_gather put together */
    uint32_t rx_next;     /* receive frame to use next */
};

/* Begins from nothing; ends the process if memory runs out. */
void kit_init(struct kit *k);
/* The same, and both clients attached. */
void kit_up(struct kit *k);
void kit_end(struct kit *k);
/* The process died: soft memory is lost, the store and the arenas stay. No client attached. */
void kit_crash(struct kit *k);
/* Attach client 0 or 1 with its arena. */
int kit_attach(struct kit *k, uint32_t client);
static inline struct transport *
kit_transport(struct kit *k)
{
    return (struct transport *)(void *)k->u;
}
static inline uint64_t
kit_stat(const struct kit *k, enum stat_id id)
{
    return stat_get(&k->stats, id);
}

/* A session of a client, as REQ_SOCKET gets it; SESS_NONE on failure. */
uint32_t kit_open(struct kit *k, uint32_t client, uint32_t *slot);
/* A request without arguments. */
int kit_op(struct kit *k, uint32_t sess, enum req_op what);

/* Does the client have this event, and no other? */
bool kit_only_event(struct kit *k, uint32_t client, enum evt_kind kind, uint32_t slot);

/* Payload that tells where it is from. */
void kit_bytes(uint8_t *p, size_t len);
/* What a client does with its memory: put bytes into the transmit FIFO, append a record
 * (addr 0: to the connected peer), take the next record (returns -1 if there is none). */
void kit_tx_bytes(struct kit *k, uint32_t client, uint32_t slot, const void *p, uint32_t len);
void kit_send(struct kit *k, uint32_t client, uint32_t slot, uint32_t addr, uint16_t port,
              const void *p, uint32_t len);
int64_t kit_recv(struct kit *k, uint32_t client, uint32_t slot, struct dgram_head *h, void *p,
                 uint32_t max);

/* A datagram to the stack, in frames of at most `cut` bytes. Returns the descriptors put into
 * p. csum: 0 right, 1 none, 2 just the pseudo-header's, 3 wrong. */
enum { CSUM_GOOD, CSUM_NONE, CSUM_PARTIAL, CSUM_BAD };
unsigned kit_datagram(struct kit *k, struct pkt *p, uint32_t src, uint16_t sport, uint32_t dst,
                      uint16_t dport, const void *data, uint32_t len, uint32_t cut, int csum);
/* A step with these packets; the output is in k->out. */
void kit_step(struct kit *k, const struct pkt *in, unsigned n);
/* kit_datagram and kit_step at once. */
void kit_feed(struct kit *k, uint16_t sport, uint16_t dport, const void *data, uint32_t len);
/* ip is done with all of the last step's output. */
bool kit_done(struct kit *k);
/* Put the datagram that starts at out[i] together; returns its bytes, header included, 0 if
 * its checksum is wrong or the chain is malformed. */
uint32_t kit_gather(struct kit *k, unsigned i, uint8_t *buf, uint32_t max);

#endif
