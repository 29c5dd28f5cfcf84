/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Protects: which pointers of a program count as memory: those that the kernel would take,
 * asked once per page, and not at all by a process that confined itself.
 */
#include "preload/shim.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>

__thread int standin_via;
bool share_wanted, share_confined;

static char *
page(int access)
{
    char *p = mmap(NULL, WILD_PAGE, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(p, MAP_FAILED);
    return p;
}

Test(preload_wild, memory_is_what_the_kernel_takes_for_it)
{
    char *none = page(PROT_NONE), *read_only = page(PROT_READ), *both = page(3), here;
    char *gone = page(3);
    munmap(gone, WILD_PAGE);
    void *minus = (void *)(uintptr_t)UINTPTR_MAX, *low = (void *)(uintptr_t)64;
    void *beyond = (void *)(uintptr_t)(WILD_END + 1);
    errno = 77;
    for (int again = 0; again < 2; again++) {
        cr_assert(wild_to_read(none, 1) && wild_to_write(none, 1));
        cr_assert(wild_to_read(gone, 1) && wild_to_write(gone, 1));
        cr_assert(wild_to_read(minus, 1) && wild_to_write(minus, 1));
        cr_assert(wild_to_read(low, 1) && wild_to_write(low, 1));
        cr_assert(wild_to_read(beyond, 1) && wild_to_write(beyond, 1));
        cr_assert(wild_to_read(NULL, 1) && wild_to_write(NULL, 1));
        cr_assert(!wild_to_read(read_only, WILD_PAGE));
        cr_assert(wild_to_write(read_only, 1));
        cr_assert(!wild_to_read(both, WILD_PAGE) && !wild_to_write(both, WILD_PAGE));
        cr_assert(!wild_to_read(&here, 1) && !wild_to_write(&here, 1));
        cr_assert(!wild_to_read(none, 0) && !wild_to_write(NULL, 0));
    }
    cr_assert_eq(errno, 77);
}

Test(preload_wild, both_ends_of_a_range_count)
{
    char *two = mmap(NULL, 2 * WILD_PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_eq(mprotect(two + WILD_PAGE, WILD_PAGE, PROT_NONE), 0);
    cr_assert(!wild_to_write(two + 1, WILD_PAGE - 1));
    cr_assert(wild_to_write(two + 1, WILD_PAGE));
    cr_assert(wild_to_write(two, SIZE_MAX));
    cr_assert(wild_to_read(two, SIZE_MAX - (uintptr_t)two + 2), "around the end of all memory");
    struct iovec to[2], v[2] = {{two, 10}, {two + WILD_PAGE - 4, 20}};
    size_t n;
    cr_assert_eq(wild_cut(v, 2, true, to, &n), 14);
    cr_assert_eq(n, 2);
    cr_assert_eq(to[1].iov_len, 4);
}

/* Nothing is written: the bytes of a page that is asked about are the program's. */
Test(preload_wild, what_is_there_stays)
{
    char *p = page(3);
    memset(p, 0x5a, WILD_PAGE);
    cr_assert(!wild_to_write(p + 1, WILD_PAGE - 2));
    for (unsigned i = 0; i < WILD_PAGE; i++)
        cr_assert_eq(p[i], 0x5a);
}

Test(preload_wild, a_vector_is_refused_as_by_the_kernel)
{
    char b[8];
    struct iovec minus = {b, (size_t)-1}, most = {b, SSIZE_MAX};
    struct iovec two[2] = {{b, 1}, {(void *)(uintptr_t)UINTPTR_MAX, 0}};
    cr_assert_eq(wild_vector(NULL, 0), 0);
    cr_assert_eq(wild_vector(NULL, 1), EFAULT);
    cr_assert_eq(wild_vector(&minus, 1), EINVAL);
    cr_assert_eq(wild_vector(&most, 1), 0);
    cr_assert_eq(wild_vector(two, 2), EFAULT);
    struct msghdr h, m = {.msg_iov = two, .msg_iovlen = 1, .msg_namelen = 7};
    cr_assert_eq(wild_header(&h, &m, true), 0);
    cr_assert_eq(h.msg_namelen, 0);
    m.msg_iovlen = IOV_MAX + 1;
    cr_assert_eq(wild_header(&h, &m, false), EMSGSIZE);
    m.msg_iovlen = 1;
    m.msg_controllen = SIZE_MAX;
    cr_assert_eq(wild_header(&h, &m, true), ENOBUFS);
}

Test(preload_wild, a_confined_process_asks_nothing)
{
    char *none = page(PROT_NONE);
    share_confined = true;
    cr_assert(!wild_to_read(none, 1), "it is not known");
    cr_assert(wild_to_read(NULL, 1) && wild_to_read((void *)(uintptr_t)UINTPTR_MAX, 1));
}

/* Or else each call on one of a few large buffers would ask the kernel again. */
Test(preload_wild, a_few_buffers_are_remembered_wherever_they_lie)
{
    for (size_t apart = WILD_PAGE; apart <= (4u << 20); apart *= 2) {
        unsigned known = 0;
        uintptr_t base = 0x7f1234560;
        for (unsigned i = 0; i < 8; i++)
            *wild_place(base + i * (apart / WILD_PAGE), true) = base + i * (apart / WILD_PAGE);
        for (unsigned i = 0; i < 8; i++)
            known += wild_known(base + i * (apart / WILD_PAGE), true);
        cr_assert_geq(known, 5, "%zu apart: %u", apart, known);
    }
}
