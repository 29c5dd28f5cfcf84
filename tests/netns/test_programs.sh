#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: other people's programs, not recompiled, do on the stack what they do on the kernel
# (programs.tab says which and what), all their sockets are on the stack and none on the kernel,
# and none stays behind. STACK=kernel|factored|monolithic runs one of them, without it all: the
# kernel is the reference that says whether a row can hold. ROW=REGEX runs only rows whose name
# and side match; TABLE=FILE rows of another table. A row that programs.differences names runs as
# well; if it fails, it counts as skipped.
set -u
stacks=${STACK:-}
. "${top_srcdir:-.}/tests/netns/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
. "$here/programs.sh"

PY=/usr/bin/python3
[ -x $PY ] || PY=python3
net_need ss setsid sha256sum $PY
net_lock
net_up
PROGRAMS=$here/programs
WWW=$WORK/www
PGBIN=$(find /usr/lib/postgresql -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
T=$(long 1 5)
MANY=$(long 5000 50000)
RUN=${BULKHEAD_RUN:-$build/bulkhead-run}
mkdir "$WWW"
head -c $((16 << 20)) /dev/urandom >"$WWW/big"
head -c 1024 /dev/urandom >"$WWW/small"
BIG_SHA=$(sha256sum <"$WWW/big" | cut -d' ' -f1)
export LC_ALL=C
touch "$WORK/left-behind"

helpers=()
helper() { # namespace, command: a further program of a row, on the kernel
    setsid ip netns exec "$@" >>"$D/helpers" 2>&1 </dev/null 9>&- &
    helpers+=($!)
    bg_all+=($!)
}

# --- what is proved beyond the row's own proof ---

kernel_sockets() { # of A, those that can leave it; not what the kernel's own turn left behind
    in_a ss -tuanH | awk '$5 !~ /^(127\.|\[::1\]|\[::ffff:127\.)/ { print $1, $5, $6 }' |
        grep -vxFf "$WORK/left-behind"
}
watch_kernel() { # until it is ended
    while :; do
        kernel_sockets >>"$D/kernel-sockets"
        sleep 0.2
    done
}
counters() { # accepted, connected, and bytes of datagrams (monolithic: of all)
    ctl --json stats | $PY -c '
import json, sys
sums = [0, 0, 0]
for d in json.load(sys.stdin)["domains"]:
    c = d["counters"]
    sums[0] += c["tcp_accepted"]
    sums[1] += c["tcp_connected"]
    if d["name"] in ("udp", "mono"):
        sums[2] += c["bytes_rx"] + c["bytes_tx"]
print(*sums)'
}
was_on_stack() { # before: what the counters said
    local a0 c0 d0 a1 c1 d1
    read -r a0 c0 d0 <<<"$1"
    read -r a1 c1 d1 <<<"$(counters)"
    echo "accepted $((a1 - a0)), connected $((c1 - c0)), bytes of datagrams $((d1 - d0))"
    case $name in *datagrams*) ;; *)
        { [ "$side" = client ] || [ $((a1 - a0)) -ge 1 ]; } &&
            { [ "$side" = server ] || [ $((c1 - c0)) -ge 1 ]; } || return 1
        ;;
    esac
    case $name in *datagrams* | *" -u"*) [ $((d1 - d0)) -gt 100000 ] || return 1 ;; esac
    kernel_sockets >>"$D/kernel-sockets"
    if [ -s "$D/kernel-sockets" ]; then
        echo "in the kernel's table:"
        sort "$D/kernel-sockets" | uniq -c | head
        return 1
    fi
}
gone() { # but for what TCP itself keeps for a minute
    ! ctl sessions | awk 'NR > 1 && $2 != "TIME-WAIT"' | grep -Eq ":$PORT "
}

# --- a row ---

listening() {
    if [ "$stack" != kernel ] && [ "$side" != client ]; then
        ctl sessions | grep -Eq "^(tcp +LISTEN|udp) .*:$PORT +\*:\*"
    elif [ "$side" = client ]; then
        in_b ss -Hlntu | grep -Eq ":$PORT "
    else
        in_a ss -Hlntu | grep -Eq ":$PORT "
    fi
}

listening_or_dead() { listening || ! alive "$server_pid"; }

place() { # which of the two: sets $ns and $run
    ns=$B run=()
    if [ "$side" = both ] || [ "$side" = "$1" ]; then
        ns=$A
        [ "$stack" = kernel ] || run=("$RUN" --instance "$BULKHEAD_INSTANCE" --)
    fi
}

row_serve() {
    local words ns run
    place server
    eval "words=($server)"
    setsid ip netns exec "$ns" "${run[@]}" "${words[@]}" >"$D/server" 2>&1 </dev/null 9>&- &
    server_pid=$!
    bg_all+=("$server_pid")
    until_ok 20 listening_or_dead
    listening || { echo "the server does not listen"; return 1; }
}

