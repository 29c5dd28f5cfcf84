#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: a socket handed from one process to another, under another user, on the real domains: a
# parent opens port 80, a worker serves the kernel's curl, the parent takes it back.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl
net_lock
net_up

handed_over() {
    local out n
    app "$(tool tests/netns/hand_over)" 80 65534
    out=$WORK/log.$bg_n
    for n in $(seq 100); do
        grep -q '^worker: uid 65534 serves' "$out" && break
        sleep 0.1
    done
    local got
    got=$(in_b curl -sS -m 5 "http://$STACK/")
    for n in $(seq 50); do
        grep -q '^worker: accept' "$out" && break
        sleep 0.1
    done
    cat "$out"
    [ "$got" = worker ] || { echo "curl got: $got"; return 1; }
    grep -q '^worker: accept: ECONNABORTED' "$out"
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    try "$c: a worker serves the port that its parent opened, until that takes it back" handed_over
    stack_stop
done
done_testing
