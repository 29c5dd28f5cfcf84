#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: what was found once by fuzzing is not found again, and no input of the corpus, cut
# short or bent, makes a parser or the TCP step do anything that a sanitizer or an assertion
# would stop. With libFuzzer programs (--enable-fuzzers) it fuzzes for a while instead.
#   BH_FUZZ_SECONDS  how long each libFuzzer program runs (10; 120 with BH_LONG)
set -u
top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
. "$top/tests/tap.sh"
cd "${top_builddir:-.}" || exit 1

seconds=${BH_FUZZ_SECONDS:-$([ -n "${BH_LONG:-}" ] && echo 120 || echo 10)}
mutations=$([ -n "${BH_LONG:-}" ] && echo 20000 || echo 500)
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

fuzz_one() { # program corpus
    mkdir -p "$tmp/new"
    "$1" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -verbosity=0 \
        -artifact_prefix="$tmp/" "$tmp/new" "$2"
}

for src in "$top"/tests/fuzz/fuzz_*.c; do
    t=$(basename "$src" .c)
    prog=tests/fuzz/$t
    corpus=$top/tests/fuzz/corpus/$t
    [ -x "$prog" ] || { [ -f "$src" ] && ok 1 "fuzz: $t is built"; continue; }
    rm -rf "$tmp/new"
    if "$prog" -help=1 2>&1 | grep -q 'To run fuzzing'; then
        try "fuzz: $t for $seconds s" fuzz_one "$prog" "$corpus" ||
            find "$tmp" -maxdepth 1 -type f -exec sh -c \
                'echo "# input $1:"; base64 "$1" | sed "s/^/#  /"' _ {} \;
    else
        try "fuzz: $t: corpus, truncations, mutations" "$prog" "$mutations" "$corpus"
    fi
done
[ "$tap_n" -gt 0 ] || skip_all "no fuzz targets"
done_testing
