# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# suites.sh: sourced by run.sh and test_conformance.sh: the stacks, one after the other, and the
# lists of what may differ on them.
#
#   each_stack FUNCTION    calls it with $stack set to the kernel (which comes first: it is the
#                          reference), then to each composition; $run is what goes before a
#                          program and its arguments
#   reason FILE ID         why ID may differ on $stack; fails if it may not
#   stale FILE RESULTS     says which lines of FILE (but patterns) have no difference any more

# Before lib.sh, which gives the name another meaning.
asked_stack=${STACK:-}
. "${top_srcdir:-.}/tests/netns/lib.sh"
suites=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
RUN=${BULKHEAD_RUN:-$build/bulkhead-run}
export LC_ALL=C.UTF-8

# The name localhost is in certificates: let it mean the stack's address. "${inside[@]}" HOSTS CMD..
# runs a command in namespace A with this file as /etc/hosts (the mount is for it alone).
suite_up() {
    net_up
    { printf '%s localhost\n' $STACK; grep -v localhost /etc/hosts; } >"$WORK/hosts"
    inside=(ip netns exec "$A" sh -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' sh)
}

each_stack() {
    local c began
    # The calls do not know the composition: in a short run one is enough.
    for c in kernel $(compositions | head -n "$([ -n "$asked_stack" ] && echo 9 || long 1 9)"); do
        [ -z "$asked_stack" ] || [ "$c" = kernel ] || [ "$c" = "$asked_stack" ] || continue
        stack=$c run=()
        began=$SECONDS
        if [ $c = kernel ]; then
            ip -n "$A" addr add $STACK/$PREFIX dev $IF
            "$@"
            ip -n "$A" addr del $STACK/$PREFIX dev $IF
        elif [ ! -x "$RUN" ]; then
            skip "$c" "bulkhead-run is not built"
        else
            run=("$RUN" --instance "$BULKHEAD_INSTANCE" --)
            stack_start $c || { ok 1 "$c: starts"; continue; }
            "$@"
            try "$c: connections were accepted by the stack" accepted
            stack_stop
            ok $? "$c: stops cleanly"
        fi
        note "$c: $((SECONDS - began)) s"
    done
}

accepted() { # in a namespace whose kernel has no address but loopback
    ctl --json stats | grep -E '"tcp_accepted": [1-9]'
}

# The lines of a list that hold on $stack: ID, which may be a pattern, and why.
of_list() {
    awk -v where="$stack" '$1 == where || ($1 == "both" && (where == "factored" || where == "monolithic")) {
            $1 = ""; print }' "$1"
}

reason() {
    local id why
    while read -r id why; do
        # shellcheck disable=SC2053
        [[ "$2" == $id ]] && { echo "$why"; return 0; }
    done < <(of_list "$1")
    return 1
}

stale() {
    local id why
    while read -r id why; do
        case $2 in *"pass $id"*) note "$(basename "$1"): $id did not differ on $stack" ;; esac
    done < <(of_list "$1")
}
