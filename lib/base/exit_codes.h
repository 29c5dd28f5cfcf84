/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exit_codes.h: what the programs exit with. Documented in their man pages; scripts rely on
 * the numbers.
 */
#ifndef BASE_EXIT_CODES_H
#define BASE_EXIT_CODES_H

enum exit_code {
    EXIT_OK = 0,
    EXIT_OTHER = 1,         /* something failed at run time; the message says what */
    EXIT_USAGE = 2,         /* wrong arguments */
    EXIT_CONFIG = 3,        /* configuration: unknown key, bad value */
    EXIT_PRIVILEGE = 4,     /* must be root */
    EXIT_NO_INTERFACE = 5,  /* no such interface, or it is down */
    EXIT_QUEUES = 6,        /* the interface has several receive queues */
    EXIT_ADDRESS_TAKEN = 7, /* somebody answers for the address (ARP), or the kernel has it */
    EXIT_RUNNING = 8,       /* this instance runs already */
    EXIT_NO_DAEMON = 9,     /* no daemon to attach to */
    EXIT_ACCOUNT = 10,      /* the account does not allow it: no account, arena too large */
    EXIT_BUSY = 11,         /* the interface has an XDP program or AF_XDP socket already */
    EXIT_NETWORK = 12,      /* peer unreachable, refused, transfer incomplete (tools) */
};

#endif
