/* SPDX-License-Identifier: BSD-2-Clause
 *
 * spawn.h: start a domain process in namespaces of its own.
 */
#ifndef DOMAINS_SPAWN_H
#define DOMAINS_SPAWN_H

#include <sys/types.h>

#include "base/base.h"

/* clone3 with CLONE_PIDFD and new user, mount, pid, net, ipc and uts namespaces; the child
 * keeps only descriptors 0-2 and ctl_fd (as DOMAIN_CTL_FD), and execs `path` with argv[0] =
 * "bulkhead-NAME" and the instance as argv[1]. Outside, it has uid and gid; inside it begins
 * as 0 of its own user namespace so that confine() can take the rest away. Returns the pid,
 * or -errno; *pidfd is close-on-exec. */
pid_t spawn_domain(const char *path, const char *name, const char *instance, uid_t uid,
                   gid_t gid, int ctl_fd, int *pidfd);

#endif
