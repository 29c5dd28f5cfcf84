/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ticks_plain.c: the composition by calls under other names, so that the one with rings can
 * take its place in the simulation.
 */
#define join_init plain_join_init
#define join_begin plain_join_begin
#define join_turn plain_join_turn
#define join_tx_done plain_join_tx_done
#define join_deadline plain_join_deadline
/* NOLINTNEXTLINE(bugprone-suspicious-include): the very code */
#include "domains/join.c"
