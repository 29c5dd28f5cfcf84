# SPDX-License-Identifier: BSD-2-Clause
# lib.sh: sourced by the namespace tests and by the demo. Two network namespaces joined by a
# veth pair: A, where the stack runs, and B, the real Linux peer. Names carry our process
# number, so that any number of these can run beside each other. Everything that was started
# is ended at exit, also when interrupted.
#
#   net_up                     make A, B and the pair (v0 in both); B has $PEER
#   net_wire                   put a third namespace, W, between them, with wl and wr to A and B
#   wire_start [settings]      join these by bulkhead-wire; what it says is in $wire_log
#   wire_stop                  its exit status; then wire_count DIRECTION COUNTER
#   in_a CMD.. / in_b CMD..    run in a namespace
#   bg CMD..                   start in the background, remembered; its process in $bg_pid,
#                              what it says in $WORK/log.N
#   stack_start COMPOSITION [bulkheadd arguments]   start the daemon, wait until it answers;
#                              with BH_DRIVER=packet in the environment: with that driver
#   stack_stop                 SIGTERM; its exit status
#   app CMD..                  bg in A with this instance
#   wait_port PORT             until B can connect to the stack's PORT
#   wait_a PORT / wait_b PORT  until a program listens (TCP) or is bound (UDP)

STACK=10.77.0.1
PEER=10.77.0.2
PREFIX=24
IF=v0

if ! type ok >/dev/null 2>&1; then
    . "$(dirname "${BASH_SOURCE[0]}")/../tap.sh"
fi
build=$(cd "${top_builddir:-.}" && pwd) || exit 1
export PATH="$PATH:/usr/sbin:/sbin"

A=bh$$-a
B=bh$$-b
W=bh$$-w
WORK=
bg_all=()
bg_n=0
bg_pid=
daemon_pid=
daemon_log=

net_need() {
    [ -z "${BH_QUICK:-}" ] || skip_all "quick run"
    [ "$(id -u)" -eq 0 ] || skip_all "needs root for network namespaces"
    local t
    for t in ip ping "$@"; do
        command -v "$t" >/dev/null || skip_all "no $t here"
    done
    ip netns add "bh$$-try" 2>/dev/null || skip_all "cannot make network namespaces here"
    ip netns del "bh$$-try"
}

# One namespace test at a time: they measure time and processor use, and share two cores.
net_lock() {
    exec 9>"$build/tests/netns.lock" && flock 9
}

net_up() {
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead.XXXXXX") || exit 1
    trap net_down EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    export BULKHEAD_RUN_DIR=$WORK/run
    export BULKHEAD_INSTANCE=bh$$
    chmod 755 "$WORK"
    mkdir -p "$BULKHEAD_RUN_DIR"
    local ns
    ip netns add "$A" && ip netns add "$B" || exit 1
    ip link add name $IF netns "$A" type veth peer name $IF netns "$B" || exit 1
    for ns in "$A" "$B"; do
        ip -n "$ns" link set lo up
        # Kernel chatter on the link (router solicitations) has no place in a test.
        ip netns exec "$ns" sysctl -qw net.ipv6.conf.$IF.disable_ipv6=1 2>/dev/null
        ip -n "$ns" link set $IF up
    done
    ip -n "$B" addr add $PEER/$PREFIX dev $IF
}

net_down() {
    trap '' INT TERM HUP
    local pid ns i
    for pid in "${bg_all[@]}"; do
        kill -TERM "$pid" 2>/dev/null
    done
    for i in 1 2 3 4 5 6 7 8 9 10; do
        alive "${bg_all[@]}" || break
        sleep 0.1
    done
    for pid in "${bg_all[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    for ns in "$A" "$B" "$W"; do
        ip netns pids "$ns" 2>/dev/null | while read -r pid; do
            kill -KILL "$pid" 2>/dev/null
        done
        ip netns del "$ns" 2>/dev/null
    done
    [ -z "$WORK" ] || [ -n "${KEEP_WORK:-}" ] || rm -rf "$WORK"
    trap - EXIT
}

net_wire() {
    local ns side
    ip -n "$A" link del $IF
    ip netns add "$W" && ip netns exec "$W" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 || exit 1
    for ns in "$A" "$B"; do
        side=$([ "$ns" = "$A" ] && echo wl || echo wr)
        ip link add name $IF netns "$ns" type veth peer name $side netns "$W" || exit 1
        ip netns exec "$ns" sysctl -qw net.ipv6.conf.$IF.disable_ipv6=1 2>/dev/null
        # A wire carries frames, not the pieces that an offload makes of many.
        ip netns exec "$ns" ethtool -K $IF tx off tso off gso off gro off >/dev/null 2>&1
        ip -n "$ns" link set $IF up
        ip -n "$W" link set $side up
    done
    ip -n "$B" addr add $PEER/$PREFIX dev $IF
}

wire_start() {
    bg ip netns exec "$W" "$(tool bulkhead-wire)" --json "$@" wl wr
    wire_pid=$bg_pid
    wire_log=$WORK/log.$bg_n
    until_ok 5 grep -q '^ready' "$wire_log" || { note "$(cat "$wire_log")"; return 1; }
}

