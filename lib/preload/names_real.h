/* SPDX-License-Identifier: BSD-2-Clause
 *
 * names_real.h: libc's functions for names, which ask nobody over a network any more once
 * names_real was called.
 */
#ifndef PRELOAD_NAMES_REAL_H
#define PRELOAD_NAMES_REAL_H

#include "names.h"

struct names_real {
    __typeof__(&getaddrinfo) getaddrinfo;
    __typeof__(&getnameinfo) getnameinfo;
    __typeof__(&gethostbyname2_r) gethostbyname2_r;
    __typeof__(&gethostbyaddr_r) gethostbyaddr_r;
};
/* NULL: libc has them not. */
const struct names_real *names_real(void);

#endif
