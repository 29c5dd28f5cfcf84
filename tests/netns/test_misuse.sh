#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: wrong use is answered with a message that names what is wrong and an exit code of its
# own (lib/base/exit_codes.h), and leaves nothing behind.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need setpriv ethtool
net_lock
net_up
D=$(tool bulkheadd)

# refused NAME EXIT-CODE PATTERN COMMAND...: it ends by itself with this code and says so
refused() {
    local name=$1 code=$2 pattern=$3 rc
    shift 3
    timeout -k 1 10 "$@" >"$WORK/out" 2>&1 </dev/null
    rc=$?
    if [ $rc -eq "$code" ] && grep -Eqi -- "$pattern" "$WORK/out"; then
        ok 0 "$name"
    else
        ok 1 "$name"
        note "exit status $rc, not $code; it said: $(head -n 5 "$WORK/out")"
    fi
}
daemon=(ip netns exec "$A" env BULKHEAD_LIBEXEC_DIR="${BULKHEAD_LIBEXEC_DIR:-$build}" "$D"
    --address $STACK/$PREFIX --instance "$BULKHEAD_INSTANCE")

refused "no arguments: usage" 2 "usage|--interface|needed|missing" ip netns exec "$A" "$D"
refused "an unknown option is named" 2 "no-such-option" "${daemon[@]}" --interface $IF --no-such-option
refused "a bad address is named" 2 "10.77.0.300" ip netns exec "$A" "$D" --interface $IF \
    --address 10.77.0.300/24
refused "a bad composition is named" 2 "octopus" "${daemon[@]}" --interface $IF --composition octopus
refused "without privilege" 4 "root|privilege" ip netns exec "$A" setpriv --reuid 65534 --regid 65534 \
    --clear-groups "$D" --interface $IF --address $STACK/$PREFIX --instance "$BULKHEAD_INSTANCE"
refused "no such interface is named" 5 "nosuch0" "${daemon[@]}" --interface nosuch0

printf 'no-such-key = 1\n' >"$WORK/bad.conf"
refused "an unknown configuration key is named" 3 "no-such-key" "${daemon[@]}" --interface $IF \
    -c "$WORK/bad.conf"
refused "a configuration file that is not there is named" 3 "nofile.conf" "${daemon[@]}" \
    --interface $IF -c "$WORK/nofile.conf"

ip -n "$A" link add many numrxqueues 2 numtxqueues 2 type veth peer name many1
ip -n "$A" link set many up
ip -n "$A" link set many1 up
refused "several queues: refused with the command that fixes it" 6 "ethtool -L many" \
    "${daemon[@]}" --interface many
ip -n "$A" link del many

ip -n "$A" addr add $STACK/$PREFIX dev $IF
refused "the kernel has the address already" 7 "$STACK" "${daemon[@]}" --interface $IF
ip -n "$A" addr del $STACK/$PREFIX dev $IF
ip -n "$B" addr add $STACK/$PREFIX dev $IF
mac=$(ip netns exec "$B" cat /sys/class/net/$IF/address)
for c in $(compositions); do
    refused "$c: somebody else has the address: its MAC is named" 7 "$mac" "${daemon[@]}" \
        --interface $IF --composition "$c"
done
ip -n "$B" addr del $STACK/$PREFIX dev $IF

for t in "bulkhead-ttcp --receive --port 5001" "bulkhead-protolat --serve --tcp --port 5002" \
    "bulkhead-httpd --root $WORK --port 80"; do
    # shellcheck disable=SC2086
    set -- $t
    prog=$(tool "$1")
    shift
    refused "${prog##*/}: no daemon to attach to" 9 "daemon|attach|bulkheadd" "$prog" "$@" --via bulkhead
done
refused "bulkheadctl: no daemon to ask" 9 "daemon|instance|bulkheadd|$BULKHEAD_INSTANCE" \
    "$(tool bulkheadctl)" status

stack_start "$(compositions | head -n 1)" || ok 1 "starts after all this"
refused "instance already running" 8 "$BULKHEAD_INSTANCE" "${daemon[@]}" --interface $IF
refused "another instance on the same interface" 11 "$IF|XDP" ip netns exec "$A" \
    env BULKHEAD_LIBEXEC_DIR="${BULKHEAD_LIBEXEC_DIR:-$build}" "$D" --interface $IF \
    --address ${STACK%.*}.7/$PREFIX --instance "$BULKHEAD_INSTANCE-2"
refused "an arena larger than the account allows" 10 "arena|account" \
    env BULKHEAD_ARENA=2G "$(tool bulkhead-ttcp)" --receive --port 5001 --via bulkhead
refused "bulkheadctl restart of no domain" 1 "no such domain" "$(tool bulkheadctl)" restart nosuch
app "$(tool bulkhead-ttcp)" --receive --port 5001 --via bulkhead
wait_a 5001
refused "a port that is taken" 1 "in use" "$(tool bulkhead-ttcp)" --receive --port 5001 --via bulkhead
try "the instance was not disturbed by any of this" in_b ping -q -c 2 -i 0.01 -W 2 $STACK
stack_stop
ok $? "stops cleanly"
done_testing
