#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the measuring tools and the HTTP server by themselves, on the kernel's own stack, so
# that what fails in the other tests is Bulkhead and not the tool: transfers are compared, wrong
# bytes are noticed, loss is counted, every HTTP status is the right one, nothing outside the
# root is served, slow clients cost nothing, and misuse has its exit code.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl nc
net_lock
net_up
ip -n "$A" addr add $STACK/$PREFIX dev $IF
TTCP=$(tool bulkhead-ttcp) LAT=$(tool bulkhead-protolat) HTTPD=$(tool bulkhead-httpd)
until_ok 5 in_b ping -c 1 -W 1 -q $STACK

exits() { # code pattern command...: exit status, and a message that matches
    local want=$1 pattern=$2 out rc
    shift 2
    out=$(timeout 20 "$@" 2>&1 </dev/null)
    rc=$?
    printf '%s\n' "$out"
    [ $rc -eq "$want" ] || { echo "exit status $rc, not $want"; return 1; }
    printf '%s\n' "$out" | grep -Eqi -- "$pattern"
}
B_EXEC="ip netns exec $B"

# ---- bulkhead-ttcp ----
bg_a "$TTCP" --receive --port 5001 --via kernel --verify --json
rx=$bg_pid log=$WORK/log.$bg_n
sleep 0.5
n=0
for args in "--bytes 64M" "--bytes 1000003 --size 777 --nodelay" "--bytes 0" "--bytes 8M --sndbuf 4M --rcvbuf 64K"; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    try "ttcp: $args" exits 0 '"bits_per_second": ' \
        $B_EXEC "$TTCP" --transmit $STACK --port 5001 --via kernel --json $args
    try "ttcp: $args: the receiver has all of it" until_ok 3 \
        eval "[ \$(grep -c '\"bytes\": ' '$log') -eq $n ]"
done
ok "$([ "$(json_get "$log" bytes)" = 67108864 ]; echo $?)" "ttcp: the receiver counts the same bytes"
try "ttcp: other bytes than expected are noticed at both ends" exits 12 'reset|pipe' \
    $B_EXEC "$TTCP" --transmit $STACK --port 5001 --via kernel --bytes 64M --seed 2
ok "$(grep -q 'byte 0 differs' "$log"; echo $?)" "ttcp: the receiver says which byte"
try "ttcp: the receiver still serves" exits 0 sent \
    $B_EXEC "$TTCP" --transmit $STACK --port 5001 --via kernel --bytes 1K
kill -TERM "$rx"
wait "$rx"
ok $? "ttcp: a receiver ends well on SIGTERM"
bg_a "$TTCP" --receive --port 5003 --via kernel --bytes 2K
sleep 0.3
try "ttcp: a transfer that is too short fails" exits 12 '' \
    $B_EXEC "$TTCP" --transmit $STACK --port 5003 --via kernel --bytes 1K
try "ttcp: nobody listens: exit 12" exits 12 refused \
    $B_EXEC "$TTCP" --transmit $STACK --port 5999 --via kernel
try "ttcp: zero-copy through the kernel: exit 2" exits 2 zero-copy \
    "$TTCP" --receive --zero-copy --via kernel
try "ttcp: not a number: exit 2" exits 2 bytes "$TTCP" --transmit $STACK --bytes 5x --via kernel
try "ttcp: neither end: exit 2" exits 2 usage "$TTCP" --via kernel
try "ttcp: no such stack: exit 2" exits 2 via "$TTCP" --receive --via other
try "ttcp: a congestion control of one's choice" exits 0 sent \
    $B_EXEC "$TTCP" --transmit $STACK --port 5003 --via kernel --bytes 2K --congestion reno
try "ttcp: a congestion control that nobody has: exit 1" exits 1 'kernel.*refuses.*nosuch' \
    $B_EXEC "$TTCP" --transmit $STACK --port 5003 --via kernel --bytes 2K --congestion nosuch
