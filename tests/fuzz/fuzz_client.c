/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client library against a hostile domain: what the domain writes into its half of the
 * arena (ring indices, events, slots, directories, maps, payload, answers) and into the
 * client's bells' words is the input, between the calls of a program, which are the input too.
 * A call may fail in any way, but ends; what it hands out lies inside the arena or the caller's
 * buffers (the sanitizers see to that), and the library's own books stay in order.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "lib/client/private.h"

#define SLOTS 8u

static const struct arena_geometry geometry = {
    .n_slots = SLOTS, .n_tx_pages = 16, .n_rx_pages = 16, .n_req = 8, .n_evt = 16};

static struct world {
    void *half[2];
    struct arena_view v;
    struct lib *lib;
    struct ring_tx evt;
    struct ring_rx req;
    ns_t now;
    int fd[6];
    struct input *in; /* what the domain does while a call waits */
    unsigned waits;
    int type;
} w;

RING_DEFINE(dreq, struct sess_req)
RING_DEFINE(devt, struct sess_evt)

/* ---- the domain ---- */

static void
post(const struct sess_evt *e)
{
    struct sess_evt *at = devt_reserve(&w.evt, w.v.evt);
    if (at != NULL)
        *at = *e;
    ring_submit(&w.evt);
}

/* Answer a request; rightly, or nearly so. */
static void
answer(struct input *in)
{
    struct sess_req r;
    if (!dreq_take(&w.req, w.v.req, &r))
        return;
    ring_release(&w.req);
    uint32_t what = take(in, 1);
    struct sess_evt e = {.kind = EVT_REPLY, .cookie = r.cookie};
    e.slot = what % 8 == 7 ? take(in, 4) : what / 8 % SLOTS;
    e.handle = what % 32 == 31 ? 0 : 1 + e.slot;
    if (what % 16 == 9)
        e.err = (int32_t)take(in, 4);
    if (what % 16 == 10)
        e.cookie ^= 1u << take(in, 1) % 32;
    e.value = what % 4 == 0 ? take(in, 4) : 0;
    e.port = (uint16_t)what;
    e.addr = ipaddr_v4_u32(what);
    if (r.op == REQ_SOCKET && what % 16 != 9) {
        struct slot_domain *d = &w.v.d_slot[e.slot % SLOTS];
        atomic_store(&d->state, SLOT_OPEN | (what & 64 ? SLOT_CONNECTED : 0));
        atomic_store(&d->sndbuf, 20000);
        atomic_store(&d->rcvbuf, 20000);
    }
    post(&e);
}

static void
event(struct input *in)
{
    uint32_t what = take(in, 1);
    struct sess_evt e = {.kind = (uint8_t)(what % 6)};
    e.slot = what & 128 ? take(in, 4) : what / 8 % SLOTS;
    e.value = what & 64 ? take(in, 4) : take(in, 1) % (SLOTS + 1);
    e.handle = take(in, 1);
    e.err = (int32_t)(what % 3 == 0 ? take(in, 4) : 0);
    e.cookie = take(in, 1) * (COOKIE_OP + 1) | take(in, 1) % REQ_OPS;
    post(&e);
}

