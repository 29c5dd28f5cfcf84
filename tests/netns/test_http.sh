#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: TCP as a server under a real HTTP load: bytes arrive unchanged, one client's
# slowness or death is its own, many connections at once are served.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl wrk nc
net_lock
net_up
PORT=8080
mkdir "$WORK/www"
head -c $((64 << 20)) /dev/urandom >"$WORK/www/big"
head -c 1024 /dev/urandom >"$WORK/www/small"
want=$(sha "$WORK/www/big")
url=http://$STACK:$PORT

same() { # shell command that prints the file
    local got
    got=$(bash -c "$1" | sha)
    [ "$got" = "$want" ] || { echo "got $got, not $want"; return 1; }
}
wrk_clean() { # connections: no socket error, and something was served
    local out
    out=$(in_b wrk -t $(($1 > 1 ? 2 : 1)) -c "$1" -d "$(long 3 15)s" --timeout 10s "$url/small" 2>&1)
    printf '%s\n' "$out"
    printf '%s\n' "$out" | grep -Eq '^ +[1-9][0-9]* requests in' &&
        ! printf '%s\n' "$out" | grep -Eq 'Socket errors|Non-2xx'
}
ended() { # the transfer must end with an error, soon, and not hang
    local rc
    timeout 20 bash -c "$1"
    rc=$?
    echo "exit status $rc"
    [ $rc -ne 0 ] && [ $rc -ne 124 ]
}
B_EXEC="ip netns exec $B"

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $PORT --via bulkhead
    httpd=$bg_pid
    wait_port $PORT
    ok $? "$c: a program attaches and listens"
    try "$c: curl fetches 64 MiB unchanged" same "$B_EXEC curl -sS -f $url/big"
    try "$c: eight at once, all unchanged" bash -c "
        for i in 1 2 3 4 5 6 7 8; do
            ( [ \"\$($B_EXEC curl -sS -f $url/big | sha256sum | cut -d' ' -f1)\" = $want ] ) &
            pids=\"\$pids \$!\"
        done
        for p in \$pids; do wait \$p || exit 1; done"
    try "$c: a slow reader gets everything" \
        same "$B_EXEC curl -sS -f $url/big | (sleep 2; head -c 1000000; sleep 1; cat)"
    try "$c: a range is what it should be" bash -c "
        cmp <($B_EXEC curl -sS -f -r 1000000-1999999 $url/big) \
            <(tail -c +1000001 $WORK/www/big | head -c 1000000)"
    for n in 1 100 1000; do
        try "$c: wrk with $n connections sees no error" wrk_clean $n
    done
    # A client that is killed in the middle takes nothing with it.
    in_b curl -sS -o /dev/null --limit-rate 1M "$url/big" 2>/dev/null &
    victim=$!
    sleep 0.5
    kill -KILL $victim
    wait $victim 2>/dev/null
    try "$c: after a client was killed others are served" same "$B_EXEC curl -sS -f $url/big"
    # The server dies in the middle: its clients learn, and its port is free again.
    (
        sleep 0.7
        kill -KILL "$httpd"
    ) &
    try "$c: a killed server's client sees the end" \
        ended "$B_EXEC curl -sS -o /dev/null --limit-rate 4M $url/big"
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $PORT --via bulkhead
    httpd=$bg_pid
    try "$c: a new server takes the port" wait_port $PORT
    try "$c: and serves" same "$B_EXEC curl -sS -f $url/big"
    end_bg "$httpd"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
