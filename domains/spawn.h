/* SPDX-License-Identifier: BSD-2-Clause
 *
 * spawn.h: start a domain process in namespaces of its own.
 */
#ifndef DOMAINS_SPAWN_H
#define DOMAINS_SPAWN_H

#include <sys/types.h>

#include "base/base.h"

/* clone3 with CLONE_PIDFD and new user, mount, pid, net, ipc, uts and cgroup namespaces; the
 * child keeps only stderr and ctl_fd (as DOMAIN_CTL_FD; 0 and 1 are /dev/null), and execs
 * `path` with argv[0] = "bulkhead-NAME", the instance as argv[1] and no environment. Outside,
 * it has uid and gid and no other group; inside it begins as 0 of its own user namespace, in
 * which nobody else exists, so that confine() can take the rest away. For a caller with
 * privilege in its user namespace. Returns the pid, or -errno; *pidfd is close-on-exec. A child
 * that cannot exec says so on stderr and exits with 127. */
pid_t spawn_domain(const char *path, const char *name, const char *instance, uid_t uid,
                   gid_t gid, int ctl_fd, int *pidfd);

#endif
