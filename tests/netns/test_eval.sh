#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: bench/eval works from end to end: each variant has a figure in every round, the JSON
# and the page are whole and say the same, the page needs nothing from elsewhere, a section that
# lacks something is left out and named, who may not run it is told why, and nothing is left
# behind, also when it is interrupted. The figures themselves are not looked at.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"
top=$(cd "${top_srcdir:-.}" && pwd)
PY=/usr/bin/python3

net_need ethtool ping taskset sysctl $PY
$PY -c 'import matplotlib' 2>/dev/null || skip_all "no matplotlib for $PY"
[ "$(compositions | wc -l)" -eq 2 ] || skip_all "compares both compositions"
net_lock
WORK=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead.XXXXXX") || exit 1
trap 'rm -rf "$WORK"' EXIT
mkdir -m 1777 "$WORK/tmp"
export TMPDIR=$WORK/tmp # whatever is left of a run is in there
export BULKHEAD_LIBEXEC_DIR="${BULKHEAD_LIBEXEC_DIR:-$build}" MPLCONFIGDIR=$WORK/mpl

run_eval() { timeout 300 $PY "$top/bench/eval" --bindir "$build" --out "$WORK/out" "$@"; }
result() { # a Python expression over the result r and its samples s
    $PY -c 'import json, sys
r = json.load(open(sys.argv[1]))
s = r["samples"]
good = eval("(" + sys.argv[2] + ")")
if not good:
    print(*[(x["section"], x["test"], x["variant"], x["round"]) for x in s], r["remarks"], sep="\n")
sys.exit(not good)' "$WORK/out/eval.json" "$1"
}
page() {
    $PY - "$WORK/out" <<'EOP'
import base64, html.parser, json, re, sys, xml.dom.minidom
text = open(sys.argv[1] + "/eval.html", encoding="utf-8").read()
result = json.load(open(sys.argv[1] + "/eval.json", encoding="utf-8"))
class Check(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.pictures = [], []
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        assert "href" not in a and tag not in ("link", "iframe", "object"), (tag, a)
        assert a.get("src", "data:").startswith("data:"), a
        if tag == "img":
            self.pictures.append(a["src"])
        elif tag not in ("br", "meta"):
            self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())
c = Check()
c.feed(text)
assert not c.open, c.open
assert len(c.pictures) >= 4, len(c.pictures)
for p in c.pictures:
    xml.dom.minidom.parseString(base64.b64decode(p.split(",", 1)[1]))
for words in ("What must hold", "offloads off", "offloads on", "TCP bulk", "Idle", "Settings",
              "To make this report again", result["host"]["kernel"]):
    assert words in text, words
inside = re.search(r'<script type="application/json" id="result">(.*?)</script>', text, re.S)
assert json.loads(inside.group(1).replace("<\\/", "</")) == result
EOP
}
again() { # the page of the JSON alone
    cp "$WORK/out/eval.html" "$WORK/first.html" &&
        run_eval --render "$WORK/out/eval.json" && cmp "$WORK/first.html" "$WORK/out/eval.html"
}
says() { # exit code, words, command...
    local code=$1 words=$2
    shift 2
    "$@" >"$WORK/said" 2>&1
    [ $? -eq "$code" ] && grep -q -- "$words" "$WORK/said" || { cat "$WORK/said"; return 1; }
}
nothing_left() { ! ip netns list | grep bheval && [ -z "$(ls "$WORK/tmp")" ]; }
interrupted() {
    local pid
    $PY "$top/bench/eval" --bindir "$build" --out "$WORK/int" --sections bulk >"$WORK/said" 2>&1 9>&- &
    pid=$!
    until_ok 30 has_namespace "$pid" || { cat "$WORK/said"; return 1; }
    sleep "$1"
    kill -"$2" $pid
    until_ok 30 not alive $pid || { kill -KILL $pid; return 1; }
    ! ip netns list | grep "bheval$pid" && [ ! -e "$WORK/int/eval.json" ]
}
has_namespace() { ip netns list | grep -q "bheval$1"; }
as_nobody() {
    chmod 755 "$WORK"
    setpriv --reuid 65534 --clear-groups $PY - "$top/bench" <<'EOP'
import os, runpy, sys
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[1] + "/eval"]
runpy.run_path(sys.argv[0], run_name="__main__")
EOP
}

