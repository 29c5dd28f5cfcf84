#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: floods from the wire, of connection requests, of datagrams to a closed port, to one
# whose program reads and to one whose program does not, of fragments, and of ARP, end without a
# trace: a transfer that was there goes on and completes, no domain dies, the stack answers
# afterwards, and every drop was counted. How fast that goes is bench/flood's matter.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl nc
net_lock
net_up
PORT=8080
UDP=5002
CLOSED=5003
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
echoes() {
    in_b "$(tool bulkhead-protolat)" --connect $STACK --udp --port $UDP --size 64 --count 50 \
        --via kernel --json >"$WORK/lat" && [ "$(json_get "$WORK/lat" lost)" = 0 ]
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $PORT --via bulkhead
    app "$(tool bulkhead-protolat)" --serve --udp --port $UDP --via bulkhead
    reader=$bg_pid
    wait_port $PORT
    wait_a $UDP
    try "$c: SYNs" under syn $PORT tcp_cookie_tx
    try "$c: datagrams to a closed port" under udp $CLOSED drop_noport
    try "$c: datagrams to a program that reads" under udp $UDP seg_rx
    kill -STOP "$reader"
    try "$c: datagrams to a program that does not" under udp $UDP udp_drop_rcvbuf
    kill -CONT "$reader"
    try "$c: beginnings of datagrams" under fragment $UDP ip_drop_frag_limit
    try "$c: ARP" under arp 0 arp_rx
    try "$c: afterwards the stack answers" until_ok 5 answers
    try "$c: and the program that did not read is served again" until_ok 10 echoes
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
