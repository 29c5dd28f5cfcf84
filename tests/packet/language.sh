#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the packet scripts' language itself. What is no script is refused with file, line and
# reason; and a script whose expectation does not come true fails: one that cannot is worth nothing.
set -u
. "${top_srcdir:-.}/tests/tap.sh"
run=${top_builddir:-.}/tests/packet/run_pure
scripts=$(cd "${top_srcdir:-.}" && pwd)/tests/packet/scripts
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cp "$scripts"/*.inc "$tmp"

# refused "what it says" LINES: the last line is the wrong one.
refused() {
    local says=$1 out
    shift
    printf '%s\n' "$@" >"$tmp/x.pkt"
    out=$("$run" --check "$tmp/x.pkt")
    [ "$out" = "$tmp/x.pkt:$#: $says" ] || { echo "said: $out"; return 1; }
}
# fails "what it says" LINES: it can be read, and does not hold.
fails() {
    local says=$1 out
    shift
    printf '%s\n' 'ours language "a test of the tests"' "$@" >"$tmp/x.pkt"
    out=$("$run" "$tmp/x.pkt") && { echo "it passed"; return 1; }
    case $out in
    *"not ok 1 - x.pkt"*"$says"*) ;;
    *) echo "$out"; return 1 ;;
    esac
}
passes() {
    printf '%s\n' 'ours language "a test of the tests"' "$@" >"$tmp/x.pkt"
    "$run" "$tmp/x.pkt"
}
w() { try "language: refused: $1" refused "$@"; }
f() { try "language: fails: $1" fails "$@"; }
p() { try "language: passes: $1" passes "${@:2}"; }

w 'unknown word "gibberish"' gibberish
w 'the flags are missing' in
w '"X" are no flags: S A F R P U E C, or - for none' 'in X 0'
w 'the sequence number is missing' 'out A'
w '"1x" is not a number' 'in S 1x'
w '"1+" is not a number' 'in S 1+'
w '"9999999999999999999" is not a number' 'in S 9999999999999999999'
w '"M" is not a number' 'in S M'
w 'the segment has -1 bytes' 'in A 2:1 ack 1'
w 'the segment has 70000 bytes' 'in - 1,70000'
w 'A, and no ack' 'in A 1'
w 'an ack, and no A among the flags' 'in S 1 ack 1'
w 'an ack, and no A among the flags' 'out S 1 ack 1'
w 'ack: missing' 'in A 1 ack'
w 'unknown field "foo"' 'in S 0 foo'
w 'unknown field "badsum"' 'out S 0 badsum'
w 'ts wants VALUE/ECHO' 'in S 0 ts 5'
w 'sack: the blocks are missing' 'in A 1 ack 1 sack'
w 'more than 4 SACK blocks' 'in A 1 ack 1 sack 1:2 3:4 5:6 7:8 9:10'
w 'raw wants bytes in hexadecimal' 'in S 0 raw 012'
w 'raw wants at most 40 bytes in hexadecimal' 'in S 0 raw 0g'
w '"x0": 1 to 1000 times' 'in S 0 x0'
w '"-1" is not a time in seconds' 'wait -1'
w 'the time is missing' wait
w 'a time, and nothing that happens then' '+1'
w '"within" is for what is expected' 'within 1 in S 0'
w '"and" joins an "in" to the "in" before it' 'and in S 0'
w 'unknown ICMP error "oops"' 'icmp oops 1'
w 'the quoted sequence number is missing' 'icmp port'
w 'a socket is named by one letter' 'socket listener'
w 'unknown option "colour"' 'set c colour 1'
w 'unknown errno "ENOSUCH"' 'recv c 1 = ENOSUCH'
w 'get wants a result' 'get c error'
w 'accept wants "as" and a letter' 'accept l'
w '"more" is too much here' 'listen l 5 more'
w 'the quote does not end on this line' 'rfc 9293 3.1 "and so on'
w 'the sentence must be in quotes' 'rfc 9293 3.1 sentence'
w "the RFC's number is missing" 'rfc'
w 'needs: "pure" is all that can be needed' 'needs root'
w 'only after "needs pure": a running stack has its own' 'mtu 500'
w 'a symbol is made of letters' 'let M1 5'

head='include passive.inc'
f 'nothing came within' "$head" 'out A 1 ack 1'
f 'not expected: out A 1 ack 1' "$head" 'in A 1 ack 5' none
f 'at the end: not expected' "$head" 'in A 1 ack 5'
f 'sequence number: out PA 1,10' "$head" 'send c 10' 'out A 2,10 ack 1'
f 'length, 11 wanted' "$head" 'send c 10' 'out A 1,11 ack 1'
f 'ack: out PA 1,10' "$head" 'send c 10' 'out A 1,10 ack 2'
f 'flags: out PA 1,10' "$head" 'send c 10' 'out FA 1,10 ack 1'
f 'flags: out PA 1,10' "$head" 'send c 10' 'out Ap 1,10 ack 1'
f 'window: out PA 1,10' "$head" 'send c 10' 'out A 1,10 ack 1 win 5'
f 'MSS option' 'socket c' 'connect c' 'out S 0 nomss'
f 'window scale option' 'socket c' 'connect c' 'out S 0 nows'
f 'time stamp' 'socket c' 'connect c' 'out S 0 nots'
f 'SACK blocks' "$head" 'in A 5,5 ack 1' 'out A 1 ack 1 sack 5:10'
f 'ECN field' "$head" 'send c 10' 'out A 1,10 ack 1 ce'
f 'nothing came within 0.1500 s' "$head" 'send c 10' 'out A 1,10 ack 1' '+0.1~0.05 out A 1,10 ack 1'
f 'came after 0.2002 s, not 0.2500' "$head" 'send c 10' 'out A 1,10 ack 1' '+0.3~0.05 out A 1,10 ack 1'
f 'the call gave EAGAIN (-11), not 5' "$head" 'recv c 5'
f 'the call gave 5, not 6' "$head" 'in A 1,5 ack 1' 'recv c 6' ignore
f 'the call gave EBADMSG' "$head" 'in A 1,5 ack 1 junk' 'recv c 5'
f 'for another peer' "$head" 'send c 5' 'peer 1' 'out A 1,5 ack 1'

p 'numbers are expressions' 'let M 10*5+1' 'let N M-1' "$head" 'send c N' 'out A 1,51-1 ack 0+1'
p 'any number of bytes' "$head" 'send c 77' 'out A 1:* ack *' 
p 'a length at any place' "$head" 'send c 77' 'out A *,77 ack >0 win <65536'
p 'what fails may be expected to' 'todo "to show it"' "$head" 'out R 1'
done_testing
