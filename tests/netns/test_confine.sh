#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: a domain that turned hostile gets nothing beyond policy/syscalls.conf, meets nothing
# where it runs over the end of its memory, and one that fails by itself says why.
set -u
. "${top_srcdir:-.}/tests/tap.sh"
[ "$(id -u)" -eq 0 ] || skip_all "needs root to make namespaces"
probe=${top_builddir:-.}/tests/netns/confine_probe

case $("$probe" nic nothing) in
"exit 42"*) ;;
*) skip_all "cannot make a confined process here: $("$probe" nic nothing 2>&1)" ;;
esac

must() { # DOMAIN OUTCOME: the first line that the probe prints
    case $2:$1 in
    refused:* | for-clients:nic | for-clients:ip | for-nic:ip | for-nic:tcp | for-nic:udp | for-packet:*)
        echo "signal 31" ;;
    faults:*) echo "signal 11" ;;
    speaks:*) echo "exit 1" ;;
    *) echo "exit 42" ;;
    esac
}

while read -r attempt outcome <&3; do
    for d in nic ip tcp udp mono; do
        want=$(must $d "$outcome")
        got=$("$probe" $d "$attempt" 2>&1)
        [ "${got%%$'\n'*}" = "$want" ]
        ok $? "$d: $attempt: $want"
        [ "${got%%$'\n'*}" = "$want" ] || note "got: $got"
    done
done 3< <("$probe")

# The packet driver has other calls on its socket, and not those of the other one.
for d in nic mono; do
    for attempt in packet_in packet_out kick kick_in packet_pieces packet_to packets_to packet_ctl; do
        case $attempt in
        packet_in | packet_out) want="exit 42" ;;
        *) want="signal 31" ;;
        esac
        got=$("$probe" $d +$attempt 2>&1)
        [ "${got%%$'\n'*}" = "$want" ]
        ok $? "$d with the packet driver: $attempt: $want"
    done
done

# Every number that there is, made with zeros: two calls need no argument.
for d in nic tcp; do
    got=$("$probe" $d --others | sort | tr '\n' ' ')
    [ "$got" = "exit_group sched_yield " ]
    ok $? "$d: no system call but these two is made with zeros for arguments"
    note "$got"
done

[[ $("$probe" tcp assert 2>&1) == *"assertion failed: zero == 1 "* ]]
ok $? "tcp: a failed assertion is told to the supervisor, and is no segmentation fault"
[[ $("$probe" udp fatal 2>&1) == *"it is all over, because of 17"* ]]
ok $? "udp: last words"
[[ $("$probe" udp ptrace 2>&1) == *"refused 101"* ]] || [ "$(uname -m)" != x86_64 ]
ok $? "udp: which call was refused is told"
[ -z "$("$probe" ip old_abi | sed 1d | grep -v ready)" ]
ok $? "ip: a domain that is killed at once says nothing"
done_testing
