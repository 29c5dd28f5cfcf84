/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_echo.h: an echo server for datagrams on AF_XDP with no stack above it, answering where
 * the frame arrives or, with `hop`, in a process of its own: the least that a round trip takes
 * through any stack on AF_XDP, and through any whose programs are processes of their own.
 */
#ifndef BENCH_RAW_ECHO_H
#define BENCH_RAW_ECHO_H

#include <sys/types.h>

#include "bench/rawport.h"
#include "ipc/bell.h"

struct raw_hop; /* what the two processes share: raw_echo.c's own */

struct raw_echo {
    /* from the caller, the rest is zero */
    struct rawport *port;
    uint16_t udp_port;
    bool hop;
    uint64_t spin_ns; /* for both: look so long, giving way, before sleeping */

    /* raw_echo.c's own */
    struct raw_hop *other;   /* what is shared with the other process */
    uint32_t asked, replied; /* datagrams to it, answers from it */
    struct bell_ringer ringer;
    struct bell_sleeper sleeper;
    pid_t pid;
};

/* Before the port is opened, so that the other process holds nothing of it. */
void raw_echo_prepare(struct raw_echo *e);
/* Says "ready" and answers, always sleeping where there is nothing to do, until SIGINT or
 * SIGTERM. */
void raw_echo_run(struct raw_echo *e);

#endif
