#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the promise itself: a domain that dies is replaced, and what is not its own goes on.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl
net_lock
net_up
PORT=8080
mkdir "$WORK/www"
head -c $((64 << 20)) /dev/urandom >"$WORK/www/big"
want=$(sha "$WORK/www/big")

# Fetch slowly enough that the hit falls into the transfer: 64 MiB at 40 MiB/s.
transfer_with() { # command to run in the middle
    local pid rc=0
    in_b curl -sS -f --limit-rate 40M -m 60 -o "$WORK/got" "http://$STACK:$PORT/big" &
    pid=$!
    sleep 0.5
    alive $pid || { echo "the transfer was over before the hit"; rc=1; }
    "$@" || rc=1
    wait $pid || rc=$?
    [ $rc -eq 0 ] || { echo "curl: $rc"; tail -n 20 "$daemon_log"; return 1; }
    [ "$(sha "$WORK/got")" = "$want" ] || { echo "bytes differ"; return 1; }
}
kill_domain() {
    local pid
    pid=$(domain_pid "$1") || { echo "no $1"; return 1; }
    kill -KILL "$pid"
    until_ok 5 replaced "$1" "$pid" || { echo "$1 was not replaced"; return 1; }
}
replaced() {
    local pid
    pid=$(domain_pid "$1") && [ "$pid" != "$2" ]
}
ask_restart() {
    local pid
    pid=$(domain_pid "$1") || return 1
    ctl restart "$1" || return 1
    until_ok 5 replaced "$1" "$pid"
}
udp_session_survives() { # the same socket pair before and after
    in_b "$(tool bulkhead-protolat)" --connect $STACK --udp --port 5002 --size 64 --count 100 \
        --via kernel --json >"$WORK/lat" && [ "$(json_get "$WORK/lat" lost)" = 0 ]
}
domains_of() {
    [ "$1" = factored ] && echo nic ip udp tcp || echo mono
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $PORT --via bulkhead
    httpd=$bg_pid
    app "$(tool bulkhead-protolat)" --serve --udp --port 5002 --via bulkhead
    wait_port $PORT
    wait_a 5002
    for d in $(domains_of "$c"); do
        try "$c: kill -9 of $d in a transfer, which completes unchanged" \
            transfer_with kill_domain "$d"
        try "$c: after $d was replaced UDP sessions go on" udp_session_survives
        ok "$(grep -Eq "$d" "$daemon_log"; echo $?)" "$c: the daemon said that $d died"
    done
    for d in $(domains_of "$c"); do
        try "$c: bulkheadctl restart $d in a transfer" transfer_with ask_restart "$d"
    done
    try "$c: a program attached before all this is still served" transfer_with true
    ok "$(alive "$httpd"; echo $?)" "$c: the server never noticed"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
