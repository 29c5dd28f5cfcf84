/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hang.c: makes a running domain hang, and says how long it is left to.
 *
 *   hang spin PID          its next instruction becomes a jump to itself
 *   hang stop PID          it is stopped (SIGSTOP)
 *   hang hold PID MS       it is held as a debugger holds it, for so long, and let go again
 *
 * The text of a program is private to each process, so its successor runs the real one. Prints,
 * of "spin" and "stop", "NAME MS" lines: wall, from the hang to the end of the process; cpu,
 * the processor time that the process had in between; late, by how much in all a process that
 * sleeps for a millisecond at a time, as we do, was woken too late: what the machine owes to
 * everybody.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_MS 1000000ull
#define PATIENCE (20000 * NS_MS)

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000 * NS_MS + (uint64_t)t.tv_nsec;
}

static bool
hold(pid_t pid)
{
    int status;
    return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 &&
           ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 &&
           waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status);
}

#ifdef __x86_64__
static bool
spin(pid_t pid)
{
    struct user_regs_struct r;
    if (!hold(pid) || ptrace(PTRACE_GETREGS, pid, NULL, &r) != 0)
        return false;
    r.orig_rax = (unsigned long long)-1; /* no system call is to begin again */
    errno = 0;
    long word = ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)r.rip, NULL);
    if (errno != 0)
        return false;
    word = (long)(((unsigned long)word & ~0xfffful) | 0xfeebul); /* jmp to itself */
    return ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)r.rip, (void *)word) == 0 &&
           ptrace(PTRACE_SETREGS, pid, NULL, &r) == 0 &&
           ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0;
}
#else
static bool
spin(pid_t pid)
{
    (void)pid;
    return false;
}
#endif

static bool
hold_for(pid_t pid, unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000 * NS_MS)};
    return hold(pid) && nanosleep(&t, NULL) == 0 && ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0;
}

static int
watch(pid_t pid, int pidfd, clockid_t clock)
{
    uint64_t from = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(clock), late = 0, used = 0;
    for (uint64_t at = from, now;; at = now) {
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        int n = poll(&p, 1, 1);
        now = clock_ns(CLOCK_MONOTONIC);
        if (n > 0)
            break;
        late += now - at > 2 * NS_MS ? now - at - 2 * NS_MS : 0;
        uint64_t c = clock_ns(clock);
        used = c > cpu ? c - cpu : used;
        if (now - from > PATIENCE) {
            fprintf(stderr, "process %d is still there\n", (int)pid);
            return 1;
        }
    }
    printf("wall %llu\ncpu %llu\nlate %llu\n",
           (unsigned long long)((clock_ns(CLOCK_MONOTONIC) - from) / NS_MS),
           (unsigned long long)(used / NS_MS), (unsigned long long)(late / NS_MS));
    return 0;
}

int
main(int argc, char **argv)
{
    clockid_t clock;
    if (argc < 3)
        return 2;
    pid_t pid = atoi(argv[2]);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 || clock_getcpuclockid(pid, &clock) != 0) {
        perror("hang");
        return 1;
    }
    bool ok = strcmp(argv[1], "spin") == 0   ? spin(pid)
              : strcmp(argv[1], "stop") == 0 ? kill(pid, SIGSTOP) == 0
              : argc == 4                    ? hold_for(pid, (unsigned)atoi(argv[3]))
                                             : false;
    if (!ok) {
        perror("hang");
        return 1;
    }
    return argc == 4 ? 0 : watch(pid, pidfd, clock);
}
