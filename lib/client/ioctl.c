/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ioctl.c: what fcntl(2) and ioctl(2) are for the kernel's sockets.
 */
#include "private.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static int
set_nonblock(struct sock *s, bool on)
{
    s->nonblock = on;
    return 0;
}

int
bh_set_nonblocking(int fd, int on)
{
    WITH_SOCK(int, fd, 0u, ((void)l, set_nonblock(s, on != 0)));
}

int
bh_get_nonblocking(int fd)
{
    WITH_SOCK(int, fd, 0u, ((void)l, s->nonblock));
}

static int
unread(struct sock *s, int *bytes)
{
    struct look k;
    struct dgram_head h;
    if (s->listening)
        return -EINVAL;
    sock_look(s, &k);
    *bytes = (int)min_u64(k.rx_avail, INT32_MAX);
    if (!sock_is_stream(s) && k.rx_avail > 0) /* the first datagram's payload */
        *bytes = k.rx_avail >= sizeof h && rx_read_bytes(s, s->rx_head, &h, sizeof h)
                     ? (int)min_u32(h.len, DGRAM_MAX)
                     : 0;
    return 0;
}

int
bh_fionread(int fd, int *bytes)
{
    WITH_SOCK(int, fd, 0u, ((void)l, unread(s, bytes)));
}

/* The queries of tcp(7) and sockatmark(3); all are about what lies in the arena. */
static int
stream_query(struct sock *s, unsigned long what, int *v)
{
    struct look k;
    const struct slot_domain *d = slot_theirs(s);
    if (s->listening)
        return -EINVAL;
    sock_look(s, &k);
    uint64_t sent =
        s->gone ? s->tx_tail : atomic_load_explicit(&d->tx_sent, memory_order_relaxed);
    uint64_t mark = s->gone ? 0 : atomic_load_explicit(&d->urgent, memory_order_relaxed);
    if (what == SIOCATMARK)
        *v = mark != 0 && mark - 1 == s->rx_head;
    else if (what == SIOCOUTQ)
        *v = (int)min_u64(s->tx_tail - s->tx_head, INT32_MAX);
    else
        *v = sent < s->tx_tail ? (int)min_u64(s->tx_tail - sent, INT32_MAX) : 0;
    return 0;
}

static int
dgram_query(struct sock *s, unsigned long what, int *v)
{
    struct look k;
    if (what != SIOCOUTQ)
        return -ENOTTY;
    sock_look(s, &k);
    *v = (int)min_u64(s->tx_tail - s->tx_head, INT32_MAX); /* not yet on its way */
    return 0;
}

static int
do_ioctl(struct sock *s, unsigned long what, void *arg)
{
    if (what != FIONREAD && what != FIONBIO && what != SIOCOUTQ && what != SIOCOUTQNSD &&
        what != SIOCATMARK)
        return -ENOTTY;
    if (arg == NULL)
        return -EFAULT;
    if (what == FIONREAD) /* SIOCINQ is another name of it */
        return unread(s, arg);
    if (what == FIONBIO)
        return set_nonblock(s, *(const int *)arg != 0);
    return sock_is_stream(s) ? stream_query(s, what, arg) : dgram_query(s, what, arg);
}

int
bh_ioctl(int fd, unsigned long request, void *arg)
{
    WITH_SOCK(int, fd, 0u, ((void)l, do_ioctl(s, request, arg)));
}

const char *
bh_version(void)
{
    return PACKAGE_VERSION;
}
