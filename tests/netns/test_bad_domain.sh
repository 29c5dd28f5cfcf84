#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the neighbours of a domain that an attacker took over (tests/hostile/bad_domain.c in
# its place, in its sandbox). Whatever it writes on its links and tells the supervisor, no other
# domain dies of it, and those that do not need it keep working: TCP beside a bad udp, UDP and
# ping beside a bad tcp.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need socat
case " $(compositions | tr '\n' ' ') " in *" factored "*) ;; *) skip_all "needs several domains" ;; esac
net_lock
net_up
TTCP=$(tool bulkhead-ttcp)
LAT=$(tool bulkhead-protolat)
BYTES=$(($(long 32 256) << 20))

programs() { # mode, domain: a folder of domains, one of them bad
    local dir=$WORK/$1
    mkdir -p "$dir"
    rm -f "$dir"/*
    local d
    for d in nic ip tcp udp; do
        ln -s "$build/bulkhead-$d" "$dir/bulkhead-$d"
    done
    rm "$dir/bulkhead-$2"
    cp "$build/tests/hostile/bad_domain" "$dir/bulkhead-$2"
    cp "$(tool bulkheadd)" "$dir/bulkheadd" # it takes the domains that lie beside it
}
is_bad() { # mode, domain
    local exe
    exe=$(readlink "/proc/$(domain_pid "$2")/exe")
    echo "$exe"
    [ "$exe" = "$WORK/$1/bulkhead-$2" ]
}
others() { # domain: processes of the others
    local d
    for d in nic ip tcp udp; do
        [ "$d" = "$1" ] || printf '%s %s\n' "$d" "$(domain_pid "$d")"
    done
}
tcp_transfer() {
    in_b timeout 60 "$TTCP" --transmit $STACK --port 5001 --bytes $BYTES --via kernel --json
}
udp_echo() {
    in_b timeout 60 "$LAT" --connect $STACK --udp --port 5002 --size 64 --count 2000 \
        --via kernel --json >"$WORK/lat" || return 1
    [ "$(json_get "$WORK/lat" lost)" = 0 ] || { cat "$WORK/lat"; return 1; }
}
pings() { in_b ping -q -c 20 -i 0.02 -W 2 $STACK; }
start() { # mode, domain
    bg_a "$WORK/$1/bulkheadd" --interface $IF --address $STACK/$PREFIX \
        --instance "$BULKHEAD_INSTANCE" --composition factored
    daemon_pid=$bg_pid
    daemon_log=$WORK/log.$bg_n
    if [ "$2" = nic ] || [ "$2" = ip ]; then # then nobody answers
        until_ok 5 is_bad "$1" "$2" && sleep 0.5 && alive "$daemon_pid"
    else
        until_ok 10 in_b ping -c 1 -W 1 -q $STACK
    fi
}

for mode in ${BH_MODES:-garbage rings talk accuse deaf}; do
    for bad in udp tcp ip nic; do
        programs $mode $bad
        start $mode $bad || { ok 1 "$mode $bad: starts"; note "$(tail -n 20 "$daemon_log")"; stack_stop; continue; }
        [ $mode = rings ] || [ $mode = accuse ] || try "$mode $bad: it is the bad one" is_bad $mode $bad
        others $bad >"$WORK/before"
        server=
        if [ $bad = udp ]; then
            app "$TTCP" --receive --port 5001 --via bulkhead --verify --json
            server=$bg_pid log=$WORK/log.$bg_n
            wait_a 5001
            [ $mode != accuse ] || sleep 1
            try "$mode udp: TCP goes on, every byte compared" tcp_transfer
            try "$mode udp: and again" tcp_transfer
            ok "$(! grep -Ei 'differ|corrupt|wrong|mismatch' "$log"; echo $?)" "$mode udp: nothing differs"
        elif [ $bad = tcp ]; then
            app "$LAT" --serve --udp --port 5002 --via bulkhead
            server=$bg_pid
            wait_a 5002
            if [ $mode = accuse ]; then # what was under way when ip was ended is lost
                sleep 3
                try "$mode tcp: UDP goes on" until_ok 10 udp_echo
            else
                try "$mode tcp: UDP goes on, nothing is lost" udp_echo
            fi
        else
            sleep $([ $mode = accuse ] && echo 4 || echo 2)
        fi
        [ $bad = nic ] || [ $bad = ip ] || try "$mode $bad: ip answers" pings
        ok "$(alive "$daemon_pid"; echo $?)" "$mode $bad: the supervisor lives"
        others $bad >"$WORK/after"
        if [ $mode = accuse ]; then # it is believed a few times, no more
            n=$(grep -c "was killed: $bad says" "$daemon_log")
            ok "$([ "$n" -le 6 ]; echo $?)" "$mode $bad: $n of its neighbours were started anew on its word"
        else
            try "$mode $bad: no other domain died" diff "$WORK/before" "$WORK/after" ||
                note "$(tail -n 30 "$daemon_log")"
        fi
        ok "$(! grep -Eq 'SIGSEGV|SIGABRT|SIGBUS|SIGSYS|assertion|stack overrun' "$daemon_log"; echo $?)" \
            "$mode $bad: nobody crashed"
        ok "$(! grep -q "$(printf '\033')" "$daemon_log"; echo $?)" "$mode $bad: its words do no harm in the log"
        [ -z "$server" ] || end_bg "$server"
        stack_stop
        ok $? "$mode $bad: stops cleanly"
    done
done
done_testing
