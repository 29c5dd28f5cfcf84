#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the default peer. A veth peer with checksum offload hands over unfinished checksums,
# which auto accepts and strict does not.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need curl ethtool
net_lock
net_up
in_b ethtool -K $IF tx off >/dev/null 2>&1 || skip_all "cannot set checksum offload here"
mkdir "$WORK/www"
head -c 4000000 /dev/urandom >"$WORK/www/f"
want=$(sha "$WORK/www/f")

fetch() {
    [ "$(in_b curl -sS -f -m 10 "http://$STACK:80/f" | sha)" = "$want" ]
}
connects() {
    in_b curl -sS -o /dev/null -m 2 "http://$STACK:80/f"
}

counted() {
    ctl stats | grep -E 'drop_checksum +[1-9]'
}

for c in $(compositions); do
    for mode in auto strict; do
        in_b ethtool -K $IF tx off >/dev/null 2>&1
        stack_start "$c" --checksum $mode || { ok 1 "$c, $mode: starts"; continue; }
        app "$(tool bulkhead-httpd)" --root "$WORK/www" --port 80 --via bulkhead
        httpd=$bg_pid
        until_ok 5 connects
        try "$c, checksum $mode, peer computes checksums: fetches" fetch
        in_b ethtool -K $IF tx on >/dev/null 2>&1
        if [ $mode = auto ]; then
            try "$c, checksum auto, peer leaves checksums out: fetches" fetch
        else
            try "$c, checksum strict, peer leaves checksums out: refuses" not connects
            try "$c, checksum strict: and counts them" counted
        fi
        end_bg "$httpd"
        stack_stop
        ok $? "$c, checksum $mode: stops cleanly"
    done
done
done_testing
