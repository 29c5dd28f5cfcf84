/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sup_domain.c: the life of a domain. It is spawned and told what it may touch; it says
 * CTL_READY; each link comes up once both sides are there and their halves are clear. When it
 * dies its neighbours are told, drop what it left on the links and acknowledge; only then is
 * the next one spawned, on the same regions.
 */
#include "sup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "spawn.h"

#define READY_TIMEOUT_S 10
#define EARLY NS_S         /* a death so soon after the start ... */
#define EARLY_MAX 5u       /* ... so often in a row: its store is what kills it */
#define READ_TIMEOUT_MS 50 /* for what fills its socket */

static void on_pid(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);

const char *
sup_dom_state(const struct sup_dom *d)
{
    static const char *const name[] = {
        [LIFE_ABSENT] = "absent", [LIFE_STARTING] = "starting", [LIFE_UP] = "up",
        [LIFE_KILLED] = "killed", [LIFE_DEAD] = "restarting",   [LIFE_DELAY] = "crashing",
    };
    if (d->life != LIFE_UP)
        return name[d->life];
    return atomic_load_explicit(&d->stats->state, memory_order_relaxed) == STATS_ASLEEP
               ? "asleep"
               : "awake";
}

/* ---- spawning ---- */

static int
make_events(struct sup_dom *d)
{
    struct event_base *base = d->sup->base;
    if (d->ev_timer == NULL)
        d->ev_timer = evtimer_new(base, on_timer, d);
    d->ev_pid = event_new(base, d->pidfd, EV_READ | EV_PERSIST, on_pid, d);
    d->ev_ctl = event_new(base, d->ctl, EV_READ | EV_PERSIST, sup_dom_on_ctl, d);
    if (d->ev_timer == NULL || d->ev_pid == NULL || d->ev_ctl == NULL ||
        event_add(d->ev_pid, NULL) != 0 || event_add(d->ev_ctl, NULL) != 0)
        return -ENOMEM;
    return 0;
}

void
sup_dom_set_timer(struct sup_dom *d, unsigned ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    evtimer_add(d->ev_timer, &tv);
}

/* The pipes of its links as if new: nothing pending, and non-blocking again whatever the
 * one before did to the descriptions that we share with it. */
static void
reset_bells(struct sup_dom *d)
{
    for (unsigned i = 0; i < TOPO_LINKS; i++)
        for (unsigned side = LINK_A; side <= LINK_B; side++) {
            struct sup_link *l = &d->sup->link[i];
            if (!l->present || topo_links[i].side[side] != d->id)
                continue;
            (void)fcntl(l->bell[side][0], F_SETFL, O_NONBLOCK);
            (void)fcntl(l->bell[LINK_B - side][1], F_SETFL, O_NONBLOCK);
            sup_bell_drain(l->bell[side][0]);
        }
}

static void
drop_handles(struct sup_dom *d)
{
    if (d->ev_pid != NULL)
        event_free(d->ev_pid);
    if (d->ev_ctl != NULL)
        event_free(d->ev_ctl);
    d->ev_pid = d->ev_ctl = NULL;
    if (d->ctl >= 0)
        close(d->ctl);
    if (d->pidfd >= 0)
        close(d->pidfd);
    d->ctl = d->pidfd = -1;
}

/* The program as it lies there now, a newer one perhaps. Where we may not look any more, as
 * root without privilege, the one that was found at the start. */
static pid_t
spawn_program(struct sup_dom *d, int ctl)
{
    const char *name = domain_name(d->id), *instance = d->sup->conf.instance;
    uid_t id = d->sup->conf.uid_base + 1 + d->id;
    char path[32];
    pid_t pid = spawn_domain(d->path, name, instance, id, id, ctl, &d->pidfd);
    if (pid != -EACCES)
        return pid;
    snprintf(path, sizeof path, "/proc/self/fd/%d", d->program);
    return spawn_domain(path, name, instance, id, id, ctl, &d->pidfd);
}

