/* SPDX-License-Identifier: BSD-2-Clause */
#include "ctl.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"

#ifndef BULKHEAD_RUN_DIR
#define BULKHEAD_RUN_DIR "/run/bulkhead"
#endif

#define HEAD_BYTES offsetof(struct ctl_msg, config)
#define INSTANCE_MAX 31u

static const struct {
    uint16_t payload, fds;
    bool known;
} shape[CTL_TYPES] = {
    [CTL_CONFIG] = {sizeof(struct ctl_config), 0, true},
    [CTL_REGION] = {sizeof(struct ctl_region), 1, true},
    [CTL_LINK] = {sizeof(struct ctl_link), 4, true},
    [CTL_SOCKET] = {0, 1, true},
    [CTL_START] = {0, 0, true},
    [CTL_PEER_UP] = {sizeof(uint32_t), 0, true},
    [CTL_PEER_DOWN] = {sizeof(uint32_t), 0, true},
    [CTL_CLIENT_ADD] = {sizeof(struct ctl_client), 4, true},
    [CTL_CLIENT_GONE] = {sizeof(struct ctl_client), 0, true},
    [CTL_SESSIONS] = {sizeof(uint32_t), 0, true},
    [CTL_READY] = {0, 0, true},
    [CTL_ACK] = {sizeof(uint32_t), 0, true},
    [CTL_CLIENT_FREE] = {sizeof(struct ctl_client), 0, true},
    [CTL_POISONED] = {sizeof(struct ctl_text), 0, true},
    [CTL_NOTICE] = {sizeof(struct ctl_text), 0, true},
    [CTL_SESSION_LIST] = {sizeof(struct ctl_sessions), 0, true},
    [CTL_HELLO] = {sizeof(struct ctl_hello), 0, true},
    [CTL_WELCOME] = {sizeof(struct ctl_client), 5, true},
    [CTL_DENIED] = {sizeof(struct ctl_text), 0, true},
    [CTL_CLIENT_LIMITS] = {sizeof(struct ctl_client), 0, true},
    [CTL_DENIAL] = {sizeof(struct account_denial), 0, true},
    [CTL_WANT_STANDINS] = {0, 0, true},
    [CTL_STANDINS] = {sizeof(struct ctl_standins), CTL_STANDINS_MAX, true},
    [CTL_STANDINS_OVER] = {sizeof(struct ctl_standins), 0, true},
    [CTL_WANT_STANDIN] = {0, 0, true},
    [CTL_STANDIN] = {sizeof(struct ctl_standins), 1, true},
};

size_t
ctl_bytes(unsigned type)
{
    return type < CTL_TYPES && shape[type].known ? HEAD_BYTES + shape[type].payload : 0;
}

unsigned
ctl_fds(unsigned type)
{
    return type < CTL_TYPES ? shape[type].fds : 0;
}

/* ---- what is inside ---- */

static bool
text_ends(const char *s, size_t size)
{
    return memchr(s, '\0', size) != NULL;
}

