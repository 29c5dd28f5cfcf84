/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine.h: one function takes from a domain process everything that it does not need.
 * It fits on a screen on purpose: this is a domain's whole authority.
 */
#ifndef DOMAINS_CONFINE_H
#define DOMAINS_CONFINE_H

/* What may be asked with a system call; anything else ends the process. */
enum policy_rule {
    POLICY_ANY,
    POLICY_NOEXEC, /* mmap: not executable */
    POLICY_NODATA, /* sendto: no bytes, no address; just the kick of an AF_XDP socket */
    POLICY_SEALS,  /* fcntl: F_GET_SEALS only */
};

struct policy_call {
    const char *name;
    enum policy_rule rule;
};

/* One domain's part of policy/syscalls.conf. */
struct policy {
    const char *domain;
    unsigned fds; /* RLIMIT_NOFILE; 0: no descriptor can be added to those it has */
    unsigned n;
    const struct policy_call *call;
};

/* The compiled-in policy of "nic", "ip", ...; NULL: there is none of that name. */
const struct policy *policy_of(const char *domain);

/* Called in the new process, which spawn_domain put into namespaces of its own (user,
 * mount, pid, net, ipc, uts), as uid 0 of that user namespace and as the domain's uid outside.
 * Takes away the filesystem (an empty read-only tmpfs becomes the root), applies Landlock if
 * the kernel has it, drops all capabilities and the bounding set, sets no_new_privs, not
 * dumpable, dies with its parent, rlimits, and installs the seccomp allow-list.
 * Exits with a message if any of it fails: no domain runs half confined. */
void confine(const struct policy *p);

#endif
