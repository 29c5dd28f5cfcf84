/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pair.h: for tests that tell a story: two programs, 0 and 1, on the two stacks, blocking calls
 * in virtual time, and connections between them.
 */
#ifndef SIM_PAIR_H
#define SIM_PAIR_H

#include "load.h"

#define PAIR_PORT 5000u

/* A world with two programs, each on its own stack. */
void pair_init(struct world *w, const struct world_config *c);
/* Both close what is open, everything comes to rest and is checked. */
void pair_end(struct world *w);

/* Calls on behalf of a program. They fail the test where they cannot fail. */
int pair_socket(struct world *w, unsigned program, int type);
int pair_listen(struct world *w, unsigned program, uint16_t port, int backlog);
/* Program 0 connects to program 1; fd[i] is program i's end. The listener is closed. */
void pair_connect(struct world *w, int fd[2]);
void pair_option(struct world *w, unsigned program, int fd, int level, int name, int value);
void pair_nonblocking(struct world *w, unsigned program, int fd);
/* All n bytes of the pattern from `at` on, blocking; returns 0 or the errno. */
int pair_send(struct world *w, unsigned program, int fd, uint32_t pattern, uint64_t at,
              size_t n);
/* Reads n bytes and compares; 0, the errno, or -1 for an end of stream before them. */
int pair_receive(struct world *w, unsigned program, int fd, uint32_t pattern, uint64_t at,
                 size_t n);
/* As much as goes without blocking; returns the bytes. */
size_t pair_fill(struct world *w, unsigned program, int fd, uint32_t pattern, uint64_t at);
/* One read: 0 at the end of the stream, else -errno; fails the test if bytes come. */
int pair_end_of_stream(struct world *w, unsigned program, int fd);
void pair_close(struct world *w, unsigned program, int fd);
/* State (enum tcp_state) of the session on a stack with these ports; -1: there is none. */
int pair_state(struct world *w, unsigned side, uint16_t lport, uint16_t rport);
uint16_t pair_port(struct world *w, unsigned program, int fd);

static inline double
pair_seconds(const struct world *w)
{
    return (double)(w->now - w->cfg.start) / 1e9;
}

#endif
