/* SPDX-License-Identifier: BSD-2-Clause
 *
 * standin_in.pml: a program that reads a session and sleeps on its stand-in while the domain shows
 * it what comes: lib/client/standin.c (settle_in) and domains/serve_standin.c (show). Memory is
 * sequentially consistent here: what a fence is for is bell.pml's matter.
 *
 * Checked: the program does not sleep for ever while there is something to read (an invalid end
 * state).
 *
 * A macro takes one line out of the protocol; tests/model/run wants each such mutant to fail:
 *   NO_RELOAD       what was taken out uncounted is not looked for
 *   NO_SECOND_LOOK  after arming
 *   NO_COUNT_FIRST  the domain puts the byte in before it counts it
 */
#ifndef N
#define N 4 /* arrivals */
#endif
#define BLIND 2 /* bytes that are taken out at least: STANDIN_LEAVES - 1 */

byte tail;   /* the domain's: arrived */
byte head;   /* the program's: read */
byte arm;    /* generation; 0: never armed */
byte shown;  /* counted by the domain */
byte in_it;  /* bytes in the stand-in */
byte asked;  /* REQ_STANDIN that wait in the ring */
bit pending; /* EVT_READY that the domain will show */

inline tell()
{
#ifdef NO_COUNT_FIRST
    in_it++;
    shown++;
#else
    shown++;
    in_it++;
#endif
}

proctype Domain()
{
    byte posted, a;
end:
    do
    :: tail < N ->
        tail++;
        a = arm;
        if
        :: a != posted && tail != head -> posted = a; pending = 1
        :: else
        fi;
        a = 0
    :: pending -> pending = 0; tell()
    :: asked > 0 -> asked--; tell()
    od
}

proctype Program()
{
    byte seen, taken, sh, n, looked;
    bit armed, missed, ready;
    do
    :: head == N -> break
    :: else ->
        /* bh_recv: some of what is there, or nothing */
        looked = tail;
        missed = (looked == head);
        if
        :: looked != head -> head++
        :: looked != head -> head = looked
        :: else
        fi;
        /* settle_in */
        ready = (tail != head);
        sh = shown;
        if
        :: sh != seen -> armed = 0; seen = sh
        :: else
        fi;
        if
        :: ready ->
            if
            :: (sh != taken && missed) || (sh == taken && !armed) -> asked++; armed = 1
            :: else
            fi
        :: else ->
            if
            :: missed || sh != taken ->
                n = sh - taken;
                if
                :: n < BLIND -> n = BLIND
                :: else
                fi;
                do
                :: n > 0 && in_it > 0 -> in_it--; n--
                :: else -> break
                od;
                n = 0;
#ifdef NO_RELOAD
                taken = sh;
#else
                taken = shown;
                if
                :: taken != sh -> armed = 0
                :: else
                fi;
                seen = taken
#endif
            :: else
            fi;
            if
            :: !armed ->
                arm++;
                armed = 1;
#ifndef NO_SECOND_LOOK
                if
                :: tail != head -> asked++
                :: else
                fi
#endif
            :: else
            fi
        fi;
        sh = 0; looked = 0; ready = 0;
        /* wait_read, if the call found nothing */
        if
        :: missed -> in_it > 0
        :: else
        fi
    od
}

init
{
    atomic {
        run Domain();
        run Program()
    }
}
