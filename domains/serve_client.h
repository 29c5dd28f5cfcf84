/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve_client.h: what a domain that serves clients does with the supervisor's messages about
 * them: map the arena, watch the bell, and let go of both.
 */
#ifndef DOMAINS_SERVE_CLIENT_H
#define DOMAINS_SERVE_CLIENT_H

#include "domain.h"
#include "serve.h"

/* Let problems of clients be reported by this domain. */
void serve_client_init(struct serve *s, struct domain *d);

/* CTL_CLIENT_ADD, CTL_CLIENT_GONE, CTL_SESSIONS for this serve (ids and sessions of its
 * protocol). Takes the descriptors. */
void serve_client_ctl(struct serve *s, struct domain *d, struct ctl_msg *m, int *fd, ns_t now);

/* Let go of dead clients whose sessions have ended. */
void serve_client_reap(struct serve *s, struct domain *d);

/* A domain_watch arg that belongs to a client of s? Then it is looked at again. */
bool serve_client_ready(struct serve *s, struct domain *d, void *arg);

#endif
