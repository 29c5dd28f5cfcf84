#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: everybody else from a hostile client of a running stack. While it attacks, another
# client's transfers come through with every byte compared, no process of the stack dies, and
# afterwards descriptors, mappings, memory, sessions, clients, handles, frames and ports are what
# they were. (Receive frames are counted in test_rogue.sh and test_ip_hostile.)
#   BH_ATTACKS  only these (see tests/hostile/foe)
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need socat nc
net_lock
net_up
TTCP=$(tool bulkhead-ttcp)
FOE=$build/tests/hostile/foe
BYTES=$(($(long 16 64) << 20))
SECONDS_EACH=$(long 1 5)

victim_receives() {
    in_b timeout 60 "$TTCP" --transmit $STACK --port 5001 --bytes $BYTES --via kernel --json
}
complained() { # the receiver compares every byte
    grep -Ei 'differ|corrupt|wrong|mismatch' "$victim_log"
}
processes() { stack_pids | tr '\n' ' '; }

# What is in use, a line for each process. Memory in steps of 2 MiB, as allocators keep some.
in_use() {
    local pid
    for pid in $(stack_pids); do
        printf '%s descriptors %s mappings %s\n' "$(tr '\0' '\n' <"/proc/$pid/cmdline" | head -n 1)" \
            "$(ls "/proc/$pid/fd" | wc -l)" "$(grep -vc -e ' ---p ' "/proc/$pid/maps")"
    done
    printf 'clients %s sessions %s\n' "$(ctl --json status | grep -c '"program"')" \
        "$(ctl sessions | grep -vc TIME-WAIT)"
    ctl --json stats | tr ',{}' '\n' | grep -E '"(handles|[a-z]*_frames_out)": ' | sort
}
counted() { # the victim has some
    grep '"handles": [1-9]' "$WORK/use" && grep '_frames_out": ' "$WORK/use"
}
resident() { # KiB that belong to no file, of all processes
    local pid
    for pid in $(stack_pids); do
        sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$pid/status"
    done | awk '{ s += $1 } END { print s + 0 }'
}
# Address space that is only reserved may be in pieces, but not in ever more of them.
pieces() {
    local pid n most=0
    for pid in $(stack_pids); do
        n=$(grep -c -e ' ---p ' "/proc/$pid/maps")
        [ "$n" -le $most ] || most=$n
    done
    echo "$most pieces at most"
    [ $most -lt 700 ]
}
ignored() { # domains count it
    ctl stats >"$WORK/stats"
    awk '/bells_ignored/ { n += $NF } END { print n + 0; exit n < 1 }' "$WORK/stats"
}
same_use() {
    in_use >"$WORK/use.now"
    diff "$WORK/use" "$WORK/use.now"
}

# One attack, and transfers for as long as it lasts.
attack() {
    local name=$1 n=0 rc=0 foe
    app timeout -k 1 120 "$FOE" "$name" "$SECONDS_EACH"
    foe=$bg_pid foe_log=$WORK/log.$bg_n
    while :; do
        victim_receives || { echo "transfer $n failed"; rc=1; break; }
        n=$((n + 1))
        alive "$foe" || break
    done
    wait "$foe" || { echo "the attacker: exit $?: $(cat "$foe_log")"; rc=1; }
    complained && rc=1
    [ "$(processes)" = "$pids" ] || { echo "processes $(processes), were $pids"; rc=1; }
    [ $rc -eq 0 ] || tail -n 20 "$daemon_log"
    return $rc
}
beside() { # peers of attacks that need one
    bg_b socat TCP-LISTEN:31004,fork,reuseaddr,max-children=20 EXEC:cat
    bg_b bash -c "while :; do timeout 1 nc $STACK 5999 </dev/zero; sleep 0.02; done"
}

# At full speed: what bounds how often one attaches is another test's matter (test_policy.sh).
sed 's/attaches = .*/attaches = any/' "${top_srcdir:-.}/policy/accounts.conf" >"$WORK/accounts.conf"
grep -q 'attaches = any' "$WORK/accounts.conf" || skip_all "no rate of attaching in accounts.conf"
printf 'accounts = "%s"\n' "$WORK/accounts.conf" >"$WORK/b.conf"

beside
for c in $(compositions); do
    stack_start "$c" -c "$WORK/b.conf" || { ok 1 "$c: starts"; continue; }
    app "$TTCP" --receive --port 5001 --via bulkhead --verify --json
    victim=$bg_pid victim_log=$WORK/log.$bg_n
    wait_a 5001
    try "$c: a transfer without attacks" victim_receives
    "$FOE" attach 0.2 >/dev/null # what is made once is made before the count
    "$FOE" churn 0.2 >/dev/null
    sleep 1
    pids=$(processes)
    in_use >"$WORK/use"
    try "$c: handles and frames are counted" counted
    rss=$(resident)
    for a in ${BH_ATTACKS:-$("$FOE")}; do
        try "$c: $a" attack "$a"
        try "$c: $a leaves nothing behind" until_ok 20 same_use || diff "$WORK/use" "$WORK/use.now"
    done
    [ -n "${BH_ATTACKS:-}" ] && [ "$BH_ATTACKS" != bell-storm ] || try "$c: who rang for nothing was not listened to" ignored
    try "$c: all ports can be had again" "$FOE" hoard 0.1
    try "$c: what is reserved is not cut up" pieces
    now=$(resident)
    ok "$([ "$now" -lt $((rss + 4096)) ]; echo $?)" "$c: no memory is kept"
    note "$rss KiB before, $now after"
    ok "$(alive "$victim"; echo $?)" "$c: the victim never noticed"
    try "$c: a transfer after all" victim_receives
    end_bg "$victim"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
