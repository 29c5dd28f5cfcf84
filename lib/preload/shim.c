/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shim.c: the table of descriptors, and what happens when the library is loaded.
 */
#include "shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "rules.h"

/* Pages of it that are never touched cost nothing. */
_Atomic uint32_t shim_table[SHIM_FDS];
static _Atomic unsigned top;

bool shim_debug, shim_fallback;

/* Whose memory this is: the process's number, on a page that is zero in the child of a fork.
 * The child of a vfork finds its parent's number. */
static _Atomic pid_t *owner;

static bool
borrowed(void)
{
    if (owner == NULL)
        return false;
    pid_t self = getpid(), was = atomic_load_explicit(owner, memory_order_relaxed);
    if (was == 0)
        atomic_store_explicit(owner, self, memory_order_relaxed);
    return was != 0 && was != self;
}

bool
table_only(int fd, uint32_t e)
{
    for (unsigned i = 0; i < table_top(); i++)
        if (i != (unsigned)fd && (entry((int)i) & E_SAME) == (e & E_SAME))
            return false;
    return true;
}

/* A number of this process stood for it: perhaps the last one. */
static void
forget(uint32_t was)
{
    if (was & E_NOWHERE)
        return;
    for (unsigned i = 0; i < table_top(); i++)
        if ((atomic_load_explicit(&shim_table[i], memory_order_relaxed) & E_SAME) ==
            (was & E_SAME))
            return;
    standin_forget(bh_of(was));
}

/* Of two threads that take away a socket's last two numbers one finds that it was the last: the
 * socket's own number may be another's as soon as it is forgotten. */
static pthread_mutex_t taking = PTHREAD_MUTEX_INITIALIZER;

void
table_set(int fd, uint32_t e)
{
    if ((unsigned)fd >= SHIM_FDS || borrowed())
        return;
    unsigned t = atomic_load_explicit(&top, memory_order_relaxed);
    while (e != 0 && t <= (unsigned)fd)
        if (atomic_compare_exchange_weak(&top, &t, (unsigned)fd + 1))
            break;
    bool ours = is_ours(entry(fd));
    if (ours)
        pthread_mutex_lock(&taking);
    uint32_t was = atomic_exchange(&shim_table[(unsigned)fd], e);
    if (ours && (was & E_OURS) && (was & E_SAME) != (e & E_SAME))
        forget(was);
    if (ours)
        pthread_mutex_unlock(&taking);
}

unsigned
table_top(void)
{
    return atomic_load_explicit(&top, memory_order_relaxed);
}

void
table_mark(uint32_t e, uint32_t set, uint32_t clear)
{
    if (borrowed())
        return;
    for (unsigned i = 0; i < table_top(); i++) {
        uint32_t was = entry((int)i);
        while ((was & E_SAME) == (e & E_SAME))
            if (atomic_compare_exchange_weak(&shim_table[i], &was, (was | set) & ~clear))
                break;
    }
}

static _Atomic int last;

int
stand_in_last(void)
{
    return atomic_load_explicit(&last, memory_order_relaxed);
}

int
stand_in(int bh, uint32_t flags, int type)
{
    int fd = bh_kernel_fd(bh);
    if (fd < 0) {
        int err = errno;
        bh_close(bh);
        return fails(err);
    }
    if ((unsigned)fd >= SHIM_FDS || (unsigned)(bh - BH_FD_BASE) > E_INDEX) {
        REAL(close)(fd);
        return fails(EMFILE);
    }
    if (type & SOCK_NONBLOCK)
        REAL(fcntl)(fd, F_SETFL, O_RDWR | O_NONBLOCK);
    if (type & SOCK_CLOEXEC)
        REAL(fcntl)(fd, F_SETFD, FD_CLOEXEC);
    uint32_t e = E_OURS | flags | (uint32_t)(bh - BH_FD_BASE);
    replay_drop(e); /* of a socket that had this number */
    more_drop(e);
    table_set(fd, e);
    atomic_store_explicit(&last, fd, memory_order_relaxed);
    return fd;
}

static bool
is_set(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && v[0] != '\0' && strcmp(v, "0") != 0;
}

/* bulkhead-run has read them already: who gets here changed them since. */
static void
load_rules(void)
{
    char err[512];
    if (rules_load(getenv("BULKHEAD_RULES"), err, sizeof err))
        return;
    say(err);
    _exit(EXIT_CONFIG);
}

/* The memory of a forked child is its own, also when the first to ask is a child of its vfork.
 */
static void
own_table(void)
{
    (void)borrowed();
    pthread_mutex_init(&taking, NULL);
    more_release();
    netif_release();
}

__attribute__((constructor)) static void
loaded(void)
{
    real_init();
    share_wanted = true;
    pthread_atfork(more_hold, more_release, own_table);
    shim_debug = is_set("BULKHEAD_DEBUG");
    shim_fallback = is_set("BULKHEAD_FALLBACK");
    load_rules();
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || madvise(p, page, MADV_WIPEONFORK) != 0)
        return;
    owner = p;
    (void)borrowed();
    const char *letters = getenv("BULKHEAD_HANDED");
    if (letters != NULL)
        take_handed(letters);
}
