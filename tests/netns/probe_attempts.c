/* SPDX-License-Identifier: BSD-2-Clause */
#include "probe.h"

#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "domains/domain.h"
#include "domains/guard.h"

struct probe_held held;

static char buffer[4096];

/* ---- with arguments that only the running probe knows ---- */

#define CALL(name, ...)                                                                        \
    static void do_##name(void)                                                                \
    {                                                                                          \
        (void)syscall(__VA_ARGS__);                                                            \
    }
#define HIGH (1l << 32) /* above what the kernel looks at in a descriptor */

CALL(ring, SYS_write, held.bell_out, buffer, 1)
CALL(ring_twice, SYS_write, held.bell_out, buffer, 2)
CALL(ring_own, SYS_write, held.bell_in, buffer, 1)
CALL(ring_high, SYS_write, held.bell_out + HIGH, buffer, 1)
CALL(ring_client, SYS_write, held.client, buffer, 1)
CALL(ring_beyond, SYS_write, 1000000, buffer, 1)
CALL(drain, SYS_read, held.bell_in, buffer, 256)
CALL(drain_much, SYS_read, held.bell_in, buffer, 257)
CALL(read_ctl, SYS_read, DOMAIN_CTL_FD, buffer, 64)
CALL(write_ctl, SYS_write, DOMAIN_CTL_FD, buffer, 1)
CALL(write_stderr, SYS_write, STDERR_FILENO, buffer, 1)
CALL(close_ctl, SYS_close, DOMAIN_CTL_FD)
CALL(close_bell, SYS_close, held.bell_in)
CALL(end_ctl, SYS_shutdown, DOMAIN_CTL_FD, SHUT_WR)
CALL(end_reading, SYS_shutdown, held.client, SHUT_RD)
CALL(close_client, SYS_close, held.client)
CALL(close_high, SYS_close, DOMAIN_CTL_FD + HIGH)
CALL(wait_other, SYS_epoll_pwait2, held.client, buffer, 1, NULL, NULL, 8)
CALL(wait_mask, SYS_epoll_pwait2, held.epoll, buffer, 1, NULL, buffer, 8)
CALL(watch_client, SYS_epoll_ctl, held.epoll, EPOLL_CTL_ADD, held.client, buffer)
CALL(watch_bell, SYS_epoll_ctl, held.epoll, EPOLL_CTL_DEL, held.bell_in, buffer)
CALL(watch_change, SYS_epoll_ctl, held.epoll, EPOLL_CTL_MOD, held.client, buffer)
CALL(seals, SYS_fcntl, held.client, F_GET_SEALS)
CALL(seals_bell, SYS_fcntl, held.bell_in, F_GET_SEALS)
CALL(dup_client, SYS_fcntl, held.client, F_DUPFD, 0)
CALL(blocking, SYS_fcntl, held.bell_in, F_SETFL, 0)
CALL(size, SYS_lseek, held.client, 0, SEEK_END)
CALL(seek, SYS_lseek, held.client, 4096, SEEK_SET)
CALL(kick, SYS_sendto, held.xsk, NULL, 0, MSG_DONTWAIT, NULL, 0)
CALL(kick_in, SYS_recvfrom, held.xsk, NULL, 0, MSG_DONTWAIT, NULL, NULL)
CALL(send_data, SYS_sendto, held.xsk, buffer, 1, MSG_DONTWAIT, NULL, 0)
CALL(send_to, SYS_sendto, held.xsk, NULL, 0, MSG_DONTWAIT, buffer, 16)
CALL(send_waiting, SYS_sendto, held.xsk, NULL, 0, 0, NULL, 0)
CALL(packet_in, SYS_readv, held.xsk, NULL, 0)
CALL(packet_out, SYS_writev, held.xsk, NULL, 0)
CALL(packet_pieces, SYS_writev, held.xsk, buffer, 65)
CALL(packet_ctl, SYS_writev, DOMAIN_CTL_FD, NULL, 0)
CALL(packet_to, SYS_sendmsg, held.xsk, buffer, MSG_NOSIGNAL | MSG_DONTWAIT)
CALL(packets_to, SYS_sendmmsg, held.xsk, buffer, 1, MSG_DONTWAIT)
CALL(send_ctl, SYS_sendto, DOMAIN_CTL_FD, NULL, 0, MSG_DONTWAIT, NULL, 0)
CALL(message_bell, SYS_sendmsg, held.bell_out, buffer, MSG_NOSIGNAL | MSG_DONTWAIT)
CALL(message_waiting, SYS_sendmsg, DOMAIN_CTL_FD, buffer, 0)
CALL(receive_kept, SYS_recvmsg, DOMAIN_CTL_FD, buffer, 0)
CALL(receive_xsk, SYS_recvmsg, held.xsk, buffer, MSG_CMSG_CLOEXEC)

