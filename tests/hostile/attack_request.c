/* SPDX-License-Identifier: BSD-2-Clause
 *
 * attack_request.c: what can be asked for over a channel: nonsense, what is not ours, and far
 * too much.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chan.h"
#include "ipc/handle.h"

static int
proto(void)
{
    return chan_rnd() % 2 ? IPPROTO_TCP : IPPROTO_UDP;
}

static void
swallow(struct chan *c)
{
    struct sess_evt e;
    while (chan_event(c, &e))
        ;
}

/* Any bytes, mostly with an op and a handle that could be. */
static void
garbage(void)
{
    struct chan c;
    chan_open(&c, proto());
    uint64_t h = chan_socket(&c, NULL);
    for (double end = chan_now() + 0.3; chan_now() < end;) {
        union {
            struct sess_req r;
            uint32_t word[sizeof(struct sess_req) / 4];
        } u;
        for (unsigned i = 0; i < ARRAY_LEN(u.word); i++)
            u.word[i] = chan_rnd();
        if (chan_rnd() % 8 != 0)
            u.r.op = (uint8_t)(chan_rnd() % (REQ_OPS + 1));
        if (chan_rnd() % 2 != 0)
            u.r.handle = h;
        if (chan_rnd() % 4 == 0)
            u.r.level = (int32_t)(chan_rnd() % 18);
        if (chan_rnd() % 2 == 0)
            u.r.name = (int32_t)(chan_rnd() % 64);
        if (chan_rnd() % 2 == 0)
            u.r.addr = ipaddr_v4_u32(chan_rnd() % 4 ? 0x0a4d0002 : chan_rnd());
        if (u.r.op == REQ_BIND)
            u.r.port = (uint16_t)(20000 + chan_rnd() % 100); /* not where a victim listens */
        if (!chan_post(&c, u.r))
            chan_ring(&c);
        swallow(&c);
        if (chan_rnd() % 64 == 0)
            h = chan_socket(&c, NULL);
    }
    MUST(!chan_dead(&c, 0), "a channel with honest indices was cut off");
    chan_close(&c);
}

/* Numbers near those of our own handles, of another channel of ours, and stale ones name
 * nothing; nothing that is asked of them succeeds. */
static void
handles(void)
{
    struct chan a, b;
    int p = proto();
    uint64_t own[8];
    chan_open(&a, p);
    chan_open(&b, p);
    for (unsigned i = 0; i < ARRAY_LEN(own); i++)
        own[i] = chan_socket(&a, NULL);
    MUST(own[7] != 0, "no session");
    (void)chan_post(&a, (struct sess_req){.op = REQ_CLOSE, .handle = own[0]});
    (void)chan_post(&a, (struct sess_req){.op = REQ_RELEASED, .handle = own[0]});
    for (unsigned i = 0; i < 400; i++) {
        uint64_t h = own[chan_rnd() % 8];
        struct chan *c = i % 2 ? &a : &b;
        if (c == &a && (i / 2) % 4 == 0)
            h = own[0];
        else if (c == &a)
            h ^= 1ull << (3 + chan_rnd() % 61);
        bool alive = false; /* it may be right by chance */
        for (unsigned k = 1; k < ARRAY_LEN(own); k++)
            alive |= c == &a && own[k] == h;
        if (alive)
            continue;
        static const uint8_t ops[] = {REQ_NAME, REQ_BIND, REQ_SETOPT, REQ_SHUTDOWN, REQ_GETOPT};
        struct sess_req r = {.op = ops[chan_rnd() % ARRAY_LEN(ops)], .handle = h};
        int err = chan_call(c, r, NULL);
        MUST(err == EBADF || err == EACCES, "handle %#llx, which is not ours: errno %d",
             (unsigned long long)h, err);
    }
    chan_close(&a);
    chan_close(&b);
}

/* A minted handle has no right that its parent lacks, none is had by asking for more, and what
 * is revoked is dead at once, with all that was minted from it, also while requests about it
 * wait. */
static void
wider(void)
{
    struct chan c;
    struct sess_evt e;
    chan_open(&c, proto());
    uint64_t h = chan_socket(&c, NULL), line[8];
    for (unsigned i = 0; i < ARRAY_LEN(line); i++) {
        struct sess_req mint = {.op = REQ_MINT, .handle = i == 0 ? h : line[i - 1]};
        mint.value = RIGHT_DELEGATE | RIGHT_RECEIVE;
        MUST(chan_call(&c, mint, &e) == 0, "handle %u cannot be minted", i);
        line[i] = e.handle;
        mint.handle = line[i];
        mint.value = 1ull << chan_rnd() % 64;
        if ((mint.value & (RIGHT_DELEGATE | RIGHT_RECEIVE)) == 0)
            MUST(chan_call(&c, mint, &e) != 0, "right %#llx was had for the asking",
                 (unsigned long long)mint.value);
        struct sess_req bind = {.op = REQ_BIND, .handle = line[i]};
        MUST(chan_call(&c, bind, &e) == EACCES, "bound without the right to");
    }
    for (unsigned i = 0; i < 20; i++) /* in use while it is revoked */
        (void)chan_post(&c, (struct sess_req){.op = i == 10 ? REQ_REVOKE : REQ_CONSUMED,
                                              .handle = line[i == 10 ? 0 : i % 8]});
    for (unsigned i = 0; i < ARRAY_LEN(line); i++)
        MUST(chan_call(&c, (struct sess_req){.op = REQ_NAME, .handle = line[i]}, &e) == EBADF,
             "handle %u outlives what it was minted from", i);
    MUST(chan_call(&c, (struct sess_req){.op = REQ_NAME, .handle = h}, &e) == 0,
         "revoking a child killed the parent");
    chan_close(&c);
}

