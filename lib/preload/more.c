/* SPDX-License-Identifier: BSD-2-Clause
 *
 * more.c: datagrams that a program makes of several sends (MSG_MORE, UDP_CORK): the stack sends
 * each as it gets it, so the pieces are kept here until the last one. Where to is what the
 * first one said.
 */
#include "shim.h"

#include <pthread.h>
#include <stdlib.h>

#define DGRAM_MOST 65507u

struct kept {
    struct kept *next;
    uint32_t e;
    bool corked, pending, named;
    struct sockaddr_in to;
    size_t len;
    char *bytes;
};

static pthread_mutex_t keeping = PTHREAD_MUTEX_INITIALIZER;
static struct kept *all;
_Atomic unsigned more_kept;

/* Where the socket's stands in the list; *of it is NULL if it has none. */
static struct kept **
find(uint32_t e)
{
    struct kept **k = &all;
    while (*k != NULL && ((*k)->e & E_SAME) != (e & E_SAME))
        k = &(*k)->next;
    return k;
}

static struct kept *
find_or_make(uint32_t e)
{
    struct kept **k = find(e);
    if (*k == NULL && (*k = calloc(1, sizeof **k)) != NULL) {
        (*k)->e = e;
        atomic_fetch_add(&more_kept, 1);
    }
    return *k;
}

static void
end(struct kept **k)
{
    struct kept *gone = *k;
    *k = gone->next;
    free(gone->bytes);
    free(gone);
    atomic_fetch_sub(&more_kept, 1);
}

/* What was gathered is the caller's now, as *t. */
static void
take(struct kept **k, struct kept *t)
{
    *t = **k;
    (*k)->bytes = NULL;
    (*k)->len = 0;
    (*k)->pending = false;
    if (!t->corked)
        end(k);
}

/* 0 or errno; then what was there is lost, as in the kernel. */
static int
append(struct kept *k, const struct msghdr *m, size_t len)
{
    char *bytes = len <= DGRAM_MOST - k->len ? realloc(k->bytes, k->len + len + 1) : NULL;
    if (bytes == NULL) {
        int err = len <= DGRAM_MOST - k->len ? ENOBUFS : EMSGSIZE;
        k->len = 0;
        k->pending = false;
        return err;
    }
    if (!k->pending && m->msg_name != NULL)
        memcpy(&k->to, m->msg_name, sizeof k->to);
    if (!k->pending)
        k->named = m->msg_name != NULL;
    k->pending = true;
    k->bytes = bytes;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        if (m->msg_iov[i].iov_len > 0)
            memcpy(bytes + k->len, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
        k->len += m->msg_iov[i].iov_len;
    }
    return 0;
}

static ssize_t
send_taken(int fd, uint32_t e, struct kept *t, int flags)
{
    struct iovec v = {.iov_base = t->bytes, .iov_len = t->len};
    struct msghdr h = {.msg_name = t->named ? &t->to : NULL,
                       .msg_namelen = t->named ? sizeof t->to : 0,
                       .msg_iov = &v,
                       .msg_iovlen = 1};
    ssize_t r = send_whole(fd, e, &h, flags);
    int err = errno;
    free(t->bytes);
    errno = err;
    return r;
}

/* With the lock held. 0: kept, 1: to be sent, -1 and errno. */
static int
keep(uint32_t e, const struct msghdr *m, size_t len, int flags, struct kept *t)
{
    struct kept **k = find(e);
    bool more = (flags & MSG_MORE) != 0 || (*k != NULL && (*k)->corked);
    if (!more && (*k == NULL || !(*k)->pending)) {
        *t = (struct kept){0};
        return 1;
    }
    if (find_or_make(e) == NULL)
        return fails(ENOBUFS);
    k = find(e);
    int err = append(*k, m, len);
    if (err == 0 && !more)
        take(k, t);
    else if (err != 0 && !(*k)->corked)
        end(k);
    return err != 0 ? fails(err) : !more;
}

ssize_t
more_send(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    struct kept t;
    struct sockaddr_in sin;
    socklen_t n = sizeof sin;
    size_t len = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++)
        len += m->msg_iov[i].iov_len;
    if (flags & MSG_OOB)
        return fails(EOPNOTSUPP);
    if (m->msg_name == NULL &&
        bh_getpeername(bh_of(e), (struct sockaddr *)(void *)&sin, &n) != 0)
        return fails(EDESTADDRREQ);
    pthread_mutex_lock(&keeping);
    int r = keep(e, m, len, flags, &t);
    pthread_mutex_unlock(&keeping);
    if (r <= 0)
        return r < 0 ? r : (ssize_t)len;
    if (!t.pending)
        return send_whole(fd, e, m, flags);
    return send_taken(fd, e, &t, flags) < 0 ? -1 : (ssize_t)len;
}

int
more_cork(int fd, uint32_t e, bool on)
{
    struct kept t = {0}, *k;
    pthread_mutex_lock(&keeping);
    k = on ? find_or_make(e) : *find(e);
    if (k != NULL)
        k->corked = on;
    if (k != NULL && !on)
        take(find(e), &t);
    pthread_mutex_unlock(&keeping);
    if (on && k == NULL)
        return fails(ENOBUFS);
    if (!t.pending)
        free(t.bytes);
    else
        (void)send_taken(fd, e, &t, 0); /* nobody is told how that went */
    return 0;
}

bool
more_corked(uint32_t e)
{
    pthread_mutex_lock(&keeping);
    const struct kept *k = *find(e);
    bool on = k != NULL && k->corked;
    pthread_mutex_unlock(&keeping);
    return on;
}

void
more_drop(uint32_t e)
{
    if (atomic_load_explicit(&more_kept, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&keeping);
    struct kept **k = find(e);
    if (*k != NULL)
        end(k);
    pthread_mutex_unlock(&keeping);
}

/* A child of a fork has the pieces, too, and nobody who is about to let go of the lock. */
void
more_hold(void)
{
    pthread_mutex_lock(&keeping);
}
void
more_release(void)
{
    pthread_mutex_unlock(&keeping);
}
