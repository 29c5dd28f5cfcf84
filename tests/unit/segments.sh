#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: that TCP behaves the same where segments are cut further down (--driver packet): all
# its unit tests hold when what it hands on is cut as the driver has it cut.
set -u
. "${top_srcdir:-.}/tests/tap.sh"

export KIT_SEGMENTS=1
for t in "${top_builddir:-.}"/tests/unit/test_tcp_*; do
    [ -f "$t" ] && [ -x "$t" ] && [[ ${t##*/} != *.* ]] || continue
    [ "${t##*/}" != test_tcp_segments ] && [ "${t##*/}" != test_tcp_jumbo ] || continue
    try "with segments cut below: ${t##*/}" "$t"
done
done_testing
