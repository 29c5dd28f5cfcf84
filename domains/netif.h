/* SPDX-License-Identifier: BSD-2-Clause
 *
 * netif.h: the supervisor's side of an interface: look at it, load the XDP program that takes
 * what is addressed to the stack and passes the rest on to the kernel, make the AF_XDP socket.
 */
#ifndef DOMAINS_NETIF_H
#define DOMAINS_NETIF_H

#include "base/frame.h"

struct netif {
    char name[16];
    unsigned index;
    uint8_t mac[6];
    unsigned mtu;
    unsigned n_queues; /* receive queues in use */
    bool is_veth;
    bool can_combine; /* they are counted as combined ones */
    int fd;           /* the socket; -1 until opened */
    struct bpf *bpf;  /* program, maps, link: netif.c's own */
};

/* Fill in what the kernel knows of the interface. Returns 0, or an exit code of
 * exit_codes.h with a message for the user in err. */
must_check int netif_probe(struct netif *n, const char *name, char *err, size_t err_len);

/* Does the driver take packets as large as the interface's MTU, `most` bytes? Returns as
 * netif_probe. */
must_check int netif_mtu(const struct netif *n, unsigned most, char *err, size_t err_len);

/* AF_XDP hears one receive queue: is there only one? Returns as netif_probe. */
must_check int netif_one_queue(const struct netif *n, char *err, size_t err_len);

/* Make UMEM (from the regions of its parts, fds in enum frame_part order) and socket, load and
 * attach the program for addr. The rings get at least xsk_ring descriptors (xsk_ring_for). The
 * attachment is a bpf_link: it goes when we die, however. */
must_check int netif_open(struct netif *n, const struct frames *f,
                          const int part_fd[PARTS_UMEM], uint32_t xsk_ring,
                          const struct ipaddr *addr, char *err, size_t err_len);
/* The same with an AF_PACKET socket, which takes segments of up to 64 KiB and puts a header of
 * virtio in front of each (vnet.h): no program, no packet memory; the kernel sees what comes in
 * too, and so must not forward. netif_packet.c */
must_check int netif_open_packet(struct netif *n, const struct ipaddr *addr, char *err,
                                 size_t err_len);
void netif_close(struct netif *n);

/* Text for the user; returns code. */
int netif_refuse(int code, char *err, size_t err_len, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