static bool
power_of_two_or_none(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

static bool
check_config(const struct ctl_config *c)
{
    uint64_t frames = 0;
    for (unsigned p = 0; p < PART_COUNT; p++)
        frames += c->n_frames[p];
    return c->domain < DOM_COUNT && c->driver < DRIVERS && frames <= UINT32_MAX / FRAME_SIZE &&
           power_of_two_or_none(c->xsk_ring) && c->prefix <= 128 && c->cpu >= -1 &&
           text_ends(c->instance, sizeof c->instance);
}

static bool
check_region(const struct ctl_region *r)
{
    return r->role < REGION_ROLES && r->writable <= 1 && r->size > 0 && r->size <= PTRDIFF_MAX;
}

static bool
check_link(const struct ctl_link *l)
{
    return l->peer < DOM_COUNT && (l->kind == LINK_NIC || l->kind == LINK_UP) &&
           (l->side == LINK_A || l->side == LINK_B) && l->own_size > 0 &&
           l->own_size <= PTRDIFF_MAX && l->peer_size > 0 && l->peer_size <= PTRDIFF_MAX;
}

static bool
check_client(const struct ctl_client *c)
{
    return c->id < CLIENTS_MAX && c->resume <= 1 && arena_geometry_check(&c->g) &&
           c->limits.account < ACCOUNTS_MAX && account_rules_check(&c->limits.rules) &&
           memchr(c->net.name, '\0', sizeof c->net.name) != NULL && c->net.prefix <= 32 &&
           c->spin_us <= CTL_SPIN_MAX;
}

static bool
check_denial(const struct account_denial *d)
{
    return d->account < ACCOUNTS_MAX && d->client < CLIENTS_MAX && d->rule < RULE_COUNT &&
           (d->proto == IPPROTO_TCP || d->proto == IPPROTO_UDP);
}

static bool
check_hello(const struct ctl_hello *h)
{
    return (h->proto == IPPROTO_TCP || h->proto == IPPROTO_UDP) &&
           arena_geometry_check(&h->g) && text_ends(h->program, sizeof h->program);
}

static bool
check_sessions(const struct ctl_sessions *s)
{
    if (s->n > CTL_INFO_MAX || s->more > 1)
        return false;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct sess_info *e = &s->s[i];
        if ((e->proto != IPPROTO_TCP && e->proto != IPPROTO_UDP) || e->state >= CTL_STATE_MAX ||
            (e->client >= CLIENTS_MAX && e->client != SESS_NONE))
            return false;
    }
    return true;
}

static bool
check_text(unsigned type, const struct ctl_text *t)
{
    if (!text_ends(t->text, sizeof t->text))
        return false;
    if (type == CTL_NOTICE)
        return t->arg >= NOTICE_LOG && t->arg <= NOTICE_SYSCALL;
    if (type == CTL_DENIED)
        return t->arg >= DENIED_VERSION && t->arg < DENIED_ENDS;
    return t->arg < CLIENTS_MAX || t->arg - CTL_ARG_PEER < DOM_COUNT;
}

static bool
check_payload(const struct ctl_msg *m)
{
    switch (m->type) {
    case CTL_CONFIG:
        return check_config(&m->config);
    case CTL_REGION:
        return check_region(&m->region);
    case CTL_LINK:
        return check_link(&m->link);
    case CTL_PEER_UP:
    case CTL_PEER_DOWN:
    case CTL_ACK:
        return m->peer < DOM_COUNT;
    case CTL_CLIENT_ADD:
    case CTL_WELCOME:
    case CTL_CLIENT_LIMITS:
        return check_client(&m->client);
    case CTL_CLIENT_GONE: /* the number is all that counts */
    case CTL_CLIENT_FREE:
        return m->client.id < CLIENTS_MAX;
    case CTL_HELLO:
        return check_hello(&m->hello);
    case CTL_DENIAL:
        return check_denial(&m->denial);
    case CTL_STANDINS:
    case CTL_STANDIN:
        return m->standins.client < CLIENTS_MAX && m->standins.n == ctl_fds(m->type);
    case CTL_STANDINS_OVER:
        return m->standins.client < CLIENTS_MAX && m->standins.n <= CTL_STANDINS_MAX;
    case CTL_SESSION_LIST:
        return check_sessions(&m->sessions);
    case CTL_POISONED:
    case CTL_NOTICE:
    case CTL_DENIED:
        return check_text(m->type, &m->text);
    default: /* CTL_SOCKET, CTL_START, CTL_READY: nothing inside; CTL_SESSIONS: any number */
        return true;
    }
}

int
ctl_check(const struct ctl_msg *m, size_t len, unsigned nfds)
{
    if (len < HEAD_BYTES || len > sizeof *m || m->magic != CTL_MAGIC)
        return -EPROTO;
    if (m->version != CTL_VERSION)
        return -EPROTONOSUPPORT;
    if (ctl_bytes(m->type) != len || ctl_fds(m->type) != nfds || !check_payload(m))
        return -EPROTO;
    return 0;
}

/* ---- texts: they go to logs and terminals ---- */

static void
clean(char *s, size_t size)
{
    size_t n = strnlen(s, size);
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x20 || s[i] > 0x7e)
            s[i] = '?';
    memset(s + n, 0, size - n);
}

