/* SPDX-License-Identifier: BSD-2-Clause
 *
 * world.h: two stacks, the wires between them, the programs on them, and the clock. No thread,
 * no wall clock: the same seed gives the same run.
 *
 * Programs use the real client library, one instance each. A call that has to wait (for the
 * reply to a request) lets stacks and wires go on; programs run from world_run only, one after
 * the other, so they use non-blocking sockets and look at what is ready.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <netinet/in.h>

#include "lib/client/bulkhead.h"
#include "lib/client/hooks.h"
#include "stack.h"

#define WORLD_PROGRAMS 4u

struct world;

/* A program on one of the stacks: it works when one of its sockets may be ready, and when its
 * time has come. */
struct program {
    struct world *w;
    unsigned side;   /* which stack */
    uint32_t id;     /* client number on it */
    struct lib *lib; /* NULL: dead, or there is none */
    struct arena_view v[2];
    void *half[2][2];
    ns_t wake;
};

struct world_config {
    struct stack_config stack[2];
    struct wire_profile wire[2];    /* [i]: from stack i to the other */
    struct arena_geometry arena[2]; /* streams, datagrams */
    uint64_t seed;
    ns_t start;
};

struct world {
    struct world_config cfg;
    struct stack s[2];
    struct wire wire[2];
    struct program prog[WORLD_PROGRAMS];
    unsigned n_prog;
    ns_t now;
    struct rng rng;
    bool in_program;
    /* Called for each living program when nothing is left to do at `now`, with its instance
     * chosen. True: it did something. It sets p->wake. */
    bool (*work)(struct world *w, struct program *p, void *ctx);
    /* Called after every move of the clock. */
    void (*tick)(struct world *w, void *ctx);
    /* How things stand, on stderr, when a traced run fails; may be NULL. */
    void (*tell)(void *ctx);
    void *ctx;
};

/* Addresses 10.9.0.1 and 10.9.0.2, what else is usual, and a perfect wire. */
struct world_config world_usual(uint64_t seed);
#define WORLD_ADDR(side) (0x0a090001u + (side))
struct sockaddr_in world_sin(unsigned side, uint16_t port);

void world_init(struct world *w, const struct world_config *c);
void world_free(struct world *w);

/* A new program; returns its number. */
unsigned world_program(struct world *w, unsigned side);
/* It dies without a word. */
void world_kill(struct world *w, unsigned program);
/* Choose whose calls come next. */
void world_use(struct world *w, unsigned program);

/* Let the world go on until `until`, or until done(ctx) says so. False: not done by then. */
bool world_run(struct world *w, ns_t until, bool (*done)(void *ctx), void *ctx);
/* Let so much time pass. */
void world_pass(struct world *w, ns_t time);

/* Fails the test: prints the seed and how things stand. */
_Noreturn void world_fail(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
#define world_assert(w, cond)                                                                  \
    do {                                                                                       \
        if (!(cond))                                                                           \
            world_fail(w, "%s:%d: %s", __FILE__, __LINE__, #cond);                             \
    } while (0)

/* Everything must be over: see stack_check_rest, and the same for the programs' side. */
void world_check_rest(struct world *w);

uint64_t world_stat(const struct world *w, unsigned side, enum stat_id id);

#endif
