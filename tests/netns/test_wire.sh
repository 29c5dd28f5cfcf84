#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: bulkhead-wire, on which loss and distance are measured, between two kernels: it delays
# at least as long as it says, keeps to its rate, does what its counters say, does it again for
# the same seed, says what is wrong with its use, and leaves nothing behind.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need ethtool ping
net_lock
net_up
net_wire
ip -n "$A" addr add $STACK/$PREFIX dev $IF
TTCP=$(tool bulkhead-ttcp)
WIRE=$(tool bulkhead-wire)

# wired NAME SETTINGS -- COMMAND...: the command over a wire of these settings; then it must end well
wired() {
    local name=$1 settings=()
    shift
    while [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    shift
    wire_start "${settings[@]}" || { ok 1 "$name: starts"; return; }
    try "$name" "$@"
    wire_stop
    ok $? "$name: ends well"
}
counted() { # direction, counter, least, most (or nothing)
    local n
    n=$(wire_count "$1" "$2")
    [ -n "$n" ] && [ "$n" -ge "$3" ] && [ "$n" -le "${4:-999999999}" ]
    ok $? "counted: $1 $2 = ${n:-nothing}"
}
rtt() { # least, most, in ms: of the quickest ping
    local got
    got=$(in_a ping -q -c 20 -i 0.01 -W 2 $PEER | sed -n 's|^rtt [^=]*= \([0-9.]*\)/.*|\1|p')
    echo "quickest: $got ms"
    awk -v t="${got:-0}" -v lo="$1" -v hi="$2" 'BEGIN { exit !(t >= lo && t <= hi) }'
}
transfer() { # bytes: to the right, every byte compared
    local rc
    bg_b "$TTCP" --receive --port 5001 --via kernel --verify
    wait_b 5001
    in_a timeout 60 "$TTCP" --transmit $PEER --port 5001 --via kernel --json --bytes "$1" \
        >"$WORK/sent"
    rc=$?
    cat "$WORK/sent" "$WORK/log.$bg_n"
    end_bg "$bg_pid"
    [ $rc -eq 0 ] && [ "$(json_get "$WORK/sent" bytes)" = "$1" ]
}
came_back() { # which of 300 pings, into a file
    in_a ping -c 300 -i 0.002 -W 1 $PEER | sed -n 's/.*icmp_seq=\([0-9]*\) ttl.*/\1/p' >"$1"
    [ -s "$1" ]
}

# ---- delay and rate ----
wired "no settings: everything passes" -- transfer 8000000
counted to_right lost 0 0
counted to_right missed 0 0
wired "delay: 30 ms and 10 ms make 40" --to-right --delay 30ms --to-left --delay 10ms -- rtt 40 75
wired "jitter is on top of the delay" --delay 10ms --jitter 10ms -- rtt 20 60
wired "rate: 10 Mbit/s" --rate 10M --delay 1ms -- transfer 2000000
mbit=$(awk -v b="$(json_get "$WORK/sent" bits_per_second)" 'BEGIN { printf "%d", b / 1e6 }')
[ "$mbit" -le 10 ] && [ "$mbit" -ge 4 ]
ok $? "rate: $mbit Mbit/s of payload"
wired "a short queue drops" --rate 20M --delay 5ms --queue-packets 10 -- transfer 4000000
counted to_right queue_drops 1
counted to_right max_queue_packets 1 10

# ---- chance ----
wired "loss: all bytes come through" --to-right --loss 1% --delay 1ms --seed 5 -- transfer 4000000
counted to_right lost 10
counted to_left lost 0 0
wired "bursts" --to-right --burst-enter 0.002 --burst-leave 0.5 --delay 1ms -- transfer 4000000
counted to_right lost_in_bursts 2
wired "corruption is noticed by checksums" --corrupt 0.5% --delay 1ms -- transfer 4000000
counted to_right corrupted 5
wired "duplicates" --to-left --duplicate 0.2 -- came_back "$WORK/dup"
counted to_left duplicated 20 120
ok "$([ "$(sort "$WORK/dup" | uniq -d | wc -l)" -ge 20 ]; echo $?)" "duplicates arrive twice"
wired "reordering" --to-left --reorder 0.2 --reorder-packets 1 --reorder-delay 500ms \
    -- came_back "$WORK/order"
counted to_left reordered 20 120
ok "$(not sort -n -c "$WORK/order" 2>/dev/null; echo $?)" "reordered packets arrive in another order"
wired "order is kept" --jitter 5ms -- came_back "$WORK/order"
try "packets arrive in order otherwise" sort -n -c "$WORK/order"
for seed in 7 7 8; do
    [ ! -e "$WORK/lost" ] || mv "$WORK/lost" "$WORK/lost.before"
    wired "10 % lost, seed $seed" --loss 0.1 --seed $seed -- came_back "$WORK/lost"
    case $seed$([ ! -e "$WORK/lost.before" ] || echo again) in
    7again) try "the same seed loses the same packets" cmp "$WORK/lost" "$WORK/lost.before" ;;
    8again) try "another seed loses others" not cmp -s "$WORK/lost" "$WORK/lost.before" ;;
    esac
