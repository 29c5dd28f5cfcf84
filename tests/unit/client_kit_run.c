/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client_kit_run.c: how the domain of client_kit.h is set up and driven, and what tests do
 * first.
 */
#include "client_kit.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KIT_PATIENCE 60u /* seconds */

static ns_t
kit_now(void *arg)
{
    return ((struct kit *)arg)->now;
}

static int
kit_wait(void *arg, ns_t deadline)
{
    struct kit *k = arg;
    if (k->stalled_until > k->now) {
        if (deadline < k->stalled_until) {
            k->now = max_u64(k->now, deadline);
            return ETIMEDOUT;
        }
        k->now = k->stalled_until;
    }
    if (kit_step(k))
        return 0;
    if (deadline == NS_NEVER)
        return ETIMEDOUT; /* nothing can happen any more */
    k->now = max_u64(k->now, deadline);
    return ETIMEDOUT;
}

static void
make(struct kit *k, int proto, const struct arena_geometry *g)
{
    static const struct arena_geometry usual = {
        .n_slots = 32, .n_tx_pages = 64, .n_rx_pages = 64, .n_req = 64, .n_evt = 64};
    /* A test that goes round in circles ends; one that sleeps for ever is ended by run(). */
    struct rlimit cpu = {.rlim_cur = KIT_PATIENCE, .rlim_max = KIT_PATIENCE};
    setrlimit(RLIMIT_CPU, &cpu);
    memset((void *)k, 0, sizeof *k);
    k->proto = proto;
    k->g = g != NULL ? *g : usual;
    k->now = NS_S;
    k->sndbuf = k->rcvbuf = 32768;
    size_t bytes[2] = {arena_client_bytes(&k->g), arena_domain_bytes(&k->g)};
    for (unsigned i = 0; i < 2; i++) {
        k->half[i] = aligned_alloc(FIFO_PAGE, bytes[i]);
        if (k->half[i] == NULL)
            abort();
        memset(k->half[i], 0, bytes[i]);
    }
    arena_view_init(&k->v, &k->g, k->half[0], k->half[1]);
    /* Close to where 32-bit indices wrap. */
    atomic_store(&k->v.c_head->tail, 0xfffffff0u);
    atomic_store(&k->v.d_head->head, 0xfffffff0u);
    atomic_store(&k->v.d_head->tail, 0xfffffff0u);
    atomic_store(&k->v.c_head->head, 0xfffffff0u);
    ring_rx_init(&k->req, &k->v.c_head->tail, &k->v.d_head->head, k->g.n_req);
    ring_tx_init(&k->evt, &k->v.d_head->tail, &k->v.c_head->head, k->g.n_evt);
    k->stack = calloc(k->g.n_rx_pages, sizeof *k->stack);
    page_pool_init(&k->pages, k->g.n_rx_pages, k->stack);
    k->ringer.fd = k->space.fd = -1;
    for (unsigned i = 0; i < 2; i++)
        k->pipe_in[i] = k->pipe_out[i] = -1;
}

void
kit_init(struct kit *k, int proto, const struct arena_geometry *g)
{
    make(k, proto, g);
    struct bh_hooks hooks = {.now = kit_now, .wait = kit_wait, .arg = k};
    k->lib = bh_test_new(&hooks);
    if (k->lib == NULL ||
        bh_test_attach(k->lib, proto, &k->g, k->half[0], k->half[1], -1, -1) != 0)
        abort();
    bh_test_use(k->lib);
}

void
kit_lock(struct kit *k)
{
    pthread_mutex_lock(&k->lock);
}

void
kit_unlock(struct kit *k)
{
    pthread_mutex_unlock(&k->lock);
}

static ns_t
machine_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (ns_t)ts.tv_sec * NS_S + (ns_t)ts.tv_nsec;
}

static void *
run(void *arg)
{
    struct kit *k = arg;
    ns_t end = machine_now() + KIT_PATIENCE * NS_S;
    while (!atomic_load(&k->stop)) {
        if (machine_now() > end)
            abort(); /* somebody sleeps who should have been woken */
        kit_lock(k);
        bool any = kit_step(k);
        bell_arm(&k->sleeper);
        any |= ring_avail(&k->req, 1) != 0 && !k->deaf;
        kit_unlock(k);
        struct pollfd f = {.fd = k->sleeper.fd, .events = POLLIN};
        if (!any)
            (void)poll(&f, 1, 1000);
        kit_lock(k);
        bell_drain(&k->sleeper);
        bell_disarm(&k->sleeper);
        kit_unlock(k);
    }
    return NULL;
}

void
kit_start(struct kit *k, int proto, const struct arena_geometry *g)
{
    make(k, proto, g);
    if (bell_pipe(k->pipe_in) != 0 || bell_pipe(k->pipe_out) != 0)
        abort();
    bell_sleeper_init(&k->sleeper, &k->v.d_head->want, k->pipe_in[0]);
    bell_ringer_init(&k->ringer, &k->v.c_head->want, k->pipe_out[1]);
    bell_ringer_init(&k->space, &k->v.c_head->want_space, k->pipe_out[1]);
    pthread_mutex_init(&k->lock, NULL);
    k->lib = bh_test_new(NULL);
    if (k->lib == NULL || bh_test_attach(k->lib, proto, &k->g, k->half[0], k->half[1],
                                         k->pipe_out[0], k->pipe_in[1]) != 0)
        abort();
    bh_test_use(k->lib);
    if (pthread_create(&k->thread, NULL, run, k) != 0)
        abort();
}

void
kit_end(struct kit *k)
{
    if (k->pipe_in[0] >= 0) {
        struct bell_ringer r = {.fd = k->pipe_in[1]};
        atomic_store(&k->stop, true);
        bell_ring(&r);
        pthread_join(k->thread, NULL);
        for (unsigned i = 0; i < 2; i++) {
            close(k->pipe_in[i]);
            close(k->pipe_out[i]);
        }
    }
    bh_test_free(k->lib);
    free(k->half[0]);
    free(k->half[1]);
    free(k->stack);
}

struct sockaddr_in
kit_sin(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(KIT_PEER)};
}

int
kit_try_connect(int fd)
{
    struct sockaddr_in sin = kit_sin(80);
    return bh_connect(fd, (struct sockaddr *)&sin, sizeof sin);
}

int
kit_connected(int flags)
{
    int fd = bh_socket(AF_INET, SOCK_STREAM | flags, 0);
    if (fd < BH_FD_BASE || (kit_try_connect(fd) != 0 && errno != EINPROGRESS))
        abort();
    return fd;
}

void
kit_nap(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

bool
kit_fd_readable(int fd, int ms)
{
    struct pollfd f = {.fd = fd, .events = POLLIN};
    return poll(&f, 1, ms) == 1;
}
