/* SPDX-License-Identifier: BSD-2-Clause
 *
 * real.c: libc's functions, past our own of the same names.
 */
#include "shim.h"

#include <dlfcn.h>
#include <stdlib.h>

struct real real;

static void *
find(const char *name)
{
    void *p = dlsym(RTLD_NEXT, name);
    if (p == NULL) {
        say("libc lacks a function that is needed");
        abort();
    }
    return p;
}

/* More than one thread may do this at once: all write the same. */
void
real_init(void)
{
#define REAL_FIND(r, name, args) real.name = (r(*) args)find(#name);
    REAL_LIST(REAL_FIND)
#undef REAL_FIND
    atomic_thread_fence(memory_order_release);
    real.ready = true;
}
