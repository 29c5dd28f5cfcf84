/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kit_request.h: what the kits of the two transports have in common: a client's requests, and
 * memory. Either kit brings its own struct kit and kit_request.
 */
#ifndef TESTS_KIT_REQUEST_H
#define TESTS_KIT_REQUEST_H

#include "base/base.h"
#include "session/ops.h"

struct kit;

/* A request; returns the error of the reply. */
int kit_request(struct kit *k, uint32_t sess, struct sess_req r, struct sess_evt *reply);
int kit_bind(struct kit *k, uint32_t sess, uint32_t addr, uint16_t port);
int kit_connect(struct kit *k, uint32_t sess, uint32_t addr, uint16_t port);
int kit_set(struct kit *k, uint32_t sess, int level, int name, uint64_t value);
/* -errno or the value. */
int64_t kit_get(struct kit *k, uint32_t sess, int level, int name);

/* In host order; 0: none. */
struct ipaddr kit_address(uint32_t a);
/* All ports. */
extern const struct sess_grant kit_grant;

/* Whole pages of zeros for free(); ends the process if there are none. */
void *kit_zeroed(size_t len);

#endif
