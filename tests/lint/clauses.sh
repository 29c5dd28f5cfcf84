#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: tests/packet/CLAUSES.md tells the truth about the packet scripts, so that what no
# test covers is seen.
set -u
top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
. "$top/tests/tap.sh"
run=$(cd "${top_builddir:-.}" && pwd)/tests/packet/run_pure
packet=$top/tests/packet

as_the_table() {
    diff -u "$packet/CLAUSES.md" <(bash "$packet/clauses.sh" "$run") && return
    echo "make it anew: tests/packet/clauses.sh BUILD/tests/packet/run_pure >tests/packet/CLAUSES.md"
    return 1
}
named_are_there() { # what the table names exists
    local f rc=0
    for f in $(grep -o '`[^`]*`' "$packet/CLAUSES.md" | tr -d '`' | grep -E '\.(pkt|c|sh)$' | sort -u); do
        [ -e "$packet/scripts/$f" ] || [ -e "$top/$f" ] || [ -e "$packet/$f" ] ||
            { echo "the table names $f"; rc=1; }
    done
    return $rc
}
all_named() { # and every script is in it
    local f rc=0
    for f in "$packet"/scripts/*.pkt; do
        grep -q "\`${f##*/}\`" "$packet/CLAUSES.md" || { echo "not in the table: $f"; rc=1; }
    done
    return $rc
}
try "clauses: every script can be read" "$run" --check "$packet"/scripts/*.pkt
try "clauses: the table is as the scripts' heads say" as_the_table
try "clauses: what the table names is there" named_are_there
try "clauses: every script is in the table" all_named
done_testing
