#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: with two processors for everything, all domains are on one while traffic is received; nic and
# ip are while it is sent, also after a restart; and all go anywhere while it goes both ways. What the
# configuration pins stays, and with one processor or with segments nothing is moved.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need taskset
net_lock
net_up
TTCP=$(tool bulkhead-ttcp)
LAT=$(tool bulkhead-protolat)
mapfile -t CPUS < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
    awk -F- '{ for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }')
[ "${#CPUS[@]}" -ge 2 ] || skip_all "needs two processors"
ONE=${CPUS[0]} TWO=${CPUS[1]}

on() { # DOMAIN: the processors that it may use
    taskset -cp "$(domain_pid "$1")" | sed 's/.*: //'
}
is_on() { [ "$(on "$1")" = "$2" ]; }
either() { is_on "$1" "$ONE,$TWO" || is_on "$1" "$ONE-$TWO"; }
# Until these are there: on the second processor, or free; while the traffic lasts.
together() { local d; for d; do until_ok 10 is_on "$d" "$TWO" || return 1; done; }
free() { local d; for d; do until_ok 10 either "$d" || return 1; done; }
receive() { timeout 60 ip netns exec "$B" "$TTCP" --transmit $STACK --port 5001 --bytes 8G --via kernel; }
send() { timeout 60 ip netns exec "$A" "$TTCP" --transmit $PEER --port 5001 --bytes 8G --via bulkhead; }
ask() {
    timeout 60 ip netns exec "$B" "$LAT" --connect $STACK --tcp --port 5002 --via kernel --count 10000000
}
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

both_programs() { # what receives, and what answers
    app "$TTCP" --receive --port 5001 --via bulkhead
    wait_a 5001
    app "$LAT" --serve --tcp --port 5002 --via bulkhead
    wait_a 5002
}

bg_b "$TTCP" --receive --port 5001 --via kernel
wait_b 5001
if start_on "$ONE,$TWO" factored; then
    both_programs
    try "all begin free" free nic ip tcp udp
    try "while data is sent, nic and ip are together" while_it send together nic ip
    try "and tcp and udp free" while_it send free tcp udp
    ctl restart ip
    try "so is an ip that is started then" eval 'until_ok 5 domain_pid ip && together ip'
    try "while data is received, all are together" while_it receive together nic ip tcp udp
    ctl restart tcp
    try "so is a tcp that is started then" eval 'until_ok 5 domain_pid tcp && together tcp'
    try "while questions and answers go to and fro all are free" while_it ask free nic ip tcp udp
    stack_stop
else
    ok 1 "starts"
fi
printf 'cpu {\n tcp = %s\n}\n' "$ONE" >"$WORK/conf"
if start_on "$ONE,$TWO" factored -c "$WORK/conf"; then
    both_programs
    try "one that is pinned stays, the others go" while_it receive eval 'together nic udp && is_on tcp $ONE'
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
    try "the monolith runs anywhere" while_it send eval 'sleep 0.5; either mono'
    stack_stop
else
    ok 1 "starts the monolith"
fi
if start_on "$ONE,$TWO" factored --driver packet; then
    both_programs
    try "with segments the scheduler places them" while_it receive eval 'sleep 0.5; free nic ip tcp udp'
    stack_stop
else
    ok 1 "starts with segments"
fi
done_testing
