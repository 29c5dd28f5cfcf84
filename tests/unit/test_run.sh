#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: bulkhead-run becomes the program with all that it was asked for in the environment, or
# says what is in the way, with the exit code that its manual names; nothing runs half.
# (What stands for the daemon here only listens, and the library is one that does nothing.)
set -u
. "${top_srcdir:-.}/tests/tap.sh"
build=$(cd "${top_builddir:-.}" && pwd) || exit 1
run=$build/bulkhead-run
[ -x "$run" ] || skip_all "no bulkhead-run in $build"
command -v python3 >/dev/null || skip_all "no python3 here"
[ -z "${SANITIZER_CFLAGS:-}" ] || skip_all "a library with sanitizers cannot be preloaded into others"

work=$(mktemp -d "${TMPDIR:-/tmp}/bulkhead-run.XXXXXX") || exit 1
chmod 755 "$work"
daemon=
clean() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 143' TERM INT HUP
unset BULKHEAD_INSTANCE BULKHEAD_RULES BULKHEAD_FALLBACK BULKHEAD_DEBUG BULKHEAD_ARENA \
    BULKHEAD_SESSIONS LD_PRELOAD
export BULKHEAD_RUN_DIR=$work BULKHEAD_PRELOAD=$build/.libs/libbulkhead.so
lib=$(realpath "$BULKHEAD_PRELOAD")

python3 -c '
import socket, sys
for name in "default", "other":
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.bind(sys.argv[1] + "/" + name + ".sock")
    s.listen(64)
    globals()[name] = s
print(flush=True)
while True:
    default.accept()
' "$work" >"$work/ready" &
daemon=$!
for _ in $(seq 100); do
    [ -s "$work/ready" ] && break
    sleep 0.05
done

ends() { # CODE PATTERN COMMAND...: the exit code, and what is said on stderr (empty: nothing)
    local want=$1 pattern=$2 rc
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    rc=$?
    cat "$work/out" "$work/err"
    [ $rc -eq "$want" ] || { echo "exit code $rc, not $want"; return 1; }
    [ -n "$pattern" ] || [ ! -s "$work/err" ] || { echo "something was said"; return 1; }
    [ -z "$pattern" ] || grep -Eq -- "$pattern" "$work/err" || { echo "not said: $pattern"; return 1; }
}
gives() { # TEXT COMMAND...: what is on stdout
    local want=$1 got
    shift
    got=$("$@") || { echo "exit code $?"; return 1; }
    [ "$got" = "$want" ] || { printf 'got "%s", not "%s"\n' "$got" "$want"; return 1; }
}
script() { # NAME LINE...
    local name=$work/$1
    shift
    printf '%s\n' "$@" >"$name"
    chmod 755 "$name"
}

# The program, and what it gets.
try "the program runs, with its arguments and options" \
    gives "--debug -x a  b" "$run" echo --debug -x "a  b"