try "two sections, two rounds" run_eval --tiny --rounds 2 --sections bulk,idle
try "every variant has a figure in both rounds" result \
    "sorted((x['test'], x['variant'], x['round']) for x in s if x['section'] == 'bulk' and x['variant'] != 'segments') ==
     sorted((t, v, n) for t in ('receive', 'send') for n in (0, 1)
            for v in ('factored', 'monolithic', 'kernel', 'kernel-on')) and
     all(x['values']['mbit_per_second'] > 0 for x in s if x['section'] == 'bulk')"
try "the second round goes the other way" result \
    "[x['variant'] for x in s if x['round'] == 0 and x['section'] == 'bulk'] ==
     [x['variant'] for x in s if x['round'] == 1 and x['section'] == 'bulk'][::-1]"
try "the rows of the table that can be filled are" result \
    "[r for r in r['table'] if r['value'] and 'factored / monolithic' in r['what'] and r['must_holds']]"
try "machine, settings and what was in force are there" result \
    "r['host']['kernel'] and r['settings']['rounds_measured'] == 2 and
     r['settings']['features']['kernel']['peer']['tcp-segmentation-offload'] == 'off' and
     r['settings']['features']['kernel-on']['peer']['tcp-segmentation-offload'] == 'on'"
try "the page is whole, needs nothing from elsewhere, and carries the samples" page
try "the same page comes of the JSON alone" again
try "every section works" run_eval --tiny
try "nothing in them failed" result \
    "not [x for x in r['remarks'] if ' failed: ' in x] and
     {x['section'] for x in s} == set(r['settings']['sections']) - set(r['left_out']) and
     all(' is no ' in why for why in r['left_out'].values())"
try "raw AF_XDP has sent to a sink and to a TCP" result \
    "{x['variant'] for x in s if x['section'] == 'raw' and x['test'] == 'send' and
      x['values']['packets_per_second'] > 0} == {'raw', 'raw-tcp'}"
try "raw AF_PACKET has sent segments to a TCP" result \
    "[x for x in s if x['variant'] == 'raw-segments' and x['values']['mbit_per_second'] > 0] and
     [x for x in r['table'] if 'raw AF_PACKET' in x['what'] and x['value']]"
try "raw AF_XDP has answered, also by a process of its own" result \
    "{x['variant'] for x in s if x['section'] == 'latency' and x['test'] == 'udp-1/one' and
      x['values']['lost'] == 0 and x['values']['p50_us'] > 0} >=
     {'raw', 'raw-sleep', 'raw-hop', 'raw-hop-sleep', 'kernel'} and
     not [x for x in s if x['section'] == 'latency' and x['test'] != 'udp-1/one' and 'raw' in x['variant']] and
     sum(bool(x['value']) for x in r['table'] if x['what'].startswith('the limit here, 1-byte')) == 2"
try "the pages of all sections are whole" page
try "a section that lacks a program is left out, by name" says 0 "section http is left out: there is no wrk" \
    env PATH="$WORK/bin" /bin/bash -c '
        /bin/mkdir -p "$PATH"
        for t in ip ethtool ping sysctl taskset timeout git nginx bash; do
            p=$(PATH=/usr/sbin:/usr/bin:/sbin:/bin type -P $t) && /bin/ln -sf "$p" "$PATH/$t"
        done
        timeout 300 /usr/bin/python3 "$@"' - "$top/bench/eval" --bindir "$build" --out "$WORK/out" --tiny \
    --sections http,idle
try "a missing tool is named" says 1 "not here: .*ethtool" \
    env PATH=/nowhere $PY "$top/bench/eval" --bindir "$build" --out "$WORK/out"
try "an unknown section is named" says 2 "no section nonsense" run_eval --sections nonsense
try "missing programs are named" says 1 "no bulkheadd in $WORK" run_eval --bindir "$WORK" --tiny
try "not root: told so" says 4 "must be root" as_nobody
try "interrupted in the set-up: nothing is left" interrupted 0 INT
try "ended while it measures: nothing is left" interrupted 6 TERM
try "nothing is left behind" nothing_left
done_testing
