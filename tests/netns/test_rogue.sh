#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: a domain that somebody took over costs the others nothing. First, each domain of a
# running stack makes a system call that it must not: it is ended, the call is named, its
# successor goes on. Then a rogue runs in the place of udp, with everything that udp holds, while a
# stream goes through tcp beside it.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need nc
net_lock
net_up
TTCP=$(tool bulkhead-ttcp)
ROGUE=$build/tests/netns/rogue
INJECT=$build/tests/netns/inject

restarts() { # DOMAIN
    ctl status | awk -v d="$1" '$1 == d { print $4 }'
}
lines() { grep -c '' "$daemon_log"; }
stream() { # into the stack, every byte compared
    app "$TTCP" --receive --port 5001 --verify --json --via bulkhead
    local receiver=$bg_pid log=$WORK/log.$bg_n
    wait_a 5001
    in_b timeout 30 "$TTCP" --transmit $STACK --port 5001 --bytes 16M --via kernel || return 1
    until_ok 5 grep -q "\"bytes\": $((16 << 20))" "$log" && ! grep -Eqi 'differ|wrong' "$log" ||
        { cat "$log"; return 1; }
    end_bg "$receiver"
}

# ---- a call that is not on the list, made in each of them ----

for c in $(compositions); do
    [ "$(uname -m)" = x86_64 ] || break
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    for d in $([ "$c" = factored ] && echo "nic ip tcp udp" || echo mono); do
        try "$c: $d: made to open a file" "$INJECT" "$(domain_pid "$d")" 257 -100 0 0
        until_ok 5 grep -q "$d (pid [0-9]*) died of SIGSYS.*: openat (257)" "$daemon_log"
        ok $? "$c: $d: ended, and the call is named"
        until_ok 5 grep -q "$d is back" "$daemon_log"
        ok $? "$c: $d: its successor is there"
        try "$c: $d: the stack answers" in_b ping -q -c 3 -i 0.05 -W 2 $STACK
    done
    stack_stop
    ok $? "$c: stops cleanly"
done

# ---- a rogue in the place of udp ----

[[ " $(compositions | tr '\n' ' ') " == *" factored "* ]] || done_testing
dir=$WORK/rogue
mkdir "$dir"
for p in bulkheadd bulkhead-nic bulkhead-ip bulkhead-tcp; do
    cp "$(tool $p)" "$dir/$p"
done
cp "$ROGUE" "$dir/bulkhead-udp"

start_rogue() {
    bg_a "$dir/bulkheadd" --interface $IF --address $STACK/$PREFIX \
        --instance "$BULKHEAD_INSTANCE" --composition factored
    daemon_pid=$bg_pid
    daemon_log=$WORK/log.$bg_n
    until_ok 10 grep -q ' ready: ' "$daemon_log"
}

# attack NAME RESTARTS-OF-IP PATTERN: what the log must say; ip may be restarted so often
attack() {
    local name=$1 most=$2 pattern=$3 fds
    printf '%s\n' "$name" >"$dir/attack"
    start_rogue || { ok 1 "$name: starts"; note "$(tail "$daemon_log")"; return; }
    fds=$(ls "/proc/$daemon_pid/fd" | wc -l)
    sleep 1.2 # it begins
    try "$name: a stream through tcp meanwhile" stream
    try "$name: the stack answers" in_b ping -q -c 20 -i 0.02 -W 2 $STACK
    sleep 1
    try "$name: the supervisor answers at once" timeout 2 "$(tool bulkheadctl)" status
    [ -z "$pattern" ] || grep -Eq "$pattern" "$daemon_log"
    ok $? "$name: told in the log${pattern:+: $pattern}"
    [ "$name" != repeat ] || try "$name: all but one are refused" repeats_refused
    local ip tcp n
    ip=$(restarts ip) tcp=$(restarts tcp) n=$(lines)
    ok "$([ "${ip:-99}" -le "$most" ] && [ "$tcp" = 0 ]; echo $?)" \
        "$name: ip was restarted $ip times (at most $most), tcp $tcp"
    ok "$([ "$n" -le 120 ]; echo $?)" "$name: the log has $n lines, not more than 120"
    n=$(ls "/proc/$daemon_pid/fd" | wc -l)
    ok "$([ "$n" -le $((fds + 12)) ]; echo $?)" \
        "$name: the supervisor has $n descriptors, before $fds"
    try "$name: nothing in the sandbox is too much" until_ok 5 ctl sandbox
    [ -z "${failed_note:-}" ] || note "$(tail "$daemon_log")"
    stack_stop
    ok $? "$name: stops cleanly"
}

# Of a frame that nic has already every copy is refused, and is in none of its rings.
repeats_refused() {
    ctl stats >"$WORK/stats"
    grep -E 'drop_tx_twice|refused_frames|nic_tx ' "$WORK/stats"
    grep -Eq 'drop_tx_twice +[1-9][0-9]{3}' "$WORK/stats" && ! grep -Eq 'refused_frames +[1-9]' "$WORK/stats"
}

attack ring 0 ""
attack jump 0 "udp .pid [0-9]*. was killed: ip says: udp wrote an impossible ring index"
attack accuse 2 "udp .pid [0-9]*. was killed: udp accused ip, accusation 3"
attack flood 0 "udp .pid [0-9]*. was killed: it sent more than"
attack order 0 ""
attack malformed 0 "udp .pid [0-9]*. was killed: it sent a malformed message"
attack forge 0 "udp .pid [0-9]*. was killed: it sent a message that is not a domain's to send"
attack repeat 0 ""
attack descriptors 0 "udp .pid [0-9]*. was killed: it sent a malformed message"
done_testing