done

# ---- the MTU ----
too_long() { in_a ping -c 1 -W 1 -M "do" -s 1400 $PEER | tee "$WORK/out" | grep -Eqi "$1"; }
wired "MTU: long packets are answered" --to-right --mtu 1400 -- too_long 'mtu *=? *1400'
counted to_right answered 1
ip -n "$A" route flush cache
wired "MTU: a black hole is silent" --to-right --mtu 1400 --mtu-silent yes -- \
    too_long '0 received, 100% packet loss'
counted to_right too_long 1
counted to_right answered 0 0

# ---- offloads of others ----
in_a ethtool -K $IF tx on >/dev/null
wired "checksums that were left to the card are filled in" -- transfer 4000000
counted to_right checksums_filled 100
in_a ethtool -K $IF tso on gso on >/dev/null
if in_a ethtool -k $IF | grep -q 'tcp-segmentation-offload: on'; then
    wire_start
    transfer 4000000 >/dev/null 2>&1 &
    tx=$!
    try "pieces longer than a frame: who must stop it is said" until_ok 5 \
        grep -q 'wl: dropped.*ethtool -K' "$wire_log"
    wire_stop
    counted to_right oversize 1
    wire_start # so that the transfer, now in smaller pieces, can end
    in_a ethtool -K $IF tx off tso off gso off >/dev/null
    wait $tx
    wire_stop
else
    skip "pieces longer than a frame" "no segmentation offload here"
fi
in_a ethtool -K $IF tx off tso off gso off >/dev/null

# ---- misuse ----
refused() { # name, exit code, pattern, arguments
    local name=$1 want=$2 pattern=$3 rc
    shift 3
    timeout 5 ip netns exec "$W" "$WIRE" "$@" >"$WORK/out" 2>&1
    rc=$?
    [ $rc -eq "$want" ] && grep -Eq -- "$pattern" "$WORK/out"
    ok $? "$name: exit $rc, $(head -n 1 "$WORK/out")"
}
refused "no interfaces" 2 usage
refused "an interface that is not there" 5 nosuch0 wl nosuch0
refused "a bad value" 2 'loss "1.5" must be from 0 to 1' --loss 1.5 wl wr
refused "an unknown setting" 2 nosuch --nosuch 5 wl wr
printf 'delay = 5ms\n\nto_left {\n loss = lots\n}\n' >"$WORK/profile"
refused "a bad value in a profile" 3 "$WORK/profile:4: loss = \"lots\"" --profile "$WORK/profile" wl wr
printf 'seed = 3\ndelay = 5ms\nto_left { delay = 20ms }\n' >"$WORK/profile"
wired "a profile, and an option over it" --to-right --delay 10ms --profile "$WORK/profile" -- rtt 30 60
ok "$(grep -q '"seed": 3,' "$wire_log"; echo $?)" "the profile's seed"

# ---- the end ----
promiscuous() { ip -n "$W" -d link show wl | grep -q 'promiscuity [1-9]'; }
wire_start
try "it listens to everything" promiscuous
wire_stop
ok $? "ends with 0 on SIGTERM"
try "and no longer after its end" not promiscuous
try "nothing passes without it" not in_a ping -c 1 -W 1 -q $PEER
wire_start
ip -n "$W" link del wl
until_ok 5 not alive "$wire_pid"
wait "$wire_pid"
ok "$([ $? -eq 1 ]; echo $?)" "an interface that goes away ends it with 1"
ok "$(grep -q 'went away' "$wire_log"; echo $?)" "and it says so"
net_down
try "nothing is left behind" not eval "ip netns list | grep -q bh$$-"
done_testing
