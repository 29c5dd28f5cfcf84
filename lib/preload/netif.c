/* SPDX-License-Identifier: BSD-2-Clause
 *
 * netif.c: what programs ask about interfaces: the kernel's answers, and the stack's address as
 * one more of the interface that the daemon is on.
 */
#include "shim.h"

#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "ipc/ctl.h"

static uint32_t
netmask(const struct ctl_net *n)
{
    return n->prefix == 0 ? 0 : UINT32_MAX << (32 - n->prefix);
}

static struct sockaddr_in
v4(uint32_t addr)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(addr)};
}

/* ---- ioctl ---- */

/* A Unix socket, which a stand-in is, is not asked these. */
static int
of_kernel(unsigned long what, void *arg)
{
    int s = REAL(socket)(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r = s < 0 ? -1 : REAL(ioctl)(s, what, arg), err = errno;
    if (s >= 0)
        REAL(close)(s);
    errno = err;
    return r;
}

int
netif_address(unsigned long what, void *arg)
{
    struct ifreq *q = arg;
    struct ctl_net n;
    if (wild_to_write(q, sizeof *q))
        return fails(EFAULT);
    if (!share_net(&n) || strncmp(q->ifr_name, n.name, sizeof q->ifr_name) != 0)
        return of_kernel(what, q);
    uint32_t mask = netmask(&n);
    struct sockaddr_in a = v4(what == SIOCGIFNETMASK   ? mask
                              : what == SIOCGIFBRDADDR ? n.addr | ~mask
                                                       : n.addr);
    memcpy(&q->ifr_addr, &a, sizeof a);
    return 0;
}

int
netif_list(void *arg)
{
    struct ifconf *c = arg;
    struct ctl_net n;
    struct ifreq q = {0};
    if (wild_to_write(c, sizeof *c))
        return fails(EFAULT);
    int room = c->ifc_len, r = of_kernel(SIOCGIFCONF, c);
    if (r != 0 || !share_net(&n))
        return r;
    struct sockaddr_in a = v4(n.addr);
    memcpy(q.ifr_name, n.name, sizeof n.name);
    memcpy(&q.ifr_addr, &a, sizeof a);
    if (c->ifc_buf == NULL) { /* how much room is wanted */
        c->ifc_len += (int)sizeof q;
        return 0;
    }
    if (room - c->ifc_len < (int)sizeof q)
        return 0;
    if (wild_to_write(c->ifc_buf + c->ifc_len, sizeof q))
        return fails(EFAULT);
    memcpy(c->ifc_buf + c->ifc_len, &q, sizeof q);
    c->ifc_len += (int)sizeof q;
    return 0;
}

/* ---- getifaddrs ---- */

/* Behind the kernel's, and taken out again before libc frees its list. */
struct more {
    struct ifaddrs i;
    char name[IF_NAMESIZE];
    struct sockaddr_in addr, mask, broadcast;
    struct more *next;
};
static pthread_mutex_t listing = PTHREAD_MUTEX_INITIALIZER;
static struct more *given;

/* In the child of a fork: another thread of the parent may have held it. The list is whole at
 * any time. */
void
netif_release(void)
{
    pthread_mutex_init(&listing, NULL);
}

/* A program that has no socket yet asks this, too. */
static bool
net_known(struct ctl_net *n)
{
    if (share_net(n))
        return true;
    int s = bh_socket(AF_INET, SOCK_STREAM, 0);
    bool known = s >= 0 && share_net(n);
    if (s >= 0)
        bh_close(s);
    return known;
}

EXPORT int
getifaddrs(struct ifaddrs **list)
{
    struct ctl_net n;
    int r = REAL(getifaddrs)(list), err = errno;
    struct more *m = r == 0 && net_known(&n) ? calloc(1, sizeof *m) : NULL;
    errno = err;
    if (m == NULL)
        return r;
    memcpy(m->name, n.name, sizeof m->name);
    m->addr = v4(n.addr);
    m->mask = v4(netmask(&n));
    m->broadcast = v4(n.addr | ~netmask(&n));
    m->i = (struct ifaddrs){.ifa_name = m->name,
                            .ifa_flags = IFF_UP | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST,
                            .ifa_addr = (struct sockaddr *)(void *)&m->addr,
                            .ifa_netmask = (struct sockaddr *)(void *)&m->mask,
                            .ifa_broadaddr = (struct sockaddr *)(void *)&m->broadcast};
    struct ifaddrs **end = list;
    for (; *end != NULL; end = &(*end)->ifa_next)
        if (strcmp((*end)->ifa_name, m->name) == 0)
            m->i.ifa_flags = (*end)->ifa_flags;
    *end = &m->i;
    pthread_mutex_lock(&listing);
    m->next = given;
    given = m;
    pthread_mutex_unlock(&listing);
    return 0;
}

/* Ours, if it is one: nobody else's any more. */
static struct more *
taken_back(const struct ifaddrs *i)
{
    pthread_mutex_lock(&listing);
    struct more **at = &given, *found;
    while (*at != NULL && &(*at)->i != i)
        at = &(*at)->next;
    found = *at;
    if (found != NULL)
        *at = found->next;
    pthread_mutex_unlock(&listing);
    return found;
}

EXPORT void
freeifaddrs(struct ifaddrs *list)
{
    struct ifaddrs **at = &list;
    while (*at != NULL) {
        struct more *m = taken_back(*at);
        if (m == NULL) {
            at = &(*at)->ifa_next;
            continue;
        }
        *at = m->i.ifa_next;
        free(m);
    }
    REAL(freeifaddrs)(list);
}
