/* SPDX-License-Identifier: BSD-2-Clause */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain.h"

#define EXEC_FD (DOMAIN_CTL_FD + 1)

struct child {
    const char *name, *instance;
    int exec_fd, ctl_fd, go_fd;
};

static _Noreturn void
child_fails(const struct child *c, const char *what)
{
    dprintf(STDERR_FILENO, "bulkhead-%s: %s: %s\n", c->name, what, strerror(errno));
    _exit(127);
}

/* Between clone and exec. Runs on the parent's stack copy; calls nothing that takes a lock. */
static _Noreturn void
child_main(const struct child *c)
{
    char argv0[32], byte;
    sigset_t none;
    int devnull;

    if (read(c->go_fd, &byte, 1) != 1) /* until the identity maps are written */
        _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (devnull < 0 || dup2(devnull, STDIN_FILENO) < 0 || dup2(devnull, STDOUT_FILENO) < 0)
        child_fails(c, "/dev/null");
    /* Two descriptors change places: through copies above both of them. */
    int ctl = fcntl(c->ctl_fd, F_DUPFD, EXEC_FD + 1);
    int exe = fcntl(c->exec_fd, F_DUPFD, EXEC_FD + 1);
    if (ctl < 0 || exe < 0 || dup2(ctl, DOMAIN_CTL_FD) < 0 ||
        dup3(exe, EXEC_FD, O_CLOEXEC) < 0 || close_range(EXEC_FD + 1, ~0u, 0) != 0)
        child_fails(c, "descriptors");
    if (setgroups(0, NULL) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
        child_fails(c, "identity");
    snprintf(argv0, sizeof argv0, "bulkhead-%s", c->name);
    char *const argv[] = {argv0, (char *)c->instance, NULL};
    char *const envp[] = {NULL};
    syscall(SYS_execveat, EXEC_FD, "", argv, envp, AT_EMPTY_PATH);
    child_fails(c, "exec");
}

/* 0 of the new user namespace is `id` of ours; nobody else exists in it. */
static int
write_map(pid_t pid, const char *which, unsigned id)
{
    char path[48], line[32];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, which);
    int len = snprintf(line, sizeof line, "0 %u 1\n", id);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = write(fd, line, (size_t)len) == len ? 0 : -errno;
    close(fd);
    return err;
}

static pid_t
clone_into_namespaces(int *pidfd)
{
    struct clone_args args = {
        .flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

pid_t
spawn_domain(const char *path, const char *name, const char *instance, uid_t uid, gid_t gid,
             int ctl_fd, int *pidfd)
{
    struct child c = {.name = name, .instance = instance, .ctl_fd = ctl_fd};
    int go[2], err;

    *pidfd = -1;
    /* By descriptor: the domain's uid need not reach the folder that the program lies in. */
    c.exec_fd = open(path, O_PATH | O_CLOEXEC);
    if (c.exec_fd < 0)
        return -errno;
    if (pipe2(go, O_CLOEXEC) != 0) {
        err = -errno;
        close(c.exec_fd);
        return err;
    }
    c.go_fd = go[0];
    pid_t pid = clone_into_namespaces(pidfd);
    if (pid == 0) {
        close(go[1]);
        child_main(&c);
    }
    err = pid < 0 ? -errno : 0;
    close(c.exec_fd);
    close(go[0]);
    if (err == 0)
        err = write_map(pid, "gid_map", gid);
    if (err == 0)
        err = write_map(pid, "uid_map", uid);
    if (err == 0 && write(go[1], "", 1) != 1)
        err = -errno;
    close(go[1]);
    if (err == 0)
        return pid;
    if (pid > 0) { /* it reads the end of the pipe and ends */
        waitpid(pid, NULL, 0);
        close(*pidfd);
        *pidfd = -1;
    }
    return err;
}
