/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library's attach against a supervisor that answers anything: garbage, too few
 * descriptors, regions that are none, that could shrink, that are of another size. The call
 * fails with an errno, maps nothing, and leaves no descriptor behind.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/bell.h"
#include "ipc/ctl.h"
#include "ipc/region.h"
#include "lib/client/bulkhead.h"

enum reply {
    HANG_UP,
    NOISE,
    STRETCHED,
    DENIED_STRANGELY,
    FEW_FDS,
    NO_REGIONS,   /* something else in their place */
    PIPES,        /* the same */
    UNSEALED,     /* memory that could shrink */
    SHRINKABLE,   /* sealed, but not against that */
    SMALL,        /* sealed, a page less than was said */
    GROWN,        /* a page more */
    OTHER_ACCESS, /* the client half is read-only */
    GOOD,         /* and then hangs up: shows that the others fail for their own reason */
};

static const struct arena_geometry geometry = {
    .n_slots = 8, .n_tx_pages = 16, .n_rx_pages = 16, .n_req = 16, .n_evt = 16};

static int
memory(size_t size, int seals)
{
    int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0)
        abort();
    return fd;
}

static void
welcome(int s, enum reply how)
{
    struct ctl_msg m = {.type = CTL_WELCOME, .client = {.g = geometry}};
    struct region r[2];
    int fd[CTL_FDS_MAX], bell[2][2];
    int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    size_t size[2] = {arena_client_bytes(&geometry), arena_domain_bytes(&geometry)};
    if (bell_pipe(bell[0]) != 0 || bell_pipe(bell[1]) != 0)
        abort();
    for (unsigned i = 0; i < 2; i++) {
        if (region_create(&r[i], "half", size[i]) != 0)
            abort();
        fd[i] = dup(i == 0 && how != OTHER_ACCESS ? r[i].fd_rw : r[i].fd_ro);
        region_close(&r[i]);
    }
    int other = how == NO_REGIONS   ? open("/dev/zero", O_RDWR | O_CLOEXEC)
                : how == PIPES      ? dup(bell[0][0])
                : how == UNSEALED   ? memory(size[1], 0)
                : how == SHRINKABLE ? memory(size[1], F_SEAL_GROW | F_SEAL_SEAL)
                : how == SMALL      ? memory(size[1] - 4096, all)
                : how == GROWN      ? memory(size[1] + 4096, all)
                                    : -1;
    if (other >= 0) {
        close(fd[1]);
        fd[1] = other;
    }
    fd[2] = bell[0][0];
    fd[3] = bell[1][1];
    fd[4] = bell[1][0];
    if (ctl_send(s, &m, fd) != 0)
        abort();
    for (unsigned i = 0; i < 2; i++) {
        close(fd[i]);
        close(bell[i][0]);
        close(bell[i][1]);
    }
}

/* FEW_FDS: a welcome with one descriptor where five belong. */
static void
say_few(int s)
{
    struct ctl_msg m = {.magic = CTL_MAGIC, .version = CTL_VERSION, .type = CTL_WELCOME};
    m.client.g = geometry;
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &m, .iov_len = ctl_bytes(CTL_WELCOME)};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.buf,
                        .msg_controllen = sizeof control.buf};
    struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cm), &s, sizeof s);
    (void)sendmsg(s, &mh, MSG_NOSIGNAL);
}

struct supervisor {
    int at;
    enum reply how;
};

static void *
supervise(void *arg)
{
    struct supervisor *sup = arg;
    struct ctl_msg m;
    static char noise[4000];
    int fd[CTL_FDS_MAX], s = accept(sup->at, NULL, NULL);
    if (s < 0 || ctl_recv(s, &m, fd) != 1)
        abort();
    switch (sup->how) {
    case HANG_UP: /* and for good: who attaches asks again otherwise */
        (void)shutdown(sup->at, SHUT_RDWR);
        break;
    case NOISE:
        (void)send(s, noise, sizeof noise, MSG_NOSIGNAL);
        break;
    case STRETCHED: { /* a good denial, and a byte more */
        struct ctl_msg d = {.magic = CTL_MAGIC, .version = CTL_VERSION, .type = CTL_DENIED};
        (void)send(s, &d, ctl_bytes(CTL_DENIED) + 1, MSG_NOSIGNAL);
        break;
    }
    case DENIED_STRANGELY: { /* a reason that there is none of, a text without an end */
        struct ctl_msg d = {.magic = CTL_MAGIC, .version = CTL_VERSION, .type = CTL_DENIED};
        d.text.arg = 4000000000u;
        memset(d.text.text, 'a', sizeof d.text.text);
        (void)send(s, &d, ctl_bytes(CTL_DENIED), MSG_NOSIGNAL);
        break;
    }
    case FEW_FDS:
        say_few(s);
        break;
    default:
        welcome(s, sup->how);
    }
    close(s);
    return NULL;
}

static unsigned
descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d != NULL && readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void
attach_to(enum reply how, int want)
{
    char dir[] = "/tmp/bulkhead-attach.XXXXXX";
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct supervisor sup = {.how = how};
    pthread_t t;
    cr_assert_not_null(mkdtemp(dir));
    setenv("BULKHEAD_RUN_DIR", dir, 1);
    setenv("BULKHEAD_INSTANCE", "foe", 1);
    cr_assert(ctl_socket_path(sun.sun_path, sizeof sun.sun_path, "foe", "sock"));
    sup.at = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(sup.at, (struct sockaddr *)&sun, sizeof sun), 0);
    cr_assert_eq(listen(sup.at, 1), 0);
    unsigned before = descriptors();
    cr_assert_eq(pthread_create(&t, NULL, supervise, &sup), 0);
    int fd = bh_socket(AF_INET, SOCK_STREAM, 0), err = errno;
    pthread_join(t, NULL);
    cr_assert_eq(fd, -1);
    if (want != 0)
        cr_assert_eq(err, want, "errno %d (%s): %s", err, strerror(err), bh_strerror_attach());
    if (how != GOOD)
        cr_assert_eq(descriptors(), before, "descriptors: %u before", before);
    close(sup.at);
    unlink(sun.sun_path);
    rmdir(dir);
}

#define CASE(name, how, want)                                                                  \
    Test(hostile_attach, name, .timeout = 30)                                                  \
    {                                                                                          \
        attach_to(how, want);                                                                  \
    }

CASE(hangs_up, HANG_UP, ECONNREFUSED)
CASE(noise, NOISE, EPROTO)
CASE(a_byte_too_many, STRETCHED, EPROTO)
CASE(denied_for_no_known_reason, DENIED_STRANGELY, EPROTO)
CASE(too_few_descriptors, FEW_FDS, EPROTO)
CASE(no_region, NO_REGIONS, EINVAL)
CASE(a_pipe_for_a_region, PIPES, EINVAL)
CASE(memory_that_is_not_sealed, UNSEALED, EPERM)
CASE(memory_that_can_shrink, SHRINKABLE, EPERM)
CASE(a_region_too_small, SMALL, EINVAL)
CASE(a_region_too_large, GROWN, EINVAL)
CASE(a_half_of_ours_that_we_cannot_write, OTHER_ACCESS, EACCES)
CASE(all_is_well_and_it_ends, GOOD, ENETDOWN)
