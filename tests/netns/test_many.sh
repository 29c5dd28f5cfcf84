#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: many connections at once with the stack as the client, against the kernel's TCP: no
# byte lost or changed, every stream ended, and nothing left behind; also when the program is
# killed in the middle.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need
net_lock
net_up
LAT=$(tool bulkhead-protolat)
MANY=$build/tests/netns/many_conns

nothing_left() { # sessions that are neither closed nor in TIME-WAIT
    ctl --json sessions >"$WORK/sessions" || return 1
    ! grep -qE 'ESTABLISHED|FIN.WAIT.1|CLOSE.WAIT|CLOSING|LAST.ACK|SYN' "$WORK/sessions"
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    bg_b "$LAT" --serve --tcp --port 5003 --via kernel
    server=$bg_pid
    until_ok 5 in_b nc -z -w 1 $PEER 5003
    for n in 1 100 1000; do
        bytes=$((n == 1000 ? 20000 : 300000))
        try "$c: $n connections at once, every byte compared" \
            in_a timeout 60 "$MANY" $PEER 5003 $n $bytes
    done
    bg_a "$MANY" $PEER 5003 100 100000000
    sleep 1
    kill -KILL "$bg_pid"
    try "$c: a program killed with 100 connections leaves none behind" \
        until_ok 10 nothing_left
    try "$c: and the next one is served" in_a timeout 60 "$MANY" $PEER 5003 100 30000
    end_bg "$server"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