static void
clean_texts(struct ctl_msg *m)
{
    switch (m->type) {
    case CTL_CONFIG:
        clean(m->config.instance, sizeof m->config.instance);
        break;
    case CTL_HELLO:
        clean(m->hello.program, sizeof m->hello.program);
        break;
    case CTL_POISONED:
    case CTL_NOTICE:
    case CTL_DENIED:
        clean(m->text.text, sizeof m->text.text);
        break;
    default:
        break;
    }
}

/* ---- the socket ---- */

int
ctl_send(int sock, struct ctl_msg *m, const int *fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
    } control;
    size_t len = ctl_bytes(m->type);
    unsigned nfds = ctl_fds(m->type);
    m->magic = CTL_MAGIC;
    m->version = CTL_VERSION;
    if (ctl_check(m, len, nfds) != 0 || (nfds > 0 && fd == NULL))
        return -EINVAL;
    clean_texts(m);
    struct iovec iov = {.iov_base = m, .iov_len = len};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (nfds > 0) {
        memset(&control, 0, sizeof control);
        h.msg_control = control.buf;
        h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(c), fd, nfds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    return (size_t)n == len ? 0 : -EIO;
}

/* Collect the descriptors that came with a message: at most CTL_FDS_MAX are kept, any more
 * are closed here. Returns how many came; CTL_FDS_MAX + 1, which no message may have, if
 * anything else came or something was cut off. */
static unsigned
take_fds(struct msghdr *h, int fd[CTL_FDS_MAX])
{
    unsigned n = 0;
    bool odd = (h->msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            odd = true;
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int one;
            memcpy(&one, CMSG_DATA(c) + i * sizeof one, sizeof one);
            if (n < CTL_FDS_MAX) {
                fd[n++] = one;
            } else {
                close(one);
                odd = true;
            }
        }
    }
    return odd ? CTL_FDS_MAX + 1 : n;
}

void
ctl_close_fds(int fd[CTL_FDS_MAX])
{
    for (unsigned i = 0; i < CTL_FDS_MAX; i++) {
        if (fd[i] >= 0)
            close(fd[i]);
        fd[i] = -1;
    }
}

int
ctl_recv(int sock, struct ctl_msg *m, int fd[CTL_FDS_MAX])
{
    /* Room for more than is ever valid. What does not fit is cut off by the kernel, which
     * then installs no descriptor for it. */
    union {
        struct cmsghdr align;
        char buf[4 * CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = m, .iov_len = sizeof *m};
    struct msghdr h;
    ssize_t n;
    memset(m, 0, sizeof *m);
    for (unsigned i = 0; i < CTL_FDS_MAX; i++)
        fd[i] = -1;
    do {
        h = (struct msghdr){.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.buf,
                            .msg_controllen = sizeof control.buf};
        n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno == ECONNRESET) /* gone, and did not read what we had sent */
            return 0;
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    unsigned nfds = take_fds(&h, fd);
    /* An empty datagram cannot be told from the end of the connection, and is as good. */
    int err = n == 0 && nfds == 0 ? 0 : ctl_check(m, (size_t)n, nfds);
    if (err == 0 && (h.msg_flags & MSG_TRUNC) != 0) /* what was cut off looked like one */
        err = -EPROTO;
    if (err != 0 || n == 0) {
        ctl_close_fds(fd);
        return err;
    }
    clean_texts(m);
    return 1;
}

/* ---- names ---- */

const char *
domain_name(unsigned id)
{
    static const char *const name[DOM_COUNT] = {"nic", "ip", "tcp", "udp", "mono"};
    return id < DOM_COUNT ? name[id] : "?";
}

bool
ctl_socket_path(char *buf, size_t len, const char *instance, const char *suffix)
{
    size_t n = strlen(instance);
    if (n < 1 || n > INSTANCE_MAX ||
        strspn(instance, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789_.-") != n)
        return false;
    const char *dir = secure_getenv("BULKHEAD_RUN_DIR");
    if (dir == NULL || *dir == '\0')
        dir = BULKHEAD_RUN_DIR;
    int used = snprintf(buf, len, "%s/%s.%s", dir, instance, suffix);
    return used > 0 && (size_t)used < len;
}
