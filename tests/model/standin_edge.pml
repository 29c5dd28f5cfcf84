/* SPDX-License-Identifier: BSD-2-Clause
 *
 * standin_edge.pml: a program that waits for edges on a stand-in (EPOLLET) and need not read until
 * there is nothing: it reads what it sees, and waits for the next edge (nginx). lib/client/standin.c
 * (settle_in, settle_edge), lib/session/clients.c (rx_seen) and domains/serve_standin.c (show).
 * Bytes that were shown stay in the stand-in, up to a number. Memory is sequentially consistent
 * here: what a fence is for is bell.pml's matter.
 *
 * Checked: the program does not wait for ever while there is something that it has not seen (an
 * invalid end state).
 *
 * A macro takes one line out of the protocol; tests/model/run wants the mutant to fail:
 *   NO_KNOWN  what the program does not know of is shown only if it comes now
 */
#ifndef N
#define N 2 /* arrivals */
#endif
#define BLIND 2 /* bytes that are taken out at least: STANDIN_LEAVES - 1 */
#define KEPT 1  /* and that stay: EDGES_KEPT */

byte tail;    /* the domain's: arrived */
byte head;    /* the program's: read */
byte arm;     /* generation; 0: never armed */
byte rx_seen; /* the arming is about what comes after it */
byte shown;   /* counted by the domain */
byte in_it;   /* bytes in the stand-in */
byte asked;   /* REQ_STANDIN that wait in the ring */
bit pending;  /* EVT_READY that the domain will show */
bit edge;     /* epoll has one for the program */

inline tell()
{
    shown++;
    in_it++;
    edge = 1
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
        :: a != posted && tail != head && tail != rx_seen -> posted = a; pending = 1
        :: else
        fi;
        a = 0
    :: pending -> pending = 0; tell()
    :: asked > 0 -> asked--; tell()
    od
}

/* The program's own. */
byte seen, taken, sh, n, t, before;
byte knows; /* up to where it knows of arrivals: what it was told, or read */
bit armed, missed;

inline take_out()
{
    do
    :: n > 0 && in_it > 0 -> in_it--; n--
    :: else -> break
    od;
    n = 0
}

inline settle()
{
    t = tail;
    sh = shown;
    if
    :: sh != seen -> armed = 0; seen = sh
    :: else
    fi;
    n = sh - taken;
    if
    :: t != head ->
        if
        :: n > KEPT -> n--; take_out(); taken = sh - 1
        :: else -> n = 0
        fi;
        before = rx_seen;
        t = tail;
        rx_seen = t;
        arm++;
        armed = 1;
        if
#ifdef NO_KNOWN
        :: tail != t -> asked++
#else
        :: (t != knows && t != before) || tail != t -> asked++
#endif
        :: else
        fi
    :: else ->
        if
        :: missed || n > KEPT ->
            if
            :: n < BLIND -> n = BLIND
            :: else
            fi;
            take_out();
            taken = shown;
            if
            :: taken != sh -> armed = 0
            :: else
            fi;
            seen = taken
        :: else -> n = 0
        fi;
        if
        :: !armed ->
            arm++;
            armed = 1;
            if
            :: tail != head -> asked++
            :: else
            fi
        :: else
        fi
    fi;
    sh = 0; t = 0; before = 0; missed = 0
}

proctype Program()
{
    settle(); /* it was just put into the set */
    do
    :: head == N -> break
    :: else ->
        edge == 1;
        edge = 0;
        if
        :: knows = tail; /* bh_recv: all that it sees, or nothing */
            missed = (knows == head);
            head = knows;
            settle()
        :: knows = tail; /* FIONREAD, and then so much and no more */
            settle();
            head = knows;
            settle()
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
