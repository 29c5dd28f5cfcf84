#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: protocol code stays pure. What it takes from outside must be one of the few libc
# functions of libc-allowed.txt, none of which calls the kernel, allocates or keeps state; and
# it has no writable global data.
set -u
top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
. "$top/tests/tap.sh"
read -ra nm <<<"${NM:-nm}" # configure finds "nm -B"
allowed=$top/tests/lint/libc-allowed.txt
cd "${top_builddir:-.}" || exit 1

# libtool keeps the objects of a convenience library in .libs beside the source's place.
mapfile -t objects < <(for d in base wire session ip tcp udp; do
    find "lib/$d" -path '*/.libs/*' -name '*.o' 2>/dev/null
done | sort)
[ ${#objects[@]} -gt 0 ] || skip_all "libproto.la is not built here"

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
# What the pure objects define may be used among them.
"${nm[@]}" --defined-only -g "${objects[@]}" | awk 'NF == 3 { print $3 }' | sort -u >"$tmp/own"
[ -s "$tmp/own" ]
ok $? "pure: the symbols of ${#objects[@]} protocol objects can be read"
grep -v '^#' "$allowed" | sed '/^$/d' | sort -u >"$tmp/allowed"
sort -u "$tmp/own" "$tmp/allowed" >"$tmp/may"

no_calls() {
    local o bad rc=0
    for o in "${objects[@]}"; do
        "${nm[@]}" -u "$o" | awk '{ print $NF }' |
            grep -Ev '^(__asan_|__ubsan_|__tsan_|__sanitizer_|__sancov_|__(start|stop)___sancov_)' | sort -u >"$tmp/used"
        bad=$(comm -23 "$tmp/used" "$tmp/may")
        [ -z "$bad" ] || { echo "$o uses $(echo $bad)"; rc=1; }
    done
    return $rc
}
no_data() {
    local o bad rc=0
    for o in "${objects[@]}"; do
        # Tables of pointers are constant once the program is loaded.
        bad=$("${nm[@]}" -f sysv "$o" | awk -F'|' '$3 ~ /[dDbBC]/ && $7 !~ /^\.data\.rel\.ro/ { print $1 }')
        [ -z "$bad" ] || { echo "$o has writable data: $(echo $bad)"; rc=1; }
    done
    return $rc
}
try "pure: ${#objects[@]} protocol objects call nothing outside" no_calls
# A sanitizer puts bookkeeping of its own into .data.
if "${nm[@]}" -u "${objects[@]}" | grep -Eq '__(asan|tsan|ubsan|sanitizer)_'; then
    skip "pure: protocol objects have no writable data" "sanitizer build"
else
    try "pure: ${#objects[@]} protocol objects have no writable data" no_data
fi
done_testing
