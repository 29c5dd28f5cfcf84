/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scale_drive.c: shares the sessions out among processes, as many as the limit of descriptors
 * asks for, takes them through the phases, and adds up.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/exit_codes.h"
#include "bench/scale.h"
#include "bench/tool.h"

#define WORKERS_MAX 64u

struct drive {
    const struct scale *s;
    unsigned n;
    pid_t pid[WORKERS_MAX];
    struct shared {
        _Atomic unsigned phase;
        struct scale_result r[];
    } * shared;
};

/* The first processes have the active sessions, and each its share of the requests. */
static void
start(struct drive *d, unsigned room)
{
    unsigned sessions = d->s->sessions, active = d->s->active, started = 0;
    pid_t self = getpid();
    for (unsigned i = 0; i < d->n; i++) {
        struct scale mine = *d->s;
        mine.sessions = min_u32(room, (d->s->sessions + d->n - 1) / d->n);
        mine.sessions = min_u32(mine.sessions, sessions);
        mine.active = min_u32(active, mine.sessions);
        if (mine.active != 0)
            mine.outstanding = max_u32(
                1, (uint32_t)((uint64_t)d->s->outstanding * mine.active / d->s->active));
        sessions -= mine.sessions;
        active -= mine.active;
        d->pid[i] = fork();
        if (d->pid[i] < 0)
            tool_die(EXIT_OTHER, "fork: %s", strerror(errno));
        if (d->pid[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == self)
                scale_work(&mine, started, &d->shared->phase, &d->shared->r[i]);
            _exit(EXIT_OK);
        }
        started += mine.sessions;
    }
}

/* Until every process has come so far; one that ended ends all. */
static void
wait_all(const struct drive *d, unsigned reached)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    int status;
    for (unsigned i = 0; i < d->n; i++)
        while (atomic_load(&d->shared->r[i].reached) < reached) {
            if (waitpid(-1, &status, WNOHANG) > 0) /* it has said why */
                exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
                                                              : EXIT_OTHER);
            nanosleep(&nap, NULL);
        }
}

static void
sleep_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

/* Tell whoever drives us where we are, and wait for its word. */
static void
pause_at(const struct drive *d, const char *where)
{
    char line[16];
    if (!d->s->pause)
        return;
    fprintf(stderr, "%s\n", where);
    fflush(stderr);
    if (!fgets(line, sizeof line, stdin))
        clearerr(stdin);
}

static void
add_up(const struct drive *d, struct scale_result *sum)
{
    for (unsigned i = 0; i < d->n; i++) {
        const struct scale_result *r = &d->shared->r[i];
        sum->requests += r->requests;
        sum->closed += r->closed;
        sum->segs_out += r->segs_out;
        sum->segs_in += r->segs_in;
        sum->cpu += r->cpu;
        sum->open_seconds =
            r->open_seconds > sum->open_seconds ? r->open_seconds : sum->open_seconds;
        sum->seconds = r->seconds > sum->seconds ? r->seconds : sum->seconds;
        sum->times.total += r->times.total;
        for (unsigned k = 0; k < HIST_BUCKETS; k++)
            sum->times.n[k] += r->times.n[k];
    }
}

static void
report(const struct drive *d, const struct scale_result *r)
{
    const struct scale *s = d->s;
    double took = r->seconds > 0 ? r->seconds : 1;
    double p50 = (double)hist_quantile(&r->times, 0.5) / 1e3,
           p99 = (double)hist_quantile(&r->times, 0.99) / 1e3,
           p999 = (double)hist_quantile(&r->times, 0.999) / 1e3;
    if (s->json)
        printf(
            "{\"sessions\": %u, \"active\": %u, \"outstanding\": %u, \"size\": %zu, "
            "\"churn\": %s, \"processes\": %u, \"establish_seconds\": %.6f, "
            "\"establish_per_second\": %.0f, \"seconds\": %.6f, \"requests\": %llu, "
            "\"requests_per_second\": %.0f, \"connections_per_second\": %.0f, "
            "\"packets_out\": %llu, \"packets_in\": %llu, \"packets_per_second\": %.0f, "
            "\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"cpu_seconds\": %.6f}\n",
            s->sessions, s->active, s->outstanding, s->size, s->churn ? "true" : "false", d->n,
            r->open_seconds, s->sessions / r->open_seconds, r->seconds,
            (unsigned long long)r->requests, (double)r->requests / took,
            (double)r->closed / took, (unsigned long long)r->segs_out,
            (unsigned long long)r->segs_in, (double)(r->segs_out + r->segs_in) / took, p50, p99,
            p999, r->cpu);
    else
        printf(
            "%u sessions (%.0f a second), %u active: %.0f requests a second, median %.1f us, "
            "99%% %.1f us; %.0f packets a second; %.0f connections a second closed and "
            "opened\n",
            s->sessions, s->sessions / r->open_seconds, s->active, (double)r->requests / took,
            p50, p99, (double)(r->segs_out + r->segs_in) / took, (double)r->closed / took);
    fflush(stdout);
}

int
scale_connect(const struct scale *s, unsigned room)
{
    static struct scale_result sum;
    struct drive d = {.s = s, .n = (s->sessions + room - 1) / room};
    if (d.n > WORKERS_MAX)
        tool_die(EXIT_OTHER, "a process may hold only %u sessions here (ulimit -n)", room);
    size_t bytes = sizeof *d.shared + d.n * sizeof d.shared->r[0];
    d.shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (d.shared == MAP_FAILED)
        tool_die(EXIT_OTHER, "shared memory: %s", strerror(errno));
    start(&d, room);
    wait_all(&d, SCALE_OPEN + 1);
    pause_at(&d, "established");
    atomic_store(&d.shared->phase, SCALE_WARM);
    sleep_for(s->active ? s->warmup : 0);
    pause_at(&d, "warm");
    atomic_store(&d.shared->phase, SCALE_COUNT);
    sleep_for(s->seconds);
    atomic_store(&d.shared->phase, SCALE_HOLD);
    wait_all(&d, SCALE_COUNT + 1);
    add_up(&d, &sum);
    report(&d, &sum);
    pause_at(&d, "done");
    if (s->active && !sum.requests)
        tool_die(EXIT_NETWORK, "no request was answered");
    return EXIT_OK; /* the sessions end with their processes */
}
