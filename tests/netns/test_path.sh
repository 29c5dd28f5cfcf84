#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: bench/path, which compares senders over a bad path, works from end to end: every
# measurement gives a figure, the wire did what was asked, and nothing is left behind. The figures
# themselves are not looked at.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"
path=$(cd "${top_srcdir:-.}" && pwd)/bench/path

net_need ethtool ping ss python3
net_lock
WORK=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead.XXXXXX") || exit 1
trap 'rm -rf "$WORK"' EXIT
stacks=$(compositions | tr '\n' ',')kernel

run_path() {
    BULKHEAD_LIBEXEC_DIR="${BULKHEAD_LIBEXEC_DIR:-$build}" timeout 120 "$path" --bindir "$build" \
        --stacks "$stacks" --rounds 1 --seconds 0.5 --json "$WORK/result" --plot "$WORK/plot.svg" "$@"
}
result() { # a Python expression over the result r and its samples s
    python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
s = r["samples"]
print([(x["condition"], x["mbit_per_second"], x["remark"]) for x in s])
sys.exit(not eval(sys.argv[2]))' "$WORK/result" "$1"
}
picture() { python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$WORK/plot.svg"; }

try "one flow over three paths" run_path --rtt 5 --loss 0,1 --reorder 5
try "every sender has a figure for each" result \
    "len(s) == 3 * len(r['settings']['stacks']) and all(x['mbit_per_second'] for x in s)"
try "the wire lost where it was to lose, and only there" result \
    "all((x['wire']['to_right']['lost'] > 0) == (x['loss'] > 0) for x in s)"
try "the wire reordered where it was to" result \
    "all((x['wire']['to_right']['reordered'] > 0) == (x['reorder'] > 0) for x in s)"
try "there is a row for each path" result "len(r['summary']) == 3"
try "the picture is whole" picture
try "two flows at once" run_path --fairness --rtt 5
try "every pair has its shares" result \
    "s and all(sum(x['mbit_per_second']) > 1 for x in s) and all(x['jain'] for x in r['summary'])"
try "the picture of the shares is whole" picture
not eval "ip netns list | grep -q bhpath"
ok $? "no namespace is left behind"
done_testing
