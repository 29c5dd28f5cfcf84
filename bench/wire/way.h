/* SPDX-License-Identifier: BSD-2-Clause
 *
 * way.h: one direction of the wire: what becomes of each packet, and when. Pure: packets and
 * the time go in, verdicts come out, chance comes from dice.h.
 *
 * A packet meets, in this order: the MTU, the queue in front of the limited rate (which drops
 * at its tail or marks), chance (loss, bursts of loss, corruption, marks, duplicates), the
 * delay, and perhaps being held back. What is lost by chance has thus used the rate. Frames
 * that are no IP packet (ARP) meet only the queue and the delay, and no chance is drawn for
 * them, so that they change nobody's fate.
 */
#ifndef BENCH_WIRE_WAY_H
#define BENCH_WIRE_WAY_H

#include "bench/wire/dice.h"
#include "bench/wire/frame.h"

struct way_conf {
    uint64_t rate;          /* bit/s; 0: no limit, and then no queue */
    ns_t delay, jitter;     /* each packet: delay and up to jitter more, in order */
    uint64_t queue_bytes;   /* what may wait; 0: no limit */
    uint64_t queue_packets; /* likewise */
    uint64_t overhead;      /* bytes that each frame takes of the rate besides itself */
    uint64_t mark_above;    /* more bytes than this wait: mark; 0: never */
    double mark;            /* by chance, whatever waits */
    double loss;            /* by chance, outside of bursts */
    double burst_enter, burst_leave; /* Gilbert-Elliott: chances of a change, for each packet */
    double burst_loss;               /* within a burst */
    double duplicate, corrupt;
    double reorder;           /* which part of the packets is held back */
    uint64_t reorder_packets; /* until so many have overtaken it */
    ns_t reorder_delay;       /* or until so long after its time, whichever is first */
    uint64_t mtu;             /* of IPv4 packets that may not be fragmented; 0: no limit */
    uint64_t mtu_silent;      /* not 0: a black hole, no ICMP */
};

/* The settings of a wire that does nothing. */
struct way_conf way_perfect(void);

struct way_count {
    uint64_t packets, bytes; /* that came, and their bytes */
    uint64_t forwarded, forwarded_bytes;
    uint64_t lost, lost_in_bursts; /* by chance; the second is a part of the first */
    uint64_t duplicated, reordered, corrupted, marked;
    uint64_t queue_drops, max_queue_bytes, max_queue_packets;
    uint64_t too_long; /* dropped because of mtu; */
    uint64_t answered; /* and so many of them with an ICMP message */
    uint64_t oversize; /* longer than a frame can be: somebody's segmentation offload is on */
    uint64_t checksums_filled;
    uint64_t no_room;     /* more under way than there are buffers for */
    uint64_t missed;      /* the kernel dropped before we looked */
    uint64_t send_failed; /* the interface did not take it */
};

enum way_fate { WAY_PASSES, WAY_LOST, WAY_QUEUE_FULL, WAY_TOO_LONG };

struct way_verdict {
    enum way_fate fate;
    bool answer;     /* WAY_TOO_LONG: with ICMP */
    bool mark;       /* set CE */
    bool corrupt;    /* flip a bit: */
    uint64_t luck;   /* that says which */
    unsigned copies; /* 1 or 2 */
    bool held;       /* held back until overtaken by conf.reorder_packets, */
    ns_t due;        /* when it arrives; if held: at the latest */
};

/* What waits for the rate: a ring of when each has left. */
struct way_waiting {
    ns_t leaves;
    uint32_t len;
};

struct way {
    struct way_conf conf;
    struct way_count count;
    struct dice dice;
    uint64_t n;  /* IP packets so far */
    bool burst;  /* in a burst of losses */
    ns_t now;    /* of the last packet: time does not go back */
    ns_t free;   /* the last byte of what was sent has left */
    ns_t in_row; /* when the last packet that was not held back arrives */
    struct way_waiting *ring;
    uint32_t ring_mask, head, tail;
    uint64_t waiting_bytes;
};

/* ring: room for n (a power of two) packets that wait for the rate; more are dropped as if the
 * queue were full. */
void way_init(struct way *w, const struct way_conf *conf, uint64_t seed, uint64_t stream,
              struct way_waiting *ring, uint32_t n);

/* A frame has come at time `now`. Counts it and says what becomes of it. The frame is not
 * touched. */
struct way_verdict way_input(struct way *w, const struct frame *f, ns_t now);

#endif
