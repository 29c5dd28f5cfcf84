/* SPDX-License-Identifier: BSD-2-Clause */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <seccomp.h>
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

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* What landlock.h of an older system may lack. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_ASK_VERSION 1u

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

static void
allow(scmp_filter_ctx ctx, const struct policy_call *c)
{
    int nr = seccomp_syscall_resolve_name(c->name);
    int err = -EINVAL;
    if (nr == __NR_SCMP_ERROR)
        domain_fatal("policy: unknown system call %s", c->name);
    switch (c->rule) {
    case POLICY_ANY:
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
        break;
    case POLICY_NOEXEC:
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
                               SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        break;
    case POLICY_NODATA:
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 3, SCMP_A1(SCMP_CMP_EQ, 0, 0),
                               SCMP_A2(SCMP_CMP_EQ, 0, 0), SCMP_A4(SCMP_CMP_EQ, 0, 0));
        break;
    case POLICY_SEALS:
        err =
            seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, SCMP_A1(SCMP_CMP_EQ, F_GET_SEALS, 0));
        break;
    }
    if (err != 0)
        domain_fatal("policy: %s: %s", c->name, strerror(-err));
}

/* What the sanitizers' runtime needs to write a report; only in such a build. */
static const struct policy_call sanitizer_calls[] = {
    {"mmap", POLICY_ANY},         {"munmap", POLICY_ANY},
    {"mprotect", POLICY_ANY},     {"madvise", POLICY_ANY},
    {"getpid", POLICY_ANY},       {"gettid", POLICY_ANY},
    {"sched_yield", POLICY_ANY},  {"futex", POLICY_ANY},
    {"sigaltstack", POLICY_ANY},  {"rt_sigprocmask", POLICY_ANY},
    {"rt_sigaction", POLICY_ANY}, {"readlink", POLICY_ANY},
    {"open", POLICY_ANY},         {"openat", POLICY_ANY},
    {"getrandom", POLICY_ANY},    {"brk", POLICY_ANY},
};

static void
filter(const struct policy *p)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (ctx == NULL ||
        seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0)
        domain_fatal("seccomp: cannot begin a filter");
    for (unsigned i = 0; i < p->n; i++)
        allow(ctx, &p->call[i]);
    for (unsigned i = 0; SANITIZED && i < ARRAY_LEN(sanitizer_calls); i++)
        (void)seccomp_rule_add(ctx, SCMP_ACT_ALLOW,
                               seccomp_syscall_resolve_name(sanitizer_calls[i].name), 0);
    int err = seccomp_load(ctx);
    if (err != 0)
        domain_fatal("seccomp: %s", strerror(-err));
    /* ctx stays: freeing it may call the kernel in a way that was just given up. */
}

void
confine(const struct policy *p)
{
    if (p == NULL)
        domain_fatal("no policy for this domain");
    empty_root();
    drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        domain_fatal("prctl: %s", strerror(errno));
    landlock_deny();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* stderr may be a file: the words are lost, not the domain */
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_MSGQUEUE, 0);
    if (!SANITIZED)
        limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NOFILE, p->fds);
    umask(0777);
    clearenv();
    filter(p);
}
