/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Protects: the table of libbulkhead-preload.so: which descriptors stand for sessions, through
 * copies, closing by all the ways that there are, fork and vfork; and a socket that becomes the
 * kernel's with what was set on it before.
 */
#include "preload/shim.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- the client library, as far as it is called ---- */

static int far_end[2]; /* of the stand-ins of sockets 0 and 1 */
static bool none_left;

int
bh_kernel_fd(int fd)
{
    int pair[2];
    if (none_left)
        return fails(EMFILE);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    far_end[fd - BH_FD_BASE] = fcntl(pair[1], F_DUPFD, 100);
    close(pair[1]);
    return pair[0];
}

__thread int standin_via;
bool share_wanted, share_confined;
static int closed, forgotten = -1; /* socket that has no number any more */

void
standin_forget(int fd)
{
    forgotten = fd;
}

bool
standin_lingers(int fd, struct standin_last *w)
{
    (void)fd;
    (void)w;
    return false;
}

void
standin_last(struct standin_last *w)
{
    (void)w;
}

int
share_hand_on(int bh, uint32_t mark)
{
    (void)bh;
    (void)mark;
    return -1;
}

int
share_open_letter(int fd, bool first)
{
    (void)fd;
    (void)first;
    return 0;
}

int
share_adopt(int fd, uint32_t *mark)
{
    (void)fd;
    (void)mark;
    return -1;
}

struct ctl_net;
bool
share_net(struct ctl_net *net)
{
    (void)net;
    return false;
}

int
bh_socket(int family, int type, int protocol)
{
    (void)family;
    (void)type;
    (void)protocol;
    return fails(ECONNREFUSED);
}

int
bh_close(int fd)
{
    closed = fd;
    return 0;
}

int
bh_ioctl(int fd, unsigned long request, void *arg)
{
    (void)fd;
    (void)request;
    (void)arg;
    return fails(ENOTTY);
}

int
bh_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    (void)fd;
    (void)addr;
    (void)len;
    return 0;
}

static char sent[64]; /* the last datagram */
static size_t sent_len, sent_n;

ssize_t
send_whole(int fd, uint32_t e, const struct msghdr *m, int flags)
{
    (void)fd;
    (void)e;
    (void)flags;
    sent_len = 0;
    sent_n++;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        memcpy(sent + sent_len, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
        sent_len += m->msg_iov[i].iov_len;
    }
    return (ssize_t)sent_len;
}

const char *
bh_strerror_attach(void)
{
    return "";
}

