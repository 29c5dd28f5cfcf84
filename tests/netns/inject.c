/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inject.c: makes a running process call the kernel: what somebody who took it over would do.
 *
 *   inject PID NUMBER [ARGUMENT]...
 *
 * Prints "made". Of x86-64 only; elsewhere it exits with 77.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
/* The process is interrupted in a call of its own (it sleeps most of the time) or in between.
 * In the first case the instruction behind which it stands is a system call's; it is gone
 * back to. */
static int
make_call(pid_t pid, int n, char **word)
{
    struct user_regs_struct regs;
    int status;
    for (unsigned tries = 0; tries < 1000; tries++) {
        if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid ||
            !WIFSTOPPED(status) || ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0)
            return 1;
        long code = ptrace(PTRACE_PEEKTEXT, pid, regs.rip - 2, NULL);
        if ((code & 0xffff) == 0x050f) {
            unsigned long long *arg[] = {&regs.rdi, &regs.rsi, &regs.rdx,
                                         &regs.r10, &regs.r8,  &regs.r9};
            regs.rip -= 2;
            regs.orig_rax = ~0ull;
            regs.rax = strtoull(word[0], NULL, 0);
            for (int i = 1; i < n && i <= 6; i++)
                *arg[i - 1] = strtoull(word[i], NULL, 0);
            return ptrace(PTRACE_SETREGS, pid, NULL, &regs) != 0 ||
                   ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0;
        }
        if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0)
            return 1;
        usleep(1000);
    }
    return 1;
}
#endif

int
main(int argc, char **argv)
{
#ifdef __x86_64__
    pid_t pid = argc >= 3 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
    if (pid > 0 && ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 &&
        make_call(pid, argc - 2, argv + 2) == 0) {
        puts("made");
        return 0;
    }
    perror("inject");
    return 1;
#else
    (void)argc;
    (void)argv;
    return 77;
#endif
}
