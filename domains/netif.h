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
    int xsk_fd;      /* -1 until opened */
    struct bpf *bpf; /* program, maps, link: netif.c's own */
};

/* Fill in what the kernel knows of the interface. Returns 0, or an exit code of
 * exit_codes.h with a message for the user in err. */
must_check int netif_probe(struct netif *n, const char *name, char *err, size_t err_len);

/* Make UMEM (from the regions of its parts, fds in enum frame_part order) and socket, load and
 * attach the program for addr. The rings get at least xsk_ring descriptors (xsk_ring_for). The
 * attachment is a bpf_link: it goes when we die, however. */
must_check int netif_open(struct netif *n, const struct frames *f,
                          const int part_fd[PARTS_UMEM], uint32_t xsk_ring,
                          const struct ipaddr *addr, char *err, size_t err_len);
void netif_close(struct netif *n);

#endif
