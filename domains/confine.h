/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine.h: one function takes from a domain process everything that it does not need.
 * It fits on a screen on purpose: this is a domain's whole authority.
 */
#ifndef DOMAINS_CONFINE_H
#define DOMAINS_CONFINE_H

/* Called in the new process, which spawn_domain put into namespaces of its own (user,
 * mount, pid, net, ipc, uts). Takes away the filesystem (an empty read-only tmpfs becomes
 * the root), applies Landlock if the kernel has it, drops all capabilities and the bounding
 * set, changes to the domain's uid, sets no_new_privs, not dumpable, dies with its parent,
 * rlimits, and installs the seccomp allow-list of `name` from policy/. Exits with a
 * message if any of it fails: no domain runs half confined. */
void confine(const char *name, const char *const *syscalls, unsigned n_syscalls);

#endif
