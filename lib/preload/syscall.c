/* SPDX-License-Identifier: BSD-2-Clause
 *
 * syscall.c: libc's function of that name, by which libuv sends and receives its datagrams, and
 * others make the calls that their libc did not have when they were written. What concerns
 * sessions goes to the functions here; all else to the kernel.
 *
 * Before this library was loaded, and within dlsym, it must work, too: so it needs nothing of
 * libc's, where we know how to call the kernel.
 */
#include "shim.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

OWN(accept4);
OWN(bind);
OWN(close_range);
OWN(connect);
OWN(dup);
OWN(dup2);
OWN(dup3);
OWN(epoll_ctl);
OWN(fcntl);
OWN(getpeername);
OWN(getsockname);
OWN(getsockopt);
OWN(ioctl);
OWN(listen);
OWN(prctl);
OWN(preadv2);
OWN(pwritev2);
OWN(readv);
OWN(recvmmsg);
OWN(recvmsg);
OWN(sendfile);
OWN(sendmmsg);
OWN(sendmsg);
OWN(sendto);
OWN(setsockopt);
OWN(shutdown);
OWN(socket);
OWN(splice);
OWN(writev);

/* What is passed; of which a number of a call does not tell how many there are. */
struct args {
    long a[6];
};

static long
past(long number, const struct args *g)
{
#if defined(__x86_64__) && defined(__LP64__)
    register long d __asm__("r10") = g->a[3], e __asm__("r8") = g->a[4],
                    f __asm__("r9") = g->a[5];
    long r = number;
    __asm__ volatile("syscall"
                     : "+a"(r)
                     : "D"(g->a[0]), "S"(g->a[1]), "d"(g->a[2]), "r"(d), "r"(e), "r"(f)
                     : "rcx", "r11", "memory");
    if (r < 0 && r >= -4095) {
        errno = (int)-r;
        return -1;
    }
    return r;
#else
    return REAL(syscall)(number, g->a[0], g->a[1], g->a[2], g->a[3], g->a[4], g->a[5]);
#endif
}

#define TAKE_ARGS(g, number)                                                                   \
    do {                                                                                       \
        va_list ap;                                                                            \
        va_start(ap, number);                                                                  \
        for (unsigned i = 0; i < 6; i++)                                                       \
            (g).a[i] = va_arg(ap, long);                                                       \
        va_end(ap);                                                                            \
    } while (0)

/* The library's own calls (local.mk). */
long __wrap_syscall(long number, ...);
long
__wrap_syscall(long number, ...)
{
    struct args g;
    TAKE_ARGS(g, number);
    return past(number, &g);
}

/* ---- those of the program ---- */

/* The arguments by their types: the upper half of an int is not told. */
#define INT(i) ((int)g->a[i])
#define UINT(i) ((unsigned)g->a[i])
#define SIZE(i) ((size_t)g->a[i])
#define PTR(i) ((void *)g->a[i])

/* Does it make a session, end some, or is one of its numbers in the table? */
static bool
concerns(long number, const struct args *g)
{
    return (entry(INT(0)) | entry(INT(1)) | entry(INT(2))) != 0 || number == SYS_socket ||
           number == SYS_close_range || number == SYS_sendmsg || number == SYS_recvmsg;
}

/* They make or end numbers, or have more than one. */
static bool
on_numbers(long number, const struct args *g, long *r)
{
    switch (number) {
    case SYS_socket:
        *r = own_socket(INT(0), INT(1), INT(2));
        return true;
    case SYS_close:
        *r = own_close(INT(0));
        return true;
    case SYS_close_range:
        *r = own_close_range(UINT(0), UINT(1), INT(2));
        return true;
    case SYS_dup:
        *r = own_dup(INT(0));
        return true;
#ifdef SYS_dup2
    case SYS_dup2:
        *r = own_dup2(INT(0), INT(1));
        return true;
#endif
    case SYS_dup3:
        *r = own_dup3(INT(0), INT(1), INT(2));
        return true;
    case SYS_fcntl:
        *r = own_fcntl(INT(0), INT(1), PTR(2));
        return true;
    case SYS_epoll_ctl:
        *r = own_epoll_ctl(INT(0), INT(1), INT(2), PTR(3));
        return true;
    case SYS_sendmsg: /* sessions may travel with these */
        *r = own_sendmsg(INT(0), PTR(1), INT(2));
        return true;
    case SYS_recvmsg:
        *r = own_recvmsg(INT(0), PTR(1), INT(2));
        return true;
    case SYS_sendfile:
        *r = own_sendfile(INT(0), INT(1), PTR(2), SIZE(3));
        return true;
    case SYS_splice:
        *r = own_splice(INT(0), PTR(1), INT(2), PTR(3), SIZE(4), UINT(5));
        return true;
    default:
        return false;
    }
}

