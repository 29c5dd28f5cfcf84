#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: socket options mean what they mean on the kernel's sockets: the same values, the same
# errno (the table of what differs is the one in the manual), and effects that a real peer sees.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need
net_lock
net_up
BEHAVE=$build/tests/netns/sockopt_behave
port=7000

# both CASE TEXT: the two sides of a case, each in its place
both() {
    local rc=0
    port=$((port + 1))
    app timeout 30 "$BEHAVE" stack "$1" $port
    local stack=$bg_pid log=$WORK/log.$bg_n
    in_b timeout 30 "$BEHAVE" kernel "$1" $port $STACK >"$WORK/peer" 2>&1 || rc=1
    wait "$stack" || rc=1
    ok $rc "$c: $2"
    [ $rc -eq 0 ] || note "$(cat "$log" "$WORK/peer")"
}

shared() { # 60 connections and two who wait for them
    local i a b
    port=$((port + 1))
    app "$BEHAVE" stack share $port
    a=$bg_pid la=$WORK/log.$bg_n
    wait_a $port
    app "$BEHAVE" stack share $port
    b=$bg_pid lb=$WORK/log.$bg_n
    wait_a $port
    for i in $(seq 60); do
        in_b timeout 5 "$BEHAVE" kernel share $port $STACK || return 1
    done
    wait "$a" && wait "$b" || return 1
    a=$(cat "$la") b=$(cat "$lb")
    echo "$a and $b of 60"
    [ "$a" -gt 5 ] && [ "$b" -gt 5 ] && [ $((a + b)) -ge 60 ]
}

timeout_on_a_dead_link() {
    local rc=0
    port=$((port + 1))
    app timeout 30 "$BEHAVE" stack user-timeout $port
    local stack=$bg_pid log=$WORK/log.$bg_n
    bg_b timeout 20 "$BEHAVE" kernel user-timeout $port $STACK
    until_ok 5 grep -q accepted "$log" || return 1
    ip -n "$B" link set $IF down
    wait "$stack" || { cat "$log"; rc=1; }
    ip -n "$B" link set $IF up
    end_bg "$bg_pid"
    return $rc
}

for c in $(compositions); do
    printf 'tcp { congestion = "vegas" }\n' >"$WORK/conf"
    stack_start "$c" -c "$WORK/conf" || { ok 1 "$c: starts"; continue; }
    in_a timeout 20 "$build/tests/netns/sockopt_compare" >"$WORK/table" 2>&1
    ok $? "$c: values and errno are the kernel's, but for what the manual says"
    note "$(cat "$WORK/table")"
    app "$BEHAVE" stack name 0
    wait "$bg_pid"
    try "$c: congestion control as the configuration says" grep -qx vegas "$WORK/log.$bg_n"
    both defer "TCP_DEFER_ACCEPT: a connection is there when its data is"
    both urgent-in "urgent data from the peer is in line, and its mark is found"
    both urgent-out "MSG_OOB: the peer finds the urgent byte"
    both info "TCP_INFO: what this end counts is what the other counts"
    both limited "TCP_INFO: both ends tell that the other's window held them up"
    both notsent "TCP_NOTSENT_LOWAT: writable again when it was sent"
    both rcvlowat "SO_RCVLOWAT: readable when there is enough"
    both cork "TCP_CORK holds back for 200 ms"
    try "$c: SO_REUSEPORT: two programs share a port" shared
    try "$c: TCP_USER_TIMEOUT on a dead link" timeout_on_a_dead_link
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
