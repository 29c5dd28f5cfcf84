#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The measuring programs of the evaluation work, on both stacks: each ends by itself, with one JSON
# object whose counts are possible. A look at the programs; what they measure is bench/'s matter.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/lib.sh"
net_need ethtool
net_lock

out=
# run OUT CMD...: its JSON to OUT
run() {
    out=$WORK/$1
    shift
    "$@" >"$out" 2>"$out.err" || { note "$*: $(cat "$out.err" "$out")"; return 1; }
    [ "$(wc -l <"$out")" = 1 ] && grep -q '^{.*}$' "$out" || { note "no JSON: $(cat "$out")"; return 1; }
}
some() { # KEY [LEAST]: is it there, and so much, or not 0?
    awk -v v="$(json_get "$out" "$1")" -v least="${2:-1e-9}" 'BEGIN { exit !(v + 0 >= least + 0) }' || { note "$1: $(cat "$out")"; return 1; }
}

pps=$(tool bulkhead-pps)
pps_to_stack() { # via
    in_a timeout 30 "$pps" --receive --via "$1" --address "$stack" --port 5003 --seconds 0.3 --warmup 0.1 --json \
        >"$WORK/rx" 2>"$WORK/rx.err" &
    local rx=$!
    sleep 0.5
    run gen in_b timeout 30 "$pps" --generate $IF --to "$stack" --port 5003 --seconds 1 --via kernel --json || return 1
    some packets && wait $rx && out=$WORK/rx && some packets_per_second 1000 || { note "$(cat "$WORK/rx.err")"; return 1; }
}
pps_from_stack() { # via
    in_b timeout 30 "$pps" --receive --sink --via kernel --port 5003 --seconds 0.3 --warmup 0.1 --json \
        >"$WORK/rx" 2>"$WORK/rx.err" &
    local rx=$!
    sleep 0.3
    run tx in_a timeout 30 "$pps" --transmit $PEER --via "$1" --port 5003 --seconds 1 --json || return 1
    some packets && wait $rx && out=$WORK/rx && some packets_per_second 1000 || { note "$(cat "$WORK/rx.err")"; return 1; }
}

raw=$(tool bulkhead-raw)
raw_receive() { # options
    in_a timeout 30 "$raw" --interface $IF --address $STACK --receive --seconds 0.3 --warmup 0.1 --json "$@" \
        >"$WORK/rx" 2>"$WORK/rx.err" &
    local rx=$!
    sleep 0.5
    run gen in_b timeout 30 "$pps" --generate $IF --to $STACK --size 1472 --seconds 1 --via kernel --json || return 1
    wait $rx && out=$WORK/rx && some frames_per_second 1000 && some tcp_payload_bits_per_second ||
        { note "$(cat "$WORK/rx.err")"; return 1; }
}
raw_transmit() { # options
    in_b timeout 30 "$pps" --receive --sink --via kernel --seconds 0.3 --warmup 0.1 --json >"$WORK/rx" 2>"$WORK/rx.err" &
    local rx=$!
    run tx in_a timeout 30 "$raw" --interface $IF --address $STACK --transmit $PEER --seconds 1 --json "$@" || return 1
    some frames && wait $rx && out=$WORK/rx && some packets_per_second 1000 || { note "$(cat "$WORK/rx.err")"; return 1; }
}
raw_tcp() { # options: the receiver has every byte that it acknowledged, and none besides
    bg_b "$(tool bulkhead-ttcp)" --receive --via kernel --address $PEER --port 5003 --json
    local rx=$bg_pid log=$WORK/log.$bg_n
    wait_b 5003 &&
        run tx in_a timeout 30 "$raw" --interface $IF --address $STACK --transmit $PEER --tcp --seconds 0.5 --json "$@" &&
        some frames_per_second 1000 && some kicks && some acknowledgment_batch 1 &&
        until_ok 5 grep -q bytes "$log" && [ "$(json_get "$out" acknowledged_bytes)" = "$(json_get "$log" bytes)" ]
    local rc=$?
    [ $rc -eq 0 ] || note "$(cat "$log" "$out" "$out.err")"
    end_bg "$rx"
    return $rc
}
raw_tcp_loss() { # the peer's link is away for a moment: what is under way then is sent again
    (sleep 0.4 && ip -n "$B" link set $IF down && sleep 0.1 && ip -n "$B" link set $IF up) &
    local cut=$!
    raw_tcp --frame 600 --seconds 1.5 && some sent_again && wait $cut
}
raw_tcp_ends() { # exit code, words, more options
    local code=$1 words=$2
    shift 2
    in_a timeout 30 "$raw" --interface $IF --address $STACK --transmit $PEER --tcp --json "$@" >"$WORK/said" 2>&1
    local rc=$?
    [ $rc -eq "$code" ] && grep -q "$words" "$WORK/said" || { note "$rc: $(cat "$WORK/said")"; return 1; }
}
raw_tcp_stuck() { # a receiver that takes nothing: as if its acknowledgments were lost
    bg_b "$(tool bulkhead-ttcp)" --receive --via kernel --address $PEER --port 5003 --json
    local rx=$bg_pid
    wait_b 5003 && kill -STOP "$rx" && raw_tcp_ends 1 'nothing was acknowledged'
    local rc=$?
    kill -CONT "$rx"
    end_bg "$rx"
    return $rc
}