/* The calls that sleep: what was corked is told first. */
static bool
on_many(long number, const struct args *g, long *r)
{
    struct timespec ts;
    switch (number) {
#ifdef SYS_poll
    case SYS_poll:
        *r = own_poll(PTR(0), UINT(1), INT(2));
        return true;
#endif
    case SYS_ppoll:
        may_sleep();
        if (!any_ours(PTR(0), UINT(1)))
            return false;
        if (wild_to_read(PTR(2), PTR(2) != NULL ? sizeof ts : 0))
            *r = fails(EFAULT);
        else
            *r = own_ppoll(PTR(0), UINT(1), PTR(2), PTR(3));
        return true;
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
#endif
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_epoll_pwait:
    case SYS_pselect6:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
        may_sleep();
        return false;
    default:
        return false;
    }
}

/* What names and options are asked and set by, on a session. */
static bool
on_one(long number, const struct args *g, long *r)
{
    switch (number) {
    case SYS_bind:
        *r = own_bind(INT(0), (struct sockaddr *)PTR(1), UINT(2));
        return true;
    case SYS_listen:
        *r = own_listen(INT(0), INT(1));
        return true;
    case SYS_connect:
        *r = own_connect(INT(0), (struct sockaddr *)PTR(1), UINT(2));
        return true;
    case SYS_accept:
        *r = own_accept4(INT(0), (struct sockaddr *)PTR(1), PTR(2), 0);
        return true;
    case SYS_accept4:
        *r = own_accept4(INT(0), (struct sockaddr *)PTR(1), PTR(2), INT(3));
        return true;
    case SYS_shutdown:
        *r = own_shutdown(INT(0), INT(1));
        return true;
    case SYS_getsockname:
        *r = own_getsockname(INT(0), (struct sockaddr *)PTR(1), PTR(2));
        return true;
    case SYS_getpeername:
        *r = own_getpeername(INT(0), (struct sockaddr *)PTR(1), PTR(2));
        return true;
    case SYS_setsockopt:
        *r = own_setsockopt(INT(0), INT(1), INT(2), PTR(3), UINT(4));
        return true;
    case SYS_getsockopt:
        *r = own_getsockopt(INT(0), INT(1), INT(2), PTR(3), PTR(4));
        return true;
    case SYS_ioctl:
        *r = own_ioctl(INT(0), SIZE(1), PTR(2));
        return true;
    default:
        return false;
    }
}

/* Bytes into and out of a session. */
static bool
on_bytes(long number, const struct args *g, long *r)
{
    switch (number) {
    case SYS_read:
        *r = own_read(INT(0), PTR(1), SIZE(2));
        return true;
    case SYS_write:
        *r = own_write(INT(0), PTR(1), SIZE(2));
        return true;
    case SYS_readv:
        *r = own_readv(INT(0), PTR(1), INT(2));
        return true;
    case SYS_writev:
        *r = own_writev(INT(0), PTR(1), INT(2));
        return true;
    case SYS_preadv2: /* the place has two arguments, of which the first is all where it fits */
        *r = own_preadv2(INT(0), PTR(1), INT(2), (off_t)g->a[3], INT(5));
        return true;
    case SYS_pwritev2:
        *r = own_pwritev2(INT(0), PTR(1), INT(2), (off_t)g->a[3], INT(5));
        return true;
    case SYS_sendto:
        *r = own_sendto(INT(0), PTR(1), SIZE(2), INT(3), (struct sockaddr *)PTR(4), UINT(5));
        return true;
    case SYS_recvfrom:
        *r = own_recvfrom(INT(0), PTR(1), SIZE(2), INT(3), (struct sockaddr *)PTR(4), PTR(5));
        return true;
    case SYS_sendmmsg:
        *r = own_sendmmsg(INT(0), PTR(1), UINT(2), INT(3));
        return true;
    case SYS_recvmmsg:
        *r = own_recvmmsg(INT(0), PTR(1), UINT(2), INT(3), PTR(4));
        return true;
    default:
        return false;
    }
}

/* As libseccomp does it. */
static long
confine(long number, const struct args *g)
{
    bool was = share_confined;
    confined(); /* before: afterwards it is too late */
    long r = past(number, g);
    if (r != 0)
        share_confined = was;
    return r;
}

EXPORT long
syscall(long number, ...)
{
    struct args g;
    long r;
    TAKE_ARGS(g, number);
    /* Nobody has a session yet; and dlsym may be why we are called. */
    if (UNLIKELY(!real.ready) && number != SYS_socket)
        return past(number, &g);
    if (concerns(number, &g) && on_numbers(number, &g, &r))
        return r;
    if (on_many(number, &g, &r))
        return r;
    if (is_ours(entry((int)g.a[0])) && (on_bytes(number, &g, &r) || on_one(number, &g, &r)))
        return r;
    if (number == SYS_prctl && g.a[0] == PR_SET_SECCOMP)
        return own_prctl((int)g.a[0], g.a[1], g.a[2], g.a[3], g.a[4]);
    if (number == SYS_seccomp &&
        (g.a[0] == SECCOMP_SET_MODE_STRICT || g.a[0] == SECCOMP_SET_MODE_FILTER))
        return confine(number, &g);
    return past(number, &g);
}