row_load() {
    local words ns run rc=0 other=
    place client
    eval "words=($client)"
    if [ "$beside" != - ]; then
        "$beside" >"$D/beside" 2>&1 &
        other=$!
    fi
    timeout "$(long 30 120)" ip netns exec "$ns" "${run[@]}" "${words[@]}" \
        >"$D/out" 2>"$D/err" </dev/null 9>&- || rc=$?
    [ $rc -eq 0 ] || echo "client: exit status $rc"
    if [ -n "$other" ] && ! wait $other; then
        echo "$beside failed: $(cat "$D/beside")"
        rc=1
    fi
    return $rc
}

row_end() {
    local pid
    for pid in "$server_pid" "${helpers[@]}"; do
        [ -n "$pid" ] || continue
        kill -TERM "$pid" 2>/dev/null
        until_ok 5 not alive "$pid"
        kill -KILL -- "-$pid" 2>/dev/null # and its children
        wait "$pid" 2>/dev/null
    done
    helpers=()
}

row() { # 0: holds
    local rc=0 before= watcher= words
    server_pid=
    peer_ns=$B
    [ "$prepare" = - ] || "$prepare" || { echo "$prepare failed"; return 1; }
    if [ "$stack" != kernel ]; then
        before=$(counters)
        watch_kernel &
        watcher=$!
    fi
    if row_serve && row_load; then
        eval "words=($proof)" # now that a pattern finds the files
        "${words[@]}" || { echo "proof: $proof"; rc=1; }
    else
        rc=1
    fi
    if [ "$stack" != kernel ]; then
        kill "$watcher"
        wait "$watcher" 2>/dev/null
        was_on_stack "$before" || rc=1
    fi
    row_end
    if [ "$stack" != kernel ]; then
        until_ok 5 gone || { echo "sessions stay behind:"; ctl sessions; rc=1; }
    fi
    [ $rc -eq 0 ] || tail -n 5 "$D/server" "$D/err" "$D/out" 2>/dev/null |
        tr -cd '[:print:]\n' | cut -c 1-300
    return $rc
}

missing() { # the first command that is not here
    local n
    for n in $needs; do
        [ "$n" = - ] || command -v "$n" >/dev/null || { echo "$n"; return; }
    done
}

known() { # why the row may fail on this stack
    [ "$stack" != kernel ] && awk -F ' *[|] *' -v where="$stack" -v row="$side: $name" '
        ($1 == where || $1 == "both") && $2 == row { print $3; found = 1 }
        END { exit !found }' "$here/programs.differences"
}

one_row() {
    local title="$stack: $side: $name" lacks
    lacks=$(missing)
    [[ "$side: $name" =~ ${ROW:-} ]] || return 0
    if [ -n "$lacks" ]; then
        skip "$title" "no $lacks here"
    elif [ "$stack" != kernel ] && [ ! -x "$RUN" ]; then
        skip "$title" "bulkhead-run is not built"
    else
        rows=$((rows + 1))
        PORT=$((8000 + rows)) BACK=$((9000 + rows)) D=$WORK/row.$rows
        HOST=$STACK
        [ "$side" != client ] || HOST=$PEER
        mkdir "$D"
        local since=$SECONDS
        row >"$WORK/said" 2>&1
        local rc=$?
        local why
        why=$(known) && [ $rc -eq 0 ] && note "programs.differences: holds: $title"
        if [ $rc -ne 0 ] && [ -n "$why" ]; then
            skip "$title" "does not hold: $why"
        else
            ok $rc "$title"
        fi
        [ $rc -eq 0 ] || note "$(cat "$WORK/said")"
        [ $((SECONDS - since)) -lt 5 ] || note "$((SECONDS - since)) s"
        [ -n "${KEEP_WORK:-}" ] || rm -rf "$D"
    fi
}

trimmed() { sed 's/^ *//; s/ *$//' <<<"$1"; }

all_rows() {
    local name form side needs prepare server beside client proof v
    # Without -r: a backslash joins lines.
    # shellcheck disable=SC2162
    while IFS='|' read name form side needs prepare server beside client proof <&8; do
        case $name in '#'* | '') continue ;; esac
        for v in name form side needs prepare server beside client proof; do
            printf -v $v '%s' "$(trimmed "${!v}")"
        done
        [ -n "$proof" ] || { ok 1 "programs.tab: a row lacks columns: $name"; continue; }
        [ "$form" = short ] || [ -n "${BH_LONG:-}" ] || continue
        one_row
    done 8<"${TABLE:-$here/programs.tab}"
}

rows=0
for stack in ${stacks:-kernel $(compositions)}; do
    began=$SECONDS
    if [ "$stack" = kernel ]; then
        ip -n "$A" addr add $STACK/$PREFIX dev $IF
        all_rows
        ip -n "$A" addr del $STACK/$PREFIX dev $IF
        kernel_sockets >"$WORK/left" # TIME-WAIT
        mv "$WORK/left" "$WORK/left-behind"
    elif [ ! -x "$RUN" ]; then
        all_rows
    else
        stack_start "$stack" || { ok 1 "$stack: starts"; continue; }
        all_rows
        stack_stop
        ok $? "$stack: stops cleanly"
    fi
    note "$stack: $((SECONDS - began)) s"
done
done_testing
