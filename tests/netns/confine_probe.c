/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine_probe.c: a domain that turned hostile. Started as
 *
 *   confine_probe DOMAIN ATTEMPT
 *
 * it runs itself as that domain, confined like the real one, lets it try one thing, and
 * prints how it ended: "exit N" or "signal N", and what the domain told its supervisor.
 * Without arguments it lists the attempts.
 */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domains/domain.h"
#include "domains/spawn.h"

#define SURVIVED 42

static void
do_nothing(void)
{
}
static void
do_open(void)
{
    (void)open("/", O_RDONLY);
}
static void
do_socket(void)
{
    (void)socket(AF_INET, SOCK_STREAM, 0);
}
static void
do_send_data(void)
{
    (void)sendto(DOMAIN_CTL_FD, "x", 1, 0, NULL, 0);
}
static void
do_fork(void)
{
    (void)fork();
}
static void
do_exec(void)
{
    char *const none[] = {NULL};
    (void)execve("/bin/sh", none, none);
}
static void
do_mmap(void)
{
    (void)!mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void
do_mmap_exec(void)
{
    (void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void
do_mprotect(void)
{
    static _Alignas(4096) char page[4096];
    (void)mprotect(page, sizeof page, PROT_READ | PROT_EXEC);
}
static void
do_ptrace(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static void
do_kill(void)
{
    (void)kill(-1, 0);
}
static void
do_mount(void)
{
    (void)mount("none", "/", "tmpfs", 0, NULL);
}
static void
do_unshare(void)
{
    (void)unshare(CLONE_NEWUSER);
}
static void
do_setuid(void)
{
    (void)!setuid(0);
}
static void
do_prctl(void)
{
    (void)prctl(PR_SET_DUMPABLE, 1);
}
static void
do_ioctl(void)
{
    int n;
    (void)ioctl(STDERR_FILENO, FIONREAD, &n);
}
static void
do_dup(void)
{
    (void)fcntl(DOMAIN_CTL_FD, F_DUPFD, 10);
}
static void
do_seals(void)
{
    (void)fcntl(DOMAIN_CTL_FD, F_GET_SEALS);
}
static void
do_memfd(void)
{
    (void)memfd_create("x", 0);
}
static void
do_bpf(void)
{
    (void)syscall(SYS_bpf, 0, NULL, 0);
}
static void
do_io_uring(void)
{
    (void)syscall(SYS_io_uring_setup, 1, NULL);
}
static void
do_old_abi(void) /* the numbers of another machine's system calls */
{
#ifdef __x86_64__
    long r = 20; /* getpid of i386 */
    __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
#else
    raise(SIGSYS);
#endif
}
static void
do_assert(void)
{
    volatile int zero = 0;
    assert(zero == 1);
}
static void
do_fatal(void)
{
    domain_fatal("it is all over, because of %d", 17);
}

static const struct {
    const char *name;
    void (*run)(void);
} attempts[] = {
    {"nothing", do_nothing},   {"open", do_open},
    {"socket", do_socket},     {"send-data", do_send_data},
    {"fork", do_fork},         {"exec", do_exec},
    {"mmap", do_mmap},         {"mmap-exec", do_mmap_exec},
    {"mprotect", do_mprotect}, {"ptrace", do_ptrace},
    {"kill", do_kill},         {"mount", do_mount},
    {"unshare", do_unshare},   {"setuid", do_setuid},
    {"prctl", do_prctl},       {"ioctl", do_ioctl},
    {"dup", do_dup},           {"seals", do_seals},
    {"memfd", do_memfd},       {"bpf", do_bpf},
    {"io-uring", do_io_uring}, {"old-abi", do_old_abi},
    {"assert", do_assert},     {"fatal", do_fatal},
};

static bool
turn(struct domain *d, ns_t now)
{
    (void)now;
    attempts[(uintptr_t)d->self].run();
    _exit(SURVIVED);
}

static ns_t
deadline(struct domain *d)
{
    (void)d;
    return NS_NEVER;
}

/* In the child: as much of a domain as the loop needs. The instance names the attempt. */
static _Noreturn void
be_domain(const char *name, const char *attempt)
{
    static const struct domain_ops ops = {.turn = turn, .deadline = deadline};
    static struct stats stats;
    static struct domain d;
    uintptr_t which = 0;

    while (strcmp(attempts[which].name, attempt) != 0)
        which++;
    d = (struct domain){.stats = &stats, .ctl_fd = DOMAIN_CTL_FD, .xsk_fd = -1};
    while (strcmp(domain_name(d.cfg.domain), name) != 0)
        d.cfg.domain++;
    d.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (d.epoll_fd < 0 || domain_watch(&d, d.ctl_fd, &d) != 0)
        domain_fatal("epoll");
    domain_run(&d, &ops, (void *)which);
}

static bool
known(const char *domain, const char *attempt)
{
    bool a = false, b = false;
    for (unsigned i = 0; i < DOM_COUNT; i++)
        a |= strcmp(domain_name(i), domain) == 0;
    for (unsigned i = 0; i < ARRAY_LEN(attempts); i++)
        b |= strcmp(attempts[i].name, attempt) == 0;
    return a && b;
}

int
main(int argc, char **argv)
{
    int pair[2], pidfd, status, fd[CTL_FDS_MAX];
    struct ctl_msg m;

    if (strncmp(argv[0], "bulkhead-", 9) == 0 && argc == 2)
        be_domain(argv[0] + 9, argv[1]);
    for (unsigned i = 0; argc == 1 && i < ARRAY_LEN(attempts); i++)
        puts(attempts[i].name);
    if (argc != 3 || !known(argv[1], argv[2]))
        return argc == 1 ? 0 : 2;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return 1;
    pid_t pid = spawn_domain("/proc/self/exe", argv[1], argv[2], 65534, 65534, pair[1], &pidfd);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    close(pair[1]);
    if (WIFSIGNALED(status))
        printf("signal %d\n", WTERMSIG(status));
    else
        printf("exit %d\n", WEXITSTATUS(status));
    while (ctl_recv(pair[0], &m, fd) == 1)
        printf("%s\n", m.type == CTL_READY    ? "ready"
                       : m.type == CTL_NOTICE ? m.text.text
                                              : "?");
    return 0;
}
