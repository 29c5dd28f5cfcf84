/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.h: scripts on the command line, one TAP line each; what a driver provides for it.
 */
#ifndef PACKET_MAIN_H
#define PACKET_MAIN_H

#include "run.h"

/* A world of its own for this script, the number'th. Called in a process of its own. */
struct link *link_open(const struct script *s, unsigned number, struct run *r);
void link_close(struct link *l);
/* Can this driver run it? Else why not. */
bool link_runs(const struct script *s, const char **why);

/* Options: -v (the last segments also of what succeeds), -jN (N side by side), --check (read
 * only), --clauses (print the rules). Exit status: 0 unless a script fails that should not, or
 * cannot be read. */
int tap_main(int argc, char **argv);

#endif
