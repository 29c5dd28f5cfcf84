/* SPDX-License-Identifier: BSD-2-Clause */
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u /* Linux 6.3 */
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int
memfd(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* a kernel that does not know the flag */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

/* A second open file description of fd that cannot be mapped writable. */
static int
reopen_readonly(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int
region_create(struct region *r, const char *name, size_t size)
{
    *r = (struct region){.fd_rw = -1, .fd_ro = -1, .size = size};
    if (size == 0 || size > PTRDIFF_MAX)
        return -EINVAL;
    r->fd_rw = memfd(name);
    /* The mode is taken away before anybody else has a descriptor: who holds the read-only
     * one and is not the owner can then not open the file again for writing. */
    if (r->fd_rw < 0 || fchmod(r->fd_rw, 0400) != 0 || ftruncate(r->fd_rw, (off_t)size) != 0 ||
        (r->fd_ro = reopen_readonly(r->fd_rw)) < 0 ||
        fcntl(r->fd_rw, F_ADD_SEALS, SEALS) != 0) {
        int err = errno;
        region_close(r);
        return -err;
    }
    return 0;
}

int
region_memory(const char *name, size_t size)
{
    int fd = memfd(name);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        return fd;
    int err = errno;
    if (fd >= 0)
        close(fd);
    return -err;
}

void
region_close(struct region *r)
{
    if (r->fd_rw >= 0)
        close(r->fd_rw);
    if (r->fd_ro >= 0)
        close(r->fd_ro);
    r->fd_rw = r->fd_ro = -1;
}

/* A file that could shrink would turn a read into a SIGBUS. */
static bool
sealed_to(int fd, size_t size)
{
    int seals = fcntl(fd, F_GET_SEALS); /* EINVAL if it is no memfd at all */
    if (seals < 0)
        return false;
    /* Of one system call on every machine, which the C library's fstat is not. */
    off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0 || (size_t)end != size) {
        errno = EINVAL;
        return false;
    }
    if ((seals & SEALS) != SEALS) {
        errno = EPERM;
        return false;
    }
    return true;
}

void *
region_map(int fd, size_t size, bool writable, void *at)
{
    if (size == 0) {
        errno = EINVAL;
        return NULL;
    }
    if (!sealed_to(fd, size))
        return NULL;
    void *p = mmap(at, size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                   at != NULL ? MAP_SHARED | MAP_FIXED : MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void *
region_reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}
