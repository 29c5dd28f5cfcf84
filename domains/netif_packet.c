/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The AF_PACKET socket. It hears a copy of every frame of the interface, so a filter in the
 * kernel takes what xdp_prog.c takes: IPv4 packets to the stack's address, ARP that asks for it
 * or speaks in its name. The kernel's own stack hears these too. It has not got the address
 * (sup_host.c) and throws them away without a word, unless it forwards: then it would pass them
 * on, or answer that they cannot be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "netif.h"

/* Bytes of packets in the kernel's count: what comes in while nobody reads, and what is on its
 * way out. */
#define RECEIVE_BUFFER (8 << 20)
#define SEND_BUFFER (16 << 20)

/* Places in a frame. */
enum {
    AT_TYPE = 12,
    AT_IP_VERSION = 14,
    AT_IP_DST = 30,
    AT_ARP_KINDS = 14,   /* hardware and protocol */
    AT_ARP_LENGTHS = 18, /* of their addresses */
    AT_ARP_SENDER = 28,
    AT_ARP_TARGET = 38,
};
#define ARP_KINDS 0x00010800u
#define ARP_LENGTHS 0x0604u

static bool
set_filter(int fd, uint32_t addr)
{
    /* A tag is taken off before a frame comes here: it is no frame of ours then. */
    const uint32_t tagged = (uint32_t)SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT;
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, tagged),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 17),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_TYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 14),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_IP_VERSION),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 11),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT_IP_DST),
        BPF_JUMP(BPF_JMP | BPF_JA, 7, 0, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT_ARP_KINDS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARP_KINDS, 0, 7),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_ARP_LENGTHS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARP_LENGTHS, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT_ARP_SENDER),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, addr, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT_ARP_TARGET),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, addr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog p = {.len = ARRAY_LEN(f), .filter = f};
    const int one = 1;
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one) == 0;
}

static bool
forwards(const char *name)
{
    char path[80];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/forwarding", name);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    int c = fgetc(f);
    fclose(f);
    return c == '1';
}

int
netif_open_packet(struct netif *n, const struct ipaddr *addr, char *err, size_t err_len)
{
    const int one = 1, in = RECEIVE_BUFFER, out = SEND_BUFFER;
    const struct sockaddr_ll to = {.sll_family = AF_PACKET,
                                   .sll_protocol = htons(ETH_P_ALL),
                                   .sll_ifindex = (int)n->index};
    int code = netif_mtu(n, FRAME_MTU, err, err_len);
    if (code != 0)
        return code;
    if (forwards(n->name))
        return netif_refuse(
            EXIT_OTHER, err, err_len,
            "the kernel forwards what comes in on %s, and with the packet driver "
            "that is the stack's too; stop it with: sysctl -w "
            "net.ipv4.conf.%s.forwarding=0, or use --driver xdp",
            n->name, n->name);
    /* No protocol before there is a filter: nothing comes in yet. */
    n->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd < 0)
        return netif_refuse(errno == EPERM ? EXIT_PRIVILEGE : EXIT_OTHER, err, err_len,
                            "AF_PACKET socket: %s", strerror(errno));
    bool ok = set_filter(n->fd, ipaddr_to_u32(addr)) &&
              setsockopt(n->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) == 0 &&
              setsockopt(n->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) == 0 &&
              bind(n->fd, (const struct sockaddr *)&to, sizeof to) == 0;
    int saved = errno;
    /* Without the right to it a buffer is as large as the host lets anybody's be. */
    (void)setsockopt(n->fd, SOL_SOCKET, SO_RCVBUFFORCE, &in, sizeof in);
    (void)setsockopt(n->fd, SOL_SOCKET, SO_SNDBUFFORCE, &out, sizeof out);
    if (ok)
        return 0;
    netif_close(n);
    return netif_refuse(EXIT_OTHER, err, err_len, "%s: cannot set up an AF_PACKET socket: %s",
                        n->name, strerror(saved));
}
