/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control.c: fcntl and ioctl. What concerns the descriptor is the kernel's, on the stand-in;
 * what concerns the stream of bytes is the client library's.
 */
#include "shim.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

/* ---- fcntl ---- */

/* In a confined process this cannot be asked any more. */
static void
mark_waits(uint32_t e, uintptr_t flags)
{
    table_mark(e, flags & O_NONBLOCK ? 0 : E_WAITS, flags & O_NONBLOCK ? E_WAITS : 0);
}

static int
fcntl_ours(int fd, uint32_t e, int cmd, void *arg)
{
    if (cmd == F_SETFL && ((uintptr_t)arg & O_ASYNC)) {
        SAY("O_ASYNC was refused");
        return fails(EINVAL);
    }
    int r = REAL(fcntl)(fd, cmd, arg);
    if (UNLIKELY(share_confined) && r >= 0 && cmd == F_SETFL)
        mark_waits(e, (uintptr_t)arg);
    if (r >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
        table_set(r, e);
    return r;
}

/* libc too takes an argument whether there is one or not. */
#define FCNTL                                                                                  \
    do {                                                                                       \
        va_list ap;                                                                            \
        va_start(ap, cmd);                                                                     \
        void *arg = va_arg(ap, void *);                                                        \
        va_end(ap);                                                                            \
        uint32_t e = entry(fd);                                                                \
        if (UNLIKELY(e & E_PRIVATE))                                                           \
            return fails(EBADF);                                                               \
        return is_ours_at(fd, e) ? fcntl_ours(fd, e, cmd, arg) : REAL(fcntl)(fd, cmd, arg);    \
    } while (0)

EXPORT int
fcntl(int fd, int cmd, ...)
{
    FCNTL;
}
EXPORT int
fcntl64(int fd, int cmd, ...)
{
    FCNTL;
}

/* ---- prctl ---- */

void
confined(void)
{
    for (unsigned i = 0; i < table_top(); i++) {
        uint32_t e = entry((int)i);
        int flags = is_ours(e) ? REAL(fcntl)((int)i, F_GETFL) : -1;
        if (flags >= 0)
            mark_waits(e, (uintptr_t)flags);
    }
    share_confined = true;
}

EXPORT int
prctl(int what, ...)
{
    va_list ap;
    unsigned long a[4];
    va_start(ap, what);
    for (unsigned i = 0; i < 4; i++)
        a[i] = va_arg(ap, unsigned long);
    va_end(ap);
    bool was = share_confined;
    if (what == PR_SET_SECCOMP)
        confined(); /* before: afterwards it is too late */
    int r = REAL(prctl)(what, a[0], a[1], a[2], a[3]);
    if (r != 0 && what == PR_SET_SECCOMP)
        share_confined = was;
    return r;
}

/* ---- ioctl ---- */

static int
ioctl_ours(int fd, uint32_t e, unsigned long what, void *arg)
{
    switch (what) {
    case FIONREAD: /* SIOCINQ too */
    case SIOCOUTQ:
    case SIOCOUTQNSD:
    case SIOCATMARK:
        if (wild_to_write(arg, sizeof(int)))
            return fails(EFAULT);
        return bh_ioctl(bh_of(e), what, arg);
    case FIOASYNC:
        SAY("FIOASYNC was refused");
        return fails(EINVAL);
    case SIOCGIFADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFDSTADDR:
        return netif_address(what, arg);
    case SIOCGIFCONF:
        return netif_list(arg);
    default:
        return REAL(ioctl)(fd, what, arg);
    }
}

EXPORT int
ioctl(int fd, unsigned long what, ...)
{
    va_list ap;
    va_start(ap, what);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    uint32_t e = entry(fd);
    return is_ours_at(fd, e) ? ioctl_ours(fd, e, what, arg) : REAL(ioctl)(fd, what, arg);
}

EXPORT int
sockatmark(int fd)
{
    uint32_t e = entry(fd);
    int at = 0;
    if (!is_ours_at(fd, e))
        return REAL(sockatmark)(fd);
    return bh_ioctl(bh_of(e), SIOCATMARK, &at) < 0 ? -1 : at;
}

OWN_IS(fcntl);
OWN_IS(ioctl);
OWN_IS(prctl);
