#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: floods from the wire, of connection requests, of datagrams to a closed port, to one
# whose program reads and to one whose program does not, of fragments, and of ARP, end without a
# trace: a transfer that was there goes on and completes, no domain dies, the stack answers
# afterwards, and every drop was counted. What udp does not want does not reach it, and another
# program's datagrams come through beside it. How fast that goes is bench/flood's matter.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl nc
net_lock
net_up
PORT=8080
UDP=5002
CLOSED=5003
BESIDE=5004
RATE=20000
mkdir "$WORK/www"
head -c $((24 << 20)) /dev/urandom >"$WORK/www/big"
want=$(sha "$WORK/www/big")
mac=$(ip -n "$A" link show $IF | sed -n 's,.*link/ether \([0-9a-f:]*\).*,\1,p')

counter() { ctl stats | awk -v n="$1" '$0 ~ "(^|[ .])" n " " { s += $NF } END { print s + 0 }'; }
domains() { stack_pids | tail -n +2 | sort | tr '\n' ' '; }
under() { # flood, port, counter that must move
    local before who pid rc=0 after
    before=$(counter "$3")
    who=$(domains)
    in_b curl -sS -f --limit-rate 8M -m 60 -o "$WORK/got" "http://$STACK:$PORT/big" &
    pid=$!
    sleep 0.3
    bg_b "$(tool bulkhead-flood)" $IF "$1" "$mac" $STACK "$2" $RATE 1.5
    sleep 0.3
    alive $pid || { echo "the transfer was over before the flood"; rc=1; }
    wait "$bg_pid" || { echo "the flood: $?"; rc=1; }
    wait $pid || { echo "curl: $?"; rc=1; }
    [ "$(sha "$WORK/got")" = "$want" ] || { echo "bytes differ"; rc=1; }
    [ "$(domains)" = "$who" ] || { echo "a domain is another"; tail -n 5 "$daemon_log"; rc=1; }
    after=$(counter "$3")
    echo "$3: $before before, $after after"
    [ "$after" -gt $((before + 100)) ] || rc=1
    return $rc
}
answers() {
    in_b ping -q -c 1 -W 3 $STACK && in_b nc -z -w 3 $STACK $PORT
}
echoes() { # port, messages
    in_b "$(tool bulkhead-protolat)" --connect $STACK --udp --port "$1" --size 64 --count "$2" \
        --via kernel --json >"$WORK/lat" && [ "$(json_get "$WORK/lat" lost)" = 0 ]
}
# While a port is flooded another one's echoes come, but for what the NIC's ring may lose on a busy
# machine, and udp is handed few of the flood (tests/unit/test_demux.c has it without a machine).
beside() { # port, counter in ip that must move, the one in udp that must not
    local rc=0 shed handed
    shed=$(counter "$2")
    handed=$(counter "$3")
    bg_b "$(tool bulkhead-flood)" $IF udp "$mac" $STACK "$1" $RATE 2
    sleep 0.3
    echoes $BESIDE 200 || [ "$(json_get "$WORK/lat" lost)" -le 4 ] || { cat "$WORK/lat"; rc=1; }
    alive $bg_pid || { echo "the flood was over before the echoes"; rc=1; }
    wait "$bg_pid" || { echo "the flood: $?"; rc=1; }
    shed=$(($(counter "$2") - shed))
    handed=$(($(counter "$3") - handed))
    echo "$2 moved by $shed, $3 by $handed"
    [ $shed -gt 1000 ] && [ $handed -lt $((shed / 4)) ] || rc=1
    return $rc
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $PORT --via bulkhead
    app "$(tool bulkhead-protolat)" --serve --udp --port $UDP --via bulkhead
    reader=$bg_pid
    wait_a $UDP
    app "$(tool bulkhead-protolat)" --serve --udp --port $BESIDE --via bulkhead
    wait_a $BESIDE
    wait_port $PORT
    try "$c: SYNs" under syn $PORT tcp_cookie_tx
    try "$c: datagrams to a closed port" under udp $CLOSED ip_drop_port_closed
    try "$c: beside them another session loses nothing" beside $CLOSED ip_drop_port_closed \
        drop_noport
    try "$c: datagrams to a program that reads" under udp $UDP seg_rx
    kill -STOP "$reader"
    try "$c: datagrams to a program that does not" under udp $UDP ip_drop_port_full
    try "$c: beside them another session loses nothing" beside $UDP ip_drop_port_full \
        udp_drop_rcvbuf
    kill -CONT "$reader"
    try "$c: beginnings of datagrams" under fragment $UDP ip_drop_frag_limit
    try "$c: ARP" under arp 0 arp_rx
    try "$c: afterwards the stack answers" until_ok 5 answers
    try "$c: and the program that did not read is served again" until_ok 10 echoes $UDP 50
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