raw_there() { alive "$rx" && grep -qx ready "$log"; }
raw_start() { # options
    local again
    for again in 1 2 3 4 5 6 7 8 9 10; do
        bg_a "$raw" --interface $IF --address $STACK --echo "$@"
        rx=$bg_pid log=$WORK/log.$bg_n
        until_ok 5 raw_there && return 0
        # The kernel lets go of the last one's socket some time after its end.
        wait "$rx"
        [ $? -eq 11 ] || return 1
        sleep 0.1
    done
    return 1
}
no_xdp() { ! ip -n "$A" -d link show $IF | grep -q xdp; }
raw_echo() { # options: every datagram comes back as it was, to who sent it; a signal ends all of it
    local rx log rc=0 child size
    raw_start --port 5009 "$@" || { note "$(cat "$log")"; return 1; }
    for size in 1 64 1472; do # protolat compares the payload
        run echo in_b timeout 30 "$(tool bulkhead-protolat)" --connect $STACK --udp --port 5009 --via kernel \
            --size $size --count 300 --json && [ "$(json_get "$out" lost)" = 0 ] || { rc=1 && break; }
    done
    # Many at once, of many lengths and senders: none may be answered with another's payload.
    in_b timeout 30 /usr/bin/python3 -c '
import os, socket, sys
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
for s in socks:
    s.settimeout(2)
    s.connect((sys.argv[1], 5009))
for turn in range(50):
    sent = [[os.urandom(1 + (37 * turn + 101 * i + 7 * k) % 1472) for k in range(6)] for i in range(8)]
    for k in range(6):
        for s, d in zip(socks, sent):
            s.send(d[k])
    for s, d in zip(socks, sent):
        assert [s.recv(2000) for _ in d] == d, turn
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM) # not connected: hears any port
other.settimeout(0.3)
other.sendto(b"x", (sys.argv[1], 5010))
try:
    sys.exit("answered at another port: %s" % (other.recvfrom(9),))
except socket.timeout:
    pass' $STACK || rc=1
    ! no_xdp || { note "no XDP program while it runs"; rc=1; }
    child=$(pgrep -P "$rx")
    [ -n "$child" ] || case " $* " in *" --hop "*) rc=1 ;; esac
    kill -TERM "$rx"
    until_ok 3 not alive "$rx" $child || { note "it does not end"; rc=1; kill -KILL "$rx" $child; }
    wait "$rx" || { note "exit code $?"; rc=1; }
    until_ok 1 no_xdp || { note "an XDP program is left"; rc=1; }
    [ $rc -eq 0 ] || note "$(cat "$log" "$out" "$out.err")"
    return $rc
}
raw_echo_killed() { # the other process ends with the first one, however that ends
    local rx log child
    raw_start --hop "$@" || return 1
    child=$(pgrep -P "$rx")
    kill -KILL "$rx"
    [ -n "$child" ] && until_ok 3 not alive "$child" && until_ok 1 no_xdp
}

scale=$(tool bulkhead-scale)
few=
scale_with() { # via, options of --connect
    local via=$1 pid
    shift
    app $few "$scale" --serve --via "$via" --address "$stack" --sessions 300 --ports 4
    pid=$bg_pid
    run scale in_b $few timeout 30 "$scale" --connect "$stack" --via kernel --sessions 200 --ports 4 --warmup 0.1 \
        --seconds 0.3 --json "$@"
    local rc=$?
    end_bg "$pid"
    return $rc
}
scale_active() { scale_with "$1" --outstanding 8 && some requests && some packets_out && some p50_us; }
scale_idle() { scale_with "$1" --active 1 && some requests && some packets_in; }
scale_churn() { scale_with "$1" --churn && some connections_per_second; }
scale_split() { # more sessions than a process may have descriptors, unless it may raise that
    local few="prlimit --nofile=228:228"
    scale_with "$1" --outstanding 8 && some requests && some processes
}