try "-- ends the options" gives "x" "$run" --debug -- echo x
try "its exit code is the program's" ends 42 '' "$run" sh -c 'exit 42'
try "it is the process that was started" bash -c "
    '$run' sh -c 'echo \$\$' >'$work/pid' & wait \$!; [ \"\$(cat '$work/pid')\" = \$! ]"
try "the library is preloaded" bash -c "'$run' cat /proc/self/maps | grep -q '$lib'"
try "one that is preloaded already stays" \
    gives "$lib:/lib/none.so" env LD_PRELOAD=/lib/none.so "$run" sh -c 'echo $LD_PRELOAD' 2>/dev/null
try "and is not preloaded twice" gives "$lib" "$run" "$run" sh -c 'echo $LD_PRELOAD'
printf 'kernel any port 80\n' >"$work/rules"
try "every option reaches the program" gives "other $work/rules 1 1 64M 77" bash -c "
    cd '$work' && '$run' --instance other --rules rules --fallback --debug --arena 64M \
        --sessions 77 sh -c 'echo \$BULKHEAD_INSTANCE \$BULKHEAD_RULES \$BULKHEAD_FALLBACK \
        \$BULKHEAD_DEBUG \$BULKHEAD_ARENA \$BULKHEAD_SESSIONS'"
try "what was not asked for stays as it is" gives "- - - - - -" "$run" sh -c '
    echo ${BULKHEAD_INSTANCE--} ${BULKHEAD_RULES--} ${BULKHEAD_FALLBACK--} ${BULKHEAD_DEBUG--} \
        ${BULKHEAD_ARENA--} ${BULKHEAD_SESSIONS--}'

# What it can run.
script hello "#!/bin/sh" 'echo "hello $1"'
script nested "#!$work/hello"
script plain 'echo "plain $1"'
script lost "#!$work/nothing"
script empty "#! "
printf 'x' >"$work/data"
try "a script" gives "hello you" "$run" "$work/hello" you
try "a script that interprets a script" gives "hello $work/nested" "$run" "$work/nested"
try "a script without a first line, as shells do" gives "plain you" "$run" "$work/plain" you
try "one that is found in PATH" gives "hello you" env PATH="$work:$PATH" "$run" hello you

# What it cannot.
try "no such program" ends 127 'not found in PATH' "$run" no-such-program
try "no such file" ends 127 'No such file' "$run" "$work/nothing"
try "no program at all" ends 126 'Permission denied|denied' "$run" "$work/data"
try "a directory" ends 126 'Is a directory' "$run" "$work/"
try "a script whose interpreter is not there" ends 126 'wants the interpreter' "$run" "$work/lost"
try "a script that names none" ends 126 'names no interpreter' "$run" "$work/empty"
static=
for f in /sbin/ldconfig /usr/sbin/ldconfig /bin/busybox /usr/lib/klibc/bin/true; do
    [ -x "$f" ] && ! readelf -lW "$f" 2>/dev/null | grep -q INTERP &&
        head -c 4 "$f" | grep -q ELF && static=$f && break
done
if [ -n "$static" ]; then
    try "a program that is linked statically" ends 126 'linked statically' "$run" "$static"
    script over "#!$static"
    try "a script that such a one interprets" ends 126 'linked statically' "$run" "$work/over"
else
    skip "a program that is linked statically" "none here"
fi
# The same program, as for a processor that there is not (e_machine is at byte 18).
cp /bin/true "$work/foreign" && printf '\377\377' |
    dd of="$work/foreign" bs=1 seek=18 conv=notrunc status=none
try "a program for another processor" ends 126 'another kind of processor' "$run" "$work/foreign"
if [ "$(id -u)" -eq 0 ]; then
    cp /bin/true "$work/setuid" && chown nobody "$work/setuid" && chmod 4755 "$work/setuid"
    try "a setuid program of somebody else" ends 126 'is setuid' "$run" "$work/setuid"
    chown root "$work/setuid" && chmod 4755 "$work/setuid"
    try "one of one's own" ends 0 '' "$run" "$work/setuid"
else
    skip "a setuid program of somebody else" "needs root"
fi

# What it was told.
try "no program is named" ends 2 '^usage:' "$run"
try "an option that there is not" ends 2 'usage:' "$run" --nothing echo
try "an arena that is none" ends 2 '"64X" is not a size' "$run" --arena 64X echo
try "an arena that is too large" ends 2 'is not a size' "$run" --arena 5G echo
try "sessions that are none" ends 2 '"0" is not a number' "$run" --sessions 0 echo
try "an instance that cannot be" ends 2 'not the name of an instance' "$run" --instance a/b echo
try "help" gives "usage: bulkhead-run" bash -c "'$run' --help | head -n 1 | cut -d' ' -f1,2"
printf 'kernel any\nkernel any prt 80\n' >"$work/wrong"
try "a wrong rule, with its place" ends 3 "$work/wrong:2:12: " "$run" --rules "$work/wrong" echo
try "also from the environment" ends 3 ':2:12: ' env BULKHEAD_RULES="$work/wrong" "$run" echo
try "no such file of rules" ends 3 'cannot read the rules' "$run" --rules "$work/nothing" echo
try "no library" ends 1 'No such file' env BULKHEAD_PRELOAD="$work/nothing" "$run" echo
try "no daemon" ends 9 'start it, or choose' "$run" --instance nobody echo
try "nor with a name of the environment" ends 9 '"nobody"' env BULKHEAD_INSTANCE=nobody "$run" echo
try "no daemon, but the kernel will do" \
    ends 0 "the kernel's stack is used" "$run" --fallback --instance nobody echo
done_testing
