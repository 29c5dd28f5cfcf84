#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: every program and library that is installed is built so that a fault in it is hard to
# use: at a random place (PIE), with its tables read-only before it begins (full RELRO), no stack
# that executes and no memory that is both written and executed, canaries, checked copies
# (FORTIFY), landing pads where the processor knows them, and no place of its own to look for
# libraries (libtool's, into the build, goes when it is installed: install.sh).
set -u
. "${top_srcdir:-.}/tests/tap.sh"
build=${top_builddir:-.}
readelf=${READELF:-readelf}
command -v "$readelf" >/dev/null || skip_all "no readelf here"
[ -z "${SANITIZER_CFLAGS:-}" ] || skip_all "a build with sanitizers is not the one to harden"

asked() { [[ " ${HARDENING:-} " == *" $1"* ]]; }
has() { # PATTERN READELF-OPTION...
    local pattern=$1
    shift
    "$readelf" -W "$@" "$file" 2>/dev/null | grep -Eq -- "$pattern"
}
not_has() { ! has "$@"; }
not() { ! "$@"; }
check() { # NAME COMMAND...
    local name=$1
    shift
    "$@" || wrong="$wrong; $name"
}

files=()
for file in "$build"/bulkheadd "$build"/bulkheadctl "$build"/bulkhead-* "$build"/.libs/*; do
    [ -f "$file" ] && [ ! -L "$file" ] && head -c 4 "$file" | grep -q ELF && files+=("$file")
done
[ ${#files[@]} -ge 4 ]
ok $? "there are programs and libraries to look at: ${#files[@]}"

# Libraries are looked for nowhere but where they are built and where they will be.
prefix=$(sed -n 's/^prefix = //p' "$build/Makefile")
run_path() {
    "$readelf" -W -d "$file" | sed -nE 's/.*\((RPATH|RUNPATH)\).*\[(.*)\]/\2/p' | tr ':' '\n' |
        grep -vxF -e "$(cd "$build" && pwd)/.libs" -e "$prefix/lib"
}

canaries=0 checked=0
for file in "${files[@]}"; do
    wrong=
    check "no random place" has 'Type: +DYN' -h
    check "tables stay writable (RELRO)" has 'GNU_RELRO' -l
    check "tables are filled in late (BIND_NOW)" has 'BIND_NOW|Flags:.*NOW' -d
    check "no word about the stack" has 'GNU_STACK' -l
    check "stack executes" not_has 'GNU_STACK.*RWE' -l
    check "memory written and executed" not_has 'LOAD.*RWE' -l
    check "text is relocated" not_has 'TEXTREL' -d
    check "a run path" not run_path
    if [[ $file != *.so* ]]; then
        check "not a position-independent executable" has 'FLAGS_1.*PIE' -d
    fi
    has '__stack_chk_fail' --dyn-syms --syms && canaries=$((canaries + 1))
    has '__(memcpy|snprintf|vsnprintf|read|memset|strcpy|strncpy|fprintf|printf|recv)_chk' \
        --dyn-syms && checked=$((checked + 1))
    ok "$([ -z "$wrong" ]; echo $?)" "${file#"$build"/}${wrong}"
done

# Landing pads (CET): of every object of ours. A program has them as a whole only where the C
# library's own beginnings do.
if asked -fcf-protection; then
    for file in "$build"/.libs/lib{proto,ipc,domain,serve,client}.a; do
        objects=$("$readelf" -W -h "$file" | grep -c '^File:')
        padded=$("$readelf" -W -n "$file" 2>/dev/null | grep -c 'IBT, SHSTK')
        ok "$([ "$objects" -gt 0 ] && [ "$objects" -eq "$padded" ]; echo $?)" \
            "${file##*/}: landing pads in $padded of $objects objects"
    done
fi

# Which function needs one the compiler decides; none at all means that it was not asked.
if asked -fstack-protector; then
    ok "$([ $canaries -ge $((${#files[@]} - 1)) ]; echo $?)" "canaries in $canaries of them"
fi
if asked -U_FORTIFY_SOURCE; then
    ok "$([ $checked -ge $((${#files[@]} / 2)) ]; echo $?)" "checked copies in $checked of them"
fi
for flag in -fstack-clash-protection -fstack-protector-strong -fPIE; do
    asked "$flag"
    ok $? "the compiler takes $flag"
done
done_testing
