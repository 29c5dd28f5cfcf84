/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frame.h: packet memory. All frames live in one address space of 32-bit
 * offsets, the frame space, cut into parts with one owner each ("Frames" in
 * ARCHITECTURE.md). A process maps only the parts that it may touch, at their place in
 * one reserved range, so a frame address means the same in every process.
 *
 * Pure: the owner's pool keeps who holds each frame, in memory handed to it.
 */
#ifndef BASE_FRAME_H
#define BASE_FRAME_H

#include "base.h"

#define FRAME_SIZE 2048u
/* A transmit frame's transport header starts here: room in front for AF_XDP
 * metadata, Ethernet, and an IP header of either family with options. */
#define FRAME_L4 128u
#define FRAME_ROOM (FRAME_SIZE - FRAME_L4) /* bytes behind it; a multiple of 8 */
#define FRAME_MAX_CHAIN 48u                /* frames in one chained packet: 64 KiB and some */
/* Bytes of IP packet that one frame takes, received or sent: in front of what it received the
 * kernel leaves 256 (XDP_PACKET_HEADROOM), and Ethernet's header is 14. A larger one is in
 * several frames, and this is the largest: */
#define FRAME_MTU (FRAME_SIZE - 256u - 14u)
#define FRAME_MTU_MAX 9216u
/* Frames of one sent on the wire: all that the largest needs, and no more. A kernel or a card
 * that takes fewer would take the rest for another packet, whose headers a transport wrote. */
#define FRAME_MAX_PACKET ((FRAME_MTU_MAX + FRAME_ROOM - 1) / FRAME_ROOM)

enum frame_part {
    PART_RX,    /* receive pool: the NIC writes, everybody above reads */
    PART_IPTX,  /* ip's own transmit frames */
    PART_TCPTX, /* tcp builds segments here, ip writes the headers in front */
    PART_UDPTX, /* the same for udp */
    PART_UP,    /* loopback: ip writes, tcp and udp read; not known to the NIC */
    PART_COUNT
};
#define PARTS_UMEM 4u /* the parts before PART_UP are the UMEM */
#define PART_BIT(p) (1u << (p))

struct frames {
    uint8_t *base;             /* frame space offset 0 in this process */
    uint32_t off[PART_COUNT];  /* byte offset of each part */
    uint32_t size[PART_COUNT]; /* bytes; a multiple of FRAME_SIZE */
    uint32_t readable;         /* PART_BITs mapped here, readable */
    uint32_t writable;         /* PART_BITs mapped here, writable */
};

/* Lay out parts of n[i] frames each, one after the other. */
void frames_layout(struct frames *f, const uint32_t n[PART_COUNT]);

/* Bytes of the whole frame space. */
static inline uint32_t
frames_bytes(const struct frames *f)
{
    return f->off[PART_COUNT - 1] + f->size[PART_COUNT - 1];
}

/* The part that addr lies in, or PART_COUNT. */
static inline enum frame_part
frames_part(const struct frames *f, uint32_t addr)
{
    for (unsigned p = 0; p < PART_COUNT; p++)
        if (addr - f->off[p] < f->size[p])
            return (enum frame_part)p;
    return PART_COUNT;
}

/* Frames for total bytes behind FRAME_L4, cut into packets of `each` and a last one. */
static inline uint32_t
frames_for(uint32_t total, uint32_t each)
{
    uint32_t a = (each + FRAME_ROOM - 1) / FRAME_ROOM;
    return total / each * a + (total % each + FRAME_ROOM - 1) / FRAME_ROOM;
}

/* Of these, the bytes of the frame that begins at `at`. */
static inline uint32_t
frames_piece(uint32_t at, uint32_t total, uint32_t each)
{
    uint32_t left = total - at, here = each - at % each;
    here = here < left ? here : left;
    return here < FRAME_ROOM ? here : FRAME_ROOM;
}

/* len bytes at addr for reading; NULL unless they lie inside one frame of a part
 * in `parts` that is mapped here. addr and len may come from a hostile peer. */
static inline const uint8_t *
frames_ro(const struct frames *f, uint32_t parts, uint32_t addr, uint32_t len)
{
    enum frame_part p = frames_part(f, addr);
    if (p == PART_COUNT || !(parts & f->readable & PART_BIT(p)) ||
        len > FRAME_SIZE - addr % FRAME_SIZE)
        return NULL;
    return f->base + addr;
}

/* The same for writing. */
static inline uint8_t *
frames_rw(const struct frames *f, uint32_t parts, uint32_t addr, uint32_t len)
{
    enum frame_part p = frames_part(f, addr);
    if (p == PART_COUNT || !(parts & f->writable & PART_BIT(p)) ||
        len > FRAME_SIZE - addr % FRAME_SIZE)
        return NULL;
    return f->base + addr;
}

/* Ask for the first `lines` cache lines of what lies at addr, which will be read soon: another
 * processor wrote them. addr may come from a hostile peer. */
static inline void
frames_prefetch(const struct frames *f, uint32_t addr, unsigned lines)
{
    if (frames_part(f, addr) != PART_COUNT)
        for (unsigned i = 0; i < lines; i++)
            __builtin_prefetch(f->base + addr + i * CACHE_LINE);
}

/* ---- pool: who holds each frame of one part, kept by the part's owner ---- */

#define FRAME_FREE 0 /* holder: the owner; other values are the owner's to choose */

struct pool {
    uint32_t off;    /* of the part in frame space */
    uint32_t n;      /* frames */
    uint32_t n_free; /* on the stack */
    uint32_t refused;
    uint32_t *stack; /* free frame numbers; rebuilt from holder */
    uint8_t *holder; /* n bytes, in a region of the owner that outlives it */
};

/* Bytes of memory for the stack of a pool of n frames. */
static inline size_t
pool_stack_bytes(uint32_t n)
{
    return n * sizeof(uint32_t);
}

/* Take up a pool: every frame whose holder is FRAME_FREE goes on the stack. */
void pool_init(struct pool *p, const struct frames *f, enum frame_part part, uint32_t *stack,
               uint8_t *holder);

/* Take a free frame and note its holder (not FRAME_FREE). Returns false if there
 * is none; on success *addr is the address of the frame's first byte. */
must_check bool pool_take(struct pool *p, uint8_t holder, uint32_t *addr);

/* Change the holder from `from` to `to`. addr may point anywhere into the frame
 * and may be forged: returns false, and counts it in `refused`, if it is not a
 * frame of this pool or `from` does not hold it. */
bool pool_move(struct pool *p, uint32_t addr, uint8_t from, uint8_t to);

/* The frame comes back from `from`: the same check, then it is free again. */
static inline bool
pool_return(struct pool *p, uint32_t addr, uint8_t from)
{
    return pool_move(p, addr, from, FRAME_FREE);
}

/* Everything that `from` holds is free again: `from` is dead. Returns how many. */
uint32_t pool_reclaim(struct pool *p, uint8_t from);

/* The invariants: the stack and the holders tell the same story. */
bool pool_validate(const struct pool *p);

#endif
