/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine_probe.c: a domain that turned hostile. Started as
 *
 *   confine_probe DOMAIN ATTEMPT
 *
 * it runs itself as that domain, confined like the real one, lets it try one thing, and
 * prints how it ended: "exit N" or "signal N", and what the domain told its supervisor.
 *
 *   confine_probe                  each attempt, and how it must end (probe.h)
 *   confine_probe --list DOMAIN    the system calls on its list
 *   confine_probe DOMAIN --others  tries every number that there is, with zeros for arguments,
 *                                  and prints those that did not end in SIGSYS
 */
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domains/confine.h"
#include "domains/domain.h"
#include "domains/guard.h"
#include "domains/spawn.h"
#include "ipc/region.h"
#include "policy/topology.h"
#include "probe.h"

#define SURVIVED 42
#ifdef __x86_64__
#define SYS_UPROBE 336u
#else
#define SYS_UPROBE CALLS /* has none */
#endif
#define CALLS 600 /* above the last number that a kernel has */

static enum turn
turn(struct domain *d, ns_t now)
{
    const struct attempt *a = d->self;
    (void)now;
    if (a->run != NULL)
        a->run();
    else
        (void)syscall(a->nr, a->arg[0], a->arg[1], a->arg[2], a->arg[3], a->arg[4], a->arg[5]);
    _exit(SURVIVED);
}

static ns_t
deadline(struct domain *d)
{
    (void)d;
    return NS_NEVER;
}

static void
hold_memory(void)
{
    struct region r;
    if (region_create(&r, "probe", REGION_BYTES) != 0 ||
        (held.region = guard_map(r.fd_rw, REGION_BYTES, true)) == NULL ||
        (held.alloc = guard_alloc(ALLOC_BYTES)) == NULL)
        domain_fatal("memory");
    region_close(&r);
}

/* As much of a domain as the loop needs, and one of everything that it can hold. */
static void
hold(struct domain *d)
{
    int pair[2];
    hold_memory();
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll_fd < 0 || domain_watch(d, d->ctl_fd, d) != 0 || bell_pipe(pair) != 0)
        domain_fatal("descriptors");
    d->n_peers = 1;
    d->peer[0] = (struct domain_peer){.fd_sleep = pair[0], .fd_ring = pair[1]};
    if (TOPO_BIT(d->cfg.domain) & TOPO_XSK) {
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0)
            domain_fatal("socket");
        close(pair[1]);
        d->nic_fd = pair[0];
    }
    if (TOPO_BIT(d->cfg.domain) & (TOPO_STREAMS | TOPO_DATAGRAMS))
        if (window_open(4) != 0)
            domain_fatal("window");
    held.bell_in = d->peer[0].fd_sleep;
    held.bell_out = d->peer[0].fd_ring;
    held.epoll = d->epoll_fd;
    held.xsk = d->nic_fd;
    held.window = window_base();
    held.client = max_u32((uint32_t)held.bell_out, (uint32_t)max_u32(0, held.xsk + 1)) + 1;
}

/* In the child. The instance names the attempt, or is "=" and the number of a call. */
static _Noreturn void
be_domain(const char *name, const char *what)
{
    static const struct domain_ops ops = {.turn = turn, .deadline = deadline};
    static struct stats stats;
    static struct domain d;
    static struct attempt call;
    const struct attempt *a = attempts;

    d = (struct domain){.stats = &stats, .ctl_fd = DOMAIN_CTL_FD, .nic_fd = -1};
    if (*what == '+') { /* with the packet driver */
        d.cfg.driver = DRIVER_PACKET;
        what++;
    }
    if (*what == '=') {
        call.nr = strtol(what + 1, NULL, 10);
        a = &call;
    } else {
        while (strcmp(a->name, what) != 0)
            a++;
    }
    while (strcmp(domain_name(d.cfg.domain), name) != 0)
        d.cfg.domain++;
    hold(&d);
    domain_run(&d, &ops, (void *)(uintptr_t)a);
}

/* Run it and return its wait status; -1: could not. */
static int
try(const char *domain, const char *what, int *ctl)
{
    int pair[2], pidfd, status;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return -1;
    pid_t pid = spawn_domain("/proc/self/exe", domain, what, 65534, 65534, pair[1], &pidfd);
    close(pair[1]);
    *ctl = pair[0];
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    close(pidfd);
    return status;
}

static int
try_one(const char *domain, const char *what)
{
    struct ctl_msg m;
    int fd[CTL_FDS_MAX], ctl, status = try(domain, what, &ctl);
    if (status == -1)
        return 1;
    if (WIFSIGNALED(status))
        printf("signal %d\n", WTERMSIG(status));
    else
        printf("exit %d\n", WEXITSTATUS(status));
    while (ctl_recv(ctl, &m, fd) == 1)
        if (m.type == CTL_NOTICE && m.text.arg == NOTICE_SYSCALL)
            printf("refused %s\n", m.text.text);
        else
            printf("%s\n", m.type == CTL_READY    ? "ready"
                           : m.type == CTL_NOTICE ? m.text.text
                                                  : "?");
    return 0;
}

static int
try_others(const char *domain)
{
    for (unsigned nr = 0; nr < CALLS; nr++) {
        char what[16];
        int ctl, status;
        snprintf(what, sizeof what, "=%u", nr);
        status = try(domain, what, &ctl);
        if (status == -1)
            return 1;
        close(ctl);
        /* No filter is asked about uretprobe and uprobe (Linux 6.13), which are made by code
         * that the kernel itself puts in: called by others they answer SIGILL and ENXIO. */
        if (nr == SYS_UPROBE)
            continue;
        if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGILL))
            continue;
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)nr);
        puts(name != NULL ? name : what);
        free(name);
    }
    return 0;
}

static bool
known(const char *domain, const char *what)
{
    bool a = false, b = strcmp(what, "--others") == 0;
    for (unsigned i = 0; i < DOM_COUNT; i++)
        a |= strcmp(domain_name(i), domain) == 0;
    for (unsigned i = 0; i < n_attempts; i++)
        b |= strcmp(attempts[i].name, what + (*what == '+')) == 0;
    return a && b;
}

int
main(int argc, char **argv)
{
    static const char *const outcome[] = {"refused", "faults",     "allowed", "for-clients",
                                          "for-nic", "for-packet", "speaks"};
    if (strncmp(argv[0], "bulkhead-", 9) == 0 && argc == 2)
        be_domain(argv[0] + 9, argv[1]);
    for (unsigned i = 0; argc == 1 && i < n_attempts; i++)
        printf("%s %s\n", attempts[i].name, outcome[attempts[i].must]);
    if (argc == 1)
        return 0;
    if (argc == 4 && strcmp(argv[1], "--list") == 0 && policy_of(argv[2]) != NULL) {
        const struct policy *p = policy_of(argv[2]);
        enum policy_rule other = strcmp(argv[3], "packet") == 0 ? POLICY_KICK : POLICY_PACKET;
        for (unsigned i = 0; i < p->n; i++)
            if (p->call[i].rule != other)
                puts(p->call[i].name);
        return 0;
    }
    if (argc != 3 || !known(argv[1], argv[2]))
        return 2;
    return strcmp(argv[2], "--others") == 0 ? try_others(argv[1]) : try_one(argv[1], argv[2]);
}
