/* SPDX-License-Identifier: BSD-2-Clause
 *
 * poll.c: poll(2) over bulkhead sockets, with kernel descriptors mixed in.
 */
#include "private.h"

#include <poll.h>
#include <stdlib.h>

#define POLL_MAX (1u << 20)

struct poll_call {
    struct pollfd *fds;
    unsigned long n;
    struct pollfd *k; /* POLL_EXTRA unused, then the kernel's descriptors */
    unsigned nk;
    bool hurry; /* something will become ready without an event */
};

static bool
is_ours(int fd)
{
    return fd >= BH_FD_BASE;
}

uint32_t
poll_mask(short events)
{
    uint32_t mask = 0;
    if (events & (POLLIN | POLLRDNORM | POLLRDHUP | POLLPRI))
        mask |= SLOT_READ;
    if (events & (POLLOUT | POLLWRNORM))
        mask |= SLOT_WRITE;
    return mask != 0 ? mask : SLOT_READ; /* POLLHUP and POLLERR come with either */
}

/* The kernel's part of the array, or of nothing. */
static int
collect_kernel(struct poll_call *c)
{
    for (unsigned long i = 0; i < c->n; i++)
        c->nk += c->fds[i].fd >= 0 && !is_ours(c->fds[i].fd);
    if (c->nk == 0)
        return 0;
    c->k = calloc(POLL_EXTRA + c->nk, sizeof *c->k);
    if (c->k == NULL)
        return ENOMEM;
    unsigned at = POLL_EXTRA;
    for (unsigned long i = 0; i < c->n; i++)
        if (c->fds[i].fd >= 0 && !is_ours(c->fds[i].fd))
            c->k[at++] = (struct pollfd){.fd = c->fds[i].fd, .events = c->fds[i].events};
    return 0;
}

/* Copy the kernel's results to the program's array. Returns how many have some. */
static int
take_kernel(struct poll_call *c)
{
    int ready = 0;
    unsigned at = POLL_EXTRA;
    for (unsigned long i = 0; i < c->n && c->nk > 0; i++)
        if (c->fds[i].fd >= 0 && !is_ours(c->fds[i].fd)) {
            c->fds[i].revents = c->k[at].revents;
            c->k[at++].revents = 0;
            ready += c->fds[i].revents != 0;
        }
    return ready;
}

static short
scan_one(struct lib *l, struct poll_call *c, const struct pollfd *f, bool arm, bool *armed)
{
    const struct desc *d = lib_desc(l, f->fd);
    if (d == NULL || d->att != NULL)
        return POLLNVAL;
    if (d->dead)
        return POLLERR | POLLHUP;
    struct sock *s = d->s;
    short r = sock_conditions(s) & (short)(f->events | POLLERR | POLLHUP);
    if (r == 0) {
        c->hurry = c->hurry || s->starved || !list_empty(&s->att->owing);
        if (arm && !s->listening)
            *armed = sock_arm(s, poll_mask(f->events)) || *armed;
    }
    return r;
}

/* Look at our sockets. Returns how many are ready; *armed: some were newly armed, and
 * must be looked at again. */
static int
scan(struct lib *l, struct poll_call *c, bool arm, bool *armed)
{
    int ready = 0;
    c->hurry = *armed = false;
    lib_drain(l);
    for (unsigned long i = 0; i < c->n; i++) {
        struct pollfd *f = &c->fds[i];
        if (f->fd < 0)
            f->revents = 0;
        else if (is_ours(f->fd))
            ready += (f->revents = scan_one(l, c, f, arm, armed)) != 0;
    }
    return ready;
}

static int
poll_locked(struct lib *l, struct poll_call *c, int timeout_ms)
{
    ns_t deadline = timeout_ms < 0 ? NS_NEVER : lib_now(l) + (ns_t)timeout_ms * NS_MS;
    int verdict = 0, kernel = 0;
    for (;;) {
        bool armed;
        int ready = scan(l, c, timeout_ms != 0 && verdict == 0, &armed);
        if (ready > 0 || kernel > 0 || timeout_ms == 0)
            return ready;
        if (verdict != 0)
            return verdict == ETIMEDOUT ? 0 : -verdict;
        if (armed)
            continue;
        ns_t until = c->hurry ? min_u64(deadline, lib_now(l) + SHORT_WAIT) : deadline;
        struct waiter w = {.any = true};
        int r = lib_wait(l, &w, until, c->k, c->nk);
        for (unsigned i = 0; i < c->nk; i++)
            kernel += c->k[POLL_EXTRA + i].revents != 0;
        if (r == ETIMEDOUT && until != deadline && lib_now(l) < deadline)
            r = 0;
        verdict = r;
    }
}

int
bh_poll(struct pollfd *fds, unsigned long n, int timeout_ms)
{
    struct poll_call c = {.fds = fds, .n = n};
    if (n > POLL_MAX)
        return (int)ret_errno(-EINVAL);
    int err = collect_kernel(&c);
    if (err != 0)
        return (int)ret_errno(-err);
    struct lib *l = lib_lock();
    int r = poll_locked(l, &c, timeout_ms);
    lib_unlock(l);
    if (r >= 0 && c.nk > 0) {
        (void)poll(c.k + POLL_EXTRA, c.nk, 0); /* how things stand now */
        r += take_kernel(&c);
    }
    free(c.k);
    return (int)ret_errno(r);
}
