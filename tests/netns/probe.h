/* SPDX-License-Identifier: BSD-2-Clause
 *
 * probe.h: what a domain that turned hostile tries, and what must come of it.
 */
#ifndef TESTS_NETNS_PROBE_H
#define TESTS_NETNS_PROBE_H

#include <stddef.h>
#include <stdint.h>

enum outcome {
    REFUSED, /* SIGSYS */
    FAULTS,  /* SIGSEGV */
    ALLOWED,
    FOR_CLIENTS, /* allowed where clients are served, refused in nic and ip */
    FOR_NIC,     /* allowed where the AF_XDP socket is */
    FOR_PACKET,  /* allowed where the AF_PACKET socket is */
    SPEAKS,      /* ends by itself, saying why */
};

struct attempt {
    const char *name;
    enum outcome must;
    void (*run)(void); /* NULL: the call below */
    long nr, arg[6];
};
extern const struct attempt attempts[];
extern const unsigned n_attempts;

/* What the probe holds, as a domain would. An argument of HOLD_x stands for it. */
struct probe_held {
    int bell_in, bell_out, epoll, xsk,
        client; /* client: the first number that none of ours has */
    uint64_t window;
    uint8_t *region, *alloc; /* shared, writable, of REGION_BYTES; private, of ALLOC_BYTES */
};
extern struct probe_held held;
#define REGION_BYTES ((size_t)65536)
#define ALLOC_BYTES ((size_t)5000)

#endif
