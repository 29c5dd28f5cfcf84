#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Protects: kernel descriptors that stand for sockets show what the sockets are, survive a
# restart of the domain, and end the connection with their last copy.
set -u
. "${top_srcdir:-.}/tests/netns/lib.sh"

net_need python3 curl jq
net_lock
net_up
PORT=7777
cat >"$WORK/echo.py" <<'P'
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(65536)
            if not data:
                return
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 512
Server((sys.argv[1], int(sys.argv[2])), Echo).serve_forever()
P
cat >"$WORK/drive.py" <<'P'
import socket, sys, os, threading
# connections at once, bytes of each: everything comes back, whatever happens on the way
host, port, n, size = sys.argv[1], *map(int, sys.argv[2:])
def one():
    global good
    data, got = os.urandom(size), b""
    s = socket.create_connection((host, port), 20)
    s.settimeout(20)
    t = threading.Thread(target=s.sendall, args=(data,))
    t.start()
    while len(got) < size:
        b = s.recv(65536)
        if not b:
            break
        got += b
    t.join()
    s.close()
    if got == data:
        with lock:
            good += 1
good, lock = 0, threading.Lock()
ts = [threading.Thread(target=one) for _ in range(n)]
[t.start() for t in ts]
[t.join() for t in ts]
sys.exit(good != n)
P
sessions() { ctl --json sessions | jq '[.sessions[] | select(.state != "LISTEN" and .state != "TIME-WAIT")] | length'; }
none_left() { [ "$(sessions)" = 0 ]; }
domain() { [ "$1" = factored ] && echo tcp || echo mono; }

bg ip netns exec "$B" python3 "$WORK/echo.py" $PEER $PORT
wait_b $PORT
for c in $(compositions); do
    stack_start "$c" || { ok 1 "$c: starts"; continue; }
    try "$c: levels, refusal, copies, many" in_a timeout 100 "$build/tests/netns/standin" check $PEER $PORT
    try "$c: with the last copy the connection is over, also a killed child's" until_ok 5 none_left
    app "$build/tests/netns/standin" serve $PORT
    server=$bg_pid
    wait_port $PORT
    try "$c: an echo server on epoll, 50 at once" in_b timeout 100 python3 "$WORK/drive.py" $STACK $PORT 50 200000
    in_b timeout 100 python3 "$WORK/drive.py" $STACK $PORT 4 20000000 &
    drive=$!
    sleep 0.7
    try "$c: its domain is started anew" ctl restart "$(domain "$c")"
    wait $drive
    ok $? "$c: nothing of four transfers under way is lost by that"
    try "$c: and new ones are served" in_b timeout 60 python3 "$WORK/drive.py" $STACK $PORT 20 100000
    kill -KILL "$server"
    try "$c: killed: all its connections are over" until_ok 5 none_left
    stack_stop
    ok $? "$c: stops cleanly"
done
done_testing
