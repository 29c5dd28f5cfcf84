/* SPDX-License-Identifier: BSD-2-Clause
 *
 * attach.c: getting an arena from the daemon.
 */
#include "private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/ctl.h"
#include "ipc/region.h"

#define ARENA_DEFAULT (32ull << 20)
#define SESSIONS_DEFAULT 4096u
#define SESSIONS_MAX 65536u
#define REQUESTS 1024u
#define PATIENCE_US 5000000u  /* with a domain that restarts, and a daemon that is busy */
#define BUSY_PAUSE_US 100000u /* between two questions, at most */
#define HUNG_UP_PAUSE_US 3000u
#define HUNG_UP ECONNRESET /* it took the connection, and did not listen */
#define ANSWER_SECONDS 10
#define WELCOME_FDS 5u /* ipc/ctl.h */

/* What went wrong with the last attach of this thread. */
static __thread char attach_text[320] = "not attached yet";

const char *
bh_strerror_attach(void)
{
    return attach_text;
}

static int __attribute__((format(printf, 2, 3))) fail(int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(attach_text, sizeof attach_text, fmt, ap);
    va_end(ap);
    return err;
}

/* ---- how large ---- */

/* A number with an optional K, M or G. False: not one, or out of bounds. */
static bool
parse_size(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (*end != '\0') {
        const char *units = "kKmMgG", *u = strchr(units, *end);
        if (u == NULL || end[1] != '\0')
            return false;
        shift = 10 * ((unsigned)(u - units) / 2 + 1);
    }
    if (end == text || text[0] == '-' || errno != 0 || n == 0 || n > max >> shift)
        return false;
    *out = (uint64_t)n << shift;
    return true;
}

static int
wanted_geometry(struct arena_geometry *g)
{
    uint64_t arena = ARENA_DEFAULT, sessions = SESSIONS_DEFAULT;
    const char *text = getenv("BULKHEAD_ARENA");
    if (text != NULL && !parse_size(text, 1ull << 32, &arena))
        return fail(EINVAL, "BULKHEAD_ARENA=%.32s is not a size such as 64M (at most 4G)",
                    text);
    text = getenv("BULKHEAD_SESSIONS");
    if (text != NULL && !parse_size(text, SESSIONS_MAX, &sessions))
        return fail(EINVAL, "BULKHEAD_SESSIONS=%.32s is not a number from 1 to %u", text,
                    SESSIONS_MAX);
    uint32_t events = 64;
    while (events < 2 * sessions && events < 65536)
        events *= 2;
    uint32_t pages = (uint32_t)(ALIGN_UP(arena, FIFO_PAGE) / FIFO_PAGE);
    *g = (struct arena_geometry){.n_slots = (uint32_t)sessions,
                                 .n_tx_pages = pages,
                                 .n_rx_pages = pages,
                                 .n_req = REQUESTS,
                                 .n_evt = events};
    return 0;
}

/* ---- talking to the supervisor ---- */

static const char *
instance_name(void)
{
    const char *name = getenv("BULKHEAD_INSTANCE");
    return name != NULL && name[0] != '\0' ? name : "default";
}

static int
call_daemon(int *fd)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    const char *name = instance_name();
    if (!ctl_socket_path(sun.sun_path, sizeof sun.sun_path, name, "sock"))
        return fail(EINVAL, "BULKHEAD_INSTANCE=%.40s is not the name of an instance", name);
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s < 0)
        return fail(errno, "no socket to reach the daemon with: %s", strerror(errno));
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(s, (struct sockaddr *)&sun, sizeof sun) != 0) {
        int err = errno;
        close(s);
        if (err == ENOENT || err == ECONNREFUSED)
            return fail(ECONNREFUSED,
                        "no bulkheadd runs as instance \"%s\" (%s): start it, or set "
                        "BULKHEAD_INSTANCE",
                        name, sun.sun_path);
        return fail(err, "cannot reach bulkheadd at %s: %s", sun.sun_path, strerror(err));
    }
    *fd = s;
    return 0;
}

