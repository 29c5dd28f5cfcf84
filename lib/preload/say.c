/* SPDX-License-Identifier: BSD-2-Clause
 *
 * say.c: what a user is told, on stderr and past the program's stdio.
 */
#include "shim.h"

void
say(const char *text)
{
    static const char head[] = "bulkhead: ";
    struct iovec v[3] = {{.iov_base = (void *)(uintptr_t)head, .iov_len = sizeof head - 1},
                         {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)},
                         {.iov_base = (void *)(uintptr_t) "\n", .iov_len = 1}};
    int err = errno;
    if (real.ready && !is_ours(entry(2))) {
        ssize_t n = REAL(writev)(2, v, 3);
        (void)n;
    }
    errno = err;
}

void
say_attach(int err)
{
    static atomic_bool said;
    char line[512];
    const char *why = bh_strerror_attach();
    if (atomic_exchange(&said, true))
        return;
    snprintf(line, sizeof line, "no socket on the stack: %s%s%s", strerror(err),
             why != NULL && *why != '\0' ? ": " : "", why != NULL ? why : "");
    say(line);
    errno = err;
}
