/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl_print.h: the daemon's answers as tables for people.
 */
#ifndef DOMAINS_CTL_PRINT_H
#define DOMAINS_CTL_PRINT_H

#include <stdbool.h>

#include <jansson.h>

void ctl_print_status(const json_t *j);
void ctl_print_stats(const json_t *j, bool all);
void ctl_print_sessions(const json_t *j);
void ctl_print_policy(const json_t *j);
void ctl_print_reload(const json_t *j);
void ctl_print_restart(const json_t *j);

#endif
