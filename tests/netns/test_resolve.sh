#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: names are asked for over the stack, from its address, and come out as libc's own
# functions give them where the kernel asks the same server; numbers and /etc/hosts ask nobody; a
# name server that the rules leave to the kernel is asked by the kernel.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need python3 unshare
for f in resolv.conf hosts nsswitch.conf; do
    [ -f /etc/$f ] || skip_all "no /etc/$f to put another one over"
done
net_lock
net_up
stack=$build/tests/netns/resolve_try
plain=$build/tests/netns/resolve_plain
mkdir "$WORK/etc"
cat >"$WORK/etc/hosts" <<END
127.0.0.1 localhost
10.9.9.9 filed.test filed
2001:db8::9 filed6.test
10.9.9.8 a-too.test
END
printf 'hosts: files mdns4_minimal [NOTFOUND=return] dns\nservices: files\n' \
    >"$WORK/etc/nsswitch.conf"
printf 'nameserver %s\nsearch test\noptions timeout:1 attempts:2\n' $PEER >"$WORK/etc/resolv.conf"

# With the files of $WORK/etc over the system's.
with_etc() { # COMMAND...
    unshare -m sh -c 'for f in resolv.conf hosts nsswitch.conf; do
            mount --bind "$0/$f" "$(readlink -f /etc/$f)" || exit 99
        done; exec "$@"' "$WORK/etc" "$@"
}
of_stack() { with_etc ip netns exec "$A" timeout 60 "$stack" "$@"; }
of_kernel() { with_etc ip netns exec "$B" timeout 60 "$plain" "$@"; }

bg_b python3 "$top_srcdir/tests/netns/dns_server.py" $PEER
dns_log=$WORK/log.$bg_n
wait_b 53

