#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: the stack's 127.0.0.0/8 is for programs whose rules say so. One without them means the
# kernel's and does not come to what another one has there, also with a socket on the stack.
# Nothing of it is on the wire, nor taken from there.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need python3 jq
net_lock
net_up
RUN=${BULKHEAD_RUN:-$build/bulkhead-run}
PORT=5001
echo "bulkhead 127.0.0.0/8" >"$WORK/rules"

cat >"$WORK/other.py" <<'P'
import os, select, socket, sys # somebody else, at loopback: says what comes
t, u = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
for s in (t, u):
    s.bind(("127.0.0.1", int(sys.argv[1])))
t.listen(5)
print("ready", flush=True)
while True:
    for s in select.select([t, u], [], [])[0]:
        print("came from", t.accept()[1][0] if s is t else u.recvfrom(9)[1][0], flush=True)
P
cat >"$WORK/means_the_kernel.py" <<'P'
import errno, socket, sys # what is sent there does not come to the other one
to = ("127.0.0.1", int(sys.argv[1]))
def fails(f, *e):
    try:
        f()
    except OSError as x:
        assert x.errno in e, x
    else:
        assert not e, f
fails(lambda: socket.socket().connect(to), errno.ECONNREFUSED)
fails(lambda: socket.socket().connect(("0.0.0.0", to[1])), errno.ECONNREFUSED)
u = socket.socket(type=socket.SOCK_DGRAM)
u.bind(("0.0.0.0", 7777)) # a server: it is on the stack
fails(lambda: u.sendto(b"x", to), errno.ENETUNREACH)
fails(lambda: u.sendto(b"x", ("0.0.0.0", to[1])), errno.ENETUNREACH)
fails(lambda: u.connect(to), errno.ENETUNREACH)
socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", to) # to the kernel
P
cat >"$WORK/has_the_rules.py" <<'P'
import socket, sys # and so finds the other one
to = ("127.0.0.1", int(sys.argv[1]))
socket.create_connection(to, 5)
socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", to)
P
cat >"$WORK/wire.py" <<'P'
import socket, struct, sys # forges what comes from loopback, and sees what goes there
name, mac, stack, port = sys.argv[1:]
mac = bytes.fromhex(mac.replace(":", ""))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
s.bind((name, 0))
lo, seen = socket.inet_aton("127.0.0.1"), 0
def total(b):
    n = sum(struct.unpack("!10H", b))
    return ~(n + (n >> 16)) & 0xffff
for i in range(50):
    for a, b in ((lo, socket.inet_aton(stack)), (lo, lo), (socket.inet_aton("10.0.0.9"), lo)):
        data = struct.pack("!HHHH", 9, int(port), 9, 0) + b"x"
        h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 29, i, 0, 64, 17, 0, a, b)
        h = h[:10] + struct.pack("!H", total(h)) + h[12:]
        s.send(mac + s.getsockname()[4] + b"\x08\x00" + h + data)
s.settimeout(3)
try:
    while True:
        b, a = s.recvfrom(2048)
        if a[2] != socket.PACKET_OUTGOING:
            seen += b[26] == 127 or b[30] == 127
except TimeoutError:
    pass
sys.exit(seen != 0)
P

came() { [ "$(grep -c "came from 127.0.0.1" "$WORK/other")" = "$1" ]; }
counted() { # counter, at least
    ctl --json stats | jq -e "[.domains[].counters.$1 // 0] | add >= $2" >/dev/null
}

for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    mac=$(in_a cat "/sys/class/net/$IF/address")
    bg_a env BULKHEAD_RULES="$WORK/rules" "$RUN" --instance "$BULKHEAD_INSTANCE" -- \
        bash -c 'exec python3 "$1" "$2" >"$3"' sh "$WORK/other.py" $PORT "$WORK/other"
    other=$bg_pid
    until_ok 10 grep -q ready "$WORK/other"
    bg_b python3 "$WORK/wire.py" "$IF" "$mac" $STACK $PORT
    wire=$bg_pid
    try "$c: who has no rules means the kernel's loopback" \
        in_a "$RUN" --instance "$BULKHEAD_INSTANCE" -- python3 "$WORK/means_the_kernel.py" $PORT
    try "$c: and comes to nobody on the stack" came 0
    try "$c: who has them comes there" in_a env BULKHEAD_RULES="$WORK/rules" \
        "$RUN" --instance "$BULKHEAD_INSTANCE" -- python3 "$WORK/has_the_rules.py" $PORT
    try "$c: as the other one sees" until_ok 5 came 2
    try "$c: that was looped back" counted ip_loopback 2
    wait "$wire"
    ok $? "$c: and not seen on the wire"
    try "$c: what claims to be from there is dropped and counted" \
        counted ip_drop_source 50
    try "$c: nor did it come to anybody" came 2
    end_bg "$other"
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
