#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: an MTU of 9000 with AF_XDP, where one packet is in several frames: TCP both ways with
# every byte compared, datagrams in one packet and in fragments, ping of any size, the death of
# each domain under such traffic, a peer whose MTU is smaller, and no frame that is lost by it.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need python3 ethtool
net_lock
net_up
for ns in "$A" "$B"; do
    ip -n "$ns" link set $IF mtu 9000 || exit 1
done
TTCP=$(tool bulkhead-ttcp)
LAT=$(tool bulkhead-protolat)
BYTES=$((32 << 20))

ended_well() { # LOG BYTES: all came, and as it was sent
    until_ok 5 grep -q "\"bytes\": $2" "$1" && ! grep -Ei 'differ|corrupt|wrong|mismatch' "$1"
}
transfer() { # BYTES, FROM and TO an end (a: the stack, b: the peer)
    local -A via=([a]=bulkhead [b]=kernel) address=([a]=$STACK [b]=$PEER)
    "bg_$3" "$TTCP" --receive --port 5001 --via "${via[$3]}" --verify --json
    local rx=$bg_pid log=$WORK/log.$bg_n rc
    "wait_$3" 5001
    "in_$2" timeout 60 "$TTCP" --transmit "${address[$3]}" --port 5001 --bytes "$1" \
        --via "${via[$2]}" && ended_well "$log" "$1"
    rc=$?
    [ $rc -eq 0 ] || cat "$log"
    end_bg "$rx"
    return $rc
}
in_to() { transfer "$1" b a; }
out_of() { transfer "$1" a b; }
to_itself() { transfer $((4 << 20)) a a; }
datagrams() { # SIZE COUNT: there and back
    in_b timeout 20 "$LAT" --connect $STACK --udp --port 5002 --via kernel --size "$1" \
        --count "$2" --json >"$WORK/lat" && [ "$(json_get "$WORK/lat" lost)" = 0 ]
}
counter() { # NAME, summed over the domains
    ctl --json stats | python3 -c '
import json, sys
print(sum(d["counters"].get(sys.argv[1], 0) for d in json.load(sys.stdin)["domains"]))' "$1"
}
no_fragments() { # COMMAND..: it works, and without any
    local before
    before=$(($(counter ip_frag_rx) + $(counter ip_frag_tx)))
    "$@" && [ $(($(counter ip_frag_rx) + $(counter ip_frag_tx))) -eq "$before" ]
}
pings() { # SIZE [OPTIONS]
    in_b ping -q -c 10 -i 0.02 -W 2 -s "$@" $STACK >"$WORK/ping" 2>&1 &&
        grep -q ' 0% packet loss' "$WORK/ping" || { cat "$WORK/ping"; return 1; }
}
bytes_a_packet() { # FLOOR WAY
    local n
    n=$(($(counter "nic_$2_bytes") / $(counter "nic_$2")))
    echo "$n bytes a packet"
    [ "$n" -gt "$1" ]
}
replaced() {
    local pid
    pid=$(domain_pid "$1") && [ "$pid" != "$2" ]
}
connected() { ctl sessions | grep -qi established; }
hit_in() { # DOMAIN COMMAND..: it dies in the middle
    local d=$1 pid old rc=0
    shift
    "$@" >"$WORK/hit" 2>&1 &
    pid=$!
    [ "$1" = chatter ] || until_ok 10 connected || { echo "it does not begin"; rc=1; }
    sleep 0.2
    alive $pid || { echo "it was over before the hit"; rc=1; }
    old=$(domain_pid "$d") && kill -KILL "$old"
    until_ok 5 replaced "$d" "$old" || { echo "$d was not replaced"; rc=1; }
    wait $pid || { cat "$WORK/hit"; tail -n 20 "$daemon_log"; rc=1; }
    return $rc
}
chatter() { # datagrams that are lost may be: the pair goes on
    local i
    for i in 1 2 3 4 5 6; do
        in_b timeout 5 "$LAT" --connect $STACK --udp --port 5002 --via kernel --size 8972 \
            --count 2000 --json >"$WORK/lat" 2>&1
    done
    true
}
never_two() {
    ! ctl stats | grep -E 'refused_frames|nic_bad_desc|poisoned'
}
# So few frames that what a death loses is missed soon.
cat >"$WORK/few.conf" <<'EOF'
frames {
    rx = 256
    iptx = 128
    tcptx = 64
    udptx = 64
    up = 64
}
EOF

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    ok "$(ctl --json status | grep -q '"mtu": 9000'; echo $?)" "$c: the status says the MTU"
    try "$c: kernel to stack" in_to $BYTES
    try "$c: what comes in is large" bytes_a_packet 4000 rx
    try "$c: stack to kernel" out_of $BYTES
    try "$c: and what goes out" bytes_a_packet 4000 tx
    try "$c: stack to itself" to_itself
    app "$LAT" --serve --udp --port 5002 --via bulkhead
    wait_a 5002
    for n in 1472 1778 1900 1913 3000 5000 8971 8972; do
        try "$c: a datagram of $n bytes in one packet" no_fragments datagrams $n 20
    done
    for n in 8973 20001 65507; do
        try "$c: one of $n bytes in fragments" datagrams $n 10
    done
    try "$c: ping in one packet" no_fragments pings 8000
    try "$c: ping of all sizes about the first frame" eval \
        'for n in 1749 1750 1751 1892 1893 3541 3542; do pings $n -c 2 || exit 1; done'
    try "$c: the largest packet" no_fragments pings 8972 -M do
    try "$c: ping in fragments" pings 30000
    # The peer takes less than we do: TCP goes by what it says.
    ip -n "$B" link set $IF mtu 1500
    try "$c: peer with MTU 1500: kernel to stack" in_to $BYTES
    try "$c: peer with MTU 1500: stack to kernel" out_of $BYTES
    ip -n "$B" link set $IF mtu 9000
    try "$c: no frame ever had two owners" never_two
    note "$(ctl stats | grep -E 'drop|refused')"
    stack_stop
    ok $? "$c: stops cleanly"

    # No hardware fills in checksums that is not there: each is looked at, over all frames.
    in_b ethtool -K $IF tx off >/dev/null 2>&1
    stack_start "$c" --config "$WORK/few.conf" --checksum strict || { ok 1 "$c: starts with few frames"; continue; }
    app "$LAT" --serve --udp --port 5002 --via bulkhead
    wait_a 5002
    for d in $([ "$c" = factored ] && long "nic tcp" "nic ip udp tcp" || echo mono); do
        try "$c: $d dies while it receives" hit_in "$d" in_to $((8 * BYTES))
        try "$c: $d dies while it sends" hit_in "$d" out_of $((8 * BYTES))
        try "$c: $d dies among datagrams" hit_in "$d" chatter
        try "$c: after which they go on" datagrams 8972 50
    done
    try "$c: no frame has two owners after it" never_two
    ok "$([ "$(counter drop_checksum)" -eq 0 ]; echo $?)" "$c: no checksum was wrong"
    in_b ethtool -K $IF tx on >/dev/null 2>&1
    note "$(ctl stats | grep -E 'drop|refused')"
    stack_stop
    ok $? "$c: stops cleanly"
done
in_a timeout 10 "$(tool bulkheadd)" --interface $IF --address $STACK/$PREFIX --driver packet \
    --instance "$BULKHEAD_INSTANCE" >"$WORK/out" 2>&1
ok "$([ $? -eq 1 ] && grep -q '576 to 1778' "$WORK/out"; echo $?)" \
    "the packet driver says which MTU it takes"
done_testing
