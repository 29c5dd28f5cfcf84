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
# The server's kernel must not be what connections fail for.
in_b sysctl -qw net.core.somaxconn=16384 net.ipv4.tcp_max_syn_backlog=16384
LAT=$(tool bulkhead-protolat)
MANY=$build/tests/netns/many_conns

# What the domain that does TCP holds in anonymous memory, KiB.
held() {
    local pid
    pid=$(domain_pid "$([ "$1" = factored ] && echo tcp || echo mono)")
    awk '/^RssAnon/ { print $2 }' "/proc/$pid/status"
}
# No session but those in TIME-WAIT, which are nobody's.
only_time_wait() {
    ctl --json sessions >"$WORK/sessions" && ! grep '"state"' "$WORK/sessions" | grep -qv 'TIME-WAIT'
}
no_more_held() { # than after the first round, give or take what the lists need
    local now
    now=$(held "$1")
    [ "$now" -le $(($2 + 1024)) ] || { echo "$2 KiB before, $now KiB now"; return 1; }
}

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
    # Opened, used, closed, again and again: nothing stays behind, and ports do not run out.
    # The first round is for what memory the lists and tables take.
    many=$(long 1000 10000)
    export BULKHEAD_SESSIONS=$((many + 100))
    try "$c: $many connections at once" in_a timeout 120 "$MANY" $PEER 5003 "$many" 2000
    before=$(held "$c")
    try "$c: $(long 3 10) times $many connections at once" \
        in_a timeout 600 "$MANY" $PEER 5003 "$many" 2000 "$(long 3 10)"
    try "$c: no session is left but in TIME-WAIT" until_ok 10 only_time_wait
    try "$c: and no memory" no_more_held "$c" "$before"
    unset BULKHEAD_SESSIONS
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
