/* SPDX-License-Identifier: BSD-2-Clause
 *
 * standin_out.pml: a program that writes to a session and sleeps on its stand-in while there is no
 * room: lib/client/standin.c (settle_out) and domains/serve_standin.c (show). The library fills the
 * stand-in's buffer so that it is not writable; the domain empties it. Memory is sequentially
 * consistent here: what a fence is for is bell.pml's matter.
 *
 * Checked: the program does not sleep for ever while there is room (an invalid end state).
 *
 * A macro takes one line out of the protocol; tests/model/run wants each such mutant to fail:
 *   ONE_FILL        the domain takes out what was put in once, though it may have been twice
 *   NO_SECOND_LOOK  after arming
 */
#ifndef N
#define N 5 /* writes */
#endif
#define ROOM 2  /* that wait to be acknowledged, at most */
#define LIMIT 3 /* fills that the buffer holds */

byte used;   /* of the room */
byte arm;    /* generation; 0: never armed */
byte shown;  /* counted by the domain */
byte fill;   /* in the buffer: 0 is writable */
byte asked;  /* REQ_STANDIN that wait in the ring */
bit pending; /* EVT_READY that the domain will show: one, for however many armings */

inline tell()
{
    shown++;
#ifdef ONE_FILL
    if
    :: fill > 0 -> fill--
    :: else
    fi
#else
    fill = 0
#endif
}

proctype Domain()
{
    byte posted, a;
end:
    do
    :: used > 0 ->
        used--;
        a = arm;
        if
        :: a != posted && used < ROOM -> posted = a; pending = 1
        :: else
        fi;
        a = 0
    :: pending -> pending = 0; tell()
    :: asked > 0 -> asked--; tell()
    od
}

inline fill_up()
{
    if
    :: fill < LIMIT -> fill++
    :: else
    fi
}

proctype Program()
{
    byte seen, sh, sent;
    bit armed, missed, ready, filled;
    do
    :: sent == N -> break
    :: else ->
        /* bh_send */
        if
        :: used < ROOM -> used++; sent++; missed = 0
        :: else -> missed = 1
        fi;
        /* settle_out */
        sh = shown;
        ready = (used < ROOM);
        if
        :: sh != seen -> seen = sh; filled = 0; armed = 0
        :: else
        fi;
        if
        :: ready && !filled && missed -> fill_up(); filled = 1; armed = 0
        :: else
        fi;
        if
        :: ready ->
            if
            :: filled && !armed -> asked++; armed = 1
            :: else
            fi
        :: else ->
            if
            :: !filled -> fill_up(); filled = 1; armed = 0
            :: else
            fi;
            if
            :: !armed ->
                arm++;
                armed = 1;
#ifndef NO_SECOND_LOOK
                if
                :: used < ROOM -> asked++
                :: else
                fi
#endif
            :: else
            fi
        fi;
        sh = 0; ready = 0;
        /* wait_write, if there was no room */
        if
        :: missed -> fill == 0
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
