#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: what Python's own tests of its socket library say of the kernel's sockets they say of the
# stack's, case by case: whatever passes on the kernel passes on the stack, but for
# python.differences. MODULE=REGEX runs only those of python.tab whose name matches;
# STACK=factored|monolithic only one composition beside the kernel. With BH_LONG=1 also the method
# is tested: on an address other than loopback's the kernel passes what it passes on loopback.
set -u
. "${top_srcdir:-.}/tests/suites/suites.sh"
PY=/usr/bin/python3
[ -x $PY ] || PY=python3
LIST=$suites/python.differences
CASE=$suites/python_case.py

net_need $PY
$PY -c 'import test.test_socket' 2>/dev/null ||
    skip_all "no tests of Python's library here (Debian's libpython3.11-testsuite)"
net_lock
suite_up

modules=() # module, and then what python_case.py is told
while IFS='|' read -r module form told; do
    read -r module <<<"$module"
    case $module in '#'* | '') continue ;; esac
    [[ "$module" =~ ${MODULE:-} ]] || continue
    [[ "$form" = *short* ]] || [ -n "${BH_LONG:-}" ] || continue
    modules+=("$module $told")
done <"$suites/python.tab"

one() { # result, python_case.py's arguments: one module
    local result=$1 dir
    shift
    dir=$(mktemp -d "$WORK/py.XXXXXX")
    (cd "$dir" && timeout -k 5 600 "${inside[@]}" "$hosts" "${run[@]}" $PY "$CASE" --all "$@" "$result") \
        >"$result.out" 2>&1 </dev/null 9>&-
    rm -rf "$dir"
}

run_modules() { # kind of run, and more arguments for each: three modules at a time
    local kind=$1 m words
    shift
    for m in "${modules[@]}"; do
        read -ra words <<<"$m"
        while [ "$(jobs -rp | wc -l)" -ge "$busy" ]; do sleep 0.1; done
        one "$WORK/${words[0]}.$kind" "${words[@]:1}" "$@" "${words[0]}" &
    done
    while [ "$(jobs -rp | wc -l)" -ge "$busy" ]; do sleep 0.1; done
    while [ "$(jobs -rp | wc -l)" -gt "$idle" ]; do sleep 0.1; done
}

passes() { sed -n 's/^pass //p' "$1" 2>/dev/null | sort; }

# What passes in the reference and not in the other run, even the second time (alone: the machine
# may have been busy). What is known to differ needs no second time.
lacking() { # module's words, reference, kind, more arguments
    local m=$1 ref=$2 kind=$3 words id only=()
    shift 3
    read -ra words <<<"$m"
    rm -f "$WORK/again"
    while read -r id; do
        reason "$LIST" "$id" >"$WORK/why" || only+=(--only "$id")
    done < <(comm -23 <(passes "$ref") <(passes "$WORK/${words[0]}.$kind"))
    [ ${#only[@]} -eq 0 ] ||
        one "$WORK/again" "${words[@]:1}" --jobs 1 "$@" "${only[@]}" "${words[0]}"
    comm -23 <(comm -23 <(passes "$ref") <(passes "$WORK/${words[0]}.$kind")) <(passes "$WORK/again")
}

judge() { # reference's kind, kind, more arguments
    local ref=$1 kind=$2 m name all lack id why bad hung
    shift 2
    for m in "${modules[@]}"; do
        read -r name _ <<<"$m"
        all=$(passes "$WORK/$name.$ref" | wc -l)
        lack=$(lacking "$m" "$WORK/$name.$ref" "$kind" "$@")
        bad=0
        for id in $lack; do
            if why=$(reason "$LIST" "$id"); then
                note "known: $id: $why"
            else
                bad=$((bad + 1))
                note "differs: $id"
            fi
        done
        [ $bad -eq 0 ] && [ "$all" -gt 0 ]
        ok $? "$stack: $name: $((all - $(wc -w <<<"$lack"))) of $all that pass in the reference"
        [ $bad -eq 0 ] || note "$(tail -n 60 "$WORK/again.out")"
        # It may pass the second time: let it be seen all the same.
        hung=$(sed -n 's/^hang //p' "$WORK/$name.$kind" | xargs)
        [ -z "$hung" ] || note "did not end at first: $hung"
        stale "$LIST" "$(cat "$WORK/$name.$kind")"
    done
}

on_stack_or_kernel() {
    hosts=$WORK/hosts
    idle=$(jobs -rp | wc -l)
    busy=$((idle + 3)) # they wait for most of their time
    run_modules "$stack" --host $STACK
    if [ "$stack" != kernel ]; then
        judge kernel "$stack" --host $STACK
        return
    fi
    local m name
    for m in "${modules[@]}"; do
        read -r name _ <<<"$m"
        [ "$(passes "$WORK/$name.kernel" | wc -l)" -gt 0 ]
        ok $? "kernel: $name: $(cut -d' ' -f1 "$WORK/$name.kernel" | sort | uniq -c | xargs)" ||
            note "$(tail -n 20 "$WORK/$name.kernel.out")"
    done
    if [ -n "${BH_LONG:-}" ]; then
        stack=method hosts=/etc/hosts
        run_modules loopback
        stack=method hosts=$WORK/hosts
        judge loopback kernel --host $STACK
    fi
}

each_stack on_stack_or_kernel
done_testing
