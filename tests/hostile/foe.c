/* SPDX-License-Identifier: BSD-2-Clause
 *
 * foe ATTACK SECONDS: attack a running stack as a client of it, unprivileged, for so long.
 * foe ATTACK SECONDS SHARE: no attack, but so much of a processor's time, for comparison. Where
 * how it is used matters to others (several threads, memory that is written all over), it does
 * what the attack does, to memory and pipes of its own; else it computes. Without arguments it
 * lists the attacks. It ends with 0 if the stack did to the attacker what it should; whether
 * others noticed is for the test to see (tests/netns/test_hostile.sh).
 */
#include <grp.h>
#include <math.h>
#include <signal.h>
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

static void
compute(void)
{
    for (double t = used(); used() < t + 1e-3;)
        ;
}

/* Do it for so long, or less often, so that it uses `share` of a processor. */
static unsigned
repeat(attack_fn *run, double seconds, double share)
{
    unsigned rounds = 0;
    double t = chan_now(), end = t + seconds;
    do {
        run();
        rounds++;
        double now = chan_now(), early = share > 0 ? used() / share - (now - t) : seconds;
        if (early > end - now)
            early = end - now;
        if (early > 0)
            usleep((useconds_t)(early * 1e6));
    } while (chan_now() < end);
    return rounds;
}

static const struct attack *
find(const struct attack *a, const char *name)
{
    while (a->name != NULL && strcmp(a->name, name) != 0)
        a++;
    return a->name != NULL ? a : NULL;
}

int
main(int argc, char **argv)
{
    static const struct attack *const all[] = {attack_memory, attack_request, attack_control,
                                               attack_death};
    const struct attack *found = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(all) && found == NULL; i++) {
        for (const struct attack *a = all[i]; argc < 3 && a->name != NULL; a++)
            printf("%s\n", a->name);
        if (argc >= 3)
            found = find(all[i], argv[1]);
    }
    if (argc < 3)
        return 0;
    MUST(found != NULL, "no attack %s", argv[1]);
    if (geteuid() == 0)
        MUST(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                 setresuid(NOBODY, NOBODY, NOBODY) == 0,
             "cannot become nobody");
    (void)signal(SIGPIPE, SIG_IGN);
    double seconds = strtod(argv[2], NULL);
    if (argc > 3) {
        const struct attack *same = find(attack_nobody, argv[1]);
        (void)repeat(same != NULL ? same->run : compute, seconds, strtod(argv[3], NULL));
        return 0;
    }
    printf("%s: %u rounds\n", found->name, repeat(found->run, seconds, INFINITY));
    return 0;
}
