/* SPDX-License-Identifier: BSD-2-Clause
 *
 * foe ATTACK SECONDS: attack a running stack as a client of it, unprivileged, for so long.
 * foe burn SECONDS SHARE N [BYTES]: no attack, but so much of a processor's time in N
 * processes, for comparison; with BYTES they spend it writing here and there in as much memory
 * of their own. Without arguments it lists the attacks. It ends with 0 if the stack did to the
 * attacker what it should; whether others noticed is for the test to see
 * (tests/netns/test_hostile.sh).
 */
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "chan.h"

#define NOBODY 65534u

static double
used(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A thousand stores all over the memory. */
static void
scatter(uint32_t *word, size_t words)
{
    static uint32_t x = 1;
    for (unsigned i = 0; i < 1000 && words > 0; i++, x = x * 1664525 + 1013904223)
        __atomic_store_n(&word[(x >> 7) % words], x, __ATOMIC_RELAXED);
}

/* Use `share` of a processor in n processes, which make up for the time that they had to wait
 * for one. More than one do as the attacks with two threads: they run for most of 100 ms and
 * then pause, so that who shares a processor with them waits for it as long as beside the
 * attack. */
static void
burn(double seconds, double share, unsigned n, size_t bytes)
{
    uint32_t *word = bytes > 0 ? malloc(bytes) : NULL;
    MUST(bytes == 0 || word != NULL, "no memory");
    share = share < n ? share / n : 1;
    useconds_t pause = n > 1 ? (useconds_t)((1 - share) * 1e5) : 1000;
    for (unsigned i = 1; i < n; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
    double t = chan_now(), end = t + seconds;
    while (chan_now() < end) {
        while (used() < (chan_now() - t) * share)
            scatter(word, bytes / sizeof *word);
        usleep(pause);
    }
}

int
main(int argc, char **argv)
{
    static const struct attack *const all[] = {attack_memory, attack_request, attack_control,
                                               attack_death};
    const struct attack *found = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        for (const struct attack *a = all[i]; a->name != NULL; a++) {
            if (argc < 3)
                printf("%s\n", a->name);
            else if (strcmp(argv[1], a->name) == 0)
                found = a;
        }
    if (argc < 3)
        return 0;
    if ((argc == 5 || argc == 6) && strcmp(argv[1], "burn") == 0) {
        burn(strtod(argv[2], NULL), strtod(argv[3], NULL), (unsigned)strtoul(argv[4], NULL, 10),
             argc == 6 ? strtoul(argv[5], NULL, 10) : 0);
        return 0;
    }
    MUST(found != NULL, "no attack %s", argv[1]);
    if (geteuid() == 0)
        MUST(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                 setresuid(NOBODY, NOBODY, NOBODY) == 0,
             "cannot become nobody");
    (void)signal(SIGPIPE, SIG_IGN);
    unsigned rounds = 0;
    double end = chan_now() + strtod(argv[2], NULL);
    do {
        found->run();
        rounds++;
    } while (chan_now() < end);
    printf("%s: %u rounds\n", found->name, rounds);
    return 0;
}