#define MAP(name, addr, prot, flags, fd, off)                                                  \
    CALL(name, SYS_mmap, addr, 4096, prot, flags, fd, off)
#define RW (PROT_READ | PROT_WRITE)
#define FIXED (MAP_SHARED | MAP_FIXED)
MAP(map, held.window, RW, FIXED, held.client, 0)
MAP(map_exec, held.window, PROT_READ | PROT_EXEC, FIXED, held.client, 0)
MAP(map_outside, held.region, RW, FIXED, held.client, 0)
MAP(map_anywhere, NULL, RW, MAP_SHARED, held.client, 0)
MAP(map_private, held.window, RW, MAP_PRIVATE | MAP_FIXED, held.client, 0)
MAP(map_memory, NULL, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
MAP(map_offset, held.window, RW, FIXED, held.client, 4096)
MAP(map_socket, held.window, RW, FIXED, held.xsk, 0)
CALL(unmap, SYS_munmap, held.window, 4096)
CALL(unmap_region, SYS_munmap, held.region, 4096)
CALL(unmap_far, SYS_munmap, held.window, 1l << 45)
CALL(protect, SYS_mprotect, held.region, 4096, PROT_READ | PROT_EXEC)
CALL(holes, SYS_madvise, held.region, 4096, MADV_REMOVE)
CALL(remap, SYS_mremap, held.region, 4096, 8192, MREMAP_MAYMOVE, 0)
CALL(monotonic, SYS_clock_gettime, CLOCK_MONOTONIC, buffer)
CALL(other_clock, SYS_clock_gettime, CLOCK_REALTIME, buffer)
CALL(dumpable, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)

/* ---- without a call, or with many ---- */

static void
do_nothing(void)
{
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
do_x32(void)
{
    (void)syscall(0x40000000l + SYS_write, held.bell_out, buffer, 1);
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
static void
do_memory(void) /* until there is none */
{
    char *p;
    while ((p = malloc(1 << 20)) != NULL)
        memset(p, 1, 1 << 20);
}
static void
do_overrun(void)
{
    for (volatile uint8_t *p = held.region;; p++)
        *p = 1;
}
static void
do_underrun(void)
{
    for (volatile uint8_t *p = held.region;; p--)
        *p = 1;
}
static void
do_overrun_private(void)
{
    for (volatile uint8_t *p = held.alloc;; p++)
        *p = 1;
}
static void
do_window(void) /* between clients is nothing */
{
    *(volatile uint8_t *)(uintptr_t)(held.window + 8192) = 1;
}
static void
do_run_data(void)
{
    held.region[0] = 0xc3; /* ret */
    void (*f)(void);
    memcpy(&f, &(void *){held.region}, sizeof f);
    f();
}
static void
do_write_text(void)
{
    volatile uint8_t *p;
    void (*f)(void) = do_nothing;
    memcpy(&p, &f, sizeof p);
    *p = 0xc3;
}
static void
do_descriptors(void) /* on a socket that nobody answers: none ever comes */
{
    for (unsigned i = 0; i < 10000; i++) {
        struct ctl_msg m;
        int fd[CTL_FDS_MAX];
        if (ctl_recv(DOMAIN_CTL_FD, &m, fd) == 1)
            abort();
    }
}
static void
do_bells(void) /* without end: the pipe is full at some time, and nothing waits */
{
    for (unsigned i = 0; i < 200000; i++)
        (void)!write(held.bell_out, "", 1);
}
static void
do_ignore(void) /* SIGSYS: nobody may change what it does */
{
    struct sigaction sa = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGSYS, &sa, NULL);
}

#define DO(call, outcome)                                                                      \
    {                                                                                          \
        .name = #call, .must = outcome, .run = do_##call                                       \
    }
#define RAW(call, ...)                                                                         \
    {                                                                                          \
        .name = #call, .must = REFUSED, .nr = SYS_##call, .arg = { __VA_ARGS__ }               \
    }

const struct attempt attempts[] = {
    DO(nothing, ALLOWED),
    DO(assert, SPEAKS),
    DO(fatal, SPEAKS),
    DO(ring, ALLOWED),
    DO(drain, ALLOWED),
    DO(bells, ALLOWED),
    DO(monotonic, ALLOWED),
    DO(descriptors, ALLOWED),
    DO(ring_client, FOR_CLIENTS),
    DO(close_client, FOR_CLIENTS),
    DO(watch_client, FOR_CLIENTS),
    DO(seals, FOR_CLIENTS),
    DO(size, FOR_CLIENTS),
    DO(map, FOR_CLIENTS),
    DO(unmap, FOR_CLIENTS),
    DO(kick, FOR_NIC),
    DO(kick_in, FOR_NIC),
    DO(packet_in, FOR_PACKET),
    DO(packet_out, FOR_PACKET),
    DO(ring_twice, REFUSED),
    DO(ring_own, REFUSED),
    DO(ring_high, REFUSED),
    DO(ring_beyond, REFUSED),
    DO(drain_much, REFUSED),
    DO(read_ctl, REFUSED),
    DO(write_ctl, REFUSED),
    DO(write_stderr, REFUSED),
    DO(close_ctl, REFUSED),
    DO(close_bell, REFUSED),
    DO(end_ctl, REFUSED),
    DO(end_reading, REFUSED),
    DO(close_high, REFUSED),
    DO(wait_other, REFUSED),
    DO(wait_mask, REFUSED),
    DO(watch_bell, REFUSED),
    DO(watch_change, REFUSED),
    DO(seals_bell, REFUSED),
    DO(dup_client, REFUSED),
    DO(blocking, REFUSED),
    DO(seek, REFUSED),
    DO(send_data, REFUSED),
    DO(send_to, REFUSED),
    DO(send_waiting, REFUSED),
    DO(send_ctl, REFUSED),
    DO(packet_pieces, REFUSED),
    DO(packet_ctl, REFUSED),
    DO(packet_to, REFUSED),
    DO(packets_to, REFUSED),
    DO(message_bell, REFUSED),
    DO(message_waiting, REFUSED),
    DO(receive_kept, REFUSED),
    DO(receive_xsk, REFUSED),
    DO(map_exec, REFUSED),
    DO(map_outside, REFUSED),
    DO(map_anywhere, REFUSED),
    DO(map_private, REFUSED),
    DO(map_memory, REFUSED),
    DO(map_offset, REFUSED),
    DO(map_socket, REFUSED),
    DO(unmap_region, REFUSED),
    DO(unmap_far, REFUSED),
    DO(protect, REFUSED),
    DO(holes, REFUSED),
    DO(remap, REFUSED),
    DO(other_clock, REFUSED),
    DO(dumpable, REFUSED),
    DO(memory, REFUSED),
    DO(ignore, REFUSED),
    DO(old_abi, REFUSED),
    DO(x32, REFUSED),
    DO(overrun, FAULTS),
    DO(underrun, FAULTS),
    DO(overrun_private, FAULTS),
    DO(window, FAULTS),
    DO(run_data, FAULTS),
    DO(write_text, FAULTS),
    /* The rest of the kernel; confine_probe tries every number there is besides. */
    RAW(openat, AT_FDCWD, (long)"/"),
    RAW(socket, AF_INET, SOCK_STREAM, 0),
    RAW(socket, AF_UNIX, SOCK_STREAM, 0),
    RAW(connect, 3, 0, 0),
    RAW(clone, SIGCHLD),
    RAW(clone3, 0, 0),
    RAW(execve, (long)"/bin/sh"),
    RAW(ptrace, 0),
    RAW(process_vm_readv, 1),
    RAW(kill, -1, 0),
    RAW(pidfd_open, 1),
    RAW(mount, 0, (long)"/"),
    RAW(unshare, 0x10000000),
    RAW(setns, 3),
    RAW(setresuid, 0, 0, 0),
    RAW(rt_sigreturn, 0),
    RAW(seccomp, 1),
    RAW(bpf, 0),
    RAW(io_uring_setup, 1),
    RAW(userfaultfd, 0),
    RAW(perf_event_open, 0),
    RAW(memfd_create, (long)"x"),
    RAW(ioctl, 2, 0x541b),
    RAW(prlimit64, 0, 7),
    RAW(sched_setaffinity, 0),
    RAW(brk, 0),
};
const unsigned n_attempts = sizeof attempts / sizeof attempts[0];
