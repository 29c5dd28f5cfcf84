# SPDX-License-Identifier: BSD-2-Clause
"""The set-up of bench/path, and one measurement over it.

    stack f ---\\                                            each in a namespace of its own;
    stack m ---- bridge --- bulkhead-wire --- peer           the peer is always the kernel
    kernel  ---/

Everybody sends over the same bottleneck to the same peer. The wire is started anew for every
measurement, so that the same seed meets every sender.
"""
import json
import os
import re
import subprocess
import time

from bench_net import Failure, Net, sh

STACKS = ("factored", "monolithic", "kernel")
PORT = 5001
PEER = "10.97.0.1"
MSS = 1448  # payload of a packet of 1500 bytes with timestamps
OFF = ("tx", "off", "tso", "off", "gso", "off", "gro", "off")
# The peer's buffers, and those of the kernel as a sender, are no limit; what one connection
# learnt of the path (ssthresh) is not kept for the next one.
SYSCTL = ("net.ipv4.tcp_rmem=4096 8388608 67108864", "net.ipv4.tcp_wmem=4096 262144 67108864",
          "net.ipv4.tcp_no_metrics_save=1")


def bdp(rate, rtt_ms):
    return int(rate * rtt_ms / 8000)


class Condition:
    """One path: loss and reordering (parts of 1) of the data; rtt in ms; rate in bit/s."""

    def __init__(self, rate, rtt_ms, loss=0.0, reorder=0.0, jitter_us=0):
        self.rate, self.rtt_ms, self.loss, self.reorder = rate, rtt_ms, loss, reorder
        self.jitter_us = jitter_us
        # What is usual in routers; on short ways still enough for a few bursts.
        self.queue = max(bdp(rate, rtt_ms), 128 << 10)

    def name(self):
        return "%g ms, %s" % (self.rtt_ms, "%g %% reordered" % (100 * self.reorder)
                              if self.reorder else "%g %% loss" % (100 * self.loss))

    def wire(self, seed):
        args = ["--seed", str(seed), "--rate", str(self.rate), "--delay",
                "%gus" % (self.rtt_ms * 500), "--queue-bytes", str(self.queue), "--to-right"]
        if self.loss:
            args += ["--loss", "%g" % self.loss]
        if self.reorder:
            args += ["--reorder", "%g" % self.reorder, "--reorder-packets", "5",
                     "--reorder-delay", "%gus" % max(2000, self.rtt_ms * 500)]
        if self.jitter_us:
            args += ["--jitter", "%gus" % self.jitter_us]
        return args

    def usual_rate(self):
        """About what Reno gets (Mathis and others, 1997), in bit/s."""
        fair = 0.93 * self.rate
        if self.loss:
            fair = min(fair, 1.22 * MSS * 8 / (self.rtt_ms / 1e3 * self.loss ** 0.5))
        return fair

    def bytes(self, seconds):
        """How much to send: for about so long, but up to three times as long if only then some
        twenty packets are lost; fewer say little."""
        most = self.usual_rate() * seconds / 8
        if self.loss:
            most = min(3 * most, max(most, 20 / self.loss * MSS))
        return max(256 << 10, int(most))

    def as_dict(self):
        return {"rate": self.rate, "rtt_ms": self.rtt_ms, "loss": self.loss,
                "reorder": self.reorder, "jitter_us": self.jitter_us,
                "queue_bytes": self.queue}


