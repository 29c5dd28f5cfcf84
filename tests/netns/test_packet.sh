#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: what the running stack sends, segment by segment, in both compositions: the scripts of
# tests/packet, whose peer is a raw socket at the other end of the wire. PACKET_SCRIPTS: only these.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need
net_lock
net_up

# A small arena, as every script attaches anew; some side by side, as they mostly wait.
export BULKHEAD_ARENA=4M BULKHEAD_SESSIONS=64
scripts=${PACKET_SCRIPTS:-"${top_srcdir:-.}"/tests/packet/scripts/*.pkt}

# Only the pair's MAC addresses are left of the kernel's peer: it must not answer TCP.
no_kernel() { ip -n "$B" addr del $PEER/$PREFIX dev $IF; }
again() { ip -n "$B" addr add $PEER/$PREFIX dev $IF; }

# A TAP line of run_stack becomes one of ours: its number differs, its name tells the composition.
retell() {
    local line
    while IFS= read -r line; do
        case $line in
        1..*) continue ;;
        ok\ * | not\ ok\ *)
            tap_n=$((tap_n + 1))
            case $line in
            not*) printf 'not ok %d - %s: %s\n' "$tap_n" "$1" "${line#* - }" ;;
            *) printf 'ok %d - %s: %s\n' "$tap_n" "$1" "${line#* - }" ;;
            esac
            ;;
        *) printf '%s\n' "$line" ;;
        esac
    done
}

# What the scripts say of windows is Reno's, as most RFCs tell it.
echo 'tcp { congestion = "reno" }' >"$WORK/reno.conf"

for c in $(compositions); do
    stack_start "$c" -c "$WORK/reno.conf" || { ok 1 "$c: starts"; continue; }
    no_kernel
    retell "$c" < <(PACKET_IF=$IF PACKET_OWN=$STACK PACKET_PEER=$PEER in_b \
        "$build/tests/packet/run_stack" -j4 ${PACKET_OPTIONS:-} $scripts)
    again
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
