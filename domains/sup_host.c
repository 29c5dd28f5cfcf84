/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_host.c: what the host must be like before anything is made, the lock that keeps a second
 * daemon of the same name away, and the sockets that the daemon is found by. Every refusal says
 * what to do about it.
 */
#include "sup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/exit_codes.h"

/* Does the kernel's own stack have the address, on any interface here? */
static int
kernel_has_address(const struct sup_conf *c, char *err, size_t err_len)
{
    struct ifaddrs *list, *i;
    uint32_t want = ipaddr_to_u32(&c->addr);
    int rc = 0;
    if (getifaddrs(&list) != 0)
        return 0;
    for (i = list; i != NULL && rc == 0; i = i->ifa_next) {
        struct sockaddr_in sin;
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET)
            continue;
        memcpy(&sin, i->ifa_addr, sizeof sin);
        if (ntohl(sin.sin_addr.s_addr) != want)
            continue;
        char text[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &sin.sin_addr, text, sizeof text);
        snprintf(
            err, err_len,
            "the kernel's own stack has the address %s, on %s; give the stack another one, "
            "or take it from the kernel: ip address del %s/%u dev %s",
            text, i->ifa_name, text, c->prefix, i->ifa_name);
        rc = EXIT_ADDRESS_TAKEN;
    }
    freeifaddrs(list);
    return rc;
}

int
sup_host_check(struct sup *s, char *err, size_t err_len)
{
    if (geteuid() != 0) {
        snprintf(err, err_len,
                 "must be started as root (its domains run without any privilege); try sudo");
        return EXIT_PRIVILEGE;
    }
    int rc = netif_probe(&s->nif, s->conf.interface, err, err_len);
    if (rc == 0 && s->conf.driver == DRIVER_XDP)
        rc = netif_one_queue(&s->nif, err, err_len);
    return rc != 0 ? rc : kernel_has_address(&s->conf, err, err_len);
}

/* ---- the programs of the domains ---- */

int
sup_find_programs(struct sup *s, char *err, size_t err_len)
{
    char here[400];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    here[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(here, '/');
    if (slash != NULL)
        *slash = '\0';
    for (unsigned d = 0; d < DOM_COUNT; d++) {
        char *path = s->dom[d].path;
        size_t len = sizeof s->dom[d].path;
        if (!sup_present(s, d))
            continue;
        snprintf(path, len, "%s/bulkhead-%s", here, domain_name(d)); /* a build tree */
        if (access(path, X_OK) != 0)
            snprintf(path, len, "%s/bulkhead-%s", PKGLIBEXECDIR, domain_name(d));
        s->dom[d].program = open(path, O_PATH | O_CLOEXEC);
        if (s->dom[d].program >= 0 && access(path, X_OK) == 0)
            continue;
        snprintf(err, err_len,
                 "bulkhead-%s is neither in %s nor in %s: was this built without the %s "
                 "composition?",
                 domain_name(d), here, PKGLIBEXECDIR,
                 s->conf.composition == COMP_FACTORED ? "factored" : "monolithic");
        return EXIT_OTHER;
    }
    return 0;
}

/* ---- one daemon of a name ---- */

static void
make_run_dir(const char *file)
{
    char dir[108];
    snprintf(dir, sizeof dir, "%s", file);
    for (char *at = dir + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(dir, 0755); /* opening the lock tells if this failed */
        *at = '/';
    }
}

/* Take the lock of the file at the path: somebody may unlink it between our open and our
 * lock, and then what we hold is a file that nobody else sees. Returns -EWOULDBLOCK if it is
 * held. */
static int
lock_file(const char *path, int *out)
{
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        struct stat mine, there;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int e = -errno;
            *out = fd;
            return e;
        }
        if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev) {
            *out = fd;
            return 0;
        }
        close(fd);
    }
    return -EBUSY;
}

int
sup_lock(struct sup *s, char *err, size_t err_len)
{
    const char *name = s->conf.instance;
    int fd = -1;
    if (!ctl_socket_path(s->lock_path, sizeof s->lock_path, name, "lock") ||
        !ctl_socket_path(s->sock_path, sizeof s->sock_path, name, "sock") ||
        !ctl_socket_path(s->ctl_path, sizeof s->ctl_path, name, "ctl")) {
        snprintf(err, err_len, "instance \"%s\": the path of its sockets is too long", name);
        return EXIT_CONFIG;
    }
    make_run_dir(s->lock_path);
    int e = lock_file(s->lock_path, &fd);
    if (e == -EWOULDBLOCK) {
        char text[32] = "";
        ssize_t n = read(fd, text, sizeof text - 1);
        int pid = n > 0 ? atoi(text) : 0;
        close(fd);
        snprintf(
            err, err_len,
            "instance \"%s\" runs already (pid %d); stop it, or give this one another name "
            "with --instance",
            name, pid);
        return EXIT_RUNNING;
    }
    if (e != 0) {
        snprintf(err, err_len, "cannot lock %s: %s", s->lock_path, strerror(-e));
        return EXIT_OTHER;
    }
    s->lock_fd = fd;
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        sup_log("cannot write %s: %s", s->lock_path, strerror(errno));
    return 0;
}

void
sup_unlock(struct sup *s)
{
    if (s->lock_fd < 0)
        return;
    unlink(s->lock_path);
    close(s->lock_fd);
    s->lock_fd = -1;
}

int
sup_socket(const char *path, int type, mode_t mode, int backlog)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sun.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sun.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    unlink(path);                     /* we hold the lock: what is left of it is stale */
    mode_t old = umask(~mode & 0777); /* never open to more, not even for a moment */
    int rc = bind(fd, (struct sockaddr *)&sun, sizeof sun);
    umask(old);
    if (rc == 0 && listen(fd, backlog) == 0)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}