static bool
hung_up(int socket)
{
    struct pollfd p = {.fd = far_end[socket]};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

static bool
stands_for(int fd, int socket)
{
    return (entry(fd) & E_OURS) != 0 && bh_of(entry(fd)) == BH_FD_BASE + socket;
}

/* ---- descriptors ---- */

Test(preload, a_stand_in_is_the_lowest_number_with_the_flags_asked_for)
{
    int next = dup(0);
    close(next);
    int fd = stand_in(BH_FD_BASE, E_DGRAM, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_eq(fd, next);
    cr_assert(stands_for(fd, 0));
    cr_assert_eq(entry(fd) & (E_DGRAM | E_V6), E_DGRAM);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    int plain = stand_in(BH_FD_BASE + 1, 0, 0);
    cr_assert(!(fcntl(plain, F_GETFL) & O_NONBLOCK));
    cr_assert(!(fcntl(plain, F_GETFD) & FD_CLOEXEC));
}

Test(preload, without_a_stand_in_there_is_no_socket)
{
    none_left = true;
    cr_assert_eq(stand_in(BH_FD_BASE + 1, 0, 0), -1);
    cr_assert_eq(errno, EMFILE);
    cr_assert_eq(closed, BH_FD_BASE + 1);
}

Test(preload, copies_stand_for_the_same_until_the_last_is_closed)
{
    int fd = stand_in(BH_FD_BASE, 0, 0), other = open("/dev/null", O_RDONLY);
    int copy[] = {dup(fd), fcntl(fd, F_DUPFD, 40), fcntl(fd, F_DUPFD_CLOEXEC, 50), dup2(fd, 60),
                  dup3(fd, 70, O_CLOEXEC)};
    for (unsigned i = 0; i < 5; i++)
        cr_assert(stands_for(copy[i], 0), "copy %u", i);
    cr_assert_eq(dup2(other, 60), 60); /* over one of them */
    cr_assert_eq(entry(60), 0);
    cr_assert_eq(dup2(fd, fd), fd);
    cr_assert(stands_for(fd, 0));
    cr_assert(!closed_lately());
    close(fd);
    cr_assert(closed_lately());
    cr_assert_eq(entry(fd), 0);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert(!hung_up(0), "before copy %u", i);
        cr_assert(i == 3 || forgotten < 0, "before copy %u", i); /* 60 is another's by now */
        close(copy[i]);
        cr_assert_eq(entry(copy[i]), 0);
    }
    cr_assert(hung_up(0));
    cr_assert_eq(forgotten, BH_FD_BASE, "the client library knows");
}

Test(preload, a_failed_copy_changes_nothing)
{
    int fd = stand_in(BH_FD_BASE, 0, 0);
    cr_assert_eq(dup2(99, fd), -1);
    cr_assert_eq(errno, EBADF);
    cr_assert_eq(dup3(fd, fd, 0), -1);
    cr_assert_eq(errno, EINVAL);
    cr_assert(stands_for(fd, 0));
}

/* A program that closes everything must leave what the client library works with. */
Test(preload, closing_ranges_spares_what_is_private)
{
    int a = stand_in(BH_FD_BASE, 0, 0), b = stand_in(BH_FD_BASE + 1, 0, 0);
    int fd = open("/dev/null", O_RDONLY);
    cr_assert_eq(REAL(dup2)(fd, 80), 80);
    cr_assert_eq(REAL(dup2)(fd, 81), 81);
    cr_assert_eq(REAL(dup2)(fd, 82), 82);
    cr_assert_eq(dup2(a, 83), 83);
    table_set(81, E_PRIVATE);
    cr_assert_eq(close(81), -1);
    cr_assert_eq(errno, EBADF);
    cr_assert_eq(dup2(fd, 81), -1);
    cr_assert_eq(errno, EBUSY);
    cr_assert_eq(close_range(80, 83, 0), 0);
    cr_assert(fcntl(80, F_GETFD) < 0 && fcntl(82, F_GETFD) < 0 && fcntl(83, F_GETFD) < 0);
    cr_assert_eq(entry(83), 0);
    cr_assert(REAL(fcntl)(81, F_GETFD) >= 0);
    cr_assert_eq(close_range((unsigned)b, (unsigned)b, CLOSE_RANGE_CLOEXEC), 0);
    cr_assert(stands_for(b, 1));
    cr_assert_eq(close_range(9, 8, 0), -1);
    cr_assert_eq(errno, EINVAL);
    closefrom(a < b ? a : b);
    cr_assert_eq(entry(a) | entry(b), 0);
    cr_assert(REAL(fcntl)(81, F_GETFD) >= 0);
}

/* Between vfork and exec a child closes and moves descriptors, its own, in our memory. */
Test(preload, the_child_of_a_vfork_leaves_its_parents_table)
{
    int fd = stand_in(BH_FD_BASE, 0, 0), other = stand_in(BH_FD_BASE + 1, 0, 0);
    int null = open("/dev/null", O_RDONLY);
    pid_t pid = vfork();
    if (pid == 0) {
        close(fd);
        dup2(null, other);
        dup2(other, 90);
        _exit(0);
    }
    cr_assert(pid > 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert(stands_for(fd, 0));
    cr_assert(stands_for(other, 1));
    cr_assert_eq(entry(90), 0);
}

Test(preload, the_child_of_a_fork_has_a_table_of_its_own)
{
    int status, fd = stand_in(BH_FD_BASE, 0, 0), other = stand_in(BH_FD_BASE + 1, 0, 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd);
        _exit(entry(fd) == 0 && stands_for(other, 1) ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert(stands_for(fd, 0));
    cr_assert(!hung_up(0));
}

/* ---- sockets that become the kernel's ---- */

static int
get_int(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof v;
    cr_assert_eq(REAL(getsockopt)(fd, level, name, &v, &len), 0);
    return v;
}

Test(preload, a_kernel_socket_takes_over_numbers_options_and_address)
{
    int fd = stand_in(BH_FD_BASE, 0, SOCK_NONBLOCK), on = 1, off = 0, keep = 77;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 20), other = stand_in(BH_FD_BASE + 1, 0, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof sin;
    uint32_t e = entry(fd);
    replay_note(e, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off);
    replay_note(e, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    replay_note(e, IPPROTO_TCP, TCP_KEEPIDLE, &keep, sizeof keep);
    replay_note(e, SOL_SOCKET, 9999, &on, sizeof on); /* not the kernel's: harmless */
    replay_note(e, REPLAY_BIND, 0, &sin, sizeof sin);
    cr_assert_eq(become_kernel(fd, e), 0);
    cr_assert_eq(entry(fd) | entry(copy), 0);
    cr_assert(stands_for(other, 1));
    cr_assert(hung_up(0), "the session is left to end");
    cr_assert_eq(get_int(copy, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    cr_assert_eq(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
    cr_assert_eq(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    cr_assert_eq(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    cr_assert_eq(REAL(getsockname)(fd, (struct sockaddr *)&sin, &len), 0);
    cr_assert_neq(sin.sin_port, 0);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    cr_assert(!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
    cr_assert(fcntl(copy, F_GETFD) & FD_CLOEXEC);
}

Test(preload, options_are_not_another_sockets)
{
    int on = 1, fd = stand_in(BH_FD_BASE, 0, 0);
    replay_note(entry(fd), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(fd);
    fd = stand_in(BH_FD_BASE, 0, 0); /* the client library used its number again */
    cr_assert_eq(become_kernel(fd, entry(fd)), 0);
    cr_assert_eq(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 0);
}

Test(preload, what_is_bound_to_ipv6_alone_is_quiet)
{
    int fd = stand_in(BH_FD_BASE, E_V6 | E_V6ONLY, 0), copy = dup(fd);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    cr_assert_eq(become_nowhere(fd, entry(fd), htons(8080)), 0);
    cr_assert(hung_up(0));
    cr_assert_eq(entry(fd), entry(copy));
    cr_assert(entry(fd) & E_NOWHERE);
    cr_assert_eq(entry(fd) & E_INDEX, 8080u);
    cr_assert_eq(bh_of(entry(fd)), -1);
    cr_assert_eq(poll(&p, 1, 0), 0);
}

/* ---- datagrams in pieces ---- */

static ssize_t
piece(uint32_t e, char *text, int flags)
{
    struct iovec v = {.iov_base = text, .iov_len = strlen(text)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return more_send(0, e, &m, flags);
}

Test(preload, pieces_of_a_datagram_are_kept_for_each_socket)
{
    uint32_t one = E_OURS | E_DGRAM | 1, two = E_OURS | E_DGRAM | 2;
    cr_assert_eq(piece(one, "ab", MSG_MORE), 2);
    cr_assert_eq(piece(two, "other", MSG_MORE), 5);
    cr_assert_eq(piece(one, "cd", MSG_MORE), 2);
    cr_assert_eq(sent_n, 0);
    cr_assert_eq(piece(one, "e", 0), 1);
    cr_assert_eq(sent_len, 5);
    cr_assert_eq(memcmp(sent, "abcde", 5), 0);
    cr_assert_eq(piece(one, "f", 0), 1);
    cr_assert_eq(sent_len, 1);
    more_drop(two); /* its number is another's */
    cr_assert(!more_any());
    cr_assert_eq(piece(two, "new", 0), 3);
    cr_assert_eq(sent_len, 3);
}

Test(preload, a_corked_datagram_leaves_when_it_is_uncorked)
{
    uint32_t e = E_OURS | E_DGRAM | 1;
    cr_assert_eq(more_cork(0, e, true), 0);
    cr_assert(more_corked(e));
    cr_assert_eq(piece(e, "ab", 0), 2);
    cr_assert_eq(piece(e, "cd", 0), 2);
    cr_assert_eq(sent_n, 0);
    cr_assert_eq(more_cork(0, e, false), 0);
    cr_assert_eq(sent_n, 1);
    cr_assert_eq(sent_len, 4);
    cr_assert(!more_any() && !more_corked(e));
    cr_assert_eq(more_cork(0, e, false), 0);
    cr_assert_eq(sent_n, 1, "nothing was gathered");
}
