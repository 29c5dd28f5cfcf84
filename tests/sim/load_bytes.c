/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load_bytes.c: what goes over a TCP connection, both ways of the client library: every byte
 * that comes is one that was sent.
 */
#include <errno.h>

#include "load.h"

static void
verify(struct load *l, struct end *e, const uint8_t *data, size_t n)
{
    struct end *o = end_peer(e);
    if (e->got + n > o->sent)
        world_fail(l->w, "flow %td side %u received more than was sent: %llu + %zu of %llu",
                   e->flow - l->flow, e->side, (unsigned long long)e->got, n,
                   (unsigned long long)o->sent);
    for (size_t at = 0; at < n;) {
        size_t k = n - at < 65536 ? n - at : 65536;
        if (memcmp(data + at, load_pattern(o->pattern, e->got + at), k) != 0)
            world_fail(l->w, "wrong bytes at offset %llu or later",
                       (unsigned long long)(e->got + at));
        at += k;
    }
    e->got += n;
    l->n_bytes += n;
}

bool
end_read(struct load *l, struct end *e)
{
    static uint8_t buf[LOAD_CHUNK_MAX];
    uint32_t want = rng_range(&l->rng, 1, e->chunk);
    ssize_t n;
    if (rng_percent(&l->rng, 20)) { /* in place */
        struct iovec iov[4];
        int k = 4;
        n = bh_peek(e->fd, iov, &k);
        for (ssize_t i = 0; n > 0 && i < k; i++)
            verify(l, e, iov[i].iov_base, iov[i].iov_len);
        if (n > 0 && bh_consume(e->fd, (size_t)n) != 0)
            world_fail(l->w, "bh_consume: errno %d", errno);
    } else {
        n = bh_recv(e->fd, buf, want, 0);
        if (n > 0)
            verify(l, e, buf, (size_t)n);
    }
    if (n > 0)
        return true;
    if (n < 0) {
        if (errno == EAGAIN)
            return false;
        end_failed(l, e, errno);
        return true;
    }
    const struct end *o = end_peer(e);
    /* What a RST of the other side ended may begin anew there, by an old ACK that has the right
     * cookie in it, and end again with a FIN, if the RST is lost or comes later. */
    bool ghost = o->state == END_OVER && o->plan != PLAN_ORDERLY &&
                 world_stat(l->w, o->side, STAT_tcp_cookie_rx) != 0;
    if ((e->got != o->sent && !ghost) || !(o->shut || o->state == END_OVER || l->dead[o->side]))
        world_fail(l->w, "end of stream at %llu of %llu bytes", (unsigned long long)e->got,
                   (unsigned long long)o->sent);
    e->eof = true;
    return true;
}

bool
end_write(struct load *l, struct end *e)
{
    uint64_t left = e->to_send - e->sent;
    uint32_t want = (uint32_t)min_u64(rng_range(&l->rng, 1, e->chunk), left);
    ssize_t n;
    if (rng_percent(&l->rng, 20)) {
        struct iovec iov[4];
        int k = 4;
        n = bh_reserve(e->fd, want, iov, &k);
        uint64_t at = e->sent;
        for (ssize_t i = 0; n > 0 && i < k; i++) {
            memcpy(iov[i].iov_base, load_pattern(e->pattern, at), iov[i].iov_len);
            at += iov[i].iov_len;
        }
        if (n > 0 && rng_percent(&l->rng, 20)) /* less than was reserved */
            n = rng_range(&l->rng, 1, (uint32_t)n);
        if (n > 0) {
            e->sent += (uint64_t)n;
            if (bh_commit(e->fd, (size_t)n) != 0) {
                e->sent -= (uint64_t)n;
                n = -1;
            }
        }
    } else {
        n = bh_send(e->fd, load_pattern(e->pattern, e->sent), want, 0);
        if (n > 0)
            e->sent += (uint64_t)n;
    }
    if (n >= 0)
        return n > 0;
    if (errno == EAGAIN)
        return false;
    end_failed(l, e, errno);
    return true;
}
