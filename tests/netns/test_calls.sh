#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: policy/syscalls.conf is as short as it can be. Every call on a domain's list is seen
# in use, in a run that does what domains do: start, traffic both ways over TCP and UDP, clients
# that come and go, restarts, the end. A call that is never seen is one too many; one that is seen
# and does not stand there ended the domain, or the filter has a hole.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need socat nc
net_lock
net_up
PROBE=$build/tests/netns/confine_probe
TRACE=$build/tests/netns/call_trace
WAKE=$build/tests/netns/want_wakeup
LAT=$(tool bulkhead-protolat)
TTCP=$(tool bulkhead-ttcp)

"$TRACE" "$WORK/try" /bin/true 2>/dev/null || skip_all "cannot trace processes here"

# Under the tracer a call takes longer than a domain gives way to its neighbours.
printf 'spin_us = 2000\n' >"$WORK/conf"

start_traced() { # COMPOSITION DRIVER: as stack_start, under the tracer
    bg_a "$TRACE" "$WORK/calls.$1.$2" "$(tool bulkheadd)" --interface $IF \
        --address $STACK/$PREFIX --instance "$BULKHEAD_INSTANCE" --composition "$1" --driver "$2" \
        -c "$WORK/conf"
    tracer_pid=$bg_pid
    daemon_log=$WORK/log.$bg_n
    until_ok 20 grep -q ' ready: ' "$daemon_log" || { note "$(tail -n 20 "$daemon_log")"; return 1; }
    daemon_pid=$(pgrep -P "$tracer_pid" | head -n 1)
    [ -n "$daemon_pid" ]
}

transfers() { # of a stream into the stack and out of it, and of datagrams
    app "$TTCP" --receive --port 5001 --via bulkhead
    wait_a 5001
    in_b timeout 20 "$TTCP" --transmit $STACK --port 5001 --bytes 2M --via kernel &&
        end_bg "$bg_pid" || return 1
    bg_b "$TTCP" --receive --port 5003 --via kernel
    wait_b 5003
    in_a timeout 20 "$TTCP" --transmit $PEER --port 5003 --bytes 2M --via bulkhead || return 1
    bg_b "$TTCP" --receive --port 5004 --via kernel
    wait_b 5004
    in_a timeout 20 "$build/tests/netns/standin" end $PEER 5004 || return 1
    app "$LAT" --serve --udp --port 5002 --via bulkhead
    wait_a 5002
    in_b timeout 20 "$LAT" --connect $STACK --udp --port 5002 --via kernel --size 3000 --count 50 &&
        end_bg "$bg_pid"
}

for cd in $(compositions | sed "s/.*/&:xdp &:packet/"); do
    c=${cd%:*} drv=${cd#*:}
    domains=$([ "$c" = factored ] && echo "nic ip tcp udp" || echo mono)
    if ! start_traced "$c" "$drv"; then
        ok 1 "$c, $drv: starts under the tracer"
        continue
    fi
    try "$c, $drv: works under the tracer" transfers
    for d in $domains; do
        try "$c, $drv: $d: restarts" ctl restart "$d"
    done
    try "$c, $drv: works again" transfers
    if [ "$drv" = xdp ]; then
        "$WAKE" "$daemon_pid" >"$WORK/wake" 2>&1 &
        wake=$!
        until_ok 5 grep -q asked "$WORK/wake"
        in_b ping -q -c 20 -i 0.01 -W 2 $STACK >/dev/null
        wait $wake || note "$(cat "$WORK/wake")"
    fi
    kill -TERM "$daemon_pid"
    until_ok 10 not alive "$daemon_pid"
    ok $? "$c, $drv: ends"
    grep -q SIGSYS "$daemon_log"
    ok $((1 - $?)) "$c, $drv: nobody made a call that was refused"
    for d in $domains; do
        sort -u "$WORK/calls.$c.$drv" | sed -n "s/^bulkhead-$d //p" >"$WORK/seen"
        "$PROBE" --list "$d" "$drv" | sort >"$WORK/listed"
        for call in $(cat "$WORK/listed"); do
            grep -qx "$call" "$WORK/seen"
            ok $? "$c, $drv: $d: $call is needed"
        done
        [ -z "$(comm -13 "$WORK/listed" "$WORK/seen")" ]
        ok $? "$c, $drv: $d: makes no call that is not listed"
        note "$d: $(tr '\n' ' ' <"$WORK/seen")"
    done
done
done_testing
