/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pass.c: shared attachments for processes that are no children: a program that was executed,
 * or that got a descriptor over a Unix socket. What they need is in a letter: a socket in whose
 * queue one message lies for good, with the descriptors of the attachment's memory, bells and
 * supervisor. Whoever has a copy of it reads without taking it out (MSG_PEEK), maps the memory
 * where the others have it, and shares the attachment as a forked child does (share.c).
 */
#include "private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/region.h"

#define BOOKS_LAYOUT ((uint32_t)(sizeof(struct att) << 16 | sizeof(struct sock)))
#define HALF_MOST (1ull << 36)

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(L_FDS * sizeof(int))];
};

/* ---- writing ---- */

static struct msghdr
letter_message(struct iovec *v, union control *c)
{
    return (struct msghdr){.msg_iov = v,
                           .msg_iovlen = 1,
                           .msg_control = c->bytes,
                           .msg_controllen = sizeof c->bytes};
}

static int
post(int to, struct letter *t, const int fd[L_FDS])
{
    union control room = {0};
    struct iovec v = {.iov_base = t, .iov_len = sizeof *t};
    struct msghdr h = letter_message(&v, &room);
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(L_FDS * sizeof(int));
    memcpy(CMSG_DATA(c), fd, L_FDS * sizeof(int));
    return sendmsg(to, &h, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof *t ? 0 : errno;
}

/* What lies in a letter counts as under way to its reader, of which a user may have no more
 * than descriptors: so it is written when it is needed. Its descriptor, or -1. */
static int
write_letter(struct own *o)
{
    struct att *a = o->a;
    int pair[2], letter = -1;
    struct letter t = {.magic = LETTER_MAGIC,
                       .layout = SESSION_LAYOUT_VERSION,
                       .books_layout = BOOKS_LAYOUT,
                       .at = (uintptr_t)a,
                       .number = a->number,
                       .bytes = a->bytes,
                       .half = {a->half_size[0], a->half_size[1]}};
    const int fd[L_FDS] = {o->memory[L_BOOKS],
                           o->memory[L_CLIENT],
                           o->memory[L_DOMAIN],
                           o->sup,
                           o->hold,
                           o->sleep,
                           o->ring};
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    if (post(pair[0], &t, fd) == 0)
        letter = pair[1];
    else
        close(pair[1]);
    close(pair[0]);
    return letter;
}

/* The child of a vfork has our memory, and descriptors of its own. */
static int
letter_of(struct own *o)
{
    pid_t owner = att_lib(o->a)->pid, self = getpid();
    if (o->letter >= 0 && (o->letter_of == owner || o->letter_of == self))
        return o->letter;
    o->letter = write_letter(o);
    o->letter_of = self;
    for (unsigned i = 0; i < ARRAY_LEN(o->memory) && o->letter >= 0 && self == owner; i++)
        close_if_open(&o->memory[i]);
    return o->letter;
}

/* The kernel's name for a socket, the same for all its descriptors. 0: it is none. */
static uint64_t
cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static int
hand_on(struct sock *s, uint32_t mark)
{
    int letter = s->standin != 0 && s->att->shared ? letter_of(own_of(s->att)) : -1;
    if (letter < 0)
        return -EOPNOTSUPP;
    s->cookie = cookie_of(standin_via >= 0 ? standin_via : s->standin_fd);
    s->mark = mark;
    return s->cookie != 0 ? letter : -EBADF;
}

int
share_hand_on(int bh, uint32_t mark)
{
    WITH_SOCK(int, bh, 0u, hand_on(s, mark));
}

/* ---- reading ---- */

static void
close_fds(int fd[L_FDS])
{
    for (unsigned i = 0; i < L_FDS; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

/* Is it such a socket at all? Nothing else is asked for what may lie in it. */
static bool
looks_like_one(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM;
}

/* False: there is none in it. */
static bool
peek(int letter, struct letter *t, int fd[L_FDS])
{
    union control room = {0};
    struct iovec v = {.iov_base = t, .iov_len = sizeof *t};
    struct msghdr h = letter_message(&v, &room);
    unsigned n = 0;
    for (unsigned i = 0; i < L_FDS; i++)
        fd[i] = -1;
    ssize_t r = recvmsg(letter, &h, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (r < 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fd, CMSG_DATA(c), n * sizeof(int)); /* room is for so many */
    }
    if (r == (ssize_t)sizeof *t && t->magic == LETTER_MAGIC && n == L_FDS &&
        !(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return true;
    close_fds(fd);
    return false;
}

bool
share_peer_is_us(int fd)
{
    struct ucred u;
    socklen_t len = sizeof u;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) == 0 &&
           (u.uid == 0 || u.uid == geteuid());
}

static struct own *
known(struct lib *l, uint64_t number)
{
    struct own *o = l->own;
    while (o != NULL && (!o->a->shared || o->a->number != number))
        o = o->next;
    return o;
}

/* The memory of the letter's attachment, where the others have it. NULL and errno. */
static struct att *
map_all(const struct letter *t, const int fd[L_FDS])
{
    uint64_t size[] = {t->bytes, t->half[0], t->half[1]}, all = 0;
    for (unsigned i = 0; i < ARRAY_LEN(size); i++) {
        if (size[i] == 0 || size[i] % FIFO_PAGE != 0 || size[i] > HALF_MOST) {
            errno = EPROTO;
            return NULL;
        }
        all += size[i];
    }
    if (t->bytes < sizeof(struct att) || t->at % FIFO_PAGE != 0) {
        errno = EPROTO;
        return NULL;
    }
    uint8_t *at = share_place(t->at, all), *p = at;
    if (at == NULL) {
        errno = EEXIST;
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_LEN(size); p += size[i++])
        if (region_map(fd[L_BOOKS + i], size[i], i != 2, p) == NULL) {
            int err = errno;
            munmap(at, all);
            errno = err;
            return NULL;
        }
    return (struct att *)(void *)at;
}

/* The descriptors become what we have of it, or are closed. */
static struct own *
take_part(const struct letter *t, int fd[L_FDS], int letter)
{
    struct own *o = calloc(1, sizeof *o);
    struct att *a = o != NULL ? map_all(t, fd) : NULL;
    int copy = a != NULL ? fcntl(letter, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy < 0) {
        if (a != NULL)
            munmap(a, t->bytes + t->half[0] + t->half[1]);
        close_fds(fd);
        free(o);
        return NULL;
    }
    for (unsigned i = L_BOOKS; i <= L_DOMAIN; i++)
        close(fd[i]);
    *o = (struct own){.a = a,
                      .sup = fd[L_SUP],
                      .hold = fd[L_HOLD],
                      .sleep = fd[L_SLEEP],
                      .ring = fd[L_RING],
                      .memory = {-1, -1, -1},
                      .letter = copy,
                      .letter_of = att_lib(a)->pid};
    return o;
}

/* What a process of our number was waiting for before it executed this program. */
static void
free_boxes(struct att *a)
{
    for (unsigned i = 0; i < SHARE_BOXES; i++)
        if (a->box[i].pid == (uint32_t)getpid())
            a->box[i].pid = 0;
}

int
share_open_letter(int letter, bool first)
{
    struct letter t;
    int fd[L_FDS];
    if (!looks_like_one(letter) || !peek(letter, &t, fd))
        return 0;
    struct lib *l = lib_current();
    pthread_mutex_lock(&l->lock); /* and none of the others' while ours changes their order */
    int err = t.layout != SESSION_LAYOUT_VERSION || t.books_layout != BOOKS_LAYOUT
                  ? EPROTONOSUPPORT
              : !share_peer_is_us(letter) ? EPERM
                                          : 0;
    if (err != 0 || known(l, t.number) != NULL) {
        close_fds(fd);
    } else {
        struct own *o = take_part(&t, fd, letter);
        err = o != NULL ? 0 : errno;
        if (o != NULL) {
            unsigned i = att_index(o->a->proto);
            own_add(l, o);
            if (first && l->att[i] == NULL)
                l->att[i] = o->a;
            share_take(o->a);
            free_boxes(o->a);
            pthread_mutex_unlock(&o->a->lock);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return err == 0 ? 1 : (int)ret_errno(-err);
}

/* ---- sockets ---- */

static struct sock *
find(const struct lib *l, uint64_t cookie)
{
    for (const struct own *o = l->own; o != NULL; o = o->next)
        for (uint32_t i = 0; o->a->shared && i < o->a->v.g.n_slots; i++) {
            struct sock *s = &o->a->sock[i];
            if (s->life == SOCK_OPEN && s->standin != 0 && s->cookie == cookie)
                return s;
        }
    return NULL;
}

int
share_adopt(int fd, uint32_t *mark)
{
    uint64_t cookie = cookie_of(fd);
    int bh = -1;
    if (cookie == 0)
        return -1;
    struct lib *l = lib_lock();
    struct sock *s = find(l, cookie);
    for (uint32_t i = 0; s != NULL && bh < 0 && i < l->n_fds; i++)
        if (l->fds[i] != NULL && l->fds[i]->s == s && l->fds[i]->epoch == s->epoch)
            bh = l->fds[i]->fd;
    if (s != NULL) {
        *mark = s->mark;
        if (bh < 0)
            bh = table_add(l, s);
    }
    lib_unlock(l);
    return bh;
}
