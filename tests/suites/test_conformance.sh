#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: every socket call, and poll, select and epoll, answer on the stack what they answer on
# the kernel, also in forked and executed programs: the programs here print transcripts, which
# have to be equal but for those in conformance.differences. CASE=REGEX runs only "PROGRAM/CASE"
# that matches; STACK=factored|monolithic only one composition beside the kernel. PROGRAM@loopback
# is PROGRAM at 127.0.0.1, where the rules give that to Bulkhead.
set -u
. "${top_srcdir:-.}/tests/suites/suites.sh"
LIST=$suites/conformance.differences
PROGRAMS="sock_basic sock_data sock_more poll_conformance poll_wait fork_conformance exec_conformance options
    sock_states bad_conformance sock_basic@loopback sock_more@loopback"

net_need
net_lock
suite_up
echo "bulkhead 127.0.0.0/8" >"$WORK/rules"

transcript() { # program (PROGRAM@loopback: at 127.0.0.1 of the stack), case, file
    local rc=0 host=$STACK rules=
    [ "$1" = "${1%@loopback}" ] || { host=127.0.0.1 rules=$WORK/rules; }
    BULKHEAD_RULES=$rules timeout -k 2 30 "${inside[@]}" "$WORK/hosts" "${run[@]}" \
        "$build/tests/suites/${1%@loopback}" $host "$2" \
        >"$3" 2>"$3.err" </dev/null 9>&- || rc=$?
    [ $rc -eq 0 ] || echo "exit status $rc" >>"$3"
    return 0
} 2>/dev/null # the shell's own word on a program that crashed

# All cases, six at a time: they sleep for the most part.
transcripts() { # suffix of the files
    local idle id
    idle=$(jobs -rp | wc -l)
    for id in "${cases[@]}"; do
        while [ "$(jobs -rp | wc -l)" -ge $((idle + 6)) ]; do sleep 0.02; done
        transcript "${id%/*}" "${id#*/}" "$WORK/${id/\//.}.$1" &
    done
    while [ "$(jobs -rp | wc -l)" -gt "$idle" ]; do sleep 0.02; done
}

same() { # a transcript and another
    diff -U 2 "$1" "$2" >"$2.diff" || return 1
    [ -s "$1" ]
}

judge_kernel() { # it ends, and is the same once more: fit to be a reference
    local id file
    for id in "${cases[@]}"; do
        file=$WORK/${id/\//.}
        # Once more alone, if not: the machine may have been busy.
        same "$file.kernel" "$file.kernel2" || {
            transcript "${id%/*}" "${id#*/}" "$file.kernel"
            transcript "${id%/*}" "${id#*/}" "$file.kernel2"
        }
        if same "$file.kernel" "$file.kernel2" &&
            ! grep -qE '^(cannot go on|exit status)' "$file.kernel"; then
            ok 0 "kernel: $id"
        else
            ok 1 "kernel: $id"
            note "$(cat "$file.kernel" "$file.kernel2.diff")"
        fi
    done
}

judge() {
    local id file why
    for id in "${cases[@]}"; do
        file=$WORK/${id/\//.}
        # The second time counts, alone: the machine may have been busy.
        if same "$file.kernel" "$file.$stack" ||
            { transcript "${id%/*}" "${id#*/}" "$file.$stack" && same "$file.kernel" "$file.$stack"; }; then
            ok 0 "$stack: $id"
            ! reason "$LIST" "$id" >/dev/null || note "conformance.differences: $id does not differ"
        elif why=$(reason "$LIST" "$id" || reason "$LIST" "${id/@loopback/}"); then
            skip "$stack: $id" "differs: $why"
        else
            ok 1 "$stack: $id"
            note "$(sed 1,2d "$file.$stack.diff")"
            note "$(tail -n 5 "$file.$stack.err")"
        fi
    done
}

all_cases() {
    transcripts "$stack"
    if [ "$stack" = kernel ]; then
        transcripts kernel2
        judge_kernel
    else
        judge
    fi
}

cases=() # PROGRAM/CASE
for p in $PROGRAMS; do
    names=$("$build/tests/suites/${p%@loopback}" list) || ok 1 "$p is built"
    for n in $names; do
        [[ "$p/$n" =~ ${CASE:-} ]] && cases+=("$p/$n")
    done
done
each_stack all_cases
done_testing