class Path(Net):
    def __init__(self, opt):
        super().__init__(opt, "bhpath")
        self.ns = {}
        self.daemon = {}
        self.realtime = ["--realtime"]
        self.takes = {}  # (stack, congestion control): is it told so, or is it that anyway?

    def addr(self, stack):
        return "10.97.0.%d" % (2 + STACKS.index(stack))

    def pair(self, ns, dev, other_ns, other):
        sh("ip", "link", "add", "name", dev, "netns", ns, "type", "veth", "peer", "name", other,
           "netns", other_ns)
        for n, d in ((ns, dev), (other_ns, other)):
            sh("ip", "netns", "exec", n, "ethtool", "-K", d, *OFF, check=False)
            sh("ip", "-n", n, "link", "set", "dev", d, "mtu", "1500", "up")

    def up(self):
        self.w, self.peer = self.space("w"), self.space("p")
        for stack in self.opt.stacks:
            self.ns[stack] = self.space(stack[0])
        for ns in self.spaces:
            self.sysctl(ns, "net.ipv6.conf.all.disable_ipv6=1",
                        "net.ipv6.conf.default.disable_ipv6=1", check=False)
            self.sysctl(ns, *SYSCTL)
        sh("ip", "-n", self.w, "link", "add", "br0", "type", "bridge", "stp_state", "0",
           "forward_delay", "0", "mcast_snooping", "0")
        sh("ip", "-n", self.w, "link", "set", "dev", "br0", "up")
        self.pair(self.w, "wl", self.w, "bw")
        self.pair(self.w, "wr", self.peer, "v0")
        sh("ip", "-n", self.w, "link", "set", "dev", "bw", "master", "br0")
        sh("ip", "-n", self.peer, "addr", "add", PEER + "/24", "dev", "v0")
        conf = os.path.join(self.work, "bulkheadd.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("sndbuf = %d\n" % self.opt.sndbuf)
        for stack in self.opt.stacks:
            port = "b-" + stack[0]
            self.pair(self.ns[stack], "v0", self.w, port)
            sh("ip", "-n", self.w, "link", "set", "dev", port, "master", "br0")
            if stack == "kernel":
                sh("ip", "-n", self.ns[stack], "addr", "add", self.addr(stack) + "/24", "dev",
                   "v0")
                continue
            self.daemon[stack] = self.start(
                self.ns[stack], stack, self.tool("bulkheadd"), "--interface", "v0", "--address",
                self.addr(stack) + "/24", "--composition", stack, "--instance",
                "bench-" + stack, "-c", conf)
        wire = self.wire_start("--delay", "1ms")
        for stack in self.opt.stacks:
            self.wait_answer(stack)
        self.wire_stop(wire)

    def ping(self, stack, count=1, wait=1):
        return not subprocess.run(
            ("ip", "netns", "exec", self.peer, "ping", "-q", "-c", str(count), "-i", "0.1", "-W",
             str(wait), self.addr(stack)), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode

    def wait_answer(self, stack):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            d = self.daemon.get(stack)
            if d and d.poll() is not None:
                break
            if self.ping(stack):
                return
        raise Failure("%s does not answer a ping; bulkheadd said: %s" %
                      (stack, self.said(self.daemon[stack]) if stack in self.daemon else "-"))

    # ---- parts of a measurement ----

    def wire_start(self, *settings):
        p = self.start(self.w, "kernel", self.tool("bulkhead-wire"), "--json", *self.realtime,
                       *settings, "wl", "wr")
        try:
            self.until(lambda: "ready" in self.said(p).split(), p, "the wire")
        except Failure as e:
            if not self.realtime or "--realtime:" not in str(e):
                raise
            self.realtime = []  # not everywhere may root have that
            return self.wire_start(*settings)
        return p

    def wire_stop(self, p):
        self.end(p)
        last = self.said(p).splitlines()[-1:]
        if p.returncode or not last or not last[0].startswith("{"):
            raise Failure("the wire ended with %d: %s" % (p.returncode, self.said(p)))
        counts = json.loads(last[0])
        self.forget(p)
        return counts

    def until(self, true, p, what, seconds=10):
        end = time.monotonic() + seconds
        while not true():
            if p.poll() is not None or time.monotonic() > end:
                raise Failure("%s is not there: %s" % (what, self.said(p)))
            time.sleep(0.01)

    def receiver(self, port):
        p = self.start(self.peer, "kernel", self.tool("bulkhead-ttcp"), "--receive", "--via",
                       "kernel", "--port", str(port))
        self.until(lambda: sh("ip", "netns", "exec", self.peer, "ss", "-Hltn", "sport", "=",
                              ":%d" % port).strip(), p, "the receiver")
        return p

    def sender(self, stack, congestion, port, n_bytes):
        via = "kernel" if stack == "kernel" else "bulkhead"
        told = ("--congestion", congestion) if self.takes[stack, congestion] == "told" else ()
        return self.start(self.ns[stack], stack, self.tool("bulkhead-ttcp"), "--transmit", PEER,
                          "--port", str(port), "--bytes", str(n_bytes), "--json", "--via", via,
                          *told)

    def learn(self, congestion):
        """What of these congestion controls each stack takes. A Bulkhead that cannot be told is
        Reno by itself, if it is as old as that."""
        remarks = []
        wire = self.wire_start("--delay", "1ms")
        rx = self.receiver(PORT)
        for c in congestion:
            for stack in self.opt.stacks:
                self.takes[stack, c] = "told"
                tx = self.sender(stack, c, PORT, 1)
                code = tx.wait(30)
                if code and "refuses" not in self.said(tx):
                    raise Failure("%s: %s" % (stack, self.said(tx)))
                if code:
                    own = c == "reno" and stack != "kernel"
                    self.takes[stack, c] = "own" if own else None
                    remarks.append("%s does not take the congestion control %s: %s" % (
                        stack, c, "it runs its own choice" if own else "left out"))
                self.forget(tx)
        self.forget(rx)
        self.wire_stop(wire)
        return remarks

    # ---- measurements ----

    def transfer(self, stack, congestion, cond, seed, seconds):
        """One flow. Returns a sample; its rate is None if nothing can be said."""
        n_bytes = cond.bytes(seconds)
        limit = 10 + 10 * n_bytes * 8 / cond.usual_rate()
        wire = self.wire_start(*cond.wire(seed))
        rx = self.receiver(PORT)
        self.ping(stack, 2, 1 + cond.rtt_ms / 1e3)  # neighbours know each other
        tx = self.sender(stack, congestion, PORT, n_bytes)
        out = {"bytes": n_bytes, "mbit_per_second": None, "remark": None}
        began = time.monotonic()
        try:
            code = tx.wait(limit)
            if code:
                out["remark"] = "failed with %d: %s" % (code, self.said(tx))
            else:
                r = json.loads(self.said(tx).splitlines()[-1])
                out["mbit_per_second"] = r["bits_per_second"] / 1e6
                out["seconds"] = r["seconds"]
        except subprocess.TimeoutExpired:
            got = self.received().get(PORT, 0)
            out["seconds"] = time.monotonic() - began
            out["mbit_per_second"] = got * 8 / out["seconds"] / 1e6
            out["remark"] = "not through after %d s; the rate is of what had arrived" % limit
        self.forget(tx, rx)
        if out["remark"]:
            time.sleep(0.3 + 4 * cond.rtt_ms / 1e3)  # the peer resets what is left
        out["wire"] = self.wire_stop(wire)
        return out

    def received(self):
        """Bytes that have arrived in order at the peer, by port."""
        out = sh("ip", "netns", "exec", self.peer, "ss", "-HtinO", "state", "established")
        found = {}
        for line in out.splitlines():
            port = re.search(r"^\s*\d+\s+\d+\s+\S+:(\d+)\s", line)
            got = re.search(r"bytes_received:(\d+)", line)
            if port:
                found[int(port.group(1))] = int(got.group(1)) if got else 0
        return found

    def together(self, stacks, congestion, cond, seed, seconds, last_first=False):
        """Several flows at once, each of as much as it gets; the last of them begins if so
        told. The first quarter of the time is for finding their shares and is not counted."""
        ports = [PORT + i for i in range(len(stacks))]
        wire = self.wire_start(*cond.wire(seed))
        rx = [self.receiver(p) for p in ports]
        for stack in set(stacks):
            self.ping(stack, 2, 1 + cond.rtt_ms / 1e3)
        order = sorted(zip(ports, stacks), reverse=last_first)
        tx = {p: self.sender(s, congestion, p, 1 << 40) for p, s in order}
        time.sleep(seconds / 4)
        t0, before = time.monotonic(), self.received()
        time.sleep(seconds * 3 / 4)
        t1, after = time.monotonic(), self.received()
        out = {"mbit_per_second": [], "remark": None}
        for stack, port in zip(stacks, ports):
            p = tx[port]
            if p.poll() is not None:
                out["remark"] = "%s failed with %d: %s" % (stack, p.returncode, self.said(p))
            got = after.get(port, 0) - before.get(port, 0)
            out["mbit_per_second"].append(got * 8 / (t1 - t0) / 1e6)
        self.forget(*tx.values(), *rx)
        time.sleep(0.3 + 4 * cond.rtt_ms / 1e3)
        out["wire"] = self.wire_stop(wire)
        return out