int
sup_dom_spawn(struct sup_dom *d)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    d->ctl = pair[0];
    (void)fcntl(d->ctl, F_SETFL, O_NONBLOCK); /* our end only: the domain's may wait */
    reset_bells(d);
    d->pid = spawn_program(d, pair[1]);
    close(pair[1]);
    if (d->pid < 0) {
        int e = d->pid;
        d->pid = 0;
        drop_handles(d);
        return e;
    }
    d->life = LIFE_STARTING;
    d->started = sup_now();
    d->wanted = false;
    d->reason[0] = '\0';
    d->refused = -1;
    d->said = 0;
    int e = make_events(d);
    if (e == 0) {
        sup_dom_set_timer(d, READY_TIMEOUT_S * 1000);
        e = sup_topology_tell(d);
    }
    /* If it did not take the messages it is about to be reported dead; else end it. */
    if (e == -EPIPE || e == -ECONNRESET)
        e = 0;
    if (e != 0) {
        sup_dom_close(d);
        d->life = LIFE_DEAD;
    }
    return e;
}

/* ---- ending ---- */

static void
send_signal(const struct sup_dom *d, int sig)
{
    if (d->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, d->pidfd, sig, NULL, 0);
}

void
sup_dom_kill(struct sup_dom *d, const char *fmt, ...)
{
    if (d->life != LIFE_STARTING && d->life != LIFE_UP)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->reason, sizeof d->reason, fmt, ap);
    va_end(ap);
    d->life = LIFE_KILLED;
    send_signal(d, SIGKILL);
}

void
sup_dom_hang_up(struct sup_dom *d)
{
    if (d->ev_ctl != NULL)
        event_free(d->ev_ctl);
    d->ev_ctl = NULL;
    if (d->ctl >= 0)
        close(d->ctl);
    d->ctl = -1;
}

void
sup_dom_close(struct sup_dom *d)
{
    if (d->pidfd >= 0) {
        siginfo_t si;
        send_signal(d, SIGKILL);
        (void)waitid(P_PIDFD, (id_t)d->pidfd, &si, WEXITED);
    }
    drop_handles(d);
    if (d->ev_timer != NULL)
        event_free(d->ev_timer);
    d->ev_timer = NULL;
    d->pid = 0;
}

void
sup_dom_send(struct sup_dom *d, struct ctl_msg *m, const int *fd)
{
    if (d->life != LIFE_UP)
        return;
    int e = ctl_send(d->ctl, m, fd);
    if (e == -EAGAIN) { /* all its clients at once, after a restart: it is reading */
        struct pollfd p = {.fd = d->ctl, .events = POLLOUT};
        if (poll(&p, 1, READ_TIMEOUT_MS) == 1)
            e = ctl_send(d->ctl, m, fd);
    }
    sup_watch_wake(d->sup);
    if (e == -EAGAIN)
        sup_dom_kill(d, "it does not read its control socket");
    else if (e != 0 && e != -EPIPE && e != -ECONNRESET)
        sup_dom_kill(d, "its control socket failed: %s", strerror(-e));
}

/* Which call it was the domain itself says, on its way out (filter.c). */
static void
describe_refused(const struct sup_dom *d, char *buf, size_t len)
{
    char *name =
        d->refused >= 0 ? seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, d->refused) : NULL;
    snprintf(buf, len, "died of SIGSYS: it made a system call that its filter forbids%s%s",
             d->refused >= 0 ? ": " : "", name != NULL ? name : "");
    if (d->refused >= 0)
        snprintf(buf + strlen(buf), len - strlen(buf), " (%d)", d->refused);
    free(name);
}

static void
describe_death(const struct sup_dom *d, const siginfo_t *si, char *buf, size_t len)
{
    if (d->wanted)
        snprintf(buf, len, "was ended on request");
    else if (d->reason[0] != '\0')
        snprintf(buf, len, "was killed: %s", d->reason);
    else if (si->si_code == CLD_EXITED)
        snprintf(buf, len, "exited with code %d", si->si_status);
    else if (si->si_status == SIGSYS)
        describe_refused(d, buf, len);
    else
        snprintf(buf, len, "died of SIG%s (%s)", sigabbrev_np(si->si_status),
                 strsignal(si->si_status));
}

/* ---- restarting ---- */

static void
note_crash(struct sup_dom *d)
{
    if (d->wanted) {
        d->delay_ms = 0;
        return;
    }
    ns_t oldest = d->crash[d->crashes % CRASHES];
    d->crash[d->crashes++ % CRASHES] = d->died;
    if (d->crashes <= CRASHES || d->died - oldest > CRASH_WINDOW)
        d->delay_ms = 0;
    else
        d->delay_ms = d->delay_ms == 0 ? CRASH_DELAY_MIN_MS
                                       : min_u32(2 * d->delay_ms, CRASH_DELAY_MAX_MS);
    d->early = d->died - d->started < EARLY ? d->early + 1 : 0;
}