/* Any word of its half. */
static void
write_half(struct input *in)
{
    struct arena_view *v = &w.v;
    uint32_t what = take(in, 1), i = take(in, 1) % SLOTS;
    struct slot_domain *d = &v->d_slot[i];
    uint64_t n = what & 128 ? (uint64_t)take(in, 4) << (what & 64 ? 32 : 0) : take(in, 2);
    switch (what % 16) {
    case 0:
        atomic_store(&d->rx_tail, n);
        break;
    case 1:
        atomic_fetch_add(&d->rx_tail, n % 5000);
        break;
    case 2:
        atomic_store(&d->tx_head, n);
        break;
    case 3:
        atomic_store(&d->tx_head, atomic_load(&v->c_slot[i].tx_tail));
        break;
    case 4:
        atomic_store(&d->state, (uint32_t)n);
        break;
    case 5:
        atomic_store(&d->err, (uint32_t)n);
        atomic_fetch_add(&d->err_seq, 1);
        break;
    case 6:
        atomic_store(what & 32 ? &d->sndbuf : &d->rcvbuf, (uint32_t)n);
        break;
    case 7:
        atomic_store(what & 32 ? &d->urgent : &d->tx_sent, n);
        break;
    case 8:
        atomic_store(what & 32 ? &d->rcvlowat : &d->notsent, (uint32_t)n);
        break;
    case 9:
        atomic_store(&d->rx_dir.page[take(in, 1) % FIFO_DIR], (uint32_t)n);
        break;
    case 10:
        atomic_store(&d->rx_dir.map[take(in, 1) % FIFO_MAPS], (uint32_t)n);
        break;
    case 11:
        ((uint32_t *)(void *)v->rx_page)[take(in, 2) % (16 * FIFO_MAP)] = (uint32_t)n;
        break;
    case 12: {
        struct answer *a = &v->answer[i % ARENA_ANSWERS];
        atomic_store(&a->number, take(in, 1));
        atomic_store(&a->len, (uint32_t)n);
        break;
    }
    case 13:
        atomic_store(what & 32 ? &v->d_head->tail : &v->d_head->head, (uint32_t)n);
        break;
    case 14:
        atomic_fetch_add(what & 32 ? &v->d_head->want : &v->d_head->lost, (uint32_t)n);
        break;
    default: /* an honest page with bytes, or a record */
        for (uint32_t p = 0; p < 4; p++)
            atomic_store(&d->rx_dir.page[p], fifo_word((uint64_t)p * FIFO_PAGE, p + i % 3));
    }
}

static void
domain(struct input *in)
{
    switch (take(in, 1) % 4) {
    case 0:
        event(in);
        break;
    case 1:
        write_half(in);
        break;
    default:
        answer(in);
    }
}

/* ---- time ---- */

static ns_t
now(void *arg)
{
    (void)arg;
    return w.now;
}

static int
wait_a_while(void *arg, ns_t deadline)
{
    (void)arg;
    if (w.waits++ > 40) { /* a call that waits for ever is interrupted; some do not care */
        w.now += NS_S;
        return EINTR;
    }
    if (w.in->left > 0) {
        domain(w.in);
        w.now += NS_MS;
        return 0;
    }
    if (deadline == NS_NEVER)
        return EINTR;
    w.now = max_u64(w.now, deadline);
    return ETIMEDOUT;
}

/* ---- the program ---- */

static void
bytes(struct input *in, int fd)
{
    static uint8_t buf[9000];
    uint32_t what = take(in, 1);
    size_t len = take(in, 2) % sizeof buf;
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(7)};
    socklen_t n = sizeof sin;
    struct iovec iov[3];
    int niov = 3;
    ssize_t got = 0;
    switch (what % 8) {
    case 0:
        got = bh_send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case 1:
        got = bh_recv(fd, buf, len, (what & 8 ? MSG_DONTWAIT : 0) | (what & 16 ? MSG_PEEK : 0));
        break;
    case 2:
        got = bh_sendto(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL, (void *)&sin, n);
        break;
    case 3:
        got = bh_recvfrom(fd, buf, len, MSG_DONTWAIT, (void *)&sin, &n);
        break;
    case 4:
        if (bh_peek(fd, iov, &niov) > 0) {
            expect(niov <= 3);
            for (int i = 0; i < niov; i++) {
                const uint8_t *p = iov[i].iov_base;
                expect(p >= w.v.rx_page && p + iov[i].iov_len <= w.v.rx_page + 16 * FIFO_PAGE);
                (void)bh_consume(fd, iov[i].iov_len);
            }
        }
        return;
    case 5:
        if (bh_reserve(fd, len, iov, &niov) > 0) {
            expect(niov <= 3);
            size_t all = 0;
            for (int i = 0; i < niov; i++) {
                uint8_t *p = iov[i].iov_base;
                expect(p >= w.v.tx_page && p + iov[i].iov_len <= w.v.tx_page + 16 * FIFO_PAGE);
                memset(p, 1, iov[i].iov_len);
                all += iov[i].iov_len;
            }
            (void)bh_commit(fd, all);
        }
        return;
    default:
        return;
    }
    expect(got <= (ssize_t)len);
}

