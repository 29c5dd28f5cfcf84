/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stack.c: run_stack [-v] SCRIPT...: the same scripts against a running bulkheadd.
 *
 * Runs at the peer's end of a veth pair whose interface has no address there, so that the
 * kernel's TCP stays out of it: frames go through an AF_PACKET socket, and ARP is answered
 * here. The program's calls go through libbulkhead to the daemon of $BULKHEAD_INSTANCE.
 *
 *   PACKET_IF    the interface
 *   PACKET_OWN   the stack's address
 *   PACKET_PEER  ours
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "main.h"

#define PORTS_OF_PEERS 20000u

static struct real {
    struct link l;
    int fd;
} the;

static ns_t
real_now(struct link *l)
{
    struct timespec t;
    (void)l;
    clock_gettime(CLOCK_REALTIME, &t); /* the clock of the frames' time stamps */
    return (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
}

static void
real_send(struct link *l, const uint8_t *frame, uint32_t len)
{
    (void)l;
    if (send(the.fd, frame, len, 0) < 0)
        perror("send");
}

static ns_t
stamp(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        struct timespec t;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        return (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
    }
    return real_now(&the.l);
}

static void
take_frames(struct run *r)
{
    for (;;) {
        uint8_t frame[FRAME_BYTES], control[128];
        struct iovec v = {frame, sizeof frame};
        struct msghdr m = {.msg_iov = &v,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        ssize_t n = recvmsg(the.fd, &m, MSG_DONTWAIT);
        if (n <= 0)
            return;
        run_frame(r, frame, (uint32_t)n, stamp(&m));
    }
}

static void
real_pass(struct link *l, struct run *r, ns_t until, bool stop)
{
    for (;;) {
        take_frames(r);
        ns_t now = real_now(l);
        if ((stop && r->head != r->tail) || now >= until)
            return;
        struct pollfd p = {.fd = the.fd, .events = POLLIN};
        ns_t left = until - now;
        struct timespec t = {(time_t)(left / NS_S), (long)(left % NS_S)};
        (void)ppoll(&p, 1, &t, NULL);
    }
}

static uint32_t
address_from(const char *name)
{
    struct in_addr a;
    const char *t = getenv(name);
    return t != NULL && inet_pton(AF_INET, t, &a) == 1 ? ntohl(a.s_addr) : 0;
}

/* Every frame that arrives at the interface. 0, or errno. */
static int
open_interface(const char *name)
{
    struct ifreq q = {0};
    int one = 1;
    the.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x0003));
    if (the.fd < 0)
        return errno;
    snprintf(q.ifr_name, sizeof q.ifr_name, "%s", name);
    if (ioctl(the.fd, SIOCGIFHWADDR, &q) != 0)
        return errno;
    memcpy(the.l.mac, q.ifr_hwaddr.sa_data, sizeof the.l.mac);
    struct sockaddr_ll a = {.sll_family = AF_PACKET,
                            .sll_protocol = htons(0x0003),
                            .sll_ifindex = (int)if_nametoindex(name)};
    if (bind(the.fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        setsockopt(the.fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0 ||
        setsockopt(the.fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) != 0)
        return errno;
    return 0;
}

struct link *
link_open(const struct script *s, unsigned number, struct run *r)
{
    const char *name = getenv("PACKET_IF");
    (void)s;
    the.l = (struct link){
        .own = address_from("PACKET_OWN"),
        .peer = address_from("PACKET_PEER"),
        /* Ports of its own, so that what an earlier script left behind is not seen. */
        .rport = (uint16_t)(PORTS_OF_PEERS + number % 400 * 2 * PEERS),
        .lport = (uint16_t)(10000 + number % 400 * 50),
        .early = 20 * NS_MS,
        .late = 250 * NS_MS,
        .late_part = 20,
        .now_takes = NS_S,
        .quiet = 40 * NS_MS,
        .real = true,
        .now = real_now,
        .send = real_send,
        .pass = real_pass,
    };
    int err = name != NULL && the.l.own != 0 && the.l.peer != 0 ? open_interface(name) : EINVAL;
    if (err != 0) {
        (void)run_fail(r, "cannot open the interface: %s", strerror(err));
        return NULL;
    }
    return &the.l;
}

void
link_close(struct link *l)
{
    (void)l;
    close(the.fd);
}

bool
link_runs(const struct script *s, const char **why)
{
    *why = "needs virtual time or a configuration of its own";
    return !s->needs_pure;
}

int
main(int argc, char **argv)
{
    return tap_main(argc, argv);
}
