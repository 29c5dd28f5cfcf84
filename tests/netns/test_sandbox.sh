#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: bulkheadctl sandbox finds nothing in a domain that runs, with clients attached and after
# a restart, and finds in any other process what that one could do.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need
net_lock
net_up
LAT=$(tool bulkhead-protolat)

clean() { # every domain of the composition is there, and nothing is too much
    ctl sandbox >"$WORK/box" 2>&1 || { cat "$WORK/box"; return 1; }
    local d
    for d in supervisor $domains; do
        grep -q "^$d, pid " "$WORK/box" || { echo "no $d"; return 1; }
    done
    ! grep '^!' "$WORK/box"
}
finds() { grep -q "^! process: .*$1" "$WORK/box"; }

for c in $(compositions); do
    domains=$([ "$c" = factored ] && echo "nic ip tcp udp" || echo mono)
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    try "$c: nothing is too much" clean
    app "$LAT" --serve --udp --port 5002 --via bulkhead
    wait_a 5002
    app "$LAT" --serve --tcp --port 5003 --via bulkhead
    wait_a 5003
    try "$c: nor with clients" clean
    for d in $domains; do
        try "$c: $d: restarts" ctl restart "$d"
    done
    try "$c: nor after restarts" clean
    note "$(cat "$WORK/box")"
    ctl --json sandbox >"$WORK/json"
    grep -q '"permitted": "00000000000000c0"' "$WORK/json"
    ok $? "$c: the supervisor keeps two capabilities, for a domain's uid and gid"
    stack_stop
    ok $? "$c: stops cleanly"
done

bg sleep 60
ctl sandbox "$bg_pid" >"$WORK/box" 2>&1
ok "$([ $? -eq 1 ]; echo $?)" "an ordinary process of root: exit status 1"
for what in "has capabilities" "may gain privileges" "not filtered" "is root" \
    "no user namespace" "no mnt namespace" "no net namespace" "no pid namespace" \
    "no cgroup namespace" "root directory is not empty" "uid_map" "descriptor . is /" \
    "Max processes" "filesystems"; do
    try "and it is found: $what" finds "$what"
done
ctl sandbox 999999999 >"$WORK/box" 2>&1
ok "$([ $? -eq 1 ]; echo $?)" "no such process: exit status 1"
done_testing
