/* SPDX-License-Identifier: BSD-2-Clause
 *
 * foe ATTACK SECONDS: attack a running stack as a client of it, unprivileged, for so long.
 * Without arguments it lists the attacks. It ends with 0 if the stack did to the attacker what
 * it should; whether others noticed is for the test to see (tests/netns/test_hostile.sh).
 */
#include <grp.h>
#include <signal.h>
#include <unistd.h>

#include "chan.h"

#define NOBODY 65534u

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
