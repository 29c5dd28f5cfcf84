/* SPDX-License-Identifier: BSD-2-Clause
 *
 * foe ATTACK SECONDS: attack a running stack as a client of it, unprivileged, for so long.
 * foe burn SECONDS SHARE N: no attack, but so much of a processor's time in N processes, for
 * comparison.
 * Without arguments it lists the attacks. It ends with 0 if the stack did to the attacker what
 * it should; whether others noticed is for the test to see (tests/netns/test_hostile.sh).
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

/* Use `share` of a processor in so many processes, which make up for the time that they had to
 * wait for one. */
static void
burn(double seconds, double share, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
    double t = chan_now(), end = t + seconds;
    while (chan_now() < end) {
        while (used() < (chan_now() - t) * share / n)
            ;
        usleep(1000);
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
    if (argc == 5 && strcmp(argv[1], "burn") == 0) {
        burn(strtod(argv[2], NULL), strtod(argv[3], NULL),
             (unsigned)strtoul(argv[4], NULL, 10));
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