both() { # via: what each stack is asked
    try "$what: 200 sessions, all in use" scale_active "$1"
    try "$what: 200 sessions, one in use" scale_idle "$1"
    try "$what: 200 sessions that come and go" scale_churn "$1"
    try "$what: 200 sessions, held by two processes" scale_split "$1"
    try "$what: pps, to the stack" pps_to_stack "$1"
    try "$what: pps, from the stack" pps_from_stack "$1"
}

net_up
for what in $(compositions); do
    stack=$STACK
    if stack_start "$what"; then
        both bulkhead
        stack_stop >/dev/null
    else
        ok 1 "$what starts"
    fi
done
for how in "" --sleep; do
    try "raw AF_XDP receives ($how)" raw_receive $how
    try "raw AF_XDP transmits ($how)" raw_transmit $how
done
for how in "" "--sleep --frame 600" "--segments --sleep" "--segments --frame 600"; do
    try "raw AF_XDP sends to a TCP ($how)" raw_tcp $how
done
try "raw AF_XDP sends again what is lost" raw_tcp_loss
try "raw AF_XDP: a TCP that refuses" raw_tcp_ends 12 'refuses the connection'
try "raw AF_XDP: a TCP that acknowledges nothing more" raw_tcp_stuck
try "raw AF_XDP: a frame too small for a segment" raw_tcp_ends 2 usage --frame 66
for how in "" "--spin 20" --hop "--hop --spin 20"; do
    try "raw AF_XDP echoes ($how)" raw_echo $how
done
try "raw AF_XDP: the second process ends with the first" raw_echo_killed --spin 20
stages=$(tool bulkhead-stages)
for how in separate one none; do
    try "4 stages, processes: $how" run stages timeout 30 "$stages" --stages 4 --processes $how --seconds 0.2 --json
    try "one packet at a time, processes: $how" run stages timeout 30 "$stages" --stages 3 --processes $how --frames 1 \
        --spin 0 --descriptor 64 --touch --seconds 0.2 --json
done
stages_af_xdp() {
    in_a timeout 30 "$stages" --interface $IF --address $STACK --stages 2 --seconds 0.3 --warmup 0.1 --json \
        >"$WORK/rx" 2>"$WORK/rx.err" &
    local rx=$!
    sleep 0.5
    run gen in_b timeout 30 "$pps" --generate $IF --to $STACK --seconds 1 --via kernel --json || return 1
    wait $rx && out=$WORK/rx && some packets_per_second 1000 || { note "$(cat "$WORK/rx.err")"; return 1; }
}
try "stages fed by AF_XDP" stages_af_xdp
layers=$(tool bulkhead-layers)
layers_of() { # the traced domains answer, and the way of most round trips is found in their memory
    local d echo
    bg_a "$build/bench/traced/bulkheadd" --interface $IF --address $STACK/$PREFIX --instance "$BULKHEAD_INSTANCE" \
        --composition "$what"
    daemon_pid=$bg_pid
    until_ok 10 in_b ping -c 1 -W 1 -q $STACK || return 1
    app "$(tool bulkhead-protolat)" --serve --tcp --port 5002 --via bulkhead
    echo=$bg_pid
    wait_a 5002 || return 1
    for d in $1; do
        set -- "$@" --domain "$d=$(domain_pid "$d")"
    done
    shift
    run layers in_b timeout 30 "$layers" --connect $STACK --count 500 --json "$@"
    local rc=$?
    end_bg "$echo"
    stack_stop >/dev/null
    return $rc
}
for what in $(compositions); do
    case $what in
    factored) try "$what: round trips by layer" layers_of "nic ip tcp" ;;
    *) try "$what: round trips by layer" layers_of mono ;;
    esac
done

ticks=$(tool bulkhead-ticks)
for n in 1 2 3 4; do
    for side in send receive; do
        if [ -x "$ticks" ]; then
            try "$n domains in a process, $side" run ticks "$ticks" --domains $n --side $side --mib 1
        else
            skip "$n domains in a process, $side" "built without the simulation"
        fi
    done
done
ip -n "$A" addr add $STACK/$PREFIX dev $IF
what=kernel stack=$STACK
both kernel
done_testing
