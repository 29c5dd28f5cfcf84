/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/raw_echo.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <sys/mman.h>
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

static struct asker asker[BATCH_MAX]; /* of those that are in the slots */

/* A datagram on its way through the other process. */
struct slot {
    uint16_t len;
    uint8_t in[PAYLOAD_MOST], out[PAYLOAD_MOST];
};

/* What the two processes share; each writes a half of the words. */
struct raw_hop {
    alignas(CACHE_LINE) _Atomic uint32_t asked; /* how many so far */
    _Atomic uint32_t want_here;                 /* bell.h */
    alignas(CACHE_LINE) _Atomic uint32_t answered;
    _Atomic uint32_t want_there;
    struct slot slot[BATCH_MAX]; /* number n is in slot n % BATCH_MAX */
};

static int stop[2]; /* a pipe: readable once `stopped` */
static volatile sig_atomic_t stopped;

static void
end_soon(int sig)
{
    stopped = sig;
    (void)!write(stop[1], "", 1);
}

static void
on_end(void (*handler)(int))
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static uint32_t
count_of(const _Atomic uint32_t *n)
{
    return atomic_load_explicit(n, memory_order_acquire);
}

/* Nothing there: look on for a while, giving way, or not? */
static bool
look_on(uint64_t spin_ns, uint64_t busy_at)
{
    if (spin_ns == 0 || tool_nanoseconds() - busy_at >= spin_ns)
        return false;
    sched_yield();
    return true;
}

/* The program: its copy out, its answer's copy in. Ends with whoever asks. */
_Noreturn static void
answer(struct raw_hop *h, int in, int out, uint64_t spin_ns)
{
    struct bell_sleeper sleeper;
    struct bell_ringer ringer;
    uint8_t own[PAYLOAD_MOST];
    uint64_t busy_at = 0;
    uint32_t done = 0;
    bell_sleeper_init(&sleeper, &h->want_there, in);
    bell_ringer_init(&ringer, &h->want_here, out);
    for (bool there = true; there;) {
        uint32_t asked = count_of(&h->asked);
        if (asked != done) {
            for (; done != asked; done++) {
                struct slot *s = &h->slot[done % BATCH_MAX];
                memcpy(own, s->in, s->len);
                memcpy(s->out, own, s->len);
            }
            atomic_store_explicit(&h->answered, done, memory_order_release);
            if (bell_due(&ringer))
                bell_ring(&ringer);
            busy_at = spin_ns ? tool_nanoseconds() : 0;
        } else if (!look_on(spin_ns, busy_at)) {
            bell_arm(&sleeper);
            if (count_of(&h->asked) == done)
                there = bell_drain(&sleeper); /* which sleeps: this end blocks */
            bell_disarm(&sleeper);
        }
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
        on_end(SIG_IGN); /* a terminal's goes to both */
        close(there[1]); /* or it would never see its end */
        close(back[0]);
        answer(e->other, there[0], back[1], e->spin_ns);
    }
    close(there[0]);
    close(back[1]);
    bell_ringer_init(&e->ringer, &e->other->want_there, there[1]);
    bell_sleeper_init(&e->sleeper, &e->other->want_here, back[0]);
}

void
raw_echo_prepare(struct raw_echo *e)
{
    if (e->hop)
        start_other(e);
    if (pipe(stop) != 0)
        tool_die(EXIT_OTHER, "a pipe: %s", strerror(errno));
    on_end(end_soon);
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
    (void)rawport_send(p, &f, 1);
}

/* A datagram for the other process. With as many there as it may have, it is lost. */
static void
pass_on(struct raw_echo *e, const struct asker *a, const uint8_t *payload)
{
    struct slot *s = &e->other->slot[e->asked % BATCH_MAX];
    if (e->asked - e->replied == BATCH_MAX)
        return;
    asker[e->asked % BATCH_MAX] = *a;
    s->len = a->len;
    memcpy(s->in, payload, a->len);
    atomic_store_explicit(&e->other->asked, ++e->asked, memory_order_release);
    if (bell_due(&e->ringer))
        bell_ring(&e->ringer);
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

static unsigned
take_answers(struct raw_echo *e)
{
    uint32_t before = e->replied, answered = e->hop ? count_of(&e->other->answered) : 0;
    for (; e->replied != answered; e->replied++)
        reply(e->port, e->udp_port, &asker[e->replied % BATCH_MAX],
              e->other->slot[e->replied % BATCH_MAX].out);
    return answered - before;
}

/* Until there may be something to do. */
static void
doze(struct raw_echo *e)
{
    /* poll passes over the last one where there is no other process. */
    struct pollfd on[] = {{.fd = e->port->netif.fd, .events = POLLIN},
                          {.fd = stop[0], .events = POLLIN},
                          {.fd = e->hop ? e->sleeper.fd : -1, .events = POLLIN}};
    if (e->hop) {
        bell_arm(&e->sleeper);
        if (count_of(&e->other->answered) == e->replied) {
            (void)poll(on, ARRAY_LEN(on), -1);
            if (on[2].revents != 0 && !bell_drain(&e->sleeper))
                tool_die(EXIT_OTHER, "the other process has ended");
        }
        bell_disarm(&e->sleeper);
    } else {
        (void)poll(on, ARRAY_LEN(on), -1);
    }
}

void
raw_echo_run(struct raw_echo *e)
{
    struct rawport *p = e->port;
    struct fdesc f[BATCH_MAX];
    uint64_t busy_at = 0;
    p->hear = look;
    p->hear_arg = e;
    puts("ready");
    fflush(stdout);
    while (!stopped) {
        unsigned n = rawport_receive(p, f);
        rawport_return(p, f, n);
        n += take_answers(e);
        while (rawport_kick(p))
            ;
        if (n != 0 && e->spin_ns != 0)
            busy_at = tool_nanoseconds();
        else if (!look_on(e->spin_ns, busy_at))
            doze(e);
    }
    if (e->hop) {
        close(e->ringer.fd); /* which ends it */
        (void)waitpid(e->pid, NULL, 0);
    }
}