questions() { wc -l <"$dns_log"; }
same() { # what the stack gives is what the kernel gives
    diff <(of_kernel "$@" 2>&1 | sort) <(of_stack "$@" 2>&1 | sort) >"$WORK/diff" && return
    echo "kernel < > stack"
    cat "$WORK/diff"
    return 1
}
unchanged() { with_etc ip netns exec "$A" timeout 60 "$(tool bulkhead-run)" "$@"; }
same_program() {
    diff <(with_etc ip netns exec "$B" timeout 60 "$@" 2>&1 | sort) \
        <(unchanged "$@" 2>&1 | sort)
}
program_asks() {
    local before
    before=$(questions)
    unchanged python3 -c 'import socket; print(socket.getaddrinfo("both.test", 80))' || return
    tail -n +$((before + 1)) "$dns_log" | tee "$WORK/asked"
    grep -q "^udp $STACK " "$WORK/asked" && ! grep -qv " $STACK " "$WORK/asked"
}
gives() { # PATTERN ARGUMENTS...
    local out
    out=$(of_stack "${@:2}" 2>&1)
    printf '%s\n' "$out"
    printf '%s\n' "$out" | grep -Eq "$1"
}
asks() { # SOURCE PROTOCOL ARGUMENTS...: the server is asked, and only from there
    local before
    before=$(questions)
    of_stack "${@:3}"
    tail -n +$((before + 1)) "$dns_log" | tee "$WORK/asked"
    grep -q "^$2 $1 " "$WORK/asked" && ! grep -qv " $1 " "$WORK/asked"
}
asks_nobody() { # ERROR ARGUMENTS...
    local before
    before=$(questions)
    of_stack "${@:2}" | tee "$WORK/got"
    sleep 0.2
    [ "$(questions)" -eq "$before" ] && grep -qx "error $1" "$WORK/got"
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    try "$c: the question comes from the stack's address" \
        asks $STACK udp gai a.test 80 4 1 -
    try "$c: a long answer comes over TCP, from there as well" \
        asks $STACK tcp gai big.test 80 4 1 -
    try "$c: a question in reverse, too" asks $STACK udp gni 10.1.1.1 80 -
    # (fail and mute with a dot: libc alone goes on with the search list after a failure, and then
    # says "no such name".)
    for args in "a.test http 4 1 -" "a.test 80 0 0 c" "a.test - 0 0 -" "many.test 80 4 2 -" \
        "six.test 80 6 1 -" "both.test 80 0 1 -" "both.test 80 0 1 g" "both.test 80 4 1 -" \
        "alias.test 80 0 1 c" "alias.test 80 4 1 -" "short 80 4 1 c" "big.test 80 4 1 -" \
        "a.test 80 6 1 -" "a.test 80 6 1 4" "both.test 80 6 1 4a" "both.test 80 6 1 4" \
        "a.test - 0 0 N" "six.test 80 4 1 -" "six.test 80 0 1 g" "nodata.test 80 4 1 -" \
        "nodata.test 80 0 1 -" "nothing.test 80 0 1 -" "fail.test. 80 4 1 -" \
        "mute.test. 80 4 1 -" "a.test. 80 4 1 c" "a.test nosuchservice 4 1 -" "a.test http 4 1 s" "a.test 80 4 1 x" \
        "a.test 80 4 99 -" "filed.test 80 0 1 c" "filed 80 0 1 c" "filed6.test 80 0 1 -" \
        "filed.test 80 6 1 -" "filed.test 80 6 1 4" "a-too.test 80 4 1 -" "localhost 80 4 1 -" \
        "10.1.2.3 80 0 1 c" "10.1.2.3 80 6 1 -" "10.1.2.3 80 6 1 4" "2001:db8::1 80 0 1 -" \
        "::1 80 4 1 -" "a.test 80 0 1 n" "- 80 0 1 p" "- 80 4 1 -" "- 80 4 1 pg" "- - 0 0 -" \
        "a..test 80 4 1 -" "127.1 80 4 1 -"; do
        # shellcheck disable=SC2086
        try "$c: getaddrinfo $args: as on the kernel" same gai $args
    done
    for args in "gni 10.1.1.1 80 -" "gni 10.1.1.1 80 h" "gni 10.1.1.9 80 -" "gni 10.1.1.9 80 n" \
        "gni 2001:db8::6 22 -" "gni ::ffff:10.1.1.1 80 -" "gni 10.9.9.9 80 -" "gni 10.1.1.1 80 s" \
        "host a.test 4" "host many.test 4" "host alias.test 4" "host six.test 6" \
        "host six.test 4" "host nothing.test 4" "host nodata.test 4" "host fail.test. 4" \
        "host filed 4" "host filed6.test 6" "host 10.1.2.3 4" "host ::1 4" "host short 4" \
        "addr 10.1.1.1" "addr 10.9.9.9" "addr 10.1.1.9" "addr 2001:db8::6" \
        "addr 10.7.7.7" "addr 10.7.7.8" "gni 10.7.7.7 80 -" "gni 10.7.7.8 80 -" \
        "gni 10.7.7.8 80 n"; do
        # shellcheck disable=SC2086
        try "$c: $args: as on the kernel" same $args
    done
    try "$c: a name in the hosts file asks nobody" asks_nobody 0 gai filed.test 80 4 1 -
    try "$c: a number asks nobody" asks_nobody 0 gai 10.1.1.1 80 0 1 -
    try "$c: an address in the hosts file asks nobody" asks_nobody 0 gni 10.9.9.9 80 -
    try "$c: addresses of IPv4 come first" gives '^2 1 6 10.1.1.3 80' gai both.test 80 0 1 -
    try "$c: thirty threads at once" same threads 30 many.test
    try "$c: parent and child" same fork many.test

    # Programs, unchanged.
    for args in "getent ahosts a.test" "getent ahostsv4 many.test" "getent hosts alias.test" \
        "getent hosts 10.1.1.1" "getent hosts filed.test"; do
        # shellcheck disable=SC2086
        try "$c: $args: as on the kernel" same_program $args
    done
    try "$c: a program's question comes from the stack's address" program_asks

    # Other files.
    cp -r "$WORK/etc" "$WORK/saved"
    printf 'hosts: files\n' >"$WORK/etc/nsswitch.conf"
    try "$c: without dns in nsswitch.conf nobody is asked" asks_nobody -2 gai a.test 80 4 1 -
    printf 'hosts: dns files\n' >"$WORK/etc/nsswitch.conf"
    echo "10.9.9.7 a.test" >>"$WORK/etc/hosts"
    try "$c: dns before files: the server has the say" gives ' 10.1.1.1 ' gai a.test 80 4 1 -
    try "$c: and the file what the server has not" gives ' 10.9.9.9 ' gai filed.test 80 4 1 -
    printf 'hosts: files dns\n' >"$WORK/etc/nsswitch.conf"
    try "$c: files before dns: the file has the say" gives ' 10.9.9.7 ' gai a.test 80 4 1 -
    rm -r "$WORK/etc" && mv "$WORK/saved" "$WORK/etc"

    # A server at loopback is the kernel's.
    bg_a python3 "$top_srcdir/tests/netns/dns_server.py" 127.0.0.53
    local_server=$bg_pid
    remote_log=$dns_log
    dns_log=$WORK/log.$bg_n
    until_ok 10 bash -c "ip netns exec $A ss -Hlnu | grep -q 127.0.0.53"
    sed -i "s/^nameserver .*/nameserver 127.0.0.53/" "$WORK/etc/resolv.conf"
    try "$c: a name server at loopback is asked by the kernel" \
        asks 127.0.0.1 udp gai a.test 80 4 1 -
    sed -i "s/^nameserver .*/nameserver 127.0.0.99/" "$WORK/etc/resolv.conf"
    try "$c: one that is not there: try again" gives '^error -3$' gai a.test 80 4 1 -
    sed -i "s/^nameserver .*/nameserver 127.0.0.99\nnameserver $PEER/" "$WORK/etc/resolv.conf"
    try "$c: then the next one is asked" gives ' 10.1.1.1 ' gai a.test 80 4 1 -
    end_bg "$local_server"
    dns_log=$remote_log
    sed -i '/127.0.0.99/d' "$WORK/etc/resolv.conf"
    printf 'kernel udp to %s port 53\n' $PEER >"$WORK/rules"
    BULKHEAD_RULES=$WORK/rules try "$c: the rules decide who asks" \
        gives '^error -3$' gai a.test 80 4 1 -
    stack_stop
    ok $? "$c: stops cleanly"
done

# No daemon at all.
BULKHEAD_INSTANCE=nobody try "without a daemon: try again" gives '^error -3$' gai a.test 80 4 1 -
fallback() {
    with_etc ip netns exec "$B" env BULKHEAD_INSTANCE=nobody BULKHEAD_FALLBACK=1 timeout 60 \
        "$stack" gai a.test 80 4 1 - | grep ' 10.1.1.1 '
}
try "with --fallback the kernel asks" fallback
done_testing
