/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the preloaded library does at its start, for a test program that has parts of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "preload/rules.h"

static void __attribute__((constructor)) load_rules(void)
{
    char err[256];
    if (!rules_load(getenv("BULKHEAD_RULES"), err, sizeof err)) {
        fprintf(stderr, "%s\n", err);
        _Exit(3);
    }
}
