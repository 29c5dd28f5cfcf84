/* SPDX-License-Identifier: BSD-2-Clause
 *
 * value.h: one value of a key of an account; between value.c and net.c. Each returns NULL, or
 * what is allowed instead.
 */
#ifndef POLICY_VALUE_H
#define POLICY_VALUE_H

#include "accounts.h"

const char *policy_take_ports(struct policy_account *a, const char *v);
const char *policy_take_listen(struct policy_account *a, const char *v);
const char *policy_take_peers(struct policy_account *a, const char *v);
const char *policy_take_accept(struct policy_account *a, const char *v);

/* Digits and nothing else, up to max. */
bool policy_number(const char *text, uint64_t max, uint64_t *n);

#endif
