/* SPDX-License-Identifier: BSD-2-Clause
 *
 * want_wakeup.c: does what the driver of an interface without copies does when it runs out of
 * receive frames: sets the word in the fill ring that asks to be called. Started as
 *
 *   want_wakeup PID
 *
 * with a process that holds the AF_XDP socket (the supervisor); takes the word back after a
 * second. Prints "asked".
 */
#include <linux/if_xdp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX 1024

int
main(int argc, char **argv)
{
    int pidfd = argc == 2 ? (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0) : -1;
    for (int n = 0; pidfd >= 0 && n < FILES_MAX; n++) {
        struct xdp_mmap_offsets o;
        socklen_t len = sizeof o;
        int fd = (int)syscall(SYS_pidfd_getfd, pidfd, n, 0);
        if (fd < 0)
            continue;
        if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &o, &len) != 0) {
            close(fd);
            continue;
        }
        uint8_t *p = mmap(NULL, o.fr.desc, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                          (off_t)XDP_UMEM_PGOFF_FILL_RING);
        if (p == MAP_FAILED)
            break;
        volatile uint32_t *flags = (volatile uint32_t *)(void *)(p + o.fr.flags);
        *flags |= XDP_RING_NEED_WAKEUP;
        puts("asked");
        fflush(stdout);
        sleep(1);
        *flags &= ~(uint32_t)XDP_RING_NEED_WAKEUP;
        return 0;
    }
    fputs("want_wakeup: this process has no AF_XDP socket\n", stderr);
    return 1;
}
