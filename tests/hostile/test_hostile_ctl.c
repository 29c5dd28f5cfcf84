/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A hostile end of a control socket: messages cut, stretched, forged and garbled, with
 * descriptors that do not belong. Whatever it sends is refused without a crash, no
 * descriptor stays open, and the socket goes on working.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ctl_samples.h"

#define FDS_MAX 253 /* what the kernel lets one message carry */

static int us, foe;
static int some_fd[FDS_MAX];

static void
start(void)
{
    int sv[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
    us = sv[0];
    foe = sv[1];
    for (unsigned i = 0; i < FDS_MAX; i++)
        some_fd[i] = 0;
}

static unsigned
open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    cr_assert_not_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* Any bytes with any descriptors, in n_cmsg pieces. */
static void
raw_send(const void *bytes, size_t len, unsigned nfds, unsigned n_cmsg)
{
    static union {
        struct cmsghdr align;
        char buf[2 * CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (nfds > 0) {
        h.msg_control = control.buf;
        h.msg_controllen = sizeof control.buf;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        size_t used = 0;
        for (unsigned i = 0; i < n_cmsg; i++) {
            unsigned part = nfds / n_cmsg + (i < nfds % n_cmsg);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(part * sizeof(int));
            memcpy(CMSG_DATA(c), some_fd, part * sizeof(int));
            used += CMSG_SPACE(part * sizeof(int));
            c = (struct cmsghdr *)(void *)(control.buf + used);
        }
        h.msg_controllen = used;
    }
    cr_assert_eq(sendmsg(foe, &h, MSG_NOSIGNAL), (ssize_t)len, "%s", strerror(errno));
}

static int
receive(struct ctl_msg *m)
{
    int fd[CTL_FDS_MAX];
    int r = ctl_recv(us, m, fd);
    for (unsigned i = 0; i < CTL_FDS_MAX; i++)
        if (r == 1 && i < ctl_fds(m->type)) {
            cr_assert_geq(fd[i], 0);
            close(fd[i]);
        } else {
            cr_assert_eq(fd[i], -1);
        }
    return r;
}

static void
still_works(unsigned fds_before)
{
    struct ctl_msg m = ctl_sample_wire(CTL_REGION);
    raw_send(&m, ctl_bytes(m.type), 1, 1);
    cr_assert_eq(receive(&m), 1);
    cr_assert_eq(receive(&m), -EAGAIN);
    cr_assert_eq(open_fds(), fds_before, "descriptors leaked");
}

/* Protects: every type, cut at every length and stretched. */
Test(hostile_ctl, every_length_but_one_is_refused, .init = start)
{
    unsigned before = open_fds();
    static uint8_t bytes[sizeof(struct ctl_msg) + 16];
    for (unsigned type = 1; type < CTL_TYPES; type++) {
        struct ctl_msg m = ctl_sample_wire(type), got;
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes, &m, sizeof m);
        for (size_t len = 0; len <= sizeof bytes; len++) {
            raw_send(bytes, len, ctl_fds(type), 1);
            int want = len == ctl_bytes(type)           ? 1
                       : len == 0 && ctl_fds(type) == 0 ? 0
                                                        : -EPROTO;
            cr_assert_eq(receive(&got), want, "type %u, %zu bytes", type, len);
        }
    }
    still_works(before);
}

/* Protects: every type with every wrong number of descriptors, up to what the kernel
 * carries; and the right number in several pieces is no way around the count. */
Test(hostile_ctl, every_wrong_count_is_refused, .init = start)
{
    unsigned before = open_fds();
    for (unsigned type = 1; type < CTL_TYPES; type++) {
        struct ctl_msg m = ctl_sample_wire(type), got;
        for (unsigned n = 0; n <= FDS_MAX; n = n < 20 ? n + 1 : n + 233)
            for (unsigned pieces = 1; pieces <= 3 && (pieces <= n || pieces == 1); pieces++) {
                raw_send(&m, ctl_bytes(type), n, pieces);
                int r = receive(&got);
                cr_assert_eq(r, n == ctl_fds(type) ? 1 : -EPROTO, "type %u, %u", type, n);
            }
    }
    still_works(before);
}

/* Protects: descriptors that come with no bytes at all. */
Test(hostile_ctl, descriptors_without_a_message, .init = start)
{
    unsigned before = open_fds();
    struct ctl_msg m;
    raw_send("", 0, 3, 1);
    cr_assert_eq(receive(&m), -EPROTO);
    still_works(before);
}

/* Protects: control messages of other kinds. */
Test(hostile_ctl, credentials_are_refused, .init = start)
{
    unsigned before = open_fds();
    int on = 1, off = 0;
    struct ctl_msg m = ctl_sample_wire(CTL_REGION);
    cr_assert_eq(setsockopt(us, SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    raw_send(&m, ctl_bytes(m.type), 1, 1);
    cr_assert_eq(receive(&m), -EPROTO);
    cr_assert_eq(setsockopt(us, SOL_SOCKET, SO_PASSCRED, &off, sizeof off), 0);
    still_works(before);
}

/* Protects: a receiver with few free descriptors: the kernel delivers some and cuts off the
 * rest. Those delivered are closed, also if they are as many as the message should have. */
Test(hostile_ctl, descriptors_that_do_not_fit, .init = start)
{
    unsigned before = open_fds();
    struct rlimit saved, tight;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
    int probe = dup(0);
    close(probe);
    static const unsigned types[] = {CTL_LINK, CTL_REGION, CTL_START};
    for (unsigned i = 0; i < ARRAY_LEN(types); i++)
        for (unsigned room = 0; room < 4; room++) {
            struct ctl_msg m = ctl_sample_wire(types[i]);
            tight = saved;
            tight.rlim_cur = (rlim_t)probe + room;
            raw_send(&m, ctl_bytes(m.type), 4, 1);
            cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
            int r = receive(&m);
            cr_assert_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
            cr_assert_eq(r, -EPROTO, "type %u, room for %u", types[i], room);
        }
    still_works(before);
}

/* Protects: the head. */
Test(hostile_ctl, forged_heads_are_refused, .init = start)
{
    unsigned before = open_fds();
    for (unsigned bit = 0; bit < 64; bit++)
        for (unsigned type = 1; type < CTL_TYPES; type++) {
            struct ctl_msg m = ctl_sample_wire(type), got;
            ((uint8_t *)&m)[bit / 8] ^= (uint8_t)(1u << bit % 8);
            raw_send(&m, ctl_bytes(type), ctl_fds(type), 1);
            int r = receive(&got);
            if (bit >= 48) /* another type: fits only if it is shaped the same */
                cr_assert(r == -EPROTO || (ctl_bytes(got.type) == ctl_bytes(type) &&
                                           ctl_fds(got.type) == ctl_fds(type)));
            else
                cr_assert_eq(r, bit < 32 ? -EPROTO : -EPROTONOSUPPORT);
        }
    still_works(before);
}

/* Protects: what a receiver uses as an index, a size or a text. Each line spoils one field
 * of a valid message. */
#define SPOIL(t, field, value)                                                                 \
    {                                                                                          \
        t, offsetof(struct ctl_msg, field), value                                              \
    }
static const struct spoiler {
    unsigned type;
    size_t at;
    uint32_t value;
} spoilers[] = {
    SPOIL(CTL_CONFIG, config.domain, DOM_COUNT),
    SPOIL(CTL_CONFIG, config.domain, UINT32_MAX),
    SPOIL(CTL_CONFIG, config.n_frames[PART_RX], UINT32_MAX),
    SPOIL(CTL_CONFIG, config.n_frames[PART_UP], UINT32_MAX / FRAME_SIZE),
    SPOIL(CTL_CONFIG, config.xsk_ring, 3),
    SPOIL(CTL_CONFIG, config.prefix, 129),
    SPOIL(CTL_CONFIG, config.cpu, (uint32_t)-2),
    SPOIL(CTL_REGION, region.role, REGION_ROLES),
    SPOIL(CTL_REGION, region.role, UINT32_MAX),
    SPOIL(CTL_REGION, region.writable, 2),
    SPOIL(CTL_REGION, region.size, 0),
    SPOIL(CTL_LINK, link.peer, DOM_COUNT),
    SPOIL(CTL_LINK, link.kind, 2),
    SPOIL(CTL_LINK, link.side, 2),
    SPOIL(CTL_LINK, link.own_size, 0),
    SPOIL(CTL_LINK, link.peer_size, 0),
    SPOIL(CTL_PEER_UP, peer, DOM_COUNT),
    SPOIL(CTL_PEER_DOWN, peer, UINT32_MAX),
    SPOIL(CTL_ACK, peer, DOM_COUNT),
    SPOIL(CTL_CLIENT_ADD, client.id, CLIENTS_MAX),
    SPOIL(CTL_CLIENT_ADD, client.resume, 2),
    SPOIL(CTL_CLIENT_ADD, client.g.n_slots, 0),
    SPOIL(CTL_CLIENT_ADD, client.g.n_slots, UINT32_MAX),
    SPOIL(CTL_WELCOME, client.g.n_req, 3),
    SPOIL(CTL_WELCOME, client.g.n_evt, 0),
    SPOIL(CTL_CLIENT_GONE, client.id, CLIENTS_MAX),
    SPOIL(CTL_CLIENT_FREE, client.id, UINT32_MAX),
    SPOIL(CTL_POISONED, text.arg, CLIENTS_MAX),
    SPOIL(CTL_POISONED, text.arg, CTL_ARG_PEER - 1),
    SPOIL(CTL_POISONED, text.arg, CTL_ARG_PEER + DOM_COUNT),
    SPOIL(CTL_NOTICE, text.arg, 0),
    SPOIL(CTL_NOTICE, text.arg, NOTICE_SYSCALL + 1),
    SPOIL(CTL_DENIED, text.arg, 0),
    SPOIL(CTL_DENIED, text.arg, DENIED_ENDS),
    SPOIL(CTL_SESSION_LIST, sessions.n, CTL_INFO_MAX + 1),
    SPOIL(CTL_SESSION_LIST, sessions.n, UINT32_MAX),
    SPOIL(CTL_SESSION_LIST, sessions.more, 2),
    SPOIL(CTL_SESSION_LIST, sessions.s[15].client, CLIENTS_MAX),
    SPOIL(CTL_SESSION_LIST, sessions.s[15].proto, 0),
    SPOIL(CTL_SESSION_LIST, sessions.s[15].proto, IPPROTO_TCP | CTL_STATE_MAX << 8),
    SPOIL(CTL_HELLO, hello.proto, IPPROTO_ICMP),
    SPOIL(CTL_HELLO, hello.proto, IPPROTO_TCP | 1u << 16),
    SPOIL(CTL_HELLO, hello.g.n_slots, 0),
    SPOIL(CTL_HELLO, hello.g.n_slots, UINT32_MAX),
    SPOIL(CTL_HELLO, hello.g.n_tx_pages, UINT32_MAX),
    SPOIL(CTL_HELLO, hello.g.n_rx_pages, UINT32_MAX),
    SPOIL(CTL_HELLO, hello.g.n_req, 0x80000000u),
    SPOIL(CTL_HELLO, hello.g.n_evt, 63),
};

Test(hostile_ctl, spoiled_fields_are_refused, .init = start)
{
    unsigned before = open_fds();
    for (unsigned i = 0; i < ARRAY_LEN(spoilers); i++) {
        const struct spoiler *s = &spoilers[i];
        struct ctl_msg m = ctl_sample_wire(s->type), got;
        memcpy((uint8_t *)&m + s->at, &s->value, sizeof s->value);
        raw_send(&m, ctl_bytes(s->type), ctl_fds(s->type), 1);
        cr_assert_eq(receive(&got), -EPROTO, "line %u: type %u at %zu = %#x", i, s->type, s->at,
                     s->value);
    }
    still_works(before);
}

/* Protects: texts without an end. */
Test(hostile_ctl, endless_texts_are_refused, .init = start)
{
    unsigned before = open_fds();
    struct ctl_msg m = ctl_sample_wire(CTL_HELLO);
    memset(m.hello.program, 'p', sizeof m.hello.program);
    raw_send(&m, ctl_bytes(m.type), 0, 1);
    cr_assert_eq(receive(&m), -EPROTO);
    m = ctl_sample_wire(CTL_CONFIG);
    memset(m.config.instance, 'i', sizeof m.config.instance);
    raw_send(&m, ctl_bytes(m.type), 0, 1);
    cr_assert_eq(receive(&m), -EPROTO);
    static const unsigned texts[] = {CTL_POISONED, CTL_NOTICE, CTL_DENIED};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        m = ctl_sample_wire(texts[i]);
        memset(m.text.text, 't', sizeof m.text.text);
        raw_send(&m, ctl_bytes(m.type), 0, 1);
        cr_assert_eq(receive(&m), -EPROTO);
    }
    still_works(before);
}

static uint32_t
rnd(uint64_t *s)
{
    *s = *s * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*s >> 33);
}

/* Protects: everything else. Random bytes behind a good head, random numbers of descriptors,
 * now and then a valid message between. */
Test(hostile_ctl, random_messages_do_no_harm, .init = start, .timeout = 60)
{
    unsigned before = open_fds(), accepted = 0;
    uint64_t seed = 20;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned type = 1 + rnd(&seed) % (CTL_TYPES - 1);
        struct ctl_msg m = ctl_sample_wire(type), got;
        uint8_t *p = (uint8_t *)&m;
        size_t len = ctl_bytes(type);
        for (unsigned spoil = rnd(&seed) % 4; spoil > 0 && len > 8; spoil--)
            p[8 + rnd(&seed) % (len - 8)] = (uint8_t)rnd(&seed);
        if (rnd(&seed) % 4 == 0)
            for (size_t at = 8; at < len; at++)
                p[at] = (uint8_t)rnd(&seed);
        if (rnd(&seed) % 8 == 0)
            len = rnd(&seed) % (sizeof m + 1);
        raw_send(&m, len, rnd(&seed) % 4 != 0 ? ctl_fds(type) : rnd(&seed) % 8, 1);
        int r = receive(&got);
        cr_assert(r == 0 || r == 1 || r == -EPROTO);
        if (r == 1) {
            accepted++;
            cr_assert_eq(ctl_check(&got, ctl_bytes(got.type), ctl_fds(got.type)), 0);
        }
    }
    cr_assert_gt(accepted, 1000, "all was refused: tests little");
    still_works(before);
}
