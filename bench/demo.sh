#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo.sh: the stack at work. Two network namespaces joined by a veth pair; in one the stack and
# an HTTP server, in the other an ordinary Linux with curl. The same programs, unchanged, run on
# the factored stack, on the monolith and on the kernel. `./bootstrap demo` calls this.
# Environment: BH_DEMO_MIB (64) size of the file, BH_DEMO_BULK_MIB (512) of the bulk transfers.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# Files in memory: it is not the disk that is measured.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$here/../tests/netns/lib.sh"

MIB=${BH_DEMO_MIB:-64}
BULK=$((${BH_DEMO_BULK_MIB:-512} * 1048576))
HTTP_PORT=80 TTCP_PORT=5001 LAT_PORT=5002
began=$SECONDS
what=
declare -A value

step() { printf '[%3d s] %-11s %s\n' $((SECONDS - began)) "$what" "$*"; }
fail() {
    printf 'demo: %s: %s\n' "$what" "$*" >&2
    for log in "$WORK"/log.*; do
        [ ! -s "$log" ] || { echo "--- $(basename "$log")"; tail -n 15 "$log"; } >&2
    done
    exit 1
}

machine_cpu() { # seconds that any processor of this machine was not idle
    awk -v hz="$(getconf CLK_TCK)" '/^cpu / { printf "%.2f", ($2 + $3 + $4 + $7 + $8) / hz }' /proc/stat
}
calc() { awk "BEGIN { printf \"$1\", $2 }"; }

# --- one round: everything, on one stack ------------------------------------------

measure_ping() {
    local out lost
    out=$(in_b ping -c 200 -i 0.005 $STACK) || fail "no answer to ping: $out"
    lost=$(printf '%s\n' "$out" | sed -n 's/.* \([0-9.]*\)% packet loss.*/\1/p')
    value[$what,ping]=$(printf '%s\n' "$out" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n |
        awk '{ t[NR] = $1 } END { printf "%.1f", t[int((NR + 1) / 2)] * 1000 }')
    step "ping: 200 sent, $lost% lost, median ${value[$what,ping]} us"
}

measure_http() {
    local speed got
    app "$(tool bulkhead-httpd)" --root "$WORK/www" --port $HTTP_PORT --via "$via"
    apps+=("$bg_pid")
    wait_port $HTTP_PORT || fail "the HTTP server does not answer"
    speed=$(in_b curl -sS -f -o "$WORK/got" -w '%{speed_download}' "http://$STACK/file") ||
        fail "curl failed"
    got=$(sha "$WORK/got")
    rm -f "$WORK/got"
    [ "$got" = "$want" ] || fail "SHA-256 differs: $got, not $want"
    value[$what,http]=$(calc %.2f "$speed * 8 / 1e9")
    step "curl: $MIB MiB, SHA-256 equal, ${value[$what,http]} Gbit/s"
}

measure_trip() { # tcp|udp
    local out=$WORK/trip.json
    app "$(tool bulkhead-protolat)" --serve --"$1" --port $LAT_PORT --via "$via"
    apps+=("$bg_pid")
    ready a $LAT_PORT
    in_b "$(tool bulkhead-protolat)" --connect $STACK --"$1" --port $LAT_PORT --size 64 \
        --count 5000 --via kernel --json >"$out" || fail "round trips over $1 failed"
    value[$what,$1]=$(calc %.1f "$(json_get "$out" p50_us)")
    step "$1: 5000 round trips of 64 bytes, median ${value[$what,$1]} us, $(json_get "$out" lost) lost"
    end_app
}

end_app() { # the last one, adding its processor time
    app_cpu=$(calc %.2f "$app_cpu + $(cpu_seconds "$bg_pid")")
    end_bg "$bg_pid"
    unset 'apps[-1]'
}

measure_bulk() {
    local out=$WORK/bulk.json rx
    app "$(tool bulkhead-ttcp)" --receive --port $TTCP_PORT --via "$via" --json
    apps+=("$bg_pid")
    ready a $TTCP_PORT
    in_b "$(tool bulkhead-ttcp)" --transmit $STACK --port $TTCP_PORT --bytes $BULK --via kernel \
        --json >"$out" || fail "bulk transfer to the stack failed"
    value[$what,rx]=$(calc %.2f "$(json_get "$out" bits_per_second) / 1e9")
    step "bulk: $((BULK >> 20)) MiB to the stack, ${value[$what,rx]} Gbit/s"
    end_app

    bg_b "$(tool bulkhead-ttcp)" --receive --port $TTCP_PORT --via kernel
    rx=$bg_pid
    ready b $TTCP_PORT
    in_a "$(tool bulkhead-ttcp)" --transmit $PEER --port $TTCP_PORT --bytes $BULK --via "$via" \
        --json >"$out" || fail "bulk transfer from the stack failed"
    value[$what,tx]=$(calc %.2f "$(json_get "$out" bits_per_second) / 1e9")
    app_cpu=$(calc %.2f "$app_cpu + $(json_get "$out" cpu_seconds)")
    step "bulk: $((BULK >> 20)) MiB from the stack, ${value[$what,tx]} Gbit/s"
    end_bg "$rx"
}

