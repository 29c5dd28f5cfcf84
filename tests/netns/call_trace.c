/* SPDX-License-Identifier: BSD-2-Clause
 *
 * call_trace.c: which system calls do confined processes really make? Started as
 *
 *   call_trace FILE PROGRAM [ARGUMENT]...
 *
 * it runs the program and everything that it starts under ptrace. From the moment on at which a
 * process installed a filter, its calls are noted by the name of the process: "bulkhead-tcp
 * mmap". They are written to FILE, each once, as soon as it is seen. Ends as the program does.
 *
 * A program is told at its start that there is no vDSO, so that what it usually answers shows
 * as the call that it stands for.
 */
#include <elf.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 256
#define CALLS_MAX 512
#define OPTIONS                                                                                \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |  \
     PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

static struct process {
    pid_t pid;
    bool confined, installs;
    char name[20];
    uint8_t seen[CALLS_MAX];
} table[PROCESSES_MAX];

static FILE *out;

static struct process *
find(pid_t pid)
{
    struct process *none = NULL;
    for (unsigned i = 0; i < PROCESSES_MAX; i++) {
        if (table[i].pid == pid)
            return &table[i];
        if (table[i].pid == 0 && none == NULL)
            none = &table[i];
    }
    if (none == NULL) {
        fputs("call_trace: too many processes\n", stderr);
        exit(1);
    }
    *none = (struct process){.pid = pid};
    return none;
}

static void
read_name(struct process *p)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)p->pid);
    FILE *f = fopen(path, "re");
    if (f == NULL || fgets(p->name, sizeof p->name, f) == NULL)
        snprintf(p->name, sizeof p->name, "?");
    p->name[strcspn(p->name, "\n")] = '\0';
    if (f != NULL)
        fclose(f);
}

static void
note(struct process *p, uint64_t nr)
{
    if (nr >= CALLS_MAX || p->seen[nr])
        return;
    p->seen[nr] = 1;
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)nr);
    fprintf(out, "%s %s\n", p->name, name != NULL ? name : "?");
    fflush(out);
    free(name);
}

/* At the entry to a call and at its return. */
static void
on_call(struct process *p)
{
    struct __ptrace_syscall_info i;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof i, &i) <= 0)
        return;
    if (i.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (p->installs && i.exit.rval == 0) {
            p->confined = true;
            read_name(p);
        }
        p->installs = false;
        return;
    }
    if (i.op != PTRACE_SYSCALL_INFO_ENTRY && i.op != PTRACE_SYSCALL_INFO_SECCOMP)
        return;
    if (p->confined)
        note(p, i.entry.nr);
    p->installs = (i.entry.nr == SYS_seccomp && i.entry.args[0] == SECCOMP_SET_MODE_FILTER) ||
                  (i.entry.nr == SYS_prctl && i.entry.args[0] == PR_SET_SECCOMP);
}

/* At exec: blot out the vDSO in the auxiliary vector, which stands on the new stack behind the
 * arguments and the environment. */
static void
hide_vdso(pid_t pid)
{
#ifdef __x86_64__
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0)
        return;
    unsigned long at = regs.rsp, type;
    long argc = ptrace(PTRACE_PEEKDATA, pid, at, NULL);
    at += (unsigned long)(argc + 2) * sizeof(long);
    while (ptrace(PTRACE_PEEKDATA, pid, at, NULL) != 0)
        at += sizeof(long);
    at += sizeof(long);
    while ((type = (unsigned long)ptrace(PTRACE_PEEKDATA, pid, at, NULL)) != AT_NULL) {
        if (type == AT_SYSINFO_EHDR)
            (void)ptrace(PTRACE_POKEDATA, pid, at, AT_IGNORE);
        at += 2 * sizeof(long);
    }
#else
    (void)pid;
#endif
}

/* A stop of a traced process; what it is to be sent when it goes on. */
static int
on_stop(struct process *p, int status)
{
    int sig = WSTOPSIG(status), event = status >> 16;
    if (sig == (SIGTRAP | 0x80)) {
        on_call(p);
        return 0;
    }
    if (event == PTRACE_EVENT_EXEC)
        hide_vdso(p->pid);
    /* Stops of a new child, of an event, and of the group are nobody's signals. */
    return event != 0 ? 0 : sig;
}

int
main(int argc, char **argv)
{
    if (argc < 3 || (out = fopen(argv[1], "we")) == NULL) {
        fputs("usage: call_trace FILE PROGRAM [ARGUMENT]...\n", stderr);
        return 2;
    }
    pid_t first = fork();
    if (first == 0) {
        raise(SIGSTOP);
        execv(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    int status, result = 1;
    if (first < 0 || waitpid(first, &status, WUNTRACED) != first ||
        ptrace(PTRACE_SEIZE, first, NULL, OPTIONS) != 0) {
        perror("call_trace");
        return 1;
    }
    kill(first, SIGCONT);
    signal(SIGTERM, SIG_IGN); /* who stops the program signals it itself */
    signal(SIGINT, SIG_IGN);
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (pid <= 0)
            continue;
        struct process *p = find(pid);
        if (!WIFSTOPPED(status)) {
            p->pid = 0;
            if (pid == first)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int sig = on_stop(p, status);
        (void)ptrace(PTRACE_SYSCALL, pid, NULL, sig);
    }
    return result;
}