static void
call(struct input *in)
{
    uint32_t what = take(in, 1);
    int *fd = &w.fd[what / 16 % ARRAY_LEN(w.fd)], on = (int)take(in, 1);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(80)};
    socklen_t n = sizeof sin, len = sizeof(struct tcp_info);
    struct tcp_info info;
    struct pollfd p = {.fd = *fd, .events = POLLIN | POLLOUT};
    switch (what % 16) {
    case 0:
    case 1:
        if (*fd < 0)
            *fd = bh_socket(AF_INET, w.type, 0);
        break;
    case 2:
        sin.sin_addr.s_addr = htonl(0x0a000002);
        (void)bh_set_nonblocking(*fd, on & 1);
        (void)bh_connect(*fd, (void *)&sin, n);
        break;
    case 3:
        (void)bh_listen(*fd, on);
        break;
    case 4: {
        int got = bh_accept(*fd, (void *)&sin, &n);
        if (got >= 0) {
            (void)bh_close(w.fd[0]);
            w.fd[0] = got;
        }
        break;
    }
    case 5:
        (void)bh_close(*fd);
        *fd = -1;
        break;
    case 6:
        (void)bh_shutdown(*fd, on % 3);
        break;
    case 7:
        (void)bh_setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &on, sizeof on);
        break;
    case 8:
        (void)bh_getsockopt(*fd, IPPROTO_TCP, TCP_INFO, &info, &len);
        expect(len <= sizeof info);
        break;
    case 9:
        (void)bh_getsockname(*fd, (void *)&sin, &n);
        (void)bh_getpeername(*fd, (void *)&sin, &n);
        break;
    case 10:
        (void)bh_poll(&p, 1, on % 2);
        break;
    default:
        bytes(in, *fd);
    }
}

/* The books: a free page is free once, nobody's page is free. */
static void
check(void)
{
    for (unsigned i = 0; i < ATTS; i++)
        if (w.lib->att[i] != NULL)
            expect(page_pool_validate(&w.lib->att[i]->pages));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    const struct bh_hooks hooks = {.now = now, .wait = wait_a_while};
    int proto = take(&in, 1) & 1 ? IPPROTO_UDP : IPPROTO_TCP;
    size_t len[2] = {arena_client_bytes(&geometry), arena_domain_bytes(&geometry)};
    for (unsigned i = 0; i < 2; i++) {
        if (w.half[i] == NULL)
            w.half[i] = aligned_alloc(FIFO_PAGE, len[i]);
        expect(w.half[i] != NULL);
        memset(w.half[i], 0, len[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(w.fd); i++)
        w.fd[i] = -1;
    w.in = &in;
    w.waits = 0;
    w.now = NS_S;
    w.type = proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
    setenv("BULKHEAD_RUN_DIR", "/nonexistent", 1); /* a new daemon is not to be had */
    arena_view_init(&w.v, &geometry, w.half[0], w.half[1]);
    ring_tx_init(&w.evt, &w.v.d_head->tail, &w.v.c_head->head, geometry.n_evt);
    ring_rx_init(&w.req, &w.v.c_head->tail, &w.v.d_head->head, geometry.n_req);
    w.lib = bh_test_new(&hooks);
    expect(w.lib != NULL);
    expect(bh_test_attach(w.lib, proto, &geometry, w.half[0], w.half[1], -1, -1) == 0);
    bh_test_use(w.lib);
    while (in.left > 0) {
        w.waits = 0;
        if (take(&in, 1) % 3 == 0)
            domain(&in);
        else
            call(&in);
        check();
    }
    for (unsigned i = 0; i < ARRAY_LEN(w.fd); i++)
        (void)bh_close(w.fd[i]);
    bh_test_free(w.lib);
    return 0;
}
