/* SPDX-License-Identifier: BSD-2-Clause
 *
 * standin.c: kernel descriptors that stand for sockets (session.h, struct standin). The domain
 * makes one readable or writable, once, when we ask it to by arming; taking that back is ours:
 * standin_settle does so at the end of each call on the socket, so that at any time in between
 * the descriptor shows what the socket is, or the domain was told to make it so.
 *
 *   readable, not shown     the domain is armed, or asked: it writes a byte, and counts
 * shown_in not readable, shown     take the byte out, arm again, look again not writable, shown
 * fill the buffer up, arm, look again writable, filled up     the domain is armed, or asked: it
 * empties it, and counts shown_out
 */
#include "private.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "ipc/ctl.h"

#define PAY_TIMEOUT NS_S /* a domain that takes nothing for so long is held, or hangs */
/* Bytes that stay in the stand-in of who is told of edges: he does not look at the level, and
 * who does finds nothing by a call that takes them out. */
#define EDGES_KEPT 32u
#define PAY_PAUSE (NS_MS / 10)

__thread int standin_via = -1;

/* ---- getting one ---- */

static void
take_spares(struct own *o, const struct ctl_standins *m, const int *fd)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (o->n_spare < SPARES)
            o->spare[o->n_spare++] = (struct spare){.fd = fd[i], .number = m->number[i]};
        else
            close(fd[i]);
    }
}

/* What the supervisor said: 0 or errno. */
static int
take_answer(struct own *o, const struct ctl_msg *m, int fd[CTL_FDS_MAX])
{
    if (m->type == CTL_STANDINS || m->type == CTL_STANDIN) {
        take_spares(o, &m->standins, fd);
        return 0;
    }
    ctl_close_fds(fd);
    return m->type == CTL_DENIED ? ENOBUFS : EPROTO;
}

static int
ask_for(struct att *a, uint16_t type)
{
    struct own *o = own_of(a);
    struct ctl_msg m = {.type = type};
    int fd[CTL_FDS_MAX];
    int r = ctl_send(o->sup, &m, NULL);
    if (r == 0)
        r = ctl_recv(o->sup, &m, fd);
    if (r == 0) {
        att_down(a);
        return ENETDOWN;
    }
    if (r < 0) /* what did not fit into our table was cut off */
        return r == -EAGAIN ? ETIMEDOUT : r == -EPROTO ? EMFILE : EPROTO;
    return take_answer(o, &m, fd);
}

/* As many as there are in a message; or one, as long as the process has no numbers for more. */
static int
refill(struct att *a)
{
    struct own *o = own_of(a);
    att_check(a); /* some may lie there that were made for a process that died */
    if (a->down || o->n_spare > 0)
        return a->down ? ENETDOWN : 0;
    if (o->singly == 0) {
        int err = ask_for(a, CTL_WANT_STANDINS);
        if (err != EMFILE)
            return err;
        o->singly = SPARES;
    }
    o->singly--;
    return ask_for(a, CTL_WANT_STANDIN);
}

bool
standin_take_late(struct att *a)
{
    struct own *o = own_of(a);
    struct ctl_msg m;
    int fd[CTL_FDS_MAX];
    return ctl_recv(o->sup, &m, fd) == 1 && take_answer(o, &m, fd) != EPROTO;
}

void
standin_drop_spares(struct own *o)
{
    while (o->n_spare > 0)
        close(o->spare[--o->n_spare].fd);
}

void
standin_ask(struct sock *s, uint32_t what)
{
    s->standin_ask |= what;
    s->arm_mask |= what;
    sock_owe(s, OWE_STANDIN);
}

/* The number that the program gets for a stand-in: the lowest, as ever. Where none is left it
 * is the stand-in's own, which would be given up for it. */
static int
program_fd(struct own *o, const struct spare *p)
{
    int fd = dup(p->fd);
    while (fd < 0 && errno == EMFILE && o->n_spare > 0) {
        close(o->spare[--o->n_spare].fd);
        fd = dup(p->fd);
    }
    if (fd < 0 && fcntl(p->fd, F_SETFD, 0) == 0)
        return p->fd;
    close(p->fd);
    return fd < 0 ? -EMFILE : fd;
}