wire_stop() {
    kill -TERM "$wire_pid" 2>/dev/null
    until_ok 5 not alive "$wire_pid" || { kill -KILL "$wire_pid"; return 99; }
    wait "$wire_pid"
}

wire_count() { # to_right or to_left, and a counter of that direction
    sed -n 's/.*"'"$1"'": {\([^}]*\)}.*/\1/p' "$wire_log" | tr ',' '\n' |
        sed -n 's/^ *"'"$2"'": *//p'
}

in_a() { ip netns exec "$A" "$@"; }
in_b() { ip netns exec "$B" "$@"; }

# Any of these processes alive? (A zombie is not.)
alive() {
    local pid state
    for pid in "$@"; do
        state=$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null) || continue
        [ -z "$state" ] || [ "$state" = Z ] || return 0
    done
    return 1
}

bg() {
    bg_n=$((bg_n + 1))
    "$@" >"$WORK/log.$bg_n" 2>&1 9>&- </dev/null &
    bg_pid=$!
    bg_all+=("$bg_pid")
}
bg_a() { bg ip netns exec "$A" "$@"; }
bg_b() { bg ip netns exec "$B" "$@"; }
app() { bg_a "$@"; }

# until_ok SECONDS CMD...: repeat it until it succeeds.
until_ok() {
    local end=$(($(date +%s%N) + $1 * 1000000000))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ "$(date +%s%N)" -lt $end ] || return 1
        sleep 0.05
    done
}

tool() { # path of a built program
    local p
    for p in "$build/$1" "$build/domains/$1" "$build/bench/$1"; do
        [ -x "$p" ] && [ -f "$p" ] && { printf '%s\n' "$p"; return; }
    done
    command -v "$1" || printf '%s\n' "$1"
}

stack_start() {
    local composition=$1
    shift
    # Domains of this build, not of an installed one.
    bg_a env BULKHEAD_LIBEXEC_DIR="${BULKHEAD_LIBEXEC_DIR:-$build}" "$(tool bulkheadd)" \
        --interface $IF --address $STACK/$PREFIX --instance "$BULKHEAD_INSTANCE" \
        --composition "$composition" ${BH_DRIVER:+--driver "$BH_DRIVER"} "$@"
    daemon_pid=$bg_pid
    daemon_log=$WORK/log.$bg_n
    local i
    for ((i = 0; i < 100; i++)); do
        in_b ping -c 1 -W 1 -q $STACK >/dev/null 2>&1 && return 0
        alive "$daemon_pid" || break
        sleep 0.1
    done
    note "bulkheadd does not answer; it said:"
    note "$(tail -n 30 "$daemon_log")"
    return 1
}

stack_stop() {
    kill -TERM "$daemon_pid" 2>/dev/null
    until_ok 5 not alive "$daemon_pid" || { kill -KILL "$daemon_pid"; return 99; }
    wait "$daemon_pid"
}

end_bg() { # pid...
    kill -TERM "$@" 2>/dev/null
    until_ok 3 not alive "$@" || kill -KILL "$@" 2>/dev/null
    wait "$@" 2>/dev/null
    return 0
}

not() { ! "$@"; }

wait_port() { until_ok 10 in_b nc -z -w 1 "${2:-$STACK}" "$1"; }

# wait_a PORT: until the program started last has the port on the stack; wait_b: on the peer's kernel.
on_stack() { ctl sessions | grep -Eq "^(tcp +LISTEN|udp) .*:$1 +\*:\*.* $bg_pid/"; }
on_peer() { in_b ss -Hlntu | grep -Eq ":$1 "; }
wait_a() { until_ok 10 on_stack "$1"; }
wait_b() { until_ok 10 on_peer "$1"; }

ctl() { timeout 10 "$(tool bulkheadctl)" "$@"; }

# Processor seconds (user and system) that these processes have used.
cpu_seconds() {
    local pid t=0 line
    for pid in "$@"; do
        line=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) || continue
        set -- $line
        t=$((t + ${12} + ${13}))
    done
    awk -v t=$t -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f\n", t / hz }'
}

# The daemon and everything below it.
stack_pids() {
    local todo=("$daemon_pid") pid child
    while [ ${#todo[@]} -gt 0 ]; do
        pid=${todo[0]}
        todo=("${todo[@]:1}")
        printf '%s\n' "$pid"
        for child in $(pgrep -P "$pid"); do
            todo+=("$child")
        done
    done
}

# domain_pid NAME: nic, ip, tcp, udp or mono.
domain_pid() {
    local pid
    for pid in $(stack_pids); do
        [ "$(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | head -n 1)" != "bulkhead-$1" ] ||
            { printf '%s\n' "$pid"; return 0; }
    done
    return 1
}

# json_get FILE KEY: a member of a flat JSON object.
json_get() {
    sed -n 's/.*"'"$2"'": *"\{0,1\}\([^",}]*\).*/\1/p' "$1" | head -n 1
}

sha() { sha256sum "$@" | cut -d' ' -f1; }

compositions() {
    local c
    for c in ${BH_COMPOSITIONS:-factored monolithic}; do
        printf '%s\n' "$c"
    done
}

long() { # long NORMAL LONG: which of the two this run uses
    if [ -n "${BH_LONG:-}" ]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi
}
