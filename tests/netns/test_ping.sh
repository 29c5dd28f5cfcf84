#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: IP, ARP, ICMP echo and reassembly against Linux, in both compositions.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need ping
net_lock
net_up

answered() { # ping arguments; every one must be answered
    local out
    out=$(in_b ping -q "$@" $STACK 2>&1)
    printf '%s\n' "$out"
    printf '%s\n' "$out" | grep -q ' 0% packet loss' || { drops; return 1; }
}
drops() { # where packets went: every counter of the stack and of both ends
    ctl stats
    in_a ethtool -S $IF | grep -v ': 0'
    ip -n "$A" -s link show $IF
    ip -n "$B" -s link show $IF
    in_b nstat -as | grep -E 'Reasm|Frag|Discard'
}
flood_survived() { # bounded flood: hardly any loss
    local out
    out=$(in_b ping -q -f -c 200 -w 5 $STACK 2>&1)
    printf '%s\n' "$out"
    printf '%s\n' "$out" | grep -Eq '(200|19[0-9]) received'
}

for c in $(compositions); do
    stack_start "$c"
    ok $? "$c: starts and answers a ping" || continue
    for size in 0 1 56 1472 1473 8000 60000; do
        try "$c: echo of $size bytes comes back whole" answered -c 3 -i 0.01 -W 2 -s $size
    done
    try "$c: patterned echo of 65507 bytes is not changed" \
        answered -c 2 -i 0.01 -W 2 -s 65507 -p a55a00ff
    try "$c: flood of 200 is answered" flood_survived
    in_b ip neigh flush dev $IF
    try "$c: the peer can resolve the address again" answered -c 2 -i 0.01 -W 2
    # Nobody is at this address, and the stack is no router.
    ok "$(in_b ping -q -c 1 -W 1 ${STACK%.*}.99 >/dev/null; [ $? -ne 0 ]; echo $?)" \
        "$c: does not answer for an address that is not its own"
    stack_stop
    ok $? "$c: stops cleanly on SIGTERM"
done
done_testing
