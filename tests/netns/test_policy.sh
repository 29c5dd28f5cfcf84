#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: what an account does not allow does not happen, with real programs under users of
# their own: ports, peers, rates, cgroups. The log names the line that decided, once. A new file
# holds for those who are attached too; a file with a mistake changes nothing.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need setpriv nc
net_lock
net_up
TTCP=$(tool bulkhead-ttcp)
WEB=61001 BULK=61002 OUT=61003 GROUPED=61004 SLOW=61005 QUICK=61006
FOE=$build/tests/hostile/foe
F=$WORK/accounts.conf

# A cgroup of our own, of whichever kind there is.
cgroup=
for mount in "" /unified /pids /freezer; do
    [ -e "/sys/fs/cgroup$mount/cgroup.procs" ] && mkdir "/sys/fs/cgroup$mount/bh$$-pol" 2>/dev/null ||
        continue
    cgroup=/sys/fs/cgroup$mount/bh$$-pol
    case $mount in
    /pids | /freezer) cgroup_name=${mount#/}:/bh$$-pol ;;
    *) cgroup_name=/bh$$-pol ;;
    esac
    break
done
trap 'net_down; [ -z "$cgroup" ] || rmdir "$cgroup/below" "$cgroup" 2>/dev/null' EXIT

accounts() { # ports of web; bulk is denied?; bandwidth
    cat >"$F" <<END
account "out" { uids = {"$OUT"} deny = true }
account "web" {
    uids = {"$WEB"}
    ports = {$1}
    listen = {80, 5001}
    peers = {"$PEER tcp 6001"}
    accept = {"$PEER"}
    connects = 1
    connects_burst = 2
}
account "bulk" {
    uids = {"$BULK"}
    deny = $2
    ports = {"any"}
    listen = {"any"}
    peers = {"any"}
    accept = {"any"}
    bandwidth = "8M"
}
account "grouped" {
    uids = {"$GROUPED"}
    cgroups = {"${cgroup_name:-/none}"}
    ports = {"any"}
    listen = {"any"}
}
account "slow" { uids = {"$SLOW"} peers = {"any"} attaches = 4 attaches_burst = 2 }
account "quick" { uids = {"$QUICK"} peers = {"any"} attaches = any }
END
}
run_as() { # uid, ttcp arguments: in A, its words in $WORK/out
    local uid=$1
    shift
    in_a timeout 20 setpriv --reuid "$uid" --regid "$uid" --clear-groups "$TTCP" "$@" \
        >"$WORK/out" 2>&1 </dev/null
}
serve_as() { # uid, port
    app setpriv --reuid "$1" --regid "$1" --clear-groups "$TTCP" --receive --port "$2"
}
fails_with() { # pattern, uid, ttcp arguments
    local pattern=$1
    shift
    if run_as "$@"; then
        return 1
    fi
    grep -Eqi -- "$pattern" "$WORK/out" || { cat "$WORK/out"; return 1; }
}
logged() { # fixed text
    until_ok 2 grep -qF -- "$1" "$daemon_log" || { tail -n 5 "$daemon_log"; return 1; }
}
lines() { grep -cF -- "$1" "$daemon_log"; }
counter() { # account, counter
    ctl --json stats | tr -d '\n' | sed 's/.*"accounts"//' | grep -o "{[^{]*{[^}]*}[^}]*}" |
        grep "\"name\": \"$1\"" | grep -o "\"$2\": [0-9]*" | sed 's/.*: //'
}
read_twice() { [ "$(lines 'clients follow them')" = 2 ]; }
is() { # wanted, got
    [ "$1" = "$2" ] || { echo "wanted $1, got $2"; return 1; }
}
sends() { # uid, port: a small transfer out
    run_as "$1" --transmit $PEER --port "$2" --bytes 10K || { cat "$WORK/out"; return 1; }
}
many_as() { # uid, how many, port, bytes: transfers out at once; "pid:log" of each in many
    local i
    many=()
    for i in $(seq "$2"); do
        app setpriv --reuid "$1" --regid "$1" --clear-groups "$TTCP" --transmit $PEER --port "$3" \
            --bytes "$4"
        many+=("$bg_pid:$WORK/log.$bg_n")
    done
}
takes() { # port: a small transfer in, from B's kernel
    in_b timeout 10 "$TTCP" --transmit $STACK --port "$1" --bytes 10K --via kernel >/dev/null
}
attach_as() { # uid, seconds: attaches and leaves, and says how often; in $bg_pid, its log $foe_log
    app timeout 20 setpriv --reuid "$1" --regid "$1" --clear-groups "$FOE" attach "$2"
    foe_log=$WORK/log.$bg_n
}
rounds() { sed -n 's/^attach: \([0-9]*\) rounds$/\1/p' "$1"; }
within() { # least, most, got
    echo "$3, wanted $1 to $2"
    [ "${3:-0}" -ge "$1" ] && [ "$3" -le "$2" ]
}
took_at_least() { # seconds x 10, command
    local least=$1 from
    from=$(date +%s%N)
    shift
    "$@" || return 1
    local tenths=$((($(date +%s%N) - from) / 100000000))
    echo "took $tenths tenths of a second"
    [ $tenths -ge "$least" ]
}

