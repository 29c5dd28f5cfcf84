/* SPDX-License-Identifier: BSD-2-Clause
 *
 * filter.c: a domain's part of policy/syscalls.conf as a seccomp filter. Arguments are compared
 * as the 64 bits that the kernel is given: where it looks at fewer, what stands above them must
 * be zero, else a number could be one thing for the filter and another for the call.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "domain.h"
#include "sanitized.h"

#define ARGS_MAX 6u
#define PACKET_PIECES 64u /* more than packet.c names in a call */

struct filter {
    scmp_filter_ctx ctx;
    const struct holdings *h;
    const char *name;
    int nr;
    uint32_t from, to; /* a client's descriptors: from <= fd < to */
};

static void
rule(const struct filter *f, unsigned n, const struct scmp_arg_cmp *arg)
{
    int err = seccomp_rule_add_array(f->ctx, SCMP_ACT_ALLOW, f->nr, n, arg);
    if (err != 0 && err != -EEXIST)
        domain_fatal("policy: %s: %s", f->name, strerror(-err));
}

#define RULE(f, ...)                                                                           \
    rule(f, sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp),        \
         (struct scmp_arg_cmp[]){__VA_ARGS__})
#define IS(arg, value) SCMP_CMP64(arg, SCMP_CMP_EQ, (scmp_datum_t)(value), 0)
#define AT_MOST(arg, value) SCMP_CMP64(arg, SCMP_CMP_LE, (scmp_datum_t)(value), 0)
#define ONLY_BITS(arg, bits) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)(bits), 0)
#define IN_WINDOW(arg, h) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, (h)->window_mask, (h)->window)

/* The descriptor in argument `arg` is a client's; the other arguments as in more[0 .. n). A
 * range has two ends and a rule one comparison of each argument, so it is taken in blocks whose
 * size is a power of two. */
static void
client_rule(const struct filter *f, unsigned arg, unsigned n, const struct scmp_arg_cmp *more)
{
    struct scmp_arg_cmp all[ARGS_MAX];
    for (unsigned i = 0; i < n; i++)
        all[i] = more[i];
    for (uint32_t at = f->from, size; at < f->to; at += size) {
        size = at & -at;
        while (at + size > f->to)
            size /= 2;
        all[n] = SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)(size - 1), at);
        rule(f, n + 1, all);
    }
}

#define CLIENT_RULE(f, arg, ...)                                                               \
    client_rule(f, arg,                                                                        \
                sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp),    \
                (struct scmp_arg_cmp[]){__VA_ARGS__})

static void
bells(const struct filter *f)
{
    bool reads = f->nr == SYS_read;
    struct scmp_arg_cmp how = reads ? AT_MOST(2, BELL_READ) : IS(2, 1);
    for (unsigned i = 0; i < f->h->n_bells; i++)
        RULE(f, IS(0, reads ? f->h->sleep[i] : f->h->ring[i]), how);
    if (reads) /* a client may fill a stand-in */
        how = (struct scmp_arg_cmp)AT_MOST(2, STANDIN_FILL);
    client_rule(f, 0, 1, &how);
}

static void
window(const struct filter *f)
{
    if (f->nr == SYS_munmap)
        RULE(f, IN_WINDOW(0, f->h), AT_MOST(1, f->h->window_piece));
    else
        CLIENT_RULE(f, 4, IN_WINDOW(0, f->h), AT_MOST(1, f->h->window_piece),
                    ONLY_BITS(2, PROT_READ | PROT_WRITE), IS(3, MAP_SHARED | MAP_FIXED),
                    IS(5, 0));
}

