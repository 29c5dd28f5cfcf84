/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hooks.h: the client library without a daemon, for tests: several instances in one
 * process, each on arenas that the test hands over, with the test's clock and the test's
 * idea of sleeping. So one thread drives applications, library and stacks in virtual time.
 *
 *     struct lib *a = bh_test_new(&hooks);
 *     bh_test_attach(a, IPPROTO_TCP, &geometry, client_half, domain_half, -1, -1);
 *     bh_test_use(a);
 *     fd = bh_socket(AF_INET, SOCK_STREAM, 0);      // sleeps in hooks.wait
 *
 * Not exported: a test links the library's objects (libclient.la).
 */
#ifndef CLIENT_HOOKS_H
#define CLIENT_HOOKS_H

#include "session/session.h"

struct lib;

struct bh_hooks {
    /* Nanoseconds. */
    ns_t (*now)(void *arg);
    /* Let the world go on until something was published for this instance, or until the
     * deadline (NS_NEVER: none). 0; EINTR: as if a signal had come; ETIMEDOUT: the
     * deadline, or nothing can happen any more. Called without a lock. NULL: sleep in
     * poll() as always. */
    int (*wait)(void *arg, ns_t deadline);
    void *arg;
};

/* NULL: out of memory. hooks NULL: the machine's clock and poll(). */
struct lib *bh_test_new(const struct bh_hooks *hooks);

/* Which instance the bh_ calls of all threads act on; NULL: the process's own. */
void bh_test_use(struct lib *l);

/* Its sockets are gone without a word to the domain. The halves stay the caller's. */
void bh_test_free(struct lib *l);

/* The attachment for IPPROTO_TCP or IPPROTO_UDP, on halves that the caller keeps (zero, or
 * as an earlier user of all its slots left them). fd_sleep: read end of our bell, -1 with
 * a wait hook; fd_ring: write end of the domain's, -1: nobody to ring. 0 or errno. */
int bh_test_attach(struct lib *l, int proto, const struct arena_geometry *g, void *client_half,
                   void *domain_half, int fd_sleep, int fd_ring);

#endif
