# SPDX-License-Identifier: BSD-2-Clause
"""The stacks side by side, and what is measured of one: bench/run and bench/eval build on it.

Two namespaces; a *lane* is a veth pair between them with a stack under test on one end and the
kernel on the other.
"""
import os
import subprocess
import sys
import time

from bench_net import Failure, Net, sh
from bench_proc import (children, cpu_ns, machine_busy_ns, process_name, resident_by_use,
                        status_number)

STACKS = ("factored", "monolithic", "kernel")
FEATURES = ("tx-checksumming", "rx-checksumming", "tcp-segmentation-offload",
            "generic-segmentation-offload", "generic-receive-offload")
SHORT = {"tx-checksumming": "tx", "rx-checksumming": "rx", "tcp-segmentation-offload": "tso",
         "generic-segmentation-offload": "gso", "generic-receive-offload": "gro"}
BULK_PORT, ECHO_PORT = 5001, 5002
SLOTS = 16384  # sessions that the TCP store has room for; bulkheadd's default, said aloud

# Connects and closes: is the server there?
TOUCH = """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
"""

# Opens connections, sends a byte over each and waits for its echo, holds them until told.
HOLDER = """
import resource, socket, sys
host, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
held = []
for i in range(n):
    s = socket.create_connection((host, port), timeout=10)
    s.sendall(b"x")
    assert s.recv(1) == b"x"
    held.append(s)
print("held", flush=True)
sys.stdin.read()
"""


class Lane:
    """name: also of the instance. conf: further lines of bulkheadd's configuration; slots:
    sessions that its TCP has room for; echo: further arguments of the echo server;
    program: the daemon, in the build."""

    def __init__(self, name, stack, mtu=1500, conf="", slots=SLOTS, echo=(),
                 program="bulkheadd"):
        self.name, self.stack, self.mtu, self.conf, self.slots = name, stack, mtu, conf, slots
        self.echo, self.program = tuple(echo), program

    @property
    def via(self):
        return "kernel" if self.stack == "kernel" else "bulkhead"


