/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_confine.c: what the supervisor gives up once everything is made. It needs privilege to
 * attach to the interface and to make the AF_XDP socket; afterwards only to start a domain
 * again under a user id of its own. All else that a restart takes it has over its children,
 * because it made their user namespaces: to end them, to read their maps.
 */
#include "sup.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/securebits.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/exit_codes.h"
#include "sanitized.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1ul
#endif

/* What nobody here does, whatever takes us over. A list of what is denied, not of what is
 * allowed: libraries that we stand on call what they like. The domains inherit it, so what they
 * do before they confine themselves (mounts, namespaces of their own) is not in it. */
static const char *const denied[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "modify_ldt",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "shmat",
    "shmget",
    "swapoff",
    "swapon",
    "syslog",
    "userfaultfd",
    "vhangup",
};

static int
install_filter(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (ctx == NULL)
        return -ENOMEM;
    /* A tree instead of a list: the domains' calls pass through it too. */
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int e = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (unsigned i = 0; e == 0 && i < ARRAY_LEN(denied); i++) {
        int nr = seccomp_syscall_resolve_name(denied[i]);
        if (nr >= 0) /* else this machine does not have it */
            e = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
    }
    if (e == 0)
        e = seccomp_load(ctx);
    seccomp_release(ctx);
    return e;
}

/* To map a domain's user and group id into its namespace; nothing else. */
static int
drop_capabilities(void)
{
    if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
                                     SECBIT_NO_CAP_AMBIENT_RAISE |
                                     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) != 0)
        return -errno;
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                      CAP_SETUID, CAP_SETGID, -1) != 0 ||
        capng_apply(CAPNG_SELECT_ALL) != 0)
        return errno != 0 ? -errno : -EPERM;
    return 0;
}

int
sup_confine(char *err, size_t err_len)
{
    const struct rlimit none = {0};
    int e = drop_capabilities();
    if (e == 0 && (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_MEMLOCK, &none) != 0))
        e = -errno;
    if (e == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                   (!SANITIZED && prctl(PR_SET_DUMPABLE, 0) != 0)))
        e = -errno;
    if (e == 0 && !SANITIZED && prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0 &&
        errno != EINVAL) /* Linux 6.3 */
        e = -errno;
    if (e == 0)
        e = install_filter();
    if (e == 0)
        return 0;
    snprintf(err, err_len, "cannot give up what it does not need: %s", strerror(-e));
    return EXIT_PRIVILEGE;
}