static int
kernel_fd(struct sock *s)
{
    struct att *a = s->att;
    struct own *o = own_of(a);
    if (s->standin != 0)
        return -EBUSY;
    if (o->sup < 0)
        return -EOPNOTSUPP;
    if (a->down)
        return -ENETDOWN;
    int err = o->n_spare == 0 ? refill(a) : 0;
    if (err != 0)
        return -err;
    struct spare p = o->spare[--o->n_spare];
    int fd = program_fd(o, &p);
    if (fd < 0)
        return fd;
    s->standin = p.number;
    s->standin_fd = fd;
    standin_via = -1;
    s->arm_mask = 0;
    standin_ask(s, sock_conditions(s) & POLLIN ? SLOT_READ : 0);
    return fd;
}

int
bh_kernel_fd(int fd)
{
    WITH_SOCK(int, fd, 0u, kernel_fd(s));
}

/* ---- keeping it right ---- */

static void
arm(struct sock *s, uint32_t what)
{
    s->arm_mask &= ~what;
    (void)sock_arm(s, what);
}

/* In a confined process: may it be read, or written, without waiting and without SIGPIPE? */
static bool
free_to(int fd, short event)
{
    struct pollfd p = {.fd = fd, .events = event};
    return poll(&p, 1, 0) == 1 && (p.revents & (event | POLLERR | POLLHUP | POLLNVAL)) == event;
}

/* The bytes that were shown, or, of what was not counted yet, a few: at the end of a connection
 * some more are put into it, of which one must stay. */
static void
take_out(int fd, uint32_t n)
{
    char sink[64];
    n = min_u32(n, 16 * sizeof sink);
    for (uint32_t k; n > 0; n -= k) {
        k = min_u32(n, sizeof sink);
        ssize_t r = unlikely(share_confined) ? free_to(fd, POLLIN) ? read(fd, sink, k) : 0
                                             : recv(fd, sink, k, MSG_DONTWAIT);
        if (r < (ssize_t)k)
            break;
    }
}

static int
fd_of(const struct sock *s)
{
    return standin_via >= 0 ? standin_via : s->standin_fd;
}

/* So that who sends by it waits, not only who polls: more than it takes. Who is confined polls,
 * and cannot say that he will not wait: a little makes it not writable, too. */
