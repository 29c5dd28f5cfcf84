/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine.h: one function takes from a domain process everything that it does not need.
 * It fits on a screen on purpose: this is a domain's whole authority.
 */
#ifndef DOMAINS_CONFINE_H
#define DOMAINS_CONFINE_H

#include "base/base.h"

/* How a system call may be made; policy/syscalls.conf says what each means. Anything else ends
 * the process. */
enum policy_rule {
    POLICY_ANY,
    POLICY_WAIT,
    POLICY_MONOTONIC,
    POLICY_CONTROL,
    POLICY_BELL,
    POLICY_KICK,
    POLICY_PACKET,
    POLICY_WINDOW,
    POLICY_SIZE,
    POLICY_SEALS,
    POLICY_WATCH,
    POLICY_CLIENT,
    POLICY_END,
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

#define HOLD_BELLS 3u

/* What the process holds: the filter knows these by value. Descriptors 0, 1 and 2 and these
 * are all, without a hole, so that any other is higher than each of them. */
struct holdings {
    int ctl, epoll, nic; /* -1: has none */
    bool packet;         /* nic is an AF_PACKET socket, else AF_XDP */
    int sleep[HOLD_BELLS], ring[HOLD_BELLS];
    unsigned n_bells;
    uint64_t window, window_mask; /* an address a is in the window: (a & mask) == window */
    uint64_t window_piece;        /* the longest mapping there */
};

static inline int
holdings_last(const struct holdings *h)
{
    int last = h->ctl > h->epoll ? h->ctl : h->epoll;
    last = h->nic > last ? h->nic : last;
    for (unsigned i = 0; i < h->n_bells; i++) {
        last = h->sleep[i] > last ? h->sleep[i] : last;
        last = h->ring[i] > last ? h->ring[i] : last;
    }
    return last;
}

/* Called in the new process, which spawn_domain put into namespaces of its own (user,
 * mount, pid, net, ipc, uts, cgroup), as uid 0 of that user namespace and as the domain's uid
 * outside. Takes away the filesystem (an empty read-only tmpfs becomes the root), applies
 * Landlock if the kernel has it, drops all capabilities and the bounding set, sets
 * no_new_privs, not dumpable, no memory that becomes executable, dies with its parent, rlimits,
 * closes what is not in h, and installs the seccomp allow-list.
 * Exits with a message if any of it fails: no domain runs half confined. */
void confine(const struct policy *p, const struct holdings *h);

/* filter.c: the last step of it. */
void filter_install(const struct policy *p, const struct holdings *h);

#endif
