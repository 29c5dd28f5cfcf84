/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/raw_echo.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "bench/tool.h"
#include "lib/wire/wire.h"

#define L4_AT (ETH_HEADER + IP4_HEADER)
#define PAYLOAD_AT (L4_AT + UDP_HEADER)
#define PAYLOAD_MOST (1514u - PAYLOAD_AT)

/* Who asked, and how much. */
struct asker {
    struct ipaddr addr;
    uint8_t mac[6];
    uint16_t port, len;
};

/* A datagram on its way through the other process. Its number is the byte in the pipes. */
struct slot {
    uint16_t len;
    uint8_t in[PAYLOAD_MOST], out[PAYLOAD_MOST];
};

struct raw_hop {
    struct slot slot[BATCH_MAX]; /* shared */
};

/* This process's own part of it. */
static struct {
    struct asker asker[BATCH_MAX];
    uint8_t free[BATCH_MAX];
    unsigned n_free;
} here;

/* The program: its copy out, its answer's copy in. Ends with whoever asks. */
_Noreturn static void
answer(struct raw_hop *h, int in, int out)
{
    uint8_t number[BATCH_MAX], own[PAYLOAD_MOST];
    ssize_t n;
    while ((n = read(in, number, sizeof number)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            struct slot *s = &h->slot[number[i]];
            memcpy(own, s->in, s->len);
            memcpy(s->out, own, s->len);
        }
        if (write(out, number, (size_t)n) != n)
            break;
    }
    _exit(EXIT_OK);
}

static void
start_other(struct raw_echo *e)
{
    int there[2], back[2];
    e->other =
        mmap(NULL, sizeof *e->other, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (e->other == MAP_FAILED || pipe(there) != 0 || pipe(back) != 0)
        tool_die(EXIT_OTHER, "another process: %s", strerror(errno));
    e->pid = fork();
    if (e->pid < 0)
        tool_die(EXIT_OTHER, "fork: %s", strerror(errno));
    if (e->pid == 0) {
        close(there[1]); /* or it would never see its end */
        close(back[0]);
        answer(e->other, there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    e->to_other = there[1];
    e->from_other = back[0];
    while (here.n_free < BATCH_MAX) {
        here.free[here.n_free] = (uint8_t)here.n_free;
        here.n_free++;
    }
}

void
raw_echo_prepare(struct raw_echo *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    /* Read beside the socket, so that none is missed between a look and a sleep; the other
     * process leaves them to this one. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || (e->signals = signalfd(-1, &set, 0)) < 0)
        tool_die(EXIT_OTHER, "signals: %s", strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    e->to_other = e->from_other = -1;
    if (e->hop)
        start_other(e);
}

/* Queues the answer; without a free frame it is lost, as datagrams may be. */
static void
reply(struct rawport *p, uint16_t udp_port, const struct asker *a, const uint8_t *payload)
{
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    struct ip4_hdr h = {.src = p->addr,
                        .dst = a->addr,
                        .total_len = (uint16_t)(IP4_HEADER + UDP_HEADER + a->len),
                        .df = true, /* and so any id will do (RFC 6864 4.1) */
                        .ttl = 64,
                        .proto = WIRE_PROTO_UDP};
    struct udp_hdr u = {
        .sport = udp_port, .dport = a->port, .len = (uint16_t)(UDP_HEADER + a->len)};
    rawport_reclaim(p);
    if (p->n_free == 0)
        return;
    struct fdesc f = {.addr = p->free[p->n_free - 1], .len = (uint16_t)(PAYLOAD_AT + a->len)};
    uint8_t *b = p->frames.base + f.addr;
    memcpy(e.dst, a->mac, 6);
    memcpy(e.src, p->netif.mac, 6);
    eth_emit(b, &e);
    ip4_emit(b + ETH_HEADER, &h);
    udp_emit(b + L4_AT, &u); /* whose checksum stays 0: none */
    memcpy(b + PAYLOAD_AT, payload, a->len);
    p->n_free -= xsk_tx(p->xsk, &f, 1);
}

/* A datagram for the other process. With as many there as it may have, it is lost. */
static void
pass_on(struct raw_echo *e, const struct asker *a, const uint8_t *payload)
{
    if (here.n_free == 0)
        return;
    uint8_t number = here.free[--here.n_free];
    struct slot *s = &e->other->slot[number];
    here.asker[number] = *a;
    s->len = a->len;
    memcpy(s->in, payload, a->len);
    if (write(e->to_other, &number, 1) != 1)
        tool_die(EXIT_OTHER, "the other process has ended");
}

/* Of a frame that came: a whole datagram to the port? Checksums are left to the stacks. */
static void
look(void *arg, const uint8_t *frame, size_t len)
{
    struct raw_echo *r = arg;
    struct eth_hdr e;
    struct ip4_hdr i;
    struct udp_hdr u;
    struct asker a;
    if (eth_parse(&e, frame, len) != WIRE_OK || e.type != ETH_TYPE_IP4 ||
        ip4_parse(&i, frame + ETH_HEADER, len - ETH_HEADER) != WIRE_OK ||
        i.proto != WIRE_PROTO_UDP || i.mf || i.frag_off != 0 ||
        !ipaddr_eq(&i.dst, &r->port->addr))
        return;
    const uint8_t *l4 = frame + ETH_HEADER + i.header_len;
    if (udp_parse(&u, l4, (size_t)i.total_len - i.header_len) != WIRE_OK ||
        u.dport != r->udp_port || u.len > UDP_HEADER + PAYLOAD_MOST)
        return;
    a = (struct asker){.addr = i.src, .port = u.sport, .len = (uint16_t)(u.len - UDP_HEADER)};
    memcpy(a.mac, e.src, 6);
    if (r->hop)
        pass_on(r, &a, l4 + UDP_HEADER);
    else
        reply(r->port, r->udp_port, &a, l4 + UDP_HEADER);
}

static void
take_answers(struct raw_echo *e)
{
    uint8_t number[BATCH_MAX];
    ssize_t n = read(e->from_other, number, sizeof number);
    if (n <= 0)
        tool_die(EXIT_OTHER, "the other process has ended");
    for (ssize_t i = 0; i < n; i++) {
        reply(e->port, e->udp_port, &here.asker[number[i]], e->other->slot[number[i]].out);
        here.free[here.n_free++] = number[i];
    }
}

void
raw_echo_run(struct raw_echo *e)
{
    struct rawport *p = e->port;
    /* poll passes over the last one where there is no other process: -1. */
    struct pollfd on[] = {{.fd = p->netif.fd, .events = POLLIN},
                          {.fd = e->signals, .events = POLLIN},
                          {.fd = e->from_other, .events = POLLIN}};
    struct fdesc f[BATCH_MAX];
    p->hear = look;
    p->hear_arg = e;
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (poll(on, ARRAY_LEN(on), -1) < 0 && errno != EINTR)
            tool_die(EXIT_OTHER, "poll: %s", strerror(errno));
        if (on[1].revents != 0)
            break;
        if (on[2].revents != 0)
            take_answers(e);
        if (on[0].revents != 0)
            rawport_return(p, f, rawport_receive(p, f));
        while (xsk_kick(p->xsk))
            ;
    }
    if (e->hop) {
        close(e->to_other); /* which ends it */
        (void)waitpid(e->pid, NULL, 0);
    }
}
