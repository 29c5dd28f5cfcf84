#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: UDP against the kernel's UDP: small and large datagrams (fragmented both ways) come
# back unchanged, and a port that nobody has says so.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need socat nc
net_lock
net_up
LAT=$(tool bulkhead-protolat)

none_lost() { # protolat arguments, run in B over the kernel
    in_b "$LAT" --connect $STACK --udp --port 5002 --via kernel --json "$@" >"$WORK/lat" ||
        { cat "$WORK/lat"; return 1; }
    cat "$WORK/lat"
    [ "$(json_get "$WORK/lat" lost)" = 0 ]
}
echoed() { # size: random bytes through socat and back
    head -c "$1" /dev/urandom >"$WORK/sent"
    in_b timeout 5 socat -t 1 -b 70000 - "UDP:$STACK:5002,sndbuf=200000,rcvbuf=200000" \
        <"$WORK/sent" >"$WORK/back"
    cmp "$WORK/sent" "$WORK/back"
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    app "$LAT" --serve --udp --port 5002 --via bulkhead
    server=$bg_pid
    wait_a 5002
    for size in 1 64 1472 1473 9000; do
        try "$c: 100 datagrams of $size bytes come back" none_lost --size $size --count 100
    done
    try "$c: many small ones" none_lost --size 64 --count "$(long 5000 50000)"
    try "$c: 9000 random bytes come back unchanged" echoed 9000
    try "$c: 1400 random bytes come back unchanged" echoed 1400
    end_bg "$server"

    bg_b "$LAT" --serve --udp --port 5002 --via kernel
    server=$bg_pid
    wait_b 5002
    in_a "$LAT" --connect $PEER --udp --port 5002 --size 9000 --count 100 --via bulkhead --json \
        >"$WORK/lat" 2>&1
    ok "$([ "$(json_get "$WORK/lat" lost)" = 0 ]; echo $?)" "$c: the stack as client, 9000 bytes"
    end_bg "$server"

    # A closed port: the kernel's socket learns by ICMP.
    in_b nc -u -z -v -w 2 $STACK 5999 >"$WORK/nc" 2>&1
    ok "$([ $? -ne 0 ]; echo $?)" "$c: a closed port answers with port unreachable"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
