#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: bulk TCP in both directions against the kernel's TCP and other people's
# programs, as server and as client, and with a reader that stops for a while.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need nc socat
net_lock
net_up
TTCP=$(tool bulkhead-ttcp)
BYTES=$(($(long 128 1024) << 20))

a_receives() { # stack is the receiver, --verify compares every byte
    in_b "$TTCP" --transmit $STACK --port 5001 --bytes $BYTES --via kernel --json "$@"
}
a_transmits() {
    in_a "$TTCP" --transmit $PEER --port 5001 --bytes $BYTES --via bulkhead --json "$@"
}
all_there() { # what the receiver says of the last transfer; it must not have complained
    until_ok 5 grep -q "\"bytes\": $BYTES" "$1" || { cat "$1"; return 1; }
    ! grep -Ei 'differ|corrupt|wrong|mismatch' "$1"
}
# What ttcp sends, for receivers that cannot verify it.
reference() {
    in_b nc -l -N 127.0.0.1 5999 >"$WORK/ref" </dev/null &
    local pid=$!
    wait_b 5999
    in_b "$TTCP" --transmit 127.0.0.1 --port 5999 --bytes $((16 << 20)) --via kernel
    wait $pid
    sha "$WORK/ref"
}

# Every ring that a bulk transfer needs says how much went through it; no more ever waited than
# fits. In one process there are no rings.
rings_counted() {
    ctl --json stats | python3 -c '
import json, sys
rings = [(r["from"], d["name"], r) for d in json.load(sys.stdin)["domains"] for r in d["rings"]]
want = {("nic", "ip"), ("ip", "nic"), ("ip", "tcp"), ("tcp", "ip")} if sys.argv[1] == "factored" else set()
seen = {(a, b) for a, b, r in rings if r["passed"] > 1000}
print(seen)
sys.exit(not (want <= seen and all(0 < r["most"] <= r["size"] for _, _, r in rings)))' "$1"
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }

    app "$TTCP" --receive --port 5001 --via bulkhead --verify --json
    rx=$bg_pid log=$WORK/log.$bg_n
    wait_a 5001
    try "$c: kernel to stack, every byte compared" a_receives
    try "$c: the receiver saw all of it" all_there "$log"
    try "$c: the counters of every ring" rings_counted "$c"
    # The reader stops for a while: the window closes, is probed, and opens again.
    a_receives >"$WORK/stopped" 2>&1 &
    tx=$!
    sleep 0.1
    kill -STOP "$rx"
    sleep 2
    kill -CONT "$rx"
    wait $tx
    ok $? "$c: a reader that stops for 2 s loses nothing"
    [ -s "$WORK/stopped" ] && note "$(cat "$WORK/stopped")"
    end_bg "$rx"

    app "$TTCP" --receive --port 5001 --via bulkhead --verify --zero-copy --rcvbuf 16M --json
    rx=$bg_pid log=$WORK/log.$bg_n
    wait_a 5001
    try "$c: kernel to stack, read in place, window of 16 MiB" a_receives
    try "$c: the receiver saw all of it, read in place" all_there "$log"
    end_bg "$rx"

    bg_b "$TTCP" --receive --port 5001 --via kernel --verify --json
    rx=$bg_pid log=$WORK/log.$bg_n
    wait_b 5001
    try "$c: stack to kernel, every byte compared" a_transmits
    try "$c: the kernel's receiver saw all of it" all_there "$log"
    try "$c: stack to kernel, written in place, buffer of 16 MiB" \
        a_transmits --zero-copy --sndbuf 16M
    end_bg "$rx"

    [ -n "${ref:-}" ] || ref=$(reference 2>/dev/null | tail -n 1)
    in_b nc -l -N 5003 >"$WORK/nc.out" </dev/null &
    rx=$!
    wait_b 5003
    try "$c: stack to nc" in_a "$TTCP" --transmit $PEER --port 5003 --bytes $((16 << 20)) \
        --via bulkhead
    wait $rx
    ok "$([ "$(sha "$WORK/nc.out")" = "$ref" ]; echo $?)" "$c: nc wrote exactly what was sent"

    in_b socat -u TCP-LISTEN:5004,reuseaddr OPEN:"$WORK/socat.out",creat,trunc &
    rx=$!
    wait_b 5004
    try "$c: stack to socat" in_a "$TTCP" --transmit $PEER --port 5004 --bytes $((16 << 20)) \
        --via bulkhead
    wait $rx
    ok "$([ "$(sha "$WORK/socat.out")" = "$ref" ]; echo $?)" "$c: socat wrote exactly what was sent"

    # Nobody listens: refused, at once, with the exit code for it.
    in_a timeout 10 "$TTCP" --transmit $PEER --port 5999 --bytes 1 --via bulkhead >"$WORK/out" 2>&1
    rc=$?
    ok "$([ $rc -eq 12 ] && grep -qi refused "$WORK/out"; echo $?)" "$c: connection refused is reported"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
