#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: a domain that turned hostile gets nothing beyond policy/syscalls.conf, and one
# that fails by itself says why.
set -u
. "${top_srcdir:-.}/tests/tap.sh"
[ "$(id -u)" -eq 0 ] || skip_all "needs root to make namespaces"
probe=${top_builddir:-.}/tests/netns/confine_probe
SIGSYS="signal 31"

ends() { # DOMAIN ATTEMPT EXPECTED-FIRST-LINE
    local got
    got=$("$probe" "$1" "$2" 2>&1)
    [ "${got%%$'\n'*}" = "$3" ]
    ok $? "$1: $2: $3"
    [ "${got%%$'\n'*}" = "$3" ] || note "got: $got"
}

case $("$probe" nic nothing) in
"exit 42"*) ;;
*) skip_all "cannot make a confined process here: $("$probe" nic nothing 2>&1)" ;;
esac

for a in $("$probe"); do
    case $a in
    nothing | assert | fatal) ;;
    *) ends nic "$a" "$SIGSYS" ;;
    esac
done
for d in nic ip tcp udp mono; do
    ends $d nothing "exit 42"
    ends $d open "$SIGSYS"
    ends $d exec "$SIGSYS"
    ends $d mmap-exec "$SIGSYS"
done
for d in tcp udp mono; do
    ends $d mmap "exit 42"
    ends $d seals "exit 42"
    ends $d dup "$SIGSYS"
done
ends ip mmap "$SIGSYS"
ends tcp send-data "$SIGSYS"

[[ $("$probe" tcp assert 2>&1) == "exit 1"*"assertion failed: zero == 1 "* ]]
ok $? "tcp: a failed assertion is told to the supervisor, and is no segmentation fault"
[[ $("$probe" udp fatal 2>&1) == "exit 1"*"it is all over, because of 17"* ]]
ok $? "udp: last words"
[ -z "$("$probe" ip old-abi | sed 1d | grep -v ready)" ]
ok $? "ip: a killed domain says nothing"
done_testing
