/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cmsg.c: what a program says beside a message that it sends (control messages). The stack has
 * one address and one interface, so that what may be said changes nothing; what may not is
 * refused as by the kernel's ip_cmsg_send and sock_cmsg_send.
 */
#include "shim.h"

#include <net/if.h>
#include <netinet/udp.h>

static int
no_interface(unsigned index)
{
    char name[IF_NAMESIZE];
    return index != 0 && if_indextoname(index, name) == NULL ? ENODEV : 0;
}

static int
of_ip(const struct cmsghdr *c)
{
    struct in_pktinfo info;
    if (c->cmsg_type != IP_PKTINFO) {
        SAY("IP_TTL or IP_TOS of a single datagram was refused");
        return EINVAL;
    }
    if (c->cmsg_len != CMSG_LEN(sizeof info))
        return EINVAL;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    return no_interface((unsigned)info.ipi_ifindex);
}

/* What goes to a mapped address has the control messages of IPv4, and this. */
static int
of_ipv6(const struct cmsghdr *c)
{
    struct in6_pktinfo info;
    if (c->cmsg_type != IPV6_PKTINFO)
        return 0;
    if (c->cmsg_len < CMSG_LEN(sizeof info))
        return EINVAL;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    return IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr) ? no_interface(info.ipi6_ifindex) : EINVAL;
}

static int
one(uint32_t e, const struct cmsghdr *c)
{
    if (c->cmsg_level == SOL_SOCKET)
        return c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_CREDENTIALS ? 0 : EINVAL;
    if (!(e & E_DGRAM))
        return 0;
    if (c->cmsg_level == IPPROTO_UDP)
        return EINVAL; /* UDP_SEGMENT */
    if (c->cmsg_level == IPPROTO_IPV6 && (e & E_V6))
        return of_ipv6(c);
    return c->cmsg_level == IPPROTO_IP ? of_ip(c) : 0;
}

int
control_refused(uint32_t e, const struct msghdr *m)
{
    size_t at = 0;
    while (at < m->msg_controllen && m->msg_controllen - at >= sizeof(struct cmsghdr)) {
        const struct cmsghdr *c =
            (const struct cmsghdr *)(const void *)((const char *)m->msg_control + at);
        if (c->cmsg_len < sizeof *c || c->cmsg_len > m->msg_controllen - at)
            return EINVAL;
        int err = one(e, c);
        if (err != 0)
            return err;
        at += CMSG_ALIGN(c->cmsg_len);
    }
    return 0;
}