try "ttcp: a congestion control for a receiver: exit 2" exits 2 transmit \
    "$TTCP" --receive --via kernel --congestion reno
try "ttcp: no daemon: exit 9" exits 9 . \
    env BULKHEAD_INSTANCE=bh$$-none "$TTCP" --transmit $STACK --via bulkhead

# ---- bulkhead-protolat ----
bg_a "$LAT" --serve --port 5002 --via kernel
echo_pid=$bg_pid
sleep 0.5
none_lost() {
    in_b timeout 20 "$LAT" --connect $STACK --port 5002 --via kernel --json "$@" >"$WORK/lat" ||
        return 1
    cat "$WORK/lat"
    [ "$(json_get "$WORK/lat" lost)" = 0 ] && [ -n "$(json_get "$WORK/lat" p99_us)" ]
}
for size in 1 64 1460 9000; do
    try "protolat: TCP, $size bytes" none_lost --tcp --size $size --count 200
    try "protolat: UDP, $size bytes" none_lost --udp --size $size --count 200
done
try "protolat: a TCP message larger than every buffer" none_lost --tcp --size 32M --count 2
# Several clients at once, one of which does not read its echo.
in_b bash -c "exec 3<>/dev/tcp/$STACK/5002; timeout 3 head -c 20000000 /dev/zero >&3" 2>/dev/null &
stuck=$!
sleep 0.2
try "protolat: a client that does not read holds nobody up" none_lost --tcp --count 200
kill $stuck 2>/dev/null
wait $stuck 2>/dev/null
kill -TERM "$echo_pid"
wait "$echo_pid"
ok $? "protolat: the server ends well on SIGTERM"
try "protolat: nobody there, UDP: exit 12" exits 12 refused \
    $B_EXEC "$LAT" --connect $STACK --udp --port 5002 --via kernel --count 3
bg_a nc -u -l 5004
sleep 0.3
try "protolat: no answer is loss: exit 12" exits 12 '"lost": 3, "min_us": null' \
    $B_EXEC "$LAT" --connect $STACK --udp --port 5004 --via kernel --count 3 --warmup 0 --json
try "protolat: a datagram that is too large: exit 2" exits 2 size \
    "$LAT" --connect $STACK --udp --size 65508 --via kernel
try "protolat: both protocols: exit 2" exits 2 tcp "$LAT" --connect $STACK --udp --tcp --via kernel

# ---- bulkhead-httpd ----
R=$WORK/www
mkdir -p "$R/sub" "$R/none"
head -c $((64 << 20)) /dev/urandom >"$R/big.bin"
echo index >"$R/index.html"
echo sub >"$R/sub/index.html"
: >"$R/empty"
echo odd >"$R/a b%.txt"
ln -s /etc/passwd "$R/out"
ln -s big.bin "$R/in"
mkfifo "$R/fifo"
bg_a "$HTTPD" --root "$R" --port 8080 --via kernel --timeout 2
httpd=$bg_pid
wait_port 8080
U=http://$STACK:8080

get() { # status [curl arguments]: what the answer has to be
    local want=$1 got
    shift
    got=$(in_b curl -sS -g --path-as-is -o /dev/null -w '%{http_code}' --max-time 10 "$@" 2>&1)
    [ "$got" = "$want" ] || { echo "got $got, not $want"; return 1; }
}
long_name() { head -c "$1" /dev/zero | tr '\0' a; }
while read -r want what; do
    eval "try \"httpd: $want for $what\" get $want $what"
