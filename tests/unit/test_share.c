/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Attachments that processes share, after a fork: a death with the lock in hand, a reply that
 * another process takes in, a slot that changed hands while a call waited; and by letter: a
 * process that is no relative, and letters that are none.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/region.h"
#include "lib/client/private.h"

static struct arena_geometry g = {
    .n_slots = 16, .n_tx_pages = 32, .n_rx_pages = 32, .n_req = 64, .n_evt = 64};
static struct lib *l;
static struct att *a;

static void
begin(void)
{
    void *half[2];
    size_t bytes[] = {arena_client_bytes(&g), arena_domain_bytes(&g)};
    for (unsigned i = 0; i < 2; i++) {
        half[i] =
            mmap(NULL, bytes[i], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(half[i], MAP_FAILED);
    }
    share_wanted = true;
    l = bh_test_new(NULL);
    cr_assert_eq(bh_test_attach(l, IPPROTO_TCP, &g, half[0], half[1], -1, -1), 0);
    a = l->att[0];
    bh_test_use(l);
}

static unsigned
length(const struct list *head)
{
    unsigned n = 0;
    for (const struct list *p = head->next; p != head; p = p->next)
        n++;
    return n;
}

/* Protects: who listens at a port of any address is known to parent and child alike, also when
 * that changes after the fork, and only as long as it is so. */
Test(share, who_listens_is_known_after_a_fork, .init = begin, .timeout = 10)
{
    int status;
    lib_lock();
    struct sock *s = sock_adopt(a, 1, 1);
    s->life = SOCK_OPEN;
    s->loop_port = 80;
    lib_unlock(l);
    cr_assert_not(share_takes(IPPROTO_TCP, 80));
    pid_t child = fork();
    if (child == 0) {
        bool before = share_takes(IPPROTO_TCP, 80);
        lib_lock();
        s->listening = true;
        lib_unlock(l);
        _exit(!before && share_takes(IPPROTO_TCP, 80) ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert(share_takes(IPPROTO_TCP, 80));
    cr_assert_not(share_takes(IPPROTO_UDP, 80));
    cr_assert_not(share_takes(IPPROTO_TCP, 81));
    cr_assert_not(share_takes(IPPROTO_TCP, 0));
    s->gone = true;
    cr_assert_not(share_takes(IPPROTO_TCP, 80), "its session is over");
}

/* Protects: whoever is killed in the middle of changing the books leaves none behind that the
 * others stumble over: what waits to be accepted, to be told and to be freed is found again,
 * and so is the event that it had taken and not dealt with. */
Test(share, a_death_with_the_lock_leaves_usable_books, .init = begin, .timeout = 10)
{
    struct list *lists[] = {&a->owing, &a->holders};
    lib_lock();
    struct sock *listener = sock_adopt(a, 1, 1), *queued = sock_adopt(a, 2, 2),
                *full = sock_adopt(a, 3, 3);
    listener->life = full->life = SOCK_OPEN;
    listener->listening = true;
    queued->listener = 1;
    full->tx_hi = FIFO_PAGE;
    full->owed = OWE_SEND;
    full->users = 2;
    full->tx_busy = true;
    lib_unlock(l);
    pid_t child = fork();
    if (child == 0) {
        share_in_child(l);
        lib_lock();
        for (unsigned i = 0; i < 2; i++)
            lists[i]->next = NULL;
        listener->accepts.next = NULL;
        a->evt.my_head++;
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    lib_lock();
    cr_assert_eq(length(&a->owing), 2, "and what was published is told");
    cr_assert_eq(length(&a->holders), 1);
    cr_assert_eq(length(&listener->accepts), 1);
    cr_assert_eq(listener->accepts.next, &queued->queued);
    cr_assert_eq(a->n_socks, 3);
    cr_assert(!full->tx_busy);
    cr_assert_eq(full->users, 0);
    cr_assert_eq(a->evt.my_head, a->evt.released);
    lib_unlock(l);
    lib_lock(); /* and it is a lock like any other again */
    lib_unlock(l);
}

/* Protects: the reply to one process's request that another one takes in reaches the first; a
 * request of a process that died holds no place. */
Test(share, a_reply_goes_to_whoever_asked, .init = begin, .timeout = 10)
{
    struct sess_evt e = {.kind = EVT_REPLY, .cookie = 77, .value = 5};
    pid_t child = fork();
    if (child == 0) {
        share_in_child(l);
        lib_lock();
        for (unsigned i = 0; i < SHARE_BOXES; i++)
            share_box(l, a)->cookie = 1000 + i;
        lib_unlock(l);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    lib_lock();
    struct share_box *box = share_box(l, a);
    cr_assert_not_null(box, "the dead keep no place");
    box->cookie = 77;
    lib_unlock(l);
    child = fork();
    if (child == 0) {
        share_in_child(l);
        lib_lock();
        bool taken = share_reply(a, &e);
        lib_unlock(l);
        _exit(!taken);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(atomic_load(&box->done), 1);
    cr_assert_eq(box->reply.value, 5);
    lib_lock();
    cr_assert(share_reply(a, &e), "and a second time it is nobody else's either");
    lib_unlock(l);
}

/* Protects: a call that slept while its socket ended, and the slot became another one's,
 * neither goes on with that one nor ends it. */
Test(share, a_slot_that_changed_hands_is_not_the_calls, .init = begin, .timeout = 10)
{
    lib_lock();
    struct sock *s = sock_adopt(a, 4, 4);
    int fd = table_add(l, s);
    cr_assert_eq(lib_sock(l, fd), s);
    cr_assert_eq(call_err(s), 0);
    s->standin = 1;
    sock_freed(s); /* as another process does for us */
    cr_assert_eq(s->life, SOCK_FREE);
    s->owed = 0;
    struct sock *other = sock_adopt(a, 4, 5);
    cr_assert_eq(other, s);
    other->users = 1;
    cr_assert_eq(call_err(s), EBADF);
    sock_put(l, s);
    cr_assert_eq(other->users, 1);
    cr_assert_null(lib_sock(l, fd), "nor do later calls");
    lib_unlock(l);
}

/* ---- letters ---- */

static void
pass_on(int way, const int *fd, unsigned n)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(L_FDS * sizeof(int))];
    } room = {0};
    struct letter t = {0};
    struct iovec v = {.iov_base = &t, .iov_len = sizeof t};
    struct msghdr h = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = &room,
                       .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS,
                          .cmsg_len = CMSG_LEN(n * sizeof(int))};
    memcpy(CMSG_DATA(c), fd, n * sizeof(int));
    cr_assert_eq(sendmsg(way, &h, 0), (ssize_t)sizeof t);
}

static void
take(int way, int *fd, unsigned n)
{
    char room[CMSG_SPACE(L_FDS * sizeof(int))];
    struct letter t;
    struct iovec v = {.iov_base = &t, .iov_len = sizeof t};
    struct msghdr h = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(way, &h, 0) != (ssize_t)sizeof t)
        _exit(100);
    memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), n * sizeof(int));
}