/* What its predecessors left in the store seems to kill it. Give the sessions up and keep
 * the protocol. ip's ledger in the monolith's store stays: the kernel holds those frames. */
static void
wipe_store(struct sup_dom *d)
{
    struct store_layout l;
    sup_store_layout(d->sup, &l);
    unsigned region;
    size_t bytes;
    if (d->id == DOM_TCP) {
        region = TOPO_STORE_TCP;
        bytes = l.tcp;
    } else if (d->id == DOM_UDP) {
        region = TOPO_STORE_UDP;
        bytes = l.udp;
    } else if (d->id == DOM_MONO) {
        region = TOPO_STORE_MONO;
        bytes = l.tcp + l.udp;
    } else {
        return;
    }
    d->early = 0;
    unsigned clients = sup_clients_drop(d);
    if (fallocate(d->sup->region[region].fd_rw, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  (off_t)bytes) != 0)
        sup_log("%s: cannot empty its store: %s", domain_name(d->id), strerror(errno));
    else
        sup_log("%s: died %u times right after its start: its sessions are given up, and %u "
                "clients disconnected",
                domain_name(d->id), EARLY_MAX, clients);
}

static void
respawn(struct sup_dom *d)
{
    if (d->early >= EARLY_MAX)
        wipe_store(d);
    d->restarts++;
    int e = sup_dom_spawn(d);
    if (e == 0)
        return;
    sup_log("%s: cannot be started: %s", domain_name(d->id), strerror(-e));
    d->life = LIFE_DELAY;
    if (d->ev_timer == NULL)
        d->ev_timer = evtimer_new(d->sup->base, on_timer, d);
    sup_dom_set_timer(d, CRASH_DELAY_MAX_MS);
}

/* Dead, and nobody has to acknowledge it any more: the next one may come. */
void
sup_dom_respawn(struct sup_dom *d)
{
    if (d->life != LIFE_DEAD || d->sup->stopping || sup_links_owed(d))
        return;
    if (d->delay_ms == 0) {
        respawn(d);
        return;
    }
    sup_log("%s: crashed %u times within %llu s: waiting %u ms", domain_name(d->id), CRASHES,
            CRASH_WINDOW / NS_S, d->delay_ms);
    d->life = LIFE_DELAY;
    sup_dom_set_timer(d, d->delay_ms);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sup_dom *d = arg;
    if (d->life == LIFE_STARTING)
        sup_dom_kill(d, "it was not ready after %d s", READY_TIMEOUT_S);
    else if (d->life == LIFE_UP)
        sup_dom_kill(d, "it closed its control socket");
    else if (d->life == LIFE_DELAY && !d->sup->stopping)
        respawn(d);
}

static void
died(struct sup_dom *d, const siginfo_t *si)
{
    struct sup *s = d->sup;
    char how[256];
    pid_t pid = d->pid;
    d->life = LIFE_KILLED;
    sup_dom_on_ctl(d->ctl, EV_READ, d); /* its last words */
    describe_death(d, si, how, sizeof how);
    drop_handles(d);
    if (d->ev_timer != NULL)
        evtimer_del(d->ev_timer);
    d->life = LIFE_DEAD;
    d->pid = 0;
    d->died = sup_now();
    if (s->stopping) {
        sup_verbose(s, "%s (pid %d) %s", domain_name(d->id), (int)pid, how);
        sup_stop(s, s->exit_code); /* was it the last one? */
        return;
    }
    sup_log("%s (pid %d) %s", domain_name(d->id), (int)pid, how);
    sup_control_dom_died(d);
    if (!s->linked) {
        sup_log("%s did not start; giving up", domain_name(d->id));
        sup_stop(s, EXIT_OTHER);
        return;
    }
    note_crash(d);
    sup_links_died(d);
    sup_dom_respawn(d);
}

static void
on_pid(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct sup_dom *d = arg;
    siginfo_t si = {0};
    if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) == 0 && si.si_pid == 0)
        return;
    died(d, &si);
}
