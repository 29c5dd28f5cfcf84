/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay.c: a socket that turns out to be the kernel's. Where a socket belongs is seen when an
 * address is named; until then it is open on the stack, and the options that are set on it are
 * written down here, to be set again on a socket of the kernel that takes its number.
 */
#include "shim.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define SOCKS 65536u   /* of sockets numbered above no options are kept */
#define VALUE_MAX 256u /* nor is a longer value */

struct note {
    struct note *next;
    int level, name;
    socklen_t len;
    unsigned char value[];
};

/* By the client library's number; newest first. Pages never touched cost nothing. */
static _Atomic(struct note *) notes[SOCKS];

void
replay_note(uint32_t e, int level, int name, const void *value, socklen_t len)
{
    if ((e & E_INDEX) >= SOCKS || len > VALUE_MAX || (e & E_SETTLED))
        return;
    struct note *n = malloc(sizeof *n + len);
    if (n == NULL)
        return;
    *n = (struct note){.level = level, .name = name, .len = len};
    memcpy(n->value, value, len);
    n->next = atomic_load(&notes[e & E_INDEX]);
    while (!atomic_compare_exchange_weak(&notes[e & E_INDEX], &n->next, n))
        ;
}

/* All of them, oldest first; they are the caller's then. */
static struct note *
take_notes(uint32_t e)
{
    struct note *old = NULL, *n = NULL;
    if ((e & E_INDEX) < SOCKS && atomic_load(&notes[e & E_INDEX]) != NULL)
        n = atomic_exchange(&notes[e & E_INDEX], NULL);
    while (n != NULL) {
        struct note *next = n->next;
        n->next = old;
        old = n;
        n = next;
    }
    return old;
}

static void
free_notes(struct note *n)
{
    while (n != NULL) {
        struct note *next = n->next;
        free(n);
        n = next;
    }
}

void
replay_drop(uint32_t e)
{
    free_notes(take_notes(e));
}

/* The same options on a socket of the kernel. An option that the stack took and the kernel
 * refuses is lost; that a bind fails counts. 0 or errno. */
static int
play(int fd, const struct note *n)
{
    const void *v;
    for (; n != NULL; n = n->next) {
        v = n->value;
        if (n->level == REPLAY_EPOLL)
            continue;
        if (n->level != REPLAY_BIND)
            (void)REAL(setsockopt)(fd, n->level, n->name, v, n->len);
        else if (REAL(bind)(fd, v, n->len) != 0)
            return errno;
    }
    return 0;
}

/* A set of epoll knows files, not numbers: the stand-in leaves those that it was put into
 * (leave), and what takes its number is put there in its stead. */
static void
play_epoll(const struct note *n, bool leave)
{
    struct replay_epoll w;
    for (; n != NULL; n = n->next) {
        if (n->level != REPLAY_EPOLL)
            continue;
        memcpy(&w, n->value, sizeof w);
        (void)REAL(epoll_ctl)(n->name, leave ? EPOLL_CTL_DEL : w.op, w.fd, &w.event);
    }
}

/* Put `kernel` where all of the socket's numbers are, which stand for `next` then. */
static int
take_numbers(int kernel, uint32_t e, uint32_t next)
{
    for (unsigned i = 0; i < table_top(); i++) {
        if ((entry((int)i) & E_SAME) != (e & E_SAME))
            continue;
        int flags = REAL(fcntl)((int)i, F_GETFD);
        if (flags < 0)
            continue;
        if (REAL(dup3)(kernel, (int)i, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
            return errno;
        table_set((int)i, next);
    }
    return 0;
}

int
become_kernel(int fd, uint32_t e)
{
    int status = REAL(fcntl)(fd, F_GETFL);
    int type = (e & E_DGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC |
               (status >= 0 && (status & O_NONBLOCK) ? SOCK_NONBLOCK : 0);
    int kernel = REAL(socket)(e & E_V6 ? AF_INET6 : AF_INET, type, 0);
    if (kernel < 0)
        return errno;
    struct note *n = take_notes(e);
    int err = play(kernel, n);
    if (err == 0) {
        play_epoll(n, true);
        err = take_numbers(kernel, e, 0);
        play_epoll(n, false);
    }
    free_notes(n);
    REAL(close)(kernel);
    return err;
}

int
become_nowhere(int fd, uint32_t e, in_port_t port)
{
    uint32_t keep = e & (E_OURS | E_V6 | E_V6ONLY | E_DGRAM);
    int status = REAL(fcntl)(fd, F_GETFL);
    int quiet = eventfd(0, EFD_CLOEXEC); /* never readable */
    if (quiet < 0)
        return errno;
    if (status >= 0 && (status & O_NONBLOCK))
        REAL(fcntl)(quiet, F_SETFL, O_RDWR | O_NONBLOCK);
    struct note *n = take_notes(e);
    play_epoll(n, true);
    int err = take_numbers(quiet, e, keep | E_NOWHERE | E_SETTLED | ntohs(port));
    play_epoll(n, false);
    free_notes(n);
    REAL(close)(quiet);
    return err;
}
