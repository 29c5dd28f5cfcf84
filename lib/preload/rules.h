/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.h: which addresses are the kernel's.
 */
#ifndef PRELOAD_RULES_H
#define PRELOAD_RULES_H

#include <stdbool.h>
#include <sys/socket.h>

/* Is this address (of a socket of this type; local: to be bound to) the kernel's, not the
 * stack's? */
bool rules_kernel(int type, const struct sockaddr *addr, bool local);

#endif
