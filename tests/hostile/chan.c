/* SPDX-License-Identifier: BSD-2-Clause */
#include "chan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ipc/region.h"

uint32_t
chan_rnd(void)
{
    static uint64_t x = 88172645463325252ull;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 16);
}

double
chan_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int
chan_connect(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    const char *name = getenv("BULKHEAD_INSTANCE");
    MUST(ctl_socket_path(sun.sun_path, sizeof sun.sun_path, name != NULL ? name : "default",
                         "sock"),
         "no name of an instance");
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    MUST(s >= 0, "no socket");
    struct timeval patience = {.tv_sec = 5};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    MUST(connect(s, (struct sockaddr *)&sun, sizeof sun) == 0, "the daemon is gone: %s",
         strerror(errno));
    return s;
}

static const struct arena_geometry geometry = {
    .n_slots = 64, .n_tx_pages = 256, .n_rx_pages = 256, .n_req = 256, .n_evt = 256};

static void
sizes(struct chan *c, const struct arena_geometry *g)
{
    c->size[0] = arena_client_bytes(g);
    c->size[1] = arena_domain_bytes(g);
}

static void
view(struct chan *c, const struct arena_geometry *g)
{
    arena_view_init(&c->v, g, c->half[0], c->half[1]);
    ring_tx_init(&c->req, &c->v.c_head->tail, &c->v.d_head->head, g->n_req);
    ring_rx_init(&c->evt, &c->v.d_head->tail, &c->v.c_head->head, g->n_evt);
}

static void
take_up(struct chan *c, const struct arena_geometry *g)
{
    sizes(c, g);
    for (unsigned i = 0; i < 2; i++) {
        c->half[i] = region_map(c->fd[i], c->size[i], i == 0, NULL);
        MUST(c->half[i] != NULL, "cannot map half %u: %s", i, strerror(errno));
    }
    view(c, g);
}

int
chan_try(struct chan *c, int proto)
{
    struct ctl_msg m = {.type = CTL_HELLO};
    memset(c, 0, sizeof *c);
    m.hello.layout = SESSION_LAYOUT_VERSION;
    m.hello.proto = (uint32_t)proto;
    m.hello.g = geometry;
    strcpy(m.hello.program, "foe");
    c->sup = chan_connect();
    int r = ctl_send(c->sup, &m, NULL);
    if (r == 0)
        r = ctl_recv(c->sup, &m, c->fd);
    if (r == 1 && m.type == CTL_WELCOME) {
        take_up(c, &m.client.g);
        return 0;
    }
    close(c->sup);
    return r == 1 ? (int)m.text.arg : r == 0 ? -ECONNRESET : r;
}

void
chan_open(struct chan *c, int proto)
{
    int r = 0;
    for (unsigned i = 0; i < 500; i++) {
        r = chan_try(c, proto);
        if (r == 0)
            return;
        usleep(10000);
    }
    MUST(false, "cannot attach: %d", r);
}

void
chan_nobody(struct chan *c)
{
    int hold[2], bell[2];
    memset(c, 0, sizeof *c);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, hold) == 0 &&
             pipe2(bell, O_CLOEXEC | O_NONBLOCK) == 0,
         "no descriptors");
    for (unsigned i = 0; i < CTL_FDS_MAX; i++)
        c->fd[i] = -1;
    c->sup = hold[0];
    c->fd[CHAN_HOLD] = hold[1];
    c->fd[CHAN_SLEEP] = bell[0];
    c->fd[CHAN_RING] = bell[1];
    sizes(c, &geometry);
    for (unsigned i = 0; i < 2; i++) {
        c->half[i] =
            mmap(NULL, c->size[i], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        MUST(c->half[i] != MAP_FAILED, "no memory");
    }
    view(c, &geometry);
}

void
chan_close(struct chan *c)
{
    for (unsigned i = 0; i < 2; i++)
        munmap(c->half[i], c->size[i]);
    for (unsigned i = 0; i < CTL_FDS_MAX; i++)
        close(c->fd[i]);
    close(c->sup);
}

bool
chan_dead(const struct chan *c, int ms)
{
    struct pollfd p = {.fd = c->sup, .events = POLLIN};
    return poll(&p, 1, ms) == 1 && (p.revents & (POLLHUP | POLLIN)) != 0;
}

void
chan_ring(const struct chan *c)
{
    struct bell_ringer r = {.fd = c->fd[CHAN_RING]};
    bell_ring(&r);
}

bool
chan_post(struct chan *c, struct sess_req r)
{
    struct sess_req *at = creq_reserve(&c->req, c->v.req);
    if (at == NULL)
        return false;
    *at = r;
    ring_submit(&c->req);
    return true;
}

bool
chan_event(struct chan *c, struct sess_evt *e)
{
    bool got = cevt_take(&c->evt, c->v.evt, e);
    ring_release(&c->evt);
    return got;
}

int
chan_call(struct chan *c, struct sess_req r, struct sess_evt *reply)
{
    struct sess_evt e;
    r.cookie = ++c->cookie | 0x40000000u;
    double end = chan_now() + 2;
    while (!chan_post(c, r))
        if (chan_now() > end || chan_dead(c, 1))
            return -1;
    chan_ring(c);
    while (chan_now() < end) {
        while (chan_event(c, &e))
            if (e.kind == EVT_REPLY && e.cookie == r.cookie) {
                if (reply != NULL)
                    *reply = e;
                return e.err;
            }
        if (chan_dead(c, 0))
            return -1;
        usleep(50);
    }
    return -1;
}

uint64_t
chan_socket(struct chan *c, uint32_t *slot)
{
    struct sess_evt e;
    if (chan_call(c, (struct sess_req){.op = REQ_SOCKET, .handle = SESS_CREATOR}, &e) != 0)
        return 0;
    if (slot != NULL)
        *slot = e.slot;
    return e.handle;
}