/* As attach.c does it, without a daemon. */
static struct own *
attached(void)
{
    size_t bytes[] = {arena_client_bytes(&g), arena_domain_bytes(&g)};
    int half[2], pipes[2][2], sv[2];
    share_wanted = true;
    l = bh_test_new(NULL);
    struct own *o = att_new(l, IPPROTO_TCP, &g, bytes[0] + bytes[1]);
    cr_assert_not_null(o);
    uint8_t *at = (uint8_t *)o->a + o->a->bytes;
    for (unsigned i = 0; i < 2; i++) {
        half[i] = region_memory("half", bytes[i]);
        cr_assert_geq(half[i], 0);
        o->a->half[i] = region_map(half[i], bytes[i], true, at);
        cr_assert_eq(o->a->half[i], at);
        o->a->half_size[i] = bytes[i];
        at += bytes[i];
        cr_assert_eq(pipe2(pipes[i], O_NONBLOCK), 0);
    }
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    o->a->mapped = true;
    o->sup = sv[0];
    o->sleep = pipes[0][0];
    o->ring = pipes[1][1];
    o->hold = pipes[1][0];
    o->memory[L_CLIENT] = half[0];
    o->memory[L_DOMAIN] = half[1];
    att_start(o->a);
    own_add(l, o);
    l->att[0] = o->a;
    a = o->a;
    bh_test_use(l);
    return o;
}

/* In a process that never had it: the attachment is where it is elsewhere, under the same lock,
 * and the socket is found by what stands for it; opening the letter again changes nothing, and
 * with the last descriptor the attachment goes. Returns what is wrong. */
static int
stranger(int way)
{
    int fd[2];
    uint32_t mark = 0;
    share_wanted = true;
    l = bh_test_new(NULL);
    bh_test_use(l);
    take(way, fd, 2);
    if (share_adopt(fd[1], &mark) >= 0)
        return 1;
    if (share_open_letter(fd[0], false) != 1 || share_open_letter(fd[0], false) != 1)
        return 2;
    if (l->own == NULL || l->own->next != NULL || l->att[0] != NULL)
        return 3;
    int bh = share_adopt(fd[1], &mark);
    if (bh < 0 || mark != 77 || share_adopt(fd[1], &mark) != bh)
        return 4;
    lib_lock();
    struct sock *s = lib_desc(l, bh)->s;
    if (s->slot != 3 || s->att != l->own->a || own_of(s->att)->descs != 1)
        return 5;
    s->linger = 4711;
    lib_unlock(l);
    standin_forget(bh);
    return l->own != NULL ? 6 : 0;
}

/* The number of a socket in slot 3, for which pair[0] stands. */
static int
with_standin(int pair[2])
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    lib_lock();
    struct sock *s = sock_adopt(a, 3, 3);
    int bh = table_add(l, s);
    s->standin = 1;
    s->standin_fd = pair[0];
    lib_unlock(l);
    standin_via = -1;
    return bh;
}