static void
fill_up(int fd)
{
    static const char junk[STANDIN_FILL];
    if (unlikely(share_confined))
        (void)!(free_to(fd, POLLOUT) ? write(fd, junk, STANDIN_LITTLE) : 0);
    else
        (void)!send(fd, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static uint32_t
shown_so_far(const struct sock *s)
{
    return atomic_load_explicit(&slot_theirs(s)->shown_in, memory_order_acquire);
}

/* Something is left to read. What came since the last call, and is not what the program knows
 * of, is shown; what comes later the domain shows by itself. */
static void
settle_edge(struct sock *s, int fd, uint32_t shown, uint64_t known)
{
    const struct slot_domain *d = slot_theirs(s);
    _Atomic uint64_t *seen = &slot_ours(s)->rx_seen;
    uint64_t before = atomic_load_explicit(seen, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&d->rx_tail, memory_order_acquire);
    if (shown - s->shown_in >
        (s->levels ? 1 : EDGES_KEPT)) { /* one is enough for who looks at the level */
        take_out(fd, shown - s->shown_in - 1);
        s->shown_in = shown - 1;
    }
    atomic_store_explicit(seen, tail, memory_order_relaxed);
    arm(s, SLOT_READ);
    if ((tail != known && tail != before) ||
        atomic_load_explicit(&d->rx_tail, memory_order_acquire) != tail)
        standin_ask(s, SLOT_READ);
}

static void
settle_in(struct sock *s, int fd, bool ready, uint64_t known)
{
    uint32_t shown = shown_so_far(s);
    uint32_t in_it = shown - s->shown_in; /* bytes */
    bool missed = (s->missed & SLOT_READ) != 0;
    if (shown != s->seen_in) /* our arming was answered */
        s->arm_mask &= ~SLOT_READ;
    s->seen_in = shown;
    if (ready && s->edges && !s->listening) {
        settle_edge(s, fd, shown, known);
        return;
    }
    if (ready) {
        /* Came after the call looked: who is told of edges alone must have one. */
        if (in_it > 0 ? missed : !(s->arm_mask & SLOT_READ))
            standin_ask(s, SLOT_READ);
        return;
    }
    /* Counted and not yet done is possible: a byte too many goes when it is found to be one. */
    if (missed || in_it > (s->edges && !s->levels ? EDGES_KEPT : 0)) {
        take_out(fd, max_u32(in_it, STANDIN_LEAVES - 1));
        /* One that was taken too was counted before it was put in: that is answered as well. */
        s->shown_in = shown_so_far(s);
        if (s->shown_in != shown)
            s->arm_mask &= ~SLOT_READ;
        s->seen_in = s->shown_in;
    }
    if (s->arm_mask & SLOT_READ)
        return;
    arm(s, SLOT_READ);
    if (s->listening)
        lib_drain(att_lib(s->att));
    if (sock_conditions(s) & POLLIN)
        standin_ask(s, SLOT_READ);
}

static void
settle_out(struct sock *s, int fd, bool ready)
{
    uint32_t shown = atomic_load_explicit(&slot_theirs(s)->shown_out, memory_order_acquire);
    if (shown != s->shown_out) {
        s->shown_out = shown;
        s->filled = false;
        s->arm_mask &= ~SLOT_WRITE;
    }
    if (ready && !s->filled && (s->missed & SLOT_WRITE)) { /* as above */
        fill_up(fd);
        s->filled = true;
        s->arm_mask &= ~SLOT_WRITE;
    }
    if (ready) {
        if (s->filled && !(s->arm_mask & SLOT_WRITE))
            standin_ask(s, SLOT_WRITE);
        return;
    }
    if (s->starved) /* no event would tell of pages: it goes on trying */
        return;
    if (!s->filled) {
        fill_up(fd);
        s->filled = true;
        s->arm_mask &= ~SLOT_WRITE;
    }
    if (s->arm_mask & SLOT_WRITE)
        return;
    arm(s, SLOT_WRITE);
    if (sock_conditions(s) & POLLOUT)
        standin_ask(s, SLOT_WRITE);
}

/* It is made not writable before the request: an answer that comes at once is shown as room to
 * write and as something to read, and not as the second alone. */
void
standin_connects(struct sock *s, bool begins)
{
    if (s->standin == 0)
        return;
    if (!begins) { /* settle_out makes it writable again */
        s->arm_mask &= ~SLOT_WRITE;
        return;
    }
    if (!s->filled)
        fill_up(fd_of(s));
    s->filled = true;
    s->arm_mask &= ~SLOT_WRITE;
    arm(s, SLOT_WRITE);
}

/* Nobody wakes this process when there is room for what it owes, and what it waits for may
 * never come before that is told. */
static void
pay_all(struct lib *l, struct att *a)
{
    const struct timespec nap = {.tv_nsec = PAY_PAUSE};
    for (ns_t t = 0; !list_empty(&a->owing) && !a->down && t < PAY_TIMEOUT; t += PAY_PAUSE) {
        lib_flush(l);
        lib_release(l);
        nanosleep(&nap, NULL);
        lib_acquire(l);
        lib_drain(l);
    }
}

static void
settle(struct lib *l, struct sock *s)
{
    int fd = fd_of(s);
    lib_drain(l); /* nobody else does, and a domain whose ring is full serves nobody */
    if (s->gone || s->closed || s->att->down || s->life != SOCK_OPEN)
        return;
    uint64_t known = s->rx_known;
    short now = sock_conditions(s);
    /* In this order: the end of connecting is never shown as something to read alone. */
    if (!s->listening)
        settle_out(s, fd, (now & POLLOUT) != 0);
    settle_in(s, fd, (now & POLLIN) != 0, known);
    s->missed = 0;
}

void
standin_settle(struct lib *l, struct sock *s)
{
    settle(l, s);
    if (unlikely(!list_empty(&s->att->owing)))
        pay_all(l, s->att);
}

/* ---- its end ---- */

void
standin_over(struct lib *l, struct sock *s)
{
    s->gone = true;
    if (s->att->shared) /* every process forgets its own descriptors itself */
        s->users = 0;
    while (!list_empty(&s->descs))
        desc_close(l, list_item(s->descs.next, struct desc, of));
    sock_close(l, s);
}

void
standin_forget(int fd)
{
    struct lib *l = lib_lock();
    struct desc *d = lib_desc(l, fd);
    if (d != NULL)
        desc_close(l, d);
    lib_drain(l); /* who sleeps from now on holds no slots that are free */
    share_let_go(l);
    lib_unlock(l);
}

static int
watched(struct sock *s, bool edges)
{
    s->edges = s->edges || edges;
    s->levels = s->levels || !edges;
    return 0;
}

static int
set_watched(int bh, bool edges)
{
    WITH_SOCK(int, bh, 0u, watched(s, edges));
}

void
standin_watched(int bh, bool edges)
{
    int err = errno;
    (void)set_watched(bh, edges);
    errno = err;
}

/* ---- SO_LINGER ---- */

#define LINGER_LOOK (2 * NS_MS)
#define LINGER_HEARD (50 * NS_MS) /* so soon the domain knows that the last copy was closed */

/* Is something not acknowledged? Of who has shut it down it cannot be told later whether it was
 * closed. */
static bool
lingers(struct sock *s)
{
    struct look k;
    if (!s->linger_on || s->linger == 0 || !sock_is_stream(s) || s->att->down || s->gone)
        return false;
    sock_look(s, &k);
    return !(k.state & (SLOT_NOSEND | SLOT_DEAD)) && s->tx_head != s->tx_tail;
}

/* Not a call on the socket: it is not made to show what it is. */
bool
standin_lingers(int fd, struct standin_last *w)
{
    struct lib *l = lib_lock();
    struct desc *d = lib_desc(l, fd);
    struct sock *s = d != NULL && d->s != NULL && d->epoch == d->s->epoch ? d->s : NULL;
    bool r = s != NULL && lingers(s);
    if (r && w != NULL) {
        *w = (struct standin_last){.s = s, .epoch = s->epoch, .secs = s->linger};
        own_of(s->att)->users++;
    }
    lib_unlock(l);
    return r;
}

/* Is everything acknowledged, or is somebody else there who has a copy? The domain closes the
 * session when it hears that the last one is closed, which shows as SLOT_NOSEND. */
static bool
linger_over(struct standin_last *w, ns_t since, bool *heard)
{
    struct sock *s = w->s;
    struct look k;
    if (s->epoch != w->epoch || s->att->down)
        return true;
    sock_look(s, &k);
    *heard = *heard || (k.state & (SLOT_NOSEND | SLOT_DEAD)) != 0;
    return *heard ? s->gone || s->tx_head == s->tx_tail : since > LINGER_HEARD;
}

void
standin_last(struct standin_last *w)
{
    const struct timespec nap = {.tv_nsec = (long)LINGER_LOOK};
    struct lib *l = lib_lock();
    struct att *a = w->s->att;
    ns_t begin = lib_now(l), most = w->secs * NS_S;
    bool heard = false;
    int err = errno;
    while (lib_drain(l), !linger_over(w, lib_now(l) - begin, &heard)) {
        if (lib_now(l) - begin >= most)
            break;
        lib_unlock(l);
        int r = nanosleep(&nap, NULL);
        l = lib_lock();
        if (r != 0) /* a signal ends it, as on Linux */
            break;
    }
    own_of(a)->users--;
    share_let_go(l);
    lib_unlock(l);
    errno = err;
}

_Atomic bool standin_withheld;

void
standin_flush(void)
{
    struct lib *l = lib_lock();
    lib_unlock(l);
}

int
standin_wait(struct lib *l, struct sock *s, uint32_t mask, ns_t deadline)
{
    standin_settle(l, s);
    ns_t now = lib_now(l), left = deadline > now ? deadline - now : 0;
    struct timespec ts = {.tv_sec = (time_t)(left / NS_S), .tv_nsec = (long)(left % NS_S)};
    struct pollfd p = {.fd = fd_of(s), .events = mask == SLOT_WRITE ? POLLOUT : POLLIN};
    lib_unlock(l);
    int r = ppoll(&p, 1, deadline == NS_NEVER ? NULL : &ts, NULL);
    int err = errno;
    lib_acquire(l);
    lib_drain(l);
    return r > 0 ? 0 : r == 0 ? ETIMEDOUT : err;
}
