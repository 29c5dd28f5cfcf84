#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the nic domain between a real interface and a program that plays supervisor and
# ip. What the XDP program takes and what it leaves to the kernel, what a killed nic leaves
# behind, what the nic refuses, and how a confined process looks from outside.
set -u
. "${top_srcdir:-.}/tests/tap.sh"
. "${top_srcdir:-.}/tests/netns/lib.sh"
net_need ping
net_lock
net_up
KERNEL=10.77.0.9 # the kernel's own address on the interface that the stack shares
ip -n "$A" addr add $KERNEL/$PREFIX dev $IF

coproc NIC { in_a "$build/tests/netns/nic_harness" $IF $STACK "$(tool bulkhead-nic)" 9>&- \
    2>"$WORK/harness.err"; }
harness=$NIC_PID
bg_all+=("$harness")
exec 7<&"${NIC[0]}" 8>&"${NIC[1]}"
answer=
ask() { # COMMAND: its answer in $answer
    printf '%s\n' "$1" >&8
    read -r -t 10 -u 7 answer
}
read -r -t 10 -u 7 answer
[[ $answer == ready* ]]
ok $? "nic: starts, confined, and reports"
[[ $answer == ready* ]] || { note "$(cat "$WORK/harness.err")"; done_testing; }
nic=${answer#ready }

# --- confinement, as the kernel tells it ---
field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$nic/status"; }
for f in CapInh CapPrm CapEff CapBnd CapAmb; do
    [ "$(field $f)" = 0000000000000000 ]
    ok $? "confined: $f is empty"
done
[ "$(field Uid | tr -s '\t' ' ')" = "65534 65534 65534 65534" ]
ok $? "confined: uid is not 0"
[ "$(field Gid | tr -s '\t' ' ')" = "65534 65534 65534 65534" ]
ok $? "confined: gid is not 0"
[ -z "$(field Groups | tr -d ' ')" ]
ok $? "confined: no other group"
[ "$(field NoNewPrivs) $(field Seccomp)" = "1 2" ]
ok $? "confined: no_new_privs, and a system-call filter"
for ns in user mnt pid net ipc uts; do
    [ "$(readlink /proc/"$nic"/ns/$ns)" != "$(readlink /proc/"$harness"/ns/$ns)" ]
    ok $? "confined: a $ns namespace of its own"
done
[ -z "$(ls -A "/proc/$nic/root/")" ] && ! touch "/proc/$nic/root/x" 2>/dev/null
ok $? "confined: its root is empty and read-only"
[ -z "$(tr -d '\0' <"/proc/$nic/environ")" ]
ok $? "confined: no environment"
limits=$(awk '/processes|open files|file size|core file|locked memory/ { print $(NF-2) $(NF-1) }' \
    "/proc/$nic/limits" | tr -d '[:alpha:]' | sort -u)
[ "$limits" = 00 ]
ok $? "confined: may make no process, file, descriptor, core or locked page"
grep -q 'rw-s.*memfd:part' "/proc/$nic/maps" || grep -q 'r--s.*memfd:part' "/proc/$nic/maps"
[ $? -ne 0 ]
ok $? "confined: no packet memory is mapped"
! grep -E '^[0-9a-f]+-[0-9a-f]+ .wx' "/proc/$nic/maps"
ok $? "confined: nothing is both writable and executable"

# --- what is taken, what is passed ---
try "xdp: the stack's address answers" in_b ping -q -c 5 -i 0.05 -W 1 $STACK
try "xdp: the kernel's address on the same interface answers too" \
    in_b ping -q -c 5 -i 0.05 -W 1 $KERNEL
try "xdp: frames as large as the MTU" in_b ping -q -c 3 -i 0.05 -W 1 -M do -s 1472 $STACK

# --- interfaces that cannot be used ---
refused() { # NAME EXIT-CODE TEXT INTERFACE
    local said rc
    said=$(in_a "$build/tests/netns/nic_harness" "$4" $STACK "$(tool bulkhead-nic)" 2>&1 9>&- \
        </dev/null)
    rc=$?
    [ $rc -eq "$2" ] && [[ $said == *"$3"* ]]
    ok $? "netif: $1"
    note "exit $rc: $said"
}
ip -n "$A" link add many numrxqueues 2 numtxqueues 2 type veth peer name many2
ip -n "$A" link set many up
in_a ethtool -L many rx 2 tx 2 >/dev/null 2>&1
ip -n "$A" link add off type veth peer name off2
ip -n "$A" link add large mtu 9300 type veth peer name large2
ip -n "$A" link set large up
refused "one that is in use" 11 "$IF" $IF
refused "one that is not there" 5 "there are: lo" nosuch
refused "one that is down" 5 "ip link set off up" off
refused "one that is not Ethernet" 5 "not an Ethernet interface" lo
refused "one with an MTU beyond all frames" 1 "ip link set large mtu 9000" large
if command -v ethtool >/dev/null; then
    refused "one with two receive queues" 6 "ethtool -L many rx 1" many
else
    skip "netif: one with two receive queues" "no ethtool here"
fi

# --- killed at any moment, with traffic ---
in_b ping -q -i 0.002 -w 6 $STACK >"$WORK/ping" 2>&1 &
pinger=$!
bad=0
lost=0
for ((i = 0; i < 20; i++)); do
    sleep 0.1
    ask kill
    [[ $answer == ok\ * ]] || { bad=1; note "$i: $answer"; break; }
    n=${answer#*in_flight=}
    lost=$((lost + ${n%% *}))
done
ok $bad "restart: after 20 kills every receive frame is somewhere, and in one place"
note "frames under way when it was killed, free again: $lost; last: $answer"
try "restart: the last one carries traffic" in_b ping -q -c 5 -i 0.05 -W 1 $STACK
bad=0
for ((i = 0; i < 5; i++)); do
    ask ip-death
    [[ $answer == ok\ * ]] || { bad=1; note "$i: $answer"; }
done
ok $bad "restart: ip's death is acknowledged with every frame accounted for"
wait $pinger
note "$(tail -n 3 "$WORK/ping")"
try "restart: traffic goes on" in_b ping -q -c 5 -i 0.05 -W 1 $STACK

# --- a lying ip ---
ask lie
note "$answer"
[ "$answer" = "tx=7/7 fill=5/5" ]
ok $? "hostile: every bad descriptor is refused and counted"
# The kernel has every frame and room for no more: what ip gives beyond that must not keep the nic awake.
ask pid
before=$(cpu_seconds "$answer")
sleep 1
awk -v a="$before" -v b="$(cpu_seconds "$answer")" 'BEGIN { exit !(b - a < 0.2) }'
ok $? "hostile: and the nic sleeps"
try "hostile: and nothing else happens" in_b ping -q -c 5 -i 0.05 -W 1 $STACK

# --- idle ---
ask pid
nic=$answer
before=$(cpu_seconds "$nic")
sleep 2
[ "$(cpu_seconds "$nic")" = "$before" ]
ok $? "idle: no processor time in 2 s"

ask poison
[[ $answer == "arg=0x10001 "* ]]
ok $? "hostile: an impossible ring index is reported, by whom"
note "$answer"

# --- end: the interface is as it was ---
[[ $(in_a ip link show $IF) == *xdp* ]]
ok $? "end: the program is on the interface while it runs"
kill -KILL "$(pgrep -P "$harness" -f nic_harness || echo "$harness")"
no_program() { [[ $(in_a ip link show $IF) != *xdp* ]]; }
until_ok 3 no_program
ok $? "end: kill -9 of its holder takes the program off"
until_ok 3 not alive "$nic"
ok $? "end: and the nic with it"
done_testing