# The program started last has the port: on the stack, or on the kernel of a namespace.
ready() { # a|b, port
    local ns=$A
    [ "$1" = a ] || ns=$B
    if [ "$1$via" = abulkhead ]; then
        wait_a "$2"
    else
        until_ok 10 kernel_has "$ns" "$2"
    fi || fail "nobody serves port $2"
}
kernel_has() { ip netns exec "$1" ss -Hlntu | grep -q ":$2 "; }

# Who they are and what they may touch: the daemon reads it from /proc, not from its plans.
show_domains() {
    printf '\n'
    "$(tool bulkheadctl)" status || fail "bulkheadctl status"
    printf '\n'
}

round() { # what, via, [composition]
    local composition=${3:-} cpu0 machine0 pids
    what=$1 via=$2 apps=() app_cpu=0
    if [ -n "$composition" ]; then
        stack_start "$composition" || fail "bulkheadd did not start"
        step "bulkheadd answers: $(stack_pids | wc -l) processes"
        value[$what,processes]=$(stack_pids | wc -l)
    else
        ip -n "$A" addr add $STACK/$PREFIX dev $IF
        value[$what,processes]=-
    fi
    pids=$([ -z "$composition" ] || stack_pids)
    # shellcheck disable=SC2086
    cpu0=$(cpu_seconds $pids)
    machine0=$(machine_cpu)
    measure_ping
    measure_http
    measure_trip tcp
    measure_trip udp
    measure_bulk
    # shellcheck disable=SC2086
    value[$what,cpu]=$(calc %.2f "$(cpu_seconds $pids "${apps[@]}") - $cpu0 + $app_cpu")
    value[$what,machine]=$(calc %.2f "$(machine_cpu) - $machine0")
    [ -z "$composition" ] || show_domains
    end_bg "${apps[@]}"
    if [ -n "$composition" ]; then
        stack_stop || fail "bulkheadd did not stop cleanly"
    else
        ip -n "$A" addr del $STACK/$PREFIX dev $IF
    fi
}

row() { # label, key
    local c
    printf '%-33s' "$1"
    for c in "${columns[@]}"; do
        printf ' %11s' "${value[$c,$2]:--}"
    done
    printf '\n'
}

# -----------------------------------------------------------------------------------

[ "$(id -u)" -eq 0 ] || { echo "demo: needs root" >&2; exit 4; }
what=set-up
step "two network namespaces, $MIB MiB of random bytes"
net_up
mkdir "$WORK/www"
head -c $((MIB * 1048576)) /dev/urandom >"$WORK/www/file"
want=$(sha "$WORK/www/file")

for c in ${BH_COMPOSITIONS-factored monolithic}; do
    round "$c" bulkhead "$c"
    columns+=("$c")
done
round kernel kernel
columns+=(kernel)
# What an AF_XDP stack over veth does for every packet, the kernel now does too.
for ns in "$A" "$B"; do
    ip netns exec "$ns" ethtool -K $IF tso off gso off gro off tx off >/dev/null 2>&1
done
round 'kernel*' kernel
columns+=('kernel*')

printf '\n%-33s' ""
printf ' %11s' "${columns[@]}"
printf '\n'
row "HTTP, $MIB MiB (Gbit/s)" http
row "bulk TCP to the stack (Gbit/s)" rx
row "bulk TCP from the stack (Gbit/s)" tx
row "TCP round trip, median (us)" tcp
row "UDP round trip, median (us)" udp
row "ping, median (us)" ping
row "CPU seconds, stack and programs" cpu
row "CPU seconds, whole machine" machine
row "processes of the stack" processes
cat <<'EOT'

kernel* is the kernel with its offloads off on both ends: packets of one MTU and checksums in
software, as Bulkhead has them here. The whole machine includes the peer, and the kernel's
packet work, which no process is charged with.
EOT
what=done
step "cleaning up"