/* Protects: sessions over exec and SCM_RIGHTS. */
Test(share, a_letter_lets_another_process_take_part, .timeout = 20)
{
    int way[2], pair[2], status;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, way), 0);
    pid_t child = fork(); /* before there is anything to share */
    if (child == 0)
        _exit(stranger(way[1]));
    struct own *o = attached();
    int bh = with_standin(pair);
    cr_assert_lt(o->letter, 0, "it is not written before it is needed");
    cr_assert_eq(share_hand_on(bh, 77), o->letter);
    cr_assert_geq(o->letter, 0);
    cr_assert_eq(share_hand_on(bh, 77), o->letter);
    cr_assert_eq(o->memory[L_BOOKS], -1);
    pass_on(way[0], (int[]){o->letter, pair[0]}, 2);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "the stranger's step %d", WEXITSTATUS(status));
    lib_lock();
    cr_assert_eq(a->sock[3].linger, 4711);
    lib_unlock(l);
}

/* Protects: the child of a vfork, which has the parent's memory and descriptors of its own,
 * gets a letter and leaves the parent one that is the parent's. */
Test(share, a_letter_in_the_child_of_a_vfork, .timeout = 20)
{
    int pair[2], status;
    attached();
    int bh = with_standin(pair);
    static volatile int by_child;
    for (unsigned round = 0; round < 2; round++) {
        pid_t child = vfork();
        if (child == 0) {
            by_child = share_hand_on(bh, 0);
            _exit(by_child < 0 || fcntl(by_child, F_GETFD) < 0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0);
        if (round == 0)
            cr_assert_lt(fcntl(by_child, F_GETFD), 0, "it was the child's");
        int letter = share_hand_on(bh, 0);
        cr_assert_geq(fcntl(letter, F_GETFD), 0);
        cr_assert_eq(share_open_letter(letter, false), 1);
    }
}

static unsigned
open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* What is no letter, or a bad one, is refused, and nothing of it stays open or mapped. */
Test(share, a_letter_that_is_none, .timeout = 20)
{
    static char own_memory[1 << 16] __attribute__((aligned(1 << 12)));
    const size_t page = FIFO_PAGE;
    int memory = region_memory("m", page), loose = memfd_create("loose", MFD_ALLOW_SEALING);
    cr_assert(memory >= 0 && loose >= 0 && ftruncate(loose, (off_t)page) == 0);
    share_wanted = true;
    l = bh_test_new(NULL);
    bh_test_use(l);
    const struct letter good = {.magic = LETTER_MAGIC,
                                .layout = SESSION_LAYOUT_VERSION,
                                .books_layout =
                                    (uint32_t)(sizeof(struct att) << 16 | sizeof(struct sock)),
                                .number = 5,
                                .at = 20ull << 40,
                                .bytes = 4 * page,
                                .half = {page, page}};
    struct letter bad[9];
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = good; /* [0]: its memory is not of that size */
    bad[1].magic++;
    bad[2].layout++;
    bad[3].books_layout++;
    bad[4].at = (uintptr_t)own_memory;
    bad[5].at++;
    bad[6].half[0] = UINT64_MAX - page + 1;
    bad[7].bytes++;
    bad[8].half[1] = 0;
    unsigned before = open_fds();
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        for (unsigned n = L_FDS - 1; n <= L_FDS; n++) {
            int sv[2], fd[L_FDS];
            cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
            for (unsigned k = 0; k < L_FDS; k++)
                fd[k] = i % 2 == 0 ? memory : loose;
            union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(L_FDS * sizeof(int))];
            } room = {0};
            struct iovec v = {.iov_base = &bad[i], .iov_len = sizeof bad[i]};
            struct msghdr h = {.msg_iov = &v,
                               .msg_iovlen = 1,
                               .msg_control = &room,
                               .msg_controllen = CMSG_SPACE(n * sizeof(int))};
            *CMSG_FIRSTHDR(&h) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                                  .cmsg_type = SCM_RIGHTS,
                                                  .cmsg_len = CMSG_LEN(n * sizeof(int))};
            memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fd, n * sizeof(int));
            cr_assert_eq(sendmsg(sv[0], &h, 0), (ssize_t)sizeof bad[i]);
            int r = share_open_letter(sv[1], true);
            cr_assert_eq(r, i == 1 || n < L_FDS ? 0 : -1, "letter %u with %u: %d", i, n, r);
            cr_assert_null(l->own);
            close(sv[0]);
            close(sv[1]);
        }
    int p[2];
    cr_assert_eq(pipe(p), 0);
    cr_assert_eq(share_open_letter(p[0], true), 0);
    cr_assert_eq(share_open_letter(-1, true), 0);
    close(p[0]);
    close(p[1]);
    cr_assert_eq(open_fds(), before);
}
