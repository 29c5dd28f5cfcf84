#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: with two processors for everything, tcp and udp are beside ip while traffic is received and
# go anywhere while it is sent, also after a restart; what the configuration pins stays; and with
# one processor or the monolith nothing is moved.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need taskset
net_lock
net_up
TTCP=$(tool bulkhead-ttcp)
mapfile -t CPUS < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
    awk -F- '{ for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }')
[ "${#CPUS[@]}" -ge 2 ] || skip_all "needs two processors"
ONE=${CPUS[0]} TWO=${CPUS[1]}

on() { # DOMAIN: the processors that it may use
    taskset -cp "$(domain_pid "$1")" | sed 's/.*: //'
}
is_on() { [ "$(on "$1")" = "$2" ]; }
either() { is_on "$1" "$ONE,$TWO" || is_on "$1" "$ONE-$TWO"; }
comes_to() { # until both transports are there, while the transfer lasts
    until_ok 10 is_on tcp "$1" && until_ok 1 is_on udp "$1"
}
goes_anywhere() { until_ok 10 either tcp && until_ok 1 either udp; }
receive() { timeout 60 ip netns exec "$B" "$TTCP" --transmit $STACK --port 5001 --bytes 8G --via kernel; }
send() { timeout 60 ip netns exec "$A" "$TTCP" --transmit $PEER --port 5001 --bytes 8G --via bulkhead; }
while_it() { # TRANSFER CHECK...: the check while the transfer goes on
    local transfer=$1 pid rc
    shift
    $transfer >/dev/null 2>&1 &
    pid=$!
    "$@"
    rc=$?
    pkill -TERM -P "$pid"
    wait "$pid"
    return $rc
}
start_on() { # PROCESSORS COMPOSITION OPTIONS: the daemon limited to these
    local set=$1
    shift
    bg_a taskset -c "$set" env BULKHEAD_LIBEXEC_DIR="${BULKHEAD_LIBEXEC_DIR:-$build}" "$(tool bulkheadd)" \
        --interface $IF --address $STACK/$PREFIX --instance "$BULKHEAD_INSTANCE" --composition "$@"
    daemon_pid=$bg_pid
    until_ok 10 in_b ping -c 1 -W 1 -q $STACK
}

bg_b "$TTCP" --receive --port 5001 --via kernel
wait_b 5001
if start_on "$ONE,$TWO" factored; then
    app "$TTCP" --receive --port 5001 --via bulkhead
    wait_a 5001
    try "both transports begin beside ip" comes_to "$TWO"
    try "nic and ip are there" eval 'is_on nic $TWO && is_on ip $TWO'
    try "while data is sent they go anywhere" while_it send goes_anywhere
    ctl restart tcp
    try "and so does one that is started then" eval 'until_ok 5 domain_pid tcp && until_ok 5 either tcp'
    try "while data is received they come back" while_it receive comes_to "$TWO"
    end_bg "$bg_pid"
    stack_stop
else
    ok 1 "starts"
fi
printf 'cpu {\n tcp = %s\n}\n' "$ONE" >"$WORK/conf"
if start_on "$ONE,$TWO" factored -c "$WORK/conf"; then
    try "one that is pinned stays, the other goes" while_it send eval \
        'until_ok 10 either udp && is_on tcp $ONE'
    stack_stop
else
    ok 1 "starts with tcp pinned"
fi
if start_on "$ONE" factored; then
    try "on one processor all stay" while_it send eval 'sleep 0.5; is_on tcp $ONE && is_on nic $ONE'
    stack_stop
else
    ok 1 "starts on one processor"
fi
if start_on "$ONE,$TWO" monolithic; then
    try "the monolith goes where it likes" while_it send eval 'sleep 0.5; either mono'
    stack_stop
else
    ok 1 "starts the monolith"
fi
done_testing