/* ---- too much ---- */

static void
flood(void)
{
    struct chan c;
    chan_open(&c, proto());
    uint64_t h = chan_socket(&c, NULL);
    struct sess_req r = {.op = REQ_GETOPT, .handle = h, .level = SOL_SOCKET, .name = SO_RCVBUF};
    for (double end = chan_now() + 0.3; chan_now() < end;) {
        while (chan_post(&c, r))
            ;
        chan_ring(&c);
        swallow(&c);
    }
    MUST(!chan_dead(&c, 0), "a flood is no reason to be cut off");
    chan_close(&c);
}

/* The same, and the answers are never taken. */
static void
flood_unread(void)
{
    struct chan c;
    chan_open(&c, proto());
    uint64_t h = chan_socket(&c, NULL);
    for (double end = chan_now() + 0.3; chan_now() < end;) {
        (void)chan_post(&c, (struct sess_req){.op = REQ_NAME, .handle = h});
        chan_ring(&c);
    }
    chan_close(&c);
}

static void
churn(void)
{
    struct chan c;
    chan_open(&c, proto());
    for (double end = chan_now() + 0.3; chan_now() < end;) {
        struct sess_evt e;
        (void)chan_post(&c, (struct sess_req){.op = REQ_SOCKET, .handle = SESS_CREATOR});
        chan_ring(&c);
        while (chan_event(&c, &e)) {
            if (e.kind == EVT_REPLY && e.handle != 0)
                (void)chan_post(&c, (struct sess_req){.op = REQ_CLOSE, .handle = e.handle});
            if (e.kind == EVT_REPLY && e.handle != 0)
                (void)chan_post(&c, (struct sess_req){.op = REQ_RELEASED, .handle = e.handle});
        }
    }
    chan_close(&c);
}

/* Attach and leave, as often as it goes. */
static void
attach(void)
{
    struct chan c;
    chan_open(&c, proto());
    chan_close(&c);
}

/* All sessions that it may have, each with a port, and none of them used. What the process
 * before had is given back: all can be bound again. */
static void
hoard(void)
{
    struct chan c;
    int p = proto(), err = 0;
    chan_open(&c, p);
    for (unsigned i = 0; i < c.v.g.n_slots; i++) {
        uint64_t h = chan_socket(&c, NULL);
        MUST(h != 0, "session %u of %u", i, c.v.g.n_slots);
        for (unsigned try = 0; try < 100; try++) { /* its predecessor's end takes a moment */
            err = chan_call(
                &c,
                (struct sess_req){.op = REQ_BIND, .handle = h, .port = (uint16_t)(30000 + i)},
                NULL);
            if (err != EADDRINUSE)
                break;
            usleep(20000);
        }
        MUST(err == 0, "port %u is not free: errno %d", 30000 + i, err);
        if (p == IPPROTO_TCP)
            (void)chan_post(&c,
                            (struct sess_req){.op = REQ_LISTEN, .handle = h, .value = 1000});
    }
    MUST(chan_socket(&c, NULL) == 0, "more sessions than there are slots");
    chan_close(&c);
}

/* Listens where a peer sends to (port 5999), takes no event and reads nothing. */
static void
deaf(void)
{
    struct chan c;
    chan_open(&c, IPPROTO_TCP);
    uint64_t h = chan_socket(&c, NULL);
    int err = EADDRINUSE;
    for (unsigned try = 0; try < 200 && err == EADDRINUSE; try++) {
        err = chan_call(&c, (struct sess_req){.op = REQ_BIND, .handle = h, .port = 5999}, NULL);
        usleep(10000);
    }
    MUST(err == 0, "cannot bind: %d", err);
    MUST(chan_call(&c, (struct sess_req){.op = REQ_LISTEN, .handle = h, .value = 64}, NULL) ==
             0,
         "cannot listen");
    usleep(500000);
    chan_close(&c);
}

const struct attack attack_request[] = {{"garbage", garbage},
                                        {"handles", handles},
                                        {"wider", wider},
                                        {"flood", flood},
                                        {"flood-unread", flood_unread},
                                        {"churn", churn},
                                        {"attach", attach},
                                        {"hoard", hoard},
                                        {"deaf", deaf},
                                        {NULL, NULL}};