class Stacks(Net):
    def __init__(self, opt, tag, lanes):
        super().__init__(opt, tag)
        self.lanes = {lane.name: lane for lane in lanes}
        self.daemon = {}
        self.server = {}
        self.features = {}

    def number(self, name):
        return list(self.lanes).index(name)

    def dev(self, name):
        return "v%d" % self.number(name)

    def addr(self, name, peer=False):
        return "10.98.%d.%d" % (self.number(name) + 1, 2 if peer else 1)

    # ---- the set-up ----

    def up(self):
        self.ns, self.peer = self.space("s"), self.space("p")
        for lane in self.lanes.values():
            self.lane_up(lane)
        for name in self.lanes:
            self.wait_answer(name)
            for ns in (self.ns, self.peer):
                self.features[ns, name] = self.get_features(ns, name)

    def lane_up(self, lane):
        dev, name = self.dev(lane.name), lane.name
        sh("ip", "link", "add", "name", dev, "netns", self.ns, "type", "veth", "peer", "name",
           dev, "netns", self.peer)
        for ns in (self.ns, self.peer):
            self.sysctl(ns, "net.ipv6.conf.%s.disable_ipv6=1" % dev, check=False)
            sh("ip", "-n", ns, "link", "set", dev, "mtu", str(lane.mtu), "up")
        sh("ip", "-n", self.peer, "addr", "add", self.addr(name, True) + "/24", "dev", dev)
        if lane.stack == "kernel":
            sh("ip", "-n", self.ns, "addr", "add", self.addr(name) + "/24", "dev", dev)
        else:
            conf = os.path.join(self.work, name + ".conf")
            with open(conf, "w", encoding="utf-8") as f:
                f.write("tcp_sessions = %d\n%s" % (lane.slots, lane.conf))
            self.daemon[name] = self.start(
                self.ns, name, self.tool(lane.program), "--interface", dev, "--address",
                self.addr(name) + "/24", "--composition", lane.stack, "--instance",
                "bench-" + name, "-c", conf)

    def wait_answer(self, name):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            d = self.daemon.get(name)
            if d and d.poll() is not None:
                break
            if not subprocess.run(("ip", "netns", "exec", self.peer, "ping", "-c", "1", "-W", "1",
                                   "-q", self.addr(name)), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL).returncode:
                return
            time.sleep(0.1)
        raise Failure("%s does not answer a ping; bulkheadd said: %s" %
                      (name, self.said(self.daemon[name]) if name in self.daemon else "-"))

    def serve(self, names=None):
        """The servers that the measurements talk to: bulk and echo, on both ends."""
        names = list(self.lanes) if names is None else names
        for name in names:
            for end in ("stack", "peer"):
                self.server[name, end, "bulk"] = self.receiver(name, end, BULK_PORT)
            self.server[name, "stack", "echo"] = self.start(
                self.ns, name, self.tool("bulkhead-protolat"), "--serve", "--tcp", "--udp",
                "--via", self.lanes[name].via, "--port", str(ECHO_PORT), "--address",
                self.addr(name), *self.lanes[name].echo)
        for (name, end, what), p in self.server.items():
            if name in names:
                self.wait_server("%s/%s/%s" % (name, end, what), p,
                                 self.addr(name, end == "peer"),
                                 BULK_PORT if what == "bulk" else ECHO_PORT)

    def receiver(self, name, end, port):
        """What takes bulk transfers at an end of a lane; the peer is the kernel."""
        peer = end == "peer"
        return self.start(self.peer if peer else self.ns, name, self.tool("bulkhead-ttcp"),
                          "--receive", "--json", "--via",
                          "kernel" if peer else self.lanes[name].via, "--port", str(port),
                          "--address", self.addr(name, peer))

    def wait_server(self, name, p, host, port):
        end = time.monotonic() + 15
        while time.monotonic() < end and p.poll() is None:
            if not subprocess.run(("ip", "netns", "exec", self.peer, sys.executable, "-c", TOUCH,
                                   host, str(port)), stderr=subprocess.DEVNULL).returncode:
                return
            time.sleep(0.2)
        raise Failure("server %s is not there: %s" % (name, self.said(p) or "no message"))

    def get_features(self, ns, name):
        out = sh("ip", "netns", "exec", ns, "ethtool", "-k", self.dev(name))
        f = dict(line.split(": ", 1) for line in out.splitlines() if ": " in line)
        return {k: f[k].split()[0] for k in FEATURES if k in f}

    def set_offloads(self, name, offloads):
        """On both ends. What a driver does not let one change stays; what is in force is
        recorded with the results."""
        for ns in (self.ns, self.peer):
            if self.lanes[name].stack != "kernel" and ns == self.ns:
                continue  # AF_XDP sees none of them; the interface stays as bulkheadd set it
            for feature, value in self.features[ns, name].items():
                v = "off" if offloads == "off" and SHORT[feature] != "rx" else value
                sh("ip", "netns", "exec", ns, "ethtool", "-K", self.dev(name), SHORT[feature], v,
                   check=False)

    # ---- what is measured ----

    def stack_pids(self, name, end_server=None):
        pids = children(self.daemon[name].pid) if name in self.daemon else []
        return pids + [end_server.pid] if end_server else pids

    def bulk(self, name, to_stack, n_bytes, congestion="cubic", before=()):
        """One transfer; before: what to put in front of the transmitter's command (taskset)."""
        via = self.lanes[name].via
        receiver = self.server[name, "stack" if to_stack else "peer", "bulk"]
        pids = self.stack_pids(name, receiver if to_stack else None)
        used, busy = cpu_ns(pids), machine_busy_ns()
        r = self.run(self.peer if to_stack else self.ns, name, *before,
                     self.tool("bulkhead-ttcp"), "--transmit", self.addr(name, not to_stack),
                     "--port", str(BULK_PORT), "--congestion", congestion, "--bytes",
                     str(n_bytes), "--json", "--via", "kernel" if to_stack else via)
        time.sleep(0.05)
        cpu = (cpu_ns(pids) - used) / 1e9 + (0 if to_stack else r["cpu_seconds"])
        gib = r["bytes"] / 2**30
        return {"mbit_per_second": r["bits_per_second"] / 1e6, "cpu_s_per_gib": cpu / gib,
                "machine_s_per_gib": (machine_busy_ns() - busy) / 1e9 / gib}

    def echo(self, name, proto, size, count, before=(), after=()):
        r = self.run(self.peer, name, *before, self.tool("bulkhead-protolat"), "--connect",
                     self.addr(name), "--" + proto, "--port", str(ECHO_PORT), "--size",
                     str(size), "--count", str(count), "--json", "--via", "kernel", *after)
        return {k: r[k] for k in ("min_us", "p50_us", "p99_us", "lost")}

    def idle(self, seconds):
        """Processor time and voluntary waits of every process of each stack, doing nothing."""
        def snap():
            return {s: [(p, cpu_ns([p]), status_number(p, "voluntary_ctxt_switches"))
                        for p in children(self.daemon[s].pid)] for s in self.daemon}
        before = snap()
        time.sleep(seconds)
        after = snap()
        return {s: [{"name": process_name(p), "pid": p, "cpu_ms": (c1 - c0) / 1e6,
                     "wakeups": w1 - w0}
                    for (p, c0, w0), (_, c1, w1) in zip(before[s], after[s])] for s in before}

    def sessions(self, name, n):
        """Bytes of a TCP session in its domain and in the client's arena: a slot of the store,
        and what else grows with n connections."""
        pid = next((p for p in children(self.daemon[name].pid)
                    if process_name(p) in ("bulkhead-tcp", "bulkhead-mono")), None)
        if pid is None:
            return None
        slots = self.lanes[name].slots
        before = resident_by_use(pid)
        p = self.start(self.peer, name, sys.executable, "-c", HOLDER, self.addr(name),
                       str(ECHO_PORT), str(n), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                       text=True)
        if p.stdout.readline().strip() != "held":
            raise Failure("%s: %d connections: %s" % (name, n, self.said(p)))
        after = resident_by_use(pid)
        p.stdin.close()
        p.wait(30)
        return {"connections": n, "store_bytes": after["store"], "slots": slots,
                "domain_bytes": (after["store"] / slots +
                                 (after["other"] - before["other"]) / n),
                "arena_bytes": (after["arena"] - before["arena"]) / n}
