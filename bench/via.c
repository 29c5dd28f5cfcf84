/* SPDX-License-Identifier: BSD-2-Clause
 *
 * via.c: finding a table by name, and the first socket, which for Bulkhead attaches.
 */
#include "bench/via.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/tool.h"
#include "client/bulkhead.h"

const struct via *
via_find(const char *name)
{
    if (!strcmp(name, via_kernel.name))
        return &via_kernel;
    if (!strcmp(name, via_bulkhead.name))
        return &via_bulkhead;
    return NULL;
}

/* What a failed attach means to a script. */
static int
attach_exit_code(int err)
{
    switch (err) {
    case ECONNREFUSED:
    case ENETDOWN:
    case ENOENT:
        return EXIT_NO_DAEMON;
    case EACCES:
    case EPERM:
    case EDQUOT:
    case EUSERS:
        return EXIT_ACCOUNT;
    case EINVAL: /* BULKHEAD_INSTANCE, BULKHEAD_ARENA or BULKHEAD_SESSIONS */
        return EXIT_CONFIG;
    default:
        return EXIT_OTHER;
    }
}

int
via_socket_or_exit(const struct via *via, int type)
{
    int fd = via->socket(AF_INET, type, 0);
    if (fd >= 0)
        return fd;
    if (via == &via_bulkhead) {
        int err = errno;
        const char *why = bh_strerror_attach();
        tool_die(attach_exit_code(err), "cannot attach to bulkheadd: %s",
                 why && *why ? why : strerror(err));
    }
    tool_die(EXIT_OTHER, "socket: %s", strerror(errno));
}