static int
denied(const struct ctl_text *t)
{
    static const int errnos[] = {[DENIED_VERSION] = EPROTONOSUPPORT,
                                 [DENIED_ACCOUNT] = EACCES,
                                 [DENIED_ARENA] = EDQUOT,
                                 [DENIED_CLIENTS] = EUSERS,
                                 [DENIED_BUSY] = EBUSY,
                                 [DENIED_INTERNAL] = EIO,
                                 [DENIED_RATE] = EAGAIN};
    int err = t->arg < ARRAY_LEN(errnos) ? errnos[t->arg] : EIO;
    return fail(err, "bulkheadd (instance \"%s\") says: %s", instance_name(), t->text);
}

/* Descriptors for which there is no room are cut off from what the daemon says. */
static bool
room_left(int any)
{
    int fd[WELCOME_FDS];
    unsigned have = 0;
    while (have < WELCOME_FDS && (fd[have] = dup(any)) >= 0)
        have++;
    for (unsigned i = 0; i < have; i++)
        close(fd[i]);
    return have == WELCOME_FDS;
}

/* Ask once. On success m is a CTL_WELCOME, fd[] its descriptors, *sup the socket. */
static int
ask(int proto, const struct arena_geometry *g, struct ctl_msg *m, int fd[CTL_FDS_MAX], int *sup)
{
    int err = call_daemon(sup);
    if (err != 0)
        return err;
    memset(m, 0, sizeof *m);
    m->type = CTL_HELLO;
    m->hello.layout = SESSION_LAYOUT_VERSION;
    m->hello.proto = (uint32_t)proto;
    m->hello.g = *g;
    strncpy(m->hello.program, program_invocation_short_name, sizeof m->hello.program - 1);
    int r = ctl_send(*sup, m, NULL);
    if (r == 0)
        r = ctl_recv(*sup, m, fd);
    if (r == 1 && m->type == CTL_WELCOME)
        return 0;
    if (r == 1 && m->type == CTL_DENIED)
        err = denied(&m->text);
    else if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        err = fail(HUNG_UP, "bulkheadd hung up on us: too many programs of this user attach at "
                            "once, or connect to it and say nothing");
    else if (r == -EAGAIN)
        err = fail(ETIMEDOUT, "bulkheadd did not answer within %d seconds", ANSWER_SECONDS);
    else if (r == -EPROTONOSUPPORT)
        err = fail(EPROTONOSUPPORT, "bulkheadd speaks another version than this library");
    else if (r == -EPROTO && !room_left(*sup))
        err = fail(EMFILE, "no descriptors are left for an arena");
    else
        err = fail(EPROTO, "bulkheadd gave an answer that makes no sense");
    close(*sup);
    return err;
}

static int
ask_patiently(int proto, const struct arena_geometry *g, struct ctl_msg *m, int fd[CTL_FDS_MAX],
              int *sup)
{
    useconds_t pause = HUNG_UP_PAUSE_US + (useconds_t)getpid() % HUNG_UP_PAUSE_US;
    for (useconds_t waited = 0;; waited += pause) {
        int err = ask(proto, g, m, fd, sup);
        if ((err != EBUSY && err != HUNG_UP) || waited >= PATIENCE_US)
            return err == HUNG_UP ? EAGAIN : err;
        pause = err == EBUSY ? BUSY_PAUSE_US : min_u32(2 * pause, BUSY_PAUSE_US);
        usleep(pause);
    }
}

/* ---- memory ---- */

