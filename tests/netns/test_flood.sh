#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: a flood of connection requests from addresses that never answer does not keep an
# honest client out, while it lasts and while its half-open sessions last. The same flood without
# SYN cookies does, which shows that it is one.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl nc
net_lock
net_up
PORT=8080
SYNS=5000
mkdir "$WORK/www"
head -c $((4 << 20)) /dev/urandom >"$WORK/www/file"
want=$(sha "$WORK/www/file")
url=http://$STACK:$PORT/file

flood() { # syns rate: in the background
    bg_b "$(tool tests/netns/syn_flood)" $STACK $PORT "${STACK%.*}" "$1" "$2"
    flood_pid=$bg_pid
    flood_log=$WORK/log.$bg_n
}
fetch() { # the file, whole and soon
    local got
    got=$(in_b curl -sS -f --connect-timeout 3 --max-time 20 "$url" | sha)
    [ "$got" = "$want" ] || { echo "got $got, not $want"; return 1; }
}
counter() { ctl stats | awk -v n="$1" '$0 ~ "(^|[ .])" n " " { s += $NF } END { print s + 0 }'; }
above() { # counter, bound
    local n
    n=$(counter "$1")
    echo "$1 is $n, to be above $2"
    [ "$n" -gt "$2" ]
}
serve() { # composition, syn_cookies
    printf 'syn_cookies = %s\n' "$2" >"$WORK/conf"
    stack_start "$1" --config "$WORK/conf" || return 1
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $PORT --via bulkhead
    httpd=$bg_pid
    wait_a $PORT
}
done_serving() {
    end_bg "$httpd"
    stack_stop
}

for c in $(compositions); do
    serve "$c" auto || { ok 1 "$c: starts"; continue; }
    try "$c: serves before the flood" fetch
    flood $SYNS 2000
    sleep 1
    for i in 1 2 3; do
        try "$c: fetch $i during the flood" fetch
    done
    wait "$flood_pid"
    try "$c: the flood was sent" grep "^$SYNS sent, 0 failed" "$flood_log"
    try "$c: most of it was answered by cookies" above tcp_cookie_tx $((SYNS / 2))
    for i in 1 2 3; do
        try "$c: fetch $i with all half-open sessions taken" fetch
    done
    try "$c: these came in by cookies" above tcp_cookie_rx 2
    done_serving
    ok $? "$c: stops cleanly"

    serve "$c" off || { ok 1 "$c: starts without cookies"; continue; }
    flood $SYNS 5000
    wait "$flood_pid"
    try "$c: without cookies the flood shuts the door" not fetch
    try "$c: and drops" above tcp_drop_syn_backlog $((SYNS / 2))
    done_serving
    ok $? "$c: stops cleanly without cookies"
done
done_testing
