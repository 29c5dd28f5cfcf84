/* SPDX-License-Identifier: BSD-2-Clause
 *
 * foe ATTACK SECONDS: attack a running stack as a client of it, unprivileged, for so long.
 * foe burn SECONDS SHARE: no attack, but so much of a processor's time, for comparison.
 * Without arguments it lists the attacks. It ends with 0 if the stack did to the attacker what
 * it should; whether others noticed is for the test to see (tests/netns/test_hostile.sh).
 */
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "chan.h"

#define NOBODY 65534u

/* Busy for `share` of each 10 ms; in two processes if it is more than all of one. */
static void
burn(double seconds, double share)
{
    if (share > 1 && fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        share = share - 1;
    }
    double t = chan_now(), end = t + seconds;
    while (t < end) {
        while (chan_now() < t + 0.01 * share)
            ;
        double left = t + 0.01 - chan_now();
        if (left > 0)
            usleep((unsigned)(left * 1e6));
        t += 0.01;
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
    if (argc == 4 && strcmp(argv[1], "burn") == 0) {
        burn(strtod(argv[2], NULL), strtod(argv[3], NULL));
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