/* Touch every page, so that this process pays for it, and learns here if it cannot. */
static int
prefault(void *p, size_t size, bool writable)
{
    if (madvise(p, size, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
        return 0;
    if (errno != EINVAL) /* EINVAL: a kernel before 5.14 */
        return errno == EFAULT || errno == EHWPOISON ? ENOMEM : errno;
    for (size_t at = 0; at < size; at += FIFO_PAGE) {
        volatile uint8_t *byte = (uint8_t *)p + at;
        if (writable)
            *byte = *byte;
        else
            (void)*byte;
    }
    return 0;
}

static int
map_half(struct att *a, unsigned i, int fd, size_t size, void *at)
{
    bool ours = i == 0;
    a->half[i] = region_map(fd, size, ours, at);
    if (a->half[i] == NULL)
        return fail(errno, "cannot map the arena: %s", strerror(errno));
    a->half_size[i] = size;
    if (!a->shared)
        madvise(a->half[i], size, MADV_DONTFORK);
    int err = prefault(a->half[i], size, ours);
    return err == 0 ? 0
                    : fail(err, "no memory for an arena of %zu bytes: %s", size, strerror(err));
}

/* Where the halves are to lie: behind the books, if those have a place that all who share them
 * know. */
static int
map_halves(struct att *a, const int fd[2])
{
    size_t size[] = {arena_client_bytes(&a->v.g), arena_domain_bytes(&a->v.g)};
    uint8_t *at = a->shared ? (uint8_t *)a + a->bytes : NULL;
    int err = map_half(a, 0, fd[0], size[0], at);
    return err != 0 ? err : map_half(a, 1, fd[1], size[1], at != NULL ? at + size[0] : NULL);
}

/* Without the lock. */
static int
attach(struct lib *l, int proto, struct own **out)
{
    struct arena_geometry g;
    struct ctl_msg m;
    int fd[CTL_FDS_MAX] = {-1, -1, -1, -1, -1}, sup = -1;
    int err = wanted_geometry(&g);
    if (err == 0)
        err = ask_patiently(proto, &g, &m, fd, &sup);
    if (err != 0)
        return err;
    const struct arena_geometry *got = &m.client.g;
    struct own *o = att_new(l, proto, got, arena_client_bytes(got) + arena_domain_bytes(got));
    if (o == NULL) {
        ctl_close_fds(fd);
        close(sup);
        return fail(ENOMEM, "no memory for the books of an arena");
    }
    o->a->mapped = true;
    o->a->net = m.client.net;
    o->a->spin = m.client.spin_us * NS_US;
    o->sup = sup;
    o->sleep = fd[2];
    o->ring = fd[3];
    o->hold = fd[4];
    err = map_halves(o->a, fd);
    if (o->a->shared) {
        o->memory[L_CLIENT] = fd[0];
        o->memory[L_DOMAIN] = fd[1];
    } else {
        close(fd[0]);
        close(fd[1]);
    }
    if (err != 0) {
        att_free(o);
        return err;
    }
    att_start(o->a);
    *out = o;
    return 0;
}

/* ---- for whoever opens a socket ---- */

struct att *
att_get(struct lib *l, int proto)
{
    unsigned i = att_index(proto);
    while (l->attaching[i]) /* by another thread */
        lib_sleep(l, &l->idle);
    if (l->att[i] != NULL) {
        att_check(l->att[i]);
        if (!l->att[i]->down)
            return l->att[i];
        /* Its sockets keep it until they are closed; new ones get a new daemon. */
        struct att *old = l->att[i];
        l->att[i] = NULL;
        standin_drop_spares(own_of(old));
        att_free_if_unused(old);
    }
    struct own *o = NULL;
    l->attaching[i] = true;
    lib_flush(l);
    lib_release(l);
    int err = attach(l, proto, &o);
    lib_acquire(l);
    l->attaching[i] = false;
    pthread_cond_broadcast(&l->idle);
    if (o == NULL) {
        errno = err;
        return NULL;
    }
    own_add(l, o);
    err = watch_add_att(l, o->a);
    if (err != 0) {
        own_remove(l, o);
        att_free(o);
        errno = err;
        return NULL;
    }
    l->att[i] = o->a;
    if (o->a->shared) /* as all others are by whoever holds lib.lock */
        pthread_mutex_lock(&o->a->lock);
    return o->a;
}