try "policy check: the built-in file" ctl policy check "${top_srcdir:-.}/policy/accounts.conf"
printf 'account "a" {\n  ports = {"tcp 80", "tcp eighty"}\n}\n' >"$WORK/bad.conf"
ctl policy check "$WORK/bad.conf" >"$WORK/out" 2>&1
is 2 $? >/dev/null && grep -q "bad.conf:2:22: .*\"tcp eighty\".*\"tcp 80\"" "$WORK/out"
ok $? "policy check: a mistake has its line, its column and a remedy, exit status 2"

for c in $(compositions); do
    accounts '"tcp 5001-5002"' false
    printf 'accounts = "%s"\n' "$F" >"$WORK/b.conf"
    stack_start "$c" -c "$WORK/b.conf" || { ok 1 "$c: starts"; continue; }

    # ---- who ----
    try "$c: a denied user cannot attach" fails_with "account" $OUT --receive --port 5001
    try "$c: nor can one whom no account names" fails_with "account" 61009 --receive --port 5001
    try "$c: the log names the account and its line" logged "account \"out\" ($F:1)"

    # ---- ports ----
    serve_as $WEB 5001
    web=$bg_pid
    try "$c: a port that is named serves" until_ok 5 takes 5001
    end_bg "$web"
    for _ in 1 2 3; do
        fails_with "permission denied" $WEB --receive --port 80
    done
    ok $? "$c: a port that is not named: EACCES"
    try "$c: bind is logged with its rule" \
        logged "bind to tcp port 80 denied by account \"web\" ($F:4)"
    try "$c: once, of three times" is 1 "$(lines 'bind to tcp port 80 denied')"
    try "$c: and counted three times" is 3 "$(counter web denied_ports)"
    try "$c: to listen is another right" fails_with "permission denied" $WEB --receive --port 5002
    try "$c: and another rule" logged "listen on tcp port 5002 denied by account \"web\" ($F:5)"

    # ---- peers and rates ----
    bg_b "$TTCP" --receive --port 6002 --via kernel
    other=$bg_pid
    wait_b 6002
    try "$c: a peer's port that is not named: EPERM" \
        fails_with "not permitted" $WEB --transmit $PEER --port 6002 --bytes 1
    try "$c: its rule is logged" \
        logged "connection to $PEER tcp port 6002 denied by account \"web\" ($F:6)"
    bg_b "$TTCP" --receive --port 6001 --via kernel
    late=$bg_pid
    wait_b 6001
    many_as $WEB 8 6001 10K
    went=0 early=0
    for i in "${many[@]}"; do
        wait "${i%%:*}" && went=$((went + 1))
        ! grep -q "temporarily unavailable" "${i#*:}" || early=$((early + 1))
    done
    ok "$([ $went -ge 2 ] && [ $early -ge 1 ] && [ $((went + early)) -eq 8 ]; echo $?)" \
        "$c: of eight at once, each a process of its own, some are too early: EAGAIN"
    note "$went went, $early were too early"
    try "$c: and its rule is logged" logged "denied by account \"web\" ($F:8)"
    sleep 1.2
    try "$c: later there is one more" sends $WEB 6001
    end_bg "$late" "$other"
    bg_b "$TTCP" --receive --port 6003 --via kernel
    wait_b 6003
    try "$c: 3 MB at 8 Mbit/s take their time, and arrive" \
        took_at_least 25 run_as $BULK --transmit $PEER --port 6003 --bytes 3000000
    try "$c: every byte of them" until_ok 5 grep -q "received 3000000 bytes" "$WORK/log.$bg_n"
    end_bg "$bg_pid"

    # ---- attaching ----
    attach_as $SLOW 3
    slow=$bg_pid slow_log=$foe_log
    attach_as $QUICK 2
    wait "$bg_pid"
    try "$c: who has no rate attaches as often as it goes, beside" within 60 1000000 "$(rounds "$foe_log")"
    wait "$slow"
    try "$c: who has one waits: 4 a second, and 2 at once" within 5 15 "$(rounds "$slow_log")"
    try "$c: and the log says so" logged "account \"slow\" ($F:26) attaches more than 4 times a second"
    many_as $SLOW 30 6009 1
    early=0
    for i in "${many[@]}"; do
        wait "${i%%:*}"
        ! grep -q 'account "slow" may attach 4 times a second' "${i#*:}" || early=$((early + 1))
    done
    try "$c: of thirty at once those who would wait too long are told so" within 4 12 $early

    # Those that hang up while they wait would have had the turns of the next three seconds.
    many_as $SLOW 14 6009 1
    sleep 0.5 # until all have asked; one that was not started yet would run this shell's trap
    end_bg "${many[@]%%:*}"
    attach_as $SLOW 2
    wait "$bg_pid"
    try "$c: who hangs up while it waits leaves its turn to others" within 4 20 "$(rounds "$foe_log")"

    # ---- cgroups ----
    if [ -n "$cgroup" ]; then
        mkdir -p "$cgroup/below" 2>/dev/null
        try "$c: outside of the cgroup: no account" fails_with account $GROUPED --receive --port 7000
        # Entered from outside: in the namespace there is another /sys.
        bg sh -c "echo \$\$ >$cgroup/below/cgroup.procs && exec ip netns exec $A setpriv \
            --reuid $GROUPED --regid $GROUPED --clear-groups $TTCP --receive --port 7000"
        grouped=$bg_pid
        try "$c: below the cgroup: attached" wait_a 7000
        end_bg "$grouped"
    else
        ok 0 "$c: cgroups # SKIP no cgroup can be made here"
    fi

    # ---- another file ----
    serve_as $BULK 5003
    bulk=$bg_pid
    wait_a 5003
    serve_as $WEB 5001
    web=$bg_pid
    wait_a 5001
    cp "$F" "$WORK/good" && printf 'account "web" { }\n' >>"$F"
    ctl reload >"$WORK/out" 2>&1
    is 1 $? >/dev/null && grep -q "accounts.conf:28:9: .*line 2" "$WORK/out"
    ok $? "$c: reload of a file with a mistake says where, and fails"
    try "$c: and the old one holds" fails_with "permission denied" $WEB --receive --port 80
    try "$c: nobody was cut off" alive "$bulk"
    accounts '"tcp 80"' true
    try "$c: reload" ctl reload
    try "$c: whose account denies now is cut off" until_ok 5 not alive "$bulk"
    try "$c: who listens goes on" takes 5001
    end_bg "$web"
    serve_as $WEB 80
    web=$bg_pid
    try "$c: new rules hold: port 80 may be bound" wait_a 80
    accounts '"tcp 5001"' true
    kill -HUP "$daemon_pid"
    try "$c: SIGHUP reads the file again" until_ok 5 read_twice
    try "$c: who has the port keeps it" takes 80
    end_bg "$web"
    try "$c: nobody else gets it" fails_with "permission denied" $WEB --receive --port 80
    ctl policy show >"$WORK/out" 2>&1
    try "$c: policy show says it" grep -q "binds *tcp port 5001" "$WORK/out"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
