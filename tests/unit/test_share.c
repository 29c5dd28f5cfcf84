/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Attachments that processes share after a fork: a death with the lock in hand, a reply that
 * another process takes in, a slot that changed hands while a call waited.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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
