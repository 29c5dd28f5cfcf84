/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.c: which addresses are the kernel's: loopback.
 */
#include "rules.h"

#include <netinet/in.h>
#include <string.h>

bool
rules_kernel(int type, const struct sockaddr *addr, bool local)
{
    struct sockaddr_in sin;
    (void)type;
    (void)local;
    memcpy(&sin, addr, sizeof sin);
    return sin.sin_family == AF_INET &&
           ntohl(sin.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
}
