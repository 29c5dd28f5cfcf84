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
counted() { # counter of the only client
    ctl --all stats | awk -v n="$1" '/^[a-z]/ || /^$/ { on = /^client / }
        on && $1 == n { print $2 }'
}
at_least() { # counter, number
    local n
    n=$(counted "$1")
    [ "${n:-0}" -ge "$2" ] || { echo "$1 is ${n:-not there}, not $2"; ctl status; return 1; }
}
is_zero() { [ "$(counted "$1")" = 0 ]; }

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    app "$LAT" --serve --udp --port 5002 --via bulkhead
    server=$bg_pid
    wait_a 5002
    for size in 1 64 1472 1473 9000; do
        try "$c: 100 datagrams of $size bytes come back" none_lost --size $size --count 100
    done
    try "$c: many small ones" none_lost --size 64 --count "$(long 5000 50000)"
    try "$c: they are counted for their client" at_least received_packets "$(long 5000 50000)"
    try "$c: in both directions" at_least sent_bytes "$(long 460000 4600000)"
    d=$([ "$c" = monolithic ] && echo mono || echo udp)
    try "$c: $d is started anew" ctl restart $d
    try "$c: and its counters go on" at_least received_packets "$(long 5000 50000)"
    try "$c: 9000 random bytes come back unchanged" echoed 9000
    try "$c: 1400 random bytes come back unchanged" echoed 1400
    end_bg "$server"
    app "$LAT" --serve --udp --port 5004 --via bulkhead
    server=$bg_pid
    wait_a 5004
    try "$c: who comes after it under its number begins at 0" is_zero received_packets
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
