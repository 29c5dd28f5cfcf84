#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the host. The kernel's own stack goes on working beside Bulkhead on the same
# interface; the interface is left as it was found, also after kill -9; an idle stack costs
# nothing; and every domain has lost what it does not need.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need nc ethtool
net_lock
net_up
HOST=10.77.0.11

looks() { # everything of the interface that we could have changed
    ip -n "$A" -d link show $IF | grep -v RTT
    ip -n "$A" addr show dev $IF | grep inet
    in_a ethtool -k $IF
}
no_xdp() { ! ip -n "$A" link show $IF | grep -q xdp; }
no_children() { ! alive "$@"; }
idle_cpu() { # at most four ticks of processor time in 3 s, all processes together
    local pids t0 t1
    mapfile -t pids < <(stack_pids)
    sleep 0.5
    t0=$(cpu_seconds "${pids[@]}" "$@")
    sleep 3
    t1=$(cpu_seconds "${pids[@]}" "$@")
    echo "used $t0 before, $t1 after"
    awk -v a="$t0" -v b="$t1" 'BEGIN { exit !(b - a < 0.045) }'
}
doors() { # anybody may ask to be a client, only root may command
    (cd "$BULKHEAD_RUN_DIR" && stat -c '%a %n' -- *.sock *.ctl) | tee /dev/stderr |
        sort | tr '\n' ' ' | grep -q '^600 [^ ]*\.ctl 666 [^ ]*\.sock $'
}
confined() { # pid
    local bad=0
    awk '/^Uid:/ && ($2 == 0 || $3 == 0 || $4 == 0) { print; bad = 1 }
         /^Cap(Inh|Prm|Eff|Bnd|Amb):/ && $2 !~ /^0+$/ { print; bad = 1 }
         /^NoNewPrivs:/ && $2 != 1 { print; bad = 1 }
         /^Seccomp:/ && $2 != 2 { print; bad = 1 }
         /^Groups:/ && NF > 1 { print; bad = 1 }
         END { exit bad }' "/proc/$1/status" || bad=1
    local ns
    for ns in user mnt net ipc uts pid; do
        [ "$(readlink "/proc/$1/ns/$ns")" != "$(readlink /proc/self/ns/$ns)" ] ||
            { echo "shares our $ns namespace"; bad=1; }
    done
    [ -z "$(ls -A "/proc/$1/root/" 2>/dev/null)" ] || { echo "its root is not empty"; bad=1; }
    return $bad
}

before=$(looks)
for c in $(compositions); do
    ip -n "$A" addr add $HOST/$PREFIX dev $IF
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    try "$c: the kernel's own address on the interface answers" in_b ping -q -c 2 -i 0.01 -W 2 $HOST
    bg_a nc -l -N "$HOST" 5005
    until_ok 3 in_b nc -z -w 1 "$HOST" 5005
    ok $? "$c: the kernel's own TCP on the interface works"
    try "$c: its sockets are open to whom they should be" doors
    try "$c: and Bulkhead's address, too" in_b ping -q -c 2 -i 0.01 -W 2 $STACK
    ip -n "$A" addr del $HOST/$PREFIX dev $IF

    for pid in $(stack_pids | tail -n +2); do
        name=$(tr '\0' '\n' <"/proc/$pid/cmdline" | head -n 1)
        try "$c: $name holds no privilege, no filesystem, no shared namespace" confined "$pid"
    done
    app "$(tool bulkhead-httpd)" --root "$WORK" --port 80 --via bulkhead
    httpd=$bg_pid
    wait_port 80
    try "$c: an idle stack with an idle program uses no processor" idle_cpu "$httpd"
    end_bg "$httpd"

    stack_stop
    ok $? "$c: SIGTERM ends it with status 0"
    try "$c: no XDP program is left" no_xdp
    ok "$([ "$(looks)" = "$before" ]; echo $?)" "$c: the interface is as it was"

    stack_start "$c" || { ok 1 "$c: starts again"; continue; }
    mapfile -t pids < <(stack_pids)
    kill -KILL "$daemon_pid"
    try "$c: kill -9 of the daemon ends every domain" until_ok 5 no_children "${pids[@]}"
    try "$c: kill -9 of the daemon leaves no XDP program" until_ok 3 no_xdp
    ok "$([ "$(looks)" = "$before" ]; echo $?)" "$c: the interface is as it was after kill -9"
    stack_start "$c"
    ok $? "$c: starts again after kill -9"
    stack_stop
done
done_testing
