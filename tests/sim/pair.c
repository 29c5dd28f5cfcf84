/* SPDX-License-Identifier: BSD-2-Clause */
#include "pair.h"

#include <errno.h>

/* While time passes programs do nothing but take in what they are told. */
static bool
take_in(struct world *w, struct program *p, void *ctx)
{
    struct bh_event ev;
    (void)w;
    (void)p;
    (void)ctx;
    (void)bh_ready_events(&ev, 1);
    return false;
}

void
pair_init(struct world *w, const struct world_config *c)
{
    world_init(w, c);
    for (unsigned i = 0; i < 2; i++)
        world_assert(w, world_program(w, i) == i);
    w->work = take_in;
}

static bool
nothing_left(void *ctx)
{
    struct world *w = ctx;
    for (unsigned i = 0; i < 2; i++)
        if (stack_check_rest(&w->s[i]) != NULL)
            return false;
    return true;
}

void
pair_end(struct world *w)
{
    (void)world_run(w, w->now + 1200 * NS_S, nothing_left, w);
    world_check_rest(w);
    world_free(w);
}

int
pair_socket(struct world *w, unsigned program, int type)
{
    world_use(w, program);
    int fd = bh_socket(AF_INET, type, 0);
    if (fd < 0)
        world_fail(w, "bh_socket: errno %d", errno);
    return fd;
}

int
pair_listen(struct world *w, unsigned program, uint16_t port, int backlog)
{
    int fd = pair_socket(w, program, SOCK_STREAM);
    struct sockaddr_in sin = world_sin(w->prog[program].side, port);
    pair_option(w, program, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    world_assert(w, bh_bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0);
    world_assert(w, bh_listen(fd, backlog) == 0);
    return fd;
}

void
pair_connect(struct world *w, int fd[2])
{
    struct sockaddr_in sin = world_sin(w->prog[1].side, PAIR_PORT);
    int listener = pair_listen(w, 1, PAIR_PORT, 8);
    fd[0] = pair_socket(w, 0, SOCK_STREAM);
    if (bh_connect(fd[0], (struct sockaddr *)&sin, sizeof sin) != 0)
        world_fail(w, "bh_connect: errno %d", errno);
    world_use(w, 1);
    fd[1] = bh_accept(listener, NULL, NULL);
    if (fd[1] < 0)
        world_fail(w, "bh_accept: errno %d", errno);
    pair_close(w, 1, listener);
}

void
pair_option(struct world *w, unsigned program, int fd, int level, int name, int value)
{
    world_use(w, program);
    if (bh_setsockopt(fd, level, name, &value, sizeof value) != 0)
        world_fail(w, "setsockopt %d %d: errno %d", level, name, errno);
}

void
pair_nonblocking(struct world *w, unsigned program, int fd)
{
    world_use(w, program);
    world_assert(w, bh_set_nonblocking(fd, 1) == 0);
}

int
pair_send(struct world *w, unsigned program, int fd, uint32_t pattern, uint64_t at, size_t n)
{
    world_use(w, program);
    while (n > 0) {
        ssize_t k = bh_send(fd, load_pattern(pattern, at), n < 65536 ? n : 65536, 0);
        if (k < 0)
            return errno;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return 0;
}

int
pair_receive(struct world *w, unsigned program, int fd, uint32_t pattern, uint64_t at, size_t n)
{
    static uint8_t buf[65536];
    world_use(w, program);
    while (n > 0) {
        ssize_t k = bh_recv(fd, buf, n < sizeof buf ? n : sizeof buf, 0);
        if (k <= 0)
            return k == 0 ? -1 : errno;
        if (memcmp(buf, load_pattern(pattern, at), (size_t)k) != 0)
            world_fail(w, "wrong bytes at %llu or later", (unsigned long long)at);
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return 0;
}

size_t
pair_fill(struct world *w, unsigned program, int fd, uint32_t pattern, uint64_t at)
{
    size_t done = 0;
    world_use(w, program);
    for (;;) {
        ssize_t k = bh_send(fd, load_pattern(pattern, at + done), 65536, MSG_DONTWAIT);
        if (k < 0) {
            world_assert(w, errno == EAGAIN);
            return done;
        }
        done += (size_t)k;
    }
}

int
pair_end_of_stream(struct world *w, unsigned program, int fd)
{
    uint8_t byte;
    world_use(w, program);
    ssize_t k = bh_recv(fd, &byte, 1, 0);
    world_assert(w, k <= 0);
    return k == 0 ? 0 : -errno;
}

void
pair_close(struct world *w, unsigned program, int fd)
{
    world_use(w, program);
    if (bh_close(fd) != 0)
        world_fail(w, "bh_close: errno %d", errno);
}

int
pair_state(struct world *w, unsigned side, uint16_t lport, uint16_t rport)
{
    struct sess_info s;
    const struct transport *t = stack_transport(&w->s[side], STACK_TCP);
    for (uint32_t i = 0; tcp_ops.info(t, i, &s); i = s.sess + 1)
        if (s.lport == lport && s.rport == rport)
            return s.state;
    return -1;
}

uint16_t
pair_port(struct world *w, unsigned program, int fd)
{
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    world_use(w, program);
    world_assert(w, bh_getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
    return ntohs(sin.sin_port);
}
