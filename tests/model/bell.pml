/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bell.pml: falling asleep and waking between two processes that share a ring: ipc/bell.h
 * and ipc/ring.h, in both directions at once (the consumer sleeps while the ring is empty,
 * the producer while it is full).
 *
 * Memory is x86's: each process has a FIFO store buffer that drains into memory whenever it
 * likes, and a fence waits until it is empty. A load sees memory; a process never reads back
 * a word of its own from memory, so nothing is forwarded. A read or write of the pipe does
 * not drain a store buffer here, so the proof does not lean on a kernel that does.
 *
 * Checked: neither sleeps for ever while the ring has what it waits for (an invalid end
 * state), and no arming, which is a value of `want`, is answered twice (the assertion).
 *
 * A macro of the first group takes one line out of the protocol; tests/model/run wants each
 * such mutant to fail, so that the model is known to be able to:
 *   NO_RINGER_FENCE, NO_SLEEPER_FENCE, NO_SECOND_LOOK, NO_RUNG
 */
#ifndef N
#define N 4 /* items that go through */
#endif
#ifndef CAP
#define CAP 2 /* slots of the ring */
#endif
#define PIPE 2   /* bytes that fit into a pipe */
#define BUFFER 3 /* entries of a store buffer */

#define PROD 0
#define CONS 1

byte mem_index[2]; /* tail, by the producer; head, by the consumer */
byte mem_want[2];  /* who sleeps: PROD for room, CONS for items */

mtype = { INDEX, WANT };
chan buffer[2] = [BUFFER] of { mtype, byte };
chan pipe[2] = [PIPE] of { bit }; /* by who reads it */

byte answered[2]; /* ghost: the last value of want that a byte was written for */

/* The hardware: stores reach memory in order, some time. */
proctype Drain(bit me)
{
    mtype what;
    byte v;
end:
    do
    :: atomic {
        buffer[me]?what, v;
        if
        :: what == INDEX -> mem_index[me] = v
        :: what == WANT -> mem_want[me] = v
        fi;
        what = 0;
        v = 0
    }
    od
}

inline fence()
{
    empty(buffer[me])
}

/* bell_due and bell_ring, after publishing */
inline ring_the_other()
{
#ifndef NO_RINGER_FENCE
    fence();
#endif
    w = mem_want[1 - me];
    if
#ifdef NO_RUNG
    :: (w & 1) ->
#else
    :: (w & 1) && w != rung ->
#endif
        rung = w;
        atomic {
            assert(w > answered[1 - me]);
            answered[1 - me] = w
        };
        if
        :: full(pipe[1 - me]) /* EAGAIN: pending already */
        :: nfull(pipe[1 - me]) -> pipe[1 - me]!1
        fi
    :: else
    fi;
    w = 0
}

inline bell_arm()
{
    want++;
    buffer[me]!WANT, want;
#ifndef NO_SLEEPER_FENCE
    fence()
#endif
}

inline bell_disarm()
{
    want++;
    buffer[me]!WANT, want
}

/* poll without a timeout, then the bounded bell_drain: one byte, so that one may be left over
 * and wake the sleeper the next time for nothing */
inline sleep()
{
    pipe[me]?_
}

proctype Producer()
{
    bit me = PROD;
    byte tail, seen_head, w, rung, want;
    do
    :: tail == N -> break
    :: tail < N && tail - seen_head < CAP ->
        do /* one or several, published together */
        :: tail++;
            if
            :: tail < N && tail - seen_head < CAP
            :: break
            fi
        od;
        buffer[me]!INDEX, tail;
        ring_the_other()
    :: tail < N && tail - seen_head == CAP ->
        seen_head = mem_index[1 - me];
        if
        :: tail - seen_head < CAP
        :: else ->
            bell_arm();
#ifndef NO_SECOND_LOOK
            seen_head = mem_index[1 - me];
#endif
            if
            :: tail - seen_head < CAP
            :: else -> sleep()
            fi;
            bell_disarm()
        fi
    od
}

proctype Consumer()
{
    bit me = CONS;
    byte head, seen_tail, w, rung, want;
    do
    :: head == N -> break
    :: head < N && seen_tail != head ->
        do
        :: head++;
            if
            :: seen_tail != head
            :: break
            fi
        od;
        buffer[me]!INDEX, head;
        ring_the_other()
    :: head < N && seen_tail == head ->
        seen_tail = mem_index[1 - me];
        assert(seen_tail - head <= CAP);
        if
        :: seen_tail != head
        :: else ->
            bell_arm();
#ifndef NO_SECOND_LOOK
            seen_tail = mem_index[1 - me];
#endif
            if
            :: seen_tail != head
            :: else -> sleep()
            fi;
            bell_disarm()
        fi
    od
}

init
{
    atomic {
        run Drain(PROD);
        run Drain(CONS);
        run Producer();
        run Consumer()
    }
}
