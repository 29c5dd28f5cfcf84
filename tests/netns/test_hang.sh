#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: a domain that spins, or sleeps with work waiting, is noticed within 200 ms, named,
# killed and replaced, and what goes through it goes on; one that merely gets no processor, or
# whose supervisor was late, is left alone. What the machine itself was late by is no fault of
# the watchdog's and is taken off; processor time is the domain's own in any case.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl
[ "$(uname -m)" = x86_64 ] || skip_all "no way to make a domain spin on this machine"
net_lock
net_up
PORT=8080
NOTICE=200 # ms
mkdir "$WORK/www"
head -c $((48 << 20)) /dev/urandom >"$WORK/www/big"
want=$(sha "$WORK/www/big")
hang=$(tool tests/netns/hang)

value() { awk -v k="$1" '$1 == k { print $2 }' "$WORK/hang"; }
# Of the hang that was measured last: processor time is bounded in any case; the time by the clock
# is if the machine has a processor for the supervisor, so the best of a few counts.
in_time() { # the same hang again
    local n
    for n in 1 2 3 4 5; do
        cat "$WORK/hang"
        [ "$(value cpu)" -gt $NOTICE ] ||
            [ $(($(value wall) - $(value late))) -gt $NOTICE ] || return 0
        # Who spins without a processor to spin on has not hung for so long.
        [ "$(value cpu)" -eq 0 ] || [ "$(value cpu)" -gt $NOTICE ] ||
            [ $(($(value wall) - $(value cpu))) -lt $((NOTICE / 2)) ] ||
            return 0
        sleep 1
        "$@" || return 1
    done
    return 1
}
replaced() {
    local pid
    pid=$(domain_pid "$1") && [ "$pid" != "$2" ]
}
hang_one() { # spin or stop, domain
    local pid
    pid=$(domain_pid "$2") || { echo "no $2"; return 1; }
    # No domain begins to spin without being woken, and what wakes it wakes the watchdog.
    [ "$1" != spin ] || in_b ping -q -c 1 -W 1 $STACK >/dev/null
    "$hang" "$1" "$pid" >"$WORK/hang" || return 1
    until_ok 5 replaced "$2" "$pid" || { echo "$2 was not replaced"; return 1; }
    grep -Eq "$2.* it hangs: $3" "$daemon_log" ||
        { echo "not named, or for another reason:"; tail -n 3 "$daemon_log"; return 1; }
}
in_a_transfer() { # command
    local pid rc=0
    in_b curl -sS -f --limit-rate 16M -m 60 -o "$WORK/got" "http://$STACK:$PORT/big" &
    pid=$!
    sleep 0.5
    "$@" || rc=1
    alive $pid || { echo "the transfer was over too soon"; rc=1; }
    wait $pid || { echo "curl: $?"; rc=1; }
    [ "$(sha "$WORK/got")" = "$want" ] || { echo "bytes differ"; rc=1; }
    return $rc
}
# Nothing moves; then work comes for a domain that is stopped meanwhile.
asleep() { # domain
    sleep 1.5 # until the watchdog dozes
    (sleep 0.3; in_b nc -z -w 5 $STACK $PORT; in_b ping -q -c 1 -W 1 $STACK) >/dev/null 2>&1 &
    local rc=0
    hang_one stop "$1" "it has had work for .* sleeps" || rc=1
    wait $!
    # The time before the work came is not the watchdog's.
    awk '$1 == "wall" { $2 -= 300 } { print }' "$WORK/hang" >"$WORK/hang.2" &&
        mv "$WORK/hang.2" "$WORK/hang"
    return $rc
}
left_alone() { # domain, command
    local pid
    pid=$(domain_pid "$1") || return 1
    shift
    "$@" "$pid"
    sleep 0.5
    alive "$pid" || { tail -n 3 "$daemon_log"; return 1; }
}
held() { "$hang" hold "$1" 700; }
late() { # both stand still, as on a machine that is suspended; then only the domain does
    kill -STOP "$daemon_pid" "$1"
    sleep 1
    kill -CONT "$1" "$daemon_pid"
}
crowded() { # it works and shares a processor with many at the highest priority
    local n pids=()
    for n in 1 2 3 4 5 6; do
        nice -n -20 timeout 4 sh -c 'while :; do :; done' &
        pids+=($!)
    done
    renice -n 19 -p "$1" >/dev/null
    in_b curl -sS -f -m 3 -o "$WORK/got" "http://$STACK:$PORT/big"
    wait "${pids[@]}"
    renice -n 0 -p "$1" >/dev/null
}
domains_of() {
    [ "$1" = factored ] && echo nic ip tcp udp || echo mono
}
touched_by_tcp() {
    [ "$1" = factored ] && echo nic ip tcp || echo mono
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $PORT --via bulkhead
    wait_port $PORT
    for d in $(touched_by_tcp "$c"); do
        try "$c: $d stops in a transfer, is replaced, and the transfer completes" \
            in_a_transfer hang_one stop "$d" "it has had work"
        try "$c: that was noticed in time" in_time \
            in_a_transfer hang_one stop "$d" "it has had work"
    done
    for d in $(domains_of "$c"); do
        try "$c: $d spins, and is replaced" hang_one spin "$d" "busy"
        try "$c: that was noticed in time" in_time hang_one spin "$d" "busy"
    done
    for d in $(touched_by_tcp "$c"); do
        try "$c: $d stands still, and then work comes for it" asleep "$d"
        try "$c: that was noticed in time" in_time asleep "$d"
    done
    for d in $(touched_by_tcp "$c"); do
        try "$c: $d, held by a debugger, is left alone" left_alone "$d" held
        try "$c: $d, on a machine that was suspended, is left alone" left_alone "$d" late
    done
    try "$c: $d, on a crowded machine, is left alone" left_alone "$d" crowded
    try "$c: after all this a transfer completes" in_a_transfer true
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