done <<'LIST'
200 $U/
200 $U/sub/
200 $U/sub/../index.html
200 $U/in
200 $U/empty
200 $U/a%20b%25.txt?query=1
200 --http1.0 $U/
200 -I $U/big.bin
301 $U/sub
403 $U/none/
403 $U/out
403 $U/fifo
404 $U/missing
404 $U/index.html/
400 $U/../../etc/passwd
400 $U/%2e%2e/%2e%2e/etc/passwd
400 $U/sub/..%2f..%2fetc/passwd
400 $U/%00
400 $U/%zz
400 -H Host: $U/
405 -d content $U/
501 -X BREW $U/
206 -r 0-0 $U/big.bin
206 -r -5 $U/big.bin
416 -r 67108864- $U/big.bin
200 -r 5-3 $U/big.bin
LIST
try "httpd: 304 for what has not changed" \
    get 304 -H 'If-Modified-Since: Thu, 01 Jan 2037 00:00:00 GMT' $U/empty
try "httpd: 414 for a long line" get 414 "$U/$(long_name 9000)"
try "httpd: 414 for a long path" get 414 "$U/$(long_name 5000)"
try "httpd: 431 for many fields" get 431 -H "X: $(long_name 17000)" $U/
raw() { # request (printf format) pattern...: each pattern is in the answer
    local out p # the client keeps its direction open
    # shellcheck disable=SC2059
    out=$({ printf "$1"; sleep 4; } | in_b timeout 10 nc $STACK 8080 | tr -d '\r')
    shift
    printf '%s\n' "$out"
    for p in "$@"; do
        printf '%s\n' "$out" | grep -q -- "$p" || { echo "no $p"; return 1; }
    done
}
try "httpd: 505 for HTTP/2.0" raw 'GET / HTTP/2.0\r\n\r\n' '^HTTP/1.1 505'
try "httpd: 408 for half a request" raw 'GET / HT' '^HTTP/1.1 408'
try "httpd: several requests in one piece" raw \
    'GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /sub/ HTTP/1.1\r\nHost: a\r\n\r\nGET /sub/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' \
    '^index' '^sub' '^Connection: close'
ok "$([ "$(in_b curl -sS -o /dev/null -o /dev/null -w '%{num_connects}' $U/ $U/empty)" = 10 ]; echo $?)" \
    "httpd: two requests over one connection"
try "httpd: a range is what it should be" bash -c "
    cmp <($B_EXEC curl -sS -r 1000000-1999999 $U/big.bin) \
        <(tail -c +1000001 $R/big.bin | head -c 1000000)"

# A slow reader gets everything, and the server does not hold the file for it.
in_b curl -sS --limit-rate 20M -o "$WORK/slow" $U/big.bin &
slow=$!
sleep 1
rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$httpd/status")
wait $slow
ok "$(cmp -s "$WORK/slow" "$R/big.bin"; echo $?)" "httpd: a slow reader gets everything"
ok "$([ "$rss" -lt 32768 ] || [ -n "${BH_SANITIZED:-}" ]; echo $?)" "httpd: $rss KiB while it does"
if command -v wrk >/dev/null; then
    try "httpd: 500 connections at once see no error" bash -c "
        out=\$($B_EXEC wrk -t 1 -c 500 -d 2s --timeout 10s $U/empty 2>&1)
        echo \"\$out\"
        ! echo \"\$out\" | grep -Eq 'Socket errors|Non-2xx'"
else
    skip "httpd: 500 connections at once see no error" "no wrk"
fi

# It ends in good order: the answer under way is finished, new connections are refused.
in_b curl -sS --limit-rate 40M -o "$WORK/last" $U/big.bin &
last=$!
sleep 0.5
kill -TERM "$httpd"
sleep 0.2
try "httpd: none is accepted after SIGTERM" not in_b nc -z -w 1 $STACK 8080
wait $last
ok "$(cmp -s "$WORK/last" "$R/big.bin"; echo $?)" "httpd: the answer under way is finished"
wait "$httpd"
ok $? "httpd: exit status 0"
try "httpd: no such directory: exit 2" exits 2 root "$HTTPD" --root "$WORK/none" --via kernel
bg_a nc -l 8081
sleep 0.3
try "httpd: the port is taken: exit 1" exits 1 8081 \
    ip netns exec "$A" "$HTTPD" --root "$R" --port 8081 --via kernel
done_testing
