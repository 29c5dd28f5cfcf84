#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: --driver packet: the same stack over AF_PACKET, with segments of up to 64 KiB both
# ways; it is confined, survives the death of each domain, and does without offloads on a lossy
# wire. The other tests of this directory run with it when BH_DRIVER=packet is set.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need python3
net_lock
net_up
export BH_DRIVER=packet
TTCP=$(tool bulkhead-ttcp)
LAT=$(tool bulkhead-protolat)
BYTES=$((64 << 20))

in_to() { # BYTES, and what goes to ttcp: from the kernel into the stack, every byte compared
    app "$TTCP" --receive --port 5001 --via bulkhead --verify --json
    local rx=$bg_pid log=$WORK/log.$bg_n
    wait_a 5001
    in_b timeout 60 "$TTCP" --transmit $STACK --port 5001 --bytes "$1" --via kernel || {
        cat "$log"
        return 1
    }
    until_ok 5 grep -q "\"bytes\": $1" "$log"
    local rc=$?
    ! grep -Ei 'differ|corrupt|wrong|mismatch' "$log" || rc=1
    end_bg "$rx"
    return $rc
}
out_of() {
    bg_b "$TTCP" --receive --port 5001 --via kernel --verify --json
    local rx=$bg_pid log=$WORK/log.$bg_n
    wait_b 5001
    in_a timeout 60 "$TTCP" --transmit $PEER --port 5001 --bytes "$1" --via bulkhead || {
        cat "$log"
        return 1
    }
    until_ok 5 grep -q "\"bytes\": $1" "$log"
    local rc=$?
    ! grep -Ei 'differ|corrupt|wrong|mismatch' "$log" || rc=1
    end_bg "$rx"
    return $rc
}
to_itself() { # never comes to the driver: no segment may be left for it to cut
    app "$TTCP" --receive --port 5004 --via bulkhead --verify --json
    local rx=$bg_pid log=$WORK/log.$bg_n
    wait_a 5004
    in_a timeout 30 "$TTCP" --transmit $STACK --port 5004 --bytes 4M --via bulkhead || return 1
    until_ok 5 grep -q "\"bytes\": $((4 << 20))" "$log" || { cat "$log"; return 1; }
    end_bg "$rx"
}
datagrams() {
    app "$LAT" --serve --udp --port 5002 --via bulkhead
    local rx=$bg_pid
    wait_a 5002
    in_b timeout 20 "$LAT" --connect $STACK --udp --port 5002 --via kernel --size 3000 \
        --count 100 --json >"$WORK/lat" && [ "$(json_get "$WORK/lat" lost)" = 0 ]
    local rc=$?
    end_bg "$rx"
    return $rc
}
bytes_a_packet() { # rx or tx
    ctl --json stats | python3 -c '
import json, sys
way = sys.argv[1]
for d in json.load(sys.stdin)["domains"]:
    s = d["counters"]
    if s.get("nic_" + way):
        print(s["nic_%s_bytes" % way] // s["nic_" + way])' "$1"
}
more_than() { # FLOOR WAY
    local n
    n=$(bytes_a_packet "$2")
    echo "$n bytes a packet"
    [ "${n:-0}" -gt "$1" ]
}
hit_in() { # in_to or out_of, DOMAIN: it dies in the middle
    local pid old rc=0
    "$1" $((4 * BYTES)) >"$WORK/hit" 2>&1 &
    pid=$!
    sleep 0.3
    old=$(domain_pid "$2") && kill -KILL "$old"
    until_ok 5 replaced "$2" "$old" || { echo "$2 was not replaced"; rc=1; }
    wait $pid || { cat "$WORK/hit"; tail -n 20 "$daemon_log"; rc=1; }
    return $rc
}
replaced() {
    local pid
    pid=$(domain_pid "$1") && [ "$pid" != "$2" ]
}
one_answer() { # the kernel beside us hears the same requests, and must not answer them
    in_b ping -q -c 20 -i 0.01 -W 2 $STACK >"$WORK/ping" 2>&1 || return 1
    ! grep -q duplicates "$WORK/ping"
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    ok "$(ctl status | grep -q "on $IF (packet)"; echo $?)" "$c: the status says which driver it is"
    ok "$([ -z "$(ctl --json status | grep '"as_granted": false')" ]; echo $?)" \
        "$c: each domain maps what it was granted"
    ok "$([ -z "$(in_a ip -d link show $IF | grep xdp)" ]; echo $?)" "$c: there is no XDP program"
    try "$c: what comes in is answered once" one_answer
    try "$c: kernel to stack" in_to $BYTES
    try "$c: what comes in is longer than the MTU" more_than 6000 rx
    try "$c: stack to kernel" out_of $BYTES
    try "$c: and what goes out" more_than 6000 tx
    try "$c: stack to itself" to_itself
    try "$c: datagrams, in fragments" datagrams
    for d in $([ "$c" = factored ] && echo nic ip tcp || echo mono); do
        try "$c: $d dies while it receives" hit_in in_to "$d"
        try "$c: $d dies while it sends" hit_in out_of "$d"
    done
    ok "$([ -z "$(ctl stats | grep refused_frames)" ]; echo $?)" "$c: no frame ever had two owners"
    note "$(ctl stats | grep -E 'refused|nic_drop')"
    stack_stop
    ok $? "$c: stops cleanly"
done

refused() { # NAME STATUS WORD ARGUMENTS...
    local name=$1 want=$2 word=$3 rc
    shift 3
    in_a timeout 10 "$(tool bulkheadd)" --interface $IF --address $STACK/$PREFIX \
        --driver packet --instance "$BULKHEAD_INSTANCE" "$@" >"$WORK/out" 2>&1
    rc=$?
    ok "$([ $rc -eq "$want" ] && grep -q "$word" "$WORK/out"; echo $?)" "$name"
    note "$(cat "$WORK/out")"
}
refused "strict checksums are refused" 2 strict --checksum strict
in_a sysctl -qw net.ipv4.conf.$IF.forwarding=1
refused "so is an interface that forwards" 1 forwarding
in_a sysctl -qw net.ipv4.conf.$IF.forwarding=0

# A wire that carries frames and loses some: no offload below does the work.
net_wire
if wire_start --loss 0.005; then
    stack_start "$(compositions | head -n 1)" || ok 1 "starts on a lossy wire"
    try "lossy wire: kernel to stack" in_to $((BYTES / 8))
    try "lossy wire: stack to kernel" out_of $((BYTES / 8))
    stack_stop
    ok $? "lossy wire: stops cleanly"
    wire_stop
else
    ok 1 "the wire starts"
fi
done_testing