static void
allow(const struct filter *f, enum policy_rule how)
{
    const struct holdings *h = f->h;
    switch (how) {
    case POLICY_ANY:
        rule(f, 0, NULL);
        break;
    case POLICY_WAIT:
        RULE(f, IS(0, h->epoll), IS(4, 0));
        break;
    case POLICY_MONOTONIC:
        RULE(f, IS(0, CLOCK_MONOTONIC));
        break;
    case POLICY_CONTROL:
        RULE(f, IS(0, h->ctl),
             IS(2, f->nr == SYS_sendmsg ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_CMSG_CLOEXEC));
        break;
    case POLICY_BELL:
        bells(f);
        break;
    case POLICY_KICK:
        if (h->nic >= 0 && !h->packet)
            RULE(f, IS(0, h->nic), IS(1, 0), IS(2, 0), IS(3, MSG_DONTWAIT), IS(4, 0), IS(5, 0));
        break;
    case POLICY_PACKET:
        if (h->nic >= 0 && h->packet)
            RULE(f, IS(0, h->nic), AT_MOST(2, PACKET_PIECES));
        break;
    case POLICY_WINDOW:
        if (h->window_piece > 0)
            window(f);
        break;
    case POLICY_SIZE:
        CLIENT_RULE(f, 0, IS(1, 0), IS(2, SEEK_END));
        break;
    case POLICY_SEALS:
        CLIENT_RULE(f, 0, IS(1, F_GET_SEALS));
        break;
    case POLICY_WATCH:
        CLIENT_RULE(f, 2, IS(0, h->epoll), IS(1, EPOLL_CTL_ADD));
        CLIENT_RULE(f, 2, IS(0, h->epoll), IS(1, EPOLL_CTL_DEL));
        break;
    case POLICY_CLIENT:
        client_rule(f, 0, 0, NULL);
        break;
    case POLICY_END:
        CLIENT_RULE(f, 0, IS(1, SHUT_WR));
        CLIENT_RULE(f, 0, IS(1, SHUT_RDWR));
        break;
    }
}

/* What the sanitizers' runtime needs to write a report; only in such a build. */
static const char *const sanitizer_calls[] = {
    "mmap",  "munmap", "mprotect", "madvise",        "getpid",    "gettid",      "sched_yield",
    "futex", "write",  "readlink", "open",           "openat",    "sigaltstack", "rt_sigaction",
    "close", "brk",    "read",     "rt_sigprocmask", "getrandom",
};

/* ---- what was refused ---- */

/* The kernel stops the call and comes here instead. Tell the supervisor its number, and then
 * make another: SIGSYS is blocked in here, so that one kills, and the end shows as what it is.
 * There is no way back out: rt_sigreturn is on nobody's list either. */
static void
on_refused(int sig, siginfo_t *si, void *context)
{
    (void)sig;
    (void)context;
    struct ctl_msg m = {.type = CTL_NOTICE, .text = {.arg = NOTICE_SYSCALL}};
    char *at = m.text.text;
    for (unsigned n = (unsigned)si->si_syscall, d = 1000000000; d > 0; d /= 10)
        if (n >= d || d == 1)
            *at++ = (char)('0' + n / d % 10);
    int e = ctl_send(DOMAIN_CTL_FD, &m, NULL);
    (void)e; /* then nobody learns the number */
    for (;;)
        syscall(SYS_getppid);
}

void
filter_install(const struct policy *p, const struct holdings *h)
{
    struct filter f = {.h = h, .from = (uint32_t)holdings_last(h) + 1, .to = p->fds};
    struct sigaction refused = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};
    f.ctx = seccomp_init(SCMP_ACT_TRAP);
    if (f.ctx == NULL ||
        seccomp_attr_set(f.ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 ||
        seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_TSYNC, 1) != 0)
        domain_fatal("seccomp: cannot begin a filter");
    for (unsigned i = 0; i < p->n; i++) {
        f.name = p->call[i].name;
        f.nr = seccomp_syscall_resolve_name(f.name);
        if (f.nr == __NR_SCMP_ERROR)
            domain_fatal("policy: unknown system call %s", f.name);
        allow(&f, p->call[i].rule);
        /* The first ones are made most often. */
        (void)seccomp_syscall_priority(f.ctx, f.nr, (uint8_t)(255 - min_u32(i, 255)));
    }
    for (unsigned i = 0; SANITIZED && i < ARRAY_LEN(sanitizer_calls); i++)
        (void)seccomp_rule_add(f.ctx, SCMP_ACT_ALLOW,
                               seccomp_syscall_resolve_name(sanitizer_calls[i]), 0);
    if (sigaction(SIGSYS, &refused, NULL) != 0)
        domain_fatal("SIGSYS: %s", strerror(errno));
    int err = seccomp_load(f.ctx);
    if (err != 0)
        domain_fatal("seccomp: %s", strerror(-err));
    /* ctx stays: freeing it may call the kernel in a way that was just given up. */
}
