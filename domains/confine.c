/* SPDX-License-Identifier: BSD-2-Clause */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "domain.h"
#include "sanitized.h"

/* What landlock.h of an older system may lack. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_ASK_VERSION 1u
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1ul
#endif

#define STACK_BYTES ((rlim_t)8 << 20)
#define FILTER_BYTES ((rlim_t)8 << 20)

/* An empty read-only tmpfs becomes the root; the old tree goes. */
static void
empty_root(void)
{
    static const char at[] = "/proc"; /* any directory; the supervisor needs this one */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", at, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "size=4k,nr_inodes=1,mode=0555") != 0 ||
        chdir(at) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        domain_fatal("cannot take the filesystem away: %s", strerror(errno));
}

/* Landlock, where the kernel has it: no file, no TCP port, no abstract socket, no signal
 * outside. */
static void
landlock_deny(void)
{
    struct {
        uint64_t fs, net, scoped;
    } deny = {0};
    /* The bits and the size that each version of the interface knows. */
    static const uint8_t fs_bits[] = {0, 13, 14, 15, 15, 16, 16};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
    if (abi <= 0)
        return; /* not built in, or not enabled */
    if (abi > 6)
        abi = 6;
    deny.fs = (1ull << fs_bits[abi]) - 1;
    deny.net = abi >= 4 ? 3 : 0;
    deny.scoped = abi >= 6 ? 3 : 0;
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    long fd = syscall(SYS_landlock_create_ruleset, &deny, size, 0);
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) != 0)
        domain_fatal("landlock: %s", strerror(errno));
    close((int)fd);
}

/* Never up: a lower limit that we came with stays. */
static void
limit(enum __rlimit_resource what, rlim_t to)
{
    struct rlimit r;
    if (getrlimit(what, &r) == 0 && r.rlim_max < to)
        to = r.rlim_max;
    r = (struct rlimit){.rlim_cur = to, .rlim_max = to};
    if (setrlimit(what, &r) != 0)
        domain_fatal("setrlimit %d: %s", (int)what, strerror(errno));
}

/* No way back: the bounding set is empty, and being 0 of this user namespace gives nothing. */
static void
drop_capabilities(void)
{
    if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                     SECBIT_NO_CAP_AMBIENT_RAISE |
                                     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) != 0)
        domain_fatal("securebits: %s", strerror(errno));
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_ALL) != 0)
        domain_fatal("cannot drop capabilities: %s", strerror(errno));
}

/* Nothing but what h names stays open, and in it is no hole: what comes later is higher. */
static void
keep_only(const struct holdings *h)
{
    int last = holdings_last(h);
    if (close_range((unsigned)last + 1, ~0u, 0) != 0)
        domain_fatal("descriptors: %s", strerror(errno));
    for (int fd = 0; fd <= last; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            domain_fatal("descriptor %d is missing", fd);
    /* The last words go through the supervisor from here on; a terminal is none of ours. */
    if (!SANITIZED && dup2(STDIN_FILENO, STDERR_FILENO) < 0)
        domain_fatal("descriptors: %s", strerror(errno));
}

/* Bytes of address space in use; needs /proc. */
static rlim_t
address_space(void)
{
    char line[32];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        domain_fatal("/proc/self/statm: %s", strerror(errno));
    line[n] = '\0';
    return (rlim_t)strtoull(line, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void
limits(const struct policy *p, rlim_t space)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_MSGQUEUE, 0);
    limit(RLIMIT_SIGPENDING, 0);
    limit(RLIMIT_NOFILE, p->fds);
    limit(RLIMIT_RTPRIO, 0);
    limit(RLIMIT_NICE, 0);
    if (SANITIZED)
        return;
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_STACK, STACK_BYTES);
    /* What it has, a stack, and what it takes to build the filter: clients are mapped into a
     * window that counts already. */
    limit(RLIMIT_AS, space + STACK_BYTES + FILTER_BYTES);
}

void
confine(const struct policy *p, const struct holdings *h)
{
    if (p == NULL)
        domain_fatal("no policy for this domain");
    rlim_t space = address_space();
    keep_only(h);
    empty_root();
    drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        domain_fatal("prctl: %s", strerror(errno));
    if (!SANITIZED && prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0 &&
        errno != EINVAL) /* Linux 6.3 */
        domain_fatal("memory-deny-write-execute: %s", strerror(errno));
    landlock_deny();
    signal(SIGPIPE, SIG_IGN);
    limits(p, space);
    umask(0777);
    clearenv();
    filter_install(p, h);
}
