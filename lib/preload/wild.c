/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wild.c: pointers of the program that point nowhere. The kernel says EFAULT to them; a library
 * that follows them is a crash of the program. So the kernel is asked, once per page and
 * thread: pages that were found good are remembered.
 *
 * Of a range the first and the last page are looked at. A page that was remembered and has been
 * unmapped or protected since still is a crash: to know better would cost a system call for
 * each pointer.
 */
#include "shim.h"

#include <linux/futex.h>
#include <sys/syscall.h>

__thread uintptr_t wild_good[2][WILD_PAGES];

/* The set of signals is read before `how` is looked at, which is none. */
static bool
readable(uintptr_t p)
{
    return syscall(SYS_rt_sigprocmask, ~0, p & ~(uintptr_t)7, NULL, 8) == 0 || errno != EFAULT;
}

/* Nothing is added to the word: for that it must be writable. madvise's MADV_POPULATE_WRITE
 * says the same for a page that is not and for one of a device. */
static bool
writable(uintptr_t p)
{
    static int nobody;
    return syscall(SYS_futex, &nobody, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0L,
                   p & ~(uintptr_t)3, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)) >= 0 ||
           errno != EFAULT;
}

static bool
page_bad(uintptr_t p, bool write)
{
    uintptr_t *known = wild_place(p / WILD_PAGE, write);
    if (p < WILD_PAGE)
        return true;
    if (*known == p / WILD_PAGE || share_confined) /* which may ask nothing any more */
        return false;
    int err = errno;
    bool good = write ? writable(p) : readable(p);
    errno = err;
    if (good)
        *known = p / WILD_PAGE;
    return !good;
}

bool
wild_ask(const void *p, size_t len, bool write)
{
    uintptr_t at = (uintptr_t)p;
    return is_beyond(p, len) || page_bad(at, write) || page_bad(at + len - 1, write);
}

/* How much of a range can be written, from its beginning on: whole pages. */
static size_t
good_part(const void *p, size_t len)
{
    uintptr_t at = (uintptr_t)p, end = at + len;
    while (at < end && !page_bad(at, true))
        at = (at / WILD_PAGE + 1) * WILD_PAGE;
    return (at < end ? at : end) - (uintptr_t)p;
}

size_t
wild_cut(const struct iovec *v, size_t n, bool write, struct iovec *to, size_t *to_n)
{
    size_t all = 0;
    for (*to_n = 0; *to_n < n; ++*to_n) {
        struct iovec one = v[*to_n];
        if (one.iov_len > WILD_MOST - all)
            one.iov_len = WILD_MOST - all;
        if (write && wild_to_write(one.iov_base, one.iov_len))
            one.iov_len = good_part(one.iov_base, one.iov_len);
        to[*to_n] = one;
        all += one.iov_len;
        if (one.iov_len < v[*to_n].iov_len) {
            ++*to_n;
            break;
        }
    }
    return all;
}

int
wild_vector(const struct iovec *v, size_t n)
{
    if (wild_to_read(v, n * sizeof *v))
        return EFAULT;
    for (size_t i = 0; i < n; i++)
        if (v[i].iov_len > SSIZE_MAX)
            return EINVAL;
    for (size_t i = 0; i < n; i++)
        if (is_beyond(v[i].iov_base,
                      n > 1 || v[i].iov_len < WILD_MOST ? v[i].iov_len : WILD_MOST))
            return EFAULT;
    return 0;
}

int
wild_list(const struct iovec *v, int n, bool *some)
{
    int err = n < 0 || n > IOV_MAX ? EINVAL : wild_vector(v, (size_t)n);
    *some = false;
    for (int i = 0; err == 0 && i < n; i++)
        *some = *some || v[i].iov_len > 0;
    return err;
}

int
wild_header(struct msghdr *to, const struct msghdr *m, bool send)
{
    if (send ? wild_to_read(m, sizeof *m) : wild_to_write(m, sizeof *m))
        return EFAULT;
    *to = *m;
    if (to->msg_name == NULL || to->msg_namelen == 0) {
        to->msg_name = NULL;
        to->msg_namelen = 0;
    }
    if (to->msg_namelen > INT32_MAX)
        return EINVAL;
    if (to->msg_namelen > sizeof(struct sockaddr_storage))
        to->msg_namelen = sizeof(struct sockaddr_storage);
    if (send && wild_to_read(to->msg_name, to->msg_namelen))
        return EFAULT;
    if (to->msg_iovlen > IOV_MAX)
        return EMSGSIZE;
    int err = wild_vector(to->msg_iov, to->msg_iovlen);
    if (err != 0 || !send || to->msg_controllen == 0)
        return err;
    return to->msg_controllen > CONTROL_MOST                   ? ENOBUFS
           : wild_to_read(to->msg_control, to->msg_controllen) ? EFAULT
                                                               : 0;
}
