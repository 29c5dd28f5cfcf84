/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Regions: what a holder of one of the two descriptors can and cannot do.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/region.h"

#define SIZE (3 * 4096u)

static struct region
make(void)
{
    struct region r;
    cr_assert_eq(region_create(&r, "test", SIZE), 0);
    return r;
}

static unsigned
open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    cr_assert_not_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* Protects: both descriptors show the same zeroed bytes, and die at exec. */
Test(region, is_one_memory_behind_two_descriptors)
{
    struct region r = make();
    uint8_t *w = region_map(r.fd_rw, SIZE, true, NULL);
    const uint8_t *ro = region_map(r.fd_ro, SIZE, false, NULL);
    cr_assert_not_null(w);
    cr_assert_not_null(ro);
    for (size_t i = 0; i < SIZE; i++)
        cr_assert_eq(ro[i], 0);
    w[SIZE - 1] = 42;
    cr_assert_eq(ro[SIZE - 1], 42);
    cr_assert(fcntl(r.fd_rw, F_GETFD) & FD_CLOEXEC);
    cr_assert(fcntl(r.fd_ro, F_GETFD) & FD_CLOEXEC);
    region_close(&r);
    cr_assert_eq(r.fd_rw, -1);
    cr_assert_eq(ro[SIZE - 1], 42, "a mapping outlives its descriptor");
}

/* Protects: the read-only descriptor gives no way to write. */
Test(region, read_only_stays_read_only)
{
    struct region r = make();
    cr_assert_null(region_map(r.fd_ro, SIZE, true, NULL));
    cr_assert_eq(errno, EACCES);
    void *ro = region_map(r.fd_ro, SIZE, false, NULL);
    cr_assert_not_null(ro);
    cr_assert_eq(mprotect(ro, SIZE, PROT_READ | PROT_WRITE), -1);
    cr_assert_eq(write(r.fd_ro, "x", 1), -1);
    cr_assert_neq(fcntl(r.fd_ro, F_SETFL, O_RDWR), -1); /* ignores the access mode */
    cr_assert_eq(fcntl(r.fd_ro, F_GETFL) & O_ACCMODE, O_RDONLY);
}

/* Protects: no holder changes the size, adds a seal, or opens the file anew for writing.
 * The last needs a process that is neither root nor the owner. */
Test(region, size_seals_and_mode_hold)
{
    struct region r = make();
    struct stat st;
    cr_assert_eq(ftruncate(r.fd_rw, SIZE + 4096), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(ftruncate(r.fd_rw, SIZE - 4096), -1);
    cr_assert_eq(fcntl(r.fd_rw, F_ADD_SEALS, F_SEAL_WRITE), -1);
    cr_assert_eq(fstat(r.fd_rw, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0400);
    if (geteuid() != 0)
        cr_skip_test("needs root, to become somebody else");
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", r.fd_ro);
        if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
            _exit(1);
        if (open(path, O_RDWR) >= 0 || errno != EACCES)
            _exit(2);
        if (fchmod(r.fd_ro, 0666) == 0)
            _exit(3);
        _exit(region_map(r.fd_ro, SIZE, false, NULL) != NULL ? 0 : 4);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

/* Protects: whoever maps. What is not a sealed memfd of exactly the size is refused: it
 * could shrink and turn a read into a SIGBUS. */
Test(region, map_refuses_what_could_shrink)
{
    struct region r = make();
    cr_assert_null(region_map(r.fd_rw, SIZE + 4096, false, NULL));
    cr_assert_null(region_map(r.fd_rw, SIZE - 4096, false, NULL));
    cr_assert_null(region_map(r.fd_rw, 0, false, NULL));
    cr_assert_null(region_map(-1, SIZE, false, NULL));
    cr_assert_eq(errno, EBADF);

    static const unsigned too_few[] = {0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW,
                                       F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_SEAL};
    for (unsigned i = 0; i < ARRAY_LEN(too_few); i++) {
        int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        cr_assert_eq(ftruncate(fd, SIZE), 0);
        if (too_few[i] != 0)
            cr_assert_eq(fcntl(fd, F_ADD_SEALS, too_few[i]), 0);
        cr_assert_null(region_map(fd, SIZE, false, NULL), "seals %u", too_few[i]);
        cr_assert_eq(errno, EPERM);
        close(fd);
    }
    char name[] = "/tmp/bulkhead-test-XXXXXX";
    int file = mkstemp(name);
    cr_assert_geq(file, 0);
    unlink(name);
    cr_assert_eq(ftruncate(file, SIZE), 0);
    cr_assert_null(region_map(file, SIZE, false, NULL), "a plain file");
    int p[2];
    cr_assert_eq(pipe(p), 0);
    cr_assert_null(region_map(p[0], SIZE, false, NULL));
}

/* Protects: mapping into a reserved range lands exactly there, and the rest of the range
 * stays inaccessible. */
Test(region, maps_where_it_is_told)
{
    struct region r = make();
    uint8_t *range = region_reserve(4 * SIZE);
    cr_assert_not_null(range);
    uint8_t *at = region_map(r.fd_rw, SIZE, true, range + SIZE);
    cr_assert_eq(at, range + SIZE);
    at[0] = 7;
    int p[2];
    cr_assert_eq(pipe(p), 0);
    cr_assert_eq(write(p[1], range, 1), -1, "still inaccessible in front");
    cr_assert_eq(errno, EFAULT);
    cr_assert_eq(write(p[1], at + SIZE, 1), -1, "and behind");
    cr_assert_eq(write(p[1], at, 1), 1);
}

/* Protects: a failed creation leaves nothing open. */
Test(region, leaves_nothing_behind_on_failure)
{
    struct region r;
    unsigned before = open_fds();
    cr_assert_eq(region_create(&r, "zero", 0), -EINVAL);
    cr_assert_eq(region_create(&r, "huge", SIZE_MAX), -EINVAL);
    char name[300];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    cr_assert_lt(region_create(&r, name, SIZE), 0);
    cr_assert_eq(open_fds(), before);

    /* the memfd can be opened, its second description cannot */
    int probe = dup(0);
    struct rlimit saved, tight;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
    tight = saved;
    tight.rlim_cur = (rlim_t)probe + 1;
    close(probe);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int err = region_create(&r, "tight", SIZE);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
    cr_assert_eq(err, -EMFILE);
    cr_assert_eq(r.fd_rw, -1);
    cr_assert_eq(open_fds(), before);
}
