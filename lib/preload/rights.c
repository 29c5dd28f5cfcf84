/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rights.c: sessions that pass to another process over a Unix socket (SCM_RIGHTS). Behind the
 * stand-ins the letters of their attachments travel (client/pass.c); the other process's copy
 * of this library takes them out of the message again before its program sees it.
 */
#include "shim.h"

#define FDS_MAX 253u /* the kernel's limit for one message */
#define ROOM_MAX 16384u

static bool
is_rights(const struct cmsghdr *c)
{
    return c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS;
}

static unsigned
n_fds(const struct cmsghdr *c)
{
    return c->cmsg_len > CMSG_LEN(0) ? (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int))
                                     : 0;
}

static int
fd_at(const struct cmsghdr *c, unsigned i)
{
    int fd;
    memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
    return fd;
}

/* ---- sending ---- */

/* The letters of the sessions among those that the message carries. False and errno: they
 * cannot be passed on. What goes to another user's process would be his to write to, with all
 * our sessions. */
static bool
letters_of(int to, const struct msghdr *m, struct letters *t)
{
    struct msghdr h = *m;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c))
        for (unsigned i = 0; is_rights(c) && i < n_fds(c); i++) {
            int fd = fd_at(c, i);
            uint32_t e = entry(fd);
            if (!is_ours(e) || (e & E_NOWHERE))
                continue;
            if (!share_peer_is_us(to)) {
                SAY("a session was not passed on to another user's process");
                errno = EPERM;
                return false;
            }
            if (!hand_on(t, fd, e))
                return false;
        }
    return true;
}

ssize_t
rights_sendmsg(int fd, const struct msghdr *m, int flags)
{
    struct letters t = {.n = 0};
    if (!wild_to_read(m->msg_control, m->msg_controllen) && !letters_of(fd, m, &t))
        return -1;
    if (t.n == 0 || m->msg_controllen > ROOM_MAX)
        return REAL(sendmsg)(fd, m, flags);
    union {
        struct cmsghdr align;
        char bytes[ROOM_MAX + CMSG_SPACE(LETTERS_MAX * sizeof(int))];
    } room = {0};
    struct msghdr h = *m;
    memcpy(room.bytes, m->msg_control, m->msg_controllen);
    /* One more message of the kind: the kernel takes them together. */
    struct cmsghdr *c = (struct cmsghdr *)(void *)(room.bytes + CMSG_ALIGN(m->msg_controllen));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(t.n * sizeof(int));
    memcpy(CMSG_DATA(c), t.fd, t.n * sizeof(int));
    h.msg_control = room.bytes;
    h.msg_controllen = CMSG_ALIGN(m->msg_controllen) + CMSG_SPACE(t.n * sizeof(int));
    return REAL(sendmsg)(fd, &h, flags);
}

/* ---- receiving ---- */

/* The descriptors of a message, without letters, which are opened. Returns how many. */
static unsigned
sort_out(const struct cmsghdr *c, int fd[FDS_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_fds(c) && i < FDS_MAX; i++) {
        int one = fd_at(c, i);
        int r = share_open_letter(one, false);
        if (r < 0)
            say("a session that was passed on cannot be used: its memory finds no room here, "
                "or "
                "is another user's");
        if (r != 0)
            REAL(close)(one);
        else
            fd[n++] = one;
    }
    for (unsigned i = 0; i < n; i++)
        (void)adopt(fd[i]);
    return n;
}

/* Of descriptors whole ones, or none; those that find no room are nobody's. */
static void
give(struct msghdr *m, size_t room, const int *fd, unsigned n)
{
    size_t at = m->msg_controllen + CMSG_LEN(0);
    size_t fit = at <= room ? (room - at) / sizeof *fd : 0;
    if (at > room || n > fit)
        m->msg_flags |= MSG_CTRUNC;
    for (; n > fit; n--)
        (void)close(fd[n - 1]);
    if (n > 0)
        put_control(m, room, SOL_SOCKET, SCM_RIGHTS, fd, n * sizeof *fd);
}

ssize_t
rights_recvmsg(int fd, struct msghdr *m, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[ROOM_MAX + CMSG_SPACE(LETTERS_MAX * sizeof(int))];
    } more;
    size_t room = m->msg_controllen;
    if (room > ROOM_MAX || wild_to_write(m->msg_control, room))
        return REAL(recvmsg)(fd, m, flags);
    struct msghdr h = *m;
    h.msg_control = more.bytes;
    h.msg_controllen = CMSG_ALIGN(room) + CMSG_SPACE(LETTERS_MAX * sizeof(int));
    ssize_t r = REAL(recvmsg)(fd, &h, flags);
    if (r < 0)
        return r;
    m->msg_namelen = h.msg_namelen;
    m->msg_flags = h.msg_flags;
    m->msg_controllen = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c)) {
        if (!is_rights(c)) {
            put_control(m, room, c->cmsg_level, c->cmsg_type, CMSG_DATA(c),
                        c->cmsg_len - CMSG_LEN(0));
            continue;
        }
        int got[FDS_MAX];
        unsigned n = sort_out(c, got);
        give(m, room, got, n);
    }
    return r;
}
